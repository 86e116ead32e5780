"""Charts for plotly.js as plain dictionaries of traces and layout: scores, and predicted against observed."""

import numpy as np

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
    p_of,
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
WHITE_EDGE = {"line": {"color": "white", "width": 1}}  # of a marker
SPREAD = 0.12  # half width that the points of the folds are spread over
FONT = {"family": "system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif", "size": 13, "color": "#1b1b1b"}


def score_charts(results):
    """Chart every score over folds for each permutation scheme that it was tested with, or ``none``.

    Return a dict of (score, scheme) to dict with ``data`` and ``layout``.
    """
    charts = {}
    for score in SCORES:
        schemes = dict.fromkeys(
            scheme for cell in results.regressions.values() for scheme in cell.tests_of(score).index
        )
        for scheme in schemes or ["none"]:
            charts[score, scheme] = _score_chart(results, score, scheme)
    return charts


def _score_chart(results, score, scheme):
    cells = list(results.regressions.values())
    traces = _null_bands(cells, score, scheme)
    for algorithm in results.algorithms:
        of_algorithm = [(x, cell) for x, cell in enumerate(cells) if cell.algorithm == algorithm]
        traces += _violins(of_algorithm, score)
    traces.append(_lines(cells, score, "mean over folds", 0.3, {"color": BLACK, "width": 3}))
    if score == "r2":
        dotted = {"color": BLACK, "width": 2, "dash": "dot"}
        traces.append(_lines(cells, "r2_baseline", "baseline: training mean", 0.42, dotted))
    traces += _tests(cells, score)
    unit = "" if score in ("r2", "pearson_r") else f" ({score_name(results.score, cells[0].transform)})"
    layout = _layout("", f"{SCORES[score]}{unit}")
    labels = [f"{ALGORITHM_NAMES[cell.algorithm]}<br>{cell.mask}" for cell in cells]
    layout["xaxis"] |= {"tickvals": list(range(len(cells))), "ticktext": labels, "range": [-0.6, len(cells) - 0.4]}
    layout["xaxis"] |= {"showgrid": False, "zeroline": False}
    return {"data": traces, "layout": layout}


def _violins(placed, score):
    """Draw the folds of one algorithm; the legend switches them together."""
    traces = []
    for number, (x, cell) in enumerate(placed):
        name, colour = ALGORITHM_NAMES[cell.algorithm], ALGORITHM_COLOURS[cell.algorithm]
        folds = cell.folds[score].dropna()
        shared = {"legendgroup": name, "name": name}
        if folds.nunique() > 1:
            traces.append(
                shared
                | {"type": "violin", "x0": x, "y": folds.tolist(), "points": False, "hoverinfo": "skip", "width": 0.7}
                | {"fillcolor": colour, "opacity": 0.35, "line": {"width": 0}, "showlegend": False, "spanmode": "hard"}
            )
        spread = np.linspace(-SPREAD, SPREAD, len(folds)) if len(folds) > 1 else np.zeros(len(folds))
        labels = [
            [cell.mask, name, int(fold), int(n)]
            for fold, n in zip(folds.index, cell.folds.loc[folds.index, "n_test"], strict=True)
        ]
        template = (
            "%{customdata[1]}, %{customdata[0]}<br>fold %{customdata[2]}: %{y:.3f}"
            "<br>%{customdata[3]} trials tested<extra></extra>"
        )
        traces.append(
            shared
            | {"type": "scatter", "mode": "markers", "x": np.round(x + spread, 3).tolist(), "y": folds.tolist()}
            | {"customdata": labels, "hovertemplate": template, "showlegend": number == 0}
            | {"marker": {"color": colour, "size": 8} | WHITE_EDGE}
        )
    return traces


def _null_bands(cells, score, scheme):
    """Draw the middle 95 % of the null scores of every cell that was tested under the scheme."""
    traces = []
    for x, cell in enumerate(cells):
        tests = cell.tests_of(score)
        if scheme not in tests.index:
            continue
        test = tests.loc[scheme]
        low, high = float(test["null_quantile_0.025"]), float(test["null_quantile_0.975"])
        if np.isnan(low):  # such as R2 of one trial
            continue
        labels = (
            f"{ALGORITHM_NAMES[cell.algorithm]}, {cell.mask}<br>null ({scheme}): 95 % between {signed(low, 3)} and "
            f"{signed(high, 3)}<br>mean of the null {signed(test['null_mean'], 3)}<br>observed "
            f"{signed(test['score'], 3)}, {p_of(test)} ({int(test['n'])} permutations)"
        )
        traces.append(
            {"type": "scatter", "mode": "lines", "x": [x - 0.42, x + 0.42, x + 0.42, x - 0.42, x - 0.42]}
            | {"y": [low, low, high, high, low], "fill": "toself", "fillcolor": "rgba(120,120,120,0.30)"}
            | {"line": {"width": 0}}
            | {"name": f"95 % of the null ({scheme})", "legendgroup": "null", "showlegend": not traces}
            | {"hoveron": "fills", "text": labels, "hoverinfo": "text"}
        )
    return traces


