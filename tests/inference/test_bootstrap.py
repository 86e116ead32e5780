import tracemalloc

import numpy as np
import pytest
from scipy.stats import norm

from facepain.inference.bootstrap import (
    bootstrap_weights,
    draw_counts,
    fit_draw,
    p_values,
    threshold_map,
    z_thresholds,
)
from facepain.inference.similarity import refit_resampled
from facepain.models.pca_regression import PCARegression
from facepain.models.standardize import StandardizedImages
from facepain.parallel import Resampling, resample_rng

GROUPS = np.repeat(np.arange(8), [6, 6, 5, 6, 6, 1, 6, 4])
MODEL = PCARegression("ridge")


@pytest.fixture
def study(rng):
    """Return images and scores in which voxel 0 rises and voxel 1 falls with the score."""
    y = rng.normal(size=len(GROUPS))
    signals = rng.normal(size=(len(GROUPS), 30))
    signals[:, 0] += 3 * y
    signals[:, 1] -= 3 * y
    return signals.astype(np.float32), y


def test_participants_are_drawn_whole(rng):
    for _ in range(50):
        counts = draw_counts(GROUPS, "participant", rng)
        per_participant = [set(counts[name == GROUPS]) for name in range(8)]
        assert all(len(values) == 1 for values in per_participant)
        assert sum(values.pop() for values in per_participant) == 8


def test_trials_are_drawn_alone(rng):
    counts = draw_counts(GROUPS, "trial", rng)
    assert counts.sum() == len(GROUPS)
    assert len(set(counts[GROUPS == 0])) > 1


def test_every_participant_is_drawn_once_on_average(rng):
    counts = np.mean([draw_counts(GROUPS, "participant", rng) for _ in range(2000)], axis=0)
    np.testing.assert_allclose(counts, 1, atol=0.1)


@pytest.mark.parametrize("standardize", ["image", "voxel"])
@pytest.mark.parametrize("unit", ["participant", "trial"])
def test_planted_voxels_have_the_largest_z(study, standardize, unit):
    signals, y = study
    images = StandardizedImages(signals, standardize)
    z = bootstrap_weights(images, y, GROUPS, MODEL, Resampling(200, 1), unit).z
    assert z[0] > 2
    assert z[1] < -2
    assert np.abs(z[:2]).min() > np.abs(z[2:]).max()


@pytest.mark.parametrize("standardize", ["image", "voxel"])
def test_degenerate_draws_have_no_weights_and_are_counted(study, standardize):
    signals, y = study
    y = np.where(GROUPS == 0, y, 2.5)
    # Participant 0 is drawn in 1 - (7/8)^8 = 66 % of the draws.
    n_without = sum(draw_counts(GROUPS, "participant", resample_rng(1, index))[0] == 0 for index in range(100))
    images = StandardizedImages(signals, standardize)
    result = bootstrap_weights(images, y, GROUPS, MODEL, Resampling(100, 1))
    assert (result.n, result.n_constant_target) == (100, n_without)
    assert 20 < n_without < 50
    counts = (GROUPS != 0).astype(int)
    weights, outcome = fit_draw(images, y, MODEL, counts)
    assert outcome == "constant target"
    assert not weights.any()


@pytest.mark.parametrize("standardize", ["image", "voxel"])
def test_draws_of_equal_images_are_counted(rng, standardize):
    groups, y = np.array([0, 0, 1, 1]), np.array([1.0, 2, 3, 4])
    signals = np.repeat(rng.normal(size=(2, 20)), 2, axis=0)
    images = StandardizedImages(signals, standardize)
    result = bootstrap_weights(images, y, groups, MODEL, Resampling(100, 1))
    assert 30 < result.n_constant_images < 70
    assert result.n_constant_target == 0


@pytest.mark.parametrize("standardize", ["image", "voxel"])
def test_z_is_0_where_no_draw_has_weights(study, standardize):
    signals, y = study
    images = StandardizedImages(signals, standardize)
    result = bootstrap_weights(images, np.ones_like(y), GROUPS, MODEL, Resampling(20, 1))
    assert not result.z.any()
    assert result.n_constant_target == 20


def test_voxel_that_is_constant_after_standardisation_has_z_0(rng):
    # Each image has mean 0 and SD 1 already, so that its last voxel stays what it is.
    signals = rng.normal(size=(len(GROUPS), 40))
    signals -= signals.mean(axis=1, keepdims=True)
    signals *= np.sqrt((42 - 2) / 40) / signals.std(axis=1, keepdims=True)
    signals = np.hstack([signals, np.full((len(GROUPS), 1), 1.0), np.full((len(GROUPS), 1), -1.0)])
    y = rng.normal(size=len(GROUPS))
    z = bootstrap_weights(StandardizedImages(signals), y, GROUPS, MODEL, Resampling(50, 1)).z
    np.testing.assert_array_equal(z[-2:], 0)
    assert np.all(z[:-2] != 0)


def test_first_draws_are_kept_as_they_were_fitted(study):
    signals, y = study
    images = StandardizedImages(signals)
    kept = bootstrap_weights(images, y, GROUPS, MODEL, Resampling(120, 1, n_jobs=2)).duals
    fitted = np.hstack(list(refit_resampled(images, y, GROUPS, MODEL, Resampling(120, 1))))
    np.testing.assert_allclose(kept, fitted, atol=1e-12 * np.abs(fitted).max())


def test_number_of_draws_does_not_change_the_memory(study, monkeypatch):
    signals, y = study
    monkeypatch.setattr("facepain.inference.bootstrap.KEPT_DRAWS", 100)
    peaks = []
    for n in (200, 1000):
        images = StandardizedImages(signals)
        tracemalloc.start()
        bootstrap_weights(images, y, GROUPS, MODEL, Resampling(n, 1))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # A draw leaves the name of its outcome behind, 8 bytes.
    assert peaks[1] - peaks[0] < 800 * 8 * 4


def test_one_participant_is_refused(rng):
    with pytest.raises(ValueError, match="a bootstrap of 1 participant is no bootstrap: give at"):
        draw_counts([3, 3, 3], "participant", rng)


def test_unknown_unit_is_named(rng):
    with pytest.raises(ValueError, match="unit 'run' is unknown: use one of"):
        draw_counts(GROUPS, "run", rng)


def test_p_is_two_sided_and_1_at_0():
    np.testing.assert_allclose(p_values([0, 1.959964, -1.959964]), [1, 0.05, 0.05], atol=1e-7)


def test_fdr_by_hand():
    # p = .0005, .012, .02, .2, .9 against .01, .02, .03, .04, .05: three survive.
    z = norm.isf(np.array([0.0005, 0.012, 0.02, 0.2, 0.9]) / 2) * [1, -1, 1, 1, 1]
    thresholds = z_thresholds(z)
    np.testing.assert_array_equal(threshold_map(z, thresholds["fdr"]), [z[0], z[1], z[2], 0, 0])
    assert thresholds["fdr"] == {"z": z[2], "n_voxels": 3}
    assert thresholds["uncorrected_0.05"]["n_voxels"] == 3
    assert thresholds["uncorrected_0.001"]["n_voxels"] == 1
    assert thresholds["bonferroni_0.05"] == {"z": pytest.approx(norm.isf(0.005)), "n_voxels": 1}


def test_nothing_survives_in_a_map_of_zeros():
    threshold = z_thresholds(np.zeros(9))["fdr"]
    assert threshold == {"z": None, "n_voxels": 0}
    assert not threshold_map(np.zeros(9), threshold).any()
