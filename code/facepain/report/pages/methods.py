"""The methods of a study in words, generated from the settings that its results record."""

import pandas as pd

from facepain.inference.intervals import covered
from facepain.models.algorithms import ALGORITHMS
from facepain.report.figures.page import score_name
from facepain.report.pages.markup import bullets, plain, table
from files import flatten

NOT_RECORDED, NOT_SHARED = "not recorded here", "not the same everywhere"
STANDARDIZED = {
    "image": "Each image was standardised by its own mean and standard deviation over the voxels of the mask, which "
    "needs no other image.",
    "voxel": "Each voxel was standardised by its mean and standard deviation over the training images of the fold; "
    "test images were standardised by the same numbers.",
}
SCHEMES = {
    "group-shuffle": "{n_folds} random splits in which {held_out} of the participants were held out; a participant "
    "may be tested in several splits or in none",
    "group-kfold": "{n_folds} folds of whole participants; every participant is tested once",
    "lopo": "leave one participant out; every participant is tested once",
}
ESTIMATES = {"published": "the published folds", "lopo": "leave-one-participant-out"}
FIXED = {
    "within": "A permutation changes nothing for {} with one trial or equal scores.",
    "block": "The scores of {} are only permuted within, since nobody else has as many trials.",
}
NON_FINITE = {"drop": "left out of the mask", "zero": "set to 0"}
UNITS = {"participant": "whole participants", "trial": "trials"}
PLAN = "cross_validation."
# Paragraphs in their order, to be filled with the facts of `describe_methods`. Those of a table or stage are left out
# where there is none.
TEXTS = {
    "score": "The score predicted is the {score}, one for each trial, from the trial's first-level contrast image. "
    "{standardized}{confounds}",
    "masks": "{masks}",
    "model": "Each model is a principal component analysis followed by one regression on the components: {models}. The "
    "first step keeps the fewest components that explain more than {variance} of the variance of the training images "
    "(here {fewest} to {most}). Both are fitted on training trials only.",
    "validation": "Models were cross-validated on {trained_on}: {scheme}. No participant is in training and test set "
    "at once. A final model was fitted on all trials of that dataset{tested}. The scores are R\N{SUPERSCRIPT TWO} "
    "(scikit-learn's definition: 0 is predicting the mean of the trials scored), Pearson r, mean absolute and root "
    "mean squared error; R\N{SUPERSCRIPT TWO} within participants (each participant's mean subtracted), between them "
    "(their means), and of the baseline (predicting the mean of the training scores).",
    "repeats": "The scheme above is called published. Since its scores depend on which participants are held out, "
    "every model was also fitted without each participant in turn (leave one participant out), and all of these "
    "predictions were scored together; the grouped {n_repeat_folds}-fold cross-validation was repeated {n_repeats} "
    "times with participants divided again. Skill is 1 minus the squared error of the model divided by that of the "
    "mean training score.",
    "intervals": "95 % intervals of leave-one-participant-out scores and of scores on another dataset leave "
    "participants out of the scoring, one by one, with the models as fitted (jackknife, Student's t). Intervals of "
    "means over folds use the variance of Nadeau and Bengio (2003), since folds share training trials. In simulated "
    "studies (`docs/validity.md`) they covered: leave-one-participant-out, "
    f"{covered('lopo', 'r2', 'skill')} (R\N{SUPERSCRIPT TWO}, skill), {covered('lopo', 'pearson_r')} (Pearson r) and "
    f"{covered('lopo', 'within_r')} (r within participants); means over folds, "
    f"{covered('published', 'r2', 'skill')} (R\N{SUPERSCRIPT TWO}, skill) and {covered('published', 'pearson_r')} "
    f"(Pearson r); another dataset, {covered('other dataset', 'r2', 'skill', 'pearson_r', 'within_r')}.",
    "prep/reliability": "The share of the scores' variance between participants is the intraclass correlation of "
    "single trials; its interval, percentiles of a bootstrap over participants, covered "
    f"{covered('reliability', 'icc')} in simulated studies.",
    "transfer": "On another dataset the association of predicted and observed scores is reported apart from the offset "
    "(mean prediction minus mean score) and from the slope of the score on its prediction; recalibrated "
    "R\N{SUPERSCRIPT TWO} uses a line fitted without the participant who is scored. Intervals covered "
    f"{covered('other dataset', 'offset', 'slope')} (offset, slope), "
    f"{covered('other dataset', 'r2_offset_removed')} (R\N{SUPERSCRIPT TWO} with the offset removed) and "
    f"{covered('other dataset', 'r2_recalibrated')} (recalibrated, too narrow).",
    "permutations": "{permutations}",
    "tune": "Penalty and number of components were also chosen by nested cross-validation: inside each training set, "
    "by the squared error over participants held out there. Every permutation of the scores repeats the choice. "
    "Intervals of tuned leave-one-participant-out scores are too narrow: in simulated studies they covered "
    f"{covered('tuned', 'skill')} (skill) and {covered('tuned', 'pearson_r')} (Pearson r).",
    "occurrence": "Whether a score is above 0, and how high it is where it is, were predicted apart by linear models "
    "on the same components; their product is set beside the plain regression. Leave-one-participant-out intervals "
    f"covered {covered('parts', 'auc')} (AUC) and {covered('parts', 'pearson_r')} (Pearson r of intensity and product) "
    "in simulated studies.",
    "compare": "p values corrected for all models compare each score with the largest null score over the models "
    "(Westfall and Young), permutation by permutation. Masks and algorithms were compared in pairs by exchanging the "
    "predictions of whole participants, with Holm's correction. What would have been found was measured by adding "
    "patterns of known strength to each mask's images, in proportion to permuted scores.",
    "similarity": "The weight map of every final model was compared with the signatures by its cosine over the voxels "
    "of the mask and of each network. Models refitted to permuted scores give its null distribution, corrected over "
    "signatures and networks; intervals draw whole participants.",
    "relate": "How strongly a trial expresses a signature was related to its score by linear mixed models with "
    "participants' own intercepts and slopes. The study's own map is expressed by a fit without the participant. "
    f"Intervals covered {covered('relate', 'estimate')} in simulated studies.",
    "bootstrap": "The weights of the final model were bootstrapped by drawing {unit} with replacement ({n_draws} "
    "draws); z is the mean of a voxel's weight over draws divided by its standard deviation, p is two-sided from the "
    "normal distribution{thresholds}. Weight maps show the average over folds.",
    "classifier": "{classifier}",
    "seed": "Splits, permutations and draws use one seed ({seed}). What depends on linear algebra is rounded before it "
    "is written (maps to steps of 2\N{SUPERSCRIPT MINUS}\N{SUPERSCRIPT ONE}\N{SUPERSCRIPT FIVE} of their largest "
    "value, tables to 6 significant digits); p values, thresholds and figures are computed from the numbers as "
    "written.",
    "different": "{different}",
}
CONFOUNDS = (
    " What {} explain was removed from images and scores, by least squares inside every training set, and from test "
    "trials with the same coefficients. Scores of models are of what is left, so that their skill compares with a "
    "prediction by the confounds alone; what these predict without images is in `confounds.tsv` of every model. "
    "Occurrence and intensity were not predicted apart: once confounds are removed, a score of 0 no longer means that "
    "there is no expression."
)
THRESHOLDS = (
    ", and maps are thresholded at a false discovery rate of {:g} (Benjamini and Hochberg, over the voxels of the mask)"
)
PERMUTATIONS = (
    "In permutation tests p = (1 + null scores at or above the observed one) / (1 + permutations), so that the "
    "smallest p possible is 1 / (1 + permutations). The mean of the null is reported beside every p: it is what a "
    "score is worth without the effect tested. Sentences about participants whom the model has not seen rest on the "
    "scheme block (on free where every participant has one trial), sentences about single trials on the scheme within."
)


