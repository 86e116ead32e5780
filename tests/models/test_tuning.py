"""Nested tuning gives what scikit-learn's grid search gives, and finds what was planted."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import Lasso, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import Pipeline
from sklearn.svm import SVR

from facepain.models.cross_validation import cross_validate, make_folds, prepare_folds
from facepain.models.pca_regression import PCARegression, fit_coefficients, fit_components, shrinkage
from facepain.models.standardize import StandardizedImages
from facepain.models.tuning import (
    Tuning,
    _penalties,
    choose_settings,
    fit_tuned,
    predict_tuned,
    prepare_nested,
)

ESTIMATORS = {"lasso": Lasso(max_iter=100_000, tol=1e-10), "ridge": Ridge(), "svr": SVR(kernel="linear", tol=1e-8)}


def draw_study(rng, n_participants=10, n_each=4, n_voxels=60, strength=1.0):
    groups = np.repeat([f"sub-{number:02}" for number in range(n_participants)], n_each)
    X = rng.standard_normal((len(groups), 8)) @ rng.standard_normal((8, n_voxels)) * 2
    X += rng.standard_normal(X.shape)
    y = strength * X[:, :6].sum(axis=1) + rng.standard_normal(len(groups))
    return X, y, groups


def standardize(X):
    return (X - X.mean(axis=1, keepdims=True)) / X.std(axis=1, keepdims=True)


@pytest.mark.parametrize("algorithm", ["lasso", "ridge", "svr"])
def test_equals_grid_search(rng, algorithm):
    X, y, groups = draw_study(rng)
    # Inner folds of equal size: the mean of their errors, which a grid search takes, is then the pooled error.
    tuning = Tuning(algorithm, n_components=3, n_penalties=4, n_folds=4)
    images = StandardizedImages(X)
    for fold in make_folds(groups, "group-kfold", 5)[:2]:
        nested = prepare_nested(images, fold, groups, tuning)
        fit, choice = fit_tuned(nested, y, tuning)
        train_idx, test_idx = fold
        name = "C" if algorithm == "svr" else "alpha"
        grid = {
            "pca__n_components": [int(k) for k in nested.n_components],
            f"model__{name}": _penalties(nested.outer, y[:, None], tuning)[:, 0],
        }
        pipeline = Pipeline([("pca", PCA(svd_solver="full")), ("model", ESTIMATORS[algorithm])])
        search = GridSearchCV(pipeline, grid, scoring="neg_mean_squared_error", cv=GroupKFold(4))
        search.fit(standardize(X)[train_idx], y[train_idx], groups=groups[train_idx])
        assert choice["n_components"] == search.best_params_["pca__n_components"]
        assert choice["penalty"] == pytest.approx(search.best_params_[f"model__{name}"])
        assert fit.y_pred == pytest.approx(search.predict(standardize(X)[test_idx]), rel=1e-3)
        baseline = np.mean(
            [
                np.mean((y[train_idx][test] - y[train_idx][train].mean()) ** 2)
                for train, test in GroupKFold(4).split(X[train_idx], groups=groups[train_idx])
            ]
        )
        assert choice["inner_score"] == pytest.approx(1 + search.best_score_ / baseline, abs=1e-4)


@pytest.mark.parametrize("algorithm", ["lasso", "ridge", "svr"])
def test_many_targets_are_each_tuned_alone(rng, algorithm):
    X, y, groups = draw_study(rng)
    tuning = Tuning(algorithm, n_components=3, n_penalties=4, n_folds=4)
    nested = prepare_nested(StandardizedImages(X), make_folds(groups)[0], groups, tuning)
    Y = np.column_stack([y, rng.permutation(y), rng.permutation(y)])
    together = predict_tuned(nested, Y, choose_settings(nested, Y, tuning), tuning)
    for column in range(3):
        assert together[:, column] == pytest.approx(fit_tuned(nested, Y[:, column], tuning)[0].y_pred, abs=1e-8)


def test_scores_of_the_test_fold_change_no_choice(rng):
    X, y, groups = draw_study(rng)
    tuning = Tuning("ridge")
    train_idx, test_idx = fold = make_folds(groups)[0]
    nested = prepare_nested(StandardizedImages(X), fold, groups, tuning)
    changed = y.copy()
    changed[test_idx] += 100
    fit, other = fit_tuned(nested, y, tuning)[0], fit_tuned(nested, changed, tuning)[0]
    assert np.array_equal(fit.y_pred, other.y_pred)
    for inner in nested.inner:
        assert set(inner.train_idx) | set(inner.test_idx) == set(train_idx)
        assert not set(groups[inner.train_idx]) & set(groups[inner.test_idx])


def test_noise_is_shrunk(rng):
    X, _, groups = draw_study(rng, n_participants=40)
    y = rng.standard_normal(len(X))
    tuning = Tuning("ridge")
    images, folds = StandardizedImages(X), make_folds(groups, "group-kfold", 5)
    tuned = [fit_tuned(prepare_nested(images, fold, groups, tuning), y, tuning)[0] for fold in folds]
    model = PCARegression("ridge", 0.999)
    fixed = cross_validate(prepare_folds(images, folds, model), y, model)
    error, untuned = (sum(np.sum((y[fit.test_idx] - fit.y_pred) ** 2) for fit in fits) for fits in (tuned, fixed))
    assert error < 0.9 * untuned


def test_of_equal_settings_the_simplest_is_taken_and_its_edges_are_named(rng):
    X, _, groups = draw_study(rng)
    nested = prepare_nested(StandardizedImages(X), make_folds(groups)[0], groups, Tuning("lasso"))
    fit, choice = fit_tuned(nested, np.full(len(X), 3.0), Tuning("lasso"))
    assert choice["at_edge"] == "fewest components, strongest penalty" and np.isnan(choice["inner_score"])
    assert fit.y_pred == pytest.approx(3.0)


def test_a_planted_score_is_not_shrunk(rng):
    X, y, groups = draw_study(rng, n_participants=20)
    tuning = Tuning("ridge")
    nested = prepare_nested(StandardizedImages(X), make_folds(groups)[0], groups, tuning)
    fit, choice = fit_tuned(nested, y, tuning)
    assert choice["inner_score"] > 0.8 and choice["n_components"] >= 8
    assert np.corrcoef(fit.y_pred, y[fit.test_idx])[0, 1] > 0.9


def test_shrinkage_of_known_fits(rng):
    X, y, _ = draw_study(rng)
    K = standardize(X) @ standardize(X).T
    components = fit_components(K)
    for alpha, low, high in ((1e-9, -1e-9, 1e-6), (1e9, 0.999, 1.0)):
        coef = fit_coefficients(components, y[:, None], PCARegression("ridge", alpha=alpha))[0][:, 0]
        assert low <= shrinkage(components, y, coef) <= high
