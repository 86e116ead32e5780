"""How the scores are distributed, zeros apart: over datasets, and over participants."""

import numpy as np

from facepain.report.figures.page import (
    GREY,
    Drawing,
    dataset_colours,
    new_page,
    percent,
    place,
    score_name,
    signed,
)

N_BINS = 22
MOST_NAMES = 60  # participants whose ids still fit below an axis


def draw_scores_by_dataset(results):
    """Draw the share of exact zeros as a bar of its own beside the histogram of all other scores.

    Parameters
    ----------
    results : StudyResults

    Returns
    -------
    drawing : Drawing
    """
    by_dataset = {name: rows[results.target].to_numpy() for name, rows in results.trials.groupby("dataset")}
    edges = score_bins(results.trials[results.target])
    figure = new_page(48 * len(by_dataset) + 4, results.synthetic, layout=None)
    colours = dataset_colours(by_dataset)
    highest = max(share.max() for share in (_shares(scores, edges) for scores in by_dataset.values()))
    for number, (name, scores) in enumerate(by_dataset.items()):
        top = 6 + 48 * number
        zero_axes, axes = place(figure, 16, top, 12, 32), place(figure, 34, top, 140, 32)
        plot_scores(zero_axes, axes, scores, edges, colours[name])
        for each in (zero_axes, axes):
            each.set_ylim(0, 1.12 * highest)
        zero_axes.set_ylabel("share of trials (%)")
        axes.set_xlabel(score_name(results.target) + ", all but the exact zeros")
        axes.set_title(name, loc="left", fontweight="bold", color=colours[name], pad=2)
    caption = (
        f"{_name(results)} of every usable trial, as shares of a dataset's trials; exact zeros have a bar of "
        f"their own. " + "; ".join(_describe(name, scores) for name, scores in by_dataset.items()) + "."
    )
    alt = "Bar of exact zeros and histogram of all other scores for " + " and ".join(
        f"{name} ({percent((scores == 0).mean())} zeros)" for name, scores in by_dataset.items()
    )
    return Drawing(figure, f"{_name(results)} by dataset", caption, alt + ".")


def draw_scores_by_participant(results):
    """Draw every trial's score, participants side by side in the order of their means.

    Parameters
    ----------
    results : StudyResults

    Returns
    -------
    drawing : Drawing
        Names participants and shows single trials.
    """
    colours = dataset_colours(results.datasets)
    figure = new_page(66 * len(results.datasets), results.synthetic, layout=None)
    for number, (name, rows) in enumerate(results.trials.groupby("dataset")):
        top = 66 * number + 6
        zero_axes, axes = place(figure, 16, top, 160, 10), place(figure, 16, top + 13, 160, 30)
        plot_participants(zero_axes, axes, rows, results.target, colours[name])
        axes.set_ylabel(score_name(results.target))
        zero_axes.set_ylabel("zeros (%)")
        zero_axes.set_title(name, loc="left", fontweight="bold", color=colours[name], pad=2)
    means = results.trials.groupby("participant_id")[results.target].mean()
    caption = (
        f"{_name(results)} of every usable trial, participants in the order of their means (black bars). Above, "
        f"the share of exact zeros among a participant's trials. {int((means == 0).sum())} of {len(means)} "
        "participants "
        "have a mean of exactly 0."
    )
    alt = f"Dots for the trials of {len(means)} participants, sorted by mean, and above the share of zeros of each."
    return Drawing(figure, f"{_name(results)} by participant", caption, alt)


def plot_scores(zero_axes, axes, scores, edges, colour):
    """Draw one dataset's zeros on the first axes and the histogram of the rest on the second, in percent of trials."""
    share = 100 * np.mean(scores == 0)
    zero_axes.bar([0], [share], width=0.7, color=colour, hatch="////", edgecolor="white", linewidth=0)
    zero_axes.text(0, share + 1, f"{share:.0f} %", ha="center", va="bottom", fontsize=7)
    zero_axes.set(xticks=[0], xticklabels=["exactly 0"], xlim=(-0.6, 0.6))
    zero_axes.tick_params(axis="x", length=0)
    axes.stairs(_shares(scores, edges)[1:], edges, fill=True, color=colour)
    axes.set_xlim(edges[0], edges[-1])
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", labelleft=False, length=0)
    axes.grid(axis="y", color="#DDDDDD", linewidth=0.5)
    axes.set_axisbelow(True)
    mean, median = scores.mean(), np.median(scores)
    text = f"{len(scores)} trials; mean {signed(mean, 1)}, SD {signed(scores.std(), 1)}, median {signed(median, 1)}"
    axes.set_title(f"{text}, largest {scores.max():.3g}", loc="right", fontsize=7, pad=2)


def plot_participants(zero_axes, axes, rows, target, colour):
    """Draw one dataset's trials by participant, and the share of zeros of each above."""
    scores = {name: group[target].to_numpy() for name, group in rows.groupby("participant_id")}
    order = sorted(scores, key=lambda name: (scores[name].mean(), name))
    for x, name in enumerate(order):
        y = scores[name]
        axes.plot(np.full(len(y), x), y, "o", color=colour, alpha=0.35, markersize=3, markeredgewidth=0)
        axes.plot([x - 0.35, x + 0.35], [y.mean()] * 2, color="black", linewidth=1.2)
        zero_axes.bar(x, 100 * np.mean(y == 0), width=0.7, color=GREY)
    named = len(order) <= MOST_NAMES
    axes.set_xticks(range(len(order)), order if named else [""] * len(order), rotation=90)
    axes.set_xlim(-0.8, len(order) - 0.2)
    zero_axes.set(xlim=axes.get_xlim(), xticks=[], ylim=(0, 100), yticks=[0, 100])


def score_bins(scores):
    """Return bin edges at round numbers that hold every score that is not 0; 0 is an edge."""
    scores = np.asarray(scores, dtype=float)
    rest = scores[scores != 0]
    low, high = (min(rest.min(), 0.0), max(rest.max(), 0.0)) if rest.size else (0.0, 1.0)
    raw = (high - low) / N_BINS
    power = 10.0 ** np.floor(np.log10(raw))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first, last = np.floor(low / step), np.ceil(high / step)
    if high == last * step:
        last += 1  # bins are open at their right end
    return step * np.arange(first, last + 1)


def _shares(scores, edges):
    """Return the percentage of exact zeros, then that of the other scores in each bin."""
    rest = scores[scores != 0]
    return 100 * np.concatenate([[np.sum(scores == 0)], np.histogram(rest, edges)[0]]) / len(scores)


def _name(results):
    return score_name(results.target).removesuffix(" (points)")


def _describe(name, scores):
    zeros = percent(np.mean(scores == 0), 1)
    quartiles = ", ".join(f"{value:.3g}" for value in np.percentile(scores, [25, 50, 75]))
    return (
        f"{name}: {len(scores)} trials, {zeros} exact zeros, mean {signed(scores.mean(), 1)}, SD "
        f"{signed(scores.std(), 1)}, "
        f"quartiles {quartiles}, largest {scores.max():.3g}"
    )
