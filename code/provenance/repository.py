"""What this project asks of git: ids of objects, the state of the tree, the last commit of a path."""

import json
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from errors import InputError

ROOT = Path(__file__).resolve().parents[2]
CODE_MESSAGE = "Publish code and documents"  # of the first commit of a published history, and of later ones with code
USED = ("code/", "inputs/", "outputs/", "figures/")  # where an untracked file may matter
DISK_FULL = 4e6  # bytes; below that git fails and does not say why
# What git-annex ends with does not say why.
SUMMARY = re.compile(r"\s*(\w+: \d+ failed|failed to \w+ content .*|git-annex: unable to use external .*)$")
DATALAD = ("datalad", "-l", "error", "-f", "disabled")  # says nothing but errors
FOREIGN = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY")


def git(*arguments, check=True, root=ROOT, lines=None):
    """Run git in the repository and return its standard output, stripped; `lines` are given to a batch command.

    If git fails and `check` is true, stop with git's last line.
    """
    # A mere look must not take the lock that a save elsewhere needs.
    environment = without_foreign(os.environ) | {"GIT_OPTIONAL_LOCKS": "0", "PATH": search_path()}
    done = subprocess.run(
        ["git", "-c", "core.quotePath=false", *arguments], cwd=root, env=environment, capture_output=True, text=True,
        errors="backslashreplace",  # names that are not UTF-8
        input="".join(f"{line}\n" for line in lines or ()),
    )  # fmt: skip
    if check and done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()
        last = next((line.strip() for line in reversed(said) if not SUMMARY.match(line)), said[-1])
        full = "; no space is left on this disk: make room" if shutil.disk_usage(root).free < DISK_FULL else ""
        raise InputError(f"git {arguments[0]} failed: {last}{full}")
    return done.stdout.strip("\n")


def search_path():
    """Return PATH with the interpreter's folder first, where git-annex lies: its environment may not be active."""
    return os.pathsep.join((os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)))


def datalad(*arguments, root=ROOT):
    """Run DataLad and return the line that says why it failed, "" if it did not."""
    done = subprocess.run([*DATALAD, *arguments], cwd=root, capture_output=True, text=True)
    said = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()] or ["no reason given"]
    return next((line for line in said if "fatal:" in line), said[-1]) if done.returncode else ""


def require_clone():
    """Stop unless this folder is the root of a clone whose git repository may be used."""
    if shutil.which("git") is None:
        raise InputError("git is missing; install it (Debian: `apt install git`)")
    top = find_root(ROOT)
    if not top or Path(top).resolve() != ROOT:
        around = f", but lies in the repository {top}, which is left alone" if top else ""
        raise InputError(
            f"{ROOT} is no clone{around}; results are recorded in a clone's history, which a ZIP does not hold: "
            "use `git clone`"
        )


def find_root(folder):
    """Return the root of the repository around a folder, "" if there is none; stop if it belongs to another user."""
    environment = without_foreign(os.environ) | {"LC_ALL": "C"}
    done = subprocess.run(
        ["git", "rev-parse", "--show-toplevel"], cwd=folder, env=environment, capture_output=True, text=True
    )
    if "dubious ownership" in done.stderr:
        raise InputError(
            f"{folder} belongs to another user, and its settings can run programs; if you trust it: "
            f"`git config --global --add safe.directory {folder}`, else make a clone of your own"
        )
    return done.stdout.strip()


@cache
def is_shallow(root=ROOT):
    return git("rev-parse", "--is-shallow-repository", root=root) == "true"


def is_published(root=ROOT):
    """Return whether this history is one that `make publish` made for others."""
    return CODE_MESSAGE in git("log", "--max-parents=0", "--format=%s", root=root).splitlines()


def require_plain_branch(root=ROOT):
    """Stop on an adjusted branch of git-annex, whose commits are not those that are recorded."""
    branch = git("symbolic-ref", "--quiet", "--short", "HEAD", check=False, root=root)
    if branch.startswith("adjusted/"):
        plain = branch.removeprefix("adjusted/").partition("(")[0]
        there = "" if root == ROOT else f" -C {os.path.relpath(root, ROOT)}"
        raise InputError(
            f"{branch} is an adjusted branch of git-annex, which hides the recorded state; "
            f"`git{there} checkout {plain}`"
        )


def read_blobs(ids, root=ROOT):
    """Return the contents of git objects by id: of the very objects that are named, not of replacements."""
    done = subprocess.run(
        ["git", "--no-replace-objects", "cat-file", "--batch"], cwd=root, env=without_foreign(os.environ),
        capture_output=True, check=True, input="".join(f"{id_}\n" for id_ in sorted(ids)).encode(),
    )  # fmt: skip
    contents, position = {}, 0
    while position < len(done.stdout):
        end = done.stdout.index(b"\n", position)
        id_, _, size = done.stdout[position:end].split()
        contents[id_.decode()] = done.stdout[end + 1 : end + 1 + int(size)]
        position = end + 2 + int(size)
    return contents


def without_foreign(environment):
    """Leave out what names another repository, as GIT_DIR does inside of a git hook or of git-annex."""
    return {key: value for key, value in environment.items() if key not in FOREIGN}


