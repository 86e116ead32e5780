"""Every figure of the study by name, in the order in which they are drawn."""

from functools import partial
from pathlib import Path

import numpy as np

from facepain.report.figures.behavior import draw_scores_by_dataset, draw_scores_by_participant
from facepain.report.figures.brain import draw_chosen_map, draw_weight_maps, draw_z_maps
from facepain.report.figures.classifier import draw_confusion, draw_dataset_differences
from facepain.report.figures.nulls import draw_nulls
from facepain.report.figures.page import NothingToDraw, page_style, save_figure
from facepain.report.figures.paradigm import draw_paradigm
from facepain.report.figures.prediction import draw_calibration, draw_predictions, draw_r2
from facepain.report.figures.provenance import draw_provenance
from facepain.report.figures.signatures import draw_fixed_effects, draw_similarity

PARTICIPANTS = "participants/"  # the folder of figures that name participants or show single trials


def list_figures(results, cells, settings):
    """Name every figure and say how it is drawn.

    Parameters
    ----------
    results : StudyResults
    cells : list of ShownCell
    settings : dict
        ``mask`` and ``algorithm`` of the map shown large, ``percentile`` of all weight maps, ``command`` that draws.

    Returns
    -------
    figures : dict of str to callable
        Names below the folder of figures, without an ending; each callable returns a `Drawing` or raises
        `NothingToDraw`. The slowest come first, so that workers end together.
    """
    percentile, synthetic = settings["percentile"], results.synthetic
    figures = {}
    for mask in results.masks:
        models = [results.regressions[mask, algorithm] for algorithm in results.algorithms]
        figures[f"weights_{mask}"] = partial(draw_weight_maps, models, percentile, synthetic)
        figures[f"bootstrap-z_{mask}"] = partial(draw_z_maps, models, largest_z(results), synthetic)
    chosen = results.regressions[settings["mask"], settings["algorithm"]]
    figures["weight-map"] = partial(draw_chosen_map, chosen, percentile, synthetic)
    for mask in results.masks:
        figures[f"{PARTICIPANTS}predictions_{mask}"] = partial(draw_predictions, results, mask)
    figures["r2"] = partial(draw_r2, results)
    figures["calibration"] = partial(draw_calibration, results)
    figures["permutation_r2"] = partial(draw_nulls, results, "r2")
    figures["permutation_pearson-r"] = partial(draw_nulls, results, "pearson_r")
    figures["paradigm"] = partial(draw_paradigm, results)
    figures["scores"] = partial(draw_scores_by_dataset, results)
    figures[f"{PARTICIPANTS}scores"] = partial(draw_scores_by_participant, results)
    figures["provenance"] = partial(draw_provenance, results, cells, settings["command"])
    figures["similarity"] = partial(draw_similarity, results)
    figures["expression_effects"] = partial(draw_fixed_effects, results)
    for mask, classifier in results.classifiers.items():
        figures[f"confusion_{mask}"] = partial(draw_confusion, classifier, synthetic)
        figures[f"datasets_{mask}"] = partial(draw_dataset_differences, results, mask)
    if not results.classifiers:
        for name in ("confusion", "datasets"):
            figures[name] = partial(_skip, "one dataset only: nothing was told apart")
    return figures


def largest_z(results):
    """Return the largest absolute bootstrap z of all cells: the end of the colour scale that all share."""
    maps = (cell.map_img("bootstrap_z") for cell in results.regressions.values())
    return max(float(np.abs(np.asarray(img.dataobj)).max()) for img in maps)


def draw_figure(figures, name, folder):
    """Draw one figure and save it.

    Parameters
    ----------
    figures : dict
        From `list_figures`.
    name : str
    folder : path_like
        Of all figures.

    Returns
    -------
    words : dict of str
        ``title``, ``caption`` and ``alt`` of a figure that was drawn; ``skipped``, a reason, of one that was not.
    """
    path = Path(folder) / name
    with page_style():
        try:
            drawing = figures[name]()
        except NothingToDraw as reason:
            return {"skipped": str(reason)}
        path.parent.mkdir(parents=True, exist_ok=True)
        save_figure(drawing.figure, path)
    return {"title": drawing.title, "caption": drawing.caption, "alt": drawing.alt}


def _skip(reason):
    raise NothingToDraw(reason)
