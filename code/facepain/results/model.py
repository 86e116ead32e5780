"""Load a model that the stage ``regress`` saved."""

import json
from pathlib import Path

import numpy as np

from errors import InputError
from facepain.models.voxel_regression import VoxelRegression


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
