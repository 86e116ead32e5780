"""Permutation tests that repeat the tuning of every permutation."""

from dataclasses import dataclass

import numpy as np

from facepain.inference.permutation import METRICS, SCORERS, TrialPermuter, summarize_null
from facepain.models.cross_validation import Fit, Fold
from facepain.models.tuning import choose_settings, fit_tuned, predict_tuned, prepare_nested
from facepain.parallel import map_in_processes


@dataclass(frozen=True)
class TunedFold(Fold):
    """Hold what an outer fold gives; in place of component scores the predictions of every target."""

    fit: Fit | None = None
    chosen: dict | None = None

    def predict(self, _Y, _model):
        return self.test_scores


def tune_folds(images, splits, Y, groups, tuning, resampling):
    """Choose, fit and predict in every outer fold, for every target; the first of Y (n_trials, n_targets) is fitted."""

    def tune(split):
        # Its decompositions are large: they live as long as the fold.
        nested = prepare_nested(images, split, groups, tuning)
        fit, chosen = fit_tuned(nested, Y[:, 0], tuning)
        y_pred = predict_tuned(nested, Y, choose_settings(nested, Y, tuning), tuning) if Y.shape[1] > 1 else fit.y_pred
        return TunedFold(*split, None, y_pred, images.confounds, fit=fit, chosen=chosen)

    folds = []
    images.prepare(resampling.n_jobs)
    for fold in map_in_processes(tune, splits, resampling.n_jobs):
        folds.append(fold)
        if resampling.progress is not None:
            resampling.progress(1)
    return folds


def tuned_permutation_test(images, splits, y, groups, tuning, schemes, resampling, estimate_of):
    """Test the cross-validated scores of tuned models; every permutation is tuned again. Returns folds and tests."""
    permuters = [TrialPermuter(groups, scheme) for scheme in schemes]
    drawn = [permuter.draw_scores(y, resampling.seed, range(resampling.n)) for permuter in permuters]
    Y = np.hstack([y[:, None], *drawn])
    folds = tune_folds(images, splits, Y, groups, tuning, resampling)
    scores = SCORERS[estimate_of](folds, Y, None)
    nulls = np.split(scores[:, 1:], len(schemes), axis=1)
    tests = [
        summarize_null(scheme, metric, scores[row, 0], null[row], permuter.n_fixed(y), estimate_of)
        for scheme, permuter, null in zip(schemes, permuters, nulls, strict=True)
        for row, metric in enumerate(METRICS)
    ]
    return folds, tests
