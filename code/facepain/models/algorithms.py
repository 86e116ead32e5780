"""The regressions that the study compares, each declared once: what it is called and how it is fitted.

The component scores are orthogonal, so that Lasso and Ridge have closed forms (Tibshirani 1996, doi
10.1111/j.2517-6161.1996.tb02080.x).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from errors import InputError

SCHEMES = ("within", "block", "free")  # of permutation
Positive = Annotated[float, Field(gt=0)]


@dataclass(frozen=True)
class Algorithm:
    """One regression of the score on principal components."""

    name: str  # in params, commands and paths
    label: str  # in figures and text
    colour: str  # in figures; safe for colour-blind readers beside the others and the grey of null distributions
    parameters: dict  # type, as pydantic takes it, and default, by the name that scikit-learn gives the parameter
    permutation_schemes: tuple  # run by default; each scheme of a slow algorithm costs minutes
    sentence: str  # for the methods text, to be filled with the parameters
    penalty: str = ""  # the parameter that tuning chooses; without it the algorithm cannot be tuned
    # Takes `Components` and training targets; returns the penalty, a number or one for each target, that shrinks the
    # first component's coefficient by about half or more. Tuning scales its grid by it.
    scale: Callable | None = None
    # Where each coefficient depends on its own component only: takes the sums of products of components and targets
    # (k, n_targets), the singular values, the number of trials and the penalty; returns the coefficients.
    shrink: Callable | None = None
    # Of any other: takes `Components`, targets (n_trials, n_targets) and the parameters; returns coefficients
    # (k, n_targets) on the scores of `Components.train_scores` and intercepts (n_targets,).
    fit: Callable | None = None
    max_permutations: int | None = None  # at most so many by default, of the published scheme
    max_permutations_lopo: int | None = None  # of leave-one-participant-out

    def __post_init__(self):
        defaults = {name: default for name, (_, default) in self.parameters.items()}
        wrong = {
            "colour is no #RRGGBB": not re.fullmatch("#[0-9A-Fa-f]{6}", self.colour),
            "expected either fit or shrink": (self.fit is None) == (self.shrink is None),
            "shrink goes with one parameter, the penalty": self.shrink
            and self.penalty
            and [*defaults] != [self.penalty],
            f'penalty "{self.penalty}" is no parameter': self.penalty and self.penalty not in defaults,
            f"permutation_schemes are a tuple of some of {', '.join(SCHEMES)}": {*self.permutation_schemes}
            - {*SCHEMES},
        }
        try:
            self.sentence.format(**defaults)
        except (KeyError, ValueError, IndexError) as error:
            wrong[f"sentence cannot be filled with the parameters ({error!r})"] = True
        for what in (what for what, is_wrong in wrong.items() if is_wrong):
            raise InputError(f"algorithm {self.name}: {what}; correct its entry in code/facepain/models/algorithms.py")


def shrink_lasso(products, singular_values, n_trials, alpha):
    """Fit scikit-learn's ``Lasso(alpha)``: soft thresholding of each component's covariance with the target."""
    import numpy as np  # not above: it takes long, and most commands read this table and fit nothing

    # scikit-learn's Lasso divides the squared error by 2n: n counts every repetition.
    kept = np.abs(products)
    kept -= n_trials * alpha
    np.maximum(kept, 0.0, out=kept)
    kept /= singular_values[:, None] ** 2
    return np.copysign(kept, products, out=kept)


def scale_lasso(components, Y):
    """Return the penalties at and above which every coefficient is 0, whatever the targets' direction."""
    import numpy as np

    return components.singular_values[0] * np.linalg.norm(Y - Y.mean(axis=0), axis=0) / len(Y)


def shrink_ridge(products, singular_values, _n_trials, alpha):
    """Fit scikit-learn's ``Ridge(alpha)``."""
    return products / (singular_values[:, None] ** 2 + alpha)


def fit_linear_svr(components, Y, C, epsilon):
    """Fit scikit-learn's ``SVR(kernel="linear", C=C, epsilon=epsilon)`` for all targets at once."""
    from facepain.models.svr import solve_svr  # SciPy takes long to import, and most commands fit nothing

    # A trial drawn m times pays m times for its error.
    solution = solve_svr(components.train_scores(), Y, C=C * components.counts, epsilon=epsilon)
    return solution.coef, solution.intercept


def products_with_targets(components, Y):
    """Return the sums of products of each component's scores with the centred targets, and the targets' means."""
    import numpy as np

    counts = components.counts
    intercept = counts @ Y / counts.sum()
    # The columns of U sum to 0 with these weights: centring Y is for the rounding only.
    centred = np.sqrt(counts)[:, None] * (Y - intercept)
    return components.singular_values[:, None] * (components.vectors.T @ centred), intercept


# Colours of Okabe & Ito 2008.
ALGORITHMS = {
    algorithm.name: algorithm
    for algorithm in (
        Algorithm(
            name="lasso",
            label="Lasso",
            colour="#0072B2",
            parameters={"alpha": (Positive, 1.0)},
            permutation_schemes=("within", "block", "free"),
            sentence="Lasso (alpha {alpha:g})",
            penalty="alpha",
            scale=scale_lasso,
            shrink=shrink_lasso,
        ),
        Algorithm(
            name="ridge",
            label="Ridge",
            colour="#E69F00",
            parameters={"alpha": (Positive, 1.0)},
            permutation_schemes=("within", "block", "free"),
            sentence="Ridge (alpha {alpha:g})",
            penalty="alpha",
            scale=lambda components, _Y: components.singular_values[0] ** 2,
            shrink=shrink_ridge,
        ),
        Algorithm(
            name="svr",
            label="SVR",
            colour="#009E73",
            fit=fit_linear_svr,
            parameters={"C": (Positive, 1.0), "epsilon": (Annotated[float, Field(ge=0)], 0.1)},
            permutation_schemes=("within", "block"),
            sentence="linear support vector regression (C {C:g}, epsilon {epsilon:g})",
            max_permutations=1000,
            max_permutations_lopo=200,
            penalty="C",
            # The largest ``C`` that keeps predictions within about one unit of the score.
            scale=lambda components, _Y: 1 / components.singular_values[0] ** 2,
        ),
    )
}
