"""What `make status` says of jobs that Slurm has forgotten, from its accounting."""

import json
import subprocess

import pytest

from provenance.cluster import queue

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
    (queue.jobs_folder(folder) / "jobs.json").write_text(json.dumps(ids))
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
