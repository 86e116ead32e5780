"""Kinds of faulty images and tables, each by a generator: what is read is right, or one line says what is wrong."""

import gzip
import json
import re
import unicodedata

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sound_study import AFFINE, SHAPE, Study

from check import check
from errors import InputError
from facepain.data.extraction import extract_signals, inspect_images, read_volumes
from facepain.data.images import Grid, forms_apart, open_image, read_scaled
from facepain.data.masks import load_mask, mask_on_grid
from facepain.data.quality import find_losses, screen_images
from facepain.data.trials import read_trials
from prep import find_images, is_synthetic, read_people

READ = {"analyze_orientation": "unknown", "mixed_grids": "refuse"}
QUICK = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def study(tmp_path, monkeypatch, rng):
    monkeypatch.chdir(tmp_path)
    return Study(tmp_path, rng)


def read_one(path, orientation="unknown"):
    ((_, values),) = read_volumes(inspect_images([path], READ | {"analyze_orientation": orientation}))
    return values


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image, nibabel.Nifti1Pair])
@pytest.mark.parametrize("dtype", ["i1", "u2", "i4", "i8", "f4", "f8", "c8", "c16", "rgb", "rgba"])
def test_real_numbers_of_any_type_are_read_and_no_others(tmp_path, kind, dtype):
    path = tmp_path / ("x.hdr" if kind is nibabel.Nifti1Pair else "x.nii")
    numbers = np.arange(60).reshape(3, 4, 5)
    colours = {"rgb": [(name, "u1") for name in "RGB"], "rgba": [(name, "u1") for name in "RGBA"]}
    values = np.zeros((3, 4, 5), colours[dtype]) if dtype in colours else numbers.astype(dtype)
    nibabel.save(kind(values, AFFINE, dtype=values.dtype), path)
    if dtype[0] in "iuf":
        np.testing.assert_array_equal(read_one(path), numbers)
    else:
        with pytest.raises(InputError, match=r"holds (complex numbers|colours).*; expected one real number a voxel"):
            read_one(path)


@given(position=st.floats(0.05, 1), bit=st.integers(0, 7))
@QUICK
def test_a_packed_image_with_a_flipped_bit_is_refused_or_read_as_it_was(tmp_path, position, bit):
    values = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    content = bytearray(gzip.compress(nibabel.Nifti1Image(values, AFFINE).to_bytes(), mtime=0))
    content[min(int(position * len(content)), len(content) - 1)] ^= 1 << bit
    path = tmp_path / "x.nii.gz"
    path.write_bytes(content)
    try:
        found = read_one(path)
    except InputError as error:
        assert "x.nii.gz" in str(error) and "\n" not in str(error)
        return
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image, nibabel.Nifti1Pair])
def test_an_image_without_codes_needs_a_choice_as_analyze_does(tmp_path, kind):
    path = tmp_path / ("x.hdr" if kind is nibabel.Nifti1Pair else "x.nii")
    nibabel.save(kind(np.ones((4, 5, 6), np.float32), None), path)
    with pytest.raises(InputError, match="sform_code = qform_code = 0, which leaves open where left is; set extract"):
        open_image(path)
    affines = [open_image(path, orientation)[1] for orientation in ("radiological", "neurological")]
    assert affines[0][0, 0] < 0 < affines[1][0, 0]
    np.testing.assert_array_equal(affines[0] * [[-1], [1], [1], [1]], affines[1])


