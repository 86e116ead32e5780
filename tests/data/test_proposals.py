"""Proposals for the params of one's own study: columns, score, pattern of the images' names, where they are written."""

import json
import tomllib
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errors import InputError
from facepain.data.image_names import name_images
from facepain.data.proposals import propose_columns, propose_pattern, propose_targets
from facepain.params import load_params
from propose import fill_in_columns, find_table, remark_absent_masks, set_value
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
    found = propose_pattern(trials, [*sorted(images), "mask.nii"], trials)
    assert found is not None
    named, _ = name_images(trials, images, found)
    assert named["contrast"].tolist() == images


def test_images_that_follow_no_pattern_get_none():
    trials = pd.DataFrame({"participant_id": ["a", "b"], "run": 1, "trial": 1, "excluded": ""})
    assert propose_pattern(trials, ["x.nii", "y.nii"], trials) is None
    assert propose_pattern(trials.assign(excluded="motion"), ["a.nii", "b.nii"], trials) is None


def test_numbers_that_the_table_does_not_give_name_no_image():
    rows = [
        {"participant_id": name, "run": 1, "trial": trial, "excluded": ""} for name in ("ab", "cd") for trial in (1, 2)
    ]
    images = [f"{row['participant_id']}/con_{row['trial']:04d}.nii" for row in rows]
    trials = pd.DataFrame(rows)
    assert propose_pattern(trials, images, ["participant_id"]) is None
    assert propose_pattern(trials, images, ["participant_id", "trial"]) == "{participant_id}/con_{trial:04d}.nii"


def test_trials_that_are_volumes_of_one_image_are_told_apart_by_them():
    rows = [(name, 1, trial, trial + 1, "") for name in ("ab", "cd") for trial in (1, 2)]
    trials = pd.DataFrame(rows, columns=["participant_id", "run", "trial", "volume", "excluded"])
    images = ["ab_betas.nii.gz", "cd_betas.nii.gz"]
    assert propose_pattern(trials, images, ["participant_id", "volume"]) == "{participant_id}_betas.nii.gz"
    assert propose_pattern(trials.assign(volume=2), images, ["participant_id", "volume"]) is None


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


def text_table(*lines):
    header, *rows = [line.split(";") for line in lines]
    return pd.DataFrame(
        rows, columns=header, dtype=str, index=[f"line {number}" for number in range(2, len(lines) + 1)]
    )


def test_columns_that_hold_something_else_are_not_taken_for_those_of_a_study():
    table = text_table("id;block;image;contrast;Durchgang", "s1;A;sad.jpg;pain;1", "s2;B;sad.jpg;pain;2")
    assert propose_columns(table) == {"participant_id": "id", "trial": "Durchgang"}
    table = text_table("id;contrast;file;Lauf", "s1;pain;C:\\x\\a.nii,3;1", "s2;pain;b.hdr;2", "s3;pain;n/a;")
    assert propose_columns(table) == {"participant_id": "id", "contrast": "file", "run": "Lauf"}


def test_a_score_that_cannot_be_used_as_it_is_goes_before_columns_that_are_none_and_the_reason_is_said():
    table = text_table("id;no;age;rating", "a;1;30;1.5", "a;2;30;n/a", "b;1;40;2", "b;2;40;7")
    found = propose_targets(table, {"participant_id": "id"})
    assert list(found.items()) == [("rating", "has no number in line 3"), ("age", ""), ("no", "")]
    # A score may be a number for each line, and what counts the lines goes on over those that are excluded.
    table = text_table("id;age;pain_vas;order;why", "a;30;3;1;", "b;31;1;2;moved", "c;30;2;3;", "d;28;4;4;")
    found = propose_targets(table, {"participant_id": "id", "excluded": "why"})
    assert list(found) == ["pain_vas", "age", "order"]
    table = text_table("ID;Schmerz;x", "a;10,5;ok", "b;12;ok")
    found = propose_targets(table, {"participant_id": "ID"})
    assert found == {"Schmerz": "has numbers with a comma, where a decimal point is expected"}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"participants.tsv": "", "README.txt": "", "participants.json": "{}"}, "inputs/behavior/participants.tsv"),
        ({"scores.csv": "", "readme_first.txt": "", "participants.tsv": ""}, "inputs/behavior/scores.csv"),
        ({"b.json": "study", "a.json": "study", "participants.tsv": ""}, ["a.json", "b.json"]),
        ({"a.csv": "", "b.tsv": ""}, "found inputs/behavior/a.csv, inputs/behavior/b.tsv; name yours in prep.table"),
        ({"README.txt": "", "c.json": "[]"}, "found none; name yours in prep.table"),
    ],
)
def test_the_table_of_trials_is_found_or_those_that_may_be_it_are_named(tmp_path, monkeypatch, files, expected):
    monkeypatch.chdir(tmp_path)
    folder = Path("inputs/behavior")
    folder.mkdir(parents=True)
    for name, content in files.items():
        study = json.dumps({"target": [1], "group": ["a"], "data": ["a.nii"]})
        (folder / name).write_text(study if content == "study" else content)
    if "name yours" in expected:
        with pytest.raises(InputError, match=expected):
            find_table("inputs/behavior/trials.tsv")
    elif isinstance(expected, list):
        found = find_table("inputs/behavior/trials.tsv")
        assert found == [f"inputs/behavior/{name}" for name in expected]
        written = set_value((ROOT / "code/params.toml").read_text(encoding="utf-8"), "prep", "table", found)
        assert tomllib.loads(written)["prep"]["table"] == found
    else:
        assert find_table("inputs/behavior/trials.tsv") == expected


def test_another_score_takes_the_place_of_the_stand_ins_in_titles_and_axes(tmp_path):
    path, proposed, remarks = tmp_path / "t.csv", {}, []
    path.write_text("participant_id,age,valence rating\na,30,1.5\nb,40,\nc,50,2\n")
    assert fill_in_columns(path, {"target": "age"}, proposed, remarks)[1] == "age" and not proposed
    columns, readable = fill_in_columns(path, {"target": "facs"}, proposed, remarks)
    assert columns == {"participant_id": "participant_id"} and readable == "age"
    score = {("prep", "target"): "valence rating", ("plot", "score"): "valence rating", ("plot", "title"): None}
    assert proposed == score
    assert "valence rating, probably the score, has no number in line 3; correct it" in remarks[0]
    assert remarks[1].endswith("one of which may be the score: age")


def test_masks_of_ones_own_are_listed_where_the_params_name_others(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("inputs/masks").mkdir(parents=True)
    Path("inputs/masks/brain.nii").touch()
    remarks = []
    remark_absent_masks({"a": "inputs/masks/brain.nii", "b": "harvard-oxford: x", "c": "a and not b"}, remarks)
    assert not remarks
    remark_absent_masks({"M1": "inputs/masks/M1.nii.gz"}, remarks)
    assert "there is no inputs/masks/M1.nii.gz; inputs/masks holds brain.nii: write yours under" in remarks[0]


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
