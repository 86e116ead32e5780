"""Compare models: p corrected for all of them, and paired differences over participants."""

from itertools import combinations

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from facepain.inference.intervals import jackknife_interval, score_without_each
from facepain.models.scores import METRICS, unit_columns
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
