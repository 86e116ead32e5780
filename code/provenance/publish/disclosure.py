"""Tell by path and by content what concerns single participants or this machine, and so must not be published."""

import bz2
import gzip
import io
import lzma
import os
import re
import socket
import zipfile
import zlib
from getpass import getuser
from pathlib import Path

from provenance.publish.participant_names import find_trial_hover

RESULTS = ("outputs/", "figures/")
# Where ids stand as examples: code and what documents and tests it.
EXAMPLES = ("code/", "tests/", "docs/", ".github/", ".datalad/", "README.md", "CHANGES.md")
PACKED = {b"\x1f\x8b": gzip.decompress, b"BZh": bz2.decompress, b"\xfd7zXZ": lzma.decompress}
DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError, zipfile.BadZipFile, RuntimeError)
# Logins and hosts that are many people's.
COMMON = {"root", "user", "users", "admin", "guest", "home", "nobody", "test", "tester", "runner", "jovyan", "ubuntu",
          "debian", "docker", "vscode", "data", "localhost"}  # fmt: skip
SHORTEST = 4  # characters of a host's or a user's name that is looked for


def unpack(content):
    """Yield a file's bytes and then, down to the last, those of the files that are packed in it."""
    yield content
    for magic, decompress in PACKED.items():
        if content.startswith(magic):
            try:
                yield from unpack(decompress(content))
            except DAMAGED:
                return
    if content.startswith(b"PK\x03\x04"):
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                for name in archive.namelist():
                    yield name.encode()
                    yield from unpack(archive.read(name))
        except DAMAGED:
            return


def why_participant_level(parts, names, is_example=False):
    """Say what in a file's content concerns a participant.

    Parameters
    ----------
    parts : list of bytes
        From `unpack`.
    names : provenance.publish.participant_names.Names
    is_example : bool
        Whether ids of the form of the synthetic ones are examples there.

    Returns
    -------
    reason : str or None
    """
    for part in parts:
        found = names.find_in_example(part) if is_example else names.find_in_result(part)
        if found:
            return f"it names {found}"
        if not is_example and find_trial_hover(part):
            return "it shows single trials under the cursor"
    return None


class Machine:
    """What would tell of this machine, its users, and places that are nobody's business."""

    def __init__(self, places, open_place="", ordinary=""):
        """Gather the names.

        Parameters
        ----------
        places : iterable of str
            Folders and addresses besides.
        open_place : str
            The public store's folder, which may be told.
        ordinary : str
            A text of this project: a host or a login that is a word of it tells nothing, but as ``login@host``.
        """
        host, home, login = socket.gethostname(), str(Path.home()), user_name()
        everywhere = {place for place in places if len(place) >= SHORTEST} | {f"{login or 'user'}@{host}"}
        usual = COMMON | set(re.findall(r"\w+", ordinary.lower()))
        telling = {name for name in (host, login) if len(name) >= SHORTEST and name.lower() not in usual}
        everywhere |= telling - {login}
        if len(Path(home).parts) > 2:
            everywhere.add(home)
        # git-annex writes a space as its number. What only begins like the open place is another.
        forms = {re.escape(os.fsencode(form)) for form in (open_place, open_place.replace(" ", "&32;")) if form}
        self._open = re.compile(rb"(?:" + b"|".join(sorted(forms)) + rb")(?![\w-]|\.\w)") if forms else None
        self._everywhere = sorted(map(os.fsencode, everywhere))
        self._in_results = sorted(map(os.fsencode, everywhere | telling))

    def find(self, content, in_result=False):
        """Return the first of these names in a content; a login alone counts in results only. None if there is none."""
        content = self._open.sub(b"", content) if self._open else content
        words = self._in_results if in_result else self._everywhere
        found = next((word for word in words if word in content and _is_apart(word, content)), None)
        return found.decode(errors="replace") if found else None


def user_name():
    try:
        return getuser()
    except (KeyError, OSError):  # an account without a name, as in containers
        return ""


def _is_apart(word, content):
    return re.search(rb"(?<![A-Za-z0-9_])" + re.escape(word) + rb"(?![A-Za-z0-9_-])", content) is not None
