"""Figures that name participants and show single trials; no other figure does."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.ticker import MaxNLocator

from facepain.report.figures.page import (
    ALGORITHM_COLOURS,
    ALGORITHM_NAMES,
    GREY,
    OWN_MODEL,
    Drawing,
    NothingToDraw,
    dataset_colours,
    new_page,
    page_axes,
    place,
)

MOST_NAMES = 60  # participants whose ids still fit below an axis
COLUMNS, PANEL_MM = 8, 21
WIDTH_MM, HEIGHT_MM, TICK_MM = PANEL_MM - 3, PANEL_MM - 6, 1.2
MEASURES = {"dot": "dot product", "cosine": "cosine", "pearson_r": "Pearson r"}


def draw_scores_by_participant(trials, target, score, synthetic):
    """Draw every trial's score, participants side by side in the order of their means."""
    datasets = sorted(set(trials["dataset"]))
    colours = dataset_colours(datasets)
    figure = new_page(66 * len(datasets), synthetic, layout=None)
    for number, (name, rows) in enumerate(trials.groupby("dataset")):
        top = 66 * number + 6
        zero_axes, axes = place(figure, 16, top, 160, 10), place(figure, 16, top + 13, 160, 30)
        plot_participants(zero_axes, axes, rows, target, colours[name])
        axes.set_ylabel(score)
        zero_axes.set_ylabel("zeros (%)")
        zero_axes.set_title(name, loc="left", fontweight="bold", color=colours[name], pad=2)
    n_people = trials["participant_id"].nunique()
    caption = (
        "Every usable trial is a dot; participants are in the order of their means (black bars), and equal scores "
        "lie side by side. Above, the share of exact zeros among a participant's trials."
    )
    alt = f"Dots for the trials of {n_people} participants, sorted by mean, and above the share of zeros of each."
    return Drawing(figure, "Scores by participant", caption, alt)


def plot_participants(zero_axes, axes, rows, target, colour):
    """Draw one dataset's trials by participant, and the share of zeros of each above."""
    scores = {name: np.sort(group[target].to_numpy()) for name, group in rows.groupby("participant_id")}
    order = sorted(scores, key=lambda name: (scores[name].mean(), name))
    for x, name in enumerate(order):
        y = scores[name]
        axes.plot(x + spread_equal(y), y, "o", color=colour, alpha=0.5, markersize=2, markeredgewidth=0)
        axes.plot([x - 0.4, x + 0.4], [y.mean()] * 2, color="black", linewidth=1)
        zero_axes.bar(x, 100 * np.mean(y == 0), width=0.7, color=GREY)
    named = len(order) <= MOST_NAMES
    axes.set_xticks(range(len(order)), order if named else [""] * len(order), rotation=90)
    axes.set_xlim(-0.8, len(order) - 0.2)
    zero_axes.set(xlim=axes.get_xlim(), xticks=[], ylim=(0, 100), yticks=[0, 100])


def spread_equal(ordered):
    """Return sideways shifts, at most 0.4, that put equal neighbours in a sorted array side by side."""
    shifts = np.zeros(len(ordered))
    _, starts, counts = np.unique(ordered, return_index=True, return_counts=True)
    for start, count in zip(starts, counts, strict=True):
        shifts[start : start + count] = (np.arange(count) - (count - 1) / 2) * min(0.15, 0.8 / max(count, 1))
    return shifts


def draw_predictions(predictions, score, synthetic, mask):
    """Draw observed against predicted scores, a panel for each participant."""
    if not predictions:
        raise NothingToDraw(f"no model of {mask} is here")
    every = next(iter(predictions.values()))
    people = sorted(set(every["participant_id"]))
    tested = set(every.loc[every["fold"] == "test", "participant_id"])
    low = min(rows[["y_true", "y_pred"]].min().min() for rows in predictions.values())
    high = max(rows[["y_true", "y_pred"]].max().max() for rows in predictions.values())
    limits = widen(low, high)
    titles = {person: person + (" (test)" if person in tested else "") for person in people}
    figure, panels = panel_for_each(titles, synthetic, limits, limits)
    for person in people:
        panels.plot(person, limits, limits, color=GREY, linestyle="--", linewidth=0.6)
        for algorithm, rows in predictions.items():
            # A trial that several folds tested is drawn once, at its mean prediction.
            of_person = rows[rows["participant_id"] == person].groupby("row")[["y_true", "y_pred"]].mean()
            panels.plot(
                person, of_person["y_pred"], of_person["y_true"], "o", color=ALGORITHM_COLOURS[algorithm], markersize=2,
                markeredgewidth=0, alpha=0.6,
            )  # fmt: skip
    handles = [
        figure.axes[0].plot([], [], "o", color=ALGORITHM_COLOURS[name], markersize=3, label=ALGORITHM_NAMES[name])[0]
        for name in predictions
    ]
    figure.legend(handles=handles, loc="upper left", ncols=len(handles), bbox_to_anchor=(0.02, 1))
    name_axes(figure, f"predicted {score}", f"observed {score}")
    caption = (
        f"Each participant has a panel, each trial a dot for each algorithm ({mask} mask). On the dashed line "
        "prediction and score are equal. In the cross-validation a trial is drawn at its mean prediction over the "
        "folds that tested it; (test): a dataset that no model was trained on."
    )
    alt = f"Small scatter plots of observed against predicted scores for {len(people)} participants."
    return Drawing(figure, f"Observed and predicted scores, {mask}", caption, alt)


