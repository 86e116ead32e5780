"""Proposals for the params of one's own study: columns, score, pattern of the images' names, where they are written."""

import tomllib

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errors import InputError
from facepain.data.image_names import name_images
from facepain.data.proposals import propose_columns, propose_pattern, propose_targets
from facepain.params import load_params
from propose import set_value
from provenance.repository import ROOT
from stages import STUDY

PATTERNS = [
    "con_{participant_id}.hdr",
    "{participant_id}/con_{trial:04d}.nii",
    "sub-{participant_id:0>3}/run-{run}/beta_{trial:02d}.nii.gz",
    "sub-{participant_id}/func/sub-{participant_id}_task-pain2_run-{run}_trial-{trial}_statmap.nii.gz",
    "day1/{participant_id}_s2_{run:02d}_{trial}.img.nii",
]


@given(
    pattern=st.sampled_from(PATTERNS),
    start=st.sampled_from([1, 8, 95]),
    width=st.sampled_from([1, 2, 3]),
    n_trials=st.integers(2, 4),
    dated=st.booleans(),
)
@settings(max_examples=15, deadline=None)
def test_the_pattern_that_named_the_images_is_found(pattern, start, width, n_trials, dated):
    if pattern.startswith("con_"):
        n_trials = 1
    people = [str(number).zfill(width) for number in range(start, start + 6)]
    rows = [
        {"participant_id": name, "run": 1 + trial // 3, "trial": trial, "excluded": ""}
        for name in people
        for trial in range(1, n_trials + 1)
    ]
    trials = pd.DataFrame(rows)
    images = [f"{pattern.format_map(row)}" for row in rows]
    if dated and "/" in pattern:  # a folder of the day the scan was made
        images = [f"{20200101 + int(row['participant_id'])}x/{name}" for name, row in zip(images, rows, strict=True)]
    found = propose_pattern(trials, [*sorted(images), "mask.nii"])
    assert found is not None
    named, _ = name_images(trials, images, found)
    assert named["contrast"].tolist() == images


def test_images_that_follow_no_pattern_get_none():
    trials = pd.DataFrame({"participant_id": ["a", "b"], "run": 1, "trial": 1, "excluded": ""})
    assert propose_pattern(trials, ["x.nii", "y.nii"]) is None
    assert propose_pattern(trials.assign(excluded="motion"), ["a.nii", "b.nii"]) is None


@pytest.mark.parametrize(
    ("header", "columns", "targets"),
    [
        (
            "Subject,Trial_No,pain rating,file",
            {"participant_id": "Subject", "trial": "Trial_No", "contrast": "file"},
            1,
        ),
        ("subject,X_RVLPFC,Y_success", {"participant_id": "subject"}, 2),
        ("participant_id,run,trial,facs,contrast,excluded", {}, 1),
        ("id,note", {"participant_id": "id"}, 0),
    ],
)
def test_columns_are_known_by_usual_names_and_scores_by_their_numbers(header, columns, targets):
    names = header.split(",")
    words = {"note": "ok", "excluded": "", "file": "a.nii", "contrast": "a.nii"}
    table = pd.DataFrame({name: [words.get(name, str(number)) for number in (1, 2)] for name in names}, dtype=str)
    found = propose_columns(table)
    assert {name: own for name, own in found.items() if name != own} == columns
    assert len(propose_targets(table, found)) == targets


@given(st.lists(st.tuples(st.sampled_from(["participant_id", "trial", "run"]), st.text(max_size=8)), max_size=4))
@settings(max_examples=40, deadline=None)
def test_what_is_proposed_can_be_read_back_and_no_comment_is_lost(tmp_path_factory, columns):
    before = (ROOT / "code/params.toml").read_text(encoding="utf-8")
    text = before
    columns = {value: key for key, value in columns if value.strip() and value.isprintable()}  # each of another
    columns = {key: value for value, key in columns.items()}
    for key, value in columns.items():
        text = set_value(text, "prep.columns", key, value)
    text = set_value(text, "prep", "table", "inputs/behavior/ü.csv")
    text = set_value(text, "prep", "images", "{participant_id}.nii")
    text = set_value(text, "extract", "analyze_orientation", "radiological")
    text = set_value(text, "prep", "target_min", None)
    found = tomllib.loads(text)
    assert found["prep"].get("columns", {}) == columns and found["prep"]["table"] == "inputs/behavior/ü.csv"
    assert found["prep"]["images"] == "{participant_id}.nii" and "target_min" not in found["prep"]
    assert text.count("#") in (before.count("#") - 1 - n for n in range(6))
    path = tmp_path_factory.mktemp("params") / "params.toml"
    path.write_text(text, encoding="utf-8")
    try:
        load_params(path, STUDY.stages)
    except InputError as error:
        raise AssertionError(error) from error
