"""The table of trials: what is read from it, and what stops."""

import json

import numpy as np
import pandas as pd
import pytest

from errors import InputError
from facepain.data.image_names import match_images, name_images
from facepain.data.summary import summarize
from facepain.data.trials import check_scores, read_trials, usable_trials
from training import Training

HEADER = "participant_id\tdataset\trun\ttrial\tfacs\tcontrast\texcluded"
ROWS = [
    "sub-02\tdataset-2\t1\t1\t3\tb/1.hdr\t",
    "sub-01\tdataset-1\t1\t2\t0.5\ta/2.hdr\t",
    "sub-01\tdataset-1\t1\t10\t4\ta/10.hdr\t",
    "sub-01\tdataset-1\t1\t3\tn/a\t\tmotion",
]


@pytest.fixture
def write(tmp_path):
    def write(*rows, header=HEADER, encoding="utf-8"):
        path = tmp_path / "trials.tsv"
        path.write_bytes("\n".join([header, *rows, ""]).encode(encoding))
        return path

    return write


def test_usable_trials_are_sorted_by_dataset_participant_and_number_of_the_trial(write):
    usable = usable_trials(read_trials(write(*ROWS), "facs"))
    assert usable["contrast"].tolist() == ["a/2.hdr", "a/10.hdr", "b/1.hdr"]
    assert usable["facs"].tolist() == [0.5, 4.0, 3.0]


def test_missing_columns_get_the_values_of_a_simple_study(write):
    path = write("p1\t1.5\tx.nii", "p2\t2.5\ty.nii", header="participant_id\tscore\tcontrast")
    trials = read_trials(path, "score")
    assert set(trials["dataset"]) == {"dataset-1"}
    assert trials["trial"].tolist() == [1, 1]
    assert (trials["excluded"] == "").all()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8"])
def test_byte_order_mark_and_windows_line_ends_change_nothing(write, encoding):
    path = write(*(row + "\r" for row in ROWS), header=HEADER + "\r", encoding=encoding)
    assert read_trials(path, "facs").equals(read_trials(write(*ROWS), "facs"))


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        (ROWS, HEADER.replace("facs", "score"), 'has no column "facs"; found participant_id'),
        ([*ROWS, ROWS[0]], HEADER, r"duplicated: sub-02 trial 1 \(line 2\), sub-02 trial 1 \(line 6\)"),
        (
            ["sub-01\tdataset-1\t1\t1\tinf\ta\t"],
            HEADER,
            r'facs of sub-01 trial 1 \(line 2\) is "inf"; expected a finite',
        ),
        (["sub-01\tdataset-1\t1\t1\tlots\ta\t"], HEADER, "expected a finite number"),
        (["sub-01\tdataset-1\t1\t1\t\ta\t"], HEADER, "expected a finite number"),
        (["sub-01\tdataset-1\t1\tone\t1\ta\t"], HEADER, 'line 2 has trial "one"; expected a whole number'),
        (["\tdataset-1\t1\t1\t1\ta\t"], HEADER, "line 2 has no participant_id"),
        (["NA\td1\t1\t1\t1\ta\t"], HEADER, 'line 2 has participant_id "NA", which means missing; write another name'),
        (["p\tnan\t1\t1\t1\ta\t"], HEADER, 'line 2 has dataset "nan", which means missing'),
        (["p\ta/b\t1\t1\t1\ta\t"], HEADER, 'dataset "a/b" names files'),
        ([f"p\t{'d' * 61}\t1\t1\t1\ta\t"], HEADER, 'd" names files and results; use up to 60 letters'),
        (["p\tPublished\t1\t1\t1\ta\t"], HEADER, 'dataset "Published" names files and results'),
        (["p\td1\t1\t1\t1\ta\t", "p\td2\t1\t2\t1\tb\t"], HEADER, "p is in more than one dataset"),
        ([], HEADER, "has no rows"),
        ([], "", "not a table, its first line is"),
    ],
)
def test_a_bad_table_stops_with_its_line(write, rows, header, message):
    with pytest.raises(InputError, match=message):
        read_trials(write(*rows, header=header), "facs")