@given(shift=st.floats(-20, 20), s_code=st.integers(0, 4), q_code=st.integers(0, 4))
@QUICK
def test_sform_and_qform_that_disagree_are_named_with_the_one_that_is_used(tmp_path, shift, s_code, q_code):
    header = nibabel.Nifti1Header()
    header.set_data_shape(SHAPE)
    moved = AFFINE + np.array([[0, 0, 0, shift]] + [[0] * 4] * 3)
    header.set_sform(AFFINE, s_code)
    header.set_qform(moved, q_code)
    path = tmp_path / "x.nii"
    path.write_bytes(nibabel.Nifti1Image(np.ones(SHAPE, np.float32), None, header).to_bytes())
    if not (s_code or q_code):
        return
    images = inspect_images([path], READ)
    if s_code and q_code and abs(shift) > 2e-3:
        (remark,) = images.remarks
        assert "sform and qform of 1 of 1 images disagree, by up to" in remark and "the sform is used" in remark
        assert np.isclose(forms_apart(nibabel.load(path)), abs(shift), atol=1e-4)
    elif abs(shift) < 5e-4 or not (s_code and q_code):
        assert not images.remarks
    used = AFFINE if s_code else moved
    np.testing.assert_allclose(images.grid.affine, used, atol=1e-4)


@given(shape=st.lists(st.integers(1, 32767), min_size=3, max_size=7), packed=st.booleans())
@QUICK
def test_a_header_that_promises_more_than_the_file_holds_is_refused_in_words(tmp_path, shape, packed):
    img = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.float32), AFFINE)
    content = bytearray(img.to_bytes())
    content[40:56] = np.array([len(shape), *shape] + [1] * (7 - len(shape)), "<i2").tobytes()
    path = tmp_path / ("x.nii.gz" if packed else "x.nii")
    path.write_bytes(gzip.compress(bytes(content)) if packed else bytes(content))
    if np.prod([float(length) for length in shape]) <= 8:
        return
    with pytest.raises(InputError, match=r"promises|has shape|cannot be read \(.+\)|damaged \(.+\)"):
        read_one(path)


def test_a_flipped_axis_is_named_in_words(study):
    for axis, words in enumerate(("its x axis is flipped: it runs from left to right", "its y axis", "its z axis")):
        flipped = AFFINE.copy()
        flipped[axis] *= -1
        study.save(4, np.ones(SHAPE), flipped)
        with pytest.raises(InputError, match=rf"con_4.hdr \({words}"):
            check(study.params)


def test_what_float32_cannot_hold_is_not_finite(tmp_path):
    values = np.ones((3, 4, 5))
    values[0, 0, 0], values[1, 1, 1] = 1e39, -1e300
    nibabel.save(nibabel.Nifti1Image(values, AFFINE), tmp_path / "x.nii")
    found = read_scaled(nibabel.load(tmp_path / "x.nii"))
    assert np.isnan(found).sum() == 2 and np.isfinite(found.astype(np.float32)).sum() == 58


def test_hidden_files_are_no_images(study):
    for name in ("._con_1.hdr", "._con_1.img", ".trash/con_9.nii"):
        path = study.images / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"\0\5\x16\7")
    assert not [name for name in find_images(study.images) if "._" in name or "trash" in name]
    check(study.params)


@given(st.integers(0, 2**32 - 1), st.sampled_from(["value", "missing"]))
@QUICK
def test_losses_agree_with_extraction_and_leaving_out_what_is_named_brings_what_is_promised(tmp_path, seed, zeros):
    rng = np.random.default_rng(seed)
    grid = Grid((4, 5, 6), np.diag([-3.0, 3, 3, 1]))
    mask = rng.random(grid.shape) < 0.6
    volumes = rng.normal(size=(6, *grid.shape))
    for values in volumes[rng.random(6) < 0.6]:
        values[rng.random(grid.shape) < rng.choice([0.02, 0.2])] = rng.choice([0, np.nan, np.inf])
    screen = screen_images([(None, values) for values in volumes], mask, grid, lambda: None)
    within = rng.random(mask.sum()) < 0.7
    losses = find_losses(screen, within, zeros)
    lacking = ~np.isfinite(volumes[:, mask][:, within])
    if zeros == "missing":
        lacking |= volumes[:, mask][:, within] == 0
    np.testing.assert_array_equal(losses.kept, ~lacking.any(axis=0))
    named = [row for row, *_ in losses.costly]
    rest = np.delete(lacking, named, axis=0)
    assert losses.gained == lacking.any(axis=0).sum() - rest.any(axis=0).sum()
    for row, n_lacking, alone in losses.costly:
        assert n_lacking == lacking[row].sum()
        assert alone == lacking.any(axis=0).sum() - np.delete(lacking, row, axis=0).any(axis=0).sum()


