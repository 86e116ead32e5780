"""The batched SVR solver against libsvm, its optimality conditions and its degenerate cases."""

import numpy as np
import pytest
from sklearn.svm import SVR

from facepain.models import svr
from facepain.models.svr import solve_svr


def make_scores(rng, n, k, n_targets):
    """Return orthogonal centred scores (n, k) and skewed integer targets, half of them 0."""
    left = np.linalg.svd(rng.standard_normal((n, k)), full_matrices=False)[0]
    left = np.linalg.qr(left - left.mean(axis=0))[0]
    scores = left * np.sqrt(np.geomspace(n, n / 50, k)) if k else left
    facs = np.where(rng.random(n) < 0.48, 0, np.minimum(43, np.ceil(rng.exponential(8, n))))
    return scores, np.column_stack([rng.permutation(facs) for _ in range(n_targets)])


def primal_objective(Z, y, weights, intercept, C=1.0, epsilon=0.1):
    loss = np.maximum(np.abs(y - Z @ weights - intercept) - epsilon, 0)
    return weights @ weights / 2 + np.sum(C * loss)


def fit_libsvm(Z, y, C=1.0, epsilon=0.1, sample_weight=None):
    model = SVR(kernel="linear", C=C, epsilon=epsilon, tol=1e-8)
    return model.fit(Z, y, sample_weight)


@pytest.mark.parametrize(("n", "k"), [(60, 5), (120, 20), (30, 29), (25, 60)])
@pytest.mark.parametrize("C", [0.1, 1.0, 10.0])
def test_solution_is_as_good_as_libsvm_and_predicts_the_same(rng, n, k, C):
    if k < n:
        Z, Y = make_scores(rng, n, k, 4)
    else:
        Z, Y = rng.standard_normal((n, k)), make_scores(rng, n, 3, 4)[1]
    solution = solve_svr(Z, Y, C=C)
    for j, y in enumerate(Y.T):
        reference = fit_libsvm(Z, y, C)
        ours = primal_objective(Z, y, solution.coef[:, j], solution.intercept[j], C)
        theirs = primal_objective(Z, y, reference.coef_[0], reference.intercept_[0], C)
        assert ours <= theirs * (1 + 1e-9)
        assert solution.objective[j] == pytest.approx(ours, rel=1e-12)
        np.testing.assert_allclose(
            Z @ solution.coef[:, j] + solution.intercept[j],
            reference.predict(Z),
            rtol=0,
            atol=1e-4 * y.std(),
        )


@pytest.mark.parametrize("target", ["raw", "log"])
def test_solution_is_certified_on_scores_at_the_scale_of_images(rng, target):
    Z, Y = make_scores(rng, 373, 60, 20)
    Z *= np.sqrt(1e7 / 373)
    Y = np.log1p(Y) if target == "log" else Y
    solution = solve_svr(Z, Y)
    residual = Y - Z @ solution.coef - solution.intercept
    beyond = np.maximum(np.abs(residual) - 0.1, 0)
    dual = solution.dual
    assert np.all(solution.gap <= 1e-10 * solution.objective)
    # Optimality conditions: a trial clearly outside the tube is at its bound, one clearly inside
    # has no weight, and the weights add up to the coefficients.
    np.testing.assert_allclose(dual[beyond > 1e-6], np.sign(residual[beyond > 1e-6]), atol=1e-6)
    np.testing.assert_allclose(dual[np.abs(residual) < 0.1 - 1e-6], 0, atol=1e-6)
    np.testing.assert_allclose(dual.sum(axis=0), 0, atol=1e-8)
    assert np.abs(dual).max() <= 1
    scale = np.linalg.norm(Z, axis=0)[:, None]
    np.testing.assert_allclose(Z.T @ dual / scale, solution.coef / scale, atol=1e-9)


