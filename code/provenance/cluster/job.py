"""What one job does: clone, make its cell there, hand it over, leave nothing behind."""

import os
import signal
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from errors import InputError
from provenance.annex.dataset import remove_tree
from provenance.annex.setup import configure, ensure_annex
from provenance.cluster.landing import cell_ref, land
from provenance.cluster.resources import SETTINGS
from provenance.declare import upstream
from provenance.records.freshness import ABSENT, FRESH, assess, is_outdated
from provenance.repository import ROOT, git, object_ids
from provenance.run.locks import only_one
from provenance.run.runner import run_cell
from provenance.run.supervision import supervise

HAND_OVER_ATTEMPTS = 5
PAUSE = 10.0  # seconds between two attempts


def run_job(name, folder, branch, root=ROOT):
    """Make one cell in a clone on the node's disk and land it in the repository that submitted it.

    It knows nothing of the study, so that it starts at once; the code of the clone does (`make_alone`).

    Parameters
    ----------
    name, folder : str
        Of the cell.
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
        with _scratch() as scratch:
            clone = scratch / "clone"
            _clone_dataset(root, clone, branch)
            git("fetch", "--quiet", "origin", "+refs/facepain/cells/*:refs/facepain/cells/*", root=clone)
            land(branch, clone)
            status = supervise(["python", "code/study.py", "alone", *name.split()], clone)
            if status:
                return status
            _ignore_orders()
            _hand_over(name, folder, clone, root)
            land(branch, root)
    except KeyboardInterrupt:
        minutes, limit = (time.monotonic() - started) / 60, int(os.environ["FACEPAIN_MINUTES"])
        raise InputError(
            f"{name} was stopped after {minutes:.0f} of {limit} min; nothing of it was kept. If the time was too "
            f'short, ask for more in {SETTINGS}: [cells."{name}"] minutes = {2 * limit}; then `make submit`'
        ) from None
    print(f"{name}: landed on {branch}")
    return 0


def make_alone(cell, cells, root=ROOT):
    """Make one cell fresh by its ``datalad run``, in the clone of a job, from results of others that are there.

    Raises
    ------
    InputError
        If what it reads is stale or was never made, or if it fails.
    """
    hub = Path(git("config", "remote.origin.url", root=root))
    for path in sorted({"/".join(read.split("/")[:2]) for read in cell.reads if read.startswith("inputs/")}):
        _clone_dataset(hub / path, root / path)
        git("checkout", "--quiet", object_ids(path, root=root)[path], root=root / path)
    # As far as it is stored: what was recorded of the cell, to compare with; of what is shown, some may be absent.
    content = (cell.folder, *(cell.reads if cell.declared.shows else ()))
    git("annex", "get", "--quiet", "--", *content, check=False, root=root)
    with only_one(root):
        read = upstream(cell, cells)
        states = assess([*read, cell], root)
        for other in read:
            if is_outdated(states[other.name]) and not cell.declared.shows:
                raise InputError(f"{cell.name} reads {other.name}, which is {states[other.name].state}; `make submit`")
        state = states[cell.name]
        if state.state == FRESH:
            print(f"{cell.name}: fresh")
            return
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


def _clone_dataset(source, clone, branch=None):
    # By git's transport: links to files that another job's push replaces meanwhile end a clone with an error.
    on = ["--branch", branch] if branch else []
    git("clone", "--quiet", "--no-local", *on, str(source), str(clone), root=source)
    identity = {key: git("config", key, check=False, root=source) for key in ("user.name", "user.email")}
    # The clone will be gone: no branch is to speak of it.
    settings = {"annex.private": "true", "commit.gpgsign": "false", "gc.auto": "0"}
    configure(clone, settings | {key: value for key, value in identity.items() if value})
    # Files as young as the index would go through git-annex at every look at them.
    for name in git("ls-files", "-z", root=clone).split("\0"):
        if os.path.lexists(clone / name):
            os.utime(clone / name, (0, 0), follow_symlinks=False)
    git("update-index", "-q", "--refresh", check=False, root=clone)
    ensure_annex(clone)


def _hand_over(name, folder, clone, root):
    """Copy the cell's content to the repository, then its commit under a ref of its own.

    Raises
    ------
    InputError
        If the repository does not take it; it is then as it was.
    """
    for attempt in range(HAND_OVER_ATTEMPTS):
        try:
            git("annex", "copy", "--quiet", "--to", "origin", "--", folder, root=clone)
            git("push", "--quiet", "--force", "origin", f"HEAD:{cell_ref(folder)}", root=clone)
            return
        except InputError as error:
            reason = error
            print(f"{name}: {error}; trying again", flush=True)
            time.sleep(PAUSE * attempt)
    raise InputError(f"{name} was made but could not be handed over: {reason}; fix that, then `make submit`")