def test_check_counts_the_voxels_that_extraction_drops_and_names_the_images_that_cost_them(study, capsys):
    img = nibabel.load(study.images / "con_5.hdr")
    values = img.get_fdata()
    values[0, 0, 0] = 0  # stored as floats
    values[4:6] = np.nan
    study.save(5, values)
    check(study.params)
    said = capsys.readouterr().out
    images = inspect_images([study.images / name for name in find_images(study.images)], study.params["extract"])
    mask, _ = mask_on_grid(load_mask("M1", study.params["extract"]["mask_files"]), images.grid, "M1")
    _, finite = extract_signals(images, mask, np.empty((12, mask.sum()), np.float32), lambda: None)
    n_lost = (~finite).sum()
    assert f"M1: {n_lost} voxels without a value in some image are excluded, {finite.sum()} are left" in said
    assert f"con_5.hdr (sub-05 trial 1): {n_lost} voxels, {n_lost} of them in no other image" in said
    assert f"without 1 image(s) {n_lost} voxels would come back" in said


def test_copies_zeros_and_resampled_images_are_named(study, capsys):
    values = nibabel.load(study.images / "con_3.hdr").get_fdata()
    study.save(5, values)
    values = nibabel.load(study.images / "con_7.hdr").get_fdata()
    values[:, 8:] = 0
    study.save(7, values)
    moved = AFFINE.copy()
    moved[1, 3] += 9
    study.save(9, nibabel.load(study.images / "con_9.hdr").get_fdata(), moved)
    study.params["extract"]["mixed_grids"] = "continuous"
    study.params["extract"]["min_coverage"] = 0
    check(study.params)
    said = capsys.readouterr().out
    assert "con_5.hdr (sub-05 trial 1): its values are those of inputs/contrasts/con_3.hdr (sub-03 trial 1)" in said
    assert "con_7.hdr (sub-07 trial 1): exactly 0 in" in said and 'set extract.zeros = "missing"' in said
    assert "1 of them resampled to it (1 of dataset-2; continuous)" in said


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("participant_id\tgroup\nsub-00\tcaf\xe9\n".encode("latin-1"), "not UTF-8 text"),
        (b"participant_id\tage\nsub-00\t3\tleft\n", "line 2 has 3 fields, the first has 2"),
        (b"participant_id\tage\nsub-00\n", "line 2 has 1 fields, the first has 2"),
        (b"", "not a table"),
        (b"participant_id\tage\n", "has no rows"),
        (b"participant_id\tage\nsub-00\t3\nsub-00\t4\n", 'participant "sub-00" is duplicated'),
        (
            b"participant_id\tage\n0\t3\n",
            r"lacks 12 participant\(s\) with usable trials: sub-00, .*, or correct the ids",
        ),
        (b"participant_id\tage\nNA\t3\n", 'line 2 has participant_id "NA", which means missing'),
        (b"participant_id\tage\nSUB-00\t3\n", '"SUB-00" and "sub-00" differ only in case'),
    ],
)
def test_a_table_of_participants_that_prep_refuses_is_refused_by_check(study, content, message):
    (study.behavior / "participants.tsv").write_bytes(content)
    for read in (check, lambda params: read_people(read_trials(study.table, "facs"))):
        with pytest.raises(InputError, match=message):
            read(study.params)


@pytest.mark.parametrize("content", [b'\xef\xbb\xbf{"Synthetic": true}', b'{"Synthetic": true}'])
def test_a_byte_order_mark_in_a_description_changes_nothing(study, content):
    (study.behavior / "dataset_description.json").write_bytes(content)
    assert is_synthetic(study.behavior)
    (study.behavior / "dataset_description.json").write_bytes(content[:-1])
    with pytest.raises(InputError, match="not valid JSON"):
        check(study.params)


NAMES = st.text(st.sampled_from("aA1\uff11.é e\u0301-0"), min_size=1, max_size=4).filter(str.strip)


