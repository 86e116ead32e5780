"""Permutation tests and participant intervals of the occurrence and the intensity of an expression."""

from dataclasses import asdict

import numpy as np
import pandas as pd

from facepain.inference.intervals import INTERVAL_COLUMNS, LEVEL, fold_mean_interval, jackknife_interval
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
        parts = [predict_parts(fold, Y, alpha) for fold in folds]
        scored = [score_parts(each, Y) for each in ([parts] if estimate_of == "lopo" else [[part] for part in parts])]
        return {key: _mean_of_known([scores[key] for scores in scored]) for key in scored[0]}

    observed = score(y[:, None])
    batches = list(resampling.run(lambda indices: score(permuter.draw_scores(y, resampling.seed, indices)), BATCH_SIZE))
    tests = []
    for part, metric in observed:
        null = np.concatenate([batch[part, metric] for batch in batches])
        if np.isfinite(observed[part, metric][0]) and np.isfinite(null).all():
            test = summarize_null(scheme, metric, observed[part, metric][0], null, permuter.n_fixed(y), estimate_of)
            tests.append({"part": part} | asdict(test))
    return tests


def _mean_of_known(scores):
    """Return the mean over folds (n_targets,) of those that have a score, NaN if none has."""
    scores = np.array(scores)
    known = np.isfinite(scores)
    return np.sum(np.where(known, scores, 0), axis=0) / np.where(known.any(axis=0), known.sum(axis=0), np.nan)


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
            interval = jackknife_interval(estimate, left_out)
            rows.append((part, "lopo", metric, estimate, *interval, LEVEL, "participant-jackknife", len(lopo)))
            scores = np.array([scores[part, metric][0] for scores in by_fold])
            scores = scores[np.isfinite(scores)]
            interval = fold_mean_interval(scores, len(lopo) - np.mean(tested), np.mean(tested))
            estimate = scores.mean() if len(scores) else np.nan
            rows.append((part, "published", metric, estimate, *interval, LEVEL, "nadeau-bengio", n_tested))
    return pd.DataFrame(rows, columns=list(PART_INTERVAL_COLUMNS))
