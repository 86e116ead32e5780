"""Bootstrap z map of the final model's voxel weights, from moments alone.

Whole participants are drawn with replacement and the PCA is redone in every draw: an
eigendecomposition of the Gram matrix of the draw's unique trials, weighted by how often each was
drawn, gives one weight a per trial. The voxel weights of a draw are X'a, so that over all draws
their mean is X'mean(a) and their variances are the row sums of (X'L)^2 with LL' = cov(a): no draw
ever has a voxel map, and the number of draws does not change the memory. Where voxels are z-scored
in the training set X itself changes with the draw, and voxel-wise moments are kept instead.

z = mean / SD of the weights over draws (Wager et al. 2013, doi 10.1056/NEJMoa1204471).
"""

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from errors import InputError
from facepain.models.cross_validation import decompose_fold
from facepain.parallel import map_in_order, resample_rng
from files.rounding import round_significant

UNITS = ("participant", "trial")
# With fewer draws the tail of a z map is noise: 20 let hundreds of voxels survive where 5,000 leave none.
FEWEST_DRAWS = 1000
# Draws whose dual weights are kept, for intervals of what else depends on the weights.
KEPT_DRAWS = 1000
# Draws in a batch: of dual weights, and of voxel maps (17 MB for ten whole brains).
BATCH_SIZE = {"image": 50, "voxel": 10}
# An SD below this share of what it is made of is rounding.
SD_TOLERANCE = 1e-10
MIN_VOXELS = 10
CLUSTER_COLUMNS = {
    "threshold": "threshold of the z map that the cluster exceeds, as named in bootstrap.json",
    "cluster": "number of the cluster, positive ones first; letters mark further peaks in the same cluster",
    "x": "peak in MNI space, in mm, positive to the right",
    "y": "peak in MNI space, in mm, positive to the front",
    "z": "peak in MNI space, in mm, positive upwards",
    "peak_z": "bootstrap z at the peak",
    "size_mm3": "volume of the cluster in cubic mm; missing for further peaks",
}


@dataclass(frozen=True)
class WeightBootstrap:
    """Hold the outcome of a bootstrap of voxel weights; those of degenerate draws are 0 and count."""

    z: np.ndarray  # (n_voxels,) mean over draws divided by the SD (ddof 0); 0 where the SD is 0
    n: int
    n_constant_target: int  # draws in which all scores are equal
    n_constant_images: int  # draws in which all images are equal
    duals: np.ndarray  # (n_trials, n_kept) of the first `KEPT_DRAWS`; none where voxels are standardised


def bootstrap_weights(images, y, groups, model, resampling, unit="participant"):
    """Bootstrap the voxel weights of a model fitted to all trials.

    Trials of one participant are alike, so that drawing trials ("trial" in place of "participant") overstates how
    stable the weights are. Raises InputError if there are fewer than two units to draw from.
    """
    # Squares are summed about the weights of all trials, where they lose few digits.
    centre = fit_draw(images, y, model, np.ones(len(y), dtype=int))[0][:, None]

    def draw_batch(indices):
        counts = (draw_counts(groups, unit, resample_rng(resampling.seed, index)) for index in indices)
        weights, outcomes = zip(*(fit_draw(images, y, model, each) for each in counts), strict=True)
        columns = np.column_stack(weights)
        kept = columns[:, : 0 if images.by_voxel else max(0, KEPT_DRAWS - indices[0])].copy()
        columns -= centre
        return (
            columns.sum(axis=1),
            np.sum(columns**2, axis=1) if images.by_voxel else columns @ columns.T,
            outcomes,
            kept,
        )

    mean, variance, outcomes, duals = 0.0, 0.0, [], []
    batches = resampling.run(draw_batch, BATCH_SIZE["voxel" if images.by_voxel else "image"])
    for sums, squares, batch_outcomes, kept in batches:
        mean, variance = mean + sums / resampling.n, variance + squares / resampling.n
        outcomes += batch_outcomes
        duals.append(kept)
    variance = variance - (mean**2 if images.by_voxel else np.outer(mean, mean))
    return WeightBootstrap(
        z=_z_map(images, mean + centre[:, 0], variance, resampling.n_jobs),
        n=resampling.n,
        n_constant_target=outcomes.count("constant target"),
        n_constant_images=outcomes.count("constant images"),
        duals=np.hstack(duals),
    )


def draw_counts(groups, unit, rng):
    """Draw units ("participant" or "trial") with replacement and return how often each trial was drawn (n_trials,).

    The same for all trials of a unit; their sum varies where units differ in size.
    """
    if unit not in UNITS:
        raise ValueError(f"unit {unit!r} is unknown: use one of {UNITS}")
    units = np.asarray(groups) if unit == "participant" else np.arange(len(groups))
    names, index = np.unique(units, return_inverse=True)
    if len(names) < 2:
        raise InputError(f"a bootstrap of {len(names)} {unit} is no bootstrap: give at least two")
    drawn = rng.integers(len(names), size=len(names))
    return np.bincount(drawn, minlength=len(names))[index]


