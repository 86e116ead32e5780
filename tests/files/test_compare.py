"""Three grades: identical, equal within tolerance, different; each difference is found and placed."""

import json

import nibabel
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from PIL import Image
from scipy import stats

from files.compare import DIFFERENT, IDENTICAL, WITHIN, compare_files
from files.fingerprints import fingerprint, fingerprint_files
from files.outputs import OutputFolder, unmask
from files.rounding import map_step, round_map, round_significant

MASK = nibabel.Nifti1Image(np.ones((4, 5, 6), np.uint8), np.diag([3, 3, 3, 1]))


@pytest.fixture
def folders(tmp_path):
    return OutputFolder(tmp_path / "a"), OutputFolder(tmp_path / "b")


def grade(folders, name):
    return compare_files(*(folder.path(name) for folder in folders))


def test_a_map_may_differ_by_one_step_of_its_rounding_and_no_more(folders, rng):
    values = round_map(rng.normal(size=120)).astype(float)
    step = map_step(np.abs(values).max())
    for moved, expected in ((0, IDENTICAL), (step, WITHIN), (2 * step, DIFFERENT)):
        other = values.copy()
        other[7] += moved
        for folder, content in zip(folders, (values, other), strict=True):
            folder.write_map("w.nii.gz", content, MASK)
        found = grade(folders, "w.nii.gz")
        assert found.grade == expected
        if moved:
            assert found.detail.startswith("1 of 120 voxels")
            assert found.detail.endswith("first at (0, 1, 1)")


@pytest.mark.parametrize(("other", "expected"), [(0.123456, IDENTICAL), (0.123457, WITHIN), (0.123459, DIFFERENT)])
def test_a_table_may_differ_in_the_last_digit_of_a_number(folders, other, expected):
    for folder, value in zip(folders, (0.123456, other), strict=True):
        table = pd.DataFrame({"fold": ["1", "mean"], "r2": [0.5, value]})
        folder.write_table("m.tsv", table, {"fold": "fold", "r2": "score"})
    found = grade(folders, "m.tsv")
    assert found.grade == expected
    if expected == DIFFERENT:
        assert found.detail == "column r2, row 2: 0.123459, recorded 0.123456"


def test_other_texts_rows_or_columns_in_a_table_are_different(folders):
    tables = [pd.DataFrame({"x": ["a", "b"]}), pd.DataFrame({"x": ["a", "c"]}), pd.DataFrame({"x": ["a"]})]
    folders[0].write_table("t.tsv", tables[0], {"x": "name"})
    for other in tables[1:]:
        folders[1].write_table("t.tsv", other, {"x": "name"})
        assert grade(folders, "t.tsv").grade == DIFFERENT


def test_fields_too_many_and_other_frames_of_a_picture_are_different(folders, rng):
    for folder, line in zip(folders, ("mean\t0.19", "0.71\tmean\t0.19"), strict=True):
        folder.write_text("t.tsv", f"fold\tr2\n{line}\n")
    assert grade(folders, "t.tsv").grade == DIFFERENT
    frames = [Image.fromarray(rng.integers(0, 255, (5, 6, 3), np.uint8)) for _ in range(2)]
    frames[0].save(folders[0].path("f.png"))
    frames[0].save(folders[1].path("f.png"), save_all=True, append_images=frames[1:], default_image=True)
    assert grade(folders, "f.png") == (DIFFERENT, "cannot be compared: holds more than one picture")
    folders[1].path("f.png").write_bytes(b"no picture")
    assert "no picture can be read" in grade(folders, "f.png").detail


@pytest.mark.parametrize("other", ["1.10", "01.1", "11e-1"])
def test_ids_that_are_the_same_number_are_different(folders, other):
    for folder, name in zip(folders, ("1.1", other), strict=True):
        folder.write_table("t.tsv", pd.DataFrame({"participant_id": [name]}), {"participant_id": "id"})
    assert grade(folders, "t.tsv").grade == DIFFERENT


