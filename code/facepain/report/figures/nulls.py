"""Null distributions: null scores of the permutation tests with the observed score."""

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from facepain.models.algorithms import ALGORITHMS
from facepain.report.claims import p_is
from facepain.report.figures.page import (
    GREY,
    Drawing,
    NothingToDraw,
    new_page,
    say_removed,
)

METRIC_NAMES = {"r2": "R²", "pearson_r": "Pearson's r"}
N_BINS = 60
TAIL = 0.4  # how far an axis reaches below the observed score and the first scheme's median


def draw_nulls(results, metric):
    """Draw the null scores of every cell and scheme with the observed score."""
    cells, name = list(results.regressions.values()), METRIC_NAMES[metric]
    if np.isnan(null_limits(cells, metric)[0]):
        raise NothingToDraw(f"no cell has finite null scores of {name}")
    tests = pd.concat([cell.tests_of(metric) for cell in cells])
    schemes = list(tests.index.unique())
    figure = new_page(12 + (12 + 12 * len(schemes)) * len(results.masks), results.synthetic)
    grid = figure.subplots(len(results.masks), len(results.algorithms), squeeze=False)
    for mask, of_mask in zip(results.masks, grid, strict=True):
        limits = null_limits(results.models(mask), metric)
        for algorithm, axes in zip(results.algorithms, of_mask, strict=True):
            if (mask, algorithm) in results.regressions:
                plot_nulls(axes, results.regressions[mask, algorithm], metric, schemes, limits)
                axes.set_title(f"{mask}, {ALGORITHMS[algorithm].label}", loc="left", fontsize=7)
                named = schemes[::-1] if axes is of_mask[0] else []
                axes.set_yticks(np.arange(len(schemes)) + 0.35, named)
            else:
                axes.set(xticks=[], yticks=[])
                write_centred(axes, f"{ALGORITHMS[algorithm].label}: no result")
    for axes in grid[-1]:
        axes.set_xlabel(f"mean {name} over folds")
    figure.legend(handles=[Line2D([], [], color="black", label="observed")], loc="outside upper right")
    caption = (
        f"Each histogram shows the mean {name} over folds when scores are permuted by one scheme; the vertical line is "
        "the observed score. p = (1 + null scores at or above the observed) / (1 + permutations). An arrow gives the "
        f"share of null scores beyond the left edge.{say_removed(cells)}"
    )
    by_scheme = tests["p"].groupby(level="scheme", sort=False)
    counts = ", ".join(f"{(p <= 0.05).sum()} of {p.notna().sum()} ({scheme})" for scheme, p in by_scheme)
    alt = f"Histograms of permuted {name} with the observed score as a line. p is at most .05 in {counts} models."
    return Drawing(figure, f"Null distributions of {name}", caption, alt)


def write_centred(axes, text):
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", fontsize=7)


def plot_nulls(axes, cell, metric, schemes, limits):
    """Draw one cell's null scores, a histogram of the same height for each scheme, the first on top."""
    tests = cell.tests_of(metric)
    nulls = {scheme: cell.null_scores[scheme, metric] for scheme in tests.index}
    axes.set(ylim=(-0.05, len(schemes)))
    axes.tick_params(axis="y", length=0)
    if not any(null.size for null in nulls.values()):
        write_centred(axes, "no finite null score")
        axes.set_xticks([])
        return
    observed, (low, high) = float(tests["score"].iloc[0]), limits
    edges = np.linspace(low, high, N_BINS + 1)
    for scheme, null in nulls.items():
        base = len(schemes) - 1 - schemes.index(scheme)
        counts = np.histogram(null[null >= low], edges)[0]
        axes.stairs(base + 0.62 * counts / max(counts.max(), 1), edges, baseline=base, fill=True, alpha=0.8,
                    color=GREY)  # fmt: skip
        beyond = np.mean(null < low)
        arrow = f"\N{LEFTWARDS ARROW} {100 * beyond:.0f} %  " if beyond >= 0.005 else ""
        axes.text(0.02, (base + 0.82) / len(schemes), f"{arrow}{p_is(*tests.loc[scheme, ['p', 'n']])}", fontsize=7,
                  transform=axes.transAxes, va="center", zorder=6, bbox={"facecolor": "white", "alpha": 0.7, "pad": 0.6,
                  "edgecolor": "none"})  # fmt: skip
    for scheme in (name for name in schemes if name not in nulls):
        height = (len(schemes) - 0.4 - schemes.index(scheme)) / len(schemes)
        axes.text(0.02, height, "not run", fontsize=7, color="#505050", transform=axes.transAxes, va="center")
    if np.isfinite(observed):
        axes.axvline(observed, color=ALGORITHMS[cell.algorithm].colour, linewidth=1.8, zorder=5)
    axes.set_xlim(low, high)


def null_limits(cells, metric):
    """Return an axis for the cells of one mask: all observed and null scores, but for a far left tail; or NaN."""
    nulls = [null for cell in cells for (_, name), null in cell.null_scores.items() if name == metric and null.size]
    if not nulls:
        return np.nan, np.nan
    observed = [score for cell in cells for score in cell.tests_of(metric)["score"].dropna()]
    low, high = (end([*observed, *(end(null) for null in nulls)]) for end in (min, max))
    # A model of permuted scores can be arbitrarily bad: such a tail would press everything else into one bin.
    low = max(low, min([np.median(nulls[0]), *observed]) - TAIL)
    margin = 0.03 * (high - low) or 0.05
    return low - margin, high + margin
