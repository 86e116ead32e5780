"""Compare the weight map of one model with every signature, over the whole mask and within each network."""

from pathlib import Path

import nibabel
import numpy as np
import pandas as pd

from errors import InputError
from facepain.data.signatures import WHOLE, load_networks, load_signatures
from facepain.inference.permutation import choose_schemes
from facepain.inference.similarity import (
    METRICS,
    familywise_p,
    map_products,
    refit_permuted,
    refit_resampled,
    similarity_of_maps,
    spatial_p,
)
from facepain.parallel import Resampling
from provenance.run.progress import Progress
from provenance.run.stage import n_workers, run_stage
from stages import STUDY
from training import load_model, load_training

LEAST_AGREEMENT = 0.999  # correlation of the map as written and as refitted
COLUMNS = {
    "signature": "map that the weight map of the final model is compared with",
    "network": "voxels compared: all of the mask, or those of one network",
    "metric": "cosine of the angle between the maps, or their Pearson correlation",
    "score": "similarity of the map as written",
    "low": "lower end of the 95 % interval (percentiles of the bootstrap over participants)",
    "high": "upper end of that interval",
    "scheme": "what is permuted: scores within participants, or whole participants too (block)",
    "p": "two-sided, exact: (1 + refits of permuted scores at least as far from the mean of all, the observed one "
    "included) / (1 + permutations)",
    "p_familywise": "the same, by the largest standardised distance over all signatures and networks of a permutation",
    "p_spatial": "two-sided, of Pearson's r of two stationary fields; about 10 % false positives where they are not",
    "n_voxels": "voxels compared",
}


def main(cell, outputs):
    mask_name, algorithm = cell.names
    settings = cell.settings
    study, model = load_training(mask_name, settings["regress"]), load_model(algorithm, settings["regress"])
    mask_img, images, (y, groups) = study.mask_img, study.images, study.train
    inside = np.asarray(mask_img.dataobj) != 0
    names, maps = load_signatures(settings["signatures"], mask_img, settings["analyze_orientation"])
    voxels = {WHOLE: np.ones(maps.shape[1], dtype=bool)}
    if "networks" in settings:
        voxels |= load_networks(settings["networks"], mask_img, settings["analyze_orientation"])
    weights_img = nibabel.load(f"outputs/regress/{mask_name}/{algorithm}/weights_final.nii.gz")
    weights = np.asarray(weights_img.dataobj, dtype=np.float64)[inside]

    products = map_products(images, maps, voxels)
    require_same_map(cell, images, y, model, weights, products[WHOLE])
    observed = {name: similarity_of_maps(weights[where], maps[:, where]) for name, where in voxels.items()}
    spatial = {name: spatial_tests(weights, maps, where, inside) for name, where in voxels.items()}
    low, high = bootstrap_intervals(cell, products, maps, voxels, images, y, groups, model)

    tables, asked = [], settings["permutation"]["schemes"]
    schemes = choose_schemes(asked, groups, y)
    for scheme in sorted(set(asked) - set(schemes)):
        print(f"{cell.name}: permuting {scheme} changes nothing in these scores and is left out")
    for scheme in schemes:
        null = permutation_null(cell, scheme, products, images, y, groups, model)
        tables.append(tabulate(scheme, names, products, observed, null, low, high, spatial))
    outputs.write_table("similarity.tsv", pd.concat(tables), COLUMNS)
    first = tables[0].query("network == @WHOLE and metric == 'cosine'")
    print(f"{cell.name}: " + ", ".join(f"{row.signature} {row.score:.2f}" for row in first.itertuples()))


