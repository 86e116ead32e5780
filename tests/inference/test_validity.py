"""The engine's tests are as often wrong as they say: simulated studies of nested trials (see docs/validity.md)."""

from functools import partial

import numpy as np
import pytest
from scipy.stats import binomtest
from validity import (
    UNRELATED_TRIALS,
    Study,
    bootstrap_share,
    classifier_p,
    distance_from_uniform,
    interval_hits,
    permutation_p,
    simulate_many,
)

pytestmark = pytest.mark.slow
N_PERMUTATIONS = 39
# Of a true null: with fixed seeds a failure means a change of the engine, not bad luck.
SMALLEST_CHANCE = 0.001


def draw_p(study, algorithm, schemes, n_studies):
    function = partial(permutation_p, study=study, algorithm=algorithm, schemes=schemes, n=N_PERMUTATIONS)
    return simulate_many(function, n_studies)


def assert_uniform(p):
    assert distance_from_uniform(p, N_PERMUTATIONS)[1] > SMALLEST_CHANCE
    assert binomtest(int(np.sum(p <= 0.05)), len(p), 0.05).pvalue > SMALLEST_CHANCE


@pytest.mark.parametrize("algorithm, n_studies", [("lasso", 200), ("ridge", 200), ("svr", 60)])
def test_p_is_uniform_within_and_block_with_participant_effects(algorithm, n_studies):
    p = draw_p(Study(), algorithm, ("within", "block"), n_studies)
    for scheme in range(2):
        for metric in range(2):
            assert_uniform(p[:, scheme, metric])


@pytest.mark.parametrize("algorithm, n_studies", [("lasso", 200), ("ridge", 200), ("svr", 60)])
def test_p_is_uniform_free_without_participant_effects(algorithm, n_studies):
    p = draw_p(UNRELATED_TRIALS, algorithm, ("free",), n_studies)[:, 0]
    for metric in range(2):
        assert_uniform(p[:, metric])


def test_free_is_wrong_with_participant_effects():
    r2, pearson_r = draw_p(Study(), "ridge", ("free",), 300)[:, 0].T
    # r2 misses effects: participants' levels cost it more than permuted scores lose.
    assert np.mean(r2 > 0.95) > 0.5
    # Pearson's r finds effects where there are none.
    assert binomtest(int(np.sum(pearson_r <= 0.05)), 300, 0.05, "greater").pvalue < SMALLEST_CHANCE


@pytest.mark.parametrize("algorithm", ["lasso", "ridge"])
def test_bootstrap_of_participants_is_rarely_wrong_and_that_of_trials_often(algorithm):
    function = partial(bootstrap_share, study=Study(), algorithm=algorithm, units=("participant", "trial"), n=60)
    participant, trial = simulate_many(function, 50).mean(axis=0)
    assert 0.01 < participant < 0.08
    assert trial > 0.1


def test_power_rises_with_participants():
    sizes = (10, 20, 40)
    p = [draw_p(Study(n_participants=size, effect=0.4), "ridge", ("within", "block"), 60) for size in sizes]
    power = np.mean(np.array(p) <= 0.05, axis=1)
    assert np.all(np.diff(power, axis=0) >= 0), power
    assert np.all(power[-1] - power[0] > 0.2), power


def test_classifier_of_equal_datasets_is_rarely_significant():
    p = simulate_many(partial(classifier_p, study=Study(), n=19), 60)
    assert binomtest(int(np.sum(p <= 0.05)), 60, 0.05, "greater").pvalue > SMALLEST_CHANCE
    # Two null scores can be equal, which counts against the observed one: the mean is a little above one half.
    assert 0.4 < p.mean() < 0.65


def test_intervals_cover_what_they_say_on_another_dataset_and_less_by_leaving_participants_out():
    function = partial(interval_hits, study=Study(effect=0.4), algorithm="ridge")
    lopo, _, other = simulate_many(function, 60).mean(axis=0)
    assert np.all(other > 0.85), other
    # The fit's own variance is left out: docs/validity.md has the shares.
    assert np.all(lopo > 0.65), lopo


def test_trial_order_alone_is_significant_unless_first_trials_are_kept_apart():
    study = Study(n_trials=16, first_trial=1.5)
    given = dict(study=study, algorithm="ridge", schemes=("within",), n=N_PERMUTATIONS)
    mixed, apart = (
        np.sum(simulate_many(partial(permutation_p, **given, stratified=stratified), 60) <= 0.05, axis=0)[0, 1]
        for stratified in (False, True)
    )
    assert mixed > 15
    assert binomtest(int(apart), 60, 0.05, "greater").pvalue > SMALLEST_CHANCE