def fit_draw(images, y, model, counts):
    """Fit the model to one bootstrap draw, in which each trial is ``counts`` (n_trials,) times.

    Returns dual weights (n_trials,) for images standardised by image alone, else voxel weights (n_voxels,), 0 in a
    degenerate draw; and "fitted", "constant target" or "constant images".
    """
    rows, dual, outcome = np.flatnonzero(counts), np.zeros(len(y)), "fitted"
    if np.ptp(y[rows]) == 0:
        outcome = "constant target"
    else:
        K, nothing = images.gram(counts, rows), rows[:0]
        fold = decompose_fold(K, (rows, nothing), model, images.confounds, counts[rows])
        if fold.components.n_components == 0:
            outcome = "constant images"
        else:
            dual[rows] = fold.fit_duals(y[:, None], model)[:, 0]
    if not images.by_voxel:
        return dual, outcome
    if outcome != "fitted":
        return np.zeros(images.n_voxels), outcome
    return images.weights(dual[:, None], [0.0], counts)[0][:, 0], outcome


def p_values(z):
    """Return the two-sided p of every z, 1 where z is 0."""
    return 2 * ndtr(-np.abs(np.asarray(z, float)))


def z_thresholds(z, q=0.05):
    """Return the smallest significant |z| and the number of voxels at or above it, by kind of threshold.

    z is of all voxels, as written. The smallest is None where nothing survives the false discovery rate q (Benjamini &
    Hochberg 1995, doi 10.1111/j.2517-6161.1995.tb02031.x, as in SciPy).
    """
    from scipy.stats import false_discovery_control  # takes a second to import, and few draws give no threshold

    magnitude = np.abs(np.asarray(z, float))
    survivors = magnitude[false_discovery_control(p_values(z)) < q]
    limits = {
        "fdr": float(survivors.min()) if len(survivors) else None,
        "uncorrected_0.05": round_significant(-ndtri(0.05 / 2)),
        "uncorrected_0.001": round_significant(-ndtri(0.001 / 2)),
        "bonferroni_0.05": round_significant(-ndtri(0.05 / 2 / len(magnitude))),
    }
    return {
        name: {"z": limit, "n_voxels": 0 if limit is None else int(np.sum(magnitude >= limit))}
        for name, limit in limits.items()
    }


def threshold_map(z, threshold):
    """Keep the z values that reach one of `z_thresholds` and set the others to 0."""
    return np.where(np.abs(z) >= (np.inf if threshold["z"] is None else threshold["z"]), z, 0)


def clusters_table(z_img, thresholds):
    """List clusters of at least 10 voxels whose absolute z reaches a threshold, if there is any, by its name."""
    largest, tables = np.abs(z_img.get_fdata()).max(), []
    for name, threshold in thresholds.items():
        if threshold is None or threshold > largest:
            continue
        from nilearn.reporting import get_clusters_table  # takes a second to import, and often nothing is reached

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "No clusters found", UserWarning)  # an empty table says it
            # nilearn keeps what lies above the threshold: a voxel right at it is significant too.
            just_below = np.nextafter(threshold, 0)
            table = get_clusters_table(z_img, just_below, cluster_threshold=MIN_VOXELS, two_sided=True)
        table = table.rename(columns=dict(zip(table.columns, list(CLUSTER_COLUMNS)[1:], strict=True)))
        # nilearn leaves the size of further peaks empty.
        sizes = pd.to_numeric(table["size_mm3"], errors="coerce")
        tables += [table.assign(threshold=name, size_mm3=sizes)] if len(table) else []
    return pd.concat(tables)[list(CLUSTER_COLUMNS)] if tables else pd.DataFrame(columns=list(CLUSTER_COLUMNS))


def _z_map(images, mean, covariance, n_jobs):
    """Return mean over SD of the voxel weights; where voxels are standardised the variances of these are given."""
    if images.by_voxel:
        return _divide_by_sd(mean, np.sqrt(np.maximum(covariance, 0.0)), 0.0)
    # The covariance is singular, since every draw's weights sum to 0: no Cholesky factor exists.
    values, vectors = np.linalg.eigh(covariance)
    # What is left along the ones is rounding, whose root would no longer be small.
    rounding = len(values) * np.finfo(float).eps * values.max(initial=0.0)
    root = vectors * np.sqrt(np.where(values > rounding, values, 0.0))

    def z_of_block(columns):
        block = images.block(columns)[0]
        sd = np.sqrt(np.sum((block.T @ root) ** 2, axis=1))
        largest_sd = np.sqrt(np.sum(block**2, axis=0) * np.trace(covariance))
        return _divide_by_sd(mean @ block, sd, largest_sd)

    return np.concatenate(list(map_in_order(z_of_block, images.columns, n_jobs)))


def _divide_by_sd(mean, sd, largest_sd):
    """Return mean / SD, and 0 where the SD is nothing but rounding."""
    vanishes = sd <= SD_TOLERANCE * np.maximum(np.abs(mean), largest_sd)
    return np.where(vanishes, 0.0, mean) / np.where(vanishes, 1.0, sd)
