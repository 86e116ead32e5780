"""Predict the score from the brain within one mask by PCA and one regression, and test how sure that is."""

import nibabel
import numpy as np

from facepain.data.trials import first_of_run, rows_of_training
from facepain.inference.intervals import INTERVAL_COLUMNS, intervals_table
from facepain.models.algorithms import ALGORITHMS
from facepain.models.confounds import CONFOUND_COLUMNS, confound_matrix, confounds_alone_table, remove_from_scores
from facepain.models.cross_validation import cross_validate, fit_final, haufe_pattern, prepare_folds, voxel_weights
from facepain.models.folds import make_folds
from facepain.models.pca_regression import PCARegression
from facepain.models.score_tables import out_of_fold_table
from facepain.models.scores import Predictions
from facepain.models.standardize import StandardizedImages, predict_images
from facepain.models.target import transform_target
from files.tables import read_table
from provenance.run.stage import n_workers, run_stage
from regress_outputs import (
    write_bootstrap,
    write_folds,
    write_generalisation,
    write_model,
    write_permutation_tests,
    write_scores,
    write_splits,
)
from stages import STUDY


def main(cell, outputs):
    mask_name, algorithm = cell.names
    settings = cell.settings
    trials = read_table("outputs/prep/trials.tsv")
    signals = np.load(f"outputs/extract/{mask_name}/signals.npy", mmap_mode="r")
    mask_img = nibabel.load(f"outputs/extract/{mask_name}/mask.nii.gz")
    groups = trials["participant_id"].to_numpy()
    y = transform_target(trials[settings["target"]], settings["transform"])
    train_rows = rows_of_training(trials, settings["train_dataset"])
    confounds, y_with_confounds = confound_matrix(trials[settings["confounds"]]), y
    # Permuting the residuals of the confounds is the test of Freedman and Lane; every fold removes its own anew.
    y = remove_from_scores(y, confounds, train_rows)
    train = y[train_rows], groups[train_rows]
    strata = first_of_run(trials) if settings["permutation"]["strata"] == "first-of-run" else np.zeros(len(trials))

    parameters = {name: settings["algorithm"][name] for name in ALGORITHMS[algorithm].parameters}
    model = PCARegression(algorithm, explained_variance=settings["variance"], **parameters)
    of_train = None if confounds is None else confounds[train_rows]
    images = StandardizedImages(np.asarray(signals[train_rows]), settings["standardize"], of_train)
    splits = make_folds(train[1], **settings["cross_validation"], seed=settings["seed"])
    folds = {"published": prepare_folds(images, splits, model, n_workers())}
    folds["lopo"] = prepare_folds(images, make_folds(train[1], "lopo"), model, n_workers())
    fits = {name: cross_validate(each, train[0], model) for name, each in folds.items()}
    final = fit_final(images, train[0], model, n_workers())
    weights, intercepts = voxel_weights(images, [*fits["published"], final])
    out_of_fold = out_of_fold_table(fits["lopo"], train_rows, y, groups)

    predicted, strata_of = {}, {}
    for dataset in sorted(set(trials["dataset"]) - {settings["train_dataset"]}):
        rows = np.flatnonzero(trials["dataset"] == dataset)
        y_pred = predict_images(signals[rows], weights[:, -1:], intercepts[-1:], settings["standardize"])[:, 0]
        y_pred += 0 if confounds is None else confounds[rows] @ final.confound_coef
        predicted[dataset], strata_of[dataset] = (rows, y_pred), strata[rows]
    tested = {
        dataset: Predictions(y[rows], y_pred, groups[rows], np.full(len(rows), final.y_train_mean))
        for dataset, (rows, y_pred) in predicted.items()
    }

    metrics = write_scores(outputs, fits["published"], final, train_rows, predicted, y, groups)
    write_folds(outputs, fits["published"], train_rows, y, weights, mask_img)
    write_model(cell, outputs, final, train_rows, weights[:, -1], intercepts[-1], confounds, y_with_confounds)
    outputs.write_map("pattern_final.nii.gz", haufe_pattern(images, final), mask_img)
    held_out = write_generalisation(cell, outputs, out_of_fold, tested, strata_of)
    intervals = intervals_table(held_out, metrics, fits["published"], train[1])
    outputs.write_table("intervals.tsv", intervals, INTERVAL_COLUMNS)
    write_splits(cell, outputs, images, train, model, fits["published"])
    if confounds is not None:
        splits = {name: [(fold.train_idx, fold.test_idx) for fold in each] for name, each in folds.items()}
        alone = confounds_alone_table(splits, y_with_confounds[train_rows], of_train)
        outputs.write_table("confounds.tsv", alone, CONFOUND_COLUMNS)
    write_permutation_tests(cell, outputs, folds, train, model, strata[train_rows])
    write_bootstrap(cell, outputs, images, train, model, mask_img)
    outputs.write_fingerprints()
    print_scores(cell, intervals)


def print_scores(cell, intervals):
    """Print the correlation for unseen participants and on other datasets."""
    shown = intervals[(intervals["metric"] == "pearson_r") & (intervals["estimate_of"] != "published")]
    scores = (f"{row.estimate_of} {row.estimate:.2f} [{row.low:.2f}, {row.high:.2f}]" for row in shown.itertuples())
    print(f"{cell.name}: r {', '.join(scores)} (95 % interval over participants)")


if __name__ == "__main__":
    run_stage(STUDY, "regress", main)
