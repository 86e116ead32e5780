"""Say how far a run over many cells is, and about how long the rest takes."""

import json

from provenance.declare import upstream
from provenance.records.freshness import FRESH, is_outdated
from provenance.repository import ROOT, git_folder, read_state, write_whole
from provenance.run.stage import n_workers

ENOUGH = 30.0  # declared seconds that must have been measured before a time left is stated


class Plan:
    """What one call has to make of all `cells`, in order, and what each result cost here before.

    The declared costs depend on the `Study.size`; without `states` of every cell nothing is taken to be up to date.
    """

    def __init__(self, wanted, cells, size, states=None, root=ROOT):
        needed, waiting = set(), list(wanted)
        while waiting:
            cell = waiting.pop()
            if cell.name not in needed:
                needed.add(cell.name)
                waiting += made_before(cell, cells, states)
        self.cells = [cell for cell in cells if cell.name in needed]
        costs = {cell.name: cell.declared.cost(cell.settings, *size) for cell in self.cells}
        self.declared = {name: cost.seconds / min(cost.cores, n_workers()) for name, cost in costs.items()}
        self.path = git_folder(root) / "costs.json"
        self.measured = read_state(self.path)

    def measure(self, cell, seconds):
        """Note what a cell cost in this clone."""
        self.measured[cell.command] = round(seconds, 1)
        write_whole(self.path, json.dumps(self.measured, indent=1, sort_keys=True))

    def place(self, cell, states):
        """Return, for example, "cell 5 of 15, about 4 minutes left"."""
        pending = {other.name for other in find_pending(self.cells, states)} | {cell.name}
        place = f"cell {len(self.cells) - len(pending) + 1} of {len(self.cells)}"
        if self._scale() is None:
            return place
        if (seconds := self.total(pending)) < 60:
            return f"{place}, less than a minute left"
        minutes = round(seconds / 60)
        return f"{place}, about {minutes} minute{'s' if minutes > 1 else ''} left"

    def total(self, names=None):
        """Return the seconds that results take, all or those named: as measured here, others as declared."""
        cells = [cell for cell in self.cells if names is None or cell.name in names]
        scale = self._scale() or 1.0
        return sum(self.measured.get(cell.command, scale * self.declared[cell.name]) for cell in cells)

    def _scale(self):
        """Return how much longer than declared what was measured took, None before enough was measured."""
        known = [cell for cell in self.cells if cell.command in self.measured]
        declared = sum(self.declared[cell.name] for cell in known)
        return sum(self.measured[cell.command] for cell in known) / declared if declared >= ENOUGH else None


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
