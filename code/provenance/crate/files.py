"""Describe files for a crate by size, checksum and media type; say which of them may be and can be copied."""

import os
from dataclasses import dataclass
from pathlib import PurePosixPath

from errors import InputError
from provenance.annex.integrity import KEY_CHECKSUM, file_checksum, is_pointer
from provenance.repository import ROOT

# Said here, since the tables of mimetypes differ from one system to the next.
MEDIA_TYPES = {
    ".cff": "application/yaml",
    ".gz": "application/gzip",
    ".html": "text/html",
    ".ipynb": "application/x-ipynb+json",
    ".js": "text/javascript",
    ".json": "application/json",
    ".md": "text/markdown",
    ".npz": "application/zip",
    ".png": "image/png",
    ".py": "text/x-python",
    ".svg": "image/svg+xml",
    ".toml": "application/toml",
    ".tsv": "text/tab-separated-values",
    ".lock": "text/plain",
    "": "text/plain",
}
PARTICIPANT_LEVEL = (
    "Not included, and neither are its size and checksum: participant level, or not declared to be public."
)
ABSENT = "Not included: its content was not in the clone that this crate was made in. Known by size and checksum."


@dataclass(frozen=True)
class FileFacts:
    """What is known of a file, in the words of RO-Crate, and whether it is copied."""

    properties: dict
    is_included: bool


def describe_file(path, declared, root=ROOT):
    """Describe a tracked file; an annexed one by its key, so that its content need not be here.

    `declared` holds the paths that may go; of others only the name is given.
    """
    media_type = MEDIA_TYPES.get(PurePosixPath(path).suffix, "application/octet-stream")
    properties = {"name": path, "encodingFormat": media_type}
    if path not in declared:
        return FileFacts(properties | {"description": PARTICIPANT_LEVEL}, False)
    key = find_key(root / path)
    if not (root / path).exists() or is_pointer(root / path):
        known = {"contentSize": key.group(1), "sha256": key.group(2)} if key else {}
        return FileFacts(properties | known | {"description": ABSENT}, False)
    checksum = file_checksum(root / path)
    if key is not None and checksum != key.group(2):
        raise InputError(f"{path}: its content does not fit its checksum; `make all` makes it again")
    return FileFacts(properties | {"contentSize": str((root / path).stat().st_size), "sha256": checksum}, True)


def find_key(path):
    """Return size and SHA-256 in the key of an annexed file, as a match; None for any other file."""
    if path.is_symlink():
        return KEY_CHECKSUM.search(os.readlink(path))
    return KEY_CHECKSUM.search(path.read_text()) if is_pointer(path) else None
