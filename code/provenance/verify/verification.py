"""Recompute results in a scratch clone, each at the commit of its run, and compare them with the recorded ones."""

import tempfile
from pathlib import Path

from errors import InputError
from provenance.annex.dataset import remove_tree
from provenance.records.freshness import STALE, assess
from provenance.records.runs import last_run
from provenance.repository import ROOT, git_folder, object_ids
from provenance.run.locks import only_one
from provenance.run.outcomes import sum_up
from provenance.verify.scratch import DIFFERENT, NOT_HERE, Scratch
from provenance.verify.surroundings import changed_inputs, find_deceptions

PRIVATE_INPUTS = 3  # exit status


def verify(study, cells, chosen):
    """Recompute the chosen cells as declared at the commits of their last runs, and say how their outputs compare.

    Each cell is recomputed from the very code, settings and inputs of its own run, so that what is wrong upstream is
    named there and nowhere else. The repository itself is left as it is: all happens in a clone in the temporary
    folder. What is compared is what this repository holds now, changes that nobody committed included.

    Returns
    -------
    status : int
        0 if every output is identical or equal within tolerance, 1 if not, PRIVATE_INPUTS if nothing is wrong but some
        could not be recomputed, since their inputs are private.
    """
    runs = {cell.name: last_run(cell) for cell in cells}
    unrecorded = [cell for cell in chosen if runs[cell.name] is None]
    if unrecorded == chosen:
        raise InputError(f"{chosen[0].name} has no run record in this history; `make {chosen[0].stage}` makes it first")
    chosen = [cell for cell in chosen if cell not in unrecorded]
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
    # Files without a record vouch for nothing; where there are none, the result was not made or not published.
    graded += [(cell.folder, DIFFERENT, "has no run record") for cell in unrecorded if object_ids(cell.folder)]
    for cell in unrecorded:
        print(f"{cell.name} has no run record in this history, so that it cannot be verified")
    read = {"/".join(read.split("/")[:2]) for cell in chosen for read in cell.reads if read.startswith("inputs/")}
    faults = {path: detail for path, detail in find_deceptions() + changed_inputs(read)}
    # A hidden edit of a result was compared above.
    graded += [
        (path, DIFFERENT, detail) for path, detail in faults.items() if path not in {entry[0] for entry in graded}
    ]
    table = write_table(graded)
    lines, reproduced = sum_up(graded, f"{len(chosen)} of {len(cells)} cells recomputed")
    print("\n".join([*stale_notes(chosen, cells), *lines]))
    print(f"every output: {table.relative_to(ROOT) if table.is_relative_to(ROOT) else table}")
    if not reproduced:
        return 1
    if scratch.private and any(entry[1] == NOT_HERE for entry in graded):
        print(f"not verifiable here: the inputs are private ({', '.join(scratch.private)}); checksums, run records and")
        print("what follows from the files themselves were checked, and what needs no private input was recomputed")
        return PRIVATE_INPUTS
    return 0


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


def stale_notes(chosen, cells):
    """Say which results were recomputed from an older state than the present one."""
    states = assess(cells)
    return [
        f"{cell.name}: stale ({states[cell.name].reasons[0]}); verified as it was run"
        for cell in chosen
        if states[cell.name].state == STALE
    ]
