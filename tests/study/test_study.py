"""The study from end to end, as commands in real repositories: reproduce, rest, say why, refuse, recover."""

import json
import re
import shutil
import sys

import nibabel
import numpy as np
import pytest
from repositories import FEWER, ROOT, SMALL, make_repository, run, small_cells
from sklearn.metrics import r2_score

from facepain.models.standardize import StandardizedImages
from facepain.results.model import load_model
from files.tables import read_table

pytestmark = pytest.mark.slow
CELLS = len(small_cells())


def head(folder):
    return run(["git", "rev-parse", "HEAD"], folder).stdout.strip()


def make(*targets, folder, check=True, **variables):
    done = run(["make", *targets], folder, check, **(SMALL | variables))
    return done.stdout if check else done


def edit(folder, name, old, new):
    path = folder / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    run(["git", "commit", "--quiet", "--all", "--message", f"Edit {name}"], folder)


def status(folder):
    """Return the state of every cell by its name, and the whole text."""
    text = make("status", folder=folder)
    states = {}
    for line in text.splitlines():
        name, _, state = line.rpartition("  ")
        if state in ("fresh", "stale", "absent") and not line.startswith(" "):
            states[name.strip()] = state
    assert len(states) == CELLS
    return states, text


def test_make_all_makes_every_cell_by_a_run_of_its_own_and_leaves_a_clean_tree(finished_study):
    folder, said = finished_study
    assert f"verdict: {CELLS} of {CELLS} cells ran" in said
    assert run(["git", "status", "--porcelain"], folder).stdout == ""
    assert "nothing to save, working tree clean" in run(["datalad", "status", "-r"], folder).stdout
    message = run(["git", "log", "-1", "--", "outputs/regress/M1/lasso/weights_average.nii.gz"], folder).stdout
    assert "[DATALAD RUNCMD] regress M1 lasso" in message
    assert '"cmd": "python code/regress.py M1 lasso --n-permutations 20 --n-bootstraps 10"' in message
    assert str(folder) not in run(["git", "log", "--format=%B"], folder).stdout
    runs = run(["git", "log", "--format=%s", "--grep", "DATALAD RUNCMD"], folder).stdout.splitlines()
    assert len(runs) == len(set(runs)) == CELLS


def test_a_second_make_all_runs_nothing_nor_does_touching_files(study):
    before = head(study)
    for path in (study / "code").rglob("*.py"):
        path.touch()
    said = make("all", folder=study)
    assert f"verdict: 0 of {CELLS} cells ran; every result is fresh" in said
    assert head(study) == before


def test_what_lies_in_git_holds_no_participant_level_result(finished_study):
    folder, _ = finished_study
    listing = run(["git", "ls-tree", "-r", "HEAD", "--", "outputs", "figures"], folder).stdout.splitlines()
    in_git = [line.split("\t")[1] for line in listing if not line.startswith("120000")]
    for path in in_git:
        text = (folder / path).read_bytes()
        assert b"sub-0" not in text, path
    assert not [
        path for path in in_git if path.startswith(("outputs/prep/", "outputs/extract/")) and "inputs.json" not in path
    ]


def test_the_model_as_written_predicts_what_the_tables_say(finished_study):
    folder, _ = finished_study
    for mask in ("whole-brain", "M1"):
        cell = folder / f"outputs/regress/{mask}/ridge"
        model = load_model(cell)
        signals = np.load(folder / f"outputs/extract/{mask}/signals.npy")
        predictions = read_table(cell / "predictions.tsv").query("fold == 'test'")
        y_pred = model.predict(signals[predictions["row"]])
        tolerance = 1e-4 * predictions["y_true"].std()
        np.testing.assert_allclose(y_pred, predictions["y_pred"], rtol=0, atol=tolerance)
        # The map says the same as the model: inside the mask, in the order of its voxels.
        inside = np.asarray(nibabel.load(folder / f"outputs/extract/{mask}/mask.nii.gz").dataobj) != 0
        weights = nibabel.load(cell / "weights_final.nii.gz").get_fdata()
        assert not weights[~inside].any()
        images = StandardizedImages(signals[predictions["row"]]).block(slice(None))[0]
        np.testing.assert_allclose(images @ weights[inside] + model.intercept, y_pred, atol=1e-9)


