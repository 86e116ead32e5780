from collections import Counter
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline

from facepain.data.trials import first_of_run
from facepain.inference.permutation import (
    TrialPermuter,
    applicable_schemes,
    label_permutation_test,
    permutation_test,
    summarize_null,
)
from facepain.models.cross_validation import make_folds, prepare_folds
from facepain.models.pca_regression import PCARegression
from facepain.models.standardize import StandardizedImages
from facepain.parallel import Resampling, resample_rng

# Not sorted: two participants with three trials, two with two, one alone with four.
GROUPS = np.array(list("baabcdcdeebeea"))


def draw_orders(scheme, rng, n=300):
    return [TrialPermuter(GROUPS, scheme).draw(rng) for _ in range(n)]


@pytest.mark.parametrize("scheme", ["within", "block", "free"])
def test_every_trial_is_used_once(scheme, rng):
    for order in draw_orders(scheme, rng):
        np.testing.assert_array_equal(np.sort(order), np.arange(len(GROUPS)))


def test_within_keeps_scores_in_their_participant(rng):
    for order in draw_orders("within", rng):
        np.testing.assert_array_equal(GROUPS[order], GROUPS)


def test_block_moves_whole_participants_of_equal_size(rng):
    sources = []
    for order in draw_orders("block", rng):
        givers = {name: set(GROUPS[order][name == GROUPS]) for name in "abcde"}
        assert all(len(giver) == 1 for giver in givers.values())
        sources.append("".join(giver.pop() for giver in givers.values()))
    counts = Counter(sources)
    assert set(counts) == {"abcde", "bacde", "abdce", "badce"}
    assert min(counts.values()) > 50


def test_free_mixes_participants(rng):
    same = [np.mean(GROUPS[order] == GROUPS) for order in draw_orders("free", rng)]
    expected = np.sum(np.unique(GROUPS, return_counts=True)[1] ** 2) / len(GROUPS) ** 2
    assert np.mean(same) == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("scheme", ["within", "block", "free"])
def test_all_orders_are_equally_likely(scheme, rng):
    groups = ["a"] * 3
    counts = Counter(tuple(TrialPermuter(groups, scheme).draw(rng).tolist()) for _ in range(3000))
    assert set(counts) == set(permutations(range(3)))
    # Five SDs of a count with mean 500.
    assert all(abs(count - 500) < 5 * np.sqrt(500 * 5 / 6) for count in counts.values())


@pytest.mark.parametrize(
    "groups, schemes",
    [
        ("aabbbcc", ["within", "block", "free"]),
        ("aabbbcccc", ["within", "free"]),
        ("abcd", ["free"]),
    ],
)
def test_schemes_that_apply(groups, schemes):
    assert applicable_schemes(list(groups)) == schemes


def test_labels_move_with_whole_participants():
    labels = np.where(np.isin(GROUPS, ["a", "c"]), "dataset-2", "dataset-1")
    drawn, seen = [], set()
    label_permutation_test(lambda permuted: drawn.append(permuted) or 0.5, [], labels, GROUPS, Resampling(200, 1))
    for permuted in drawn[:200]:
        owners = sorted(set(GROUPS[permuted == "dataset-2"]))
        assert all(len(set(permuted[name == GROUPS])) == 1 for name in "abcde")
        assert len(owners) == 2
        seen.add(tuple(owners))
    assert len(seen) == 10


def test_p_counted_by_hand():
    test = summarize_null("free", "r2", 0.3, [0.1, 0.3, 0.2, 0.5], 0)
    assert (test["p"], test["n"], test["null_mean"]) == (3 / 5, 4, 0.275)
    assert test["null_quantiles"]["0.5"] == 0.25
    assert "all trials are exchangeable" in test["null_hypothesis"]


def test_p_follows_from_the_numbers_as_written():
    # In the last bits the null is below the score; as written they are equal.
    test = summarize_null("within", "r2", 0.1 + 1e-15, [0.1, 0.05])
    assert test["score"] == test["null_scores"][0] == 0.1
    assert test["p"] == float(f"{2 / 3:.6g}")
    assert "first of each run" in test["null_hypothesis"]


@pytest.fixture
def study(rng):
    """Return images, scores and participants with a planted pattern within participants."""
    groups = np.repeat(np.arange(10), [8] * 9 + [5])
    pattern = rng.normal(size=60)
    y = rng.gamma(1, 4, size=len(groups)) + rng.normal(0, 5, size=10)[groups]
    signals = rng.normal(size=(len(groups), 60)) + np.outer(y, pattern) / 10
    return signals.astype(np.float32), y, groups


def run_test(study, scheme, y=None, **resampling):
    signals, planted_y, groups = study
    model = PCARegression("ridge")
    folds = prepare_folds(StandardizedImages(signals), make_folds(groups), model)
    y = planted_y if y is None else y
    return permutation_test(folds, y, groups, model, scheme, Resampling(**resampling))


@pytest.mark.parametrize("scheme, n_fixed", [("within", 0), ("block", 1), ("free", 0)])
def test_planted_pattern_has_the_smallest_p(study, scheme, n_fixed):
    tests = run_test(study, scheme, n=99, seed=1)
    assert [test["metric"] for test in tests] == ["r2", "pearson_r", "skill"]
    for test in tests:
        assert (test["scheme"], test["p"], test["n"], test["n_fixed"]) == (scheme, 0.01, 99, n_fixed)
        assert test["score"] > max(test["null_scores"])


