"""How well the score is predicted: every model beside its null and baseline, and observed against predicted scores."""

from functools import partial
from itertools import product

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from facepain.models.algorithms import ALGORITHMS
from facepain.report.claims import find_row, numbers_of
from facepain.report.figures.page import (
    BLACK,
    GREY,
    NULL_GREY,
    Drawing,
    NothingToDraw,
    list_names,
    new_page,
    place,
    say_removed,
    score_name,
    signed,
)

METRIC_NAMES = {"r2": "R²", "pearson_r": "Pearson r", "skill": "skill"}
WHERE = {"published": "over folds", "lopo": "unseen participants"}
ROW_MM, LABEL_MM = 5, 38
LOWEST = -1.0  # what is worse is drawn at the edge, as an arrow


def draw_models(results, others):
    """Draw every model's scores, cross-validated and on up to two other datasets, with intervals, null and baseline."""
    kinds = [("published", "r2"), ("lopo", "pearson_r"), *product(others, ("r2", "pearson_r"))]
    confounds = next((list_names(cell.confounds) for cell in results.regressions.values() if cell.confounds), "")
    handles = _legend(results, confounds)
    n_columns, above = (3, 16) if len(handles) > 5 else (5, 12)
    figure, places, columns = forest(results, len(kinds), above, 10)
    figure.legend(handles=handles, loc="upper center", ncols=n_columns, bbox_to_anchor=(0.55, 1))
    for axes, (kind, metric) in zip(columns, kinds, strict=True):
        centred = {"transform": axes.get_yaxis_transform(), "ha": "center", "va": "center", "fontsize": 7}
        for key, y in places.items():
            if key in results.regressions:
                plot_model(axes, y, results.regressions[key], kind, metric)
            else:
                axes.text(0.5, y, "no result", **centred)
        finish_axes(axes, metric)
        axes.set_title(WHERE.get(kind, f"on {kind}"), fontsize=7, pad=3)
        axes.set_yticks([])
    axes = columns[0]
    axes.set_yticks(list(places.values()), [ALGORITHMS[algorithm].label for _, algorithm in places])
    axes.tick_params(axis="y", length=0)
    for mask in results.masks:
        top = places[mask, results.algorithms[0]]
        axes.annotate(mask, (0, top - 0.75), (-LABEL_MM * 72 / 25.4 + 6, 0), xycoords=axes.get_yaxis_transform(),
                      textcoords="offset points", fontweight="bold", va="center", annotation_clip=False)  # fmt: skip
    has_folds = any(cell.folds["pearson_r"].notna().any() for cell in results.regressions.values())
    dots = ", small dots single folds" if has_folds else ""
    caption = (
        f"Large dots are the scores of each model, lines their 95 % intervals{dots}; a triangle marks an interval that "
        f"goes on below {signed(LOWEST, 'g')}, where all is cut off. Grey: the middle 95 % of the null; tick: "
        "predicting the mean training score."
    )
    if confounds:
        caption += f" Scores are of what {confounds} leave; crosses: what these predict by themselves."
    missing = len(places.keys() - results.regressions.keys())
    alt = (
        f"Forest plot of R² and Pearson r of every model. Mean R² over folds: "
        f"{list_values(results, lambda cell: estimate(cell, 'published', 'r2')[0])}."
    )
    title = f"Scores of every model, cross-validated{f' and on {list_names(others)}' if others else ''}"
    return Drawing(figure, title, caption, alt + (f" {missing} have no result." if missing else ""))


