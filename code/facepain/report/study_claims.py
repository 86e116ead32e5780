"""What the results may be said to show: each rule takes results, of a model or of the study, and yields claims.

Where a number, its interval or its test is missing a rule yields none. Sentences about participants that a model has
not seen rest on whole participants exchanged (``block``, or ``free`` where each has one trial) and on intervals over
participants, sentences about single trials on scores exchanged within participants (``within``). A score that differs
little from that of chance is never evidence of absence by itself: the smallest effect that would have been found is
quoted, or nothing is said about it.
"""

from dataclasses import replace
from itertools import combinations

import numpy as np

from facepain.inference.intervals import fold_mean_interval
from facepain.models.algorithms import ALGORITHMS
from facepain.report.claims import (
    ALPHA,
    AT_MOST,
    DESCRIPTION,
    SYNTHETIC_SUFFIX,
    find_row,
    make_claim,
    mask_name,
    model_name,
    name_model,
    numbers_of,
    p_is,
    rows_of,
    span,
)
from facepain.report.figures.page import list_names, percent, score_name, signed
from facepain.report.signature_claims import relation_claims, similarity_claims
from facepain.results.load import correlate_maps

POWER = 0.8
UNKNOWN_POWER = "How small an effect would have been found is not known, so that this is no evidence of absence."
NEARLY_SAME = 0.97  # correlation of two models' weights from which on they are called nearly the same
R2 = "R\N{SUPERSCRIPT TWO}"
SCHEMES = ("block", "within")
SCORE_NAMES = {"pearson_r": "r", "spearman_r": "Spearman's r", "r2": R2}
PARTS = {  # of `occurrence`: score, what is predicted, name of the score
    "occurrence": ("auc", "whether a trial of an unseen participant has a score above 0", "AUC"),
    "intensity": ("pearson_r", "how high the score is in trials where it is above 0", "r"),
    "product": ("pearson_r", "the score by the product of both", "r"),
}


def make_claims(results, recovered=None):
    """Return a list of everything that may be said of a study, the least favourable kinds first.

    ``recovered`` is the table of `facepain.report.figures.recovery.recovered_table`, if there is one.
    """
    cells = results.regressions.values()
    claims = [claim for rule in OF_MODELS for cell in cells for claim in rule(results, cell)]
    claims += [*same_claims(results), *comparison_claims(results)]
    claims += [claim for cell in cells for claim in tuned_claims(results, cell)]
    claims += occurrence_claims(results)
    claims += [claim for cell in cells for claim in recovered_claims(recovered, cell)]
    claims += [claim for classifier in results.classifiers.values() for claim in classifier_claims(classifier)]
    claims += reliability_claims(results)
    claims += [claim for cell in cells for claim in similarity_claims(results, cell)]
    claims += relation_claims(results)
    suffix = SYNTHETIC_SUFFIX if results.synthetic else ""
    return [replace(claim, text=claim.text + suffix) for claim in claims if claim is not None]


def transfer_claims(results, cell):
    """Say for each other dataset whether the association carries over, and what is wrong with level and gain."""
    known, in_training = find_test(cell, cell.tests), is_shown(results, cell)
    for row in rows_of(cell.table("transfer")):
        # With the model fixed nothing pulls the correlation below 0 where there is nothing to find.
        people = row["p_block"] <= ALPHA and row["pearson_r_low"] > 0
        trials = row["p_within"] <= ALPHA and row["within_r_low"] > 0
        rest = _level_and_gain(row, results.score, cell.transform) if people or trials else UNKNOWN_POWER
        if people:
            shown = "predicted and observed scores of its participants are associated"
        elif trials:
            shown = (
                "predictions follow single trials within its participants, while an association over whole "
                f"participants was not {'tested' if np.isnan(row['p_block']) else 'shown'}"
            )
        elif in_training:
            shown = "the association found in the training data was not found there"
        else:
            shown = "no association was shown" + ("" if known is None else ", as in the training data")
        # With one trial a participant, permuting freely exchanges whole participants, and nothing is within them.
        one_each = row["n_participants"] == row["n_trials"]
        names = {"block": "free"} if one_each else {"block": "block", "within": "within"}
        within = "" if one_each else f", within participants {span(row, 'within_r')}"
        tested = ", ".join(
            f"{name} {p_is(row[f'p_{scheme}'], row['n_permutations'])}" for scheme, name in names.items()
        )
        text = (
            f"{model_name(cell)}, tested on {row['dataset']} ({row['n_participants']:.0f} participants): {shown} (r = "
            f"{span(row, 'pearson_r')}{within}; {tested}). {rest}"
        )
        scheme = "within" if trials and not people else "block"
        about, numbers = f"transfer/{row['dataset']}", numbers_of(row, "pearson_r")
        yield of_model(cell, about, text, numbers, ["transfer.tsv"], row[f"p_{scheme}"], names[scheme])


