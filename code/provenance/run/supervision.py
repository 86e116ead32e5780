"""End as ordered, and leave nothing behind: on Ctrl-C, when the caller is gone, and of a command that is run."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from provenance.repository import without_foreign
from provenance.run.guard import end_group
from provenance.run.recovery import HELD, restore_interrupted

PATIENCE = 0.5  # seconds between two looks whether another process lives
SUPERVISOR = "FACEPAIN_SUPERVISOR"  # in the environment of what is run: the process that ordered it


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
    """Run a command in a process group of its own, of which nothing is left when this function or process ends.

    Returns the exit status of the command.
    """
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
