"""Find the confounds that the params name among the columns of trials and participants."""

import numpy as np
import pandas as pd

from errors import InputError
from facepain.data.trials import first_of_run


def find_confounds(trials, participants, names):
    """Return confounds, or other columns that the params name, of every usable trial as numbers, by their names.

    A name is ``first_trial`` (1 for the first trial of a run), or a column of the trials or of the participants, who
    may be None. Raises InputError if there is no such column, or a usable trial has no number in it.
    """
    known = trials.assign(first_trial=first_of_run(trials).astype(float))
    if participants is not None and "participant_id" in participants:
        further = participants[["participant_id", *participants.columns.difference(known.columns)]]
        known = known.merge(further, on="participant_id", how="left")
    confounds = {}
    for name in names:
        if name not in known:
            raise InputError(
                f'regress.confounds or relate.columns names "{name}"; expected first_trial, or a column of the trials '
                f"or the participants: {', '.join(known.columns)}"
            )
        values = pd.to_numeric(known[name], errors="coerce").to_numpy(float)
        if not np.isfinite(values).all():
            row = known[~np.isfinite(values)].iloc[0]
            found = f'"{row[name]}"' if isinstance(row[name], str) and row[name] else "missing"
            raise InputError(
                f'column "{name}" is {found} for participant {row["participant_id"]}, trial {row["trial"]}; '
                "expected a number for every usable trial; fill it in, code it as numbers, or exclude the trial"
            )
        confounds[name] = values
    return confounds
