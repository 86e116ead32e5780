"""End a group of processes when the process that ordered their work is gone, however it ended.

Run apart as ``python guard.py GROUP``, with a pipe for standard input: what it reads there last tells it that the work
ended well; if the pipe closes without that, its owner was killed. It holds the lock that it inherited until the last
process of the group is gone, so that no one else starts beside an orphan.
"""

import os
import signal
import sys
import time


def main():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if not sys.stdin.buffer.read().endswith(b"done"):
        end_group(int(sys.argv[1]))


def end_group(group, patience=10.0):
    """Kill a process group and wait until it is gone."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            return
        except PermissionError:
            return  # only what has ended already is left (macOS says so)
        time.sleep(0.02)


if __name__ == "__main__":
    main()
