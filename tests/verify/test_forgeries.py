"""Whatever is forged in or around a result is named, and nothing of a forged record is run."""

import csv
import re
import shutil
import subprocess

import nibabel
import numpy as np
import pytest
from repositories import run

pytestmark = pytest.mark.slow
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


def test_whatever_is_forged_in_one_result_is_named_and_nothing_else(study):
    """Committed with the record of the run, not committed at all, hidden from git, or in place of what is recorded."""
    forge_commits(study)
    forge_work_tree(study)
    blob = hide_and_replace(study)
    before = git(study, "rev-parse", "HEAD"), git(study, "status", "--porcelain")
    done, _, different = verify(study, "regress M1 lasso")
    assert done.returncode != 0 and "NOT REPRODUCED: 1 of " in done.stdout
    names = ("metrics.tsv", "weights_average.nii.gz", "fingerprints.tsv", "inputs.json", "transfer.tsv")
    names += ("test_metrics.tsv", "my notes é.tsv", "bootstrap.json", "weights_final.nii.gz")
    names += ("intervals.tsv", "calibration.tsv", "more.hidden", "repeats.tsv")
    around = {f"refs/replace/{blob}", ".git/info/grafts", "code/regress.py"}
    assert different.keys() == {CELL, *(f"{CELL}/{name}" for name in names)} | around, done.stdout
    for fault in ("&& touch forged`, declared is", "says exit = 1, expected 0", "holds more, which DataLad"):
        assert fault in different[CELL]
    assert different[f"{CELL}/metrics.tsv"].startswith("column ")
    assert different[f"{CELL}/weights_average.nii.gz"].startswith("1 of ")
    assert different[f"{CELL}/my notes é.tsv"] == "the run does not write it"
    assert different[f"{CELL}/bootstrap.json"] == "its file was removed"
    assert different[f"{CELL}/weights_final.nii.gz"].startswith("its content here does not fit its checksum: ")
    assert "voxels, by at most" in different[f"{CELL}/weights_final.nii.gz"]
    assert not list(study.rglob("forged"))
    assert before == (git(study, "rev-parse", "HEAD"), git(study, "status", "--porcelain"))


def forge_commits(study):
    cell, other = study / CELL, "outputs/regress/M1/svr"
    # The result of another cell, with the record of that cell.
    shutil.copy(study / other / "transfer.tsv", cell / "transfer.tsv")
    commit_as_run(study, CELL, lambda message: message.replace("M1 lasso", "M1 svr").replace("M1/lasso", "M1/svr"))
    change_digit(cell / "metrics.tsv")
    change_voxel(cell / "weights_average.nii.gz")
    change_digit(cell / "fingerprints.tsv")
    record = (cell / "inputs.json").read_text()
    (cell / "inputs.json").write_text(record.replace('"alpha": 1.0', '"alpha": 1.5', 1))
    command = '"cmd": "python code/regress.py M1 lasso --n-permutations 20 --n-bootstraps 10'
    message = git(study, "log", "-1", "--format=%B", "HEAD~1", "--", CELL).replace(
        command, f"{command} && touch forged"
    )
    commit_as_run(study, CELL, lambda _: message.replace('"exit": 0', '"exit": 1,\n "more": 1'))


def forge_work_tree(study):
    cell = study / CELL
    change_digit(cell / "test_metrics.tsv")
    (cell / "my notes é.tsv").write_text("mine")
    (cell / "bootstrap.json").unlink()
    (cell / "repeats.tsv").write_text("/annex/objects/what looks like a file whose content is elsewhere\n")
    break_content(cell / "weights_final.nii.gz", (cell / "weights_fold-1.nii.gz").read_bytes())


def break_content(path, content):
    target = path.resolve()
    target.parent.chmod(0o755)
    target.chmod(0o644)
    target.write_bytes(content)


def hide_and_replace(study):
    """Edit what git was told not to look at, and give it another history; return the object that is replaced."""
    cell = study / CELL
    git(study, "update-index", "--assume-unchanged", f"{CELL}/intervals.tsv", "code/regress.py")
    git(study, "update-index", "--skip-worktree", f"{CELL}/calibration.tsv")
    for name in ("intervals.tsv", "calibration.tsv"):
        change_digit(cell / name)
    with open(study / "code/regress.py", "a") as file:
        file.write("# Hidden.\n")
    (study / ".git/info/exclude").write_text("*.hidden\n")
    (cell / "more.hidden").write_text("mine")
    blob = git(study, "rev-parse", f"HEAD:{CELL}/permutation.tsv")
    (study / "other").write_text((cell / "permutation.tsv").read_text() + "forged\n")
    replacement = git(study, "hash-object", "-w", "other")
    (study / "other").unlink()
    git(study, "replace", blob, replacement)
    git(study, "config", "advice.graftFileDeprecated", "false")
    (study / ".git/info/grafts").write_text(f"{git(study, 'rev-parse', 'HEAD')} {git(study, 'rev-parse', 'HEAD~5')}\n")
    return blob


