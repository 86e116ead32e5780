"""Tables of scores and predictions: the folds, all of them together, and the other datasets."""

import numpy as np
import pandas as pd

from facepain.models.scores import Predictions, score_predictions

METRIC_COLUMNS = {
    "fold": "fold of the cross-validation from 1; then mean and sd (of the population) over folds; pooled: all "
    "predictions of all folds together, a trial once for every fold that tests it",
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
N_BINS = 8
CALIBRATION_COLUMNS = {
    "estimate_of": "lopo: leave-one-participant-out; else the dataset that the final model was tested on",
    "bin": "bin of equally many predictions, from the lowest; bins of too few participants are left out",
    "n_trials": "predictions in the bin",
    "n_participants": "participants in the bin",
    "y_pred": "mean prediction",
    "y_true": "mean observed score",
    "y_true_se": "its standard error over participants' means in the bin",
}


def fold_metrics(fits, y, groups):
    """Score every fold (a list of `Fit`), then ``mean``, ``sd`` and ``pooled``: all of them together."""
    rows = [_metrics_row(str(number), [fit], groups) for number, fit in enumerate(fits, 1)]
    folds = pd.DataFrame(rows)
    scores = folds.drop(columns="fold")
    mean = {"fold": "mean", **scores.mean()}
    sd = {"fold": "sd", **scores.std(ddof=0)}
    pooled = _metrics_row("pooled", fits, groups) | dict.fromkeys(("n_components", "n_train", "shrinkage"), np.nan)
    return pd.concat([folds.astype({"n_components": float, "n_train": float}), pd.DataFrame([mean, sd, pooled])])


def _metrics_row(label, fits, groups):
    rows = np.concatenate([fit.test_idx for fit in fits])
    y_test = np.concatenate([fit.y_test for fit in fits])
    y_pred = np.concatenate([fit.y_pred for fit in fits])
    baseline = np.concatenate([np.full(len(fit.test_idx), fit.y_train_mean) for fit in fits])
    scores = score_predictions(y_test, y_pred, groups[rows], baseline)
    return {"fold": label, **_in_order(scores, fits[0], rows)}


def _in_order(scores, fit, rows):
    counts = {"n_components": fit.n_components, "n_train": len(fit.train_idx)}
    counts |= {"n_test": len(rows), "n_distinct": len(np.unique(rows))}
    first = ("r2", "pearson_r", "mae", "mse", "rmse")
    return (
        {name: scores[name] for name in first}
        | counts
        | {k: v for k, v in scores.items() if k not in first}
        | {"shrinkage": fit.shrinkage}
    )


def metrics_on_other_datasets(predicted, final, y, groups):
    """Score the final model on every other dataset, given rows and y_pred by name; y and groups are of all trials."""
    table = []
    for dataset, (rows, y_pred) in predicted.items():
        scores = score_predictions(y[rows], y_pred, groups[rows], final.y_train_mean)
        table.append({"dataset": dataset, **_in_order(scores, final, rows)})
    columns = [name for name in METRIC_COLUMNS if name != "fold"]
    return pd.DataFrame(table, columns=columns)


def predictions_table(fits, train_rows, predicted, y, groups):
    """List every prediction, of the folds and of the final model on other datasets, as `PREDICTION_COLUMNS` say.

    Indices of the fits count within ``train_rows``, the rows of the dataset that is cross-validated; ``predicted`` is
    as for `metrics_on_other_datasets`, and y and groups are of all trials.
    """
    parts = [(str(number), train_rows[fit.test_idx], fit.y_test, fit.y_pred) for number, fit in enumerate(fits, 1)]
    parts += [("test", rows, y[rows], y_pred) for rows, y_pred in predicted.values()]
    frames = [
        pd.DataFrame({"fold": fold, "row": rows, "participant_id": groups[rows], "y_true": y_true, "y_pred": y_pred})
        for fold, rows, y_true, y_pred in parts
    ]
    return pd.concat(frames, ignore_index=True)


def out_of_fold_table(fits, train_rows, y, groups):
    """List the prediction of every trial by the model that has not seen its participant, in the order of the rows.

    Parameters are those of `predictions_table`, the fits those of leave-one-participant-out.
    """
    parts = [(train_rows[fit.test_idx], fit.y_test, fit.y_pred, fit.y_train_mean) for fit in fits]
    frames = [
        pd.DataFrame({"row": rows, "participant_id": groups[rows], "y_true": y_true, "y_pred": y_pred}).assign(
            y_train_mean=mean
        )
        for rows, y_true, y_pred, mean in parts
    ]
    return pd.concat(frames).sort_values("row", ignore_index=True)


def as_predictions(out_of_fold):
    """Return the `Predictions` of a table of `OUT_OF_FOLD_COLUMNS`."""
    columns = ("y_true", "y_pred", "participant_id", "y_train_mean")
    return Predictions(*(out_of_fold[name].to_numpy() for name in columns))


def calibration_table(predicted, min_participants):
    """Average observed scores in bins of predictions, so that no trial and no participant is seen.

    Bins of fewer than ``min_participants`` are left out. ``predicted`` are Predictions by what they are predictions of.
    """
    rows = []
    for name, predictions in predicted.items():
        columns = {"participant": predictions.groups, "y_true": predictions.y_true, "y_pred": predictions.y_pred}
        ordered = pd.DataFrame(columns).sort_values(["y_pred", "participant"], kind="stable")
        for number, positions in enumerate(np.array_split(np.arange(len(ordered)), N_BINS), 1):
            in_bin = ordered.iloc[positions]
            means = in_bin.groupby("participant")["y_true"].mean()
            if len(means) >= max(min_participants, 2):
                error = means.std(ddof=1) / np.sqrt(len(means))
                mean = in_bin["y_pred"].mean(), in_bin["y_true"].mean()
                rows.append((name, number, len(in_bin), len(means), *mean, error))
    return pd.DataFrame(rows, columns=list(CALIBRATION_COLUMNS))
