"""Whatever is forged in or around a result is named, and nothing of a forged record is run."""

import csv
import re
import shutil
import subprocess

import nibabel
import numpy as np
import pytest
from repositories import run

pytestmark = [pytest.mark.slow, pytest.mark.acceptance]
CELL = "outputs/regress/M1/lasso"


def git(folder, *arguments):
    return run(["git", *arguments], folder).stdout.strip()


def verify(folder, cell):
    done = run(["make", "verify", f"CELL={cell}"], folder, check=False)
    with open(folder / ".git/facepain/verification.tsv", newline="") as file:
        rows = {row["path"]: (row["grade"], row["detail"]) for row in csv.DictReader(file, delimiter="\t")}
    return done, rows, {path: detail for path, (grade, detail) in rows.items() if grade == "different"}


def change_digit(path):
    """Change the last digit but one of the first number with decimals: by more than rounding can."""
    text = path.read_text()
    at = re.search(r"\t-?\d+\.\d{2,}", text).end() - 2
    path.write_text(text[:at] + str((int(text[at]) + 5) % 10) + text[at + 1 :])


def change_voxel(path):
    img = nibabel.load(path)
    values = img.get_fdata(dtype=np.float32)
    index = tuple(np.argwhere(values)[0])
    values[index] = -values[index]
    path.unlink()
    nibabel.save(nibabel.Nifti1Image(values, img.affine), path)


def commit_as_run(folder, cell, change=lambda message: message):
    """Commit changes with the run record of a result, as if the run had made them."""
    message = change(git(folder, "log", "-1", "--format=%B", "--", cell))
    git(folder, "add", "--all", cell)
    subprocess.run(["git", "commit", "--quiet", "--file", "-"], cwd=folder, input=message, text=True, check=True)


def test_forged_digit_voxel_inputs_fingerprint_and_record_are_named_in_one_result(study):
    cell = study / CELL
    change_digit(cell / "metrics.tsv")
    change_voxel(cell / "weights_average.nii.gz")
    change_digit(cell / "fingerprints.tsv")
    record = (cell / "inputs.json").read_text()
    (cell / "inputs.json").write_text(record.replace('"alpha": 1.0', '"alpha": 1.5', 1))
    commit_as_run(
        study, CELL,
        lambda message: message.replace('"cmd": "python code/regress.py M1 lasso --n-permutations 20 --n-bootstraps 10',
                                        '"cmd": "python code/regress.py M1 lasso --n-permutations 20 --n-bootstraps 10 '
                                        "&& touch forged").replace('"exit": 0', '"exit": 1,\n "more": 1'),
    )  # fmt: skip
    done, _, different = verify(study, "regress M1 lasso")
    assert done.returncode != 0
    assert different.keys() >= {
        CELL, f"{CELL}/metrics.tsv", f"{CELL}/weights_average.nii.gz", f"{CELL}/fingerprints.tsv", f"{CELL}/inputs.json"
    }, done.stdout  # fmt: skip
    assert len(different) == 5, done.stdout
    for fault in ("&& touch forged`, declared is", "says exit = 1, expected 0", "holds more, which DataLad"):
        assert fault in different[CELL]
    assert not list(study.rglob("forged"))


