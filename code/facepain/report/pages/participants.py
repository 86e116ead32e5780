"""The pages that show participants and single trials."""

from facepain.models.algorithms import ALGORITHMS
from facepain.report.pages.charts import prediction_charts
from facepain.report.pages.interactive import CHART, PLOTLY
from facepain.report.pages.markup import bullets, embed_json, fill, picture, plain, render_page, to_html

KINDS = {"test": "final model on the other dataset(s)", "cross-validation": "cross-validation"}


def overview_page(words, synthetic):
    """Return the HTML of the page of all figures of participants, from their words by name."""
    skipped = [f"`{name}`: {plain(said['skipped'])}." for name, said in words.items() if "skipped" in said]
    parts = [
        "These figures name participants, by the repository's own ids, and show single trials: share them only as the "
        "participants' consent allows.",
        "[Observed against predicted, trial by trial](predictions.html)",
        *(picture(name, said) for name, said in words.items() if "skipped" not in said),
        bullets(skipped),
    ]
    body = to_html("\n\n".join(filter(None, parts)), lambda name: name)
    return render_page("Figures of participants", body, synthetic)


def predictions_page(trials, predictions, score, synthetic):
    """Return the HTML of the page of single predictions, one participant or all; see `prediction_charts`."""
    charts = prediction_charts(trials, predictions, score)
    masks, algorithms, kinds = (list(dict.fromkeys(key[place] for key in charts)) for place in range(3))
    body = fill(
        CHART,
        lead="This chart shows every prediction beside the score that was observed. Point at a mark for its "
        "participant and trial. On a wide screen, click a participant in the legend to hide them, twice to see them "
        "alone.",
        choices={
            "Mask": {mask: mask for mask in masks},
            "Algorithm": {name: ALGORITHMS[name].label for name in algorithms},
            "Predictions of": {kind: text for kind, text in KINDS.items() if kind in kinds},
        },
        alt="Scatter plot of observed against predicted scores of single trials with the calibration line.",
        charts=embed_json({"|".join(key): chart for key, chart in charts.items()}),
        note="Dashed: prediction and score are equal. Solid: least-squares line of observed on predicted scores; a "
        "slope below 1 means that predictions vary too much, one above 1 too little. In the cross-validation a trial "
        "is shown once for every fold that tested it. The names are the repository's own.",
        back="index.html",
        back_name="All figures of participants",
    )
    return render_page("Observed against predicted, trial by trial", body, synthetic, (PLOTLY,))
