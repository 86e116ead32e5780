"""The intraclass correlation, against an analysis of variance and planted variances."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from statsmodels.stats.anova import anova_lm

from errors import InputError
from facepain.data.summary import reliability_table, summarize
from facepain.parallel import Resampling


def test_reliability_is_that_of_the_analysis_of_variance_and_covers_the_planted_one(rng):
    groups = np.repeat(np.arange(40), rng.integers(6, 12, 40))
    y = 3 * rng.standard_normal(40)[groups] + np.sqrt(3) * rng.standard_normal(len(groups))
    trials = pd.DataFrame({"dataset": "dataset-1", "participant_id": groups.astype(str), "facs": y})
    row = reliability_table(trials, "facs", Resampling(500, 1)).iloc[0]
    mean_squares = anova_lm(smf.ols("facs ~ participant_id", trials).fit())["mean_sq"]
    sizes = np.bincount(groups)
    size = (len(y) - np.sum(sizes**2) / len(y)) / 39
    between, within = mean_squares["participant_id"], mean_squares["Residual"]
    assert row["icc"] == pytest.approx((between - within) / (between + (size - 1) * within))
    assert row["low"] < row["icc"] < row["high"] and row["n_participants"] == 40
    assert row["icc"] == pytest.approx(0.75, abs=0.1)


def test_a_dataset_of_two_participants_has_none():
    trials = pd.DataFrame({"dataset": "d", "participant_id": list("aabb"), "facs": [1.0, 2, 3, 4]})
    assert reliability_table(trials, "facs", Resampling(10, 1)).iloc[0].isna()["icc"]


@pytest.mark.parametrize("with_datasets", [True, False])
def test_people_are_described_in_the_dataset_that_they_belong_to(with_datasets):
    trials = {"dataset": ["d1", "d1", "d2"], "participant_id": list("aab"), "facs": [1.0, 2, 3], "excluded": ""}
    people = pd.DataFrame({"participant_id": list("ab"), "sex": ["F", "M"], "age": ["20", "60"]})
    people = people.assign(dataset=["d1", "d2"]) if with_datasets else people
    facts = summarize(pd.DataFrame(trials), people, "facs").set_index(["dataset", "fact"])["value"]
    assert [facts[name, "age_mean"] for name in ("d1", "d2")] == [20, 60]
    assert [facts[name, "participants_enrolled"] for name in ("d1", "d2")] == [1, 1]
    assert ("d1", "sex_M") not in facts.index


def test_people_of_another_dataset_name_or_without_ids_and_datasets_without_a_usable_trial():
    trials = pd.DataFrame({"dataset": "dataset-1", "participant_id": list("aab"), "run": 1, "facs": [1.0, 2, 3]})
    people = pd.DataFrame({"subject": list("ab"), "sex": ["F", "M"], "dataset": "study-a"})
    facts = summarize(trials.assign(excluded="motion"), people, "facs", min_participants=2).set_index("fact")["value"]
    assert facts["participants_enrolled"] == 2 and facts["trials_usable"] == 0 and "runs" not in facts.index
    assert not any(fact.startswith("sex_") for fact in facts.index)
    trials = trials.assign(excluded="", dataset=["d1", "d1", "d2"])
    with pytest.raises(InputError, match=r"participants.tsv: found subject, sex, dataset; expected participant_id"):
        summarize(trials, people, "facs")
