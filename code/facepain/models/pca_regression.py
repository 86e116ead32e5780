"""PCA regression on a Gram matrix: the same numbers as scikit-learn's pipeline, without voxels."""

import numpy as np

from facepain.models.algorithms import ALGORITHMS, products_with_targets


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
    """Regress targets Y (n_trials, n_targets) on the component scores of `Components.train_scores`.

    Returns coefficients (k, n_targets) and intercepts (n_targets,).
    """
    return ALGORITHMS[model.algorithm].fit(components, np.asarray(Y, float), **model.parameters)


def shrinkage(components, y, coef):
    """Return how much smaller than those of least squares the fitted predictions of training scores y (n_trials,) are.

    1 - SD of the fitted predictions / SD of those of least squares on the same components: 0 is no shrinkage, 1
    predicts the mean.
    """
    products = products_with_targets(components, y[:, None])[0][:, 0]
    least_squares = np.linalg.norm(products / components.singular_values)
    return 1 - np.linalg.norm(coef * components.singular_values) / least_squares if least_squares else 0.0
