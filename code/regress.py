"""Predict the score from the brain within one mask by PCA and one regression, and test how sure that is."""

import regress_outputs
from facepain.models import cross_validation
from provenance.run.stage import n_workers, run_stage
from stages import STUDY
from training import load_model, load_training


def main(cell, outputs):
    mask_name, algorithm = cell.names
    settings = cell.settings
    study, model = load_training(mask_name, settings), load_model(algorithm, settings)
    images, (y, _) = study.images, study.train
    strata = study.kinds_of_trials(settings["permutation"]["strata"])

    splits = study.make_splits(settings)
    folds = {name: cross_validation.prepare_folds(images, each, model, n_workers()) for name, each in splits.items()}
    fits = {name: cross_validation.cross_validate(each, y, model) for name, each in folds.items()}
    final = cross_validation.fit_final(images, y, model, n_workers())
    weights, intercepts = cross_validation.voxel_weights(images, [*fits["published"], final])
    confound_coef = cross_validation.confound_coefficients(images, final)
    tested = study.predict_others(final, weights[:, -1:], intercepts[-1:], confound_coef)

    held_out, intervals, metrics = regress_outputs.write_scores(
        outputs, study, fits, final, tested, settings["min_participants"]
    )
    regress_outputs.write_folds(outputs, study, fits["published"], weights, metrics["n_test"].isna().any())
    regress_outputs.write_model(cell, outputs, study, final, weights[:, -1], intercepts[-1], confound_coef)
    outputs.write_map("pattern_final.nii.gz", cross_validation.haufe_pattern(images, final), study.mask_img)
    regress_outputs.write_generalisation(cell, outputs, study, held_out, strata)
    regress_outputs.write_splits(cell, outputs, study, model, fits["published"])
    if study.confounds is not None:
        regress_outputs.write_confounds_alone(cell, outputs, study, splits, held_out, strata[study.rows])
    regress_outputs.write_permutation_tests(cell, outputs, study, folds, model, strata[study.rows])
    regress_outputs.write_bootstrap(cell, outputs, study, model)
    outputs.write_fingerprints()
    shown = intervals.query("metric == 'pearson_r' and estimate_of != 'published'").itertuples()
    scores = (f"{row.estimate_of} {row.estimate:.2f} [{row.low:.2f}, {row.high:.2f}]" for row in shown)
    print(f"{cell.name}: r {', '.join(scores)} (95 % interval over participants)")


if __name__ == "__main__":
    run_stage(STUDY, "regress", main)
