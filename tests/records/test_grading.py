"""Recomputed files beside the recorded ones: what is updated, new or gone, and what that makes of the verdict."""

import numpy as np
import pytest
from repositories import run

from files.compare import compare_fingerprints
from files.fingerprints import fingerprint_files
from provenance.records.grading import grade_outputs, sum_up

FOLDER = "outputs/prep"


def commit(root, **files):
    run(["git", "rm", "-rq", "--cached", "--ignore-unmatch", "."], root)
    for name in ("inputs.json", "a.tsv", "b.tsv", "c.tsv"):
        (root / FOLDER / name).unlink(missing_ok=True)
    for name, text in files.items():
        (root / FOLDER / name.replace("_", ".")).write_text(text)
    run(["git", "add", "--all"], root)
    run(["git", "-c", "user.name=x", "-c", "user.email=x@y", "commit", "--quiet", "--message", "x"], root)


def test_a_file_that_is_no_longer_written_is_gone_only_where_nothing_else_changed(tmp_path):
    run(["git", "init", "--quiet"], tmp_path)
    (tmp_path / FOLDER).mkdir(parents=True)
    commit(tmp_path, inputs_json="1", a_tsv="x", b_tsv="x")
    commit(tmp_path, inputs_json="1", a_tsv="x", c_tsv="x")
    grades = grade_outputs(FOLDER, "HEAD~1", root=tmp_path)
    assert {path[-5:]: grade for path, (grade, _) in grades.items()} == {
        "a.tsv": "identical", "b.tsv": "gone", "c.tsv": "new"
    }  # fmt: skip
    assert not sum_up(grades, "")[1]
    commit(tmp_path, inputs_json="2", c_tsv="y")
    grades = grade_outputs(FOLDER, "HEAD~1", root=tmp_path)
    assert grades == {
        f"{FOLDER}/a.tsv": ("updated", "no longer written"),
        f"{FOLDER}/c.tsv": ("updated", "made from other inputs than the recorded one"),
    }
    assert sum_up(grades, "")[1]
    assert grade_outputs(FOLDER, "HEAD~1", root=tmp_path, strictly=True)[f"{FOLDER}/a.tsv"][0] == "different"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (1e-9, ("equal within tolerance", "by fingerprint; the recorded bytes are not here")),
        (0.5, ("different", "w: ")),
    ],
)
def test_a_file_without_its_recorded_bytes_is_held_against_its_fingerprints(tmp_path, rng, change, expected):
    values = rng.normal(size=99)
    np.savez(tmp_path / "a.npz", w=values)
    fingerprints = fingerprint_files(tmp_path, ["a.npz"])
    np.savez(tmp_path / "a.npz", w=values + change * (np.arange(99) == 7))
    found = compare_fingerprints(fingerprints, "a.npz", tmp_path / "a.npz")
    assert found.grade == expected[0] and found.detail.startswith(expected[1])
