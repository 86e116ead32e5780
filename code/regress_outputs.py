"""Compute and write, table by table, what the stage ``regress`` says about its model."""

from dataclasses import asdict

import numpy as np

from facepain.inference.bootstrap import FEWEST_DRAWS, bootstrap_weights, p_values, threshold_fdr, z_thresholds
from facepain.inference.clusters import CLUSTER_COLUMNS, clusters_table
from facepain.inference.confounds_alone import CONFOUND_COLUMNS, confounds_alone_table
from facepain.inference.intervals import INFLUENCE_COLUMNS, influence_table
from facepain.inference.permutation import TEST_COLUMNS, applicable_schemes, permutation_test, tests_table
from facepain.inference.transfer import TRANSFER_COLUMNS, transfer_table
from facepain.models.confounds import fit_confounds
from facepain.models.repeats import LEARNING_COLUMNS, REPEAT_COLUMNS, learning_curve, score_repeats
from facepain.models.score_tables import (
    CALIBRATION_COLUMNS,
    METRIC_COLUMNS,
    OUT_OF_FOLD_COLUMNS,
    PREDICTION_COLUMNS,
    as_predictions,
    calibration_table,
    fold_metrics,
    metrics_on_other_datasets,
    predictions_table,
)
from facepain.parallel import Resampling
from files.outputs import unmask
from files.rounding import round_map
from provenance.run.progress import Progress
from provenance.run.stage import n_workers


def write_scores(outputs, fits, final, train_rows, predicted, y, groups):
    """Write scores and predictions of the published folds and, on other datasets, of the final model."""
    metrics = fold_metrics(fits, y[train_rows], groups[train_rows])
    predictions = predictions_table(fits, train_rows, predicted, y, groups)
    tested = metrics_on_other_datasets(predicted, final, y, groups)
    outputs.write_table("metrics.tsv", metrics, METRIC_COLUMNS)
    outputs.write_table("test_metrics.tsv", tested, METRIC_COLUMNS)
    outputs.write_table("predictions.tsv", predictions, PREDICTION_COLUMNS)
    return metrics


def write_folds(outputs, fits, train_rows, y, weights, mask_img):
    """Write the split and the weight map of every fold, and the maps of their average and of the final model."""
    for number, fit in enumerate(fits, 1):
        train_idx, test_idx = train_rows[fit.train_idx], train_rows[fit.test_idx]
        split = {"train_idx": train_idx, "test_idx": test_idx, "y_train": y[train_idx], "y_test": y[test_idx]}
        outputs.write_arrays(f"split_fold-{number}.npz", **split, y_pred=fit.y_pred)
        outputs.write_map(f"weights_fold-{number}.nii.gz", weights[:, number - 1], mask_img)
    outputs.write_map("weights_average.nii.gz", weights[:, :-1].mean(axis=1), mask_img)
    outputs.write_map("weights_final.nii.gz", weights[:, -1], mask_img)


def write_model(cell, outputs, final, train_rows, weights, intercept, confounds, y):
    """Write the final model in voxel space as arrays, and what it was fitted with; y still has its confounds."""
    arrays = {"weights": round_map(weights), "intercept": intercept}
    if confounds is not None:
        arrays["confound_coef"] = fit_confounds(confounds[train_rows]) @ y[train_rows] + final.confound_coef
    outputs.write_arrays("model.npz", **arrays)
    about = {
        "mask": f"outputs/extract/{cell.names[0]}/mask.nii.gz",
        "algorithm": cell.names[1],
        "parameters": cell.settings["algorithm"],
        "transform": cell.settings["transform"],
        "standardize": cell.settings["standardize"],
        "variance": cell.settings["variance"],
        "confounds": cell.settings["confounds"],
        "n_components": final.n_components,
        "training_rows": train_rows.tolist(),
    }
    outputs.write_json("model.json", about)


def write_generalisation(cell, outputs, out_of_fold, predicted, strata):
    """Write what holds for participants whom no model has seen and for other datasets, with intervals."""
    lopo = as_predictions(out_of_fold)
    permutations = Resampling(cell.settings["permutation"]["n"], cell.settings["seed"])
    calibration = calibration_table({"lopo": lopo} | predicted, cell.settings["min_participants"])
    outputs.write_table("out_of_fold.tsv", out_of_fold, OUT_OF_FOLD_COLUMNS)
    outputs.write_table("influence.tsv", influence_table(lopo), INFLUENCE_COLUMNS)
    outputs.write_table("calibration.tsv", calibration, CALIBRATION_COLUMNS)
    outputs.write_table("transfer.tsv", transfer_table(predicted, permutations, strata), TRANSFER_COLUMNS)
    return {"lopo": lopo} | predicted


