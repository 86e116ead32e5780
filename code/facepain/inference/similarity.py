"""Similarity of a weight map with other maps, with an exact permutation null, and expression of maps in images.

The weight map of a PCA regression is a weighted sum of the training images, w = M'a, where the rows of M are the
standardised images (divided once more by the voxels' scales where voxels are standardised). Its cosine with a map s
over any set of voxels is then

    cos = a'(M s) / (sqrt(a' M M' a) |s|),

so that refitting permuted scores, which changes a alone, gives the null distribution without a single voxel map. For
Pearson's r the rows of M and s are centred over the same voxels. Family-wise p values compare with the largest
standardised value over all maps and networks of one permutation (Westfall & Young 1993).

The usual test beside it takes both maps as stationary random fields: the variance of r between two unrelated fields
follows from their autocovariances (Clifford, Richardson & Hemon 1989, doi 10.2307/2532039), here of the masked maps by
Fourier transform.

In its own training trials a model's map goes with the scores whether or not there is anything to find (in every null
study that was simulated): models are only ever expressed in trials that they have not seen.
"""

from dataclasses import dataclass

import numpy as np
from scipy import fft
from scipy.special import stdtr

from errors import InputError
from facepain.inference.bootstrap import draw_counts, fit_draw
from facepain.inference.permutation import BATCH_SIZE, TrialPermuter
from facepain.models.cross_validation import prepare_folds
from facepain.models.scores import unit_columns
from facepain.parallel import resample_rng

DRAWS_AT_ONCE = 20
METRICS = ("cosine", "pearson_r")


@dataclass(frozen=True)
class MapProducts:
    """What similarities of weight maps with some maps need, for one set of voxels."""

    gram: np.ndarray  # (n_trials, n_trials): M M' over the voxels
    products: np.ndarray  # (n_trials, n_maps): M s for every map s
    image_sums: np.ndarray  # (n_trials,) row sums of M
    map_sums: np.ndarray
    map_squares: np.ndarray
    n_voxels: int

    def similarity(self, duals):
        """Return cosine and Pearson's r of weight maps with every map: (n_metrics, n_maps, n_fits).

        Metrics are in the order of `METRICS`; ``duals`` (n_trials, n_fits) are the weights of the training images. 0
        where a map is constant.
        """
        inner = self.products.T @ duals
        squares = np.sum(duals * (self.gram @ duals), axis=0)
        sums = self.image_sums @ duals
        n = self.n_voxels
        cosine = _ratio(inner, squares, self.map_squares)
        centred = inner - np.outer(self.map_sums, sums) / n
        r = _ratio(centred, squares - sums**2 / n, self.map_squares - self.map_sums**2 / n)
        return np.stack([cosine, r])


def _ratio(inner, squares, map_squares):
    lengths = np.sqrt(np.maximum(np.outer(map_squares, squares), 0.0))
    # What rounding leaves of a constant map's length is nothing.
    vanishes = lengths <= 1e-12 * max(lengths.max(initial=0.0), np.finfo(float).tiny)
    return np.where(vanishes, 0.0, inner) / np.where(vanishes, 1.0, lengths)


def map_products(images, maps, voxels):
    """Gather what `MapProducts.similarity` needs, for sets of voxels by name, in one pass over the training images."""
    n = images.n_trials
    counts = np.ones(n, dtype=int)
    sums = {name: [np.zeros((n, n)), np.zeros((n, len(maps))), np.zeros(n)] for name in voxels}
    for columns in images.columns:
        block, _, scale = images.block(columns, counts=counts)
        rows = block / scale
        for name, (gram, products, image_sums) in sums.items():
            inside = voxels[name][columns]
            if not inside.any():
                continue
            part, values = (rows, maps[:, columns]) if inside.all() else (rows[:, inside], maps[:, columns][:, inside])
            gram += part @ part.T
            products += part @ values.T
            image_sums += part.sum(axis=1)
    found = {}
    for name, given in sums.items():
        values = maps[:, voxels[name]]
        found[name] = MapProducts(*given, values.sum(axis=1), np.sum(values**2, axis=1), values.shape[1])
    return found


def similarity_of_maps(weights, maps):
    """Return cosine and Pearson's r of one map with others, over all their voxels (n_metrics, n_maps).

    NaN where a map is 0 everywhere or, for Pearson's r, constant: it is like no other, and unlike none.
    """
    weights, maps = np.asarray(weights, float), np.asarray(maps, float)
    # Columns of length 1 or, where that is rounding, of 0.
    a, b = weights / (np.linalg.norm(weights) or 1.0), maps.T / (np.linalg.norm(maps, axis=1) + (maps == 0).all(axis=1))
    found = []
    for one, others in ((a, b), (unit_columns(weights), unit_columns(maps.T))):
        undefined = ~others.any(axis=0) | ~one.any()
        found.append(np.where(undefined, np.nan, one @ others))
    return np.stack(found)


