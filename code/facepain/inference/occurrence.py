"""Predict whether there is an expression, and how strong it is where there is one, from the same components.

A score with many zeros has two parts: its occurrence (above 0 or not) and its intensity (the score where it is above
0). Occurrence is classified by least squares on labels of -1 and 1 with a ridge penalty (scikit-learn's
``RidgeClassifier``), whose value, moved to 0..1, is taken for a probability; intensity is a ridge regression on the
trials above 0. Their product is an expected score, to be set beside a ridge regression of all scores.
"""

import numpy as np
import pandas as pd

from facepain.inference.intervals import INTERVAL_COLUMNS, interval_over_folds, interval_over_participants
from facepain.inference.permutation import TEST_COLUMNS, TrialPermuter, choose_schemes, summarize_null
from facepain.models.pca_regression import PCARegression
from facepain.models.scores import METRICS, rank, summarize_folds

# What each part is scored by: occurrence on all trials, intensity on those above 0.
PART_METRICS = {
    "occurrence": ("auc", "balanced_accuracy"),
    "intensity": ("r2", "skill", "pearson_r"),
    "product": ("r2", "skill", "pearson_r"),
    "plain": ("r2", "skill", "pearson_r"),
}
PREDICTED = ("decision", "intensity", "product", "plain")
SCORES = [(part, metric) for part, metrics in PART_METRICS.items() for metric in metrics]
PART_COLUMNS = {
    "part": "occurrence: is the score above 0; intensity: the score of the trials above 0; product: probability of an "
    "expression times its intensity; plain: one ridge regression of all scores, for comparison",
    "fold": "fold of the cross-validation from 1; then mean and sd (of the population) over the folds that have a "
    "score; lopo: all predictions of leave-one-participant-out together; what folds test is n/a where one tests fewer "
    "than min_participants participants",
    "auc": "area under the ROC curve; 0.5 is chance",
    "balanced_accuracy": "mean of the shares of trials above 0 and at 0 that are classified correctly; 0.5 is chance",
    "r2": "coefficient of determination on the trials scored",
    "skill": "share of the squared error of predicting the mean of the training scores that the model saves",
    "pearson_r": "Pearson correlation of observed and predicted scores",
    "n_test": "trials scored",
}
PART_PREDICTION_COLUMNS = {
    "fold": "fold of the cross-validation from 1, or lopo: leave-one-participant-out",
    "row": "row of signals.npy and of outputs/prep/trials.tsv, from 0",
    "participant_id": "participant",
    "y_true": "observed score",
    "decision": "value of the classifier: above 0 an expression is predicted",
    "intensity": "predicted score if there is an expression",
    "product": "probability of an expression times its intensity",
    "plain": "score predicted by one regression of all scores",
}
PART_INTERVAL_COLUMNS = {"part": PART_COLUMNS["part"]} | INTERVAL_COLUMNS
PART_TEST_COLUMNS = {"part": PART_COLUMNS["part"]} | TEST_COLUMNS
BATCH_SIZE = 50


def predict_parts(fold, Y, alpha):
    """Fit both parts, and the plain regression, with ``Ridge(alpha)`` to a fold; Y (n_trials, n_targets) is >= 0.

    Returns by name ``test_idx`` (n_test,) and, (n_test, n_targets) each, what is predicted, with the means of the
    training scores and of those above 0: the baselines.
    """
    model = PCARegression("ridge", alpha=alpha)
    train = Y[fold.train_idx]
    decision = fold.predict(np.where(Y > 0, 1.0, -1.0), model)
    scores = fold.components.train_scores()
    intensity = np.column_stack([_predict_positives(scores, y, fold.test_scores, alpha) for y in train.T])
    n_positive = np.maximum(np.sum(train > 0, axis=0), 1)
    mean_positive = np.where(train > 0, train, 0).sum(axis=0) / n_positive
    return {
        "test_idx": fold.test_idx,
        "decision": decision,
        "intensity": intensity,
        "product": np.clip((decision + 1) / 2, 0, 1) * intensity,
        "plain": fold.predict(Y, model),
        "mean": np.broadcast_to(train.mean(axis=0), decision.shape),
        "mean_positive": np.broadcast_to(mean_positive, decision.shape),
    }


def _predict_positives(scores, y, test_scores, alpha):
    """Fit a ridge regression to the trials above 0, whose component scores are no longer orthogonal."""
    positive = y > 0
    if not positive.any():
        return np.zeros(len(test_scores))
    Z, y = scores[positive], y[positive]
    centre, mean = Z.mean(axis=0), y.mean()
    Z = Z - centre
    coef = np.linalg.solve(Z.T @ Z + alpha * np.eye(Z.shape[1]), Z.T @ (y - mean))
    return (test_scores - centre) @ coef + mean


def score_parts(parts, Y):
    """Score the predictions of one or more folds together: (n_targets,) by (part, metric), NaN where undefined."""
    joined = {name: np.concatenate([each[name] for each in parts]) for name in parts[0]}
    y = Y[joined.pop("test_idx")]
    scores = [_score_target(y[:, t], {name: each[:, t] for name, each in joined.items()}) for t in range(y.shape[1])]
    return {key: np.array([of_target[key] for of_target in scores]) for key in SCORES}


