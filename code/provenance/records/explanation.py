"""Say what made a result, and what of that changed since an earlier version."""

import json
import os
from collections import Counter
from itertools import islice
from pathlib import PurePosixPath

from errors import InputError
from files import flatten
from provenance.declare import RECORD
from provenance.records.inputs import find_differences, read_description
from provenance.records.runs import find_runs
from provenance.repository import ROOT, git, object_ids

DIFF_LINES = 12  # of one changed file
LABELS = {"code": "code", "data": "input", "settings": "setting", "packages": "package"}


def explain(path, since=None):
    """Print what made a result, by the path of its folder or a file, or what changed since a revision."""
    path = os.path.relpath(os.path.join(ROOT, path or ""), ROOT)
    if path == ".":
        raise InputError("RESULT= is missing; name a file: make explain RESULT=outputs/regress/M1/lasso/metrics.tsv")
    if path.split("/")[0] == "..":
        raise InputError(f"RESULT={path} lies outside of this repository; name a file below outputs/ or figures/")
    if since and not git("rev-parse", "--verify", "--quiet", f"{since}^{{commit}}", check=False):
        raise InputError(f"SINCE={since} is no revision of this repository; `git log --oneline -- {path}` lists some")
    print("\n".join(what_changed(path, since) if since else what_made(path)))


def what_made(path):
    """Show command, inputs, code, settings and packages of the run that made a result."""
    folder, record = load_record(path, "HEAD")
    # Also where the last run of the cell made the same bytes of this file as one before it.
    run = next((run for run in find_runs(folder) if folder in run.record["outputs"]), None)
    if run is None:
        raise InputError(f"{path}: no run in this history made it; `make status` shows what is known")
    lines = [path, f"  command   {run.command}", f"  commit    {run.commit[:10]} of {run.date}"]
    if title := git("log", "-1", "--format=%h %s", f"{run.commit}..HEAD", "--", path):
        lines.append(f"  CHANGED   since, by commit {title}, which is no run")
    data, results = record["data"], Counter(str(PurePosixPath(path).parent) for path in record["data"])
    made_from = [("input", name, f"{results[name]} file(s)") for name in results if name.startswith("outputs")]
    made_from += [("input", name, data[name][:10]) for name in data if not name.startswith("outputs/")]
    made_from += [("code", name, id_[:10]) for name, id_ in record["code"].items()]
    for part, name, what in sorted(made_from, key=lambda entry: (entry[0] == "code", entry[1])):
        commit = git("log", "-1", "--format=%h %cs %s", run.commit, "--", name)
        lines.append(f"  {part:9} {name}: {what}, commit {commit}")
    lines += [f"  setting   {key} = {json.dumps(value)}" for key, value in flatten(record["settings"]).items()]
    lines += [f"  package   {name} {version}" for name, version in record["packages"].items()]
    lock = git("log", "-1", "--format=%h %cs", run.commit, "--", "requirements.lock")
    return [*lines, f"  packages  all locked in requirements.lock, commit {lock}"]


def what_changed(path, since):
    """Name the inputs, code, settings and packages that differ from those of an earlier version.

    Inputs that are results themselves are followed to what changed for them.
    """
    old, new = (object_ids(path, revision=revision) for revision in (since, "HEAD"))
    if not old:
        raise InputError(f"{path} did not exist at {since}; `git log --oneline -- {path}` lists when it changed")
    changed = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    results = [name for name in changed if not name.endswith("/" + RECORD)]
    head = f"{path}: " + (f"{len(results)} file(s) differ from {since}" if results else f"the same bytes as at {since}")
    causes, ways = find_causes(path, since)
    lines = [head] if causes else [head, "  made from the same inputs, code, settings and packages"]
    for (part, name), (before, after) in sorted(causes.items()):
        if part in ("code", "input"):
            lines.append(f"  {part}  {name} changed")
            lines += [f"      {line}" for line in short_diff(name, before, after)]
        else:
            lines.append(f"  {part}  {name}: {json.dumps(before)} -> {json.dumps(after)}")
    return [*lines, *(f"  by way of {way}" for way in sorted(ways))]


def find_causes(path, since, followed=None):
    """Compare the records of a result at two commits, and those of the results that it read.

    Returns what differs, as tuples (before, after) by part and name, and the results on the way.
    """
    followed, causes, ways = followed or set(), {}, set()
    folder, before = load_record(path, since)
    _, after = load_record(path, "HEAD")
    followed.add(folder)
    for part, name, old, new in find_differences(before, after):
        upstream = record_folder(name, "HEAD") if part == "data" else None
        if upstream and record_folder(name, since):
            ways.add(name)
            if upstream not in followed:
                deeper, further = find_causes(name, since, followed)
                causes, ways = causes | deeper, ways | further
        elif part in LABELS:
            causes[LABELS[part], name] = (old, new)
    return causes, ways


def load_record(path, revision):
    """Return the folder of the cell that owns a path, and its record at a revision; stop if no cell owns the path."""
    folder = record_folder(path, revision)
    if folder is None:
        raise InputError(f"{path} is no result at {revision}; expected a file or folder below outputs/ or figures/")
    return folder, read_description(folder, revision)


def record_folder(path, revision):
    for folder in (path, *map(str, PurePosixPath(path).parents)):
        if folder != "." and git("ls-tree", "--name-only", revision, f"{folder}/{RECORD}"):
            return folder
    return None


def short_diff(path, before, after):
    """Show the first lines that differ, of a file or of a subdataset between its commits."""
    if before is None or after is None:
        return ["it is new" if before is None else "it is gone"]
    if path.startswith("inputs/"):
        installed = (ROOT / path / ".git").exists()
        shown = git("diff", "--stat", before, after, root=ROOT / path, check=False) if installed else ""
        lines = [f"{before[:10]} -> {after[:10]}", *shown.splitlines()]
    else:
        shown = git("diff", "--no-color", "--no-ext-diff", "--unified=0", before, after, check=False)
        lines = [line for line in shown.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    rest = len(lines) - DIFF_LINES
    return [*islice(lines, DIFF_LINES), *([f"and {rest} more line(s)"] if rest > 0 else [])]
