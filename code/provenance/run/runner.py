"""Run the cells that are stale or absent, each by its own ``datalad run``, and what they need before them."""

import json
import shutil
import time

from errors import InputError
from provenance.annex.integrity import broken_files, require_whole
from provenance.records.freshness import ABSENT, FRESH, STALE, assess, is_outdated
from provenance.records.grading import grade_outputs
from provenance.repository import ROOT, git, git_folder, object_ids, require_clean_tree, require_writable, write_whole
from provenance.run.locks import only_one
from provenance.run.plan import Plan, made_before
from provenance.run.recovery import DISK_LOW, MARKER, make_plain, restore, restore_interrupted
from provenance.run.supervision import supervise


def run_cells(wanted, cells, size=lambda: (0, 0), root=ROOT):
    """Make some cells fresh, and before each what it reads, as far as that is stale or absent; nothing else.

    Stop if the tree is dirty or a cell fails; its folder is then as it was. `size`, as of `Study`, serves to estimate
    the time left. Returns by name of each cell the grades of its outputs (`run_cell`), None if it was fresh.
    """
    with only_one(root):
        restore_interrupted(root)
        making = _Making(wanted, cells, size, root)
        for cell in wanted:
            making.bring_up(cell)
        if not any(making.outcomes.values()):
            print(f"{', '.join(dict.fromkeys(cell.stage for cell in wanted))}: fresh")
    return making.outcomes


class _Making:
    """What one call of `run_cells` has done so far."""

    def __init__(self, wanted, cells, size, root):
        self.cells, self.root = cells, root
        self.wanted, self.size, self.plan = wanted, size, None
        self.states, self.outcomes = {}, {}

    def bring_up(self, cell):
        """Make a cell fresh, with its content here."""
        if cell.name in self.outcomes:
            return
        for other in self._reads(cell):
            self._renew(other)
        if self._states()[cell.name].state == FRESH:
            self.outcomes[cell.name] = None
            return
        for other in self._reads(cell):
            self.bring_up(other)
        self._run(cell)

    def _renew(self, cell):
        """Make a cell fresh if it is stale or was never made; content that is only not here stays away."""
        for other in self._reads(cell):
            self._renew(other)
        if is_outdated(self._states()[cell.name]):
            self.bring_up(cell)

    def _reads(self, cell):
        return made_before(cell, self.cells, self._states())

    def _states(self):
        if not self.states:
            self.states = assess(self.cells, self.root)
        return self.states

    def _run(self, cell):
        # What somebody edits meanwhile matters only where a cell reads it.
        read = ("code", "inputs", "outputs", "figures", "requirements.lock", ".gitattributes", cell.options.params)
        require_clean_tree(self.root, *(read if any(self.outcomes.values()) else ()))
        state = self._states()[cell.name]
        self.plan = self.plan or Plan(self.wanted, self.cells, self.size(), self.states, self.root)
        named = state.state == STALE or "checksum" in state.reasons[0]
        reason = f"{state.reasons[0]}; " if named else ""
        print(f"{cell.name}: {reason}computing ({self.plan.place(cell, self.states)})", flush=True)
        started = time.monotonic()
        self.outcomes[cell.name] = run_cell(cell, reproduces=state.state == ABSENT, root=self.root)
        self.plan.measure(cell, time.monotonic() - started)
        self.states = {}


def run_cell(cell, reproduces, root=ROOT):
    """Run one cell by ``datalad run`` and grade its outputs against the recorded ones.

    `reproduces` says whether a record with the same inputs may exist, so that a difference would count. Returns grade
    and detail of each output, by path.
    """
    require_writable(cell.folder, root)
    quarantine_corrupt_files(cell, root)
    before = git("rev-parse", "HEAD", root=root)
    marker = git_folder(root) / MARKER
    write_whole(marker, json.dumps({"cell": cell.name, "folder": cell.folder, "started": time.time()}))
    finished = supervise(run_command(cell), root)
    if finished != 0:
        free = shutil.disk_usage(root).free
        restore_interrupted(root, quietly=True)
        # DataLad does not always say so.
        cause = f"{free / 1e6:.0f} MB of disk are free: make room" if free < DISK_LOW else "see above"
        raise InputError(f"{cell.name} failed, {cause}; nothing of it was kept")
    make_plain(cell.name, root)
    made = git("rev-list", "-1", f"{before}..HEAD", "--", cell.folder, root=root)
    require_recorded(cell, made, root)
    grades = grade_outputs(cell.folder, before, root=root, recorded_root=root)
    if reproduces and is_equal(grades):
        take_back(cell, made, root)
    # Last of all: whatever ends this process before leaves a note of the folder that may be half-changed.
    marker.unlink()
    return grades


def run_command(cell):
    """Return the ``datalad run`` of a cell."""
    # Else `run` saves whatever else was edited meanwhile, and refuses where somebody committed.
    settings = ["-c", "datalad.run.dirty-committed=ignore"]
    command = ["datalad", "-l", "error", "-f", "disabled", *settings, "run", "--explicit", "-m", cell.name]
    # The stage replaces its folder; else DataLad would unlock all files in it before, each with a copy of its content.
    command += ["--assume-ready", "outputs"]
    for read in cell.reads:
        # What shows results makes do without stages of which there is none yet.
        if not cell.declared.shows or (ROOT / read).exists():
            command += ["--input", read]
    return [*command, "--output", cell.folder, cell.command]


def quarantine_corrupt_files(cell, root):
    """Move content that does not fit its checksum into ``.git/annex/bad``; stop if an input is broken."""
    ids = object_ids("outputs", "figures", *cell.reads, root=root)
    for path in broken_files([path for path in ids if cell.owns(path)], root):
        git("annex", "fsck", "--quiet", "--", path, check=False, root=root)
    read = [path for path in ids if cell.is_read(path)]
    for inputs in (path for path in cell.reads if path.startswith("inputs/")):
        require_whole(inputs, root)
    for path in broken_files(read, root):
        raise InputError(f"{path}: its content does not fit its checksum; `make {path.split('/')[1]}` makes it again")


def require_recorded(cell, made, root):
    """Stop if a file of a cell was not committed, because a rule of git hides it; the folder is put back."""
    hidden = git("ls-files", "--others", "-z", "--", cell.folder, root=root).split("\0")[:-1]
    if hidden:
        rule = git("check-ignore", "--verbose", "--", hidden[0], check=False, root=root).split("\t")[0]
        take_back(cell, made, root)
        raise InputError(
            f"{cell.name}: {hidden[0]} could not be recorded, a rule hides it from git ({rule}); remove it"
        )


def is_equal(grades):
    """Return whether the outputs differ from the recorded ones, but within tolerance, and the recorded bytes are here.

    Then the recorded ones are put back, so that HEAD does not move from one processor to the next. Without recorded
    bytes the recomputed file is kept and committed, since without it nothing downstream could run.
    """
    changed = [grade for grade in grades.values() if grade[0] != "identical"]
    return bool(changed) and all(
        grade == "equal within tolerance" and "recorded bytes are not here" not in detail for grade, detail in changed
    )


def take_back(cell, made, root):
    """Undo the commit of a run, as long as nobody committed on top of it; touch the cell's folder only."""
    if made:
        if git("rev-parse", "HEAD", root=root) != made:
            return
        git("update-ref", "HEAD", f"{made}^", made, root=root)
    restore(cell.folder, root)
