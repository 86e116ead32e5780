"""Read what every result was made from (``inputs.json`` beside it), for texts that are generated from it."""

import json
from pathlib import Path

RECORD = "inputs.json"


def read_records(cells):
    """Read ``command``, ``settings``, ``data`` and ``packages`` of every result with a record, by cell."""
    paths = {cell.name: Path(cell.folder, RECORD) for cell in cells}
    return {name: json.loads(path.read_text(encoding="utf-8")) for name, path in paths.items() if path.exists()}


def of_stage(records, stage):
    """Keep the records of one stage."""
    return {name: record for name, record in records.items() if name.split()[0] == stage}


def shared_settings(records):
    """Split the settings of cells into what all share, by dotted key, and what some have otherwise, by key and cell."""
    flat = {name: _flatten(record["settings"]) for name, record in records.items()}
    keys = dict.fromkeys(key for settings in flat.values() for key in settings)
    shared, different = {}, {}
    for key in keys:
        values = {name: settings.get(key) for name, settings in flat.items()}
        if all(value == next(iter(values.values())) for value in values.values()):
            shared[key] = next(iter(values.values()))
        else:
            different[key] = values
    return shared, different


def _flatten(table, prefix=""):
    flat = {}
    for key, value in table.items():
        flat |= _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