def _lines(cells, score, name, half, line):
    """Draw a short line at the mean over folds of every cell, in one trace."""
    means = [(x, cell.summary("mean", score)) for x, cell in enumerate(cells)]
    known = [(x, mean) for x, mean in means if mean == mean]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [place for x, _ in known for place in (x - half, x, x + half, None)],
        "y": [height for _, mean in known for height in (mean, mean, mean, None)],
        "name": name,
        "line": line,
        "hovertemplate": f"{name}: %{{y:.3f}}<extra></extra>",
    }


def _tests(cells, score):
    """Draw the final models on every other dataset."""
    by_dataset = {}
    for x, cell in enumerate(cells):
        for row in cell.test_metrics.to_dict("records"):
            if row[score] == row[score]:
                by_dataset.setdefault(row["dataset"], []).append((x + 0.28, row[score], int(row["n_test"])))
    symbols = ("diamond", "square", "triangle-up", "cross")
    return [
        {"type": "scatter", "mode": "markers", "name": f"final model on {dataset}"}
        | {"x": [x for x, _, _ in points], "y": [y for _, y, _ in points], "customdata": [[n] for _, _, n in points]}
        | {"marker": {"symbol": symbols[number % len(symbols)], "size": 11, "color": VERMILION} | WHITE_EDGE}
        | {"hovertemplate": f"final model on {dataset}: %{{y:.3f}}<br>%{{customdata[0]}} trials<extra></extra>"}
        for number, (dataset, points) in enumerate(sorted(by_dataset.items()))
    ]


def prediction_charts(trials, predictions, score):
    """Chart every prediction of every model, a trace for each participant: these charts show single trials.

    Parameters
    ----------
    trials : DataFrame
        Usable trials.
    predictions : dict of mask to dict of algorithm to DataFrame
        predictions.tsv of each model.
    score : str
        Its name on axes.

    Returns
    -------
    charts : dict of (mask, algorithm, kind) to dict
        ``data`` and ``layout``; kind is ``cross-validation`` or ``test``.
    """
    people = sorted(set(trials["participant_id"]))
    looks = {
        name: {
            "color": PERSON_COLOURS[number % len(PERSON_COLOURS)],
            "symbol": PERSON_SYMBOLS[number // len(PERSON_COLOURS) % len(PERSON_SYMBOLS)],
        }
        for number, name in enumerate(people)
    }
    charts = {}
    for mask, of_mask in predictions.items():
        for algorithm, rows in of_mask.items():
            tested = rows["fold"] == "test"
            for kind, chosen in (("cross-validation", rows[~tested]), ("test", rows[tested])):
                if len(chosen):
                    charts[mask, algorithm, kind] = _prediction_chart(trials, score, chosen, looks)
    return charts


def _prediction_chart(trials, score, predictions, looks):
    places = trials[["dataset", "run", "trial"]].iloc[predictions["row"]].reset_index(drop=True)
    rows = predictions.reset_index(drop=True).join(places)
    limits = _padded(rows[["y_true", "y_pred"]].to_numpy())
    x, y = rows["y_pred"].to_numpy(), rows["y_true"].to_numpy()
    traces = []
    for participant, of_participant in rows.groupby("participant_id"):
        labels = [[row.dataset, str(row.run), str(row.trial), row.fold] for row in of_participant.itertuples()]
        traces.append(
            {"type": "scatter", "mode": "markers", "name": participant, "customdata": labels, "hovertemplate": TRIAL}
            | {"x": of_participant["y_pred"].tolist(), "y": of_participant["y_true"].tolist()}
            | {"marker": {"size": 7, "opacity": 0.75, **looks[participant]}}
        )
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


TRIAL = (
    "<b>%{fullData.name}</b>, %{customdata[0]}<br>run %{customdata[1]}, trial %{customdata[2]}, fold %{customdata[3]}"
    "<br>observed %{y:.2f}<br>predicted %{x:.2f}<extra></extra>"
)


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
