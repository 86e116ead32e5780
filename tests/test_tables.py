"""The table of trials: what is read from it, and what stops."""

import numpy as np
import pandas as pd
import pytest

from facepain.errors import InputError
from facepain.tables import check_range, match_images, read_trials, summarize, usable_trials

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
        (ROWS, HEADER.replace("facs", "score"), "has no column facs; found participant_id"),
        ([*ROWS, ROWS[0]], HEADER, r"more than once: sub-02 trial 1 \(line 2\), sub-02 trial 1 \(line 6\)"),
        (["sub-01\tdataset-1\t1\t1\tinf\ta\t"], HEADER, r'facs of sub-01 trial 1 \(line 2\) is "inf"; expected a finite'),
        (["sub-01\tdataset-1\t1\t1\tlots\ta\t"], HEADER, "expected a finite number"),
        (["sub-01\tdataset-1\t1\t1\t\ta\t"], HEADER, "expected a finite number"),
        (["sub-01\tdataset-1\t1\tone\t1\ta\t"], HEADER, 'line 2 has trial "one"; expected a whole number'),
        (["\tdataset-1\t1\t1\t1\ta\t"], HEADER, "line 2 has no participant_id"),
        (["p\ta/b\t1\t1\t1\ta\t"], HEADER, 'dataset "a/b" names files'),
        (["p\td1\t1\t1\t1\ta\t", "p\td2\t1\t2\t1\tb\t"], HEADER, "p stands in more than one dataset"),
        (["p\td\t1\t1\t1\ta\t", "p\td\t1\t2\t1\ta\t"], HEADER, "a belongs to more than one trial"),
        ([], HEADER, "has no rows"),
        ([], "", "not a tab-separated table"),
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
        check_range(trials, "facs", low=0)
    trials.loc[trials["participant_id"] == "p", "excluded"] = "typing error"
    check_range(trials, "facs", low=0)


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
