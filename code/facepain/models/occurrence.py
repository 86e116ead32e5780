"""Predict whether there is an expression, and how strong it is where there is one, from the same components.

A score with many zeros has two parts: its occurrence (above 0 or not) and its intensity (the score where it is above
0). Occurrence is classified by least squares on labels of -1 and 1 with a ridge penalty (scikit-learn's
``RidgeClassifier``), whose value, moved to 0..1, is taken for a probability; intensity is a ridge regression on the
trials above 0. Their product is an expected score, to be set beside a ridge regression of all scores.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from facepain.models.pca_regression import PCARegression
from facepain.models.scores import METRICS, rank, summarize_folds

# What each part is scored by: occurrence on all trials, intensity on those above 0.
PART_METRICS = {
    "occurrence": ("auc", "balanced_accuracy"),
    "intensity": ("r2", "skill", "pearson_r"),
    "product": ("r2", "skill", "pearson_r"),
    "plain": ("r2", "skill", "pearson_r"),
}
PREDICTED, BASELINES = ("decision", "intensity", "product", "plain"), ("mean", "mean_positive")
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


@dataclass(frozen=True)
class Parts:
    """Predictions of test trials, a column for each target."""

    test_idx: np.ndarray
    decision: np.ndarray  # (n_test, n_targets), as all that follow; above 0 where an expression is predicted
    intensity: np.ndarray
    product: np.ndarray
    plain: np.ndarray
    mean: np.ndarray  # of the training scores: what the baseline predicts
    mean_positive: np.ndarray  # the same of those above 0


def predict_parts(fold, Y, alpha):
    """Fit both parts, and the plain regression, with ``Ridge(alpha)`` to a fold; Y (n_trials, n_targets) is >= 0."""
    model = PCARegression("ridge", alpha=alpha)
    train = Y[fold.train_idx]
    decision = fold.predict(np.where(Y > 0, 1.0, -1.0), model)
    scores = fold.components.train_scores()
    intensity = np.column_stack([_predict_positives(scores, y, fold.test_scores, alpha) for y in train.T])
    n_positive = np.maximum(np.sum(train > 0, axis=0), 1)
    mean_positive = np.where(train > 0, train, 0).sum(axis=0) / n_positive
    return Parts(
        test_idx=fold.test_idx,
        decision=decision,
        intensity=intensity,
        product=np.clip((decision + 1) / 2, 0, 1) * intensity,
        plain=fold.predict(Y, model),
        mean=np.broadcast_to(train.mean(axis=0), decision.shape),
        mean_positive=np.broadcast_to(mean_positive, decision.shape),
    )


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
    joined = {name: np.concatenate([getattr(each, name) for each in parts]) for name in (*PREDICTED, *BASELINES)}
    y = Y[np.concatenate([each.test_idx for each in parts])]
    scores = [_score_target(y[:, t], {name: each[:, t] for name, each in joined.items()}) for t in range(y.shape[1])]
    return {key: np.array([of_target[key] for of_target in scores]) for key in scores[0]}


def _score_target(y, predicted):
    """Score the predictions of one target; both labels and two trials of each part are needed."""
    scores = {(part, metric): np.nan for part, metrics in PART_METRICS.items() for metric in metrics}
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


def parts_table(folds, lopo, y):
    """List the scores of both parts, their product and the plain regression, of one target."""
    named, tables = [*([each] for each in folds), lopo], []
    scored = [score_parts(parts, y[:, None]) for parts in named]
    tested = [y[np.concatenate([each.test_idx for each in parts])] for parts in named]
    for part, metrics in PART_METRICS.items():
        rows = [{name: scores[part, name][0] for name in metrics} for scores in scored]
        for row, scores in zip(rows, tested, strict=True):
            row["n_test"] = float(np.sum(scores > 0) if part == "intensity" else len(scores))
        tables.append(summarize_folds(rows[:-1], rows[-1], "lopo").assign(part=part))
    return pd.concat(tables)[list(PART_COLUMNS)]


def part_predictions_table(parts, train_rows, y, groups):
    """List every prediction, with the columns of `PART_PREDICTION_COLUMNS`; parts are ``published`` and ``lopo``."""
    named = [(str(number), each) for number, each in enumerate(parts["published"], 1)]
    named += [("lopo", each) for each in parts["lopo"]]
    frames = []
    for fold, each in named:
        tested = {"row": train_rows[each.test_idx], "participant_id": groups[each.test_idx], "y_true": y[each.test_idx]}
        predicted = {name: getattr(each, name)[:, 0] for name in PREDICTED}
        frames.append(pd.DataFrame({"fold": fold, **tested, **predicted}))
    return pd.concat(frames, ignore_index=True)
