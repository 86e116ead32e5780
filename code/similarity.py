"""Compare the weight map of one model with every signature, over the whole mask and within each network."""

from pathlib import Path

import nibabel
import numpy as np
import pandas as pd

from errors import InputError
from facepain.data.signatures import WHOLE, load_networks, load_signatures
from facepain.inference import similarity
from facepain.inference.permutation import choose_schemes, scheme_of_people
from facepain.models.cross_validation import fit_final, voxel_weights
from facepain.models.scores import pearson_r
from provenance.run.stage import run_stage
from stages import STUDY
from training import load_model, load_training, resample

LEAST_AGREEMENT = 0.999  # correlation of the map as written and as refitted
COLUMNS = {
    "signature": "map that the weight map of the final model is compared with",
    "network": "voxels compared: all of the mask, or those of one network",
    "metric": "cosine of the angle between the maps, or their Pearson correlation",
    "score": "similarity of the map as written; n/a where a map is 0 (pearson_r: constant) in all these voxels",
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
    settings, model_name = cell.settings, " ".join(cell.names)
    study = load_training(cell.names[0], settings["regress"])
    model, images, (y, groups) = load_model(cell.names[1], settings["regress"]), study.images, study.train
    names, maps = load_signatures(settings["signatures"], study.mask_img, settings["analyze_orientation"])
    voxels = {WHOLE: np.ones(maps.shape[1], dtype=bool)}
    if "networks" in settings:
        voxels |= load_networks(settings["networks"], study.mask_img, settings["analyze_orientation"])
    inside = np.asarray(study.mask_img.dataobj) != 0
    weights_img = nibabel.load(Path("outputs/regress", *cell.names, "weights_final.nii.gz"))
    weights = np.asarray(weights_img.dataobj, dtype=np.float64)[inside]
    final = fit_final(images, y, model)
    refitted, _ = voxel_weights(images, [final])
    agreement = pearson_r(weights, refitted[:, 0])
    if np.any(weights) and agreement < LEAST_AGREEMENT:  # the null would be of another model
        raise InputError(
            f"{cell.name}: the weight map of regress {model_name} is not that of these settings (r = {agreement:.3f}); "
            "make that result again"
        )

    products = similarity.map_products(images, maps, voxels)
    ends = bootstrap_intervals(cell, products, maps, voxels, images, y, groups, model)
    table, tables = list_similarities(names, weights, maps, voxels, ends, inside), []
    # The map as written is rounded, which the refits that it is compared with are not.
    observed = np.array([each.similarity(final.dual[:, None]) for each in products.values()])
    asked = settings["permutation"]["schemes"]
    schemes = choose_schemes(asked, groups, y)
    schemes.sort(key=lambda scheme: scheme != scheme_of_people(groups))  # first what sentences rest on
    for scheme in sorted(set(asked) - set(schemes)):
        print(f"{cell.name}: permuting {scheme} changes nothing in these scores and is left out")
    for scheme in schemes:
        null = permutation_null(cell, scheme, products, images, y, groups, model)
        tested = table.assign(scheme=scheme, p=np.nan, p_familywise=np.nan)
        for number, metric in enumerate(similarity.METRICS):
            rows = table["metric"] == metric
            p = similarity.familywise_p(observed[:, number].ravel(), np.vstack(null[:, number]))
            tested.loc[rows, ["p", "p_familywise"]] = np.column_stack(p)
        tested.loc[tested["score"].isna(), ["p", "p_familywise"]] = np.nan
        tables.append(tested[list(COLUMNS)])
    outputs.write_table("similarity.tsv", pd.concat(tables), COLUMNS)
    first = table.query("network == @WHOLE and metric == 'cosine'").dropna(subset="score")
    print(f"{cell.name}: " + ", ".join(f"{row.signature} {row.score:.2f}" for row in first.itertuples()))


def list_similarities(names, weights, maps, voxels, ends, inside):
    """List what no scheme of permutation changes, by metric, set of voxels and signature."""
    tables = []
    for number, metric in enumerate(similarity.METRICS):
        for position, (network, where) in enumerate(voxels.items()):
            values, others = weights[where], maps[:, where]
            found = {"signature": names, "network": network, "metric": metric, "n_voxels": where.sum()}
            found["score"] = score = similarity.similarity_of_maps(values, others)[number]
            found["low"], found["high"] = np.where(np.isnan(score), np.nan, ends[:, position, number])
            found["p_spatial"] = np.nan
            if metric == "pearson_r":
                region = inside.copy()
                region[inside] = where
                found["p_spatial"] = np.where(np.isnan(score), np.nan, similarity.spatial_p(values, others, region))
            tables.append(pd.DataFrame(found))
    return pd.concat(tables, ignore_index=True)


def permutation_null(cell, scheme, products, images, y, groups, model):
    """Return the similarities of refits to permuted scores (n_sets_of_voxels, n_metrics, n_maps, n)."""
    with resample(cell, f"permutations {scheme}", cell.settings["permutation"]["n"]) as resampling:
        refits = similarity.refit_permuted(images, y, groups, model, scheme, resampling)
        batches = [[each.similarity(duals) for each in products.values()] for duals in refits]
    return np.concatenate(batches, axis=-1)


def bootstrap_intervals(cell, products, maps, voxels, images, y, groups, model):
    """Return the ends of the 95 % intervals over participants (2, n_sets_of_voxels, n_metrics, n_maps)."""
    batches = []
    with resample(cell, "bootstrap", cell.settings["bootstrap"]["n"]) as resampling:
        for draws in draw_participants(cell, images, y, groups, model, resampling):
            if images.by_voxel:  # draws are maps
                found = [
                    [np.nan_to_num(similarity.similarity_of_maps(draw[where], maps[:, where])) for draw in draws.T]
                    for where in voxels.values()
                ]
                batches.append(np.moveaxis(found, 1, -1))
            else:
                batches.append([each.similarity(draws) for each in products.values()])
    return np.quantile(np.concatenate(batches, axis=-1), (0.025, 0.975), axis=-1)


def draw_participants(cell, images, y, groups, model, resampling):
    """Yield the refits of the bootstrap of the weights as far as it has kept enough of them, else refit."""
    path = Path("outputs/regress", *cell.names, "bootstrap_draws.npz")
    if path.exists():
        with np.load(path) as kept:
            duals = kept["duals"].astype(float)
        if duals.shape[1] >= resampling.n:
            yield duals[:, : resampling.n]
            return
    yield from similarity.refit_resampled(images, y, groups, model, resampling)


if __name__ == "__main__":
    run_stage(STUDY, "similarity", main)
