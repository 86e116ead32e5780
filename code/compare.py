"""Compare masks and algorithms, and say which effects they would have found."""

import json

import numpy as np
import pandas as pd

from facepain.inference.comparison import (
    CELL_COLUMNS,
    DETECTABLE_COLUMNS,
    PAIR_COLUMNS,
    critical_score,
    detectable_table,
    familywise_table,
    pairs_table,
)
from facepain.inference.permutation import TrialPermuter, scheme_of_people
from facepain.models.confounds import remove_from_gram
from facepain.models.cross_validation import make_folds
from facepain.models.pca_regression import PCARegression
from facepain.models.score_tables import as_predictions
from facepain.parallel import Resampling
from files.tables import read_table
from provenance.run.stage import n_workers, run_stage
from stages import STUDY
from training import load_training, resample


def main(cell, outputs):
    settings, seed = cell.settings, cell.settings["seed"]
    models = {
        name: PCARegression(name, settings["variance"], **parameters)
        for name, parameters in settings["algorithms"].items()
    }
    predicted, tests = {}, []
    for mask in settings["masks"]:
        for algorithm in models:
            folder = f"outputs/regress/{mask}/{algorithm}"
            predicted[mask, algorithm] = as_predictions(read_table(f"{folder}/out_of_fold.tsv"))
            with open(f"{folder}/permutation.json", encoding="utf-8") as file:
                tests += [{"mask": mask, "algorithm": algorithm} | entry for entry in json.load(file)["entries"]]
    pairs = pairs_table(predicted, Resampling(settings["n_exchanges"], seed))
    outputs.write_table("cells.tsv", familywise_table(tests), CELL_COLUMNS)
    outputs.write_table("pairs.tsv", pairs, PAIR_COLUMNS)

    # The correlation above which the published p is at most 0.05.
    limits = {
        (test["mask"], test["algorithm"], test["scheme"]): critical_score(test["null_scores"])
        for test in tests
        if (test["estimate_of"], test["metric"]) == ("published", "pearson_r")
    }
    planted, detectable = settings["detectable"], []
    for mask in settings["masks"]:
        study = load_training(mask, settings)
        images, (y, groups) = study.images, study.train
        permuter = TrialPermuter(groups, "block", study.kinds_of_trials(settings["strata"])[study.rows])
        splits = make_folds(groups, **settings["cross_validation"], seed=seed)
        gram = images.gram(np.ones(len(y)), n_jobs=n_workers())
        if images.confounds is not None:
            # Patterns are drawn and planted without confounds, as they will be tested.
            gram, _ = remove_from_gram(gram, gram[:0], images.confounds, images.confounds[:0])
        of_mask = {name: limits.get((mask, name, scheme_of_people(groups))) for name in planted["algorithms"]}
        tested = {name: (models[name], limit) for name, limit in of_mask.items() if limit is not None}
        if tested and settings["standardize"] == "image":
            effects = planted["effects"]
            with resample(cell, f"effects, {mask}", planted["n"], len(effects)) as resampling:
                table = detectable_table(gram, y, permuter, splits, tested, effects, resampling, images.confounds)
            detectable.append(table.assign(mask=mask))
    if not detectable:
        print(
            f"{cell.name}: smallest effects are computed only for images standardised one by one, where participants "
            "are exchanged, and for those compare.detectable.algorithms that regress.algorithms names too"
        )
    table = pd.concat(detectable or [pd.DataFrame(columns=list(DETECTABLE_COLUMNS))])
    outputs.write_table("detectable.tsv", table[list(DETECTABLE_COLUMNS)], DETECTABLE_COLUMNS)
    significant = int(np.sum(pairs["p_corrected"] <= 0.05))
    print(f"{cell.name}: {significant} of {len(pairs)} differences between models have a corrected p of 0.05 or less")


if __name__ == "__main__":
    run_stage(STUDY, "compare", main)
