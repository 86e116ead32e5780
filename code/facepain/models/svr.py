"""Exact linear support vector regression of many targets on one feature matrix."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, qr, solve, solve_triangular
from scipy.linalg.lapack import dpotrf, dpotrs

# Targets advance together in blocks of this fixed size, whatever the caller's workers do: BLAS may
# round a product differently when its shape changes, so equal blocks are what makes equal bytes.
BLOCK_SIZE = 64
# Products of feature pairs are shared by all targets; below this many targets, or above this many
# bytes, they cost more than they save.
MIN_TARGETS_FOR_PAIRS = 16
MAX_BYTES_OF_PAIRS = 2**28

MAX_ITERATIONS = 50
# Duality gap, relative to the objective, at which a target stops, and the one that its solution has
# to certify when it is computed afresh.
GAP_REACHED = 1e-12
GAP_CERTIFIED = 1e-9
# Gap that float64 cannot resolve, relative to the cost of a deviation of 1 SD in every trial: it
# counts where the fit is nearly perfect.
GAP_RESOLUTION = 1e-14
# Complementarity products of the first point, in SD of the target.
START_PRODUCT = 0.3
# Share of the longest feasible step that is taken.
SHARE_OF_STEP = 0.995
# No product falls below this share of the mean before the step: without it the products spread over
# many powers of ten and the last iterations drown in rounding.
CENTRALITY = 0.1

# How far a trial may be from the side of the tube that it was taken to be on, in SD of the target, or its dual variable
# beyond its limits, as a share of them, for the exact solution to hold; and how often sides are corrected.
TOLERATED = 1e-9
MAX_CORRECTIONS = 10

# Tried in turn where rounding leaves a matrix indefinite, relative to its diagonal.
RIDGES = (0, 1e-14, 1e-12, 1e-10)

# Trials above the regression push it up (alpha), trials below push it down (alpha*).
SIDES = np.array([1.0, -1.0])[:, None, None]


@dataclass(frozen=True)
class SVRSolution:
    """Optimal coefficients of each target, with their certificate."""

    coef: np.ndarray  # (k, n_targets) change in the target per unit of each feature
    intercept: np.ndarray  # (n_targets,) midpoint of the optimal intercepts where they form an interval
    dual: np.ndarray  # (n, n_targets) ``alpha - alpha*``, in [-C, C] and summing to 0; ``Z.T @ dual`` is `coef`
    objective: np.ndarray  # (n_targets,) value of the primal problem at `coef` and `intercept`
    gap: np.ndarray  # (n_targets,) objective minus the dual one, an upper bound of the distance to the optimum


@dataclass(frozen=True)
class _Problem:
    """Scaled problem: columns of mean square 1 and a constant, largest bound 1, targets of SD 1."""

    features: np.ndarray  # (n, k + 1), the last column is the intercept's
    pairs: np.ndarray | None  # (n, (k + 1)(k + 2) / 2) products of the features, lower triangle
    bound: np.ndarray  # (n,)
    target: np.ndarray  # (b, n)
    penalty: np.ndarray  # (b, k + 1), 0 for the intercept
    width: np.ndarray  # (b, 1), epsilon in units of the target


def solve_svr(Z, Y, C=1.0, epsilon=0.1):
    """Solve the linear epsilon-SVR of every column of `Y` on `Z`.

    Minimise ``|w|^2 / 2 + sum_i C_i max(0, |y_i - z_i'w - b| - epsilon)`` over ``w`` and ``b``, the
    problem of scikit-learn's ``SVR(kernel="linear")``.

    Parameters
    ----------
    Z : (n, k) array_like
        Features, for example principal component scores; any scale, ``k`` may be 0.
    Y : (n, n_targets) array_like
        Targets, each solved by itself.
    C : float or (n,) array_like, default 1.0
        Cost of each trial's error, not negative; a trial drawn m times has m times the cost.
    epsilon : float, default 0.1
        Half-width of the tube without cost, in units of `Y`.

    Returns
    -------
    SVRSolution

    Raises
    ------
    ValueError
        If shapes or values are not as above.
    ArithmeticError
        If the duality gap of a target stays above ``GAP_CERTIFIED`` of its objective.

    Notes
    -----
    Mehrotra's predictor-corrector interior-point method [1]_ on the dual of [2]_, as for quantile
    regression in [3]_: with one weight per trial, a step solves a system of ``k + 1`` unknowns, and
    the matrices of all targets are one product of the weights with the products of feature pairs.
    Each target stops by its own gap; the others in its block change only its last bits. Blocks of
    ``BLOCK_SIZE`` are cut from the columns of one call: the same call gives the same bytes in any
    thread or process. Each solution is then made exact given the trials that it has on the edges of
    the tube, so that other processors give the same numbers. Pass many targets at once, in whole
    blocks: what they share is made per call.

    References
    ----------
    .. [1] Mehrotra S (1992), SIAM J Optim 2:575-601; Nocedal & Wright (2006), ch. 14 and 16.
    .. [2] Smola AJ, Schoelkopf B (2004), Stat Comput 14:199-222.
    .. [3] Portnoy S, Koenker R (1997), Stat Sci 12:279-300.
    """
    Z, Y, C = _validate(Z, Y, C, epsilon)
    used = C > 0
    features, targets, bound = Z[used], np.ascontiguousarray(Y[used].T), C[used]
    coef, signed = np.zeros((Y.shape[1], Z.shape[1])), np.zeros(targets.shape)
    # A target that fits into the tube costs nothing without features; its scale could be 0.
    wide = np.ptp(targets, axis=1) > 2 * epsilon
    if wide.any():
        coef[wide], signed[wide] = _solve_scaled(features, targets[wide], bound, epsilon)
    residual = targets - coef @ features.T
    intercept = _optimal_intercepts(residual, bound, epsilon)
    loss = np.maximum(np.abs(residual - intercept[:, None]) - epsilon, 0) @ bound
    objective = (coef**2).sum(axis=1) / 2 + loss
    # The dual variables sum to 0: taking the intercept off the targets saves digits.
    gap = objective - np.einsum("bi,bi->b", targets - intercept[:, None], signed)
    gap += epsilon * np.abs(signed).sum(axis=1) + ((signed @ features) ** 2).sum(axis=1) / 2
    allowed = GAP_CERTIFIED * objective + GAP_RESOLUTION * targets.std(axis=1) * bound.sum()
    if not np.all(gap <= allowed):
        worst = np.argmax(~(gap <= allowed))
        raise ArithmeticError(
            f"SVR of target {worst} stopped at a duality gap of {gap[worst]:.1e}; expected at most "
            f"{allowed[worst]:.1e}: check Z and C for values many powers of ten apart"
        )
    dual = np.zeros(Y.shape)
    dual[used] = signed.T
    return SVRSolution(coef.T, intercept, dual, objective, gap)


def _validate(Z, Y, C, epsilon):
    """Return `Z`, `Y` and per-trial `C` as float64 arrays that fit together."""
    Z, Y = np.asarray(Z, dtype=np.float64), np.asarray(Y, dtype=np.float64)
    if Z.ndim != 2 or Y.ndim != 2 or len(Z) != len(Y):
        raise ValueError(
            f"Z has shape {Z.shape} and Y {Y.shape}; expected (n, k) and (n, n_targets): give one row per trial in both"
        )
    C = np.asarray(C, dtype=np.float64)
    if C.ndim and C.shape != (len(Z),):
        raise ValueError(f"C has shape {C.shape}; expected a number or ({len(Z)},): one per trial")
    C = np.broadcast_to(C, len(Z))
    if not (np.isfinite(C).all() and (C >= 0).all() and (C > 0).any()):
        raise ValueError("C has negative, infinite or only zero values; expected costs above 0")
    if not epsilon >= 0:
        raise ValueError(f"epsilon is {epsilon}; expected 0 or more, in units of Y")
    if not (np.isfinite(Z).all() and np.isfinite(Y).all()):
        raise ValueError("Z or Y has values that are not finite; expected numbers: drop the trials")
    return Z, Y, C


def _solve_scaled(Z, y, bound, epsilon):
    """Return coefficients (n_targets, k) and dual variables (n_targets, n) of wide targets."""
    norm = np.sqrt((Z**2).mean(axis=0))
    norm[norm == 0] = 1
    features = np.column_stack([Z / norm, np.ones(len(Z))])
    top, spread = bound.max(), y.std(axis=1, keepdims=True)
    y = (y - y.mean(axis=1, keepdims=True)) / spread
    penalty = np.append(1 / (top * norm**2), 0) * spread
    pairs = _feature_pairs(features) if len(y) >= MIN_TARGETS_FOR_PAIRS else None
    coef, dual = np.empty((len(y), Z.shape[1])), np.empty(y.shape)
    for first in range(0, len(y), BLOCK_SIZE):
        block = slice(first, first + BLOCK_SIZE)
        problem = _Problem(features, pairs, bound / top, y[block], penalty[block], epsilon / spread[block])
        theta, signed = _interior_point(problem)
        for row in range(len(theta)):
            theta[row], signed[row] = _solve_exactly(problem, row, theta[row], signed[row])
        coef[block] = theta[:, :-1] * spread[block] / norm
        dual[block] = np.clip(signed * top, -bound, bound)
    return coef, dual


def _solve_exactly(problem, row, theta, signed):
    """Return the optimum (k + 1,) near an interior point and its dual variables (n,); the point if it is not found.

    An interior point stops near the optimum. How near depends on rounding where the optimum is flat, which reached
    the sixth digit of a score. It still shows which trials lie on the tube's edge and on which side the others
    are, and given that the optimum solves linear equations.
    """
    point = theta, signed
    residual = problem.target[row] - problem.features @ theta
    side, beyond, share = np.sign(residual), np.abs(residual) - problem.width[row, 0], np.abs(signed) / problem.bound
    # At the optimum one of them is 0, the distance to the tube's edge or that of the dual variable to a limit.
    outside, inside = 1 - share < beyond, share < -beyond
    for _ in range(MAX_CORRECTIONS):
        solution = _solve_on_edges(problem, row, side, outside, inside)
        if solution is None:
            break
        theta, signed = solution
        residual = problem.target[row] - problem.features @ theta
        side = np.where(inside, np.sign(residual), side)
        beyond, share = side * residual - problem.width[row, 0], side * signed / problem.bound
        edge = ~(outside | inside)
        to_edge = (outside & (beyond < -TOLERATED)) | (inside & (beyond > TOLERATED))
        to_inside, to_outside = edge & (share < -TOLERATED), edge & (share > 1 + TOLERATED)
        if not (to_edge | to_inside | to_outside).any():
            return theta, signed
        outside, inside = (outside & ~to_edge) | to_outside, (inside & ~to_edge) | to_inside
    return point


def _solve_on_edges(problem, row, side, outside, inside):
    """Solve the optimum's equations given which trials lie outside, inside and on the edge; None if that fails.

    Every point on the edges is ``along + across @ free``, with a smaller system for ``free`` (null-space method,
    Nocedal & Wright 2006, section 16.2).
    """
    X, penalty, edge = problem.features, problem.penalty[row], ~(outside | inside)
    if not 0 < edge.sum() <= X.shape[1]:
        return None
    signed = np.where(outside, side * problem.bound, 0.0)
    pull = signed @ X
    Q, R = qr(X[edge].T)
    Q, across, R = Q[:, : edge.sum()], Q[:, edge.sum() :], R[: edge.sum()]
    try:
        along = Q @ solve_triangular(R, (problem.target[row] - side * problem.width[row, 0])[edge], trans="T")
        if across.shape[1]:
            curvature = across.T @ (penalty[:, None] * across)
            along += across @ solve(curvature, across.T @ (pull - penalty * along), assume_a="pos")
        signed[edge] = solve_triangular(R, Q.T @ (penalty * along - pull))
    except LinAlgError:
        return None
    return along, signed


def _feature_pairs(features):
    """Return the products of all pairs of columns, or None if they are too many to hold."""
    n, k = features.shape
    if 8 * n * k * (k + 1) // 2 > MAX_BYTES_OF_PAIRS:
        return None
    return np.hstack([features[:, [i]] * features[:, : i + 1] for i in range(k)])


def _optimal_intercepts(residual, bound, epsilon):
    """Return the midpoint of each row's optimal intercepts, given its coefficients.

    The loss is piecewise linear in the intercept; its slope rises by a trial's cost where the trial
    enters and where it leaves the tube, from minus to plus the total: a weighted median.
    """
    breaks = np.concatenate([residual - epsilon, residual + epsilon], axis=1)
    order = np.argsort(breaks, axis=1, kind="stable")
    breaks = np.take_along_axis(breaks, order, axis=1)
    rise = np.cumsum(np.tile(bound, 2)[order], axis=1)
    rounding = 1e-12 * bound.sum()
    low = np.argmax(rise >= bound.sum() - rounding, axis=1)
    high = np.argmax(rise > bound.sum() + rounding, axis=1)
    rows = np.arange(len(breaks))
    return (breaks[rows, low] + breaks[rows, high]) / 2


@dataclass
class _Point:
    """Iterate of a block; pairs of sides are trials above and below the regression."""

    theta: np.ndarray  # (b, k + 1)
    alpha: np.ndarray  # (2, b, n), from 0 to the bound
    room: np.ndarray  # (2, b, n), the bound minus alpha
    surplus: np.ndarray  # (2, b, n), multiplier of alpha >= 0: distance to the tube's edge inside
    slack: np.ndarray  # (2, b, n), multiplier of room >= 0: distance to the tube's edge outside

    def select(self, rows):
        """Return the point of some targets of the block."""
        sides = (self.alpha, self.room, self.surplus, self.slack)
        return _Point(self.theta[rows], *(side[:, rows] for side in sides))


def _interior_point(problem):
    """Return (b, k + 1) coefficients and (b, n) dual variables of a block of scaled targets."""
    point = _centred_start(problem)
    theta, signed = np.empty_like(point.theta), np.empty_like(problem.target)
    least_gap, active = np.full(len(theta), np.inf), np.arange(len(theta))
    for _ in range(MAX_ITERATIONS):
        penalty, dual = problem.penalty[active], point.alpha[0] - point.alpha[1]
        mismatch = penalty * point.theta - dual @ problem.features
        products = np.einsum("sbi,sbi->b", point.alpha, point.surplus)
        products += np.einsum("sbi,sbi->b", point.room, point.slack)
        spare = np.minimum(point.surplus, point.slack).sum(axis=0) @ problem.bound
        objective = (penalty * point.theta**2).sum(axis=1) / 2 - spare
        objective += point.slack.sum(axis=0) @ problem.bound
        gap = products - spare + np.abs(mismatch[:, -1])
        gap += (mismatch[:, :-1] ** 2 / penalty[:, :-1]).sum(axis=1) / 2
        better = gap < least_gap[active]
        rows = active[better]
        least_gap[rows], theta[rows], signed[rows] = gap[better], point.theta[better], dual[better]
        todo = gap > GAP_REACHED * objective + GAP_RESOLUTION * problem.bound.sum() / 100
        if not todo.any():
            break
        if not todo.all():
            active, point = active[todo], point.select(todo)
            mismatch, products, penalty = mismatch[todo], products[todo], penalty[todo]
        _advance(problem, point, penalty, mismatch, products / (4 * len(problem.bound)))
    return theta, signed


def _centred_start(problem):
    """Return the point of equal complementarity products at the penalised least-squares fit."""
    X = problem.features
    factors = _factorise(problem, np.ones_like(problem.target), problem.penalty)
    theta = _solve(factors, problem.target @ X)
    outside = SIDES * (problem.target - theta @ X.T) - problem.width
    half = problem.bound / 2
    # alpha = half + shift solves mu / (bound - alpha) - mu / alpha = outside.
    shift = outside * half**2 / (START_PRODUCT + np.sqrt(START_PRODUCT**2 + (outside * half) ** 2))
    alpha, room = half + shift, half - shift
    return _Point(theta, alpha, room, START_PRODUCT / alpha, START_PRODUCT / room)


def _advance(problem, point, penalty, mismatch, mu):
    """Move `point` by one predictor-corrector step, in place."""
    per_alpha, per_room = 1 / point.alpha, 1 / point.room
    keep_alpha, keep_room = point.surplus * per_alpha, point.slack * per_room
    ease = 1 / (keep_alpha + keep_room)
    lean = point.slack - point.surplus
    factors = _factorise(problem, ease.sum(axis=0), penalty)

    def direction(push):
        pushed = ease * push
        step = _solve(factors, (pushed[0] - pushed[1]) @ problem.features - mismatch)
        return step, pushed - SIDES * (step @ problem.features.T) * ease

    _, step = direction(lean)
    rise, fall = step * per_alpha, step * per_room
    feasible = np.minimum(*_lengths(1.0, rise, fall, -1 - rise, -1 + fall))
    centre = ((1 - feasible) ** 3 * mu)[:, None]
    pull_alpha = centre * per_alpha + point.surplus * rise * (1 + rise)
    pull_room = centre * per_room + point.slack * fall * (fall - 1)
    theta_step, step = direction(lean + pull_alpha - pull_room)
    surplus_step = pull_alpha - point.surplus - keep_alpha * step
    slack_step = pull_room - point.slack + keep_room * step
    rise, fall = step * per_alpha, step * per_room
    dual, primal = _lengths(SHARE_OF_STEP, rise, fall, surplus_step / point.surplus, slack_step / point.slack)
    point.theta += primal[:, None] * theta_step
    point.alpha += dual[:, None] * step
    point.room -= dual[:, None] * step
    point.surplus += primal[:, None] * surplus_step
    point.slack += primal[:, None] * slack_step
    # Only their difference is tied to the residual: what both gain keeps the products balanced.
    floor = CENTRALITY * mu[:, None] / problem.bound
    gain = np.maximum(floor - np.minimum(point.surplus, point.slack), 0)
    point.surplus += gain
    point.slack += gain


def _lengths(share, rise, fall, surplus_rate, slack_rate):
    """Return each target's dual and primal step: at most 1 and `share` of the way to a bound."""
    decreases = np.maximum(-rise, fall), np.maximum(-surplus_rate, -slack_rate)
    return [np.minimum(1, share / np.maximum(each.max(axis=(0, 2)), 1e-9)) for each in decreases]


def _factorise(problem, weights, penalty):
    """Return the Cholesky factors of ``X' diag(weights) X + diag(penalty)``, one per target."""
    X = problem.features
    b, k = penalty.shape
    if problem.pairs is None:
        matrices = (X.T * weights[:, None, :]) @ X
    else:
        matrices = np.empty((b, k, k))
        rows, columns = np.tril_indices(k)
        matrices.reshape(b, k * k)[:, rows * k + columns] = weights @ problem.pairs
    matrices[:, range(k), range(k)] += penalty
    for row, matrix in enumerate(matrices):
        for ridge in RIDGES:
            if ridge:
                matrix[:] = (X.T * weights[row]) @ X + np.diag(penalty[row])
                matrix[range(k), range(k)] *= 1 + ridge
            # LAPACK reads columns first: the lower triangle in rows is its upper one.
            _, failed = dpotrf(matrix.T, lower=0, clean=0, overwrite_a=1)
            if not failed:
                break
    return matrices


def _solve(factors, right_sides):
    """Return the solution of each factorised system."""
    return np.stack([dpotrs(factor.T, side, lower=0)[0] for factor, side in zip(factors, right_sides, strict=True)])
