"""How well the score is predicted: R2 over folds, and predicted against observed scores."""

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from facepain.report.figures.page import (
    ALGORITHM_COLOURS,
    ALGORITHM_NAMES,
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    Drawing,
    NothingToDraw,
    new_page,
    p_text,
    place,
    score_name,
    signed,
)

MARKERS = "os^Dv"
PERSON_COLOURS = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, BLACK)
MOST_NAMES = len(MARKERS) * len(PERSON_COLOURS) * 2
N_BINS = 8
FEWEST_PARTICIPANTS = 3  # in a bin that a figure of groups shows


def draw_r2(results):
    """Draw the R2 of every fold, mask and algorithm with what it is to be compared with.

    Parameters
    ----------
    results : StudyResults

    Returns
    -------
    drawing : Drawing
    """
    schemes = list(dict.fromkeys(name for cell in results.regressions.values() for name in cell.tests_of("r2").index))
    figure = new_page(86, results.synthetic)
    panels = figure.subplots(1, len(results.masks), sharey=True, squeeze=False)[0]
    for axes, mask in zip(panels, results.masks, strict=True):
        cells = [results.regressions[mask, algorithm] for algorithm in results.algorithms]
        for x, cell in enumerate(cells):
            plot_r2(axes, x, cell)
        axes.set_xticks(range(len(cells)), [_tick_label(cell, schemes) for cell in cells])
        axes.set_xlim(-0.6, len(cells) - 0.4)
        axes.axhline(0, color="black", linewidth=0.6, zorder=0)
        axes.set_title(mask, fontweight="bold")
        axes.tick_params(axis="x", length=0)
    panels[0].set_ylabel("R²")
    names = "\n".join(["", *(f"p {scheme}" for scheme in schemes)])
    at = {"xycoords": "axes fraction", "xytext": (-3, -3.5), "textcoords": "offset points"}
    panels[0].annotate(names, (0, 0), **at, ha="right", va="top", fontsize=7)
    tested = any(len(cell.test_metrics) for cell in results.regressions.values())
    figure.legend(handles=_r2_legend(_first_scheme(results), tested), loc="outside upper center", ncols=3)
    told = "; ".join(_describe_r2(cell) for cell in results.regressions.values())
    scheme = _first_scheme(results)
    caption = (
        f"R² of predicting the {score_name(results.target).removesuffix(' (points)')}. Diamonds: the final model on "
        "the other "
        "dataset, which no model was trained on. Dots: folds of the cross-validation. Grey band: middle 95 % of "
        "the mean R² when scores "
        f"are permuted ({scheme}); compare it with the mean over folds. Dotted: predicting the mean of the training "
        "scores. "
        f"A violin of so few folds shows their spread, not a distribution. {told}."
    )
    alt = f"R² of {len(results.algorithms)} algorithms on {len(results.masks)} masks as violins over folds. {told}."
    return Drawing(figure, "R² by mask and algorithm", caption, alt)


def plot_r2(axes, x, cell):
    """Draw one cell: folds, their mean, the null's band, the baseline, and the test on other datasets."""
    colour = ALGORITHM_COLOURS[cell.algorithm]
    folds = cell.folds["r2"].dropna().to_numpy()
    tests = cell.tests_of("r2")
    if len(tests):
        first = tests.iloc[0]
        low, high = first["null_quantile_0.025"], first["null_quantile_0.975"]
        axes.fill_between([x - 0.42, x + 0.42], low, high, color="#CFCFCF", linewidth=0, zorder=1)
    if len(np.unique(folds)) > 1:
        violin = axes.violinplot(folds, [x], widths=0.6, showextrema=False)
        for body in violin["bodies"]:
            body.set(facecolor=colour, alpha=0.35, edgecolor="none", zorder=2)
    spread = np.linspace(-0.12, 0.12, len(folds)) if len(folds) > 1 else [0]
    axes.plot(x + np.asarray(spread[: len(folds)]), folds, "o", color=colour, markersize=3.5, markeredgecolor="white",
              markeredgewidth=0.4, zorder=4)  # fmt: skip
    mean, baseline = cell.summary("mean", "r2"), cell.summary("mean", "r2_baseline")
    if np.isnan(mean):  # such as one trial a fold
        mean, baseline = cell.summary("pooled", "r2"), cell.summary("pooled", "r2_baseline")
    axes.plot([x - 0.3, x + 0.3], [mean, mean], color="black", linewidth=1.6, zorder=5)
    axes.plot([x - 0.42, x + 0.42], [baseline, baseline], ":", color="black", linewidth=1.2, zorder=3)
    axes.plot(np.full(len(cell.test_metrics), x + 0.28), cell.test_metrics["r2"], "D", color=VERMILION, markersize=5,
              markeredgecolor="white", markeredgewidth=0.5, zorder=6)  # fmt: skip


