"""Make one cell in the clone of a job, by the code of the clone."""

from pathlib import Path

from errors import InputError
from provenance.cluster.job import clone_dataset
from provenance.declare import upstream
from provenance.records.freshness import ABSENT, FRESH, assess, is_outdated
from provenance.repository import ROOT, git, input_datasets, object_ids
from provenance.run.locks import only_one
from provenance.run.runner import run_cell


def make_alone(cell, cells, root=ROOT):
    """Make one cell fresh by its ``datalad run``, in the clone of a job, from results of others that are there."""
    hub = Path(git("config", "remote.origin.url", root=root))
    for path in sorted({"/".join(read.split("/")[:2]) for read in cell.reads if read.startswith("inputs/")}):
        clone_dataset(hub / path, root / path, input_datasets(root=root)[path])
    # As far as it is stored: what was recorded of the cell, to compare with; of what is shown, some may be absent.
    content = (cell.folder, *(cell.reads if cell.declared.shows else ()))
    if object_ids(*content, root=root):
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