def forest(results, n_columns, above_mm, below_mm):
    """Return a page, the height of each model's line in lines from the top (gaps above masks) and axes side by side."""
    places, n = {}, len(results.algorithms)
    for number, (mask, algorithm) in enumerate(product(results.masks, results.algorithms)):
        places[mask, algorithm] = 0.7 * (number // n + 1) + number + 0.5
    n_lines = len(places) + 0.7 * len(results.masks)
    height, width = ROW_MM * n_lines, (176 - LABEL_MM) / n_columns
    figure = new_page(height + above_mm + below_mm, results.synthetic, layout=None)
    columns = [place(figure, LABEL_MM + k * width, above_mm, width - 4, height) for k in range(n_columns)]
    for axes in columns:
        axes.set_ylim(n_lines, 0)
    return figure, places, columns


def list_values(results, value_of):
    """List a number of every model by mask, for an alternative text."""
    listed = []
    for mask in results.masks:
        values = (f"{ALGORITHMS[cell.algorithm].label} {signed(value_of(cell))}" for cell in results.models(mask))
        listed.append(f"{mask}: {', '.join(values) or 'no result'}")
    return "; ".join(listed)


def finish_axes(axes, metric):
    low, high = axes.get_xlim()
    axes.set_xlim(max(min(low, 0), LOWEST), min(max(high, 0.1), 1))
    # Few numbers: those of neighbouring panels must not touch.
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10], prune="both"))
    axes.axvline(0, color=BLACK, linewidth=0.6, zorder=0)
    axes.set_xlabel(METRIC_NAMES[metric], labelpad=1)


def plot_model(axes, y, cell, kind, metric):
    """Draw one model's line: its score with interval, folds, null and baseline, as far as they are known.

    The kind is ``published`` (the folds), ``lopo`` (leave one participant out), or the name of another dataset.
    """
    colour = ALGORITHMS[cell.algorithm].colour
    score, low, high = estimate(cell, kind, metric)
    tests = cell.tests_of(metric, kind)
    if len(tests):
        ends = (tests.loc[scheme_shown(tests)][f"null_quantile_{q}"] for q in ("0.025", "0.975"))
        left, right = (max(float(end), LOWEST) for end in ends)
        axes.barh(y, right - left, height=0.8, left=left, color=NULL_GREY, zorder=1)
    if kind == "published":
        folds = cell.folds[metric].dropna()
        axes.plot(folds.clip(LOWEST), np.full(len(folds), y + 0.3), "o", color=colour, markersize=2.5,
                  markeredgewidth=0, zorder=3)  # fmt: skip
    axes.plot([low, high], [y, y], color=colour, linewidth=1.4, zorder=4)
    axes.plot(score, y, "o", color=colour, markersize=5, markeredgecolor="white", markeredgewidth=0.5, zorder=5)
    above = {"color": BLACK, "markeredgewidth": 1.2, "zorder": 6}
    if metric == "r2" and kind != "lopo":
        axes.plot(estimate(cell, kind, "r2_baseline")[0], y, "|", markersize=8, **above)
    if alone := find_row(cell.table("confounds"), estimate_of=kind, metric=metric):
        axes.plot(max(float(alone["estimate"]), LOWEST), y, "x", markersize=5, **above)
    if min(score, low) < LOWEST:
        axes.plot(LOWEST, y, "<", color=colour, markersize=5, markeredgewidth=0, clip_on=False, zorder=5)


def estimate(cell, kind, metric):
    """Return a model's score and the ends of its interval, from intervals.tsv or, without one, from the scores."""
    row = find_row(cell.table("intervals"), estimate_of=kind, metric=metric)
    if row and row["estimate"] == row["estimate"]:
        return numbers_of(row)
    if kind == "published":
        mean = cell.summary("mean", metric)
        return mean if mean == mean else cell.summary("pooled", metric), np.nan, np.nan
    return (find_row(cell.test_metrics, dataset=kind) or {}).get(metric, np.nan), np.nan, np.nan


def scheme_shown(tests):
    """Return the scheme whose null is drawn: the scores are of unseen participants, which "block" stands for."""
    return "block" if "block" in tests.index else tests.index[0]


