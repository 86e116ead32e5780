"""Intervals over participants for scores of predictions, and for means over dependent folds.

Whole participants are left out of the scoring one by one (the jackknife); no model is fitted again. Scores without a
participant follow from sums over each participant, so that all of them cost a few matrix products.
"""

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from facepain.models.scores import CONSTANT_SPREAD, constant_within, spearman_r

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


def score_draws(predictions, counts, metrics=None):
    """Score predictions with each participant repeated as often as ``counts`` (n_draws, n_participants) says.

    Returns scores (n_draws,) by name: the ``metrics`` wanted (ranks take most of the time), or `INTERVAL_METRICS`,
    ``r2_offset_removed`` and ``r2_recalibrated`` (the line of scores on predictions is fitted without the participant
    who is scored). A repeated participant is a further participant, but is left out of the line as one. Correlations
    are 0 where one side is constant; other scores are NaN where undefined.
    """
    counts = np.asarray(counts, float)
    _, index = np.unique(predictions.groups, return_inverse=True)
    # Sums of squares lose fewer digits about a centre.
    centre = predictions.y_true.mean()
    y, p, b = (each - centre for each in (predictions.y_true, predictions.y_pred, predictions.baseline))
    columns = (np.ones_like(y), y, p, y * y, p * p, y * p, (y - p) ** 2, (y - b) ** 2, np.abs(y - p))
    sums = np.zeros((index.max() + 1, len(columns)))
    np.add.at(sums, index, np.column_stack(columns))
    n = sums[:, 0]
    mean_y, mean_p = (sums[:, 1:3] / n[:, None]).T
    between = np.column_stack([np.ones(len(n)), mean_y, mean_p, mean_y**2, mean_p**2, mean_y * mean_p])
    within = np.column_stack([n, 0 * n, 0 * n, sums[:, 3:6] - n[:, None] * between[:, 3:6]])
    within *= ~constant_within(index, y)[:, None]

    n, sum_y, sum_p, yy, pp, yp, error, of_baseline, absolute = (counts @ sums).T
    spread, offset = _spread(yy, sum_y, n), (sum_p - sum_y) / n
    slope = _ratio(yp - sum_y * sum_p / n, _spread(pp, sum_p, n))
    scores = {
        "r2": lambda: 1 - _ratio(error, spread),
        "skill": lambda: 1 - _ratio(error, of_baseline),
        "pearson_r": lambda: _correlation(counts @ sums[:, :6]),
        "spearman_r": lambda: _rank_correlation(y, p, counts[:, index]),
        "within_r": lambda: np.where(counts @ within[:, 0] > 0, _correlation(counts @ within), np.nan),
        "between_r": lambda: _correlation(counts @ between),
        "mae": lambda: absolute / n,
        "offset": lambda: offset,
        "slope": lambda: slope,
        "intercept": lambda: centre + (sum_y - slope * sum_p) / n - slope * centre,
        "r2_offset_removed": lambda: 1 - _ratio(error - n * offset**2, spread),
        "r2_recalibrated": lambda: 1 - _ratio(_recalibrated_error(sums[:, :6], counts), spread),
    }
    return {name: scores[name]() for name in metrics or scores}


def _recalibrated_error(sums, counts):
    """Return the squared error (n_draws,) of lines fitted without the participant who is scored."""
    others = (counts @ sums)[:, None] - counts[:, :, None] * sums
    n, y, p, yy, pp, yp = np.moveaxis(others, 2, 0)
    n = np.where(n > 0, n, np.nan)
    spread = pp - p * p / n
    # Equal predictions have no line: their mean score is predicted.
    slope = np.where(spread > CONSTANT_SPREAD * pp, (yp - y * p / n) / np.where(spread > 0, spread, 1), 0)
    level = (y - slope * p) / n
    n, y, p, yy, pp, yp = sums.T
    error = yy - 2 * level * y - 2 * slope * yp + n * level**2 + 2 * level * slope * p + slope**2 * pp
    return np.sum(np.where(counts > 0, counts * error, 0), axis=1)


