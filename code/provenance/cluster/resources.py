"""What to ask Slurm for: declared costs of a cell, and what ``code/cluster.toml`` says of this cluster."""

import math
import tomllib

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from errors import InputError
from provenance.cluster import SETTINGS
from provenance.repository import ROOT

MARGIN = 3  # times the measured cost
START_MINUTES = 5  # packages load from a busy file system, the clone is made, content comes and goes
LONG_MINUTES = 10  # on one core; what is shorter gets no second one


class Request(BaseModel):
    """Resources of one cell; None where the declared cost decides."""

    model_config = ConfigDict(extra="forbid")
    minutes: int | None = Field(None, ge=1)
    memory_mb: int | None = Field(None, ge=1)
    cores: int | None = Field(None, ge=1)


class Cluster(BaseModel):
    """The settings of one cluster. No cell reads them, so that no result depends on them."""

    model_config = ConfigDict(extra="forbid")
    setup: list[str] = []
    options: list[str] = []
    scratch: str = ""
    cells: dict[str, Request] = {}

    def request(self, cell, cost):
        """Return the resources of a cell: of its own entry, else of its stage's, else by its cost."""
        cores = min(cost.cores, max(1, int(cost.seconds / 60 / LONG_MINUTES)))
        by_cost = {
            "minutes": START_MINUTES + math.ceil(MARGIN * cost.seconds / 60 / cores),
            "memory_mb": math.ceil(cost.memory / 1e6),
            "cores": cores,
        }
        entries = [self.cells.get(name, Request()).model_dump(exclude_none=True) for name in (cell.stage, cell.name)]
        return Request(**by_cost | entries[0] | entries[1])


def load_cluster(known, root=ROOT):
    """Read ``code/cluster.toml``; without the file nothing is set. `known` are the names of stages and cells."""
    path = root / SETTINGS
    try:
        cluster = Cluster(**tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {})
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{SETTINGS}: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{SETTINGS}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    for name in cluster.cells:
        if name not in known:
            raise InputError(f'{SETTINGS}: cells."{name}" is no stage and no cell; expected one of {", ".join(known)}')
    return cluster
