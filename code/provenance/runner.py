"""Run stale and absent cells, each by its own ``datalad run``, and leave the tree whole whatever happens."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from facepain.errors import InputError
from provenance.freshness import ABSENT, FRESH, assess
from provenance.guard import end_group
from provenance.integrity import broken_files
from provenance.records import is_read
from provenance.repository import (
    ROOT,
    changed_files,
    git,
    git_folder,
    object_ids,
    require_clean_tree,
    require_writable,
    without_foreign,
    write_whole,
)
from provenance.reproduction import GONE, UPDATED, grade_outputs

MARKER = "running.json"
LOCK_PATIENCE = 3.0  # seconds: a git at work keeps its lock for less
DISK_LOW = 50e6  # bytes
KEEP_LOGS = 30 * 86400  # seconds
HELD = []  # descriptors of the locks that this process holds


def run_stage_cells(cells, root=ROOT):
    """Run those of some cells that are not fresh, in order.

    Parameters
    ----------
    cells : list of Cell
        Of one stage.

    Raises
    ------
    InputError
        If the tree is dirty or a cell fails; its folder is then as it was.
    """
    with only_one(root):
        restore_interrupted(root)
        states = assess(cells, root)
        waiting = [cell for cell in cells if states[cell.name].state != FRESH]
        for cell in cells:
            if cell not in waiting:
                log_outcome({"cell": cell.name, "ran": False}, root)
        if not waiting:
            print(f"{cells[0].stage}: fresh")
            return
        require_clean_tree(root)
        for number, cell in enumerate(waiting, 1):
            state = states[cell.name]
            print(f"[{number}/{len(waiting)}] {cell.name}: {state.state}, {state.reasons[0]}", flush=True)
            run_cell(cell, reproduces=state.state == ABSENT, root=root)


def run_cell(cell, reproduces, root=ROOT):
    """Run one cell by ``datalad run`` and grade its outputs against the recorded ones.

    Parameters
    ----------
    cell : Cell
    reproduces : bool
        Whether a record with the same inputs may exist, so that a difference would count.
    """
    require_writable(cell.folder, root)
    set_broken_aside(cell, root)
    before = git("rev-parse", "HEAD", root=root)
    marker = git_folder(root) / MARKER
    write_whole(marker, json.dumps({"cell": cell.name, "folder": cell.folder, "started": time.time()}))
    command = ["datalad", "-l", "error", "-f", "disabled", "run", "-m", cell.name]
    for read in cell.reads:
        command += ["--input", read]
    finished = supervise([*command, "--output", cell.folder, cell.command], root)
    if finished != 0:
        free = shutil.disk_usage(root).free
        restore_interrupted(root, quietly=True)
        # DataLad does not always say so.
        cause = f"{free / 1e6:.0f} MB of disk are free: make room" if free < DISK_LOW else "see above"
        raise InputError(f"{cell.name} failed, {cause}; nothing of it was kept")
    grades = grade_outputs(cell.folder, before, root=root, recorded_root=root)
    put_back = reproduces and put_back_if_equal(cell, grades, before, root)
    log_outcome({"cell": cell.name, "ran": True, "outputs": grades, "put_back": put_back}, root)
    # Last of all: whatever ends this process before leaves a note of the folder that may be half-changed.
    marker.unlink()


def set_broken_aside(cell, root):
    """Move content that does not fit its checksum out of the way, into ``.git/annex/bad``.

    Raises
    ------
    InputError
        If an input is broken, which no stage can make again.
    """
    ids = object_ids("outputs", "figures", *cell.reads, root=root)
    for path in broken_files([path for path in ids if path.startswith(cell.folder + "/")], root):
        git("annex", "fsck", "--quiet", "--", path, check=False, root=root)
    read = [path for path in ids if is_read(cell, path)]
    for inputs in (root / read for read in cell.reads if read.startswith("inputs/")):
        if (inputs / ".git").exists():
            tracked = object_ids(root=inputs)
            for path in broken_files(tracked, inputs):
                raise InputError(
                    f"{inputs.name}/{path}: its content does not fit its checksum; set it aside with `git -C "
                    f"{inputs.relative_to(root)} annex fsck {path}`, then `make inputs` or `datalad get` brings it back"
                )
    for path in broken_files(read, root):
        raise InputError(f"{path}: its content does not fit its checksum; `make {path.split('/')[1]}` makes it again")


def put_back_if_equal(cell, grades, before, root):
    """Return to the recorded outputs where the recomputed ones are equal within tolerance.

    So HEAD does not move from one processor to the next. Recorded bytes that this clone does not have cannot be put
    back; then the recomputed file is kept and committed, since without it nothing downstream could run.
    """
    changed = [path for path, (grade, _) in grades.items() if grade != "identical"]
    if not changed or any(grades[path][0] != "equal within tolerance" for path in changed):
        return False
    if any("recorded bytes are not here" in grades[path][1] for path in changed):
        return False
    git("reset", "--quiet", "--hard", before, root=root)
    return True


def supervise(command, root):
    """Run a command in a process group of its own, of which nothing is left when this function or process ends.

    Returns
    -------
    code : int
        Exit status of the command.
    """
    environment = without_foreign(os.environ) | {"FACEPAIN_SUPERVISOR": str(os.getpid())}
    process = subprocess.Popen(command, cwd=root, env=environment, start_new_session=True)
    guard = subprocess.Popen(
        [sys.executable, "-I", str(Path(__file__).with_name("guard.py")), str(process.pid)],
        stdin=subprocess.PIPE,
        start_new_session=True,
        pass_fds=HELD,
    )
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


def restore_interrupted(root=ROOT, quietly=False):
    """Undo what an interrupted run left in its own output folder, and say so."""
    marker = git_folder(root) / MARKER
    if not marker.exists():
        return
    interrupted = json.loads(marker.read_text())
    remove_stale_locks(interrupted.get("started", 0), root)
    folder = interrupted["folder"]
    if any(line[3:].startswith(folder) for line in changed_files(root)):
        if not quietly:
            print(f"an earlier run was interrupted: {folder} is put back to its last commit")
        restore(folder, root)
    # Half-written results would fill the disk.
    shutil.rmtree(git_folder(root) / "partial", ignore_errors=True)
    marker.unlink()


def remove_stale_locks(started, root):
    """Remove the locks that a killed run left in ``.git``; wait for those of a git that is at work.

    Parameters
    ----------
    started : float
        When the killed run began: an older lock is not its own.

    Raises
    ------
    InputError
        If a lock stays that is not of this run.
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


