"""The page on one's own study, run as written on the real SPM2 images that FACEPAIN_REAL_IMAGES names."""

import csv
import os
import re
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from repositories import ROOT, edit_params, make_repository, run

from files.tables import read_table

PAGE = (ROOT / "docs/own-study.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL)
# One algorithm: what is asked is whether images and scores go together.
RIDGE = {name: {"algorithms": ["ridge"]} for name in ("regress", "similarity", "compare.detectable")}
RIDGE |= {name: {"algorithm": "ridge"} for name in ("relate", "plot")}
FOLDER = os.environ.get("FACEPAIN_REAL_IMAGES", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FOLDER, reason="FACEPAIN_REAL_IMAGES names no folder of real images"),
]


def write_table(path, shuffled=False):
    """Write the scores, which come in the order of the images, with the id in each image's name."""
    images = sorted(Path(FOLDER).glob("con_*.hdr"))
    header, *rows = [line.split("\t") for line in (Path(FOLDER) / "behavior.txt").read_text().splitlines()]
    assert len(images) == len(rows) == 30
    lines = [[image.stem.removeprefix("con_"), *row] for image, row in zip(images, rows, strict=True)]
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([["subject", *header], *(reversed(lines) if shuffled else lines)])


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    """A reader's walk through the page: (folder of the repository, what each block of commands said)."""
    place = tmp_path_factory.mktemp("walk")
    write_table(place / "scores.csv")
    folder = make_repository(place / "repository")
    edit_params(folder / "code/params.toml", RIDGE)
    run(["git", "commit", "--all", "--quiet", "--message", "Take one algorithm"], folder)
    before = {path.name: path.stat() for path in Path(FOLDER).iterdir()}
    said, states = [], []
    for commands in BLOCKS:
        done = run(["bash", "-ec", commands], folder, IMAGES=FOLDER, TABLE=str(place / "scores.csv"))
        said.append(done.stdout)
        states.append(run(["git", "status", "--porcelain"], folder).stdout)
        if "make regress" in commands:
            shutil.copytree(folder / "outputs", place / "outputs")
    after = {path.name: path.stat() for path in Path(FOLDER).iterdir()}
    assert {name: (stat.st_mtime_ns, stat.st_mode, stat.st_size) for name, stat in before.items()} == {
        name: (stat.st_mtime_ns, stat.st_mode, stat.st_size) for name, stat in after.items()
    }
    assert states[0] == " M code/params.toml\n" and not any(states[1:])
    return folder, place / "outputs", said


def test_every_step_says_what_it_did(walk):
    _, _, (own, _, check, first, back) = walk
    assert "none is moved or copied" in own
    for line in (
        'prep.table = "inputs/behavior/scores.csv"',
        'prep.columns.participant_id = "subject"',
        'prep.target = "X_RVLPFC"',
        'prep.images = "con_{participant_id}.hdr"',
        'extract.analyze_orientation = "radiological"',
        "one of which may be the score: Y_Reappraisal_Success",
    ):
        assert line in own
    assert "30 of 30 usable, 30 of 30 participants; X_RVLPFC" in check
    assert "one dataset only: no test set and no classifier" in check
    assert "47 x 56 x 31 voxels of 3.438 x 3.438 x 4.5 mm" in check
    assert "0 warning(s)" in check
    assert "regress whole-brain ridge: r lopo 0." in first
    assert "on main; `git switch own-study` and `make inputs`" in back


def test_the_regional_score_is_predicted_from_the_whole_brain_and_not_from_m1(walk):
    _, outputs, _ = walk
    r2 = {
        mask: read_table(outputs / f"regress/{mask}/ridge/metrics.tsv").set_index("fold").loc["mean", "r2"]
        for mask in ("whole-brain", "M1")
    }
    assert r2["whole-brain"] > 0.3
    assert r2["M1"] < r2["whole-brain"] - 0.2


def test_the_only_scheme_that_one_image_a_participant_allows_is_taken(walk):
    _, outputs, _ = walk
    tests = read_table(outputs / "regress/whole-brain/ridge/permutation.tsv")
    assert set(tests["scheme"]) == {"free"}


def test_what_dropping_leaves_is_finite_and_is_nearly_all(walk):
    folder, _, _ = walk
    run(["git", "switch", "--quiet", "own-study"], folder)
    run(["make", "inputs"], folder)
    try:
        signals = np.load(folder / "outputs/extract/whole-brain/signals.npy")
        mask = np.asarray(nibabel.load(folder / "outputs/extract/whole-brain/mask.nii.gz").dataobj) != 0
        trials = read_table(folder / "outputs/prep/trials.tsv")
        assert signals.shape == (30, mask.sum()) and np.isfinite(signals).all()
        quality = read_table(folder / "outputs/extract/whole-brain/quality.tsv")
        assert mask.sum() > 30_000
        assert (quality["finite_share"] > 0.99).all()
        # By an independent reading: big-endian float32 in Fortran order.
        name = Path(FOLDER) / trials["contrast"][3].replace(".hdr", ".img")
        raw = np.fromfile(name, ">f4").reshape(mask.shape, order="F")
        np.testing.assert_array_equal(signals[3], raw[mask])
    finally:
        run(["make", "synthetic"], folder)


def test_begun_again_a_hard_target_is_not_predicted_and_the_order_of_lines_does_not_matter(walk, tmp_path):
    folder, _, _ = walk
    run(["git", "branch", "--move", "own-study", "first-study"], folder)  # as the page says
    write_table(tmp_path / "scores.csv", shuffled=True)
    run(["make", "own", f"CONTRASTS={FOLDER}", f"BEHAVIOR={tmp_path / 'scores.csv'}"], folder)
    choose(folder, '"X_RVLPFC"', '"Y_Reappraisal_Success"')
    run(["bash", "-ec", BLOCKS[1]], folder)
    said = run(["make", "cell", "CELL=extract whole-brain"], folder).stdout
    assert "6 outputs: 6 identical" in run(["make", "verify", "CELL=extract whole-brain"], folder).stdout
    run(["python", "code/regress.py", "whole-brain", "ridge", "--n-permutations", "20", "--n-bootstraps", "10"], folder)
    r2 = read_table(folder / "outputs/regress/whole-brain/ridge/metrics.tsv").set_index("fold").loc["mean", "r2"]
    assert r2 < 0.1
    assert "0 resampled" in said
    contrasts = read_table(folder / "outputs/prep/trials.tsv")["contrast"].tolist()
    assert contrasts == sorted(contrasts)
    run(["git", "clean", "--quiet", "--force", "-d", "outputs"], folder)


def test_without_the_choice_of_orientation_the_run_stops_and_says_what_it_is(walk):
    folder, _, _ = walk
    choose(folder, 'analyze_orientation = "radiological"', 'analyze_orientation = "unknown"')
    run(["git", "commit", "--all", "--quiet", "--message", "Not know the orientation"], folder)
    for target in ("check", "extract"):
        done = run(["make", target], folder, check=False)
        assert done.returncode != 0 and "Traceback" not in done.stdout
        assert 'set extract.analyze_orientation in the params to "radiological"' in done.stdout
    assert run(["git", "status", "--porcelain"], folder).stdout == ""


def choose(folder, proposed, chosen):
    path = folder / "code/params.toml"
    text = path.read_text()
    assert proposed in text
    path.write_text(text.replace(proposed, chosen))
