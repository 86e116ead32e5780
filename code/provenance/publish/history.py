"""Read every version of every file that some commits hold: what is published cannot leave its history out."""

import hashlib
import os
import re
import subprocess
from dataclasses import dataclass

from provenance.annex.integrity import KEY_CHECKSUM
from provenance.records.grading import ANNEX_OBJECT
from provenance.repository import ROOT, git, without_foreign

PRIVATE_INPUTS = ("inputs/contrasts", "inputs/behavior")  # masks are of no participant
LINK = "120000"
SUBDATASET = "160000"
POINTER = re.compile(rb"/annex/objects/([^/\n]+)")


@dataclass(frozen=True)
class Entry:
    """A version of a file in history: ``key`` is that of annexed content, None where the content lies in git."""

    path: str
    blob: str
    key: str | None


def read_history(*revisions, root=ROOT):
    """List every version of every file that some commits or their ancestors hold.

    Parameters
    ----------
    *revisions : str
        As git takes them, such as ``HEAD`` or ``--all``.

    Returns
    -------
    entries : list of Entry
        By path.
    contents : dict of str to bytes
        By blob id; of annexed files the link or pointer.
    """
    branches_of_annex = ("refs/heads/git-annex", "refs/remotes/*/git-annex", "refs/heads/synced/*")
    listing = git(
        "log", "--format=", "--raw", "-z", "--no-abbrev", "--no-renames", "-m", "--root",
        *(f"--exclude={branch}" for branch in branches_of_annex), *revisions, root=root,
    )  # fmt: skip
    fields = iter(listing.split("\0"))
    versions = set()
    for meta in (field.strip("\n") for field in fields):
        if not meta:  # between two commits
            continue
        path = next(fields)
        _, mode, _, blob, status = meta.split()
        if status != "D" and mode != SUBDATASET:
            versions.add((path, mode, blob))
    contents = read_blobs({blob for _, _, blob in versions}, root)
    return [Entry(path, blob, annexed_key(mode, contents[blob])) for path, mode, blob in sorted(versions)], contents


def annexed_key(mode, content):
    """Return the key that a link or the pointer of an unlocked file stands for, None for content of its own."""
    found = ANNEX_OBJECT.search(content) if mode == LINK else POINTER.match(content)
    return found.group(1).decode() if found else None


def read_blobs(blobs, root=ROOT):
    """Return the contents of git objects by id."""
    done = subprocess.run(
        ["git", "cat-file", "--batch"], cwd=root, env=without_foreign(os.environ), capture_output=True, check=True,
        input="".join(f"{blob}\n" for blob in sorted(blobs)).encode(),
    )  # fmt: skip
    contents, position = {}, 0
    while position < len(done.stdout):
        end = done.stdout.index(b"\n", position)
        blob, _, size = done.stdout[position:end].split()
        contents[blob.decode()] = done.stdout[end + 1 : end + 1 + int(size)]
        position = end + 2 + int(size)
    return contents


def private_past(is_private, root=ROOT):
    """Map the content of all files that ever lay at a participant-level path, on any branch, to that path.

    So do those of the inputs that are installed here: single participants' images and scores.

    Returns
    -------
    paths : dict of str to str
        By `identity`: a new name or a new ending changes nothing.
    """
    entries, contents = read_history("--all", "HEAD", root=root)
    past = _by_content([entry for entry in entries if is_private(entry.path)], contents)
    for dataset in PRIVATE_INPUTS:
        if (root / dataset / ".git").exists():
            entries, contents = read_history("HEAD", root=root / dataset)
            data = [entry for entry in entries if not entry.path.startswith(".")]
            past |= {content: f"{dataset}/{path}" for content, path in _by_content(data, contents).items()}
    return past


def _by_content(entries, contents):
    """Map what stands for the content of some files to their paths, empty files aside."""
    filled = [entry for entry in entries if contents[entry.blob]]
    return {identity(entry.key) if entry.key else checksum(contents[entry.blob]): entry.path for entry in filled}


def checksum(content):
    return hashlib.sha256(content).hexdigest()


def identity(key):
    """Return what stands for a content whatever its name: its SHA-256, or the key where that tells none."""
    found = KEY_CHECKSUM.match(key)
    return found.group(2) if found else key
