"""Let one process at a time work in this repository, end it as ordered, and put back or remove what it left."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from errors import InputError
from provenance.annex.dataset import remove_tree
from provenance.repository import ROOT, changed_files, git, git_folder, read_state, without_foreign, write_whole
from provenance.run.guard import end_group

MARKER = "running.json"
DISK_LOW = 50e6  # bytes
LOCK_PATIENCE = 3.0  # seconds: a git at work keeps its lock for less
HELD = []  # descriptors of the locks that this process holds
PATIENCE = 0.5  # seconds between two looks whether another process lives
SUPERVISOR = "FACEPAIN_SUPERVISOR"  # in the environment of what is run: the process that ordered it


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
def only_one():
    """Hold the lock of this repository: two runs at once would corrupt each other's commits."""
    with open(git_folder() / "lock", "a+") as file:
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


def note_run(cell):
    """Note which folder a run may leave half-changed; return the note, to be removed when the run ended well."""
    note = git_folder() / MARKER
    write_whole(note, json.dumps({"cell": cell.name, "folder": cell.folder, "started": time.time()}))
    return note


def restore_interrupted(root=ROOT, quietly=False):
    """Undo what an interrupted run left in its own output folder, and say so."""
    marker = git_folder(root) / MARKER
    if not marker.exists():
        return
    interrupted = read_state(marker)
    if not interrupted:  # a power failure leaves it empty: what is half-changed is named as for any edit
        marker.unlink()
        return
    remove_stale_locks(interrupted.get("started", 0), root)
    folder = interrupted["folder"]
    make_plain(interrupted["cell"], root)
    if any(line[3:].startswith(folder) for line in changed_files(root)):
        if not quietly:
            print(f"an earlier run was interrupted: {folder} is put back to its last commit")
        restore(folder, root)
    # Half-written results would fill the disk.
    shutil.rmtree(git_folder(root) / "partial", ignore_errors=True)
    marker.unlink()


def restore(folder, root=ROOT):
    """Put an output folder back to its last commit."""
    git("reset", "--quiet", "--", folder, root=root, check=False)
    if git("ls-tree", "HEAD", "--", folder, root=root):
        git("checkout", "--quiet", "HEAD", "--", folder, root=root)
    git("clean", "-fdqx", "--", folder, root=root)


def make_plain(name, root=ROOT):
    """Put the commit of a result's run on top of a commit that somebody made meanwhile.

    There DataLad saves the outputs and then writes the run record into a merge, which holds the changes of others too.
    That merge is made again as one commit with the folder of the result and nothing else.
    """
    head, *parents = git("rev-list", "--parents", "-1", "HEAD", root=root).split()
    if len(parents) != 2 or git("log", "-1", "--format=%s", head, root=root) != f"[DATALAD RUNCMD] {name}":
        return
    theirs = parents[1]
    if git("log", "-1", "--format=%s", theirs, root=root) == "Remaining changes after command execution":
        theirs = git("rev-parse", f"{theirs}^", root=root)
    plain = theirs
    if git("diff", "--name-only", theirs, head, root=root):
        message = git("log", "-1", "--format=%B", head, root=root)
        plain = git("commit-tree", f"{head}^{{tree}}", "-p", theirs, "-m", message, root=root)
    git("update-ref", "HEAD", plain, head, root=root)


@contextmanager
def scratch_folder(purpose):
    """Give a temporary folder for a purpose, such as ``verify``, and remove it, those of killed processes before."""
    scratch_folders(purpose)
    note = git_folder() / f"{purpose}-{os.getpid()}"
    with open(note, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        folder = Path(tempfile.mkdtemp(prefix=f"facepain-{purpose}-"))
        file.write(str(folder))
        file.flush()
        try:
            yield folder
        finally:
            remove_tree(folder)
            note.unlink()


def scratch_folders(purpose):
    """List the folders of processes that live, as their locks on the notes say; remove those of dead ones."""
    found = []
    for note in git_folder().glob(f"{purpose}-*"):
        with suppress(FileNotFoundError), open(note) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                found += [Path(text)] if (text := file.read()) else []
                continue
            if text := file.read():  # else it is just being written
                if os.path.exists(text):
                    remove_tree(text)
                note.unlink()
    return found


def stop_cleanly():
    """Raise KeyboardInterrupt on SIGINT, SIGTERM and SIGHUP, unless these are ignored, as under nohup."""

    def stop(number, _frame):
        raise KeyboardInterrupt(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)


def stop_with_caller():
    """Stop as by SIGTERM when the process that called this one, such as ``make``, is gone."""
    caller = os.getppid()
    _watch(lambda: os.getppid() == caller, lambda: os.kill(os.getpid(), signal.SIGTERM))


def stop_with_supervisor():
    """End this process and its group when the process that ordered the run is gone: no orphan goes on writing."""
    if supervisor := os.environ.get(SUPERVISOR):
        _watch(lambda: _lives(int(supervisor)), lambda: os.killpg(0, signal.SIGKILL))


def _watch(condition, end):
    def watch():
        while condition():
            time.sleep(PATIENCE)
        end()

    threading.Thread(target=watch, daemon=True).start()


def _lives(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def supervise(command, root):
    """Run a command in a process group of which nothing is left when this process ends; return its exit status."""
    environment = without_foreign(os.environ) | {SUPERVISOR: str(os.getpid())}
    process = subprocess.Popen(command, cwd=root, env=environment, start_new_session=True)
    guard = [sys.executable, "-I", str(Path(__file__).with_name("guard.py")), str(process.pid)]
    guard = subprocess.Popen(guard, stdin=subprocess.PIPE, start_new_session=True, pass_fds=HELD)
    try:
        return process.wait()
    except KeyboardInterrupt:
        end_group(process.pid)
        process.wait()
        restore_interrupted(root)
        raise
    finally:
        # A command that was killed alone leaves children, which must not write on.
        if process.poll() is not None:
            end_group(process.pid)
            guard.stdin.write(b"done")
        guard.stdin.close()
        guard.wait()
