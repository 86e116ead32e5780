"""Check what the study needs on a machine; name each problem with its mend, in one line."""

import os
import shutil
import subprocess
import sys

from facepain.errors import InputError
from provenance import environment
from provenance.cells import INPUTS
from provenance.repository import ROOT, changed_files, git, object_ids

DISK_NEEDED = 4e9  # environment, inputs, outputs and a scratch copy, in bytes
MEMORY_NEEDED = 3e9
OLDEST_GIT = (2, 30)


def report():
    """Print one line for each check and return the exit status: 1 if anything needs mending."""
    mends = 0
    for check in CHECKS:
        try:
            print(f"ok       {check()}")
        except InputError as problem:
            mends += 1
            print(f"PROBLEM  {problem}")
    print("nothing to mend" if not mends else f"{mends} to mend")
    return 1 if mends else 0


def check_python():
    return f"Python {'.'.join(map(str, sys.version_info[:3]))}"


def check_git():
    version = git("version").split()[2]
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_GIT:
        raise InputError(f"git {version} is too old; install {'.'.join(map(str, OLDEST_GIT))} or later")
    return f"git {version}"


def check_packages():
    if environment.is_ready():
        return "packages: the active environment holds them at the locked versions"
    if environment.has_stamp():
        return "packages: .venv holds them at the locked versions"
    raise InputError("packages: neither the active environment nor .venv holds the locked versions; `make setup`")


def check_git_annex():
    search = os.pathsep.join((str(environment.VENV / "bin"), os.path.dirname(sys.executable), os.environ["PATH"]))
    program = shutil.which("git-annex", path=search)
    if program is None:
        raise InputError("git-annex: not found; `make setup` installs it from requirements.lock")
    done = subprocess.run([program, "version", "--raw"], capture_output=True, text=True)
    if done.returncode:
        raise InputError("git-annex: does not start on this machine; install your system's package of it")
    return f"git-annex {done.stdout.strip()}"


def check_annex():
    if not git("config", "annex.uuid", check=False):
        raise InputError("annex: not initialised in this clone, so that nothing could be fetched; `make setup`")
    return "annex: initialised"


def check_identity():
    if git("config", "user.name", check=False) and git("config", "user.email", check=False):
        return "identity: git has one for commits"
    return "identity: git has none, so commits are made under a neutral name"


def check_tree():
    changed = changed_files()
    if changed:
        raise InputError(
            f"tree: {len(changed)} file(s) differ from the last commit, such as {changed[0][3:]}; "
            "commit them, or put them aside with `git stash -u`"
        )
    return "tree: clean"


def check_inputs():
    for path, commit in object_ids(*INPUTS).items():
        if not (ROOT / path / ".git").exists():
            raise InputError(f"{path}: not installed; `make inputs`")
        if git("rev-parse", "HEAD", root=ROOT / path) != commit:
            raise InputError(f"{path}: at another commit than the recorded one; `git -C {path} checkout {commit}`")
    return "inputs: installed at the recorded commits"


def check_results():
    broken = [name for name in ("outputs", "figures") if not os.access(ROOT / name, os.W_OK) and (ROOT / name).exists()]
    if broken:
        raise InputError(f"{broken[0]}: cannot be written to; `chmod u+w {broken[0]}`")
    return "results: outputs and figures can be written"


def check_disk():
    free = shutil.disk_usage(ROOT).free
    if free < DISK_NEEDED:
        raise InputError(f"disk: {free / 1e9:.1f} GB are free and {DISK_NEEDED / 1e9:.0f} GB are needed; make room")
    return f"disk: {free / 1e9:.0f} GB are free"


def check_memory():
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if total < MEMORY_NEEDED:
        raise InputError(f"memory: {total / 1e9:.1f} GB, and {MEMORY_NEEDED / 1e9:.0f} GB are needed; take a larger machine")
    return f"memory: {total / 1e9:.0f} GB"


def check_cores():
    return f"cores: {os.cpu_count()}; N_JOBS=n uses fewer"


CHECKS = (
    check_python,
    check_git,
    check_packages,
    check_git_annex,
    check_annex,
    check_identity,
    check_tree,
    check_inputs,
    check_results,
    check_disk,
    check_memory,
    check_cores,
)
