from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score
from statsmodels.regression.linear_model import OLS

from facepain.inference.intervals import intervals_table
from facepain.models.cross_validation import make_folds
from facepain.models.score_tables import calibration_table, fold_metrics
from facepain.models.scores import (
    Predictions,
    pearson_r,
    r2,
    score_predictions,
    skill,
    spearman_r,
    summarize_folds,
    withhold_folds,
)


def test_columns_equal_sklearn_and_scipy(rng):
    y_true, y_pred = rng.normal(5, 3, size=(2, 30, 7))
    y_true[:15] = np.round(y_true[:15])  # ties
    for column in range(7):
        pair = y_true[:, column], y_pred[:, column]
        assert r2(y_true, y_pred)[column] == pytest.approx(r2_score(*pair), abs=1e-12)
        assert pearson_r(y_true, y_pred)[column] == pytest.approx(pearsonr(*pair)[0], abs=1e-12)
        assert spearman_r(y_true, y_pred)[column] == pytest.approx(spearmanr(*pair)[0], abs=1e-12)
        assert r2(*pair) == pytest.approx(r2_score(*pair), abs=1e-12)
        assert pearson_r(*pair) == pytest.approx(pearsonr(*pair)[0], abs=1e-12)


def test_constant_scores_follow_r2_score():
    zeros, guess = np.zeros(5), np.array([0.0, 0, 0, 0, 1])
    assert r2(zeros, zeros) == r2_score(zeros, zeros) == 1
    assert r2(zeros, guess) == r2_score(zeros, guess) == 0
    np.testing.assert_array_equal(r2(np.column_stack([zeros, zeros]), np.column_stack([zeros, guess])), [1, 0])


def test_constant_score_without_exact_mean_gives_no_huge_value():
    assert r2(np.full(15, 0.1), np.linspace(0, 1, 15)) == 0
    assert pearson_r(np.full(15, 0.1), np.linspace(0, 1, 15)) == 0


def test_constant_predictions_correlate_0(rng):
    y_true = rng.normal(size=(20, 2))
    y_pred = np.column_stack([np.full(20, 1 / 3), y_true[:, 1]])
    np.testing.assert_allclose(pearson_r(y_true, y_pred), [0, 1], atol=1e-12)


def test_one_trial_has_no_score():
    assert np.isnan(r2([1.0], [1.0]))
    assert np.isnan(pearson_r(np.ones((1, 3)), np.ones((1, 3)))).all()


def test_row_of_metrics_by_hand():
    groups = ["a", "a", "b", "b", "c", "c"]
    y_true = np.array([1.0, 3, 5, 9, 0, 0])
    y_pred = np.array([2.0, 3, 5, 6, 1, 3])
    row = score_predictions(y_true, y_pred, groups, baseline=4.0)
    assert row["mae"] == mean_absolute_error(y_true, y_pred)
    assert row["mse"] == mean_squared_error(y_true, y_pred)
    assert row["rmse"] == pytest.approx(row["mse"] ** 0.5)
    # Participant c does not vary and is left out.
    assert row["r2_within"] == pytest.approx(r2_score([-1, 1, -2, 2], [-0.5, 0.5, -0.5, 0.5]))
    assert row["r2_between"] == pytest.approx(r2_score([2, 7, 0], [2.5, 5.5, 2]))
    assert row["r2_baseline"] == pytest.approx(r2_score(y_true, np.full(6, 4.0)))
    # 1 - (1 + 0 + 0 + 9 + 1 + 9) / (9 + 1 + 1 + 25 + 16 + 16)
    assert row["skill"] == pytest.approx(1 - 20 / 68)


def test_skill_of_the_training_mean_is_0(rng):
    y = rng.normal(size=(10, 3))
    y[:, 1:] = 3
    np.testing.assert_array_equal(skill(y, np.full((10, 3), [3.0, 4, 3]), 3.0), [0, 0, 1])


def test_predicting_participant_means_explains_nothing_within():
    groups = np.repeat(["a", "b"], 3)
    y_true = np.array([1.0, 2, 3, 7, 8, 9])
    row = score_predictions(y_true, np.repeat([2.0, 8.0], 3), groups, y_true.mean())
    assert (row["r2_within"], row["r2_between"], row["r2_baseline"]) == (0, 1, 0)


def test_undefined_scores_are_nan():
    row = score_predictions([0.0, 0, 0], [1.0, 2, 3], ["a", "a", "a"], 0.0)
    assert np.isnan(row["r2_within"])
    assert np.isnan(row["r2_between"])


def test_folds_that_test_few_participants_say_nothing_of_them():
    metrics = summarize_folds([{"r2": 0.1}, {"r2": 0.3}], {"r2": 0.2})
    tested = [["a", "a", "b"], ["c", "c", "c"]]
    assert withhold_folds(metrics, tested, 1) is metrics
    withheld = withhold_folds(metrics, tested, 2).set_index("fold")
    np.testing.assert_allclose(
        withheld["r2"], [np.nan, np.nan, 0.2, np.nan, 0.2]
    )  # both follow from mean and sd of two
    three = withhold_folds(summarize_folds([{"r2": 0.1}, {"r2": 0.3}, {"r2": 0.2}], {"r2": 0.2}), tested, 2)
    assert three["r2"].isna().tolist() == [True, True, True, False, False, False]


def test_bars_of_calibration_are_the_error_of_the_mean_that_is_drawn(rng):
    y_pred, groups = np.arange(160.0), np.tile(np.arange(10), 16)
    y_true = rng.normal(size=160)
    given = Predictions(y_true, y_pred, groups, np.zeros(160))
    table = calibration_table({"lopo": given}, 5)
    first = pd.DataFrame({"y": y_true[:20], "person": groups[:20]}).groupby("person")["y"].mean()
    assert table.at[0, "y_true_se"] == pytest.approx(first.std() / np.sqrt(10))  # two trials of each
    # Where one participant has most trials: errors that are robust to clusters.
    groups = np.where(np.arange(160) % 20 < 14, 0, groups + 1)
    table = calibration_table({"lopo": Predictions(y_true, y_pred, groups, np.zeros(160))}, 5)
    fit = OLS(y_true[:20], np.ones(20)).fit(cov_type="cluster", cov_kwds={"groups": groups[:20]})
    assert table.at[0, "y_true_se"] == pytest.approx(fit.bse[0]) and table.at[0, "n_participants"] == 7


def test_a_fold_of_one_trial_leaves_the_mean_of_the_others(rng):
    groups = np.array([*"aaaabbbbcccc", "d"])
    fits = [
        SimpleNamespace(train_idx=train, test_idx=test, y_test=rng.normal(size=len(test)), n_components=1,
                        y_pred=rng.normal(size=len(test)), y_train_mean=0.0, shrinkage=0.0)
        for train, test in make_folds(groups, "lopo")
    ]  # fmt: skip
    metrics = fold_metrics(fits, groups)
    table = intervals_table({}, metrics, fits, groups).set_index("metric")
    assert table.at["r2", "estimate"] == pytest.approx(metrics.set_index("fold").at["mean", "r2"])
    assert np.isfinite(table.loc[["r2", "pearson_r"], ["estimate", "low", "high"]]).all(axis=None)