def level_claims(_results, cell):
    """State R2 on each other dataset as it is, without a word on why."""
    for row in rows_of(cell.table("transfer")):
        text = f"{model_name(cell)}, tested on {row['dataset']}: {R2} as it is, {span(row, 'r2')}."
        yield of_model(cell, f"level/{row['dataset']}", text, numbers_of(row, "r2"), ["transfer.tsv"])


def _level_and_gain(row, score, transform):
    """Say whether predictions are too high or low and vary too much or too little, and what R2 is without that."""
    texts, as_it_is = [], f"{R2} as it is, {span(row, 'r2')}"
    if row["offset_low"] > 0 or row["offset_high"] < 0:
        side = "high" if row["offset"] > 0 else "low"
        unit = score.partition(" (")[2].rstrip(")") or "units of the score"
        raw = transform == "raw"
        what, unit = ("", f" {unit}") if raw else (f" of {score_name(score, transform)}", "")
        offset, low, high = numbers_of(row, "offset")
        error = (offset, low, high) if offset > 0 else (-offset, -high, -low)
        error, low, high = (signed(value, ".1f" if raw else ".2f") for value in error)
        texts.append(
            f"Predictions{what} are {error}{unit} too {side} (95 % interval {low} to {high}): {as_it_is}; without that "
            f"constant, {span(row, 'r2_offset_removed')}."
        )
    if row["slope_low"] > 1 or row["slope_high"] < 1:
        how = "less" if row["slope"] > 1 else "more"
        texts.append(
            f"Predictions vary {how} than the scores that go with them: where predictions differ by 1, scores differ "
            f"by {span(row, 'slope')}; {R2} with the line fitted on the other participants, "
            f"{span(row, 'r2_recalibrated')}."
        )
    return " ".join(texts) or f"Neither a constant error nor a wrong gain was shown: {as_it_is}."


def split_claims(results, cell):
    """Say where the published division of participants lies among others."""
    table = cell.table("repeats")
    if table is None or len(table) < 2:
        return
    published, others = table[table["repeat"] == 0].iloc[0], table[table["repeat"] != 0]
    r2, skill = others["r2"].dropna(), others["skill"].dropna()
    if r2.nunique() < 2 or not len(skill):  # with as many folds as participants every division is the same
        return
    (low, high), (skill_low, skill_high) = (np.quantile(scores, [0.025, 0.975]) for scores in (r2, skill))
    n_folds = results.settings(f"regress/{cell.mask}/{cell.algorithm}").get("repeats", {}).get("n_folds", 5)
    steady = " depends less on the division" * bool(skill_high - skill_low < high - low)
    text = (
        f"{model_name(cell)}: {R2} = {signed(published['r2'])} is the mean over the folds of the published scheme. "
        f"In {len(r2)} random divisions of the same participants into {n_folds} folds ({cell.n_trials / n_folds:.0f} "
        f"trials in each on average, {cell.summary('mean', 'n_test'):.0f} in the published ones) the mean {R2} is "
        f"{signed(r2.mean())} on average (middle 95 %: {signed(low)} to {signed(high)}; {percent((r2 < 0).mean())} "
        f"below 0); {percent((r2 < published['r2']).mean())} of them lie below the published one. Skill against "
        f"{baseline_name(cell) if cell.confounds else 'the training mean'}{steady}: {signed(skill.mean())} on average "
        f"(middle 95 %: {signed(skill_low)} to {signed(skill_high)})."
    )
    yield of_model(cell, "split", text, (published["r2"], low, high), ["repeats.tsv"])


