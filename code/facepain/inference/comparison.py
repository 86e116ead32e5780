"""Compare models: p corrected for all, paired differences over participants, and the smallest effects that each finds.

For the last patterns are planted into a mask's own images. Scores permuted by block have nothing to do with these. A
pattern s is added to each standardised image in proportion to its permuted score, which the Gram matrix shows without
voxels: K -> K + g [(X s) y' + y (X s)'] + g^2 |s|^2 y y'. The patterns have the covariance of the images (random sums
of them): a pattern of independent voxels would hardly be seen by principal components.
"""

from functools import partial
from itertools import combinations

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from facepain.inference.intervals import jackknife_interval, score_without_each
from facepain.models.cross_validation import decompose_fold
from facepain.models.scores import METRICS, pearson_r, skill, unit_columns
from facepain.parallel import map_in_processes, resample_rng
from files.rounding import round_significant

PAIR_METRICS = ("skill", "pearson_r")
CELL_COLUMNS = {
    "mask": "mask of the images",
    "algorithm": "regression on the principal components",
    "estimate_of": "published: mean over the folds of the published scheme; lopo: leave-one-participant-out, pooled",
    "scheme": "what is permuted; see permutation.tsv of the model",
    "metric": "score tested",
    "score": "observed score",
    "p": "(1 + null scores at or above the score) / (1 + n)",
    "p_familywise": "(1 + permutations whose largest null score over models reaches the score) / (1 + n_familywise)",
    "n_familywise": "permutations that every model of the scheme has",
}
PAIR_COLUMNS = {
    "a": "mask and algorithm of one model",
    "b": "of the other: another mask with the same algorithm, or another algorithm with the same mask",
    "metric": "score of all leave-one-participant-out predictions together",
    "difference": "score of a minus score of b",
    "low": "lower end of the 95 % interval over participants, who are left out of both models' scores at once",
    "high": "upper end of the interval",
    "p": "two-sided, by exchanging the two models' predictions of whole participants, standardised for pearson_r",
    "p_corrected": "the same, Holm-corrected over all pairs of the metric",
    "n_participants": "participants tested",
}


def familywise_table(tests):
    """Correct the p of every model for the number of models, by the largest null score of each permutation.

    Tests are entries of ``permutation.json`` with ``mask`` and ``algorithm``; permutation b must be the same in all
    models of a scheme. Each estimate and scheme is a family. Westfall & Young 1993; for permutation tests Nichols &
    Holmes 2002, doi 10.1002/hbm.1058. Correlations only: the nulls of r2 differ too much between models to be compared.
    """
    families = {}
    for test in tests:
        if test["metric"] == "pearson_r":
            families.setdefault((test["estimate_of"], test["scheme"]), []).append(test)
    rows = []
    for family in families.values():
        n = min(test["n"] for test in family)
        largest = np.max([test["null_scores"][:n] for test in family], axis=0)
        for test in family:
            p = (1 + np.sum(largest >= test["score"])) / (1 + n)
            rows.append({**test, "p_familywise": round_significant(p), "n_familywise": n})
    return pd.DataFrame(rows, columns=list(CELL_COLUMNS))


def pairs_table(predicted, resampling):
    """Compare models, given by (mask, algorithm), that differ in one of the two only; all predict the same trials."""
    pairs = [(a, b) for a, b in combinations(predicted, 2) if (a[0] == b[0]) != (a[1] == b[1])]
    if not pairs:
        return pd.DataFrame(columns=list(PAIR_COLUMNS))
    n = len(next(iter(predicted.values())).participants)
    exchanged = np.random.default_rng(resampling.seed).integers(2, size=(resampling.n, n))
    scored = {name: score_without_each(own) for name, own in predicted.items()}
    rows = []
    for a, b in pairs:
        null = _exchange(predicted[a], predicted[b], exchanged)
        for metric in PAIR_METRICS:
            difference, without = (x[metric] - y[metric] for x, y in zip(scored[a], scored[b], strict=True))
            low, high = jackknife_interval(difference, without.to_numpy())
            # Exchanging everybody gives the observed difference again, but for rounding.
            p = (1 + np.sum(np.abs(null[metric]) >= abs(difference) * (1 - 1e-9))) / (1 + resampling.n)
            rows.append((" ".join(a), " ".join(b), metric, difference, low, high, p, np.nan, n))
    table = pd.DataFrame(rows, columns=list(PAIR_COLUMNS))
    for metric in PAIR_METRICS:
        of_metric = table["metric"] == metric
        table.loc[of_metric, "p_corrected"] = multipletests(table.loc[of_metric, "p"], method="holm")[1]
    return table


