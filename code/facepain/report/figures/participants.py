"""Figures that name participants and show single trials; no other figure does."""

import numpy as np

from facepain.report.figures.page import (
    ALGORITHM_COLOURS,
    ALGORITHM_NAMES,
    GREY,
    OWN_MODEL,
    Drawing,
    NothingToDraw,
    dataset_colours,
    new_page,
    place,
)

MOST_NAMES = 60  # participants whose ids still fit below an axis
COLUMNS, PANEL_MM = 8, 21
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
    figure, panels = panel_for_each(people, synthetic)
    low = min(rows[["y_true", "y_pred"]].min().min() for rows in predictions.values())
    high = max(rows[["y_true", "y_pred"]].max().max() for rows in predictions.values())
    limits = widen(low, high)
    for person, axes in panels.items():
        axes.plot(limits, limits, color=GREY, linestyle="--", linewidth=0.6)
        for algorithm, rows in predictions.items():
            # A trial that several folds tested is drawn once, at its mean prediction.
            of_person = rows[rows["participant_id"] == person].groupby("row")[["y_true", "y_pred"]].mean()
            axes.plot(
                of_person["y_pred"], of_person["y_true"], "o", color=ALGORITHM_COLOURS[algorithm], markersize=2,
                markeredgewidth=0, alpha=0.6,
            )  # fmt: skip
        axes.set(xlim=limits, ylim=limits)
        axes.set_title(person + (" (test)" if person in tested else ""), fontsize=7, pad=1)
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
    """Draw the score of all leave-one-participant-out predictions without each participant.

    Parameters
    ----------
    influence : dict of str to DataFrame
        influence.tsv of each algorithm.
    synthetic : bool
    mask : str
    metric : {"skill", "pearson_r", "r2"}
    """
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
    figure, panels = panel_for_each(sorted(set(trials["participant_id"])), synthetic)
    limits = widen(trials[target].min(), trials[target].max())
    xlim = widen(trials["trial"].min(), trials["trial"].max())
    for person, axes in panels.items():
        of_person = trials[trials["participant_id"] == person].sort_values("trial")
        for _, run in of_person.groupby("run"):
            colour = colours[run["dataset"].iloc[0]]
            axes.plot(run["trial"], run[target], "o-", color=colour, markersize=2, linewidth=0.6)
        axes.set(xlim=xlim, ylim=limits)
        axes.set_title(person, fontsize=7, pad=1)
    name_axes(figure, "trial", score)
    caption = (
        "Each participant has a panel with the score over trials. Lines join the usable trials of a run; colours are "
        "those of the datasets."
    )
    alt = f"Small line plots of the score over trials for {len(panels)} participants."
    return Drawing(figure, "Scores over trials", caption, alt)


def draw_expression(expression, trials, target, score, synthetic, signature, measure):
    """Draw the score against the expression of a signature, a panel for each participant.

    Parameters
    ----------
    expression : DataFrame
        expression.tsv of one mask and algorithm.
    trials, target, score, synthetic
        As for `draw_scores_by_participant`.
    signature, measure : str
        Which map, and ``dot``, ``cosine`` or ``pearson_r``.
    """
    chosen = expression[expression["signature"] == signature].set_index("row")[measure]
    colours = dataset_colours(sorted(set(trials["dataset"])))
    figure, panels = panel_for_each(sorted(set(trials["participant_id"])), synthetic)
    limits, xlim = widen(trials[target].min(), trials[target].max()), widen(chosen.min(), chosen.max())
    for person, axes in panels.items():
        of_person = trials[trials["participant_id"] == person]
        x, y = chosen.reindex(of_person.index).to_numpy(), of_person[target].to_numpy(float)
        axes.plot(x, y, "o", color=colours[of_person["dataset"].iloc[0]], markersize=2, markeredgewidth=0, alpha=0.7)
        if np.ptp(x) > 0:
            ends = np.array([x.min(), x.max()])
            axes.plot(ends, np.polyval(np.polyfit(x, y, 1), ends), color="black", linewidth=0.7)
        axes.set(xlim=xlim, ylim=limits)
        axes.set_title(person, fontsize=7, pad=1)
    name = "the study's own model" if signature == OWN_MODEL else f'the signature "{signature}"'
    name_axes(figure, f"expression of {name} ({MEASURES[measure]})", score)
    caption = (
        f"Each participant has a panel, each trial a dot: the score against the expression of {name}, with the "
        "participant's own least-squares line. Colours are those of the datasets."
    )
    caption += " A trial is expressed by a fit that has not seen its participant." * (signature == OWN_MODEL)
    alt = f"Small scatter plots of the score against the expression of {name} for {len(panels)} participants."
    return Drawing(figure, f"Score and expression of {name}", caption, alt)


def panel_for_each(people, synthetic):
    """Return a page and small axes for each participant; inner ones have no tick labels."""
    n_rows = -(-len(people) // COLUMNS)
    figure, panels = new_page(PANEL_MM * n_rows + 20, synthetic, layout=None), {}
    for number, person in enumerate(people):
        row, column = divmod(number, COLUMNS)
        axes = place(figure, 12 + PANEL_MM * column, 8 + PANEL_MM * row, PANEL_MM - 3, PANEL_MM - 6)
        axes.tick_params(labelbottom=number + COLUMNS >= len(people), labelleft=column == 0)
        panels[person] = axes
    return figure, panels


def name_axes(figure, x, y):
    """Name the axes that all panels of a page share."""
    figure.text(0.5, 7 / (figure.get_figheight() * 25.4), x, ha="center", va="bottom")
    figure.text(0.004, 0.5, y, rotation=90, va="center", ha="left")


def widen(low, high):
    margin = 0.05 * (high - low) or 1
    return low - margin, high + margin
