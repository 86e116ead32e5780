"""Intervals over participants for scores of predictions, and for means over dependent folds.

Whole participants are left out of the scoring one by one (the jackknife); no model is fitted again.
"""

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from facepain.models.scores import (
    CONSTANT_SPREAD,
    METRICS,
    participant_means,
    pearson_r,
    r2,
    spearman_r,
    within_participants,
)

LEVEL = 0.95
INTERVAL_METRICS = (
    *("r2", "skill", "pearson_r", "spearman_r", "within_r", "between_r"),
    *("mae", "offset", "slope", "intercept"),
)
INFLUENCE_METRICS = ("r2", "skill", "pearson_r")
# Lowest and highest share of 95 % intervals that covered, over the sizes and effects simulated for docs/validity.md.
COVERAGE = {
    "lopo": {"r2": (0.83, 0.88), "skill": (0.80, 0.92), "pearson_r": (0.72, 0.88), "within_r": (0.93, 0.95)},
    "tuned": {"skill": (0.77, 0.80), "pearson_r": (0.37, 0.57)},
    "published": {"r2": (0.95, 0.97), "skill": (0.93, 0.97), "pearson_r": (0.87, 0.95)},
    "other dataset": {
        **{"r2": (0.93, 0.97), "skill": (0.88, 0.90), "pearson_r": (0.90, 0.93), "within_r": (0.90, 0.95)},
        **{"offset": (0.87, 0.90), "slope": (0.88, 0.95)},
        **{"r2_offset_removed": (0.88, 0.93), "r2_recalibrated": (0.52, 0.68)},
    },
    "parts": {"auc": (0.77, 0.87), "balanced_accuracy": (0.72, 0.88), "pearson_r": (0.65, 0.80)},
    "reliability": {"icc": (0.80, 0.86)},
    "relate": {"estimate": (0.92, 0.95)},
    "classifier": {"balanced_accuracy": (0.83, 0.95)},
    "parts, published": {"auc": (0.93, 0.97), "balanced_accuracy": (0.88, 1.00), "pearson_r": (0.87, 0.95)},
}


def covered(kind, *metrics):
    """Write how often 95 % intervals covered in simulated studies."""
    ends = [share for metric in metrics for share in COVERAGE[kind][metric]]
    low, high = (f"{100 * share:.0f}" for share in (min(ends), max(ends)))
    return f"{low} %" if low == high else f"{low} to {high} %"


INTERVAL_COLUMNS = {
    "estimate_of": "lopo: predictions of the model that has not seen the participant (leave one participant out); "
    "published: mean over the folds of the published scheme; else the dataset that the final model was tested on",
    "metric": "score; within_r: correlation after subtracting each participant's mean, between_r: of the participants' "
    "means; offset: mean prediction minus mean score; slope and intercept: of the line of scores on predictions",
    "estimate": "the score",
    "low": "lower end of the interval",
    "high": "upper end of the interval",
    "level": "share of intervals that should hold the score of the final model in new participants; in simulated "
    f"studies {covered('other dataset', 'r2', 'skill', 'pearson_r')} on another dataset did, of lopo "
    f"{covered('lopo', 'skill')} (skill) and {covered('lopo', 'pearson_r')} (pearson_r), of published "
    f"{covered('published', 'r2', 'skill', 'pearson_r')} (docs/validity.md)",
    "method": "participant-jackknife: t interval with the standard error over participants, models as fitted; "
    "nadeau-bengio: t interval with the corrected variance of a mean over folds",
    "n_participants": "participants tested",
}


def score_all(predictions):
    """Return the scores of predictions by name: `INTERVAL_METRICS`, ``r2_offset_removed`` and ``r2_recalibrated``.

    For the last the line of scores on predictions is fitted without the participant who is scored. Correlations are 0
    where one side is constant; the slope of constant predictions is NaN.
    """
    y, y_pred, groups = predictions.y_true, predictions.y_pred, predictions.groups
    means, index = participant_means([y, y_pred], groups)
    offset, (slope, intercept) = y_pred.mean() - y.mean(), fit_line(y_pred, y)
    scores = {name: metric(y, y_pred, predictions.baseline) for name, metric in METRICS.items()} | {
        "spearman_r": spearman_r(y, y_pred),
        "within_r": pearson_r(*within_participants(y, y_pred, groups)),
        "between_r": pearson_r(*means),
        "mae": np.mean(np.abs(y - y_pred)),
        "offset": offset,
        "slope": slope,
        "intercept": intercept,
        "r2_offset_removed": r2(y, y_pred - offset),
        "r2_recalibrated": r2(y, recalibrate(y, y_pred, index)),
    }
    return scores if np.ptp(y) else scores | dict.fromkeys((name for name in scores if name.startswith("r2")), np.nan)


def recalibrate(y, y_pred, index):
    """Return what lines of y on y_pred predict that are fitted without the participant predicted, by their sums."""
    y_mean, pred_mean = y.mean(), y_pred.mean()
    a, b = y - y_mean, y_pred - pred_mean
    columns = np.ones_like(a), a, b, b * b, a * b
    n, sum_a, sum_b, bb, ab = ((column.sum() - np.bincount(index, column))[index] for column in columns)
    n = np.where(n > 0, n, np.nan)
    spread = bb - sum_b * sum_b / n
    # Equal predictions have no line: their mean score is predicted.
    has_line = spread > CONSTANT_SPREAD * bb
    slope = np.where(has_line, ab - sum_a * sum_b / n, 0) / np.where(has_line, spread, 1)
    return y_mean + sum_a / n + slope * (b - sum_b / n)


