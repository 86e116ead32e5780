"""Read from one's own data what the params can say of them, and write it there for a person to confirm."""

import os
import re
from pathlib import Path

import pandas as pd

from errors import InputError
from facepain.data.images import open_image
from facepain.data.proposals import propose_columns, propose_pattern, propose_targets
from facepain.data.trials import DICTIONARY_COLUMNS, read_trials, shorten
from files import TABLE_ENDINGS
from files.tables import read_json, read_text_table
from make_inputs import is_synthetic
from prep import BEHAVIOR, CONTRASTS, find_images
from provenance.annex.integrity import fetch_content
from stages import STUDY

PARAMS = Path("code/params.toml")
SIGNATURES, MASKS = Path("inputs/signatures"), Path("inputs/masks")


def propose_params():
    """Write proposals into ``code/params.toml``, uncommitted, and print them; what cannot be read from data stays."""
    proposed, remarks = {}, []
    try:
        fill_in(STUDY.load_params(PARAMS), proposed, remarks)
    except InputError as error:
        remarks.append(str(error))
    text = PARAMS.read_text(encoding="utf-8")
    for (table, key), value in proposed.items():
        text = set_value(text, table, key, value)
    PARAMS.write_text(text, encoding="utf-8")
    for (table, key), value in proposed.items():
        print(f"  {table}.{key} {'is left out' if value is None else f'= {quote(value)}'}")
    for remark in remarks:
        print(f"  to look at: {remark}")
    if proposed:
        print(
            f"written to {PARAMS}, as read from your data: look at it (`git diff`), correct what is wrong, then "
            'confirm by `git commit --all --message "Describe my study"`'
        )


def fill_in(params, proposed, remarks):
    """Collect what the table, the images' names and one header say, by (table, key) of the params."""
    drop_absent_signatures(params["similarity"], proposed, remarks)
    remark_absent_masks(params["extract"]["mask_files"], remarks)
    fetch_content(str(BEHAVIOR))
    paths = find_table(params["prep"]["table"])
    if paths != params["prep"]["table"]:
        proposed["prep", "table"] = paths
    if isinstance(paths, list):
        columns, readable = {"participant_id": "group", "contrast": "data"}, params["prep"]["target"]
        remarks.append(f'JSON dictionaries do not name the score, here "{readable}": see prep.target and [plot]')
    else:
        columns, readable = fill_in_columns(paths, params["prep"], proposed, remarks)
    renamed = {name: own for (table, name), own in proposed.items() if table == "prep.columns"}
    trials = read_trials(paths, readable, renamed, None if "contrast" in columns else "x")
    target = proposed.get(("prep", "target"), readable)
    if pd.to_numeric(trials[target], errors="coerce").min() < params["prep"].get("target_min", float("-inf")):
        proposed["prep", "target_min"] = None
    if params["regress"]["train_dataset"] not in set(trials["dataset"]):
        proposed["regress", "train_dataset"] = trials["dataset"].value_counts().index[0]
    images = find_images(CONTRASTS)
    if "contrast" not in columns:
        if pattern := propose_pattern(trials, images, columns):
            proposed["prep", "images"] = pattern
        else:
            remarks.append("the images' names follow no pattern that was found; write it in prep.images")
            if "trial" not in columns and trials["participant_id"].duplicated().any():
                remarks.append("the table has no column of trial numbers; if it has one, name it under prep.columns")
    if orientation_is_open(images, params["extract"]["analyze_orientation"]):
        proposed["extract", "analyze_orientation"] = "radiological"
        remarks.append(
            "the images do not say where left is; SPM writes them radiologically by default. Ask who made them: with "
            "the wrong choice left and right are exchanged"
        )


def fill_in_columns(path, prep, proposed, remarks):
    """Collect what a table's columns say; return the columns that are known and one of numbers, by which to read it."""
    table = read_text_table(Path(path))
    columns = propose_columns(table)
    proposed.update({("prep.columns", name): own for name, own in columns.items() if name != own})
    if prep["target"] in table:
        return columns, prep["target"]
    targets = propose_targets(table, columns)
    if not targets:
        raise InputError(f"no column of {path} holds numbers that differ; name the score in prep.target")
    target, *others = targets
    proposed.update({("prep", "target"): target, ("plot", "score"): target, ("plot", "title"): None})
    readable = next((name for name in targets if not targets[name]), target)
    if readable != target:
        remarks.append(
            f"{path}: {target}, probably the score, {targets[target]}; correct it and begin again (docs/own-study.md)"
        )
    if others:
        said = ", ".join(f"{name} ({targets[name]})" if targets[name] else name for name in others)
        remarks.append(f"{path} has other columns of numbers, one of which may be the score: {said}")
    return columns, readable


