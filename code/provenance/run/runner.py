"""Run the cells that are stale or absent, each by its own ``datalad run``, and what they need before them."""

import shutil
import time
from functools import cached_property

from errors import InputError
from provenance.annex.integrity import broken_files, is_here, require_whole
from provenance.records.freshness import ABSENT, FRESH, STALE, assess, is_outdated
from provenance.records.grading import grade_outputs
from provenance.repository import DATALAD, ROOT, git, object_ids, require_clean_tree, require_writable
from provenance.run.plan import Plan, made_before
from provenance.run.recovery import DISK_LOW, make_plain, note_run, only_one, restore, restore_interrupted, supervise


def run_cells(wanted, cells, size):
    """Make some cells fresh, and before each what it reads, as far as that is stale or absent; nothing else.

    Stop if the tree is dirty or a cell fails; its folder is then as it was. `size`, as of `Study`, serves to estimate
    the time left. Returns by name of each cell the grades of its outputs (`run_cell`), None if it was fresh.
    """
    with only_one():
        restore_interrupted()
        making = _Making(wanted, cells, size)
        for cell in wanted:
            making.renew(cell)
        if not any(making.outcomes.values()):
            print(f"{', '.join(dict.fromkeys(cell.stage for cell in wanted))}: fresh")
    return making.outcomes


class _Making:
    """What one call of `run_cells` has done so far."""

    def __init__(self, wanted, cells, size):
        self.wanted, self.cells, self.size = wanted, cells, size
        self.plan, self.outcomes = None, {}

    @cached_property
    def states(self):
        return assess(self.cells)

    def renew(self, cell, needs_content=True):
        """Make a cell fresh, with its content here if that is needed, and before it what it reads."""
        if cell.name in self.outcomes:
            return
        for other in made_before(cell, self.cells, self.states):
            self.renew(other, needs_content=False)
        state = self.states[cell.name]
        if state.state != FRESH and (needs_content or is_outdated(state)):
            for other in made_before(cell, self.cells, self.states):
                self.renew(other)
            self._run(cell)
        elif needs_content:
            self.outcomes[cell.name] = None

    def _run(self, cell):
        # What somebody edits meanwhile matters only where a cell reads it.
        read = ("code", "inputs", "outputs", "figures", "requirements.lock", ".gitattributes", cell.options.params)
        require_clean_tree(*(read if any(self.outcomes.values()) else ()))
        state = self.states[cell.name]
        self.plan = self.plan or Plan(self.wanted, self.cells, self.size(), self.states)
        named = state.state == STALE or "checksum" in state.reasons[0]
        reason = f"{state.reasons[0]}; " if named else ""
        print(f"{cell.name}: {reason}computing ({self.plan.place(cell, self.states)})", flush=True)
        started = time.monotonic()
        self.outcomes[cell.name] = run_cell(cell, reproduces=state.state == ABSENT)
        self.plan.measure(cell, time.monotonic() - started)
        del self.states  # they are others now


def run_cell(cell, reproduces):
    """Run one cell by ``datalad run`` and grade its outputs against the recorded ones.

    `reproduces` says whether a record with the same inputs may exist, so that a difference would count. Returns grade
    and detail of each output, by path.
    """
    require_writable(cell.folder)
    inputs_are_here = check_content(cell)
    before = git("rev-parse", "HEAD")
    note = note_run(cell)
    if supervise(run_command(cell, inputs_are_here), ROOT):
        free = shutil.disk_usage(ROOT).free
        restore_interrupted(quietly=True)
        # DataLad does not always say so.
        cause = f"{free / 1e6:.0f} MB of disk are free: make room" if free < DISK_LOW else "see above"
        raise InputError(f"{cell.name} failed, {cause}; nothing of it was kept")
    make_plain(cell.name, ROOT)
    made = git("rev-list", "-1", f"{before}..HEAD", "--", cell.folder)
    require_recorded(cell, made)
    grades = grade_outputs(cell.folder, before)
    if reproduces and is_equal(grades):
        take_back(cell, made)
    # Last of all: whatever ends this process before leaves a note of the folder that may be half-changed.
    note.unlink()
    return grades


def run_command(cell, inputs_are_here):
    """Return the ``datalad run`` of a cell."""
    # Else `run` saves whatever else was edited meanwhile, and refuses where somebody committed.
    command = [*DATALAD, "-c", "datalad.run.dirty-committed=ignore", "run", "--explicit", "-m", cell.name]
    # The stage replaces its folder; else DataLad would unlock all files in it before, each with a copy of its content.
    # Nor need it ask git-annex for inputs that are here, which takes it a second.
    command += ["--assume-ready", "both" if inputs_are_here else "outputs"]
    for read in cell.reads:
        # What shows results makes do without stages of which there is none yet.
        if not cell.declared.shows or (ROOT / read).exists():
            command += ["--input", read]
    return [*command, "--output", cell.folder, cell.command]


def check_content(cell):
    """Move content that does not fit its checksum into ``.git/annex/bad``; stop if an input is broken.

    Returns whether the content of all that the cell reads is here.
    """
    ids = object_ids("outputs", "figures", *cell.reads)
    for path in broken_files([path for path in ids if cell.owns(path)]):
        git("annex", "fsck", "--quiet", "--", path, check=False)
    read = [path for path in ids if cell.is_read(path)]
    files = [ROOT / path for path in read]
    for inputs in cell.inputs:
        files += require_whole(inputs)
    for path in broken_files(read):
        raise InputError(f"{path}: its content does not fit its checksum; `make {path.split('/')[1]}` makes it again")
    return all(map(is_here, files))


def require_recorded(cell, made):
    """Stop if a file of a cell was not committed, because a rule of git hides it; the folder is put back."""
    hidden = git("ls-files", "--others", "-z", "--", cell.folder).split("\0")[:-1]
    if hidden:
        rule = git("check-ignore", "--verbose", "--", hidden[0], check=False).split("\t")[0]
        take_back(cell, made)
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


def take_back(cell, made):
    """Undo the commit of a run, as long as nobody committed on top of it; touch the cell's folder only."""
    if made:
        if git("rev-parse", "HEAD") != made:
            return
        git("update-ref", "HEAD", f"{made}^", made)
    restore(cell.folder)
