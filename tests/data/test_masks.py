"""Masks: what their definitions mean, where they lie on the images' grid, how much of them the images hold."""

import contextlib
from dataclasses import replace

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from errors import InputError
from facepain.data.anatomy import find_brain, mni_affine
from facepain.data.images import Grid, open_image
from facepain.data.mask_expressions import definitions_used, mask_files, parse_definition
from facepain.data.masks import Mask, describe_size, load_mask, look_up, mask_on_grid, require_coverage
from provenance.declare import Options
from provenance.repository import ROOT
from stages import STUDY

SHAPE = (7, 8, 9)
AFFINE = np.array([[-3.0, 0, 0, 9], [0, 3, 0, -12], [0, 0, 3, -12], [0, 0, 0, 1]])
GRID = Grid(SHAPE, AFFINE)


@pytest.fixture
def atlas(tmp_path, monkeypatch):
    """An atlas with the labels 1 to 3 in thirds along z and the label 9 in one voxel; its folder is current."""
    labels = np.broadcast_to(np.arange(9) // 3 + 1, SHAPE).astype(np.int16).copy()
    labels[0, 0, 0] = 9
    monkeypatch.chdir(tmp_path)
    nibabel.save(nibabel.Nifti1Image(labels, AFFINE), "atlas.nii.gz")
    return labels


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        ("atlas.nii.gz > 0", lambda labels: labels > 0),
        ("atlas.nii.gz: 2", lambda labels: labels == 2),
        ("atlas.nii.gz: 2, 9", lambda labels: np.isin(labels, (2, 9))),
        ("atlas.nii.gz >= 1 and not low", lambda labels: labels != 1),
        ("atlas.nii.gz: 1, 2 and not low", lambda labels: labels == 2),
        ("atlas.nii.gz > 0.5 and low", lambda labels: labels == 1),
        ("low and not atlas.nii.gz: 2 and not atlas.nii.gz: 9", lambda labels: labels == 1),
    ],
)
def test_a_definition_means_what_it_says(atlas, definition, expected):
    mask = load_mask("mine", {"mine": definition, "low": "atlas.nii.gz: 1"})
    np.testing.assert_array_equal(mask.inside, expected(atlas))


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        ("nowhere.nii", r"nowhere.nii: not a readable mask"),
        ("cortex", '"cortex" is no mask; expected a NIfTI file by path, or one of gray-matter, harvard-oxford'),
        ("/data/mask.nii", "lies outside of this repository; copy it in"),
        ("../mask.nii", "lies outside of this repository"),
        ("not whole-brain", 'begins with "not"'),
        ("whole-brain and", '"whole-brain and" is no mask'),
        ("atlas.nii.gz", r"holds 4 values from 1 to 9; expected 0 and 1, .* threshold, .*\"atlas.nii.gz: 1, 2\""),
        ("atlas.nii.gz > high", r'"> high" is no threshold; expected > or >= and a number'),
        ("atlas.nii.gz < 2", r'"< 2" is no threshold'),
        ("atlas.nii.gz: 1 > 0", "a threshold is for the values of one file"),
        ("whole-brain > 0.5", "a threshold is for the values of one file"),
        ("atlas.nii.gz:", "is empty somewhere"),
        ("atlas.nii.gz: 1,,2", "is empty somewhere"),
        ("atlas.nii.gz: 5", "atlas.nii.gz: has no label 5; expected labels that it holds, such as 1, 2, 3, 9"),
        ("atlas.nii.gz: precentral", 'label "precentral" is no number'),
        ("whole-brain: 3", '"whole-brain" has no labels'),
        ("harvard-oxford", "names no label of the atlas"),
        ("harvard-oxford: precentrum", 'has no label "precentrum"; expected such as "Precentral Gyrus"'),
        ("other", "mine and other name each other|other and mine name each other"),
        ("atlas.nii.gz: 1 and atlas.nii.gz: 2", "is empty; expected voxels inside of it"),
    ],
)
def test_a_mistake_in_a_definition_is_named(atlas, definition, message):
    definitions = {"mine": definition, "other": "mine"}
    with pytest.raises(InputError, match=message) as raised:
        definitions_used("mine", definitions)
        load_mask("mine", definitions)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_no_image_or_a_series_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.nii").write_text("no image")
    nibabel.save(nibabel.Nifti1Image(np.ones((*SHAPE, 2), np.uint8), AFFINE), "series.nii")
    for name, message in (
        ("text.nii", "not a readable mask"),
        ("series.nii", r"not a readable mask \(has shape 7 x 8 x 9 x 2; expected one volume"),
    ):
        with pytest.raises(InputError, match=f"{name}: {message}"):
            load_mask("mine", {"mine": name})


