"""Expression of a map in images: dot product, cosine and Pearson's r, one number a trial.

The map of a model applied to the trials that it was trained on goes with their scores whether or not there is anything
to find (in every null study that was simulated), so that models are only ever expressed in trials that they have not
seen.
"""

import numpy as np

from errors import InputError


def express_map(signals, values):
    """Return how strongly images express a map.

    Parameters
    ----------
    signals : (n_trials, n_voxels) array or memmap
        Contrast images as extracted, read row by row.
    values : (n_voxels,) array_like

    Returns
    -------
    dot, cosine, pearson_r : (n_trials,) ndarrays
        In contrast units times map units; 0 where an image or the map is constant.
    """
    values = np.asarray(values, float)
    centred = values - values.mean()
    found = []
    for image in signals:
        image = np.asarray(image, dtype=np.float64)
        dot = image @ values
        deviation = image - image.mean()
        lengths = np.sqrt((image @ image) * (values @ values)), np.sqrt((deviation @ deviation) * (centred @ centred))
        cosine = dot / lengths[0] if lengths[0] else 0.0
        found.append((dot, cosine, deviation @ centred / lengths[1] if lengths[1] else 0.0))
    return tuple(np.array(found).reshape(-1, 3).T)


def require_foreign(names, maps, own, alike=0.999):
    """Stop if a signature is a map of the study's own model, which would be expressed in its own training trials.

    Parameters
    ----------
    names : list of str
    maps : (n_signatures, n_voxels) ndarray
    own : (n_voxels,) ndarray
        Map of the model.
    alike : float
        Correlation from which two maps are the same.

    Raises
    ------
    InputError
    """
    for name, r in zip(names, express_map(maps, own)[2], strict=True):
        if abs(r) >= alike:
            raise InputError(
                f"the signature {name} is the weight map of this study's own model (r = {r:.4f}), which was fitted to "
                "trials that it would be expressed in: that expression goes with their scores in every study, whether "
                "or not there is anything to find; take it out of signatures.tsv, the own model is expressed out of "
                "fold anyway"
            )


def require_unseen(train_idx, test_idx, what):
    """Stop if a map would be expressed in trials that it was fitted to.

    Raises
    ------
    InputError
    """
    seen = np.intersect1d(train_idx, test_idx)
    if len(seen):
        raise InputError(
            f"{what} was fitted to {len(seen)} of the trials that it would be expressed in: that expression goes with "
            "their scores in every study, whether or not there is anything to find; use the fits that left the "
            "participant out"
        )
