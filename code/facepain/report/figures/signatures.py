"""Similarity of weight maps with signatures, and fixed effects of their expression on the score."""

from functools import partial

import numpy as np
from matplotlib.lines import Line2D

from facepain.data.signatures import OWN
from facepain.models.algorithms import ALGORITHMS
from facepain.report.figures.page import (
    GREY,
    Drawing,
    NothingToDraw,
    new_page,
    score_name,
    signed,
)

SIGNIFICANT = 0.05
DOT = partial(Line2D, [], [], marker="o")


def draw_similarity(results):
    """Draw the cosine of every weight map with every signature, whole masks only."""
    tables = {key: results.table(f"similarity/{'/'.join(key)}/similarity") for key in results.regressions}
    tables = {key: table for key, table in tables.items() if table is not None}
    if not tables:
        raise NothingToDraw("no weight map was compared with signatures")
    key, first = next(iter(tables.items()))
    people, schemes = results.regressions[key].scheme_of_people, first["scheme"].tolist()
    scheme, names = people if people in schemes else schemes[-1], first["signature"].drop_duplicates()
    masks, algorithms = (list(dict.fromkeys(key[place] for key in tables)) for place in (0, 1))
    filled, absent = [], False
    figure = new_page(18 + 7 * len(names), results.synthetic)
    panels = figure.subplots(1, len(masks), sharex=True, sharey=True, squeeze=False)[0]
    for (mask, algorithm), table in tables.items():
        rows = table.query("network == 'all' and metric == 'cosine' and scheme == @scheme")
        rows, axes = rows.set_index("signature").loc[names], panels[masks.index(mask)]
        places = np.arange(len(names)) + (algorithms.index(algorithm) - (len(algorithms) - 1) / 2) * 0.22
        plot_dots(axes, rows, "score", rows["p_familywise"], places, ALGORITHMS[algorithm].colour, markersize=4)
        absent = absent or rows["score"].isna().any()
        alike = rows.index[rows["p_familywise"] <= SIGNIFICANT]
        filled += [f"{mask} {ALGORITHMS[algorithm].label}: {', '.join(alike)}"] if len(alike) else []
    for axes, mask in zip(panels, masks, strict=True):
        finish_panel(axes, mask, "cosine", names)
    handles = [DOT(color=ALGORITHMS[name].colour, label=ALGORITHMS[name].label) for name in algorithms]
    handles.append(DOT(color=GREY, markerfacecolor="white", label="family-wise p > .05"))
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    dots = " No dot: one of the two maps is 0 there." if absent else ""
    caption = (
        "Similarity of the final weight maps with each signature. Lines are 95 % intervals over participants. Dots are "
        "filled where the family-wise p over signatures and networks of a map is at most .05, by refits of permuted "
        f"scores ({scheme}).{dots} Values within networks are in similarity.tsv."
    )
    alt = (
        f"Dot plot of the cosine of the weight maps of {len(tables)} models with {len(names)} signatures, filled "
        f"for: {'; '.join(filled) or 'none'}."
    )
    return Drawing(figure, "Similarity with signatures", caption, alt)


def plot_dots(axes, rows, name, tests, places, colour, **style):
    """Draw a value with its interval for each row, filled where its p is significant."""
    for low, high, value, p, y in zip(rows["low"], rows["high"], rows[name], tests, places, strict=True):
        axes.plot([low, high], [y, y], color=colour, linewidth=1)
        axes.plot(value, y, "o", color=colour, markerfacecolor=colour if p <= SIGNIFICANT else "white", **style)


def finish_panel(axes, title, unit, names):
    axes.axvline(0, color="black", linewidth=0.6, zorder=0)
    axes.set_title(title, loc="left", fontweight="bold")
    axes.set_xlabel(unit)
    if axes.get_subplotspec().is_first_col():
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.5, -0.5)


def draw_fixed_effects(results):
    """Draw the fixed effects of the mixed models of the score by expression."""
    table = results.table("relate/fixed_effects")
    if table is None or table.empty:
        raise NothingToDraw("no mixed model was fitted")
    terms, models = (table.loc[table["term"] != "intercept", column].drop_duplicates() for column in ("term", "model"))
    figure = new_page(20 + 7 * len(models), results.synthetic)
    panels = figure.subplots(1, len(terms), sharex=True, sharey=True, squeeze=False)[0]
    for axes, term in zip(panels, terms, strict=True):
        rows = table[table["term"] == term].set_index("model").loc[models]
        tests = rows["p_permutation"].fillna(rows["p"])
        plot_dots(axes, rows, "estimate", tests, range(len(models)), "black")
        finish_panel(axes, term, "standardised effect", models.replace(OWN, "own model"))
    figure.legend(handles=[DOT(color="black", markerfacecolor="white", label="p > .05")], loc="outside upper right")
    name = score_name(results.score.split(" (")[0], results.settings("relate").get("transform", "raw"))
    caption = (
        f"Fixed effects on the {name}, in standard deviations of both, of mixed models with participants' own "
        "intercepts and slopes: one model for each signature and one for the study's own weight map. Lines are 95 % "
        "intervals; dots are filled where p is at most .05, for expression by permutation within participants, else by "
        "the normal approximation. Terms that vary together, such as run and trial, share their effect."
    )
    first = terms.iloc[0]
    effects = (f"{row.model} {signed(row.estimate)}" for row in table[table["term"] == first].itertuples())
    alt = (
        f"Dot plot of the standardised effects of {len(terms)} terms in {len(models)} mixed models. Effects of "
        f"{first}: {', '.join(effects)}."
    )
    return Drawing(figure, "Expression of signatures and the score", caption, alt)
