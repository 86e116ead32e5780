"""A fitted model in voxel space: weights, intercept and standardisation, kept as arrays."""


import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin

from facepain.models.standardize import predict_images


class VoxelRegression(RegressorMixin, BaseEstimator):
    """Predict a score from contrast images as their dot product with a weight map.

    Parameters
    ----------
    weights : (n_voxels,) ndarray
        Change in score per unit of contrast, standardised by image where `standardize` has ``image``.
    intercept : float
    standardize : {"image", "voxel", ["image", "voxel"]}
        ``image`` takes from every image its own mean and SD first; ``voxel`` has its scaling in the weights.
    """

    def __init__(self, weights, intercept, standardize="image"):
        self.weights = weights
        self.intercept = intercept
        self.standardize = standardize

    def fit(self, X, y=None):
        """Return the model as it is: it was fitted before it was saved."""
        return self

    def __sklearn_is_fitted__(self):
        return True

    def predict(self, X):
        """Predict the (transformed) score of each image.

        Parameters
        ----------
        X : (n_trials, n_voxels) array_like
            Contrast images as extracted with the model's mask, not standardised.

        Returns
        -------
        y_pred : (n_trials,) ndarray
        """
        weights = np.asarray(self.weights, dtype=np.float64)[:, None]
        return predict_images(np.asarray(X), weights, [self.intercept], self.standardize)[:, 0]


