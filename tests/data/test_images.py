"""Contrast images: raw numbers and scale factors, grids, and files that are not what they claim."""

import gzip

import nibabel
import numpy as np
import pytest
import scipy.io
from nilearn.masking import apply_mask

from errors import InputError
from facepain.data.extraction import SignalsWriter, extract_signals, flag_outliers, inspect_images
from facepain.data.images import MOST_PADDING, check_packed, open_image, read_scaled
from facepain.data.masks import Mask, mask_on_grid
from training import take_rows

SHAPE = (7, 8, 9)
AFFINE = np.array([[-3.0, 0, 0, 9], [0, 3, 0, -12], [0, 0, 3, -12], [0, 0, 0, 1]])


@pytest.fixture
def mask_path(tmp_path):
    inside = np.zeros(SHAPE, np.uint8)
    inside[1:6, 2:7, 1:8] = 1
    nibabel.save(nibabel.Nifti1Image(inside, AFFINE), tmp_path / "mask.nii.gz")
    return tmp_path / "mask.nii.gz"


@pytest.fixture
def write(tmp_path, rng):
    def write(name="con.hdr", kind=nibabel.Nifti1Pair, values=None, dtype=np.int16, affine=AFFINE):
        values = rng.normal(0, 2, SHAPE) if values is None else values
        img = kind(values.astype(np.float32), affine)
        img.set_data_dtype(dtype)
        nibabel.save(img, tmp_path / name)
        return tmp_path / name

    return write


def extract(paths, mask_path, volumes=None, zeros="value", **settings):
    defaults = {"analyze_orientation": "unknown", "mixed_grids": "refuse"}
    images = inspect_images(paths, defaults | settings, volumes)
    mask_img = nibabel.load(mask_path)
    mask, _ = mask_on_grid(Mask(np.asarray(mask_img.dataobj) != 0, mask_img.affine), images.grid, "test")
    signals = np.empty((len(paths), mask.sum()), np.float32)
    return signals, *extract_signals(images, mask, signals, lambda: None, zeros), images


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float32, np.float64, np.int32])
@pytest.mark.parametrize("endianness", ["<", ">"])
def test_extraction_equals_nilearns_masking(write, mask_path, tmp_path, rng, dtype, endianness):
    header = nibabel.Nifti1Pair.header_class(endianness=endianness)
    header.set_data_dtype(dtype)
    paths = []
    for number in range(3):
        img = nibabel.Nifti1Pair(rng.normal(50, 9, (*SHAPE, 1)).astype(np.float32), AFFINE, header)
        img.set_data_dtype(np.dtype(dtype).newbyteorder(endianness))
        paths.append(tmp_path / f"{number}.hdr")
        nibabel.save(img, paths[-1])
    signals, *_ = extract(paths, mask_path)
    imgs = [nibabel.Nifti1Image(nibabel.load(path).get_fdata()[..., 0], AFFINE) for path in paths]
    expected = apply_mask(imgs, mask_path)
    np.testing.assert_allclose(signals, expected, rtol=1e-6)


def test_scaled_integers_come_back_within_half_a_step(write, rng):
    values = rng.normal(0, 2, SHAPE)
    path = write(values=values)
    img, _ = open_image(path)
    assert img.dataobj.slope != 1
    assert np.abs(read_scaled(img) - values).max() <= img.dataobj.slope * 0.501


def test_gzipped_single_files_are_read(write, mask_path):
    pair, single = write("a.hdr"), None
    img = nibabel.load(pair)
    single = pair.with_name("a1.nii.gz")
    nibabel.save(nibabel.Nifti1Image(img.get_fdata().astype(np.float32), AFFINE), single)
    first, second = extract([pair], mask_path)[0], extract([single], mask_path)[0]
    np.testing.assert_allclose(first, second, rtol=1e-6)


