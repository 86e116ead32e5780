"""Report on the inputs before anything is computed: trials, images, masks, what looks wrong, what it will take."""

import time
from pathlib import Path

import nibabel
import numpy as np

from errors import InputError
from facepain.data.extraction import inspect_images, read_volumes
from facepain.data.mask_expressions import mask_files
from facepain.data.masks import describe_size, load_mask, mask_on_grid, require_coverage
from facepain.data.quality import LEAST_ASYMMETRY, agreement_on_sides, find_losses, find_warnings, screen_images
from facepain.data.signatures import load_networks, load_signatures
from facepain.data.summary import summarize
from facepain.data.trials import find_confounds, is_usable, rows_of_training, usable_trials
from facepain.models.cross_validation import make_folds, require_participants
from facepain.models.scores import transform_target
from prep import is_synthetic, join_trials, read_people
from provenance.annex.integrity import fetch_content
from provenance.run.plan import Plan
from provenance.run.progress import Progress
from provenance.run.stage import n_workers, require_disk
from stages import read_signatures, see_prep

SHOWN = 20  # warnings spelled out
FLOAT32 = 4  # bytes


def check(params, cells=()):
    """Print the report; nothing is written but content of the inputs that had to be fetched.

    ``cells`` are all results of the study; what they take is estimated. Raises InputError at what would stop a stage.
    """
    fetch_content("inputs/behavior")
    trials = join_trials(params["prep"])
    people = read_people(trials)
    summarize(trials, people, params["prep"]["target"])
    is_synthetic(Path("inputs/behavior"))
    usable = usable_trials(trials)
    find_confounds(usable, people, see_prep(params)["confounds"])
    report_trials(trials, usable, params)
    if params["regress"]["confounds"]:
        print(
            f"confounds {', '.join(params['regress']['confounds'])}: removed from images and scores in every training "
            "fold; occurrence is left out, since a score without them is no longer 0 where there is no expression"
        )
    fetch_content("inputs/contrasts")
    fetch_masks(params["extract"])
    paths = [Path("inputs/contrasts") / contrast for contrast in usable["contrast"]]
    images = inspect_images(paths, params["extract"], usable.get("volume"))
    report_grid(images, usable)
    masks, coverages = report_masks(params["extract"], images.grid)
    report_signatures(params, masks, images.grid)
    report_images(images, masks, coverages, usable, params["extract"])
    report_costs(usable, masks, params["regress"]["train_dataset"], cells)


def fetch_masks(settings):
    """Fetch the files that masks are made from, and the grid, as far as they are annexed and not here."""
    files = {file for name in settings["masks"] for file in mask_files(name, settings["mask_files"])}
    for file in sorted(files | ({settings["target_grid"]} if "target_grid" in settings else set())):
        parts = Path(file).parts
        depth = 2 if parts[0] == "inputs" and len(parts) > 2 else 0
        for name in {file, file.removesuffix(".hdr") + ".img"} if file.endswith(".hdr") else {file}:
            fetch_content(str(Path(*parts[:depth])), [str(Path(name).relative_to(Path(*parts[:depth])))])


def report_trials(trials, usable, params):
    target = params["prep"]["target"]
    for dataset, of_dataset in trials.groupby("dataset"):
        kept = of_dataset[is_usable(of_dataset)]
        n_kept, n_people = (rows["participant_id"].nunique() for rows in (kept, of_dataset))
        scores = kept[target]
        print(
            f"trials    {dataset}: {len(kept)} of {len(of_dataset)} usable, {n_kept} of {n_people} participants; "
            f"{target} {scores.min():g} to {scores.max():g}, mean {scores.mean():.3g}, {(scores == 0).mean():.0%} are 0"
        )
        for reason, left_out in of_dataset[~is_usable(of_dataset)].groupby("excluded"):
            people = left_out["participant_id"].nunique()
            print(f"          excluded: {len(left_out)} trial(s) of {people} participant(s): {reason}")
    train = params["regress"]["train_dataset"]
    rows_of_training(usable, train)
    others = sorted({*usable["dataset"]} - {train})
    transform_target(usable[target], params["regress"]["transform"])
    folds = split(usable, params)
    tests = f"tested on {', '.join(others)}" if others else "one dataset only: no test set and no classifier"
    print(f"models    trained on {train} in {len(folds)} folds; {tests}")
    report_withheld(usable, train, folds, params["min_participants"])


