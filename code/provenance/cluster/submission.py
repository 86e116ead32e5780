"""Submit the cells that are not fresh as jobs of Slurm along their graph, and cancel them.

What to ask for follows from the declared costs of a cell, and from what ``code/cluster.toml`` says of this cluster.
"""

import json
import math
import os
import shlex
import sys
import tomllib

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from errors import InputError
from provenance.annex.integrity import fetch_content
from provenance.cluster.landing import land
from provenance.cluster.queue import LIVE, SETTINGS, SUBMITTED, Submission, jobs_folder, queued, slurm, submitted, tag
from provenance.declare import upstream
from provenance.records.freshness import assess
from provenance.repository import ROOT, git, require_clean_tree, write_whole
from provenance.run.plan import find_pending
from provenance.run.recovery import only_one, restore_interrupted

WARNING_SECONDS = 90  # between USR1 and the end: Slurm may be a minute late
EXPORTED = ("PARAMS", "N_PERMUTATIONS", "N_BOOTSTRAPS", "N_JOBS", "DASK")
# Options of sbatch that say which jobs are this repository's, where they run, how long, and what they wait for.
OWN = ("--array", "--chdir", "--comment", "--dependency", "--job-name", "--output", "--signal", "--time")
OWN += ("-a", "-D", "-d", "-J", "-o", "-t")
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


def load_cluster(known):
    """Read ``code/cluster.toml``; without the file nothing is set. `known` are the names of stages and cells."""
    path = ROOT / SETTINGS
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
    if own := [option for option in cluster.options if option.startswith(OWN)]:
        raise InputError(f"{SETTINGS}: options: {own[0]} is set by `make submit` itself; remove it")
    return cluster


def submit(study, cells):
    """Land what waits, then submit a job for each of the study's cells that is not fresh and has none."""
    require_clean_tree()
    branch = git("symbolic-ref", "--quiet", "--short", "HEAD", check=False)
    if not branch:
        raise InputError("no branch is checked out, so that jobs could not land their results; `git switch main`")
    cluster = load_cluster([*dict.fromkeys(cell.stage for cell in cells), *(cell.name for cell in cells)])
    with only_one():
        restore_interrupted()
        for folder in land(branch):
            print(f"{folder}: landed, as its job had made it")
        live = live_jobs()
        jobs = {name: job for name, job in submitted().items() if job.id in live}
        require_same(jobs, cells, branch)
        n_before = len(jobs)
        size = study.size()
        pending = [cell for cell in find_pending(cells, assess(cells)) if cell.name not in jobs]
        # Jobs clone the inputs from here, where the places are known that hold their content.
        for path in sorted({path for cell in pending for path in cell.inputs}):
            fetch_content(path)
        for cell in pending:
            after = [jobs[other.name].id for other in upstream(cell, cells) if other.name in jobs]
            request = cluster.request(cell, cell.declared.cost(cell.settings, *size))
            id_ = _submit(cell, after, request, cluster, branch)
            jobs[cell.name] = Submission(id_, branch, cell.command)
            # One by one: if this is killed, those that were submitted are known.
            write_whole(jobs_folder() / SUBMITTED, json.dumps(submitted() | jobs, indent=1))
            print(
                f"{cell.name}: job {id_}, {request.minutes} min, {request.memory_mb} MB, "
                f"{request.cores} core(s)" + (f", after {' '.join(after)}" if after else ""),
                flush=True,
            )
    print(f"{len(jobs) - n_before} job(s) submitted, {n_before} were there; `make status` shows them")


def require_same(jobs, cells, branch):
    """Stop if a job lands its cell on another branch, or makes it by another command: it is no job of this call."""
    commands = {cell.name: cell.command for cell in cells}
    for name, job in jobs.items():
        wanted = job._replace(branch=branch, command=commands.get(name, job.command))
        if job != wanted:
            raise InputError(
                f"job {job.id} makes {name} on branch {job.branch} by `{job.command}`; this would be on branch "
                f"{branch} by `{wanted.command}`: wait until such jobs end, or `make cancel`, then `make submit`"
            )


def live_jobs():
    return [id_ for id_, job in queued().items() if job.state in LIVE]


def cancel():
    """Cancel this study's jobs and no others."""
    if live := live_jobs():
        slurm("scancel", *live)
    print(f"{len(live)} job(s) cancelled")


def _submit(cell, after, request, cluster, branch):
    options = [
        *("--parsable", f"--job-name={cell.name}", f"--comment={tag()}", "--requeue"),
        *(f"--chdir={ROOT}", f"--output={jobs_folder()}/%j.log"),
        *(f"--time={request.minutes}", f"--mem={request.memory_mb}M", "--ntasks=1"),
        *(f"--cpus-per-task={request.cores}", f"--signal=B:USR1@{WARNING_SECONDS}", "--kill-on-invalid-dep=yes"),
    ]
    options += [f"--dependency=afterok:{':'.join(after)}"] if after else []
    answer = slurm("sbatch", *options, *cluster.options, text=_script(cell, request, cluster, branch))
    return answer.splitlines()[-1].split(";")[0]


def _script(cell, request, cluster, branch):
    exported = {name: os.environ[name] for name in EXPORTED if os.environ.get(name)}
    exported = {"N_JOBS": str(request.cores)} | exported | {"FACEPAIN_MINUTES": str(request.minutes)}
    exports = [f"export {name}={shlex.quote(value)}" for name, value in exported.items()]
    exports += [f'export FACEPAIN_SCRATCH="{cluster.scratch}"'] if cluster.scratch else []
    # Replaced by the job's process, so that Slurm's signals reach it.
    command = f"exec {shlex.join([sys.executable, 'code/study.py', 'job', branch, cell.folder, *cell.name.split()])}"
    return "\n".join(["#!/bin/bash", "set -e", *cluster.setup, *exports, command, ""])