def confounds_claims(_results, cell):
    """Say what the confounds that were removed predict without any image, beside the model."""
    table = cell.table("confounds")
    r, skill = (interval(table, "lopo", metric) for metric in ("pearson_r", "skill"))
    scheme = next((scheme for scheme in SCHEMES if r and r[f"p_{scheme}"] == r[f"p_{scheme}"]), None)
    if scheme is None:
        return
    p, scheme = r[f"p_{scheme}"], cell.scheme_of_people if scheme == "block" else scheme
    shown = "predict" if p <= ALPHA and r["low"] > 0 else "were not shown to predict"
    text = (
        f"Without images, {list_names(cell.confounds)} {shown} the scores of unseen participants (r = {span(r)}, "
        f"{scheme} {p_is(p, r['n_permutations'])}; skill {span(skill)})"
    )
    own, beside = (interval(cell.table("intervals"), "lopo", metric) for metric in ("pearson_r", "skill"))
    if own and beside:
        test = find_test(cell, cell.tests)
        tested = f", {test['scheme']} {p_is(test['p'], test['n'])}" if test else ""
        text += (
            f". For what they leave of the scores, {name_model(cell.mask, cell.algorithm)} reaches r = {span(own)}"
            f"{tested}; skill, the share of their squared error that it saves, {span(beside)}"
        )
    yield of_model(cell, "confounds", f"{text}.", numbers_of(r), ["confounds.tsv", "intervals.tsv"], p, scheme)


def unseen_claims(results, cell):
    """Say whether scores of participants that the model has not seen are predicted."""
    test = find_test(cell, cell.tests)
    r, skill = (interval(cell.table("intervals"), "lopo", metric) for metric in ("pearson_r", "skill"))
    if not (test and r and skill):
        return
    corrected, family = find_corrected(results, cell), ""
    if corrected["p_familywise"] == corrected["p_familywise"]:
        family = f"; corrected for all models, {p_is(corrected['p_familywise'], corrected['n_familywise'])}"
    numbers = (
        f"r = {span(r)}; exchanging whole participants' scores gives {signed(test['null_mean'])} on average; "
        f"{test['scheme']} {p_is(test['p'], test['n'])}{family}"
    )
    if not is_shown(results, cell):
        text = (
            f"{model_name(cell)}: no prediction of the scores of unseen participants was shown ({numbers}; skill "
            f"{span(skill)}). {_no_absence(results, cell)}"
        )
    elif skill["low"] > 0:
        text = (
            f"{model_name(cell)} predicts the scores of unseen participants better than {baseline_name(cell)} does: "
            f"skill {span(skill)}; {numbers}."
        )
    else:
        text = (
            f"{model_name(cell)}: predicted and observed scores of unseen participants are associated ({numbers}); "
            f"that predictions are better than {baseline_name(cell)} is not certain (skill {span(skill)})."
        )
    yield of_model(cell, "unseen", text, numbers_of(r), ["intervals.tsv", "permutation.tsv"], test["p"], test["scheme"])


def is_shown(results, cell):
    """Return whether participants whom the model has not seen are predicted, also corrected for all models."""
    test = find_test(cell, cell.tests)
    return test is not None and test["p"] <= ALPHA and not find_corrected(results, cell)["p_familywise"] > ALPHA


def find_corrected(results, cell):
    """Return the row of a model's test among those corrected for all models; its p is NaN where there is none."""
    about = {"mask": cell.mask, "algorithm": cell.algorithm}
    return find_test(cell, results.table("compare/cells"), **about) or {"p_familywise": np.nan}


def baseline_name(cell):
    """Name what skill compares with: with confounds removed, the mean of what they leave is 0, their own prediction."""
    return f"a model of {list_names(cell.confounds)} alone" if cell.confounds else "the mean training score"


