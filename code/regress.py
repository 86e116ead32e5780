"""Predict the score from the brain within one mask by PCA and one regression, and test how sure that is."""

from dataclasses import asdict
from functools import partial

import nibabel
import numpy as np

from errors import InputError
from facepain.inference.bootstrap import bootstrap_weights, p_values, threshold_fdr, z_thresholds
from facepain.inference.clusters import CLUSTER_COLUMNS, clusters_table
from facepain.inference.permutation import TEST_COLUMNS, applicable_schemes, permutation_test, tests_table
from facepain.models.cross_validation import cross_validate, fit_final, prepare_folds, voxel_weights
from facepain.models.folds import make_folds
from facepain.models.pca_regression import PCARegression
from facepain.models.score_tables import (
    METRIC_COLUMNS,
    PREDICTION_COLUMNS,
    fold_metrics,
    metrics_on_other_datasets,
    predictions_table,
)
from facepain.models.standardize import StandardizedImages, predict_images
from facepain.models.target import transform_target
from facepain.parallel import Resampling
from files.outputs import unmask
from files.rounding import round_map
from files.tables import read_table
from provenance.run.progress import Progress
from provenance.run.stage import n_workers, run_stage
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
    train_y, train_groups = y[train_rows], groups[train_rows]

    parameters = {key: value for key, value in settings["algorithm"].items() if key != "permutation_schemes"}
    model = PCARegression(algorithm, explained_variance=settings["variance"], **parameters)
    images = StandardizedImages(np.asarray(signals[train_rows]), settings["standardize"])
    splits = make_folds(train_groups, **settings["cross_validation"], seed=settings["seed"])
    folds = prepare_folds(images, splits, model, n_workers())
    fits = cross_validate(folds, train_y, model)
    final = fit_final(images, train_y, model, n_workers())
    weights, intercepts = voxel_weights(images, [*fits, final])

    predicted = {}
    for dataset in sorted(set(trials["dataset"]) - {settings["train_dataset"]}):
        rows = np.flatnonzero(trials["dataset"] == dataset)
        y_pred = predict_images(signals[rows], weights[:, -1:], intercepts[-1:], settings["standardize"])[:, 0]
        predicted[dataset] = (rows, y_pred)

    metrics = fold_metrics(fits, train_y, train_groups)
    tested = metrics_on_other_datasets(predicted, final, y, groups)
    predictions = predictions_table(fits, train_rows, predicted, y, groups)
    outputs.write_table("metrics.tsv", metrics, METRIC_COLUMNS)
    outputs.write_table("test_metrics.tsv", tested, METRIC_COLUMNS)
    outputs.write_table("predictions.tsv", predictions, PREDICTION_COLUMNS)
    write_folds(outputs, fits, train_rows, y, weights, mask_img)
    write_model(cell, outputs, final, train_rows, weights[:, -1], intercepts[-1])
    write_permutation_tests(cell, outputs, partial(permutation_test, folds, train_y, train_groups, model), train_groups)
    write_bootstrap(cell, outputs, partial(bootstrap_weights, images, train_y, train_groups, model), mask_img)
    outputs.write_fingerprints()

    others = ", ".join(f"{row.dataset} {row.r2:.2f}" for row in tested.itertuples()) or "no other dataset"
    r2 = metrics.set_index("fold")["r2"]
    print(f"{cell.name}: R2 tested on {others}; cross-validated {r2['mean']:.2f} +- {r2['sd']:.2f}")


def rows_of_training(trials, dataset):
    """Return the rows of the dataset that models are trained on."""
    rows = np.flatnonzero(trials["dataset"] == dataset)
    if not rows.size:
        known = ", ".join(sorted(set(trials["dataset"])))
        raise InputError(f'regress.train_dataset = "{dataset}" has no usable trial; expected one of {known}')
    return rows


def write_folds(outputs, fits, train_rows, y, weights, mask_img):
    """Write the split and the weight map of every fold, and the maps of their average and of the final model."""
    for number, fit in enumerate(fits, 1):
        train_idx, test_idx = train_rows[fit.train_idx], train_rows[fit.test_idx]
        split = {"train_idx": train_idx, "test_idx": test_idx, "y_train": y[train_idx], "y_test": y[test_idx]}
        outputs.write_arrays(f"split_fold-{number}.npz", **split, y_pred=fit.y_pred)
        outputs.write_map(f"weights_fold-{number}.nii.gz", weights[:, number - 1], mask_img)
    outputs.write_map("weights_average.nii.gz", weights[:, :-1].mean(axis=1), mask_img)
    outputs.write_map("weights_final.nii.gz", weights[:, -1], mask_img)


def write_model(cell, outputs, final, train_rows, weights, intercept):
    """Write the final model in voxel space as arrays, and what it was fitted with."""
    outputs.write_arrays("model.npz", weights=round_map(weights), intercept=intercept)
    about = {
        "mask": f"outputs/extract/{cell.names[0]}/mask.nii.gz",
        "algorithm": cell.names[1],
        "parameters": cell.settings["algorithm"],
        "transform": cell.settings["transform"],
        "standardize": cell.settings["standardize"],
        "variance": cell.settings["variance"],
        "n_components": final.n_components,
        "training_rows": train_rows.tolist(),
    }
    outputs.write_json("model.json", about)


def write_permutation_tests(cell, outputs, test, groups):
    """Run the tests of every scheme that the params name and that applies to these participants."""
    n = cell.settings["permutation"]["n"]
    applicable = applicable_schemes(groups)
    named = [scheme for scheme in cell.settings["algorithm"]["permutation_schemes"] if scheme in applicable]
    tests = []
    for scheme in named or applicable[:1]:
        with Progress(n, f"{cell.name}: permutations {scheme}") as progress:
            tests += test(scheme, Resampling(n, cell.settings["seed"], n_workers(), progress))
    outputs.write_permutation_tests([asdict(entry) for entry in tests], tests_table(tests), TEST_COLUMNS)


def write_bootstrap(cell, outputs, bootstrap, mask_img):
    """Bootstrap the final model's weights and write the z map, and what is derived from it as written."""
    chosen = cell.settings["bootstrap"]
    slow = ", each with its own scaling of the voxels" if cell.settings["standardize"] == "voxel" else ""
    with Progress(chosen["n"], f"{cell.name}: bootstrap{slow}") as progress:
        resampling = Resampling(chosen["n"], cell.settings["seed"], n_workers(), progress)
        result = bootstrap(resampling, chosen["unit"])
    z = round_map(result.z)
    thresholds = z_thresholds(z, chosen["fdr"])
    limits = {name: threshold["z"] for name, threshold in thresholds.items() if name != "uncorrected_0.05"}
    outputs.write_map("bootstrap_z.nii.gz", z, mask_img)
    outputs.write_p_map("bootstrap_p.nii.gz", p_values(z), mask_img)
    outputs.write_image("bootstrap_z_fdr.nii.gz", unmask(threshold_fdr(z, chosen["fdr"]), mask_img))
    outputs.write_table("clusters.tsv", clusters_table(unmask(z, mask_img), limits), CLUSTER_COLUMNS)
    about = {
        "unit": chosen["unit"],
        "n": result.n,
        "n_constant_target": result.n_constant_target,
        "n_constant_images": result.n_constant_images,
        "fdr": chosen["fdr"],
        "thresholds": thresholds,
    }
    outputs.write_json("bootstrap.json", about)


if __name__ == "__main__":
    run_stage(STUDY, "regress", main)