def test_analyze_needs_an_orientation_and_flips_by_it(write):
    path = write("old.hdr", nibabel.Spm99AnalyzeImage, dtype=np.float32)
    path.with_suffix(".mat").unlink()
    with pytest.raises(InputError, match=r'set extract.analyze_orientation .* "radiological" .* or "neurological"'):
        open_image(path, "unknown")
    radiological, neurological = (open_image(path, name)[1] for name in ("radiological", "neurological"))
    assert radiological[0, 0] == -3
    np.testing.assert_array_equal(neurological[0], -radiological[0])
    np.testing.assert_array_equal(neurological[1:], radiological[1:])


def test_a_missing_or_truncated_img_stops(write):
    path = write()
    image = path.with_suffix(".img")
    image.write_bytes(image.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"con.img: truncated, 1007 bytes where its header promises 1008"):
        open_image(path)
    image.unlink()
    with pytest.raises(InputError, match=r"con.img: missing beside its .hdr"):
        open_image(path)
    path.unlink()
    with pytest.raises(InputError, match=r"con.hdr: no such image"):
        open_image(path)


def test_truncated_gzip_and_random_bytes_stop(write, tmp_path, rng, mask_path):
    whole = write("whole.nii.gz", nibabel.Nifti1Image, dtype=np.float32).read_bytes()
    (tmp_path / "cut.nii.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"cut.nii.gz: damaged"):
        extract([tmp_path / "cut.nii.gz"], mask_path)
    (tmp_path / "noise.nii").write_bytes(rng.bytes(2000))
    with pytest.raises(InputError, match=r"noise.nii: not a readable image"):
        open_image(tmp_path / "noise.nii")


def test_a_series_of_volumes_stops(write, rng):
    path = write("series.nii", nibabel.Nifti1Image, values=rng.normal(size=(*SHAPE, 2)))
    with pytest.raises(InputError, match=r"has shape 7 x 8 x 9 x 2; expected one volume .* column volume"):
        open_image(path)


def test_another_grid_is_refused_by_name_or_resampled_on_request(write, mask_path, rng):
    moved = AFFINE.copy()
    moved[1, 3] += 3
    values = rng.normal(size=SHAPE)
    first, other = (
        write("a.hdr", values=values, dtype=np.float32),
        write("b.hdr", values=values, dtype=np.float32, affine=moved),
    )
    with pytest.raises(InputError, match=r"1 of 2 images lie on another grid than .*a.hdr .*b.hdr"):
        extract([first, other], mask_path)
    signals, _, finite, images = extract([first, other], mask_path, mixed_grids="nearest")
    assert images.resampled == [False, True]
    # Shifted by one voxel along y: the mask sees its neighbours.
    inside = np.zeros(SHAPE, bool)
    inside[1:6, 1:6, 1:8] = True
    assert finite.all()
    np.testing.assert_allclose(signals[1], values[inside], rtol=1e-6)
    moved[:3, 3] -= 9000
    away = write("away.hdr", values=values, dtype=np.float32, affine=moved)
    with pytest.raises(InputError, match=r"away.hdr: no finite value but 0 inside the mask"):
        extract([first, away], mask_path, mixed_grids="continuous")


@pytest.mark.parametrize("background, zeros", [(np.nan, "value"), (0.0, "missing")])
def test_resampling_spreads_nothing_that_was_not_measured(write, mask_path, background, zeros):
    finer = AFFINE @ np.diag([0.7, 0.7, 0.7, 1])
    values = np.full((10, 11, 12), background)
    values[3:7, 3:7, 3:8] = 10.0
    first = write("a.hdr", values=np.full(SHAPE, 10.0), dtype=np.float32)
    other = write("b.hdr", values=values, dtype=np.float32, affine=finer)
    signals, *_ = extract([first, other], mask_path, zeros=zeros, mixed_grids="continuous")
    measured = np.isfinite(signals[1])
    assert 0 < measured.sum() < measured.size
    np.testing.assert_allclose(signals[1][measured], 10.0, rtol=1e-6)


def test_voxels_that_are_not_finite_are_marked_and_kept_out_of_the_quality(write, mask_path, rng):
    values = rng.normal(size=SHAPE)
    values[3, 3, 3], values[0, 0, 0] = np.nan, np.inf
    paths = [write("a.hdr", dtype=np.float32), write("b.hdr", values=values, dtype=np.float32)]
    _, quality, finite, _ = extract(paths, mask_path)
    assert (~finite).sum() == 1
    assert quality["finite_share"][0] == 1
    assert quality["finite_share"][1] == pytest.approx(1 - 1 / finite.size)
    assert np.isfinite(quality["mean"]).all()


def test_an_image_of_zeros_stops(write, mask_path):
    with pytest.raises(InputError, match=r"con.hdr: no finite value but 0 inside the mask"):
        extract([write(values=np.zeros(SHAPE), dtype=np.float32)], mask_path)


def test_outliers_are_those_far_from_the_rest(rng):
    quality = {"mean": list(rng.normal(0, 1, 50)), "sd": list(rng.uniform(1, 2, 50))}
    quality["sd"][7] = 200.0
    quality["mean"][9] = 40.0
    assert np.flatnonzero(flag_outliers(quality)).tolist() == [7, 9]


@pytest.mark.parametrize("name", ["series.nii", "series.nii.gz", "series.hdr"])
@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_each_volume_of_a_series_is_the_image_of_a_trial(write, mask_path, rng, name, dtype):
    values = rng.normal(size=(*SHAPE, 4))
    path = write(name, nibabel.Nifti1Pair if name.endswith("hdr") else nibabel.Nifti1Image, values=values, dtype=dtype)
    signals, *_ = extract([path] * 3, mask_path, volumes=[3, 1, 4])
    inside = np.asarray(nibabel.load(mask_path).dataobj) != 0
    expected = nibabel.load(path).get_fdata()[inside][:, [2, 0, 3]].T
    np.testing.assert_allclose(signals, expected, rtol=1e-6)
    for volume in (0, 5):
        with pytest.raises(InputError, match=f"has no volume {volume}; expected 1 to 4"):
            open_image(path, volume=volume)


@pytest.mark.parametrize("kind", [nibabel.AnalyzeImage, nibabel.Spm99AnalyzeImage, nibabel.Spm2AnalyzeImage])
@pytest.mark.parametrize("endianness", ["<", ">"])
def test_every_kind_of_analyze_is_read(tmp_path, mask_path, rng, kind, endianness):
    dtype = np.dtype(np.float32 if kind is nibabel.AnalyzeImage else np.int16).newbyteorder(endianness)
    values = rng.normal(0, 2, (*SHAPE, 1)).astype(np.float32)
    header = kind.header_class(endianness=endianness)
    header.set_data_dtype(dtype)
    img = kind(values, None, header)
    img.header.set_zooms((3, 3, 3, 1))
    nibabel.save(img, tmp_path / "old.hdr")
    (tmp_path / "old.mat").unlink(missing_ok=True)
    opened, affine = open_image(tmp_path / "old.hdr", "radiological")
    assert affine[0, 0] == -3 and type(opened) is not nibabel.Nifti1Pair
    step = getattr(opened.dataobj, "slope", 1.0) if dtype.kind == "i" else 1e-6
    np.testing.assert_allclose(read_scaled(opened), values[..., 0], atol=abs(step) * 0.51)


def test_a_mat_of_spm_says_where_left_is_only_if_it_holds_mat(write):
    path = write("old.hdr", nibabel.Spm99AnalyzeImage, dtype=np.float32)
    assert open_image(path, "unknown")[1][0, 0] == -3
    matrices = scipy.io.loadmat(path.with_suffix(".mat"))
    scipy.io.savemat(path.with_suffix(".mat"), {"M": matrices["M"]})
    with pytest.raises(InputError, match="leaves open where left is"):
        open_image(path, "unknown")


def test_a_stated_grid_is_the_one_that_images_are_brought_to(write, mask_path, rng):
    values = rng.normal(size=SHAPE)
    flipped = AFFINE @ np.array([[-1, 0, 0, SHAPE[0] - 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    first = write("a.hdr", values=values[::-1], dtype=np.float32, affine=flipped)
    other = write("b.hdr", values=values, dtype=np.float32)
    settings = {"mixed_grids": "nearest", "target_grid": mask_path}
    signals, *_, images = extract([first, other], mask_path, **settings)
    assert images.resampled == [True, False]
    np.testing.assert_allclose(signals[0], signals[1], rtol=1e-6)


def test_zeros_may_mean_that_nothing_was_measured(write, mask_path, rng):
    values = rng.normal(size=SHAPE)
    values[3, 3, 3] = 0
    path = write(values=values, dtype=np.float32)
    assert extract([path], mask_path)[2].all()
    assert (~extract([path], mask_path, zeros="missing")[2]).sum() == 1


def test_a_header_without_a_place_stops(write):
    path = write("flat.nii", nibabel.Nifti1Image)
    img = nibabel.load(path)
    img.header["sform_code"], img.header["srow_x"] = 1, [0, 0, 0, 0]
    img.header["vox_offset"] = 352  # which nibabel resets when it loads
    raw = bytearray(path.read_bytes())
    raw[:348] = img.header.binaryblock
    path.write_bytes(raw)
    with pytest.raises(InputError, match="says not where its voxels lie"):
        open_image(path)
    raw[108:112] = bytes(4)
    path.write_bytes(raw)
    with pytest.raises(InputError, match=r"flat.nii: its header says that voxels begin at byte 0, within the header"):
        open_image(path)


@pytest.mark.parametrize("name", ["con.img", "con.nii.gz"])
def test_a_file_much_larger_than_its_header_promises_stops(write, name):
    path = write("con.hdr") if name == "con.img" else write(name, nibabel.Nifti1Image)
    image, opener = path.with_name(name), gzip.open if name.endswith(".gz") else open
    with opener(image, "ab") as file:
        file.write(bytes(MOST_PADDING))
    check_packed(path, open_image(path)[0])
    with opener(image, "ab") as file:
        file.write(b"more")
    with pytest.raises(
        InputError, match=rf"{name}: \d+ bytes where its header promises \d+; type or shape .* may be wrong"
    ):
        check_packed(path, open_image(path)[0])


def test_what_freesurfer_adds_behind_the_voxels_is_no_fault(tmp_path):
    for name in ("con.mgh", "con.mgz"):
        path, opener = tmp_path / name, gzip.open if name.endswith("z") else open
        nibabel.save(nibabel.MGHImage(np.ones(SHAPE, np.float32), np.eye(4)), path)
        with opener(path, "ab") as file:
            file.write(bytes(2 * MOST_PADDING))
        img, _ = open_image(path)
        check_packed(path, img)
        assert read_scaled(img).shape == SHAPE


def test_signals_are_written_and_read_row_by_row(tmp_path, rng):
    values = rng.normal(size=(3, 5)).astype(np.float32)
    with open(tmp_path / "s.npy", "wb") as file:
        signals = SignalsWriter(file, 3, 5)
        for row in range(3):
            signals[row] = values[row]
            for wrong, given in ((row, values[0]), (row + 2, values[0]), (row + 1, values[0, :4])):
                with pytest.raises(ValueError, match=f"expected row {row + 1} of 5"):
                    signals[wrong] = given
    np.testing.assert_array_equal(np.load(tmp_path / "s.npy"), values)
    signals = np.load(tmp_path / "s.npy", mmap_mode="r")
    # Rows that follow each other stay in the file; others are read.
    for rows, in_file in (([1, 2], True), ([0, 2], False), ([], False)):
        taken = take_rows(signals, np.array(rows, int))
        np.testing.assert_array_equal(taken, values[rows])
        assert np.shares_memory(taken, signals) is in_file
