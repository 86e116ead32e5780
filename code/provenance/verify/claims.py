"""Hold what is claimed of a result against its declaration: its run record, its commit, the code that it names."""

import json
import re
from dataclasses import replace

from errors import InputError
from provenance.annex.own_dataset import dataset_id
from provenance.declare import RECORD, Options
from provenance.records.freshness import describe
from provenance.records.grading import DIFFERENT
from provenance.records.inputs import read_description
from provenance.repository import ROOT, object_ids

FREE_KEYS = {"cmd", "chain", "inputs"}  # of a run record, beside those that always hold the same


def declared_options(cell, recorded):
    """Return the options of a recorded command; whatever else it holds is compared, and never run."""
    words = recorded.split()[len(["python", cell.script, *cell.names]) :]
    given = dict(zip(words[::2], words[1::2], strict=False))
    values = {
        option: int(value)
        for option in cell.declared.options
        if re.fullmatch(r"\d+", value := given.get(f"--{option.replace('_', '-')}", ""))
    }
    params = given.get("--params", "")
    return Options(params, values) if re.fullmatch(r"[\w./-]+", params) else Options(values=values)


def declared_command(cell, recorded):
    """Return the command that a cell declares under the options of a recorded one."""
    return replace(cell, options=declared_options(cell, recorded)).command


def unchanged_parts(study, cell, run):
    """Return which parts of the description of a result's inputs are as they are at present, such as ``code``."""
    try:
        cell = study.cell(declared_options(cell, run.command), cell.stage, *cell.names)
    except InputError:  # its params are gone
        return set()
    recorded, present = read_description(cell.folder), describe(cell, object_ids())
    return {part for part in ("code", "data", "settings", "results") if recorded.get(part) == present.get(part)}


def false_claims(cell, run, unchanged):
    """Grade as different, by path, what of a run record is not as the cell declares it, whose parts are `unchanged`."""
    faults, record = [], run.record
    declared = declared_command(cell, run.command)
    if run.command != declared:
        faults.append(f"its run record names the command `{run.command}`, declared is `{declared}`")
    fixed = {"exit": 0, "pwd": ".", "outputs": [cell.folder], "extra_inputs": [], "dsid": dataset_id(ROOT)}
    faults += [
        f"its run record says {key} = {json.dumps(record.get(key))}, expected {json.dumps(value)}"
        for key, value in fixed.items()
        if record.get(key) != value
    ]
    faults += [f"its run record holds {key}, which DataLad does not write" for key in record.keys() - fixed - FREE_KEYS]
    if {"code", "data"} <= unchanged and record["inputs"] != list(cell.reads):
        faults.append(f"its run record names the inputs {record['inputs']}, declared are {list(cell.reads)}")
    found = {cell.folder: (DIFFERENT, "; ".join(faults))} if faults else {}
    there = object_ids("code", revision=run.commit)
    code = read_description(cell.folder).get("code", {})
    other = [(path, str(id_)) for path, id_ in code.items() if there.get(path) != id_]
    if other:
        path, id_ = other[0]
        more = f", and {len(other) - 1} more" if other[1:] else ""
        there = there.get(path, "nothing")[:10]
        detail = f"{path} is recorded as {id_[:22]}, its run's commit holds {there}{more}"
        found[f"{cell.folder}/{RECORD}"] = (DIFFERENT, detail)
    return found