def describe_methods(results, records):
    """Describe what was done, from the records of `read_records`: a list of paragraphs and tables as Markdown."""
    regress = {name: record for name, record in records.items() if name.split()[0] == "regress"}
    if not regress or not results.regressions:
        return ["No result here records the settings that made it, so that the methods cannot be described."]
    shared, different = shared_settings(regress)
    cells = list(results.regressions.values())
    plan = {key.removeprefix(PLAN): value for key, value in shared.items() if key.startswith(PLAN)}
    others = results.tested_datasets
    tested = f" and tested on {', '.join(others)}, of which no model had seen a trial"
    if few := [name for name in results.datasets if name not in (shared.get("train_dataset"), *others)]:
        tested += (
            f" ({', '.join(map(plain, few))}, of fewer than `min_participants` participants: predicted, not scored)"
        )
    numbers = (n for cell in cells for n in (*cell.folds["n_components"], cell.summary("mean", "n_components")))
    n_components = [int(n) for n in numbers if n == n]  # those of folds may be withheld
    facts = {
        "score": plain(score_name(results.score, shared.get("transform", "raw"))),
        "standardized": " ".join(text for step, text in STANDARDIZED.items() if step in cells[0].standardize),
        "confounds": CONFOUNDS.format(plain(", ".join(names))) if (names := shared.get("confounds")) else "",
        "masks": _masks(results, records),
        "models": ", ".join(_model(algorithm, regress) for algorithm in results.algorithms),
        "variance": f"{100 * shared.get('variance', float('nan')):g} %",
        "fewest": min(n_components),
        "most": max(n_components),
        "trained_on": shared.get("train_dataset", "not the same dataset everywhere"),
        "scheme": _splits(plan) if "scheme" in plan else NOT_SHARED,
        "tested": tested if others else f"; it was tested on no other, since {results.why_not_tested()}",
        "n_repeat_folds": shared.get("repeats.n_folds", 5),
        "n_repeats": shared.get("repeats.n", 100),
        "permutations": _permutations(cells),
        "unit": UNITS[cells[0].bootstrap["unit"]],
        "n_draws": _span([cell.bootstrap["n"] for cell in cells]),
        "thresholds": THRESHOLDS.format(cells[0].bootstrap["fdr"]) if cells[0].bootstrap["thresholds"] else "",
        "classifier": _classifier(results, records),
        "seed": shared.get("seed", NOT_SHARED),
        "different": _different(different),
    }
    tables = {name: cells[0].table(name) for name in ("repeats", "intervals", "transfer")}
    tables["prep/reliability"] = results.table("prep/reliability")
    occurrences = (results.table(f"occurrence/{mask}/metrics") for mask in results.masks)
    tables["occurrence"] = next((found for found in occurrences if found is not None), None)
    absent = {name for name, found in tables.items() if found is None or not len(found)}
    absent |= {"tune", "compare", "similarity", "relate"} - {name.split()[0] for name in records}
    return [text.format(**facts) for name, text in TEXTS.items() if name not in absent]