def trials_claims(_results, cell):
    """Say whether predictions follow single trials, given the participant."""
    table = cell.table("intervals")
    for estimate in ("lopo", "published"):
        test, r = find_test(cell, cell.tests, "within", estimate), interval(table, estimate, "pearson_r")
        if test and r:
            break
    else:
        return
    within = interval(table, estimate, "within_r")
    beside = f"correlation within participants {span(within)}; " if within else ""
    shown = "predictions follow single trials of a participant, not only differences between participants"
    if test["p"] > ALPHA or (within and not within["low"] > 0):
        shown = "that predictions follow single trials of a participant was not shown"
    text = (
        f"{model_name(cell)}: {shown} ({beside}over all trials r = {span(r)}, where exchanging the scores of each "
        f"participant's own trials gives {signed(test['null_mean'])} on average; within {p_is(test['p'], test['n'])})."
    )
    yield of_model(cell, "trials", text, numbers_of(r), ["intervals.tsv", "permutation.tsv"], test["p"], "within")


def detectable_claims(results, cell):
    """Say how small an effect the mask would have shown."""
    effects, power, n, first = planted_effects(results, cell)
    if not len(effects):
        return
    scheme = cell.scheme_of_people
    test = f"planted studies (mean r over the published folds, {scheme}, p {AT_MOST} {ALPHA:g} without correction)"
    if first is None:
        numbers = power[-1], power.min(), power.max()
        text = (
            f"even a planted pattern that alone reaches r = {signed(effects[-1])} was found in only "
            f"{percent(power[-1])} of {n[-1]:.0f} {test}."
        )
    else:
        below = effects[first - 1] if first else 0.0
        numbers = effects[first], below, effects[first]
        text = (
            f"a planted pattern that alone reaches r = {signed(effects[first])} was found in {percent(power[first])} "
            f"of {n[first]:.0f} {test}, one that reaches {signed(below)} in fewer than {percent(POWER)}."
        )
    name = f"detectable/{cell.mask}/{cell.algorithm}"
    yield make_claim(name, f"{model_name(cell)}: {text}", numbers, ["outputs/compare/detectable.tsv"])


def _no_absence(results, cell):
    effects, power, n, first = planted_effects(results, cell)
    if not len(effects):
        return UNKNOWN_POWER
    if first is None:
        return "No planted effect was found often enough either, so that this is no evidence of absence."
    return (
        "By the mean r over the published folds, without correction for all models, a pattern that alone reaches "
        f"r = {signed(effects[first])} was found in {percent(power[first])} of {n[first]:.0f} planted studies; a "
        "weaker one may be there."
    )


def planted_effects(results, cell):
    """Return the planted effects, rising, share found and number of studies of each, and the first with `POWER`."""
    rows = rows_of(results.table("compare/detectable"), mask=cell.mask, algorithm=cell.algorithm)
    columns = sorted((row["effect"], row["power"], row["n"]) for row in rows)
    effects, power, n = np.array(columns, float).reshape(-1, 3).T
    return effects, power, n, next(iter(np.flatnonzero(power >= POWER)), None)


def voxels_claims(_results, cell):
    """Say how many voxels survive, and that the test is weak."""
    thresholds, unit = cell.bootstrap["thresholds"], cell.bootstrap["unit"]
    if "bonferroni_0.05" not in thresholds:  # so few draws that no threshold is known
        return
    n, strict, loose = (int(thresholds[name]["n_voxels"]) for name in ("fdr", "bonferroni_0.05", "uncorrected_0.001"))
    text = (
        f"{model_name(cell)}: {f'{n:,}' if n else 'none'} of the {cell.n_voxels:,} voxels survive{'s' * (n < 2)} a "
        f"false discovery rate of {percent(cell.bootstrap['fdr'])} in the bootstrap over {unit}s ({strict:,} with "
        f"Bonferroni's correction, {loose:,} at p < .001 without correction). The test is weak: draws repeat {unit}s, "
        "which shrinks the mean weight while the standard deviation stays that of the draws. A voxel that does not "
        "survive may still contribute."
    )
    yield of_model(cell, "voxels", text, (n, strict, loose), ["bootstrap.json"])


