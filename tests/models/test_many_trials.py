"""From many trials on only the leading components are computed: what is written stays the same."""

import numpy as np

from facepain.inference.bootstrap import bootstrap_weights
from facepain.models import pca_regression
from facepain.models.pca_regression import PCARegression, fit_components
from facepain.models.standardize import StandardizedImages
from facepain.parallel import Resampling
from files.rounding import round_map


def test_leading_components_give_the_bytes_of_all(rng, monkeypatch):
    strengths = np.exp(-np.arange(60) / 10)
    signals = (rng.normal(size=(600, 60)) * strengths) @ rng.normal(size=(60, 500)) + 0.1 * rng.normal(size=(600, 500))
    images = StandardizedImages(signals.astype(np.float32), "image")
    y, groups = rng.normal(size=600), np.arange(600) // 8
    model = PCARegression("lasso", explained_variance=0.8, alpha=0.1)
    monkeypatch.setattr(pca_regression, "FIRST_COMPONENTS", 24)

    def written(many_trials):
        monkeypatch.setattr(pca_regression, "MANY_TRIALS", many_trials)
        z = bootstrap_weights(images, y, groups, model, Resampling(20, 42)).z
        return fit_components(images.gram()), round_map(z)

    (leading, z_leading), (every, z_every) = written(100), written(10**9)
    assert leading.n_components == every.n_components > 5
    np.testing.assert_allclose(leading.singular_values, every.singular_values, rtol=1e-12)
    np.testing.assert_array_equal(z_leading, z_every)


def test_few_components_that_do_not_suffice_and_images_that_do_not_vary_are_seen(rng, monkeypatch):
    monkeypatch.setattr(pca_regression, "MANY_TRIALS", 100)
    monkeypatch.setattr(pca_regression, "FIRST_COMPONENTS", 4)
    X = rng.normal(size=(120, 300))
    singular_values = np.linalg.svd(X - X.mean(axis=0), compute_uv=False)
    k = fit_components(X @ X.T).n_components
    share = np.cumsum(singular_values**2) / np.sum(singular_values**2)
    assert share[k - 2] <= 0.8 < share[k - 1]
    assert fit_components(np.ones((120, 120))).n_components == 0
