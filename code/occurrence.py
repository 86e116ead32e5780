"""Predict within one mask whether there is an expression, and how strong it is where there is one."""

import numpy as np

from facepain.inference.parts import (
    PART_INTERVAL_COLUMNS,
    PART_TEST_COLUMNS,
    part_intervals_table,
    part_permutation_test,
)
from facepain.inference.permutation import tests_table
from facepain.models.cross_validation import prepare_folds
from facepain.models.folds import make_folds
from facepain.models.occurrence import (
    PART_COLUMNS,
    PART_PREDICTION_COLUMNS,
    part_predictions_table,
    parts_table,
    predict_parts,
)
from facepain.models.pca_regression import PCARegression
from facepain.parallel import Resampling
from provenance.run.progress import Progress
from provenance.run.stage import n_workers, run_stage
from stages import STUDY
from training import load_training


def main(cell, outputs):
    settings, seed = cell.settings, cell.settings["seed"]
    study = load_training(cell.names[0], settings | {"transform": "raw"})
    images, rows, (y, groups) = study.images, study.rows, study.train
    if y.min() < 0 or not (0 < np.mean(y > 0) < 1):
        print(f"{cell.name}: the scores are not 0 in some trials and above 0 in others: no occurrence to predict")
        return

    splits = make_folds(groups, "lopo"), make_folds(groups, **settings["cross_validation"], seed=seed)
    model, alpha = PCARegression("ridge", settings["variance"]), settings["alpha"]
    lopo, published = (prepare_folds(images, each, model, n_workers()) for each in splits)
    folds = {"lopo": lopo, "published": published}
    parts = {name: [predict_parts(fold, y[:, None], alpha) for fold in each] for name, each in folds.items()}
    tests = []
    for estimate_of in folds:
        with Progress(settings["permutation"]["n"], f"{cell.name}: permutations, {estimate_of}") as progress:
            resampling = Resampling(settings["permutation"]["n"], seed, n_workers(), progress)
            tests += part_permutation_test(folds[estimate_of], y, groups, alpha, resampling, estimate_of)

    metrics = parts_table(parts["published"], parts["lopo"], y)
    outputs.write_table("metrics.tsv", metrics, PART_COLUMNS)
    outputs.write_table("intervals.tsv", part_intervals_table(parts, y, groups), PART_INTERVAL_COLUMNS)
    outputs.write_table("predictions.tsv", part_predictions_table(parts, rows, y, groups), PART_PREDICTION_COLUMNS)
    outputs.write_permutation_tests(tests, tests_table(tests, PART_TEST_COLUMNS), PART_TEST_COLUMNS)
    outputs.write_fingerprints()
    of_all = metrics[metrics["fold"] == "lopo"].set_index("part")
    auc, r = of_all.loc["occurrence", "auc"], of_all.loc["intensity", "pearson_r"]
    print(f"{cell.name}: AUC of occurrence {auc:.2f}, r of intensity {r:.2f} (leave one participant out)")


if __name__ == "__main__":
    run_stage(STUDY, "occurrence", main)
