"""Figures that name participants and show single trials; no other figure does."""

import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection
from matplotlib.ticker import MaxNLocator

from facepain.data.signatures import OWN
from facepain.models.algorithms import ALGORITHMS
from facepain.report.figures.page import (
    GREY,
    Drawing,
    NothingToDraw,
    dataset_colours,
    new_page,
    page_axes,
    place,
    signed,
)

MOST_NAMES = 60  # participants whose ids still fit below an axis
COLUMNS, PANEL_MM = 8, 21
WIDTH_MM, HEIGHT_MM, TICK_MM = PANEL_MM - 3, PANEL_MM - 6, 1.2
MEASURES = {"dot": "dot product", "cosine": "cosine", "pearson_r": "Pearson r"}
DOTS = {"markersize": 2, "markeredgewidth": 0}


def draw_scores_by_participant(trials, target, score, synthetic):
    """Draw every trial's score, participants side by side in the order of their means."""
    colours = dataset_colours(set(trials["dataset"]))
    figure = new_page(66 * len(colours), synthetic, layout=None)
    for number, (name, rows) in enumerate(trials.groupby("dataset")):
        top = 66 * number + 6
        zero_axes, axes = place(figure, 16, top, 160, 10), place(figure, 16, top + 13, 160, 30)
        plot_participants(zero_axes, axes, rows, target, colours[name])
        axes.set_ylabel(score)
        zero_axes.set_ylabel("zeros (%)")
        zero_axes.set_title(name, loc="left", fontweight="bold", color=colours[name], pad=2)
    caption = (
        "Every usable trial is a dot; participants are in the order of their means (black bars), and equal scores "
        "lie side by side. Above, the share of exact zeros among a participant's trials."
    )
    n_people = trials["participant_id"].nunique()
    alt = f"Dots for the trials of {n_people} participants, sorted by mean, and above the share of zeros of each."
    return Drawing(figure, "Scores by participant", caption, alt)


def plot_participants(zero_axes, axes, rows, target, colour):
    """Draw one dataset's trials by participant, and the share of zeros of each above."""
    scores = {name: np.sort(group[target].to_numpy()) for name, group in rows.groupby("participant_id")}
    order = sorted(scores, key=lambda name: (scores[name].mean(), name))
    for x, y in enumerate(map(scores.get, order)):
        axes.plot(x + spread_equal(y), y, "o", color=colour, alpha=0.5, **DOTS)
        axes.plot([x - 0.4, x + 0.4], [y.mean()] * 2, color="black", linewidth=1)
        zero_axes.bar(x, 100 * np.mean(y == 0), width=0.7, color=GREY)
    name_people(axes, order)
    zero_axes.set(xlim=axes.get_xlim(), xticks=[], ylim=(0, 100), yticks=[0, 100])


def name_people(axes, people):
    """Name participants below an axis, as far as their ids fit."""
    axes.set_xticks(range(len(people)), people if len(people) <= MOST_NAMES else [""] * len(people), rotation=90)
    axes.set_xlim(-0.8, len(people) - 0.2)


def spread_equal(ordered):
    """Return sideways shifts, at most 0.4, that put equal neighbours in a sorted array side by side."""
    _, counts = np.unique(ordered, return_counts=True)
    spread = [(np.arange(count) - (count - 1) / 2) * min(0.15, 0.8 / count) for count in counts]
    return np.concatenate(spread)