def test_a_name_used_in_its_own_definition_means_what_is_packaged():
    mask = load_mask("whole-brain", {"whole-brain": "whole-brain"})
    np.testing.assert_array_equal(mask.inside, find_brain())


def test_gray_matter_lies_in_the_brain_and_is_about_half_of_it():
    gray = load_mask("gray-matter", {"gray-matter": "gray-matter"})
    brain = look_up(Mask(find_brain(1), mni_affine(1)), Grid(gray.inside.shape, gray.affine))
    assert (gray.inside & brain).sum() > 0.97 * gray.inside.sum()
    assert 0.4 < gray.inside.sum() / brain.sum() < 0.85


@pytest.mark.slow
def test_the_precentral_gyrus_of_harvard_oxford_lies_where_the_hand_is():
    mask = load_mask("M1", {"M1": "harvard-oxford: Precentral Gyrus"})
    left = load_mask("M1", {"M1": "harvard-oxford: left precentral gyrus"})
    mm = np.argwhere(mask.inside) @ mask.affine[:3, :3].T + mask.affine[:3, 3]
    # The hand knob, and a place in the occipital lobe.
    assert np.linalg.norm(mm - (-38, -22, 56), axis=1).min() < 3
    assert np.linalg.norm(mm - (10, -90, 0), axis=1).min() > 40
    assert 50_000 < mask.inside.sum() < 90_000
    assert left.inside.sum() == pytest.approx(mask.inside.sum() / 2, rel=0.1)
    assert ((np.argwhere(left.inside) @ left.affine[:3, :3].T + left.affine[:3, 3])[:, 0] < 2).all()
    both = load_mask("V", {"V": "harvard-oxford: Lateral Ventricle"}).inside.sum()
    sides = (load_mask("V", {"V": f"harvard-oxford: {side} Lateral Ventricle"}) for side in ("Left", "Right"))
    assert both == sum(side.inside.sum() for side in sides)
    numbers = load_mask("M1", {"M1": "harvard-oxford: 12, 13"})
    np.testing.assert_array_equal(numbers.inside, mask.inside)


