"""What the Makefile calls: set up, run a stage or a cell, show the state of results, verify and export them."""

import sys

if sys.version_info < (3, 11):
    sys.exit(
        f"Python {sys.version_info[0]}.{sys.version_info[1]} is too old; expected 3.11 or later: "
        "name one with `make PYTHON=python3.11 ...`, or use conda: conda env create -f environment.yml"
    )

import signal

# While modules load there is nothing to put back: Ctrl-C ends at once, without a traceback.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import os
import re
import subprocess
import webbrowser
from contextlib import nullcontext
from functools import cache, partial
from pathlib import Path
from pkgutil import resolve_name

from errors import InputError, suggest
from provenance.annex.setup import configure_inputs, ensure_annex, ensure_identity, is_initialised, neutralise
from provenance.declare import PARAMS, Options
from provenance.environment import doctor, python
from provenance.repository import ROOT, changed_files, is_shallow, object_ids, require_clone
from provenance.run.recovery import only_one, restore_interrupted, stop_cleanly, stop_with_caller

# What needs packages is imported by the tasks, once the environment is there, and only by those that need it.

REPORT, NOTEBOOK = "figures/report.html", "figures/notebook.ipynb"


def main():
    os.chdir(ROOT)
    require_known_words()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=[*TASKS, "doctor", "open", "wheelhouse"])
    parser.add_argument("names", nargs="*", help="of the stage, or of the cell")
    arguments = parser.parse_args()
    task = arguments.task
    try:
        stop_cleanly()
        if "MAKELEVEL" in os.environ or task == "serve":
            stop_with_caller()
        require_clone()
        if task != "test":  # tests see the user's settings
            neutralise()
        require_known_dask()
        if task == "doctor":
            return doctor.report(load_study() if python.is_ready() else None)
        if task == "wheelhouse":
            return python.make_wheelhouse()
        if task == "open":  # needs no package
            return open_report()
        if task in NEED_HISTORY and is_shallow():
            raise InputError("this clone is shallow and holds no run records; `git fetch --unshallow` completes it")
        python.ensure_environment()
        if task in WITHOUT_SETUP:
            ensure_identity()
        else:
            set_up()
        if task in NEED_CELLS:  # names that mean nothing stop before inputs are built, which takes a while
            find_cell(arguments.names) if task == "cell" else requested_cells()
        if task in NEED_INPUTS:
            install_inputs(task)
        return TASKS[task](arguments.names)
    except InputError as error:
        sys.exit(f"{task}: {error}")
    except OSError as error:
        if isinstance(error, BrokenPipeError):  # such as `make status | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return None
        place = f" {error.filename}" if error.filename else ""
        sys.exit(f"{task}: {error.strerror or error}{place}; fix that, then run the same command again")
    except KeyboardInterrupt:
        sys.exit("interrupted: nothing half-made was kept; the same command continues")


def require_known_words():
    """Stop if make was given an option or a target that means nothing, such as ``N_PERMUTATION=20``."""
    known, goals = os.environ.get("MAKE_OPTIONS", "").split(), os.environ.get("MAKE_GOALS", "").split()
    taken = [pair.split(":") for pair in os.environ.get("MAKE_TAKEN", "").split()]
    for name in os.environ.get("MAKE_GIVEN", "").split():
        targets = [target for option, target in taken if option == name]
        if name not in known:
            sys.exit(f"{name}= is not an option; expected one of {', '.join(known)}{suggest(name.upper(), known)}")
        if targets and not set(targets) & set(goals):
            some = ", ".join(targets[:5]) + (f" and {len(targets) - 5} more" if targets[5:] else "")
            sys.exit(f"make {' '.join(goals)} does not take {name}=, which is an option of {some}")
    targets = os.environ.get("MAKE_TARGETS", "").split()
    if twice := [name for name in targets if targets.count(name) > 1]:
        sys.exit(f"stage {twice[0]}: `make {twice[0]}` does something else; name the stage otherwise in code/stages.py")
    for name in os.environ.get("MAKE_UNKNOWN_TARGETS", "").split():
        hint = suggest(name, targets)
        hint = hint or '; one result is made by, for example, make cell CELL="regress M1 lasso"'
        sys.exit(f'"{name}" is not a target; `make help` lists them{hint}')


def require_known_dask():
    """Stop if ``DASK`` names no cluster; make the path of a scheduler file absolute, for jobs that work elsewhere."""
    text = os.environ.get("DASK", "")
    if re.fullmatch(r"|local|slurm|[\w+-]+://.+|\S+:\d+", text):
        return
    if not Path(text).is_file():
        raise InputError(
            f"DASK={text} is not allowed; expected local, slurm, the address of a running cluster, such as "
            "tcp://10.0.0.1:8786, or its scheduler file, which has to be there"
        )
    os.environ["DASK"] = os.path.abspath(text)


def call(place, *arguments):
    """Call a function of ``provenance``, imported only now."""
    return resolve_name(f"provenance.{place}")(*arguments)


def load_study():
    from stages import STUDY

    return STUDY


