"""Expression of a map in images: dot product, cosine and Pearson's r, one number a trial.

In its own training trials a model's map goes with the scores whether or not there is anything to find (in every null
study that was simulated): models are only ever expressed in trials that they have not seen.
"""

import numpy as np

from errors import InputError


def express_maps(signals, maps):
    """Return how strongly images (n_trials, n_voxels), as extracted, express maps (n_maps, n_voxels).

    The result (n_maps, 3, n_trials) holds the dot product, in contrast units times map units, cosine and Pearson's r;
    the latter two are 0 where an image or the map is constant. Images are read row by row, once for all maps.
    """
    maps = np.asarray(maps, float)
    centred = maps - maps.mean(axis=1, keepdims=True)
    lengths, spreads = np.linalg.norm(maps, axis=1), np.linalg.norm(centred, axis=1)
    found = np.zeros((len(maps), 3, len(signals)))
    for trial, image in enumerate(signals):
        image = np.asarray(image, dtype=np.float64)
        deviation = image - image.mean()
        found[:, 0, trial] = dot = maps @ image
        for measure, product, norms, norm in (
            (1, dot, lengths, np.linalg.norm(image)),
            (2, centred @ deviation, spreads, np.linalg.norm(deviation)),
        ):
            np.divide(product, norms * norm, out=found[:, measure, trial], where=norms * norm > 0)
    return found


def require_foreign(names, maps, own):
    """Stop if a signature is a map of the study's own model (r of 0.999): its trials would be those of its training."""
    for name, r in zip(names, express_maps(maps, [own])[0, 2], strict=True):
        if abs(r) >= 0.999:
            raise InputError(
                f"the signature {name} is the weight map of this study's own model (r = {r:.4f}), which was fitted to "
                "trials that it would be expressed in: that expression goes with their scores in every study, whether "
                "or not there is anything to find; take it out of signatures.tsv, the own model is expressed out of "
                "fold anyway"
            )
