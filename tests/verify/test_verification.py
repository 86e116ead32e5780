"""A verdict on every output: what was changed is named, alone, and nothing that follows from it."""

import csv
import os
import sys

import nibabel
import numpy as np
import pytest
from repositories import run, small_cells

from files.rounding import map_step

pytestmark = [pytest.mark.slow, pytest.mark.acceptance]


def verify(folder, cell=None):
    """Run ``make verify``; return exit status, what it said, and the rows of its table by path."""
    done = run(["make", "verify", *([f"CELL={cell}"] if cell else [])], folder, check=False)
    with open(folder / ".git/facepain/verification.tsv", newline="") as file:
        rows = {row["path"]: (row["grade"], row["detail"]) for row in csv.DictReader(file, delimiter="\t")}
    return done.returncode, done.stdout, rows


def not_identical(rows):
    return {path: entry for path, entry in rows.items() if entry[0] != "identical"}


def change_digit(path):
    """Change the last digit of the first number with a point in a table."""
    text = path.read_text()
    end = text.index("\t", text.index("."))
    digit = "1" if text[end - 2] != "1" else "2"
    path.write_text(text[: end - 2] + digit + text[end - 1 :])


def test_one_digit_committed_by_hand_is_the_only_failure_of_all(study):
    table = "outputs/regress/M1/lasso/metrics.tsv"
    change_digit(study / table)
    run(["git", "commit", "--quiet", "--all", "--message", "Improve a number"], study)
    before = run(["git", "rev-parse", "HEAD"], study).stdout
    status, said, rows = verify(study)
    assert status != 0
    # The figures, drawn from the number as it was, are verified from that one.
    failed = not_identical(rows)
    assert list(failed) == [table], said
    assert failed[table][0] == "different" and failed[table][1].startswith("column ")
    assert f"NOT REPRODUCED: {len(small_cells())} of {len(small_cells())} cells recomputed" in said
    assert run(["git", "rev-parse", "HEAD"], study).stdout == before
    assert run(["git", "status", "--porcelain"], study).stdout == ""


def test_a_change_that_nobody_committed_is_named(study):
    table = "outputs/regress/M1/lasso/test_metrics.tsv"
    change_digit(study / table)
    (study / "outputs/regress/M1/lasso/my notes é.tsv").write_text("mine")
    (study / "outputs/regress/M1/lasso/bootstrap.json").unlink()
    status, said, rows = verify(study, "regress M1 lasso")
    assert status != 0
    failed = not_identical(rows)
    assert failed.keys() == {
        table, "outputs/regress/M1/lasso/my notes é.tsv", "outputs/regress/M1/lasso/bootstrap.json"
    }, said  # fmt: skip
    assert failed["outputs/regress/M1/lasso/my notes é.tsv"][1] == "the run does not write it"
    assert failed["outputs/regress/M1/lasso/bootstrap.json"][1] == "its file was removed"


def test_content_that_does_not_fit_its_checksum_is_named(study):
    path = "outputs/regress/M1/lasso/weights_average.nii.gz"
    content = (study / path).resolve()
    os.chmod(content.parent, 0o755)
    os.chmod(content, 0o644)
    content.write_bytes((study / "outputs/regress/M1/lasso/weights_final.nii.gz").read_bytes())
    status, said, rows = verify(study, "regress M1 lasso")
    assert status != 0
    assert list(not_identical(rows)) == [path], said
    assert rows[path][1].startswith("its content here does not fit its checksum: ")
    assert "voxels, by at most" in rows[path][1]


def test_what_is_equal_within_tolerance_stands_for_what_nobody_has(study):
    """As on another processor: the recorded map differs in the last step of a voxel from what comes out here."""
    path = "outputs/regress/M1/lasso/weights_average.nii.gz"
    img = nibabel.load(study / path)
    values = img.get_fdata(dtype=np.float32)
    strongest = np.unravel_index(np.abs(values).argmax(), values.shape)
    values[strongest] -= np.sign(values[strongest]) * map_step(np.abs(values).max())
    (study / path).unlink()
    nibabel.save(nibabel.Nifti1Image(values, img.affine), study / path)
    run(["git", "annex", "add", "--quiet", path], study)
    run(["git", "commit", "--quiet", "--message", "As another processor rounds"], study)
    run([sys.executable, "code/study.py", "run", "plot"], study)
    run(["git", "annex", "drop", "--quiet", "--force", path], study)

    status, said, rows = verify(study, "plot")
    assert "regress M1 lasso: recomputing what plot reads" in said
    # The report names files by what git calls the recorded ones.
    assert status == 0 and not not_identical(rows), said


def test_one_cell_is_verified_where_nobody_stores_what_it_reads(finished_study, tmp_path):
    folder, _ = finished_study
    clone = tmp_path / "clone"
    run(["git", "clone", "--quiet", "--single-branch", str(folder), str(clone)], tmp_path)
    run(["git", "remote", "remove", "origin"], clone)
    status, said, rows = verify(clone, "regress M1 ridge")
    assert status == 0, said
    assert "extract M1: recomputing what regress M1 ridge reads" in said
    assert "prep: recomputing what " in said and "extract whole-brain" not in said
    assert set(path.rsplit("/", 1)[0] for path in rows) == {"outputs/regress/M1/ridge"}
    assert not not_identical(rows)


def test_a_cell_that_does_not_exist_is_refused(study):
    done = run(["make", "verify", "CELL=regress M9 lasso"], study, check=False)
    assert done.returncode != 0
    assert 'no result is called "regress M9 lasso"; expected one of prep, extract' in done.stdout
