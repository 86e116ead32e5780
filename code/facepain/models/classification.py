"""Distinguish datasets by a linear support vector machine on the Gram matrix, participants kept whole."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, confusion_matrix, roc_auc_score
from sklearn.svm import SVC

from errors import InputError
from facepain.models.scores import summarize_folds

METRIC_COLUMNS = {
    "fold": "fold of the cross-validation from 1; then mean and sd (of the population) over folds; pooled: all "
    "predictions of all folds together, a trial once for every fold that tests it; what folds test is n/a where one "
    "tests fewer than min_participants participants of a dataset",
    "accuracy": "share of trials classified correctly",
    "majority_share": "share of trials in the largest dataset: the accuracy of always naming it",
    "balanced_accuracy": "mean over datasets of the share classified correctly; 0.5 is chance for two",
    "auc": "area under the ROC curve of the distance to the boundary (one against the rest for more than two datasets)",
    "n_train": "trials trained on",
    "n_test": "trials tested; pooled: predictions",
}
CONFUSION_COLUMNS = {
    "fold": "fold of the cross-validation from 1, or pooled; only pooled where what folds test is withheld",
    "observed": "dataset of the trials",
    "predicted": "dataset named by the classifier",
    "n_trials": "number of such trials",
}
PREDICTION_COLUMNS = {
    "fold": "fold of the cross-validation from 1",
    "row": "row of signals.npy, from 0",
    "participant_id": "participant",
    "observed": "dataset of the trial",
    "predicted": "dataset named by the classifier",
}


@dataclass(frozen=True)
class FoldPrediction:
    """Predictions of one fold: labels (n_test,) and distances to the boundary."""

    train_idx: np.ndarray
    test_idx: np.ndarray
    predicted: np.ndarray
    decision: np.ndarray  # (n_test,) for the last of two labels, (n_test, n_labels) for each of more


def cut_gram(gram, folds):
    """Cut what every fold needs out of the Gram matrix, once for all labels: train_idx, test_idx, K_train, K_test."""
    return [(train, test, gram[np.ix_(train, train)], gram[np.ix_(test, train)]) for train, test in folds]


def classify_folds(cuts, labels, C):
    """Fit and test a linear SVM, scikit-learn's ``SVC`` with ``C``, in every fold of `cut_gram`."""
    predictions = []
    for number, (train_idx, test_idx, K_train, K_test) in enumerate(cuts, 1):
        if missing := sorted(set(labels) - set(labels[train_idx])):
            raise InputError(
                f"fold {number} of the classifier trains on no participant of {', '.join(missing)}; expected some of "
                "every dataset: lower classify.cross_validation.test_size or choose another scheme"
            )
        svm = SVC(C=C, kernel="precomputed", decision_function_shape="ovr").fit(K_train, labels[train_idx])
        decision = svm.decision_function(K_test)
        # Of two labels the sign of the decision gives the prediction, at half the cost.
        predicted = svm.classes_[(decision > 0).astype(int)] if decision.ndim == 1 else svm.predict(K_test)
        predictions.append(FoldPrediction(train_idx, test_idx, predicted, decision))
    return predictions


def fold_metrics(predictions, labels):
    """Score every fold, and all of them together; AUC is missing where a fold tests one label only."""
    pooled = _score(predictions, labels) | {"n_train": np.nan}
    return summarize_folds([_score([fold], labels) for fold in predictions], pooled)[list(METRIC_COLUMNS)]


def _score(predictions, labels):
    observed = np.concatenate([labels[fold.test_idx] for fold in predictions])
    predicted = np.concatenate([fold.predicted for fold in predictions])
    decision = np.concatenate([fold.decision for fold in predictions])
    return {
        "accuracy": accuracy_score(observed, predicted),
        "majority_share": np.unique(observed, return_counts=True)[1].max() / len(observed),
        "balanced_accuracy": balanced_accuracy(observed, predicted),
        "auc": _auc(observed, decision, np.unique(labels)),
        "n_train": len(predictions[0].train_idx),
        "n_test": len(observed),
    }


def _auc(observed, decision, names):
    """Return the area under the ROC curve; for more than two labels the mean of each against the rest."""
    if len(np.unique(observed)) < len(names):
        return np.nan
    if len(names) == 2:
        return roc_auc_score(observed == names[1], decision)
    return np.mean([roc_auc_score(observed == name, decision[:, column]) for column, name in enumerate(names)])


def score_folds(cuts, labels, C):
    """Return the balanced accuracy of `classify_folds`, averaged over folds."""
    folds = classify_folds(cuts, labels, C)
    return np.mean([balanced_accuracy(labels[fold.test_idx], fold.predicted) for fold in folds])


def balanced_accuracy(observed, predicted):
    # A label that is predicted but not among those observed has no recall: scikit-learn leaves it out, with a warning.
    return float(np.mean([np.mean(predicted[observed == name] == name) for name in np.unique(observed)]))


def confusion_table(predictions, labels, by_fold=True):
    """Count trials by observed and predicted label, for every fold (or not) and all together."""
    names = np.unique(labels)
    counts = [confusion_matrix(labels[fold.test_idx], fold.predicted, labels=names) for fold in predictions]
    levels = [*map(str, range(1, len(counts) + 1)), "pooled"], names, names
    index = pd.MultiIndex.from_product(levels, names=["fold", "observed", "predicted"])
    table = pd.DataFrame({"n_trials": np.ravel([*counts, sum(counts)])}, index).reset_index()
    return table if by_fold else table[table["fold"] == "pooled"]


def predictions_table(predictions, labels, groups):
    """List the label predicted for every test trial of every fold, with the columns of `PREDICTION_COLUMNS`."""
    folds = enumerate(predictions, 1)
    tables = [pd.DataFrame({"fold": k, "row": each.test_idx, "predicted": each.predicted}) for k, each in folds]
    listed = pd.concat(tables)
    listed = listed.assign(participant_id=groups[listed["row"]], observed=labels[listed["row"]])
    return listed[list(PREDICTION_COLUMNS)]
