"""What is no whole clone of one's own is refused or explained, in one line; so is a word that make does not know."""

import os
import re
import shutil
import sys

import pytest
from repositories import copy_repository, make_repository, run

import study
from errors import InputError
from provenance.annex.setup import require_annexable


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_repository(tmp_path_factory.mktemp("clone") / "repository", design=None)


@pytest.fixture
def repository(made, tmp_path):
    return copy_repository(made, tmp_path / "repository")


def refuse(folder, task="status"):
    done = run([sys.executable, "code/study.py", task], folder, check=False)
    assert done.returncode != 0
    assert len(done.stdout.splitlines()) == 1, done.stdout
    return done.stdout


def test_an_unpacked_zip_is_refused_and_the_repository_around_it_left_alone(repository, tmp_path):
    shutil.rmtree(repository / ".git")
    assert f"{repository} is no clone; results are recorded in a clone's history" in refuse(repository)
    run(["git", "init", "--quiet"], tmp_path)
    before = sorted((tmp_path / ".git").rglob("*"))
    for task in ("status", "doctor"):
        said = refuse(repository, task)
        assert f"lies in the repository {tmp_path}, which is left alone" in said and "use `git clone`" in said
    assert sorted((tmp_path / ".git").rglob("*")) == before


def test_a_shallow_clone_names_how_to_complete_it(made, tmp_path):
    run(["git", "commit", "--quiet", "--allow-empty", "--message", "Two"], made)
    run(["git", "clone", "--quiet", "--depth", "1", made.as_uri(), str(tmp_path / "shallow")], tmp_path)
    assert "`git fetch --unshallow` completes it" in refuse(tmp_path / "shallow", "explain")


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a folder to another user needs root")
def test_a_clone_of_another_user_is_refused_with_what_trusts_it(repository):
    for parent, folders, files in os.walk(repository):
        for name in (".", *folders, *files):
            os.lchown(os.path.join(parent, name), 12345, 12345)
    said = refuse(repository)
    assert "belongs to another user" in said and f"safe.directory {repository}`" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a folder to another user needs root")
def test_an_input_of_another_user_is_named(repository):
    run(["git", "-c", "advice.addEmbeddedRepo=false", "clone", "--quiet", ".", "inputs/masks"], repository)
    run(["git", "add", "inputs/masks"], repository)
    run(["git", "commit", "--quiet", "--message", "Add an input"], repository)
    for path in ("inputs/masks", "inputs/masks/.git"):
        os.chown(repository / path, 12345, 12345)
    said = run([sys.executable, "code/study.py", "setup"], repository, check=False).stdout
    assert f"{repository}/inputs/masks belongs to another user" in said and "Traceback" not in said


def test_an_environment_that_was_made_in_another_folder_is_named(repository):
    (repository / ".venv").mkdir()
    shutil.copy(repository / "requirements.lock", repository / ".venv/installed.lock")
    (repository / ".venv/pyvenv.cfg").write_text("command = /usr/bin/python3 -m venv --clear /old/place/.venv\n")
    assert ".venv was made for /old/place" in refuse(repository)
    assert "PROBLEM  .venv was made for /old/place" in run(["make", "doctor"], repository, check=False).stdout


def test_an_adjusted_branch_is_explained(repository):
    run(["git", "switch", "--quiet", "--create", "adjusted/main(unlocked)"], repository)
    assert "is an adjusted branch of git-annex, which hides the recorded state; `git checkout main`" in refuse(
        repository, "setup"
    )


def test_an_adjusted_branch_of_an_input_is_explained(repository):
    dataset = repository / "inputs/masks"
    run(["git", "init", "--quiet", "--initial-branch", "adjusted/main(unlocked)", str(dataset)], repository)
    said = run([sys.executable, "code/study.py", "inputs"], repository, check=False).stdout
    assert "\ninputs: adjusted/main(unlocked) is an adjusted branch of git-annex" in said
    assert "`git -C inputs/masks checkout main`" in said


def test_a_file_system_without_links_is_refused(made, monkeypatch):
    def fail(*_):
        raise PermissionError("no links here")

    monkeypatch.setattr("pathlib.Path.symlink_to", fail)
    with pytest.raises(InputError, match="a file system without symbolic links"):
        require_annexable(made)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["all", "N_PERMUTATION=20"], "N_PERMUTATION= is not an option; .*did you mean N_PERMUTATIONS"),
        (["all", "n_jobs=2"], "n_jobs= is not an option; .*did you mean N_JOBS"),
        (["regress", "CELL=regress M1 lasso"], "make regress does not take CELL=, which is an option of cell, verify"),
        (["own", "PARAMS=mine.toml"], "make own does not take PARAMS=, .* all, cell, check, crate, notebook and "),
        (["regres"], '"regres" is not a target; .*did you mean regress'),
        (["regress", "M1", "lasso"], '"M1" is not a target; .*make cell CELL='),
        (["tests"], '"tests" is not a target; .*did you mean test'),
    ],
)
def test_a_word_that_make_does_not_know_is_refused_before_anything_is_done(made, words, message):
    done = run(["make", *words], made, check=False)
    assert done.returncode != 0
    assert re.search(message, done.stdout), done.stdout
    assert len(done.stdout.splitlines()) == 2, done.stdout


def test_dask_is_a_cluster_or_a_file_that_jobs_find_too(made, tmp_path, monkeypatch):
    said = "status: DASK=lokal is not allowed; expected local, slurm, the address of a running cluster, such as"
    monkeypatch.setenv("DASK", "lokal")
    assert refuse(made).startswith(said)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scheduler.json").write_text("{}")
    for text in ("", "local", "slurm", "tcp://10.0.0.1:8786", "node-1:8786"):
        monkeypatch.setenv("DASK", text)
        study.require_known_dask()
        assert os.environ["DASK"] == text
    monkeypatch.setenv("DASK", "scheduler.json")
    study.require_known_dask()
    assert os.environ["DASK"] == str(tmp_path / "scheduler.json")


def test_help_lists_every_target_within_80_columns(made):
    said = run(["make"], made).stdout
    assert max(map(len, said.splitlines())) <= 80
    for target in ("all", "regress", "plot", "update", "verify", "open"):
        assert f"make {target} " in said
