"""Predict within one mask whether there is an expression, and how strong it is where there is one."""

import numpy as np

from facepain.inference import occurrence
from facepain.models.cross_validation import prepare_folds
from facepain.models.pca_regression import PCARegression
from facepain.models.scores import withhold_folds
from provenance.run.stage import n_workers, run_stage
from stages import STUDY
from training import load_training, resample


def main(cell, outputs):
    settings = cell.settings
    study = load_training(cell.names[0], settings | {"transform": "raw"})
    images, rows, (y, groups) = study.images, study.rows, study.train
    if y.min() < 0 or not (0 < np.mean(y > 0) < 1):
        print(f"{cell.name}: the scores are not 0 in some trials and above 0 in others: no occurrence to predict")
        return
    if (n_expressing := len(np.unique(groups[y > 0]))) < (fewest := settings["min_participants"]):
        print(f"{cell.name}: {n_expressing} participants score above 0, min_participants is {fewest}: no result")
        return

    splits = study.make_splits(settings)
    model, alpha = PCARegression("ridge", settings["variance"]), settings["alpha"]
    folds = {name: prepare_folds(images, splits[name], model, n_workers()) for name in ("lopo", "published")}
    found = {name: [occurrence.predict_parts(fold, y[:, None], alpha) for fold in each] for name, each in folds.items()}
    tests = []
    for estimate_of in folds:
        with resample(cell, f"permutations, {estimate_of}", settings["permutation"]["n"]) as resampling:
            tests += occurrence.part_permutation_test(folds[estimate_of], y, groups, alpha, resampling, estimate_of)

    metrics = occurrence.parts_table(found, y)
    expressing = [groups[test][y[test] > 0] for _, test in splits["published"]]  # whom intensity is scored on
    of_folds = withhold_folds(metrics, expressing, fewest)
    outputs.write_table("metrics.tsv", of_folds, occurrence.PART_COLUMNS)
    intervals = occurrence.part_intervals_table(found, y, groups)
    outputs.write_table("intervals.tsv", intervals, occurrence.PART_INTERVAL_COLUMNS)
    listed = occurrence.part_predictions_table(found, rows, y, groups)
    outputs.write_table("predictions.tsv", listed, occurrence.PART_PREDICTION_COLUMNS)
    outputs.write_permutation_tests(tests, occurrence.PART_TEST_COLUMNS)
    outputs.write_fingerprints()
    of_all = metrics[metrics["fold"] == "lopo"].set_index("part")
    auc, r = of_all.loc["occurrence", "auc"], of_all.loc["intensity", "pearson_r"]
    print(f"{cell.name}: AUC of occurrence {auc:.2f}, r of intensity {r:.2f} (leave one participant out)")


if __name__ == "__main__":
    run_stage(STUDY, "occurrence", main)
