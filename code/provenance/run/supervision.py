"""Run a command so that nothing of it is left when it ends or this process does."""

import os
import subprocess
import sys
from pathlib import Path

from provenance.repository import without_foreign
from provenance.run.guard import end_group
from provenance.run.locks import HELD
from provenance.run.recovery import restore_interrupted


def supervise(command, root):
    """Run a command in a process group of its own, of which nothing is left when this function or process ends.

    Returns the exit status of the command.
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
