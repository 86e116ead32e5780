"""Newer code is merged into a study of one's own: its inputs, params and results stay as they are."""

import sys

import pytest
from repositories import make_repository, run

pytestmark = pytest.mark.slow


def git(folder, *arguments):
    return run(["git", *arguments], folder).stdout.strip()


def commit(folder, **files):
    for name, text in files.items():
        path = folder / name.replace("__md", ".md").replace("__tsv", ".tsv").replace("__", "/")
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


def test_a_link_here_and_a_file_there_leave_nothing_behind(clone, newer):
    (clone / "outputs/regress/a.tsv").unlink()
    (clone / "outputs/regress/a.tsv").symlink_to("elsewhere")
    commit(clone, outputs__regress__own__tsv="mine\n")
    assert "your inputs and results kept" in update(clone, newer)
    assert git(clone, "status", "--porcelain") == "" and (clone / "outputs/regress/a.tsv").is_symlink()
    assert sorted(path.name for path in (clone / "outputs/regress").iterdir()) == ["a.tsv", "b.tsv", "own.tsv"]


def test_words_of_ones_own_are_kept_where_both_changed_them(clone, newer):
    commit(clone, README__md="mine\n")
    assert "your README.md kept" in update(clone, newer)
    assert (clone / "README.md").read_text() == "mine\n" and "seed = 43" in (clone / "code/params.toml").read_text()


def test_code_that_both_changed_is_left_to_join_with_results_as_they_were(clone, newer):
    for folder, text in ((clone, "mine\n"), (newer, "newer\n")):
        commit(folder, LICENSE=text)
    commit(clone, outputs__regress__a__tsv="mine\n", outputs__regress__own__tsv="mine\n")
    before = git(clone, "rev-parse", "HEAD", "HEAD:outputs")
    said = update(clone, newer, check=False)
    assert "1 file(s) were changed here and there: LICENSE; all else is merged and waits" in said
    assert git(clone, "diff", "--name-only", "--diff-filter=U") == "LICENSE"
    assert git(clone, "status", "--porcelain", "outputs") == "" and not (clone / "outputs/regress/new.tsv").exists()
    assert "differ from the last commit" in update(clone, newer, check=False)
    git(clone, "merge", "--abort")
    assert git(clone, "rev-parse", "HEAD", "HEAD:outputs") == before and git(clone, "status", "--porcelain") == ""
    update(clone, newer, check=False)
    commit(clone, LICENSE="joined\n")
    assert git(clone, "rev-parse", "HEAD:outputs") == before.split()[1]
    assert git(clone, "rev-parse", "HEAD^2") == git(newer, "rev-parse", "HEAD")


def test_files_that_git_ignores_are_not_lost(clone, newer):
    commit(newer, docs__notes__md="newer\n")
    (clone / ".git/info/exclude").write_text("talk.pptx\nnotes.md\n")
    commit(clone, outputs__regress__a__tsv="mine\n")
    (clone / "outputs/talk.pptx").write_text("mine")
    (clone / "docs/notes.md").write_text("mine")
    assert "docs/notes.md is not tracked here, and newer code brings" in update(clone, newer, check=False)
    assert git(clone, "status", "--porcelain") == "" and (clone / "docs/notes.md").read_text() == "mine"
    (clone / "docs/notes.md").rename(clone / "outputs/notes.md")
    (clone / ".git/info/exclude").write_text("talk.pptx\nnotes.md\nscratch\n")
    (clone / "scratch").write_text("mine")
    commit(newer, scratch__a__md="newer\n")
    assert "scratch is not tracked here, and newer code brings scratch/a.md" in update(clone, newer, check=False)
    (clone / "outputs/notes.md").rename(clone / "docs/notes.md")
    (clone / "scratch").unlink()
    (clone / "docs/notes.md").unlink()
    assert "your inputs and results kept" in update(clone, newer)
    assert (clone / "outputs/talk.pptx").read_text() == "mine" and (clone / "docs/notes.md").read_text() == "newer\n"


def test_a_clone_without_origin_asks_where_from(clone):
    git(clone, "remote", "remove", "origin")
    said = run([sys.executable, "code/study.py", "update"], clone, False).stdout
    assert "no remote `origin`; name where its repository was cloned from: FROM=" in said
