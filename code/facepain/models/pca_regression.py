"""PCA regression on a Gram matrix: the same numbers as scikit-learn's pipeline, without voxels."""

import numpy as np

from facepain.models.algorithms import ALGORITHMS, products_with_targets


class PCARegression:
    """Name a model: PCA, then a linear regression of the component scores with an intercept.

    The algorithm is a key of `ALGORITHMS`; its parameters, such as ``alpha``, have its defaults where left out. The
    fewest components are kept whose cumulative share of the variance exceeds ``explained_variance``.
    """

    def __init__(self, algorithm, explained_variance=0.8, **parameters):
        self.algorithm = algorithm
        self.explained_variance = explained_variance
        defaults = {name: default for name, (_, default) in ALGORITHMS[algorithm].parameters.items()}
        self.parameters = defaults | parameters


def fit_coefficients(components, Y, model):
    """Regress Y (n_trials, n_targets) on `Components.train_scores`: coefficients (k, n_targets) and intercepts."""
    algorithm, Y = ALGORITHMS[model.algorithm], np.asarray(Y, float)
    if algorithm.shrink is None:
        return algorithm.fit(components, Y, **model.parameters)
    products, intercept = products_with_targets(components, Y)
    coef = algorithm.shrink(products, components.singular_values, components.counts.sum(), **model.parameters)
    return coef, intercept


def shrinkage(components, y, coef):
    """Return 1 - SD of the fitted training scores y (n_trials,) / SD of those of least squares on these components."""
    products = products_with_targets(components, y[:, None])[0][:, 0]
    least_squares = np.linalg.norm(products / components.singular_values)
    return 1 - np.linalg.norm(coef * components.singular_values) / least_squares if least_squares else 0.0
