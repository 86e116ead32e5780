"""Return whether the content of annexed files fits the checksums in their names, reading each file only once.

What was found whole is remembered with its size and times (in ``.git/facepain``), so that the next look takes no
longer than a look at the folder. Content that changes without its times is found by ``make verify``, which reads all.
"""

import hashlib
import json
import os
import re

from errors import InputError
from provenance.repository import ROOT, git_folder, object_ids

KEY_CHECKSUM = re.compile(r"SHA256E?-s(\d+)--([0-9a-f]{64})")


def broken_files(paths, root=ROOT):
    """Return those of some annexed files whose content is here but is not what was recorded, by paths from the root.

    Files in git and absent ones are passed over.
    """
    memory = git_folder(root) / "whole.json"
    known = _recall(memory)
    seen, broken = dict(known), []
    for path in paths:
        checksum = recorded_checksum(root / path)
        if not checksum or not (root / path).exists():
            continue
        state = _state(root / path)
        if known.get(checksum) == state:
            continue
        if file_checksum(root / path) == checksum:
            seen[checksum] = state
        else:
            broken.append(path)
    if seen != known:
        temporary = memory.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(seen, sort_keys=True))
        os.replace(temporary, memory)
    return broken


def require_whole(path, root=ROOT):
    """Stop if content of an input dataset, at a path from the root, is broken: no stage can make it again."""
    if (root / path / ".git").exists():
        for file in broken_files(object_ids(root=root / path), root / path):
            raise InputError(
                f"{path}/{file}: its content does not fit its checksum; set it aside with `git -C {path} annex fsck "
                f"{file}`, then `make inputs` or `datalad get` brings it back"
            )


def recorded_checksum(path):
    """Return the SHA-256 in the name of the object that a link points to, None for anything else."""
    if not path.is_symlink():
        return None
    found = KEY_CHECKSUM.search(os.readlink(path))
    return found.group(2) if found else None


def file_checksum(path):
    with open(path, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def is_corrupt(path):
    """Read an annexed file whole and return whether it does not fit its checksum."""
    checksum = recorded_checksum(path)
    return checksum is not None and path.exists() and file_checksum(path) != checksum


def is_pointer(path):
    """Return whether a file only stands for annexed content that is not here, as an unlocked one does."""
    if path.is_symlink() or not path.is_file():
        return False
    with open(path, "rb") as content:
        return content.read(15) == b"/annex/objects/"


def _state(path):
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _recall(memory):
    try:
        return json.loads(memory.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
