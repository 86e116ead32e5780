"""Temporary folders, each with a note in ``.git/facepain`` of the process that it belongs to."""

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

from provenance.annex.dataset import remove_tree
from provenance.repository import git_folder, write_whole
from provenance.run.supervision import lives


@contextmanager
def scratch_folder(purpose):
    """Give a folder for a purpose, such as ``verify``, and remove it, those of killed processes before."""
    scratch_folders(purpose)
    folder, note = Path(tempfile.mkdtemp(prefix=f"facepain-{purpose}-")), git_folder() / f"{purpose}-{os.getpid()}"
    write_whole(note, str(folder))
    try:
        yield folder
    finally:
        _remove(note)


def scratch_folders(purpose):
    """List the folders of processes that live; remove those of dead ones."""
    found = []
    for note in git_folder().glob(f"{purpose}-*"):
        process = note.name.removeprefix(f"{purpose}-")
        if not process.isdigit():  # not whole yet
            continue
        if lives(int(process)):
            found.append(Path(note.read_text()))
        else:
            _remove(note)
    return found


def _remove(note):
    folder = Path(note.read_text())
    if folder.exists():
        remove_tree(folder)
    note.unlink()
