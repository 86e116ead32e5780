"""Mixed models: planted slopes recovered, the permutation test calibrated where slopes vary."""

import numpy as np
import pytest

from errors import InputError
from facepain.inference.mixed_models import fit_mixed_model, within_slope_test
from facepain.parallel import Resampling
from relate import follows

N_PARTICIPANTS, N_TRIALS = 16, 10
GROUPS = np.repeat(np.arange(N_PARTICIPANTS), N_TRIALS)
NONE = np.empty((len(GROUPS), 0))


def simulate(rng, slope, slope_sd):
    x = rng.normal(size=len(GROUPS))
    slopes = slope + slope_sd * rng.normal(size=N_PARTICIPANTS)
    return x, slopes[GROUPS] * x + rng.normal(size=N_PARTICIPANTS)[GROUPS] + rng.normal(size=len(GROUPS))


def test_the_numbers_are_those_of_lme4():
    """Of lme4 1.1 for R, as tests/shared/lme4_numbers.R prints them for this table."""
    rng = np.random.default_rng(2023)
    slopes = 0.4 + 0.5 * rng.normal(size=N_PARTICIPANTS)
    x, z = rng.normal(size=len(GROUPS)), rng.normal(size=len(GROUPS))
    y = slopes[GROUPS] * x + 0.2 * z + rng.normal(size=N_PARTICIPANTS)[GROUPS] + rng.normal(size=len(GROUPS))
    x, z, y = (np.round(values, 6) for values in (x, z, y))
    effects, _ = fit_mixed_model(y, {"x": x, "z": z}, GROUPS, slopes=("x",))
    np.testing.assert_allclose(effects.estimate, [-0.4280934259, 0.2402648807, 0.2044612917], rtol=2e-5)
    np.testing.assert_allclose(effects.se, [0.21179622648, 0.10474184318, 0.07933070456], rtol=1e-3)


def test_a_fit_that_stops_short_is_replaced():
    """The fast optimiser ends 6 units of the likelihood below lme4, where no participant has a slope of their own."""
    rng, groups = np.random.default_rng([7, 8]), np.repeat(np.arange(8), 8)
    x = np.round(rng.normal(size=64) + rng.normal(size=8)[groups], 3)
    y = np.round(1.5 * rng.normal(size=8)[groups] + 0.3 * rng.normal(size=64) + 0.05 * x, 3)
    effects, _ = fit_mixed_model(y, {"x": x}, groups, slopes=("x",))
    np.testing.assert_allclose(effects.estimate, [-0.51165891271, 0.05648765596], rtol=5e-4)
    np.testing.assert_allclose(effects.se, [0.59946697103, 0.03904240765], rtol=5e-3)


@pytest.mark.slow
def test_planted_slopes_are_recovered_with_their_intervals():
    covered, estimates = [], []
    for study in range(20):
        x, y = simulate(np.random.default_rng([3, study]), 0.5, 0.4)
        effects, _ = fit_mixed_model(y, {"x": x}, GROUPS, slopes=("x",))
        assert list(effects["term"]) == ["intercept", "x"]
        covered.append(effects.low[1] <= 0.5 <= effects.high[1])
        estimates.append(effects.estimate[1])
    assert np.mean(estimates) == pytest.approx(0.5, abs=0.1)
    assert np.mean(covered) >= 0.8


@pytest.mark.slow
def test_random_slopes_keep_a_slope_that_varies_around_0_from_being_significant():
    with_slopes, without = [], []
    for study in range(24):
        x, y = simulate(np.random.default_rng([4, study]), 0.0, 0.8)
        with_slopes.append(fit_mixed_model(y, {"x": x}, GROUPS, slopes=("x",))[0].p[1])
        without.append(fit_mixed_model(y, {"x": x}, GROUPS)[0].p[1])
    rates = [np.mean(np.array(p) <= 0.05) for p in (with_slopes, without)]
    assert rates[0] <= 0.15 < rates[1]


@pytest.mark.slow
def test_the_permutation_test_is_calibrated_where_nobody_has_a_slope(rng):
    p = []
    for study in range(120):
        x, y = simulate(np.random.default_rng([5, study]), 0.0, 0.0)
        p.append(within_slope_test(y, x, GROUPS, rng.normal(size=(len(GROUPS), 1)), Resampling(39, study))[1])
    assert 0.01 <= np.mean(np.array(p) <= 0.05) <= 0.1


def test_the_slope_is_that_of_least_squares_with_participants_and_covariates(rng):
    x, y = simulate(rng, 0.3, 0.0)
    z = rng.normal(size=len(y))
    slope, p = within_slope_test(y, x, GROUPS, z[:, None], Resampling(99, 1))
    dummies = (GROUPS[:, None] == np.arange(N_PARTICIPANTS)).astype(float)
    design = np.column_stack([x, z, dummies])
    assert slope == pytest.approx(np.linalg.lstsq(design, y, rcond=None)[0][0])
    assert p == pytest.approx(0.01)


def test_what_cannot_be_fitted_is_said(rng):
    x, y = simulate(rng, 0.0, 0.0)
    with pytest.raises(InputError, match="one of trial is the same in every trial"):
        fit_mixed_model(y, {"trial": np.ones(len(y))}, GROUPS)
    with pytest.raises(
        InputError, match="one of a, b is the same in every trial or the sum of multiples of the others"
    ):
        fit_mixed_model(y, {"a": x, "b": 2 * x}, GROUPS)
    with pytest.raises(InputError, match="2 participants are too few"):
        fit_mixed_model(y[:20], {"x": x[:20]}, GROUPS[:20])


@pytest.mark.parametrize("n_trials", [1, 4])
def test_where_nothing_varies_within_participants_permuting_within_has_no_p(rng, n_trials):
    """Also where covariates leave rounding errors that look like scores."""
    groups = np.repeat(np.arange(12), n_trials)
    x, y = rng.normal(size=len(groups)), np.repeat(rng.normal(size=12), n_trials)
    trial = np.tile(np.arange(n_trials), 12)[:, None]
    for pair in ((x, y), (y, x)):
        assert np.isnan(within_slope_test(*pair, groups, trial, Resampling(20, 1))[1])


@pytest.mark.parametrize(("run", "kept"), [("1111", "trial"), ("1234", "run"), ("1122", "run trial")])
def test_a_column_that_the_others_explain_is_left_out(run, kept):
    columns = {}
    for name, values in (("run", list(map(int, run))), ("trial", [1, 2, 3, 4])):
        if not follows(values, columns):
            columns[name] = values
    assert " ".join(columns) == kept
