"""Signatures and networks: brought to the mask's grid, and every mistake in their table named."""

import gzip
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
        ("name\tfile\nA\tone.nii.gz\na\tramp.nii.gz\n", 'signature "A" and "a" differ only in case'),
        ("name\tfile\n\tone.nii.gz\n", "line 2 has no name; expected one in every line"),
        ("name\tfile\na/b\tone.nii.gz\n", 'a signature may not be called "a/b", which names files; use letters'),
        ("name\tfile\nown-model\tone.nii.gz\n", 'may not be called "own-model"'),
        ("name\tfile\na\t../one.nii.gz\n", 'a has the file "../one.nii.gz"; expected a map beside the table'),
        ("name\tfile\na\tone.nii.gz\tx\n", "line 2 has 3 fields, the first has 2"),
    ],
)
def test_a_mistake_in_the_table_is_named(folder, mask_img, table, message):
    (folder / "signatures.tsv").write_text(table)
    with pytest.raises(InputError, match=message):
        load_signatures(folder / "signatures.tsv", mask_img)


def test_names_are_text_and_quotes_are_too(folder, mask_img):
    names = ["1.1", "1.10", "1e5", "100000", '"open', "NULL."]
    rows = "".join(f"{name}\tone.nii.gz\n" for name in names)
    (folder / "signatures.tsv").write_text(f"name\tfile\n{rows}")
    assert load_signatures(folder / "signatures.tsv", mask_img)[0] == names


COMPLEX = nibabel.Nifti1Image(np.ones(SHAPE, np.complex64), AFFINE).to_bytes()
WITHOUT_CODES = nibabel.Nifti1Image(np.ones(SHAPE, np.float32), None).to_bytes()
SERIES = nibabel.Nifti1Image(np.ones((*SHAPE, 2), np.float32), AFFINE).to_bytes()
PACKED = bytearray(gzip.compress(nibabel.Nifti1Image(np.ones(SHAPE, np.float32), AFFINE).to_bytes()))
PACKED[-6] ^= 1  # in the checksum


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.nii", COMPLEX, "holds complex numbers"),
        ("x.nii", WITHOUT_CODES, "leaves open where left is; set extract.analyze_orientation"),
        ("x.nii", SERIES, "has shape 7 x 8 x 9 x 2"),
        ("x.nii.gz", bytes(PACKED), "damaged"),
        ("x.nii", b"", "not a readable image"),
    ],
    ids=["complex", "without codes", "series", "damaged", "empty"],
)
def test_maps_and_atlases_get_the_scrutiny_of_images(folder, mask_img, name, content, message):
    (folder / name).write_bytes(content)
    (folder / "signatures.tsv").write_text(f"name\tfile\na\t{name}\n")
    with pytest.raises(InputError, match=f"not a readable map .*{message}.*; correct the file, or signatures.tsv"):
        load_signatures(folder / "signatures.tsv", mask_img)
    with pytest.raises(InputError, match=f"not a readable atlas .*{message}.*, or similarity.networks in the params"):
        load_networks(folder / name, mask_img)
    if content == WITHOUT_CODES:
        assert load_networks(folder / name, mask_img, "radiological")["label-1"].any()


def test_a_map_of_other_than_whole_numbers_is_no_atlas(folder, mask_img):
    with pytest.raises(InputError, match=r"one.nii.gz: holds -?\d.*; expected an atlas, with a whole number for each"):
        load_networks(folder / "one.nii.gz", mask_img)


def test_a_constant_map_is_refused(folder, mask_img):
    nibabel.save(nibabel.Nifti1Image(np.zeros(SHAPE, np.float32), AFFINE), folder / "one.nii.gz")
    with pytest.raises(InputError, match=r"one.nii.gz: every voxel is 0 on the images' grid"):
        load_signatures(folder / "signatures.tsv", mask_img)
    away = AFFINE.copy()
    away[:3, 3] -= 9000  # no voxel of it lies on the images' grid
    nibabel.save(nibabel.Nifti1Image(np.arange(504.0).reshape(SHAPE), away), folder / "one.nii.gz")
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


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["visual"], "expected the name of each label"),
        ({"1": "all"}, 'label 1 is called "all", which is taken'),
        ({"1": "a", "2": "a"}, 'label 2 is called "a", which is taken'),
    ],
)
def test_a_mistake_in_the_names_of_networks_is_named(folder, mask_img, names, message):
    labels = np.full(SHAPE, 2, np.int16)
    labels[:4] = 1
    nibabel.save(nibabel.Nifti1Image(labels, AFFINE), folder / "atlas.nii.gz")
    (folder / "atlas.json").write_text(json.dumps(names))
    with pytest.raises(InputError, match=message):
        load_networks(folder / "atlas.nii.gz", mask_img)
