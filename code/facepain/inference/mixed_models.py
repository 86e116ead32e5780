"""Mixed models of the score by expression, with participants' own intercepts and slopes.

Random intercepts alone take the slopes of participants for the same; where they vary, a quarter of the null studies
become significant. The normal p of a mixed model is approximate even with random slopes; the test is the permutation of
scores within participants.
"""

import warnings

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri
from statsmodels.regression.mixed_linear_model import MixedLM
from statsmodels.tools.sm_exceptions import ConvergenceWarning, SingularMatrixWarning

from errors import InputError
from facepain.inference.permutation import TrialPermuter
from facepain.models.scores import constant_within

FEWEST_PARTICIPANTS = 3
LIKELIHOOD_TOLERANCE = 1e-4


def fit_mixed_model(y, predictors, groups, slopes=()):
    """Fit a linear mixed model by restricted maximum likelihood.

    ``predictors`` are the fixed effects (n_trials,) beside the intercept by name, ``slopes`` those whose slope differs
    between participants; intercepts always do. Returns a table of each term's estimate, standard error, 95 % interval
    and two-sided Wald p, and whether the fit converged. Raises InputError if there are too few participants, or a
    predictor is constant or a combination of the others.
    """
    y, groups = np.asarray(y, float), np.asarray(groups)
    n_participants = len(np.unique(groups))
    if n_participants < FEWEST_PARTICIPANTS:
        raise InputError(f"{n_participants} participants are too few for a mixed model; expected {FEWEST_PARTICIPANTS}")
    fixed = np.column_stack([np.ones(len(y)), *(np.asarray(values, float) for values in predictors.values())])
    if np.linalg.matrix_rank(fixed) < fixed.shape[1]:
        raise InputError(
            f"one of {', '.join(predictors)} is the same in every trial or the sum of multiples of the others; "
            "leave one out of relate.columns"
        )
    random = np.column_stack([np.ones(len(y)), *(np.asarray(predictors[name], float) for name in slopes)])
    with warnings.catch_warnings():
        # A variance of 0 lies at the edge of what is allowed: usual where participants do not differ.
        for category in (ConvergenceWarning, SingularMatrixWarning, RuntimeWarning):
            warnings.simplefilter("ignore", category)
        model = MixedLM(y, fixed, groups, exog_re=random)
        fitted = _fit(model)
    estimate = np.asarray(fitted.fe_params)
    se = _standard_errors(fixed, random, groups, np.asarray(fitted.cov_re), fitted.scale)
    half = -ndtri(0.025) * se
    effects = {"term": ["intercept", *predictors], "estimate": estimate, "se": se, "low": estimate - half}
    effects |= {"high": estimate + half, "p": 2 * ndtr(-np.abs(estimate / se))}
    return pd.DataFrame(effects), bool(fitted.converged)


def _fit(model):
    """Fit by a robust optimiser and by a fast one, which may stop short of the best fit; keep the better fit."""
    robust = model.fit(reml=True, method="powell")
    try:
        fast = model.fit(reml=True, method="lbfgs")
    except np.linalg.LinAlgError:
        return robust
    return robust if robust.llf > fast.llf + LIKELIHOOD_TOLERANCE or not fast.converged else fast


def _standard_errors(fixed, random, groups, covariance, residual_variance):
    """Return the standard errors of the fixed effects for given variances, as lme4 does: (X' V^-1 X)^-1."""
    information = np.zeros((fixed.shape[1],) * 2)
    for participant in np.unique(groups):
        X, Z = fixed[groups == participant], random[groups == participant]
        V = Z @ covariance @ Z.T + residual_variance * np.eye(len(X))
        information += X.T @ np.linalg.solve(V, X)
    return np.sqrt(np.diag(np.linalg.inv(information)))


def within_slope_test(y, x, groups, covariates, resampling):
    """Test the slope of y on x within participants by permuting residual scores within participants.

    The covariates (n_trials, n_covariates) are removed from y and x first, with every participant's mean (Freedman &
    Lane 1983). Returns the slope, pooled over participants, and its two-sided p, (1 + #{|null| >= |slope|}) / (1 + n);
    NaN where nothing varies within participants, and so nothing can be permuted.
    """
    groups = np.asarray(groups)
    if any(constant_within(groups, values).all() for values in (x, y)):
        return 0.0, np.nan
    x, y = _residuals(x, groups, covariates), _residuals(y, groups, covariates)
    denominator = x @ x
    null = TrialPermuter(groups, "within").null_scores(lambda Y: x @ Y / denominator, y, resampling, 256)
    slope = float(y @ x / denominator)
    # The sums of a permuted and of the observed order may differ in their last bits.
    reached = np.abs(null) >= abs(slope) * (1 - 1e-12)
    return slope, float((1 + reached.sum()) / (1 + len(null)))


def _residuals(values, groups, covariates):
    """Remove every participant's mean and the covariates, by least squares."""
    design = (np.asarray(groups)[:, None] == np.unique(groups)).astype(float)
    design = np.column_stack([design, np.asarray(covariates, float).reshape(len(groups), -1)])
    return np.asarray(values, float) - design @ np.linalg.lstsq(design, np.asarray(values, float), rcond=None)[0]
