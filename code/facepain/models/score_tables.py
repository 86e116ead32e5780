"""Tables of scores and predictions: the folds, all of them together, and the other datasets."""

import numpy as np
import pandas as pd

from facepain.models.scores import Predictions, score_predictions, summarize_folds

METRIC_COLUMNS = {
    "fold": "fold of the cross-validation from 1; then mean and sd (of the population) over folds; pooled: all "
    "predictions of all folds together, a trial once for every fold that tests it; what folds test is n/a where one "
    "tests fewer than min_participants participants",
    "dataset": "dataset that the final model was tested on",
    "r2": "coefficient of determination (scikit-learn's r2_score): 1 is perfect, 0 is predicting the mean of the "
    "trials scored",
    "pearson_r": "Pearson correlation of observed and predicted scores, 0 where one of them is constant",
    "mae": "mean absolute error, in the unit of the (transformed) score",
    "mse": "mean squared error, in its square",
    "rmse": "root mean squared error, in the unit of the (transformed) score",
    "n_components": "principal components kept",
    "n_train": "trials trained on",
    "n_test": "trials tested; pooled: predictions",
    "n_distinct": "different trials among those tested",
    "r2_within": "r2 after subtracting each participant's mean from scores and predictions; participants with constant "
    "scores are left out",
    "r2_between": "r2 of the participants' means",
    "r2_baseline": "r2 of predicting the mean of the training scores",
    "skill": "share of the squared error of predicting the mean of the training scores that the model saves: 0 is no "
    "better than that mean, 1 is perfect; pooled: errors summed over folds",
    "spearman_r": "Spearman rank correlation of observed and predicted scores, 0 where one of them is constant",
    "shrinkage": "1 - SD of the fitted training scores / SD of those of least squares on the same components: 0 is no "
    "shrinkage, 1 predicts the mean",
}
PREDICTION_COLUMNS = {
    "fold": "fold of the cross-validation from 1, or test: the final model on another dataset",
    "row": "row of signals.npy and of outputs/prep/trials.tsv, from 0",
    "participant_id": "participant",
    "y_true": "observed score, transformed as the params say and without confounds, if these are removed",
    "y_pred": "predicted score",
}
OUT_OF_FOLD_COLUMNS = {name: PREDICTION_COLUMNS[name] for name in ("row", "participant_id", "y_true", "y_pred")} | {
    "y_train_mean": "mean score of the training set: of all other participants"
}
PREDICTED = ("y_true", "y_pred", "participant_id", "y_train_mean")
N_BINS = 8
CALIBRATION_COLUMNS = {
    "estimate_of": "lopo: leave-one-participant-out; else the dataset that the final model was tested on",
    "bin": "bin of equally many predictions, from the lowest; bins of too few participants are left out",
    "n_trials": "predictions in the bin",
    "n_participants": "participants in the bin",
    "y_pred": "mean prediction",
    "y_true": "mean observed score",
    "y_true_se": "its standard error over participants, trials of one of whom go together",
}


def list_predictions(fits, rows, groups):
    """List what every `Fit` predicts of its test trials; indices count within ``rows``, groups are of all trials."""
    tables = []
    for number, fit in enumerate(fits, 1):
        scores = {"y_true": fit.y_test, "y_pred": fit.y_pred, "y_train_mean": fit.y_train_mean}
        tables.append(pd.DataFrame({"fold": str(number), "row": rows[fit.test_idx]} | scores))
    listed = pd.concat(tables, ignore_index=True)
    listed.insert(2, "participant_id", groups[listed["row"]])
    return listed


def fold_metrics(fits, groups):
    """Score every fold (a list of `Fit`), then ``mean``, ``sd`` and ``pooled``: all of them together."""
    predicted = list_predictions(fits, np.arange(len(groups)), groups)
    scores = [
        _score(of_fold, fit) for (_, of_fold), fit in zip(predicted.groupby("fold", sort=False), fits, strict=True)
    ]
    pooled = _score(predicted, fits[0]) | dict.fromkeys(("n_components", "n_train", "shrinkage"), np.nan)
    return summarize_folds(scores, pooled)[[name for name in METRIC_COLUMNS if name != "dataset"]]


def metrics_on_other_datasets(tested, final):
    """Score the final model on every other dataset, given its predictions by name, as of `list_predictions`."""
    rows = [{"dataset": name} | _score(predicted, final) for name, predicted in tested.items()]
    return pd.DataFrame(rows, columns=[name for name in METRIC_COLUMNS if name != "fold"])


def _score(predicted, fit):
    counts = {"n_components": fit.n_components, "n_train": len(fit.train_idx), "n_test": len(predicted)}
    scores = score_predictions(*(predicted[name].to_numpy() for name in PREDICTED))
    return scores | counts | {"n_distinct": predicted["row"].nunique(), "shrinkage": fit.shrinkage}


def as_predictions(table):
    """Return the `Predictions` of a table of `list_predictions`, or of `OUT_OF_FOLD_COLUMNS`."""
    return Predictions(*(table[name].to_numpy() for name in PREDICTED))


def calibration_table(predicted, min_participants):
    """Average observed scores in bins of predictions, by what they are of; bins of few participants are left out."""
    rows = []
    for name, predictions in predicted.items():
        columns = {"participant": predictions.groups, "y_true": predictions.y_true, "y_pred": predictions.y_pred}
        ordered = pd.DataFrame(columns).sort_values(["y_pred", "participant"], kind="stable")
        for number, positions in enumerate(np.array_split(np.arange(len(ordered)), N_BINS), 1):
            in_bin = ordered.iloc[positions]
            means = in_bin["y_pred"].mean(), in_bin["y_true"].mean()
            left = (in_bin["y_true"] - means[1]).groupby(in_bin["participant"]).sum()
            if (n := len(left)) >= max(min_participants, 2):
                # Participants, who differ in their numbers of trials, are what was drawn.
                error = np.sqrt(n / (n - 1) * np.sum(left**2)) / len(in_bin)
                rows.append((name, number, len(in_bin), n, *means, error))
    return pd.DataFrame(rows, columns=list(CALIBRATION_COLUMNS))
