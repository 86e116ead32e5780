"""Every mistake is met with one line that names file, value, expectation and mend; nothing is written."""

import gzip
import hashlib
import json
import re

import nibabel
import numpy as np
import pytest
from sound_study import AFFINE, COLUMNS, N_PARTICIPANTS, SHAPE, Study

from check import check
from errors import InputError
from facepain.data.extraction import inspect_images, read_volumes
from facepain.data.image_names import match_images, name_images
from facepain.data.trials import read_trials
from prep import join_trials


@pytest.fixture
def study(tmp_path, monkeypatch, rng):
    monkeypatch.chdir(tmp_path)
    return Study(tmp_path, rng)


def digest(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(str(path), path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files]


def test_a_sound_study_is_reported_without_a_warning_and_nothing_is_written(study, capsys):
    study.set(3, "excluded", "motion")
    before = digest(study.folder)
    check(study.params)
    said = capsys.readouterr().out
    assert "dataset-1: 7 of 8 usable, 7 of 8 participants; facs 0.5 to 7.5" in said
    assert "excluded: 1 trial(s) of 1 participant(s): motion" in said
    assert "trained on dataset-1 in 5 folds; tested on dataset-2" in said
    assert "11 on the grid 11 x 13 x 11 voxels of 18 x 18 x 18 mm from (90, -126, -72), 0 of them resampled" in said
    assert re.search(r"mask      whole-brain: \d+ voxels, 100% of it lies in the images", said)
    assert "0 warning(s)" in said and "GB of disk" in said
    assert digest(study.folder) == before


def change(column, value, row=2):
    return lambda study: study.set(row, column, value)


def params(*keys, value):
    def spoil(study):
        table = study.params
        for key in keys[:-1]:
            table = table[key]
        table[keys[-1]] = value

    return spoil


def write(name, content):
    return lambda study: (study.folder / name).write_bytes(content)


def remove(name):
    return lambda study: (study.folder / name).unlink()


def cut(name, share=0.5):
    def spoil(study):
        path = study.folder / name
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])

    return spoil


def other_grid(study):
    moved = AFFINE.copy()
    moved[1, 3] += 18
    study.save(4, np.ones(SHAPE), moved)


def as_analyze(study):
    img = nibabel.AnalyzeImage(np.ones(SHAPE, np.float32), None)
    for ending in ("hdr", "img"):
        (study.images / f"con_4.{ending}").unlink()
    nibabel.save(img, study.images / "con_4.hdr")


def table_of(text):
    return write("inputs/behavior/trials.tsv", text.encode())


def leave_in_dataset_1(n):
    def spoil(study):
        for row in study.rows[n:8]:
            row[COLUMNS.index("excluded")] = "motion"
        study.write_table()

    return spoil


def exclude_all(study):
    for row in study.rows:
        row[-1] = "motion"
    study.write_table()


def lay_masks_elsewhere(study):
    away = AFFINE.copy()
    away[:3, 3] += 4000
    nibabel.save(nibabel.Nifti1Image(np.ones(SHAPE, np.uint8), away), "away.nii")
    study.params["extract"]["mask_files"]["M1"] = "away.nii"


def lay_masks_half_outside(study):
    away = AFFINE.copy()
    away[1, 3] += 18 * 9
    nibabel.save(nibabel.Nifti1Image(np.ones(SHAPE, np.uint8), away), "half.nii")
    study.params["extract"]["mask_files"]["M1"] = "half.nii"


def scatter_missing(study):
    for number in range(N_PARTICIPANTS):
        values = np.ones(SHAPE, np.float32) * np.arange(SHAPE[0])[:, None, None]
        values[number % SHAPE[0]] = np.nan
        img = nibabel.Nifti1Pair(values, AFFINE)
        nibabel.save(img, study.images / f"con_{number}.hdr")


