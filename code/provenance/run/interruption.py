"""Take every order to end as Ctrl-C, and the death of the caller as such an order."""

import os
import signal
import threading
import time

PATIENCE = 0.5  # seconds between two looks whether the caller lives


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

    def watch():
        while os.getppid() == caller:
            time.sleep(PATIENCE)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