def test_splits_hold_each_participant_on_one_side_and_agree_with_the_predictions(finished_study):
    folder, _ = finished_study
    trials = read_table(folder / "outputs/prep/trials.tsv")
    cell = folder / "outputs/regress/whole-brain/lasso"
    predictions = read_table(cell / "predictions.tsv")
    for fold in range(1, 6):
        with np.load(cell / f"split_fold-{fold}.npz") as split:
            sides = [set(trials["participant_id"][split[name]]) for name in ("train_idx", "test_idx")]
            assert not sides[0] & sides[1]
            assert set(trials["dataset"][split["train_idx"]]) == {"dataset-1"}
            rows = predictions[predictions["fold"] == str(fold)]
            np.testing.assert_array_equal(rows["row"], split["test_idx"])
            np.testing.assert_array_equal(rows["y_pred"], split["y_pred"])


def test_p_follows_from_the_null_scores_as_written(finished_study):
    folder, _ = finished_study
    for cell, n_entries in (("regress/M1/lasso", 18), ("regress/whole-brain/svr", 12), ("classify/whole-brain", 1)):
        tests = json.loads((folder / "outputs" / cell / "permutation.json").read_text())["entries"]
        table = read_table(folder / "outputs" / cell / "permutation.tsv")
        assert len(tests) == len(table) == n_entries
        for test, row in zip(tests, table.itertuples(), strict=True):
            assert len(test["null_scores"]) == test["n"] == 20
            above = sum(score >= test["score"] for score in test["null_scores"])
            assert test["p"] == row.p == pytest.approx((1 + above) / 21, rel=1e-5)
            assert (test["scheme"], test["metric"], test["score"]) == (row.scheme, row.metric, row.score)


def test_every_p_tests_the_estimate_beside_it(finished_study):
    cell = finished_study[0] / "outputs/regress/whole-brain/ridge"
    tests = read_table(cell / "permutation.tsv").set_index(["estimate_of", "scheme", "metric"])["score"]
    published = read_table(cell / "metrics.tsv").set_index("fold").loc["mean"]
    out_of_fold = read_table(cell / "out_of_fold.tsv")
    intervals = read_table(cell / "intervals.tsv").set_index(["estimate_of", "metric"])["estimate"]
    assert tests["lopo", "block", "r2"] == pytest.approx(
        r2_score(out_of_fold["y_true"], out_of_fold["y_pred"]), rel=1e-4
    )
    for metric in ("r2", "pearson_r", "skill"):
        near = {"rel": 1e-5}  # each has 6 digits
        assert tests["published", "block", metric] == pytest.approx(published[metric], **near)
        assert intervals["published", metric] == pytest.approx(published[metric], **near)
        assert intervals["lopo", metric] == pytest.approx(tests["lopo", "within", metric], **near)
    repeats = read_table(cell / "repeats.tsv").set_index("repeat")
    assert len(repeats) == 1 + FEWER["regress.repeats"]["n"]
    assert repeats.loc[0, "skill"] == pytest.approx(published["skill"], rel=1e-5)
    # The model of a participant's predictions has not seen them.
    assert out_of_fold.groupby("participant_id")["y_train_mean"].nunique().eq(1).all()


PROVOKE = """
import logging, sys, warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
import numpy as np

def divide(numbers):
    return np.mean(np.array(numbers) / 0)

if __name__ == "__main__":
    from provenance.run.stage import silence_libraries
    silence_libraries()
    import matplotlib.pyplot as plt, nibabel, nilearn.image
    divide([]), divide([1, -1]), warnings.warn("a note", FutureWarning)
    logging.getLogger("matplotlib.font_manager").warning("no such font")
    logging.getLogger("nilearn").warning("an unusual mask")
    figure = plt.figure()
    figure.text(0, 0, "\u6f22")
    figure.savefig(sys.argv[1])
    img = nibabel.Nifti1Image(np.full((3, 3, 3), np.nan), np.diag([2, 2, 2, 1]))
    nilearn.image.resample_img(img, np.eye(4), (6, 6, 6))
    with ProcessPoolExecutor(1, get_context("spawn")) as workers:
        list(workers.map(divide, [[], [0]]))
"""


def test_no_warning_of_a_library_reaches_a_user(finished_study, tmp_path):
    assert not re.search(r"Warning:|warnings\.warn|\bWARNING\b", finished_study[1])
    (tmp_path / "provoke.py").write_text(PROVOKE, encoding="utf-8")
    done = run([sys.executable, "provoke.py", "x.png"], tmp_path, PYTHONPATH=str(ROOT / "code"))
    assert done.stdout == ""


