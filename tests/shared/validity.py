"""Simulate studies of nested trials and count how often each test of the engine is wrong, and right.

``python tests/shared/validity.py`` prints the tables of docs/validity.md; `test_validity` runs fewer studies.
"""

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from scipy.stats import kstest
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "code"))

from facepain.inference.bootstrap import bootstrap_weights
from facepain.inference.intervals import intervals_table, participant_intervals
from facepain.inference.label_permutation import label_permutation_test
from facepain.inference.permutation import permutation_test
from facepain.models.cross_validation import cross_validate, fit_final, prepare_folds, voxel_weights
from facepain.models.folds import make_folds
from facepain.models.pca_regression import PCARegression
from facepain.models.score_tables import fold_metrics, out_of_fold_table
from facepain.models.scores import Predictions
from facepain.models.standardize import StandardizedImages, predict_images
from facepain.parallel import Resampling

SEED = 20210607
# SD of the last factor of the images as a share of the first one's: they fall as in smooth images.
LAST_FACTOR = 0.15
VOXEL_NOISE = 0.5
# Factors that scores go with, where they go with any.
N_RELATED = 5
# Studies that no other table uses.
FIRST_FRESH_STUDY = 1_000_000
SCORE_SD = 8.0


@dataclass(frozen=True)
class Study:
    """Say what a simulated study is like.

    Attributes
    ----------
    n_participants, n_trials, n_voxels : int
        Every fifth participant has a quarter of the ``n_trials`` fewer.
    n_factors : int
        Patterns that the images are made of; PCA keeps somewhat more than half as many.
    score_share, image_share : float
        Share of the variance of scores (before the floor at 0) and of images that lies between participants.
    effect : float
        Correlation of scores (before the floor) with the first factors; 0 is the null.
    first_trial : float
        What the first trial of each of two runs adds to scores (before the floor) and to a factor, in SD: related
        through the trials' order alone.
    """

    n_participants: int = 20
    n_trials: int = 8
    n_voxels: int = 400
    n_factors: int = 12
    score_share: float = 0.75
    image_share: float = 0.5
    effect: float = 0.0
    first_trial: float = 0.0


# Trials are exchangeable as they are: nothing is common to those of one participant.
UNRELATED_TRIALS = Study(score_share=0.0, image_share=0.0)
# The study's own number of participants and trials, and many components.
STUDY_SIZE = Study(n_participants=34, n_trials=16, n_voxels=2000, n_factors=120)


def simulate(study, rng):
    """Draw one study.

    Parameters
    ----------
    study : Study
    rng : Generator

    Returns
    -------
    signals : (n_trials, n_voxels) ndarray of float32
        Factors with smooth loadings, each with a part of the participant and a part of the trial, and noise.
    y : (n_trials,) ndarray
        Scores of 0 or more, about half of them 0, as FACS scores are.
    groups : (n_trials,) ndarray of int
    """
    sizes = np.full(study.n_participants, study.n_trials)
    sizes[::5] -= study.n_trials // 4
    groups = np.repeat(np.arange(study.n_participants), sizes)

    def nested(share, n_columns):
        participants = rng.normal(size=(study.n_participants, n_columns))[groups]
        return np.sqrt(share) * participants + np.sqrt(1 - share) * rng.normal(size=(len(groups), n_columns))

    first = first_trials(study, groups)
    factors = nested(study.image_share, study.n_factors)
    factors[:, 0] += study.first_trial * first
    loadings = rng.normal(size=(study.n_factors, study.n_voxels))
    loadings *= np.geomspace(1, LAST_FACTOR, study.n_factors)[:, None]
    signals = factors @ loadings + VOXEL_NOISE * rng.normal(size=(len(groups), study.n_voxels))
    signals += 2 * rng.normal(size=study.n_voxels)
    driver = factors[:, :N_RELATED].sum(axis=1) / np.sqrt(N_RELATED)
    drive = study.effect * driver + np.sqrt(1 - study.effect**2) * nested(study.score_share, 1)[:, 0]
    drive += study.first_trial * first
    return signals.astype(np.float32), np.maximum(0, SCORE_SD * drive), groups


