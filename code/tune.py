"""Predict the score with a penalty and a number of components that are chosen inside every training fold."""

from dataclasses import asdict

import numpy as np
import pandas as pd

from facepain.inference.intervals import INTERVAL_COLUMNS, intervals_table
from facepain.inference.permutation import TEST_COLUMNS, applicable_schemes, tests_table
from facepain.inference.tuned import tune_folds, tuned_permutation_test
from facepain.models.cross_validation import confound_coefficients, voxel_weights
from facepain.models.folds import make_folds
from facepain.models.repeats import REPEAT_COLUMNS, score_repeat
from facepain.models.score_tables import OUT_OF_FOLD_COLUMNS, as_predictions, out_of_fold_table
from facepain.models.tuning import TUNING_COLUMNS, Tuning, tuning_table
from facepain.parallel import Resampling
from provenance.run.progress import Progress
from provenance.run.stage import n_workers, run_stage
from regress_outputs import write_scores
from stages import STUDY
from training import load_training


def main(cell, outputs):
    mask_name, algorithm = cell.names
    settings, seed = cell.settings, cell.settings["seed"]
    study = load_training(mask_name, settings)
    images, (y, groups) = study.images, study.train
    tuning = Tuning(algorithm, **settings["grid"], parameters=settings["parameters"])
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
    predicted = study.predict_others(weights, intercepts, confound_coefficients(images, final[0].fit))
    metrics = write_scores(outputs, fits["published"], final[0].fit, study.rows, predicted, study.y, study.groups)
    outputs.write_table(
        "tuning.tsv", tuning_table([fold.chosen for fold in (*folds["published"], *final)]), TUNING_COLUMNS
    )
    outputs.write_permutation_tests([asdict(test) for test in tests], tests_table(tests), TEST_COLUMNS)
    out_of_fold = out_of_fold_table(fits["lopo"], study.rows, study.y, study.groups)
    outputs.write_table("out_of_fold.tsv", out_of_fold, OUT_OF_FOLD_COLUMNS)
    held_out = {"lopo": as_predictions(out_of_fold)}
    held_out |= study.set_beside_scores(predicted, final[0].fit.y_train_mean)
    intervals = intervals_table(held_out, metrics, fits["published"], groups)
    outputs.write_table("intervals.tsv", intervals, INTERVAL_COLUMNS)
    write_repeats(cell, outputs, fits["published"], images, y, groups, tuning)
    outputs.write_map("weights_final.nii.gz", weights[:, 0], study.mask_img)
    outputs.write_fingerprints()
    for row in intervals[(intervals["metric"] == "skill") & (intervals["estimate_of"] == "lopo")].itertuples():
        print(f"{cell.name}: skill {row.estimate:.2f} [{row.low:.2f}, {row.high:.2f}] for unseen participants")


def write_repeats(cell, outputs, published, images, y, groups, tuning):
    """Write how the scores vary with the split; every split is tuned again."""
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
