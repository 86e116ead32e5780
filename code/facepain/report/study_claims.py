"""What the results may be said to show: each rule takes tables and gives claims.

Where a number, its interval or its test is missing a rule gives none. Sentences about participants that a model has not
seen rest on whole participants exchanged (``block``) and on intervals over participants, sentences about single trials
on scores exchanged within participants (``within``). A score that differs little from that of chance is never
evidence of absence by itself: the smallest effect that would have been found is quoted, or nothing is said about it.
"""

from dataclasses import replace
from itertools import combinations

import numpy as np

from facepain.inference.intervals import fold_mean_interval
from facepain.report.claims import (
    ALPHA,
    AT_MOST,
    DESCRIPTION,
    SYNTHETIC_SUFFIX,
    at_floor,
    make_claim,
    mask_name,
    model_name,
    name_confounds,
    name_model,
    p_is,
    span,
)
from facepain.report.figures.page import ALGORITHM_NAMES, percent, score_name, signed
from facepain.report.signature_claims import relation_claims, similarity_claims

POWER = 0.8
UNKNOWN_POWER = "How small an effect would have been found is not known, so that this is no evidence of absence."
NEARLY_SAME = 0.97  # correlation of two models' weights from which on they are called nearly the same
R2 = "R\N{SUPERSCRIPT TWO}"
SCHEMES = ("block", "within")
EXCHANGE = "paired exchange"


def make_claims(results, recovered=None):
    """Return a list of everything that may be said of a study, the least favourable kinds first.

    ``recovered`` is the table of `facepain.report.recovered.recovered_table`, if there is one.
    """
    cells = list(results.regressions.values())
    claims = [claim for cell in cells for claim in transfer_claims(results, cell)]
    claims += [claim for cell in cells for claim in level_claims(results, cell)]
    for rule in (
        split_claim,
        confounds_claim,
        unseen_claim,
        trials_claim,
        detectable_claim,
        shrinkage_claim,
        voxels_claim,
    ):
        claims += [rule(results, cell) for cell in cells]
    claims += same_claims(results) + comparison_claims(results) + tuned_claims(results) + occurrence_claims(results)
    claims += [recovered_claim(recovered, cell) for cell in cells] if recovered is not None else []
    claims += [classifier_claim(classifier) for classifier in results.classifiers.values()]
    claims += reliability_claims(results)
    claims += similarity_claims(results) + relation_claims(results)
    suffix = SYNTHETIC_SUFFIX if results.synthetic else ""
    return [replace(claim, text=claim.text + suffix) for claim in claims if claim is not None]


def transfer_claims(results, cell):
    """Say for each other dataset whether the association carries over, and what is wrong with level and gain."""
    table = cell.table("transfer")
    known = find_test(cell.tests)
    claims = []
    for row in [] if table is None else table.to_dict("records"):
        # With the model fixed nothing pulls the correlation below 0 where there is nothing to find.
        people = row["p_block"] <= ALPHA and row["pearson_r_low"] > 0
        trials = row["p_within"] <= ALPHA and row["within_r_low"] > 0
        n = row["n_permutations"]
        tested = ", ".join(f"{scheme} {p_is(row[f'p_{scheme}'], n)}" for scheme in SCHEMES)
        numbers = f"r = {span(row, 'pearson_r')}, within participants {span(row, 'within_r')}; {tested}"
        where = f"{model_name(cell)}, tested on {row['dataset']} ({row['n_participants']:.0f} participants)"
        if people or trials:
            shown = (
                "predicted and observed scores of its participants are associated"
                if people
                else "predictions follow single trials within its participants, while an association over whole "
                f"participants was not {'tested' if np.isnan(row['p_block']) else 'shown'}"
            )
            text = f"{where}: {shown} ({numbers}). {_level_and_gain(row, results.score, cell.transform)}"
        elif known is not None and known["p"] <= ALPHA:
            text = f"{where}: the association found in the training data was not found there ({numbers})."
        else:
            as_before = "" if known is None else ", as in the training data"
            text = f"{where}: no association was shown{as_before} ({numbers})."
        text += "" if people or trials else f" {UNKNOWN_POWER}"
        scheme = "within" if trials and not people else "block"
        numbers = (row["pearson_r"], row["pearson_r_low"], row["pearson_r_high"])
        claims.append(
            of_model(cell, f"transfer/{row['dataset']}", text, numbers, ["transfer.tsv"], row[f"p_{scheme}"], scheme)
        )
    return claims


