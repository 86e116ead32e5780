"""Cross-validation folds that keep every participant on one side."""

import numpy as np
from sklearn.model_selection import GroupKFold, GroupShuffleSplit, LeaveOneGroupOut

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
    groups = np.asarray(groups)
    n_participants = len(np.unique(groups))
    if scheme not in SCHEMES:
        raise InputError(f"cross-validation scheme {scheme!r} is unknown: use one of {SCHEMES}")
    n_needed = n_folds if scheme == "group-kfold" else 2
    if n_participants < n_needed:
        raise InputError(
            f"{n_participants} participants are fewer than the {n_needed} that {scheme} needs: "
            "lower the number of folds or add participants"
        )
    splitter = {
        "group-shuffle": GroupShuffleSplit(n_folds, test_size=test_size, random_state=seed),
        "group-kfold": GroupKFold(n_folds, shuffle=shuffle, random_state=seed if shuffle else None),
        "lopo": LeaveOneGroupOut(),
    }[scheme]
    # The splitters look at the number of rows only: positions stand in for the images.
    return [
        (np.sort(train_idx), np.sort(test_idx))
        for train_idx, test_idx in splitter.split(np.zeros(len(groups)), groups=groups)
    ]
