"""Signatures and networks: brought to the mask's grid, and every mistake in their table named."""

import json

import nibabel
import numpy as np
import pytest

from errors import InputError
from facepain.data.signatures import load_networks, load_signatures

SHAPE, AFFINE = (7, 8, 9), np.diag([3.0, 3.0, 3.0, 1.0])


@pytest.fixture
def mask_img():
    inside = np.zeros(SHAPE, np.uint8)
    inside[1:6, 1:7, 1:8] = 1
    return nibabel.Nifti1Image(inside, AFFINE)


@pytest.fixture
def folder(tmp_path, rng):
    values = rng.normal(size=SHAPE).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(values, AFFINE), tmp_path / "one.nii.gz")
    # A ramp on a finer grid is the same ramp on the mask's.
    fine = np.diag([1.5, 1.5, 1.5, 1.0])
    ramp = np.arange(15)[:, None, None] * np.ones((15, 17, 19)) * 1.5
    nibabel.save(nibabel.Nifti1Image(ramp.astype(np.float32), fine), tmp_path / "ramp.nii.gz")
    (tmp_path / "signatures.tsv").write_text("name\tfile\tkind\n001\tone.nii.gz\tmap\nramp\tramp.nii.gz\tmap\n")
    return tmp_path


def test_maps_are_read_in_the_order_of_the_mask_and_brought_to_its_grid(folder, mask_img):
    names, maps = load_signatures(folder / "signatures.tsv", mask_img)
    inside = np.asarray(mask_img.dataobj) != 0
    assert names == ["001", "ramp"]
    np.testing.assert_array_equal(maps[0], nibabel.load(folder / "one.nii.gz").get_fdata()[inside])
    np.testing.assert_allclose(maps[1], 3.0 * np.argwhere(inside)[:, 0], atol=1e-5)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("nam\tfile\na\tone.nii.gz\n", 'has no column "name"; found nam, file; did you mean nam'),
        ("name\tfile\na\tnone.nii.gz\n", "none.nii.gz: not a readable map"),
        ("name\tfile\na\tone.nii.gz\na\tramp.nii.gz\n", 'two signatures are called "a"'),
    ],
)
def test_a_mistake_in_the_table_is_named(folder, mask_img, table, message):
    (folder / "signatures.tsv").write_text(table)
    with pytest.raises(InputError, match=message):
        load_signatures(folder / "signatures.tsv", mask_img)


def test_a_constant_map_is_refused(folder, mask_img):
    nibabel.save(nibabel.Nifti1Image(np.zeros(SHAPE, np.float32), AFFINE), folder / "one.nii.gz")
    with pytest.raises(InputError, match=r"one.nii.gz: every voxel is 0 on the images' grid"):
        load_signatures(folder / "signatures.tsv", mask_img)


def test_networks_are_named_by_the_file_beside_the_atlas(folder, mask_img):
    labels = np.zeros(SHAPE, np.int16)
    labels[1:3], labels[3:6], labels[6] = 1, 2, 3
    nibabel.save(nibabel.Nifti1Image(labels, AFFINE), folder / "atlas.nii.gz")
    (folder / "atlas.json").write_text(json.dumps({"1": "visual"}))
    networks = load_networks(folder / "atlas.nii.gz", mask_img)
    assert list(networks) == ["visual", "label-2"]  # label 3 lies outside of the mask
    assert networks["visual"].sum() == 2 * 6 * 7 and not (networks["visual"] & networks["label-2"]).any()
