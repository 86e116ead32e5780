"""Remove confounds from images and scores inside every fold, exactly, in the Gram matrix.

With confounds Z (a column of ones among them) of the training trials, R = I - Z Z^+ removes them from training images
and scores; what a test trial has of them is predicted from the training trials and subtracted. For the Gram matrix:
K_train -> R K_train R and K_test -> (K_test - Z_test Z_train^+ K_train) R. Permuting residual scores is then the test
of Freedman & Lane 1983 (doi 10.1080/07350015.1983.10509354): what the confounds explain of a score is removed again in
every fold, so that adding it back would change nothing.
"""

import numpy as np
import pandas as pd

from facepain.models.scores import pearson_r, r2, skill

CONFOUND_COLUMNS = {
    "estimate_of": "published: mean over the folds of the published scheme; lopo: leave-one-participant-out, pooled",
    "r2": "coefficient of determination of predicting the score by the confounds alone",
    "skill": "its share of the squared error of predicting the training mean that it saves",
    "pearson_r": "correlation of its predictions with the scores",
}


def confound_matrix(columns):
    """Return confounds (n_trials, 1 + n_confounds) behind a column of ones, None where there are none.

    Parameters
    ----------
    columns : DataFrame
        Of numbers.
    """
    values = np.asarray(columns, float)
    return np.column_stack([np.ones(len(values)), values]) if values.shape[1] else None


def fit_confounds(Z, counts=None):
    """Return Z^+ (n_confounds, n_trials), which takes scores or images to their slopes on the confounds.

    Parameters
    ----------
    Z : (n_trials, n_confounds) ndarray
        Of the training trials.
    counts : (n_trials,) array_like of int, optional
        How often each trial is in the training set.
    """
    root = np.ones(len(Z)) if counts is None else np.sqrt(counts)
    return np.linalg.pinv(root[:, None] * Z) * root


def remove_from_gram(K_train, K_test, Z_train, Z_test, counts=None):
    """Return the Gram matrices of training and test images without what the confounds explain.

    Parameters
    ----------
    K_train : (n_train, n_train) ndarray
    K_test : (n_test, n_train) ndarray
    Z_train, Z_test : ndarrays of (n, n_confounds)
    counts : (n_train,) array_like of int, optional

    Returns
    -------
    K_train, K_test : ndarrays
    """
    slopes = fit_confounds(Z_train, counts)
    K_test = K_test - Z_test @ (slopes @ K_train)
    K_train = K_train - Z_train @ (slopes @ K_train)
    K_train, K_test = (K - (K @ slopes.T) @ Z_train.T for K in (K_train, K_test))
    return (K_train + K_train.T) / 2, K_test


def remove_from_scores(Y, Z, train_idx):
    """Return scores of all trials without what the confounds explain of them in the training trials.

    Without confounds (None) the scores are returned as they are.
    """
    return Y if Z is None else Y - Z @ (fit_confounds(Z[train_idx]) @ Y[train_idx])


def confounds_alone_table(splits, y, Z):
    """Score the confounds as a model of their own.

    Parameters
    ----------
    splits : dict of str to list of (train_idx, test_idx)
        ``published`` and ``lopo``.
    y : (n_trials,) ndarray
    Z : (n_trials, n_confounds) ndarray

    Returns
    -------
    table : DataFrame
        With the columns of `CONFOUND_COLUMNS`.
    """
    rows = []
    for estimate_of, folds in splits.items():
        tested = [
            (y[test], (y - remove_from_scores(y, Z, train))[test], np.full(len(test), y[train].mean()))
            for train, test in folds
        ]
        tested = [[np.concatenate(each) for each in zip(*tested, strict=True)]] if estimate_of == "lopo" else tested
        scores = [(r2(*each[:2]), skill(*each), pearson_r(*each[:2])) for each in tested if len(each[0]) > 1]
        rows.append((estimate_of, *np.mean(scores, axis=0)))
    return pd.DataFrame(rows, columns=list(CONFOUND_COLUMNS))
