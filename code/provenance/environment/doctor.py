"""Check what the study needs on a machine; name each problem and how to fix it, in one line."""

import fcntl
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import PurePosixPath

from errors import InputError
from provenance.annex.integrity import broken_files, is_pointer, require_whole
from provenance.annex.setup import require_annexable
from provenance.environment import python as environment
from provenance.repository import (
    ROOT,
    changed_files,
    git,
    git_folder,
    input_datasets,
    is_shallow,
    object_ids,
    read_state,
    require_as_recorded,
    require_plain_branch,
    require_writable,
    subdataset_setting,
)
from provenance.run.recovery import MARKER

DISK_NEEDED = 4e9  # environment, inputs, outputs and a scratch copy, in bytes
MEMORY_NEEDED = 3e9
OLDEST_GIT = (2, 30)


def report(study=None):
    """Print one line for each check and return the exit status: 1 if there is any problem.

    The study says which results are participant level; None where the packages that it needs are not here.
    """
    problems, waiting = 0, 0
    checks = [*CHECKS, *([partial(require_annexed, study)] if study else [])]
    for check in checks:
        try:
            print(f"ok       {check()}")
        except NotSetUpError as missing:
            waiting += 1
            print(f"not yet  {missing}")
        except InputError as problem:
            problems += 1
            print(f"PROBLEM  {problem}")
    ready = "not set up yet: `make setup`, or `make all`, which does it too" if waiting else "everything is ready"
    print(f"{problems} problem{'s' if problems > 1 else ''} to fix" if problems else ready)
    return 1 if problems else 0


class NotSetUpError(InputError):
    """What `make setup` or `make inputs` has not done in this clone yet: no fault."""


def check_git():
    version = git("version").split()[2]
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_GIT:
        raise InputError(f"git {version} is too old; install {'.'.join(map(str, OLDEST_GIT))} or later")
    return f"git {version}, Python {'.'.join(map(str, sys.version_info[:3]))}"


def check_packages():
    environment.require_own_venv()
    if environment.is_ready():
        return "packages: the active environment holds them at the locked versions"
    if environment.has_stamp():
        return "packages: .venv holds them at the locked versions"
    raise NotSetUpError("packages: neither the active environment nor .venv holds the locked versions; `make setup`")


def check_git_annex():
    search = os.pathsep.join((str(environment.VENV / "bin"), os.path.dirname(sys.executable), os.environ["PATH"]))
    program = shutil.which("git-annex", path=search)
    if program is None:
        raise NotSetUpError("git-annex: not found; `make setup` installs it from requirements.lock")
    done = subprocess.run([program, "version", "--raw"], capture_output=True, text=True)
    if done.returncode:
        raise InputError("git-annex: does not start on this machine; install your system's package of it")
    return f"git-annex {done.stdout.strip()}"


def check_annex():
    require_annexable()
    if not git("config", "annex.uuid", check=False):
        raise NotSetUpError("annex: not initialised in this clone, so that nothing could be fetched; `make setup`")
    return "annex: initialised"


def check_identity():
    if git("config", "user.name", check=False) and git("config", "user.email", check=False):
        return "identity: git has one for commits"
    return "identity: git has none, so commits are made under a neutral name"


def check_tree():
    datasets = input_datasets()
    changed = [line for line in changed_files() if line[3:] not in datasets]
    if changed:
        raise InputError(
            f"tree: {len(changed)} file(s) differ from the last commit, such as {changed[0][3:]}; "
            "commit them, or put them aside with `git stash -u`"
        )
    return "tree: clean"


def check_inputs():
    private = []
    for path, commit in input_datasets().items():
        if not (ROOT / path / ".git").exists():
            if subdataset_setting(path, "url"):
                raise NotSetUpError(f"{path}: not installed; `make inputs`")
            private.append(path)
            continue
        require_plain_branch(ROOT / path)
        require_as_recorded(path, commit)
        lost = [file for file in require_whole(path) if not file.exists()]
        if lost:
            raise NotSetUpError(
                f"{path}: the content of {len(lost)} file(s) is not here, such as {lost[0].relative_to(ROOT / path)}; "
                f"a stage that reads them fetches them, or `datalad get {path}`; `make inputs` builds synthetic ones"
            )
    there = "inputs: installed at the recorded commits, with all content"
    return there + (f", but for {', '.join(private)}: private, only the owner has it" if private else "")


def check_results():
    for name in ("outputs", "figures"):
        require_writable(name)
    return "results: outputs and figures can be written"


def check_content():
    results = object_ids("outputs", "figures")
    broken = broken_files(results)
    if broken:
        raise InputError(f"{broken[0]}: its content does not fit its checksum; `make all` makes it again")
    return f"content: what is here of {len(results)} results fits its checksums"


def require_annexed(study):
    """Stop at what was saved before the annex was ready, and so lies in git, where it travels with every clone."""
    results = git("ls-files", "--stage", "-z", "--", "outputs", "figures").split("\0")
    for mode, path in ((line[:6], line.partition("\t")[2]) for line in results if line):
        # Fingerprints lie in git on purpose, so that a clone without the bytes can compare its own with them.
        in_git = mode != "120000" and not PurePosixPath(path).name.startswith("fingerprints.")
        if in_git and study.is_private(path) and not is_pointer(ROOT / path):
            raise InputError(
                f"{path}: lies in git and not in the annex, so that whoever has the history has it; "
                "undo its commit before anything is pushed, `make setup`, then save it again"
            )
    return "annexed: no participant-level result lies in git"


def check_lock():
    lock = git_folder().parent / "index.lock"
    if lock.exists():
        shown = os.path.relpath(lock, ROOT)
        raise InputError(f"{shown}: another git is at work here or was killed; if none runs, `rm {shown}`")
    return "lock: no git is at work here"


def check_interrupted():
    marker = git_folder() / MARKER
    if marker.exists():
        with open(git_folder() / "lock", "a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return "runs: one is at work"
        folder = read_state(marker).get("folder", "a result")  # a power failure leaves it empty
        raise InputError(f"{folder}: a run of it was interrupted; `make all` puts it back and goes on")
    return "runs: none was interrupted"


def check_branch():
    if not git("symbolic-ref", "--quiet", "HEAD", check=False):
        raise InputError("branch: HEAD is detached, so that new results would belong to no branch; `git checkout main`")
    return f"branch: {git('symbolic-ref', '--short', 'HEAD')}"


def check_history():
    if is_shallow():
        raise InputError("history: this clone is shallow, so that no run record can be found; `git fetch --unshallow`")
    return "history: whole"


def check_machine():
    free, memory = shutil.disk_usage(ROOT).free, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if free < DISK_NEEDED:
        raise InputError(f"disk: {free / 1e9:.1f} GB are free and {DISK_NEEDED / 1e9:.0f} GB are needed; make room")
    if memory < MEMORY_NEEDED:
        needed = f"{MEMORY_NEEDED / 1e9:.0f} GB are needed; use a larger machine"
        raise InputError(f"memory: {memory / 1e9:.1f} GB; {needed}")
    return f"machine: {memory / 1e9:.0f} GB of memory, {free / 1e9:.0f} GB of disk free, {os.cpu_count()} cores"


CHECKS = (
    check_git,
    check_packages,
    check_git_annex,
    check_annex,
    check_identity,
    check_tree,
    check_inputs,
    check_results,
    check_content,
    check_lock,
    check_interrupted,
    check_branch,
    check_history,
    check_machine,
)
