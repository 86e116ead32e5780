"""Which trials are used: those without a reason in the column ``excluded``, with a score that the params allow."""

import numpy as np

from errors import InputError


def is_usable(trials):
    """Return which trials are used: those without a reason in the column ``excluded``; (n_trials,) Series of bool."""
    return trials["excluded"] == ""


def check_range(trials, target, low=None, high=None):
    """Stop at a score outside the range that the params state."""
    low, high = -np.inf if low is None else low, np.inf if high is None else high
    outside = trials[is_usable(trials) & ~trials[target].between(low, high)]
    if len(outside):
        row = outside.iloc[0]
        raise InputError(
            f"{target} of {row.participant_id} trial {row.trial} is {row[target]:g}; expected {low:g} to {high:g}; "
            "correct the table, exclude the trial with a reason, or widen prep.target_min and prep.target_max"
        )


def check_varies(trials, target):
    """Stop if all usable trials have the same score: there would be nothing to predict."""
    scores = trials.loc[is_usable(trials), target]
    if len(scores) and scores.nunique() == 1:
        raise InputError(
            f"{target} is {scores.iloc[0]:g} in every usable trial; expected scores that differ; see prep.target"
        )


def usable_trials(trials):
    """Return the usable trials in the order of every matrix: dataset, participant_id, trial."""
    usable = trials[is_usable(trials)].drop(columns="excluded")
    return usable.sort_values(["dataset", "participant_id", "trial"]).reset_index(drop=True)
