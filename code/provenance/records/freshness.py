"""Return whether a result is fresh, stale or absent, by content and never by time."""

import json
from dataclasses import dataclass
from functools import cache

from provenance.annex.integrity import broken_files
from provenance.declare import RECORD
from provenance.records.inputs import describe_inputs, differences
from provenance.records.runs import parse_record
from provenance.repository import ROOT, git, is_published, is_shallow, object_ids, read_blobs

FRESH, STALE, ABSENT = "fresh", "stale", "absent"
NEVER_MADE = "never made"


@dataclass(frozen=True)
class Freshness:
    """State of a cell's result and the reasons for it (empty where it is fresh)."""

    state: str
    reasons: tuple = ()


def is_outdated(freshness):
    """Return whether a result is stale or was never made, rather than that its content is not here."""
    return freshness.state == STALE or freshness.reasons == (NEVER_MADE,)


def assess(cells, root=ROOT):
    """Assess every cell against HEAD; return the `Freshness` of each by its name, in the order given.

    A cell is fresh if its record equals the description of its present inputs, the last commit that touched its folder
    is its own run, and the content of all its files is here and fits its checksums. It is absent if it was never made
    or if content is missing or broken in this clone; else it is stale.
    """
    ids = object_ids(root=root)
    recorded, hidden = assess_records(cells, ids, root), find_hidden(cells, ids, root)
    return {cell.name: _assess_content(cell, recorded[cell.name], ids, hidden, root) for cell in cells}


def assess_records(cells, ids, root=ROOT):
    """Assess cells, and those that they show, by what git holds of them (`ids` at HEAD), whether or not it is here."""
    hidden = find_hidden(cells, ids, root)
    every = {each.name: each for cell in cells for each in (*cell.shown, cell)}
    records, states = read_records(every.values(), ids, root), {}
    for name, cell in every.items():
        states[name] = _assess_record(cell, records.get(name), ids, root, hidden, states)
    return states


def read_records(cells, ids, root=ROOT):
    """Return the records of cells by name, as git holds them, whatever became of the files; a damaged one is empty."""
    paths = {cell.name: f"{cell.folder}/{RECORD}" for cell in cells if f"{cell.folder}/{RECORD}" in ids}
    blobs, records = read_blobs({ids[path] for path in paths.values()}, root), {}
    for name, path in paths.items():
        try:
            records[name] = json.loads(blobs[ids[path]])
        except ValueError:  # such as the marks of a merge
            records[name] = {"data": {}}
    return records


def find_unpublished(cells, ids):
    """Return the cells of which no participant-level file is recorded: this is a clone of a public store."""
    made = [cell for cell in cells if cell.declared.private and f"{cell.folder}/{RECORD}" in ids]
    return [cell for cell in made if not any(cell.owns(path) and cell.is_private(path) for path in ids)]


def find_hidden(cells, ids, root=ROOT):
    """Return the participant-level files that cells read and that this history, of a public store, does not hold."""
    unpublished = find_unpublished(cells, ids)
    records = read_records(cells, ids, root) if unpublished else {}
    read = {path for record in records.values() for path in record["data"]} - ids.keys()
    return {path for path in read if any(cell.owns(path) and cell.is_private(path) for cell in unpublished)}


def _assess_content(cell, by_record, ids, hidden, root):
    """Assess a cell whose record is known to be fresh or not by the content of its files, too."""
    if by_record.state != FRESH:
        return by_record
    outputs = [path for path in ids if cell.owns(path)]
    is_empty = cell.declared.private and outputs == [f"{cell.folder}/{RECORD}"]  # as a classifier that was left out is
    if any(cell.owns(path) for path in hidden) or (is_empty and is_published(root)):
        return Freshness(ABSENT, ("its participant-level files were not published",))
    missing = [path for path in outputs if not (root / path).exists()]
    if missing:
        return Freshness(ABSENT, (f"the content of {len(missing)} file(s) is not in this clone",))
    broken = broken_files(outputs, root)
    if broken:
        return Freshness(ABSENT, tuple(f"the content of {path} does not fit its checksum" for path in broken))
    return Freshness(FRESH)


def _assess_record(cell, recorded, ids, root, hidden, states):
    """Assess a cell by what git holds of it, its record first; ``states`` holds those of the cells that it shows."""
    if recorded is None:
        return Freshness(ABSENT, (NEVER_MADE,))
    recorded = recorded | {"data": {path: id_ for path, id_ in recorded["data"].items() if path not in hidden}}
    description = describe(cell, ids, root, states)
    reasons = [f"{name}, which it shows, is {state}" for name, state in description.get("results", {}).items()]
    reasons += differences(recorded, description)
    # A shallow clone has no history to ask.
    made = frozenset((path, id_) for path, id_ in ids.items() if cell.owns(path))
    if not reasons and not is_shallow(root) and _last_command(cell.folder, made, root) != cell.command:
        reasons = ["its files were changed by a commit that is no run of it"]
    return Freshness(STALE, tuple(reasons)) if reasons else Freshness(FRESH)


def describe(cell, ids, root=ROOT, states=None):
    """Describe the inputs of a cell (`describe_inputs`), and of one that shows results which of these are not fresh.

    `states` are those of the cells that it shows, by name, if the caller has them.
    """
    if not cell.declared.shows:
        return describe_inputs(cell, ids, root)
    states = assess_records(cell.shown, ids, root) if states is None else states
    shown = {other.name: states[other.name].state for other in cell.shown}
    return describe_inputs(cell, ids, root, {name: state for name, state in shown.items() if state != FRESH})


@cache  # a command that makes cells assesses all of them after each
def _last_command(folder, _made, root):
    """Return the command of the run that touched a folder last, None if no run did; `_made` is what is in it now."""
    record = parse_record(git("log", "-1", "--format=%B", "--", folder, root=root))
    return record and record["cmd"]