@cache  # names are looked up before inputs are built, and again to make the results
def requested_cells():
    """Return the cells under the options that make exports: ``PARAMS``, ``N_PERMUTATIONS``, ``N_BOOTSTRAPS``."""
    return load_study().cells(requested_options())


def requested_options():
    """Return what `requested_cells` goes by, checked."""
    names = dict.fromkeys(option for stage in load_study().stages for option in stage.options)
    given = {name: text for name in names if (text := os.environ.get(name.upper()))}
    for name, text in given.items():
        if not text.isdecimal() or int(text) < 2:
            raise InputError(f"{name.upper()}={text} is not allowed; expected a whole number, 2 or more")
    options = Options(os.environ.get("PARAMS") or PARAMS, {name: int(text) for name, text in given.items()})
    path = Path(options.params)
    if not path.is_file():
        others = (each.as_posix() for each in (*Path("code").glob("*.toml"), *Path().glob("*.toml")))
        others = [other for other in others if other != "pyproject.toml"]
        raise InputError(
            f"PARAMS={options.params}: no such file; name a committed params file, such as {PARAMS}"
            f"{suggest(options.params, others)}"
        )
    if not re.fullmatch(r"[\w./][\w./-]*", options.params):
        raise InputError(f"PARAMS={options.params}: stands in recorded commands; use letters, digits, dots and dashes")
    if path.is_absolute() or not object_ids(options.params):
        raise InputError(f"PARAMS={options.params} is not a committed file of this repository; add and commit it first")
    return options


def set_up():
    import own_study
    from provenance.on_demand import enable

    with nullcontext() if is_initialised() else only_one():
        ensure_annex()
    own_study.guard_remotes()
    if enable.is_enabled():
        try:
            enable.refresh(requested_cells())
        except InputError as error:
            print(f"on-demand does not work here: {error}")


def install_inputs(task):
    import own_study
    from make_inputs import make_inputs

    with only_one():
        own_study.go_back() if task == "synthetic" else own_study.put_in_place()
        make_inputs(Path("inputs"))
        configure_inputs()


def install_own(_names):
    import own_study

    sources = {name: os.environ.get(name.upper()) for name in ("contrasts", "behavior", "masks", "signatures")}
    with only_one():
        if not any(sources.values()):
            own_study.refresh()
            return
        own_study.start(sources, os.environ.get("ONLY"))
        configure_inputs()
        from propose import propose_params  # only now: it is heavy, and a source that cannot be used stops before

        propose_params()


def take_up_newer_code(_names):
    call("run.update:update", os.environ.get("FROM", ""))
    # By the new code, in the environment that it needs.
    return subprocess.run([sys.executable, "code/study.py", "status"]).returncode


def check_inputs(_names):
    from check import check
    from provenance.run.stage import silence_libraries

    silence_libraries()
    check(load_study().load_params(Path(requested_options().params)), requested_cells())


def run_stage(names):
    """Run a stage, or with ``all`` every one, and what is stale or absent before it."""
    (name,) = names
    cells = requested_cells()
    left_out = [stage.name for stage in load_study().stages if stage.name not in {cell.stage for cell in cells}]
    if left_out and name in ("all", *left_out):
        print(f"the params ask for no result of: {', '.join(left_out)}", flush=True)
    stage = None if name == "all" else load_study().stage(name).name
    return make_results([cell for cell in cells if stage in (None, cell.stage)], is_all=name == "all")


def make_results(wanted, is_all=False):
    """Make cells and what is stale or absent before them; print the verdict, and return 1 if an output is different."""
    from provenance.records.grading import sum_up
    from provenance.run.runner import run_cells

    outcomes = run_cells(wanted, requested_cells(), load_study().size) if wanted else {}
    ran = [grades for grades in outcomes.values() if grades is not None]
    grades = {path: grade for each in ran for path, grade in each.items()}
    lines, reproduced = sum_up(grades, f"{len(ran)} of {len(outcomes)} cells ran")
    if is_all or any(ran):
        print("\n".join(lines))
        say_what_was_rebuilt()
    if not reproduced:
        print("Some results differ from the recorded ones: the lines above name them.")
        return 1
    if is_all:
        print(f"All results are up to date: open {REPORT}, or type `make open`.")
    return 0


def find_cell(names):
    """Return the cell of a name such as ``regress M1 lasso``."""
    known, name = {cell.name: cell for cell in requested_cells()}, " ".join(names)
    if not name:
        example = max(known, key=lambda each: each.count(" "))
        raise InputError(f'CELL= is missing; name a result: make cell CELL="{example}"')
    if name not in known:
        longer = [other for other in known if other.startswith(f"{name} ")]
        hint = f"; expected one of {', '.join(longer)}" if longer else suggest(name, known)
        raise InputError(f'no result is called "{name}"; `make status` lists all {len(known)}{hint}')
    return known[name]


def submit_jobs(_names):
    call("cluster.submission:submit", load_study(), requested_cells())
    say_what_was_rebuilt()