def test_an_old_record_code_put_back_and_tampered_inputs_are_named(study):
    # An honest record under code that runs stages and that was put back after it.
    stage = study / "code/provenance/run/stage.py"
    honest, writes = stage.read_text(), "        outputs.publish(cell.folder)\n"
    table = "(ROOT / cell.folder / 'summary.tsv')"
    stage.write_text(honest.replace(writes, f"{writes}        {table}.write_text({table}.read_text() + '1\\n')\n"))
    with open(study / "code/prep.py", "a") as file:
        file.write("# Newer code.\n")
    git(study, "commit", "--quiet", "--all", "--message", "Go on")
    run(["make", "cell", "CELL=prep"], study)
    # A result that the code of its commit did not make: the code went on, and the record was written again.
    with open(study / "code/extract.py", "a") as file:
        file.write("# Newer code.\n")
    stage.write_text(honest)
    git(study, "commit", "--quiet", "--all", "--message", "Go on, and put back")
    cell = "outputs/extract/M1"
    mask = study / cell / "mask.json"
    forged = mask.read_text().replace('"n_voxels": 3', '"n_voxels": 4')
    mask.unlink()
    mask.write_text(forged)
    commit_as_run(study, cell)
    change_digit(study / "inputs/behavior/trials.tsv")
    done, _, different = verify(study, "prep")
    names = {"inputs/behavior/trials.tsv", "outputs/prep/summary.tsv"}
    assert done.returncode != 0 and different.keys() == names, done.stdout
    image = next((study / "inputs/contrasts").rglob("*_con.img"))
    break_content(image, b"\1" * image.stat().st_size)
    done, _, different = verify(study, "extract M1")
    names = {str(image.relative_to(study)), f"{cell}/inputs.json", f"{cell}/mask.json"}
    assert done.returncode != 0 and different.keys() == names, done.stdout
    assert "code/extract.py is recorded as" in different[f"{cell}/inputs.json"]


def test_what_is_equal_within_tolerance_stands_for_what_nobody_has(study):
    """As on another processor: a recorded prediction differs by one unit of its last digit from what comes out here."""
    table, cell = study / CELL / "out_of_fold.tsv", study / "outputs/compare"
    before = git(study, "rev-parse", f"HEAD:{table.relative_to(study)}")
    header, first, *others = table.read_text().splitlines()
    fields = first.split("\t")
    predicted = header.split("\t").index("y_pred")
    fields[predicted] = fields[predicted][:-1] + str((int(fields[predicted][-1]) + 1) % 10 or 1)
    table.unlink()
    table.write_text("\n".join([header, "\t".join(fields), *others]) + "\n")
    git(study, "annex", "add", "--quiet", str(table))
    commit_as_run(study, CELL)
    # What was made from it there says so.
    record = (cell / "inputs.json").read_text()
    (cell / "inputs.json").write_text(
        record.replace(before, git(study, "rev-parse", f"HEAD:{table.relative_to(study)}"))
    )
    commit_as_run(study, "outputs/compare")
    git(study, "annex", "drop", "--quiet", "--force", str(table))
    done, rows, _ = verify(study, "compare")
    assert "regress M1 lasso: recomputing what compare reads" in done.stdout
    assert done.returncode == 0 and {grade for grade, _ in rows.values()} <= {"identical", "equal within tolerance"}


def test_private_inputs_leave_what_can_be_checked(study):
    for key in ("url", "datalad-id"):
        git(study, "config", "--file", ".gitmodules", "--unset", f"submodule.inputs/contrasts.{key}")
    git(study, "commit", "--quiet", "--all", "--message", "Keep the inputs private")
    subprocess.run(["chmod", "-R", "u+w", "inputs/contrasts"], cwd=study, check=True)
    shutil.rmtree(study / "inputs/contrasts")
    (study / "inputs/contrasts").mkdir()
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


def test_a_result_that_does_not_exist_is_refused(finished_study):
    said = run(["make", "verify", "CELL=regress M9 lasso"], finished_study[0], check=False).stdout
    assert 'no result is called "regress M9 lasso"; `make status` lists all' in said
