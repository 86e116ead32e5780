"""Remove confounds from images and scores inside every fold, exactly, in the Gram matrix.

With confounds Z (a column of ones among them) of the training trials, R = I - Z Z^+ removes them, and what a test trial
has of them is predicted from the training trials: K_train -> R K_train R and K_test -> (K_test - Z_test Z_train^+
K_train) R. Permuting residual scores is then the test of Freedman & Lane 1983 (doi 10.1080/07350015.1983.10509354):
what the confounds explain of a score is removed again in every fold, so that adding it back would change nothing.
"""

import numpy as np


def confound_matrix(columns):
    """Return the confounds of a DataFrame behind a column of ones, as (n_trials, 1 + n_confounds); None without any."""
    values = np.asarray(columns, float)
    return np.column_stack([np.ones(len(values)), values]) if values.shape[1] else None


def fit_confounds(Z, counts=None):
    """Return Z^+ (n_confounds, n_trials), from scores to their slopes; each trial is in training ``counts`` times."""
    root = np.ones(len(Z)) if counts is None else np.sqrt(counts)
    return np.linalg.pinv(root[:, None] * Z) * root


def remove_from_gram(K_train, K_test, Z_train, Z_test, counts=None):
    """Return K_train and K_test (n_test, n_train) without what the confounds (n, n_confounds) explain."""
    slopes = fit_confounds(Z_train, counts)
    K_test = K_test - Z_test @ (slopes @ K_train)
    K_train = K_train - Z_train @ (slopes @ K_train)
    K_train, K_test = (K - (K @ slopes.T) @ Z_train.T for K in (K_train, K_test))
    return (K_train + K_train.T) / 2, K_test


def remove_from_scores(Y, Z, train_idx, counts=None):
    """Return scores of all trials without what the confounds, if any, explain of them in the training trials."""
    return Y if Z is None else Y - Z @ (fit_confounds(Z[train_idx], counts) @ Y[train_idx])
