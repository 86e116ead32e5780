"""The dataset writer: one commit everywhere, an annex that works, nothing half-built."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from errors import InputError
from provenance.annex import dataset as annex_dataset
from provenance.annex.dataset import build_dataset, is_annexed, remove_tree

DATASET_ID = "00000000-1111-4222-8333-444444444444"
MESSAGE = "Two participants"
FILES = {
    "README.md": b"# Two participants\n",
    "trials.tsv": b"trial\tfacs\n1\t0\n",
    "sub-001/sub-001_trial-01_con.hdr": b"header",
    "sub-001/sub-001_trial-01_con.img": bytes(range(256)) * 40,
    "sub-002/sub-002_trial-01_con.hdr": b"header",
    "deep/er/mask-1.5.nii.gz": b"\x1f\x8b\r\n",
    "deep/er/measures.longer": b"\r\n",
    "ALL": b"",
}
# What any machine has to arrive at: a superdataset pins such commits.
COMMIT = "78c1d61893270da8d836414cf9d39dbdc1b8ec0d"

HOSTILE_CONFIG = """\
[user]
    name = Zoë Müller
    email = zoe@laptop.example
[core]
    autocrlf = true
    safecrlf = false
    hooksPath = {home}/template/hooks
    attributesFile = {home}/attributes
    excludesFile = {home}/ignore
    sharedRepository = group
[init]
    defaultBranch = x
    templateDir = {home}/template
    defaultObjectFormat = sha256
[commit]
    gpgSign = true
[gpg]
    program = false
[annex]
    backend = MD5
    largefiles = nothing
    addunlocked = true
    uuid = 11111111-2222-4333-8444-555555555555
"""


@pytest.fixture
def hostile_home(tmp_path, monkeypatch):
    """Set every switch of a user that could reach a commit."""
    home = tmp_path / "home"
    hooks = home / "template" / "hooks"
    hooks.mkdir(parents=True)
    for name in ("pre-commit", "post-checkout", "reference-transaction", "post-index-change"):
        (hooks / name).write_text("#!/bin/sh\nexit 1\n")
        (hooks / name).chmod(0o755)
    (home / "template" / "config").write_text("[core]\n\tautocrlf = true\n")
    (home / "attributes").write_text("* text eol=crlf\n*.img filter=lfs\n")
    (home / "ignore").write_text("*.img\n*.tsv\n")
    (home / ".gitconfig").write_text(HOSTILE_CONFIG.format(home=home))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "xdg"))
    monkeypatch.setenv("GIT_DIR", str(home / "no-such-repository"))
    monkeypatch.setenv("GIT_AUTHOR_DATE", "2001-01-01T00:00:00")
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Zoë")
    monkeypatch.setenv("GIT_DEFAULT_HASH", "sha256")
    monkeypatch.setenv("TZ", "Pacific/Chatham")
    monkeypatch.setenv("LC_ALL", "tr_TR.ISO-8859-9")
    old_umask = os.umask(0o077)
    yield home
    os.umask(old_umask)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Return a built dataset, for tests that only read it."""
    path = tmp_path_factory.mktemp("read-only") / "dataset"
    build(path)
    return path


def build(path, files=None):
    return build_dataset(path, iter(files or FILES.items()), DATASET_ID, MESSAGE)


