"""Find and read the records that ``datalad run`` left in commit messages."""

import json
from dataclasses import dataclass

from provenance.repository import ROOT, git

TITLE = "[DATALAD RUNCMD] "
OPENING, CLOSING = "=== Do not change lines below ===", "^^^ Do not change lines above ^^^"


@dataclass(frozen=True)
class RunRecord:
    """One run of a cell: commit, its date (ISO 8601), command, and all that DataLad recorded."""

    commit: str
    date: str
    command: str
    record: dict


def find_runs(folder, root=ROOT):
    """Yield the run records of the commits that touched a folder or file, the last first."""
    # No message can hold the NUL that ends it.
    history = git("log", "-z", "--format=%H%n%cI%n%B", "--", folder, root=root)
    for entry in filter(None, history.split("\0")):
        commit, date, message = entry.split("\n", 2)
        record = parse_record(message)
        if record:
            yield RunRecord(commit, date, record["cmd"], record)


def last_run(cell):
    """Return the last run record of a cell, whatever options stood in its command; None if it was never run."""
    opening = ["python", cell.script, *cell.names]
    for record in find_runs(cell.folder):
        if record.command.split()[: len(opening)] == opening:
            return record
    return None


def parse_record(message):
    """Return the record in a commit message as DataLad wrote it, None if there is none, or one beside another."""
    _, _, rest = message.partition(OPENING)
    if not message.startswith(TITLE) or message.count(OPENING) != 1 or message.count(CLOSING) != 1:
        return None
    try:
        record = json.loads(rest.partition(CLOSING)[0])
    except json.JSONDecodeError:
        return None
    usable = isinstance(record, dict) and isinstance(record.get("cmd"), str)
    return record if usable and all(isinstance(record.get(key), list) for key in ("inputs", "outputs")) else None
