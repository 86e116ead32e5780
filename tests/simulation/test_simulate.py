"""The stand-in study has the study's facts, its planted patterns, and the same bytes everywhere."""

import hashlib
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from facepain.data.anatomy import find_m1, mni_affine, mni_shape
from facepain.simulation.design import FULL, SMALL
from facepain.simulation.draws import NORMAL_UNIT, draw_below, draw_bytes, draw_normal, open_stream
from facepain.simulation.images import FIELD_UNIT, draw_field, draw_images, draw_planted, pack_pair
from facepain.simulation.scores import PARTICIPANTS_COLUMNS, TRIALS_COLUMNS, draw_participants, draw_trials


@pytest.fixture(scope="module")
def participants():
    return draw_participants(FULL)


@pytest.fixture(scope="module")
def trials():
    return draw_trials(FULL)


@pytest.fixture(scope="module")
def usable(trials):
    return {name: rows for name, rows in trials[trials["excluded"] == ""].groupby("dataset")}


@pytest.fixture(scope="module")
def small_images():
    return dict(draw_images(SMALL))


def digest(content):
    return hashlib.sha256(content).hexdigest()[:16]


def intraclass_correlation(rows):
    groups = rows.groupby("participant_id")["facs"]
    sizes, total = groups.size(), len(rows)
    between = (sizes * (groups.mean() - rows["facs"].mean()) ** 2).sum() / (len(sizes) - 1)
    within = ((rows["facs"] - groups.transform("mean")) ** 2).sum() / (total - len(sizes))
    size = (total - (sizes**2).sum() / total) / (len(sizes) - 1)
    return (between - within) / (between + (size - 1) * within)


def test_participants_are_those_enrolled(participants):
    assert participants["participant_id"].tolist() == [f"sub-{k:03d}" for k in range(1, 56)]
    assert participants["sex"].value_counts().to_dict() == {"F": 28, "M": 27}
    assert (participants["age"].min(), participants["age"].max()) == (18, 53)
    ages = participants.groupby("dataset")["age"]
    np.testing.assert_allclose(ages.mean(), [23.4, 36.0], atol=0.6)
    np.testing.assert_allclose(ages.std(), [2.5, 10.9], atol=0.5)


def test_trials_are_complete_and_797_are_usable(trials, usable):
    assert len(trials) == 880
    assert not trials.duplicated(["participant_id", "trial"]).any()
    assert (trials["run"] == np.where(trials["trial"] <= 8, 1, 2)).all()
    assert {name: len(rows) for name, rows in usable.items()} == {"dataset-1": 533, "dataset-2": 264}
    counts = {name: rows.groupby("participant_id").size() for name, rows in usable.items()}
    assert {name: len(sizes) for name, sizes in counts.items()} == {"dataset-1": 34, "dataset-2": 18}
    for sizes in counts.values():
        assert set(sizes) == {8, 14, 15, 16}
        assert sizes.mode().item() == 16


def test_every_trial_without_an_image_is_excluded_and_some_excluded_have_one(trials):
    without_image = trials["contrast"] == ""
    assert set(trials["excluded"][without_image]) == {"no scan", "run aborted"}
    assert set(trials["excluded"][~without_image]) == {"", "motion"}
    assert (trials["excluded"] == "motion").sum() == 35


@pytest.mark.parametrize(
    ("dataset", "facts"),
    [
        ("dataset-1", dict(zeros=0.48, median=1, upper=6, mean=4.6, sd=7.7, top=43.3, parts=0.14, icc=0.73)),
        ("dataset-2", dict(zeros=0.57, median=0, upper=3, mean=3.0, sd=7.2, top=40.5, parts=0.05, icc=0.79)),
    ],
)
def test_scores_have_the_facts_of_the_study(usable, dataset, facts):
    rows = usable[dataset]
    facs = rows["facs"]
    assert (facs == 0).mean() == pytest.approx(facts["zeros"], abs=0.04)
    np.testing.assert_allclose(facs.quantile([0.25, 0.5, 0.75]), [0, facts["median"], facts["upper"]], atol=0.7)
    assert facs.mean() == pytest.approx(facts["mean"], abs=0.4)
    assert facs.std() == pytest.approx(facts["sd"], abs=0.5)
    assert facs.max() == pytest.approx(facts["top"], abs=0.05)
    assert (facs % 1 != 0).mean() == pytest.approx(facts["parts"], abs=0.02)
    assert intraclass_correlation(rows) == pytest.approx(facts["icc"], abs=0.06)
    people = rows.groupby("participant_id")["facs"]
    assert (people.max() == 0).sum() == 4
    assert 0.65 < np.corrcoef(people.mean(), people.std())[0, 1] < 0.97


