import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from facepain.models.standardize import StandardizedImages, predict_images, zscore_voxels


@pytest.fixture
def signals(rng):
    # More voxels than one block and one task hold, and a last block that is not full.
    images = rng.normal(50, 3, size=(9, 2048 * 9 + 17)).astype(np.float32)
    images[:, 5] = 0.1
    return images


def standardized(signals):
    X = signals.astype(float)
    return (X - X.mean(axis=1, keepdims=True)) / X.std(axis=1, keepdims=True)


def test_gram_of_images_equals_dense_product(signals):
    Z = standardized(signals)
    np.testing.assert_allclose(StandardizedImages(signals).gram(), Z @ Z.T, rtol=1e-12, atol=1e-8)


def test_gram_of_chosen_rows(signals):
    images = StandardizedImages(signals)
    np.testing.assert_array_equal(images.gram(rows=[4, 1]), images.gram()[np.ix_([4, 1], [4, 1])])


def test_gram_of_voxels_equals_standard_scaler(signals):
    counts = np.array([2, 1, 0, 3, 1, 0, 1, 1, 1])
    X = signals.astype(float)
    Z = StandardScaler().fit(np.repeat(X, counts, axis=0)).transform(X)
    K = StandardizedImages(signals, "voxel").gram(counts)
    np.testing.assert_allclose(K, Z @ Z.T, rtol=1e-10, atol=1e-7)


def test_memmap_gives_the_bytes_of_the_array(signals, tmp_path):
    np.save(tmp_path / "signals.npy", signals)
    mapped = np.load(tmp_path / "signals.npy", mmap_mode="r")
    K = StandardizedImages(mapped).gram()
    np.testing.assert_array_equal(K, StandardizedImages(signals).gram())


def test_threads_change_no_byte(signals):
    one, two = (StandardizedImages(signals, n_jobs=n_jobs).gram() for n_jobs in (1, 2))
    np.testing.assert_array_equal(one, two)


def test_zscores_equal_standard_scaler(rng):
    X = rng.normal(3, 2, size=(8, 6))
    X[:, :3] = 0.7, 1 / 3, 1e7 / 3
    X[:, 4] = 1e12 + np.arange(8)
    counts = np.array([1, 0, 2, 1, 1, 4, 1, 1])
    scaler = StandardScaler().fit(np.repeat(X, counts, axis=0))
    block = X.copy()
    mean, scale = zscore_voxels(block, counts)
    np.testing.assert_allclose(mean, scaler.mean_)
    np.testing.assert_allclose(scale, scaler.scale_)
    np.testing.assert_allclose(block, scaler.transform(X), atol=1e-8)
    np.testing.assert_array_equal(scale[:3], 1)
    # scikit-learn leaves the rounding of the mean behind.
    np.testing.assert_array_equal(block[:, :3], 0)


@pytest.mark.parametrize("standardize", ["image", "voxel"])
def test_weights_predict_what_products_predict(signals, standardize, rng):
    counts = np.array([1, 1, 0, 2, 1, 0, 1, 1, 1])
    dual = np.where(counts[:, None] > 0, rng.normal(size=(9, 2)), 0)
    images = StandardizedImages(signals, standardize)
    weights, intercept = images.weights(dual, [3.0, -1.0], counts)
    expected = images.gram(counts) @ dual + [3.0, -1.0]
    y_pred = predict_images(signals, weights, intercept, standardize)
    np.testing.assert_allclose(y_pred, expected, rtol=1e-9, atol=1e-8)


def test_constant_image_is_named(signals):
    signals[6] = 0.1
    with pytest.raises(ValueError, match=r"image in row 6 is constant \(SD 0\).*exclude the trial"):
        StandardizedImages(signals)


def test_value_that_is_not_finite_is_named(signals):
    signals[2, 7] = np.nan
    with pytest.raises(ValueError, match="image in row 2 has a value that is not finite"):
        StandardizedImages(signals)


def test_images_of_another_mask_are_refused(signals):
    with pytest.raises(ValueError, match="images have 3 voxels and the weights 4: extract"):
        predict_images(signals[:, :3], np.ones((4, 1)), [0.0])
