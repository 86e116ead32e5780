"""Nested choice of the penalty and of the number of components, in the Gram matrix.

The setting with the smallest squared error, pooled over the participants held out inside a training fold, is fitted to
all of it (Varma & Simon 2006, doi 10.1186/1471-2105-7-91). The decompositions of the inner folds serve every target, so
that a permutation test can repeat the choice. Where each coefficient depends on its own component only (Lasso, Ridge),
the predictions at every number of components are a cumulative sum.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from facepain.models.algorithms import ALGORITHMS, products_with_targets
from facepain.models.cross_validation import Fit, Fold, cross_validate, make_folds, prepare_folds
from facepain.models.pca_regression import PCARegression
from facepain.models.score_tables import METRIC_COLUMNS
from facepain.parallel import map_in_processes

# All components are offered but those whose variance is rounding.
MAX_VARIANCE = 0.9999
# From a penalty that leaves least squares as it is to one that leaves next to nothing, times the algorithm's scale. At
# 1e-4 ridge still took 3 % off the predictions of M1, and less was better. An SVR takes hours to shrink as little.
WEAKEST, STRONGEST = {"alpha": 1e-6, "C": 1e-4}, 10.0
# Errors this close, relative to the smallest, are equal: the simpler setting is taken on every machine.
TIE = 1e-9
TUNING_COLUMNS = {
    "fold": "fold of the cross-validation from 1, or final: all training participants",
    "n_components": "number of components chosen inside the training fold",
    "penalty": "penalty chosen (alpha, or C of the SVR)",
    "at_edge": "ends of the grid that the choice lies at. `most components` are as many as the smallest inner training "
    "set has: the training fold has more, which might be better. Beyond `weakest penalty` lies least squares, from "
    "which the choice differs by its shrinkage; beyond the other ends a better setting may lie",
    "inner_score": "skill of the chosen setting on the participants held out inside the training fold; optimistic, as "
    "the best of many",
    "shrinkage": METRIC_COLUMNS["shrinkage"],
}


@dataclass(frozen=True)
class Tuning:
    """Say what to choose from, and how."""

    algorithm: str
    n_components: int = 9  # size of a geometric grid
    n_penalties: int = 15  # the same
    n_folds: int = 5  # inner folds, by participant
    parameters: dict = None  # of the algorithm; its penalty is chosen

    def model(self, penalty=None):
        """Return the model with a penalty, or with its own, on all components that are offered."""
        parameters = dict(self.parameters or {})
        if penalty is not None:
            parameters[ALGORITHMS[self.algorithm].penalty] = float(penalty)
        return PCARegression(self.algorithm, MAX_VARIANCE, **parameters)


@dataclass(frozen=True)
class NestedFold:
    """Hold an outer fold, its inner folds and the numbers of components to choose from."""

    outer: Fold
    inner: list
    n_components: np.ndarray


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
    for fold in map_in_processes(tune, splits, resampling.n_jobs):
        folds.append(fold)
        resampling.progress(1)
    return folds


def prepare_nested(images, fold, groups, tuning):
    """Decompose an outer training fold (train_idx, test_idx) and its inner ones."""
    train_idx = np.asarray(fold[0])
    splits = make_folds(np.asarray(groups)[train_idx], "group-kfold", tuning.n_folds)
    inner = [(train_idx[train], train_idx[test]) for train, test in splits]
    outer, *inner = prepare_folds(images, [fold, *inner], tuning.model())
    most = max(1, min(each.components.n_components for each in (outer, *inner)))
    sizes = np.unique(np.round(np.geomspace(1, most, tuning.n_components)).astype(int))
    return NestedFold(outer, inner, sizes)


def choose_settings(nested, Y, tuning):
    """Choose the setting of each target of Y (n_trials, n_targets), of all trials, by its errors in the inner folds.

    Returns a table with a row for each target: columns of `TUNING_COLUMNS`.
    """
    # From the simplest setting to the least simple: of equal errors the first is taken.
    penalties = _penalties(nested.outer, Y, tuning)
    errors, baseline = 0.0, 0.0
    for fold in nested.inner:
        errors = errors + _setting_errors(fold, Y, nested.n_components, penalties, tuning)
        left = fold.residual(Y)
        baseline = baseline + np.sum((left[fold.test_idx] - left[fold.train_idx].mean(axis=0)) ** 2, axis=0)
    flat = errors.reshape(-1, Y.shape[1])
    smallest = flat.min(axis=0)
    size, place = np.unravel_index(np.argmax(flat <= smallest * (1 + TIE), axis=0), errors.shape[:2])
    choice = {
        "n_components": nested.n_components[size],
        "penalty": penalties[place, np.arange(Y.shape[1])],
        "at_edge": [_name_edges(i, len(errors), j, len(penalties)) for i, j in zip(size, place, strict=True)],
        "inner_score": 1 - smallest / np.where(baseline > 0, baseline, np.nan),
    }
    return pd.DataFrame(choice)


def predict_tuned(nested, Y, choice, tuning):
    """Fit each target's setting to the outer training fold and predict the test trials (n_test, n_targets)."""
    fold, algorithm = nested.outer, ALGORITHMS[tuning.algorithm]
    if algorithm.shrink is None:
        targets = enumerate(zip(choice["n_components"], choice["penalty"], strict=True))
        return np.hstack([keep_components(fold, k).predict(Y[:, [t]], tuning.model(c)) for t, (k, c) in targets])
    components = fold.components
    products, intercept = products_with_targets(components, fold.residual(Y)[fold.train_idx])
    coef = algorithm.shrink(products, components.singular_values, len(fold.train_idx), choice["penalty"].to_numpy())
    coef[np.arange(len(coef))[:, None] >= choice["n_components"].to_numpy()] = 0.0
    return fold.test_scores @ coef + intercept