def test_a_table_that_is_missing_or_no_text_stops(write, tmp_path):
    with pytest.raises(InputError, match="no such table"):
        read_trials(tmp_path / "none.tsv", "facs")
    with pytest.raises(InputError, match="not UTF-8 text"):
        read_trials(write("sub-é\td\t1\t1\t1\ta\t", encoding="latin-1"), "facs")


def test_a_score_outside_the_stated_range_stops_unless_its_trial_is_excluded(write):
    trials = read_trials(write(*ROWS, "p\td\t1\t1\t-2\tz\t"), "facs")
    with pytest.raises(InputError, match="facs of p trial 1 is -2; expected 0 to inf"):
        check_scores(trials, "facs", low=0)
    trials.loc[trials["participant_id"] == "p", "excluded"] = "typing error"
    check_scores(trials, "facs", low=0)


def test_images_and_trials_must_match_both_ways_and_both_sides_are_listed(write):
    trials = read_trials(write(*ROWS), "facs")
    match_images(trials, ["a/2.hdr", "a/10.hdr", "b/1.hdr"])
    message = r"1 usable trial\(s\) without an image: sub-02 trial 1 \(b/1.hdr\); 1 image\(s\) without a trial: c.hdr"
    with pytest.raises(InputError, match=message):
        match_images(trials, ["a/2.hdr", "a/10.hdr", "c.hdr"])


def test_an_excluded_trial_may_have_an_image(write):
    trials = read_trials(write(*ROWS[:3], "sub-01\tdataset-1\t1\t3\t1\ta/3.hdr\tmotion"), "facs")
    match_images(trials, ["a/2.hdr", "a/10.hdr", "b/1.hdr", "a/3.hdr"])


def test_summary_counts_what_a_person_would(write):
    participants = pd.DataFrame(
        {"participant_id": ["sub-01", "sub-03", "sub-02"], "dataset": ["dataset-1", "dataset-1", "dataset-2"]}
    ).assign(age=["20", "30", "n/a"], sex=["F", "M", "F"])
    table = summarize(read_trials(write(*ROWS), "facs"), participants, "facs").set_index(["dataset", "fact"])["value"]
    assert table["dataset-1", "participants_enrolled"] == 2
    assert table["dataset-1", "participants_usable"] == 1
    assert table["dataset-1", "excluded: motion"] == 1
    assert table["dataset-1", "age_mean"] == 25
    assert table["dataset-1", "facs_share_not_whole"] == 0.5
    assert np.isclose(table["dataset-1", "facs_mean"], 2.25)


@pytest.mark.parametrize(("separator", "quote"), [(",", '"'), (";", '"'), ("\t", "")])
def test_any_separator_gives_the_same_table(tmp_path, separator, quote):
    text = (
        separator.join(["subject", "score", "file"])
        + "\n"
        + separator.join(["p1", "1.5", quote + "a b/é 1.hdr" + quote])
        + "\n\n"
    )
    (tmp_path / "t.csv").write_text(text)
    trials = read_trials(tmp_path / "t.csv", "score", {"participant_id": "subject", "contrast": "file"})
    assert trials.loc[0, ["participant_id", "score", "contrast"]].tolist() == ["p1", 1.5, "a b/é 1.hdr"]


def test_a_column_named_in_the_params_takes_the_place_of_one_of_that_name(write):
    path = write("1\tp1\t2\tx.nii", header="participant_id\tcode\tfacs\tcontrast")
    assert read_trials(path, "facs", {"participant_id": "code"})["participant_id"].tolist() == ["p1"]
    with pytest.raises(InputError, match=r'no column "subject", which prep.columns names; found participant_id, code'):
        read_trials(path, "facs", {"participant_id": "subject"})


