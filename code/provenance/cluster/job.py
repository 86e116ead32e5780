"""What one job does: clone, make its cell there, hand it over, leave nothing behind."""

import os
import signal
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from errors import InputError
from provenance.annex.dataset import remove_tree
from provenance.annex.setup import ensure_annex
from provenance.cluster.landing import cell_ref, land
from provenance.cluster.resources import SETTINGS
from provenance.declare import upstream
from provenance.records.freshness import ABSENT, FRESH, assess, is_outdated
from provenance.repository import ROOT, git, object_ids, require_clean_tree
from provenance.run.locks import only_one
from provenance.run.runner import run_cell
from provenance.run.supervision import supervise

HAND_OVER_ATTEMPTS = 5
PAUSE = 10.0  # seconds between two attempts


def run_job(cell, branch, root=ROOT):
    """Make one cell in a clone on the node's disk and land it in the repository that submitted it.

    Parameters
    ----------
    cell : Cell
    branch : str
        To land on.

    Returns
    -------
    status : int
        0 if the cell is fresh now.
    """
    started = time.monotonic()
    signal.signal(signal.SIGUSR1, signal.getsignal(signal.SIGTERM))
    try:
        with _scratch() as folder:
            clone = _clone(cell, branch, folder / "clone", root)
            status = supervise(["python", "code/study.py", "alone", cell.stage, *cell.names], clone)
            if status:
                return status
            _ignore_orders()
            _hand_over(cell, clone, root)
            land(branch, root)
    except KeyboardInterrupt:
        minutes, limit = (time.monotonic() - started) / 60, int(os.environ["FACEPAIN_MINUTES"])
        name = f'[cells."{cell.name}"]'
        raise InputError(
            f"{cell.name} was stopped after {minutes:.0f} of {limit} min; nothing of it was kept. If the time was too "
            f"short, ask for more in {SETTINGS}: {name} minutes = {2 * limit}; then `make submit`"
        ) from None
    print(f"{cell.name}: landed on {branch}")
    return 0


def make_alone(cell, cells, root=ROOT):
    """Make one cell fresh by its ``datalad run``, from results of others that are there.

    Raises
    ------
    InputError
        If what it reads is stale or was never made, or if it fails.
    """
    with only_one(root):
        states = assess(cells, root)
        for other in upstream(cell, cells):
            if is_outdated(states[other.name]) and not cell.declared.shows:
                raise InputError(f"{cell.name} reads {other.name}, which is {states[other.name].state}; `make submit`")
        state = states[cell.name]
        if state.state == FRESH:
            print(f"{cell.name}: fresh")
            return
        require_clean_tree(root)
        print(f"{cell.name}: {state.state}, {state.reasons[0]}", flush=True)
        run_cell(cell, reproduces=state.state == ABSENT, root=root)


@contextmanager
def _scratch():
    """Give a folder on the node's disk and remove it whatever happens."""
    place = os.environ.get("FACEPAIN_SCRATCH") or os.environ.get("SLURM_TMPDIR")
    folder = Path(tempfile.mkdtemp(prefix="facepain-", dir=place))
    try:
        yield folder
    finally:
        _ignore_orders()
        remove_tree(folder)


def _ignore_orders():
    """End no more on request: what is left takes seconds."""
    for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _clone(cell, branch, clone, root):
    """Clone the repository with what waits there to be landed, and the input datasets that the cell reads."""
    _clone_dataset(root, clone, branch)
    git("fetch", "--quiet", "origin", "+refs/facepain/cells/*:refs/facepain/cells/*", root=clone)
    land(branch, clone)
    for path in sorted({"/".join(read.split("/")[:2]) for read in cell.reads if read.startswith("inputs/")}):
        _clone_dataset(root / path, clone / path)
        git("checkout", "--quiet", object_ids(path, root=clone)[path], root=clone / path)
    # Recorded content of the cell itself, where it is stored: to compare with.
    git("annex", "get", "--quiet", "--", cell.folder, check=False, root=clone)
    return clone


def _clone_dataset(source, clone, branch=None):
    git("clone", "--quiet", *(["--branch", branch] if branch else []), str(source), str(clone), root=source)
    for key in ("user.name", "user.email"):
        if value := git("config", key, check=False, root=source):
            git("config", key, value, root=clone)
    # The clone will be gone: no branch is to speak of it.
    for key, value in (("annex.private", "true"), ("commit.gpgsign", "false"), ("gc.auto", "0")):
        git("config", key, value, root=clone)
    ensure_annex(clone)


def _hand_over(cell, clone, root):
    """Copy the cell's content to the repository, then its commit under a ref of its own.

    Raises
    ------
    InputError
        If the repository does not take it; it is then as it was.
    """
    for attempt in range(HAND_OVER_ATTEMPTS):
        try:
            git("annex", "copy", "--quiet", "--to", "origin", "--", cell.folder, root=clone)
            git("push", "--quiet", "--force", "origin", f"HEAD:{cell_ref(cell.folder)}", root=clone)
            return
        except InputError as error:
            reason = error
            print(f"{cell.name}: {error}; trying again", flush=True)
            time.sleep(PAUSE * attempt)
    raise InputError(f"{cell.name} was made but could not be handed over: {reason}; fix that, then `make submit`")