def require_same_map(cell, images, y, model, weights, products):
    """Stop if the refitted map is not the one that ``regress`` wrote: the null would be of another model."""
    identity = Resampling(1, 0)
    (duals,) = refit_permuted(images, y, np.arange(len(y)), model, "within", identity)
    refitted = images.weights(duals, [0.0], np.ones(len(y), dtype=int))[0][:, 0]
    agreement = similarity_of_maps(weights, refitted[None])[1, 0]
    if np.any(weights) and agreement < LEAST_AGREEMENT:
        raise InputError(
            f"{cell.name}: the weight map of regress {' '.join(cell.names)} is not that of these settings (r = "
            f"{agreement:.3f}); make that result again"
        )


def permutation_null(cell, scheme, products, images, y, groups, model):
    """Return the similarities of refits to permuted scores, by set of voxels (n_metrics, n_maps, n)."""
    n = cell.settings["permutation"]["n"]
    with Progress(n, f"{cell.name}: permutations {scheme}") as progress:
        resampling = Resampling(n, cell.settings["regress"]["seed"], n_workers(), progress)
        batches = [
            {name: each.similarity(duals) for name, each in products.items()}
            for duals in refit_permuted(images, y, groups, model, scheme, resampling)
        ]
    return {name: np.concatenate([batch[name] for batch in batches], axis=2) for name in products}


def bootstrap_intervals(cell, products, maps, voxels, images, y, groups, model):
    """Return the ends of the 95 % intervals over participants, by set of voxels (n_metrics, n_maps)."""
    n = cell.settings["bootstrap"]["n"]
    found = {name: [] for name in products}
    with Progress(n, f"{cell.name}: bootstrap") as progress:
        for draws in draw_participants(cell, images, y, groups, model, progress):
            for name, each in products.items():
                if not images.by_voxel:
                    found[name].append(each.similarity(draws))
                else:
                    where = voxels[name]
                    parts = [similarity_of_maps(draw[where], maps[:, where]) for draw in draws.T]
                    found[name].append(np.stack(parts, axis=2))
    ends = {name: np.quantile(np.concatenate(parts, axis=2), (0.025, 0.975), axis=2) for name, parts in found.items()}
    return {name: pair[0] for name, pair in ends.items()}, {name: pair[1] for name, pair in ends.items()}


def draw_participants(cell, images, y, groups, model, progress):
    """Yield the refits of the bootstrap of the weights as far as it has kept enough of them, else refit."""
    n, path = cell.settings["bootstrap"]["n"], Path("outputs/regress", *cell.names, "bootstrap_draws.npz")
    if path.exists():
        with np.load(path) as kept:
            duals = kept["duals"].astype(float)
        if duals.shape[1] >= n:
            yield duals[:, :n]
            return
    resampling = Resampling(n, cell.settings["regress"]["seed"], n_workers(), progress)
    yield from refit_resampled(images, y, groups, model, resampling)


def spatial_tests(weights, maps, where, inside):
    """Return the p of two stationary fields for every map, over one set of voxels."""
    region = inside.copy()
    region[inside] = where
    return spatial_p(weights[where], maps[:, where], region)


def tabulate(scheme, names, products, observed, null, low, high, spatial):
    """List every signature, network and metric under one scheme."""
    rows = []
    for number, metric in enumerate(METRICS):
        keys = [(signature, network) for network in products for signature in range(len(names))]
        scores = np.array([observed[network][number, signature] for signature, network in keys])
        p, p_familywise = familywise_p(scores, np.array([null[network][number, s] for s, network in keys]))
        for (signature, network), score, own, familywise in zip(keys, scores, p, p_familywise, strict=True):
            rows.append(
                {
                    "signature": names[signature],
                    "network": network,
                    "metric": metric,
                    "score": score,
                    "low": low[network][number, signature],
                    "high": high[network][number, signature],
                    "scheme": scheme,
                    "p": own,
                    "p_familywise": familywise,
                    "p_spatial": spatial[network][signature] if metric == "pearson_r" else np.nan,
                    "n_voxels": products[network].n_voxels,
                }
            )
    return pd.DataFrame(rows)


if __name__ == "__main__":
    run_stage(STUDY, "similarity", main)
