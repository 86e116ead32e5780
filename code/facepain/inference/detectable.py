"""The smallest effect that a model would have found: patterns planted into a mask's own images.

Scores permuted by block have nothing to do with the images. A pattern s is added to each standardised image in
proportion to its permuted score, which the Gram matrix shows without voxels:
K -> K + g [(X s) y' + y (X s)'] + g^2 |s|^2 y y'. The patterns have the covariance of the images (random sums of them):
a pattern of independent voxels would hardly be seen by principal components.
"""

from functools import partial

import numpy as np
import pandas as pd

from facepain.models.cross_validation import decompose_fold
from facepain.models.scores import pearson_r, skill
from facepain.parallel import map_in_processes, resample_rng

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
        if resampling.progress is not None:
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
