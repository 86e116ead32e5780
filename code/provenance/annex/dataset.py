"""Write a DataLad dataset whose commit is the same on every machine.

``datalad create`` and ``datalad save`` record who ran them, where, when and under which git configuration. Here the
dataset is written by plumbing instead, so that the commit depends on nothing but the paths, the bytes, the dataset id
and the message. What has to differ from one copy to the next (the annex's own id and its record of where content lies)
is on the ``git-annex`` branch, which no superdataset pins.
"""

import hashlib
import os
import re
import shutil
import stat
import subprocess
from contextlib import contextmanager
from itertools import chain
from pathlib import PurePosixPath

from errors import InputError
from provenance.repository import search_path

AUTHOR_NAME = "The face of pain"
AUTHOR_EMAIL = "noreply@face-of-pain.invalid"
COMMIT_TIME = 1623024000  # 2021-06-07 00:00 UTC, the year of the study
ANNEX_NAME = "rebuilt-inputs"
ASIDE = ".git/annexed"  # content on its way to .git/annex/objects
IN_GIT_SUFFIXES = (".json", ".md", ".tsv", ".txt")


def build_dataset(path, files, dataset_id, message):
    """Build a git-annex and DataLad dataset in a folder that is absent or empty, and move it into place whole.

    `files` are read one by one: path from the folder, with ``/``, and content as bytes. `dataset_id` is DataLad's, a
    UUID. Returns the only commit, with that message; it depends on the arguments alone.
    """
    if path.is_symlink() or path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise InputError(f"{path} is not an empty folder: move it away before building in it")
    if shutil.which("git-annex", path=search_path()) is None:
        raise InputError("git-annex is not installed: run `pip install -r requirements.lock`")
    with building_folder(path) as folder:
        run_neutral(folder, "git", "init", "--quiet", "--object-format=sha1", "-b", "main", "--template=")
        keys, texts = _store_files(folder, chain(_own_files(dataset_id), files))
        locations = _place_objects(folder, sorted(set(keys.values())))
        tree = [("100644", name, content) for name, content in texts.items()]
        tree += [("120000", name, ("../" * name.count("/") + locations[key]).encode()) for name, key in keys.items()]
        import_commit(folder, "main", f"{AUTHOR_NAME} <{AUTHOR_EMAIL}> {COMMIT_TIME} +0000", f"{message}\n", tree)
        run_neutral(folder, "git", "reset", "--quiet", "--hard")
        settle_index(folder)
        _record_copies(folder, locations)
        commit = run_neutral(folder, "git", "rev-parse", "HEAD").strip()
        os.replace(folder, path)
    return commit


def is_annexed(path):
    """Return whether a file's content goes to the annex, by its path; text is kept in git."""
    path = PurePosixPath(path)
    hidden = any(part.startswith(".") for part in path.parts)
    return not hidden and path.suffix not in IN_GIT_SUFFIXES


def remove_tree(path):
    """Remove a folder with the read-only folders that git-annex keeps its objects in."""
    for parent, _, _ in os.walk(path):
        os.chmod(parent, stat.S_IRWXU)
    shutil.rmtree(path)


@contextmanager
def building_folder(path):
    """Give an empty folder beside `path`, and remove it unless it was moved away.

    It lies beside `path` and not in the system's temporary folder so that the move is a rename; its name is fixed so
    that a killed build is found and removed by the next one.
    """
    folder = path.with_name(f".{path.name}.building")
    if folder.exists():
        remove_tree(folder)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        if folder.exists():
            remove_tree(folder)


def _own_files(dataset_id):
    """Return the files by which DataLad and git-annex know how to go on in the dataset."""
    in_git = "".join(f"*{suffix} annex.largefiles=nothing\n" for suffix in IN_GIT_SUFFIXES)
    # -text: the bytes are the same in every work tree, whatever core.autocrlf says.
    attributes = (
        "* -text annex.backend=SHA256E annex.largefiles=anything\n"
        f"{in_git}"
        "**/.git* annex.largefiles=nothing\n"
        ".datalad/** annex.largefiles=nothing\n"
    )
    config = f'[datalad "dataset"]\n\tid = {dataset_id}\n'
    return [(".datalad/config", config.encode()), (".gitattributes", attributes.encode())]