def _masks(results, records):
    rows = []
    for mask in results.masks:
        settings = records.get(f"extract {mask}", {}).get("settings", {})
        files = settings.get("mask_files", {mask: NOT_RECORDED})
        source = "; ".join(f"{name} = {file}" if len(files) > 1 else file for name, file in files.items())
        n_voxels = next((cell.n_voxels for cell in results.models(mask)), "no result")
        handling = NON_FINITE.get(settings.get("non_finite"), NOT_RECORDED)
        rows.append((plain(mask), n_voxels, f"`{source}`", handling, _resampling(results, mask, settings)))
    header = ("mask", "voxels", "defined by", "voxels not finite in some image", "images on different grids")
    return table(header, rows)


def _resampling(results, mask, settings):
    """Say how many images of each dataset were resampled: it decides which of them may be compared."""
    how = settings.get("mixed_grids")
    if how in (None, "refuse"):
        return NOT_RECORDED if how is None else "there are none"
    counts = results.json(f"extract/{mask}/mask").get("resampled", {})
    found = ", ".join(f"{n:.0f} of {results.fact(name, 'trials_usable'):.0f} of {name}" for name, n in counts.items())
    target = f" to `{settings['target_grid']}`" if "target_grid" in settings else ""
    return f"resampled{target} ({how}): {plain(found) or 'number not recorded here'}"


