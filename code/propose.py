"""Read from one's own data what the params can say of them, and write it there for a person to confirm."""

import os
import re
from pathlib import Path

import pandas as pd

from errors import InputError
from facepain.data.images import open_image
from facepain.data.proposals import propose_columns, propose_pattern, propose_targets
from facepain.data.trials import read_trials
from files.tables import read_text_table
from make_inputs import is_synthetic
from prep import BEHAVIOR, CONTRASTS, find_images
from provenance.annex.fetching import fetch_content
from stages import STUDY

PARAMS = Path("code/params.toml")
SIGNATURES = Path("inputs/signatures")
NOT_TRIALS = ("participants.tsv", "participants.csv")


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
    prep = params["prep"]
    path = find_table(prep["table"])
    if path is None:
        remarks.append(f"several tables or none in {BEHAVIOR}; name yours in prep.table")
        return
    if str(path) != prep["table"]:
        proposed["prep", "table"] = str(path)
    fetch_content(str(BEHAVIOR))
    table = read_text_table(path)
    columns = propose_columns(table)
    renamed = {name: own for name, own in columns.items() if name != own}
    proposed.update({("prep.columns", name): own for name, own in renamed.items()})
    targets = [prep["target"]] if prep["target"] in table else propose_targets(table, columns)
    if not targets:
        remarks.append(f"no column of {path} holds a number in every line; name the score in prep.target")
        return
    if targets[0] != prep["target"]:
        proposed["prep", "target"] = targets[0]
        if others := ", ".join(targets[1:]):
            remarks.append(f"{path} has other columns of numbers, one of which may be the score: {others}")
    if pd.to_numeric(table[targets[0]], errors="coerce").min() < prep.get("target_min", float("-inf")):
        proposed["prep", "target_min"] = None
    trials = read_trials(path, targets[0], renamed, None if "contrast" in columns else "x")
    if params["regress"]["train_dataset"] not in set(trials["dataset"]):
        proposed["regress", "train_dataset"] = trials["dataset"].value_counts().index[0]
    images = find_images(CONTRASTS)
    if "contrast" not in columns:
        if pattern := propose_pattern(trials, images):
            proposed["prep", "images"] = pattern
        else:
            remarks.append("the images' names follow no pattern that was found; write it in prep.images")
    if orientation_is_open(images, params["extract"]["analyze_orientation"]):
        proposed["extract", "analyze_orientation"] = "radiological"
        remarks.append(
            "the images do not say where left is; SPM writes them radiologically by default. Ask who made them: with "
            "the wrong choice left and right are exchanged"
        )


def drop_absent_signatures(similarity, proposed, remarks):
    """Leave out signatures that are the synthetic study's, which say nothing of one's own data, and an absent atlas."""
    synthetic = is_synthetic(SIGNATURES.name)
    for key in ("signatures", "networks"):
        path = Path(similarity.get(key, ""))
        if not path.is_relative_to(SIGNATURES):
            continue
        if synthetic or (key == "networks" and not path.is_symlink() and not path.exists()):
            proposed["similarity", key] = None
    if synthetic and ("similarity", "signatures") in proposed:
        remarks.append("no SIGNATURES= was given: weight maps are compared with none (docs/own-study.md)")


def find_table(named):
    """Return the table of trials: the one that the params name, or the only one there."""
    if isinstance(named, str) and Path(named).is_symlink() | Path(named).exists():
        return Path(named)
    found = [path for ending in ("tsv", "csv", "txt") for path in sorted(BEHAVIOR.rglob(f"[!.]*.{ending}"))]
    found = [path for path in found if path.name not in NOT_TRIALS and ".git" not in path.parts]
    return found[0] if len(found) == 1 else None


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
    """Write a text as TOML."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
