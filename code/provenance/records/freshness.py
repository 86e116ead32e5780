"""Tell whether a result is fresh, stale or absent, by content and never by time."""

import json
from dataclasses import dataclass

from provenance.annex.integrity import broken_files
from provenance.declare import RECORD
from provenance.records.inputs import describe_inputs, differences
from provenance.repository import ROOT, git, is_absent, object_ids

FRESH, STALE, ABSENT = "fresh", "stale", "absent"
NEVER_MADE = "never made"


@dataclass(frozen=True)
class Freshness:
    """State of a cell's result and the reasons for it (empty where it is fresh)."""

    state: str
    reasons: tuple = ()


def is_outdated(freshness):
    """Tell whether a result is stale or was never made, rather than that its content is not here."""
    return freshness.state == STALE or freshness.reasons == (NEVER_MADE,)


def assess(cells, root=ROOT):
    """Assess every cell against HEAD.

    A cell is fresh if its record equals the description of its present inputs, the last commit that touched its folder
    is its own run, and the content of all its files is here and fits its checksums. It is absent if it was never made
    or if content is missing or broken in this clone; else it is stale.

    Parameters
    ----------
    cells : list of Cell

    Returns
    -------
    states : dict of str to Freshness
        By cell name, in the order given.
    """
    ids = object_ids(root=root)
    shallow = git("rev-parse", "--is-shallow-repository", root=root) == "true"
    return {cell.name: _assess(cell, ids, shallow, root) for cell in cells}


def _assess(cell, ids, shallow, root):
    by_record = _assess_record(cell, ids, shallow, root)
    if by_record.state != FRESH:
        return by_record
    outputs = [path for path in ids if cell.owns(path)]
    missing = [path for path in outputs if is_absent(path, root)]
    if missing:
        return Freshness(ABSENT, (f"the content of {len(missing)} file(s) is not in this clone",))
    broken = broken_files(outputs, root)
    if broken:
        return Freshness(ABSENT, tuple(f"the content of {path} does not fit its checksum" for path in broken))
    return Freshness(FRESH)


def _assess_record(cell, ids, shallow, root):
    """Assess a cell by what git holds of it, whether or not the content of its files is here."""
    record_path = f"{cell.folder}/{RECORD}"
    if record_path not in ids:
        return Freshness(ABSENT, (NEVER_MADE,))
    recorded = json.loads((root / record_path).read_text(encoding="utf-8"))
    description = describe(cell, ids, root)
    reasons = [f"{name}, which it shows, is {state}" for name, state in description.get("results", {}).items()]
    reasons += differences(recorded, description)
    # A shallow clone has no history to ask.
    if not reasons and not shallow and not _made_by_run(cell, root):
        reasons = ["its files were changed by a commit that is no run of it"]
    return Freshness(STALE, tuple(reasons)) if reasons else Freshness(FRESH)


def describe(cell, ids, root=ROOT):
    """Describe the inputs of a cell (`describe_inputs`), and of one that shows results which of these are not fresh."""
    if not cell.declared.shows:
        return describe_inputs(cell, ids, root)
    shallow = git("rev-parse", "--is-shallow-repository", root=root) == "true"
    states = {other.name: _assess_record(other, ids, shallow, root) for other in cell.shown}
    results = {name: found.state for name, found in states.items() if found.state != FRESH}
    return describe_inputs(cell, ids, root, results)


def _made_by_run(cell, root):
    message = git("log", "-1", "--format=%B", "--", cell.folder, root=root)
    return "[DATALAD RUNCMD]" in message and json.dumps(cell.command) in message
