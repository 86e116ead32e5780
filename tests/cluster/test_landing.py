"""Landing what jobs handed over: linear, whole, whoever comes second or is killed."""

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from errors import InputError
from provenance.cluster import job as jobs
from provenance.cluster import landing
from provenance.repository import git, git_folder

CELLS = {"prep": "outputs/prep", "M1": "outputs/regress/M1/lasso", "brain": "outputs/regress/brain/lasso"}


@pytest.fixture
def hub(tmp_path):
    folder = tmp_path / "hub"
    subprocess.run(["git", "init", "-q", "-b", "main", folder], check=True)
    for key, value in (("user.name", "A tester"), ("user.email", "tester@example.invalid")):
        git("config", key, value, root=folder)
    commit(folder, "code/a.py", "1", "Begin")
    return folder


def commit(repository, name, text, message):
    path = repository / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    git("add", name, root=repository)
    git("commit", "-q", "-m", message, root=repository)


def hand_over(hub, tmp_path, cell, text="made", branch="main"):
    """Do as a job: clone, commit a cell's folder, push it under its ref; return the commit."""
    clone = tmp_path / f"job-{cell}-{text}"
    subprocess.run(["git", "clone", "-q", hub, clone], check=True)
    git("config", "user.name", "Another", root=clone)
    git("config", "user.email", "another@example.invalid", root=clone)
    commit(clone, f"{CELLS[cell]}/metrics.tsv", text, f"[DATALAD RUNCMD] {cell}\n\n=== Do not change: é ===\n{{}}")
    git("push", "-q", "-f", "origin", f"HEAD:{landing.cell_ref(branch, CELLS[cell])}", root=clone)
    return git("rev-parse", "HEAD", root=clone)


def made(hub):
    return {name for name, folder in CELLS.items() if (hub / folder / "metrics.tsv").is_file()}


def without_ids(commit):
    return [line for line in commit.splitlines() if not line.startswith(("commit ", "tree ", "parent "))]


def test_cells_land_as_one_commit_each_with_message_author_and_date_as_their_jobs_made_them(hub, tmp_path):
    jobs = [hand_over(hub, tmp_path, cell) for cell in CELLS]
    commit(hub, "code/a.py", "2", "The hub moved on")
    assert sorted(landing.land("main", hub)) == sorted(CELLS.values())
    assert made(hub) == set(CELLS) and not git("status", "--porcelain", root=hub) and not landing.waiting("main", hub)
    assert not git("log", "--merges", root=hub)
    for folder, job in zip(CELLS.values(), jobs, strict=True):
        by_job, landed = (
            git("log", "-1", "--format=raw", *where, root=hub) for where in ([job], ["main", "--", folder])
        )
        assert without_ids(landed) == without_ids(by_job) and "Another <another@example.invalid>" in landed
    assert (hub / "code/a.py").read_text() == "2"
    assert landing.land("main", hub) == []


def test_jobs_that_end_together_lose_nothing(hub, tmp_path):
    for cell in CELLS:
        hand_over(hub, tmp_path, cell)
    land = f"from pathlib import Path; from provenance.cluster.landing import land; land('main', Path({str(hub)!r}))"
    environment = os.environ | {"PYTHONPATH": str(Path(landing.__file__).parents[2])}
    jobs = [subprocess.Popen([sys.executable, "-c", land], env=environment) for _ in range(4)]
    assert [job.wait() for job in jobs] == [0] * 4
    assert made(hub) == set(CELLS) and not git("status", "--porcelain", root=hub)
    assert git("rev-list", "--count", "HEAD", root=hub) == str(1 + len(CELLS))


@pytest.mark.parametrize("killed", ["while files are written", "before the branch moves", "before its ref goes"])
def test_a_landing_that_was_killed_is_ended_by_the_next(hub, tmp_path, killed):
    job = hand_over(hub, tmp_path, "M1")
    if killed == "while files are written":
        (hub / CELLS["M1"]).mkdir(parents=True)
        (hub / CELLS["M1"] / "metrics.tsv").write_text("made")
    elif killed == "before the branch moves":
        git("read-tree", "-m", "-u", "HEAD", job, root=hub)
    else:
        git("merge", "-q", "--ff-only", job, root=hub)
    hand_over(hub, tmp_path, "prep")
    landing.land("main", hub)
    assert (
        made(hub) == {"M1", "prep"} and not git("status", "--porcelain", root=hub) and not landing.waiting("main", hub)
    )
    assert git("rev-list", "--count", "HEAD", root=hub) == "3"