def report_withheld(usable, train, folds, fewest):
    """Say which scores will be withheld because they would describe few participants."""
    people = usable.groupby("dataset")["participant_id"].unique()
    trained = usable.loc[usable["dataset"] == train, "participant_id"].to_numpy()
    n_tested = min(len(set(trained[test_idx])) for _, test_idx in folds)
    if n_tested < fewest:
        print(f"          single folds have no scores: one tests {n_tested} participants, min_participants is {fewest}")
    for dataset in (name for name, ids in people.items() if len(ids) < fewest):
        print(f"          {dataset} has {len(people[dataset])} participants: predicted, not scored, and no classifier")


def split(usable, params):
    """Return the folds of `regress`, after a look at those of other stages: too few participants stop."""
    seed, labels, groups = params["seed"], usable["dataset"].to_numpy(), usable["participant_id"].to_numpy()
    fewest = usable.groupby("dataset")["participant_id"].nunique().min()
    if len(set(labels)) > 1 and fewest >= params["min_participants"]:  # else there is no classifier
        for train_idx, _ in make_folds(groups, **params["classify"]["cross_validation"], seed=seed):
            missing = sorted(set(labels) - set(labels[train_idx]))
            if missing:
                raise InputError(
                    f"classify: a training fold holds no participant of {', '.join(missing)}, so that there is nothing "
                    "to distinguish; lower classify.cross_validation.test_size, or add participants"
                )
    trained = groups[labels == params["regress"]["train_dataset"]]
    folds = make_folds(trained, **params["regress"]["cross_validation"], seed=seed)
    n_inner = params["tune"]["grid"]["n_folds"]
    for train_idx, _ in (*folds, *make_folds(trained, "lopo")):
        if (n_left := len(set(trained[train_idx]))) < n_inner:
            raise InputError(
                f"tune.grid.n_folds = {n_inner} needs as many participants in every training fold, one holds {n_left}; "
                "lower it, or add participants"
            )
    require_participants(trained, folds, params["min_participants"])
    return folds


def report_grid(images, usable):
    resampled = usable.assign(resampled=images.resampled).groupby("dataset")["resampled"].sum()
    counts = ", ".join(f"{count} of {dataset}" for dataset, count in resampled.items() if count)
    print(
        f"images    {len(images.paths)} on the grid {images.grid}, {sum(images.resampled)} of them resampled to it"
        + (f" ({counts}; {images.interpolation})" if counts else "")
    )
    for remark in images.remarks:
        print(f"WARNING   {remark}")


def report_masks(settings, grid):
    """Return each mask on the images' grid, and the share of it that lies there."""
    fetch_masks(settings)
    masks, coverages = {}, {}
    for name in settings["masks"]:
        made = load_mask(name, settings["mask_files"], settings["analyze_orientation"])
        mask, coverage = mask_on_grid(made, grid, name)
        masks[name], coverages[name] = mask, coverage
        require_coverage(name, coverage, settings["min_coverage"])
        print(f"mask      {name}: {mask.sum()} voxels, {coverage:.0%} of it lies in the images")
        for remark in filter(None, (*made.remarks, describe_size(name, made))):
            print(f"WARNING   {name}: {remark}")
    return masks, coverages


def report_signatures(params, masks, grid):
    """Read the signatures and networks, if there are any, as the stages that compare weight maps with them do."""
    settings, orientation = params["similarity"], params["extract"]["analyze_orientation"]
    if "signatures" not in settings:
        return
    for place in read_signatures(params):
        fetch_content(place)
    mask_img = nibabel.Nifti1Image(np.logical_or.reduce(list(masks.values())).astype(np.uint8), grid.affine)
    names, _ = load_signatures(settings["signatures"], mask_img, orientation)
    networks = load_networks(settings["networks"], mask_img, orientation) if "networks" in settings else {}
    print(f"maps      {len(names)} signatures ({', '.join(names)}), {len(networks)} networks")