def name_signatures(content):
    def spoil(study):
        folder = study.folder / "inputs/signatures"
        folder.mkdir()
        (folder / "signatures.tsv").write_text(content)
        study.params["similarity"]["signatures"] = "inputs/signatures/signatures.tsv"
        del study.params["similarity"]["networks"]

    return spoil


def count_by_run(study):
    study.rows = [[f"sub-{number // 2:02d}", *row[1:], str(1 + number % 2)] for number, row in enumerate(study.rows)]
    study.write_table([*COLUMNS, "run"])


HEADER = "\t".join(COLUMNS)
MISTAKES = {
    "a missing .img": (
        remove("inputs/contrasts/con_3.img"),
        r"con_3.img: missing beside its .hdr; fetch it .* or restore it",
    ),
    "a truncated .img": (
        cut("inputs/contrasts/con_3.img"),
        r"con_3.img: truncated, \d+ bytes where its header promises \d+; restore",
    ),
    "a truncated .hdr": (
        cut("inputs/contrasts/con_3.hdr"),
        r"con_3.hdr: not a readable image .*; expected NIfTI or Analyze",
    ),
    "an empty .hdr": (write("inputs/contrasts/con_3.hdr", b""), "con_3.hdr: not a readable image"),
    "an image on another grid": (
        other_grid,
        r"1 of 12 images lie on another grid than \S+con_0.hdr .*con_4.hdr .*; correct them, or set",
    ),
    "an image that does not say where left is": (
        as_analyze,
        "con_4.hdr: has no NIfTI header, .* set extract.analyze_orientation",
    ),
    "a usable trial without an image": (
        change("contrast", "con_99.hdr"),
        r"1 usable .* without an image: sub-02 trial 1 \(con_99.hdr\); 1 image.* without a trial: con_2.hdr",
    ),
    "an image without a trial": (
        lambda study: study.save(50, np.ones(SHAPE)),
        r"1 image\(s\) without a trial: con_50.hdr .*; restore the images, correct",
    ),
    "two trials that share an image": (
        change("contrast", "con_1.hdr"),
        "con_1.hdr belongs to more than one trial; .* correct the table",
    ),
    "a duplicate trial": (
        change("participant_id", "sub-01"),
        r"a trial is duplicated: sub-01 trial 1 \(line 3\), .*line 4",
    ),
    "trials counted anew in each run": (
        count_by_run,
        r"a trial is duplicated: sub-00 trial 1 .*; trials are counted over the runs .*: number those of later runs on",
    ),
    "a participant in two datasets": (
        lambda study: (study.set(1, "trial", "2"), study.set(1, "participant_id", "sub-09")),
        "sub-09 is in more than one dataset; give",
    ),
    "a score that is no number": (
        change("facs", "high"),
        r'facs of sub-02 trial 1 \(line 4\) is "high"; expected a finite number; correct',
    ),
    "a score that is not finite": (change("facs", "-inf"), r'\(line 4\) is "-inf"; expected a finite number'),
    "a score that is missing": (change("facs", "n/a"), r'\(line 4\) is "n/a"; expected a finite number'),
    "a decimal comma": (change("facs", "3,5"), 'is "3,5"; expected a finite number; write decimals with a point'),
    "a score outside the range": (
        change("facs", "-3"),
        "facs of sub-02 trial 1 is -3; expected 0 to inf; correct the table, exclude",
    ),
    "scores that never change": (
        lambda study: [study.set(row, "facs", "1") for row in range(N_PARTICIPANTS)],
        "facs is 1 in every usable trial; expected scores",
    ),
    "a trial that is no number": (change("trial", "first"), 'line 4 has trial "first"; expected a whole number'),
    "a trial that counts as missing": (change("trial", "n/a"), 'line 4 has trial "n/a"; expected a whole number'),
    "swapped columns": (
        lambda study: study.write_table(["facs", "dataset", "trial", "participant_id", "contrast", "excluded"]),
        'is "sub-00"; expected a finite number',
    ),
    "a column that is not there": (
        lambda study: study.write_table([*COLUMNS[:3], "score", *COLUMNS[4:]]),
        'has no column "facs"; found participant_id, .* score',
    ),
    "a column that stands twice": (
        lambda study: study.write_table([*COLUMNS[:3], "facs", "facs", "x"]),
        'column "facs" is duplicated; .* rename',
    ),
    "a line with too few fields": (
        table_of(f"{HEADER}\nsub-01\tdataset-1\t1\n"),
        "line 2 has 3 fields, the first has 6; expected",
    ),
    "a line with too many fields": (
        table_of(f"{HEADER}\n" + "x\t" * 6 + "x\n"),
        "line 2 has 7 fields, the first has 6",
    ),
    "no separator": (
        table_of("participant_id facs contrast\nsub-01 3 con_1.hdr\n"),
        r'not a table, its first line is "participant_id facs',
    ),
    "a table without lines": (table_of(f"{HEADER}\n"), "has no rows; expected one line a trial"),
    "an empty table": (table_of(""), 'not a table, its first line is ""'),
    "a table that is no text": (
        write("inputs/behavior/trials.tsv", b"PK\x03\x04\xff\xfe\x00"),
        "not UTF-8 text .*save it as UTF-8",
    ),
    "a table that is not there": (
        remove("inputs/behavior/trials.tsv"),
        "trials.tsv: no such table; correct prep.table",
    ),
    "a table that no record would name": (
        params("prep", "table", value="trials.tsv"),
        'prep.table = "trials.tsv" does not lie in inputs/behavior, whose commit the record of a result holds',
    ),
    "a confound that no table has": (params("regress", "confounds", value=["age"]), 'relate.columns names "age"'),
    "a confound that is no number": (
        params("regress", "confounds", value=["dataset"]),
        'column "dataset" is "dataset-1" for participant sub-00, trial 1; expected a number for every usable trial',
    ),
    "a table of signatures that names none": (name_signatures("name\tfile\n"), "signatures.tsv: has no rows"),
    "a signature that is not there": (
        name_signatures("name\tfile\na\tmap.nii\n"),
        "map.nii: not a readable map .*; correct the file, or signatures.tsv",
    ),
    "a folder for a table": (
        params("prep", "table", value="inputs/behavior"),
        "inputs/behavior: is a folder; expected a table",
    ),
    "every trial excluded": (exclude_all, "trials.tsv: every trial is excluded; expected usable ones"),
    "fewer participants than folds": (
        lambda study: (
            leave_in_dataset_1(3)(study),
            study.params["regress"].setdefault("cross_validation", {}).update(scheme="group-kfold"),
        ),
        "3 participants",
    ),
    "fewer participants than may be shown": (
        params("min_participants", value=9),
        "the training dataset has 8 usable participants, fewer than min_participants = 9",
    ),
    "fewer participants than inner folds": (
        leave_in_dataset_1(3),
        "tune.grid.n_folds = 3 needs as many participants in every training fold, one holds 2; lower it",
    ),
    "a dataset of too few to be told apart": (
        lambda study: (
            [study.set(row, "dataset", "dataset-1") for row in (8, 9, 11)],
            study.params.update(min_participants=1),
        ),
        "classify: a training fold holds no participant of dataset-2, .*lower classify.cross_validation.test_size",
    ),
    "a dataset to train on that is not there": (
        params("regress", "train_dataset", value="one"),
        'train_dataset = "one" has no usable trial; expected one of dataset-1, dataset-2',
    ),
    "a logarithm of a negative score": (
        lambda study: (
            study.set(2, "facs", "-3"),
            study.params["prep"].pop("target_min"),
            study.params["regress"].update(transform="log1p"),
        ),
        "log1p",
    ),
    "a pattern of no column": (
        params("prep", "images", value="{subject}.hdr"),
        'names "subject", which is no column; expected one of',
    ),
    "a pattern that fits two images": (
        params("prep", "images", value="con_*.hdr"),
        r"fits 12 images for sub-00 trial 1: .*make the pattern",
    ),
    "a mask in another space": (
        lay_masks_elsewhere,
        r"mask M1: empty on the images' grid .*; correct extract.mask_files",
    ),
    "a mask half outside of the images": (
        lay_masks_half_outside,
        r"mask M1: \d+% of it lies in the images; expected 50% or more; name",
    ),
    "a mask that is not there": (
        params("extract", "mask_files", "M1", value="inputs/masks/M1.nii"),
        "inputs/masks/M1.nii: not a readable mask .*correct .*extract.mask_files",
    ),
    "a mask of no known name": (
        params("extract", "mask_files", "M1", value="motor"),
        '"motor" is no mask; expected a NIfTI file by path',
    ),
    "images of which each lacks another part": (
        scatter_missing,
        r"mask whole-brain: \d+% of it lies in the images; .*exclude images",
    ),
    "an empty image": (
        lambda study: study.save(5, np.zeros(SHAPE)),
        r"con_5.hdr \(sub-05 trial 1\): no finite value but 0 inside the mask whole-brain, as in 1 of 12",
    ),
    "a grid that is not there": (params("extract", "target_grid", value="grid.nii"), "grid.nii: no such image"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_met_with_one_line_and_nothing_is_written(study, capsys, mistake):
    spoil, message = MISTAKES[mistake]
    spoil(study)
    before = digest(study.folder)
    with pytest.raises(InputError, match=message) as raised:
        check(study.params)
    assert "\n" not in str(raised.value)
    # What was found, and behind it what was expected or the mend.
    assert re.search("; |: |expected", str(raised.value))
    assert digest(study.folder) == before


def flip(study):
    """Exchange left and right of one image on a grid that is symmetric about x = 0."""
    img = nibabel.load(study.images / "con_5.hdr")
    study.save(5, img.get_fdata()[::-1])


def spoil_image(operation):
    def spoil(study):
        img = nibabel.load(study.images / "con_5.hdr")
        study.save(5, operation(img.get_fdata()))

    return spoil


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_image(lambda values: values * 0 + 3), "constant inside the masks"),
        (spoil_image(lambda values: values * 5.5), r"its SD is \d\S+ times the median of all; its scale factor"),
        (spoil_image(lambda values: values / 5.5), r"its SD is 0.1\d+ times the median"),
        (
            spoil_image(lambda values: np.where(np.arange(13)[:, None] < 5, 0, values)),
            r"its centre lies \d+ mm from the others'",
        ),
        (
            spoil_image(lambda values: np.where(np.arange(13)[:, None] < 5, 0, values)),
            r"values in \d+% of the masks, typically 100%",
        ),
        (flip, "left and right look exchanged"),
    ],
)
def test_an_image_that_looks_wrong_is_named_in_a_warning_and_no_other(study, capsys, spoil, message):
    spoil(study)
    check(study.params)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("WARNING")]
    assert any(re.search(message, line) for line in lines)
    assert all(line.startswith("WARNING   inputs/contrasts/con_5.hdr (sub-05 trial 1): ") for line in lines)