def test_ten_draws_give_no_map_or_table_of_significant_voxels(finished_study):
    cell = finished_study[0] / "outputs/regress/M1/svr"
    bootstrap = json.loads((cell / "bootstrap.json").read_text())
    assert bootstrap["reason_no_thresholds"] == "10 draws are fewer than the 1000 that a threshold needs"
    assert not bootstrap["thresholds"]
    assert not (cell / "bootstrap_z_fdr.nii.gz").is_symlink() and not (cell / "clusters.tsv").exists()
    assert "no map or table of significant voxels is written" in finished_study[1]


def test_one_setting_makes_stale_only_the_cells_that_use_it(study):
    edit(study, "code/params.toml", "alpha = 1.0\npermutation", "alpha = 2.0\npermutation")
    states, text = status(study)
    assert {name for name, state in states.items() if state == "stale"} == {
        *(f"regress {mask} lasso" for mask in ("whole-brain", "M1")),
        # These fit the same model, and what shows stale results is stale.
        *("similarity M1 lasso", "expression M1 lasso", "compare", "participants", "plot"),
    }
    assert "settings algorithm.alpha: 1.0 -> 2.0" in text


def test_a_comment_reruns_its_cell_once_and_then_rests_also_without_a_git_identity(study, tmp_path):
    edit(study, "code/classify.py", "images =", "# Said anew.\n    images =")
    for key in ("user.name", "user.email"):
        run(["git", "config", "--unset", key], study)
    nobody = {"HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}
    states, text = status(study)
    # The report tells what each result was made from, and so is to be drawn anew.
    assert {name for name, state in states.items() if state == "stale"} == {"classify whole-brain", "plot"}
    assert "code/classify.py changed" in text
    said = make("classify", folder=study, **nobody)
    assert "classify whole-brain: code/classify.py changed; computing" in said
    assert 'git has no identity configured: commits are made as "The face of pain"' in said
    author = run(["git", "log", "-1", "--format=%an <%ae>"], study).stdout.strip()
    assert author == "The face of pain <face-of-pain@example.invalid>"
    assert "classify: fresh" in make("classify", folder=study, **nobody)


def test_a_result_edited_by_hand_is_stale(study):
    table = study / "outputs/regress/M1/lasso/metrics.tsv"
    table.write_text(table.read_text().replace("mean", "MEAN"))
    run(["git", "commit", "--quiet", "--all", "--message", "Improve a number"], study)
    states, text = status(study)
    assert states["regress M1 lasso"] == "stale"
    assert "changed by a commit that is no run of it" in text


def test_a_dirty_tree_is_refused_before_anything_runs(study):
    edit(study, "code/classify.py", "images =", "# Said anew.\n    images =")
    (study / "notes.txt").write_text("mine")
    done = make("classify", folder=study, check=False)
    assert done.returncode != 0
    assert "1 file(s) differ from the last commit: notes.txt; commit them" in done.stdout
    assert (study / "notes.txt").read_text() == "mine"


def test_a_failing_cell_leaves_its_folder_as_it_was(study):
    before = run(["git", "ls-tree", "HEAD", "outputs/prep"], study).stdout
    edit(study, "code/params.toml", "target_min = 0.0", "target_min = 1.0")
    done = make("prep", folder=study, check=False)
    assert done.returncode != 0
    assert "facs of sub-" in done.stdout and "expected 1 to inf" in done.stdout
    assert "Traceback" not in done.stdout
    assert run(["git", "ls-tree", "HEAD", "outputs/prep"], study).stdout == before
    assert run(["git", "status", "--porcelain"], study).stdout == ""


def test_a_clone_of_main_alone_names_what_makes_results_and_a_rerun_of_one_commits_nothing(finished_study, tmp_path):
    folder, _ = finished_study
    clone = tmp_path / "clone"
    run(["git", "clone", "--quiet", "--single-branch", str(folder), str(clone)], tmp_path)
    run(["git", "remote", "remove", "origin"], clone)
    run([sys.executable, "code/study.py", "setup"], clone)
    commit = run(["git", "log", "-1", "--format=%H", "--", "outputs/regress/M1/ridge"], clone).stdout.strip()
    done = run(["datalad", "rerun", commit], clone, check=False)
    assert done.returncode != 0
    assert re.search(r"outputs/\S+ is stored nowhere that this clone knows; .*`make extract`", done.stdout)
    done = run([sys.executable, "code/regress.py", "M1", "ridge"], clone, check=False)
    assert "outputs/extract/M1/signals.npy is not in this clone; `make extract` makes it" in done.stdout

    said = make("cell", "CELL=extract M1", folder=clone)
    assert "prep: computing (cell 1 of 2" in said and "extract M1: computing (cell 2 of 2" in said
    run(["datalad", "rerun", commit], clone)
    assert head(clone) == head(folder)
    assert run(["git", "status", "--porcelain"], clone).stdout == ""


def test_a_datalad_clone_gets_one_file_alone(finished_study, tmp_path):
    folder, _ = finished_study
    clone = tmp_path / "clone"
    run(["datalad", "clone", str(folder), str(clone)], tmp_path)
    path = "outputs/regress/whole-brain/lasso/weights_average.nii.gz"
    assert not (clone / path).exists()
    run(["datalad", "get", path], clone)
    assert (clone / path).read_bytes() == (folder / path).read_bytes()
    assert not (clone / "outputs/regress/whole-brain/lasso/weights_final.nii.gz").exists()


def test_an_interrupted_run_is_put_back_by_the_next(study):
    before = head(study)
    shutil.rmtree(study / "outputs/prep")
    (study / "outputs/prep").mkdir()
    (study / "outputs/prep/half.tsv").write_text("half")
    marker = study / ".git/facepain/running.json"
    marker.write_text(json.dumps({"cell": "prep", "folder": "outputs/prep", "pid": 0}))
    said = make("all", folder=study)
    assert "an earlier run was interrupted: outputs/prep is put back" in said
    assert head(study) == before and not (study / "outputs/prep/half.tsv").exists()


def test_params_of_ones_own_must_be_committed(study):
    shutil.copy(study / "code/params.toml", study / "mine.toml")
    done = make("prep", "PARAMS=mine.toml", folder=study, check=False)
    assert "PARAMS=mine.toml is not a committed file of this repository" in done.stdout
    done = make("prep", "PARAMS=mime.toml", folder=study, check=False)
    fix = "name a committed params file, such as code/params.toml; did you mean mine.toml?"
    assert f"PARAMS=mime.toml: no such file; {fix}" in done.stdout


def test_a_repository_without_git_annex_says_so(tmp_path):
    folder = make_repository(tmp_path / "bare", design=None)
    # A path that has git and Python but no git-annex, nor the packages' scripts beside them.
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("git", "sh", "env"):
        (tools / name).symlink_to(shutil.which(name))
    code = "import sys; sys.path.insert(0, 'code'); from provenance.annex import setup; setup.ensure_annex()"
    done = run([sys.executable, "-c", code], folder, check=False, PATH=str(tools))
    assert "git-annex is missing; `make setup` installs it" in done.stdout


def tamper(study, old, new):
    """Change a recorded number as if the run had made it, and lose one of the cell's files, so that it is run again."""
    cell = "outputs/regress/M1/lasso"
    table = study / cell / "metrics.tsv"
    text = table.read_text()
    assert text.count(old) == 1
    table.write_text(text.replace(old, new))
    message = run(["git", "log", "-1", "--format=%B", "--", cell], study).stdout
    run(["git", "commit", "--quiet", "--all", "--message", message], study)
    run(["git", "annex", "drop", "--force", f"{cell}/model.npz"], study)
    return study / cell


def mean_r2(study):
    shown = run(["git", "show", "HEAD:outputs/regress/M1/lasso/metrics.tsv"], study).stdout
    return shown.split("mean\t")[1].split("\t")[0]


def test_an_output_equal_within_tolerance_is_put_back_to_the_recorded_one(study):
    old = mean_r2(study)
    new = old[:-1] + str((int(old[-1]) + 1) % 10 if old[-1] != "9" else 8)
    cell = tamper(study, old, new)
    before = head(study)
    said = make("regress", folder=study)
    assert "regress M1 lasso: computing (cell " in said
    assert "metrics.tsv: equal within tolerance" in said and "NOT REPRODUCED" not in said
    assert run(["git", "log", "-1", "--format=%H", "--", "outputs/regress"], study).stdout.strip() == before
    assert mean_r2(study) == new
    assert (cell / "model.npz").exists()
    assert "regress: fresh" in make("regress", folder=study)


def test_a_different_output_fails_make_all_and_is_named(study):
    old = mean_r2(study)
    tamper(study, old, "-123.456")
    done = make("all", folder=study, check=False)
    assert done.returncode != 0
    assert "outputs/regress/M1/lasso/metrics.tsv: different, column r2, row 6" in done.stdout
    assert "NOT REPRODUCED" in done.stdout
