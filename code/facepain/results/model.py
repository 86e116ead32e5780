"""Load a model that the stage ``regress`` saved, as an estimator of scikit-learn."""

import json
from pathlib import Path

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin

from errors import InputError
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
    confound_coef : (1 + n_confounds,) ndarray, optional
        Of a model whose confounds were removed: a constant and what to add for each confound.
    """

    def __init__(self, weights, intercept, standardize="image", confound_coef=None):
        self.weights = weights
        self.intercept = intercept
        self.standardize = standardize
        self.confound_coef = confound_coef

    def fit(self, X, y=None):
        """Return the model as it is: it was fitted before it was saved."""
        return self

    def __sklearn_is_fitted__(self):
        return True

    def predict(self, X, confounds=None):
        """Predict the (transformed) score of each image, as extracted with the model's mask and not standardised.

        A model whose confounds were removed needs those of each trial (n_trials, n_confounds), in the order of its
        ``model.json``.
        """
        weights = np.asarray(self.weights, dtype=np.float64)[:, None]
        y_pred = predict_images(np.asarray(X), weights, [self.intercept], self.standardize)[:, 0]
        if self.confound_coef is None:
            return y_pred
        n = len(self.confound_coef) - 1
        if confounds is None or np.shape(confounds) != (len(y_pred), n):
            raise InputError(f"this model needs the {n} confounds of each trial beside the images; see its model.json")
        return y_pred + np.column_stack([np.ones(len(y_pred)), confounds]) @ self.confound_coef


def load_model(folder):
    """Load the final model of a ``regress`` cell from its folder, such as ``outputs/regress/M1/lasso``."""
    folder = Path(folder)
    try:
        about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        with np.load(folder / "model.npz", allow_pickle=False) as arrays:
            given = arrays["weights"], float(arrays["intercept"]), about["standardize"]
            return VoxelRegression(*given, arrays.get("confound_coef"))
    except FileNotFoundError as error:
        raise InputError(f"{error.filename}: not here; `make regress` makes it, `datalad get` fetches it") from None
