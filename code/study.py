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
from pathlib import Path

from errors import InputError, suggest
from provenance.annex.setup import configure_inputs, ensure_identity, neutralise
from provenance.declare import PARAMS, Options
from provenance.environment import doctor, python
from provenance.repository import ROOT, changed_files, object_ids, require_clone, require_history
from provenance.run.interruption import stop_cleanly, stop_with_caller
from provenance.run.locks import only_one
from provenance.run.recovery import restore_interrupted

# What needs packages is imported by the tasks, once the environment is there.

REPORT, NOTEBOOK = "figures/report.html", "figures/notebook.ipynb"


def main():
    os.chdir(ROOT)
    require_known_words()
    arguments = parse_arguments()
    try:
        stop_cleanly()
        if "MAKELEVEL" in os.environ or arguments.task == "serve":
            stop_with_caller()
        require_clone()
        if arguments.task != "test":  # tests see the user's settings
            neutralise()
        if arguments.task == "doctor":
            return doctor.report(load_study() if python.is_ready() else None)
        if arguments.task == "wheelhouse":
            return python.make_wheelhouse()
        if arguments.task == "open":  # needs no package
            return open_report()
        if arguments.task in NEED_HISTORY:
            require_history()
        python.ensure_environment()
        if arguments.task in WITHOUT_SETUP:
            ensure_identity()
        else:
            set_up()
        if arguments.task in NEED_INPUTS:
            install_inputs(arguments.task)
        return TASKS[arguments.task](arguments)
    except InputError as error:
        sys.exit(f"{arguments.task}: {error}")
    except OSError as error:
        if isinstance(error, BrokenPipeError):  # such as `make status | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return None
        place = f" {error.filename}" if error.filename else ""
        sys.exit(f"{arguments.task}: {error.strerror or error}{place}; fix that, then run the same command again")
    except KeyboardInterrupt:
        sys.exit("interrupted: nothing half-made was kept; the same command continues")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=[*TASKS, "doctor", "open", "wheelhouse"])
    parser.add_argument("names", nargs="*", help="of the stage, or of the cell")
    return parser.parse_args()


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
    for name in os.environ.get("MAKE_UNKNOWN_TARGETS", "").split():
        hint = suggest(name, os.environ["MAKE_TARGETS"].split())
        hint = hint or '; one result is made by, for example, make cell CELL="regress M1 lasso"'
        sys.exit(f'"{name}" is not a target; `make help` lists them{hint}')


def load_study():
    from stages import STUDY

    return STUDY


def requested_cells():
    """Return the cells under the options that make exports: ``PARAMS``, ``N_PERMUTATIONS``, ``N_BOOTSTRAPS``."""
    return load_study().cells(requested_options())


def requested_options():
    names = dict.fromkeys(option for stage in load_study().stages for option in stage.options)
    counts = {name: requested_count(name.upper()) for name in names}
    options = Options(os.environ.get("PARAMS") or PARAMS, {name: n for name, n in counts.items() if n is not None})
    path = Path(options.params)
    if not path.is_file():
        others = [each.as_posix() for each in (*Path("code").glob("*.toml"), *Path().glob("*.toml"))]
        raise InputError(
            f"PARAMS={options.params}: no such file; name a committed params file, such as {PARAMS}"
            f"{suggest(options.params, others)}"
        )
    if not re.fullmatch(r"[\w./][\w./-]*", options.params):
        raise InputError(f"PARAMS={options.params}: stands in recorded commands; use letters, digits, dots and dashes")
    if path.is_absolute() or not object_ids(options.params):
        raise InputError(f"PARAMS={options.params} is not a committed file of this repository; add and commit it first")
    return options


def requested_count(name):
    text = os.environ.get(name)
    if not text:
        return None
    if not text.isdigit() or int(text) < 2:
        raise InputError(f"{name}={text} is not allowed; expected a whole number, 2 or more")
    return int(text)


def set_up():
    from provenance.annex import setup
    from provenance.on_demand import enable

    if setup.is_initialised():
        setup.ensure_annex()
    else:
        with only_one():
            setup.ensure_annex()
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


def install_own(_arguments):
    import own_study

    sources = {name: os.environ.get(name.upper()) for name in ("contrasts", "behavior", "masks", "signatures")}
    with only_one():
        if any(sources.values()):
            own_study.start(sources, os.environ.get("ONLY"))
            configure_inputs()
            from propose import propose_params  # only now: it is heavy, and a source that cannot be used stops before

            propose_params()
        else:
            own_study.refresh()


def take_up_newer_code(_arguments):
    from provenance.run.update import update

    with only_one():
        restore_interrupted()
        update(os.environ.get("FROM", ""))
    # By the new code, in the environment that it needs.
    return subprocess.run([sys.executable, "code/study.py", "status"]).returncode


def check_inputs(_arguments):
    from check import check
    from provenance.run.stage import silence_libraries

    silence_libraries()
    check(load_study().load_params(Path(requested_options().params)), requested_cells())


def run_stage(arguments):
    """Run a stage, or with ``all`` every one, and what is stale or absent before it."""
    from provenance.run.runner import run_cells

    (name,) = arguments.names
    cells = requested_cells()
    left_out = [stage.name for stage in load_study().stages if stage.name not in {cell.stage for cell in cells}]
    if left_out and name in ("all", *left_out):
        print(f"the params ask for no result of: {', '.join(left_out)}", flush=True)
    wanted = cells if name == "all" else [cell for cell in cells if cell.stage == load_study().stage(name).name]
    outcomes = run_cells(wanted, cells, load_study().size) if wanted else {}
    return show_verdict(outcomes, name == "all")


