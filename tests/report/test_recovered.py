"""What was planted in the stand-in is found where it was planted, and only there."""

import nibabel
import numpy as np
import pytest

from facepain.report.figures.recovery import compare_maps, planted_pattern
from facepain.simulation.design import SMALL
from facepain.simulation.images import draw_planted


@pytest.fixture(scope="module")
def planted():
    return draw_planted(SMALL).patterns["score"]


def test_shares_and_signs_are_counted(rng):
    pattern = np.zeros((10, 10, 10))
    pattern[:5] = 1.0
    noise = np.where(rng.random(pattern.shape) < 0.5, 0.1, -0.1)
    row = compare_maps(np.where(pattern > 0, 2.0, noise), pattern)
    assert (row["n_voxels"], row["n_top"], row["chance_share"]) == (1000, 10, 0.5)
    assert (row["share_planted"], row["share_right_sign"]) == (1.0, 1.0)
    row = compare_maps(np.where(pattern > 0, -2.0, noise), pattern)
    assert (row["share_planted"], row["share_right_sign"]) == (1.0, 0.0)
    assert compare_maps(noise, np.zeros_like(pattern))["share_planted"] == 0
    assert np.isnan(compare_maps(0 * noise, pattern)["share_planted"])


def test_the_pattern_lies_on_the_images_grid_whichever_way_that_runs(planted):
    affine = np.diag([-6.0, 6, 6, 1])
    affine[:3, 3] = 90, -126, -72
    assert np.array_equal(planted_pattern(nibabel.Nifti1Image(planted.astype("i4"), affine)) * 1024, planted)
    flipped = nibabel.as_closest_canonical(nibabel.Nifti1Image(planted.astype("i4"), affine))
    assert np.array_equal(planted_pattern(flipped) * 1024, np.asarray(flipped.dataobj))
    assert planted_pattern(nibabel.Nifti1Image(np.zeros((4, 4, 4)), affine)) is None
