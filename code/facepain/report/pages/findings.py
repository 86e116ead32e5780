"""What was found and what limits it, in sentences made from the numbers, the unfavourable first."""

from facepain.report.figures.page import p_text, percent, signed

R2 = "R\N{SUPERSCRIPT TWO}"


def describe_findings(results):
    """Tell the main results.

    Parameters
    ----------
    results : StudyResults

    Returns
    -------
    texts : list of str
        The test on other datasets first, then the cross-validation from the worst mask to the best, then the rest.
    """
    cells = list(results.regressions.values())
    return [*_tests(cells), *_masks(results), *_voxels(cells), *_classifiers(results)]


def _tests(cells):
    rows = [row for cell in cells for row in cell.test_metrics.to_dict("records") if row["r2"] == row["r2"]]
    texts = []
    for dataset in dict.fromkeys(row["dataset"] for row in rows):
        of_dataset = [row for row in rows if row["dataset"] == dataset]
        better = sum(row["r2"] > row["r2_baseline"] for row in of_dataset)
        texts.append(
            f"On {dataset}, of which no model had seen a trial, {R2} was {_range(row['r2'] for row in of_dataset)}: "
            f"{better} of {len(of_dataset)} models did better than predicting the mean score of the training set. "
            "Correlations of "
            f"predicted and observed scores were {_range(row['pearson_r'] for row in of_dataset)} (`table-2.tsv`)."
        )
    return texts or ["No model could be tested on another dataset: the study has one."]


def _masks(results):
    texts = []
    for mask in results.masks:
        cells = [cell for cell in results.regressions.values() if cell.mask == mask]
        means = [cell.summary("mean", "r2") for cell in cells]
        baseline = [cell.summary("mean", "r2_baseline") for cell in cells]
        p = {scheme: [] for cell in cells for scheme in cell.tests_of("r2").index}
        for cell in cells:
            for scheme, test in cell.tests_of("r2").iterrows():
                p[scheme].append(test["p"])
        told = "; ".join(f"{scheme} p {_range(values, p_text)}" for scheme, values in p.items())
        text = (
            f"Cross-validated, {mask}: mean {R2} {_range(means)} (predicting the training mean: {_range(baseline)}); "
            f"{told or 'not tested'} (`table-1.tsv`)."
        )
        texts.append((max((mean for mean in means if mean == mean), default=0), text))
    return [text for _, text in sorted(texts, key=lambda pair: pair[0])]


def _voxels(cells):
    survived = [int(cell.bootstrap["thresholds"]["fdr"]["n_voxels"]) for cell in cells]
    fdr = cells[0].bootstrap["fdr"]
    none = sum(n == 0 for n in survived)
    return [
        f"Voxels whose bootstrapped weight survives a false discovery rate of {fdr:g}: {_range(survived, str)} a "
        "model; none in "
        f"{none} of {len(cells)} models (`bootstrap.json` of each)."
    ]


def _classifiers(results):
    texts = []
    for mask, classifier in results.classifiers.items():
        rows = classifier.metrics.set_index("fold")
        mean, sd = rows.loc["mean"], rows.loc["sd"]
        p = ", ".join(f"p = {p_text(test['p'])} ({test['scheme']})" for _, test in classifier.tests.iterrows())
        texts.append(
            f"The images ({mask}) tell the datasets apart with accuracy {percent(mean['accuracy'], 1)} "
            f"\N{PLUS-MINUS SIGN} "
            f"{percent(sd['accuracy'], 1)} over folds; always naming the larger dataset gives "
            f"{percent(mean['majority_share'], 1)}. "
            f"Balanced accuracy {percent(mean['balanced_accuracy'], 1)}, {p} (`classify/{mask}/metrics.tsv`). "
            "Datasets that differ this way "
            "may be why a model of one fails on another; this does not show that they are."
        )
    return texts


def describe_limits(results):
    """Tell what the results cannot show.

    Parameters
    ----------
    results : StudyResults

    Returns
    -------
    texts : list of str
    """
    cells = list(results.regressions.values())
    n_tests = sum(len(cell.tests) for cell in cells)
    train = (
        len(results.trials)
        if len(results.datasets) == 1
        else cells[0].metrics.set_index("fold").loc["pooled", "n_distinct"]
    )
    texts = []
    if results.synthetic:
        texts.append(
            "**The data are synthetic.** Images and scores were simulated with the shape of a real study and with "
            "planted effects. "
            "Nothing here says anything about brains, faces or pain; it shows that the analysis runs and finds what "
            "was planted."
        )
    texts += [
        f"Cross-validation rests on {len(cells[0].folds)} folds that share most of their training trials: their "
        "standard deviation "
        "is no standard error.",
        f"The folds of the first model test {int(train)} different trials; where folds are drawn at random some "
        "participants are never tested.",
        f"{n_tests} permutation tests are reported and their p values are not corrected for their number.",
        "Permuting within participants tests the signal of single trials only: differences between participants "
        "stay in the null.",
        "Scores are skewed with many zeros, and squared error weighs the few large ones most.",
        "A weight depends on all other voxels: a large one need not mark a place that responds, a small one need "
        "not mark one that does not.",
        "The bootstrap z takes the draws' distribution as normal, and penalised weights are shrunk towards zero.",
    ]
    return texts


def _range(values, write=signed):
    known = sorted(value for value in values if value == value)
    if not known:
        return "not defined"
    low, high = write(known[0]), write(known[-1])
    return low if low == high else f"{low} to {high}"