def level_claims(results, cell):
    """State R2 on each other dataset as it is, without a word on why."""
    table = cell.table("transfer")
    claims = []
    for row in [] if table is None else table.to_dict("records"):
        text = f"{model_name(cell)}, tested on {row['dataset']}: {R2} as it is, {span(row, 'r2')}."
        numbers = (row["r2"], row["r2_low"], row["r2_high"])
        claims.append(of_model(cell, f"level/{row['dataset']}", text, numbers, ["transfer.tsv"]))
    return claims


def _level_and_gain(row, score, transform):
    """Say whether predictions are too high or low and vary too much or too little, and what R2 is without that."""
    offset = row["offset_low"] > 0 or row["offset_high"] < 0
    gain = row["slope_low"] > 1 or row["slope_high"] < 1
    texts = []
    if offset:
        side = "high" if row["offset"] > 0 else "low"
        raw = transform == "raw"
        what, unit = ("", f" {unit_of(score)}") if raw else (f" of {score_name(score, transform)}", "")
        error, low, high = (
            signed(value, 1 if raw else 2) for value in (abs(row["offset"]), row["offset_low"], row["offset_high"])
        )
        texts.append(
            f"Predictions{what} are {error}{unit} too {side} (95 % interval {low} to {high}): {R2} as it is, "
            f"{span(row, 'r2')}; without that constant, {span(row, 'r2_offset_removed')}."
        )
    if gain:
        how = "less" if row["slope"] > 1 else "more"
        texts.append(
            f"Predictions vary {how} than the scores that go with them: where predictions differ by 1, scores differ "
            f"by {span(row, 'slope')}; {R2} with the line fitted on the other participants, "
            f"{span(row, 'r2_recalibrated')}."
        )
    if not texts:
        texts.append(f"Neither a constant error nor a wrong gain was shown: {R2} as it is, {span(row, 'r2')}.")
    return " ".join(texts)


def split_claim(results, cell):
    """Say where the published division of participants lies among others."""
    table = cell.table("repeats")
    if table is None or len(table) < 2:
        return None
    published, others = table[table["repeat"] == 0].iloc[0], table[table["repeat"] != 0]
    r2, skill = others["r2"].dropna(), others["skill"].dropna()
    if not len(r2) or not len(skill) or not np.isfinite(published["r2"]):
        return None
    low, high = np.quantile(r2, [0.025, 0.975])
    place = np.mean(r2 < published["r2"])
    skill_low, skill_high = np.quantile(skill, [0.025, 0.975])
    steady = " depends less on the division" * bool(skill_high - skill_low < high - low)
    text = (
        f"{model_name(cell)}: {R2} = {signed(published['r2'])} is the mean over the folds of the published scheme. In "
        f"{len(r2)} other divisions of the same participants the mean {R2} is {signed(r2.mean())} on average (middle "
        f"95 %: {signed(low)} to {signed(high)}; {percent((r2 < 0).mean())} below 0); {percent(place)} of them lie "
        f"below the published one. Skill against {baseline_name(cell) if cell.confounds else 'the training mean'}"
        f"{steady}: {signed(skill.mean())} on average (middle 95 %: {signed(skill_low)} to {signed(skill_high)})."
    )
    return of_model(cell, "split", text, (published["r2"], low, high), ["repeats.tsv"])