def _model(algorithm, regress):
    settings = [record["settings"] for name, record in regress.items() if name.split()[-1] == algorithm]
    return (
        ALGORITHMS[algorithm].sentence.format(**settings[0]["algorithm"]) if settings else ALGORITHMS[algorithm].label
    )


def _permutations(cells):
    if not any(len(cell.tests) for cell in cells):
        return "No permutation test was run."
    tests = pd.concat([cell.tests.assign(algorithm=cell.algorithm) for cell in cells])
    items = []
    for scheme, rows in tests.groupby("scheme", sort=False):
        n = rows.groupby("estimate_of", sort=False)["n"]
        counts = ", ".join(f"{_span(of_estimate)} of {ESTIMATES[name]}" for name, of_estimate in n)
        names = ", ".join(ALGORITHMS[name].label for name in rows["algorithm"].unique())
        text = f"**{scheme}** (permutations: {counts}; {names}): {rows['null_hypothesis'].iloc[0]}"
        if fixed := rows["n_fixed"].max():
            text += f" {FIXED[scheme].format(_span(rows['n_fixed']) + ' participant' + 's' * int(fixed > 1))}"
        items.append(text)
    return f"{PERMUTATIONS}\n\n{bullets(items)}"


def _classifier(results, records):
    texts = []
    for mask, classifier in results.classifiers.items():
        settings = records.get(f"classify {mask}", {}).get("settings")
        how = f" (C {settings['C']:g}; {_splits(settings['cross_validation'])})" if settings else ""
        hypothesis = " ".join(dict.fromkeys(classifier.tests["null_hypothesis"]))
        texts.append(
            f"A linear support vector machine was trained to name the dataset of an image, {plain(mask)} mask{how}. "
            f"Its balanced accuracy was tested with {_span(classifier.tests['n'])} permutations. {hypothesis} Its "
            f"interval covered {covered('classifier', 'balanced_accuracy')} in simulated studies."
        )
    if not texts and len(results.datasets) < 2:
        return "The study has one dataset: no classifier of datasets was run."
    if not texts and any(name.split()[0] == "classify" for name in records):
        return "A dataset has fewer than `min_participants` participants: no classifier of datasets was run."
    return "\n\n".join(texts)


def _different(different):
    lines = [
        f"`{key}`: " + ", ".join(f"{plain(cell)} {plain(value)}" for cell, value in values.items())
        for key, values in different.items()
        if not key.startswith("algorithm.")
    ]
    return f"**The results do not all rest on the same settings:**\n\n{bullets(lines)}" if lines else ""


def _splits(plan):
    held_out = f"{100 * plan['test_size']:g} %" if "test_size" in plan else ""
    return SCHEMES[plan["scheme"]].format(**plan, held_out=held_out)


def _span(numbers):
    low, high = min(numbers), max(numbers)
    return f"{low:.0f}" if low == high else f"{low:.0f} to {high:.0f}"


def shared_settings(records):
    """Split the settings of cells into what all share, by dotted key, and what some have otherwise, by key and cell."""
    flat = {name: flatten(record["settings"]) for name, record in records.items()}
    shared, different = {}, {}
    for key in dict.fromkeys(key for settings in flat.values() for key in settings):
        values = {name: settings.get(key) for name, settings in flat.items()}
        first, *rest = values.values()
        if all(value == first for value in rest):
            shared[key] = first
        else:
            different[key] = values
    return shared, different