def fit_tuned(nested, y, tuning):
    """Choose for one target and fit; return the fit and, by the columns of `TUNING_COLUMNS`, what was chosen."""
    (chosen,) = choose_settings(nested, y[:, None], tuning).to_dict("records")
    fold = keep_components(nested.outer, chosen["n_components"])
    (fit,) = cross_validate([fold], y, tuning.model(chosen["penalty"]))
    return fit, chosen | {"shrinkage": fit.shrinkage}


def keep_components(fold, k):
    """Return a fold with its first components only."""
    components = fold.components
    kept = replace(components, vectors=components.vectors[:, :k], singular_values=components.singular_values[:k])
    return replace(fold, components=kept, test_scores=fold.test_scores[:, :k])


def _penalties(fold, Y, tuning):
    """Return the penalties (n_penalties, n_targets) to choose from, the strongest first."""
    algorithm = ALGORITHMS[tuning.algorithm]
    relative = np.geomspace(WEAKEST[algorithm.penalty], STRONGEST, tuning.n_penalties)[::-1, None]
    scale = np.broadcast_to(algorithm.scale(fold.components, fold.residual(Y)[fold.train_idx]), Y.shape[1])
    # C multiplies the errors in place of the weights: a small one is a strong penalty.
    return scale / relative if algorithm.penalty == "C" else scale * relative


def _setting_errors(fold, Y, sizes, penalties, tuning):
    """Return the sums of squared errors (n_sizes, n_penalties, n_targets) over a fold's test trials."""
    algorithm, components = ALGORITHMS[tuning.algorithm], fold.components
    errors, left = np.empty((len(sizes), *penalties.shape)), fold.residual(Y)
    if algorithm.shrink is None:
        for i, k in enumerate(sizes):
            kept = keep_components(fold, k)
            for j, penalty in enumerate(penalties):
                error = left[fold.test_idx] - kept.predict(Y, tuning.model(penalty[0]))
                errors[i, j] = np.sum(error**2, axis=0)
        return errors
    products, intercept = products_with_targets(components, left[fold.train_idx])
    centred = left[fold.test_idx] - intercept
    for j, penalty in enumerate(penalties):
        coef = algorithm.shrink(products, components.singular_values, len(fold.train_idx), penalty)
        left, start = centred.copy(), 0
        for i, stop in enumerate(sizes):
            left -= fold.test_scores[:, start:stop] @ coef[start:stop]
            errors[i, j] = np.einsum("ij,ij->j", left, left)
            start = stop
    return errors


def _name_edges(size, n_sizes, place, n_places):
    ends = (
        {0: "fewest components", n_sizes - 1: "most components"},
        {0: "strongest penalty", n_places - 1: "weakest penalty"},
    )
    return ", ".join(names[at] for names, at in zip(ends, (size, place), strict=True) if at in names) or "no"