def first_trials(study, groups):
    """Return for every trial whether it is the first of one of the two runs."""
    position = np.arange(len(groups)) - np.searchsorted(groups, groups)
    return position % (study.n_trials // 2) == 0


def permutation_p(index, study, algorithm, schemes, n, stratified=False):
    """Return the p of r2 and of Pearson's r of one simulated study, for each scheme.

    Parameters
    ----------
    stratified : bool
        Permute the first trials of runs among themselves only.

    Returns
    -------
    p : (n_schemes, 2) ndarray
    """
    signals, y, groups = simulate(study, np.random.default_rng([SEED, index]))
    model = PCARegression(algorithm)
    folds = prepare_folds(StandardizedImages(signals), make_folds(groups, seed=index), model)
    strata = first_trials(study, groups) if stratified else None
    return np.array(
        [
            [
                test.p
                for test in permutation_test(folds, y, groups, model, scheme, Resampling(n, index), strata=strata)[:2]
            ]
            for scheme in schemes
        ]
    )


COVERED = ("r2", "skill", "pearson_r", "spearman_r")


def interval_hits(index, study, algorithm, n_other=18, n_new=150):
    """Say which intervals of one simulated study hold the score of its final model in new participants.

    Returns
    -------
    hits : (3, n_metrics) ndarray
        Whether the interval holds the truth (0 or 1), for the scores `COVERED`: leave-one-participant-out, the mean
        over published folds, and a test on another dataset of `n_other` participants. The truth is the score in
        `n_new` further participants of the same population.
    """
    n = study.n_participants
    everybody = replace(study, n_participants=n + n_other + n_new)
    signals, y, groups = simulate(everybody, np.random.default_rng([SEED, index]))
    own, other, new = groups < n, (groups >= n) & (groups < n + n_other), groups >= n + n_other
    images, model, train = StandardizedImages(signals[own]), PCARegression(algorithm), (y[own], groups[own])
    fits = {
        scheme: cross_validate(prepare_folds(images, make_folds(train[1], scheme, seed=index), model), train[0], model)
        for scheme in ("lopo", "group-shuffle")
    }
    final = fit_final(images, train[0], model)
    y_pred = predict_images(signals, *voxel_weights(images, [final]))[:, 0]
    tested, unseen = (
        Predictions(y[rows], y_pred[rows], groups[rows], np.full(rows.sum(), final.y_train_mean))
        for rows in (other, new)
    )
    table = out_of_fold_table(fits["lopo"], np.arange(own.sum()), *train)
    lopo = Predictions(*(table[name].to_numpy() for name in ("y_true", "y_pred", "participant_id", "y_train_mean")))
    truth = participant_intervals(unseen)
    given = {"lopo": lopo, "other": tested}
    intervals = intervals_table(given, fold_metrics(fits["group-shuffle"], *train), fits["group-shuffle"], train[1])
    intervals = intervals.set_index(["estimate_of", "metric"])
    return np.array(
        [
            [intervals.low[kind, name] <= truth[name][0] <= intervals.high[kind, name] for name in COVERED]
            for kind in ("lopo", "published", "other")
        ]
    )


def classifier_p(index, study, n):
    """Return the p of telling two datasets apart that differ in nothing.

    The first three fifths of the participants are called the first dataset.
    """
    signals, _, groups = simulate(study, np.random.default_rng([SEED, index]))
    labels = np.where(groups < 0.6 * study.n_participants, "dataset-1", "dataset-2")
    folds = make_folds(groups, seed=index)
    gram = StandardizedImages(signals).gram()
    return label_permutation_test(gram, labels, groups, folds, 1.0, Resampling(n, index)).p


def bootstrap_share(index, study, algorithm, units, n):
    """Return the share of voxels with a bootstrap abs(z) above 1.96 in one simulated study, for each unit drawn."""
    signals, y, groups = simulate(study, np.random.default_rng([SEED, index]))
    images, model = StandardizedImages(signals), PCARegression(algorithm)
    maps = [bootstrap_weights(images, y, groups, model, Resampling(n, index), unit).z for unit in units]
    return np.array([np.mean(np.abs(z) > 1.96) for z in maps])


@cache
def processes():
    """Return a pool of one process for each core, with one BLAS thread each."""
    return ProcessPoolExecutor(os.cpu_count(), get_context("spawn"), initializer=threadpool_limits, initargs=(1,))


def simulate_many(function, n_studies, first=0):
    """Return an array of ``function(index)`` for every study from the first; a result depends on its index alone."""
    indices = range(first, first + n_studies)
    return np.array(list(processes().map(function, indices, chunksize=max(1, n_studies // 40))))


def distance_from_uniform(p, n):
    """Compare p values of n permutations with the uniform distribution.

    Under the null ``p`` is 1, 2, ..., n + 1 times ``1 / (n + 1)`` with equal chances; taking a uniform share of
    one step off makes it exactly uniform between 0 and 1, as the Kolmogorov-Smirnov test wants it.

    Returns
    -------
    statistic, pvalue : float
    """
    p = np.asarray(p)
    result = kstest(p - np.random.default_rng(SEED).random(p.shape) / (n + 1), "uniform")
    return float(result.statistic), float(result.pvalue)


def main():
    parser = argparse.ArgumentParser(description="Print the tables of docs/validity.md.")
    parser.add_argument("--studies", type=int, default=300, help="simulated studies of the permutation tests (300)")
    n_studies = parser.parse_args().studies
    started = time.monotonic()
    print(f"{n_studies} studies where a row is cheap, seed {SEED}\n", flush=True)
    for table in (
        *(tabulate_nulls, tabulate_fresh_studies, tabulate_trial_order, tabulate_coverage, tabulate_power),
        *(tabulate_bootstrap, tabulate_classifier),
    ):
        table(n_studies)
        print(flush=True)
        print(f"{time.monotonic() - started:.0f} s so far", file=sys.stderr, flush=True)


def tabulate_nulls(n_studies):
    what = "participant effects", "algorithm", "studies", "scheme", "metric"
    print_head(*what, "p <= .05", "p > .95", "KS distance", "KS p")
    for name, study in (("yes", Study()), ("none", UNRELATED_TRIALS)):
        schemes = ("within", "block", "free")
        for algorithm in ("lasso", "ridge", "svr"):
            # An SVR costs many times as much.
            n_drawn, few = (39, int(0.3 * n_studies)) if algorithm == "svr" else (99, n_studies)
            function = partial(permutation_p, study=study, algorithm=algorithm, schemes=schemes, n=n_drawn)
            p = simulate_many(function, few)
            for row, scheme in enumerate(schemes):
                for column, metric in enumerate(("r2", "pearson_r")):
                    values = p[:, row, column]
                    distance, pvalue = distance_from_uniform(values, n_drawn)
                    shares = f"{np.mean(values <= 0.05):.3f}", f"{np.mean(values > 0.95):.3f}"
                    print_row(name, algorithm, few, scheme, metric, *shares, f"{distance:.3f}", f"{pvalue:.2g}")


def tabulate_fresh_studies(n_studies):
    """Look again, at other and more studies, where a first run of this page came out furthest from uniform."""
    n, schemes = 99, ("within", "block")
    function = partial(permutation_p, study=Study(), algorithm="lasso", schemes=schemes, n=n)
    p = simulate_many(function, 5 * n_studies, first=FIRST_FRESH_STUDY)
    print_head("scheme", "metric", "studies", "p <= .05", "p > .95", "KS distance", "KS p")
    for row, scheme in enumerate(schemes):
        for column, metric in enumerate(("r2", "pearson_r")):
            values = p[:, row, column]
            distance, pvalue = distance_from_uniform(values, n)
            shares = f"{np.mean(values <= 0.05):.3f}", f"{np.mean(values > 0.95):.3f}"
            print_row(scheme, metric, len(p), *shares, f"{distance:.3f}", f"{pvalue:.2g}")


def tabulate_trial_order(n_studies):
    """Count how often trials' order alone makes a test significant, and with the first trials of runs kept apart."""
    study, schemes = replace(Study(), n_trials=16, first_trial=1.0), ("within", "block")
    print_head("first trials", "scheme", "studies", "p <= .05, r2", "p <= .05, Pearson's r")
    for stratified in (False, True):
        function = partial(permutation_p, study=study, algorithm="ridge", schemes=schemes, n=99, stratified=stratified)
        shares = np.mean(simulate_many(function, n_studies) <= 0.05, axis=0)
        for scheme, (r2, pearson_r) in zip(schemes, shares, strict=True):
            print_row("apart" if stratified else "mixed", scheme, n_studies, f"{r2:.3f}", f"{pearson_r:.3f}")


def tabulate_coverage(n_studies):
    """Count how often a 95 % interval holds the score of the final model in new participants."""
    n_studies = max(40, n_studies // 3)
    print_head("participants x trials", "effect", "studies", "interval", *COVERED)
    for study in (replace(Study(), effect=0.4), Study(), Study(n_participants=34, n_trials=16, effect=0.4)):
        hits = simulate_many(partial(interval_hits, study=study, algorithm="ridge"), n_studies)
        size = f"{study.n_participants} x {study.n_trials}"
        for kind, shares in zip(("lopo", "published", "other dataset"), hits.mean(axis=0), strict=True):
            print_row(size, study.effect, n_studies, kind, *(f"{share:.2f}" for share in shares))


def tabulate_classifier(n_studies):
    n_studies = n_studies // 3
    p = simulate_many(partial(classifier_p, study=Study(), n=19), n_studies)
    print_head("studies", "p <= .05", "p <= .10", "p <= .50", "mean p")
    print_row(n_studies, *(f"{np.mean(p <= limit):.3f}" for limit in (0.05, 0.1, 0.5)), f"{p.mean():.3f}")


def tabulate_bootstrap(n_studies):
    what = "participants x trials", "participant effects", "algorithm", "studies"
    print_head(*what, "participant draws", "trial draws")
    units = ("participant", "trial")
    # Larger studies take longer, and so does the SVR: fewer of them.
    sizes = (STUDY_SIZE, 0.04), (Study(), 0.2), (replace(Study(), n_participants=40), 0.08), (UNRELATED_TRIALS, 0.2)
    for study, share in sizes:
        for algorithm in ("lasso", "ridge", "svr"):
            function = partial(bootstrap_share, study=study, algorithm=algorithm, units=units, n=100)
            few = max(5, int(n_studies * share * (0.4 if algorithm == "svr" else 1)))
            shares = simulate_many(function, few)
            mean, error = shares.mean(axis=0), shares.std(axis=0) / np.sqrt(few)
            size, effects = f"{study.n_participants} x {study.n_trials}", "yes" if study.score_share else "none"
            results = (f"{m:.3f} +- {e:.3f}" for m, e in zip(mean, error, strict=True))
            print_row(size, effects, algorithm, few, *results)


def tabulate_power(n_studies):
    n_studies = max(40, n_studies // 5)
    print_head("participants", "studies", "within, r2", "block, r2", "within, Pearson's r", "block, Pearson's r")
    for n_participants in (10, 20, 40, 80):
        study = Study(n_participants=n_participants, effect=0.4)
        function = partial(permutation_p, study=study, algorithm="ridge", schemes=("within", "block"), n=99)
        power = np.mean(simulate_many(function, n_studies) <= 0.05, axis=0)
        print_row(n_participants, n_studies, *(f"{value:.2f}" for value in power.T.ravel()))


def print_head(*cells):
    print_row(*cells)
    print_row(*["---"] * len(cells))


def print_row(*cells):
    print("|", " | ".join(str(cell) for cell in cells), "|", flush=True)


if __name__ == "__main__":
    main()
