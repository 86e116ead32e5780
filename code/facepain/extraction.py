"""Take the voxels of a mask out of contrast images, one image at a time."""

from dataclasses import dataclass

import nibabel
import numpy as np


from facepain.errors import InputError
from facepain.images import Grid, grid_of, open_image, read_scaled
from facepain.tables import shorten

OUTLIER_DISTANCE = 6.0  # median absolute deviations from the median


@dataclass(frozen=True)
class ImageSet:
    """Contrast images that were found sound.

    Attributes
    ----------
    paths : list of Path
    orientation : str
        Of images without a NIfTI header.
    grid : Grid
        Of the first image, and of all unless they are resampled.
    resampled : list of bool
        Images that lie on another grid.
    """

    paths: list
    orientation: str
    grid: Grid
    resampled: list


def inspect_images(paths, orientation, mixed_grids):
    """Open every image once and compare their grids, before any voxel is read.

    Parameters
    ----------
    paths : list of Path
    orientation : str
        As `facepain.images.open_image` takes it.
    mixed_grids : {"refuse", "continuous", "nearest"}

    Raises
    ------
    InputError
        At the first unsound image, or if grids differ and `mixed_grids` is "refuse".
    """
    grids = [grid_of(*open_image(path, orientation)) for path in paths]
    resampled = [not grid.matches(grids[0]) for grid in grids]
    if any(resampled) and mixed_grids == "refuse":
        others = [f"{path} ({grid})" for path, grid, differs in zip(paths, grids, resampled, strict=True) if differs]
        raise InputError(
            f"{len(others)} of {len(paths)} images lie on another grid than {paths[0]} ({grids[0]}): {shorten(others)}; "
            'mend them, or set extract.mixed_grids in the params to "continuous" or "nearest" to resample'
        )
    return ImageSet(list(paths), orientation, grids[0], resampled)


def mask_on_grid(mask_path, grid):
    """Bring a mask to the images' grid by nearest neighbour.

    Parameters
    ----------
    mask_path : Path
        Any NIfTI file; voxels that are not 0 are inside.
    grid : Grid

    Returns
    -------
    mask : ndarray of bool, shape ``grid.shape``

    Raises
    ------
    InputError
        If the file is missing or no voxel of the grid lies in the mask.
    """
    try:
        mask_img = nibabel.load(mask_path)
        values = np.asanyarray(mask_img.dataobj)
    except Exception as error:  # as in open_image
        raise InputError(f"{mask_path}: not a readable mask ({error}); correct extract.mask_files in the params") from None
    values = values.reshape(values.shape[:3]) if values.ndim > 3 and values.size == np.prod(values.shape[:3]) else values
    if values.ndim != 3:
        raise InputError(f"{mask_path}: has {values.ndim} axes; expected a mask of three")
    inside = np.isfinite(values) & (values != 0)
    mask = _nearest(inside, np.linalg.inv(mask_img.affine) @ grid.affine, grid.shape)
    if not mask.any():
        raise InputError(
            f"{mask_path}: empty on the images' grid ({grid}), {inside.sum()} voxels on its own; "
            "expected a mask in the space of the images"
        )
    return mask


def _nearest(values, to_source, shape):
    """Look up the source voxel nearest to each voxel of a grid; outside the source is False.

    Written out by element: the same voxels on every machine, where a matrix product might round otherwise.
    """
    i, j, k = np.ogrid[: shape[0], : shape[1], : shape[2]]
    indices, inside = [], np.ones(shape, dtype=bool)
    for axis in range(3):
        a, b, c, d = to_source[axis]
        # Rounded first, so that a voxel half-way between two falls to the same side everywhere.
        index = np.floor(np.round(a * i + b * j + c * k + d, 6) + 0.5).astype(int)
        inside &= (index >= 0) & (index < values.shape[axis])
        indices.append(np.clip(index, 0, values.shape[axis] - 1))
    return values[tuple(indices)] & inside


def extract_signals(images, mask, signals, progress):
    """Read the images one by one and store the voxels inside the mask.

    Parameters
    ----------
    images : ImageSet
    mask : ndarray of bool
        On ``images.grid``.
    signals : (n_trials, n_voxels) float32 array or memmap
        Filled in place; voxels in C order of the mask.
    progress : callable
        Called after every image.

    Returns
    -------
    quality : dict of str to list
        For each image ``mean`` and ``sd`` over its finite voxels inside the mask and ``finite_share``.
    finite : (n_voxels,) ndarray of bool
        Voxels that are finite in every image.
    """
    # Raw data lie in Fortran order: positions in it, listed in the C order of the mask.
    positions = np.ravel_multi_index(np.nonzero(mask), mask.shape, order="F")
    finite = np.ones(positions.size, dtype=bool)
    quality = {"mean": [], "sd": [], "finite_share": []}
    for row, path in enumerate(images.paths):
        values = _voxels(images, row, positions)
        good = np.isfinite(values)
        finite &= good
        kept = values if good.all() else values[good]
        quality["mean"].append(kept.mean() if kept.size else np.nan)
        quality["sd"].append(kept.std() if kept.size else np.nan)
        quality["finite_share"].append(good.mean())
        if not kept.size or not kept.any():
            raise InputError(f"{path}: no finite value but 0 inside the mask; expected a contrast image, exclude the trial")
        signals[row] = values
        progress()
    return quality, finite


def _voxels(images, row, positions):
    img, affine = open_image(images.paths[row], images.orientation)
    if not images.resampled[row]:
        return read_scaled(img).reshape(-1, order="F")[positions]
    from nilearn.image import resample_img  # takes seconds to import, and few studies need it

    values = read_scaled(img)
    # Interpolation would spread a NaN: fill with 0 and mark afterwards what came from nowhere.
    filled = nibabel.Nifti1Image(np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0), affine)
    target = {"target_affine": images.grid.affine, "target_shape": images.grid.shape}
    known = nibabel.Nifti1Image(np.isfinite(values).astype(np.float32), affine)
    moved = resample_img(filled, interpolation="continuous", **target).get_fdata()
    seen = resample_img(known, interpolation="nearest", **target).get_fdata() > 0.5
    return np.where(seen, moved, np.nan).reshape(-1, order="F")[positions]


def flag_outliers(quality):
    """Flag images whose mean or SD lies more than 6 median absolute deviations from the median of all.

    Parameters
    ----------
    quality : dict of str to list
        With ``mean`` and ``sd``.

    Returns
    -------
    outlier : (n_trials,) ndarray of bool
    """
    flags = np.zeros(len(quality["mean"]), dtype=bool)
    for values in (np.array(quality["mean"]), np.log(np.maximum(quality["sd"], np.finfo(float).tiny))):
        distance = np.abs(values - np.median(values))
        flags |= distance > OUTLIER_DISTANCE * max(np.median(distance), np.finfo(float).eps)
    return flags
