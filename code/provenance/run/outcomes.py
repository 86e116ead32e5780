"""Note what the present ``make`` did, and sum it up in a verdict."""

import json
import os
import time

from provenance.records.grading import GONE
from provenance.repository import ROOT, git_folder

KEEP_LOGS = 30 * 86400  # seconds


def outcomes_path(root=ROOT):
    """Return where the present ``make`` notes what it did; two at once keep apart."""
    return git_folder(root) / f"outcomes-{os.environ.get('MAKE_RUN', 'alone')}.jsonl"


def begin_log(root=ROOT):
    """Forget the outcomes of earlier calls of ``make``."""
    outcomes_path(root).unlink(missing_ok=True)
    for path in git_folder(root).glob("outcomes-*.jsonl"):
        if time.time() - path.stat().st_mtime > KEEP_LOGS:
            path.unlink(missing_ok=True)


def log_outcome(outcome, root=ROOT):
    with open(outcomes_path(root), "a") as file:
        file.write(json.dumps(outcome) + "\n")


def verdict(root=ROOT):
    """Sum up what the present ``make`` did: lines, differences first, and whether all was reproduced.

    It is not if any output is different from the recorded one although its inputs are the same.
    """
    path = outcomes_path(root)
    outcomes = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    ran = [outcome for outcome in outcomes if outcome["ran"]]
    graded = [(path, *grade) for outcome in ran for path, grade in outcome["outputs"].items()]
    return sum_up(graded, f"{len(ran)} of {len(outcomes)} cells ran")


def sum_up(graded, opening):
    """Turn graded outputs into lines for a person."""
    bad = [entry for entry in graded if entry[1] in ("different", "not verified", GONE)]
    notes = bad + [entry for entry in graded if entry[1] == "equal within tolerance"]
    lines = [f"{path}: {grade}{', ' + detail if detail else ''}" for path, grade, detail in notes]
    counts = {}
    for _, grade, _ in graded:
        counts[grade] = counts.get(grade, 0) + 1
    total = [f"{count} {grade}" for grade, count in sorted(counts.items())]
    compared = f"; {len(graded)} outputs: {', '.join(total)}" if graded else "; every result is fresh"
    known = counts.get("identical", 0) + counts.get("equal within tolerance", 0)
    if graded and not bad:
        compared += f" ({known} reproduced the recorded results)" if known else ""
    return [*lines, f"{'NOT REPRODUCED' if bad else 'verdict'}: {opening}{compared}"], not bad
