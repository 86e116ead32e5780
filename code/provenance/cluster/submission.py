"""Submit the cells that are not fresh as jobs of Slurm along their graph, and cancel them."""

import json
import os
import shlex
import sys

from errors import InputError
from provenance.cluster.landing import land
from provenance.cluster.queue import jobs_folder, queued, slurm, submitted, tag
from provenance.cluster.resources import load_cluster
from provenance.declare import upstream
from provenance.records.freshness import assess
from provenance.repository import ROOT, git, require_clean_tree, write_whole
from provenance.run.locks import only_one
from provenance.run.plan import find_pending
from provenance.run.recovery import restore_interrupted

WARNING_SECONDS = 90  # between USR1 and the end: Slurm may be a minute late
EXPORTED = ("PARAMS", "N_PERMUTATIONS", "N_BOOTSTRAPS", "N_JOBS", "DASK")


def submit(study, cells, root=ROOT):
    """Land what waits, then submit a job for each of the study's cells that is not fresh and has none."""
    require_clean_tree(root)
    branch = git("symbolic-ref", "--quiet", "--short", "HEAD", check=False, root=root)
    if not branch:
        raise InputError("no branch is checked out, so that jobs could not land their results; `git switch main`")
    cluster = load_cluster([*dict.fromkeys(cell.stage for cell in cells), *(cell.name for cell in cells)], root)
    with only_one(root):
        restore_interrupted(root)
        for folder in land(branch, root):
            print(f"{folder}: landed, as its job had made it")
        live = {id_ for id_, job in queued(root).items() if job.lives}
        jobs = {name: id_ for name, id_ in submitted(root).items() if id_ in live}
        n_before = len(jobs)
        size = study.size()
        for cell in find_pending(cells, assess(cells, root)):
            if cell.name in jobs:
                continue
            after = [jobs[other.name] for other in upstream(cell, cells) if other.name in jobs]
            request = cluster.request(cell, cell.declared.cost(cell.settings, *size))
            jobs[cell.name] = _submit(cell, after, request, cluster, branch, root)
            # One by one: if this is killed, those that were submitted are known.
            write_whole(jobs_folder(root) / "jobs.json", json.dumps(submitted(root) | jobs, indent=1))
            print(
                f"{cell.name}: job {jobs[cell.name]}, {request.minutes} min, {request.memory_mb} MB, "
                f"{request.cores} core(s)" + (f", after {' '.join(after)}" if after else ""),
                flush=True,
            )
    print(f"{len(jobs) - n_before} job(s) submitted, {n_before} were there; `make status` shows them")


def cancel(root=ROOT):
    """Cancel this study's jobs and no others."""
    live = [id_ for id_, job in queued(root).items() if job.lives]
    if live:
        slurm("scancel", *live)
    print(f"{len(live)} job(s) cancelled")


def _submit(cell, after, request, cluster, branch, root):
    options = [
        *("--parsable", f"--job-name={cell.name}", f"--comment={tag(root)}", "--requeue"),
        *(f"--chdir={root}", f"--output={jobs_folder(root)}/%j.log"),
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