def restore(folder, root=ROOT):
    """Put an output folder back to its last commit."""
    git("reset", "--quiet", "--", folder, root=root, check=False)
    if git("ls-tree", "HEAD", "--", folder, root=root):
        git("checkout", "--quiet", "HEAD", "--", folder, root=root)
    git("clean", "-fdq", "--", folder, root=root)


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


def outcomes_path(root=ROOT):
    """Return where the present ``make`` notes what it did; two at once keep apart."""
    return git_folder(root) / f"outcomes-{os.environ.get('MAKE_RUN', 'alone')}.jsonl"


def begin_log(root=ROOT):
    """Forget the outcomes of earlier calls of ``make``."""
    outcomes_path(root).unlink(missing_ok=True)
    for path in git_folder(root).glob("outcomes-*.jsonl"):
        if time.time() - path.stat().st_mtime > KEEP_LOGS:
            path.unlink(missing_ok=True)


def log_outcome(outcome, root=ROOT):
    with open(outcomes_path(root), "a") as file:
        file.write(json.dumps(outcome) + "\n")


def verdict(root=ROOT):
    """Sum up what the present ``make`` did.

    Returns
    -------
    lines : list of str
        Differences first, the summary last.
    reproduced : bool
        False if any output is different from the recorded one although its inputs are the same.
    """
    path = outcomes_path(root)
    outcomes = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    ran = [outcome for outcome in outcomes if outcome["ran"]]
    graded = [(path, *grade) for outcome in ran for path, grade in outcome["outputs"].items()]
    return sum_up(graded, f"{len(ran)} of {len(outcomes)} cells ran")


def sum_up(graded, opening):
    """Turn graded outputs into lines for a person.

    Parameters
    ----------
    graded : list of tuple (path, grade, detail)
    opening : str

    Returns
    -------
    lines : list of str
    reproduced : bool
    """
    bad = [entry for entry in graded if entry[1] in ("different", "not verified", GONE)]
    notes = bad + [entry for entry in graded if entry[1] == "equal within tolerance"]
    lines = [f"{path}: {grade}{', ' + detail if detail else ''}" for path, grade, detail in notes]
    counts = {}
    for _, grade, _ in graded:
        counts[grade] = counts.get(grade, 0) + 1
    total = [f"{count} {grade}" for grade, count in sorted(counts.items())]
    compared = f"; {len(graded)} outputs: {', '.join(total)}" if graded else "; every result is fresh"
    updated = counts.get(UPDATED, 0) + counts.get("new", 0)
    known = len(graded) - updated - len(bad)
    if graded and not bad:
        compared += f" ({known} reproduced the recorded results)" if known else ""
    return [*lines, f"{'NOT REPRODUCED' if bad else 'verdict'}: {opening}{compared}"], not bad
