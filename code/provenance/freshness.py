"""Tell whether a result is fresh, stale or absent, by content and never by time."""

import json
from dataclasses import dataclass

from provenance.integrity import broken_files
from provenance.records import RECORD, describe_inputs
from provenance.repository import ROOT, git, is_absent, object_ids

FRESH, STALE, ABSENT = "fresh", "stale", "absent"


@dataclass(frozen=True)
class Freshness:
    """State of a cell's result and the reasons for it (empty where it is fresh)."""

    state: str
    reasons: tuple = ()


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
    record_path = f"{cell.folder}/{RECORD}"
    outputs = [path for path in ids if path.startswith(cell.folder + "/")]
    if record_path not in ids:
        return Freshness(ABSENT, ("never made",))
    recorded = json.loads((root / record_path).read_text(encoding="utf-8"))
    reasons = differences(recorded, describe_inputs(cell, ids, root))
    # A shallow clone has no history to ask.
    if not reasons and not shallow and not _made_by_run(cell, root):
        reasons = ["its files were changed by a commit that is no run of it"]
    if reasons:
        return Freshness(STALE, tuple(reasons))
    missing = [path for path in outputs if is_absent(path, root)]
    if missing:
        return Freshness(ABSENT, (f"the content of {len(missing)} file(s) is not in this clone",))
    broken = broken_files(outputs, root)
    if broken:
        return Freshness(ABSENT, tuple(f"the content of {path} does not fit its checksum" for path in broken))
    return Freshness(FRESH)


def differences(recorded, present):
    """Say in words what changed between two descriptions of inputs.

    Parameters
    ----------
    recorded, present : dict
        As from `provenance.records.describe_inputs`.

    Returns
    -------
    reasons : list of str
        Empty where nothing changed.
    """
    reasons = []
    for part, before, after in ((part, recorded.get(part), present[part]) for part in present):
        if not isinstance(after, dict):
            reasons += [f"{part}: {before} -> {after}"] if before != after else []
            continue
        before = flatten(before or {})
        after = flatten(after)
        for key in sorted(before.keys() | after.keys()):
            old, new = before.get(key), after.get(key)
            if old == new:
                continue
            if part in ("code", "data"):
                verb = "is new" if old is None else "is gone" if new is None else "changed"
                reasons.append(f"{key} {verb}")
            else:
                reasons.append(f"{part} {key}: {old} -> {new}")
    return reasons


def flatten(table, prefix=""):
    """Turn nested settings into one level with dotted keys."""
    flat = {}
    for key, value in table.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _made_by_run(cell, root):
    message = git("log", "-1", "--format=%B", "--", cell.folder, root=root)
    return "[DATALAD RUNCMD]" in message and json.dumps(cell.command) in message
