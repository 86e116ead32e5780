"""Extract the voxels of one mask from every usable contrast image, in the order of outputs/prep/trials.tsv."""

from pathlib import Path

import nibabel
import numpy as np

from errors import InputError
from facepain.data.extraction import SignalsWriter, extract_signals, flag_outliers, inspect_images
from facepain.data.masks import describe_size, load_mask, mask_on_grid, require_coverage
from files.tables import read_table
from provenance.run.progress import Progress
from provenance.run.stage import n_workers, require_disk, run_stage
from stages import STUDY

QUALITY_COLUMNS = {
    "row": "row of signals.npy, from 0",
    "participant_id": "participant",
    "trial": "trial of the participant",
    "mean": "mean over the finite voxels inside the mask, in the unit of the contrast",
    "sd": "standard deviation (of the population) over the same voxels",
    "finite_share": "share of the mask's voxels that are finite in this image",
    "resampled": "1 where the image lay on another grid and was resampled",
    "voxels_not_finite": "voxels of the mask that are not finite in this image or another: dropped, or set to 0",
    "outlier": "1 where mean or SD lies more than 6 median absolute deviations from the median of all images",
}


def main(cell, outputs):
    (mask_name,) = cell.names
    settings = cell.settings
    trials = read_table("outputs/prep/trials.tsv")
    paths = [Path("inputs/contrasts") / contrast for contrast in trials["contrast"]]
    images = inspect_images(paths, settings, trials.get("volume"))
    made = load_mask(mask_name, settings["mask_files"], settings["analyze_orientation"])
    for remark in filter(None, (*images.remarks, *made.remarks, describe_size(mask_name, made))):
        print(f"extract {mask_name}: warning: {remark}")
    mask, coverage = mask_on_grid(made, images.grid, mask_name)
    require_coverage(mask_name, coverage, settings["min_coverage"])
    require_disk(2 * len(paths) * mask.sum() * 4, f"extract {mask_name}")

    path = outputs.path("signals.npy")
    with open(path, "wb") as file, Progress(len(paths), f"extract {mask_name}") as progress:
        signals = SignalsWriter(file, len(paths), mask.sum())
        quality, finite = extract_signals(images, mask, signals, progress, settings["zeros"], n_workers())
    if settings["non_finite"] == "drop":
        coverage *= finite.mean()
        require_coverage(mask_name, coverage, settings["min_coverage"])
    if not finite.all():
        mask = treat_non_finite(path, mask, finite, settings["non_finite"])

    resampled = trials.assign(n=images.resampled).groupby("dataset")["n"].sum()
    about = {"definition": settings["mask_files"], "coverage": round(coverage, 6), "n_voxels": int(mask.sum())}
    outputs.write_json("mask.json", about | {"resampled": {name: int(n) for name, n in resampled.items()}})
    outputs.write_image("mask.nii.gz", nibabel.Nifti1Image(mask.astype(np.uint8), images.grid.affine))
    table = trials[["participant_id", "trial"]].join(quality).rename_axis("row").reset_index()
    table = table.assign(
        resampled=np.array(images.resampled, dtype=int),
        voxels_not_finite=int((~finite).sum()),
        outlier=flag_outliers(quality).astype(int),
    )
    outputs.write_table("quality.tsv", table, QUALITY_COLUMNS)
    print(
        f"extract {mask_name}: {len(paths)} images, {mask.sum()} voxels, {coverage:.0%} of the mask, "
        f"{(~finite).sum()} not finite ({settings['non_finite']}), {sum(images.resampled)} resampled, "
        f"{table['outlier'].sum()} outlying"
    )


def treat_non_finite(path, mask, finite, treatment):
    """Drop the voxels that are not finite in every image from the file and the mask, or set them to 0."""
    if not finite.any() and treatment == "drop":
        raise InputError("no voxel of the mask is finite in every image; exclude the images that lack most of it")
    kept = finite if treatment == "drop" else np.ones_like(finite)
    aside = path.with_suffix(".treated")
    signals = np.load(path, mmap_mode="r")
    with open(aside, "wb") as file:
        treated = SignalsWriter(file, len(signals), kept.sum())
        for row, values in enumerate(signals):
            treated[row] = np.where(np.isfinite(values), values, 0)[kept]
    aside.replace(path)
    mask = mask.copy()
    mask[mask] = kept
    return mask


if __name__ == "__main__":
    run_stage(STUDY, "extract", main)