def test_the_studys_own_dictionaries_are_read_as_they_are(tmp_path):
    for number in (1, 2):
        study = {
            "target": [0, 2.5],
            "group": [f"s{number}"] * 2,
            "data": [f"/data/x/inputs/s{number}/{trial}.hdr" for trial in (1, 2)],
        }
        (tmp_path / f"dataset-{number}.json").write_text(json.dumps(study))
    trials = read_trials([tmp_path / "dataset-1.json", tmp_path / "dataset-2.json"], "facs")
    assert trials["dataset"].tolist() == ["dataset-1"] * 2 + ["dataset-2"] * 2
    assert trials["trial"].tolist() == [1, 2, 1, 2] and trials["facs"].tolist() == [0, 2.5] * 2
    found = ["s1/1.hdr", "s1/2.hdr", "s2/1.hdr", "s2/2.hdr"]
    named, expected = name_images(trials, found)
    assert named["contrast"].tolist() == found == expected
    # The first may be of an excluded trial, whose image need not be there.
    named, _ = name_images(trials.assign(excluded=["motion", "", "", ""]), found[1:])
    assert named["contrast"].tolist()[1:] == found[1:]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", "expected a dictionary of three lists"),
        ("{", "not valid JSON"),
        (
            '{"target": [1], "group": ["a", "b"], "data": ["x"]}',
            "lists of different length .target 1, group 2, data 1.",
        ),
        (
            '{"target": ["lots"], "group": ["a"], "data": ["x"]}',
            r'target of|facs of a trial 1 \(d.json entry 1\) is "lots"',
        ),
    ],
)
def test_a_bad_dictionary_stops(tmp_path, content, message):
    (tmp_path / "d.json").write_text(content)
    with pytest.raises(InputError, match=message):
        read_trials(tmp_path / "d.json", "facs")


@pytest.fixture
def four_trials(write):
    rows = ["sub-01\t1\t1\t3", "sub-01\t2\t2\t4", "sub-02\t1\t1\t5", "sub-02\t2\t2\t6"]
    return read_trials(write(*rows, header="participant_id\trun\ttrial\tfacs"), "facs", image_pattern="x")


@pytest.mark.parametrize(
    ("pattern", "images"),
    [
        (
            "{participant_id}/con_{trial:04d}.hdr",
            ["sub-01/con_0001.hdr", "sub-01/con_0002.hdr", "sub-02/con_0001.hdr", "sub-02/con_0002.hdr"],
        ),
        (
            "**/{participant_id}_task-*_run-{run}_*stat-effect_statmap.nii.gz",
            [
                f"sub-0{p}/func/sub-0{p}_task-pain_run-{r}_contrast-x_stat-effect_statmap.nii.gz"
                for p in (1, 2)
                for r in (1, 2)
            ],
        ),
    ],
)
def test_a_pattern_finds_the_image_of_each_trial_and_leaves_other_files_alone(four_trials, pattern, images):
    others = ["mask.nii", "sub-01/spmT_0001.hdr", "sub-01/func/sub-01_task-pain_run-1_contrast-x_stat-t_statmap.nii.gz"]
    trials, expected = name_images(four_trials, [*reversed(images), *others], pattern)
    assert trials["contrast"].tolist() == images
    assert sorted(expected) == sorted(images)
    match_images(trials, expected)


def test_an_image_that_fits_the_pattern_but_no_trial_is_listed_unless_ignored(four_trials):
    images = [f"sub-0{p}/con_{t}.hdr" for p in (1, 2, 3) for t in (1, 2)]
    trials, expected = name_images(four_trials, images, "{participant_id}/con_{trial}.hdr")
    with pytest.raises(InputError, match=r"2 image\(s\) without a trial: sub-03/con_1.hdr, sub-03/con_2.hdr"):
        match_images(trials, expected)
    match_images(trials, expected, "ignore")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("{subject}.hdr", 'names "subject", which is no column; expected one of participant_id'),
        ("{participant_id:04d}.hdr", '"participant_id" cannot be written as "04d"'),
        ("{trial", "is not a pattern"),
        ("{participant_id}/con*.hdr", "fits 2 images for sub-01 trial 1: sub-01/con_1.hdr, sub-01/con_2.hdr"),
    ],
)
def test_a_bad_pattern_stops(four_trials, pattern, message):
    with pytest.raises(InputError, match=message):
        name_images(four_trials, ["sub-01/con_1.hdr", "sub-01/con_2.hdr"], pattern)


