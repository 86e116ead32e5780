"""Show how far long work is: a bar with the time left on a terminal, plain lines elsewhere."""

import sys
import time

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 15
SHARE_TO_JUDGE_BY = 0.2  # of the steps; the first are often unlike the rest
WITHOUT_TIME_LEFT = "{l_bar}{bar}| {n_fmt}/{total_fmt}"


class Progress:
    """Count steps of long work, `total` in all, on standard error."""

    def __init__(self, total, label):
        self.label, self.total, self.done = label, total, 0
        self.started = self.last_line = time.monotonic()
        self.bar = None
        if sys.stderr.isatty():
            self.bar = tqdm(total=total, desc=label, leave=False, bar_format=WITHOUT_TIME_LEFT)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self.bar is not None:
            self.bar.close()

    def __call__(self, n_steps=1):
        """Count steps as done."""
        self.done += n_steps
        can_judge = self.done >= SHARE_TO_JUDGE_BY * self.total
        if self.bar is not None:
            self.bar.bar_format = None if can_judge else WITHOUT_TIME_LEFT
            self.bar.update(n_steps)
        elif time.monotonic() - self.last_line > SECONDS_BETWEEN_LINES:
            self.last_line = time.monotonic()
            left = (self.last_line - self.started) / self.done * (self.total - self.done)
            time_left = f", about {left:.0f} s left" if can_judge else ""
            print(f"{self.label}: {self.done} of {self.total}{time_left}", file=sys.stderr, flush=True)
