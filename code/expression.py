"""Say how strongly every trial expresses each signature, and the study's own model, the latter out of fold only."""

import nibabel
import numpy as np
import pandas as pd

from facepain.data.signatures import OWN, load_signatures
from facepain.inference.similarity import express_maps, require_foreign
from facepain.models import cross_validation
from facepain.models.cross_validation import make_folds
from facepain.models.standardize import predict_images
from provenance.run.stage import n_workers, run_stage
from stages import STUDY
from training import load_model, load_training

OWN_MAPS = ("weights_average", "weights_final")
COLUMNS = {
    "row": "row of signals.npy and of outputs/prep/trials.tsv, from 0",
    "participant_id": "participant",
    "trial": "trial of the participant",
    "signature": f"map whose expression it is; {OWN}: the model of this mask and algorithm",
    "dot": "dot product of the contrast image with the map; of the own model, its prediction without the intercept, "
    "and without confounds where these are removed",
    "cosine": "cosine of the angle between image and map",
    "pearson_r": "Pearson correlation of image and map",
    "out_of_fold": f"1 where the map has seen no trial of the participant: always, for {OWN}",
}


def main(cell, outputs):
    (mask_name, algorithm), settings = cell.names, cell.settings
    study = load_training(mask_name, settings["regress"])
    trials, signals = study.trials, study.signals
    names, maps = load_signatures(settings["signatures"], study.mask_img, settings["analyze_orientation"])
    inside = np.asarray(study.mask_img.dataobj) != 0
    for kind in OWN_MAPS:
        own = nibabel.load(f"outputs/regress/{mask_name}/{algorithm}/{kind}.nii.gz")
        require_foreign(names, maps, np.asarray(own.dataobj, dtype=float)[inside])
    given = zip(names, express_maps(signals, maps), strict=True)
    parts = [tabulate(trials, name, np.arange(len(trials)), expression) for name, expression in given]
    table = pd.concat([*parts, *express_own_model(cell, study)]).sort_values(["signature", "row"], kind="stable")
    outputs.write_table("expression.tsv", table, COLUMNS)
    print(f"{cell.name}: {len(names)} signatures and the own model in {len(trials)} trials")


def express_own_model(cell, study):
    """Express the model in each participant by the fit that left them out, in other datasets by the final one."""
    settings = cell.settings["regress"]
    images, (y, groups), model = study.images, study.train, load_model(cell.names[1], settings)
    folds = cross_validation.prepare_folds(images, make_folds(groups, "lopo"), model, n_workers())
    fits = cross_validation.cross_validate(folds, y, model)
    fits.append(cross_validation.fit_final(images, y, model, n_workers()))
    weights, _ = cross_validation.voxel_weights(images, fits)
    other_rows = np.setdiff1d(np.arange(len(study.trials)), study.rows)

    parts = []
    for number, fit in enumerate(fits):
        rows = study.rows[fit.test_idx] if len(fit.test_idx) else other_rows
        if not len(rows):
            continue  # no other dataset
        taken = study.signals[rows]
        predicted = predict_images(taken, weights[:, [number]], [0.0], settings["standardize"])[:, 0]
        if study.confounds is not None:
            predicted = predicted + study.confounds[rows] @ cross_validation.confound_coefficients(images, fit)
        _, cosine, r = express_maps(taken, weights[:, number][np.newaxis])[0]
        parts.append(tabulate(study.trials, OWN, rows, (predicted, cosine, r)))
    return parts


def tabulate(trials, name, rows, expression):
    """List the expression of one map in some trials."""
    found = trials.loc[rows, ["participant_id", "trial"]].assign(row=rows, signature=name, out_of_fold=1)
    return found.assign(**dict(zip(("dot", "cosine", "pearson_r"), expression, strict=True)))[list(COLUMNS)]


if __name__ == "__main__":
    run_stage(STUDY, "expression", main)
