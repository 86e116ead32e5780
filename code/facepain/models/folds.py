"""Cross-validation folds that keep every participant on one side."""

import math

import numpy as np

from errors import InputError

SCHEMES = ("group-shuffle", "group-kfold", "lopo")


def make_folds(groups, scheme="group-shuffle", n_folds=5, test_size=0.3, seed=42, shuffle=False):
    """Split trials into training and test sets by participant.

    Parameters
    ----------
    groups : (n_trials,) array_like
        Participant of every trial.
    scheme : {"group-shuffle", "group-kfold", "lopo"}
        ``group-shuffle`` draws the test participants of each fold again, so that some may never be
        tested (the published scheme). ``group-kfold`` tests everyone once. ``lopo`` leaves one
        participant out at a time.
    n_folds : int, default 5
        Number of folds; ``lopo`` has one for each participant instead.
    test_size : float, default 0.3
        Share of participants in a test set; used by ``group-shuffle``.
    seed : int, default 42
        Seed of the draws; used by ``group-shuffle``, and by ``group-kfold`` if it shuffles.
    shuffle : bool, default False
        Let ``group-kfold`` deal participants into folds at random.

    Returns
    -------
    folds : list of (train_idx, test_idx)
        Sorted trial indices.

    Raises
    ------
    InputError
        If the scheme is unknown or there are too few participants: fewer than two, or than folds of ``group-kfold``.
    """
    names, participant = np.unique(groups, return_inverse=True)
    n_participants = len(names)
    if scheme not in SCHEMES:
        raise InputError(f"cross-validation scheme {scheme!r} is unknown: use one of {SCHEMES}")
    n_needed = n_folds if scheme == "group-kfold" else 2
    if n_participants < n_needed:
        raise InputError(
            f"{n_participants} participants are fewer than the {n_needed} that {scheme} needs: "
            "lower the number of folds or add participants"
        )
    if scheme == "lopo":
        tested = [[number] for number in range(n_participants)]
    elif scheme == "group-shuffle":
        tested = _draw_anew(n_participants, n_folds, test_size, seed)
    elif shuffle:
        tested = np.array_split(np.random.RandomState(seed).permutation(n_participants), n_folds)
    else:
        tested = _deal_by_size(np.bincount(participant), n_folds)
    held_out = [np.isin(participant, numbers) for numbers in tested]
    return [(np.flatnonzero(~test), np.flatnonzero(test)) for test in held_out]


def _draw_anew(n_participants, n_folds, test_size, seed):
    """Return the participants that each fold tests, as scikit-learn's ``GroupShuffleSplit`` draws them."""
    n_test = math.ceil(test_size * n_participants)
    if n_test == n_participants:
        raise InputError(f"test_size = {test_size} of {n_participants} participants leaves none to train on: lower it")
    random = np.random.RandomState(seed)
    return [random.permutation(n_participants)[:n_test] for _ in range(n_folds)]


def _deal_by_size(n_trials, n_folds):
    """Deal participants, those with most trials first, each to the fold with fewest, as ``GroupKFold`` does."""
    tested, load = [[] for _ in range(n_folds)], np.zeros(n_folds)
    for number in np.argsort(n_trials)[::-1]:
        fold = np.argmin(load)
        tested[fold].append(number)
        load[fold] += n_trials[number]
    return tested
