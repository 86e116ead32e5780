"""Predict the score with a penalty and a number of components that are chosen inside every training fold."""

from dataclasses import asdict

import nibabel
import numpy as np
import pandas as pd

from facepain.data.trials import rows_of_training
from facepain.inference.intervals import INTERVAL_COLUMNS, intervals_table
from facepain.inference.permutation import TEST_COLUMNS, applicable_schemes, tests_table
from facepain.inference.tuned import tune_folds, tuned_permutation_test
from facepain.models.confounds import confound_matrix, remove_from_scores
from facepain.models.cross_validation import confound_coefficients, voxel_weights
from facepain.models.folds import make_folds
from facepain.models.repeats import REPEAT_COLUMNS, score_repeat
from facepain.models.score_tables import OUT_OF_FOLD_COLUMNS, as_predictions, out_of_fold_table
from facepain.models.scores import Predictions
from facepain.models.standardize import StandardizedImages, predict_images
from facepain.models.target import transform_target
from facepain.models.tuning import TUNING_COLUMNS, Tuning, tuning_table
from facepain.parallel import Resampling
from files.tables import read_table
from provenance.run.progress import Progress
from provenance.run.stage import n_workers, run_stage
from regress_outputs import write_scores
from stages import STUDY


def main(cell, outputs):
    mask_name, algorithm = cell.names
    settings, seed = cell.settings, cell.settings["seed"]
    trials = read_table("outputs/prep/trials.tsv")
    signals = np.load(f"outputs/extract/{mask_name}/signals.npy", mmap_mode="r")
    mask_img = nibabel.load(f"outputs/extract/{mask_name}/mask.nii.gz")
    all_groups = trials["participant_id"].to_numpy()
    all_y = transform_target(trials[settings["target"]], settings["transform"])
    train_rows = rows_of_training(trials, settings["train_dataset"])
    confounds = confound_matrix(trials[settings["confounds"]])
    all_y = remove_from_scores(all_y, confounds, train_rows)
    y, groups = all_y[train_rows], all_groups[train_rows]

    tuning = Tuning(algorithm, **settings["grid"], parameters=settings["parameters"])
    of_train = None if confounds is None else confounds[train_rows]
    images = StandardizedImages(np.asarray(signals[train_rows]), settings["standardize"], of_train)
    images.gram(np.ones(len(y)), n_jobs=n_workers())
    splits = {
        "published": make_folds(groups, **settings["cross_validation"], seed=seed),
        "lopo": make_folds(groups, "lopo"),
    }
    folds, tests = {}, []
    applicable = applicable_schemes(groups, y)
    schemes = [scheme for scheme in settings["permutation"]["schemes"] if scheme in applicable] or applicable[:1]
    for estimate_of, n in (("published", settings["permutation"]["n"]), ("lopo", settings["permutation"]["n_lopo"])):
        with Progress(len(splits[estimate_of]), f"{cell.name}: {estimate_of}, folds") as progress:
            resampling = Resampling(min(n, settings["permutation"]["n"]), seed, n_workers(), progress)
            folds[estimate_of], tested = tuned_permutation_test(
                images, splits[estimate_of], y, groups, tuning, schemes, resampling, estimate_of
            )
        tests += tested
    fits = {name: [fold.fit for fold in each] for name, each in folds.items()}

    everything = [(np.arange(len(y)), np.arange(0))]
    final = tune_folds(images, everything, y[:, None], groups, tuning, Resampling(1, seed))
    weights, intercepts = voxel_weights(images, [final[0].fit])
    predicted = {}
    for dataset in sorted(set(trials["dataset"]) - {settings["train_dataset"]}):
        rows = np.flatnonzero(trials["dataset"] == dataset)
        y_pred = predict_images(signals[rows], weights, intercepts, settings["standardize"])[:, 0]
        y_pred += 0 if confounds is None else confounds[rows] @ confound_coefficients(images, final[0].fit)
        predicted[dataset] = (rows, y_pred)

    metrics = write_scores(outputs, fits["published"], final[0].fit, train_rows, predicted, all_y, all_groups)
    outputs.write_table(
        "tuning.tsv", tuning_table([fold.chosen for fold in (*folds["published"], *final)]), TUNING_COLUMNS
    )
    outputs.write_permutation_tests([asdict(test) for test in tests], tests_table(tests), TEST_COLUMNS)
    out_of_fold = out_of_fold_table(fits["lopo"], train_rows, all_y, all_groups)
    outputs.write_table("out_of_fold.tsv", out_of_fold, OUT_OF_FOLD_COLUMNS)
    held_out = {"lopo": as_predictions(out_of_fold)} | {
        dataset: Predictions(all_y[rows], y_pred, all_groups[rows], np.full(len(rows), final[0].fit.y_train_mean))
        for dataset, (rows, y_pred) in predicted.items()
    }
    intervals = intervals_table(held_out, metrics, fits["published"], groups)
    outputs.write_table("intervals.tsv", intervals, INTERVAL_COLUMNS)
    write_repeats(cell, outputs, fits["published"], images, y, groups, tuning)
    outputs.write_map("weights_final.nii.gz", weights[:, 0], mask_img)
    outputs.write_fingerprints()
    for row in intervals[(intervals["metric"] == "skill") & (intervals["estimate_of"] == "lopo")].itertuples():
        print(f"{cell.name}: skill {row.estimate:.2f} [{row.low:.2f}, {row.high:.2f}] for unseen participants")


def write_repeats(cell, outputs, published, images, y, groups, tuning):
    """Write how the scores vary with the split; every split is tuned anew."""
    seed, n = cell.settings["seed"], cell.settings["repeats"]
    n_folds = min(5, len(np.unique(groups)))
    rows = [score_repeat(0, published, y, groups)]
    with Progress(n * n_folds, f"{cell.name}: repeats, folds") as progress:
        for number in range(1, n + 1):
            splits = make_folds(groups, "group-kfold", n_folds, seed=seed + number - 1, shuffle=True)
            folds = tune_folds(images, splits, y[:, None], groups, tuning, Resampling(1, seed, n_workers(), progress))
            rows.append(score_repeat(number, [fold.fit for fold in folds], y, groups))
    outputs.write_table("repeats.tsv", pd.DataFrame(rows), REPEAT_COLUMNS)


if __name__ == "__main__":
    run_stage(STUDY, "tune", main)
