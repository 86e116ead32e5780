"""Cross-validation folds that keep every participant on one side: those of scikit-learn's group splitters.

Importing ``sklearn.model_selection`` takes a second, a third of the time of a short result.
"""

import math

import numpy as np

from errors import InputError


def make_folds(groups, scheme="group-shuffle", n_folds=5, test_size=0.3, seed=42, shuffle=False):
    """Split trials by participant into (train_idx, test_idx), sorted, for each fold.

    ``group-shuffle`` draws ``test_size`` of the participants for each fold again, so that some may never be tested (the
    published scheme). ``group-kfold`` tests everyone once, and deals participants into folds at random if it is to
    ``shuffle``. ``lopo`` leaves one participant out at a time, and so has a fold for each. Raises InputError if there
    are too few participants: fewer than two, or than folds of ``group-kfold``.
    """
    participants, position, n_trials = np.unique(groups, return_inverse=True, return_counts=True)
    n_participants = len(participants)
    n_needed = n_folds if scheme == "group-kfold" else 2
    if n_participants < n_needed:
        raise InputError(
            f"{n_participants} participants are fewer than the {n_needed} that {scheme} needs: "
            "lower the number of folds or add participants"
        )
    if scheme == "group-shuffle":
        n_tested = math.ceil(test_size * n_participants)
        if n_tested >= n_participants:
            raise InputError(
                f"test_size={test_size} leaves none of {n_participants} participants to train on; lower it"
            )
        rng = np.random.RandomState(seed)
        tested = [rng.permutation(n_participants)[:n_tested] for _ in range(n_folds)]
    elif scheme == "group-kfold":
        tested = deal_participants(n_trials, n_folds, seed if shuffle else None)
    else:
        tested = np.arange(n_participants)[:, np.newaxis]
    is_tested = [np.isin(position, of_fold) for of_fold in tested]
    return [(np.flatnonzero(~mask), np.flatnonzero(mask)) for mask in is_tested]


def require_participants(groups, folds, fewest):
    """Stop if training dataset or folds have fewer participants than what is published has to describe."""
    tested = np.concatenate([test_idx for _, test_idx in folds])
    for what, those in (("the training dataset has", groups), ("the folds test", groups[tested])):
        if (n_participants := len(np.unique(those))) < fewest:
            raise InputError(
                f"{what} {n_participants} usable participants, fewer than min_participants = {fewest}, which tables "
                "and figures have to describe; add participants, or lower it"
            )


def deal_participants(n_trials, n_folds, seed=None):
    """Deal participants into folds, as ``GroupKFold`` does: at random, or so that folds have about as many trials.

    Without a seed, those with most trials come first and each goes to the fold with fewest trials so far.
    """
    if seed is not None:
        return np.array_split(np.random.RandomState(seed).permutation(len(n_trials)), n_folds)
    tested, sizes = [[] for _ in range(n_folds)], np.zeros(n_folds)
    for participant in np.argsort(n_trials, kind="stable")[::-1]:
        lightest = np.argmin(sizes)
        tested[lightest].append(participant)
        sizes[lightest] += n_trials[participant]
    return tested
