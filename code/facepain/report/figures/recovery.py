"""Planted against recovered: weight maps beside the pattern of the synthetic stand-in; real data have none."""

import nibabel
import numpy as np
import pandas as pd
from nibabel.processing import resample_from_to

from facepain.data.anatomy import mni_affine, mni_shape
from facepain.models.algorithms import ALGORITHMS
from facepain.report.figures.brain import TEMPLATE, Map, page_of_maps, percentile_threshold, weight_map
from facepain.report.figures.page import Drawing, NothingToDraw, signed
from facepain.simulation.design import FULL, SMALL
from facepain.simulation.images import FIELD_UNIT, draw_score_pattern

TOP_PERCENT = 1.0
RECOVERED_COLUMNS = {
    "mask": "mask of the images",
    "algorithm": "regression on the principal components",
    "map": "weight map: average over folds, final model, or one fold; haufe: the final model's pattern",
    "n_voxels": "voxels with a weight",
    "n_top": f"voxels with the largest {TOP_PERCENT:g} % of absolute weights",
    "share_planted": "share of these that lies where a pattern was planted",
    "chance_share": "share of all voxels where a pattern was planted",
    "share_right_sign": "of the largest weights where a pattern was planted, share with the planted sign; n/a: none",
    "pearson_r": "correlation of weights and planted pattern over voxels; n/a where nothing was planted",
}


def recovered_table(results):
    """Compare every map with the planted pattern, in rows of `RECOVERED_COLUMNS`; None where nothing was planted."""
    if not results.synthetic:
        return None
    rows, planted = [], {}
    for (mask, algorithm), cell in results.regressions.items():
        folds = {f"fold-{number}": file for number, file in cell.fold_maps.items()}
        maps = {"average": "weights_average", "final": "weights_final"} | folds | {"haufe": "pattern_final"}
        for name, file in maps.items():
            img = cell.map_img(file)
            grid = img.shape, img.affine.tobytes()
            if grid not in planted:
                planted[grid] = planted_pattern(img)
            if planted[grid] is None:
                return None
            shares = compare_maps(np.asarray(img.dataobj, float), planted[grid])
            rows.append({"mask": mask, "algorithm": algorithm, "map": name} | shares)
    return pd.DataFrame(rows, columns=list(RECOVERED_COLUMNS))


def planted_pattern(img):
    """Return the planted score pattern, in its SD, on the grid of an image; None where no stand-in has its shape."""
    design = next((design for design in (FULL, SMALL) if img.shape == mni_shape(design.step_mm)), None)
    if design is None:
        return None
    planted = nibabel.Nifti1Image(draw_score_pattern(design) / FIELD_UNIT, mni_affine(design.step_mm))
    return resample_from_to(planted, img, order=0).get_fdata()


def compare_maps(weights, planted):
    """Return the numbers of `RECOVERED_COLUMNS` of two arrays, 0 outside of the mask and where nothing was planted."""
    inside = weights != 0
    weights, planted = weights[inside], planted[inside]
    n_top = max(1, round(len(weights) * TOP_PERCENT / 100)) if len(weights) else 0
    top = np.argsort(-np.abs(weights), kind="stable")[:n_top]
    hit = planted[top] != 0
    known = len(weights) > 1 and np.ptp(planted) > 0 and np.ptp(weights) > 0
    return {
        "n_voxels": len(weights),
        "n_top": n_top,
        "share_planted": hit.mean() if n_top else np.nan,
        "chance_share": np.mean(planted != 0) if n_top else np.nan,
        "share_right_sign": np.mean(np.sign(planted[top]) == np.sign(weights[top]), where=hit) if hit.any() else np.nan,
        "pearson_r": np.corrcoef(weights, planted)[0, 1] if known else np.nan,
    }


def draw_recovery(results, cell, settings):
    """Draw the pattern that was planted above the weights that a model found."""
    found = weight_map(cell, "weights_average", settings["percentile"], "Recovered: average weights")
    truth = planted_pattern(found.img) if results.synthetic else None
    if truth is None:
        raise NothingToDraw("nothing is known to have been planted in these data")
    truth = np.where(found.values != 0, truth, 0)
    if not truth.any():
        raise NothingToDraw(f"no voxel of {cell.mask} lies where a pattern was planted")
    img = nibabel.Nifti1Image(truth.astype(np.float32), found.img.affine)
    threshold = percentile_threshold(truth, cell.n_voxels, settings["percentile"])
    planted = Map("Planted", img, threshold, "SD of the\npattern")
    figure, drawn = page_of_maps([planted, found], settings, results.synthetic, f"every weight of {cell.mask} is 0")
    inside = found.values != 0
    r = signed(float(np.corrcoef(truth[inside], found.values[inside])[0, 1]))
    caption = (
        "Above: the pattern that carries the score in the simulation. Below: the average weights. Drawn: "
        f"{drawn}. Weights also cancel noise, so that they need not equal what was planted. {TEMPLATE}"
    )
    name = f"{cell.mask}, {ALGORITHMS[cell.algorithm].label}"
    alt = f"Planted pattern above weights on slices of the brain, {name}; over voxels they correlate with r = {r}."
    return Drawing(figure, f"Planted and recovered, {name}", caption, alt)
