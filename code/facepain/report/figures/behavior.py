"""How the scores are distributed in each dataset: the exact zeros on a scale of their own, all others in bins."""

from facepain.report.figures.page import Drawing, NothingToDraw, dataset_colours, new_page, percent, place

ROW_MM = 44


def draw_scores(results):
    """Draw the share of exact zeros beside the histogram of all other scores, a line for each dataset."""
    if results.scores.empty:
        raise NothingToDraw("too few participants: no bin of scores holds enough of them")
    figure = new_page(ROW_MM * len(results.datasets) + 4, results.synthetic, layout=None)
    colours = dataset_colours(results.datasets)
    shares, first = [], ()
    for number, name in enumerate(results.datasets):
        top = 6 + ROW_MM * number
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
    """Draw one dataset's zeros on the first axes, in percent of its trials, and the other scores on the second.

    Returns whether there is a bin of zeros.
    """
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
