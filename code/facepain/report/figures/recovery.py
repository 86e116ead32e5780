"""Planted against recovered: of the synthetic stand-in only, where the truth is known."""

import nibabel
import numpy as np

from facepain.report.figures.brain import TEMPLATE, Map, page_of_maps, percentile_threshold, weight_map
from facepain.report.figures.page import ALGORITHM_NAMES, Drawing, NothingToDraw, signed
from facepain.report.recovered import planted_pattern


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
    name = f"{cell.mask}, {ALGORITHM_NAMES[cell.algorithm]}"
    alt = f"Planted pattern above weights on slices of the brain, {name}; over voxels they correlate with r = {r}."
    return Drawing(figure, f"Planted and recovered, {name}", caption, alt)
