"""Permutation test of a cross-validated score.

Each null score comes from the whole cross-validation with permuted scores, fitted by the solver that gave the observed
one; the components of a fold do not depend on the scores, so a batch of permutations costs a few matrix products. p =
(1 + #{null >= score}) / (1 + n): Phipson & Smyth 2010, doi 10.2202/1544-6115.1585. Exchangeability within and between
blocks: Winkler et al. 2015, doi 10.1016/j.neuroimage.2015.05.092.
"""

import numpy as np

from errors import InputError
from facepain.models.scores import METRICS, constant_within
from facepain.parallel import resample_rng
from files.rounding import round_significant

QUANTILES = (0.025, 0.05, 0.5, 0.95, 0.975)
BATCH_SIZE = 256  # a multiple of the SVR solver's blocks

FIRST_TRIAL = "Where trials differ by their place, such as the first of each run, this holds only approximately."
STRATIFIED = "Trials are exchanged with trials of their kind only (first of a run, or not)."
NULL_HYPOTHESES = {
    "within": "Given the participant, a trial's score has nothing to do with its image: the trials of one participant "
    f"are exchangeable. Differences between participants stay in the null. {FIRST_TRIAL}",
    "block": "Scores have nothing to do with images, between or within participants: participants with equally many "
    "trials are exchangeable as wholes, and so are the trials of one participant. A participant whose number of "
    f"trials is unique keeps their scores, permuted within. {FIRST_TRIAL}",
    "free": "Scores have nothing to do with images and all trials are exchangeable, which holds only where trials of "
    "one participant are no more alike than those of two.",
    "participant": "A participant's label has nothing to do with their images: participants are exchangeable, each "
    "with all of their trials.",
}


def applicable_schemes(groups, y=None):
    """Return the schemes that change something for these participants; the first is the default.

    ``within`` needs a participant with two trials of different scores (where all are constant within participants, as
    an age is, it changes nothing), ``block`` two participants with equally many trials, more than one. ``free`` always
    applies: with one trial a participant it exchanges whole participants.
    """
    n_trials = np.unique(groups, return_counts=True)[1]
    if n_trials.max() == 1:
        return ["free"]
    schemes = []
    if y is None or not constant_within(groups, y).all():
        schemes.append("within")
    if len(np.unique(n_trials)) < len(n_trials):
        schemes.append("block")
    return [*schemes, "free"]


def scheme_of_people(groups):
    """Return the scheme that exchanges whole participants: ``free`` where each has one trial."""
    return "free" if len(np.unique(groups)) == len(groups) else "block"


def choose_schemes(asked, groups, y):
    """Return those of the schemes asked for that apply; the default one if none does."""
    applicable = applicable_schemes(groups, y)
    return [scheme for scheme in asked if scheme in applicable] or applicable[:1]


def permutation_test(folds, y, groups, model, scheme, resampling, estimate_of="published", strata=None):
    """Test the cross-validated r2, Pearson's r and skill by a scheme of `TrialPermuter`; return the entry of each.

    ``published`` averages scores over folds that test more than one trial. ``lopo`` scores the predictions of all folds
    together, which is what few trials a fold allow.
    """
    y = np.asarray(y, float)
    permuter = TrialPermuter(groups, scheme, strata)
    observed = SCORERS[estimate_of](folds, y[:, None], model)[:, 0]
    null = permuter.null_scores(lambda Y: SCORERS[estimate_of](folds, Y, model), y, resampling, BATCH_SIZE)
    n_fixed = permuter.n_fixed(y)
    tests = [
        summarize_null(scheme, metric, observed[row], null[row], n_fixed, estimate_of)
        for row, metric in enumerate(METRICS)
    ]
    if strata is not None and len(np.unique(strata)) > 1:
        for test in tests:
            test["null_hypothesis"] = test["null_hypothesis"].replace(FIRST_TRIAL, STRATIFIED)
    return tests