def confounds_claim(_results, cell):
    """Say what the confounds that were removed predict without any image, beside the model."""
    table = cell.table("confounds")
    if table is None:
        return None
    r, skill = (_interval(table, "lopo", metric) for metric in ("pearson_r", "skill"))
    scheme = next((scheme for scheme in SCHEMES if r[f"p_{scheme}"] == r[f"p_{scheme}"]), None)
    if scheme is None:
        return None
    p = r[f"p_{scheme}"]
    shown = "predict" if p <= ALPHA else "were not shown to predict"
    text = (
        f"Without images, {name_confounds(cell)} {shown} the scores of unseen participants (r = {span(r)}, {scheme} "
        f"{p_is(p, r['n_permutations'])}; skill {span(skill)})"
    )
    own, beside = interval(cell, "lopo", "pearson_r"), interval(cell, "lopo", "skill")
    if own is not None and beside is not None:
        test = find_test(cell.tests)
        tested = "" if test is None else f", block {p_is(test['p'], test['n'])}"
        text += (
            f". For what they leave of the scores, {name_model(cell.mask, cell.algorithm)} reaches r = {span(own)}"
            f"{tested}; skill, the share of their squared error that it saves, {span(beside)}"
        )
    return of_model(cell, "confounds", f"{text}.", ends(r), ["confounds.tsv", "intervals.tsv"], p, scheme)


def unseen_claim(results, cell):
    """Say whether scores of participants that the model has not seen are predicted."""
    test, r, skill = find_test(cell.tests), interval(cell, "lopo", "pearson_r"), interval(cell, "lopo", "skill")
    if test is None or r is None or skill is None:
        return None
    corrected = familywise(results, cell)
    family = ""
    if corrected:
        family = f"; corrected for all models, {p_is(corrected['p_familywise'], corrected['n_familywise'])}"
    numbers = (
        f"r = {span(r)}; exchanging whole participants' scores gives {signed(test['null_mean'])} on average; "
        f"block {p_is(test['p'], test['n'])}{family}"
    )
    if max(test["p"], corrected["p_familywise"] if corrected else 0) > ALPHA:
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
    return of_model(cell, "unseen", text, ends(r), ["intervals.tsv", "permutation.tsv"], test["p"], "block")


def baseline_name(cell):
    """Name what skill compares with: with confounds removed, the mean of what they leave is 0, their own prediction."""
    return f"a model of {name_confounds(cell)} alone" if cell.confounds else "the mean training score"


def trials_claim(results, cell):
    """Say whether predictions follow single trials, given the participant."""
    for estimate in ("lopo", "published"):
        test, r = find_test(cell.tests, "within", estimate), interval(cell, estimate, "pearson_r")
        if test is not None and r is not None:
            break
    else:
        return None
    within = interval(cell, estimate, "within_r")
    beside = "" if within is None else f"correlation within participants {span(within)}; "
    numbers = (
        f"{beside}over all trials r = {span(r)}, where exchanging the scores of each participant's own trials gives "
        f"{signed(test['null_mean'])} on average; within {p_is(test['p'], test['n'])}"
    )
    if test["p"] <= ALPHA and (within is None or within["low"] > 0):
        shown = "predictions follow single trials of a participant, not only differences between participants"
    else:
        shown = "that predictions follow single trials of a participant was not shown"
    text = f"{model_name(cell)}: {shown} ({numbers})."
    return of_model(cell, "trials", text, ends(r), ["intervals.tsv", "permutation.tsv"], test["p"], "within")


def detectable_claim(results, cell):
    """Say how small an effect the mask would have shown."""
    found = smallest_effect(results, cell)
    if found is None:
        return None
    effect, low, high, table = found
    if effect is None:
        last = table.iloc[-1]
        text = (
            f"{model_name(cell)}: even a planted pattern that alone reaches r = {signed(last['effect'])} is found in "
            f"only {percent(last['power'])} of the studies (block, p {AT_MOST} {ALPHA:g})."
        )
        numbers = (last["power"], table["power"].min(), table["power"].max())
    else:
        text = (
            f"{model_name(cell)}: a planted pattern that alone reaches r = {signed(effect)} is found in at least "
            f"{percent(POWER)} of the studies (block, p {AT_MOST} {ALPHA:g}), one that reaches {signed(low)} in fewer."
        )
        numbers = (effect, low, high)
    name = f"detectable/{cell.mask}/{cell.algorithm}"
    return make_claim(name, text, numbers, ["outputs/compare/detectable.tsv"])


