"""Interactive charts of scores, and of predicted against observed scores."""

from itertools import cycle

import numpy as np
import pandas as pd
import plotly.express as px

from facepain.models.algorithms import ALGORITHMS
from facepain.report.claims import p_is
from facepain.report.figures.page import (
    BLACK,
    OKABE_ITO,
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
PERSON_SYMBOLS = ("circle", "square", "triangle-up", "diamond", "x", "cross", "star", "hexagon")
DATASET_SYMBOLS = ("diamond", "square", "triangle-up", "cross")
WHITE_EDGE = {"color": "white", "width": 1}  # of a marker
LAYOUT = {
    "template": "none",  # white paper, on light and dark pages alike
    "font": {"family": "system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif", "size": 13, "color": "#1b1b1b"},
    "margin": {"l": 56, "r": 16, "t": 16, "b": 48},
    "hovermode": "closest",
}
FOLD = (
    "%{customdata[0]}, %{customdata[1]}<br>fold %{customdata[2]}: %{y:.3f}<br>%{customdata[3]} trials tested"
    "<extra></extra>"
)
NULL = (
    "%{customdata[0]}, %{customdata[1]}<br>null (%{customdata[2]}): 95 % between %{base:.3f} and %{customdata[3]:.3f}"
    "<br>mean of the null %{customdata[4]:.3f}<br>observed %{customdata[5]:.3f}, %{customdata[6]} (%{customdata[7]} "
    "permutations)<extra></extra>"
)
TRIAL = (
    "<b>%{fullData.name}</b>, %{customdata[0]}<br>run %{customdata[1]}, trial %{customdata[2]}, fold %{customdata[3]}"
    "<br>observed %{y:.2f}<br>predicted %{x:.2f}<extra></extra>"
)


def score_charts(results):
    """Chart scores over folds: plotly's figures by score and permutation scheme of its tests, or ``none``."""
    charts, cells = {}, list(results.regressions.values())
    for score in SCORES:
        schemes = dict.fromkeys(scheme for cell in cells for scheme in cell.tests_of(score).index)
        # First what the sentences on unseen participants rest on.
        schemes = sorted(schemes, key=lambda scheme: scheme != cells[0].scheme_of_people)
        charts |= {(score, scheme): _score_chart(results, score, scheme) for scheme in schemes or ["none"]}
    return charts


def _score_chart(results, score, scheme):
    cells = list(results.regressions.values())
    folds, others = _join(cells, lambda cell: cell.folds), _join(cells, lambda cell: cell.test_metrics)
    tests = _join(cells, lambda cell: cell.tests_of(score)).query("scheme == @scheme")
    chart = px.violin(
        folds.dropna(subset=score), x="x", y=score, color="algorithm", points="all", violinmode="overlay",
        color_discrete_map={each.label: each.colour for each in ALGORITHMS.values()},
        custom_data=["algorithm", "mask", "fold", "n_test"],
    )  # fmt: skip
    dots = {"size": 8, "opacity": 1, "line": WHITE_EDGE}
    chart.update_traces(hoveron="points", hovertemplate=FOLD, pointpos=0, width=0.7, spanmode="hard", marker=dots)
    chart.update_traces(line_width=0)
    tests = tests.assign(p=[p_is(p, n) for p, n in zip(tests["p"], tests["n"], strict=True)])
    chart.add_bar(
        x=tests["x"], base=tests["null_quantile_0.025"], y=tests["null_quantile_0.975"] - tests["null_quantile_0.025"],
        width=0.84, marker_color="rgba(120,120,120,0.30)", name=f"95 % of the null ({scheme})", hovertemplate=NULL,
        customdata=tests[["algorithm", "mask", "scheme", "null_quantile_0.975", "null_mean", "score", "p", "n"]],
    )  # fmt: skip
    lines = [(score, "mean over folds", {"value": 0.3, "thickness": 3})]
    lines += [("r2_baseline", "baseline: training mean", {"value": 0.42, "thickness": 1})] * (score == "r2")
    for column, name, line in lines:
        chart.add_scatter(
            y=[cell.summary("mean", column) for cell in cells], error_x={"type": "constant", "width": 0, **line},
            mode="markers", marker={"symbol": "line-ew", "size": 9, "line_width": line["thickness"]},
            marker_color=BLACK, name=name, hovertemplate=f"{name}: %{{y:.3f}}<extra></extra>",
        )  # fmt: skip
    for (dataset, rows), symbol in zip(others.groupby("dataset"), cycle(DATASET_SYMBOLS), strict=False):
        name = f"final model on {dataset}"
        chart.add_scatter(
            x=rows["x"] + 0.28, y=rows[score], customdata=rows[["n_test"]], mode="markers", name=name,
            marker={"symbol": symbol, "size": 11, "color": VERMILION, "line": WHITE_EDGE},
            hovertemplate=f"{name}: %{{y:.3f}}<br>%{{customdata[0]}} trials<extra></extra>",
        )  # fmt: skip
    unit = f" ({score_name(results.score, cells[0].transform, cells[0].confounds)})"
    names = [f"{ALGORITHMS[cell.algorithm].label}<br>{cell.mask}" for cell in cells]
    axis = {"tickvals": list(range(len(cells))), "ticktext": names, "range": [-0.6, len(cells) - 0.4]}
    return chart.update_layout(
        **LAYOUT, xaxis=axis | {"title": "", "showgrid": False, "zeroline": False},
        yaxis_title=f"{SCORES[score]}{'' if score in ('r2', 'pearson_r') else unit}",
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "title": ""},
    )  # fmt: skip


