"""What was measured: the experiment (drawn, not to scale), and how the scores of each dataset are distributed."""

import numpy as np
from matplotlib.patches import FancyArrowPatch, Rectangle

from facepain.report.figures.page import (
    BLACK,
    GREY,
    Drawing,
    NothingToDraw,
    dataset_colours,
    new_page,
    page_axes,
    percent,
    place,
)

ROW = 18  # participants drawn in a line
COUNTS = ("participants_enrolled", "participants_usable", "trials", "trials_usable")
SCORES_MM = 44  # height of a dataset's scores


def draw_paradigm(results):
    """Draw the design with the study's own counts; only where a FACS score is predicted is it known."""
    if results.target != "facs":
        raise NothingToDraw(f"the paradigm behind {results.target} is not known")
    counts = {name: [int(results.fact(name, fact)) for fact in COUNTS] for name in results.datasets}
    n_runs, n_trials = (
        int(np.nanmax([results.fact(name, fact) for name in counts])) for fact in ("runs", "trials_per_run")
    )
    heights = [max(15, 5 * -(-enrolled // ROW) + 4) for enrolled, *_ in counts.values()]
    figure = new_page(sum(heights) + 68, results.synthetic, layout=None)
    axes = page_axes(figure, 2, 2, 176, sum(heights) + 64)
    colours = dataset_colours(counts)
    tops = np.cumsum([0, *heights])
    for top, (name, of_dataset) in zip(tops, counts.items(), strict=False):
        plot_people(axes, top, name, of_dataset, colours[name])
    plot_runs(axes, tops[-1] + 2, n_runs, n_trials)
    plot_trial(axes, tops[-1] + 22)

    design = f"{n_runs} run{'s' * (n_runs > 1)} of {n_trials} trial{'s' * (n_trials > 1)}"
    caption = (
        f"The experiment, not to scale. Each participant has up to {design}. A trial yields one contrast image and one "
        "score. Filled dots: participants with usable trials."
    )
    alt = (
        f"Diagram: rows of participants, {design} in the scanner, and in each trial a stimulus, the face and the scan."
    )
    return Drawing(figure, "Experimental paradigm", caption, alt)


def plot_people(axes, top, name, counts, colour):
    """Draw a dot for every participant, hollow for those without a usable trial."""
    enrolled, usable, trials, trials_usable = counts
    axes.text(0, top + 4, name, fontweight="bold", va="center")
    axes.text(0, top + 8.5, f"{usable} of {enrolled} participants", va="center", fontsize=7)
    axes.text(0, top + 12, f"{trials_usable} of {trials} trials usable", va="center", fontsize=7)
    for person in range(enrolled):
        x, y = 48 + 7 * (person % ROW), top + 4 + 5 * (person // ROW)
        face = colour if person < usable else "white"
        axes.plot(x, y, "o", color=colour, markerfacecolor=face, markersize=6, markeredgewidth=0.8)


def plot_runs(axes, top, n_runs, n_trials):
    """Draw the trials of every run in their order."""
    axes.text(0, top + 7, "one participant", fontweight="bold", va="center")
    shown, centred = min(n_runs, 4), {"ha": "center", "va": "center", "fontsize": 7}
    width = 126 / shown - 6
    step = width / n_trials
    for run in range(shown):
        left = 46 + run * (width + 6)
        axes.text(left + width / 2, top + 1.5, f"run {run + 1}", **centred)
        axes.add_patch(Rectangle((left, top + 4), width, 10, facecolor="#F2F2F2", edgecolor=GREY, linewidth=0.6))
        for trial in range(n_trials):
            corner = left + trial * step + 0.15 * step, top + 6
            axes.add_patch(Rectangle(corner, 0.7 * step, 6, facecolor="#C9C9C9", edgecolor="none"))
            if step >= 4:
                axes.text(left + (trial + 0.5) * step, top + 9, str(run * n_trials + trial + 1), **centred)
    label = "trials" if shown == n_runs else f"trials (the first {shown} of {n_runs} runs)"
    axes.text(46 + 126 / 2, top + 17, label, **centred)


def plot_trial(axes, top):
    """Draw what happens in one trial and what is kept of it."""
    axes.text(0, top + 7, "one trial", fontweight="bold", va="center")
    axes.text(0, top + 11, "(schematic)", va="center", fontsize=7)
    time = np.linspace(0, 1, 200)
    curves = {
        "stimulus": np.clip(np.minimum((time - 0.15) / 0.05, (0.5 - time) / 0.05), 0, 1),
        "face": np.exp(-(((time - 0.42) / 0.1) ** 2)) * 0.9,
        "scan": np.exp(-(((time - 0.62) / 0.14) ** 2)) * 0.9,
    }
    for base, (label, curve) in zip((11, 23, 35), curves.items(), strict=True):
        axes.text(50, top + base - 4, label, ha="right", va="center", fontsize=8)
        axes.plot(54 + 60 * time, top + base - 8 * curve, color=BLACK, linewidth=1.4)
    ticks = np.linspace(54, 114, 25)
    axes.vlines(ticks, top + 36.5, top + 38.5, color=GREY, linewidth=0.6)
    axes.text(84, top + 41, "time; volumes of the scan", ha="center", va="center", fontsize=7)
    arrow = {"arrowstyle": "-|>", "mutation_scale": 8}
    for y, text in ((top + 19, "score:\none number per trial"), (top + 31, "contrast image:\none volume per trial")):
        axes.add_patch(FancyArrowPatch((117, y), (128, y), color=GREY, linewidth=0.8, **arrow))
        axes.text(130, y, text, va="center", fontsize=8)
    curve, ends = {"connectionstyle": "arc3,rad=0.5"}, ((166, top + 31), (166, top + 19))
    axes.add_patch(FancyArrowPatch(*ends, color=BLACK, linewidth=1, **curve, **arrow))
    axes.text(162, top + 25, "predict", ha="right", va="center", fontsize=8, fontstyle="italic")


def draw_scores(results):
    """Draw the share of exact zeros beside the histogram of all other scores, a line for each dataset."""
    if results.scores.empty:
        raise NothingToDraw("too few participants: no bin of scores holds enough of them")
    figure = new_page(SCORES_MM * len(results.datasets) + 4, results.synthetic, layout=None)
    colours = dataset_colours(results.datasets)
    shares, first = [], ()
    for number, name in enumerate(results.datasets):
        top = 6 + SCORES_MM * number
        pair = zeros, axes = place(figure, 16, top, 14, 30), place(figure, 50, top, 126, 30)
        for each, of_first in zip(pair, first, strict=False):
            each.sharex(of_first)
            each.sharey(of_first)
        first = first or pair
        n_trials = results.fact(name, "trials_usable")
        bins = results.scores[results.scores["dataset"] == name]
        mean, sd, median, share_zero = (
            results.fact(name, f"{results.target}_{fact}") for fact in ("mean", "sd", "median", "share_zero")
        )
        is_known = plot_scores(zeros, axes, bins, n_trials, colours[name]) or share_zero == 0
        if not is_known:
            zeros.text(0, 50, "of too few\nparticipants", ha="center", va="center", fontsize=7)
        zeros.set(ylabel="trials (%)", ylim=(0, 115), yticks=(0, 50, 100))
        zeros.set_title(name, loc="left", fontweight="bold", color=colours[name], pad=2)
        axes.set(xlabel=f"{results.score}, all but the exact zeros", ylabel="trials (%)\nper unit of the score")
        facts = f"; mean {mean:.1f}, SD {sd:.1f}, median {median:.3g}" if mean == mean else " of too few participants"
        text = f"{n_trials:.0f} trials{facts}"
        axes.set_title(text, loc="right", fontsize=7, pad=2)
        is_told = is_known and share_zero == share_zero
        shares.append(f"{name} {f'{percent(share_zero)} zeros' if is_told else '(zeros of too few participants)'}")
    axes.set_ylim(bottom=0)
    caption = (
        "Left: share of trials with a score of exactly 0. Right: all other scores; the area of a bar is its share of "
        "the dataset's trials. Neighbouring bins are joined where they hold fewer participants than the params require."
    )
    alt = f"Bars of exact zeros and histograms of all other scores: {', '.join(shares)}."
    return Drawing(figure, "Scores by dataset", caption, alt)


def plot_scores(zero_axes, axes, bins, n_trials, colour):
    """Draw one dataset's zeros, in percent of its trials, and its other scores; return whether zeros have a bin."""
    is_zero = (bins["low"] == 0) & (bins["high"] == 0)
    if is_zero.any():
        share = 100 * bins.loc[is_zero, "n_trials"].sum() / n_trials
        zero_axes.bar([0], [share], width=0.7, color=colour)
        zero_axes.text(0, share + 1, f"{share:.0f} %", ha="center", va="bottom", fontsize=7)
    zero_axes.set(xticks=[0], xticklabels=["exactly 0"], xlim=(-0.6, 0.6))
    zero_axes.tick_params(axis="x", length=0)
    rest = bins[~is_zero]
    width = rest["high"] - rest["low"]
    axes.bar(rest["low"], 100 * rest["n_trials"] / n_trials / width, width, align="edge", color=colour,
             edgecolor="white", linewidth=0.4)  # fmt: skip
    return is_zero.any()