def test_noise_is_not_significant(study, rng):
    p = run_test(study, "free", y=rng.normal(size=len(study[1])), n=99, seed=1)[0]["p"]
    assert p > 0.05


def test_within_keeps_differences_between_participants_in_the_null(study):
    within, free = (run_test(study, scheme, n=99, seed=1)[0] for scheme in ("within", "free"))
    assert within["null_mean"] > free["null_mean"]


def test_more_permutations_begin_with_the_same_ones(study):
    few, many = (run_test(study, "within", n=n, seed=1)[0]["null_scores"] for n in (20, 300))
    np.testing.assert_allclose(many[:20], few, rtol=2e-6)


def test_progress_is_told(study):
    done = []
    run_test(study, "within", n=300, seed=1, progress=done.append)
    assert sum(done) == 300


def test_folds_of_one_trial_have_no_score(rng):
    groups, model = np.arange(6), PCARegression("ridge")
    images = StandardizedImages(rng.normal(size=(6, 20)))
    folds = prepare_folds(images, make_folds(groups, "lopo"), model)
    with pytest.raises(ValueError, match=r"no fold tests two trials or more, .*use group-kfold"):
        permutation_test(folds, rng.normal(size=6), groups, model, "free", Resampling(5, 1))


def test_unknown_scheme_is_named(rng):
    with pytest.raises(ValueError, match="scheme 'between' is unknown: use 'within', 'block'"):
        TrialPermuter(GROUPS, "between").draw(rng)


def test_pooled_tests_score_all_predictions_together(study):
    signals, y, groups = study
    images, model = StandardizedImages(signals), PCARegression("ridge")
    folds = prepare_folds(images, make_folds(groups, "lopo"), model)
    tests = permutation_test(folds, y, groups, model, "block", Resampling(30, 5), "lopo")
    for index in (None, 0, 29):
        permuted = y if index is None else y[TrialPermuter(groups, "block").draw(resample_rng(5, index))]
        y_pred, baseline = np.empty(len(y)), np.empty(len(y))
        for name in np.unique(groups):
            train = groups != name
            pipeline = make_pipeline(PCA(0.8, svd_solver="full"), Ridge())
            X = signals.astype(float)
            X = (X - X.mean(axis=1, keepdims=True)) / X.std(axis=1, keepdims=True)
            y_pred[~train] = pipeline.fit(X[train], permuted[train]).predict(X[~train])
            baseline[~train] = permuted[train].mean()
        error = np.sum((permuted - y_pred) ** 2)
        expected = {
            "r2": r2_score(permuted, y_pred),
            "pearson_r": pearsonr(permuted, y_pred)[0],
            "skill": 1 - error / np.sum((permuted - baseline) ** 2),
        }
        for test in tests:
            assert test["estimate_of"] == "lopo"
            value = test["score"] if index is None else test["null_scores"][index]
            assert value == pytest.approx(expected[test["metric"]], rel=1e-5)


def test_pooled_correlation_of_unrelated_scores_has_a_null_below_0(rng):
    groups, y = np.repeat(np.arange(12), 6), rng.normal(size=72)
    images, model = StandardizedImages(rng.normal(size=(72, 40))), PCARegression("ridge")
    folds = prepare_folds(images, make_folds(groups, "lopo"), model)
    test = permutation_test(folds, y, groups, model, "block", Resampling(200, 1), "lopo")[1]
    assert test["null_mean"] < -0.05


def test_strata_keep_first_trials_apart(rng):
    strata = np.array([name in "13579" for name in "12345678901234"])
    for scheme in ("within", "block"):
        for _ in range(100):
            order = TrialPermuter(GROUPS, scheme, strata).draw(rng)
            np.testing.assert_array_equal(strata[order], strata)
            np.testing.assert_array_equal(np.sort(order), np.arange(len(GROUPS)))


def test_stratified_tests_say_what_is_exchanged(study):
    signals, y, groups = study
    model = PCARegression("ridge")
    folds = prepare_folds(StandardizedImages(signals), make_folds(groups), model)
    for strata, text in (
        (None, "holds only approximately"),
        (np.zeros(len(y)), "holds only approximately"),
        (np.arange(len(y)) % 4 == 0, "of their kind only"),
    ):
        test = permutation_test(folds, y, groups, model, "within", Resampling(3, 1), strata=strata)[0]
        assert text in test["null_hypothesis"]


def test_block_exchanges_participants_with_equally_many_trials_of_each_kind(rng):
    groups, strata = np.repeat(list("abc"), 3), np.array([1, 0, 0, 0, 1, 0, 1, 1, 0])
    givers = {"".join(groups[TrialPermuter(groups, "block", strata).draw(rng)][::3]) for _ in range(50)}
    assert givers == {"abc", "bac"}


def test_scores_constant_within_participants_are_not_permuted_within(study):
    groups = study[2]
    ages = groups * 1.0
    assert applicable_schemes(groups, ages) == ["block", "free"]
    ages[groups == 0] = np.arange(8)
    assert applicable_schemes(groups, ages) == ["within", "block", "free"]
    tests = run_test(study, "within", y=ages, n=5, seed=1)
    assert tests[0]["n_fixed"] == 9


def test_first_of_run_is_the_smallest_number_of_a_run_in_its_dataset():
    trials = pd.DataFrame({"dataset": ["a"] * 5 + ["b"], "run": [1, 1, 2, 1, 2, 1], "trial": [1, 2, 9, 3, 10, 2]})
    assert first_of_run(trials).tolist() == [True, False, True, False, False, True]
