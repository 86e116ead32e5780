"""Report on the inputs before anything is computed: trials, images, masks, what looks wrong, what it will take."""

import os
import subprocess
import time
from pathlib import Path

import numpy as np

from errors import InputError
from facepain.data.exclusions import is_usable, usable_trials
from facepain.data.extraction import inspect_images, read_volumes
from facepain.data.masks import load_mask, mask_on_grid, require_coverage
from facepain.data.quality import LEAST_ASYMMETRY, agreement_on_sides, find_warnings, screen_images
from facepain.models.folds import make_folds
from facepain.models.target import transform_target
from prep import join_trials
from provenance.run.progress import Progress

SHOWN = 20  # warnings spelled out
FLOAT32 = 4  # bytes
BASE_MEMORY = 300e6  # interpreter and packages, in bytes
# Rough costs on one core, in seconds: for each product of two voxels, and of a draw for each cube of training trials.
PER_PRODUCT = 5e-10
PER_DRAW = 2e-10


def check(params):
    """Print the report; nothing is written but content of the inputs that had to be fetched.

    Parameters
    ----------
    params : dict
        As from `facepain.params.load_params`.

    Raises
    ------
    InputError
        At what would stop a stage.
    """
    fetch_content("inputs/behavior")
    trials = join_trials(params["prep"])
    usable = usable_trials(trials)
    report_trials(trials, usable, params)
    fetch_content("inputs/contrasts")
    paths = [Path("inputs/contrasts") / contrast for contrast in usable["contrast"]]
    images = inspect_images(paths, params["extract"], usable.get("volume"))
    print(f"images    {len(paths)} on the grid {images.grid}, {sum(images.resampled)} of them resampled to it")
    masks, coverages = report_masks(params["extract"], images.grid)
    report_warnings(images, masks, coverages, usable, params["extract"])
    report_costs(usable, masks, params)


def fetch_content(folder):
    """Fetch annexed content that is not here yet."""
    absent = [path for path in Path(folder).rglob("*") if path.is_symlink() and not path.exists()]
    if not absent:
        return
    print(f"{folder}: fetching {len(absent)} file(s)", flush=True)
    command = ["datalad", "-l", "error", "-f", "disabled", "get", "--dataset", folder, folder]
    subprocess.run(command, capture_output=True)
    absent = [path for path in absent if not path.exists()]
    if absent:
        # DataLad keeps git-annex's reason to itself.
        command = ["git", "annex", "get", "--quiet", str(absent[0].relative_to(folder))]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        said = (done.stderr + done.stdout).strip().splitlines()
        reason = next(
            (line.strip() for line in said if "changed" in line), said[-1].strip() if said else "no reason given"
        )
        raise InputError(
            f"{absent[0]} and {len(absent) - 1} more cannot be fetched ({reason[:200]}); "
            "make the place that has them reachable; after a change of your own files `make own` records it"
        )


def report_trials(trials, usable, params):
    target = params["prep"]["target"]
    for dataset, of_dataset in trials.groupby("dataset"):
        kept = of_dataset[is_usable(of_dataset)]
        print(
            f"trials    {dataset}: {len(kept)} of {len(of_dataset)} usable, {kept['participant_id'].nunique()} of "
            f"{of_dataset['participant_id'].nunique()} participants; {target} "
            f"{kept[target].min():g} to {kept[target].max():g}, "
            f"mean {kept[target].mean():.3g}, {(kept[target] == 0).mean():.0%} are 0"
        )
        for reason, left_out in of_dataset[~is_usable(of_dataset)].groupby("excluded"):
            people = left_out["participant_id"].nunique()
            print(f"          falls out: {len(left_out)} trial(s) of {people} participant(s): {reason}")
    datasets = sorted(usable["dataset"].unique())
    train = params["regress"]["train_dataset"]
    if train not in datasets:
        raise InputError(
            f'regress.train_dataset = "{train}" has no usable trial; expected one of {", ".join(datasets)}'
        )
    others = [dataset for dataset in datasets if dataset != train]
    rows = usable["dataset"] == train
    transform_target(usable[target], params["regress"]["transform"])
    folds = make_folds(
        usable.loc[rows, "participant_id"].to_numpy(), **params["regress"]["cross_validation"], seed=params["seed"]
    )
    tests = f"tested on {', '.join(others)}" if others else "one dataset only: no test set and no classifier"
    print(f"models    trained on {train} in {len(folds)} folds; {tests}")