def _score_target(y, predicted):
    """Score the predictions of one target; both labels and two trials of each part are needed."""
    scores = dict.fromkeys(SCORES, np.nan)
    positive, n = y > 0, np.array([np.sum(y > 0), np.sum(y <= 0)])
    if n.all():
        ranks, named = rank(predicted["decision"])[positive].sum(), predicted["decision"] > 0
        scores["occurrence", "auc"] = (ranks - n[0] * (n[0] + 1) / 2) / n.prod()  # the rank sum of Mann & Whitney
        scores["occurrence", "balanced_accuracy"] = (named[positive].mean() + (~named[~positive]).mean()) / 2
    for part in ("intensity", "product", "plain"):
        scored = positive if part == "intensity" else np.ones(len(y), dtype=bool)
        baseline = predicted["mean_positive" if part == "intensity" else "mean"]
        if scored.sum() > 1:
            given = y[scored], predicted[part][scored], baseline[scored]
            scores |= {(part, name): metric(*given) for name, metric in METRICS.items()}
    return scores


def parts_table(parts, y):
    """List the scores of both parts, their product and the plain regression; parts are ``published`` and ``lopo``."""
    named, tables = [*([each] for each in parts["published"]), parts["lopo"]], []
    scored = [score_parts(each, y[:, None]) for each in named]
    tested = [y[np.concatenate([fold["test_idx"] for fold in each])] for each in named]
    for part, metrics in PART_METRICS.items():
        rows = [{name: scores[part, name][0] for name in metrics} for scores in scored]
        for row, scores in zip(rows, tested, strict=True):
            row["n_test"] = float(np.sum(scores > 0) if part == "intensity" else len(scores))
        tables.append(summarize_folds(rows[:-1], rows[-1], "lopo").assign(part=part))
    return pd.concat(tables)[list(PART_COLUMNS)]


def part_predictions_table(parts, train_rows, y, groups):
    """List every prediction, with the columns of `PART_PREDICTION_COLUMNS`; parts are as for `parts_table`."""
    named = [(str(number), each) for number, each in enumerate(parts["published"], 1)]
    named += [("lopo", each) for each in parts["lopo"]]
    frames = []
    for fold, each in named:
        test_idx = each["test_idx"]
        tested = {"fold": fold, "row": train_rows[test_idx], "participant_id": groups[test_idx], "y_true": y[test_idx]}
        frames.append(pd.DataFrame(tested | {name: each[name][:, 0] for name in PREDICTED}))
    return pd.concat(frames, ignore_index=True)


def part_permutation_test(folds, y, groups, alpha, resampling, estimate_of):
    """Test the scores of all parts by permuting the scores of whole participants, then within them.

    ``published`` is the mean over folds, ``lopo`` all predictions scored together. The scheme is ``block``, or the
    first that applies where no two participants have equally many trials. Returns entries of permutation.json.
    """
    scheme = choose_schemes(["block"], groups, y)[0]
    permuter = TrialPermuter(groups, scheme)

    def score(Y):
        """Return the scores (n_scores, n_targets), NaN where no fold has one."""
        parts = [predict_parts(fold, Y, alpha) for fold in folds]
        together = [parts] if estimate_of == "lopo" else [[part] for part in parts]
        scored = np.ma.masked_invalid([list(score_parts(each, Y).values()) for each in together])
        return scored.mean(axis=0).filled(np.nan)

    observed, null = score(y[:, None])[:, 0], permuter.null_scores(score, y, resampling, BATCH_SIZE)
    tests = []
    for (part, metric), of_scores, of_permuted in zip(SCORES, observed, null, strict=True):
        if np.isfinite(of_scores) and np.isfinite(of_permuted).all():
            test = summarize_null(scheme, metric, of_scores, of_permuted, permuter.n_fixed(y), estimate_of)
            tests.append({"part": part} | test)
    return tests


def part_intervals_table(parts, y, groups):
    """List the intervals of all parts: over participants for ``lopo``, and of the mean over folds for ``published``."""
    Y, lopo, folds = y[:, None], parts["lopo"], parts["published"]
    every, by_fold = score_parts(lopo, Y), [score_parts([fold], Y) for fold in folds]
    without = [score_parts(lopo[:k] + lopo[k + 1 :], Y) for k in range(len(lopo))]
    tested, rows = [fold["test_idx"] for fold in folds], []
    for part, metric in SCORES:
        left_out, of_folds = (np.array([of[part, metric][0] for of in each]) for each in (without, by_fold))
        interval = interval_over_participants(metric, every[part, metric][0], left_out)
        rows.append((part, "lopo", metric, *interval))
        rows.append((part, "published", metric, *interval_over_folds(metric, of_folds, groups, tested)))
    return pd.DataFrame(rows, columns=list(PART_INTERVAL_COLUMNS))
