"""Corrections for many models, paired differences and detectable effects, against counts by hand and planted truths."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr

from facepain.inference.comparison import (
    critical_score,
    detectable_table,
    draw_pattern,
    familywise_table,
    pairs_table,
    plant,
)
from facepain.inference.occurrence import part_intervals_table, part_permutation_test, predict_parts
from facepain.inference.permutation import TrialPermuter, tuned_permutation_test
from facepain.models.cross_validation import make_folds, prepare_folds
from facepain.models.pca_regression import PCARegression
from facepain.models.scores import Predictions
from facepain.models.standardize import StandardizedImages
from facepain.models.tuning import Tuning, tune_folds
from facepain.parallel import Resampling


def entry(mask, score, null, scheme="block"):
    names = {"mask": mask, "algorithm": "ridge", "estimate_of": "lopo", "scheme": scheme, "metric": "pearson_r"}
    p = (1 + np.sum(np.array(null) >= score)) / (1 + len(null))
    return names | {"score": score, "null_scores": null, "n": len(null), "p": p}


def test_familywise_p_by_hand():
    tests = [entry("a", 0.5, [0.1, 0.6, 0.2, 0.9]), entry("b", 0.3, [0.4, 0.1, 0.2]), entry("a", 0.5, [0.6], "within")]
    table = familywise_table([*tests, tests[0] | {"metric": "r2"}])
    # The largest of the three permutations that both have: .4, .6, .2.
    assert list(table["p_familywise"]) == pytest.approx([2 / 4, 3 / 4, 1.0])
    assert list(table["n_familywise"]) == [3, 3, 1]


def predict_badly(rng, y, groups, noise):
    return Predictions(y, y + noise * rng.standard_normal(len(y)), groups, np.full(len(y), y.mean()))


def test_a_better_mask_is_shown_and_equal_algorithms_are_not(rng):
    groups = np.repeat([f"sub-{number}" for number in range(20)], 5)
    y = rng.standard_normal(100)
    predicted = {
        ("good", "lasso"): predict_badly(rng, y, groups, 0.5),
        ("bad", "lasso"): predict_badly(rng, y, groups, 3.0),
        ("good", "ridge"): predict_badly(rng, y, groups, 0.5),
        ("bad", "ridge"): predict_badly(rng, y, groups, 3.0),
    }
    table = pairs_table(predicted, Resampling(999, 1)).set_index(["a", "b", "metric"])
    assert len(table) == 8 and ("good lasso", "bad ridge", "skill") not in table.index
    better = table.loc[("good lasso", "bad lasso", "pearson_r")]
    expected = [pearsonr(y, predicted[mask, "lasso"].y_pred)[0] for mask in ("good", "bad")]
    assert better["difference"] == pytest.approx(expected[0] - expected[1])
    assert better["p"] == pytest.approx(1 / 1000) and better["low"] > 0
    # Holm: the smallest of four p values counts four times.
    assert better["p_corrected"] == pytest.approx(4 / 1000)
    same = table.loc[("good lasso", "good ridge", "skill")]
    assert same["p_corrected"] > 0.05 and same["low"] < 0 < same["high"]


def test_exchange_scores_mixed_predictions(rng):
    groups, y = np.repeat([0, 1, 2], 3), rng.standard_normal(9)
    a, b = (predict_badly(rng, y, groups, 1.0) for _ in "ab")
    # With three participants every exchange occurs: two of eight leave the difference as large as it is, or more.
    table = pairs_table({("x", "l"): a, ("y", "l"): b}, Resampling(4000, 1))
    observed = pearsonr(y, a.y_pred)[0] - pearsonr(y, b.y_pred)[0]
    of_a, of_b = ((each.y_pred - each.y_pred.mean()) / each.y_pred.std() for each in (a, b))
    mixed = []
    for pattern in range(8):
        swap = np.array([(pattern >> k) & 1 for k in range(3)])[groups] == 1
        one, other = np.where(swap, of_b, of_a), np.where(swap, of_a, of_b)
        mixed.append(pearsonr(y, one)[0] - pearsonr(y, other)[0])
    exact = np.mean(np.abs(mixed) >= abs(observed) - 1e-12)
    assert table.set_index("metric").loc["pearson_r", "p"] == pytest.approx(exact, abs=0.03)
    # A correlation knows neither offset nor scale, and neither does its test.
    moved = pairs_table({("x", "l"): a, ("y", "l"): replace(b, y_pred=0.3 * b.y_pred - 3)}, Resampling(4000, 1))
    of_r, of_moved = (
        given.query("metric == 'pearson_r'")[["difference", "low", "high", "p"]] for given in (table, moved)
    )
    np.testing.assert_allclose(of_r.astype(float), of_moved.astype(float))


def draw_images(rng, n_participants=16, n_each=6, n_voxels=80):
    groups = np.repeat(np.arange(n_participants), n_each)
    X = rng.standard_normal((len(groups), 12)) @ rng.standard_normal((12, n_voxels))
    X += 0.5 * rng.standard_normal(X.shape)
    return (X - X.mean(axis=1, keepdims=True)) / X.std(axis=1, keepdims=True), groups


def test_planting_in_the_gram_matrix_is_planting_into_images(rng):
    X, _ = draw_images(rng)
    y = rng.standard_normal(len(X))
    gram = X @ X.T
    expression, length2 = draw_pattern(gram, np.random.default_rng(3))
    dual = np.random.default_rng(3).standard_normal(len(X))
    pattern = X.T @ (dual - dual.mean())
    assert X @ pattern == pytest.approx(expression) and pattern @ pattern == pytest.approx(length2)
    # Made uncorrelated with the expression, the score reaches exactly the correlation asked for.
    centred = expression - expression.mean()
    y = y - y.mean() - centred * (centred @ y) / (centred @ centred)
    planted = plant(gram, expression, length2, y, 0.6)
    strength = 0.6 / 0.8 * expression.std() / (length2 * y.std())
    images = X + strength * np.outer(y, pattern)
    assert planted == pytest.approx(images @ images.T)
    assert pearsonr(images @ pattern, y)[0] == pytest.approx(0.6)


def test_power_grows_with_the_effect_and_the_smallest_sufficient_one_is_found(rng):
    X, groups = draw_images(rng)
    model = PCARegression("ridge")
    splits = make_folds(groups)
    limit = 0.25
    permuter = TrialPermuter(groups, "block")
    given = (X @ X.T, rng.gamma(1.0, size=len(X)), permuter, splits, {"ridge": (model, limit)})
    table = detectable_table(*given, [0.1, 0.3, 0.5, 0.7, 0.9], Resampling(30, 1)).set_index("effect")
    assert table["power"].is_monotonic_increasing and table["power"].iloc[-1] >= 0.8
    found = table.index[table["power"] >= 0.8][0]
    effects = [0.1, 0.3, 0.5, 0.7, 0.9]
    # The next smaller effect was looked at too and is not found often enough, or given up early.
    below = effects[effects.index(found) - 1]
    assert table.loc[below, "power"] < 0.8 and table.loc[below, "n"] <= 30
    again = detectable_table(*given, effects, Resampling(30, 1, n_jobs=2)).set_index("effect")
    pd.testing.assert_frame_equal(table, again)


def test_critical_score_has_p_of_5_percent():
    null = np.arange(1.0, 100)
    limit = critical_score(null)
    assert (1 + np.sum(null >= limit + 0.5)) / 100 <= 0.05 < (1 + np.sum(null >= limit)) / 100 + 1e-12
    assert critical_score([1.0, 2.0]) == np.inf


def test_permutations_of_tuned_models_are_tuned_anew(rng):
    X, groups = draw_images(rng)
    y = X[:, :5].sum(axis=1) + rng.standard_normal(len(X))
    tuning = Tuning("ridge", n_components=3, n_penalties=4)
    tune = partial(tune_folds, StandardizedImages(X), make_folds(groups), groups=groups, tuning=tuning)
    given, schemes = Resampling(39, 1), ["within", "block"]
    folds, tests = tuned_permutation_test(partial(tune, resampling=given), y, groups, schemes, given, "published")
    assert [test["scheme"] for test in tests] == ["within"] * 3 + ["block"] * 3
    assert {test["metric"] for test in tests if test["p"] == pytest.approx(1 / 40)} >= {"pearson_r", "skill"}
    r = np.mean([pearsonr(y[fold.test_idx], fold.fit.y_pred)[0] for fold in folds])
    assert next(test["score"] for test in tests if test["metric"] == "pearson_r") == pytest.approx(r, abs=1e-5)
    noise = rng.standard_normal(len(X))
    given = Resampling(39, 1, n_jobs=2)
    tests = tuned_permutation_test(partial(tune, resampling=given), noise, groups, schemes, given, "lopo")[1]
    assert min(test["p"] for test in tests) > 0.025


@pytest.mark.parametrize(("occurrence", "intensity"), [(2.0, 0.0), (0.0, 2.0)])
def test_the_part_that_was_planted_is_the_one_that_is_significant(rng, occurrence, intensity):
    X, groups = draw_images(rng, n_participants=24)
    latent = np.linalg.svd(X - X.mean(axis=0))[0][:, :2] * np.sqrt(len(X))
    present = occurrence * latent[:, 0] + rng.standard_normal(len(X)) > 0
    y = np.where(present, np.exp(0.5 * intensity * latent[:, 1] + 0.3 * rng.standard_normal(len(X))), 0.0)
    splits = {"published": make_folds(groups), "lopo": make_folds(groups, "lopo")}
    folds = {name: prepare_folds(StandardizedImages(X), each, PCARegression("ridge")) for name, each in splits.items()}
    tests = part_permutation_test(folds["published"], y, groups, 1.0, Resampling(49, 1), "published")
    p = {(test["part"], test["metric"]): test["p"] for test in tests}
    assert (p["occurrence", "auc"] <= 0.02) == (occurrence > 0)
    assert (p["intensity", "pearson_r"] <= 0.02) == (intensity > 0)
    parts = {name: [predict_parts(fold, y[:, None], 1.0) for fold in each] for name, each in folds.items()}
    table = part_intervals_table(parts, y, groups).set_index(["part", "estimate_of", "metric"])
    row = table.loc[("occurrence", "lopo", "auc")]
    assert row["low"] < row["estimate"] < row["high"] and row["n_participants"] == 24
    assert (row["low"] > 0.5) == (occurrence > 0)
