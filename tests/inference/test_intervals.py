import numpy as np
import pytest
from repositories import ROOT
from scipy.stats import pearsonr, spearmanr, t, ttest_1samp
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mean_absolute_error, r2_score

from facepain.inference.intervals import (
    COVERAGE,
    covered,
    fold_mean_interval,
    influence_table,
    participant_intervals,
    possible_interval,
    score_all,
)
from facepain.models.scores import Predictions

GROUPS = np.repeat(list("abcdefg"), [6, 5, 6, 6, 4, 6, 1])


@pytest.fixture
def predictions(rng):
    """Rounded scores with ties and participant effects; participant c does not vary."""
    person = np.unique(GROUPS, return_inverse=True)[1]
    y = np.round(np.maximum(0, 3 + rng.normal(0, 3, 7)[person] + rng.normal(0, 2, len(person))))
    y[GROUPS == "c"] = 2
    return Predictions(y, np.round(y / 2 + rng.normal(1, 2, len(y)), 1), GROUPS, rng.normal(3, 0.2, 7)[person])


def plain_scores(predictions):
    """Score predictions with scikit-learn and SciPy."""
    y, p, baseline, names = (getattr(predictions, name) for name in ("y_true", "y_pred", "baseline", "groups"))
    means = np.array([(y[names == name].mean(), p[names == name].mean()) for name in np.unique(names)])
    place = np.unique(names, return_inverse=True)[1]
    varies = np.array([np.ptp(y[names == name]) > 0 for name in np.unique(names)])[place]
    line = LinearRegression().fit(p[:, None], y)
    recalibrated = np.empty(len(y))
    for name in np.unique(names):
        scored = names == name
        other = LinearRegression().fit(p[~scored, None], y[~scored])
        recalibrated[scored] = other.predict(p[scored, None])
    return {
        "r2": r2_score(y, p),
        "skill": 1 - np.sum((y - p) ** 2) / np.sum((y - baseline) ** 2),
        "pearson_r": pearsonr(y, p)[0],
        "spearman_r": spearmanr(y, p)[0],
        "within_r": pearsonr((y - means[place, 0])[varies], (p - means[place, 1])[varies])[0],
        "between_r": pearsonr(*means.T)[0],
        "mae": mean_absolute_error(y, p),
        "offset": p.mean() - y.mean(),
        "slope": line.coef_[0],
        "intercept": line.intercept_,
        "r2_offset_removed": r2_score(y, p - p.mean() + y.mean()),
        "r2_recalibrated": r2_score(y, recalibrated),
    }


def test_the_coverage_that_is_printed_is_that_of_the_validity_page():
    """Every table of docs/validity.md with a column `interval` is read; the dictionary holds its extremes."""
    tables, header = {}, None
    for line in (ROOT / "docs/validity.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else None
        if cells is None or "interval" in cells:
            header = cells
        elif header and set(cells[0]) != {"-"}:
            row = dict(zip(header, cells, strict=True))
            if "simulated" not in row:
                kind = "parts, " * ("occurrence auc" in row) + row["interval"]
                for name, share in row.items():
                    if share.startswith(("0.", "1.")) and name != "effect":
                        tables.setdefault((kind, name.split()[-1]), []).append(float(share))
            else:
                tables.setdefault((row["interval"], ""), []).append(float(row["covers"]))
    kinds = {
        "lopo": "leave-one-participant-out",
        "tuned": "tuned, leave-one-participant-out",
        "published": "published folds",
        "other dataset": "other dataset",
        "parts": "parts, leave-one-participant-out",
        "parts, published": "parts, published folds",
        "reliability": "intraclass correlation of the score",
        "relate": "effect of expression",
        "classifier": "classifier, balanced accuracy over folds",
    }
    for kind, metrics in COVERAGE.items():
        for metric, ends in metrics.items():
            shares = tables.get((kinds[kind], metric)) or tables[kinds[kind], ""]
            assert ends == (min(shares), max(shares)), (kind, metric)


def test_readers_of_the_readme_learn_the_coverage():
    text = " ".join((ROOT / "README.md").read_text().split())
    unseen, tuned = (covered(kind, "skill", "pearson_r") for kind in ("lopo", "tuned"))
    other = covered("other dataset", "r2", "skill", "pearson_r", "within_r", "offset", "slope", "r2_offset_removed")
    assert f"covered {unseen} of the time for participants whom the model has not seen" in text
    assert f"({tuned} with tuned models) and {other} on another dataset" in text


def test_scores_with_everybody_and_without_each_equal_those_of_scikit_learn_and_scipy(predictions):
    left = predictions.without_each()
    assert [set(GROUPS) - set(each.groups) for each in left] == [{name} for name in "abcdefg"]
    for each in (predictions, *left):
        assert score_all(each) == pytest.approx(plain_scores(each), abs=1e-9)


def test_interval_of_the_offset_is_the_t_interval_of_participant_means(rng):
    groups, y = np.repeat(np.arange(9), 4), rng.normal(size=36)
    y_pred = y + rng.normal(1, 1, 9)[groups]
    low, high = participant_intervals(Predictions(y, y_pred, groups, np.zeros(36)))["offset"][1:3]
    expected = ttest_1samp((y_pred - y).reshape(9, 4).mean(axis=1), 0).confidence_interval(0.95)
    assert (low, high) == pytest.approx((expected.low, expected.high))


def test_constant_predictions_and_few_participants(predictions):
    constant = Predictions(predictions.y_true, np.full(len(GROUPS), 1 / 3), GROUPS, predictions.baseline)
    intervals = participant_intervals(constant)
    for metric in ("pearson_r", "spearman_r", "within_r"):
        assert intervals[metric][:3] == (0, 0, 0)
    assert np.isnan(intervals["slope"][0])
    two = np.isin(GROUPS, ["a", "b"])
    few = Predictions(*(each[two] for each in (predictions.y_true, predictions.y_pred, GROUPS, predictions.baseline)))
    assert np.isnan(participant_intervals(few)["r2"][1:3]).all()


def test_influence_scores_without_each_participant(predictions):
    table = influence_table(predictions).set_index(["metric", "participant_id"])["score_without"]
    kept = GROUPS != "d"
    assert table["r2", "d"] == pytest.approx(r2_score(predictions.y_true[kept], predictions.y_pred[kept]))


def test_interval_of_a_mean_over_folds_by_hand():
    low, high = fold_mean_interval([1.0, 2.0, 4.0], n_train=20, n_test=5)
    # Variance 7/3, times 1/3 + 1/4.
    half = t.ppf(0.975, 2) * np.sqrt(7 / 3 * (1 / 3 + 1 / 4))
    assert (low, high) == pytest.approx((7 / 3 - half, 7 / 3 + half))


def test_scores_without_variance_within_participants_have_no_correlation_within(rng):
    ages = np.repeat(rng.normal(size=5), 3)
    predictions = Predictions(ages, ages + rng.normal(size=15), np.repeat(np.arange(5), 3), np.zeros(15))
    assert np.isnan(participant_intervals(predictions)["within_r"][:3]).all()


CUT = ("auc", "balanced_accuracy", "within_r", "skill")


def test_no_interval_goes_beyond_what_is_possible():
    ends = {
        name: possible_interval(name, -1.2, 1.2) for name in ("auc", "balanced_accuracy", "within_r", "skill", "mae")
    }
    assert ends["auc"] == ends["balanced_accuracy"] == (0, 1) and ends["within_r"] == (-1, 1)
    assert ends["skill"] == (-1.2, 1) and ends["mae"] == (-1.2, 1.2)