def _exchange(a, b, exchanged):
    """Return the differences in score after exchanging predictions, where (n_draws, n_participants) has a 1."""
    taken = exchanged.astype(bool)[:, np.unique(a.groups, return_inverse=True)[1]].T
    y, baseline = np.broadcast_to(a.y_true[:, None], taken.shape), a.baseline[:, None]
    differences = {}
    for name in PAIR_METRICS:
        # A correlation knows neither offset nor scale: what differs between models in these is not to be exchanged.
        one, two = (unit_columns(each.y_pred) if name == "pearson_r" else each.y_pred for each in (a, b))
        first, second = (np.where(taken, x[:, None], z[:, None]) for x, z in ((two, one), (one, two)))
        differences[name] = METRICS[name](y, first, baseline) - METRICS[name](y, second, baseline)
    return differences


POWER = 0.8
ALPHA = 0.05
DETECTABLE_COLUMNS = {
    "mask": "mask of the images",
    "algorithm": "regression on the principal components",
    "effect": "correlation of the score with the expression of the planted pattern alone, over trials",
    "power": "share of the planted studies in which the cross-validated correlation has p <= 0.05 under the block null",
    "skill": "mean skill of the model in these studies, over folds",
    "n": "planted studies; fewer than asked for where too many had missed the pattern for a power of 80 %",
}


def draw_pattern(gram, rng):
    """Draw a random sum of the centred images; return its dot product (n_trials,) with each, and its squared length."""
    dual = rng.standard_normal(len(gram))
    dual -= dual.mean()
    expression = gram @ dual
    return expression, dual @ expression


def plant(gram, expression, length2, y, effect):
    """Return the Gram matrix of images to which a pattern of `draw_pattern` was added in proportion to a score.

    The effect, below 1, is the correlation of the score with the expression of the pattern in the planted images, where
    the two are uncorrelated before.
    """
    y = y - y.mean()
    strength = effect / np.sqrt(1 - effect**2) * expression.std() / (length2 * y.std())
    cross = np.outer(strength * expression, y)
    return gram + cross + cross.T + strength**2 * length2 * np.outer(y, y)


def detectable_table(gram, y, permuter, splits, models, effects, resampling, confounds=None):
    """Find the smallest effect that each algorithm would have shown with 80 % power.

    ``gram`` is of images standardised each by itself, ``permuter`` the `TrialPermuter` of block, ``models`` are a
    PCARegression and the correlation above which p is at most 0.05, by algorithm; effects rise. Confounds (n_trials,
    n_confounds) are removed from images and scores inside every fold; y is without them already. ``resampling.n``
    studies are planted for each effect that the search looks at, which gets a row: power grows with the effect, so that
    halving the list finds the smallest that reaches `POWER`.
    """
    looked_at = {}
    critical = np.array([limit for _, limit in models.values()])

    def study(effect, index):
        """Return the correlation and the skill of every model, averaged over folds, in one planted study."""
        rng, scores = resample_rng(resampling.seed, index), []
        permuted = y[permuter.draw(rng)]
        K = plant(gram, *draw_pattern(gram, rng), permuted, effect)
        for train_idx, test_idx in splits:
            if len(test_idx) < 2:
                continue
            fold = decompose_fold(K, (train_idx, test_idx), next(iter(models.values()))[0], confounds)
            left = fold.residual(permuted)
            observed, baseline = left[test_idx], left[train_idx].mean()
            predicted = [fold.predict(permuted[:, None], model)[:, 0] for model, _ in models.values()]
            scores.append([(pearson_r(observed, y_pred), skill(observed, y_pred, baseline)) for y_pred in predicted])
        return np.mean(scores, axis=0)

    def look(effect):
        if effect in looked_at:
            return
        done = []
        for scores in map_in_processes(partial(study, effect), range(resampling.n), resampling.n_jobs):
            done.append(scores)
            # Once too many studies of every algorithm have missed it, the others cannot change that.
            if np.all(np.sum(np.array(done)[:, :, 0] <= critical, axis=0) > (1 - POWER) * resampling.n + 1e-9):
                break
        looked_at[effect] = np.array(done)
        resampling.progress(1)

    for column in range(len(models)):
        low, high = 0, len(effects) - 1
        while low <= high:
            middle = (low + high) // 2
            look(effects[middle])
            enough = np.sum(looked_at[effects[middle]][:, column, 0] > critical[column]) >= POWER * resampling.n - 1e-9
            low, high = (low, middle - 1) if enough else (middle + 1, high)
    rows = [
        (algorithm, effect, np.mean(scores[:, column, 0] > critical[column]), scores[:, column, 1].mean(), len(scores))
        for column, algorithm in enumerate(models)
        for effect, scores in sorted(looked_at.items())
    ]
    return pd.DataFrame(rows, columns=list(DETECTABLE_COLUMNS)[1:])


def critical_score(null_scores):
    """Return the null score that a score must exceed to have p <= 0.05, infinite if there are too few."""
    null = np.sort(null_scores)[::-1]
    allowed = int(np.floor(ALPHA * (1 + len(null)) + 1e-9)) - 1
    return null[allowed] if 0 <= allowed < len(null) else np.inf