def remark_absent_masks(mask_files, remarks):
    """Say which masks there are where the params name others."""
    absent = [file for file in mask_files.values() if Path(file).parent == MASKS and not os.path.lexists(file)]
    if absent and (found := sorted(find_images(MASKS))):
        remarks.append(
            f"there is no {absent[0]}; {MASKS} holds {shorten(found)}: write yours under extract.mask_files, and their "
            "names in extract.masks, classify.masks, occurrence.masks, relate.mask and plot.mask"
        )


def drop_absent_signatures(similarity, proposed, remarks):
    """Leave out signatures that are the synthetic study's, which say nothing of one's own data, and an absent atlas."""
    synthetic = is_synthetic(SIGNATURES.name)
    for key in ("signatures", "networks"):
        path = Path(similarity.get(key, ""))
        if not path.is_relative_to(SIGNATURES):
            continue
        if synthetic or (key == "networks" and not os.path.lexists(path)):
            proposed["similarity", key] = None
    if synthetic and ("similarity", "signatures") in proposed:
        remarks.append("no SIGNATURES= was given: weight maps are compared with none (docs/own-study.md)")


def find_table(named):
    """Return the path of the table of trials: the one that the params name, or the only one there.

    Where there is none, a list of JSON dictionaries may take its place, or the table of participants.
    """
    if isinstance(named, str) and os.path.lexists(named):
        return named
    files = [path for path in sorted(BEHAVIOR.rglob("*.*")) if not any(part.startswith(".") for part in path.parts)]
    tables = [path for path in files if path.suffix.lower() in TABLE_ENDINGS and path.suffix.lower() != ".json"]
    tables = [str(path) for path in tables if not path.name.lower().startswith("readme")]
    people = [path for path in tables if Path(path).stem == "participants"]
    found = [path for path in tables if path not in people]
    if not found and (dictionaries := [str(path) for path in files if path.suffix == ".json" and is_dictionary(path)]):
        return dictionaries
    found = found or people
    if len(found) != 1:
        shown = shorten(found) or "none"
        raise InputError(f"{BEHAVIOR}: expected one table of trials, found {shown}; name yours in prep.table")
    return found[0]


def is_dictionary(path):
    """Return whether a JSON file is of the study's own format, not one that describes columns or a dataset."""
    try:
        content = read_json(path)
    except InputError:
        return False
    return isinstance(content, dict) and {"target", *DICTIONARY_COLUMNS} <= set(content)


def orientation_is_open(images, chosen):
    """Return whether the first image's header leaves open where left is."""
    if not images or chosen != "unknown":
        return False
    names = [images[0], images[0].removesuffix(".hdr") + ".img", images[0].removesuffix(".hdr") + ".mat"]
    fetch_content(str(CONTRASTS), [name for name in names if os.path.lexists(CONTRASTS / name)])
    try:
        open_image(CONTRASTS / images[0])
    except InputError as error:
        return "where left is" in str(error)
    return False


def set_value(text, table, key, value):
    """Set a key of a table in a text of TOML and keep its comments; a missing key or table is added, None removes.

    A line that is commented out counts as the place of its key.
    """
    if f"\n[{table}]" not in text:
        commented = re.compile(rf"^# \[{re.escape(table)}\]", re.MULTILINE)
        text = commented.sub(f"[{table}]", text, count=1) if commented.search(text) else f"{text}\n[{table}]\n"
    start = text.index(f"\n[{table}]") + 1
    body, cut, tail = text[start:].partition("\n[")
    head, body, tail = text[:start], body + cut[:1], cut[1:] + tail
    line = re.compile(rf'^(?:# )?{re.escape(key)} = (?:"[^"]*"|\S+)(.*)\n', re.MULTILINE)
    if value is None:
        return head + line.sub("", body, count=1) + tail
    written = f"{key} = {quote(value)}"
    if line.search(body):
        body = line.sub(lambda match: f"{written}{match.group(1)}\n", body, count=1)
    else:
        header, _, rest = body.partition("\n")
        body = f"{header}\n{written}\n{rest}"
    return head + body + tail


def quote(value):
    """Write a text, or a list of texts, as TOML."""
    if isinstance(value, list):
        return f"[{', '.join(map(quote, value))}]"
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
