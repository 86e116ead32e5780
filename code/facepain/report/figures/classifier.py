"""The classifier of datasets: confusion matrices, and what else differs between the datasets."""

import numpy as np

from facepain.report.figures.page import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    Drawing,
    dataset_colours,
    new_page,
    p_text,
    percent,
    place,
)

MOST_FOLDS = 11  # matrices of single folds that fit on a page
COLUMNS = 3
# Facts of the original study (Picard et al., doi 10.7554/eLife.87962), not of the files read here.
ACQUISITION = {
    "dataset-1": {"volumes a run": "170", "voxel size (mm)": "3.44 x 3.44 x 3.40"},
    "dataset-2": {"volumes a run": "160", "voxel size (mm)": "3.40 x 3.40 x 3.40"},
}
SCORES = (("accuracy", "accuracy", BLUE), ("balanced_accuracy", "balanced\naccuracy", ORANGE), ("auc", "AUC", GREEN))


def draw_confusion(classifier, synthetic):
    """Draw the confusion matrix of every fold and of all folds together.

    Parameters
    ----------
    classifier : ClassifierResults
    synthetic : bool

    Returns
    -------
    drawing : Drawing
    """
    tables = {fold: rows for fold, rows in classifier.confusion.groupby("fold", sort=False)}
    if len(tables) - 1 > MOST_FOLDS:
        tables = {"pooled": tables["pooled"]}
    scores = classifier.metrics.set_index("fold")
    n_rows = -(-len(tables) // COLUMNS)
    figure = new_page(60 * n_rows + 6, synthetic)
    grid = figure.subplots(n_rows, COLUMNS, squeeze=False)
    for axes in grid.flat[len(tables) :]:
        axes.axis("off")
    for axes, (fold, rows) in zip(grid.flat, tables.items(), strict=False):
        image = plot_confusion(axes, rows)
        name = "all folds pooled" if fold == "pooled" else f"fold {fold}"
        correct, majority = percent(scores.loc[fold, "accuracy"], 1), percent(scores.loc[fold, "majority_share"], 1)
        axes.set_title(f"{name}: accuracy {correct}\n(majority share {majority})", fontsize=7, pad=5)
    figure.get_layout_engine().set(hspace=0.06)
    bar = figure.colorbar(image, ax=grid, shrink=0.6, pad=0.02)
    bar.set_label("share of the observed dataset's trials (%)")
    mean, p = scores.loc["mean"], p_text(classifier.tests["p"].iloc[0])
    caption = (
        f"Confusion matrices of the linear SVM that tells the datasets apart ({classifier.mask} mask): trials and, in "
        f"brackets, shares of a row. Always naming the larger dataset is right in {percent(mean.majority_share, 1)} "
        f"(mean over folds); the classifier in {percent(mean.accuracy, 1)}; balanced accuracy "
        f"{percent(mean.balanced_accuracy, 1)} (chance {percent(1 / _n_datasets(classifier))}; p = {p}, "
        "participants permuted)."
    )
    alt = f"{len(tables)} confusion matrices; pooled: {_spell(tables['pooled'])}."
    return Drawing(figure, f"Confusion matrices, {classifier.mask}", caption, alt)


def plot_confusion(axes, rows):
    """Draw one matrix: colour is the share of a row, numbers are trials.

    Parameters
    ----------
    axes : Axes
    rows : DataFrame
        ``observed``, ``predicted``, ``n_trials``.
    """
    names = sorted(set(rows["observed"]))
    counts = rows.pivot(index="observed", columns="predicted", values="n_trials").loc[names, names].to_numpy()
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.where(totals > 0, 100 * counts / np.maximum(totals, 1), np.nan)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    for (row, column), count in np.ndenumerate(counts):
        share = shares[row, column]
        text = f"{count}\n({share:.0f} %)" if totals[row] else f"{count}\n(no trial)"
        axes.text(column, row, text, ha="center", va="center", color="white" if share > 60 else "black")
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names, rotation=90, va="center")
    axes.set(xlabel="predicted", ylabel="observed")
    axes.tick_params(length=0)
    return image


def draw_dataset_differences(results, mask):
    """Draw ages, acquisition and the classifier's scores side by side.

    Parameters
    ----------
    results : StudyResults
    mask : str
        Of the classifier.

    Returns
    -------
    drawing : Drawing
    """
    classifier = results.classifiers[mask]
    figure = new_page(66, results.synthetic, layout=None)
    age_axes, table_axes = place(figure, 24, 8, 52, 22), place(figure, 2, 46, 78, 18)
    axes = place(figure, 98, 8, 78, 46)
    plot_ages(age_axes, results)
    plot_acquisition(table_axes, results)
    plot_classifier(axes, classifier)
    mean, test = classifier.metrics.set_index("fold").loc["mean"], classifier.tests.iloc[0]
    ages = "; ".join(_age_text(results, name) for name in results.datasets)
    caption = (
        f"What differs between the datasets, beside how well they are told apart ({mask} mask). Ages of the "
        "participants "
        f"enrolled: {ages}. Acquisition: facts of the original study (Picard et al., doi 10.7554/eLife.87962). Scores: "
        "dots are folds, bars their means, grey lines what guessing reaches: the majority share of "
        f"{percent(mean.majority_share, 1)} "
        f"for accuracy ({percent(mean.accuracy, 1)} reached), {percent(1 / _n_datasets(classifier))} for balanced "
        f"accuracy ({percent(mean.balanced_accuracy, 1)}, "
        f"p = {p_text(test.p)}) and 50 % for the AUC. The classifier cannot say which difference it uses."
    )
    alt = (
        f"Ages, acquisition and classifier: accuracy {percent(mean.accuracy, 1)}, majority "
        f"{percent(mean.majority_share, 1)}."
    )
    return Drawing(figure, f"What tells the datasets apart, {mask}", caption, alt)