def same_claims(results):
    """Say which algorithms are nearly the same model."""
    for cells in map(results.models, results.masks):
        if len(cells) < 2:
            continue
        # Predictions are participant level; models with nearly equal weights predict nearly the same.
        names = set.intersection(*(set(cell.fold_maps.values()) for cell in cells))
        of_folds = [correlate_maps(cells, name) for name in sorted(names)]
        of_final = correlate_maps(cells, "weights_final")
        for (k, one), (m, other) in combinations(enumerate(cells), 2):
            r, folds = of_final[k, m], [r[k, m] for r in of_folds]
            if not min(folds, default=0) >= NEARLY_SAME:
                continue
            names = " and ".join(ALGORITHMS[cell.algorithm].label for cell in (one, other))
            text = (
                f"{names} are nearly the same model in {mask_name(one.mask)}: the weights of their final models "
                f"correlate at r = {r:.4f}, those of single folds at {min(folds):.4f} to {max(folds):.4f}."
            )
            files = [f"outputs/regress/{one.mask}/{cell.algorithm}/weights_final.nii.gz" for cell in (one, other)]
            name = f"same/{one.mask}/{one.algorithm}-{other.algorithm}"
            yield make_claim(name, text, (r, min(folds), max(folds)), files)


def shrinkage_claims(_results, cell):
    """Say how much the penalty as set shrinks what is fitted."""
    if not ALGORITHMS[cell.algorithm].penalty:
        return
    folds = cell.folds["shrinkage"]  # withheld where they test few participants
    numbers = folds.mean(), folds.min(), folds.max()
    how, shown = ("less", numbers) if numbers[0] >= 0 else ("more", (-numbers[0], -numbers[2], -numbers[1]))
    mean, low, high = (signed(100 * value, ".2g") for value in shown)
    text = (
        f"{model_name(cell)}: with its penalty as set, the fitted training scores spread {mean} % {how} than those of "
        f"least squares on the same components ({low} % to {high} % over folds)."
    )
    yield of_model(cell, "shrinkage", text, numbers, ["metrics.tsv"])


OF_MODELS = (
    *(transfer_claims, level_claims, split_claims, confounds_claims, unseen_claims, trials_claims),
    *(detectable_claims, shrinkage_claims, voxels_claims),
)


def comparison_claims(results):
    """Say which masks and which algorithms differ; tuned models may differ otherwise."""
    n = results.settings("compare").get("n_exchanges", 0)
    for row in rows_of(results.table("compare/pairs")):
        name = "/".join(("difference", row["metric"], *(row[side].replace(" ", "-") for side in "ab")))
        if row["difference"] < 0:  # the better model is named first
            row |= {"a": row["b"], "b": row["a"], "difference": -row["difference"]}
            row |= {"low": -row["high"], "high": -row["low"]}
        a, b = (name_model(*row[side].rsplit(" ", 1)) for side in "ab")
        metric = SCORE_NAMES.get(row["metric"], row["metric"])
        if row["p_corrected"] <= ALPHA:
            shown = f"{a} predicts unseen participants better than {b}"
        else:
            shown = f"no difference between {a} and {b} was shown"
        text = (
            f"With penalties and numbers of components as set, {shown} (difference in {metric} "
            f"{span(row, 'difference')}; paired exchange, of this pair alone {p_is(row['p'], n)}, Holm-corrected "
            f"{p_is(row['p_corrected'], n, row['p'])})."
        )
        p, numbers = row["p_corrected"], numbers_of(row, "difference")
        yield make_claim(name, text, numbers, ["outputs/compare/pairs.tsv"], p, "paired exchange")