def show_status(_names):
    from provenance.cluster.queue import describe_jobs
    from provenance.records.freshness import FRESH, assess

    states, jobs = assess(requested_cells()), describe_jobs()
    width = max(map(len, states))
    for name, freshness in states.items():
        job, *said = jobs.get(name, [""])
        print(f"{name:{width}}  {freshness.state:6}  {job}".rstrip())
        for reason in freshness.reasons[:5]:
            print(f"{'':{width}}    {reason}")
        if len(freshness.reasons) > 5:
            print(f"{'':{width}}    and {len(freshness.reasons) - 5} more")
        if said and freshness.state != FRESH:
            print(f"{'':{width}}    {said[0]}")
    fresh = sum(freshness.state == FRESH for freshness in states.values())
    print(f"{fresh} of {len(states)} results are fresh")
    if changed := changed_files():
        print(f"{len(changed)} file(s) differ from the last commit; `git status` lists them")


def say_what_was_rebuilt():
    if rebuilt := python.rebuilt_packages():
        print(f"built by this cluster: {', '.join(rebuilt)}; outputs may be equal within tolerance, not identical")


def open_report():
    if not Path(REPORT).exists():
        raise InputError(f"{REPORT} is not here yet; `make all` makes it")
    url = Path(REPORT).resolve().as_uri()
    if not (has_desktop() and webbrowser.open(url)):
        print(f"no desktop was found here; open this in a browser: {url}")


def open_notebook(_names):
    """Open the notebook in JupyterLab; make it first where it is not here."""
    from provenance.run.runner import run_cells

    python.install_extra("notebook")
    if not Path(NOTEBOOK).exists():
        print(f"{NOTEBOOK} is not here yet: it is made, with the results that it shows", flush=True)
        cells = requested_cells()
        run_cells([cell for cell in cells if cell.stage == "plot"], cells, load_study().size)
    options = ["--ServerApp.root_dir=.", f"--LabApp.default_url=/lab/tree/{NOTEBOOK}"]
    options += [] if has_desktop() else ["--no-browser"]
    options += ["--allow-root"] if os.geteuid() == 0 else []
    return subprocess.run([sys.executable, "-m", "jupyterlab", *options]).returncode


def has_desktop():
    return sys.platform in ("darwin", "win32") or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def publish_results(_names):
    with only_one():  # what it waits for may change the code and the params that it goes by
        restore_interrupted()
        options = map(os.environ.get, ("TO", "PRIVATE", "YES"))
        call("publish.publication:publish", load_study(), requested_cells(), *options)


def run_tests(names):
    # Files as a whole, since their tests share what a fixture makes, in the order of tests/conftest.py. On two cores
    # three at a time, since slow tests wait for the disk and for processes that they end; fast ones only compute.
    chosen = ["--numprocesses", "2", "-m", "not slow"] if names == ["fast"] else ["--numprocesses", "3"]
    command = ["-m", "pytest", "--dist", "loadfile", "--no-loadscope-reorder", *chosen]
    return subprocess.run([sys.executable, *command]).returncode


def run_beside_tests(script, names):
    return subprocess.run([sys.executable, f"tests/shared/{script}.py", *names]).returncode


# Those of a clone that somebody else made ready; the manifest, which needs no annex; the tests, before which make calls
# `setup`, since they see the user's settings.
WITHOUT_SETUP = ("job", "alone", "serve", "manifest", "test")
NEED_CELLS = ("run", "cell", "submit", "notebook")
NEED_INPUTS = ("inputs", "synthetic", "check", *NEED_CELLS)
NEED_HISTORY = ("run", "cell", "update", "verify", "explain", "on-demand", "crate", "publish")
TASKS = {
    # Set-up and inputs were made ready before.
    **dict.fromkeys(("setup", "inputs", "synthetic"), lambda _names: None),
    "own": install_own,
    "update": take_up_newer_code,
    "check": check_inputs,
    "run": run_stage,
    "cell": lambda names: make_results([find_cell(names)]),
    "submit": submit_jobs,
    "cancel": lambda _names: call("cluster.submission:cancel"),
    "job": lambda names: call("cluster.job:run_job", *names),
    "alone": lambda names: call("cluster.job:make_alone", find_cell(names), requested_cells()),
    "status": show_status,
    "notebook": open_notebook,
    "verify": lambda names: call(
        "verify.verification:verify", load_study(), requested_cells(), [find_cell(names)] if names else None
    ),
    "explain": lambda _names: call("records.explanation:explain", os.environ.get("RESULT"), os.environ.get("SINCE")),
    "on-demand": lambda _names: call("on_demand.enable:enable", requested_cells()),
    "serve": lambda names: call("on_demand.special_remote:serve", load_study(), requested_cells(), *names),
    "crate": lambda _names: call("crate:export_crate", load_study(), requested_cells(), os.environ.get("TO")),
    "publish": publish_results,
    "manifest": lambda _names: call("publish.declared:write_manifest"),
    "test": run_tests,
    **{script: partial(run_beside_tests, script) for script in ("bench", "validity", "trial")},
}

if __name__ == "__main__":
    sys.exit(main())
