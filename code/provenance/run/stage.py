"""What the stage scripts share: their command line, the check of what they read, one-line errors, the record."""

import argparse
import json
import logging
import os
import shutil
import sys
import warnings
from dataclasses import replace

from threadpoolctl import threadpool_limits

from errors import InputError
from provenance.declare import PARAMS, RECORD, Options
from provenance.records.freshness import FRESH, describe
from provenance.repository import ROOT, git, git_folder, object_ids
from provenance.run.recovery import stop_with_supervisor

SPARE_DISK = 200e6  # bytes left free when all that was estimated is written


def run_stage(study, stage, compute):
    """Run a stage script: parse its arguments, check what it reads, compute, write all outputs or none.

    `compute` takes the `Cell` and an `OutputFolder`, and writes into the latter.
    """
    # Not above: what make calls uses this module too, and would wait for the packages that write images and tables.
    from files.outputs import OutputFolder

    silence_libraries()
    name = stage
    os.chdir(ROOT)  # so that messages and records name paths from the root
    try:
        cell = parse_cell(study, stage, sys.argv[1:])
        name, ids = cell.name, object_ids()
        # Of code what runs: the files as they are here, however git hides an edit.
        description = describe(cell, ids | code_ids())
        outdated = description.get("results", {})
        require_inputs(cell, ids, outdated)
        stop_with_supervisor()
        outputs = OutputFolder(git_folder() / "partial" / "-".join((cell.stage, *cell.names)))
        # One BLAS thread, so that results do not depend on the number of cores; workers share them instead.
        with threadpool_limits(1):
            shown = tuple(replace(other, state=outdated.get(other.name, FRESH)) for other in cell.shown)
            compute(replace(cell, shown=shown), outputs)
        for other, state in outdated.items():
            print(f"{name}: {other} is {state}; `make all` makes it")
        now = code_ids()  # modules may be imported late
        for path, id_ in description["code"].items():
            if now.get(path, id_) != id_:
                description["code"][path] = "edited during the run"
        outputs.write_text(RECORD, json.dumps(description, indent=1, sort_keys=True) + "\n")
        require_annexed(cell, outputs.partial, ids)
        outputs.publish(cell.folder)
    except InputError as error:
        sys.exit(f"{name}: {error}")
    except OSError as error:
        place = f" {os.path.relpath(error.filename, ROOT)}" if error.filename else ""
        sys.exit(f"{name}: {error.strerror or error}{place}; fix that and try again")


def silence_libraries():
    """Keep warnings of libraries from users, who cannot act on them; `python -W default` shows them."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
        os.environ.setdefault("PYTHONWARNINGS", "ignore")  # of workers
    for name in ("matplotlib", "nilearn", "asyncio"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)  # it raises its errors too


def parse_cell(study, stage_name, arguments):
    """Turn the command line of a stage script into its cell."""
    stage = study.stage(stage_name)
    parser = argparse.ArgumentParser(prog=f"python {stage.script}", description=sys.modules["__main__"].__doc__)
    for name in stage.arguments:
        parser.add_argument(name, help=f"{name} named in the params")
    parser.add_argument("--params", default=PARAMS, help="a committed params file, from the root")
    for option, setting in stage.options.items():
        shown = f"in place of {setting or 'the number'} in the params"
        parser.add_argument(f"--{option.replace('_', '-')}", type=int, help=shown)
    parsed = vars(parser.parse_args(arguments))
    values = {option: parsed[option] for option in stage.options if parsed[option] is not None}
    return study.cell(Options(parsed["params"], values), stage_name, *(parsed[name] for name in stage.arguments))


def require_inputs(cell, ids, outdated):
    """Stop if something that the cell reads is not here, naming the command that makes it; `ids` are those at HEAD.

    The content of cells named in `outdated` is not asked for: what shows results makes do with the others.
    """
    excused = [other for other in cell.shown if other.name in outdated]
    for read in cell.reads:
        if read.startswith("inputs/"):
            if not (ROOT / read / ".git").exists():
                raise InputError(f"{read} is not installed here; `make inputs` installs it")
            continue
        tracked = [path for path in ids if path == read or path.startswith(read + "/")]
        is_result = read.startswith("outputs/")
        if not tracked and not is_result:
            raise InputError(f"{read}: not a committed file of this repository; commit it, or correct the params")
        # What shows results makes do without stages of which there is none yet.
        for path in tracked or ([] if cell.declared.shows else [read]):
            if cell.is_read(path) and not (ROOT / path).exists() and not any(other.owns(path) for other in excused):
                makes = f"`make {read.split('/')[1]}` makes it, " if is_result else ""
                raise InputError(
                    f"{path} is not in this clone; {makes}`datalad get {path}` fetches it from a clone that has it"
                )


def require_annexed(cell, folder, ids):
    """Stop if participant-level files of a new result would lie in git itself, where every clone holds them."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    new = [name for name in names if cell.declared.is_private(name) and f"{cell.folder}/{name}" not in ids]
    found = git("check-attr", "annex.largefiles", "--stdin", lines=[f"{cell.folder}/{name}" for name in new])
    rules = [
        f"{cell.declared.place}/**/{name} annex.largefiles=anything"
        for name, rule in zip(new, found.splitlines(), strict=True)
        if not rule.endswith(": anything") and not name.startswith("fingerprints.")
    ]
    if rules:
        raise InputError(
            "participant-level files, as the stage declares them, would lie in git, in every clone; add to "
            f".gitattributes and commit it: {'; '.join(rules)}"
        )


def code_ids():
    """Return the object ids of the Python files in ``code``, as they are here."""
    listed = git("ls-files", "--cached", "--others", "--exclude-standard", "--", "code").splitlines()
    present = [path for path in listed if path.endswith(".py") and (ROOT / path).is_file()]
    found = git("hash-object", "--no-filters", "--stdin-paths", lines=present).splitlines()
    return dict(zip(present, found, strict=True))


def require_disk(n_bytes, what, folder=ROOT):
    """Stop before starting if the disk of a folder has no room."""
    free = shutil.disk_usage(folder).free
    if free < n_bytes + SPARE_DISK:
        raise InputError(
            f"{what} needs {(n_bytes + SPARE_DISK) / 1e6:.0f} MB of disk, {free / 1e6:.0f} MB are free; make room"
        )


def n_workers():
    """Return how many workers may share a stage's work: ``N_JOBS``, or the cores. It changes no byte."""
    text = os.environ.get("N_JOBS") or str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2)
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"N_JOBS={text} is not allowed; expected a whole number, 1 or more")
    return int(text)
