"""The engine against plain scikit-learn, fitted again for every fold, permutation and draw."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import Lasso, Ridge
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from facepain.inference.bootstrap import bootstrap_weights, draw_counts, fit_draw
from facepain.inference.permutation import TrialPermuter, permutation_test
from facepain.models.cross_validation import cross_validate, fit_final, make_folds, prepare_folds, voxel_weights
from facepain.models.pca_regression import PCARegression
from facepain.models.standardize import StandardizedImages, predict_images
from facepain.parallel import Resampling, resample_rng
from files.rounding import round_significant

ALGORITHMS = ("lasso", "ridge", "svr")
MODES = ("image", "voxel")
ALL_MODES = (*MODES, ["image", "voxel"])
MANY_VOXELS, FEW_VOXELS = 150, 13
SEED = 3

# Unequal numbers of trials, two participants with one trial, one whose scores are all zero.
GROUPS = np.repeat([f"sub-{k:03}" for k in range(9)], [8, 8, 8, 7, 7, 6, 8, 1, 1])
ZERO_PARTICIPANT = "sub-004"


def simulate(n_voxels, seed=0):
    """Return float32 images and scores with participant effects and a planted pattern."""
    rng = np.random.default_rng(seed)
    _, index = np.unique(GROUPS, return_inverse=True)
    latent = rng.normal(size=(len(GROUPS), 6)) + 1.5 * rng.normal(size=(9, 6))[index]
    images = latent @ rng.normal(size=(6, n_voxels)) + rng.normal(size=(len(GROUPS), n_voxels))
    images += 2 * rng.normal(size=n_voxels)
    y = np.maximum(0, 4 + 3 * latent[:, 0] - 2 * latent[:, 1] + rng.normal(size=len(GROUPS)))
    y[GROUPS == ZERO_PARTICIPANT] = 0
    if n_voxels > 5:
        images[:, 3] = 0.1
    return images.astype(np.float32), y


def standardize_images(signals, standardize):
    """Return float64 images as the plain pipeline takes them."""
    X = signals.astype(np.float64)
    if "image" not in standardize:
        return X
    return (X - X.mean(axis=1, keepdims=True)) / X.std(axis=1, keepdims=True)


def plain_pipeline(algorithm, standardize):
    """Return the study's model with scikit-learn's own solvers at full precision."""
    regression = {
        "lasso": Lasso(alpha=1, tol=1e-14, max_iter=100_000),
        "ridge": Ridge(alpha=1),
        "svr": SVR(kernel="linear", C=1, epsilon=0.1, tol=1e-8),
    }[algorithm]
    steps = [PCA(0.8, svd_solver="full"), regression]
    return make_pipeline(*([StandardScaler()] if "voxel" in standardize else []), *steps)


def plain_weights(pipeline):
    """Return the voxel weights of a fitted plain pipeline, in the units of what it was given."""
    weights = pipeline[-2].components_.T @ np.ravel(pipeline[-1].coef_)
    return weights / pipeline[0].scale_ if isinstance(pipeline[0], StandardScaler) else weights


def tolerance(algorithm, y):
    """Return the largest difference allowed between predictions of y."""
    return 1e-4 * np.std(y) if algorithm == "svr" else 1e-8


def assert_same_weights(actual, expected, algorithm):
    """Compare maps relative to their norm: libsvm stops before the last digits."""
    rtol = 1e-4 if algorithm == "svr" else 1e-8
    assert np.linalg.norm(actual - expected) <= rtol * max(np.linalg.norm(expected), 1e-3)


@pytest.mark.parametrize("n_voxels", [MANY_VOXELS, FEW_VOXELS])
@pytest.mark.parametrize("standardize", ALL_MODES)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("scheme", ["group-shuffle", "group-kfold", "lopo"])
def test_folds_equal_plain_pipelines(scheme, algorithm, standardize, n_voxels):
    signals, y = simulate(n_voxels)
    X, images = standardize_images(signals, standardize), StandardizedImages(signals, standardize)
    model = PCARegression(algorithm)
    fits = cross_validate(prepare_folds(images, make_folds(GROUPS, scheme), model), y, model)
    weights, intercept = voxel_weights(images, fits)
    for fold, fit in enumerate(fits):
        plain = plain_pipeline(algorithm, standardize).fit(X[fit.train_idx], y[fit.train_idx])
        expected, atol = plain.predict(X[fit.test_idx]), tolerance(algorithm, y)
        np.testing.assert_allclose(fit.y_pred, expected, rtol=0, atol=atol)
        assert fit.n_components == plain[-2].n_components_
        assert_same_weights(weights[:, fold], plain_weights(plain), algorithm)
        by_map = X[fit.test_idx] @ weights[:, fold] + intercept[fold]
        np.testing.assert_allclose(by_map, fit.y_pred, rtol=0, atol=1e-8)
        assert not set(GROUPS[fit.train_idx]) & set(GROUPS[fit.test_idx])


@pytest.mark.parametrize("standardize", ALL_MODES)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_final_model_predicts_new_images_as_the_plain_pipeline(algorithm, standardize):
    signals, y = simulate(MANY_VOXELS)
    new_signals = simulate(MANY_VOXELS, seed=1)[0]
    images = StandardizedImages(signals, standardize)
    fit = fit_final(images, y, PCARegression(algorithm))
    y_pred = predict_images(new_signals, *voxel_weights(images, [fit]), standardize)[:, 0]
    plain = plain_pipeline(algorithm, standardize).fit(standardize_images(signals, standardize), y)
    expected = plain.predict(standardize_images(new_signals, standardize))
    np.testing.assert_allclose(y_pred, expected, rtol=0, atol=tolerance(algorithm, y))


@pytest.mark.parametrize("scheme", ["within", "block", "free"])
@pytest.mark.parametrize("standardize", MODES)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_twenty_permutations_equal_plain_refits(algorithm, standardize, scheme):
    signals, y = simulate(MANY_VOXELS)
    X, model = standardize_images(signals, standardize), PCARegression(algorithm)
    folds = prepare_folds(StandardizedImages(signals, standardize), make_folds(GROUPS), model)
    orders = [TrialPermuter(GROUPS, scheme).draw(resample_rng(SEED, index)) for index in range(20)]
    Y = y[np.array(orders).T]
    scores = np.empty((len(folds), 20))
    for row, fold in enumerate(folds):
        y_pred = fold.predict(Y, model)
        for column in range(20):
            plain = plain_pipeline(algorithm, standardize)
            plain.fit(X[fold.train_idx], Y[fold.train_idx, column])
            expected = plain.predict(X[fold.test_idx])
            atol = tolerance(algorithm, y)
            np.testing.assert_allclose(y_pred[:, column], expected, rtol=0, atol=atol)
            scores[row, column] = r2_score(Y[fold.test_idx, column], expected)
    test = permutation_test(folds, y, GROUPS, model, scheme, Resampling(20, SEED))[0]
    # Null scores have the 6 digits that are written.
    rtol = 1e-3 if algorithm == "svr" else 5.1e-6
    np.testing.assert_allclose(test["null_scores"], scores.mean(axis=0), rtol=rtol)
    assert test["p"] == round_significant((1 + np.sum(np.array(test["null_scores"]) >= test["score"])) / 21)


@pytest.mark.parametrize("n_voxels", [MANY_VOXELS, FEW_VOXELS])
@pytest.mark.parametrize("unit", ["participant", "trial"])
@pytest.mark.parametrize("standardize", ALL_MODES)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_ten_draws_equal_plain_refits_on_repeated_rows(algorithm, standardize, unit, n_voxels):
    signals, y = simulate(n_voxels)
    X, images = standardize_images(signals, standardize), StandardizedImages(signals, standardize)
    model, maps = PCARegression(algorithm), []
    for index in range(10):
        counts = draw_counts(GROUPS, unit, resample_rng(SEED, index))
        rows = np.repeat(np.arange(len(y)), counts)
        plain = plain_pipeline(algorithm, standardize).fit(X[rows], y[rows])
        weights, outcome = fit_draw(images, y, model, counts)
        if "voxel" not in standardize:
            weights = X.T @ weights
        assert_same_weights(weights, plain_weights(plain), algorithm)
        assert outcome == "fitted"
        maps.append(weights)
    z = bootstrap_weights(images, y, GROUPS, model, Resampling(10, SEED), unit).z
    sd = np.std(maps, axis=0)
    constant = sd < 1e-12
    expected = np.where(constant, 0, np.mean(maps, axis=0) / np.where(constant, 1, sd))
    np.testing.assert_allclose(z, expected, rtol=1e-7, atol=1e-9)
    assert constant.any() == (standardize == "voxel")


@pytest.mark.parametrize("standardize", MODES)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_two_workers_give_the_bytes_of_one(algorithm, standardize):
    signals, y = simulate(5000)
    model, results = PCARegression(algorithm), []
    for n_jobs in (1, 2):
        images = StandardizedImages(signals, standardize)
        folds = prepare_folds(images, make_folds(GROUPS), model, n_jobs)
        tests = permutation_test(folds, y, GROUPS, model, "within", Resampling(300, SEED, n_jobs))
        z = bootstrap_weights(images, y, GROUPS, model, Resampling(60, SEED, n_jobs)).z
        results.append((tests, folds[0].test_scores.tobytes(), z.tobytes()))
    assert results[0] == results[1]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_permutation_alone_equals_itself_among_others(algorithm):
    signals, y = simulate(MANY_VOXELS)
    model = PCARegression(algorithm)
    folds = prepare_folds(StandardizedImages(signals), make_folds(GROUPS), model)
    among = permutation_test(folds, y, GROUPS, model, "block", Resampling(70, SEED))[0]
    y_alone = y[TrialPermuter(GROUPS, "block").draw(resample_rng(SEED, 69))]
    alone = np.mean([r2_score(y_alone[f.test_idx], f.predict(y_alone[:, None], model)) for f in folds])
    assert among["null_scores"][69] == pytest.approx(alone, rel=5.1e-6)


@pytest.mark.parametrize("standardize", ALL_MODES)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_other_test_rows_leave_the_fit_untouched(algorithm, standardize, rng):
    signals, y = simulate(MANY_VOXELS)
    model, fold = PCARegression(algorithm), make_folds(GROUPS)[0]
    other_signals, other_y = signals.copy(), y.copy()
    other_signals[fold[1]] = rng.normal(size=(len(fold[1]), MANY_VOXELS)) * 100
    other_y[fold[1]] = 50
    fits = []
    for images, scores in ((signals, y), (other_signals, other_y)):
        images = StandardizedImages(images, standardize)
        fit = cross_validate(prepare_folds(images, [fold], model), scores, model)[0]
        weights, intercept = voxel_weights(images, [fit])
        fits.append((fit.dual.tobytes(), weights.tobytes(), intercept.tobytes(), fit.n_components))
    assert fits[0] == fits[1]


@pytest.mark.parametrize("standardize", MODES)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_fold_with_equal_training_images_predicts_as_without_images(algorithm, standardize):
    signals, y = simulate(MANY_VOXELS)
    train_idx, test_idx = make_folds(GROUPS)[0]
    signals[train_idx] = signals[train_idx[0]]
    model, images = PCARegression(algorithm), StandardizedImages(signals, standardize)
    fit = cross_validate(prepare_folds(images, [(train_idx, test_idx)], model), y, model)[0]
    assert fit.n_components == 0
    assert not fit.dual.any()
    nothing = np.zeros((len(y), 1))
    plain = plain_pipeline(algorithm, "image")[-1].fit(nothing[train_idx], y[train_idx])
    expected = plain.predict(nothing[test_idx])
    np.testing.assert_allclose(fit.y_pred, expected, atol=tolerance(algorithm, y))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_fold_with_equal_training_scores_predicts_that_score(algorithm):
    signals, y = simulate(MANY_VOXELS)
    fold = make_folds(GROUPS)[0]
    y[fold[0]] = 1 / 3
    model = PCARegression(algorithm)
    fit = cross_validate(prepare_folds(StandardizedImages(signals), [fold], model), y, model)[0]
    np.testing.assert_allclose(fit.y_pred, 1 / 3, atol=1e-12)


def test_equal_variances_inside_the_kept_ones_leave_ridge_unchanged(rng):
    hadamard = np.array([[1.0]])
    for _ in range(4):
        hadamard = np.block([[hadamard, hadamard], [hadamard, -hadamard]])
    # Variances 9 9 9 4 1 1 1: three components explain 27/34 of them, four 31/34.
    directions = np.linalg.qr(rng.normal(size=(40, 7)))[0].T
    X = hadamard[:, 1:8] * [3, 3, 3, 2, 1, 1, 1] @ directions
    y = rng.normal(size=16)
    train_idx, test_idx = np.arange(16), np.arange(16)
    images, model = _RawImages(X), PCARegression("ridge")
    fit = cross_validate(prepare_folds(images, [(train_idx, test_idx)], model), y, model)[0]
    plain = plain_pipeline("ridge", "image").fit(X, y)
    assert fit.n_components == plain[0].n_components_ == 4
    np.testing.assert_allclose(fit.y_pred, plain.predict(X), atol=1e-8)


class _RawImages:
    """Images that stay as they are, so that their variances can be planted."""

    confounds = None

    def __init__(self, X):
        self.X, self.n_trials = X, len(X)

    def gram(self, counts, n_jobs=1):
        return self.X @ self.X.T
