"""Remove confounds from images and scores inside every fold, exactly, in the Gram matrix.

With confounds Z (a column of ones among them) of the training trials, R = I - Z Z^+ removes them from training images
and scores; what a test trial has of them is predicted from the training trials and subtracted. For the Gram matrix:
K_train -> R K_train R and K_test -> (K_test - Z_test Z_train^+ K_train) R. Permuting residual scores is then the test
of Freedman & Lane 1983 (doi 10.1080/07350015.1983.10509354): what the confounds explain of a score is removed again in
every fold, so that adding it back would change nothing.
"""

import numpy as np


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
