"""Results of a small made-up study, written as the stages write them, for the tests of what shows them."""

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pandas as pd

from facepain.data.summary import SCORE_COLUMNS, bin_scores, summarize
from facepain.inference.confounds_alone import CONFOUND_COLUMNS, confounds_alone_table
from facepain.inference.permutation import TEST_COLUMNS, applicable_schemes, summarize_null
from facepain.models.classification import METRIC_COLUMNS as CLASSIFIER_COLUMNS
from facepain.models.classification import FoldPrediction, confusion_table
from facepain.models.classification import fold_metrics as classifier_metrics
from facepain.models.cross_validation import make_folds
from facepain.models.score_tables import (
    CALIBRATION_COLUMNS,
    METRIC_COLUMNS,
    PREDICTION_COLUMNS,
    calibration_table,
    fold_metrics,
    list_predictions,
    metrics_on_other_datasets,
)
from facepain.models.scores import Predictions, withhold_folds
from facepain.parallel import Resampling
from facepain.results.load import load_results
from files.outputs import OutputFolder, unmask
from provenance.declare import Stage
from stages import STAGES

MASKS, ALGORITHMS = ["whole-brain", "M1"], ["lasso", "ridge", "svr"]
GRID_MM = 12
MIN_PARTICIPANTS = 3


