"""Simulate studies of nested trials and count how often each test and interval of the library is right.

``make validity`` prints the tables of docs/validity.md, ``make validity TABLES="nulls order"`` some of them; called by
itself this script takes ``--studies 1000`` for more studies. `test_validity` runs fewer.
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
import pandas as pd
from scipy.ndimage import gaussian_filter
from scipy.stats import kstest
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "code"))

from facepain.data.summary import reliability_table
from facepain.inference.bootstrap import bootstrap_weights, draw_counts, fit_draw
from facepain.inference.comparison import familywise_table, pairs_table
from facepain.inference.intervals import fold_mean_interval, intervals_table, participant_intervals, score_all
from facepain.inference.mixed_models import fit_mixed_model
from facepain.inference.occurrence import part_intervals_table, predict_parts, score_parts
from facepain.inference.permutation import label_permutation_test, permutation_test, tuned_permutation_test
from facepain.inference.similarity import familywise_p as familywise_p_of_maps
from facepain.inference.similarity import map_products, refit_permuted, refit_resampled, spatial_p
from facepain.models.classification import classify_folds, cut_gram, score_folds
from facepain.models.classification import fold_metrics as classifier_metrics
from facepain.models.cross_validation import cross_validate, fit_final, make_folds, prepare_folds, voxel_weights
from facepain.models.pca_regression import PCARegression
from facepain.models.score_tables import as_predictions, fold_metrics, list_predictions
from facepain.models.scores import Predictions
from facepain.models.standardize import StandardizedImages, predict_images
from facepain.models.tuning import Tuning, tune_folds
from facepain.parallel import Resampling, resample_rng

SEED = 20210607
# SD of the last factor of the images as a share of the first one's: they fall as in smooth images.
LAST_FACTOR = 0.15
VOXEL_NOISE = 0.5
# Gaussian kernels (SD, in voxels) that make the patterns and the noise of an image smooth.
SMOOTH_PATTERNS, SMOOTH_NOISE = 2.0, 0.8
# Factors that scores go with, where they go with any.
N_RELATED = 5
SCORE_SD = 8.0
# Participants that an interval's target is measured in.
N_FURTHER = 150
METRICS = ("r2", "pearson_r")
COVERED = ("r2", "skill", "pearson_r", "spearman_r", "within_r", "between_r", "offset", "slope")
COVERED_ELSEWHERE = (*COVERED, "r2_offset_removed", "r2_recalibrated")
COVERED_PARTS = (("occurrence", "auc"), ("occurrence", "balanced_accuracy"), ("intensity", "pearson_r"),
                 ("product", "pearson_r"))  # fmt: skip


@dataclass(frozen=True)
class Study:
    """Say what a simulated study is like.

    Attributes
    ----------
    n_participants, n_trials : int
        Every fifth participant has a quarter of the ``n_trials`` fewer.
    side : int
        Voxels along each side of the square that an image is.
    n_factors : int
        Smooth patterns that the images are made of; PCA keeps somewhat more than half as many.
    score_share, image_share : float
        Share of the variance of scores (before the floor at 0) and of images that lies between participants.
    effect : float
        Correlation of scores (before the floor) with the first factors; 0 is the null.
    first_trial : tuple of float
        What the first trial of each of two runs adds, to the score in SDs within participants and to the images in SDs
        of the first factor, by a pattern of its own.
    """

    n_participants: int = 20
    n_trials: int = 8
    side: int = 20
    n_factors: int = 12
    score_share: float = 0.75
    image_share: float = 0.5
    effect: float = 0.0
    first_trial: tuple = (0.0, 0.0)


# Trials are exchangeable as they are: nothing is common to those of one participant.
UNRELATED_TRIALS = Study(score_share=0.0, image_share=0.0)
# The study's own number of participants and trials, and many components.
STUDY_SIZE = Study(n_participants=34, n_trials=16, side=45, n_factors=120)
# First trials as much higher as in the study (5.3 against 4.0 points), with a response of their own; and twice as much.
HIGHER_FIRST_TRIALS = {
    "as in the study": Study(n_participants=34, n_trials=16, first_trial=(0.35, 1.0)),
    "half as much again": Study(n_participants=34, n_trials=16, first_trial=(0.525, 1.5)),
    "twice that": Study(n_participants=34, n_trials=16, first_trial=(0.7, 2.0)),
}


def simulate(study, rng):
    """Draw one study.

    Parameters
    ----------
    study : Study
    rng : Generator

    Returns
    -------
    signals : (n_trials, n_voxels) ndarray of float32
        Factors with smooth loadings, each with a part of the participant and a part of the trial, and smooth noise.
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
    loadings = draw_smooth(study.n_factors, study.side, SMOOTH_PATTERNS, rng)
    loadings *= np.geomspace(1, LAST_FACTOR, study.n_factors)[:, None]
    signals = factors @ loadings + VOXEL_NOISE * draw_smooth(len(groups), study.side, SMOOTH_NOISE, rng)
    signals += 2 * draw_smooth(1, study.side, SMOOTH_PATTERNS, rng)
    driver = factors[:, :N_RELATED].sum(axis=1) / np.sqrt(N_RELATED)
    drive = study.effect * driver + np.sqrt(1 - study.effect**2) * nested(study.score_share, 1)[:, 0]
    of_score, of_images = study.first_trial
    if of_score or of_images:
        first = first_of_runs(study, groups)
        drive += of_score * np.sqrt(1 - study.score_share) * first
        signals += of_images * first[:, None] * draw_smooth(1, study.side, SMOOTH_PATTERNS, rng)
    return signals.astype(np.float32), np.maximum(0, SCORE_SD * drive), groups


