"""Does a score depend on the split or on the number of participants? The same model over many splits."""

import numpy as np
import pandas as pd

from facepain.models.cross_validation import cross_validate, make_folds, prepare_folds
from facepain.models.score_tables import fold_metrics
from facepain.models.scores import pearson_r, skill
from facepain.parallel import resample_rng

REPEATED = ("r2", "skill", "pearson_r", "spearman_r")
POOLED = ("r2", "skill", "pearson_r")
REPEAT_COLUMNS = {
    "repeat": "0: the published split; then grouped k-fold with participants shuffled again",
    **{metric: f"{metric}: mean over folds" for metric in REPEATED},
    **{f"pooled_{metric}": f"{metric} of the predictions of all folds together" for metric in POOLED},
    "n_tested": "different participants tested",
}
LEARNING_COLUMNS = {
    "n_participants": "participants trained on",
    "repeat": "random choice of participants, from 1; the largest training set of a repeat holds all smaller ones",
    "skill": "share of the squared error of predicting the mean of these training scores that the model saves, on the "
    "same held-out participants for all training sets of a repeat",
    "pearson_r": "Pearson correlation of scores and predictions on these participants",
}
N_SIZES = 5
SHARE_TESTED = 0.3


def score_repeats(images, y, groups, model, published, resampling, n_folds=5):
    """Score the model on the published split, whose fits these are, and on repeats of grouped k-fold."""
    n_folds = min(n_folds, len(np.unique(groups)))

    def fit_repeat(index):
        splits = make_folds(groups, "group-kfold", n_folds, seed=resampling.seed + index, shuffle=True)
        return cross_validate(prepare_folds(images, splits, model), y, model)

    fits = [published, *resampling.run_each(fit_repeat)]
    return pd.DataFrame([score_repeat(number, each, groups) for number, each in enumerate(fits)])


def score_repeat(number, fits, groups):
    """Return the row of one split in the table of repeats."""
    table = fold_metrics(fits, groups).set_index("fold")
    row = {"repeat": number} | {metric: table.loc["mean", metric] for metric in REPEATED}
    row |= {f"pooled_{metric}": table.loc["pooled", metric] for metric in POOLED}
    return row | {"n_tested": len(np.unique(groups[np.concatenate([fit.test_idx for fit in fits])]))}


def learning_curve(images, y, groups, model, resampling, fewest_tested=1):
    """Score the model by the number of participants that it is trained on; too few to leave two give no row.

    Participants are chosen at random ``resampling.n`` times, 30 % of them tested, or ``fewest_tested``.
    """
    names, index = np.unique(groups, return_inverse=True)
    n_tested = max(fewest_tested, round(SHARE_TESTED * len(names)))
    sizes = np.unique(np.linspace(2, len(names) - n_tested, N_SIZES).round().astype(int))

    def score_choice(repeat):
        order = resample_rng(resampling.seed, repeat).permutation(len(names))
        test_idx = np.flatnonzero(np.isin(index, order[:n_tested]))
        train_sets = [np.flatnonzero(np.isin(index, order[n_tested : n_tested + size])) for size in sizes]
        fits = cross_validate(prepare_folds(images, [(each, test_idx) for each in train_sets], model), y, model)
        scores = [(skill(fit.y_test, fit.y_pred, fit.y_train_mean), pearson_r(fit.y_test, fit.y_pred)) for fit in fits]
        return [(int(size), repeat + 1, *of_fit) for size, of_fit in zip(sizes, scores, strict=True)]

    choices = resampling.run_each(score_choice) if len(names) >= max(4, n_tested + 2) else []
    return pd.DataFrame([row for rows in choices for row in rows], columns=list(LEARNING_COLUMNS))