@given(names=st.lists(NAMES, min_size=2, max_size=4, unique=True))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_id_stays_its_own_text_or_two_spellings_are_named(tmp_path, names):
    path = tmp_path / "t.tsv"
    path.write_text("participant_id\tfacs\tcontrast\n" + "".join(f"{n}\t1\t{i}\n" for i, n in enumerate(names)))
    try:
        found = read_trials(path, "facs")["participant_id"].tolist()
    except InputError as error:
        both = [name for name in names if f'"{name}"' in str(error)]
        assert len(both) >= 2 and "differ only in case, blanks or the form" in str(error)
        return
    assert found == [name.strip() for name in names]
    assert len({unicodedata.normalize("NFKC", "".join(name.split()).casefold()) for name in found}) == len(found)


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0\t\r\n"), max_size=6)


@given(rows=st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=5), separator=st.sampled_from("\t,;"))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_line_of_a_table_is_swallowed(tmp_path, rows, separator):
    """Quotes wherever they are: each line is a trial, or its number is in the message."""
    path = tmp_path / "t.tsv"
    lines = [separator.join((f"p{i}", "1.5", "x", reason, note)) for i, (reason, note) in enumerate(rows)]
    header = separator.join(("participant_id", "facs", "contrast", "excluded", "note"))
    path.write_text("\n".join([header, *lines]), newline="")
    try:
        trials = read_trials(path, "facs")
    except InputError as error:
        assert "line " in str(error) and "\n" not in str(error)
        return
    assert trials["participant_id"].tolist() == [f"p{i}" for i in range(len(rows))]
    if separator == "\t":
        assert trials["note"].tolist() == [_plain(note) for _, note in rows]


def _plain(text):
    return "" if text.strip().lower() in ("n/a", "na", "nan", "null", "#n/a") else text.strip()


@pytest.mark.parametrize(
    "value",
    [
        "0",
        "1",
        "0.0",
        "False",
        "TRUE",
        "no",
        "None",
        "n",
        "-",
        "keep",
        "+1",
        "00",
        "2",
        "?",
        "not excluded",
        "good",
        "non",
    ],
)
def test_a_column_of_exclusions_that_looks_logical_is_refused(study, value):
    study.set(3, "excluded", value)
    with pytest.raises(
        InputError, match=rf'line 5 has "{re.escape(value)}" .*expected a reason in words, such as motion'
    ):
        check(study.params)


@given(
    group=st.lists(
        st.none() | st.booleans() | st.floats() | st.integers() | st.just("a") | st.lists(st.none()), max_size=2
    ),
    doubled=st.booleans(),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_groups_of_a_dictionary_are_texts_as_written(tmp_path, group, doubled):
    path = tmp_path / "d.json"
    text = json.dumps({"target": list(range(len(group))), "group": group, "data": [str(i) for i in range(len(group))]})
    path.write_text(text[:-1] + ', "data": []}' if doubled else text)
    plain = [each if isinstance(each, str) else json.dumps(each) for each in group]
    try:
        trials = read_trials(path, "facs")
    except InputError as error:
        assert "\n" not in str(error)
        assert doubled or not group or not all(type(each) in (str, int, float) and each == each for each in group)
        assert not doubled or 'key "data" is duplicated' in str(error)
        return
    assert not doubled and trials["participant_id"].tolist() == plain


def test_rows_that_differ_only_in_the_number_of_the_trial_are_refused(study):
    study.rows.append([*study.rows[4][:2], "2", *study.rows[4][3:]])
    study.write_table()
    with pytest.raises(
        InputError, match=r"same but for the number of their trial: sub-04 trial 1 \(line 6\), .*line 14"
    ):
        check(study.params)


def test_a_series_asks_for_a_column_volume(study):
    nibabel.save(nibabel.Nifti1Pair(np.ones((*SHAPE, 3), np.float32), AFFINE), study.images / "con_4.hdr")
    with pytest.raises(InputError, match=r"con_4.hdr: has shape .* in a column volume of the table"):
        check(study.params)