def tuned_claims(results, cell):
    """Say what models with nested tuning reach."""
    paths = [f"tune/{cell.mask}/{cell.algorithm}/{name}" for name in ("intervals", "permutation", "tuning")]
    intervals, tests, choices = map(results.table, paths)
    if intervals is None or tests is None or choices is None:
        return
    estimate = "lopo" if "lopo" in set(intervals["estimate_of"]) else "published"
    r, skill = (interval(intervals, estimate, metric) for metric in ("pearson_r", "skill"))
    test = find_test(cell, tests, estimate=estimate) or find_test(cell, tests, "within", estimate)
    if not (r and skill and test):
        return
    found, follows = test["p"] <= ALPHA, test["scheme"] == "within"
    if found and not follows and skill["low"] > 0:
        shown = "predicts unseen participants"
    elif found:
        of = "single trials, given the participant" if follows else "unseen participants"
        shown = f"gives predictions that are associated with the scores of {of}"
    else:
        shown = f"was not shown to {'follow single trials' if follows else 'predict unseen participants'}"
    fixed = interval(cell.table("intervals"), estimate, "skill")
    beside = f", with both as set {span(fixed)}" if fixed else ""
    text = (
        f"{model_name(cell)}, with penalty and number of components chosen inside the training data, {shown}: r = "
        f"{span(r)}, {test['scheme']} {p_is(test['p'], test['n'])}; skill {span(skill)}{beside}. "
        f"{_elsewhere(cell, intervals)}{_choices_sentence(choices)}"
    )
    name, files = f"tuned/{cell.mask}/{cell.algorithm}", [f"outputs/{path}.tsv" for path in paths]
    yield make_claim(name, text, numbers_of(r), files, test["p"], test["scheme"])


def _elsewhere(cell, intervals):
    """Say what a tuned model reaches on other datasets, beside the model with the penalty as set."""
    text = ""
    for dataset in cell.test_metrics["dataset"]:
        r2, r = (interval(intervals, dataset, metric) for metric in ("r2", "pearson_r"))
        fixed = interval(cell.table("intervals"), dataset, "r2")
        if r2 and r:
            beside = f", with both as set {signed(fixed['estimate'])}" if fixed else ""
            text += f"On {dataset} (no permutation test) it reaches {R2} = {span(r2)}{beside}; r = {span(r)}. "
    return text


def _choices_sentence(choices):
    """Say what tuning chose: how many components, how much the penalty shrinks, and where better may lie beyond."""
    n = len(choices)
    if n < 2:  # those of folds are withheld
        return ""
    ends = choices["at_edge"].str.split(", ").explode().value_counts()
    shrunk = choices["shrinkage"].median()
    text = (
        f"Of the {n} choices, of the published folds and the final model, the median penalty shrinks the spread of "
        f"the fitted training scores by {'less than 0.1 %' if shrunk < 0.001 else percent(shrunk, 1)}."
    )
    if "most components" in ends:
        text += (
            f" In {ends['most components']} of them as many components are taken as the smallest inner training set "
            "has, the end of the grid: more might be better."
        )
    for end in ("fewest components", "strongest penalty"):
        if end in ends:
            text += f" The {end} of the grid is taken in {ends[end]} of them: a better choice may lie beyond it."
    return text


def occurrence_claims(results):
    """Say whether it is predicted if there is an expression, and how strong it is where there is one."""
    for mask in results.masks:
        paths = [f"occurrence/{mask}/{name}" for name in ("intervals", "permutation")]
        intervals, tests = map(results.table, paths)
        for part, (metric, what, name) in PARTS.items():
            about = {"part": part, "metric": metric, "estimate_of": "lopo"}
            about |= {} if find_row(tests, **about) else {"estimate_of": "published"}
            row = find_row(intervals, **about)
            schemes = *(cell.scheme_of_people for cell in results.models(mask)[:1]), "block", "within"
            test = next(filter(None, (find_row(tests, **about, scheme=scheme) for scheme in schemes)), None)
            if not (row and test):
                continue
            found = test["p"] <= ALPHA and row["low"] > (0.5 if metric == "auc" else 0)
            shown = "predicts" if found else "was not shown to predict"
            plain = find_row(intervals, **about | {"part": "plain"}) if part == "product" else None
            beside = f"; by one regression of all scores, {name} = {span(plain)}" if plain else ""
            text = (
                f"In {mask_name(mask)} a linear model {shown} {what} ({name} = {span(row)}; {test['scheme']} "
                f"{p_is(test['p'], test['n'])}{beside})."
            )
            files = [f"outputs/{path}.tsv" for path in paths]
            yield make_claim(f"{part}/{mask}", text, numbers_of(row), files, test["p"], test["scheme"])


