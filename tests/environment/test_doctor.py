"""Each of twelve faults of a set-up is found, alone, and how to fix it is named."""

import json
import shutil
import sys

import pytest
from repositories import make_repository, run

from provenance.environment import doctor

pytestmark = pytest.mark.slow


def problems(folder):
    done = run(["make", "--silent", "doctor"], folder, check=False)
    lines = done.stdout.splitlines()
    assert (done.returncode != 0) == any(line.startswith("PROBLEM") for line in lines), done.stdout
    return [line[9:] for line in lines if line.startswith(("PROBLEM", "not yet"))]


def writable(path):
    content = path.resolve()
    content.parent.chmod(0o755)
    content.chmod(0o644)
    return content


def no_annex(study):
    run(["git", "config", "--unset", "annex.uuid"], study)
    run(["git", "config", "--remove-section", "filter.annex"], study)  # as in a plain clone
    return "annex: not initialised in this clone, so that nothing could be fetched; `make setup`"


def a_file_of_ones_own(study):
    (study / "notes.txt").write_text("mine")
    return "tree: 1 file(s) differ from the last commit, such as notes.txt; commit them"


def no_inputs(study):
    for path in (study / "inputs/masks").rglob("*"):
        if path.is_dir():
            path.chmod(0o755)
    shutil.rmtree(study / "inputs/masks")
    (study / "inputs/masks").mkdir()
    return "inputs/masks: not installed; `make inputs`"


def another_commit_of_inputs(study):
    run(["git", "commit", "--quiet", "--allow-empty", "--message", "Other"], study / "inputs/behavior")
    return "; it is left alone: `git -C inputs/behavior checkout "


def lost_input(study):
    writable(next((study / "inputs/contrasts").rglob("*_con.img"))).unlink()
    return "inputs/contrasts: the content of 1 file(s) is not here, such as sub-"


def broken_input(study):
    content = writable(next((study / "inputs/contrasts").rglob("*_con.img")))
    content.write_bytes(b"\1" * content.stat().st_size)
    return "its content does not fit its checksum; set it aside with `git -C inputs/contrasts annex fsck sub-"


def broken_result(study):
    path = "outputs/regress/M1/lasso/weights_final.nii.gz"
    writable(study / path).write_bytes(b"broken")
    return f"{path}: its content does not fit its checksum; `make all` makes it again"


def result_in_git(study):
    path = "outputs/extract/M1/scores.tsv"
    (study / path).write_text("participant_id\nsub-001\n")
    run(["git", "-c", "annex.largefiles=nothing", "add", path], study)
    run(["git", "commit", "--quiet", "--message", "Save before set-up"], study)
    return f"{path}: lies in git and not in the annex"


def lock_left(study):
    (study / ".git/index.lock").touch()
    return ".git/index.lock: another git is at work here or was killed; if none runs, `rm .git/index.lock`"


def interrupted_run(study):
    (study / ".git/facepain/running.json").write_text(json.dumps({"cell": "prep", "folder": "outputs/prep"}))
    return "outputs/prep: a run of it was interrupted; `make all` puts it back and goes on"


def detached(study):
    run(["git", "checkout", "--quiet", "--detach"], study)
    return "branch: HEAD is detached, so that new results would belong to no branch; `git checkout main`"


def shallow(study):
    (study / ".git/shallow").write_text(run(["git", "rev-parse", "HEAD"], study).stdout)
    return "history: this clone is shallow, so that no run record can be found; `git fetch --unshallow`"


FAULTS = (
    no_annex, a_file_of_ones_own, no_inputs, another_commit_of_inputs, lost_input, broken_input,
    broken_result, result_in_git, lock_left, interrupted_run, detached, shallow,
)  # fmt: skip


def test_a_study_without_fault_has_no_problem(finished_study):
    folder, _ = finished_study
    assert problems(folder) == []


@pytest.mark.parametrize("inject", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_is_found_alone_and_its_fix_named(study, inject):
    expected = inject(study)
    found = problems(study)
    assert len(found) == 1 and expected in found[0], found


def test_a_fresh_clone_is_not_set_up_yet_which_is_no_problem(tmp_path):
    folder = make_repository(tmp_path / "fresh", design=None)
    done = run(["make", "--silent", "doctor"], folder)
    assert "PROBLEM" not in done.stdout
    assert done.stdout.splitlines()[-1].startswith("not set up yet: `make setup`")


def test_a_machine_without_git_annex_is_told_so(study, tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("git", "make", "sh", "awk"):
        (tools / name).symlink_to(shutil.which(name))
    # Beside an interpreter of its own lies no git-annex either.
    code = (
        "import sys; sys.path.insert(0, 'code'); sys.executable = '/nowhere/python'\n"
        "from provenance.environment import doctor; doctor.report()"
    )
    done = run([sys.executable, "-c", code], study, check=False, PATH=str(tools))
    assert "not yet  git-annex: not found; `make setup` installs it from requirements.lock" in done.stdout


def test_private_inputs_that_only_their_owner_has_are_no_problem(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "ROOT", tmp_path)
    monkeypatch.setattr(doctor, "input_datasets", lambda: {"inputs/behavior": "0" * 40})
    monkeypatch.setattr(doctor, "subdataset_setting", lambda path, key: "")
    said = (
        "inputs: installed at the recorded commits, with all content, but for inputs/behavior: private, only the owner"
    )
    assert doctor.check_inputs() == f"{said} has it"
    monkeypatch.setattr(doctor, "subdataset_setting", lambda path, key: "./inputs/behavior")
    with pytest.raises(doctor.NotSetUpError, match="inputs/behavior: not installed; `make inputs`"):
        doctor.check_inputs()