def write_splits(cell, outputs, images, train, model, fits):
    """Write how the score varies with the split and with the number of participants."""
    seed, repeats, learning = cell.settings["seed"], cell.settings["repeats"], cell.settings["learning"]
    with Progress(repeats["n"] + learning["n"], f"{cell.name}: repeats and learning curve") as progress:
        repeated = Resampling(repeats["n"], seed, n_workers(), progress)
        table = score_repeats(images, *train, model, fits, repeated, repeats["n_folds"])
        outputs.write_table("repeats.tsv", table, REPEAT_COLUMNS)
        curve = learning_curve(images, *train, model, Resampling(learning["n"], seed, n_workers(), progress))
        outputs.write_table("learning.tsv", curve, LEARNING_COLUMNS)


def write_permutation_tests(cell, outputs, folds, train, model, strata):
    """Test the score of every estimate by every scheme that the params name and that applies to these scores."""
    chosen, (y, groups) = cell.settings["algorithm"], train
    applicable = applicable_schemes(groups, y)
    named = [scheme for scheme in chosen["permutation_schemes"] if scheme in applicable]
    limits = {"published": chosen.get("max_permutations"), "lopo": chosen.get("max_permutations_lopo")}
    tests = []
    for estimate_of, limit in limits.items():
        n = min(filter(None, (cell.settings["permutation"]["n"], limit)))
        for scheme in named or applicable[:1]:
            with Progress(n, f"{cell.name}: permutations {scheme}, {estimate_of}") as progress:
                resampling = Resampling(n, cell.settings["seed"], n_workers(), progress)
                tests += permutation_test(folds[estimate_of], y, groups, model, scheme, resampling, estimate_of, strata)
    for scheme in set(chosen["permutation_schemes"]) - set(applicable):
        print(f"{cell.name}: permuting {scheme} changes nothing in these scores and is left out")
    outputs.write_permutation_tests([asdict(entry) for entry in tests], tests_table(tests), TEST_COLUMNS)


def write_confounds_alone(cell, outputs, study, folds, strata):
    """Write what the confounds predict without any image."""
    y, groups, Z = study.y_with_confounds, study.groups, study.confounds
    splits = {name: [(fold.train_idx, fold.test_idx) for fold in each] for name, each in folds.items()}
    own, others = study.rows, {name: (y[rows], groups[rows], Z[rows]) for name, rows in study.others.items()}
    resampling = Resampling(cell.settings["permutation"]["n"], cell.settings["seed"])
    table = confounds_alone_table(splits, y[own], groups[own], Z[own], resampling, strata, others)
    outputs.write_table("confounds.tsv", table, CONFOUND_COLUMNS)


def write_bootstrap(cell, outputs, images, train, model, mask_img):
    """Bootstrap the final model's weights and write the z map, and what is derived from it as written."""
    chosen = cell.settings["bootstrap"]
    slow = ", each with its own scaling of the voxels" if "voxel" in cell.settings["standardize"] else ""
    with Progress(chosen["n"], f"{cell.name}: bootstrap{slow}") as progress:
        resampling = Resampling(chosen["n"], cell.settings["seed"], n_workers(), progress)
        result = bootstrap_weights(images, *train, model, resampling, chosen["unit"])
    z = round_map(result.z)
    outputs.write_map("bootstrap_z.nii.gz", z, mask_img)
    outputs.write_p_map("bootstrap_p.nii.gz", p_values(z), mask_img)
    if chosen["unit"] == "participant" and result.duals.size:
        outputs.write_arrays("bootstrap_draws.npz", duals=round_map(result.duals))
    about = {
        "unit": chosen["unit"],
        "n": result.n,
        "n_constant_target": result.n_constant_target,
        "n_constant_images": result.n_constant_images,
        "fdr": chosen["fdr"],
        "thresholds": {},
    }
    if result.n < FEWEST_DRAWS:
        about["reason_no_thresholds"] = f"{result.n} draws are fewer than the {FEWEST_DRAWS} that a threshold needs"
        print(f"{cell.name}: {about['reason_no_thresholds']}; no map or table of significant voxels is written")
    else:
        about["thresholds"] = thresholds = z_thresholds(z, chosen["fdr"])
        limits = {name: threshold["z"] for name, threshold in thresholds.items() if name != "uncorrected_0.05"}
        outputs.write_image("bootstrap_z_fdr.nii.gz", unmask(threshold_fdr(z, chosen["fdr"]), mask_img))
        for name in ("bonferroni_0.05", "uncorrected_0.001"):
            kept = np.where(np.abs(z) >= thresholds[name]["z"], z, 0)
            outputs.write_image(f"bootstrap_z_{name.partition('_')[0]}.nii.gz", unmask(kept, mask_img))
        outputs.write_table("clusters.tsv", clusters_table(unmask(z, mask_img), limits), CLUSTER_COLUMNS)
    outputs.write_json("bootstrap.json", about)
