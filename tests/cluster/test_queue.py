"""What is said of jobs that Slurm has forgotten or does not take, and of settings that it is not given."""

import json
import os
import subprocess
from types import SimpleNamespace

import pytest

from errors import InputError
from provenance.cluster import job, queue, submission
from provenance.cluster.queue import SETTINGS

# As sacct 22.05 printed it on a Slurm with slurmdbd, of jobs that squeue no longer knew.
PRINTED = """\
1|COMPLETED|00:00:01|n1
2|FAILED|00:00:00|n2
3|CANCELLED by 0|00:00:07|n2
4|CANCELLED|00:00:00|None assigned
"""


@pytest.fixture
def repository(tmp_path, monkeypatch):
    folder, programs = tmp_path / "hub", tmp_path / "programs"
    subprocess.run(["git", "init", "-q", folder], check=True)
    programs.mkdir()
    printing = {"sbatch": "", "squeue": "", "sacct": f'echo "$@" > {programs}/asked; printf %s "{PRINTED}"'}
    for name, script in printing.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    ids = {"prep": "1", "extract M1": "2", "classify M1": "3", "plot": "4", "tune M1 ridge": "5"}
    submitted = {name: (id_, "main", f"python code/{name.split()[0]}.py") for name, id_ in ids.items()}
    (queue.jobs_folder(folder) / queue.SUBMITTED).write_text(json.dumps(submitted))
    (queue.jobs_folder(folder) / "2.log").write_text("extract M1: no space\nextract M1 failed, see above\n")
    return folder


def test_jobs_that_slurm_has_forgotten_are_told_from_its_accounting(repository, tmp_path):
    assert queue.describe_jobs(repository) == {
        "prep": ["job 1 COMPLETED on n1, 00:00:01"],
        "extract M1": ["job 2 FAILED on n2, 00:00:00", "extract M1: no space"],
        "classify M1": ["job 3 CANCELLED on n2, 00:00:07"],
        "plot": ["job 4 CANCELLED, 00:00:00"],
        "tune M1 ridge": ["job 5 ended"],
    }
    assert (tmp_path / "programs/asked").read_text().endswith(" --jobs=1,2,3,4,5\n")


def test_without_accounting_such_jobs_have_ended(repository, tmp_path):
    (tmp_path / "programs/sacct").write_text("#!/bin/sh\necho Slurm accounting storage is disabled >&2\nexit 1\n")
    assert queue.describe_jobs(repository)["prep"] == ["job 1 ended"]


def test_a_slurm_that_does_not_answer_hides_no_results(repository, tmp_path, capsys):
    said = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"
    (tmp_path / "programs/squeue").write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")
    assert queue.describe_jobs(repository) == {}
    fix = "see whether Slurm runs (`sinfo`), or compute without it by `make all`"
    assert capsys.readouterr().out == f"jobs are not shown: squeue: {said}; {fix}\n"


UNREACHABLE = "Batch job submission failed: Unable to contact slurm controller (connect failure)"
REFUSED = {
    "sbatch: error: You are associated with several accounts\nsbatch: error: Please name one by --account\n": (
        "You are associated with several accounts; Please name one by --account; see account, options, memory and "
        "minutes in code/cluster.toml"
    ),
    f"sbatch: error: {UNREACHABLE}\n": (
        f"{UNREACHABLE}; see whether Slurm runs (`sinfo`), or compute without it by `make all`"
    ),
}


@pytest.mark.parametrize("said", REFUSED)
def test_all_that_sbatch_says_is_shown_with_the_fix_that_it_asks_for(repository, tmp_path, said):
    (tmp_path / "programs/sbatch").write_text(f"#!/bin/sh\nprintf '{said}' >&2\nexit 1\n")
    with pytest.raises(InputError) as error:
        queue.slurm("sbatch", text="")
    assert str(error.value) == f"sbatch: {REFUSED[said]}"


def test_a_job_of_another_branch_or_command_is_not_taken_for_its_own():
    cells = [SimpleNamespace(name=name, command=f"python code/{name}.py --n-permutations 20") for name in ("a", "b")]
    jobs = {cell.name: queue.Submission("7", "main", cell.command) for cell in cells}
    submission.require_same(jobs | {"gone": queue.Submission("8", "main", "python code/gone.py")}, cells, "main")
    fix = "wait until such jobs end, or `make cancel`, then `make submit`"
    made = "job 7 makes a on branch main by `python code/a.py --n-permutations 20`; this would be on branch"
    with pytest.raises(InputError) as error:
        submission.require_same(jobs, cells, "feature")
    assert str(error.value) == f"{made} feature by `{cells[0].command}`: {fix}"
    cells[0].command = "python code/a.py --n-permutations 30"
    with pytest.raises(InputError) as error:
        submission.require_same(jobs, cells, "main")
    assert str(error.value) == f"{made} main by `{cells[0].command}`: {fix}"


@pytest.mark.parametrize("option", ["--comment=mine", "--job-name", "-J", "-o/tmp/log", "--dependency=1"])
def test_options_that_submit_sets_itself_are_refused(tmp_path, monkeypatch, option):
    monkeypatch.setattr(submission, "ROOT", tmp_path)
    (tmp_path / "code").mkdir()
    (tmp_path / SETTINGS).write_text(f'options = ["--account=a", "--mail-type=FAIL", "{option}"]')
    with pytest.raises(InputError) as error:
        submission.load_cluster([])
    assert str(error.value) == f"{SETTINGS}: options: {option} is set by `make submit` itself; remove it"


def test_a_scratch_folder_that_is_not_there_is_named_with_its_setting(tmp_path, monkeypatch):
    monkeypatch.setenv("FACEPAIN_SCRATCH", str(tmp_path / "gone"))
    with pytest.raises(InputError) as error, job._scratch():
        pass
    said = f"No such file or directory, on {os.uname().nodename}; name a folder of the node's own disk as `scratch` in"
    assert str(error.value) == f"{tmp_path}/gone: {said} {SETTINGS}, which goes before $SLURM_TMPDIR"
