"""Recompute results in a scratch clone, each at the commit of its run, and compare them with the recorded ones."""

import os

from errors import InputError
from provenance.annex.integrity import blob_id, find_alterations
from provenance.records.freshness import STALE, assess
from provenance.records.grading import DIFFERENT, sum_up
from provenance.records.runs import last_run
from provenance.repository import ROOT, git, git_folder, hidden_files, input_datasets, object_ids, read_tree
from provenance.run.recovery import only_one, scratch_folder
from provenance.verify.scratch import NOT_HERE, Scratch

PRIVATE_INPUTS = 3  # exit status


def verify(study, cells, chosen=None):
    """Recompute cells, all or those chosen, as declared at the commits of their last runs, and compare their outputs.

    Each cell is recomputed from the very code, settings and inputs of its own run, so that what is wrong upstream is
    named there and nowhere else. The repository itself is left as it is: all happens in a clone in the temporary
    folder. What is compared is what this repository holds now, changes that nobody committed included.

    Returns the exit status: 0 if every output is identical or equal within tolerance, 1 if not, PRIVATE_INPUTS if
    nothing is wrong but some could not be recomputed, since their inputs are private.
    """
    chosen, runs = chosen or cells, {cell.name: last_run(cell) for cell in cells}
    unrecorded = [cell for cell in chosen if runs[cell.name] is None]
    if unrecorded == chosen:
        raise InputError(f"{chosen[0].name} has no run record in this history; `make {chosen[0].stage}` makes it first")
    chosen = [cell for cell in chosen if cell not in unrecorded]
    with only_one(), scratch_folder("verify") as parent:
        scratch = Scratch(parent / "clone", study, cells, runs)
        for number, cell in enumerate(chosen, 1):
            print(f"[{number}/{len(chosen)}] {cell.name}: recomputing", flush=True)
            if cell.name not in scratch.graded:
                scratch.recompute(cell)
    grades = {path: grade for cell in chosen for path, grade in scratch.graded[cell.name].items()}
    # Files without a record vouch for nothing; where there are none, the result was not made or not published.
    grades |= {cell.folder: (DIFFERENT, "has no run record") for cell in unrecorded if object_ids(cell.folder)}
    for cell in unrecorded:
        print(f"{cell.name} has no run record in this history, so that it cannot be verified")
    faults = find_deceptions() + changed_inputs({path for cell in chosen for path in cell.inputs})
    # A hidden edit of a result was compared above.
    grades |= {path: (DIFFERENT, detail) for path, detail in faults if path not in grades}
    table = git_folder() / "verification.tsv"
    rows = [("path", "grade", "detail"), *((path, *grade) for path, grade in grades.items())]
    table.write_text("".join("\t".join(row) + "\n" for row in rows))
    lines, reproduced = sum_up(grades, f"{len(chosen)} of {len(cells)} cells recomputed")
    states = assess(cells)
    for cell in (cell for cell in chosen if states[cell.name].state == STALE):
        print(f"{cell.name}: stale ({states[cell.name].reasons[0]}); verified as it was run")
    print("\n".join(lines))
    print(f"every output: {table.relative_to(ROOT) if table.is_relative_to(ROOT) else table}")
    if not reproduced:
        return 1
    if scratch.private and any(grade == NOT_HERE for grade, _ in grades.values()):
        print(f"not verifiable here: the inputs are private ({', '.join(scratch.private)}); checksums, run records and")
        print("what follows from the files themselves were checked, and what needs no private input was recomputed")
        return PRIVATE_INPUTS
    return 0


def find_deceptions():
    """Return what hides or replaces parts of this repository, as tuples (path, detail)."""
    found = [
        (ref, "replaces an object of the history; all was verified as recorded, without it")
        for ref in git("for-each-ref", "--format=%(refname)", "refs/replace").splitlines()
    ]
    grafts = git_folder().parent / "info/grafts"
    if grafts.exists() and grafts.read_text().strip():
        found.append((".git/info/grafts", "gives commits other parents; all was verified as recorded, without it"))
    ids = object_ids()
    for path in hidden_files():
        if os.path.lexists(ROOT / path) and not (ROOT / path).is_dir() and blob_id(ROOT / path) != ids.get(path):
            found.append((path, "differs from its commit, and git was told not to look at it"))
    return found


def changed_inputs(names):
    """Return what of some installed input datasets is not what this repository records, as tuples (path, detail)."""
    found = []
    for path, commit in input_datasets().items():
        root = ROOT / path
        if path not in names or not (root / ".git").exists():
            continue
        head = git("rev-parse", "HEAD", root=root)
        if head != commit:
            found.append((path, f"is at commit {head[:10]}, recorded is {commit[:10]}"))
        found += [
            (f"{path}/{name}", fault) for name, fault in find_alterations(read_tree(root=root), root, root).items()
        ]
    return found