def _join(cells, table_of):
    """Return the rows of a table of every model, with the names of the model and its place on the axis."""
    tables = []
    for x, cell in enumerate(cells):
        names = {"mask": cell.mask, "algorithm": ALGORITHMS[cell.algorithm].label}
        tables.append(table_of(cell).reset_index().assign(x=x, **names))
    return pd.concat(tables)


def prediction_charts(trials, predictions, score):
    """Chart every prediction of every model, a trace for each participant: these charts show single trials.

    ``predictions`` are predictions.tsv by mask and algorithm, ``score`` is the name on axes. Return a dict of (mask,
    algorithm, kind) to plotly's figure; kind is ``cross-validation`` or ``test``.
    """
    charts = {}
    for mask, of_mask in predictions.items():
        for algorithm, rows in of_mask.items():
            kinds = rows["fold"].where(rows["fold"] == "test", "cross-validation")
            for kind, chosen in rows.groupby(kinds):
                charts[mask, algorithm, kind] = _prediction_chart(trials, score, chosen)
    return charts


def _prediction_chart(trials, score, predictions):
    rows = predictions.merge(trials[["dataset", "run", "trial"]], left_on="row", right_index=True)
    people = sorted(set(trials["participant_id"]))
    chart = px.scatter(
        rows.sort_values("participant_id", kind="stable"), x="y_pred", y="y_true", color="participant_id",
        color_discrete_map=dict(zip(people, cycle(OKABE_ITO), strict=False)), symbol="participant_id",
        symbol_map=dict(zip(people, cycle(PERSON_SYMBOLS), strict=False)),
        custom_data=["dataset", "run", "trial", "fold"], opacity=0.75, render_mode="svg",
    )  # fmt: skip
    chart.update_traces(marker_size=7, hovertemplate=TRIAL)
    x, y = rows["y_pred"].to_numpy(), rows["y_true"].to_numpy()
    limits, ends = _padded(np.concatenate([x, y])), np.array([x.min(), x.max()])
    lines = [("perfect prediction", limits, limits, "dash")]
    if np.ptp(x) > 0:
        slope, constant = np.polyfit(x, y, 1)
        lines.append((f"calibration, slope {signed(slope)}", ends, (constant + slope * ends).round(4), "solid"))
    for name, across, up, dash in lines:
        line = {"color": BLACK, "width": 1.5, "dash": dash}
        chart.add_scatter(x=across, y=up, mode="lines", name=name, line=line, hoverinfo="skip")
    axes = {"xaxis": {"title": f"predicted {score}", "range": _padded(x)}}
    axes |= {"yaxis": {"title": f"observed {score}", "range": _padded(y)}}
    return chart.update_layout(**LAYOUT, **axes, legend_title="participant")


def _padded(values):
    low, high = float(values.min()), float(values.max())
    pad = 0.04 * (high - low) or 1.0
    return [round(low - pad, 4), round(high + pad, 4)]
