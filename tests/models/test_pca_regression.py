import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import Lasso, Ridge
from sklearn.svm import SVR

from facepain.models.pca_regression import PCARegression, fit_coefficients, fit_components


def images_with_variances(variances, n_trials=16):
    """Return centred images whose components have exactly these variances."""
    hadamard = np.array([[1.0]])
    while len(hadamard) < n_trials:
        hadamard = np.block([[hadamard, hadamard], [hadamard, -hadamard]])
    return hadamard[:, 1 : 1 + len(variances)] * np.sqrt(variances)


@pytest.mark.parametrize(
    "variances, n_components",
    [
        ([4, 4, 1, 1], 3),  # two components reach 0.8, they do not exceed it
        ([1] * 10, 9),  # eight of ten do the same, which rounding must not decide
        ([0.7] * 10, 9),
        ([81, 9, 9, 1], 1),
        ([79, 20, 1], 2),
    ],
)
def test_share_has_to_exceed_the_limit(variances, n_components):
    X = images_with_variances(variances)
    assert fit_components(X @ X.T).n_components == n_components


def test_exact_tie_follows_sklearn():
    X = images_with_variances([4, 4, 1, 1])
    assert PCA(0.8, svd_solver="full").fit(X).n_components_ == 3


@pytest.mark.parametrize("share", [0.3, 0.8, 0.95, 0.999])
def test_number_of_components_follows_sklearn(share, rng):
    for n_trials, n_voxels in ((20, 50), (50, 20)):
        X = rng.normal(size=(n_trials, n_voxels)) * np.linspace(1, 5, n_voxels) + 7
        expected = PCA(share, svd_solver="full").fit(X).n_components_
        assert fit_components(X @ X.T, share).n_components == expected


def test_scores_equal_sklearn_up_to_sign(rng):
    X, X_new = rng.normal(3, 1, size=(2, 20, 50))
    pca = PCA(0.8, svd_solver="full").fit(X)
    components = fit_components(X @ X.T)
    signs = np.sign(np.sum(components.train_scores() * pca.transform(X), axis=0))
    np.testing.assert_allclose(components.train_scores() * signs, pca.transform(X), atol=1e-10)
    np.testing.assert_allclose(components.scores(X_new @ X.T) * signs, pca.transform(X_new), atol=1e-10)


@pytest.mark.parametrize(
    "model, plain",
    [
        (PCARegression("lasso", alpha=0.3), Lasso(alpha=0.3, tol=1e-14)),
        (PCARegression("ridge", alpha=5), Ridge(alpha=5)),
        (PCARegression("svr", C=0.2, epsilon=0.3), SVR(kernel="linear", C=0.2, epsilon=0.3)),
    ],
)
def test_settings_reach_the_solver(model, plain, rng):
    X = rng.normal(size=(20, 50))
    Y = rng.normal(2, 3, size=(20, 4))
    components = fit_components(X @ X.T, counts=np.arange(1, 21) % 3 + 1)
    rows = np.repeat(np.arange(20), np.arange(1, 21) % 3 + 1)
    coef, intercept = fit_coefficients(components, Y, model)
    Z = components.train_scores()
    for column in range(4):
        plain.set_params(tol=1e-9 if model.algorithm == "svr" else 1e-14)
        expected = plain.fit(Z[rows], Y[rows, column]).predict(Z)
        atol = 3e-4 if model.algorithm == "svr" else 1e-8
        np.testing.assert_allclose(Z @ coef[:, column] + intercept[column], expected, atol=atol)


def test_dual_weights_predict_from_products_that_are_not_centred(rng):
    X, X_new = rng.normal(5, 1, size=(2, 20, 50))
    components = fit_components(X @ X.T)
    coef, intercept = fit_coefficients(components, rng.normal(size=(20, 3)), PCARegression("ridge"))
    dual, dual_intercept = components.to_dual(coef, intercept)
    expected = components.scores(X_new @ X.T) @ coef + intercept
    np.testing.assert_allclose(X_new @ X.T @ dual + dual_intercept, expected, atol=1e-9)
    np.testing.assert_allclose(dual.sum(axis=0), 0, atol=1e-10)


def test_equal_images_leave_no_component(rng):
    X = np.repeat(rng.normal(1e3, 1, size=(1, 50)), 6, axis=0)
    assert fit_components(X @ X.T).n_components == 0


@pytest.mark.parametrize("n_trials", [2, 3, 40])
def test_components_are_the_leading_eigenvectors(n_trials, rng):
    X, counts = rng.normal(size=(n_trials, 90)) + 3, rng.integers(1, 4, n_trials)
    components = fit_components(X @ X.T, 0.8, counts)
    centred = np.sqrt(counts)[:, None] * (X - counts @ X / counts.sum())
    values, vectors = np.linalg.eigh(centred @ centred.T)
    k = components.n_components
    assert k == np.sum(np.cumsum(values[::-1]) <= 0.8 * values.sum()) + 1
    np.testing.assert_allclose(components.singular_values**2, values[::-1][:k], rtol=1e-10)
    np.testing.assert_allclose(np.abs(np.sum(components.vectors * vectors[:, ::-1][:, :k], axis=0)), 1, rtol=1e-10)
