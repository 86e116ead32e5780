"""Return whether the content of annexed files is here and fits the checksums in their names; fetch it.

What was found whole is remembered with its size and times (in ``.git/facepain``), so that the next look takes no
longer than a look at the folder. Content that changes without its times is found by ``make verify``, which reads all.
"""

import hashlib
import json
import os
import re
import subprocess
from pathlib import Path

from errors import InputError
from provenance.repository import ROOT, datalad, git_folder, object_ids, read_blobs, read_state, write_whole

# The object that a link or a pointer to annexed content names; its key.
ANNEX_OBJECT = re.compile(rb"(?:^|/)annex/objects/(?:[^/\n]+/)*([^/\n]+)\n?$")
POINTER = re.compile(rb"/annex/objects/([^/\n]+)\n?")  # the whole of a file that only names its content
KEY_CHECKSUM = re.compile(r"SHA256E?-s(\d+)--([0-9a-f]{64})")
REMOVED, CHANGED = "its file was removed", "differs from its commit"
CORRUPT = "its content here does not fit its checksum"


def broken_files(paths, root=ROOT):
    """Return those of some annexed files whose content is here but is not what was recorded, by paths from the root.

    Files in git and absent ones are passed over.
    """
    memory = git_folder(root) / "whole.json"
    known = read_state(memory)
    seen, broken = dict(known), []
    for path in paths:
        checksum = recorded_checksum(root / path)
        if not checksum or not (root / path).exists():
            continue
        found = (root / path).stat()
        state = [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]
        if known.get(checksum) == state:
            continue
        if file_checksum(root / path) == checksum:
            seen[checksum] = state
        else:
            broken.append(path)
    if seen != known:
        write_whole(memory, json.dumps(seen, sort_keys=True))
    return broken


def require_whole(path):
    """Stop if content of an input dataset, at a path from the root, is broken: no stage can make it again.

    Returns the files that it records, only its folder where it is not installed.
    """
    if not (ROOT / path / ".git").exists():
        return [ROOT / path / ".git"]
    files = object_ids(root=ROOT / path)
    for file in broken_files(files, ROOT / path):
        raise InputError(
            f"{path}/{file}: its content does not fit its checksum; set it aside with `git -C {path} annex fsck "
            f"{file}`, then `make inputs` or `datalad get` brings it back"
        )
    return [ROOT / path / file for file in files]


def recorded_checksum(path):
    """Return the SHA-256 in the name of the object that a link points to, None for anything else."""
    if not path.is_symlink():
        return None
    found = KEY_CHECKSUM.search(os.readlink(path))
    return found.group(2) if found else None


def file_checksum(path):
    with open(path, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def find_alterations(recorded, root=ROOT, objects=ROOT):
    """Return how files differ from what is recorded, by path from the root, however git is told to look at them.

    `recorded` is as from `read_tree`, `objects` is a repository that holds it. Every file is read.
    """
    found = {}
    for path, (mode, id_) in recorded.items():
        place = root / path
        if mode == "160000":
            continue
        if not (place.is_symlink() or place.is_file()):
            found[path] = REMOVED
        elif blob_id(place) != id_ and not _is_unlocked(place, id_, objects):
            found[path] = CHANGED
        elif place.exists() and (checksum := recorded_checksum(place)) and file_checksum(place) != checksum:
            found[path] = CORRUPT
    return found


def _is_unlocked(path, id_, objects):
    """Return whether a file stands for the annexed content that is recorded: it names that, or holds it unlocked."""
    recorded = read_blobs({id_}, objects)[id_]
    if is_pointer(path):
        named, expected = POINTER.fullmatch(path.read_bytes()), ANNEX_OBJECT.search(recorded)
        return bool(named and expected) and named.group(1) == expected.group(1)
    return recorded.startswith(b"/annex/objects/") and path.is_file() and file_checksum(path).encode() in recorded


def blob_id(path):
    """Return the id that git gives to a file or link as it lies there."""
    content = os.fsencode(os.readlink(path)) if path.is_symlink() else path.read_bytes()
    return hashlib.sha1(b"blob %d\0%b" % (len(content), content)).hexdigest()


def is_here(path):
    """Return whether the content of a file is here, locked or not."""
    return path.exists() and not is_pointer(path)


def is_pointer(path):
    """Return whether a file only stands for annexed content that is not here, as an unlocked one does."""
    if path.is_symlink() or not path.is_file():
        return False
    with open(path, "rb") as content:
        return content.read(15) == b"/annex/objects/"


def fetch_content(folder, names=("",)):
    """Fetch annexed content that is not here yet: of a dataset, or of some of its files; broken content stops."""
    if folder.startswith("inputs/"):
        require_whole(folder)
    found = [path for name in names for path in (Path(folder, name), *Path(folder, name).rglob("*"))]
    absent = [path for path in found if ".git" not in path.parts and os.path.lexists(path) and not is_here(path)]
    if not absent:
        return
    print(f"{folder}: fetching {len(absent)} file(s)", flush=True)
    command = ["git", "annex", "get", "--quiet", "--", *(name or "." for name in names)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if not all(map(is_here, absent)):
        # DataLad knows more ways to get there, but takes a second to start, and keeps git-annex's reason to itself.
        datalad("get", "--dataset", folder, *(str(Path(folder, name)) for name in names))
    if absent := [path for path in absent if not is_here(path)]:
        said = (done.stderr + done.stdout).strip().splitlines() or ["no reason given"]
        reason = next((line for line in said if "changed" in line), said[-1])
        others = f" and {len(absent) - 1} more" if absent[1:] else ""
        raise InputError(
            f"{absent[0]}{others} cannot be fetched ({reason.strip()[:200]}); "
            "make the place that has them reachable; after a change of your own files `make own` records it"
        )