def report_masks(settings, grid):
    """Return each mask on the images' grid, and the share of it that lies there."""
    masks, coverages = {}, {}
    for name in settings["masks"]:
        mask, coverage = mask_on_grid(load_mask(name, settings["mask_files"]), grid, name)
        masks[name], coverages[name] = mask, coverage
        require_coverage(name, coverage, settings["min_coverage"])
        print(f"mask      {name}: {mask.sum()} voxels, {coverage:.0%} of it lies in the images")
    return masks, coverages


def report_warnings(images, masks, coverages, usable, settings):
    """Read every image once; warn of those that look wrong and take from the masks what extraction will drop."""
    union = np.logical_or.reduce(list(masks.values()))
    finite = union.copy()

    def volumes():
        for path, volume in read_volumes(images):
            finite[:] &= np.isfinite(volume)
            if settings["zeros"] == "missing":
                finite[:] &= volume != 0
            yield path, volume

    started = time.monotonic()
    with Progress(len(images.paths), "check: reading images") as progress:
        screen = screen_images(volumes(), union, images.grid, progress)
    images_seconds = time.monotonic() - started
    for name, mask in masks.items():
        lost = int((mask & ~finite).sum())
        if lost and settings["non_finite"] == "drop":
            print(
                f"          {name}: {lost} voxels without a value in some image fall out, {mask.sum() - lost} are left"
            )
            require_coverage(name, coverages[name] * (mask & finite).sum() / mask.sum(), settings["min_coverage"])
            mask &= finite
    warnings = find_warnings(screen, union, images.grid)
    for row, text in warnings[:SHOWN]:
        trial = None if row is None else usable.iloc[row]
        where = "" if row is None else f"{images.paths[row]} ({trial['participant_id']} trial {trial['trial']}): "
        print(f"WARNING   {where}{text}")
    if len(warnings) > SHOWN:
        print(f"WARNING   and {len(warnings) - SHOWN} more")
    sides = np.median(agreement_on_sides(screen.asymmetry))
    if sides < LEAST_ASYMMETRY:
        print(
            "note      the images' asymmetries do not agree: whether left and right are exchanged in one cannot be told"
        )
    print(f"looked at {len(images.paths)} images in {images_seconds:.0f} s; {len(warnings)} warning(s)")


def report_costs(usable, masks, params):
    n_voxels = {name: int(mask.sum()) for name, mask in masks.items()}
    n_trials, largest = len(usable), max(n_voxels.values())
    n_train = int((usable["dataset"] == params["regress"]["train_dataset"]).sum())
    disk = n_trials * sum(n_voxels.values()) * FLOAT32
    memory = BASE_MEMORY + 2 * n_train * largest * FLOAT32 + 20 * n_train**2 * 8
    draws = params["regress"]["bootstrap"]["n"] * PER_DRAW * n_train**3 / (os.cpu_count() or 1)
    products = sum(n_train**2 * count * PER_PRODUCT for count in n_voxels.values())
    minutes = (products + draws * len(masks)) * len(params["regress"]["algorithms"]) / 60
    print(
        f"costs     about {disk / 1e9:.2g} GB of disk for the signals, {memory / 1e9:.2g} GB of memory, "
        f"{max(1, round(minutes))} min or a few times that for the models"
    )


if __name__ == "__main__":
    raise SystemExit("run `make check`")
