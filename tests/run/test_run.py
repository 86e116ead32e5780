"""A run records the folder of its own cell, and leaves alone whatever else happens meanwhile."""

import json
import os
import re
import shutil
import subprocess
import sys
import time

import pytest
from repositories import OF_AN_OUTER_MAKE, SMALL, copy_repository, make_repository, run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small study of which only `prep` was made."""
    folder = make_repository(tmp_path_factory.mktemp("run") / "repository")
    run([sys.executable, "code/study.py", "setup"], folder)
    run([sys.executable, "code/study.py", "run", "prep"], folder)
    return folder


@pytest.fixture
def repository(made, tmp_path):
    return copy_repository(made, tmp_path / "repository")


WAIT = """\
        import time

        (ROOT / ".git/started").touch()
        while not (ROOT / ".git/go").exists():
            time.sleep(0.02)
"""


def git(folder, *arguments):
    return run(["git", *arguments], folder).stdout.strip()


def rewrite(folder, name, old, new):
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1))
    git(folder, "commit", "--quiet", "--all", "--message", f"Edit {name}")


def run_meanwhile(folder, do):
    """Run prep, and once its computation began, something else; return what prep said."""
    # In the machinery, which is no input of a result.
    rewrite(
        folder,
        "code/provenance/run/stage.py",
        "        outputs = OutputFolder(",
        WAIT + "        outputs = OutputFolder(",
    )
    environment = {key: value for key, value in os.environ.items() if key not in OF_AN_OUTER_MAKE} | SMALL
    command = [sys.executable, "code/study.py", "run", "prep"]
    process = subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    deadline = time.monotonic() + 60
    while not (folder / ".git/started").exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    do()
    (folder / ".git/go").touch()
    said = process.communicate(timeout=120)[0]
    assert process.returncode == 0, said
    return said


def edit_and_commit(folder):
    with open(folder / "README.md", "a") as file:
        file.write("Edited during a run.\n")
    (folder / "staged.txt").write_text("staged\n")
    git(folder, "add", "staged.txt")
    (folder / "note.txt").write_text("private\n")
    git(folder, "add", "note.txt")
    git(folder, "commit", "--quiet", "--message", "My own note", "--", "note.txt")


def assert_left_alone(folder):
    assert set(git(folder, "status", "--porcelain").splitlines()) == {"M README.md", "A  staged.txt"}
    assert git(folder, "log", "--merges", "--format=%h") == ""


def test_an_edit_and_a_commit_during_a_run_stay_as_they_are(repository):
    rewrite(repository, "code/prep.py", "def main(", "# Edit.\n\n\ndef main(")
    run_meanwhile(repository, lambda: edit_and_commit(repository))
    assert_left_alone(repository)
    assert git(repository, "log", "--format=%s", "-2").splitlines() == ["[DATALAD RUNCMD] prep", "My own note"]
    files = git(repository, "show", "--format=", "--name-only", "HEAD").splitlines()
    assert files and all(name.startswith("outputs/prep/") for name in files)
    assert git(repository, "show", "--format=", "--name-only", "HEAD^") == "note.txt"
    git(repository, "stash")
    assert "prep: fresh" in run([sys.executable, "code/study.py", "run", "prep"], repository).stdout


def test_only_the_folder_is_put_back_where_outputs_are_equal_within_tolerance(repository):
    path = repository / "outputs/prep/summary.tsv"
    text = path.read_text()
    number = next(word for word in text.split() if word.count(".") == 1 and len(word) > 6)
    recorded = text.replace(number, number[:-1] + str(int(number[-1]) + (-1 if number[-1] == "9" else 1)), 1)
    path.unlink()
    path.write_text(recorded)
    message = git(repository, "log", "-1", "--format=%B", "--", "outputs/prep")
    git(repository, "add", "outputs/prep")
    git(repository, "commit", "--quiet", "--message", message)
    git(repository, "annex", "drop", "--force", "--quiet", "outputs/prep/trials.tsv")
    said = run_meanwhile(repository, lambda: edit_and_commit(repository))
    assert_left_alone(repository)
    assert path.read_text() == recorded, said
    assert git(repository, "log", "-1", "--format=%s") == "My own note"
    assert (repository / "outputs/prep/trials.tsv").exists()


def test_code_that_was_edited_during_a_run_is_recorded_as_such(repository):
    def edit():
        with open(repository / "code/facepain/data/summary.py", "a") as file:
            file.write("# Edited during a run.\n")

    rewrite(repository, "code/prep.py", "def main(", "# Edit.\n\n\ndef main(")
    run_meanwhile(repository, edit)
    record = json.loads((repository / "outputs/prep/inputs.json").read_text())
    assert record["code"]["code/facepain/data/summary.py"] == "edited during the run"
    assert git(repository, "status", "--porcelain") == "M code/facepain/data/summary.py"
    git(repository, "stash")
    assert (
        "code/facepain/data/summary.py changed" in run([sys.executable, "code/study.py", "status"], repository).stdout
    )


def test_notes_that_a_power_failure_emptied_stop_nothing(repository):
    notes = [repository / ".git/facepain" / name for name in ("running.json", "own.json")]
    for note in notes:
        note.touch()
    assert "prep: fresh" in run([sys.executable, "code/study.py", "run", "prep"], repository).stdout
    assert not any(note.exists() for note in notes)


def test_a_folder_that_was_removed_or_holds_the_marks_of_a_merge_is_named(repository):
    status = [sys.executable, "code/study.py", "status"]
    record = repository / "outputs/prep/inputs.json"
    record.write_text("<<<<<<< HEAD\n")
    git(repository, "commit", "--quiet", "--all", "--message", "Merge without a look")
    assert re.search(r"prep +stale", run(status, repository).stdout)
    git(repository, "reset", "--quiet", "--hard", "HEAD~1")
    shutil.rmtree(record.parent)
    said = run(status, repository).stdout
    assert re.search(r"prep +absent\n +the content of \d+ file\(s\) is not in this clone", said), said
    done = run([sys.executable, "code/study.py", "run", "prep"], repository, check=False)
    assert done.returncode == 1 and "git checkout -- FILE" in done.stdout


def test_a_file_that_a_rule_hides_from_git_stops_the_run(repository):
    (repository / ".git/info").mkdir(exist_ok=True)
    (repository / ".git/info/exclude").write_text("summary.tsv\n")
    git(repository, "rm", "--quiet", "outputs/prep/summary.tsv")
    git(repository, "commit", "--quiet", "--message", "Lose a table")
    before = git(repository, "rev-parse", "HEAD")
    done = run([sys.executable, "code/study.py", "run", "prep"], repository, check=False)
    assert done.returncode != 0
    assert (
        "outputs/prep/summary.tsv could not be recorded, a rule hides it from git (.git/info/exclude:1:" in done.stdout
    )
    assert git(repository, "rev-parse", "HEAD") == before and git(repository, "status", "--porcelain") == ""


def test_a_file_that_git_was_told_not_to_look_at_stops_the_run(repository):
    rewrite(repository, "code/prep.py", "def main(", "# Edit.\n\n\ndef main(")
    git(repository, "update-index", "--assume-unchanged", "code/params.toml")
    done = run([sys.executable, "code/study.py", "run", "prep"], repository, check=False)
    assert done.returncode != 0 and "code/params.toml: git was told not to look at this file" in done.stdout


HOSTILE = """\
[core]
    excludesFile = {home}/ignored
    attributesFile = {home}/attributes
    hooksPath = {home}/hooks
    autocrlf = true
    fsmonitor = {home}/hooks/pre-commit
    fileMode = false
    commentChar = {{
[commit]
    gpgsign = true
    cleanup = strip
[user]
    name = A tester
    email = tester@example.invalid
    signingKey = nobody
[init]
    templateDir = {home}/template
[alias]
    annex = !false
    st = !false
[annex]
    addunlocked = true
    gitaddtoannex = false
    dotfiles = true
[merge]
    ff = only
    verifySignatures = true
[color]
    ui = always
[log]
    showSignature = true
[includeIf "gitdir:{home}/../"]
    path = {home}/included
"""


def make_hostile(home):
    """Write a global configuration with all that could change what is recorded."""
    for name in ("hooks", "template/hooks"):
        (home / name).mkdir(parents=True)
    (home / ".gitconfig").write_text(HOSTILE.format(home=home))
    (home / "included").write_text("[core]\n    excludesFile = " + str(home / "ignored") + "\n")
    (home / "ignored").write_text("*.tsv\n*.npy\n*.json\n*.hdr\n")
    (home / "attributes").write_text("* text eol=crlf\n* annex.largefiles=anything\n")
    for name in ("hooks/pre-commit", "hooks/post-checkout", "template/hooks/pre-commit"):
        (home / name).write_text(f"#!/bin/sh\ntouch {home}/reached\nexit 1\n")
        (home / name).chmod(0o755)


def everything_in(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and ".cache" not in path.parts}


def test_settings_of_the_user_change_nothing_of_what_is_recorded(made, tmp_path):
    """Neither in a clone made under them, nor by a command of DataLad typed there."""
    home = tmp_path / "home"
    make_hostile(home)
    before = everything_in(home)
    clone = tmp_path / "clone"
    user = {"HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config")}
    able_to_clone = ("-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}")
    run(["git", *able_to_clone, "clone", "--quiet", "--template=", str(made), str(clone)], tmp_path, **user)
    script = (clone / "code/prep.py").read_bytes()
    assert b"\r" not in script
    run([sys.executable, "code/study.py", "setup"], clone, **user)
    run([sys.executable, "code/study.py", "inputs"], clone, **user)
    (clone / "code/prep.py").write_bytes(script + b"# Edit.\n")
    run(["git", "commit", "--quiet", "--all", "--message", "Edit"], clone, **user)
    run([sys.executable, "code/study.py", "run", "prep"], clone, **user)
    assert run(["git", "log", "-1", "--format=%s"], clone).stdout.strip() == "[DATALAD RUNCMD] prep"
    listing = {
        folder: [line.split("\t")[1] for line in git(folder, "ls-tree", "-r", "HEAD", "outputs/prep").splitlines()]
        for folder in (made, clone)
    }
    assert listing[clone] == listing[made]
    assert git(clone, "ls-tree", "HEAD", "outputs/prep/trials.tsv").startswith("120000")
    made_once = git(clone, "rev-parse", "HEAD")
    run(["datalad", "rerun", "HEAD"], clone, **user)
    assert git(clone, "rev-parse", "HEAD") == made_once
    assert run(["git", "status", "--porcelain"], clone, **user).stdout == ""
    assert everything_in(home) == before


def test_a_setting_that_overrides_what_lies_in_git_is_refused(made, tmp_path):
    (tmp_path / ".gitconfig").write_text("[annex]\n    largefiles = nothing\n")
    done = run([sys.executable, "code/study.py", "setup"], made, check=False, HOME=str(tmp_path))
    assert done.returncode != 0
    assert f"annex.largefiles = nothing in {tmp_path}/.gitconfig overrides the rules of this repository" in done.stdout
    assert f"(`git config --file {tmp_path}/.gitconfig --unset-all annex.largefiles`)" in done.stdout


@pytest.mark.parametrize(
    ("name", "rule", "message"),
    [
        (
            "exclude",
            "*.npy",
            "a rule hides results such as outputs/x.npy from git (.git/info/exclude:1:*.npy); remove it",
        ),
        ("attributes", "* annex.largefiles=nothing", ".git/info/attributes: `* annex.largefiles=nothing` overrides"),
        ("attributes", "*.tsv text eol=crlf", ".git/info/attributes: `*.tsv text eol=crlf` overrides the rules"),
    ],
)
def test_a_rule_that_a_template_brings_into_a_clone_is_refused(made, tmp_path, name, rule, message):
    (tmp_path / "template/info").mkdir(parents=True)
    (tmp_path / "template/info" / name).write_text(f"{rule}\n")
    template = f"--template={tmp_path / 'template'}"
    run(["git", "clone", "--quiet", template, str(made), str(tmp_path / "clone")], tmp_path)
    done = run([sys.executable, "code/study.py", "setup"], tmp_path / "clone", check=False)
    assert done.returncode != 0 and message in done.stdout


def test_a_copy_is_looked_at_by_plain_git_without_the_environment(made, tmp_path):
    """Also where the environment lay in the folder that it was copied from."""
    shutil.copytree(made, tmp_path / "first", symlinks=True)
    (tmp_path / "first/.venv/bin").mkdir(parents=True)
    program = tmp_path / "first/.venv/bin/git-annex"
    program.write_text(f'#!/bin/sh\nexec {os.path.dirname(sys.executable)}/git-annex "$@"\n')
    program.chmod(0o755)
    launcher = tmp_path / "first/.git/facepain/git-annex"
    launcher.write_text(launcher.read_text().replace(os.path.dirname(sys.executable), "/no/such/folder"))
    shutil.copytree(tmp_path / "first", tmp_path / "second", symlinks=True)
    shutil.rmtree(tmp_path / "first", ignore_errors=True)
    done = run(["git", "status", "--short"], tmp_path / "second", PATH="/usr/bin:/bin")
    assert done.stdout == ""
