"""Every group-level figure of the study by name, in the order in which they are shown."""

from functools import partial

from facepain.report.figures.brain import draw_pattern, draw_weights, draw_z_maps
from facepain.report.figures.classifier import draw_datasets
from facepain.report.figures.data import draw_paradigm, draw_scores
from facepain.report.figures.nulls import draw_nulls
from facepain.report.figures.page import NothingToDraw
from facepain.report.figures.prediction import draw_calibration, draw_learning, draw_models, draw_repeats
from facepain.report.figures.provenance import draw_provenance
from facepain.report.figures.recovery import draw_recovery
from facepain.report.figures.signatures import draw_fixed_effects, draw_similarity

# Sections of the report by the beginnings of figures' names; those of a mask end in its name.
SECTIONS = {"models": "found", "paradigm": "data", "scores": "data", "datasets": "datasets", "provenance": "sources"}
OF_MASK = ("weights", "pattern", "planted", "bootstrap-z")


def list_figures(results, cells, settings):
    """Name every figure, without an ending, and say how it is drawn.

    The settings hold ``mask`` and ``algorithm`` of the model shown closely, ``percentile`` of weight maps, ``brain_mm``
    and ``command``. Each callable returns a `Drawing`, or raises `NothingToDraw`.
    """
    synthetic = results.synthetic
    others = results.tested_datasets
    figures = {
        "models": partial(draw_models, results, others[:2]),
        **{f"models_{name}": partial(draw_models, results, [name]) for name in others[2:]},
        "paradigm": partial(draw_paradigm, results),
        "scores": partial(draw_scores, results),
        "calibration": partial(draw_calibration, results, "lopo"),
        **{f"calibration_{name}": partial(draw_calibration, results, name) for name in others},
        "repeats": partial(draw_repeats, results),
        "learning": partial(draw_learning, results),
        "permutation_r2": partial(draw_nulls, results, "r2"),
        "permutation_pearson-r": partial(draw_nulls, results, "pearson_r"),
    }
    if any(cell.stage == "similarity" for cell in cells):  # not in a study without signatures
        figures["similarity"] = partial(draw_similarity, results)
        figures["expression_effects"] = partial(draw_fixed_effects, results)
    for mask in results.masks:
        models = results.models(mask)
        if not models:
            figures[f"weights_{mask}"] = partial(_skip, f"no model of {mask} is here; `make all` makes them")
            continue
        figures[f"weights_{mask}"] = partial(draw_weights, models, settings, synthetic)
        chosen = next((cell for cell in models if cell.algorithm == settings["algorithm"]), models[0])
        figures[f"pattern_{mask}"] = partial(draw_pattern, chosen, settings, synthetic)
        if synthetic:
            figures[f"planted_{mask}"] = partial(draw_recovery, results, chosen, settings)
        figures[f"bootstrap-z_{mask}"] = partial(draw_z_maps, models, settings, synthetic)
    figures |= {f"datasets_{mask}": partial(draw_datasets, results, mask) for mask in results.classifiers}
    if len(results.datasets) < 2:
        figures["datasets"] = partial(_skip, "one dataset only: no classifier was trained")
    return figures | {"provenance": partial(draw_provenance, results, cells, settings["command"])}


def in_section(name, section):
    """Return whether a figure is shown in a section of the report: those above, ``mask <name>``, or ``models``."""
    start, _, mask = name.partition("_")
    return section == (f"mask {mask}" if start in OF_MASK else SECTIONS.get(start, "models"))


def _skip(reason):
    raise NothingToDraw(reason)
