"""Hold the outputs of a run against those recorded before it, file by file, and sum that up."""

import io
import tempfile
from collections import Counter
from pathlib import Path

from provenance.annex.integrity import ANNEX_OBJECT
from provenance.declare import RECORD
from provenance.repository import ROOT, git, object_ids, read_blobs

# As `files.compare` has them, which takes a while to import; then what it never says.
IDENTICAL, WITHIN, DIFFERENT = "identical", "equal within tolerance", "different"
UPDATED, NEW, GONE, NOT_VERIFIED = "updated", "new", "gone", "not verified"


def grade_outputs(folder, before, root=ROOT, recorded_root=ROOT, strictly=False):
    """Compare the files of a cell's folder as recorded at a commit with those at HEAD.

    `root` holds both commits and the recomputed content, `recorded_root` may hold the recorded one. Counted `strictly`,
    every change is a difference, whatever the inputs, and the record of the inputs is held to it too.

    Returns by path a grade of `files.compare`, or UPDATED (the cell's inputs differ between the commits), NEW or GONE
    (although the inputs are the same); and the detail.
    """
    old, new = (object_ids(folder, revision=revision, root=root) for revision in (before, "HEAD"))
    record = f"{folder}/{RECORD}"
    same_inputs = old.get(record) == new.get(record)
    grades = {}
    for path in sorted(old.keys() | new.keys()):
        if path == record and not strictly:
            continue
        if old.get(path) == new.get(path):
            grades[path] = (IDENTICAL, "")
        elif path not in old:
            grades[path] = (DIFFERENT, "is not among the recorded files") if strictly else (NEW, "")
        elif path not in new and strictly:
            grades[path] = (DIFFERENT, "the run does not write it")
        elif not same_inputs and not strictly:
            detail = "made from other inputs than the recorded one" if path in new else "no longer written"
            grades[path] = (UPDATED, detail)
        elif path not in new:
            grades[path] = (GONE, "the run does not write it")
        else:
            grades[path] = _grade_content(folder, path, old, new, root, recorded_root)
    return grades


def _grade_content(folder, path, old, new, root, recorded_root):
    # Only here, because a run that changes nothing needs none of the heavy packages.
    from files.compare import compare_files, compare_fingerprints
    from files.tables import read_table

    name = Path(path).relative_to(folder)
    described = old.get(f"{folder}/fingerprints.tsv")
    contents = read_blobs({old[path], new[path], *([described] if described else [])}, root)
    with tempfile.TemporaryDirectory() as scratch:
        recorded = _place(contents[old[path]], recorded_root, Path(scratch, "recorded", name.name))
        recomputed = _place(contents[new[path]], root, Path(scratch, "recomputed", name.name))
        if not recomputed:
            return DIFFERENT, "the recomputed content is not here"
        if recorded:
            return compare_files(recorded, recomputed)
        if not described:
            return DIFFERENT, "another checksum; neither the recorded bytes nor fingerprints of them are here"
        return compare_fingerprints(read_table(io.BytesIO(contents[described])), name.as_posix(), recomputed)


def _place(blob, root, target):
    """Put the content of a git object at a path; return that, None where it is annexed and not in a repository."""
    target.parent.mkdir()
    # A locked annexed file is a link to its object, an unlocked one a text that names it.
    annexed = ANNEX_OBJECT.search(blob[:1000])
    if not annexed:
        target.write_bytes(blob)
        return target
    found = git("annex", "contentlocation", annexed.group(1).decode(), check=False, root=root)
    if not found:
        return None
    target.symlink_to(root / found)
    return target


def sum_up(grades, opening):
    """Return lines on graded outputs, as from `grade_outputs`, differences first, and whether all is well.

    It is not if any output is different from the recorded one although its inputs are the same.
    """
    bad = [path for path, (grade, _) in grades.items() if grade in (DIFFERENT, NOT_VERIFIED, GONE)]
    notes = bad + [path for path, (grade, _) in grades.items() if grade == WITHIN]
    lines = [f"{path}: {', '.join(filter(None, grades[path]))}" for path in notes]
    counts = Counter(grade for grade, _ in grades.values())
    total = ", ".join(f"{count} {grade}" for grade, count in sorted(counts.items()))
    compared = f"; {len(grades)} outputs: {total}" if grades else "; every result is fresh"
    known = counts[IDENTICAL] + counts[WITHIN]
    if known and not bad:
        compared += f" ({known} reproduced the recorded results)"
    return [*lines, f"{'NOT REPRODUCED' if bad else 'verdict'}: {opening}{compared}"], not bad