def draw_influence(influence, synthetic, mask):
    """Draw the skill of all leave-one-participant-out predictions without each participant, from each influence.tsv."""
    if not influence:
        raise NothingToDraw(f"no model of {mask} is here")
    tables = {name: table[table["metric"] == "skill"] for name, table in influence.items()}
    scores = {name: table.set_index("participant_id")["score_without"] for name, table in tables.items()}
    first, lowest = next(iter(scores.items()))
    people = lowest.sort_values().index
    figure = new_page(66, synthetic, layout=None)
    axes = place(figure, 16, 6, 160, 40)
    for name, values in scores.items():
        colour, label = ALGORITHMS[name].colour, ALGORITHMS[name].label
        axes.plot(values.reindex(people).to_numpy(), "o", color=colour, markersize=3, markeredgewidth=0, label=label)
        axes.axhline(values.median(), color=colour, linewidth=0.7)
    name_people(axes, people)
    axes.set_ylabel("skill without the participant")
    axes.legend(loc="lower right", ncols=len(scores))
    caption = (
        f"Score of all leave-one-participant-out predictions ({mask} mask) when one participant's trials are left out "
        "of the scoring; the models are as fitted. Lines: medians. A dot far from its line is a participant on whom "
        "the score depends."
    )
    alt = (
        f"Dots for {len(people)} participants: without one of them the skill of {ALGORITHMS[first].label} is "
        f"{lowest.min():.2f} to {lowest.max():.2f}."
    )
    return Drawing(figure, f"Influence of single participants, {mask}", caption, alt)


def draw_predictions(predictions, score, synthetic, mask):
    """Draw observed against predicted scores, a panel for each participant."""
    if not predictions:
        raise NothingToDraw(f"no model of {mask} is here")
    tables = pd.concat(predictions)
    tested = set(tables.loc[tables["fold"] == "test", "participant_id"])
    people, values = sorted(set(tables["participant_id"])), tables[["y_true", "y_pred"]].stack()
    panels = Panels(people, (f"predicted {score}", values), (f"observed {score}", values), synthetic, tested)
    for person in people:
        panels.plot(person, panels.xlim, panels.ylim, color=GREY, linestyle="--", linewidth=0.6)
        for algorithm, rows in predictions.items():
            # A trial that several folds tested is drawn once, at its mean prediction.
            own = rows[rows["participant_id"] == person].groupby("row")[["y_true", "y_pred"]].mean()
            panels.plot(
                person, own["y_pred"], own["y_true"], "o", color=ALGORITHMS[algorithm].colour, alpha=0.6, **DOTS
            )
    for name in predictions:
        panels.page.plot([], [], "o", color=ALGORITHMS[name].colour, markersize=3, label=ALGORITHMS[name].label)
    panels.figure.legend(loc="upper left", ncols=len(predictions), bbox_to_anchor=(0.02, 1))
    caption = (
        f"Each participant whom a fold or another dataset tests has a panel, each trial a dot for each algorithm "
        f"({mask} mask). On the dashed line prediction and score are equal. In the cross-validation a trial is drawn "
        "at its mean prediction over the folds that tested it; (test): a dataset that no model was trained on."
    )
    alt = f"Small scatter plots of observed against predicted scores for {len(people)} participants."
    return Drawing(panels.figure, f"Observed and predicted scores, {mask}", caption, alt)


def draw_trajectories(trials, target, score, synthetic):
    """Draw the score of every participant over their trials; parameters are those of `draw_scores_by_participant`."""
    colours, people = dataset_colours(set(trials["dataset"])), trials.groupby("participant_id")
    panels = Panels(people.groups, ("trial", trials["trial"]), (score, trials[target]), synthetic)
    for person, own in people:
        for _, run in own.sort_values("trial").groupby("run"):
            colour = colours[run["dataset"].iloc[0]]
            panels.plot(person, run["trial"], run[target], "o-", color=colour, markersize=2, linewidth=0.6)
    caption = (
        "Each participant has a panel with the score over trials. Lines join the usable trials of a run; colours are "
        "those of the datasets."
    )
    alt = f"Small line plots of the score over trials for {len(people)} participants."
    return Drawing(panels.figure, "Scores over trials", caption, alt)


