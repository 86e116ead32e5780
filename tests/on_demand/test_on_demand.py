"""``datalad get`` without a store: what nobody has is recomputed, where that was asked for, and nothing else is."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from repositories import copy_repository, run

from provenance.on_demand import enable

pytestmark = pytest.mark.slow

MASK = "outputs/extract/M1/mask.nii.gz"
SUMMARY = "outputs/prep/summary.tsv"


@pytest.fixture(scope="module")
def plain_clone(finished_study, tmp_path_factory):
    """A plain clone of ``main``, set up, that knows of no place with content."""
    folder = tmp_path_factory.mktemp("plain") / "clone"
    run(["git", "clone", "--quiet", "--single-branch", str(finished_study[0]), str(folder)], folder.parent)
    run(["git", "remote", "remove", "origin"], folder)
    run(["make", "setup"], folder)
    return folder


@pytest.fixture
def clone(plain_clone, tmp_path):
    """A copy of it that a test may change."""
    return copy_repository(plain_clone, tmp_path / "clone")


def get(folder, *paths):
    """Run ``datalad get``; return the exit status and all that it said."""
    done = run(["datalad", "get", *paths], folder, check=False)
    return done.returncode, done.stdout


def test_results_are_recomputed_with_what_they_need_where_that_was_asked_for(finished_study, clone):
    # DataLad looks at a clone's own settings, and with them at the hint, where the dataset is named.
    status, said = get(clone, "--dataset", ".", MASK)
    assert status != 0
    assert f"{MASK} is stored nowhere that this clone knows; `make extract` makes it" in said
    assert "after `make on-demand`, `datalad get` recomputes it alone" in said
    assert "recomputing" not in said

    run(["make", "on-demand"], clone)
    # Results that came later are claimed, too.
    later = "outputs/regress/M1/lasso/later.npz"
    (clone / later).write_bytes(b"new")
    run(["git", "annex", "add", "--quiet", "--force-large", later], clone)
    run(["git", "commit", "--quiet", "--message", "Add a result"], clone)
    assert not is_claimed(clone, later)
    run(["make", "setup"], clone)
    assert is_claimed(clone, later)

    head = run(["git", "rev-parse", "HEAD"], clone).stdout
    status, said = get(clone, MASK)
    assert status == 0, said
    assert "extract M1: recomputing by `python code/extract.py M1" in said
    assert "prep: recomputing what extract M1 reads" in said
    assert "whole-brain" not in said and "regress" not in said
    assert (clone / MASK).read_bytes() == (finished_study[0] / MASK).read_bytes()
    # What was computed on the way was not asked for.
    assert not (clone / SUMMARY).exists() and not (clone / "outputs/extract/M1/signals.npy").exists()
    assert run(["git", "rev-parse", "HEAD"], clone).stdout == head
    assert run(["git", "status", "--porcelain"], clone).stdout == ""
    assert not (clone / "inputs/contrasts/.git").exists()

    # What could be made again is no reason to drop the only copy.
    refused = run(["datalad", "drop", MASK], clone, check=False)
    assert refused.returncode != 0 and (clone / MASK).exists()

    # The remote can go and come; a whole folder and its file at once, the cell once; `make` finds what `get` brought.
    run(["git", "remote", "remove", "on-demand"], clone)
    status, said = get(clone, SUMMARY)
    assert status != 0 and "recomputing" not in said
    run(["make", "on-demand"], clone)
    status, said = get(clone, "outputs/prep", SUMMARY)
    assert status == 0, said
    assert said.count("prep: recomputing by") == 1
    states = run(["make", "status"], clone).stdout.splitlines()
    fresh = {line.rsplit("  ", 1)[0].strip() for line in states if line.endswith("  fresh")}
    assert "prep" in fresh and "extract M1" not in fresh


def is_claimed(folder, path):
    return "[on-demand]" in run(["git", "annex", "whereis", path], folder, check=False).stdout


def test_a_file_that_no_run_makes_is_refused_and_what_fails_leaves_nothing_behind(clone, tmp_path):
    (clone / SUMMARY).unlink()
    (clone / SUMMARY).write_bytes(b"edited")
    run(["git", "annex", "add", "--quiet", "--force-large", SUMMARY], clone)
    run(["git", "commit", "--quiet", "--message", "Edit a table"], clone)
    run(["git", "annex", "drop", "--force", "--quiet", SUMMARY], clone)
    run(["make", "on-demand"], clone)
    status, said = get(clone, SUMMARY)
    assert status != 0
    # What the run makes is not what was asked for, and how far it is from that is said.
    assert f"{SUMMARY}: different, another checksum" in said
    assert "`make prep` makes it here and compares" in said
    assert not (clone / SUMMARY).exists()

    run(["git", "config", "--file", ".gitmodules", "submodule.inputs/behavior.datalad-id", "another"], clone)
    done = run(["datalad", "get", SUMMARY], clone, check=False, TMPDIR=str(tmp_path))
    assert done.returncode != 0 and "inputs/behavior is not installed here; `make inputs` installs it" in done.stdout
    assert not list(tmp_path.glob("facepain-*"))


def test_a_clone_of_a_clone_asks_anew_and_a_hostile_one_runs_nothing(clone, tmp_path):
    """Any dataset can tell git-annex to start the program: it asks for a mark that only `make on-demand` here sets."""
    run(["make", "on-demand"], clone)
    run(["datalad", "clone", str(clone), str(tmp_path / "other")], tmp_path)
    other = tmp_path / "other"
    run(["make", "setup"], other)
    status, said = get(other, SUMMARY)
    assert status != 0 and "recomputing" not in said
    run(["make", "on-demand"], other)
    status, said = get(other, SUMMARY)
    assert status == 0 and "prep: recomputing by" in said, said

    mark = run(["git", "config", "--local", "facepain.on-demand"], clone).stdout
    run(["git", "annex", "configremote", "on-demand", "autoenable=true"], clone)
    trace, code = tmp_path / "trace", f"open({str(tmp_path / 'trace')!r}, 'a').write('ran')\n"
    for path in ("code/study.py", "code/errors.py", "code/sitecustomize.py"):
        (clone / path).write_text(code + ((clone / path).read_text() if (clone / path).exists() else ""))
    (clone / ".datalad/config").write_text(
        (clone / ".datalad/config").read_text() + f"[facepain]\n\ton-demand = {mark}"
    )
    run(["git", "add", "--all"], clone)
    run(["git", "commit", "--quiet", "--message", "Do harm"], clone)
    hostile = tmp_path / "hostile"
    run(["git", "clone", "--quiet", "--bare", str(clone), str(hostile)], tmp_path)
    trace.unlink(missing_ok=True)  # git-annex asked in the clone that was opted in
    run(["datalad", "clone", str(hostile), str(tmp_path / "datalad")], tmp_path)
    run(["git", "clone", "--quiet", str(hostile), str(tmp_path / "git")], tmp_path)
    run(["git", "annex", "init"], tmp_path / "git")
    shutil.copytree(clone, tmp_path / "copied", symlinks=True)  # with its mark, which is for another place
    # Other files with the history of the clone that was opted in, as a folder that somebody sent could have it.
    shutil.copytree(clone, tmp_path / "posing", symlinks=True, ignore=shutil.ignore_patterns(".git"))
    (tmp_path / "posing/.git").write_text(f"gitdir: {clone}/.git\n")
    for name in ("datalad", "git", "copied", "posing"):
        folder = tmp_path / name
        said = run(["git", "annex", "enableremote", "on-demand"], folder, check=False).stdout
        # git-annex starts the program more than once.
        assert "only after `make on-demand` in this clone may its code be started" in said, (name, said)
        run(["git", "annex", "get", MASK], folder, check=False)
        status, said = get(folder, MASK)
        assert status != 0 and "protocol error" not in said, (name, said)
        # The first two have no such remote.
        assert name in ("datalad", "git") or "nothing was run: only after `make on-demand`" in said, (name, said)
        assert not trace.exists(), name
        assert not (folder / MASK).exists()
    # In the clone that was opted in it does run.
    run(["git", "annex", "enableremote", "on-demand"], clone, check=False)
    assert trace.exists()


def test_an_environment_that_takes_no_program_has_everything_else(tmp_path, monkeypatch, capsys):
    import study

    (tmp_path / "git-annex").write_text("#!/bin/sh\n")
    (tmp_path / "git-annex").chmod(0o755)
    (tmp_path / enable.PROGRAM).mkdir()
    monkeypatch.setattr(shutil, "which", lambda name: str(tmp_path / name))
    monkeypatch.setattr(enable, "is_enabled", lambda: True)
    monkeypatch.setattr(study, "ensure_annex", lambda: None)
    study.set_up()
    assert f"on-demand does not work here: {tmp_path / enable.PROGRAM} cannot be written" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["git-annex", enable.PROGRAM]


def test_a_program_that_may_not_be_started_is_put_right(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: str(tmp_path / name))
    enable.put_program()
    (tmp_path / enable.PROGRAM).chmod(0o644)
    enable.put_program()
    assert os.access(tmp_path / enable.PROGRAM, os.X_OK)


def test_an_interrupted_get_leaves_nobody_at_work_and_goes_on(clone, tmp_path):
    run(["make", "on-demand"], clone)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    interrupt(clone, scratch, signal.SIGINT)
    wait_until(lambda: not list(scratch.glob("facepain-*")))
    interrupt(clone, scratch, signal.SIGKILL)
    run(["datalad", "get", SUMMARY], clone, TMPDIR=str(scratch))
    assert (clone / SUMMARY).exists()
    assert not list(scratch.glob("facepain-*"))


def interrupt(clone, scratch, number):
    """Send a signal to everybody who recomputes while the result is being made."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    process = subprocess.Popen(
        ["datalad", "get", SUMMARY], cwd=clone, env=os.environ | {"PATH": path, "TMPDIR": str(scratch)}, text=True,
        start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    # DataLad prints what is said on the way only when the file is here.
    wait_until(lambda: process.poll() is not None or "code/prep.py" in at_work_in(scratch), patience=300)
    os.killpg(process.pid, number)
    said, _ = process.communicate()
    assert process.returncode != 0, said
    wait_until(lambda: not at_work_in(scratch))
    assert not (clone / SUMMARY).exists()
    assert run(["git", "status", "--porcelain"], clone).stdout == ""


def at_work_in(folder):
    """Return the words of all commands whose working directory lies in a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (entry / "cwd").readlink().is_relative_to(folder):
                found += (entry / "cmdline").read_text().split("\0")
    return found


def wait_until(true, patience=20):
    deadline = time.monotonic() + patience
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)