def fit_line(x, y):
    """Return slope and intercept of the least-squares line of y on x, NaN where x is constant."""
    centred = x - x.mean()
    spread = centred @ centred
    slope = centred @ (y - y.mean()) / spread if spread > CONSTANT_SPREAD * (x @ x) else np.nan
    return slope, y.mean() - slope * x.mean()


def score_without_each(predictions):
    """Return the scores of `score_all`, and a table of them without each participant, by ``participant_id``."""
    without = [score_all(left) for left in predictions.without_each()]
    return score_all(predictions), pd.DataFrame(without, pd.Index(predictions.participants, name="participant_id"))


def participant_intervals(predictions):
    """Return the columns of `INTERVAL_COLUMNS` from ``estimate`` on, for every metric of `score_all`.

    Ends are NaN where the score is undefined without some participant, and for fewer than three. Student's t interval
    with the jackknife's standard error (Efron & Tibshirani 1993, chapter 11, ISBN 0412042312). On planted studies it
    covered better than percentile, BCa and bootstrap-t intervals of 20 or 34 participants. It leaves out the variance
    of the fit and the dependence between predictions whose models share participants.
    """
    every, without = score_without_each(predictions)
    return {name: interval_over_participants(name, score, without[name].to_numpy()) for name, score in every.items()}


def possible_interval(metric, low, high):
    """Cut an interval at the limits of its score."""
    is_share = metric in ("auc", "balanced_accuracy")
    lowest = -1.0 if metric.endswith("_r") else 0.0 if is_share else -np.inf
    highest = 1.0 if metric.endswith("_r") or metric.startswith(("r2", "skill")) or is_share else np.inf
    return float(np.clip(low, lowest, highest)), float(np.clip(high, lowest, highest))


def jackknife_interval(estimate, without):
    """Return the t interval from the estimates (n_participants,) without each participant, NaN for fewer than 3."""
    n = len(without)
    error = np.sqrt((n - 1) * np.var(without)) if n > 2 else np.nan
    half = stdtrit(max(n - 1, 1), (1 + LEVEL) / 2) * error
    return estimate - half, estimate + half


def fold_mean_interval(scores, n_train, n_test):
    """Return the t interval of a mean over folds with the corrected variance, given mean numbers of participants.

    Folds share training trials, so that variance / n_folds is too small: Nadeau & Bengio 2003, doi
    10.1023/A:1024068626366, take (1 / n_folds + n_test / n_train) times the variance.
    """
    scores = np.asarray(scores, float)
    if len(scores) < 2:
        return np.nan, np.nan
    error = np.sqrt((1 / len(scores) + n_test / n_train) * scores.var(ddof=1))
    half = stdtrit(len(scores) - 1, (1 + LEVEL) / 2) * error
    return scores.mean() - half, scores.mean() + half


def interval_over_participants(metric, estimate, without):
    """Return the columns of `participant_intervals`, given the estimates without each participant."""
    ends = possible_interval(metric, *jackknife_interval(estimate, without))
    return estimate, *ends, LEVEL, "participant-jackknife", len(without)


def interval_over_folds(metric, scores, groups, tested):
    """Return the same columns of a mean over those folds that have a score, given the indices that each tests."""
    scores = scores[np.isfinite(scores)]
    n_test = np.mean([len(np.unique(groups[test_idx])) for test_idx in tested])
    ends = fold_mean_interval(scores, len(np.unique(groups)) - n_test, n_test)
    estimate, n_tested = scores.mean() if len(scores) else np.nan, len(np.unique(groups[np.concatenate(tested)]))
    return estimate, *possible_interval(metric, *ends), LEVEL, "nadeau-bengio", n_tested


INFLUENCE_COLUMNS = {
    "participant_id": "participant left out of the scoring; the models are as fitted",
    "metric": "score of all leave-one-participant-out predictions together",
    "score_without": "the score without this participant's trials",
}


def influence_table(predictions):
    """List the scores of predictions without each participant, with the columns of `INFLUENCE_COLUMNS`."""
    table = score_without_each(predictions)[1][list(INFLUENCE_METRICS)]
    return table.melt(var_name="metric", value_name="score_without", ignore_index=False).reset_index()


def intervals_table(predicted, metrics, fits, groups):
    """List the intervals of all headline scores, with the columns of `INTERVAL_COLUMNS`.

    ``predicted`` are Predictions of ``lopo`` and of every other dataset; ``metrics`` the scores of the published
    scheme, its ``fits`` first; ``groups`` the participants of the trials that these count in.
    """
    rows = []
    for name, predictions in predicted.items():
        intervals = participant_intervals(predictions)
        rows += [(name, metric, *intervals[metric]) for metric in INTERVAL_METRICS]
    tested = [fit.test_idx for fit in fits]
    for metric in ("r2", "skill", "pearson_r", "spearman_r", "mae"):
        scores = metrics[metric].head(len(fits)).to_numpy()  # a fold of one trial has no r2
        rows.append(("published", metric, *interval_over_folds(metric, scores, groups, tested)))
    return pd.DataFrame(rows, columns=list(INTERVAL_COLUMNS))
