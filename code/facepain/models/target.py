"""Transform the score that is predicted."""

import numpy as np

from errors import InputError


def transform_target(scores, transform):
    """Transform scores as the params say.

    Raises InputError at a negative score, which has no square root; nor do we take log(1 + score) of one.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if transform == "raw":
        return scores
    if scores.min() < 0:
        raise InputError(
            f'{transform} of a negative score ({scores.min():g}); expected 0 or more, set regress.transform = "raw"'
        )
    return {"log1p": np.log1p, "sqrt": np.sqrt}[transform](scores)