def _no_absence(results, cell):
    found = smallest_effect(results, cell)
    if found is None:
        return UNKNOWN_POWER
    if found[0] is None:
        return "No planted effect was found often enough either, so that this is no evidence of absence."
    return (
        f"A pattern that alone reaches r = {signed(found[0])} would have been found with a power of {percent(POWER)}; "
        "a weaker one may be there."
    )


def smallest_effect(results, cell):
    """Return the smallest planted effect found with `POWER`, or None, with the planted ones around it and all."""
    table = results.table("compare/detectable")
    if table is None:
        return None
    table = table[(table["mask"] == cell.mask) & (table["algorithm"] == cell.algorithm)].sort_values("effect")
    if not len(table):
        return None
    effects, power = table["effect"].to_numpy(float), table["power"].to_numpy(float)
    enough = np.flatnonzero(power >= POWER)
    if not len(enough):
        return None, effects[-1], effects[-1], table
    first = enough[0]
    return effects[first], effects[first - 1] if first else 0.0, effects[first], table


def voxels_claim(results, cell):
    """Say how many voxels survive, and that the test is weak."""
    thresholds, fdr = cell.bootstrap["thresholds"], cell.bootstrap["fdr"]
    if "uncorrected_0.001" not in thresholds or "bonferroni_0.05" not in thresholds:
        return None
    n, strict, loose = (int(thresholds[name]["n_voxels"]) for name in ("fdr", "bonferroni_0.05", "uncorrected_0.001"))
    units = {"participant": "participants", "trial": "trials"}[cell.bootstrap["unit"]]
    text = (
        f"{model_name(cell)}: {f'{n:,}' if n else 'none'} of the {cell.n_voxels:,} voxels survive{'s' * (n < 2)} a "
        f"false discovery rate of {percent(fdr)} in the bootstrap over {units} ({strict:,} with Bonferroni's "
        f"correction, {loose:,} at p < .001 without correction). The test is weak: draws repeat {units}, "
        "which shrinks the mean weight while the standard deviation stays that of the draws. A voxel that does not "
        "survive may still contribute."
    )
    return of_model(cell, "voxels", text, (n, strict, loose), ["bootstrap.json"])


def same_claims(results):
    """Say which algorithms are nearly the same model."""
    claims = []
    for mask in results.masks:
        cells = results.models(mask)
        if len(cells) < 2:
            continue
        # Predictions are participant level; models with nearly equal weights predict nearly the same.
        of_folds = [correlate_maps(cells, f"weights_fold-{number}") for number in cells[0].folds.index]
        of_final = correlate_maps(cells, "weights_final")
        for one, other in combinations(cells, 2):
            folds = [r[one.algorithm, other.algorithm] for r in of_folds]
            if not min(folds, default=0) >= NEARLY_SAME:
                continue
            r = of_final[one.algorithm, other.algorithm]
            names = " and ".join(ALGORITHM_NAMES[cell.algorithm] for cell in (one, other))
            text = (
                f"{names} are nearly the same model in {mask_name(mask)}: their weights correlate at "
                f"r = {r:.4f} ({min(folds):.4f} to {max(folds):.4f} over folds)."
            )
            name = f"same/{mask}/{one.algorithm}-{other.algorithm}"
            files = [f"outputs/regress/{mask}/{cell.algorithm}/weights_final.nii.gz" for cell in (one, other)]
            claims.append(make_claim(name, text, (r, min(folds), max(folds)), files))
    return claims


def correlate_maps(cells, name):
    """Return the correlation of a map over voxels for every two models of a mask, NaN where one is constant."""
    values = {cell.algorithm: np.asarray(cell.map_img(name).dataobj, float).ravel() for cell in cells}
    return {
        (one, other): float(np.corrcoef(values[one], values[other])[0, 1])
        if np.ptp(values[one]) and np.ptp(values[other])
        else np.nan
        for one, other in combinations(values, 2)
    }