def test_work_of_the_user_stays_and_what_cannot_land_waits(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(landing, "ATTEMPTS", 2)
    monkeypatch.setattr(landing, "PAUSE", 0.01)
    hand_over(hub, tmp_path, "M1")
    (hub / "code/a.py").write_text("edited")
    marker = git_folder(hub) / "running.json"
    marker.write_text("{}")
    with pytest.raises(InputError, match=r"M1/lasso: handed over, but not yet on main: a cell is made in this repos"):
        landing.land("main", hub)
    marker.unlink()
    (hub / CELLS["M1"]).mkdir(parents=True)
    (hub / CELLS["M1"] / "metrics.tsv").write_text("of the user")
    with pytest.raises(InputError, match="not yet on main: files in these folders are not as committed"):
        landing.land("main", hub)
    assert (hub / CELLS["M1"] / "metrics.tsv").read_text() == "of the user" and landing.waiting("main", hub)
    (hub / CELLS["M1"] / "metrics.tsv").unlink()
    landing.land("main", hub)
    assert made(hub) == {"M1"} and git("status", "--porcelain", root=hub) == " M code/a.py"


def test_a_branch_that_is_not_checked_out_moves_without_its_files(hub, tmp_path):
    hand_over(hub, tmp_path, "M1")
    git("switch", "-q", "-c", "other", root=hub)
    landing.land("main", hub)
    assert not made(hub) and not git("status", "--porcelain", root=hub)
    git("switch", "-q", "main", root=hub)
    assert made(hub) == {"M1"}


def test_a_result_that_was_committed_meanwhile_stays(hub, tmp_path, capsys):
    hand_over(hub, tmp_path, "M1", "late")
    commit(hub, f"{CELLS['M1']}/metrics.tsv", "newer", "Make it here")
    assert landing.land("main", hub) == [] and not landing.waiting("main", hub)
    assert (hub / CELLS["M1"] / "metrics.tsv").read_text() == "newer"
    assert "another result was committed since the job began; that one stays" in capsys.readouterr().out


def test_a_full_disk_keeps_what_was_there_and_what_was_handed_over(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(landing, "ATTEMPTS", 1)
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", small], capture_output=True).returncode:
        pytest.skip("no small disk can be mounted here")
    try:
        hub = Path(shutil.move(hub, small / "hub"))
        job = hand_over(hub, tmp_path, "M1")
        before = git("rev-parse", "HEAD", root=hub)
        with contextlib.suppress(OSError), open(small / "filler", "wb") as file:
            while True:
                file.write(bytes(1024))
        with pytest.raises(InputError, match="no space is left on this disk: make room"):
            landing.land("main", hub)
        with pytest.raises(InputError):
            hand_over(hub, tmp_path, "prep")
        with pytest.raises(InputError, match="hub takes no more files: No space left on device; make room"):
            jobs.require_room(hub)
        assert git("rev-parse", "HEAD", root=hub) == before and landing.waiting("main", hub) == {CELLS["M1"]: job}
        (small / "filler").unlink()
        jobs.require_room(hub)
        assert landing.land("main", hub) == [CELLS["M1"]] and made(hub) == {"M1"}
        assert not git("status", "--porcelain", root=hub)
    finally:
        subprocess.run(["umount", small], check=True)


def test_what_cannot_be_handed_over_says_why(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "HAND_OVER_ATTEMPTS", 1)
    git("annex", "init", "--quiet", "hub", root=hub)
    git("config", "annex.diskreserve", "1000 petabytes", root=hub)
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", hub, clone], check=True)
    git("annex", "init", "--quiet", "clone", root=clone)
    (clone / "signals.npy").write_bytes(bytes(1000))
    git("annex", "add", "--quiet", "signals.npy", root=clone)
    with pytest.raises(InputError, match=r"prep was made but could not be handed over: .* not enough free space, need"):
        jobs._hand_over("prep", landing.cell_ref("main", "outputs/prep"), "signals.npy", clone)
    assert not landing.waiting("main", hub)


def test_what_was_handed_over_for_another_branch_waits_for_it(hub, tmp_path):
    hand_over(hub, tmp_path, "M1")
    git("switch", "-q", "-c", "feature/a", root=hub)
    hand_over(hub, tmp_path, "prep", branch="feature/a")
    assert landing.land("feature/a", hub) == [CELLS["prep"]] and made(hub) == {"prep"}
    git("switch", "-q", "main", root=hub)
    assert landing.land("main", hub) == [CELLS["M1"]] and made(hub) == {"M1"}
