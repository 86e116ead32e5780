"""Compute and write, table by table, what the stage ``regress`` says about its model."""

from dataclasses import replace

import pandas as pd

from facepain.inference import bootstrap
from facepain.inference.confounds_alone import CONFOUND_COLUMNS, confounds_alone_table
from facepain.inference.intervals import INFLUENCE_COLUMNS, INTERVAL_COLUMNS, influence_table, intervals_table
from facepain.inference.permutation import TEST_COLUMNS, choose_schemes, permutation_test
from facepain.inference.transfer import TRANSFER_COLUMNS, transfer_table
from facepain.models import score_tables
from facepain.models.confounds import fit_confounds
from facepain.models.repeats import LEARNING_COLUMNS, REPEAT_COLUMNS, learning_curve, score_repeats
from facepain.models.scores import withhold_folds
from facepain.parallel import Resampling
from files.outputs import unmask
from files.rounding import round_map, round_significant
from training import resample


def write_scores(outputs, study, fits, final, tested, min_participants):
    """Write scores and predictions of the folds and, on other datasets, of the final model, with their intervals.

    Of folds and datasets with fewer than ``min_participants`` only predictions are written. Returns the predictions of
    held-out participants and of the other datasets by what they are of, and the tables of intervals and metrics.
    """
    groups = study.train[1]
    metrics = score_tables.fold_metrics(fits["published"], groups)
    of_folds = withhold_folds(metrics, [groups[fit.test_idx] for fit in fits["published"]], min_participants)
    listed = {name: score_tables.list_predictions(each, study.rows, study.groups) for name, each in fits.items()}
    lopo = listed["lopo"].sort_values("row", ignore_index=True)
    predictions = pd.concat([listed["published"], *tested.values()])[list(score_tables.PREDICTION_COLUMNS)]
    scored = {name: each for name, each in tested.items() if each["participant_id"].nunique() >= min_participants}
    held_out = {name: score_tables.as_predictions(table) for name, table in ({"lopo": lopo} | scored).items()}
    intervals = intervals_table(held_out, metrics, fits["published"], groups)
    outputs.write_table("metrics.tsv", of_folds, score_tables.METRIC_COLUMNS)
    on_others = score_tables.metrics_on_other_datasets(scored, final)
    outputs.write_table("test_metrics.tsv", on_others, score_tables.METRIC_COLUMNS)
    outputs.write_table("predictions.tsv", predictions, score_tables.PREDICTION_COLUMNS)
    columns = score_tables.OUT_OF_FOLD_COLUMNS
    outputs.write_table("out_of_fold.tsv", lopo[list(columns)], columns)
    outputs.write_table("intervals.tsv", intervals, INTERVAL_COLUMNS)
    return held_out, intervals, of_folds


def write_folds(outputs, study, fits, weights, are_withheld):
    """Write the split and the weight map of every fold, and the maps of their average and of the final model.

    Where folds test few participants, how maps differ tells of these: they are withheld like the splits, by their name.
    """
    name = "split_fold-{}_weights.nii.gz" if are_withheld else "weights_fold-{}.nii.gz"
    for number, fit in enumerate(fits, 1):
        train_idx, test_idx = study.rows[fit.train_idx], study.rows[fit.test_idx]
        scores = {"y_train": fit.y_train, "y_test": fit.y_test, "y_pred": fit.y_pred}
        outputs.write_arrays(f"split_fold-{number}.npz", train_idx=train_idx, test_idx=test_idx, **scores)
        outputs.write_map(name.format(number), weights[:, number - 1], study.mask_img)
    outputs.write_map("weights_average.nii.gz", weights[:, :-1].mean(axis=1), study.mask_img)
    outputs.write_map("weights_final.nii.gz", weights[:, -1], study.mask_img)


def write_model(cell, outputs, study, final, weights, intercept, confound_coef):
    """Write the final model in voxel space as arrays, and what it was fitted with."""
    arrays, rows = {"weights": round_map(weights), "intercept": intercept}, study.rows
    if study.confounds is not None:
        arrays["confound_coef"] = fit_confounds(study.confounds[rows]) @ study.y_with_confounds[rows] + confound_coef
    outputs.write_arrays("model.npz", **arrays)
    about = {
        "mask": f"outputs/extract/{cell.names[0]}/mask.nii.gz",
        "algorithm": cell.names[1],
        "parameters": cell.settings["algorithm"],
        "n_components": final.n_components,
        "training_rows": rows.tolist(),
    }
    used = {name: cell.settings[name] for name in ("transform", "standardize", "variance", "confounds")}
    outputs.write_json("model.json", about | used)


