"""Hold the outputs of a run against those recorded before it, file by file."""

import subprocess
import tempfile
from pathlib import Path

from provenance.annex.integrity import ANNEX_OBJECT
from provenance.declare import RECORD
from provenance.repository import ROOT, git, object_ids

UPDATED, NEW, GONE = "updated", "new", "gone"


def grade_outputs(folder, before, after="HEAD", root=ROOT, recorded_root=ROOT, strictly=False):
    """Compare a folder's files at two commits.

    Parameters
    ----------
    folder : str
        From the root; the folder of one cell.
    before, after : str
        Commits with the recorded and the recomputed files.
    root : Path
        Repository that holds both commits, and the content of `after`.
    recorded_root : Path
        Repository that may hold the content recorded at `before`.
    strictly : bool
        Count every change as a difference, whatever the inputs, and hold the record of the inputs to it too.

    Returns
    -------
    grades : dict of str to tuple (str, str)
        By path: a grade of `files.compare`, or UPDATED (the cell's inputs differ between the commits), NEW or GONE
        (although the inputs are the same); and the detail.
    """
    old, new = (object_ids(folder, revision=revision, root=root) for revision in (before, after))
    record = f"{folder}/{RECORD}"
    same_inputs = old.get(record) == new.get(record)
    grades = {}
    for path in sorted(old.keys() | new.keys()):
        if path == record and not strictly:
            continue
        if old.get(path) == new.get(path):
            grades[path] = ("identical", "")
        elif path not in old:
            grades[path] = ("different", "is not among the recorded files") if strictly else (NEW, "")
        elif path not in new and strictly:
            grades[path] = ("different", "the run does not write it")
        elif not same_inputs and not strictly:
            detail = "made from other inputs than the recorded one" if path in new else "no longer written"
            grades[path] = (UPDATED, detail)
        elif path not in new:
            grades[path] = (GONE, "the run does not write it")
        else:
            grades[path] = _grade_content(path, before, after, root, recorded_root)
    return grades


def _grade_content(path, before, after, root, recorded_root):
    # Only here, because a run that changes nothing needs none of the heavy packages.
    from files.compare import DIFFERENT
    from provenance.records.grading_by_fingerprint import compare_fingerprints

    with tempfile.TemporaryDirectory() as scratch:
        recorded = content_at(path, before, root, recorded_root, Path(scratch) / "recorded")
        recomputed = content_at(path, after, root, root, Path(scratch) / "recomputed")
        if recomputed is None:
            return DIFFERENT, "the recomputed content is not here"
        if recorded is None:
            grade = compare_fingerprints(path, before, recomputed, root)
            return grade.grade, grade.detail
        return grade_files(recorded, recomputed)


def grade_files(recorded, recomputed):
    """Compare two files; return grade and detail."""
    from files.compare import compare_files

    grade = compare_files(recorded, recomputed)
    return grade.grade, grade.detail


def content_at(path, revision, root, object_root, scratch):
    """Return a file with the content that a path has at a commit, or None where no clone here holds it.

    `object_root` is the repository whose annex is searched; content that lies in git is written to the folder
    `scratch`.
    """
    shown = subprocess.run(["git", "show", f"{revision}:{path}"], cwd=root, capture_output=True)
    if shown.returncode:
        return None
    target = scratch / Path(path).name
    scratch.mkdir(exist_ok=True)
    # A locked annexed file is a link to its object, an unlocked one a text that names it.
    annexed = ANNEX_OBJECT.search(shown.stdout[:1000])
    if not annexed:
        target.write_bytes(shown.stdout)
        return target
    found = git("annex", "contentlocation", annexed.group(1).decode(), check=False, root=object_root)
    if not found:
        return None
    target.symlink_to(object_root / found)
    return target