def test_cost_per_trial_equals_repeated_trials(rng):
    Z, Y = make_scores(rng, 80, 12, 3)
    counts = rng.multinomial(80, np.full(80, 1 / 80))
    weighted = solve_svr(Z, Y, C=0.5 * counts)
    repeated = solve_svr(np.repeat(Z, counts, axis=0), np.repeat(Y, counts, axis=0), C=0.5)
    assert counts.max() > 2 and counts.min() == 0
    np.testing.assert_allclose(weighted.objective, repeated.objective, rtol=1e-11)
    np.testing.assert_allclose(weighted.coef, repeated.coef, atol=1e-5)
    np.testing.assert_allclose(weighted.intercept, repeated.intercept, atol=1e-5)
    np.testing.assert_array_equal(weighted.dual[counts == 0], 0)
    reference = fit_libsvm(Z, Y[:, 0], C=0.5, sample_weight=counts)
    np.testing.assert_allclose(weighted.coef[:, 0], reference.coef_[0], atol=1e-5)


@pytest.mark.parametrize("k", [0, 4])
def test_target_without_variance_gets_the_constant(rng, k):
    Z = rng.standard_normal((30, k))
    solution = solve_svr(Z, np.full((30, 2), 3.0))
    np.testing.assert_array_equal(solution.coef, np.zeros((k, 2)))
    np.testing.assert_allclose(solution.intercept, 3.0, rtol=1e-15)
    np.testing.assert_array_equal(solution.objective, 0)
    if k:
        assert fit_libsvm(Z, np.full(30, 3.0)).intercept_[0] == pytest.approx(3.0)


def test_target_within_the_tube_gets_the_middle_of_its_range(rng):
    solution = solve_svr(rng.standard_normal((4, 2)), np.array([[0.0, 0.02, 0.05, 0.1]]).T)
    np.testing.assert_allclose(solution.intercept, 0.05)
    np.testing.assert_array_equal(solution.coef, 0)


def test_interval_of_optimal_intercepts_gives_its_midpoint():
    # Two low and two high trials, no features: every intercept between the tubes costs the same.
    y = np.array([[0.0, 1.0, 5.0, 8.0]]).T
    for Z in (np.empty((4, 0)), np.zeros((4, 3))):
        solution = solve_svr(Z, y)
        np.testing.assert_allclose(solution.intercept, 3.0)
        np.testing.assert_array_equal(solution.coef, 0)
        np.testing.assert_allclose(solution.objective, 12 - 0.4)
    assert fit_libsvm(np.zeros((4, 1)), y[:, 0]).intercept_[0] == pytest.approx(3.0)


def test_unequal_costs_move_the_intercept_to_a_weighted_median():
    y = np.array([[0.0, 1.0, 5.0, 8.0]]).T
    solution = solve_svr(np.empty((4, 0)), y, C=np.array([3.0, 1.0, 1.0, 0.5]), epsilon=0.0)
    np.testing.assert_allclose(solution.intercept, 0.0, atol=1e-12)
    np.testing.assert_allclose(solution.objective, 1 + 5 + 4)


@pytest.mark.parametrize("scale", [1e-3, 1e-1, 1e1, 1e3])
@pytest.mark.parametrize("shape", [(40, 5), (20, 19), (20, 40)])
def test_any_scale_of_features_converges(rng, scale, shape):
    Z = rng.standard_normal(shape) * scale
    Y = np.maximum(0, np.round(5 * rng.standard_normal((shape[0], 20))))
    solution = solve_svr(Z, Y)
    assert np.all(solution.gap <= 1e-9 * solution.objective + 1e-13 * Y.std() * len(Y))


@pytest.mark.parametrize("case", ["integer features", "repeated rows", "binary", "zero columns"])
def test_ties_converge_to_the_optimum(rng, case):
    Z, Y = make_scores(rng, 100, 6, 20)
    if case == "integer features":
        Z = np.round(3 * Z)
    elif case == "repeated rows":
        Z, Y = np.repeat(Z, 2, axis=0), np.repeat(Y, 2, axis=0)
    elif case == "binary":
        Y = (Y > 5).astype(float)
    else:
        Z[:, 2:4] = 0
    solution = solve_svr(Z, Y)
    assert np.all(solution.gap <= 1e-10 * solution.objective)
    assert np.abs(solution.dual).max() <= 1
    np.testing.assert_allclose(solution.dual.sum(axis=0), 0, atol=1e-8)