def test_a_mask_is_looked_up_by_nearest_neighbour_whatever_its_axes(rng):
    original = rng.random(SHAPE) > 0.5
    inside, coverage = mask_on_grid(Mask(original, AFFINE), GRID, "m")
    np.testing.assert_array_equal(inside, original)
    assert coverage == 1
    flipped = AFFINE @ np.array([[-1, 0, 0, SHAPE[0] - 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    np.testing.assert_array_equal(mask_on_grid(Mask(original[::-1], flipped), GRID, "m")[0], original)
    swapped = AFFINE[:, [1, 0, 2, 3]]
    np.testing.assert_array_equal(mask_on_grid(Mask(original.swapaxes(0, 1), swapped), GRID, "m")[0], original)


def test_coverage_is_the_share_of_the_mask_inside_the_images():
    full = Mask(np.ones(SHAPE, bool), AFFINE)
    half = Grid((7, 4, 9), AFFINE)
    inside, coverage = mask_on_grid(full, half, "m")
    assert inside.all() and coverage == 0.5
    with pytest.raises(InputError, match=r"mask m: 50% of it lies in the images; expected 60% or more"):
        require_coverage("m", coverage, 0.6)
    require_coverage("m", coverage, 0.5)


def test_a_mask_that_misses_the_images_stops():
    away = AFFINE.copy()
    away[:3, 3] += 500
    with pytest.raises(InputError, match=r"mask m: empty on the images' grid .* 504 voxels on its own"):
        mask_on_grid(Mask(np.ones(SHAPE, bool), AFFINE), Grid(SHAPE, away), "m")


def test_a_cell_reads_the_files_of_its_mask_and_sees_its_definitions_alone():
    params = STUDY.load_params(ROOT / "code/params.toml")
    study = replace(STUDY, load_params=lambda path: params)
    definitions = {
        "whole-brain": "whole-brain",
        "M1": "masks/atlas.nii.gz: 1",
        "without-M1": "inputs/masks/b.nii and not M1",
    }
    params["extract"]["mask_files"] = definitions
    assert mask_files("without-M1", definitions) == ["inputs/masks/b.nii", "masks/atlas.nii.gz"]
    cells = {name: study.cell(Options(), "extract", name) for name in definitions}
    assert cells["whole-brain"].reads == ("outputs/prep/trials.tsv", "inputs/contrasts")
    assert cells["without-M1"].reads[2:] == ("inputs/masks", "masks/atlas.nii.gz")
    assert set(cells["without-M1"].settings["mask_files"]) == {"M1", "without-M1"}
    params["extract"]["target_grid"] = "grid.nii"
    assert study.cell(Options(), "extract", "whole-brain").reads[2:] == ("grid.nii",)


def test_terms_keep_their_labels_and_their_not():
    first, second = parse_definition("m", "a.nii and not b.nii.gz: 1, 2")
    assert (first.source, first.labels, first.negated) == ("a.nii", (), False)
    assert (second.source, second.labels, second.negated) == ("b.nii.gz", ("1", "2"), True)


@given(
    st.lists(
        st.sampled_from(["and", "not", "a.nii", "b.nii.gz", ":", ">", ">=", "0.5", "3", ",", "whole-brain", "x", ""]),
        max_size=8,
    ).map(" ".join)
    | st.text(max_size=30)
)
@settings(max_examples=300, deadline=None)
def test_any_definition_has_a_meaning_or_is_refused_in_one_line(definition):
    try:
        terms = parse_definition("mine", definition)
        mask_files("mine", {"mine": definition})
    except InputError as error:
        assert "expected" in str(error) or "repository" in str(error)
        return
    assert terms and not terms[0].negated
    for term in terms:
        assert term.source and not set(":<>=") & set(term.source)
        assert not (term.labels and term.comparison) and np.isfinite(term.threshold)


@given(
    background=st.sampled_from([0.0, -1.0, 0.01]),
    inside=st.sampled_from([1.0, 255.0, 2.0, 0.7, -1.0]),
    spread=st.sampled_from([0.0, 0.2]),
    nan=st.booleans(),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_only_0_and_1_make_a_mask_unless_a_threshold_is_given(tmp_path, background, inside, spread, nan):
    values = np.full(SHAPE, background)
    values[2:5] = inside + spread * np.arange(3)[:, None, None]
    values[6] = np.nan if nan else background
    path = f"{tmp_path.name}.nii.gz"
    with contextlib.chdir(tmp_path):
        nibabel.save(nibabel.Nifti1Image(values, AFFINE), path)
        if background == 0 and inside in (1, 255) and not spread:
            np.testing.assert_array_equal(load_mask("m", {"m": path}).inside, values == inside)
        else:
            with pytest.raises(InputError, match=rf'expected 0 and 1.*threshold, "{path} > 0.5"'):
                load_mask("m", {"m": path})
        above = load_mask("m", {"m": f"{path} > -2"}).inside
        np.testing.assert_array_equal(above, ~np.isnan(values))


@pytest.mark.parametrize("kind", [nibabel.AnalyzeImage, nibabel.Nifti1Pair, nibabel.Nifti1Image])
def test_left_and_right_of_a_mask_are_a_choice_where_its_header_leaves_them_open(tmp_path, monkeypatch, kind):
    """The mask lies at the lowest x index: at the right of the head where x runs from right to left."""
    monkeypatch.chdir(tmp_path)
    values = np.zeros(SHAPE, np.uint8)
    values[:2] = 1
    img = kind(values, None)
    img.header.set_zooms((3, 3, 3))
    path = "m.nii" if kind is nibabel.Nifti1Image else "m.hdr"
    nibabel.save(img, path)
    with pytest.raises(InputError, match=rf"{path}: not a readable mask .*leaves open where left is; set extract"):
        load_mask("m", {"m": path})
    for orientation, side in (("radiological", 1), ("neurological", -1)):
        mask = load_mask("m", {"m": path}, orientation)
        voxels = np.argwhere(mask.inside) @ mask.affine[:3, :3].T + mask.affine[:3, 3]
        assert np.sign(voxels[:, 0].mean()) == side
        _, affine = open_image(path, orientation)
        np.testing.assert_array_equal(affine, mask.affine)


@pytest.mark.parametrize(
    ("name", "n_cm3", "words"),
    [
        ("whole-brain", 300, "much less than a brain"),
        ("whole-brain", 1800, ""),
        ("M1", 7, ""),
        ("M1", 0.1, "much less than an area of the brain"),
        ("M1", 4000, "much more than a brain"),
    ],
)
def test_a_mask_of_another_size_than_a_brain_or_an_area_is_doubted(name, n_cm3, words):
    inside = np.zeros(4000 * 10, bool)
    inside[: int(n_cm3 * 10)] = True
    found = describe_size(name, Mask(inside.reshape(40, 100, 10), np.diag([5.0, 5, 4, 1])))
    assert words in found and bool(words) == bool(found)