def test_names_as_spm_windows_and_other_machines_write_them_are_found(write):
    rows = [
        "p\t1\t1\tD:\\study\\p\\con_1.img,1",
        "p\t2\t2\tD:\\study\\p\\con_1.img,2",
        "q\t1\t1\tD:\\study\\q\\con_1.img,1",
    ]
    trials = read_trials(write(*rows, header="participant_id\ttrial\tfacs\tcontrast"), "facs")
    named, _ = name_images(trials, ["p/con_1.hdr", "q/con_1.hdr"])
    assert named["contrast"].tolist() == ["p/con_1.hdr", "p/con_1.hdr", "q/con_1.hdr"]
    assert named["volume"].tolist() == [1, 2, 1]
    match_images(named, ["p/con_1.hdr", "q/con_1.hdr"])


def test_accents_written_in_two_ways_are_the_same_name(write):
    trials = read_trials(write("p\td\t1\t1\t1\tZoé.nii\t"), "facs")
    on_disk = "Zoe\u0301.nii"
    assert name_images(trials, [on_disk])[0]["contrast"].tolist() == [on_disk]


def test_two_trials_may_not_share_an_image_unless_they_name_its_volumes(write):
    trials = read_trials(write("p\td\t1\t1\t1\ta\t", "p\td\t1\t2\t2\ta\t"), "facs")
    with pytest.raises(InputError, match="a belongs to more than one trial"):
        match_images(trials, ["a"])
    match_images(trials.assign(volume=[1, 2]), ["a"])


def test_a_score_that_never_changes_stops(write):
    trials = read_trials(write("p\td\t1\t1\t2\ta\t", "p\td\t1\t2\t2\tb\t"), "facs")
    with pytest.raises(InputError, match="facs is 2 in every usable trial"):
        check_scores(trials, "facs")


def test_a_reason_of_few_participants_is_counted_as_other(write):
    rows = [f"sub-{n}\td\t1\t1\t1\t\t{'motion' if n < 5 else 'left early'}" for n in range(7)]
    table = summarize(read_trials(write("a\td\t1\t1\t1\ta\t", *rows), "facs"), None, "facs", min_participants=5)
    excluded = {fact: value for fact, value in zip(table["fact"], table["value"], strict=True) if "excluded" in fact}
    assert excluded == {"excluded: motion": 5, "excluded: other": 2}


def test_a_pattern_by_trials_needs_their_numbers_in_the_table(write):
    path = write("sub-01\t3", "sub-01\t4", header="participant_id\tfacs")
    with pytest.raises(
        InputError, match=r'no column "trial", which prep.images = \{participant_id\}_\{trial:02d\} uses'
    ):
        read_trials(path, "facs", image_pattern="{participant_id}_{trial:02d}")
    assert read_trials(path, "facs", image_pattern="{participant_id}.nii")["trial"].tolist() == [1, 2]
    # Equal scores in one condition are two trials; images are not looked for in a column of conditions.
    path = write("s\t1\t3\tpain", "s\t2\t3\tpain", header="participant_id\ttrial\tfacs\tcontrast")
    trials = read_trials(path, "facs", image_pattern="{participant_id}_{trial}.nii")
    assert name_images(trials, ["s_1.nii", "s_2.nii"], "{participant_id}_{trial}.nii")[0]["contrast"].is_unique
    pattern = "{participant_id}_{trial}_{contrast}.nii"
    trials = read_trials(path, "facs", image_pattern=pattern)
    assert "s_1_pain.nii" in set(name_images(trials, ["s_1_pain.nii", "s_2_pain.nii"], pattern)[0]["contrast"])


def test_trials_are_of_one_kind_unless_the_first_of_each_run_are_another():
    trials = pd.DataFrame({"dataset": "d", "run": [1, 1, 2, 2], "trial": [1, 2, 3, 4]})
    study = Training(trials, *[None] * 8)
    assert not study.kinds_of_trials("none").any()
    assert study.kinds_of_trials("first-of-run").tolist() == [True, False, True, False]
