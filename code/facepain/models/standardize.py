"""Standardised contrast images, seen through their Gram matrix and never held whole in float64."""

import numpy as np

from errors import InputError
from facepain.parallel import map_in_order

# Voxels taken at a time: 533 float64 images of this many are 9 MB and stay in the cache.
BLOCK_SIZE = 2048
# Blocks that one worker adds up before it hands back a partial sum.
BLOCKS_PER_TASK = 8


class StandardizedImages:
    """View training images as standardised float64 rows, one block of voxels at a time.

    Signals (n_trials, n_voxels) are contrast images as extracted. ``image`` subtracts from each its mean over voxels
    and divides by its population SD; InputError is raised if one is constant or has a value that is not finite.
    ``voxel`` z-scores each voxel over the *training* trials, as scikit-learn's StandardScaler does (voxels constant
    there get a scale of 1). With both, in a list, images come first. Confounds (n_trials, n_confounds) are removed from
    images and scores inside every training set (`facepain.models.confounds`).
    """

    def __init__(self, signals, standardize="image", confounds=None, n_jobs=1):
        self.signals = signals
        self.standardize = standardize
        self.confounds = confounds
        self.n_trials, self.n_voxels = signals.shape
        self._mean, self._sd = image_mean_and_sd(signals) if "image" in standardize else (None, None)
        self.columns = [
            slice(start, min(start + BLOCK_SIZE, self.n_voxels)) for start in range(0, self.n_voxels, BLOCK_SIZE)
        ]
        # Products that depend on no training set are made once, before workers share them.
        self._gram = None if self.by_voxel else self._sum_products(None, np.arange(self.n_trials), n_jobs)

    @property
    def by_voxel(self):
        """Whether the images depend on the training set."""
        return "voxel" in self.standardize

    def gram(self, counts=None, rows=None, n_jobs=1):
        """Return the inner products (n_rows, n_rows) of the standardised images, of all trials by default.

        ``counts`` (n_trials,) says how often each trial is in the training set (0: not). Needed for ``voxel``, where it
        decides the means and scales, and where ``n_jobs`` threads share the work; without effect for ``image`` alone,
        whose products are there already. The number of threads changes no byte.
        """
        rows = np.arange(self.n_trials) if rows is None else np.asarray(rows)
        if self.by_voxel:
            return self._sum_products(np.asarray(counts), rows, n_jobs)
        return self._gram[np.ix_(rows, rows)]

    def weights(self, dual, intercept, counts=None):
        """Turn dual weights (n_trials, n_maps) and intercepts into those of the images that `predict_images` takes.

        Weights are 0 for trials outside the training set; ``counts`` is needed for ``voxel``, as in `gram`. Voxel
        weights (n_voxels, n_maps) are the change in score per unit of contrast, standardised by image where that is
        done.
        """
        dual, intercept = np.asarray(dual, float), np.array(intercept, float)
        trained = np.any(dual != 0, axis=1) if counts is None else np.asarray(counts) > 0
        rows = np.flatnonzero(trained)
        weights = np.empty((self.n_voxels, dual.shape[1]))
        for columns in self.columns:
            block, mean, scale = self.block(columns, rows, counts)
            weights[columns] = (block.T @ dual[rows]) / scale[:, None]
            intercept -= mean @ weights[columns]
        return weights, intercept

    def block(self, columns, rows=None, counts=None):
        """Return standardised voxels of some trials (for ``voxel`` of all training), and their means and scales.

        A weight map is the sum of the rows (n_rows, n_columns), divided by the scales, times each trial's dual weight.
        """
        rows = np.arange(self.n_trials) if rows is None else rows
        # Taking all rows by index would copy them once more than a slice does.
        taken = slice(None) if len(rows) == self.n_trials else rows
        block = np.array(self.signals[taken, columns], dtype=np.float64)
        if "image" in self.standardize:
            block -= self._mean[rows, None]
            block /= self._sd[rows, None]
        if self.by_voxel:
            return block, *zscore_voxels(block, counts[rows])
        return block, np.zeros(block.shape[1]), np.ones(block.shape[1])

    def _sum_products(self, counts, rows, n_jobs):
        """Add up the Gram matrices of all blocks, in an order that the workers cannot change."""

        def add_blocks(task):
            K = np.zeros((len(rows), len(rows)))
            for columns in task:
                block = self.block(columns, rows, counts)[0]
                K += block @ block.T
            return K

        tasks = [
            self.columns[start : start + BLOCKS_PER_TASK] for start in range(0, len(self.columns), BLOCKS_PER_TASK)
        ]
        return sum(map_in_order(add_blocks, tasks, n_jobs))


def image_mean_and_sd(signals):
    """Return the mean and the population SD (n_trials,) over voxels of each image, in float64; constant ones stop."""
    mean, sd = np.empty(len(signals)), np.empty(len(signals))
    for row, image in enumerate(signals):
        values = np.asarray(image, dtype=np.float64)
        mean[row] = values.mean()
        sd[row] = np.sqrt(np.mean((values - mean[row]) ** 2))
        if not np.isfinite(sd[row]):
            raise InputError(f"image in row {row} has a value that is not finite: mask it out")
        if sd[row] <= np.finfo(float).eps * abs(mean[row]):
            raise InputError(
                f"image in row {row} is constant (SD 0) and cannot be standardised: exclude the trial or check its file"
            )
    return mean, sd


def zscore_voxels(block, counts):
    """Z-score each voxel of a block (n_rows, n_voxels) in place by its training trials, as StandardScaler does.

    ``counts`` (n_rows,) says how often each trial is in the training set. Returns means and scales (n_voxels,). Voxels
    constant over the training trials become 0, with a scale of 1: what rounding leaves of them would be noise divided
    by noise in a bootstrap z map.

    Rounding makes the variance of a constant positive. As in scikit-learn, the bound below which it counts as 0 is the
    one of the two-pass algorithm: Chan, Golub & LeVeque 1983, doi 10.1080/00031305.1983.10483115.
    """
    n = counts.sum()
    mean = counts @ block / n
    block -= mean
    variance = counts @ block**2 / n
    eps = np.finfo(float).eps
    constant = variance <= n * eps * variance + (n * mean * eps) ** 2
    scale = np.where(constant, 1.0, np.sqrt(variance))
    block /= scale
    block[:, constant] = 0.0
    return mean, scale


def predict_images(signals, weights, intercept, standardize="image"):
    """Apply weight maps (n_voxels, n_maps) to images as extracted: the dot product with each plus intercept.

    Images are standardised as the weights were made; those of ``voxel`` alone apply to raw images. Returns (n_trials,
    n_maps).
    """
    weights = np.asarray(weights, float)
    if signals.shape[1] != len(weights):
        raise InputError(
            f"images have {signals.shape[1]} voxels and the weights {len(weights)}: "
            "extract the images with the mask of the model"
        )
    mean, sd = np.zeros(len(signals)), np.ones(len(signals))
    if "image" in standardize:
        mean, sd = image_mean_and_sd(signals)
    rows = (((np.asarray(image, float) - mean[row]) / sd[row]) @ weights for row, image in enumerate(signals))
    return np.array(list(rows)).reshape(len(signals), weights.shape[1]) + np.asarray(intercept)