def tuned_permutation_test(tune, y, groups, schemes, resampling, estimate_of):
    """Test the cross-validated scores of tuned models; every permutation is tuned again.

    ``tune`` takes targets (n_trials, n_targets) and returns the folds that are tuned for each of them (`tune_folds`).
    Returns these folds and the tests.
    """
    permuters = [TrialPermuter(groups, scheme) for scheme in schemes]
    drawn = [permuter.draw_scores(y, resampling.seed, range(resampling.n)) for permuter in permuters]
    Y = np.hstack([y[:, None], *drawn])
    folds = tune(Y)
    scores = SCORERS[estimate_of](folds, Y, None)
    nulls = np.split(scores[:, 1:], len(schemes), axis=1)
    tests = [
        summarize_null(scheme, metric, scores[row, 0], null[row], permuter.n_fixed(y), estimate_of)
        for scheme, permuter, null in zip(schemes, permuters, nulls, strict=True)
        for row, metric in enumerate(METRICS)
    ]
    return folds, tests


def summarize_null(scheme, metric, score, null_scores, n_fixed=0, estimate_of="published"):
    """Return an entry of permutation.json: a score and its null scores, rounded as they are written, then compared.

    ``n_fixed`` are the participants whose scores no permutation moves to another (``block``) or at all (``within``).
    """
    score, null = round_significant(score), round_significant(null_scores)
    quantiles = round_significant(np.quantile(null, QUANTILES))
    return {
        "estimate_of": estimate_of,
        "scheme": scheme,
        "metric": metric,
        "score": score,
        "null_scores": null.tolist(),
        "p": round_significant((1 + np.sum(null >= score)) / (1 + len(null))),
        "n": len(null),
        "n_fixed": n_fixed,
        "null_mean": round_significant(null.mean()),
        "null_quantiles": dict(zip(map(str, QUANTILES), quantiles.tolist(), strict=True)),
        "null_hypothesis": NULL_HYPOTHESES[scheme],
    }


def label_permutation_test(score, train_sets, labels, groups, resampling):
    """Test ``score(labels)``, a balanced accuracy, by permuting participants' labels (n_trials,) between them.

    Permutations that leave some training set without a label are drawn again from the same generator.
    """
    _, first, index = np.unique(groups, return_index=True, return_inverse=True)
    n_labels = len(np.unique(labels))

    def draw(number):
        rng = resample_rng(resampling.seed, number)
        while True:
            permuted = rng.permutation(labels[first])[index]
            if all(len(np.unique(permuted[train_idx])) == n_labels for train_idx in train_sets):
                return permuted

    null = resampling.run_each(lambda number: score(draw(number)))
    return summarize_null("participant", "balanced_accuracy", score(labels), null)