def familywise_p(observed, null):
    """Return the two-sided p (n_tests,) of each observed value, and its family-wise p by the largest null value.

    (1 + #{|null - mean| >= |observed - mean|}) / (1 + n), for the same permutations (n_tests, n) of all tests. Values
    are taken as distances from the mean of all, observed and null, since permuting within participants leaves what
    these have in common, so that the null need not lie about 0. Each test is divided by the root mean square of its
    distances, so that small networks, whose similarity varies more, do not decide alone what is large.
    """
    values = np.column_stack([np.asarray(observed, float), np.asarray(null, float)])
    distances = np.abs(values - values.mean(axis=1, keepdims=True))
    scale = np.sqrt(np.mean(distances**2, axis=1, keepdims=True))
    distances /= np.where(scale > 0, scale, 1.0)
    # Permutations that give the scores back must count: a tie is a tie beyond rounding.
    reached = distances[:, :1] * (1 - 1e-9)
    # The observed value is one of those compared with it: that is the 1 of the formula.
    p = np.mean(distances >= reached, axis=1)
    return p, (1 + np.sum(distances[:, 1:].max(axis=0) >= reached, axis=1)) / values.shape[1]


def spatial_p(values, maps, inside):
    """Return the two-sided p (n_maps,) of Pearson's r of one map with others, as stationary random fields.

    Maps are inside the mask, in C order; ``inside`` is the mask on its grid. p is 1 where a map is constant. Where
    fields are not stationary about 10 % of unrelated maps reach .05. With autocovariances C_x and C_y and N pairs of
    voxels at each lag, var(r) = sum(N C_x C_y) / (n^2 C_x(0) C_y(0)), and r has the distribution of a correlation of 1
    + 1 / var(r) independent pairs.
    """
    # What lies around the mask has no part in any sum.
    inside = inside[tuple(slice(place.min(), place.max() + 1) for place in np.nonzero(inside))]
    shape = [fft.next_fast_len(2 * length, real=True) for length in inside.shape]
    pairs = np.round(_autocorrelate(inside.astype(float), shape))
    known = pairs > 0

    def sum_products(centred):
        volume = np.zeros(inside.shape)
        volume[inside] = centred
        return _autocorrelate(volume, shape)[known]

    a = np.asarray(values, float) - np.mean(values)
    of_values, p = sum_products(a) / pairs[known], []
    for other in np.asarray(maps, float):
        b = other - other.mean()
        scale = np.sqrt(np.sum(a**2) * np.sum(b**2))
        if scale <= np.finfo(float).eps * len(a):
            p.append(1.0)
            continue
        # sum over lags of N C_x C_y, where C = (sum of products at the lag) / N.
        variance = max(of_values @ sum_products(b) / scale**2, 1.0 / (len(a) - 1))
        r, n_effective = abs(a @ b / scale), 1 + 1 / variance
        if n_effective <= 2 or r >= 1:
            p.append(float(r < 1))
        else:
            p.append(2 * stdtr(n_effective - 2, -r * np.sqrt((n_effective - 2) / (1 - r**2))))
    return np.array(p)


def _autocorrelate(volume, shape):
    return fft.irfftn(np.abs(fft.rfftn(volume, shape)) ** 2, shape)


def refit_permuted(images, y, groups, model, scheme, resampling):
    """Refit the model of all training trials to permuted scores; yield duals (n_trials, n_batch)."""
    everything = np.arange(len(y)), np.arange(0)
    (fold,), permuter = prepare_folds(images, [everything], model), TrialPermuter(groups, scheme)

    def fit_batch(indices):
        return fold.fit_duals(permuter.draw_scores(y, resampling.seed, indices), model)

    yield from resampling.run(fit_batch, BATCH_SIZE)


def refit_resampled(images, y, groups, model, resampling):
    """Yield duals (n_trials, n_batch), or maps where voxels are standardised, of refits to participants redrawn."""

    def fit_batch(indices):
        counts = [draw_counts(groups, "participant", resample_rng(resampling.seed, index)) for index in indices]
        return np.column_stack([fit_draw(images, y, model, each)[0] for each in counts])

    yield from resampling.run(fit_batch, DRAWS_AT_ONCE)


def express_maps(signals, maps):
    """Return how strongly images (n_trials, n_voxels), as extracted, express maps (n_maps, n_voxels).

    The result (n_maps, 3, n_trials) holds the dot product, in contrast units times map units, cosine and Pearson's r;
    the latter two are 0 where an image or the map is constant. Images are read row by row, once for all maps.
    """
    maps = np.asarray(maps, float)
    centred = maps - maps.mean(axis=1, keepdims=True)
    lengths, spreads = np.linalg.norm(maps, axis=1), np.linalg.norm(centred, axis=1)
    found = np.zeros((len(maps), 3, len(signals)))
    for trial, image in enumerate(signals):
        image = np.asarray(image, dtype=np.float64)
        deviation = image - image.mean()
        found[:, 0, trial] = dot = maps @ image
        for measure, product, norms, norm in (
            (1, dot, lengths, np.linalg.norm(image)),
            (2, centred @ deviation, spreads, np.linalg.norm(deviation)),
        ):
            np.divide(product, norms * norm, out=found[:, measure, trial], where=norms * norm > 0)
    return found


def require_foreign(names, maps, own):
    """Stop if a signature is a map of the study's own model (r of 0.999): its trials would be those of its training."""
    for name, r in zip(names, express_maps(maps, [own])[0, 2], strict=True):
        if abs(r) >= 0.999:
            raise InputError(
                f"the signature {name} is the weight map of this study's own model (r = {r:.4f}), which was fitted to "
                "trials that it would be expressed in: that expression goes with their scores in every study, whether "
                "or not there is anything to find; take it out of signatures.tsv, the own model is expressed out of "
                "fold anyway"
            )
