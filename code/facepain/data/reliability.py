"""Reliability of the score: how much of its variance lies between participants."""

import numpy as np
import pandas as pd

from facepain.parallel import resample_rng

RELIABILITY_COLUMNS = {
    "dataset": "dataset described",
    "icc": "intraclass correlation ICC(1) of single trials: share of the variance that lies between participants",
    "low": "lower end of the 95 % bootstrap interval over participants (percentiles)",
    "high": "upper end of the interval",
    "n_participants": "participants with usable trials",
}


def intraclass_correlation(sizes, means, squares):
    """Return the ICC(1) (...) of one-way random effects from sums over participants.

    Each participant, on the last axis, gives the number of trials, their mean and the sum of squared deviations from
    it. NaN where scores do not vary or no participant has two trials. For unequal numbers of trials: Donner 1986, doi
    10.2307/1403259.
    """
    n, k = sizes.sum(axis=-1), sizes.shape[-1]
    grand = np.sum(sizes * means, axis=-1) / n
    between = np.sum(sizes * (means - grand[..., None]) ** 2, axis=-1) / (k - 1)
    within = squares.sum(axis=-1) / np.where(n > k, n - k, np.nan)
    size = (n - np.sum(sizes**2, axis=-1) / n) / (k - 1)
    total = between + (size - 1) * within
    return (between - within) / np.where(total > 0, total, np.nan)


def reliability_table(trials, target, resampling, min_participants=3):
    """Describe the reliability of the score in every dataset, with the columns of `RELIABILITY_COLUMNS`.

    ``resampling`` draws participants. NaN for fewer participants than asked for, or than three.
    """
    rows = []
    for dataset, of_dataset in trials.groupby("dataset"):
        scores = of_dataset.groupby("participant_id")[target]
        sizes, means = scores.size().to_numpy(float), scores.mean().to_numpy()
        squares = scores.var(ddof=0).to_numpy() * sizes
        icc = low = high = np.nan
        if len(sizes) >= max(3, min_participants):
            icc = float(intraclass_correlation(sizes, means, squares))
            drawn = resample_rng(resampling.seed, 0).integers(len(sizes), size=(resampling.n, len(sizes)))
            draws = intraclass_correlation(sizes[drawn], means[drawn], squares[drawn])
            draws = draws[np.isfinite(draws)]
            low, high = np.quantile(draws, [0.025, 0.975]) if len(draws) else (np.nan, np.nan)
        rows.append((dataset, icc, low, high, len(sizes)))
    return pd.DataFrame(rows, columns=list(RELIABILITY_COLUMNS))
