"""Say how far a run over many cells is, and about how long the rest takes."""

import json

from provenance.declare import upstream
from provenance.records.freshness import FRESH, NEVER_MADE, STALE
from provenance.repository import ROOT, git_folder, write_whole

ENOUGH = 10.0  # declared seconds that must have been measured before a time left is stated


class Plan:
    """What one call has to make, in order, and what each result cost here before.

    Parameters
    ----------
    wanted : list of Cell
    cells : list of Cell
        All of the study, in order.
    """

    def __init__(self, wanted, cells, root=ROOT):
        needed, waiting = set(), list(wanted)
        while waiting:
            cell = waiting.pop()
            if cell.name not in needed:
                needed.add(cell.name)
                waiting += [] if cell.declared.shows else upstream(cell, cells)
        self.cells = [cell for cell in cells if cell.name in needed]
        self.path = git_folder(root) / "costs.json"
        try:
            self.measured = json.loads(self.path.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            self.measured = {}

    def measure(self, cell, seconds):
        """Note what a cell cost in this clone."""
        self.measured[cell.command] = round(seconds, 1)
        write_whole(self.path, json.dumps(self.measured, indent=1, sort_keys=True))

    def place(self, cell, states):
        """Return, for example, "cell 5 of 15, about 4 minutes left"."""
        position = next(number for number, other in enumerate(self.cells, 1) if other.name == cell.name)
        left = self._seconds_left(cell, states)
        time_left = (
            "" if left is None else ", less than a minute left" if left < 60 else f", about {_minutes(left)} left"
        )
        return f"cell {position} of {len(self.cells)}{time_left}"

    def _seconds_left(self, cell, states):
        known = [other for other in self.cells if other.command in self.measured]
        declared = sum(other.declared.cost for other in known)
        if declared < ENOUGH:
            return None
        scale = sum(self.measured[other.command] for other in known) / declared
        pending = self._pending(states) | {cell.name}
        return sum(
            self.measured.get(other.command, scale * other.declared.cost)
            for other in self.cells
            if other.name in pending
        )

    def _pending(self, states):
        """Return the names of cells that are not fresh, or will not be once what they read is made."""
        pending, changing = set(), set()
        for cell in self.cells:
            changed = any(other.name in changing for other in upstream(cell, self.cells))
            state = states[cell.name]
            if state.state == STALE or state.reasons == (NEVER_MADE,) or changed:
                changing.add(cell.name)
            if state.state != FRESH or changed:
                pending.add(cell.name)
        return pending


def _minutes(seconds):
    minutes = round(seconds / 60)
    return f"{minutes} minute{'s' if minutes > 1 else ''}"
