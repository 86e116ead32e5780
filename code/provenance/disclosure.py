"""Decide what may be published: by path, by content, and by the content's past; a name in the open stops it all."""

import gzip
import os
import re
import socket
import subprocess
import zipfile
import zlib
from dataclasses import dataclass
from fnmatch import fnmatch
from getpass import getuser
from pathlib import Path

from provenance.integrity import KEY_CHECKSUM
from provenance.records import RECORD
from provenance.repository import FOREIGN, ROOT, git
from provenance.reproduction import ANNEX_OBJECT

# A star stands for folders too. .gitattributes annexes these, so that a plain clone holds none of them.
PARTICIPANT_LEVEL = (
    "outputs/prep/*",
    "outputs/extract/*",
    "outputs/*predictions.*",
    "outputs/*split_fold-*",
    "outputs/*quality.*",
    "figures/participants/*",
)
# Where the names of participants stand as examples: code and what documents and tests it.
EXAMPLES = ("code/", "tests/", "docs/", ".github/", ".datalad/", "README.md", "CHANGES.md", "DESIGN.md", "inputs/")
NAMES = re.compile(rb"\bsub-[A-Za-z0-9]+")
ADDRESS = re.compile(rb"(?m)^\s*url\s*=\s*((?:/|file:|ssh:|ria\+file:|ria\+ssh:|[^\s/:]+@)\S*)")


@dataclass(frozen=True)
class Entry:
    """A version of a file in history: ``key`` is that of annexed content, None where the content lies in git."""

    path: str
    mode: str
    blob: str
    key: str | None


def is_participant_level(path):
    return not path.endswith("/" + RECORD) and any(fnmatch(path, pattern) for pattern in PARTICIPANT_LEVEL)


def read_history(revisions, root=ROOT):
    """List every version of every file that some commits or their ancestors hold.

    Parameters
    ----------
    revisions : list of str
        As git takes them, such as ``["HEAD"]`` or ``["--branches", "--tags"]``.

    Returns
    -------
    entries : set of Entry
    contents : dict of str to bytes
        By blob id, of what lies in git.
    """
    listing = git(
        "log", "--format=", "--raw", "-z", "--no-abbrev", "--no-renames", "-m", "--root",
        "--exclude=refs/heads/git-annex", "--exclude=refs/heads/synced/*", *revisions, root=root,
    )  # fmt: skip
    fields = [field for field in listing.split("\0") if field.strip("\n")]
    versions = set()
    for meta, path in zip(fields[::2], fields[1::2], strict=True):
        _, mode, _, blob, status = meta.strip("\n").split()
        if status != "D" and mode != "160000":
            versions.add((path, mode, blob))
    contents = read_blobs({blob for _, _, blob in versions}, root)
    entries = set()
    for path, mode, blob in versions:
        found = ANNEX_OBJECT.search(contents[blob][:1000]) if len(contents[blob]) < 32_768 else None
        entries.add(Entry(path, mode, blob, found.group(1).decode() if found else None))
    return entries, contents


def read_blobs(blobs, root=ROOT):
    """Return the contents of git objects by id."""
    environment = {key: value for key, value in os.environ.items() if key not in FOREIGN}
    done = subprocess.run(
        ["git", "cat-file", "--batch"], cwd=root, env=environment, capture_output=True, check=True,
        input="".join(f"{blob}\n" for blob in sorted(blobs)).encode(),
    )  # fmt: skip
    contents, position = {}, 0
    while position < len(done.stdout):
        end = done.stdout.index(b"\n", position)
        blob, _, size = done.stdout[position:end].split()
        contents[blob.decode()] = done.stdout[end + 1 : end + 1 + int(size)]
        position = end + 2 + int(size)
    return contents


def private_past(entries):
    """Map the keys that lay at a participant-level path in any version to that path: a new name changes nothing."""
    return {entry.key: entry.path for entry in sorted(entries, key=lambda entry: entry.path)
            if entry.key and is_participant_level(entry.path)}  # fmt: skip


def participant_names(root=ROOT):
    """Return a pattern of the participants' ids: those of the study where its table is here, and any ``sub-...``."""
    found = set()
    for table in (root / "inputs/behavior/participants.tsv", root / "outputs/prep/trials.tsv"):
        if table.exists():
            header, *rows = table.read_text().splitlines()
            if "participant_id" in header.split("\t"):
                column = header.split("\t").index("participant_id")
                found |= {row.split("\t")[column] for row in rows if row}
    own = [re.escape(name.encode()) for name in found if len(name) > 2]
    return re.compile(rb"\b(?:" + b"|".join([*own, rb"sub-[A-Za-z0-9]+"]) + rb")\b") if own else NAMES


def machine_names(*addresses):
    """Return what would tell of this machine and its users, and addresses that are nobody's business."""
    host = socket.gethostname()
    home = str(Path.home())
    secrets = {str(ROOT), f"{getuser()}@{host}", *filter(None, addresses)}
    if len(host) > 3 and host != "localhost":
        secrets.add(host)
    if home not in ("/", "/root"):
        secrets.add(home + "/")
    return sorted(secret.encode() for secret in secrets)


def find_name(content, pattern):
    """Return the first participant's name in a file's content, unpacked where it is packed; None if there is none."""
    found = pattern.search(content)
    return found.group().decode(errors="replace") if found else None


def unpacked(path):
    """Return the bytes of a file with those of the archives that it may be."""
    raw = path.read_bytes()
    if path.name.endswith(".gz"):
        try:
            return raw[:4096] + gzip.decompress(raw)
        except (OSError, EOFError, zlib.error):
            return raw
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return raw + b"".join(archive.read(name) for name in archive.namelist())
    return raw


def violations(entries, contents, private, secrets, names, messages):
    """Say what in the published history breaks the rule; a push cannot leave such a thing behind.

    Parameters
    ----------
    entries, contents
        From `read_history`, of what is to be published.
    private : dict of str to str
        From `private_past`.
    secrets : list of bytes
    names : Pattern
    messages : str
        Of all commits.

    Returns
    -------
    problems : list of str
    """
    checksums = {KEY_CHECKSUM.search(key).group(2): path for key, path in private.items() if KEY_CHECKSUM.search(key)}
    problems = set()
    for entry in entries:
        content = contents[entry.blob]
        problems |= {f"{entry.path} holds {secret.decode()}" for secret in secrets if secret in content}
        if entry.key:
            continue
        if is_participant_level(entry.path):
            problems.add(f"{entry.path} is participant-level and lies in git; only the annex keeps it back")
            continue
        copied = checksums.get(_sha256(content)) if content else None
        if copied:
            problems.add(f"{entry.path} is a copy of {copied}, which is participant-level, and lies in git")
        elif not entry.path.startswith(EXAMPLES) and (name := find_name(content, names)):
            problems.add(f"{entry.path} names a participant ({name}) and lies in git")
        if entry.path == ".gitmodules" and (address := ADDRESS.search(content)):
            problems.add(f".gitmodules tells where private inputs lie ({address.group(1).decode()})")
    problems |= {f"a commit message holds {secret.decode()}" for secret in secrets if secret.decode() in messages}
    return sorted(problems)


def _sha256(content):
    from hashlib import sha256

    return sha256(content).hexdigest()
