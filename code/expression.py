"""Say how strongly every trial expresses each signature, and the study's own model, the latter out of fold only."""

import nibabel
import numpy as np
import pandas as pd

from facepain.data.signatures import load_signatures
from facepain.models.algorithms import ALGORITHMS
from facepain.models.cross_validation import cross_validate, fit_final, prepare_folds, voxel_weights
from facepain.models.expression import express_map, require_unseen
from facepain.models.folds import make_folds
from facepain.models.pca_regression import PCARegression
from facepain.models.standardize import StandardizedImages, predict_images
from facepain.models.target import transform_target
from files.tables import read_table
from provenance.run.progress import Progress
from provenance.run.stage import n_workers, run_stage
from stages import STUDY

OWN = "own-model"
COLUMNS = {
    "row": "row of signals.npy and of outputs/prep/trials.tsv, from 0",
    "participant_id": "participant",
    "trial": "trial of the participant",
    "signature": f"map whose expression it is; {OWN}: the model of this mask and algorithm",
    "dot": "dot product of the contrast image with the map; of the own model, its prediction without the intercept",
    "cosine": "cosine of the angle between image and map",
    "pearson_r": "Pearson correlation of image and map",
    "out_of_fold": f"1 where the map has seen no trial of the participant: always, for {OWN}",
}


def main(cell, outputs):
    mask_name, _ = cell.names
    folder = f"outputs/extract/{mask_name}"
    trials = read_table("outputs/prep/trials.tsv")
    signals = np.load(f"{folder}/signals.npy", mmap_mode="r")
    names, maps = load_signatures(cell.settings["signatures"], nibabel.load(f"{folder}/mask.nii.gz"))
    parts = []
    with Progress(len(names) + 1, cell.name) as progress:
        for name, values in zip(names, maps, strict=True):
            parts.append(tabulate(trials, name, np.arange(len(trials)), express_map(signals, values)))
            progress()
        parts += express_own_model(cell, trials, signals)
        progress()
    table = pd.concat(parts).sort_values(["signature", "row"], kind="stable")
    outputs.write_table("expression.tsv", table, COLUMNS)
    print(f"{cell.name}: {len(names)} signatures and the own model in {len(trials)} trials")


def express_own_model(cell, trials, signals):
    """Express the model in each participant by the fit that left them out, in other datasets by the final one."""
    settings = cell.settings["regress"]
    y = transform_target(trials[settings["target"]], settings["transform"])
    train_rows = np.flatnonzero(trials["dataset"] == settings["train_dataset"])
    other_rows = np.flatnonzero(trials["dataset"] != settings["train_dataset"])
    groups = trials["participant_id"].to_numpy()[train_rows]
    parameters = {name: settings["algorithm"][name] for name in ALGORITHMS[cell.names[1]].parameters}
    model = PCARegression(cell.names[1], explained_variance=settings["variance"], **parameters)
    images = StandardizedImages(np.asarray(signals[train_rows]), settings["standardize"])
    folds = prepare_folds(images, make_folds(groups, "lopo"), model, n_workers())
    fits = [*cross_validate(folds, y[train_rows], model), fit_final(images, y[train_rows], model, n_workers())]
    weights, _ = voxel_weights(images, fits)

    parts = []
    for number, fit in enumerate(fits):
        train_idx = train_rows[fit.train_idx]
        rows = train_rows[fit.test_idx] if len(fit.test_idx) else other_rows
        if not len(rows):
            continue  # no other dataset
        require_unseen(train_idx, rows, f"fit {number + 1}")
        taken = signals[rows]
        predicted = predict_images(taken, weights[:, [number]], [0.0], settings["standardize"])[:, 0]
        _, cosine, r = express_map(taken, weights[:, number])
        parts.append(tabulate(trials, OWN, rows, (predicted, cosine, r)))
    return parts


def tabulate(trials, name, rows, expression):
    """List the expression of one map in some trials."""
    dot, cosine, r = expression
    found = {"row": rows, "participant_id": trials["participant_id"].iloc[rows], "trial": trials["trial"].iloc[rows]}
    measures = {"signature": name, "dot": dot, "cosine": cosine, "pearson_r": r, "out_of_fold": 1}
    return pd.DataFrame(found | measures)


if __name__ == "__main__":
    run_stage(STUDY, "expression", main)
