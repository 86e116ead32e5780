"""PCA regression on a Gram matrix: the same numbers as scikit-learn's pipeline, without voxels.

With K = X X' for n trials and many more voxels, the principal components of the centred training images, their scores
U s and every coefficient on them follow from the eigenvectors of the centred K alone (the duality of PCA: Jolliffe
2002, section 3.5, doi 10.1007/b98835). A training set with repeated trials is given by its unique rows and a count for
each.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dormqr, dstevd, dsytrd, dsytrd_lwork
from scipy.sparse.linalg import ArpackNoConvergence, eigsh

from facepain.models.algorithms import ALGORITHMS, products_with_targets

# From this many trials on the leading eigenvectors are looked for alone, these many at first: docs/cluster.md. Below,
# all of them take no longer.
MANY_TRIALS, FIRST_COMPONENTS = 1500, 96
# A cumulative share is known to about 1e-14: closer than this to the limit, it equals the limit.
SHARE_TOLERANCE = 1e-10
# Variance of the centred images below this share of their squared length is rounding.
VARIANCE_TOLERANCE = 1e-12


@dataclass(frozen=True)
class Components:
    """Principal components of a training set, in terms of its unique trials."""

    vectors: np.ndarray  # (n_trials, k) left singular vectors of the centred rows, weighted by roots of counts
    singular_values: np.ndarray  # (k,) in falling order; k is 0 where the images do not vary
    counts: np.ndarray  # (n_trials,) how often each trial is in the training set, 1 or more
    mean_products: np.ndarray  # (n_trials,) products of the training images with their mean

    @property
    def n_components(self):
        return len(self.singular_values)

    def train_scores(self):
        """Return the component scores (n_trials, k) of the training images."""
        return self.vectors * self.singular_values / np.sqrt(self.counts)[:, None]

    def scores(self, K_new):
        """Return the component scores (n_new, k) of other images from their products with the training ones.

        ``K_new`` is (n_new, n_trials).
        """
        # The voxel loadings are X'A. Columns of A sum to 0, so that the mean image's own product has no part in it.
        A = np.sqrt(self.counts)[:, None] * self.vectors / self.singular_values
        return (K_new - self.mean_products) @ A

    def to_dual(self, coef, intercept):
        """Return a fit of `fit_coefficients` as weights (n_trials, n_targets) of training images, and intercepts.

        ``K_new @ dual + intercept`` predicts from products that are not centred. Each column of the weights sums to 0.
        """
        dual = np.sqrt(self.counts)[:, None] * (self.vectors @ (coef / self.singular_values[:, None]))
        return dual, intercept - self.mean_products @ dual


def fit_components(K, explained_variance=0.8, counts=None):
    """Find the principal components of training images from their Gram matrix K (n_trials, n_trials), not centred.

    The fewest components are kept whose cumulative share of the variance exceeds ``explained_variance``, as
    ``PCA(explained_variance, svd_solver="full")`` does; a share within 1e-10 of the limit equals it. No component is
    kept where the images do not vary. ``counts`` (n_trials,) says how often each trial is in the training set, 1 by
    default.
    """
    K = np.asarray(K, float)
    counts = np.ones(len(K)) if counts is None else np.asarray(counts, float)
    share = counts / counts.sum()
    mean_products = share @ K
    centred = K - mean_products - mean_products[:, None] + share @ mean_products
    root = np.sqrt(counts)
    centred *= root * root[:, None]
    total = np.trace(centred)
    if total <= VARIANCE_TOLERANCE * (counts @ np.diag(K)):
        return Components(np.empty((len(K), 0)), np.empty(0), counts, mean_products)
    limit = explained_variance + SHARE_TOLERANCE
    variances, vectors = _leading_eigenvectors(centred, limit * total)
    k = min(np.sum(np.cumsum(variances / total) <= limit) + 1, vectors.shape[1])
    return Components(vectors[:, :k], np.sqrt(variances[:k]), counts, mean_products)


def _leading_eigenvectors(matrix, wanted):
    """Return eigenvalues, not negative, in falling order, and the vectors of so many that they sum to `wanted`."""
    n_trials, n_found = len(matrix), FIRST_COMPONENTS
    # A fixed start, so that the same matrix gives the same bytes; not of ones, which centred images know nothing of.
    start = np.random.default_rng(0).normal(size=n_trials)
    while n_trials >= MANY_TRIALS and n_found <= n_trials // 15:
        try:
            values, vectors = eigsh(matrix, n_found, v0=start, ncv=n_found * 3 // 2)
        except ArpackNoConvergence:
            break
        if values.sum() > wanted:
            falling = np.argsort(values)[::-1]
            return values[falling], vectors[:, falling]
        n_found *= 2
    if n_trials <= 2:
        values, vectors = np.linalg.eigh(matrix)
        return np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    return _tridiagonal_eigenvectors(matrix, wanted)


def _tridiagonal_eigenvectors(matrix, wanted):
    """Return what `_leading_eigenvectors` does, by LAPACK's steps one by one: the last is made for these vectors only.

    That saves a quarter of what ``numpy.linalg.eigh`` takes.
    """
    lwork = int(dsytrd_lwork(len(matrix), lower=1)[0])
    # LAPACK reads columns first, which makes no difference to a symmetric matrix.
    reduced, diagonal, beside, scales, _ = dsytrd(matrix.T, lower=1, lwork=lwork)
    values, vectors, failed = dstevd(diagonal, beside)
    if failed:
        raise ArithmeticError(
            f"LAPACK's dstevd failed ({failed}); check the images for values many powers of ten apart"
        )
    values = np.maximum(values[::-1], 0.0)
    k = min(np.sum(np.cumsum(values) <= wanted) + 2, len(values))
    vectors = np.array(vectors[:, ::-1][:, :k], order="F")
    reflections, lower = np.asfortranarray(reduced[1:, :-1]), np.asfortranarray(vectors[1:])
    vectors[1:] = dormqr("L", "N", reflections, scales, lower, lwork=64 * k)[0]
    return values, vectors


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