def recovered_claims(recovered, cell):
    """Say how much of the largest weights lies where a pattern was planted."""
    rows = {row["map"]: row for row in rows_of(recovered, mask=cell.mask, algorithm=cell.algorithm)}
    average = rows.get("average", {"chance_share": 0})
    folds = [row["share_planted"] for name, row in rows.items() if name.startswith("fold-")]
    if not (average["chance_share"] > 0 and folds):
        return
    mean, low, high = numbers = np.nanmean(folds), np.nanmin(folds), np.nanmax(folds)
    share, sign = average["share_planted"], average["share_right_sign"]
    text = (
        f"{model_name(cell)}: of the 1 % largest weights of a fold ({average['n_top']:,.0f} voxels) {percent(mean)} "
        f"lie where a pattern was planted ({percent(low)} to {percent(high)} in single folds; "
        f"{percent(average['chance_share'])} of all voxels do). The average over folds, which is less noisy, has "
        f"{percent(share)} there" + ("." if np.isnan(sign) else f", {percent(sign, 1)} of these with the planted sign.")
    )
    yield make_claim(f"recovered/{cell.mask}/{cell.algorithm}", text, numbers, ["figures/recovered.tsv"])


def classifier_claims(classifier):
    """Say whether the images distinguish the datasets."""
    mean, test = find_row(classifier.metrics, fold="mean"), find_row(classifier.tests, metric="balanced_accuracy")
    folds = classifier.folds
    if not test or folds["balanced_accuracy"].isna().any():  # folds of few participants are withheld: no interval
        return
    ends = fold_mean_interval(folds["balanced_accuracy"], folds["n_train"].mean(), folds["n_test"].mean())
    numbers = mean["balanced_accuracy"], *np.clip(ends, 0, 1)
    shown = "distinguish" if test["p"] <= ALPHA else "were not shown to distinguish"
    text = (
        f"Images of unseen participants ({mask_name(classifier.mask)}) {shown} the datasets: balanced accuracy "
        f"{percent(numbers[0], 1)} (95 % interval {percent(numbers[1])} to {percent(numbers[2])}, over folds; chance "
        f"{percent(test['null_mean'])}; participants' labels exchanged, {p_is(test['p'], test['n'])}), accuracy "
        f"{percent(mean['accuracy'], 1)} where always naming the larger dataset gives "
        f"{percent(mean['majority_share'], 1)}."
    )
    files = [f"outputs/classify/{classifier.mask}/{name}.tsv" for name in ("metrics", "permutation")]
    yield make_claim(f"datasets/{classifier.mask}", text, numbers, files, test["p"], test["scheme"])


def reliability_claims(results):
    """Say how much of the score's variance lies between participants."""
    for row in rows_of(results.table("prep/reliability")):
        text = (
            f"{row['dataset']}: {percent(row['icc'])} of the variance of the scores lies between participants "
            f"(intraclass correlation {span(row, 'icc')}, {row['n_participants']:.0f} participants)."
        )
        files = ["outputs/prep/reliability.tsv"]
        yield make_claim(f"reliability/{row['dataset']}", text, numbers_of(row, "icc"), files)


def of_model(cell, kind, text, numbers, files, p=None, scheme=DESCRIPTION):
    """Return a claim about one model of ``regress``, with files of its folder."""
    model = f"{cell.mask}/{cell.algorithm}"
    files = [f"outputs/regress/{model}/{file}" for file in files]
    return make_claim(f"{kind}/{model}", text, numbers, files, p, scheme)


def find_test(cell, tests, scheme=None, estimate="lopo", **about):
    """Return the test of Pearson's r of an estimate, by default in unseen participants, as a dict, or None."""
    about |= {"scheme": scheme or cell.scheme_of_people, "estimate_of": estimate, "metric": "pearson_r"}
    return find_row(tests, **about)


def interval(table, estimate, metric):
    """Return the row of a table of intervals of one estimate and metric as a dict, or None."""
    return find_row(table, estimate_of=estimate, metric=metric)