class TrialPermuter:
    """Draw permutations of one scheme; what all draws share is worked out once.

    ``within`` permutes the trials of each participant. ``block`` exchanges whole participants with equally many trials,
    then permutes within. ``free`` permutes all trials. `NULL_HYPOTHESES` says what each takes as exchangeable; the
    higher first trial of each run violates ``within`` and ``block`` a little. ``strata`` (n_trials,) are kinds of
    trials, such as the first of a run: scores are permuted within a kind only, and ``block`` exchanges participants
    with equally many trials of each.
    """

    def __init__(self, groups, scheme, strata=None):
        if scheme not in ("within", "block", "free"):
            raise ValueError(f"scheme {scheme!r} is unknown: use 'within', 'block' or 'free'")
        _, index = np.unique(groups, return_inverse=True)
        self._scheme = scheme
        self._participant = np.zeros_like(index) if scheme == "free" else index
        kinds, kind = np.unique(np.zeros(len(index)) if strata is None else strata, return_inverse=True)
        sizes = np.zeros((self._participant.max() + 1, len(kinds)), dtype=int)
        np.add.at(sizes, (self._participant, kind), 1)
        self._sizes, self._kind = sizes, kind
        alike = np.unique(sizes, axis=0, return_inverse=True)[1].ravel()
        same = [np.flatnonzero(alike == size) for size in range(alike.max() + 1)]
        self._exchangeable = [members for members in same if scheme == "block" and len(members) > 1]
        # Trials sorted by participant and kind: the slots that permuted trials are dealt into.
        self._slots = np.lexsort((kind, self._participant))

    def n_fixed(self, y):
        """Return how many participants keep their scores: in place (``within``), or among themselves (``block``)."""
        if self._scheme == "within":
            cells = self._participant * self._sizes.shape[1] + self._kind
            fixed = constant_within(cells, y)
            return int(np.sum(np.bincount(np.unique(cells) // self._sizes.shape[1], weights=~fixed) == 0))
        return 0 if self._scheme == "free" else len(self._sizes) - sum(map(len, self._exchangeable))

    def draw(self, rng):
        """Draw the trial whose score each trial gets, as (n_trials,) indices."""
        destination = np.arange(len(self._sizes))
        for members in self._exchangeable:
            destination[members] = rng.permutation(members)
        order = np.empty(len(self._slots), dtype=int)
        # Sorting random keys within participants shuffles all of them at once.
        keys = rng.random(len(self._slots))
        order[self._slots] = np.lexsort((keys, self._kind, destination[self._participant]))
        return order

    def draw_scores(self, y, seed, indices):
        """Return the scores (n_trials, n_indices) of some permutations, each drawn from the seed and its index."""
        return y[np.array([self.draw(resample_rng(seed, index)) for index in indices]).T]

    def null_scores(self, score, y, resampling, batch_size):
        """Return ``score(Y)`` of all permutations Y (n_trials, n_batch), joined along the last axis."""
        batches = resampling.run(lambda indices: score(self.draw_scores(y, resampling.seed, indices)), batch_size)
        return np.concatenate(list(batches), axis=-1)


def _mean_scores(folds, Y, model):
    """Return the scores of every column of Y, averaged over folds (n_metrics, n_targets)."""
    scores = []
    for fold in folds:
        if len(fold.test_idx) > 1:
            left = fold.residual(Y)
            given = left[fold.test_idx], fold.predict(Y, model), left[fold.train_idx].mean(axis=0)
            scores.append([metric(*given) for metric in METRICS.values()])
    if not scores:
        raise InputError("no fold tests two trials or more, so that none has a score: use group-kfold with fewer folds")
    return np.mean(scores, axis=0)


def _pooled_scores(folds, Y, model):
    """Return the scores of the predictions of all folds together (n_metrics, n_targets)."""
    y_pred = np.concatenate([fold.predict(Y, model) for fold in folds])
    left = [fold.residual(Y) for fold in folds]
    observed = np.concatenate([each[fold.test_idx] for fold, each in zip(folds, left, strict=True)])
    means = [each[fold.train_idx].mean(axis=0) for fold, each in zip(folds, left, strict=True)]
    baseline = np.repeat(means, [len(fold.test_idx) for fold in folds], axis=0)
    return np.array([metric(observed, y_pred, baseline) for metric in METRICS.values()])


# How the predictions of all folds become one score.
SCORERS = {"published": _mean_scores, "lopo": _pooled_scores}
TEST_COLUMNS = {
    "estimate_of": "published: mean over the folds of the published scheme; lopo: all predictions of "
    "leave-one-participant-out scored together, whose correlation has a null below 0",
    "scheme": "what is permuted; see null_hypothesis",
    "metric": "score tested",
    "score": "observed score",
    "p": "(1 + number of null scores at or above the score) / (1 + n)",
    "null_mean": "mean of the null scores: what the score is worth without the effect tested",
    **{f"null_quantile_{q}": f"{q} quantile of the null scores" for q in QUANTILES},
    "n": "permutations; their scores are in permutation.json",
    "n_fixed": "participants whose scores no permutation changes (within: one trial, or equal scores), or moves to "
    "another participant (block: a number of trials of their own)",
    "null_hypothesis": "what is tested, and what is taken as exchangeable",
}