def plot_ages(axes, results):
    """Draw each dataset's ages: range, standard deviation and mean in years."""
    colours = dataset_colours(results.datasets)
    for y, name in enumerate(results.datasets):
        low, high, mean, sd = (results.fact(name, f"age_{fact}") for fact in ("min", "max", "mean", "sd"))
        if np.isnan(mean):
            axes.text(
                0.5, y, "no ages given", ha="center", va="center", fontsize=7, transform=axes.get_yaxis_transform()
            )
            continue
        axes.plot([low, high], [y, y], color=colours[name], linewidth=0.8)
        axes.plot([mean - sd, mean + sd], [y, y], color=colours[name], linewidth=5, alpha=0.5, solid_capstyle="butt")
        axes.plot(mean, y, "o", color=colours[name], markersize=5)
        axes.text(mean, y - 0.2, f"{mean:.1f} ± {sd:.1f}", ha="center", va="bottom", fontsize=7)
    axes.set_yticks(range(len(results.datasets)), results.datasets)
    axes.set_ylim(len(results.datasets) - 0.5, -0.7)
    axes.set_xlabel("age (years): mean, SD, range", labelpad=1)
    axes.set_title("Participants", loc="left", fontweight="bold", pad=2)


def plot_acquisition(axes, results):
    """Write the acquisition of the original study as a small table, if the datasets are its own."""
    axes.axis("off")
    axes.set_title("Acquisition (facts of the original study)", loc="left", fontweight="bold", pad=2)
    datasets = results.datasets
    if results.target != "facs" or not set(datasets) <= set(ACQUISITION):
        axes.text(0, 0.8, "not known for these datasets", va="top", fontsize=7, transform=axes.transAxes)
        return
    for column, fact in enumerate(ACQUISITION[datasets[0]]):
        axes.text(0.3 + 0.26 * column, 0.82, fact, fontsize=7, color="#505050", transform=axes.transAxes)
    for row, name in enumerate(datasets):
        y = 0.58 - 0.24 * row
        axes.text(0.02, y, name, fontsize=7, transform=axes.transAxes)
        for column, value in enumerate(ACQUISITION[name].values()):
            axes.text(0.3 + 0.26 * column, y, value, fontsize=7, transform=axes.transAxes)


def plot_classifier(axes, classifier):
    """Draw the classifier's scores by fold with what guessing reaches."""
    folds = classifier.folds
    majority = 100 * folds["majority_share"].mean()
    guesses = {"accuracy": majority, "balanced_accuracy": 100 / _n_datasets(classifier), "auc": 50.0}
    for x, (column, _, colour) in enumerate(SCORES):
        values = 100 * folds[column].dropna().to_numpy()
        spread = np.linspace(-0.15, 0.15, len(values)) if len(values) > 1 else np.zeros(len(values))
        axes.plot(x + spread, values, "o", color=colour, markersize=4, alpha=0.8, markeredgewidth=0)
        if values.size:
            axes.plot([x - 0.3, x + 0.3], [values.mean()] * 2, color="black", linewidth=1.6)
            axes.text(x + 0.33, values.mean(), f"{values.mean():.1f}", va="center", fontsize=7)
        guess, name = guesses[column], "majority" if column == "accuracy" else "chance"
        axes.plot([x - 0.4, x + 0.4], [guess, guess], color=GREY, linestyle="--", linewidth=1.2)
        axes.text(x - 0.4, guess + 1, f"{name} {guess:.3g}", va="bottom", fontsize=7,
                  color="#505050")  # fmt: skip
    axes.set_xticks(range(len(SCORES)), [name for _, name, _ in SCORES])
    axes.set(xlim=(-0.6, len(SCORES) - 0.3), ylim=(0, 103), ylabel="score on held-out participants (%)")
    axes.set_title(f"Classifier of datasets, {classifier.mask}", loc="left", fontweight="bold", pad=2)


def _n_datasets(classifier):
    return classifier.confusion["observed"].nunique()


def _age_text(results, name):
    mean, sd = results.fact(name, "age_mean"), results.fact(name, "age_sd")
    return f"{name} {mean:.1f} ± {sd:.1f} years" if mean == mean else f"{name} not given"


def _spell(rows):
    return ", ".join(f"{row.n_trials} of {row.observed} as {row.predicted}" for row in rows.itertuples())
