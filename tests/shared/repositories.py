"""Real repositories for tests: this project's files in a folder of their own, with a small synthetic study."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Run in the background, the tests would hand an ignored Ctrl-C on to the commands that they interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def run(command, folder, check=True, **variables):
    """Run a command as a user would in a folder; return what it printed, both streams together."""
    given = {"cwd": folder, "env": user_environment(**variables), "text": True}
    done = subprocess.run(command, **given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if check and done.returncode:
        raise AssertionError(f"{command} failed with {done.returncode}:\n{done.stdout}")
    return done


def user_environment(**variables):
    """Return the variables of this process with its Python first, without those that an outer make exports."""
    inherited = {
        key: value
        for key, value in os.environ.items()
        if key not in OF_AN_OUTER_MAKE and not key.startswith(("GIT_CONFIG_", "MAKE_"))
    }
    return inherited | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"} | variables


OF_AN_OUTER_MAKE = (
    *("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PARAMS", "N_PERMUTATIONS", "N_BOOTSTRAPS", "N_JOBS", "CELL"),
    *("RESULT", "SINCE", "TO", "PRIVATE", "YES", "CONTRASTS", "BEHAVIOR", "MASKS", "SIGNATURES", "ONLY", "FROM"),
)
TESTER = {"user.name": "A tester", "user.email": "tester@example.invalid"}
# The same as variables, for a repository that is only about to be cloned.
IDENTITY = {"GIT_CONFIG_COUNT": str(len(TESTER))} | {
    f"GIT_CONFIG_{kind}_{number}": text
    for number, pair in enumerate(TESTER.items())
    for kind, text in zip(("KEY", "VALUE"), pair, strict=True)
}
SMALL = {"N_PERMUTATIONS": "20", "N_BOOTSTRAPS": "10"}
# What the small study does once and not for every mask and algorithm: each result costs its start-up.
FEWER = {
    "": {"min_participants": 1},  # there are few
    "extract": {"masks": ["whole-brain", "M1"]},
    "regress.repeats": {"n": 3},
    "regress.learning": {"n": 2},
    "similarity": {"masks": ["M1"], "algorithms": ["lasso"]},
    "relate": {"mask": "M1"},
    "tune": {"masks": ["M1"], "algorithms": ["ridge"], "repeats": 2},
    "occurrence": {"masks": ["M1"]},
    "compare.detectable": {"n": 10, "effects": [0.4, 0.8]},
    "plot": {"brain_mm": 3.0},
}


def edit_params(path, changes):
    """Set keys of a params file, by table, where they stand or else at the top of the table; "" are keys of none."""
    text = path.read_text()
    for table, values in changes.items():
        head, opening, rest = text.partition(f"\n[{table}]") if table else ("", "", text)
        assert opening or not table, table
        body, _, after = rest.partition("\n[")
        for key, value in values.items():
            line = f"{key} = {json.dumps(value)}"
            body, found = re.subn(rf"(?m)^{key} = [^#\n]*", line + " ", body, count=1)
            if not found:
                first, _, others = body.partition("\n")
                body = f"{first}\n{line}\n{others}"
        text = head + opening + body + (f"\n[{after}" if _ else "")
    path.write_text(text)


def name_tester(folder):
    for key, value in TESTER.items():
        run(["git", "config", key, value], folder)


def readme_commands():
    """Return the blocks of commands in the README, in order."""
    return re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)


def copy_repository(folder, copy):
    """Copy a repository so that git knows the copies of its files, which each command would else read anew."""
    shutil.copytree(folder, copy, symlinks=True)
    for place in (copy, *(copy / "inputs").glob("*/")):
        if (place / ".git").exists():
            unfiltered = ["-c", "filter.annex.process=", "-c", "filter.annex.clean="]
            run(["git", *unfiltered, "update-index", "-q", "--refresh"], place, check=False)
    return copy


def small_cells():
    """Return the names of all results of the small study, in order."""
    from provenance.declare import Options
    from stages import STUDY

    with tempfile.TemporaryDirectory() as folder:
        params = Path(folder, "params.toml")
        shutil.copy(ROOT / "code/params.toml", params)
        edit_params(params, FEWER)
        return [cell.name for cell in STUDY.cells(Options(str(params)))]


def make_repository(folder, design="small"):
    """Make a repository with this one's files and no results, and the inputs of a small synthetic study.

    The files are those of the working tree, so that a test speaks of the code at hand; they are committed there.
    """
    run(["git", "init", "--quiet", "--initial-branch", "main", str(folder)], ROOT)
    listed = run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], ROOT).stdout.split("\0")
    for name in filter(None, listed):
        source, target = ROOT / name, folder / name
        if source.is_file() and not name.startswith(("outputs/", "figures/", "inputs/")):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    if design:
        edit_params(folder / "code/params.toml", FEWER)
    # Its own declaration of what is public, lest every edit of code ask for a new one before it can be tested.
    run(["git", "add", "--all"], folder)
    run([sys.executable, "code/study.py", "manifest"], folder)
    name_tester(folder)
    run(["git", "add", "--all"], folder)
    run(["git", "commit", "--quiet", "--allow-empty", "--message", "Start over with no result"], folder)
    if design:
        for name in ("contrasts", "signatures"):
            key = f"submodule.inputs/{name}.facepain-design"
            run(["git", "config", "--file", ".gitmodules", key, design], folder)
        run([sys.executable, "code/study.py", "inputs"], folder)
        run(
            ["git", "add", ".gitmodules", "inputs/contrasts", "inputs/behavior", "inputs/masks", "inputs/signatures"],
            folder,
        )
        run(["git", "commit", "--quiet", "--message", "Pin a small synthetic study"], folder)
    return folder