def _legend(results, confounds):
    schemes = [scheme_shown(cell.tests_of("r2")) for cell in results.regressions.values() if len(cell.tests)]
    names = " or ".join(f'"{name}"' for name in dict.fromkeys(schemes))
    mark = partial(Line2D, [], [], linestyle="none")
    return [
        mark(color=GREY, marker="o", markersize=5, label="score"),
        Line2D([], [], color=GREY, linewidth=1.4, label="its interval"),
        mark(color=GREY, marker="o", markersize=2, label="fold"),
        mark(color=BLACK, marker="|", markersize=8, label="baseline: training mean"),
        *([mark(color=BLACK, marker="x", markersize=5, label="confounds alone")] if confounds else []),
        Patch(color=NULL_GREY, label=f"95 % of the null ({names})"),
    ]


def tables_of(results, name, enough, why):
    """Return a table of each model where it has enough to be drawn; raise `NothingToDraw` where no model has."""
    tables = {key: cell.table(name) for key, cell in results.regressions.items()}
    tables = {key: table for key, table in tables.items() if table is not None and enough(table)}
    if not tables:
        raise NothingToDraw(why)
    return tables


def draw_calibration(results, kind):
    """Draw mean observed against mean predicted scores in bins of the prediction: no single trial is seen."""
    why = f"no two bins of predictions ({kind}) hold enough participants in any model"
    tables = tables_of(results, "calibration", lambda table: (table["estimate_of"] == kind).sum() > 1, why)
    figure, panels = panels_of_masks(results, tables, 70)
    for key, table in tables.items():
        cell, bins = results.regressions[key], table.query("estimate_of == @kind")
        slope, offset = (signed(estimate(cell, kind, metric)[0]) for metric in ("slope", "offset"))
        panels[cell.mask].errorbar(
            bins["y_pred"], bins["y_true"], bins["y_true_se"], fmt="o-", markersize=3.5, linewidth=0.8,
            color=ALGORITHMS[cell.algorithm].colour, elinewidth=0.8, zorder=4,
            label=f"{ALGORITHMS[cell.algorithm].label}: {slope}; {offset}",
        )  # fmt: skip
    for axes in panels.values():
        axes.axline((0, 0), slope=1, color=GREY, linestyle="--", linewidth=0.8, zorder=1)
        axes.legend(title="slope; offset", title_fontsize=7, loc="upper left", handletextpad=0.4)
        axes.set_xlabel(f"predicted {score_name(results.score, cell.transform, cell.confounds)}")
    next(iter(panels.values())).set_ylabel(f"observed {score_name(results.score, cell.transform, cell.confounds)}")
    without = [mask for mask in results.masks if mask not in panels]
    too_few = f" No two bins hold enough participants: {', '.join(without)}." if without else ""
    where = "of unseen participants" if kind == "lopo" else f"on {kind}, which no model was trained on"
    caption = (
        f"Mean observed against mean predicted scores {where}, in bins of equal size by prediction; bars: standard "
        "error over participants. On the dashed line both are equal. Slope: of observed on predicted scores, 1 is "
        f"perfect and 0 no association. Offset: mean predicted minus mean observed score.{too_few}"
        f"{say_removed(results.regressions.values())}"
    )
    alt = (
        f"Observed against predicted scores in bins, a panel for each mask: {', '.join(panels)}. Slopes: "
        f"{list_values(results, lambda cell: estimate(cell, kind, 'slope')[0])}."
    )
    return Drawing(figure, f"Observed against predicted, {WHERE.get(kind, kind)}", caption, alt)


def panels_of_masks(results, tables, height_mm):
    """Return a page and axes side by side by mask, for those that have a table."""
    masks = [mask for mask in results.masks if any(key[0] == mask for key in tables)]
    figure = new_page(height_mm, results.synthetic)
    panels = figure.subplots(1, max(len(masks), 3), squeeze=False, sharex=True, sharey=True)[0]
    for axes in panels[len(masks) :]:
        axes.axis("off")
    for mask, axes in zip(masks, panels, strict=False):
        axes.set_title(mask, fontweight="bold")
    return figure, dict(zip(masks, panels, strict=False))