def shrinkage_claim(_results, cell):
    """Say how much the penalty as set shrinks what is fitted, where that was computed."""
    if "shrinkage" not in cell.metrics:
        return None
    folds = cell.folds["shrinkage"]
    mean, low, high = numbers = folds.mean(), folds.min(), folds.max()
    mean, low, high = (f"{100 * value:.2g}".replace("-", "\N{MINUS SIGN}") for value in (mean, low, high))
    text = (
        f"{model_name(cell)}: with its penalty as set, the fitted training scores spread {mean} % less than those of "
        f"least squares on the same components ({low} % to {high} % over folds)."
    )
    return of_model(cell, "shrinkage", text, numbers, ["metrics.tsv"])


def comparison_claims(results):
    """Say which masks and which algorithms differ; tuned models may differ otherwise."""
    table, n = results.table("compare/pairs"), results.settings("compare").get("n_exchanges", 0)
    claims = []
    for row in [] if table is None else table.to_dict("records"):
        score = {"pearson_r": "r", "spearman_r": "Spearman's r", "r2": R2}.get(row["metric"], row["metric"])
        name = "/".join(("difference", row["metric"], *(str(row[side]).replace(" ", "-") for side in "ab")))
        if row["difference"] < 0:  # the better model is named first
            row |= {"a": row["b"], "b": row["a"], "difference": -row["difference"]}
            row |= {"low": -row["high"], "high": -row["low"]}
        numbers = (
            f"difference in {score} {span(row, 'difference', ('low', 'high'))}; paired exchange, Holm-corrected "
            f"{p_is(row['p_corrected'], bound=at_floor(row['p'], n))}"
        )
        a, b = (name_model(*row[side].rsplit(" ", 1)) for side in "ab")
        if row["p_corrected"] <= ALPHA:
            text = f"With the penalties as set, {a} predicts unseen participants better than {b} ({numbers})."
        else:
            uncorrected = "; the interval is of this pair alone, not corrected" if row["low"] > 0 else ""
            text = f"With the penalties as set, no difference between {a} and {b} was shown ({numbers}{uncorrected})."
        number = (row["difference"], row["low"], row["high"])
        claims.append(make_claim(name, text, number, ["outputs/compare/pairs.tsv"], row["p_corrected"], EXCHANGE))
    return claims


def tuned_claims(results):
    """Say what models with nested tuning reach."""
    claims = []
    for (mask, algorithm), cell in results.regressions.items():
        folder = f"tune/{mask}/{algorithm}"
        intervals, tests, choices = (
            results.table(f"{folder}/{name}") for name in ("intervals", "permutation", "tuning")
        )
        if intervals is None or tests is None or choices is None:
            continue
        estimate = "lopo" if "lopo" in set(intervals["estimate_of"]) else "published"
        r, skill = (_interval(intervals, estimate, metric) for metric in ("pearson_r", "skill"))
        test = find_test(tests, "block", estimate) or find_test(tests, "within", estimate)
        if r is None or skill is None or test is None:
            continue
        shown = "predicts unseen participants" if test["p"] <= ALPHA else "was not shown to predict unseen participants"
        fixed = interval(cell, estimate, "skill")
        beside = "" if fixed is None else f", with the penalty as set {span(fixed)}"
        text = (
            f"{model_name(cell)}, with penalty and number of components chosen inside the training data, {shown}: r = "
            f"{span(r)}, {test['scheme']} {p_is(test['p'], test['n'])}; skill {span(skill)}{beside}. "
            f"{_elsewhere(cell, intervals)}{_choices_sentence(choices)}"
        )
        files = [f"outputs/{folder}/{name}.tsv" for name in ("intervals", "permutation", "tuning")]
        claims.append(make_claim(f"tuned/{mask}/{algorithm}", text, ends(r), files, test["p"], test["scheme"]))
    return claims