def draw_influence(influence, synthetic, mask, metric="skill"):
    """Draw the score of all leave-one-participant-out predictions without each participant, from each influence.tsv."""
    if not influence:
        raise NothingToDraw(f"no model of {mask} is here")
    scores = {
        name: table[table["metric"] == metric].set_index("participant_id")["score_without"]
        for name, table in influence.items()
    }
    people = next(iter(scores.values())).sort_values().index
    figure = new_page(66, synthetic, layout=None)
    axes = place(figure, 16, 6, 160, 40)
    for name, values in scores.items():
        axes.plot(
            values.reindex(people).to_numpy(), "o", color=ALGORITHM_COLOURS[name], markersize=3, markeredgewidth=0,
            label=ALGORITHM_NAMES[name],
        )  # fmt: skip
        axes.axhline(values.median(), color=ALGORITHM_COLOURS[name], linewidth=0.7)
    axes.set_xticks(range(len(people)), people if len(people) <= MOST_NAMES else [""] * len(people), rotation=90)
    axes.set(xlim=(-0.8, len(people) - 0.2), ylabel=f"{metric} without the participant")
    axes.legend(loc="lower right", ncols=len(scores))
    caption = (
        f"Score of all leave-one-participant-out predictions ({mask} mask) when one participant's trials are left out "
        "of the scoring; the models are as fitted. Lines: medians. A dot far from its line is a participant on whom "
        "the score depends."
    )
    first = next(iter(scores))
    alt = (
        f"Dots for {len(people)} participants: without one of them the {metric} of {ALGORITHM_NAMES[first]} is "
        f"{scores[first].min():.2f} to {scores[first].max():.2f}."
    )
    return Drawing(figure, f"Influence of single participants, {mask}", caption, alt)


def draw_trajectories(trials, target, score, synthetic):
    """Draw the score of every participant over their trials; parameters are those of `draw_scores_by_participant`."""
    colours = dataset_colours(sorted(set(trials["dataset"])))
    limits = widen(trials[target].min(), trials[target].max())
    xlim = widen(trials["trial"].min(), trials["trial"].max())
    people = sorted(set(trials["participant_id"]))
    figure, panels = panel_for_each(dict(zip(people, people, strict=True)), synthetic, xlim, limits)
    for person in people:
        of_person = trials[trials["participant_id"] == person].sort_values("trial")
        for _, run in of_person.groupby("run"):
            colour = colours[run["dataset"].iloc[0]]
            panels.plot(person, run["trial"], run[target], "o-", color=colour, markersize=2, linewidth=0.6)
    name_axes(figure, "trial", score)
    caption = (
        "Each participant has a panel with the score over trials. Lines join the usable trials of a run; colours are "
        "those of the datasets."
    )
    alt = f"Small line plots of the score over trials for {len(people)} participants."
    return Drawing(figure, "Scores over trials", caption, alt)