def draw_expression(expression, trials, target, score, synthetic, signature, measure):
    """Draw the score against the expression of a signature, a panel for each participant.

    ``expression`` is expression.tsv of one mask and algorithm, ``measure`` one of `MEASURES`.
    """
    own_model = signature == OWN
    name = "the study's own model" if own_model else f'the signature "{signature}"'
    chosen = expression[expression["signature"] == signature].set_index("row")[measure]
    colours, people = dataset_colours(set(trials["dataset"])), trials.groupby("participant_id")
    x_axis = f"expression of {name} ({MEASURES[measure]})", chosen
    panels = Panels(people.groups, x_axis, (score, trials[target]), synthetic)
    for person, own in people:
        x, y = chosen.reindex(own.index).to_numpy(), own[target].to_numpy(float)
        panels.plot(person, x, y, "o", color=colours[own["dataset"].iloc[0]], alpha=0.7, **DOTS)
        if np.ptp(x) > 0:
            ends = np.array([x.min(), x.max()])
            panels.plot(person, ends, np.polyval(np.polyfit(x, y, 1), ends), color="black", linewidth=0.7)
    caption = (
        f"Each participant has a panel, each trial a dot: the score against the expression of {name}, with the "
        "participant's own least-squares line. Colours are those of the datasets."
    )
    caption += " A trial is expressed by a fit that has not seen its participant." * own_model
    alt = f"Small scatter plots of the score against the expression of {name} for {len(people)} participants."
    return Drawing(panels.figure, f"Score and expression of {name}", caption, alt)


class Panels:
    """A page with a panel for each participant, all on the same axes: these are drawn many times as fast as many.

    ``x`` and ``y`` name the scales that all panels share, with the values (a Series) that they hold; the titles of
    participants among ``tested`` say so. Only outer panels have tick labels.
    """

    def __init__(self, people, x, y, synthetic, tested=()):
        n_rows = -(-len(people) // COLUMNS)
        self.figure = new_page(PANEL_MM * n_rows + 20, synthetic, layout=None)
        self.figure.text(0.5, 7 / (self.figure.get_figheight() * 25.4), x[0], ha="center", va="bottom")
        self.figure.text(0.004, 0.5, y[0], rotation=90, va="center", ha="left")
        self.page = page_axes(self.figure)
        self.xlim, self.ylim = widen(x[1]), widen(y[1])
        self.corners, lines = {}, []
        for number, person in enumerate(people):
            row, column = divmod(number, COLUMNS)
            left, top = self.corners[person] = 12 + PANEL_MM * column, 8 + PANEL_MM * row
            right, bottom = left + WIDTH_MM, top + HEIGHT_MM
            title = person + " (test)" * (person in tested)
            self.page.text((left + right) / 2, top - 0.4, title, ha="center", fontsize=7)
            lines.append([(left, top), (left, bottom), (right, bottom)])
            for tick, text in ticks(self.xlim):
                at = self.places(person, tick, self.ylim[0])[0]
                lines.append([(at, bottom), (at, bottom + TICK_MM)])
                if number + COLUMNS >= len(people):
                    self.page.text(at, bottom + 2 * TICK_MM, text, ha="center", va="top", fontsize=7)
            for tick, text in ticks(self.ylim):
                at = self.places(person, self.xlim[0], tick)[1]
                lines.append([(left, at), (left - TICK_MM, at)])
                if column == 0:
                    self.page.text(left - 2 * TICK_MM, at, text, ha="right", va="center_baseline", fontsize=7)
        self.page.add_collection(LineCollection(lines, colors="black", linewidths=0.6), autolim=False)

    def places(self, person, x, y):
        """Return the places of values on the page, in mm."""
        left, top = self.corners[person]
        right, up = (
            (np.asarray(values) - low) / (high - low) for values, (low, high) in ((x, self.xlim), (y, self.ylim))
        )
        return left + WIDTH_MM * right, top + HEIGHT_MM * (1 - up)

    def plot(self, person, x, y, *marks, **style):
        """Draw values in a participant's panel, as ``Axes.plot``."""
        self.page.plot(*self.places(person, x, y), *marks, **style)


def ticks(limits):
    """Return two or three round numbers within limits, with their text."""
    low, high = limits
    found = MaxNLocator(3, steps=[1, 2, 5, 10]).tick_values(low, high)
    return [(tick, signed(tick, "g")) for tick in found if low <= tick <= high]


def widen(values):
    """Return limits with a margin around values."""
    low, high = values.min(), values.max()
    margin = 0.05 * (high - low) or 1
    return low - margin, high + margin
