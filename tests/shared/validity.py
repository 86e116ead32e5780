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
from facepain.inference.label_permutation import label_permutation_test
from facepain.inference.permutation import permutation_test
from facepain.models.cross_validation import prepare_folds
from facepain.models.folds import make_folds
from facepain.models.pca_regression import PCARegression
from facepain.models.standardize import StandardizedImages
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
    """

    n_participants: int = 20
    n_trials: int = 8
    n_voxels: int = 400
    n_factors: int = 12
    score_share: float = 0.75
    image_share: float = 0.5
    effect: float = 0.0


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

    factors = nested(study.image_share, study.n_factors)
    loadings = rng.normal(size=(study.n_factors, study.n_voxels))
    loadings *= np.geomspace(1, LAST_FACTOR, study.n_factors)[:, None]
    signals = factors @ loadings + VOXEL_NOISE * rng.normal(size=(len(groups), study.n_voxels))
    signals += 2 * rng.normal(size=study.n_voxels)
    driver = factors[:, :N_RELATED].sum(axis=1) / np.sqrt(N_RELATED)
    drive = study.effect * driver + np.sqrt(1 - study.effect**2) * nested(study.score_share, 1)[:, 0]
    return signals.astype(np.float32), np.maximum(0, SCORE_SD * drive), groups


def permutation_p(index, study, algorithm, schemes, n):
    """Return the p of r2 and of Pearson's r of one simulated study, for each scheme.

    Returns
    -------
    p : (n_schemes, 2) ndarray
    """
    signals, y, groups = simulate(study, np.random.default_rng([SEED, index]))
    model = PCARegression(algorithm)
    folds = prepare_folds(StandardizedImages(signals), make_folds(groups, seed=index), model)
    tests = [permutation_test(folds, y, groups, model, scheme, Resampling(n, index)) for scheme in schemes]
    return np.array([[test.p for test in both] for both in tests])


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
    for table in (tabulate_nulls, tabulate_fresh_studies, tabulate_power, tabulate_bootstrap, tabulate_classifier):
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