def draw_trials(rng, n_participants=(12, 5), n_trials=4, constant=None):
    """Make trials of one dataset for each number of participants; about half of the scores are exact zeros."""
    rows = []
    for dataset, count in enumerate(n_participants, 1):
        for person in range(count):
            for trial in range(n_trials):
                score = max(0.0, round(float(rng.normal(person, 5)), 1)) if constant is None else constant
                rows.append((f"sub-{dataset}{person:02d}", f"dataset-{dataset}", 1 + trial // 2, trial + 1, score))
    return pd.DataFrame(rows, columns=["participant_id", "dataset", "run", "trial", "facs"])


def write_results(root, trials, rng, **choices):
    """Write outputs/ of a study with these trials and read it back.

    Parameters
    ----------
    root : Path
    trials : DataFrame
    rng : Generator
    choices : dict
        ``synthetic`` (default True), ``skill`` (0 makes predictions constant), ``weights`` and ``z`` (0 makes maps
        empty), ``confounds`` (names; the first predicts the scores by itself), ``min_participants`` (default 1;
        folds and datasets of fewer have no scores).
    """
    outputs = root / "outputs"
    prep = OutputFolder(root / "partial")
    prep.write_table("trials.tsv", trials, dict.fromkeys(trials, ""))
    people = trials.groupby("participant_id").first().reset_index()
    people = people.assign(age=rng.integers(18, 54, len(people)), sex="F")
    summary = summarize(trials.assign(excluded=""), people, "facs", choices.get("min_participants", 1))
    prep.write_table("summary.tsv", summary, dict.fromkeys(summary, ""))
    prep.write_table("scores.tsv", bin_scores(trials, "facs", MIN_PARTICIPANTS), SCORE_COLUMNS)
    prep.write_json("study.json", {"synthetic": choices.get("synthetic", True), "target": "facs"})
    prep.publish(outputs / "prep")
    for mask in MASKS:
        for algorithm in ALGORITHMS:
            write_regression(outputs / "regress" / mask / algorithm, trials, rng, choices)
    if trials["dataset"].nunique() > 1:
        write_classifier(outputs / "classify" / MASKS[0], trials, rng, choices)
    write_records(outputs)
    return load_results(outputs, MASKS, ALGORITHMS, "facs")


def write_records(outputs, algorithms=ALGORITHMS, masks=MASKS):
    """Write what every result was made from, and ``extract`` with nothing but that."""
    trials, images, tables = "outputs/prep/trials.tsv", {"inputs/contrasts": "c" * 40}, {"inputs/behavior": "b" * 40}
    data = {("prep",): images | tables}
    for mask in masks:
        signals = {f"outputs/extract/{mask}/{name}": "5" * 40 for name in ("mask.nii.gz", "signals.npy")}
        data["extract", mask] = images | {"inputs/masks": "a" * 40, trials: "7" * 40}
        data |= {("regress", mask, algorithm): signals | {trials: "7" * 40} for algorithm in algorithms}
        if (outputs / "classify" / mask).exists():
            data["classify", mask] = signals | {trials: "7" * 40}
    for cell, read in data.items():
        folder = Path(outputs, *cell)
        folder.mkdir(parents=True, exist_ok=True)
        command = " ".join(("python", f"code/{cell[0]}.py", *cell[1:]))
        record = {"command": command, "data": read, "packages": {}, "settings": {}}
        (folder / "inputs.json").write_text(json.dumps(record))


@dataclass(frozen=True)
class ShownCell:
    """What the report looks at of a cell (`provenance.declare.Cell`), wherever its folder lies."""

    name: str
    stage: str
    folder: str
    declared: Stage
    state: str = "fresh"


def list_shown(outputs, state="fresh"):
    """List the cells of which there are records, as the stage ``plot`` is told of them."""
    cells = []
    for stage in STAGES:
        if not stage.shows:
            for record in sorted(Path(outputs, stage.name).rglob("inputs.json")):
                name = " ".join(record.parent.relative_to(outputs).parts)
                folder = str(record.parent)
                cells.append(ShownCell(name, stage.name, folder, stage, state))
    return cells


def write_regression(folder, trials, rng, choices):
    """Write one cell with predictions that hold some of the score."""
    skill, y, groups = choices.get("skill", 0.5), trials["facs"].to_numpy(), trials["participant_id"].to_numpy()
    train_rows = np.flatnonzero(trials["dataset"] == "dataset-1")
    guess = skill * y + bool(skill) * rng.normal(0, 1, len(y)) + 2
    fits = [
        SimpleNamespace(train_idx=train, test_idx=test, y_test=y[train_rows][test], y_pred=guess[train_rows][test],
                        y_train_mean=y[train_rows][train].mean(), n_components=3, shrinkage=0.0)
        for train, test in make_folds(groups[train_rows], n_folds=3)
    ]  # fmt: skip
    metrics = fold_metrics(fits, groups[train_rows])
    final = SimpleNamespace(train_idx=train_rows, n_components=3, shrinkage=0.0, y_train_mean=y[train_rows].mean())
    others = {
        name: np.flatnonzero(trials["dataset"] == name) for name in sorted(set(trials["dataset"]) - {"dataset-1"})
    }
    tested = {
        name: pd.DataFrame({"fold": "test", "row": rows, "participant_id": groups[rows], "y_true": y[rows],
                            "y_pred": guess[rows], "y_train_mean": final.y_train_mean})
        for name, rows in others.items()
    }  # fmt: skip
    tests = [
        summarize_null(scheme, metric, metrics.set_index("fold").loc["mean", metric], rng.normal(-0.1, 0.2, 50))
        for scheme in applicable_schemes(groups[train_rows])
        for metric in ("r2", "pearson_r")
    ]

    out = OutputFolder(folder.parent / "partial")
    fewest = choices.get("min_participants", 1)
    shown = withhold_folds(metrics, [groups[train_rows][fit.test_idx] for fit in fits], fewest)
    out.write_table("metrics.tsv", shown, METRIC_COLUMNS)
    scored = {name: table for name, table in tested.items() if table["participant_id"].nunique() >= fewest}
    out.write_table("test_metrics.tsv", metrics_on_other_datasets(scored, final), METRIC_COLUMNS)
    predictions = pd.concat([list_predictions(fits, train_rows, groups), *tested.values()])[list(PREDICTION_COLUMNS)]
    out.write_table("predictions.tsv", predictions, dict.fromkeys(predictions, ""))
    out.write_permutation_tests(tests, TEST_COLUMNS)
    told = {"lopo": train_rows, **{name: others[name] for name in scored}}
    told = {
        name: Predictions(y[rows], guess[rows], groups[rows], np.full(len(rows), 4.0)) for name, rows in told.items()
    }
    out.write_table("calibration.tsv", calibration_table(told, MIN_PARTICIPANTS), CALIBRATION_COLUMNS)
    mask_img = brain_mask()
    n_voxels = int(np.asarray(mask_img.dataobj).sum())
    weights = choices.get("weights", 1) * rng.normal(0, 0.01, n_voxels)
    z = choices.get("z", 1) * rng.normal(0, 3, n_voxels)
    folds = [f"weights_fold-{number}" for number in (1, 2, 3) if fewest < 2]
    for name in ("weights_average", "weights_final", "pattern_final", *folds):
        out.write_map(f"{name}.nii.gz", weights, mask_img)
    out.write_map("bootstrap_z.nii.gz", z, mask_img)
    out.write_arrays("model.npz", weights=weights.astype(np.float32))
    confounds = choices.get("confounds", [])
    out.write_json("model.json", {"transform": "raw", "standardize": "image", "confounds": confounds})
    if confounds:
        noise = np.random.default_rng(3).normal(0, 3, (len(y), len(confounds)))  # the same in every model
        Z = np.column_stack([np.ones(len(y)), y + noise[:, 0], noise[:, 1:]])
        splits = {"published": [(fit.train_idx, fit.test_idx) for fit in fits]}
        splits["lopo"] = make_folds(groups[train_rows], "lopo")
        given = y[train_rows], groups[train_rows], Z[train_rows], Resampling(19, 1)
        out.write_table("confounds.tsv", confounds_alone_table(splits, *given), CONFOUND_COLUMNS)
    threshold = {"z": 4.0 if np.abs(z).max() > 4 else None, "n_voxels": 0}
    out.write_json("bootstrap.json", {"n": 20, "unit": "participant", "fdr": 0.05, "thresholds": {"fdr": threshold}})
    out.publish(folder)


def write_classifier(folder, trials, rng, choices):
    """Write a classifier that is right four times in five."""
    labels, groups = trials["dataset"].to_numpy(), trials["participant_id"].to_numpy()
    predictions = []
    for train, test in make_folds(groups, n_folds=3):
        names = np.unique(labels)
        told = np.where(rng.random(len(test)) < 0.8, labels[test], rng.choice(names, len(test)))
        decision = (told[:, None] == names).astype(float)
        decision = decision[:, 1] - decision[:, 0] if len(names) == 2 else decision
        predictions.append(FoldPrediction(train, test, told, decision))
    test = summarize_null("participant", "balanced_accuracy", 0.8, rng.uniform(0.3, 0.7, 50))
    out = OutputFolder(folder.parent / "partial")
    tested = [groups[fold.test_idx] for fold in predictions]
    metrics = withhold_folds(classifier_metrics(predictions, labels), tested, choices.get("min_participants", 1))
    out.write_table("metrics.tsv", metrics, CLASSIFIER_COLUMNS)
    confusion = confusion_table(predictions, labels, by_fold=metrics["n_test"].notna().all())
    out.write_table("confusion.tsv", confusion, dict.fromkeys(confusion, ""))
    out.write_permutation_tests([test], TEST_COLUMNS)
    out.publish(folder)


def brain_mask():
    """Return an ellipsoid of the size of a brain on a coarse MNI grid."""
    affine = np.diag([GRID_MM, GRID_MM, GRID_MM, 1.0])
    affine[:3, 3] = (-90, -126, -72)
    shape = (16, 19, 16)
    centre = nibabel.affines.apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1)) - (0, -18, 10)
    inside = (centre / (70, 85, 65)) ** 2
    return unmask(
        np.ones(int((inside.sum(-1) < 1).sum())), nibabel.Nifti1Image((inside.sum(-1) < 1).astype("u1"), affine)
    )
