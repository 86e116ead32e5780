"""Say how far a run over many cells is, and about how long the rest takes."""

import json

from provenance.declare import upstream
from provenance.records.freshness import FRESH, is_outdated
from provenance.repository import ROOT, git_folder, read_state, write_whole
from provenance.run.stage import n_workers

ENOUGH = 30.0  # declared seconds that must have been measured before a time left is stated


class Plan:
    """What one call has to make, in order, and what each result cost here before.

    Parameters
    ----------
    wanted : list of Cell
    cells : list of Cell
        All of the study, in order.
    size : tuple of int
        As of `Study.size`; the declared costs depend on it.
    states : dict of str to Freshness, optional
        Of every cell; without it nothing is taken to be up to date.
    """

    def __init__(self, wanted, cells, size, states=None, root=ROOT):
        needed, waiting = set(), list(wanted)
        while waiting:
            cell = waiting.pop()
            if cell.name not in needed:
                needed.add(cell.name)
                waiting += made_before(cell, cells, states)
        self.cells = [cell for cell in cells if cell.name in needed]
        self.declared = {cell.name: cell.declared.cost(cell.settings, *size).on(n_workers()) for cell in self.cells}
        self.path = git_folder(root) / "costs.json"
        self.measured = read_state(self.path)

    def measure(self, cell, seconds):
        """Note what a cell cost in this clone."""
        self.measured[cell.command] = round(seconds, 1)
        write_whole(self.path, json.dumps(self.measured, indent=1, sort_keys=True))

    def place(self, cell, states):
        """Return, for example, "cell 5 of 15, about 4 minutes left"."""
        pending = {other.name for other in find_pending(self.cells, states)} | {cell.name}
        left = self._seconds_left(pending)
        time_left = (
            "" if left is None else ", less than a minute left" if left < 60 else f", about {_minutes(left)} left"
        )
        return f"cell {len(self.cells) - len(pending) + 1} of {len(self.cells)}{time_left}"

    def total(self):
        """Return the seconds that all results take: those measured here as they were, others as declared."""
        return self._seconds_of({cell.name for cell in self.cells}, self._scale() or 1.0)

    def _seconds_left(self, pending):
        scale = self._scale()
        return None if scale is None else self._seconds_of(pending, scale)

    def _scale(self):
        """Return how much longer than declared what was measured took, None before enough was measured."""
        known = [cell for cell in self.cells if cell.command in self.measured]
        declared = sum(self.declared[cell.name] for cell in known)
        return sum(self.measured[cell.command] for cell in known) / declared if declared >= ENOUGH else None

    def _seconds_of(self, names, scale):
        cells = [cell for cell in self.cells if cell.name in names]
        return sum(self.measured.get(cell.command, scale * self.declared[cell.name]) for cell in cells)


def find_pending(cells, states):
    """Return the cells that are not fresh, and those that may not be once what they read is made."""
    pending, changing = [], []
    for cell in cells:
        changed = any(other in changing for other in upstream(cell, cells))
        state = states[cell.name]
        if is_outdated(state) or changed:
            changing.append(cell)
        if state.state != FRESH or changed:
            pending.append(cell)
    return pending


def made_before(cell, cells, states=None):
    """Return the cells to make before a cell; what shows results makes do with those that are up to date."""
    if not cell.declared.shows:
        return upstream(cell, cells)
    return [other for other in upstream(cell, cells) if states and not is_outdated(states[other.name])]


def _minutes(seconds):
    minutes = round(seconds / 60)
    return f"{minutes} minute{'s' if minutes > 1 else ''}"