def write_generalisation(cell, outputs, study, held_out, strata):
    """Write what holds for participants whom no model has seen and for other datasets."""
    permutations = Resampling(cell.settings["permutation"]["n"], cell.settings["seed"])
    calibration = score_tables.calibration_table(held_out, cell.settings["min_participants"])
    others = {name: predictions for name, predictions in held_out.items() if name != "lopo"}
    strata = {name: strata[study.others[name]] for name in others}
    outputs.write_table("influence.tsv", influence_table(held_out["lopo"]), INFLUENCE_COLUMNS)
    outputs.write_table("calibration.tsv", calibration, score_tables.CALIBRATION_COLUMNS)
    outputs.write_table("transfer.tsv", transfer_table(others, permutations, strata), TRANSFER_COLUMNS)


def write_splits(cell, outputs, study, model, fits):
    """Write how the score varies with the split and with the number of participants."""
    repeats, learning = cell.settings["repeats"], cell.settings["learning"]
    steps = repeats["n"] + learning["n"]
    with resample(cell, "repeats and learning curve", repeats["n"], steps) as resampling:
        table = score_repeats(study.images, *study.train, model, fits, resampling, repeats["n_folds"])
        outputs.write_table("repeats.tsv", table, REPEAT_COLUMNS)
        chosen = replace(resampling, n=learning["n"])
        curve = learning_curve(study.images, *study.train, model, chosen, cell.settings["min_participants"])
        outputs.write_table("learning.tsv", curve, LEARNING_COLUMNS)


def write_permutation_tests(cell, outputs, study, folds, model, strata):
    """Test the score of every estimate by every scheme that the params name and that applies to these scores."""
    chosen, (y, groups) = cell.settings["algorithm"], study.train
    schemes = choose_schemes(chosen["permutation_schemes"], groups, y)
    limits = {"published": chosen.get("max_permutations"), "lopo": chosen.get("max_permutations_lopo")}
    tests = []
    for estimate_of, limit in limits.items():
        n = min(filter(None, (cell.settings["permutation"]["n"], limit)))
        for scheme in schemes:
            with resample(cell, f"permutations {scheme}, {estimate_of}", n) as resampling:
                tests += permutation_test(folds[estimate_of], y, groups, model, scheme, resampling, estimate_of, strata)
    for scheme in set(chosen["permutation_schemes"]) - set(schemes):
        print(f"{cell.name}: permuting {scheme} changes nothing in these scores and is left out")
    outputs.write_permutation_tests(tests, TEST_COLUMNS)


def write_confounds_alone(cell, outputs, study, splits, held_out, strata):
    """Write what the confounds predict without any image, of what the model's own scores are written of."""
    y, groups, Z = study.y_with_confounds, study.groups, study.confounds
    others = {name: (y[rows], groups[rows], Z[rows]) for name, rows in study.others.items() if name in held_out}
    own, resampling = study.rows, Resampling(cell.settings["permutation"]["n"], cell.settings["seed"])
    table = confounds_alone_table(splits, y[own], groups[own], Z[own], resampling, strata, others)
    outputs.write_table("confounds.tsv", table, CONFOUND_COLUMNS)


def write_bootstrap(cell, outputs, study, model):
    """Bootstrap the final model's weights and write the z map, and what is derived from it as written."""
    chosen, mask_img = cell.settings["bootstrap"], study.mask_img
    slow = ", each with its own scaling of the voxels" if "voxel" in cell.settings["standardize"] else ""
    with resample(cell, f"bootstrap{slow}", chosen["n"]) as resampling:
        result = bootstrap.bootstrap_weights(study.images, *study.train, model, resampling, chosen["unit"])
    z = round_map(result.z)
    outputs.write_map("bootstrap_z.nii.gz", z, mask_img)
    p = round_significant(bootstrap.p_values(z))
    outputs.write_image("bootstrap_p.nii.gz", unmask(p, mask_img, outside=1))
    if chosen["unit"] == "participant" and result.duals.size:
        outputs.write_arrays("bootstrap_draws.npz", duals=round_map(result.duals))
    about = {"unit": chosen["unit"], "fdr": chosen["fdr"], "thresholds": {}}
    about |= {name: getattr(result, name) for name in ("n", "n_constant_target", "n_constant_images")}
    if result.n < bootstrap.FEWEST_DRAWS:
        about["reason_no_thresholds"] = (
            f"{result.n} draws are fewer than the {bootstrap.FEWEST_DRAWS} that a threshold needs"
        )
        print(f"{cell.name}: {about['reason_no_thresholds']}; no map or table of significant voxels is written")
    else:
        about["thresholds"] = thresholds = bootstrap.z_thresholds(z, chosen["fdr"])
        limits = {name: threshold["z"] for name, threshold in thresholds.items() if name != "uncorrected_0.05"}
        for name in ("fdr", "bonferroni_0.05", "uncorrected_0.001"):
            kept = bootstrap.threshold_map(z, thresholds[name])
            outputs.write_image(f"bootstrap_z_{name.partition('_')[0]}.nii.gz", unmask(kept, mask_img))
        clusters = bootstrap.clusters_table(unmask(z, mask_img), limits)
        outputs.write_table("clusters.tsv", clusters, bootstrap.CLUSTER_COLUMNS)
    outputs.write_json("bootstrap.json", about)