def draw_smooth(n, side, kernel, rng):
    """Draw n smooth fields (n, side * side) with an SD of 1."""
    fields = gaussian_filter(rng.normal(size=(n, side, side)), kernel, axes=(1, 2), mode="wrap")
    return (fields / fields.std(axis=(1, 2), keepdims=True)).reshape(n, -1)


def first_of_runs(study, groups):
    """Return for every trial whether it is the first of a run."""
    place = np.arange(len(groups)) - np.searchsorted(groups, groups)
    return np.isin(place, (0, study.n_trials // 2))


def permutation_p(index, study, algorithm, schemes, n, strata=False):
    """Return the p of r2 and of Pearson's r of one simulated study, for each scheme.

    Parameters
    ----------
    index : int
        Of the study.
    study : Study
    algorithm : str
    schemes : sequence of str
    n : int
        Permutations.
    strata : bool
        Permute first trials of runs among themselves.

    Returns
    -------
    p : (n_schemes, 2) ndarray
    """
    signals, y, groups = simulate(study, np.random.default_rng([SEED, index]))
    model = PCARegression(algorithm)
    folds = prepare_folds(StandardizedImages(signals), make_folds(groups, seed=index), model)
    given = {"resampling": Resampling(n, index), "strata": first_of_runs(study, groups) if strata else None}
    tests = [permutation_test(folds, y, groups, model, scheme, **given) for scheme in schemes]
    return np.array([[test["p"] for test in of_scheme if test["metric"] in METRICS] for of_scheme in tests])


def tuned_p(index, study, algorithm, n):
    """Return the p of r2 and Pearson's r under ``within`` and ``block`` where every permutation is tuned again."""
    signals, y, groups = simulate(study, np.random.default_rng([SEED, index]))
    splits, schemes, resampling = make_folds(groups, seed=index), ("within", "block"), Resampling(n, index)
    given = {"tuning": Tuning(algorithm, n_components=4, n_penalties=5, n_folds=3), "resampling": resampling}
    tune = partial(tune_folds, StandardizedImages(signals), splits, groups=groups, **given)
    tests = tuned_permutation_test(tune, y, groups, schemes, resampling, "published")[1]
    return np.array([[t["p"] for t in tests if t["scheme"] == scheme and t["metric"] in METRICS] for scheme in schemes])


def familywise_p(index, study, n):
    """Return the smallest p of six models of one study without an effect, as it is and corrected (2, n_schemes).

    The models are Lasso and Ridge in all voxels and in each half of them.
    """
    signals, y, groups = simulate(study, np.random.default_rng([SEED, index]))
    half, splits, tests = signals.shape[1] // 2, make_folds(groups, seed=index), []
    for mask, voxels in (("all", signals), ("one half", signals[:, :half]), ("other half", signals[:, half:])):
        for algorithm in ("lasso", "ridge"):
            model = PCARegression(algorithm)
            folds = prepare_folds(StandardizedImages(np.ascontiguousarray(voxels)), splits, model)
            for scheme in ("within", "block"):
                found = permutation_test(folds, y, groups, model, scheme, Resampling(n, index))
                tests += [test | {"mask": mask, "algorithm": algorithm} for test in found]
    smallest = familywise_table(tests).groupby("scheme")[["p", "p_familywise"]].min()
    return smallest.loc[["within", "block"]].to_numpy().T


def coverage(index, study, algorithm, n_other=18):
    """Return whether each interval of one study covers what its final model reaches in further participants.

    Returns
    -------
    covers : (3, 10) ndarray of float
        Rows: leave-one-participant-out, the mean over the published folds, a test on another dataset of ``n_other``
        participants of the same population. Columns: `COVERED_ELSEWHERE`; NaN where there is no such interval.
    """
    n = study.n_participants
    whole = replace(study, n_participants=n + n_other + N_FURTHER)
    signals, y, groups = simulate(whole, np.random.default_rng([SEED, index]))
    inside, other, further = groups < n, (groups >= n) & (groups < n + n_other), groups >= n + n_other
    images, model, own = StandardizedImages(signals[inside]), PCARegression(algorithm), (y[inside], groups[inside])
    lopo, published = (
        cross_validate(prepare_folds(images, make_folds(own[1], scheme, seed=index), model), own[0], model)
        for scheme in ("lopo", "group-shuffle")
    )
    final = fit_final(images, own[0], model)
    tested, target = (predict_further(images, final, signals, y, groups, rows) for rows in (other, further))
    given = {"lopo": as_predictions(list_predictions(lopo, np.arange(inside.sum()), own[1])), "other": tested}
    table = intervals_table(given, fold_metrics(published, own[1]), published, own[1])
    found = {key: (row.low, row.high) for key, row in table.set_index(["estimate_of", "metric"]).iterrows()}
    found |= {("other", name): ends[1:3] for name, ends in participant_intervals(tested).items()}
    reached = score_all(target)
    return np.array([
        [hits(found.get((kind, name)), reached[name]) for name in COVERED_ELSEWHERE]
        for kind in ("lopo", "published", "other")
    ])  # fmt: skip


def predict_further(images, fit, signals, y, groups, rows):
    """Return the predictions of a final model for other trials."""
    y_pred = predict_images(signals[rows], *voxel_weights(images, [fit]), "image")[:, 0]
    return Predictions(y[rows], y_pred, groups[rows], np.full(rows.sum(), fit.y_train_mean))


def hits(ends, value):
    """Return whether an interval covers a value, as a number; NaN where one of them is not known."""
    known = ends is not None and np.isfinite([*ends, value]).all()
    return float(ends[0] <= value <= ends[1]) if known else np.nan


def tuned_coverage(index, study, algorithm):
    """Return whether the intervals of `COVERED` cover where every fit chooses its penalty and components."""
    n = study.n_participants
    signals, y, groups = simulate(replace(study, n_participants=n + N_FURTHER), np.random.default_rng([SEED, index]))
    inside = groups < n
    images, own = StandardizedImages(signals[inside]), (y[inside], groups[inside])
    tuning = Tuning(algorithm, n_components=4, n_penalties=5, n_folds=3)
    everything = np.arange(inside.sum()), np.arange(0)
    *lopo, final = (
        fold.fit
        for fold in tune_folds(
            images, [*make_folds(own[1], "lopo"), everything], own[0][:, None], own[1], tuning, Resampling(1, index)
        )
    )
    found = participant_intervals(as_predictions(list_predictions(lopo, everything[0], own[1])))
    reached = score_all(predict_further(images, final, signals, y, groups, ~inside))
    return np.array([hits(found[name][1:3], reached[name]) for name in COVERED])


def part_coverage(index, study):
    """Return whether the intervals of occurrence and intensity cover what all data's model reaches in further people.

    Returns
    -------
    covers : (2, 4) ndarray of float
        Rows: leave-one-participant-out, the mean over the published folds. Columns: `COVERED_PARTS`.
    """
    n = study.n_participants
    signals, y, groups = simulate(replace(study, n_participants=n + N_FURTHER), np.random.default_rng([SEED, index]))
    inside, model = np.flatnonzero(groups < n), PCARegression("ridge")
    images, own = StandardizedImages(signals[inside]), (y[inside], groups[inside])
    parts = {}
    for name, scheme in (("lopo", "lopo"), ("published", "group-shuffle")):
        folds = prepare_folds(images, make_folds(own[1], scheme, seed=index), model)
        parts[name] = [predict_parts(fold, own[0][:, None], 1.0) for fold in folds]
    table = part_intervals_table(parts, *own).set_index(["estimate_of", "part", "metric"])
    (final,) = prepare_folds(StandardizedImages(signals), [(inside, np.flatnonzero(groups >= n))], model)
    reached = score_parts([predict_parts(final, y[:, None], 1.0)], y[:, None])
    return np.array([
        [hits(table.loc[(kind, *part), ["low", "high"]].tolist(), reached[part][0]) for part in COVERED_PARTS]
        for kind in ("lopo", "published")
    ])  # fmt: skip


def classifier_coverage(index, study, shift, n_other=18):
    """Return whether the interval of the classifier's balanced accuracy covers what is reached in further people.

    A second dataset of ``n_other`` participants differs by ``shift`` times a smooth pattern.
    """
    n, rng = study.n_participants + n_other, np.random.default_rng([SEED, index])
    signals, _, groups = simulate(replace(study, n_participants=n + N_FURTHER), rng)
    second = (groups >= study.n_participants) & (groups < n) | (groups >= n) & (groups % 3 == 0)
    signals += shift * second[:, None] * draw_smooth(1, study.side, SMOOTH_PATTERNS, rng).astype(np.float32)
    labels, inside = np.where(second, "dataset-2", "dataset-1"), np.flatnonzero(groups < n)
    gram = StandardizedImages(signals).gram()
    splits = make_folds(groups[inside], "group-shuffle", seed=index)
    folds = classify_folds(cut_gram(gram, splits), labels, 1.0)
    scores = classifier_metrics(folds, labels)["balanced_accuracy"].to_numpy(float)[: len(folds)]
    people = np.mean([[len(np.unique(groups[side])) for side in split] for split in splits], axis=0)
    final = classify_folds(cut_gram(gram, [(inside, np.flatnonzero(groups >= n))]), labels, 1.0)
    reached = classifier_metrics(final, labels)
    return hits(fold_mean_interval(scores, *people), reached["balanced_accuracy"].iloc[0])


def similarity_coverage(index, study, n, n_studies=20):
    """Return the share of studies of one population whose interval covers their mean cosine with a map.

    The map is that of a model of all of them together: what a study of this size finds resembles it, but less than
    fully, and that expected similarity is what an interval can be asked to cover.
    """
    whole = replace(study, n_participants=n_studies * study.n_participants)
    signals, y, groups = simulate(whole, np.random.default_rng([SEED, index]))
    model, images = PCARegression("ridge"), StandardizedImages(signals)
    target = voxel_weights(images, [fit_final(images, y, model)])[0].T
    scores, ends = [], []
    for number in range(n_studies):
        own = groups // study.n_participants == number
        images = StandardizedImages(np.ascontiguousarray(signals[own]))
        products = map_products(images, target, {"all": np.ones(signals.shape[1], bool)})["all"]
        scores.append(products.similarity(fit_final(images, y[own], model).dual[:, None])[0][0, 0])
        draws = np.hstack(list(refit_resampled(images, y[own], groups[own], model, Resampling(n, index))))
        ends.append(np.quantile(products.similarity(draws)[0][0], [0.025, 0.975]))
    return np.mean([hits(pair, np.mean(scores)) for pair in ends])


def reliability_interval(index, study):
    """Return the intraclass correlation of a study's scores, and its bootstrap interval."""
    _, y, groups = simulate(study, np.random.default_rng([SEED, index]))
    table = reliability_table(pd.DataFrame({"dataset": "one", "participant_id": groups, "y": y}), "y",
                              Resampling(2000, index))  # fmt: skip
    return table.iloc[0][["icc", "low", "high"]].to_numpy(float)


def slope_interval(index, n_participants, n_trials, slope_sd):
    """Return the mean slope .5 as a mixed model estimates it, where participants' slopes vary, and its interval."""
    rng, groups = np.random.default_rng([SEED, index]), np.repeat(np.arange(n_participants), n_trials)
    x, slopes = rng.normal(size=len(groups)), 0.5 + slope_sd * rng.normal(size=n_participants)
    y = slopes[groups] * x + rng.normal(size=n_participants)[groups] + rng.normal(size=len(groups))
    effects, _ = fit_mixed_model(y, {"x": x}, groups, slopes=("x",))
    return np.array([effects.estimate[1], effects.low[1], effects.high[1]])


def classifier_p(index, study, n):
    """Return the p of telling two datasets apart that differ in nothing.

    The first three fifths of the participants are called the first dataset.
    """
    signals, _, groups = simulate(study, np.random.default_rng([SEED, index]))
    labels = np.where(groups < 0.6 * study.n_participants, "dataset-1", "dataset-2")
    folds = make_folds(groups, seed=index)
    cuts = cut_gram(StandardizedImages(signals).gram(), folds)
    score = partial(score_folds, cuts, C=1.0)
    return label_permutation_test(score, [train for train, _ in folds], labels, groups, Resampling(n, index))["p"]


def bootstrap_share(index, study, algorithm, units, n):
    """Return the share of voxels with a bootstrap abs(z) above 1.96 in one simulated study, for each unit drawn."""
    signals, y, groups = simulate(study, np.random.default_rng([SEED, index]))
    images, model = StandardizedImages(signals), PCARegression(algorithm)
    maps = [bootstrap_weights(images, y, groups, model, Resampling(n, index), unit).z for unit in units]
    return np.array([np.mean(np.abs(z) > 1.96) for z in maps])


def bootstrap_shrinkage(index, study, algorithm, n):
    """Return the slope of the draws' mean weight on the fitted weight, and what that does to abs(z) above 1.96.

    Returns
    -------
    slope, share, share_fitted : (3,) ndarray
        ``share_fitted`` is the share of voxels whose fitted weight, in place of the mean over draws, is more than 1.96
        SDs of the draws from 0.
    """
    signals, y, groups = simulate(study, np.random.default_rng([SEED, index]))
    images, model = StandardizedImages(signals), PCARegression(algorithm)
    draws = [draw_counts(groups, "participant", resample_rng(index, draw)) for draw in range(n)]
    dual = np.column_stack([fit_draw(images, y, model, counts)[0] for counts in draws])
    weights = images.block(images.columns[0])[0].T @ dual
    fitted = voxel_weights(images, [fit_final(images, y, model)])[0][:, 0]
    mean, sd = weights.mean(axis=1), weights.std(axis=1)
    slope = mean @ fitted / (fitted @ fitted)
    return np.array([slope, np.mean(np.abs(mean) > 1.96 * sd), np.mean(np.abs(fitted) > 1.96 * sd)])


def similarity_p(index, study, n, algorithm="ridge"):
    """Return the p of the cosine of a weight map with an unrelated one: ``within``, ``block``, and of smooth fields."""
    rng = np.random.default_rng([SEED, index])
    signals, y, groups = simulate(study, rng)
    images, model, other = StandardizedImages(signals), PCARegression(algorithm), draw_smooth(1, study.side, 2, rng)
    products = map_products(images, other, {"all": np.ones(signals.shape[1], bool)})["all"]
    dual, p = fit_final(images, y, model).dual[:, None], []
    for scheme in ("within", "block"):
        refitted = refit_permuted(images, y, groups, model, scheme, Resampling(n, index))
        null = np.hstack([products.similarity(duals)[0] for duals in refitted])
        p.append(familywise_p_of_maps(products.similarity(dual)[0][:, 0], null)[0][0])
    weights = images.weights(dual, [0.0])[0][:, 0]
    return np.array([*p, spatial_p(weights, other, np.ones((study.side, study.side), bool))[0]])


def pair_of_models(index, study):
    """Return the p of the difference in Pearson's r of two equally good models, and whether its interval covers 0.

    The second model has another offset and scale, which make no difference.
    """
    rng = np.random.default_rng([SEED, index])
    groups = np.repeat(np.arange(study.n_participants), study.n_trials)

    def draw():
        participants = rng.normal(size=study.n_participants)[groups]
        return np.sqrt(study.score_share) * participants + np.sqrt(1 - study.score_share) * rng.normal(size=len(groups))

    y, baseline = draw(), np.zeros(len(groups))
    one = Predictions(y, 0.5 * y + draw(), groups, baseline)
    other = Predictions(y, 0.1 * y + 0.2 * draw() - 3, groups, baseline)
    row = pairs_table({("mask", "one"): one, ("mask", "other"): other}, Resampling(199, index)).iloc[1]
    return np.array([row["p"], hits((row["low"], row["high"]), 0.0)])


@cache
def processes():
    """Return a pool of one process for each core, with one BLAS thread each."""
    return ProcessPoolExecutor(os.cpu_count(), get_context("spawn"), initializer=threadpool_limits, initargs=(1,))


def simulate_many(function, n_studies):
    """Return an array of ``function(index)`` for every study; a result depends on its index alone."""
    return np.array(list(processes().map(function, range(n_studies), chunksize=max(1, n_studies // 40))))


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
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"of {', '.join(TABLES)}; by default all")
    parser.add_argument("--studies", type=int, default=300, help="simulated studies where one is cheap (300)")
    arguments = parser.parse_args()
    if unknown := set(arguments.tables) - set(TABLES):
        parser.error(f"{', '.join(sorted(unknown))}: expected {', '.join(TABLES)}")
    started = time.monotonic()
    for name in arguments.tables or TABLES:
        print(f"{name}, seed {SEED}\n", flush=True)
        TABLES[name](arguments.studies)
        print(flush=True)
        print(f"{time.monotonic() - started:.0f} s so far", file=sys.stderr, flush=True)


def tabulate_nulls(n_studies):
    what = "participant effects", "algorithm", "studies", "scheme", "metric"
    print_row(*what, "p <= .05", "p > .95", "KS distance", "KS p", head=True)
    for name, study in (("yes", Study()), ("none", UNRELATED_TRIALS)):
        schemes = ("within", "block", "free")
        for algorithm in ("lasso", "ridge", "svr"):
            # An SVR costs many times as much.
            n_drawn, few = (39, int(0.2 * n_studies)) if algorithm == "svr" else (99, n_studies)
            function = partial(permutation_p, study=study, algorithm=algorithm, schemes=schemes, n=n_drawn)
            print_shares(simulate_many(function, few), (name, algorithm, few), schemes, n_drawn)


def tabulate_order(n_studies):
    what = "first trials", "strata", "studies", "scheme", "metric"
    print_row(*what, "p <= .05", "p > .95", "KS distance", "KS p", head=True)
    for name, study in HIGHER_FIRST_TRIALS.items():
        for strata in (False, True):
            schemes = ("within", "block")
            function = partial(permutation_p, study=study, algorithm="ridge", schemes=schemes, n=99, strata=strata)
            about = name, "first trials of runs" if strata else "none", n_studies
            print_shares(simulate_many(function, n_studies), about, schemes, 99)


def tabulate_tuned(n_studies):
    print_row("algorithm", "studies", "scheme", "metric", "p <= .05", "p > .95", "KS distance", "KS p", head=True)
    n_studies //= 3
    for algorithm in ("lasso", "ridge"):
        p = simulate_many(partial(tuned_p, study=Study(), algorithm=algorithm, n=39), n_studies)
        print_shares(p, (algorithm, n_studies), ("within", "block"), 39)


def print_shares(p, names, schemes, n):
    for row, scheme in enumerate(schemes):
        for column, metric in enumerate(METRICS):
            values = p[:, row, column]
            distance, pvalue = distance_from_uniform(values, n)
            shares = f"{np.mean(values <= 0.05):.3f}", f"{np.mean(values > 0.95):.3f}"
            print_row(*names, scheme, metric, *shares, f"{distance:.3f}", f"{pvalue:.2g}")


def tabulate_family(n_studies):
    p = simulate_many(partial(familywise_p, study=Study(), n=99), n_studies)
    print_row("scheme", "studies", "some p <= .05", "some corrected p <= .05", head=True)
    for column, scheme in enumerate(("within", "block")):
        print_row(scheme, n_studies, *(f"{np.mean(p[:, row, column] <= 0.05):.3f}" for row in (0, 1)))


def tabulate_coverage(n_studies):
    print_row("participants x trials", "effect", "studies", "interval", *COVERED_ELSEWHERE, head=True)
    n_studies = max(20, n_studies // 3)
    for study in (Study(), Study(effect=0.4), Study(n_participants=34, n_trials=16, effect=0.4)):
        covers = simulate_many(partial(coverage, study=study, algorithm="ridge"), n_studies)
        kinds = ("leave-one-participant-out", "published folds", "other dataset")
        for kind, hit in zip(kinds, covers.swapaxes(0, 1), strict=True):
            print_row(size_of(study), study.effect, n_studies, kind, *map(share_of, hit.T))
    n_studies = max(20, n_studies // 2)
    for study in (Study(), Study(effect=0.4), Study(n_participants=34, n_trials=16, effect=0.4)):
        hit = simulate_many(partial(tuned_coverage, study=study, algorithm="ridge"), n_studies)
        name = "tuned, leave-one-participant-out"
        print_row(size_of(study), study.effect, n_studies, name, *map(share_of, hit.T))


def tabulate_parts(n_studies):
    names = (" ".join(part) for part in COVERED_PARTS)
    print_row("participants x trials", "effect", "studies", "interval", *names, head=True)
    n_studies = max(20, n_studies // 3)
    for study in (Study(), Study(effect=0.4), Study(n_participants=34, n_trials=16, effect=0.4)):
        covers = simulate_many(partial(part_coverage, study=study), n_studies)
        for kind, hit in zip(("leave-one-participant-out", "published folds"), covers.swapaxes(0, 1), strict=True):
            print_row(size_of(study), study.effect, n_studies, kind, *map(share_of, hit.T))


def tabulate_intervals(n_studies):
    """Print the coverage of all intervals that are not of a prediction of scores."""
    print_row("interval", "simulated", "studies", "covers", head=True)
    n_studies = max(20, n_studies // 3)
    for n_participants, n_trials in ((20, 8), (34, 16)):
        study = Study(n_participants=n_participants, n_trials=n_trials)
        for shift in (0.0, 0.5):
            hit = simulate_many(partial(classifier_coverage, study=study, shift=shift), n_studies)
            about = f"{size_of(study)} and 18 others, {'other images' if shift else 'no difference'}"
            print_row("classifier, balanced accuracy over folds", about, n_studies, share_of(hit))
    for size in ((20, 8), (34, 16)):
        study = Study(*size)
        _, low, high = simulate_many(partial(reliability_interval, study=study), 5 * n_studies).T
        # What very many participants have in common.
        true = reliability_interval(0, replace(study, n_participants=20_000))[0]
        hit = (low <= true) & (true <= high)
        print_row("intraclass correlation of the score", size_of(study), 5 * n_studies, share_of(hit))
    for size in ((20, 8), (34, 16)):
        for slope_sd in (0.0, 0.4):
            interval = partial(slope_interval, n_participants=size[0], n_trials=size[1], slope_sd=slope_sd)
            _, low, high = simulate_many(interval, 2 * n_studies).T
            about = f"{size[0]} x {size[1]}, slopes {'vary' if slope_sd else 'are equal'}"
            print_row("effect of expression", about, 2 * n_studies, share_of((low <= 0.5) & (high >= 0.5)))
    for effect in (0.4, 0.7):
        study, few = Study(effect=effect), max(2, n_studies // 20)
        share = simulate_many(partial(similarity_coverage, study=study, n=200), few).mean()
        print_row("cosine with a signature", f"{size_of(study)}, effect {effect}", 20 * few, f"{share:.2f}")


def size_of(study):
    return f"{study.n_participants} x {study.n_trials}"


def share_of(hit):
    """Write the share of intervals that cover, "n/a" where there are none."""
    known = np.asarray(hit, float)[np.isfinite(np.asarray(hit, float))]
    return f"{known.mean():.2f}" if len(known) else ""


def tabulate_similarity(n_studies):
    n_studies = max(500, n_studies)
    print_row("null", "studies", "p <= .05", "p > .95", "KS distance", "KS p", head=True)
    p = simulate_many(partial(similarity_p, study=Study(), n=39), n_studies)
    for name, values, n in zip(("within", "block", "stationary fields"), p.T, (39, 39, np.inf), strict=True):
        distance, pvalue = distance_from_uniform(values, n)
        shares = f"{np.mean(values <= 0.05):.3f}", f"{np.mean(values > 0.95):.3f}"
        print_row(name, n_studies, *shares, f"{distance:.3f}", f"{pvalue:.2g}")


def tabulate_pairs(n_studies):
    print_row("participants x trials", "studies", "p <= .05", "interval covers", head=True)
    for study in (Study(), STUDY_SIZE):
        p, hit = simulate_many(partial(pair_of_models, study=study), n_studies).T
        print_row(size_of(study), n_studies, f"{np.mean(p <= 0.05):.3f}", share_of(hit))


def tabulate_classifier(n_studies):
    n_studies //= 3
    p = simulate_many(partial(classifier_p, study=Study(), n=19), n_studies)
    print_row("studies", "p <= .05", "p <= .10", "p <= .50", "mean p", head=True)
    print_row(n_studies, *(f"{np.mean(p <= limit):.3f}" for limit in (0.05, 0.1, 0.5)), f"{p.mean():.3f}")


def tabulate_bootstrap(n_studies):
    what = "participants x trials", "participant effects", "algorithm", "studies"
    print_row(*what, "participant draws", "trial draws", head=True)
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


def tabulate_shrinkage(n_studies):
    what = "participants x trials", "effect", "algorithm", "studies"
    print_row(*what, "slope", "mean over draws", "fitted weight", head=True)
    n_studies = max(10, n_studies // 10)
    for size in ((20, 8), (34, 16)):
        for effect in (0.0, 0.7):
            for algorithm in ("lasso", "ridge"):
                study = Study(*size, effect=effect)
                function = partial(bootstrap_shrinkage, study=study, algorithm=algorithm, n=100)
                mean = simulate_many(function, n_studies).mean(axis=0)
                row = f"{size[0]} x {size[1]}", effect, algorithm, n_studies
                print_row(*row, f"{mean[0]:.2f}", f"{mean[1]:.3f}", f"{mean[2]:.3f}")


def tabulate_power(n_studies):
    n_studies = max(40, n_studies // 5)
    what = "participants", "studies"
    print_row(*what, "within, r2", "block, r2", "within, Pearson's r", "block, Pearson's r", head=True)
    for n_participants in (10, 20, 40, 80):
        study = Study(n_participants=n_participants, effect=0.4)
        function = partial(permutation_p, study=study, algorithm="ridge", schemes=("within", "block"), n=99)
        power = np.mean(simulate_many(function, n_studies) <= 0.05, axis=0)
        print_row(n_participants, n_studies, *(f"{value:.2f}" for value in power.T.ravel()))


def print_row(*cells, head=False):
    print("|", " | ".join(str(cell) for cell in cells), "|", flush=True)
    if head:
        print_row(*["---"] * len(cells))


TABLES = {
    "nulls": tabulate_nulls,
    "order": tabulate_order,
    "tuned": tabulate_tuned,
    "family": tabulate_family,
    "pairs": tabulate_pairs,
    "coverage": tabulate_coverage,
    "parts": tabulate_parts,
    "intervals": tabulate_intervals,
    "power": tabulate_power,
    "bootstrap": tabulate_bootstrap,
    "shrinkage": tabulate_shrinkage,
    "classifier": tabulate_classifier,
    "similarity": tabulate_similarity,
}

if __name__ == "__main__":
    main()
