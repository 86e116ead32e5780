"""Newer code is merged into a study of one's own: its inputs, params and results stay as they are."""

import sys

import pytest
from repositories import make_repository, run

pytestmark = pytest.mark.slow


def git(folder, *arguments):
    return run(["git", *arguments], folder).stdout.strip()


def commit(folder, **files):
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "Change " + ", ".join(files))


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    folder = make_repository(tmp_path_factory.mktemp("origin") / "repository", design=None)
    (folder / "outputs/regress").mkdir(parents=True)
    (folder / "outputs/regress/a.tsv").write_text("1\n")
    (folder / "outputs/regress/b.tsv").write_text("1\n")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "Make results")
    return folder


@pytest.fixture
def clone(origin, tmp_path):
    run(["git", "clone", "--quiet", str(origin), str(tmp_path / "clone")], tmp_path)
    run([sys.executable, "code/study.py", "setup"], tmp_path / "clone")
    for key, value in (("user.name", "A tester"), ("user.email", "tester@example.invalid")):
        git(tmp_path / "clone", "config", key, value)
    return tmp_path / "clone"


@pytest.fixture
def newer(origin, tmp_path):
    """A later state of the repository that the study came from."""
    run(["git", "clone", "--quiet", str(origin), str(tmp_path / "newer")], tmp_path)
    folder = tmp_path / "newer"
    for key, value in (("user.name", "A tester"), ("user.email", "tester@example.invalid")):
        git(folder, "config", key, value)
    params = (folder / "code/params.toml").read_text()
    for name, text in (
        ("outputs/regress/a.tsv", "2\n"), ("outputs/regress/new.tsv", "2\n"), ("README.md", "newer\n"),
        ("code/params.toml", params.replace("seed = 42", "seed = 43")),
    ):  # fmt: skip
        (folder / name).write_text(text)
    git(folder, "rm", "--quiet", "outputs/regress/b.tsv")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "Go on")
    return folder


def update(folder, newer, check=True):
    return run([sys.executable, "code/study.py", "update"], folder, check, FROM=f"{newer} main").stdout


def test_results_and_params_of_ones_own_are_kept_and_code_is_new(clone, newer):
    git(clone, "switch", "--quiet", "--create", "own-study")
    git(clone, "rm", "-r", "--quiet", "outputs")
    params = (clone / "code/params.toml").read_text().replace("seed = 42", "seed = 7")
    (clone / "outputs/regress").mkdir(parents=True)
    (clone / "outputs/regress/a.tsv").write_text("mine\n")
    (clone / "code/params.toml").write_text(params)
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "--message", "My own study")
    before = git(clone, "rev-parse", "HEAD:outputs")
    said = update(clone, newer)
    assert "your inputs and results kept, your params kept" in said and "prep  " in said
    assert (clone / "README.md").read_text() == "newer\n"
    assert (clone / "code/params.toml").read_text() == params
    assert git(clone, "rev-parse", "HEAD:outputs") == before
    assert git(clone, "status", "--porcelain") == ""
    assert "nothing is newer in" in update(clone, newer)


def test_without_results_of_ones_own_the_newer_ones_come(clone, newer):
    update(clone, newer)
    assert (clone / "outputs/regress/a.tsv").read_text() == "2\n" and not (clone / "outputs/regress/b.tsv").exists()
    assert "seed = 43" in (clone / "code/params.toml").read_text()


def test_code_that_both_changed_stops_the_update_whole(clone, newer):
    (clone / "README.md").write_text("mine\n")
    git(clone, "commit", "--quiet", "--all", "--message", "Mine")
    before = git(clone, "rev-parse", "HEAD")
    said = update(clone, newer, check=False)
    assert "1 file(s) were changed here and there: README.md; nothing was merged" in said
    assert git(clone, "rev-parse", "HEAD") == before and git(clone, "status", "--porcelain") == ""
