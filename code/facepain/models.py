"""A fitted model in voxel space: weights, intercept and standardisation, kept as arrays."""

import json
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin

from facepain.errors import InputError
from facepain.standardize import predict_images


class VoxelRegression(RegressorMixin, BaseEstimator):
    """Predict a score from contrast images as their dot product with a weight map.

    Parameters
    ----------
    weights : (n_voxels,) ndarray
        Change in score per unit of standardised (``standardize="image"``) or raw (``"voxel"``) contrast.
    intercept : float
    standardize : {"image", "voxel"}
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


def load_model(folder):
    """Load the final model of a ``regress`` cell.

    Parameters
    ----------
    folder : path_like
        Such as ``outputs/regress/M1/lasso``.

    Returns
    -------
    model : VoxelRegression

    Raises
    ------
    InputError
        If the files are not there.
    """
    folder = Path(folder)
    try:
        about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        with np.load(folder / "model.npz", allow_pickle=False) as arrays:
            return VoxelRegression(arrays["weights"], float(arrays["intercept"]), about["standardize"])
    except FileNotFoundError as error:
        raise InputError(f"{error.filename}: not here; `make regress` makes it, `datalad get` fetches it") from None
