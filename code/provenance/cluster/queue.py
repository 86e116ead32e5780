"""Ask Slurm about this study's jobs."""

import hashlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import NamedTuple

from errors import InputError
from provenance.repository import ROOT, git, git_folder, read_state

SETTINGS = "code/cluster.toml"
SUBMITTED = "submitted.json"
UNREACHABLE = re.compile("contact|connect|timed out")  # as Slurm says of its controller
LIVE = ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "REQUEUED", "STOPPED")


@dataclass(frozen=True)
class Job:
    """One job as Slurm knows it; only the id where Slurm has forgotten it."""

    id: str
    state: str = "ended"
    elapsed: str = ""
    node: str = ""
    reason: str = ""

    def __str__(self):
        where = f" on {self.node}" if self.node else ""
        reason = f" ({self.reason})" if self.state == "PENDING" else ""
        elapsed = f", {self.elapsed}" if self.elapsed and self.state != "PENDING" else ""
        return f"job {self.id} {self.state}{reason}{where}{elapsed}"


class Submission(NamedTuple):
    """What a job was submitted for: the branch on which its result lands, and the command that makes it."""

    id: str
    branch: str
    command: str


def slurm(program, *arguments, check=True, text=None):
    """Run a program of Slurm and return what it prints; stop with what it said, if it fails and `check` is true."""
    if shutil.which(program) is None:
        raise InputError(
            f"{program} is not here: this is no machine of a Slurm cluster; `make all` computes without one"
        )
    # What sbatch exports must be what a login would give, not what make or an outer job set.
    own = ("MAKE", "MFLAGS", "SLURM_JOB", "GIT_")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(own)}
    done = subprocess.run([program, *arguments], input=text, env=environment, capture_output=True, text=True)
    if done.returncode and check:
        lines = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()
        said = "; ".join(line.removeprefix(f"{program}: ").removeprefix("error: ").strip() for line in lines)
        fix = "see whether Slurm runs (`sinfo`), or compute without it by `make all`"
        if program == "sbatch" and not UNREACHABLE.search(said):
            fix = f"see account, options, memory and minutes in {SETTINGS}"
        raise InputError(f"{program}: {said}; {fix}")
    return done.stdout.strip()


def tag(root=ROOT):
    """Return the comment by which the jobs of this repository are known."""
    name = f"{git('config', 'annex.uuid', check=False, root=root)} {root}"
    return f"facepain-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def queued(root=ROOT):
    """Return this study's jobs that Slurm still knows, by id."""
    listing = slurm("squeue", "--me", "--noheader", "--states=all", "--format=%i|%T|%M|%N|%r|%k").splitlines()
    rows = [line.split("|") for line in listing]
    return {row[0]: Job(*row[:5]) for row in rows if row[-1] == tag(root)}


def submitted(root=ROOT):
    """Return the last job of each cell that this repository submitted, as a `Submission` by the cell's name."""
    return {name: Submission(*entry) for name, entry in read_state(jobs_folder(root) / SUBMITTED).items()}


def jobs_folder(root=ROOT):
    """Return the folder of the jobs' logs."""
    folder = git_folder(root) / "jobs"
    folder.mkdir(exist_ok=True)
    return folder


def last_jobs(last, root):
    """Return the last job of each cell as far as Slurm knows, by the cell's name, as `submitted` gives them."""
    known = queued(root)
    forgotten = [job.id for job in last.values() if job.id not in known]
    if forgotten and shutil.which("sacct"):
        form = "--format=JobID,State,Elapsed,NodeList"
        listing = slurm("sacct", "-X", "-n", "-P", form, f"--jobs={','.join(forgotten)}", check=False)
        for id_, state, elapsed, node in (line.split("|")[:4] for line in listing.splitlines()):
            # As in "CANCELLED by 1000"; "None assigned" is the node of a job that never started.
            known[id_] = Job(id_, state.split()[0], elapsed, "" if node.startswith("None") else node)
    return {name: known.get(job.id, Job(job.id)) for name, job in last.items()}


def describe_jobs(root=ROOT):
    """Return lines about the last job of each cell, by the cell's name; none where nothing was submitted.

    Of one that failed also the last line of its log that says something.
    """
    if shutil.which("sbatch") is None or not (last := submitted(root)):
        return {}
    try:
        jobs = last_jobs(last, root)
    except InputError as error:
        print(f"jobs are not shown: {error}")
        return {}
    lines = {name: [str(job)] for name, job in jobs.items()}
    for name, job in jobs.items():
        log = jobs_folder(root) / f"{job.id}.log"
        if job.state not in (*LIVE, "COMPLETED") and log.exists():
            said = [line.strip() for line in log.read_text(errors="replace").splitlines()]
            lines[name] += [line for line in said if line and "see above" not in line][-1:]
    return lines
