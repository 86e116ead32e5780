"""What one job does: clone, make its cell there by the code of the clone, hand it over, leave nothing behind."""

import os
import platform
import signal
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from errors import InputError
from provenance.annex.dataset import remove_tree, settle_index
from provenance.annex.setup import NEUTRAL, ensure_annex
from provenance.cluster.landing import cell_ref, land
from provenance.cluster.queue import SETTINGS
from provenance.declare import upstream
from provenance.records.freshness import ABSENT, FRESH, assess, is_outdated
from provenance.repository import ROOT, git, git_folder, input_datasets, object_ids
from provenance.run.recovery import only_one, supervise
from provenance.run.runner import run_cell

HAND_OVER_ATTEMPTS = 5
PAUSE = 10.0  # seconds between two attempts
ROOM = 1_000_000  # bytes
# The clone will be gone: no branch is to speak of it.
CLONE_SETTINGS = NEUTRAL | {"annex.private": "true", "commit.gpgsign": "false", "gc.auto": "0"}


def run_job(branch, folder, *names):
    """Make one cell in a clone on the node's disk, and land it on a branch here; return the exit status."""
    name = " ".join(names)
    started = time.monotonic()
    require_room(ROOT)
    signal.signal(signal.SIGUSR1, signal.getsignal(signal.SIGTERM))
    try:
        with _scratch() as scratch:
            clone = scratch / "clone"
            clone_dataset(ROOT, clone, branch)
            git("fetch", "--quiet", "origin", "+refs/facepain/cells/*:refs/facepain/cells/*", root=clone)
            land(branch, clone)
            status = supervise(["python", "code/study.py", "alone", *names], clone)
            if status:
                return status
            _ignore_orders()
            _hand_over(name, cell_ref(branch, folder), folder, clone)
            land(branch)
    except KeyboardInterrupt:
        minutes, limit = (time.monotonic() - started) / 60, int(os.environ["FACEPAIN_MINUTES"])
        raise InputError(
            f"{name} was stopped after {minutes:.0f} of {limit} min; nothing of it was kept. If the time was too "
            f'short, write the line `minutes = {2 * limit}` below the line `[cells."{name}"]` in {SETTINGS}, commit '
            "it, then `make submit`"
        ) from None
    print(f"{name}: landed on {branch}")
    return 0


def make_alone(cell, cells):
    """Make one cell fresh by its ``datalad run``, in the clone of a job, from results of others that are there."""
    hub = Path(git("config", "remote.origin.url"))
    for path in cell.inputs:
        clone_dataset(hub / path, ROOT / path, input_datasets()[path])
    # As far as it is stored: what was recorded of the cell, to compare with; of what is shown, some may be absent.
    content = (cell.folder, *(cell.reads if cell.declared.shows else ()))
    if object_ids(*content):
        git("annex", "get", "--quiet", "--", *content, check=False)
    with only_one():
        read = upstream(cell, cells)
        states = assess([*read, cell])
        for other in read:
            if is_outdated(states[other.name]) and not cell.declared.shows:
                raise InputError(f"{cell.name} reads {other.name}, which is {states[other.name].state}; `make submit`")
        state = states[cell.name]
        if state.state == FRESH:
            print(f"{cell.name}: fresh")
            return
        print(f"{cell.name}: {state.state}, {state.reasons[0]}", flush=True)
        run_cell(cell, reproduces=state.state == ABSENT)


def clone_dataset(source, clone, revision):
    """Clone a dataset with its annex, without content, and check out a branch or commit of it."""
    identity = {key: git("config", key, check=False, root=source) for key in ("user.name", "user.email")}
    settings = CLONE_SETTINGS | {key: value for key, value in identity.items() if value}
    options = [word for key, value in settings.items() for word in ("--config", f"{key}={value}")]
    # By git's transport: links to files that another job's push replaces meanwhile end a clone with an error.
    git("clone", "--quiet", "--no-local", "--no-checkout", *options, str(source), str(clone), root=source)
    # Before git-annex is there, whose hook would look at every file.
    git("checkout", "--quiet", revision, root=clone)
    settle_index(clone)
    ensure_annex(clone)


def require_room(root):
    """Stop if the repository can take nothing: git-annex would try for each file again and again."""
    try:
        with tempfile.TemporaryFile(dir=git_folder(root)) as probe:
            probe.write(bytes(ROOM))  # a quota shows in nothing else
    except OSError as error:
        raise InputError(f"{root} takes no more files: {error.strerror}; make room, then `make submit`") from None


@contextmanager
def _scratch():
    """Give a folder on the node's disk and remove it whatever happens."""
    place = os.environ.get("FACEPAIN_SCRATCH") or os.environ.get("SLURM_TMPDIR")
    try:
        folder = Path(tempfile.mkdtemp(prefix="facepain-", dir=place))
    except OSError as error:
        raise InputError(
            f"{place or tempfile.gettempdir()}: {error.strerror}, on {platform.node()}; name a folder of the node's "
            f"own disk as `scratch` in {SETTINGS}, which goes before $SLURM_TMPDIR"
        ) from None
    try:
        yield folder
    finally:
        _ignore_orders()
        remove_tree(folder)


def _ignore_orders():
    """End no more on request: what is left takes seconds."""
    for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _hand_over(name, ref, folder, clone):
    """Copy the cell's content to the repository, then its commit under a ref of its own."""
    for attempt in range(HAND_OVER_ATTEMPTS):
        try:
            git("annex", "copy", "--quiet", "--to", "origin", "--", folder, root=clone)
            # git-annex's hook would look for remotes to export to.
            git("push", "--quiet", "--force", "--no-verify", "origin", f"HEAD:{ref}", root=clone)
            return
        except InputError as error:
            reason = error
            print(f"{name}: {error}; trying again", flush=True)
            time.sleep(PAUSE * attempt)
    raise InputError(f"{name} was made but could not be handed over: {reason}; fix that, then `make submit`")
