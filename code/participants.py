"""Draw the figures and the page that show participants and single trials; `plot` draws those of groups."""

from functools import partial
from pathlib import Path

from plotly.offline import get_plotlyjs

from facepain.parallel import map_in_processes
from facepain.report.figures.page import draw_figure, score_name
from facepain.report.figures.participants import (
    draw_expression,
    draw_influence,
    draw_predictions,
    draw_scores_by_participant,
    draw_trajectories,
)
from facepain.report.pages.interactive import PLOTLY
from facepain.report.pages.participants import overview_page, predictions_page
from facepain.results.load import is_synthetic
from files.tables import read_table
from provenance.run.stage import n_workers, run_stage
from stages import STUDY


def main(cell, outputs):
    settings = cell.settings
    masks, synthetic = settings["masks"], is_synthetic("outputs")
    score = score_name(settings["score"], settings["transform"], settings["confounds"])
    trials = read_table(Path("outputs/prep/trials.tsv"))
    shown = (trials, settings["target"], settings["score"], synthetic)
    figures = {"scores": partial(draw_scores_by_participant, *shown), "trials": partial(draw_trajectories, *shown)}
    predictions = {}
    for mask in masks:
        predictions[mask], influence = (
            read_models(mask, settings["algorithms"], table) for table in ("predictions", "influence")
        )
        figures[f"predictions_{mask}"] = partial(draw_predictions, predictions[mask], score, synthetic, mask)
        figures[f"influence_{mask}"] = partial(draw_influence, influence, synthetic, mask)
    if "related" in settings:
        mask, algorithm, measure = settings["related"]
        expression = read_table(Path("outputs/expression", mask, algorithm, "expression.tsv"))
        for name in sorted(set(expression["signature"])):
            figures[f"expression_{name}"] = partial(draw_expression, expression, *shown, name, measure)
    drawn = map_in_processes(lambda name: draw_figure(figures[name], outputs.path(name))[0], figures, n_workers())
    words = dict(zip(figures, drawn, strict=True))
    outputs.write_text("predictions.html", predictions_page(trials, predictions, score, synthetic))
    outputs.write_text("index.html", overview_page(words, synthetic))
    outputs.write_text(PLOTLY, get_plotlyjs())
    print(f"participants: {sum('skipped' not in said for said in words.values())} figures")


def read_models(mask, algorithms, table):
    """Read a table of every algorithm on a mask, as far as it is here."""
    paths = {name: Path("outputs/regress", mask, name, f"{table}.tsv") for name in algorithms}
    return {name: read_table(path) for name, path in paths.items() if path.exists()}


if __name__ == "__main__":
    run_stage(STUDY, "participants", main)