def run(folder, *command):
    """Run a command as a user does, the environment's programs on the path."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    kept["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), kept["PATH"]])
    for role in ("AUTHOR", "COMMITTER"):
        kept |= {f"GIT_{role}_NAME": "A user", f"GIT_{role}_EMAIL": "user@example.invalid"}
    done = subprocess.run(command, cwd=folder, env=kept, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def test_commit_is_the_recorded_one(dataset):
    assert run(dataset, "git", "rev-parse", "HEAD").strip() == COMMIT
    assert run(dataset, "git", "branch", "--show-current").strip() == "main"


def test_commit_ignores_configuration_umask_locale_and_time_zone(tmp_path, hostile_home):
    assert build(tmp_path / "elsewhere" / "x") == COMMIT


def test_work_tree_holds_the_files(dataset):
    for path, content in FILES.items():
        assert (dataset / path).read_bytes() == content
        assert (dataset / path).is_symlink() == is_annexed(path)
    tracked = run(dataset, "git", "ls-files", "-z").split("\0")[:-1]
    assert set(tracked) == {*FILES, ".gitattributes", ".datalad/config"}


def test_status_is_clean_under_any_configuration(tmp_path, hostile_home):
    build(tmp_path / "dataset")
    assert run(tmp_path / "dataset", "git", "status", "--porcelain", "--ignored") == ""
    # Other times make git compare contents, where line ends and filters count.
    for path in FILES:
        os.utime(tmp_path / "dataset" / path, (1e9, 1e9), follow_symlinks=False)
    assert run(tmp_path / "dataset", "git", "status", "--porcelain") == ""


def test_status_needs_no_git_annex(dataset):
    done = subprocess.run(
        [shutil.which("git"), "-C", dataset, "status", "--porcelain"],
        env={"PATH": os.defpath, "HOME": "/nowhere"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_datalad_knows_the_dataset_and_finds_it_clean(dataset):
    assert "clean" in run(dataset, "datalad", "status")
    command = "from datalad.api import Dataset; print(Dataset('.').id)"
    assert run(dataset, sys.executable, "-c", command).strip() == DATASET_ID


def test_keys_and_locations_are_those_of_git_annex(dataset):
    for path in filter(is_annexed, FILES):
        key = key_of(dataset, path)
        calculated = run(dataset, "git", "annex", "calckey", "--backend=SHA256E", path)
        assert key == calculated.strip()
        target = dataset / run(dataset, "git", "annex", "contentlocation", key).strip()
        assert target.samefile(dataset / path)
        assert target.stat().st_mode & 0o777 == 0o444
        assert target.parent.stat().st_mode & 0o777 == 0o555


def key_of(dataset, path):
    return Path(os.readlink(dataset / path)).name


def test_annex_is_whole_and_knows_its_copies(dataset):
    run(dataset, "git", "annex", "fsck")
    copies = run(dataset, "git", "annex", "find", "--in=here").splitlines()
    assert set(copies) == set(filter(is_annexed, FILES))


@pytest.mark.parametrize("get", [("datalad", "get"), ("git", "annex", "get")])
def test_clone_gets_content(dataset, tmp_path, get):
    run(tmp_path, "datalad", "clone", dataset, "clone")
    path = "sub-001/sub-001_trial-01_con.img"
    assert not (tmp_path / "clone" / path).exists()
    run(tmp_path / "clone", *get, path)
    assert (tmp_path / "clone" / path).read_bytes() == FILES[path]


def test_no_name_of_user_or_host_is_recorded(tmp_path, hostile_home):
    build(tmp_path / "dataset")
    people = run(tmp_path / "dataset", "git", "log", "--all", "--format=%an %ae %cn %ce")
    name, email = annex_dataset.AUTHOR_NAME, annex_dataset.AUTHOR_EMAIL
    assert set(people.splitlines()) == {f"{name} {email} {name} {email}"}
    uuid_log = run(tmp_path / "dataset", "git", "show", "git-annex:uuid.log")
    assert re.fullmatch(r"[0-9a-f-]{36} rebuilt-inputs timestamp=\d+s\n", uuid_log)
    reflogs = list((tmp_path / "dataset" / ".git" / "logs").rglob("*/*"))
    assert reflogs
    assert not any("zoe@" in log.read_text() for log in reflogs if log.is_file())


def test_two_builds_are_two_annexes(dataset, tmp_path):
    build(tmp_path / "second")
    uuids = {run(path, "git", "config", "annex.uuid") for path in (dataset, tmp_path / "second")}
    assert len(uuids) == 2


def test_later_save_annexes_images_and_keeps_text_in_git(tmp_path):
    build(tmp_path / "dataset")
    added = {"sub-003/new.img": b"text all the same\n", "new.tsv": b"\0\1\2", "new.json": b"{}\n"}
    (tmp_path / "dataset" / "sub-003").mkdir()
    for path, content in added.items():
        (tmp_path / "dataset" / path).write_bytes(content)
    run(tmp_path / "dataset", "datalad", "-c", "user.name=x", "-c", "user.email=x@y", "save")
    for path in added:
        assert (tmp_path / "dataset" / path).is_symlink() == is_annexed(path)
    assert key_of(tmp_path / "dataset", "sub-003/new.img").startswith("SHA256E-")


def test_files_are_taken_one_by_one(tmp_path):
    stored = []

    def files():
        for number in range(3):
            stored.append(len(list(tmp_path.glob(".dataset.building/.git/annexed/*"))))
            yield f"{number}.img", bytes([number])

    build(tmp_path / "dataset", files())
    assert stored == [0, 1, 2]


@pytest.mark.parametrize("step", ["_store_files", "import_commit", "settle_index", "_record_copies"])
def test_interrupted_build_leaves_nothing(tmp_path, monkeypatch, step):
    finished = getattr(annex_dataset, step)

    def interrupt(*arguments):
        finished(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(annex_dataset, step, interrupt)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "dataset")
    assert list(tmp_path.iterdir()) == []


def test_rest_of_a_killed_build_is_removed(tmp_path):
    build(tmp_path / ".dataset.building")
    assert build(tmp_path / "dataset") == COMMIT
    assert [path.name for path in tmp_path.iterdir()] == ["dataset"]


def test_empty_folder_is_filled(tmp_path):
    (tmp_path / "dataset").mkdir()
    assert build(tmp_path / "dataset") == COMMIT


def test_folder_with_something_in_it_is_refused(tmp_path):
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match=r"dataset is not an empty folder: move it away"):
        build(tmp_path / "dataset")
    assert (tmp_path / "dataset" / "mine.txt").read_text() == "mine"


def test_missing_git_annex_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(InputError, match="git-annex is not installed: run `pip install"):
        build(tmp_path / "dataset")


def test_failure_of_git_names_the_command_and_its_last_words(tmp_path):
    with pytest.raises(InputError, match=r"`git reset` failed in .*: fatal: \w+"):
        build(tmp_path / "dataset", [("../outside.txt", b"")])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "annexed"),
    [
        ("sub-001/x.img", True),
        ("x.nii.gz", True),
        ("ALL", True),
        ("x.tsv", False),
        ("a/x.json", False),
        (".bidsignore", False),
        (".datalad/x.img", False),
    ],
)
def test_text_and_hidden_files_stay_in_git(path, annexed):
    assert is_annexed(path) is annexed


def test_remove_tree_removes_an_annex(tmp_path):
    build(tmp_path / "dataset")
    remove_tree(tmp_path / "dataset")
    assert list(tmp_path.iterdir()) == []