def _store_files(folder, files):
    """Store annexed files aside; return their keys, and the contents of all other files, by path."""
    aside = folder / ASIDE
    aside.mkdir()
    keys, texts = {}, {}
    for path, content in files:
        if is_annexed(path):
            # As git-annex's SHA256E backend, which keeps up to two extensions of up to four characters each.
            extension = re.search(r"(\.[A-Za-z0-9]{1,4}){0,2}$", PurePosixPath(path).name).group()
            keys[path] = f"SHA256E-s{len(content)}--{hashlib.sha256(content).hexdigest()}{extension}"
            (aside / keys[path]).write_bytes(content)
        else:
            texts[path] = content
    return keys, texts


def _place_objects(folder, keys):
    """Move what was stored aside to where git-annex looks for it; return key to location."""
    locations = {}
    for key, hash_folder in annex_folders(folder, keys, "hashdirmixed"):
        locations[key] = f".git/annex/objects/{hash_folder}{key}/{key}"
        target = folder / locations[key]
        target.parent.mkdir(parents=True)
        os.replace(folder / ASIDE / key, target)
        target.chmod(0o444)
        target.parent.chmod(0o555)
    (folder / ASIDE).rmdir()
    return locations


def annex_folders(repository, keys, layout):
    """Return keys with the folders that git-annex gives them, in a layout such as ``hashdirlower``, as tuples."""
    lines = "".join(f"{key}\n" for key in keys).encode()
    command = ("git-annex", "examinekey", "--batch", f"--format=${{{layout}}}\\n")
    return list(zip(keys, run_neutral(repository, *command, stdin=lines).splitlines(), strict=True))


def import_commit(folder, branch, committer, message, files):
    """Write a branch of one commit; `files` are tuples (mode, path, content), the last as bytes."""
    stream = [f"commit refs/heads/{branch}\ncommitter {committer}\n".encode(), _count(message.encode())]
    stream += [f"M {mode} inline {path}\n".encode() + _count(content) for mode, path, content in files]
    run_neutral(folder, "git", "fast-import", "--quiet", "--force", "--date-format=raw", stdin=b"".join(stream))


def _count(content):
    """Return bytes as ``git fast-import`` reads them, preceded by their number."""
    return b"data %d\n%b\n" % (len(content), content)


def settle_index(folder):
    """Make files older than git's index, so that the next `git status` need not read them.

    It would through git-annex's filter, which takes a while, and complains where git-annex is not on the path.
    """
    for name in run_neutral(folder, "git", "ls-files", "-z").split("\0")[:-1]:
        if os.path.lexists(folder / name):
            os.utime(folder / name, (COMMIT_TIME, COMMIT_TIME), follow_symlinks=False)
    run_neutral(folder, "git", "update-index", "--refresh", "-q")


def _record_copies(folder, keys):
    """Make the repository an annex and note that it holds the content of every key."""
    run_neutral(folder, "git-annex", "init", "--quiet", ANNEX_NAME)
    uuid = run_neutral(folder, "git", "config", "annex.uuid").strip()
    present = "".join(f"{key} {uuid} 1\n" for key in keys).encode()
    run_neutral(folder, "git-annex", "setpresentkey", "--quiet", "--batch", stdin=present)
    # Until it is merged the record lies in a journal, and clones see no copies.
    run_neutral(folder, "git-annex", "merge", "--quiet")


def run_neutral(folder, *command, stdin=b""):
    """Run git or git-annex so that no setting or name of the user or the machine reaches it; return what it prints."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment = kept | {
        "PATH": search_path(),
        "LC_ALL": "C",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": "core.attributesFile",
        "GIT_CONFIG_VALUE_0": os.devnull,
        # Mounted folders often belong to another user; git refuses these where not told.
        "GIT_CONFIG_KEY_1": "safe.directory",
        "GIT_CONFIG_VALUE_1": "*",
        # Without these the git-annex branch carries the names of the user and of the host.
        "GIT_AUTHOR_NAME": AUTHOR_NAME,
        "GIT_AUTHOR_EMAIL": AUTHOR_EMAIL,
        "GIT_COMMITTER_NAME": AUTHOR_NAME,
        "GIT_COMMITTER_EMAIL": AUTHOR_EMAIL,
    }
    # git-annex goes by its own name: `git annex` would leave it running when git is killed.
    done = subprocess.run(command, cwd=folder, env=environment, input=stdin, capture_output=True)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or b"no message").decode(errors="replace").splitlines()
        cause = next((line for line in said if line.startswith("fatal:")), said[-1])
        raise InputError(
            f"`{' '.join(command[:2])}` failed in {folder}: {cause}; fix that, then run the same command again"
        )
    return done.stdout.decode(errors="replace")