def test_hidden_added_and_ignored_files_replaced_objects_and_inputs_are_named(study):
    cell = "outputs/regress/M1/ridge"
    git(study, "update-index", "--assume-unchanged", f"{cell}/metrics.tsv", "code/regress.py")
    git(study, "update-index", "--skip-worktree", f"{cell}/test_metrics.tsv")
    for name in ("metrics.tsv", "test_metrics.tsv"):
        change_digit(study / cell / name)
    with open(study / "code/regress.py", "a") as file:
        file.write("# Hidden.\n")
    (study / ".git/info/exclude").write_text("*.hidden\n")
    (study / cell / "more.hidden").write_text("mine")
    blob = git(study, "rev-parse", f"HEAD:{cell}/permutation.tsv")
    (study / "other").write_text((study / cell / "permutation.tsv").read_text() + "forged\n")
    other = git(study, "hash-object", "-w", "other")
    (study / "other").unlink()
    git(study, "replace", blob, other)
    image = next((study / "inputs/contrasts").rglob("*_con.img"))
    content = image.resolve()
    content.chmod(0o644)
    content.write_bytes(b"\1" * content.stat().st_size)
    signals = study / "outputs/extract/M1/signals.npy"
    assert signals.exists()
    done, _, different = verify(study, "regress M1 ridge")
    assert done.returncode != 0
    assert different.keys() == {
        f"{cell}/metrics.tsv", f"{cell}/test_metrics.tsv", f"{cell}/more.hidden", f"refs/replace/{blob}",
        "code/regress.py",
    }, done.stdout  # fmt: skip
    done, _, different = verify(study, "extract M1")
    assert f"inputs/contrasts/{image.relative_to(study / 'inputs/contrasts')}" in different
    assert not [path for path in different if path.startswith("outputs/extract/")], done.stdout


def test_results_of_another_cell_and_an_old_record_are_named(study):
    swapped, other = "outputs/regress/M1/svr", "outputs/regress/M1/ridge"
    shutil.copy(study / other / "metrics.tsv", study / swapped / "metrics.tsv")
    commit_as_run(study, swapped, lambda message: message.replace("M1 svr", "M1 ridge").replace("M1/svr", "M1/ridge"))
    done, _, different = verify(study, "regress M1 svr")
    assert done.returncode != 0 and different.keys() == {f"{swapped}/metrics.tsv"}, done.stdout

    # A result that the code of its commit did not make: the code went on, and the record was written again.
    with open(study / "code/classify.py", "a") as file:
        file.write("# Newer code.\n")
    git(study, "commit", "--quiet", "--all", "--message", "Go on")
    table = study / "outputs/classify/whole-brain/confusion.tsv"
    rows = table.read_text().splitlines()
    rows[1] = rows[1] + "1"
    table.write_text("\n".join(rows) + "\n")
    commit_as_run(study, "outputs/classify/whole-brain")
    _, _, different = verify(study, "classify whole-brain")
    assert "code/classify.py is recorded as" in different["outputs/classify/whole-brain/inputs.json"]
    assert "outputs/classify/whole-brain/confusion.tsv" in different


def test_private_inputs_leave_what_can_be_checked(study):
    for key in ("url", "datalad-id"):
        git(study, "config", "--file", ".gitmodules", "--unset", f"submodule.inputs/contrasts.{key}")
    git(study, "commit", "--quiet", "--all", "--message", "Keep the inputs private")
    subprocess.run(["chmod", "-R", "u+w", "inputs/contrasts"], cwd=study, check=True)
    shutil.rmtree(study / "inputs/contrasts")
    (study / "inputs/contrasts").mkdir()
    # What it reads is here, so that it is recomputed in full.
    done, rows, different = verify(study, "regress M1 lasso")
    assert done.returncode == 0 and {grade for grade, _ in rows.values()} == {"identical"}, done.stdout
    done, rows, different = verify(study, "extract M1")
    assert "Error 3" in done.stdout and "not verifiable here: the inputs are private (inputs/contrasts)" in done.stdout
    assert {grade for grade, _ in rows.values()} == {"not verifiable here"}

    table = study / CELL / "permutation.tsv"
    header, first, *others = table.read_text().splitlines()
    fields = first.split("\t")
    fields[header.split("\t").index("p")] = "0.047619"
    table.write_text("\n".join([header, "\t".join(fields), *others]) + "\n")
    commit_as_run(study, CELL)
    git(study, "annex", "drop", "--force", "--quiet", "outputs/extract/M1/signals.npy")
    done, _, different = verify(study, "regress M1 lasso")
    assert different == {f"{CELL}/permutation.tsv": "its scores or p values are not those of permutation.json"}, (
        done.stdout
    )
