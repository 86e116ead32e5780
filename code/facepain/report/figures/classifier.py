"""The classifier of datasets: how well it distinguishes the datasets, and how old their participants were."""

import numpy as np

from facepain.report.figures.page import BLACK, GREY, Drawing, dataset_colours, new_page, place

SCORES = {"accuracy": "accuracy\n", "balanced_accuracy": "balanced\naccuracy", "auc": "AUC\n"}


def draw_datasets(results, mask):
    """Draw the classifier's scores by fold, its confusion matrix and the ages of the datasets."""
    classifier = results.classifiers[mask]
    figure = new_page(70, results.synthetic, layout=None)
    pooled = classifier.confusion[classifier.confusion["fold"] == "pooled"]
    plot_classifier(place(figure, 14, 8, 56, 46), classifier)
    # More than two names are written beside the matrix, where they need room.
    plot_confusion(place(figure, *((84, 8, 34, 34) if len(results.datasets) < 3 else (97, 8, 27, 27))), pooled)
    plot_ages(place(figure, 138, 8, 38, 34), results)
    for axes, title in zip(figure.axes, ("Classifier", "All folds pooled", "Ages"), strict=True):
        axes.set_title(title, loc="left", fontweight="bold", pad=2)
    caption = (
        "Left: how well a linear support vector machine names the dataset of unseen participants' images; dots are "
        "folds, bars their means, dashed lines what guessing reaches. Middle: tested trials, counted in each fold, by "
        "observed and named dataset. "
        "Right: ages of the participants. The classifier cannot say which difference it uses."
    )
    counts = ", ".join(f"{row.n_trials} of {row.observed} as {row.predicted}" for row in pooled.itertuples())
    alt = f"Scores, confusion and ages. Pooled: {counts}."
    return Drawing(figure, f"Classifier of the datasets, {mask}", caption, alt)


def plot_confusion(axes, rows):
    """Draw one matrix: colour is the share of a row, numbers are trials."""
    counts = rows.pivot(index="observed", columns="predicted", values="n_trials")
    names, shares = list(counts.index), (100 * counts).div(counts.sum(axis=1), axis=0).to_numpy()
    image = axes.imshow(shares, cmap="Greys", vmin=0, vmax=100)
    for (row, column), count in np.ndenumerate(counts.to_numpy()):
        share = shares[row, column]
        text = f"{count}\n(no trial)" if np.isnan(share) else f"{count}\n({share:.0f} %)"
        text, size = (text, 8) if len(names) < 3 else (str(count), 7)
        axes.text(column, row, text, ha="center", va="center", fontsize=size, color="white" if share > 60 else "black")
    axes.set_xticks(range(len(names)), names, rotation=0 if len(names) < 3 else 90)
    axes.set_yticks(range(len(names)), names, rotation=90 if len(names) < 3 else 0, va="center")
    axes.set(xlabel="predicted", ylabel="observed")
    axes.tick_params(length=0)
    return image


def plot_ages(axes, results):
    """Draw each dataset's ages: range, standard deviation and mean in years."""
    colours = dataset_colours(results.datasets)
    for y, name in enumerate(results.datasets):
        low, high, mean, sd = (results.fact(name, f"age_{fact}") for fact in ("min", "max", "mean", "sd"))
        if np.isnan(mean):
            centred = {"ha": "center", "va": "center", "transform": axes.get_yaxis_transform()}
            axes.text(0.5, y, "no ages given", fontsize=7, **centred)
            continue
        axes.plot([low, high], [y, y], color=colours[name], linewidth=0.8)
        axes.plot([mean - sd, mean + sd], [y, y], color=colours[name], linewidth=5, alpha=0.5, solid_capstyle="butt")
        axes.plot(mean, y, "o", color=colours[name], markersize=5)
        axes.text(mean, y - 0.2, f"{mean:.1f} ± {sd:.1f}", ha="center", va="bottom", fontsize=7)
    axes.set_yticks(range(len(results.datasets)), results.datasets)
    axes.set_ylim(len(results.datasets) - 0.5, -0.7)
    axes.set_xlabel("age (years):\nmean, SD, range", labelpad=1)


def plot_classifier(axes, classifier):
    """Draw the classifier's scores by fold with what guessing reaches."""
    mean, labels = 100 * classifier.metrics.set_index("fold").loc["mean"], []
    n_datasets = classifier.confusion["observed"].nunique()
    guesses = (mean["majority_share"], 100 / n_datasets, 50.0)
    for x, ((column, label), guess) in enumerate(zip(SCORES.items(), guesses, strict=True)):
        values = 100 * classifier.folds[column].dropna().to_numpy()
        spread = np.linspace(-0.15, 0.15, len(values)) if len(values) > 1 else np.zeros(len(values))
        axes.plot(x + spread, values, "o", color=GREY, markersize=4, alpha=0.8, markeredgewidth=0)
        if mean[column] == mean[column]:
            axes.plot([x - 0.3, x + 0.3], [mean[column]] * 2, color=BLACK, linewidth=1.6)
            label += f"\nmean {mean[column]:.1f}\nguess {guess:.1f}"
        axes.plot([x - 0.4, x + 0.4], [guess, guess], color=GREY, linestyle="--", linewidth=1.2)
        labels.append(label)
    axes.set_xticks(range(len(SCORES)), labels)
    axes.set(xlim=(-0.6, len(SCORES) - 0.4), ylim=(0, 103), ylabel="score on held-out participants (%)")