def report_images(images, masks, coverages, usable, settings):
    """Read every image once; warn of those that look wrong and take from the masks what extraction will drop."""
    union = np.logical_or.reduce(list(masks.values()))
    started = time.monotonic()
    with Progress(len(images.paths), "check: reading images") as progress:
        screen = screen_images(read_volumes(images, settings["zeros"]), union, images.grid, progress)
    seconds = time.monotonic() - started

    def label(row):
        trial = usable.iloc[row]
        return f"{images.paths[row]} ({trial['participant_id']} trial {trial['trial']})"

    warnings = find_warnings(screen, union, images.grid)
    warnings += [(row, f"its values are those of {label(first)}") for row, first in screen.copies.items()]
    for name, mask in masks.items():
        losses = find_losses(screen, mask[union], settings["zeros"])
        if losses.empty:
            raise InputError(
                f"{label(losses.empty[0])}: no finite value but 0 inside the mask {name}, as in {len(losses.empty)} of "
                f"{len(images.paths)} images; expected contrast images; exclude such trials"
            )
        if losses.zeros and settings["zeros"] == "value":
            row, share = losses.zeros[0]
            others = f", as are {len(losses.zeros) - 1} other images in part" if len(losses.zeros) > 1 else ""
            zeros = f"exactly 0 in {share:.0%} of {name}{others}; if 0 means not measured, "
            warnings.append((row, zeros + 'set extract.zeros = "missing"'))
        report_losses(name, losses, label, settings["non_finite"])
        if settings["non_finite"] == "drop":
            require_coverage(name, coverages[name] * losses.kept.mean(), settings["min_coverage"])
            if not losses.kept.any():
                raise InputError(f"mask {name}: no voxel is finite in every image; exclude the images that lack most")
            mask[mask] = losses.kept
    for row, text in warnings[:SHOWN]:
        print(f"WARNING   {text if row is None else f'{label(row)}: {text}'}")
    if len(warnings) > SHOWN:
        print(f"WARNING   and {len(warnings) - SHOWN} more")
    if np.median(agreement_on_sides(screen.asymmetry)) < LEAST_ASYMMETRY:
        print("note      the images' asymmetries do not agree: no exchange of left and right in one can be seen")
    print(f"looked at {len(images.paths)} images in {seconds:.0f} s; {len(warnings)} warning(s)")


def report_losses(name, losses, label, treatment):
    """Say how many voxels a mask loses and which images cost most of them."""
    n_lost = int((~losses.kept).sum())
    if not n_lost:
        return
    becomes = "are excluded" if treatment == "drop" else "are set to 0 there"
    left = f", {losses.kept.sum()} are left" if treatment == "drop" else ""
    print(f"          {name}: {n_lost} voxels without a value in some image {becomes}{left}; most are lacking in")
    for row, lacking, alone in losses.costly:
        print(f"            {label(row)}: {lacking} voxels, {alone} of them in no other image")
    print(f"            without {len(losses.costly)} image(s) {losses.gained} voxels would come back")


def report_costs(usable, masks, train_dataset, cells):
    """Say what the study will take on this machine, as `code/stages.py` declares it or as it took here before."""
    n_voxels = {name: int(mask.sum()) for name, mask in masks.items()}
    for name, count in n_voxels.items():
        require_disk(2 * len(usable) * count * FLOAT32, f"extract {name}")
    print(f"costs     about {len(usable) * sum(n_voxels.values()) * FLOAT32 / 1e9:.2g} GB of disk for the signals")
    if cells:
        trained = usable[usable["dataset"] == train_dataset]
        size = len(trained), trained["participant_id"].nunique(), max(n_voxels.values())
        memory = max(cell.declared.cost(cell.settings, *size).memory for cell in cells)
        print(
            f"          {memory / 1e9:.2g} GB of memory, {Plan(cells, cells, size).total() / 60:.2g} min for all "
            f"{len(cells)} results on {n_workers()} core(s), if nothing else runs"
        )


if __name__ == "__main__":
    raise SystemExit("run `make check`")