def draw_predictions(results, mask):
    """Draw observed against predicted scores of every trial on one mask, participants told apart.

    Parameters
    ----------
    results : StudyResults
    mask : str

    Returns
    -------
    drawing : Drawing
        Shows single trials.
    """
    cells = [results.regressions[mask, algorithm] for algorithm in results.algorithms]
    people = sorted(set(results.trials["participant_id"]))
    looks = {name: _look(number) for number, name in enumerate(people)}
    kinds = [kind for kind in ("cross-validation", "test") if len(_rows(cells[0], kind))]
    legend_mm = 4 * -(-len(people) // 9) + 4 if len(people) <= MOST_NAMES else 0
    figure = new_page(58 * len(kinds) + legend_mm + 4, results.synthetic, layout=None)
    for row, kind in enumerate(kinds):
        panels = [place(figure, 14 + 56 * column, 58 * row + 7, 46, 40) for column in range(len(cells))]
        for column, (axes, cell) in enumerate(zip(panels, cells, strict=True)):
            rows = _rows(cell, kind)
            for name, of_person in rows.groupby("participant_id"):
                axes.plot(
                    of_person["y_pred"], of_person["y_true"], linestyle="none", alpha=0.7, markersize=3, **looks[name]
                )
            slope = plot_calibration(axes, rows["y_true"].to_numpy(), rows["y_pred"].to_numpy())
            title = f"{ALGORITHM_NAMES[cell.algorithm]}, {_kind_name(kind, rows, cell)}: slope {signed(slope)}"
            axes.set_title(title, loc="left", fontsize=7)
            axes.sharex(panels[0])
            axes.sharey(panels[0])
            axes.set_xlabel("predicted", labelpad=1)
            axes.set_ylabel(f"observed {score_name(cell.target, cell.transform)}" if not column else "")
    if legend_mm:
        handles = [Line2D([], [], linestyle="none", markersize=3.5, label=name, **looks[name]) for name in people]
        figure.legend(handles=handles, loc="lower left", ncols=9, columnspacing=0.8, handletextpad=0.1,
                      bbox_to_anchor=(0.02, 6 / (figure.get_figheight() * 25.4)))  # fmt: skip
    caption = (
        f"Observed against predicted scores of every trial, {mask} mask, a mark and colour for each participant. In "
        "the "
        "cross-validation a trial stands once for every fold that tested it. Dashed: perfect prediction; black: "
        "calibration line, the least-squares fit of observed on predicted scores."
    )
    alt = (
        f"Scatter plots of observed against predicted scores for {len(cells)} algorithms and {len(people)} "
        "participants."
    )
    return Drawing(figure, f"Predicted against observed, {mask}", caption, alt)


def draw_calibration(results):
    """Draw mean observed against mean predicted scores in bins of the prediction: no single trial is seen.

    Parameters
    ----------
    results : StudyResults

    Returns
    -------
    drawing : Drawing

    Raises
    ------
    NothingToDraw
        If no bin of any cell holds enough participants.
    """
    binned = {key: bin_predictions(_rows(cell, "cross-validation")) for key, cell in results.regressions.items()}
    if not any(len(x) > 1 for x, *_ in binned.values()):
        raise NothingToDraw(f"no two bins of predictions with {FEWEST_PARTICIPANTS} participants in any cell")
    figure = new_page(50 * len(results.masks), results.synthetic)
    grid = figure.subplots(len(results.masks), len(results.algorithms), squeeze=False, sharex=True, sharey=True)
    slopes = []
    for (mask, algorithm), cell in results.regressions.items():
        axes = grid[results.masks.index(mask), results.algorithms.index(algorithm)]
        x, y, error = binned[mask, algorithm]
        axes.errorbar(x, y, error, fmt="o", color=ALGORITHM_COLOURS[algorithm], markersize=4, elinewidth=0.8, zorder=4)
        rows = _rows(cell, "cross-validation")
        slope = plot_calibration(axes, rows["y_true"].to_numpy(), rows["y_pred"].to_numpy(), x)
        axes.set_title(f"{mask}, {ALGORITHM_NAMES[algorithm]}: slope {signed(slope)}", loc="left", fontsize=7)
        slopes.append(f"{mask} {ALGORITHM_NAMES[algorithm]} {signed(slope)}")
    name = score_name(results.target, cell.transform)
    for axes in grid[-1]:
        axes.set_xlabel(f"predicted {name}")
    for axes in grid[:, 0]:
        axes.set_ylabel(f"observed {name}")
    caption = (
        f"Mean observed against mean predicted scores of the cross-validation in up to {N_BINS} bins of equal size by "
        f"prediction; error bars: standard error over participants' means; bins of fewer than {FEWEST_PARTICIPANTS} "
        "participants are left out. Dashed: perfect prediction; black: least-squares line over all predictions. Slope "
        f"(1 is perfect, 0 no skill): {', '.join(slopes)}."
    )
    alt = f"Calibration plots of {len(binned)} cells. Slopes: {', '.join(slopes)}."
    return Drawing(figure, "Calibration: predicted against observed, in bins", caption, alt)


def bin_predictions(rows):
    """Return mean prediction, mean observation and its standard error over participants in bins of equal size.

    Parameters
    ----------
    rows : DataFrame
        ``participant_id``, ``y_true``, ``y_pred``.

    Returns
    -------
    x, y, error : ndarrays
        Without bins of fewer than `FEWEST_PARTICIPANTS` participants.
    """
    kept = []
    ordered = rows.sort_values(["y_pred", "participant_id"], kind="stable")
    for positions in np.array_split(np.arange(len(ordered)), N_BINS):
        in_bin = ordered.iloc[positions]
        means = in_bin.groupby("participant_id")["y_true"].mean()
        if len(means) >= FEWEST_PARTICIPANTS:
            kept.append((in_bin["y_pred"].mean(), in_bin["y_true"].mean(), means.std(ddof=1) / np.sqrt(len(means))))
    return tuple(np.array(kept).reshape(-1, 3).T)


def plot_calibration(axes, observed, predicted, x_range=None):
    """Draw the line of perfect prediction and the least-squares fit of observed on predicted scores.

    Returns
    -------
    slope : float
        NaN where all predictions are the same.
    """
    shown = predicted if x_range is None or len(x_range) < 2 else np.asarray(x_range)
    ends = np.array([shown.min(), shown.max()])
    axes.plot(ends, ends, color=GREY, linestyle="--", linewidth=0.8, zorder=3)
    if np.ptp(predicted) == 0:
        axes.text(0.97, 0.03, "constant prediction", transform=axes.transAxes, ha="right", fontsize=7)
        return np.nan
    slope, intercept = np.polyfit(predicted, observed, 1)
    axes.plot(ends, intercept + slope * ends, color="black", linewidth=1.4, zorder=5)
    return float(slope)


def _rows(cell, kind):
    is_test = cell.predictions["fold"] == "test"
    return cell.predictions[is_test if kind == "test" else ~is_test]


def _kind_name(kind, rows, cell):
    if kind == "test":
        return f"test on {', '.join(cell.test_metrics['dataset'])}"
    return f"{rows['fold'].nunique()} folds"


def _look(number):
    colour = PERSON_COLOURS[number % len(PERSON_COLOURS)]
    turn = number // len(PERSON_COLOURS)
    filled = colour if turn < len(MARKERS) else "none"
    return {"marker": MARKERS[turn % len(MARKERS)], "color": colour, "markerfacecolor": filled, "markeredgewidth": 0.5}


def _first_scheme(results):
    schemes = [cell.tests_of("r2").index[0] for cell in results.regressions.values() if len(cell.tests)]
    return " or ".join(f'"{name}"' for name in dict.fromkeys(schemes))


def _tick_label(cell, schemes):
    p = cell.tests_of("r2")["p"]
    values = [p_text(p[scheme]) if scheme in p.index else "not run" for scheme in schemes]
    return "\n".join([ALGORITHM_NAMES[cell.algorithm], *values])


def _r2_legend(scheme, tested):
    handles = [
        Line2D([], [], linestyle="none", marker="o", color=GREY, markersize=3.5, label="fold"),
        Line2D([], [], color="black", linewidth=1.6, label="mean over folds"),
        Line2D([], [], color="black", linestyle=":", label="training-mean baseline"),
        Patch(color="#CFCFCF", label=f"null's 95 % band ({scheme})"),
    ]
    test = Line2D(
        [], [], linestyle="none", marker="D", color=VERMILION, markersize=5, label="test on the other dataset"
    )
    return [test, *handles] if tested else handles


def _describe_r2(cell):
    tested = ", ".join(f"{row.dataset} {signed(row.r2)}" for row in cell.test_metrics.itertuples())
    p = ", ".join(f"{scheme} {p_text(test.p)}" for scheme, test in cell.tests_of("r2").iterrows())
    mean, sd = cell.summary("mean", "r2"), cell.summary("sd", "r2")
    test = f"test {tested}, " if tested else ""
    return f"{cell.mask} {ALGORITHM_NAMES[cell.algorithm]}: {test}CV {signed(mean)} ± {signed(sd)} (p: {p})"