def test_fractions_are_halves_thirds_and_quarters_or_tenths(usable):
    parts = {name: set((rows["facs"] % 1).round(2)) - {0.0} for name, rows in usable.items()}
    assert parts["dataset-1"] == {0.25, 0.33, 0.5, 0.67, 0.75}
    assert parts["dataset-2"] <= {tenth / 10 for tenth in range(1, 10)}


def test_first_trial_of_a_run_is_higher(usable):
    first, others = [], []
    for rows in usable.values():
        is_first = rows["trial"].isin([1, 9])
        first.extend(rows["facs"][is_first])
        others.extend(rows["facs"][~is_first])
    assert np.mean(first) == pytest.approx(5.3, abs=0.4)
    assert np.mean(others) == pytest.approx(4.0, abs=0.4)


def test_columns_are_described_and_called_synthetic(participants, trials):
    for table, description in ((participants, PARTICIPANTS_COLUMNS), (trials, TRIALS_COLUMNS)):
        assert list(table.columns) == [name for name in description if not name.startswith("_")]
        assert "Synthetic" in description["_notice"]["Description"]
    assert set(trials["excluded"]) - {""} == set(TRIALS_COLUMNS["excluded"]["Levels"])


def test_small_study_has_folds_and_every_kind_of_exclusion():
    trials = draw_trials(SMALL)
    assert set(trials["excluded"]) == {"", "motion", "no scan", "run aborted"}
    kept = trials[trials["excluded"] == ""]
    assert kept.groupby("dataset")["participant_id"].nunique().to_dict() == {"dataset-1": 8, "dataset-2": 6}


def test_images_are_those_that_the_trials_name(small_images):
    contrast = draw_trials(SMALL)["contrast"]
    assert list(small_images) == contrast[contrast != ""].tolist()
    volumes = list(small_images.values())
    assert len({volume.tobytes() for volume in volumes}) == len(volumes)


def test_images_are_zero_outside_a_voxel_around_the_brain_and_not_inside(small_images):
    support = draw_planted(SMALL).support
    volume = small_images["sub-001/sub-001_trial-01_con.hdr"]
    assert volume.dtype == np.int16 and volume.shape == mni_shape(6)
    assert not volume[~support].any()
    assert (volume[support] != 0).mean() > 0.99
    assert np.abs(volume).max() < 32_767