def _elsewhere(cell, intervals):
    """Say what a tuned model reaches on other datasets, beside the model with the penalty as set."""
    text = ""
    for dataset in cell.test_metrics["dataset"]:
        r2, r = (_interval(intervals, dataset, metric) for metric in ("r2", "pearson_r"))
        fixed = interval(cell, dataset, "r2")
        if r2 is not None and r is not None:
            beside = "" if fixed is None else f", with the penalty as set {signed(fixed['estimate'])}"
            text += f"On {dataset} it reaches {R2} = {span(r2)}{beside}; r = {span(r)}. "
    return text


def _choices_sentence(choices):
    """Say what tuning chose: how many components, how much the penalty shrinks, and where better may lie beyond."""
    n = len(choices)
    ends = choices["at_edge"].str.split(", ").explode().value_counts()
    shrunk = choices["shrinkage"].median()
    text = (
        f"{ends.get('most components', 0)} of {n} choices keep all components; the median penalty shrinks the spread "
        f"of the predictions by {'less than 0.1 %' if shrunk < 0.001 else percent(shrunk, 1)}."
    )
    for end in ("fewest components", "strongest penalty"):
        if end in ends:
            text += f" {ends[end]} of {n} choices have the {end} of the grid: a better one may lie beyond it."
    return text


def occurrence_claims(results):
    """Say whether it is predicted if there is an expression, and how strong it is where there is one."""
    about = {
        "occurrence": ("auc", "whether a trial of an unseen participant has a score above 0", "AUC"),
        "intensity": ("pearson_r", "how high the score is in trials where it is above 0", "r"),
        "product": ("pearson_r", "the score by the product of both", "r"),
    }
    claims = []
    for mask in results.masks:
        folder = f"occurrence/{mask}"
        intervals, tests = results.table(f"{folder}/intervals"), results.table(f"{folder}/permutation")
        if intervals is None or tests is None:
            continue
        for part, (metric, what, name) in about.items():
            about_part = {"part": part, "metric": metric}
            estimate = "lopo" if _row(tests, **about_part, estimate_of="lopo") else "published"
            row = _row(intervals, **about_part, estimate_of=estimate)
            tested = {scheme: _row(tests, **about_part, estimate_of=estimate, scheme=scheme) for scheme in SCHEMES}
            test = tested["block"] or tested["within"]
            if row is None or test is None:
                continue
            shown = "predicts" if test["p"] <= ALPHA else "was not shown to predict"
            plain = _row(intervals, part="plain", metric=metric, estimate_of=estimate) if part == "product" else None
            beside = "" if plain is None else f"; by one regression of all scores, {name} = {span(plain)}"
            text = (
                f"In {mask_name(mask)} a linear model {shown} {what} ({name} = {span(row)}; {test['scheme']} "
                f"{p_is(test['p'], test['n'])}{beside})."
            )
            files = [f"outputs/{folder}/{file}.tsv" for file in ("intervals", "permutation")]
            claims.append(make_claim(f"{part}/{mask}", text, ends(row), files, test["p"], test["scheme"]))
    return claims


def recovered_claim(recovered, cell):
    """Say how much of the largest weights lies where a pattern was planted."""
    rows = recovered[(recovered["mask"] == cell.mask) & (recovered["algorithm"] == cell.algorithm)].set_index("map")
    if "average" not in rows.index or not rows.loc["average", "chance_share"] > 0:
        return None
    average = rows.loc["average"]
    folds = rows.loc[[name for name in rows.index if str(name).startswith("fold-")], "share_planted"]
    sign = average["share_right_sign"]
    text = (
        f"{model_name(cell)}: of the 1 % largest weights ({average['n_top']:,.0f} voxels, average over folds) "
        f"{percent(average['share_planted'])} lie where a pattern was planted ({percent(folds.min())} to "
        f"{percent(folds.max())} in single folds; {percent(average['chance_share'])} of all voxels do)"
        + ("." if np.isnan(sign) else f", {percent(sign, 1)} of these with the planted sign.")
    )
    number = (average["share_planted"], folds.min(), folds.max())
    return make_claim(f"recovered/{cell.mask}/{cell.algorithm}", text, number, ["figures/recovered.tsv"])