def test_arrays_and_json_are_compared_by_value(folders):
    for factor, expected in ((1 + 1e-6, WITHIN), (1.01, DIFFERENT)):
        for folder, scale in zip(folders, (1, factor), strict=True):
            folder.write_arrays("s.npz", y=np.array([0.654321, 123.456]) * scale, idx=np.arange(3))
            folder.write_json("e.json", {"p": 0.654321 if scale == 1 else 0.654322 if scale < 1.001 else 0.7, "n": 3})
        assert grade(folders, "s.npz").grade == expected
        assert grade(folders, "e.json").grade == expected
    folders[1].write_json("e.json", {"p": 0.654321, "n": 4})
    assert grade(folders, "e.json").detail == "n: 4, recorded 3"
    folders[1].write_arrays("s.npz", y=np.array([0.654321, 123.456]), idx=np.arange(4))
    assert grade(folders, "s.npz").grade == DIFFERENT


def test_a_picture_may_differ_in_a_trace(folders, rng):
    pixels = rng.uniform(0.2, 0.8, (50, 60, 3))
    for change, expected in ((0, IDENTICAL), (3 / 255, WITHIN), (0.2, DIFFERENT)):
        other = pixels.copy()
        other[10, 10] += change
        for folder, content in zip(folders, (pixels, other), strict=True):
            plt.imsave(folder.path("f.png"), content)
        assert grade(folders, "f.png").grade == expected


def test_a_drawing_may_differ_in_the_last_digits_of_a_coordinate_and_in_ids(folders):
    text = (
        '<svg><g id="m1234567890"><path d="M 10.25 20.5"/></g><use href="#m1234567890"/><text>R2 {}</text></svg> p {}'
    )
    other_id = text.replace("m1234567890", "m0987654321")
    changes = (
        (text.format("0.2", "0.04"), IDENTICAL),
        (other_id.replace("10.25", "10.251").format("0.2", "0.0400001"), WITHIN),
        (text.replace("10.25", "11.25").format("0.2", "0.04"), DIFFERENT),
        # What is read as a number is none of a drawing.
        (text.format("0.21", "0.04"), DIFFERENT),
        (text.format("0.2", "0.05"), DIFFERENT),
        (text.replace("use", "line").format("0.2", "0.04"), DIFFERENT),
    )
    for name in ("f.svg", "f.html"):
        for changed, expected in changes:
            for folder, content in zip(folders, (text.format("0.2", "0.04"), changed), strict=True):
                folder.write_text(name, content)
            assert grade(folders, name).grade == expected
        assert grade(folders, name).detail == "'line' where 'use' is recorded"


def test_only_the_same_bytes_are_identical(folders, rng):
    """A key that is there twice shows a reader another number; a header may say anything."""
    for folder, text in zip(folders, ('{"p": 0.01,\n"p": 0.2}', '{"p": 0.2}'), strict=True):
        folder.write_text("e.json", text)
    assert grade(folders, "e.json").grade == DIFFERENT
    folders[0].write_text("e.json", '{"p":  0.2}')
    assert grade(folders, "e.json").grade == WITHIN
    for folder in folders:
        folder.write_map("w.nii.gz", np.arange(120.0), MASK)
    img = nibabel.load(folders[0].path("w.nii.gz"))
    img.header["descrip"] = b"of another study"
    nibabel.save(nibabel.Nifti1Image(np.asarray(img.dataobj), img.affine, img.header), folders[0].path("w.nii.gz"))
    assert grade(folders, "w.nii.gz").detail == "cannot be compared: another header"


