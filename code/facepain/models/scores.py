"""Scores: the target, transformed, and how well it is predicted, for one target or a column for each."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from errors import InputError

# Below this share of its mean a spread is rounding (the bound of scipy.stats.pearsonr).
CONSTANT_SPREAD = 1e-13


@dataclass(frozen=True)
class Predictions:
    """Predictions of held-out trials (n_trials,), with what they are scored by."""

    y_true: np.ndarray
    y_pred: np.ndarray
    groups: np.ndarray  # participant of every trial
    baseline: np.ndarray  # mean of the training scores behind each prediction

    @property
    def participants(self):
        return np.unique(self.groups)

    def without_each(self):
        """Return the predictions without each participant, in the order of their names."""
        columns = self.y_true, self.y_pred, self.groups, self.baseline
        return [Predictions(*(each[self.groups != name] for each in columns)) for name in self.participants]


def transform_target(scores, transform):
    """Transform scores as the params say; negative ones stop: of them we take neither root nor log(1 + score)."""
    scores = np.asarray(scores, dtype=np.float64)
    if transform == "raw":
        return scores
    if scores.min() < 0:
        raise InputError(
            f'{transform} of a negative score ({scores.min():g}); expected 0 or more, set regress.transform = "raw"'
        )
    return {"log1p": np.log1p, "sqrt": np.sqrt}[transform](scores)


def r2(y_true, y_pred):
    """Return scikit-learn's ``r2_score`` of every column, without its checks, which cost more than the score.

    Observed and predicted scores are (n_trials,) or (n_trials, n_targets). 1 or 0 where ``y_true`` is constant (1 if
    predicted exactly), NaN for fewer than two trials.
    """
    y_true, y_pred = np.asarray(y_true, float), np.asarray(y_pred, float)
    if len(y_true) < 2:
        return np.full(y_true.shape[1:], np.nan)[()]
    # A constant such as 1/3 would keep a variance of 1e-33 and a score of -1e30.
    shifted = y_true - y_true[0]
    error, spread = np.sum((y_true - y_pred) ** 2, axis=0), np.sum((shifted - shifted.mean(axis=0)) ** 2, axis=0)
    return np.where(spread > 0, 1 - error / np.where(spread > 0, spread, 1), error == 0)[()]


def pearson_r(y_true, y_pred):
    """Return Pearson's correlation of every column, 0 where one side is constant; shapes and NaN as of `r2`."""
    y_true, y_pred = np.asarray(y_true, float), np.asarray(y_pred, float)
    if len(y_true) < 2:
        return np.full(y_true.shape[1:], np.nan)[()]
    a, b = unit_columns(y_true), unit_columns(y_pred)
    return np.clip(np.sum(a * b, axis=0), -1.0, 1.0)[()]


def spearman_r(y_true, y_pred):
    """Return Spearman's rank correlation of every column, 0 where one side is constant; shapes and NaN as of `r2`."""
    return pearson_r(rank(y_true), rank(y_pred))


def rank(values):
    """Return the rank of every value in its column, from 1; ties share their mean rank."""
    return pd.DataFrame(values).rank().to_numpy().reshape(np.shape(values))


def skill(y_true, y_pred, baseline):
    """Return the share of the squared error of predicting the training mean (the baseline) that the model saves.

    1 - sum (y - y_pred)^2 / sum (y - baseline)^2; 1 or 0 where the baseline is exact (1 if the model is too), as in
    `r2`. Unlike that it stays moderate where the trials scored hardly vary. The baseline is broadcast to the shape of
    ``y_true``.
    """
    y_true = np.asarray(y_true, float)
    error, of_baseline = np.sum((y_true - y_pred) ** 2, axis=0), np.sum((y_true - baseline) ** 2, axis=0)
    rounding = len(y_true) * (CONSTANT_SPREAD * np.abs(y_true).max(axis=0, initial=0)) ** 2
    exact = of_baseline <= rounding
    return np.where(exact, error <= rounding, 1 - error / np.where(exact, 1, of_baseline))[()]


# Of scores, predictions and the training means behind these.
METRICS = {
    "r2": lambda y, y_pred, _baseline: r2(y, y_pred),
    "pearson_r": lambda y, y_pred, _baseline: pearson_r(y, y_pred),
    "skill": skill,
}


def score_predictions(y_true, y_pred, groups, baseline):
    """Return the scores of one row of metrics.tsv, NaN where undefined; arguments are (n_trials,).

    ``r2_within`` is of scores and predictions minus their participant's mean, participants with constant scores left
    out; ``r2_between`` of participant means; ``r2_baseline`` of predicting the training mean, for pooled rows that of
    each row's fold.
    """
    y_true, y_pred = np.asarray(y_true, float), np.asarray(y_pred, float)
    mse = np.mean((y_true - y_pred) ** 2)
    return {name: metric(y_true, y_pred, baseline) for name, metric in METRICS.items()} | {
        "spearman_r": spearman_r(y_true, y_pred),
        "mae": np.mean(np.abs(y_true - y_pred)),
        "mse": mse,
        "rmse": np.sqrt(mse),
        "r2_within": r2(*within_participants(y_true, y_pred, groups)),
        "r2_between": r2(*participant_means([y_true, y_pred], groups)[0]),
        "r2_baseline": r2(y_true, baseline),
    }


def constant_within(groups, y):
    """Return for every participant, in sorted order, whether all of their scores are equal."""
    return (pd.Series(y).groupby(np.asarray(groups)).nunique() == 1).to_numpy()


def summarize_folds(scores, pooled, name="pooled"):
    """List the scores of every fold, given by name, then ``mean``, ``sd`` and those of all folds together."""
    folds = pd.DataFrame(scores, [str(number) for number in range(1, len(scores) + 1)], dtype=float)
    summary = pd.DataFrame([folds.mean(), folds.std(ddof=0), pd.Series(pooled)], ["mean", "sd", name])
    return pd.concat([folds, summary]).rename_axis("fold").reset_index()


def withhold_folds(metrics, tested, fewest):
    """Empty what `summarize_folds` lists of single folds if one of them tests fewer than so many participants.

    ``tested`` has the participants of the test trials of every fold. From mean and spread of two both would follow.
    """
    if min(len(np.unique(of_fold)) for of_fold in tested) >= fewest:
        return metrics
    is_fold = metrics["fold"].str.isdigit()
    hidden = is_fold | ((metrics["fold"] == "sd") & (metrics["fold"][is_fold].nunique() == 2))
    said = [name for name in metrics if name not in ("fold", "part")]
    return metrics.assign(**metrics[said].mask(hidden))


def unit_columns(values):
    """Return the columns centred and scaled to length 1, or 0 where they are constant."""
    means = values.mean(axis=0)
    centred = values - means
    lengths = np.sqrt(np.sum(centred**2, axis=0))
    constant = lengths <= CONSTANT_SPREAD * np.sqrt(len(values)) * np.abs(means)
    return np.where(constant, 0.0, centred) / np.where(constant, 1.0, lengths)


def participant_means(columns, groups):
    """Return the participant means of each column, and the participant's index of every trial."""
    _, index = np.unique(groups, return_inverse=True)
    n_trials = np.bincount(index)
    return [np.bincount(index, weights=column) / n_trials for column in columns], index


def within_participants(y_true, y_pred, groups):
    """Return both columns minus their participant's mean, without constant participants."""
    (mean_true, mean_pred), index = participant_means([y_true, y_pred], groups)
    kept = ~constant_within(groups, y_true)[index]
    return (y_true - mean_true[index])[kept], (y_pred - mean_pred[index])[kept]
