"""Charts for plotly.js as plain dictionaries of traces and layout: scores, and predicted against observed."""

from functools import partial
from itertools import cycle, product

import numpy as np
import pandas as pd

from facepain.report.claims import p_is
from facepain.report.figures.page import (
    ALGORITHM_COLOURS,
    ALGORITHM_NAMES,
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    score_name,
    signed,
)

SCORES = {
    "r2": "R\N{SUPERSCRIPT TWO}",
    "pearson_r": "Pearson r",
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
}
PERSON_COLOURS = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, BLACK)
PERSON_SYMBOLS = ("circle", "square", "triangle-up", "diamond", "x", "cross", "star", "hexagon")
DATASET_SYMBOLS = ("diamond", "square", "triangle-up", "cross")
WHITE_EDGE = {"line": {"color": "white", "width": 1}}  # of a marker
SPREAD = 0.12  # half width that the points of the folds are spread over
FONT = {"family": "system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif", "size": 13, "color": "#1b1b1b"}
FOLD = (
    "%{customdata[1]}, %{customdata[0]}<br>fold %{customdata[2]}: %{y:.3f}<br>%{customdata[3]} trials tested"
    "<extra></extra>"
)
TRIAL = (
    "<b>%{fullData.name}</b>, %{customdata[0]}<br>run %{customdata[1]}, trial %{customdata[2]}, fold %{customdata[3]}"
    "<br>observed %{y:.2f}<br>predicted %{x:.2f}<extra></extra>"
)


def score_charts(results):
    """Chart every score over folds for each permutation scheme that it was tested with, or ``none``.

    Return a dict of (score, scheme) to dict with ``data`` and ``layout``.
    """
    charts, cells = {}, list(results.regressions.values())
    for score in SCORES:
        schemes = dict.fromkeys(scheme for cell in cells for scheme in cell.tests_of(score).index)
        # First what the sentences on unseen participants rest on.
        schemes = sorted(schemes, key=lambda scheme: scheme != cells[0].scheme_of_people)
        charts |= {(score, scheme): _score_chart(results, score, scheme) for scheme in schemes or ["none"]}
    return charts


def _score_chart(results, score, scheme):
    cells = list(results.regressions.values())
    traces = _null_bands(cells, score, scheme)
    for algorithm in results.algorithms:
        traces += _folds([(x, cell) for x, cell in enumerate(cells) if cell.algorithm == algorithm], score)
    traces.append(_means(cells, score, "mean over folds", 0.3, {"color": BLACK, "width": 3}))
    if score == "r2":
        dotted = {"color": BLACK, "width": 2, "dash": "dot"}
        traces.append(_means(cells, "r2_baseline", "baseline: training mean", 0.42, dotted))
    traces += _tests(cells, score)
    unit = f" ({score_name(results.score, cells[0].transform, cells[0].confounds)})"
    layout = _layout("", f"{SCORES[score]}{'' if score in ('r2', 'pearson_r') else unit}")
    labels = [f"{ALGORITHM_NAMES[cell.algorithm]}<br>{cell.mask}" for cell in cells]
    layout["xaxis"] |= {"tickvals": list(range(len(cells))), "ticktext": labels, "range": [-0.6, len(cells) - 0.4]}
    layout["xaxis"] |= {"showgrid": False, "zeroline": False}
    return {"data": traces, "layout": layout}


def _folds(placed, score):
    """Draw the folds of one algorithm; the legend switches them together."""
    traces = []
    for x, cell in placed:
        name, colour = ALGORITHM_NAMES[cell.algorithm], ALGORITHM_COLOURS[cell.algorithm]
        folds = cell.folds.dropna(subset=score)
        shared = {"legendgroup": name, "name": name, "y": folds[score].tolist()}
        if folds[score].nunique() > 1:
            traces.append(
                shared
                | {"type": "violin", "x0": x, "points": False, "hoverinfo": "skip", "width": 0.7, "spanmode": "hard"}
                | {"fillcolor": colour, "opacity": 0.35, "line": {"width": 0}, "showlegend": False}
            )
        spread = np.linspace(-SPREAD, SPREAD, len(folds)) if len(folds) > 1 else np.zeros(len(folds))
        labels = [[cell.mask, name, fold, int(n)] for fold, n in folds["n_test"].items()]
        traces.append(
            shared
            | {"type": "scatter", "mode": "markers", "x": np.round(x + spread, 3).tolist(), "customdata": labels}
            | {"hovertemplate": FOLD, "showlegend": cell is placed[0][1]}
            | {"marker": {"color": colour, "size": 8} | WHITE_EDGE}
        )
    return traces


def _null_bands(cells, score, scheme):
    """Draw the middle 95 % of the null scores of every cell that was tested under the scheme."""
    traces, write = [], partial(signed, spec=".3f")
    for x, cell in enumerate(cells):
        for test in cell.tests_of(score).query("scheme == @scheme").to_dict("records"):
            low, high = test["null_quantile_0.025"], test["null_quantile_0.975"]
            if np.isnan(low):  # such as R2 of one trial
                continue
            labels = (
                f"{ALGORITHM_NAMES[cell.algorithm]}, {cell.mask}<br>null ({scheme}): 95 % between {write(low)} and "
                f"{write(high)}<br>mean of the null {write(test['null_mean'])}<br>observed {write(test['score'])}, "
                f"{p_is(test['p'], test['n'])} ({test['n']} permutations)"
            )
            traces.append(
                {"type": "scatter", "mode": "lines", "x": [x - 0.42, x + 0.42, x + 0.42, x - 0.42, x - 0.42]}
                | {"y": [low, low, high, high, low], "fill": "toself", "fillcolor": "rgba(120,120,120,0.30)"}
                | {"name": f"95 % of the null ({scheme})", "legendgroup": "null", "showlegend": not traces}
                | {"line": {"width": 0}, "hoveron": "fills", "text": labels, "hoverinfo": "text"}
            )
    return traces


