"""Permutation test of a cross-validated score.

Each null score comes from the whole cross-validation with permuted scores, fitted by the solver that
gave the observed one. The components of a fold do not depend on the scores, so a batch of
permutations costs a few matrix products. p = (1 + #{null >= score}) / (1 + n), of which the smallest
is 1 / (1 + n): Phipson & Smyth 2010, doi 10.2202/1544-6115.1585. Exchangeability within and between
blocks: Winkler et al. 2015, doi 10.1016/j.neuroimage.2015.05.092.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from errors import InputError
from facepain.models.scores import pearson_r, r2
from facepain.parallel import resample_rng
from files.rounding import round_significant

METRICS = {"r2": r2, "pearson_r": pearson_r}
QUANTILES = (0.025, 0.05, 0.5, 0.95, 0.975)
BATCH_SIZE = 256  # a multiple of the SVR solver's blocks

FIRST_TRIAL = "The first trial of each run tends to a higher score, which strains this exchangeability."
NULL_HYPOTHESES = {
    "within": (
        "Given the participant, a trial's score has nothing to do with its image: the trials of one "
        "participant are exchangeable. Differences between participants stay in the null. "
    )
    + FIRST_TRIAL,
    "block": (
        "Scores have nothing to do with images, between or within participants: participants with "
        "equally many trials are exchangeable as wholes, and so are the trials of one participant. "
        "A participant whose number of trials is unique keeps their scores, permuted within. "
    )
    + FIRST_TRIAL,
    "free": (
        "Scores have nothing to do with images and all trials are exchangeable, which holds only "
        "where trials of one participant are no more alike than those of two."
    ),
    "participant": (
        "A participant's label has nothing to do with their images: participants are exchangeable, "
        "each with all of their trials."
    ),
}


@dataclass(frozen=True)
class PermutationTest:
    """Hold one entry of permutation.json; all numbers have the 6 digits that are written.

    Attributes
    ----------
    scheme, metric : str
    score : float
        Mean over folds of the observed scores.
    null_scores : tuple of float
        The same for each permutation, in the order of their indices.
    p : float
        (1 + number of null scores at or above the score) / (1 + n).
    n, n_fixed : int
        Permutations; participants whose scores no permutation moves between participants
        (``block``), or at all (``within``).
    null_mean : float
    null_quantiles : dict of float
        Keyed by the probability.
    null_hypothesis : str
    """

    scheme: str
    metric: str
    score: float
    null_scores: tuple
    p: float
    n: int
    n_fixed: int
    null_mean: float
    null_quantiles: dict
    null_hypothesis: str


def applicable_schemes(groups):
    """Return the schemes that differ for these participants; the first is the default.

    ``within`` needs a participant with two trials, ``block`` also two participants with equally
    many. With one trial for everybody ``free`` alone is left.
    """
    n_trials = np.unique(groups, return_counts=True)[1]
    if n_trials.max() == 1:
        return ["free"]
    equal_sizes = len(np.unique(n_trials)) < len(n_trials)
    return ["within", "block", "free"] if equal_sizes else ["within", "free"]


def permute_trials(groups, scheme, rng):
    """Draw one permutation of the trials.

    Parameters
    ----------
    groups : (n_trials,) array_like
        Participant of every trial.
    scheme : {"within", "block", "free"}
        ``within`` permutes the trials of each participant. Null hypothesis: given the participant,
        scores and images are unrelated; exchangeable are the trials of one participant.
        ``block`` exchanges whole participants with equally many trials, then permutes within. Null
        hypothesis: scores and images are unrelated; exchangeable are such participants, and the
        trials of one. ``free`` permutes all trials, exchangeable without participant effects only.
        The higher first trial of each run strains ``within`` and ``block``.
    rng : Generator

    Returns
    -------
    order : (n_trials,) ndarray of int
        Trial i gets the score of trial ``order[i]``.
    """
    return _TrialPermuter(groups, scheme).draw(rng)


def permute_participant_labels(labels, groups, rng):
    """Permute labels between participants, each with all of their trials.

    Parameters
    ----------
    labels : (n_trials,) array_like
        The same for all trials of a participant.
    groups : (n_trials,) array_like
        Participant of every trial.
    rng : Generator

    Returns
    -------
    labels : (n_trials,) ndarray
        Null hypothesis: label and images are unrelated; participants are exchangeable.
    """
    labels = np.asarray(labels)
    _, first, index = np.unique(groups, return_index=True, return_inverse=True)
    if np.any(labels[first][index] != labels):
        raise ValueError("a participant has two labels: give one label to all of their trials")
    return rng.permutation(labels[first])[index]


def permutation_test(folds, y, groups, model, scheme, resampling):
    """Test the mean over folds of the cross-validated r2 and Pearson's r.

    Parameters
    ----------
    folds : list of Fold
        As from `prepare_folds` with the same model.
    y : (n_trials,) array_like
    groups : (n_trials,) array_like
    model : PCARegression
    scheme : {"within", "block", "free"}
        See `permute_trials`.
    resampling : Resampling

    Returns
    -------
    tests : list of PermutationTest
        One for each metric. Folds that test fewer than two trials have no score and are left out
        of the means.
    """
    y = np.asarray(y, float)
    permuter = _TrialPermuter(groups, scheme)

    def score_batch(indices):
        orders = [permuter.draw(resample_rng(resampling.seed, index)) for index in indices]
        return _mean_scores(folds, y[np.array(orders).T], model)

    observed = _mean_scores(folds, y[:, None], model)[:, 0]
    null = np.hstack(list(resampling.run(score_batch, BATCH_SIZE)))
    return [
        summarize_null(scheme, metric, observed[row], null[row], permuter.n_fixed) for row, metric in enumerate(METRICS)
    ]


def summarize_null(scheme, metric, score, null_scores, n_fixed=0):
    """Round a score and its null scores as they are written, then compare them.

    Parameters
    ----------
    scheme : str
        A key of ``NULL_HYPOTHESES``.
    metric : str
    score : float
    null_scores : (n,) array_like
    n_fixed : int, default 0

    Returns
    -------
    test : PermutationTest
    """
    score, null = round_significant(score), round_significant(null_scores)
    return PermutationTest(
        scheme=scheme,
        metric=metric,
        score=score,
        null_scores=tuple(null.tolist()),
        p=round_significant((1 + np.sum(null >= score)) / (1 + len(null))),
        n=len(null),
        n_fixed=n_fixed,
        null_mean=round_significant(null.mean()),
        null_quantiles={
            str(q): float(value)
            for q, value in zip(QUANTILES, round_significant(np.quantile(null, QUANTILES)), strict=True)
        },
        null_hypothesis=NULL_HYPOTHESES[scheme],
    )


class _TrialPermuter:
    """Draw permutations of one scheme; what all draws share is worked out once."""

    def __init__(self, groups, scheme):
        if scheme not in ("within", "block", "free"):
            raise ValueError(f"scheme {scheme!r} is unknown: use 'within', 'block' or 'free'")
        _, index = np.unique(groups, return_inverse=True)
        self._participant = np.zeros_like(index) if scheme == "free" else index
        n_trials = np.bincount(self._participant)
        sizes = [np.flatnonzero(n_trials == size) for size in np.unique(n_trials)]
        self._exchangeable = [members for members in sizes if scheme == "block" and len(members) > 1]
        # Trials sorted by participant: the slots that permuted trials are dealt into.
        self._slots = np.argsort(self._participant, kind="stable")
        self.n_fixed = {
            "within": int(np.sum(n_trials == 1)),
            "block": sum(len(members) for members in sizes if len(members) == 1),
            "free": 0,
        }[scheme]

    def draw(self, rng):
        """Return the trial whose score each trial gets."""
        destination = np.arange(self._participant.max() + 1)
        for members in self._exchangeable:
            destination[members] = rng.permutation(members)
        order = np.empty(len(self._slots), dtype=int)
        # Sorting random keys within participants shuffles all of them at once.
        keys = rng.random(len(self._slots))
        order[self._slots] = np.lexsort((keys, destination[self._participant]))
        return order


def _mean_scores(folds, Y, model):
    """Return the scores of every column of Y, averaged over folds (n_metrics, n_targets)."""
    scores = []
    for fold in folds:
        if len(fold.test_idx) > 1:
            y_pred = fold.predict(Y, model)
            scores.append([metric(Y[fold.test_idx], y_pred) for metric in METRICS.values()])
    if not scores:
        raise InputError("no fold tests two trials or more, so that none has a score: use group-kfold with fewer folds")
    return np.mean(scores, axis=0)


TEST_COLUMNS = {
    "scheme": "what is permuted; see null_hypothesis",
    "metric": "score tested",
    "score": "observed score, mean over folds",
    "p": "(1 + number of null scores at or above the score) / (1 + n)",
    "null_mean": "mean of the null scores: what the score is worth without the effect tested",
    **{f"null_quantile_{q}": f"{q} quantile of the null scores" for q in QUANTILES},
    "n": "permutations; their scores are in permutation.json",
    "n_fixed": "participants whose scores no permutation moves (within), or moves to another participant (block)",
    "null_hypothesis": "what is tested, and what is taken as exchangeable",
}


def tests_table(tests):
    """List permutation tests without their null scores.

    Parameters
    ----------
    tests : list of PermutationTest

    Returns
    -------
    table : DataFrame
        With the columns of `TEST_COLUMNS`.
    """
    rows = []
    for test in tests:
        quantiles = {f"null_quantile_{q}": value for q, value in test.null_quantiles.items()}
        row = {"scheme": test.scheme, "metric": test.metric, "score": test.score, "p": test.p}
        counts = {"n": test.n, "n_fixed": test.n_fixed, "null_hypothesis": test.null_hypothesis}
        rows.append(row | {"null_mean": test.null_mean} | quantiles | counts)
    return pd.DataFrame(rows)
