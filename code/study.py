"""What the Makefile calls: set up, run a stage, tell the state of results, verify and export them."""

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
import subprocess
from pathlib import Path

import own_study
from facepain.errors import InputError
from facepain.params import load_params
from make_inputs import make_inputs
from provenance import annex, doctor, environment, explanation, on_demand, runner, verification
from provenance.cells import STAGES, Options, study_cells
from provenance.freshness import FRESH, assess
from provenance.interruption import stop_cleanly, stop_with_caller
from provenance.publishing import publication
from provenance.repository import ROOT, changed_files, object_ids


def main():
    os.chdir(ROOT)
    arguments = parse_arguments()
    stop_cleanly()
    if "MAKELEVEL" in os.environ or arguments.task == "serve":
        stop_with_caller()
    try:
        if arguments.task == "doctor":
            return doctor.report()
        environment.ensure_environment()
        if arguments.task != "setup":
            annex.ensure_identity()
        return TASKS[arguments.task](arguments)
    except InputError as error:
        sys.exit(f"{arguments.task}: {error}")
    except OSError as error:
        if isinstance(error, BrokenPipeError):  # such as `make status | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return None
        place = f" {error.filename}" if error.filename else ""
        sys.exit(f"{arguments.task}: {error.strerror or error}{place}; mend that, the same command goes on")
    except KeyboardInterrupt:
        sys.exit("interrupted: nothing half-made was kept; the same command goes on")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=[*TASKS, "doctor"])
    parser.add_argument("names", nargs="*", help="of the stage, or of the cell to verify")
    return parser.parse_args()


def requested_cells():
    """Return the cells under the options that make exports: ``PARAMS``, ``N_PERMUTATIONS``, ``N_BOOTSTRAPS``."""
    options = requested_options()
    return study_cells(load_params(Path(options.params)), options)


def requested_options():
    options = Options(
        os.environ.get("PARAMS") or Options.params, requested_count("N_PERMUTATIONS"), requested_count("N_BOOTSTRAPS")
    )
    path = Path(options.params)
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


def set_up(_arguments):
    if annex.is_initialised():
        annex.ensure_annex()
    else:
        with runner.only_one():
            annex.ensure_annex()
    if on_demand.is_enabled():
        try:
            on_demand.refresh(requested_cells())
        except InputError as error:
            print(f"on-demand does not work here: {error}")
    runner.begin_log()


def install_inputs(_arguments):
    with runner.only_one():
        own_study.put_in_place()
        make_inputs(Path("inputs"))


def install_own(_arguments):
    sources = {name: os.environ.get(name.upper()) for name in ("contrasts", "behavior", "masks")}
    with runner.only_one():
        if any(sources.values()):
            own_study.start(sources, os.environ.get("ONLY"))
        else:
            own_study.refresh()


def return_to_synthetic(_arguments):
    with runner.only_one():
        own_study.go_back()
        make_inputs(Path("inputs"))


def check_inputs(_arguments):
    from check import check  # imports what computes, which the other tasks do without

    options = requested_options()
    check(load_params(Path(options.params)))


def run_stage(arguments):
    (stage,) = arguments.names
    if stage not in STAGES:
        raise InputError(f'"{stage}" is no stage; expected one of {", ".join(STAGES)}')
    runner.run_stage_cells([cell for cell in requested_cells() if cell.stage == stage])


def show_status(_arguments):
    states = assess(requested_cells())
    width = max(map(len, states))
    for name, freshness in states.items():
        print(f"{name:{width}}  {freshness.state}")
        for reason in freshness.reasons[:5]:
            print(f"{'':{width}}    {reason}")
        if len(freshness.reasons) > 5:
            print(f"{'':{width}}    and {len(freshness.reasons) - 5} more")
    fresh = sum(freshness.state == FRESH for freshness in states.values())
    print(f"{fresh} of {len(states)} results are fresh")
    if changed_files():
        print(f"{len(changed_files())} file(s) differ from the last commit; `git status` lists them")


def show_verdict(_arguments):
    lines, reproduced = runner.verdict()
    print("\n".join(lines))
    return 0 if reproduced else 1


def verify(arguments):
    return verification.verify(requested_cells(), " ".join(arguments.names))


def explain(_arguments):
    print("\n".join(explanation.explain(os.environ.get("RESULT"), os.environ.get("SINCE") or None)))


def recompute_on_demand(_arguments):
    on_demand.enable(requested_cells())


def serve_git_annex(arguments):
    from provenance.special_remote import serve  # its package is needed nowhere else

    serve(requested_cells(), *arguments.names)


def write_crate(_arguments):
    from provenance.crate.export import export_crate  # imports what only an export needs

    export_crate(requested_cells(), os.environ.get("TO"))


def publish(_arguments):
    with runner.only_one():
        runner.restore_interrupted()
        own_study.require_publishable()
        publication.publish(os.environ.get("TO"), os.environ.get("PRIVATE"))


def run_tests(arguments):
    selected = ["-m", "not slow"] if arguments.names == ["fast"] else []
    return subprocess.run([sys.executable, "-m", "pytest", *selected]).returncode


def run_benchmark(_arguments):
    return subprocess.run([sys.executable, "tests/bench.py"]).returncode


TASKS = {
    "setup": set_up,
    "inputs": install_inputs,
    "own": install_own,
    "synthetic": return_to_synthetic,
    "check": check_inputs,
    "run": run_stage,
    "status": show_status,
    "verdict": show_verdict,
    "verify": verify,
    "explain": explain,
    "on-demand": recompute_on_demand,
    "serve": serve_git_annex,
    "crate": write_crate,
    "publish": publish,
    "test": run_tests,
    "bench": run_benchmark,
}

if __name__ == "__main__":
    sys.exit(main())
