"""Take the voxels of a mask out of contrast images, one image at a time."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd

from errors import InputError
from facepain.data.images import Grid, check_packed, forms_apart, grid_of, open_image, read_scaled
from facepain.data.trials import shorten
from facepain.parallel import map_anywhere

IMAGES_AT_ONCE = 32  # of a worker; the next volume of a packed series is found without unpacking those before it again
OUTLIER_DISTANCE = 6.0  # median absolute deviations from the median


class SignalsWriter:
    """Write ``signals.npy`` row by row into an open file: memory does not grow with the number of images."""

    def __init__(self, file, n_trials, n_voxels):
        header = {"descr": "<f4", "fortran_order": False, "shape": (n_trials, int(n_voxels))}
        np.lib.format.write_array_header_1_0(file, header)
        self._file, self._next_row, self._n_voxels = file, 0, n_voxels

    def __setitem__(self, row, values):
        """Write the next row."""
        if row != self._next_row or len(values) != self._n_voxels:
            raise ValueError(f"row {row} of {len(values)} voxels; expected row {self._next_row} of {self._n_voxels}")
        self._next_row += 1
        self._file.write(np.asarray(values, dtype="<f4").tobytes())


@dataclass(frozen=True)
class ImageSet:
    """Contrast images that were found sound."""

    paths: list
    volumes: list  # from 1, of images that lie in series, else None
    orientation: str  # of images without a NIfTI header
    grid: Grid  # of all images that are not resampled
    resampled: list  # bool for each image: it lies on another grid
    interpolation: str = "continuous"  # of these
    remarks: tuple = ()  # what is doubtful about their headers


def inspect_images(paths, settings, volumes=None):
    """Open every image once and compare their grids, before any voxel is read; return an `ImageSet`.

    ``settings`` is the params' table ``extract``; without its ``target_grid`` the first image's grid is meant. Volumes
    count from 1. Raises InputError at the first unsound image, or if grids differ and ``mixed_grids`` is "refuse".
    """
    orientation, first = settings["analyze_orientation"], settings.get("target_grid", paths[0])
    volumes = [None] * len(paths) if volumes is None else [int(volume) for volume in volumes]
    grids, apart = [], {}
    for path, volume in zip(paths, volumes, strict=True):
        img, affine = open_image(path, orientation, volume)
        grids.append(grid_of(img, affine))
        if distance := forms_apart(img):
            apart[path] = distance
    target = grid_of(*open_image(first, orientation)) if "target_grid" in settings else grids[0]
    resampled = [not grid.matches(target) for grid in grids]
    if any(resampled) and settings["mixed_grids"] == "refuse":
        others = [
            f"{path} ({'; '.join(filter(None, (grid.difference(target), str(grid))))})"
            for path, grid in zip(paths, grids, strict=True)
            if not grid.matches(target)
        ]
        raise InputError(
            f"{len(others)} of {len(paths)} images lie on another grid than {first} ({target}): {shorten(others)}; "
            'correct them, or set extract.mixed_grids in the params to "continuous" or "nearest" to resample'
        )
    remarks = [describe_apart(f"{len(apart)} of {len(paths)} images", apart)] if apart else []
    return ImageSet(list(paths), volumes, orientation, target, resampled, settings["mixed_grids"], tuple(remarks))


def describe_apart(what, apart):
    """Say that sform and qform disagree, and which is used, given by path how many mm they lie apart."""
    path = max(apart, key=apart.get)
    return f"sform and qform of {what} disagree, by up to {apart[path]:.3g} mm in {path}; the sform is used"


def extract_signals(images, mask, signals, progress, zeros="value", n_jobs=1):
    """Read the images and store the voxels inside the mask, in its C order, row by row in ``signals``.

    Images that are constant 0 or not finite inside the mask stop. With ``zeros`` "missing" 0 is stored as NaN.
    ``progress`` is called after every image. Returns a table of ``mean`` and ``sd`` over the finite voxels of each
    image and their ``finite_share``, and which voxels (n_voxels,) are finite in every image.
    """
    # Raw data lie in Fortran order: positions in it, listed in the C order of the mask.
    positions = np.ravel_multi_index(np.nonzero(mask), mask.shape, order="F")
    folder = Path.cwd()
    read = partial(_read_block, images, positions, zeros, folder)
    n_images = len(images.paths)
    blocks = [range(first, min(first + IMAGES_AT_ONCE, n_images)) for first in range(0, n_images, IMAGES_AT_ONCE)]
    finite = np.ones(positions.size, dtype=bool)
    quality = []
    for rows, block in zip(blocks, map_anywhere(read, blocks, n_jobs, folder), strict=True):
        for row, (values, found) in zip(rows, block, strict=True):
            finite &= np.isfinite(values)
            signals[row] = values
            quality.append(found)
            progress()
    return pd.DataFrame(quality), finite


def _read_block(images, positions, zeros, folder, rows):
    """Return, for some images, the float32 values at the positions and what is found of their quality.

    Workers of a cluster start in folders of their own: paths are taken from ``folder``, which messages leave out.
    """
    part = slice(rows.start, rows.stop)
    paths = [folder / path for path in images.paths[part]]
    block = replace(images, paths=paths, volumes=images.volumes[part], resampled=images.resampled[part])
    try:
        return [_take_voxels(path, volume, positions, zeros) for path, volume in read_volumes(block, zeros)]
    except InputError as error:
        raise InputError(str(error).replace(f"{folder}/", "")) from None


def _take_voxels(path, volume, positions, zeros):
    values = volume.reshape(-1, order="F")[positions]
    if zeros == "missing":
        values[values == 0] = np.nan
    good = np.isfinite(values)
    kept = values if good.all() else values[good]
    if not kept.size or not kept.any():
        raise InputError(f"{path}: no finite value but 0 inside the mask; expected a contrast image, exclude the trial")
    return values.astype(np.float32), {"mean": kept.mean(), "sd": kept.std(), "finite_share": good.mean()}


def read_volumes(images, zeros="value"):
    """Yield the path and the values of each image, float64 on ``images.grid``, NaN where it was not measured.

    With ``zeros`` "missing" 0 was not measured either: resampled images are NaN there.
    """
    path_before, opened = None, None
    for path, volume, resampled in zip(images.paths, images.volumes, images.resampled, strict=True):
        # The next volume of a packed series is found without unpacking those before it again.
        if volume is None or path != path_before:
            path_before, opened = path, open_image(path, images.orientation, volume)
            check_packed(path, opened[0])
        img, affine = opened
        values = read_scaled(img, volume)
        if resampled:
            measured = np.isfinite(values) & ((values != 0) | (zeros != "missing"))
            values = _resample(values, measured, affine, images)
        yield path, values


def _resample(values, measured, affine, images):
    from nibabel.processing import resample_from_to  # few studies need it
    from scipy.ndimage import distance_transform_edt

    grid, order = (images.grid.shape, images.grid.affine), {"continuous": 3, "nearest": 0}[images.interpolation]
    # A spline would spread what was not measured: the nearest values stand there, and are marked afterwards.
    if measured.any() and not measured.all():
        nearest = distance_transform_edt(~measured, return_distances=False, return_indices=True)
        values = values[tuple(nearest)]
    filled, known = (nibabel.Nifti1Image(each, affine) for each in (values, measured.astype(np.float32)))
    seen = resample_from_to(known, grid, order=0).get_fdata() > 0.5
    return np.where(seen, resample_from_to(filled, grid, order=order).get_fdata(), np.nan)


def flag_outliers(quality):
    """Flag images (n_trials,) whose mean or SD lies more than 6 median absolute deviations from the median of all."""
    values = np.column_stack([quality["mean"], np.log(np.maximum(quality["sd"], np.finfo(float).tiny))])
    distance = np.abs(values - np.median(values, axis=0))
    return (distance > OUTLIER_DISTANCE * np.maximum(np.median(distance, axis=0), np.finfo(float).eps)).any(axis=1)
