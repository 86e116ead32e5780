"""Recompute results from their own run records in a scratch clone and compare them with the recorded ones."""

import tempfile
from pathlib import Path

from errors import InputError
from provenance.annex.dataset import remove_tree
from provenance.records.freshness import STALE, assess
from provenance.records.runs import last_run
from provenance.repository import ROOT, git_folder
from provenance.run.locks import only_one
from provenance.run.outcomes import sum_up
from provenance.verify.scratch import Scratch


def verify(study, cells, name=""):
    """Rerun the last run record of every cell, or of one, and say how its outputs compare.

    Each cell is recomputed from the very code, settings and inputs of its own run, so that what is wrong upstream is
    named there and nowhere else. The repository itself is left as it is: all happens in a clone in the temporary
    folder. What is compared is what this repository holds now, changes that nobody committed included.

    Parameters
    ----------
    study : Study
    cells : list of Cell
    name : str
        Of one cell, such as "regress M1 lasso"; all if empty.

    Returns
    -------
    status : int
        0 if every output is identical or equal within tolerance.

    Raises
    ------
    InputError
        If there is no such cell or it was never made: there is nothing to verify then.
    """
    chosen = [cell for cell in cells if name in ("", cell.name)]
    if not chosen:
        raise InputError(f'no cell "{name}"; expected one of {", ".join(cell.name for cell in cells)}')
    runs = {cell.name: last_run(cell) for cell in cells}
    for cell in chosen:
        if runs[cell.name] is None:
            raise InputError(f"{cell.name} has no run record in this history; `make {cell.stage}` makes it first")
    with only_one():
        parent = make_scratch()
        try:
            scratch = Scratch(parent / "clone", study, cells, runs)
            for number, cell in enumerate(chosen, 1):
                print(f"[{number}/{len(chosen)}] {cell.name}: recomputing", flush=True)
                if cell.name not in scratch.graded:
                    scratch.recompute(cell)
        finally:
            remove_tree(parent)
    graded = [entry for cell in chosen for entry in scratch.graded[cell.name]]
    table = write_table(graded)
    lines, reproduced = sum_up(graded, f"{len(chosen)} of {len(cells)} cells recomputed")
    print("\n".join([*stale_notes(chosen), *lines]))
    print(f"every output: {table.relative_to(ROOT) if table.is_relative_to(ROOT) else table}")
    return 0 if reproduced else 1


def make_scratch():
    """Make a temporary folder, and remove the one of a verification that was killed."""
    note = git_folder() / "scratch"
    if note.exists() and Path(note.read_text()).exists():
        remove_tree(Path(note.read_text()))
    parent = Path(tempfile.mkdtemp(prefix="facepain-verify-"))
    note.write_text(str(parent))
    return parent


def write_table(graded):
    """Write one row an output and return the path of the table."""
    table = git_folder() / "verification.tsv"
    rows = ["\t".join(entry) for entry in [("path", "grade", "detail"), *graded]]
    table.write_text("\n".join(rows) + "\n")
    return table


def stale_notes(chosen):
    """Say which results were recomputed from an older state than the present one."""
    return [
        f"{name}: stale ({freshness.reasons[0]}); verified as it was run"
        for name, freshness in assess(chosen).items()
        if freshness.state == STALE
    ]