def draw_repeats(results):
    """Draw how much the mean scores over folds vary when the participants are split again."""
    why = "no model was cross-validated repeatedly"
    tables = tables_of(results, "repeats", lambda table: len(table) > 2, why)
    figure, places, columns = forest(results, 2, 2, 12)
    names = [f"{mask}, {ALGORITHMS[name].label}" for mask, name in places]
    for axes, metric in zip(columns, ("pearson_r", "skill"), strict=True):
        for key, table in tables.items():
            plot_repeats(axes, places[key], table.set_index("repeat")[metric], ALGORITHMS[key[1]].colour)
        finish_axes(axes, metric)
        axes.set_yticks(list(places.values()), names if axes is columns[0] else [""] * len(places))
        axes.tick_params(axis="y", length=0)
    caption = (
        "Participants were divided into folds many times. A violin shows the mean scores over the folds of each "
        "division, its bar their median; the diamond is the published scheme, whose folds test other numbers of "
        "participants. Where a violin is wide, one division alone says little. Values below the axis are drawn at its "
        f"edge.{say_removed(results.regressions.values())}"
    )
    medians = {key: table.set_index("repeat")["pearson_r"].drop(index=0).median() for key, table in tables.items()}
    alt = (
        f"Violin plots of the scores of every model over repeated divisions. Median Pearson r: "
        f"{list_values(results, lambda cell: medians.get((cell.mask, cell.algorithm), np.nan))}."
    )
    return Drawing(figure, "Repeated splits", caption, alt)


def plot_repeats(axes, y, scores, colour):
    """Draw one model's repeats; repeat 0 is the split that is reported."""
    repeats = np.clip(scores.drop(index=0).dropna(), LOWEST, None)
    if repeats.nunique() > 1:
        violin = axes.violinplot(repeats, [y], widths=0.8, orientation="horizontal", showextrema=False)
        for body in violin["bodies"]:
            body.set(facecolor=colour, alpha=0.5, edgecolor="none")
    axes.plot([np.median(repeats)] * 2, [y - 0.3, y + 0.3], color=BLACK, linewidth=1.2)
    if scores[0] == scores[0]:
        axes.plot(max(scores[0], LOWEST), y, "D", color=BLACK, markersize=3.5)


def draw_learning(results):
    """Draw the correlation in held-out participants by the number of participants trained on."""
    why = "no model was fitted to different numbers of participants"
    tables = tables_of(results, "learning", lambda table: table["n_participants"].nunique() > 1, why)
    figure, panels = panels_of_masks(results, tables, 55)
    gains, first = {}, next(iter(panels.values()))
    for (mask, algorithm), table in tables.items():
        axes, by_size = panels[mask], table.groupby("n_participants")["pearson_r"]
        middle, low, high = by_size.median(), by_size.quantile(0.25), by_size.quantile(0.75)
        colour, gains[mask, algorithm] = ALGORITHMS[algorithm].colour, middle.iloc[-1] - middle.iloc[-2]
        axes.plot(middle.index, middle, "o-", color=colour, markersize=3, label=ALGORITHMS[algorithm].label)
        axes.fill_between(middle.index, low, high, color=colour, alpha=0.15, linewidth=0)
    for axes in panels.values():
        axes.axhline(0, color=GREY, linestyle="--", linewidth=0.8, zorder=1)
        axes.set_xlabel("participants trained on")
    first.set_ylabel("Pearson r")
    first.legend(loc="upper left")
    caption = (
        "Pearson r in participants held out, by the number of participants trained on. Lines: medians over random "
        "choices of participants; bands: their middle half. Where a line still rises at its end, more participants "
        f"might help.{say_removed(results.regressions.values())}"
    )
    alt = (
        f"Learning curves of every model. Change of the median over the last step: "
        f"{list_values(results, lambda cell: gains.get((cell.mask, cell.algorithm), np.nan))}."
    )
    return Drawing(figure, "Learning curves", caption, alt)