def _rank_correlation(y, p, weights):
    """Return Spearman's correlation of every draw, whose trials are ranked anew; weights are (n_draws, n_trials)."""
    rows = (np.repeat(np.arange(len(y)), of_draw.astype(int)) for of_draw in weights)
    return np.nan_to_num([spearman_r(y[drawn], p[drawn]) for drawn in rows])


def _spread(squares, total, n):
    """Return sums of squared deviations, NaN where they are rounding."""
    spread = squares - total * total / n
    return np.where(spread > CONSTANT_SPREAD * squares, spread, np.nan)


def _ratio(a, b):
    return a / np.where(b > 0, b, np.nan)


def _correlation(sums):
    """Return correlations from rows of count, sums and sums of products; 0 where a side is constant."""
    n, y, p, yy, pp, yp = sums.T
    n = np.where(n > 0, n, np.nan)
    covariance = (yp - y * p / n) / np.sqrt(_spread(yy, y, n)) / np.sqrt(_spread(pp, p, n))
    return np.clip(np.nan_to_num(covariance), -1, 1)


def participant_intervals(predictions):
    """Return (estimate, low, high) of every metric of `score_draws`, with intervals over participants.

    Ends are NaN where the score is undefined without some participant, and for fewer than three. Student's t interval
    with the jackknife's standard error (Efron & Tibshirani 1993, chapter 11, ISBN 0412042312). On planted studies it
    covered better than percentile, BCa and bootstrap-t intervals of 20 or 34 participants. It leaves out the variance
    of the fit and the dependence between predictions whose models share participants.
    """
    n = len(predictions.participants)
    every, without = score_draws(predictions, np.ones((1, n))), score_draws(predictions, 1 - np.eye(n))
    intervals = {}
    for name, (estimate,) in every.items():
        intervals[name] = float(estimate), *_possible(name, *jackknife_interval(estimate, without[name]))
    return intervals


def _possible(metric, low, high):
    """Cut an interval at the limits of its score."""
    lowest = -1.0 if metric.endswith("_r") else -np.inf
    highest = 1.0 if metric.endswith("_r") or metric.startswith(("r2", "skill")) else np.inf
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


INFLUENCE_COLUMNS = {
    "participant_id": "participant left out of the scoring; the models are as fitted",
    "metric": "score of all leave-one-participant-out predictions together",
    "score_without": "the score without this participant's trials",
}


def influence_table(predictions):
    """List the scores of predictions without each participant, with the columns of `INFLUENCE_COLUMNS`."""
    names = predictions.participants
    scores = score_draws(predictions, 1 - np.eye(len(names)), INFLUENCE_METRICS)
    table = pd.DataFrame(scores, pd.Index(names, name="participant_id"))
    return table.melt(var_name="metric", value_name="score_without", ignore_index=False).reset_index()


def intervals_table(predicted, metrics, fits, groups):
    """List the intervals of all headline scores, with the columns of `INTERVAL_COLUMNS`.

    ``predicted`` are Predictions of ``lopo`` and of every other dataset; ``metrics`` the scores of the published
    scheme, its ``fits`` first; ``groups`` the participants of the trials that these count in.
    """
    rows = []
    for name, predictions in predicted.items():
        intervals, n = participant_intervals(predictions), len(predictions.participants)
        rows += [(name, metric, *intervals[metric], LEVEL, "participant-jackknife", n) for metric in INTERVAL_METRICS]
    n_train = np.mean([len(np.unique(groups[fit.train_idx])) for fit in fits])
    n_test = np.mean([len(np.unique(groups[fit.test_idx])) for fit in fits])
    n_tested = len(np.unique(groups[np.concatenate([fit.test_idx for fit in fits])]))
    for metric in ("r2", "skill", "pearson_r", "spearman_r", "mae"):
        scores = metrics[metric].head(len(fits)).dropna()  # a fold of one trial has no r2
        interval = _possible(metric, *fold_mean_interval(scores, n_train, n_test))
        rows.append(("published", metric, scores.mean(), *interval, LEVEL, "nadeau-bengio", n_tested))
    return pd.DataFrame(rows, columns=list(INTERVAL_COLUMNS))
