"""PCA regression on a Gram matrix: the same numbers as scikit-learn's pipeline, without voxels."""

import numpy as np

from facepain.models.algorithms import ALGORITHMS


class PCARegression:
    """Name a model: PCA, then a linear regression of the component scores with an intercept.

    Parameters
    ----------
    algorithm : str
        A key of `facepain.models.algorithms.ALGORITHMS`.
    explained_variance : float, default 0.8
        The fewest components are kept whose cumulative share of the variance exceeds this.
    **parameters : float
        Of the algorithm, such as ``alpha``; its defaults where left out.
    """

    def __init__(self, algorithm, explained_variance=0.8, **parameters):
        if algorithm not in ALGORITHMS:
            raise ValueError(f"algorithm {algorithm!r} is unknown: use one of {tuple(ALGORITHMS)}")
        if not 0 < explained_variance < 1:
            raise ValueError(f"explained_variance is {explained_variance}: give a share between 0 and 1")
        unknown = parameters.keys() - ALGORITHMS[algorithm].parameters.keys()
        if unknown:
            raise ValueError(f"{algorithm} has no parameter {min(unknown)!r}")
        self.algorithm = algorithm
        self.explained_variance = explained_variance
        self.parameters = ALGORITHMS[algorithm].defaults | parameters


def fit_coefficients(components, Y, model):
    """Regress targets on component scores.

    Parameters
    ----------
    components : Components
    Y : (n_trials, n_targets) array_like
        A column for each target.
    model : PCARegression

    Returns
    -------
    coef : (k, n_targets) ndarray
        On the scores of `Components.train_scores`.
    intercept : (n_targets,) ndarray
    """
    return ALGORITHMS[model.algorithm].fit(components, np.asarray(Y, float), **model.parameters)
