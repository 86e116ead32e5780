"""Run stale and absent cells, each by its own ``datalad run``, and leave the tree whole whatever happens."""

import fcntl
import json
import os
import signal
import subprocess
from contextlib import contextmanager

from facepain.errors import InputError
from provenance.freshness import ABSENT, FRESH, assess
from provenance.repository import ROOT, changed_files, git, git_folder, require_clean_tree
from provenance.reproduction import GONE, UPDATED, grade_outputs


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
    before = git("rev-parse", "HEAD", root=root)
    marker = git_folder(root) / "running.json"
    marker.write_text(json.dumps({"cell": cell.name, "folder": cell.folder, "pid": os.getpid()}))
    command = ["datalad", "-l", "error", "-f", "disabled", "run", "-m", cell.name]
    for read in cell.reads:
        command += ["--input", read]
    finished = supervise([*command, "--output", cell.folder, cell.command], root)
    if finished != 0:
        restore(cell.folder, root)
        marker.unlink()
        raise InputError(f"{cell.name} failed, see above; nothing of it was kept")
    marker.unlink()
    grades = grade_outputs(cell.folder, before, root=root, recorded_root=root)
    put_back = reproduces and put_back_if_equal(cell, grades, before, root)
    log_outcome({"cell": cell.name, "ran": True, "outputs": grades, "put_back": put_back}, root)


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
    """Run a command in a process group of its own and end the whole group if this process is told to stop.

    Returns
    -------
    code : int
        Exit status of the command.
    """
    environment = {**os.environ, "FACEPAIN_SUPERVISOR": str(os.getpid())}
    process = subprocess.Popen(command, cwd=root, env=environment, start_new_session=True)

    def stop(number, _frame):
        raise KeyboardInterrupt(number)

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        return process.wait()
    except KeyboardInterrupt:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        restore_interrupted(root)
        raise
    finally:
        signal.signal(signal.SIGTERM, previous)


def restore_interrupted(root=ROOT):
    """Undo what an interrupted run left in its own output folder, and say so."""
    marker = git_folder(root) / "running.json"
    if not marker.exists():
        return
    folder = json.loads(marker.read_text())["folder"]
    if changed_files(root):
        print(f"an earlier run was interrupted: {folder} is put back to its last commit")
        restore(folder, root)
    marker.unlink()


def restore(folder, root=ROOT):
    """Put an output folder back to its last commit."""
    lock = git_folder(root).parent / "index.lock"
    lock.unlink(missing_ok=True)
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
            print(f"waiting: process {file.read().strip() or '?'} is running stages in this repository", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def begin_log(root=ROOT):
    """Forget the outcomes of an earlier ``make``."""
    (git_folder(root) / "outcomes.jsonl").unlink(missing_ok=True)


def log_outcome(outcome, root=ROOT):
    with open(git_folder(root) / "outcomes.jsonl", "a") as file:
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
    path = git_folder(root) / "outcomes.jsonl"
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
    bad = [entry for entry in graded if entry[1] in ("different", GONE)]
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
