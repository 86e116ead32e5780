"""Predict the score from the brain within one mask by PCA and one regression, and test how sure that is."""

import numpy as np

from facepain.data.trials import first_of_run
from facepain.models.cross_validation import (
    confound_coefficients,
    cross_validate,
    fit_final,
    haufe_pattern,
    prepare_folds,
    voxel_weights,
)
from facepain.models.folds import make_folds
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
    study, model = load_training(mask_name, settings), load_model(algorithm, settings)
    images, (y, groups) = study.images, study.train
    strata = (
        first_of_run(study.trials) if settings["permutation"]["strata"] == "first-of-run" else np.zeros(len(study.y))
    )

    splits = {
        "published": make_folds(groups, **settings["cross_validation"], seed=settings["seed"]),
        "lopo": make_folds(groups, "lopo"),
    }
    folds = {name: prepare_folds(images, each, model, n_workers()) for name, each in splits.items()}
    fits = {name: cross_validate(each, y, model) for name, each in folds.items()}
    final = fit_final(images, y, model, n_workers())
    weights, intercepts = voxel_weights(images, [*fits["published"], final])
    confound_coef = confound_coefficients(images, final)
    tested = study.predict_others(final, weights[:, -1:], intercepts[-1:], confound_coef)

    held_out, intervals = write_scores(outputs, study, fits, final, tested)
    write_folds(outputs, study, fits["published"], weights)
    write_model(cell, outputs, study, final, weights[:, -1], intercepts[-1], confound_coef)
    outputs.write_map("pattern_final.nii.gz", haufe_pattern(images, final), study.mask_img)
    write_generalisation(cell, outputs, held_out, {name: strata[table["row"]] for name, table in tested.items()})
    write_splits(cell, outputs, study, model, fits["published"])
    if study.confounds is not None:
        write_confounds_alone(cell, outputs, study, splits, strata[study.rows])
    write_permutation_tests(cell, outputs, study, folds, model, strata[study.rows])
    write_bootstrap(cell, outputs, study, model)
    outputs.write_fingerprints()
    shown = intervals.query("metric == 'pearson_r' and estimate_of != 'published'").itertuples()
    scores = (f"{row.estimate_of} {row.estimate:.2f} [{row.low:.2f}, {row.high:.2f}]" for row in shown)
    print(f"{cell.name}: r {', '.join(scores)} (95 % interval over participants)")


if __name__ == "__main__":
    run_stage(STUDY, "regress", main)