def test_target_does_not_depend_on_the_others(rng):
    Z, Y = make_scores(rng, 120, 15, 100)
    together = solve_svr(Z, Y)
    for j in (0, 63, 64, 99):
        alone = solve_svr(Z, Y[:, [j]])
        np.testing.assert_allclose(alone.coef[:, 0], together.coef[:, j], rtol=0, atol=1e-7)
        np.testing.assert_allclose(alone.intercept[0], together.intercept[j], atol=1e-7)
        np.testing.assert_allclose(alone.objective[0], together.objective[j], rtol=1e-11)
    wild = Y.copy()
    wild[:, 1] = 1e4 * rng.standard_normal(120)
    np.testing.assert_allclose(solve_svr(Z, wild).coef[:, 0], together.coef[:, 0], atol=1e-7)


def test_same_call_gives_the_same_bytes(rng):
    Z, Y = make_scores(rng, 90, 10, 70)
    first, second = solve_svr(Z, Y), solve_svr(Z.copy(), Y.copy())
    assert first.coef.tobytes() == second.coef.tobytes()
    # Whole blocks may be cut from a longer list of targets without changing a byte.
    block = solve_svr(Z, Y[:, : svr.BLOCK_SIZE])
    assert block.coef.tobytes() == first.coef[:, : svr.BLOCK_SIZE].tobytes()


def test_another_rounding_gives_the_same_solution(rng):
    Z, Y = make_scores(rng, 300, 15, 400)
    rotation = np.linalg.qr(rng.standard_normal((15, 15)))[0]
    first, second = (solve_svr(features, Y) for features in (Z, Z @ rotation))
    predicted, again = (Z @ coef + solution.intercept for coef, solution in (
        (first.coef, first), (rotation @ second.coef, second)))  # fmt: skip
    # Far below the sixth digit, to which scores are written.
    np.testing.assert_allclose(predicted, again, rtol=0, atol=1e-10 * Y.std())


def test_shifted_and_scaled_problem_has_the_shifted_and_scaled_solution(rng):
    Z, Y = make_scores(rng, 60, 8, 3)
    plain = solve_svr(Z, Y)
    shifted = solve_svr(Z, Y + 1000)
    np.testing.assert_allclose(shifted.coef, plain.coef, atol=1e-6)
    np.testing.assert_allclose(shifted.intercept, plain.intercept + 1000, atol=1e-6)
    scaled = solve_svr(Z, 10 * Y, C=10.0, epsilon=1.0)
    np.testing.assert_allclose(scaled.coef, 10 * plain.coef, atol=1e-5)


def test_many_features_are_solved_without_the_table_of_pairs(rng, monkeypatch):
    Z, Y = make_scores(rng, 80, 12, 20)
    with_pairs = solve_svr(Z, Y)
    monkeypatch.setattr(svr, "MAX_BYTES_OF_PAIRS", 0)
    np.testing.assert_allclose(solve_svr(Z, Y).coef, with_pairs.coef, atol=1e-7)


def test_target_that_does_not_converge_is_an_error(rng, monkeypatch):
    Z, Y = make_scores(rng, 80, 12, 3)
    monkeypatch.setattr(svr, "MAX_ITERATIONS", 4)
    with pytest.raises(ArithmeticError, match=r"SVR of target 0 stopped at a duality gap of .*e"):
        solve_svr(Z, Y)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Y": np.zeros(6)}, r"Y \(6,\); expected \(n, k\) and \(n, n_targets\)"),
        ({"Y": np.zeros((5, 1))}, r"Z has shape \(6, 2\) and Y \(5, 1\)"),
        ({"C": np.ones(5)}, r"C has shape \(5,\); expected a number or \(6,\)"),
        ({"C": -1.0}, "C has negative"),
        ({"C": 0.0}, "only zero values"),
        ({"epsilon": -0.1}, "epsilon is -0.1; expected 0 or more"),
        ({"Y": np.full((6, 1), np.nan)}, "not finite"),
    ],
)
def test_bad_input_is_named(rng, change, message):
    arguments = {"Z": rng.standard_normal((6, 2)), "Y": rng.standard_normal((6, 1))} | change
    with pytest.raises(ValueError, match=message):
        solve_svr(**arguments)