def draw_expression(expression, trials, target, score, synthetic, signature, measure):
    """Draw the score against the expression of a signature, a panel for each participant.

    ``expression`` is expression.tsv of one mask and algorithm, ``measure`` one of `MEASURES`.
    """
    chosen = expression[expression["signature"] == signature].set_index("row")[measure]
    colours = dataset_colours(sorted(set(trials["dataset"])))
    limits, xlim = widen(trials[target].min(), trials[target].max()), widen(chosen.min(), chosen.max())
    people = sorted(set(trials["participant_id"]))
    figure, panels = panel_for_each(dict(zip(people, people, strict=True)), synthetic, xlim, limits)
    for person in people:
        of_person = trials[trials["participant_id"] == person]
        x, y = chosen.reindex(of_person.index).to_numpy(), of_person[target].to_numpy(float)
        panels.plot(
            person, x, y, "o", color=colours[of_person["dataset"].iloc[0]], markersize=2, markeredgewidth=0, alpha=0.7
        )
        if np.ptp(x) > 0:
            ends = np.array([x.min(), x.max()])
            panels.plot(person, ends, np.polyval(np.polyfit(x, y, 1), ends), color="black", linewidth=0.7)
    name = "the study's own model" if signature == OWN_MODEL else f'the signature "{signature}"'
    name_axes(figure, f"expression of {name} ({MEASURES[measure]})", score)
    caption = (
        f"Each participant has a panel, each trial a dot: the score against the expression of {name}, with the "
        "participant's own least-squares line. Colours are those of the datasets."
    )
    caption += " A trial is expressed by a fit that has not seen its participant." * (signature == OWN_MODEL)
    alt = f"Small scatter plots of the score against the expression of {name} for {len(people)} participants."
    return Drawing(figure, f"Score and expression of {name}", caption, alt)


@dataclass(frozen=True)
class Panels:
    """Panels on the axes of the page, which are drawn many times as fast as axes for each participant.

    The upper left corners of the participants' panels are in mm; all panels have the same scales.
    """

    page: Axes
    corners: dict
    xlim: tuple
    ylim: tuple

    def places(self, person, x, y):
        """Return the places of values on the page, in mm."""
        left, top = self.corners[person]
        (x_low, x_high), (y_low, y_high) = self.xlim, self.ylim
        right = (np.asarray(x) - x_low) / (x_high - x_low)
        up = (np.asarray(y) - y_low) / (y_high - y_low)
        return left + WIDTH_MM * right, top + HEIGHT_MM * (1 - up)

    def plot(self, person, x, y, *marks, **style):
        """Draw values in a participant's panel, as ``Axes.plot``."""
        self.page.plot(*self.places(person, x, y), *marks, **style)


def panel_for_each(titles, synthetic, xlim, ylim):
    """Return a page and an empty panel for each participant, by title; inner ones have no tick labels."""
    n_rows = -(-len(titles) // COLUMNS)
    figure = new_page(PANEL_MM * n_rows + 20, synthetic, layout=None)
    corners = {
        person: (12 + PANEL_MM * (number % COLUMNS), 8 + PANEL_MM * (number // COLUMNS))
        for number, person in enumerate(titles)
    }
    panels = Panels(page_axes(figure), corners, xlim, ylim)
    lines = []
    for number, (person, title) in enumerate(titles.items()):
        left, top = corners[person]
        right, bottom = left + WIDTH_MM, top + HEIGHT_MM
        panels.page.text((left + right) / 2, top - 0.4, title, ha="center", fontsize=7)
        lines.append([(left, top), (left, bottom), (right, bottom)])
        for tick, text in ticks(xlim):
            x = panels.places(person, tick, ylim[0])[0]
            lines.append([(x, bottom), (x, bottom + TICK_MM)])
            if number + COLUMNS >= len(titles):
                panels.page.text(x, bottom + 2 * TICK_MM, text, ha="center", va="top", fontsize=7)
        for tick, text in ticks(ylim):
            y = panels.places(person, xlim[0], tick)[1]
            lines.append([(left, y), (left - TICK_MM, y)])
            if number % COLUMNS == 0:
                panels.page.text(left - 2 * TICK_MM, y, text, ha="right", va="center_baseline", fontsize=7)
    panels.page.add_collection(LineCollection(lines, colors="black", linewidths=0.6), autolim=False)
    return figure, panels


def ticks(limits):
    """Return two or three round numbers within limits, with their text."""
    low, high = limits
    found = MaxNLocator(3, steps=[1, 2, 5, 10]).tick_values(low, high)
    return [(tick, f"{tick:g}".replace("-", "\N{MINUS SIGN}")) for tick in found if low <= tick <= high]


def name_axes(figure, x, y):
    """Name the axes that all panels of a page share."""
    figure.text(0.5, 7 / (figure.get_figheight() * 25.4), x, ha="center", va="bottom")
    figure.text(0.004, 0.5, y, rotation=90, va="center", ha="left")


def widen(low, high):
    margin = 0.05 * (high - low) or 1
    return low - margin, high + margin
