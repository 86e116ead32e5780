import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline

from facepain.models.cross_validation import (
    cross_validate,
    fit_final,
    haufe_pattern,
    make_folds,
    prepare_folds,
    voxel_weights,
)
from facepain.models.pca_regression import PCARegression
from facepain.models.repeats import LEARNING_COLUMNS, REPEAT_COLUMNS, learning_curve, score_repeats
from facepain.models.standardize import StandardizedImages
from facepain.parallel import Resampling

GROUPS = np.repeat(np.arange(10), 5)


@pytest.fixture
def data(rng):
    y = rng.normal(size=50)
    signals = rng.normal(size=(50, 30)) + np.outer(y, rng.normal(size=30))
    return signals.astype(np.float32), y


def test_repeats_equal_cross_val_predict_of_sklearn(data):
    signals, y = data
    images, model = StandardizedImages(signals), PCARegression("ridge")
    published = cross_validate(prepare_folds(images, make_folds(GROUPS), model), y, model)
    one, two = (score_repeats(images, y, GROUPS, model, published, Resampling(3, 42, jobs)) for jobs in (1, 2))
    assert one.equals(two) and list(one) == list(REPEAT_COLUMNS)
    assert one["repeat"].tolist() == [0, 1, 2, 3]
    tested = np.unique(GROUPS[np.concatenate([fit.test_idx for fit in published])])
    assert one["n_tested"].tolist() == [len(tested), 10, 10, 10]
    X = signals.astype(float)
    X = (X - X.mean(axis=1, keepdims=True)) / X.std(axis=1, keepdims=True)
    for repeat in range(3):
        folds = GroupKFold(5, shuffle=True, random_state=42 + repeat)
        pipeline = make_pipeline(PCA(0.8, svd_solver="full"), Ridge())
        y_pred = cross_val_predict(pipeline, X, y, groups=GROUPS, cv=folds)
        assert one["pooled_r2"][repeat + 1] == pytest.approx(r2_score(y, y_pred))


def test_learning_curve_rises_with_participants(data):
    signals, y = data
    curve = learning_curve(StandardizedImages(signals), y, GROUPS, PCARegression("ridge"), Resampling(15, 1))
    assert list(curve) == list(LEARNING_COLUMNS)
    assert sorted(set(curve["n_participants"])) == [2, 3, 4, 6, 7] and len(curve) == 75
    means = curve.groupby("n_participants")["skill"].mean()
    assert means[7] > means[2] and means[7] > 0.5


def test_fewer_than_four_participants_have_no_learning_curve(data):
    images = StandardizedImages(data[0][:15])
    assert learning_curve(images, data[1][:15], GROUPS[:15], PCARegression("ridge"), Resampling(2, 1)).empty


@pytest.mark.parametrize("standardize", ["image", "voxel", ["image", "voxel"]])
def test_haufe_pattern_is_the_covariance_with_the_prediction(data, standardize):
    signals, y = data
    images = StandardizedImages(signals, standardize)
    fit = fit_final(images, y, PCARegression("ridge"))
    weights = voxel_weights(images, [fit])[0][:, 0]
    X = signals.astype(float)
    if "image" in standardize:
        X = (X - X.mean(axis=1, keepdims=True)) / X.std(axis=1, keepdims=True)
    np.testing.assert_allclose(haufe_pattern(images, fit), np.cov(X.T, bias=True) @ weights, atol=1e-10)
