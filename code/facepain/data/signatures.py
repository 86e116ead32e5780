"""Signatures, maps that weight maps are compared with, and the networks of an atlas, on the grid of a mask."""

from pathlib import Path

import nibabel
import numpy as np

from errors import InputError, suggest
from facepain.data.images import Grid, read_image
from facepain.data.masks import Mask, look_up
from facepain.data.trials import blank_missing, check_spellings, require_filled
from files.tables import read_json, read_text_table

COLUMNS = ("name", "file")
OWN = "own-model"  # the study's own model, among the signatures
WHOLE = "all"  # all voxels of a mask, among the networks


def load_signatures(table_path, mask_img, orientation="unknown"):
    """Read the names and the maps (n_signatures, n_voxels) that a TSV lists by ``name`` and ``file``, a path beside it.

    Maps on another grid are brought to the mask's by linear interpolation; voxels are in C order of the mask, 0 where a
    map has no value. A constant map stops. One that is constant inside the mask alone does not: a signature may be
    limited to other voxels, and has a similarity of 0 then.
    """
    table_path = Path(table_path)
    table = read_signatures_table(table_path)
    inside = np.asarray(mask_img.dataobj) != 0
    maps = []
    for file in table["file"]:
        values = _load_map(table_path.parent / file, mask_img, orientation)
        if not np.ptp(values):
            raise InputError(
                f"{table_path.parent / file}: every voxel is {values.flat[0]:g} on the images' grid; expected a map in "
                "the space of the images; correct signatures.tsv or leave the map out"
            )
        maps.append(values[inside])
    return list(table["name"]), np.array(maps)


def read_signatures_table(path):
    """Read the table of signatures, and check its columns and names."""
    if not path.exists():
        raise InputError(f"{path}: no such table; `make inputs` installs it, or leave out similarity.signatures")
    written = read_text_table(path)
    table = blank_missing(written)
    for column in COLUMNS:
        if column not in table:
            raise InputError(f'{path}: has no column "{column}"; found {", ".join(table)}{suggest(column, table)}')
        require_filled(path, table, written, column)
    for name, file in zip(table["name"], table["file"], strict=True):
        if set(name) & set("/\\") or name.startswith(".") or name == OWN:
            raise InputError(
                f'{path}: a signature may not be called "{name}", which names files; use letters and digits, and '
                f'not "{OWN}"'
            )
        if Path(file).is_absolute() or ".." in Path(file).parts:
            raise InputError(f'{path}: {name} has the file "{file}"; expected a map beside the table or below it')
    check_spellings(path, table["name"], "signature")
    repeated = table["name"][table["name"].duplicated()]
    if len(repeated):
        raise InputError(f'{path}: two signatures are called "{repeated.iloc[0]}"; expected different names')
    return table


def _load_map(path, mask_img, orientation):
    _, affine, values = read_image(path, orientation, "map", "signatures.tsv")
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    if Grid(values.shape, affine).matches(Grid(mask_img.shape, mask_img.affine)):
        return values
    from nibabel.processing import resample_from_to  # few studies need it

    img = nibabel.Nifti1Image(values, affine)
    return resample_from_to(img, (mask_img.shape, mask_img.affine), order=1).get_fdata()


def load_networks(path, mask_img, orientation="unknown"):
    """Mark the voxels (n_voxels,) of every label of an atlas inside a mask, by nearest neighbour.

    A JSON file beside the image may name its whole numbers (``{"1": "visual"}``). Networks are in the order of the
    labels; those without a voxel in the mask are left out.
    """
    path = Path(path)
    _, affine, labels = read_image(path, orientation, "atlas", "similarity.networks in the params")
    present = np.unique(labels[np.isfinite(labels) & (labels != 0)])
    if (present % 1).any():
        raise InputError(
            f"{path}: holds {present[present % 1 != 0][0]:g}; expected an atlas, with a whole number for each network; "
            "correct similarity.networks in the params or leave it out"
        )
    about = path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + ".json")
    names = read_json(about) if about.exists() else {}
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise InputError(f'{about}: expected the name of each label, such as {{"1": "visual"}}')
    inside, grid = np.asarray(mask_img.dataobj) != 0, Grid(mask_img.shape, mask_img.affine)
    networks = {}
    for label in present.astype(int):
        name = names.get(str(label), f"label-{label}")
        if name in networks or name == WHOLE:
            raise InputError(f'{about}: label {label} is called "{name}", which is taken; expected different names')
        voxels = look_up(Mask(labels == label, affine), grid)[inside]
        if voxels.any():
            networks[name] = voxels
    return networks
