"""Find or make the Python environment: the active one if it holds the locked packages, else ``.venv``."""

import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from errors import InputError
from provenance.records.inputs import unconditional_pins
from provenance.repository import ROOT, write_whole
from provenance.run.recovery import only_one

LOCK = ROOT / "requirements.lock"
VENV = ROOT / ".venv"
STAMP = VENV / "installed.lock"  # a copy of the lock, written last: its presence says that the installation ended
LOCKED = ("--no-deps", "--require-hashes")


def ensure_environment():
    """Go on in an environment with the locked packages; make ``.venv`` if there is none.

    Replaces the running process where another interpreter is needed, and puts the interpreter's folder first on PATH,
    so that ``python``, ``datalad`` and ``git-annex`` in a recorded command are this environment's.
    """
    require_own_venv()
    if not is_ready():
        if not has_stamp():
            with only_one():
                if not has_stamp():  # another process may have made it meanwhile
                    make_environment()
        python = str(VENV / "bin" / "python")
        os.execv(python, [python, *sys.argv])
    os.environ["PATH"] = os.pathsep.join((os.path.dirname(sys.executable), os.environ["PATH"]))
    os.environ.pop("PYTHONPATH", None)


def is_ready():
    """Return whether the running interpreter has every locked package at its version and a command ``python``."""
    if Path(sys.prefix) == VENV:
        return has_stamp()
    if not (Path(sys.executable).parent / "python").exists():
        return False
    try:
        return all(
            installed_version(name).split("+")[0] == version
            for name, version in unconditional_pins(LOCK.read_text()).items()
        )
    except metadata.PackageNotFoundError:
        return False


def installed_version(name):
    """Return the version of an installed package; `metadata.version` reads all else that is said of it, too."""
    return re.search(r"^Version: (\S+)", metadata.distribution(name).read_text("METADATA"), re.MULTILINE)[1]


def rebuilt_packages():
    """List the installed packages that a cluster built itself, such as ``numpy 2.4.0+computecanada``.

    Their version is the locked one, so that they are accepted; their last bits may differ from those of others.
    """
    installed = {name: installed_version(name) for name in unconditional_pins(LOCK.read_text())}
    return [f"{name} {version}" for name, version in installed.items() if "+" in version]


def require_own_venv():
    """Stop if `.venv` was made in another folder: the programs in it would start those of that folder."""
    config = VENV / "pyvenv.cfg"
    made = re.search(r"^command = .* (/.+)$", config.read_text(), re.MULTILINE) if has_stamp() else None
    if made and Path(made.group(1)).resolve() != VENV.resolve():
        raise InputError(
            f".venv was made for {Path(made.group(1)).parent}, and this clone was moved or copied from there; remove "
            "it (`rm -rf .venv`), the same command makes it again"
        )


def has_stamp():
    return is_installed(LOCK, STAMP)


def is_installed(lock, stamp):
    return stamp.is_file() and stamp.read_bytes() == lock.read_bytes()


def make_environment():
    """Make ``.venv`` and install the locked packages, verified by their hashes."""
    print("setting up .venv with the packages of requirements.lock: about 1.1 GB on disk, a minute or two", flush=True)
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], capture_output=True, text=True)
    if made.returncode:
        shutil.rmtree(VENV, ignore_errors=True)
        raise InputError(
            "this Python cannot make a virtual environment; install its venv module (Debian: python3-venv), "
            "or use conda: conda env create -f environment.yml"
        )
    install_lock(LOCK, STAMP)


def install_lock(lock, stamp):
    """Install the packages of a lock into ``.venv``, verified by their hashes, then leave its stamp."""
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    wheels, environment = os.environ.get("WHEELS"), None
    fix = "check the network and try again, or `make wheelhouse` where there is one and `make setup WHEELS=folder` here"
    if wheels:
        if not any(Path(wheels).glob("*.whl")):
            raise InputError(f"WHEELS={wheels} is no folder with packages (*.whl), as `make wheelhouse` makes one")
        fix = (
            f"WHEELS={wheels} is to be made by `make wheelhouse` of this very commit, under the same version of Python"
        )
        pip += ["--no-index", "--find-links", wheels]
        # Clusters set these so that their own builds are taken, which do not have the hashes of the lock.
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        environment["PIP_CONFIG_FILE"] = os.devnull
    # The lock holds every dependency, so none is resolved again.
    installed = subprocess.run([*pip, *LOCKED, "-r", str(lock)], env=environment, capture_output=True, text=True)
    if installed.returncode:
        errors = [line for line in installed.stderr.splitlines() if line.startswith("ERROR")]
        reason = errors[0].removeprefix("ERROR: ") if errors else "pip gave no reason"
        raise InputError(f"installing {lock.relative_to(ROOT)} failed: {reason}; {fix}")
    start_annex_directly()
    shutil.copyfile(lock, stamp)


def start_annex_directly():
    """Make ``git-annex`` in ``.venv`` the program itself, also where ``.venv`` is moved.

    It is installed as a script of Python that starts the program, which takes ten times as long; each result calls it
    ten times and more.
    """
    for program in VENV.glob("lib/*/site-packages/git_annex/git-annex"):
        package = f'"${{0%/*}}/../{program.parent.relative_to(VENV)}"'
        script = f'#!/bin/sh\npackage={package}\nexport MAGIC="$package/magic.mgc"\nexec "$package/git-annex" "$@"\n'
        write_whole(VENV / "bin/git-annex", script, mode=0o755)


def install_extra(name):
    """Install the packages of ``code/locks/<name>.lock`` too, once; an environment of the user's stays as it is."""
    lock, stamp = ROOT / f"code/locks/{name}.lock", VENV / f"{name}.lock"
    if Path(sys.prefix) == VENV:
        if not is_installed(lock, stamp):
            print(f"adding the packages of code/locks/{name}.lock to .venv: half a minute", flush=True)
            install_lock(lock, stamp)
        return
    try:
        for package in unconditional_pins(lock.read_text()):
            metadata.version(package)
    except metadata.PackageNotFoundError as error:
        raise InputError(
            f"the active environment lacks {error.name}; add the packages to it: "
            f"pip install --no-deps --require-hashes -r code/locks/{name}.lock"
        ) from None


def make_wheelhouse():
    """Download the packages of all locks, by their hashes, for `make setup WHEELS=folder` where there is no network."""
    folder = os.environ.get("TO") or "wheels"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
    locks = [f"--requirement={lock}" for lock in (LOCK, *sorted((ROOT / "code/locks").glob("*.lock")))]
    done = subprocess.run([*pip, *LOCKED, *locks, "--dest", folder], capture_output=True, text=True)
    if done.returncode:
        raise InputError(f"not all packages could be had: {done.stderr.strip().splitlines()[-1]}")
    files = [path.stat().st_size for path in Path(folder).iterdir()]
    version = ".".join(map(str, sys.version_info[:2]))
    print(
        f"{folder}: {len(files)} packages, {sum(files) / 1e6:.0f} MB, for Python {version} on machines like this one; "
        f"take it there, then `make setup WHEELS={folder}`"
    )