def read_tree(*paths, revision="HEAD", root=ROOT):
    """Return mode and object id of every file and subdataset under some paths from the root, all if none is given."""
    listing = git("--no-replace-objects", "ls-tree", "-r", "-z", revision, "--", *paths, root=root)
    entries = (entry.split("\t", 1) for entry in listing.split("\0") if entry)
    return {path: (meta.split()[0], meta.split()[2]) for meta, path in entries}


def object_ids(*paths, revision="HEAD", root=ROOT):
    """Return the git object id of every file and subdataset under some paths from the root, of all if none is given.

    Of an annexed file it is the id of the link, which holds the checksum of the content; of a subdataset its commit.
    """
    return {path: id_ for path, (_, id_) in read_tree(*paths, revision=revision, root=root).items()}


def input_datasets(revision="HEAD", root=ROOT):
    """Return the commit that the repository records for each subdataset below ``inputs``, by path from the root."""
    tree = read_tree("inputs/", revision=revision, root=root)
    return {path: commit for path, (mode, commit) in tree.items() if mode == "160000"}


def subdataset_setting(path, key, root=ROOT):
    """Return what ``.gitmodules`` says about a subdataset at a path from the root, "" if nothing."""
    return git("config", "--file", ".gitmodules", f"submodule.{path}.{key}", check=False, root=root)


def changed_files(root=ROOT, *paths):
    """List the files that differ from HEAD, untracked ones included, as git's short status lines, without quotes."""
    listing = git("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--", *paths, root=root)
    return [line for line in listing.split("\0") if line]


def require_as_recorded(path, pin):
    """Stop if a dataset has changed files, or is at another commit than a recorded one, if any; return its commit."""
    head, *lines = git("status", "--porcelain=v2", "--branch", root=path).splitlines()
    commit = head.removeprefix("# branch.oid ")
    n_changed = sum(not line.startswith("#") for line in lines)
    if n_changed:
        raise InputError(
            f"{path} has {n_changed} file(s) that differ from its last commit; it is left alone: "
            f"look with `git -C {path} status`, keep them with `datalad save -d . -r {path}` or "
            f"put them aside with `git -C {path} stash -u`"
        )
    if pin not in (None, commit):
        raise InputError(
            f"{path} is at commit {commit[:10]}, this repository records {pin[:10]}; it is left alone: "
            f"`git -C {path} checkout {pin[:10]}` goes to the recorded one if the dataset holds it, else move it "
            f"elsewhere and try again; only if the change is meant, `datalad save -d . {path}` records it"
        )
    return commit


def require_clean_tree(*paths, notes=False):
    """Stop if any file, or one at some paths, differs from HEAD: a run record would be untrue.

    With `notes` untracked files may lie elsewhere than in `USED`.
    """
    changed = [
        line for line in changed_files(ROOT, *paths) if not notes or line[:2] != "??" or line[3:].startswith(USED)
    ]
    datasets = input_datasets() if changed else {}
    for path in (line[3:] for line in changed):
        if path in datasets and (ROOT / path / ".git").exists():
            require_as_recorded(path, datasets[path])  # what helps in a subdataset is something else
    if changed:
        shown = ", ".join(line[3:] for line in changed[:5]) + (f" and {len(changed) - 5} more" if changed[5:] else "")
        raise InputError(
            f"{len(changed)} file(s) differ from the last commit: {shown}; commit them (`git add` and `git commit`), "
            "put them aside (`git stash -u`) or undo them (`git checkout -- FILE`), then try again"
        )
    hidden = hidden_files()
    if hidden:
        raise InputError(
            f"{hidden[0]}: git was told not to look at this file, one of {len(hidden)}, so that an edit would not be "
            f"seen; `git update-index --no-assume-unchanged --no-skip-worktree {hidden[0]}` lets it look again"
        )


def hidden_files():
    """List the files of which git was told to take them as unchanged, or not to look at them at all."""
    entries = git("ls-files", "-v", "-z").split("\0")
    return [entry[2:] for entry in entries if entry[:1].islower() or entry[:1] == "S"]


@cache
def git_folder(root=ROOT):
    """Return the folder ``.git/facepain``, made if missing: local state that no commit holds."""
    folder = Path(git("rev-parse", "--absolute-git-dir", root=root)) / "facepain"
    folder.mkdir(exist_ok=True)
    return folder


def require_writable(path):
    """Stop if nothing could be written at a path: a folder of its own or the nearest one above it."""
    place = ROOT / path
    while not place.exists():
        place = place.parent
    if not os.access(place, os.W_OK | os.X_OK):
        shown = os.path.relpath(place, ROOT)
        raise InputError(f"{shown} cannot be written to; `chmod u+w {shown}`, or mount its disk for writing")


def read_state(path):
    """Return what a JSON file of local state holds, {} if it is missing or damaged: such a file only saves work."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def write_whole(path, text, mode=None):
    """Write a file of local state so that nobody ever sees half of it, nor a program that may not be started yet."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_text(text)
    if mode is not None:
        temporary.chmod(mode)
    try:
        os.replace(temporary, path)
    except OSError:
        temporary.unlink()
        raise