def _means(cells, score, name, half, line):
    """Draw a short line at the mean over folds of every cell, in one trace."""
    means = [(x, cell.summary("mean", score)) for x, cell in enumerate(cells)]
    known = [(x, mean) for x, mean in means if mean == mean]
    places = [place for x, _ in known for place in (x - half, x, x + half, None)]
    heights = [height for _, mean in known for height in (mean, mean, mean, None)]
    said = {"name": name, "hovertemplate": f"{name}: %{{y:.3f}}<extra></extra>"}
    return {"type": "scatter", "mode": "lines", "x": places, "y": heights, "line": line} | said


def _tests(cells, score):
    """Draw the final models on every other dataset."""
    tested = pd.concat([cell.test_metrics.assign(x=x + 0.28) for x, cell in enumerate(cells)]).dropna(subset=score)
    return [
        {"type": "scatter", "mode": "markers", "name": f"final model on {dataset}"}
        | {"x": rows["x"].tolist(), "y": rows[score].tolist(), "customdata": [[int(n)] for n in rows["n_test"]]}
        | {"marker": {"symbol": symbol, "size": 11, "color": VERMILION} | WHITE_EDGE}
        | {"hovertemplate": f"final model on {dataset}: %{{y:.3f}}<br>%{{customdata[0]}} trials<extra></extra>"}
        for (dataset, rows), symbol in zip(tested.groupby("dataset"), cycle(DATASET_SYMBOLS), strict=False)
    ]


def prediction_charts(trials, predictions, score):
    """Chart every prediction of every model, a trace for each participant: these charts show single trials.

    ``predictions`` are predictions.tsv by mask and algorithm, ``score`` is the name on axes. Return a dict of (mask,
    algorithm, kind) to dict with ``data`` and ``layout``; kind is ``cross-validation`` or ``test``.
    """
    looks = cycle({"color": colour, "symbol": symbol} for symbol, colour in product(PERSON_SYMBOLS, PERSON_COLOURS))
    looks = dict(zip(sorted(set(trials["participant_id"])), looks, strict=False))
    charts = {}
    for mask, of_mask in predictions.items():
        for algorithm, rows in of_mask.items():
            tested = rows["fold"] == "test"
            for kind, chosen in (("cross-validation", rows[~tested]), ("test", rows[tested])):
                if len(chosen):
                    charts[mask, algorithm, kind] = _prediction_chart(trials, score, chosen, looks)
    return charts


def _prediction_chart(trials, score, predictions, looks):
    rows = predictions.merge(trials[["dataset", "run", "trial"]], left_on="row", right_index=True)
    x, y = rows["y_pred"].to_numpy(), rows["y_true"].to_numpy()
    traces = []
    for participant, of_participant in rows.groupby("participant_id"):
        labels = [[row.dataset, str(row.run), str(row.trial), row.fold] for row in of_participant.itertuples()]
        traces.append(
            {"type": "scatter", "mode": "markers", "name": participant, "customdata": labels, "hovertemplate": TRIAL}
            | {"x": of_participant["y_pred"].tolist(), "y": of_participant["y_true"].tolist()}
            | {"marker": {"size": 7, "opacity": 0.75, **looks[participant]}}
        )
    limits = _padded(np.concatenate([x, y]))
    traces.append(_line("perfect prediction", limits, limits, "dash"))
    if np.ptp(x) > 0:
        slope = float(np.cov(x, y, ddof=0)[0, 1] / np.var(x))
        ends = np.array([x.min(), x.max()])
        line = (y.mean() + slope * (ends - x.mean())).round(4).tolist()
        traces.append(_line(f"calibration, slope {signed(slope)}", ends.tolist(), line, "solid"))
    layout = _layout(f"predicted {score}", f"observed {score}")
    layout["xaxis"] |= {"range": _padded(x)}
    layout["yaxis"] |= {"range": _padded(y)}
    beside = {"orientation": "v", "y": 1, "x": 1.02, "xanchor": "left", "yanchor": "top"}
    layout["legend"] |= beside | {"title": {"text": "participant"}}
    return {"data": traces, "layout": layout}


def _line(name, x, y, dash):
    line = {"color": BLACK, "width": 1.5, "dash": dash}
    return {"type": "scatter", "mode": "lines", "name": name, "x": x, "y": y, "line": line, "hoverinfo": "skip"}


def _padded(values):
    low, high = float(values.min()), float(values.max())
    pad = 0.04 * (high - low) or 1.0
    return [round(low - pad, 4), round(high + pad, 4)]


def _layout(x, y):
    """Return a layout on white paper, for light and dark pages alike."""
    axis = {"zeroline": True, "zerolinecolor": "#333", "zerolinewidth": 1, "gridcolor": "#e4e4e4", "automargin": True}
    return {
        "font": FONT,
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "margin": {"l": 56, "r": 16, "t": 16, "b": 48},
        "hovermode": "closest",
        "xaxis": axis | {"title": {"text": x}},
        "yaxis": axis | {"title": {"text": y}},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    }
