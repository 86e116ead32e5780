"""Predict the score with a penalty and a number of components that are chosen inside every training fold."""

from functools import partial

import numpy as np
import pandas as pd

from facepain.inference.permutation import TEST_COLUMNS, choose_schemes, tuned_permutation_test
from facepain.models.cross_validation import confound_coefficients, make_folds, voxel_weights
from facepain.models.repeats import REPEAT_COLUMNS, score_repeat
from facepain.models.tuning import TUNING_COLUMNS, Tuning, tune_folds
from facepain.parallel import Resampling
from provenance.run.stage import run_stage
from regress_outputs import write_scores
from stages import STUDY
from training import load_training, resample


def main(cell, outputs):
    mask_name, algorithm = cell.names
    settings, seed = cell.settings, cell.settings["seed"]
    study = load_training(mask_name, settings)
    images, (y, groups) = study.images, study.train
    tuning = Tuning(algorithm, **settings["grid"], parameters=settings["parameters"])
    splits = study.make_splits(settings)
    folds, tests = {}, []
    n_permutations, schemes = settings["permutation"], choose_schemes(settings["permutation"]["schemes"], groups, y)
    for estimate_of, n in (("published", n_permutations["n"]), ("lopo", n_permutations["n_lopo"])):
        n_folds = len(splits[estimate_of])
        with resample(cell, f"{estimate_of}, folds", min(n, n_permutations["n"]), n_folds) as resampling:
            tune = partial(tune_folds, images, splits[estimate_of], groups=groups, tuning=tuning, resampling=resampling)
            folds[estimate_of], tested = tuned_permutation_test(tune, y, groups, schemes, resampling, estimate_of)
        tests += tested
    fits = {name: [fold.fit for fold in each] for name, each in folds.items()}

    everything = [(np.arange(len(y)), np.arange(0))]
    (final,) = tune_folds(images, everything, y[:, None], groups, tuning, Resampling(1, seed))
    weights, intercepts = voxel_weights(images, [final.fit])
    tested = study.predict_others(final.fit, weights, intercepts, confound_coefficients(images, final.fit))
    _, intervals, metrics = write_scores(outputs, study, fits, final.fit, tested, settings["min_participants"])
    chosen = pd.DataFrame([fold.chosen for fold in (*folds["published"], final)])
    chosen["fold"] = [*map(str, range(1, len(chosen))), "final"]
    if metrics["n_test"].isna().any():  # what is withheld of folds
        chosen = chosen.tail(1)
    outputs.write_table("tuning.tsv", chosen[list(TUNING_COLUMNS)], TUNING_COLUMNS)
    outputs.write_permutation_tests(tests, TEST_COLUMNS)
    write_repeats(cell, outputs, fits["published"], images, y, groups, tuning)
    outputs.write_map("weights_final.nii.gz", weights[:, 0], study.mask_img)
    outputs.write_fingerprints()
    for row in intervals[(intervals["metric"] == "skill") & (intervals["estimate_of"] == "lopo")].itertuples():
        print(f"{cell.name}: skill {row.estimate:.2f} [{row.low:.2f}, {row.high:.2f}] for unseen participants")


def write_repeats(cell, outputs, published, images, y, groups, tuning):
    """Write how the scores vary with the split; every split is tuned again."""
    seed, n = cell.settings["seed"], cell.settings["repeats"]
    n_folds = min(5, len(np.unique(groups)))
    rows = [score_repeat(0, published, groups)]
    with resample(cell, "repeats, folds", 1, n * n_folds) as resampling:
        for number in range(1, n + 1):
            splits = make_folds(groups, "group-kfold", n_folds, seed=seed + number - 1, shuffle=True)
            folds = tune_folds(images, splits, y[:, None], groups, tuning, resampling)
            rows.append(score_repeat(number, [fold.fit for fold in folds], groups))
    outputs.write_table("repeats.tsv", pd.DataFrame(rows), REPEAT_COLUMNS)


if __name__ == "__main__":
    run_stage(STUDY, "tune", main)
