"""Recompute results from their own run records in a scratch clone and compare them with the recorded ones."""

import subprocess
import tempfile
from pathlib import Path

from facepain.errors import InputError
from provenance.annex import ensure_annex
from provenance.annex_dataset import remove_tree
from provenance.cells import INPUTS
from provenance.freshness import STALE, assess
from provenance.repository import ROOT, git, git_folder
from provenance.reproduction import grade_outputs
from provenance.runner import only_one, sum_up, supervise

DIFFERENT = "different"


def verify(cells, name=""):
    """Rerun the last run record of every cell, or of one, and say how its outputs compare.

    The repository itself is left as it is: all happens in a clone of HEAD in the temporary folder.

    Parameters
    ----------
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
        If there is no such cell or a result is stale or was never made: there is nothing to verify then.
    """
    chosen = [cell for cell in cells if name in ("", cell.name)]
    if not chosen:
        raise InputError(f'no cell "{name}"; expected one of {", ".join(cell.name for cell in cells)}')
    _require_records(chosen)
    with only_one():
        scratch = Path(tempfile.mkdtemp(prefix="facepain-verify-"))
        try:
            graded = _recompute(chosen, scratch / "clone")
        finally:
            remove_tree(scratch)
    table = git_folder() / "verification.tsv"
    rows = ["\t".join(entry) for entry in [("path", "grade", "detail"), *graded]]
    table.write_text("\n".join(rows) + "\n")
    lines, reproduced = sum_up(graded, f"{len(chosen)} of {len(cells)} cells recomputed")
    print("\n".join(lines))
    print(f"every output: {table.relative_to(ROOT) if table.is_relative_to(ROOT) else table}")
    return 0 if reproduced else 1


def _require_records(chosen):
    states = assess(chosen)
    for cell in chosen:
        freshness = states[cell.name]
        if freshness.state == STALE or freshness.reasons == ("never made",):
            raise InputError(
                f"{cell.name} is {freshness.state} ({freshness.reasons[0]}); `make {cell.stage}` makes it true first"
            )


def _recompute(chosen, clone):
    git("clone", "--quiet", str(ROOT), str(clone), root=ROOT)
    ensure_annex(clone)
    _install_inputs(clone)
    recorded = git("rev-parse", "HEAD")
    graded = []
    for number, cell in enumerate(chosen, 1):
        print(f"[{number}/{len(chosen)}] {cell.name}: recomputing", flush=True)
        commit = git("log", "-1", "--format=%H", "--", cell.folder)
        code = supervise(["datalad", "-l", "error", "-f", "disabled", "rerun", commit], clone)
        if code:
            graded.append((cell.folder, DIFFERENT, "its run record cannot be rerun, see above"))
            continue
        grades = grade_outputs(cell.folder, recorded, root=clone, recorded_root=ROOT)
        graded += [(path, *_strictly(grade)) for path, grade in grades.items()]
    return graded


def _strictly(grade):
    """Count every change as a difference: a fresh result has no reason for one."""
    known = ("identical", "equal within tolerance", DIFFERENT)
    return grade if grade[0] in known else (DIFFERENT, f"{grade[0]} {grade[1]}".strip())


def _install_inputs(clone):
    """Put the inputs at their recorded commits: rebuilt where they are synthetic, else from this repository's."""
    from make_inputs import DATASET_IDS, make_inputs

    own = {name for name in DATASET_IDS if _is_synthetic(f"inputs/{name}", DATASET_IDS[name])}
    for path in INPUTS:
        if path.split("/")[1] in own:
            continue
        source = ROOT / path
        if not (source / ".git").exists():
            raise InputError(f"{path} is not installed here; `make inputs` installs it")
        subprocess.run(["git", "clone", "--quiet", str(source), str(clone / path)], check=True)
        git("annex", "init", "--quiet", "scratch", root=clone / path)
    make_inputs(clone / "inputs", names=sorted(own))


def _is_synthetic(path, dataset_id):
    found = git("config", "--file", ".gitmodules", f"submodule.{path}.datalad-id", check=False)
    return found == dataset_id