def test_symbolic_links_spaces_and_accents_in_names_are_read(study, capsys):
    for ending in ("hdr", "img"):
        (study.images / f"con_3.{ending}").rename(study.folder / f"away.{ending}")
        (study.images / "sub é").mkdir(exist_ok=True)
        (study.images / f"sub é/my con.{ending}").symlink_to(study.folder / f"away.{ending}")
    study.set(3, "contrast", "sub é/my con.hdr")
    check(study.params)
    assert "0 warning(s)" in capsys.readouterr().out


def test_what_may_not_be_read_is_said(study, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(nibabel, "load", refuse)
    with pytest.raises(InputError, match=r"con_0.hdr: may not be read by you; `chmod u\+r` it"):
        check(study.params)


# Fuzzing: whatever the bytes, either the study is read or one line says why not.


def spoil_bytes(content, rng):
    content = bytearray(content)
    kind = rng.integers(5)
    if kind == 0:
        return bytes(content[: rng.integers(len(content) + 1)])
    if kind == 1:
        return rng.bytes(int(rng.integers(1, 2000)))
    start = int(rng.integers(max(1, len(content))))
    if kind == 2:
        del content[start : start + int(rng.integers(1, 40))]
    elif kind == 3:
        content[start:start] = rng.bytes(int(rng.integers(1, 20)))
    else:
        for position in rng.integers(len(content), size=int(rng.integers(1, 12))):
            content[position] = rng.integers(256)
    return bytes(content)


def one_line(error):
    text = str(error)
    assert text and "\n" not in text.strip(), text
    return text


@pytest.mark.parametrize("marks", [b"", b"\xef\xbb\xbf"])
def test_any_table_is_read_or_refused_in_one_line(study, marks):
    rng = np.random.default_rng(3)
    whole = marks + study.table.read_bytes().replace(b"\n", b"\r\n" if marks else b"\n")
    found = [f"con_{number}.hdr" for number in range(N_PARTICIPANTS)]
    n_refused = 0
    for _ in range(400):
        study.table.write_bytes(spoil_bytes(whole, rng))
        try:
            trials, expected = name_images(read_trials(study.table, "facs"), found)
            match_images(trials, expected, "ignore")
        except InputError as error:
            n_refused += 1
            one_line(error)
    assert 100 < n_refused <= 400
    study.table.write_bytes(whole)
    assert len(join_trials(study.params["prep"])) == N_PARTICIPANTS


@pytest.mark.parametrize("name", ["con_4.hdr", "con_4.img", "con_4.nii.gz", "con_4.nii", "old.hdr"])
def test_any_image_is_read_or_refused_in_one_line(study, name):
    rng = np.random.default_rng(4)
    if name == "old.hdr":
        nibabel.save(nibabel.Spm2AnalyzeImage(np.ones(SHAPE, np.float32), None), study.images / name)
        (study.images / "old.mat").unlink(missing_ok=True)
    elif name.endswith((".nii", ".gz")):
        study.save(4, rng.normal(size=SHAPE), kind=nibabel.Nifti1Image, ending=name.partition(".")[2])
    path = study.images / name
    whole = path.read_bytes()
    opened = path.with_suffix(".hdr") if path.suffix == ".img" else path
    settings = {"analyze_orientation": "radiological", "mixed_grids": "refuse"}
    n_refused = 0
    for _ in range(200):
        # Headers are small: spoil them more often than the data behind them.
        head = 400 if rng.random() < 0.7 and not name.endswith("gz") else len(whole)
        path.write_bytes(spoil_bytes(whole[:head], rng) + whole[head:])
        try:
            list(read_volumes(inspect_images([opened], settings)))
        except InputError as error:
            n_refused += 1
            one_line(error)
    assert n_refused > 20


def test_any_dictionary_is_read_or_refused_in_one_line(study):
    rng = np.random.default_rng(5)
    whole = json.dumps({"target": [1, 2], "group": ["a", "b"], "data": ["x", "y"]}).encode()
    path = study.behavior / "d.json"
    for _ in range(300):
        path.write_bytes(spoil_bytes(whole, rng))
        try:
            read_trials(path, "facs")
        except InputError as error:
            one_line(error)


def test_a_packed_image_cut_anywhere_is_refused(study):
    study.save(4, np.random.default_rng(1).normal(size=SHAPE), kind=nibabel.Nifti1Image, ending="nii.gz")
    path = study.images / "con_4.nii.gz"
    whole = path.read_bytes()
    gzip.decompress(whole)
    for end in range(0, len(whole) - 9, max(1, len(whole) // 40)):
        path.write_bytes(whole[:end])
        with pytest.raises(InputError, match=r"con_4.nii.gz"):
            list(read_volumes(inspect_images([path], {"analyze_orientation": "unknown", "mixed_grids": "refuse"})))