def classifier_claim(classifier):
    """Say whether the images distinguish the datasets."""
    rows, tests = classifier.metrics.set_index("fold"), classifier.tests
    tests = tests[tests["metric"] == "balanced_accuracy"]
    if not len(tests):
        return None
    mean, test = rows.loc["mean"], tests.iloc[0]
    folds = classifier.folds
    ends = fold_mean_interval(folds["balanced_accuracy"], folds["n_train"].mean(), folds["n_test"].mean())
    low, high = np.clip(ends, 0, 1)
    shown = "distinguish" if test["p"] <= ALPHA else "were not shown to distinguish"
    text = (
        f"Images of unseen participants ({mask_name(classifier.mask)}) {shown} the datasets: balanced accuracy "
        f"{percent(mean['balanced_accuracy'], 1)} (95 % interval {percent(low)} to {percent(high)}, over folds; chance "
        f"{percent(test['null_mean'])}; participants' labels exchanged, {p_is(test['p'], test['n'])}), accuracy "
        f"{percent(mean['accuracy'], 1)} where always naming the larger dataset gives "
        f"{percent(mean['majority_share'], 1)}."
    )
    files = [f"outputs/classify/{classifier.mask}/{name}.tsv" for name in ("metrics", "permutation")]
    number = (mean["balanced_accuracy"], low, high)
    return make_claim(f"datasets/{classifier.mask}", text, number, files, test["p"], test["scheme"])


def reliability_claims(results):
    """Say how much of the score's variance lies between participants."""
    table = results.table("prep/reliability")
    claims = []
    for row in [] if table is None else table.to_dict("records"):
        text = (
            f"{row['dataset']}: {percent(row['icc'])} of the variance of the scores lies between participants "
            f"(intraclass correlation {span(row, 'icc', ('low', 'high'))}, {row['n_participants']:.0f} participants)."
        )
        number = (row["icc"], row["low"], row["high"])
        claims.append(make_claim(f"reliability/{row['dataset']}", text, number, ["outputs/prep/reliability.tsv"]))
    return claims


def of_model(cell, kind, text, numbers, files, p=None, scheme=DESCRIPTION):
    """Return a claim about one model of ``regress``, with files of its folder."""
    folder = f"outputs/regress/{cell.mask}/{cell.algorithm}"
    files = [f"{folder}/{file}" for file in files]
    return make_claim(f"{kind}/{cell.mask}/{cell.algorithm}", text, numbers, files, p, scheme)


def unit_of(score):
    """Return the unit in brackets after a score's name."""
    return score.partition(" (")[2].rstrip(")") or "units of the score"


def ends(row):
    return row["estimate"], row["low"], row["high"]


def interval(cell, estimate, metric):
    """Return the row of intervals.tsv of one estimate and metric as a dict, or None."""
    return _interval(cell.table("intervals"), estimate, metric)


def familywise(results, cell):
    """Return the row of the block test corrected over all models, or None."""
    table = results.table("compare/cells")
    about = {"mask": cell.mask, "algorithm": cell.algorithm, "estimate_of": "lopo", "scheme": "block"}
    row = _row(table, **about, metric="pearson_r")
    return None if row is None or row["p_familywise"] != row["p_familywise"] else row


def find_test(tests, scheme="block", estimate="lopo"):
    """Return the test of Pearson's r of an estimate, by default in unseen participants, as a dict, or None."""
    return _row(tests, scheme=scheme, estimate_of=estimate, metric="pearson_r")


def _interval(table, estimate, metric):
    return _row(table, estimate_of=estimate, metric=metric)


def _row(table, **values):
    """Return the first row that has all values as a dict; None if none has them, or there is no table."""
    if table is None:
        return None
    found = np.flatnonzero(np.logical_and.reduce([table[column] == value for column, value in values.items()]))
    return table.iloc[found[0]].to_dict() if len(found) else None