def run_cell(arguments):
    from provenance.run.runner import run_cells

    cells = requested_cells()
    return show_verdict(run_cells([find_cell(arguments.names, cells)], cells, load_study().size))


def submit_jobs(_arguments):
    from provenance.cluster.submission import submit

    submit(load_study(), requested_cells())
    say_what_was_rebuilt()


def cancel_jobs(_arguments):
    from provenance.cluster.submission import cancel

    cancel()


def run_job(arguments):
    """Do what one job of `submit` does; its names are the branch, the folder and the cell."""
    from provenance.cluster.job import run_job

    branch, folder, *names = arguments.names
    return run_job(" ".join(names), folder, branch)


def run_alone(arguments):
    from provenance.cluster.alone import make_alone

    cells = requested_cells()
    make_alone(find_cell(arguments.names, cells), cells)


def find_cell(names, cells):
    """Return the cell of a name such as ``regress M1 lasso``."""
    known, name = {cell.name: cell for cell in cells}, " ".join(names)
    if not name:
        raise InputError(f'CELL= is missing; name a result: make cell CELL="{cells[-2].name}"')
    if name not in known:
        raise InputError(f'no result is called "{name}"; `make status` lists all {len(known)}{suggest(name, known)}')
    return known[name]


def done_before(_arguments):
    """Do nothing more than `main` does before every task that needs it."""


def show_status(_arguments):
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


def show_verdict(outcomes, of_all=False):
    from provenance.run.outcomes import verdict

    lines, reproduced = verdict(outcomes)
    if of_all or any(outcomes.values()):
        print("\n".join(lines))
        say_what_was_rebuilt()
    if reproduced:
        if of_all:
            print(f"All results are up to date: open {REPORT}, or type `make open`.")
        return 0
    print("Some results differ from the recorded ones: the lines above name them.")
    return 1


def say_what_was_rebuilt():
    if rebuilt := python.rebuilt_packages():
        print(f"built by this cluster: {', '.join(rebuilt)}; outputs may be equal within tolerance, not identical")


def open_report():
    if not Path(REPORT).exists():
        raise InputError(f"{REPORT} is not here yet; `make all` makes it")
    url = Path(REPORT).resolve().as_uri()
    if not (has_desktop() and webbrowser.open(url)):
        print(f"no desktop was found here; open this in a browser: {url}")


def open_notebook(_arguments):
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


def verify(arguments):
    from provenance.verify.verification import verify

    cells = requested_cells()
    chosen = [find_cell(arguments.names, cells)] if arguments.names else cells
    return verify(load_study(), cells, chosen)


def explain(_arguments):
    from provenance.records.explanation import explain

    print("\n".join(explain(os.environ.get("RESULT"), os.environ.get("SINCE") or None)))


def recompute_on_demand(_arguments):
    from provenance.on_demand import enable

    enable.enable(requested_cells())


def serve_git_annex(arguments):
    from provenance.on_demand.special_remote import serve

    serve(load_study(), requested_cells(), *arguments.names)


def write_crate(_arguments):
    from provenance.crate.export import export_crate

    export_crate(load_study(), requested_cells(), os.environ.get("TO"))


def publish(_arguments):
    from provenance.publish.publication import publish

    with only_one():
        restore_interrupted()
        agreed = os.environ.get("YES") == "1"
        publish(load_study(), requested_cells(), os.environ.get("TO"), os.environ.get("PRIVATE"), agreed)


def write_manifest(_arguments):
    from provenance.publish.declared import MANIFEST, write_manifest

    print(f"{MANIFEST}: {write_manifest()} files; commit it, and they are declared to be public")


def run_tests(arguments):
    selected = ["-m", "not slow"] if arguments.names == ["fast"] else []
    # In the order of tests/conftest.py, which keeps together what shares a fixture.
    parallel = ["--numprocesses", "2", "--dist", "loadgroup", "--no-loadscope-reorder"]
    return subprocess.run([sys.executable, "-m", "pytest", *parallel, *selected]).returncode


def run_beside_tests(arguments):
    return subprocess.run([sys.executable, f"tests/shared/{arguments.task}.py", *arguments.names]).returncode


# Those of a clone that somebody else made ready; the manifest, which needs no annex; the tests, before which make calls
# `setup`, since they see the user's settings.
WITHOUT_SETUP = ("job", "alone", "serve", "manifest", "test")
NEED_INPUTS = ("inputs", "synthetic", "check", "run", "cell", "submit", "notebook")
NEED_HISTORY = ("run", "cell", "update", "verify", "explain", "on-demand", "crate", "publish")
TASKS = {
    "setup": done_before,
    "inputs": done_before,
    "own": install_own,
    "synthetic": done_before,
    "update": take_up_newer_code,
    "check": check_inputs,
    "run": run_stage,
    "cell": run_cell,
    "submit": submit_jobs,
    "cancel": cancel_jobs,
    "job": run_job,
    "alone": run_alone,
    "status": show_status,
    "notebook": open_notebook,
    "verify": verify,
    "explain": explain,
    "on-demand": recompute_on_demand,
    "serve": serve_git_annex,
    "crate": write_crate,
    "publish": publish,
    "manifest": write_manifest,
    "test": run_tests,
    "bench": run_beside_tests,
    "validity": run_beside_tests,
    "trial": run_beside_tests,
}

if __name__ == "__main__":
    sys.exit(main())
