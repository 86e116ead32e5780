"""Predict the score from the brain within one mask by PCA and one regression, and test how sure that is."""

import numpy as np

from facepain.data.trials import first_of_run
from facepain.inference.intervals import INTERVAL_COLUMNS, intervals_table
from facepain.models.cross_validation import cross_validate, fit_final, haufe_pattern, prepare_folds, voxel_weights
from facepain.models.folds import make_folds
from facepain.models.score_tables import out_of_fold_table
from provenance.run.stage import n_workers, run_stage
from regress_outputs import (
    write_bootstrap,
    write_confounds_alone,
    write_folds,
    write_generalisation,
    write_model,
    write_permutation_tests,
    write_scores,
    write_splits,
)
from stages import STUDY
from training import load_model, load_training


def main(cell, outputs):
    mask_name, algorithm = cell.names
    settings = cell.settings
    study = load_training(mask_name, settings)
    images, train, mask_img = study.images, study.train, study.mask_img
    train_rows, groups, y, confounds = study.rows, study.groups, study.y, study.confounds
    strata = first_of_run(study.trials) if settings["permutation"]["strata"] == "first-of-run" else np.zeros(len(y))

    model = load_model(algorithm, settings)
    splits = make_folds(train[1], **settings["cross_validation"], seed=settings["seed"])
    folds = {"published": prepare_folds(images, splits, model, n_workers())}
    folds["lopo"] = prepare_folds(images, make_folds(train[1], "lopo"), model, n_workers())
    fits = {name: cross_validate(each, train[0], model) for name, each in folds.items()}
    final = fit_final(images, train[0], model, n_workers())
    weights, intercepts = voxel_weights(images, [*fits["published"], final])
    out_of_fold = out_of_fold_table(fits["lopo"], train_rows, y, groups)

    predicted = study.predict_others(weights[:, -1:], intercepts[-1:], final.confound_coef)
    tested = study.set_beside_scores(predicted, final.y_train_mean)
    strata_of = {dataset: strata[rows] for dataset, (rows, _) in predicted.items()}
    metrics = write_scores(outputs, fits["published"], final, train_rows, predicted, y, groups)
    write_folds(outputs, fits["published"], train_rows, y, weights, mask_img)
    write_model(cell, outputs, final, train_rows, weights[:, -1], intercepts[-1], confounds, study.y_with_confounds)
    outputs.write_map("pattern_final.nii.gz", haufe_pattern(images, final), mask_img)
    held_out = write_generalisation(cell, outputs, out_of_fold, tested, strata_of)
    intervals = intervals_table(held_out, metrics, fits["published"], train[1])
    outputs.write_table("intervals.tsv", intervals, INTERVAL_COLUMNS)
    write_splits(cell, outputs, images, train, model, fits["published"])
    if confounds is not None:
        write_confounds_alone(cell, outputs, study, folds, strata[train_rows])
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
