"""Let one process at a time work in this repository, and remove the locks that a killed one left."""

import fcntl
import os
import time
from contextlib import contextmanager

from errors import InputError
from provenance.repository import ROOT, git_folder

LOCK_PATIENCE = 3.0  # seconds: a git at work keeps its lock for less
HELD = []  # descriptors of the locks that this process holds


def remove_stale_locks(started, root):
    """Remove the locks that a killed run left in ``.git``; wait for those of a git that is at work.

    Stop if a lock stays that is older than the start of the killed run: it is not its own.
    """
    folder = git_folder(root).parent
    names = ("index.lock", "HEAD.lock", "config.lock", "packed-refs.lock", "annex/index.lock")
    candidates = [folder / name for name in names] + list((folder / "refs/heads").rglob("*.lock"))
    for lock in candidates:
        deadline = time.monotonic() + LOCK_PATIENCE
        while lock.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        if not lock.exists():
            continue
        if lock.stat().st_mtime < started:
            shown = os.path.relpath(lock, root)
            raise InputError(f"{shown}: another git is at work here or was killed; if none runs, `rm {shown}`")
        lock.unlink(missing_ok=True)


@contextmanager
def only_one(root=ROOT):
    """Hold the lock of this repository: two runs at once would corrupt each other's commits."""
    path = git_folder(root) / "lock"
    with open(path, "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            print(f"waiting: process {file.read().strip() or '?'} is at work in this repository", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        # A guard inherits the lock, and with it keeps it while orphans are ended.
        os.set_inheritable(file.fileno(), False)
        HELD.append(file.fileno())
        try:
            yield
        finally:
            HELD.remove(file.fileno())