def test_p_maps_may_differ_as_the_z_scores_that_they_stand_for(folders, rng):
    z = round_map(rng.normal(scale=2, size=120)).astype(float)
    step = map_step(np.abs(z).max())
    nearby = np.argmin(np.abs(np.abs(z) - 0.7))  # where p moves most with z
    for change, expected in ((0, IDENTICAL), (step, WITHIN), (5 * step, DIFFERENT)):
        other = z.copy()
        other[nearby] += change
        for folder, values in zip(folders, (z, other), strict=True):
            folder.write_image(
                "b_p.nii.gz", unmask(round_significant(2 * stats.norm.sf(np.abs(values))), MASK, outside=1)
            )
        assert grade(folders, "b_p.nii.gz").grade == expected


def test_signals_are_exact(folders, rng):
    signals = rng.normal(size=(5, 7)).astype(np.float32)
    other = signals.copy()
    other[2, 3] = np.nextafter(other[2, 3], np.float32(9))
    for folder, values in zip(folders, (signals, other), strict=True):
        np.save(folder.path("signals.npy"), values)
    found = grade(folders, "signals.npy")
    assert found.grade == DIFFERENT
    assert found.detail.startswith("1 of 35 values") and found.detail.endswith("first at (2, 3)")


def test_what_cannot_be_read_is_different(folders):
    for folder, text in zip(folders, ("{", "{}"), strict=True):
        folder.write_text("x.json", text)
    assert grade(folders, "x.json").grade == DIFFERENT


def test_a_fingerprint_moves_with_one_voxel_and_not_with_one_step(rng):
    values = round_map(rng.normal(size=60_000))
    before = fingerprint(values)
    other = values.copy()
    other[5] += 1
    moved = [abs(fingerprint(other)[f"projection_{k}"] - before[f"projection_{k}"]) for k in (1, 2, 3)]
    assert max(moved) > 2e-6
    other = values.copy()
    other[5] += map_step(np.abs(values).max())
    still = [abs(fingerprint(other)[f"projection_{k}"] - before[f"projection_{k}"]) for k in (1, 2, 3)]
    assert max(still) < 2e-6


def test_fingerprints_name_every_float_array(folders, rng):
    folder, _ = folders
    folder.write_map("w.nii.gz", rng.normal(size=120), MASK)
    folder.write_arrays("s.npz", y=rng.normal(size=4), idx=np.arange(3))
    folder.write_json("permutation.json", {"entries": [{"null": [0.25, 0.5], "n": 2}]})
    names = ["w.nii.gz", "s.npz", "permutation.json"]
    table = fingerprint_files(folder.partial, names)
    assert table[["file", "array", "shape"]].to_numpy().tolist() == [
        ["w.nii.gz", "voxels", "4x5x6"],
        ["s.npz", "y", "4"],
        ["permutation.json", "numbers", "2"],
    ]


def test_outputs_are_the_same_bytes_twice_and_replace_what_is_no_longer_written(folders, tmp_path, rng):
    values = rng.normal(size=120)
    for folder in folders:
        folder.write_map("w.nii.gz", values, MASK)
        folder.write_arrays("sub/s.npz", y=values)
        folder.write_json("e.json", {"b": 1, "a": 0.1})
    for name in ("w.nii.gz", "sub/s.npz", "e.json"):
        assert grade(folders, name).grade == IDENTICAL
    target = tmp_path / "cell"
    (target / "old").mkdir(parents=True)
    (target / "old" / "gone.txt").write_text("of an earlier run")
    folders[0].publish(target)
    assert sorted(path.name for path in target.rglob("*")) == ["e.json", "s.npz", "sub", "w.nii.gz"]
    assert json.loads((target / "e.json").read_text()) == {"a": 0.1, "b": 1}
    assert not folders[0].partial.exists()


def test_what_a_network_disk_kept_of_an_earlier_publication_stops_no_later_one(folders, tmp_path):
    folder, target = folders[0], tmp_path / "cell"
    target.mkdir()
    left = folder.partial.with_name(f"{folder.partial.name}.earlier")
    left.mkdir()
    (left / ".nfs0001").write_text("a file that was still open")
    folder.write_text("new.txt", "new")
    folder.publish(target)
    assert [path.name for path in target.iterdir()] == ["new.txt"]
    assert not left.exists()