@pytest.mark.parametrize("width_mm", [6, 12, 24])
def test_fields_have_unit_variance_and_become_smooth_with_width(width_mm):
    fields = np.stack([draw_field(SMALL, width_mm, 99, k) for k in range(30)]) / FIELD_UNIT
    assert fields.std() == pytest.approx(1, abs=0.05)
    assert fields.mean() == pytest.approx(0, abs=0.05)
    # Two voxels apart; three passes over boxes of w voxels correlate as their triangles do.
    lag = np.mean(fields[:, 2:] * fields[:, :-2])
    kernel = np.ones(1)
    for _ in range(3):
        kernel = np.convolve(kernel, np.ones(max(width_mm // 6, 1)))
    expected = np.correlate(kernel, kernel, "full")
    centre = len(kernel) - 1
    shifted = expected[centre + 2] if centre + 2 < len(expected) else 0
    assert lag == pytest.approx(shifted / expected[centre], abs=0.05)


def test_noise_of_two_trials_is_independent(small_images):
    support = draw_planted(SMALL).support
    first, second, third = (
        small_images[f"sub-002/sub-002_trial-{trial:02d}_con.hdr"][support].astype(float) for trial in (2, 3, 4)
    )
    # Differences of trials share no participant; neighbouring ones share one trial: r = -1/2.
    assert np.corrcoef(first - second, second - third)[0, 1] == pytest.approx(-0.5, abs=0.15)


def test_score_pattern_spares_m1_and_is_distributed():
    pattern = draw_planted(FULL).patterns["score"]
    assert not pattern[find_m1(FULL.step_mm)].any()
    share = (pattern != 0).sum() / draw_planted(FULL).support.sum()
    assert 0.3 < share < 0.6


def test_score_pattern_is_recovered_within_participants(small_images):
    planted = draw_planted(SMALL)
    trials = draw_trials(SMALL)
    trials = trials[(trials["excluded"] == "") & (trials["dataset"] == "dataset-1")]
    X = np.stack([small_images[path][planted.support] for path in trials["contrast"]]).astype(float)
    groups = trials["participant_id"].to_numpy()
    y = trials["facs"].to_numpy()
    for name in np.unique(groups):
        X[groups == name] -= X[groups == name].mean(axis=0)
        y = np.where(groups == name, y - y[groups == name].mean(), y)
    slopes = y @ X / (y @ y)
    pattern = planted.patterns["score"][planted.support]
    others = [planted.patterns[name][planted.support] for name in ("mean", "nuisance", "age")]
    recovered = np.corrcoef([slopes, pattern, *others])[0, 1:]
    assert recovered[0] > 0.3
    assert recovered[0] > 2 * np.abs(recovered[1:]).max()


def test_pair_is_read_by_nibabel_as_written(tmp_path, small_images):
    volume = next(iter(small_images.values()))
    header, image = pack_pair(volume, 6)
    assert len(header) == 348 and header[344:] == b"ni1\0"
    assert len(image) == 2 * volume.size
    (tmp_path / "con.hdr").write_bytes(header)
    (tmp_path / "con.img").write_bytes(image)
    read = nib.load(tmp_path / "con.hdr")
    assert isinstance(read, nib.Nifti1Pair)
    np.testing.assert_array_equal(read.affine, mni_affine(6))
    for transform in (read.get_sform(coded=True), read.get_qform(coded=True)):
        np.testing.assert_allclose(transform[0], mni_affine(6), atol=1e-6)
        assert transform[1] == 4
    assert read.get_data_dtype() == np.dtype("<i2")
    assert (read.dataobj.slope, read.dataobj.inter) == (2**-11, 0)
    np.testing.assert_array_equal(read.dataobj.get_unscaled(), volume)
    np.testing.assert_array_equal(read.get_fdata(), volume / 2**11)
    assert "synthetic" in str(read.header["descrip"])


def test_volume_of_another_grid_is_refused():
    with pytest.raises(ValueError, match=r"volume is int16 of shape \(2, 3, 4\), expected int16 of shape \(31, 37"):
        pack_pair(np.zeros((2, 3, 4), np.int16), 6)


def test_draws_are_uniform_normal_and_differ_between_streams():
    below = draw_below(open_stream(1, 2), 5, 50_000)
    np.testing.assert_allclose(np.bincount(below) / 50_000, 0.2, atol=0.01)
    normal = draw_normal(open_stream(1, 3), 50_000) / NORMAL_UNIT
    assert abs(normal.mean()) < 0.02 and normal.std() == pytest.approx(1, abs=0.02)
    assert np.mean(np.abs(normal) > 1.96) == pytest.approx(0.05, abs=0.005)
    first, second = (draw_bytes(open_stream(1, key), 50_000) for key in (4, 5))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.02


def test_another_seed_gives_other_scores():
    other = draw_trials(replace(SMALL, seed=SMALL.seed + 1))
    assert not other["facs"].equals(draw_trials(SMALL)["facs"])


def test_bytes_of_the_tables_are_those_of_every_machine(participants, trials):
    assert digest(participants.to_csv(sep="\t", index=False).encode()) == "32e62b4575c26238"
    assert digest(trials.to_csv(sep="\t", index=False).encode()) == "62bb98cf52a60c94"


def test_bytes_of_the_small_images_are_those_of_every_machine(small_images):
    pairs = [b"".join(pack_pair(volume, SMALL.step_mm)) for volume in small_images.values()]
    assert digest(pairs[0]) == "5c5fc6344f06be01"
    assert digest(b"".join(pairs)) == "ea7e85fc4a328a19"


def test_bytes_of_a_full_image_are_those_of_every_machine():
    path, volume = next(draw_images(FULL))
    assert path == "sub-001/sub-001_trial-01_con.hdr"
    assert digest(b"".join(pack_pair(volume, FULL.step_mm))) == "b8fa4e299167311c"
