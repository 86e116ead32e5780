"""Permutation tests and participant intervals of the occurrence and the intensity of an expression."""

from dataclasses import asdict

import numpy as np
import pandas as pd

from facepain.inference.intervals import (
    INTERVAL_COLUMNS,
    LEVEL,
    fold_mean_interval,
    jackknife_interval,
    possible_interval,
)
from facepain.inference.permutation import TEST_COLUMNS, TrialPermuter, choose_schemes, summarize_null
from facepain.models.occurrence import PART_COLUMNS, PART_METRICS, predict_parts, score_parts

PART = {"part": PART_COLUMNS["part"]}
PART_INTERVAL_COLUMNS = PART | INTERVAL_COLUMNS
PART_TEST_COLUMNS = PART | TEST_COLUMNS
BATCH_SIZE = 50


def part_permutation_test(folds, y, groups, alpha, resampling, estimate_of):
    """Test the scores of all parts by permuting the scores of whole participants, then within them.

    ``published`` is the mean over folds, ``lopo`` all predictions scored together. The scheme is ``block``, or the
    first that applies where no two participants have equally many trials. Returns entries of permutation.json.
    """
    scheme = choose_schemes(["block"], groups, y)[0]
    permuter = TrialPermuter(groups, scheme)

    def score(Y):
        """Return the scores (n_scores, n_targets), NaN where no fold has one."""
        parts = [predict_parts(fold, Y, alpha) for fold in folds]
        together = [parts] if estimate_of == "lopo" else [[part] for part in parts]
        scored = np.ma.masked_invalid([list(score_parts(each, Y).values()) for each in together])
        return scored.mean(axis=0).filled(np.nan)

    observed, null = score(y[:, None])[:, 0], permuter.null_scores(score, y, resampling, BATCH_SIZE)
    names = [(part, metric) for part, metrics in PART_METRICS.items() for metric in metrics]
    tests = []
    for (part, metric), of_scores, of_permuted in zip(names, observed, null, strict=True):
        if np.isfinite(of_scores) and np.isfinite(of_permuted).all():
            test = summarize_null(scheme, metric, of_scores, of_permuted, permuter.n_fixed(y), estimate_of)
            tests.append({"part": part} | asdict(test))
    return tests


def part_intervals_table(parts, y, groups):
    """List the intervals of all parts: over participants for ``lopo``, and of the mean over folds for ``published``."""
    Y, lopo, folds = y[:, None], parts["lopo"], parts["published"]
    every = score_parts(lopo, Y)
    without = [score_parts(lopo[:k] + lopo[k + 1 :], Y) for k in range(len(lopo))]
    by_fold = [score_parts([fold], Y) for fold in folds]
    tested = [len(np.unique(groups[fold.test_idx])) for fold in folds]
    n_tested = len(np.unique(groups[np.concatenate([fold.test_idx for fold in folds])]))
    rows = []
    for part, metrics in PART_METRICS.items():
        for metric in metrics:
            left_out = np.array([scores[part, metric][0] for scores in without])
            estimate = every[part, metric][0]
            interval = possible_interval(metric, *jackknife_interval(estimate, left_out))
            rows.append((part, "lopo", metric, estimate, *interval, LEVEL, "participant-jackknife", len(lopo)))
            scores = np.array([scores[part, metric][0] for scores in by_fold])
            scores = scores[np.isfinite(scores)]
            ends = fold_mean_interval(scores, len(lopo) - np.mean(tested), np.mean(tested))
            interval = possible_interval(metric, *ends)
            estimate = scores.mean() if len(scores) else np.nan
            rows.append((part, "published", metric, estimate, *interval, LEVEL, "nadeau-bengio", n_tested))
    return pd.DataFrame(rows, columns=list(PART_INTERVAL_COLUMNS))
