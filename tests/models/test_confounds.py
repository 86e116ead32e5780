"""Confounds are removed exactly as from the voxels, planted motion vanishes, and what is saved predicts the same."""

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics import r2_score

from errors import InputError
from facepain.data.trials import find_confounds
from facepain.inference.bootstrap import fit_draw
from facepain.inference.comparison import draw_pattern
from facepain.inference.confounds_alone import confounds_alone_table
from facepain.inference.permutation import permutation_test
from facepain.models.confounds import (
    confound_matrix,
    fit_confounds,
    remove_from_gram,
    remove_from_scores,
)
from facepain.models.cross_validation import (
    confound_coefficients,
    cross_validate,
    fit_final,
    haufe_pattern,
    make_folds,
    prepare_folds,
    voxel_weights,
)
from facepain.models.pca_regression import PCARegression
from facepain.models.scores import skill
from facepain.models.standardize import StandardizedImages, predict_images
from facepain.models.tuning import Tuning, fit_tuned, prepare_nested
from facepain.parallel import Resampling
from facepain.results.model import VoxelRegression


@pytest.fixture
def moved(rng):
    """Images and scores that have nothing in common but motion and age."""
    groups = np.repeat(np.arange(16), 6)
    motion, age = rng.standard_normal(96), rng.uniform(18, 50, 16)[groups]
    X = rng.standard_normal((96, 50)) + 2 * np.outer(motion, rng.standard_normal(50))
    X += 0.1 * np.outer(age - 30, rng.standard_normal(50))
    y = 2 * motion + 0.2 * age + rng.standard_normal(96)
    return X, y, groups, confound_matrix(pd.DataFrame({"motion": motion, "age": age}))


def standardize(X):
    return (X - X.mean(axis=1, keepdims=True)) / X.std(axis=1, keepdims=True)


def test_folds_equal_residuals_of_voxels_and_scores(moved):
    X, y, groups, Z = moved
    model = PCARegression("ridge", alpha=2.0)
    images, splits = StandardizedImages(X, confounds=Z), make_folds(groups)
    fits = cross_validate(prepare_folds(images, splits, model), y, model)
    for (train, test), fit in zip(splits, fits, strict=True):
        both = np.column_stack([y, standardize(X)])
        left = both - LinearRegression().fit(Z[train], both[train]).predict(Z)
        pca = PCA(0.8, svd_solver="full").fit(left[train, 1:])
        ridge = Ridge(alpha=2.0).fit(pca.transform(left[train, 1:]), left[train, 0])
        assert fit.y_test == pytest.approx(left[test, 0])
        assert fit.y_pred == pytest.approx(ridge.predict(pca.transform(left[test, 1:])))
        assert fit.y_train_mean == pytest.approx(0, abs=1e-10)
        assert fit.y_train == pytest.approx(left[train, 0])
    # Residuals of all trials, as the stage permutes them, give every fold the same.
    again = cross_validate(prepare_folds(images, splits, model), remove_from_scores(y, Z, np.arange(96)), model)
    assert again[0].y_pred == pytest.approx(fits[0].y_pred)


def test_planted_motion_vanishes(moved):
    X, y, groups, Z = moved
    model, splits = PCARegression("ridge"), make_folds(groups)
    plain, removed = (
        permutation_test(
            prepare_folds(StandardizedImages(X, confounds=confounds), splits, model),
            remove_from_scores(y, confounds, np.arange(96)),
            *(groups, model, "within", Resampling(99, 1)),
        )[1]
        for confounds in (None, Z)
    )
    assert plain["score"] > 0.5 and plain["p"] == pytest.approx(0.01)
    assert abs(removed["score"]) < 0.25 and removed["p"] > 0.05
    tuning = Tuning("ridge", n_components=3, n_penalties=5)
    tuned = fit_tuned(prepare_nested(StandardizedImages(X, confounds=Z), splits[0], groups, tuning), y, tuning)[0]
    assert skill(tuned.y_test, tuned.y_pred, 0) < 0.1


def test_the_confounds_alone_are_scored_and_tested_as_a_model_of_their_own(moved, rng):
    _, y, groups, Z = moved
    splits = {"published": make_folds(groups), "lopo": make_folds(groups, "lopo")}
    others = {"dataset-2": (y[:48] + 3, groups[:48], Z[:48])}
    planted, nothing = (
        confounds_alone_table(splits, y, groups, confounds, Resampling(99, 1), others=others).set_index(
            ["estimate_of", "metric"]
        )
        for confounds in (Z, np.column_stack([np.ones(96), rng.standard_normal((96, 2))]))
    )
    least_squares = LinearRegression()
    y_pred = np.concatenate([least_squares.fit(Z[a], y[a]).predict(Z[b]) for a, b in splits["lopo"]])
    means = np.concatenate([np.full(len(b), y[a].mean()) for a, b in splits["lopo"]])
    assert planted.loc[("lopo", "skill"), "estimate"] == pytest.approx(skill(y, y_pred, means))
    folds = [r2_score(y[b], least_squares.fit(Z[a], y[a]).predict(Z[b])) for a, b in splits["published"]]
    assert planted.loc[("published", "r2"), "estimate"] == pytest.approx(np.mean(folds))
    assert planted.loc[("dataset-2", "r2"), "estimate"] == pytest.approx(
        r2_score(y[:48] + 3, least_squares.fit(Z, y).predict(Z[:48]))
    )
    assert planted.loc[("lopo", "pearson_r"), ["p_within", "p_block"]].tolist() == pytest.approx([0.01, 0.01])
    assert planted.loc[("lopo", "pearson_r"), "low"] > 0.5
    assert nothing.loc[("lopo", "pearson_r"), ["p_within", "p_block"]].min() > 0.05
    assert planted.loc["dataset-2", ["p_within", "p_block"]].isna().all(axis=None)


def test_the_saved_model_needs_the_confounds_and_predicts_the_score(moved):
    X, y, _, Z = moved
    model, train, test = PCARegression("ridge"), np.arange(72), np.arange(72, 96)
    images = StandardizedImages(X[train], confounds=Z[train])
    final = fit_final(images, y[train], model)
    weights, intercept = voxel_weights(images, [final])
    total = fit_confounds(Z[train]) @ y[train] + confound_coefficients(images, final)
    saved = VoxelRegression(weights[:, 0], intercept[0], confound_coef=total)
    fold = prepare_folds(StandardizedImages(X, confounds=Z), [(train, test)], model)
    fit = cross_validate(fold, y, model)[0]
    explained = (y - remove_from_scores(y, Z, train))[test]
    assert saved.predict(X[test], Z[test, 1:]) == pytest.approx(fit.y_pred + explained)
    with pytest.raises(InputError, match="needs the 2 confounds of each trial"):
        saved.predict(X[test])
    left = standardize(X[train]) - LinearRegression().fit(Z[train], standardize(X[train])).predict(Z[train])
    expected = left.T @ (left @ weights[:, 0]) / len(train)
    assert haufe_pattern(images, final) == pytest.approx(expected)


def test_patterns_are_planted_without_confounds(moved, rng):
    X, _, groups, Z = moved
    gram = standardize(X) @ standardize(X).T
    left, _ = remove_from_gram(gram, gram[:0], Z, Z[:0])
    expression, _ = draw_pattern(left, rng)
    assert expression @ Z == pytest.approx(0, abs=1e-6)
    # What is removed inside a fold afterwards is the same, whether or not it was removed before.
    train, test = make_folds(groups)[0]
    both = [remove_from_gram(K[np.ix_(train, train)], K[np.ix_(test, train)], Z[train], Z[test]) for K in (gram, left)]
    for one, other in zip(*both, strict=True):
        assert one == pytest.approx(other, abs=1e-8)


def test_expression_of_the_model_is_its_prediction(moved):
    X, y, groups, Z = moved
    images, model = StandardizedImages(X, confounds=Z), PCARegression("ridge")
    fit = cross_validate(prepare_folds(images, make_folds(groups)[:1], model), y, model)[0]
    dot = predict_images(X[fit.test_idx], voxel_weights(images, [fit])[0], [0.0])[:, 0]
    apart = fit.y_pred - dot - Z[fit.test_idx] @ confound_coefficients(images, fit)
    assert apart == pytest.approx(apart[0])


def test_bootstrap_draws_remove_the_confounds_of_the_trials_drawn(moved, rng):
    X, y, groups, Z = moved
    counts = np.bincount(rng.integers(16, size=16), minlength=16)[groups]
    rows = np.repeat(np.arange(96), counts)
    model = PCARegression("ridge", alpha=2.0)
    dual, _ = fit_draw(StandardizedImages(X, confounds=Z), y, model, counts)
    drawn = fit_final(StandardizedImages(X[rows], confounds=Z[rows]), y[rows], model)
    weights = voxel_weights(StandardizedImages(X[rows], confounds=Z[rows]), [drawn])[0][:, 0]
    assert standardize(X).T @ dual == pytest.approx(weights)


def test_confounds_are_found_by_name_and_bad_ones_are_named():
    trials = pd.DataFrame(
        {
            "participant_id": ["a", "a", "b"],
            "dataset": "d",
            "run": [1, 1, 1],
            "trial": [1, 2, 1],
            "motion": ["0.1", "x", "2"],
        }
    )
    people = pd.DataFrame({"participant_id": ["a", "b"], "age": ["20", "30"]})
    found = find_confounds(trials, people, ["age", "run", "first_trial"])
    assert [list(values) for values in found.values()] == [[20, 20, 30], [1, 1, 1], [1, 0, 1]]
    with pytest.raises(InputError, match=r'confounds or relate.columns names "moton"; expected first_trial, or'):
        find_confounds(trials, people, ["moton"])
    with pytest.raises(InputError, match='column "motion" is "x" for participant a, trial 2'):
        find_confounds(trials, people, ["motion"])
    assert find_confounds(trials, None, []) == {} and confound_matrix(trials[[]]) is None
