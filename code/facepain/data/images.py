"""Read contrast images: their grid, their raw numbers and scale factors, their voxels inside a mask."""

import os
from dataclasses import dataclass

import nibabel
import numpy as np
import scipy.io
from nibabel.nifti1 import Nifti1Pair
from nibabel.nifti2 import Nifti2Pair

from errors import InputError

ORIENTATIONS = ("radiological", "neurological")
AFFINE_TOLERANCE = 1e-3  # mm: headers hold float32
SMALLEST_VOXEL = 1e-6  # cubic mm


@dataclass(frozen=True)
class Grid:
    """Where the voxels of an image lie.

    Attributes
    ----------
    shape : tuple of int
        Three axes.
    affine : (4, 4) ndarray
        Voxel indices to mm.
    """

    shape: tuple
    affine: np.ndarray

    def matches(self, other):
        return self.shape == other.shape and np.allclose(self.affine, other.affine, rtol=0, atol=AFFINE_TOLERANCE)

    def __str__(self):
        size = " x ".join(map(str, self.shape))
        steps = " x ".join(f"{step:.4g}" for step in nibabel.affines.voxel_sizes(self.affine))
        origin = ", ".join(f"{value:.4g}" for value in self.affine[:3, 3])
        return f"{size} voxels of {steps} mm from ({origin})"


def open_image(path, orientation="unknown", volume=None):
    """Open one contrast image and check its file, without reading its voxels.

    Parameters
    ----------
    path : Path
        ``.nii``, ``.nii.gz``, or the ``.hdr`` of a pair (NIfTI or Analyze).
    orientation : {"unknown", "radiological", "neurological"}
        Of files without a NIfTI header, which do not say whether x runs from right to left or from left to right.
    volume : int, optional
        From 1; of a file that holds a series of volumes.

    Returns
    -------
    img : SpatialImage
        Three-dimensional, or with further axes of length 1, or a series where `volume` names one of it.
    affine : (4, 4) ndarray

    Raises
    ------
    InputError
        If a file is missing, truncated or unreadable, has not three dimensions, or its orientation is unknown.
    """
    try:
        # Kept open, a packed series is read forward from volume to volume.
        img = nibabel.load(path, mmap=False, keep_file_open=volume is not None)
    except FileNotFoundError:
        raise InputError(_missing(path)) from None
    except PermissionError:
        raise InputError(f"{path}: may not be read by you; `chmod u+r` it, or ask its owner") from None
    except Exception as error:  # nibabel raises a dozen kinds on damaged headers
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path}: not a readable image ({reason}); expected NIfTI or Analyze, restore the file"
        ) from None
    _check_shape(path, img.shape, volume)
    _check_size(path, img)
    affine = _affine(path, img, orientation)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < SMALLEST_VOXEL:
        raise InputError(
            f"{path}: its header says not where its voxels lie (affine {affine.tolist()}); restore the file"
        )
    return img, affine


def _check_shape(path, shape, volume):
    said = " x ".join(map(str, shape))
    if len(shape) < 3 or min(shape) < 1:
        raise InputError(f"{path}: has shape {said}; expected three axes or, for a series, four; restore the file")
    n_volumes = int(np.prod(shape[3:]))
    if volume is None and n_volumes > 1:
        raise InputError(
            f"{path}: has shape {said}; expected one volume of three axes; name the trial's "
            f"volume, from 1, in a column volume"
        )
    if volume is not None and (len(shape) > 4 or not 1 <= volume <= n_volumes):
        raise InputError(
            f"{path}: has no volume {volume}; expected 1 to {n_volumes}, counted from 1; correct the table"
        )


def _missing(path):
    path = os.fspath(path)
    partner = path.removesuffix(".hdr") + ".img"
    if path.endswith(".hdr") and os.path.exists(path) and not os.path.exists(partner):
        return f"{partner}: missing beside its .hdr; fetch it (`datalad get`) or restore it"
    return f"{path}: no such image; fetch it (`datalad get`) or correct the table's path"


def _check_size(path, img):
    """Compare the size of an uncompressed file with what its header promises."""
    file_holder = img.file_map.get("image")
    name = os.fspath(file_holder.filename)
    if not os.path.exists(name):
        raise InputError(_missing(path))
    if name.endswith((".gz", ".bz2", ".zst")):
        return
    proxy = img.dataobj
    if not isinstance(proxy, nibabel.arrayproxy.ArrayProxy):
        return  # such as MINC, which nibabel reads by other means
    expected = proxy.offset + proxy.dtype.itemsize * int(np.prod(img.shape))
    found = os.path.getsize(name)
    if found < expected:
        raise InputError(f"{name}: truncated, {found} bytes where its header promises {expected}; restore the file")


def _affine(path, img, orientation):
    """Return the affine; of an Analyze file only with an explicit choice of its left and right."""
    if isinstance(img, (Nifti1Pair, Nifti2Pair)) or not isinstance(img, nibabel.AnalyzeImage):
        return np.asarray(img.affine, dtype=np.float64)
    if "mat" in img.file_map and _mat_says_where_left_is(os.fspath(img.file_map["mat"].filename)):
        return np.asarray(img.affine, dtype=np.float64)
    if orientation not in ORIENTATIONS:
        raise InputError(
            f"{path}: has no NIfTI header, which leaves open where left is; set extract.analyze_orientation in the "
            'params to "radiological" (x runs from right to left, as SPM writes by default) or "neurological"'
        )
    affine = np.array(img.affine, dtype=np.float64)
    # nibabel takes x as running from right to left.
    if orientation == "neurological":
        affine[0] *= -1
    return affine


def _mat_says_where_left_is(path):
    """Tell whether SPM wrote ``mat`` beside an image; a ``M`` alone leaves open how its x axis runs."""
    return os.path.exists(path) and any(name == "mat" for name, *_ in scipy.io.whosmat(path))


def grid_of(img, affine):
    return Grid(tuple(int(length) for length in img.shape[:3]), affine)


def read_scaled(img, volume=None):
    """Read an image's values: raw numbers times slope plus intercept, in float64, as a three-dimensional array.

    Parameters
    ----------
    img : SpatialImage
        As from `open_image`.
    volume : int, optional
        From 1; of a series.

    Raises
    ------
    InputError
        If the data end early or cannot be unpacked.
    """
    try:
        if volume is not None and len(img.shape) > 3:
            return np.asarray(img.dataobj[..., volume - 1], dtype=np.float64)
        raw = img.dataobj.get_unscaled() if hasattr(img.dataobj, "get_unscaled") else np.asanyarray(img.dataobj)
    except Exception as error:  # truncated gzip streams raise EOFError, OSError, zlib.error or ValueError
        raise InputError(f"{img.get_filename()}: its data cannot be read ({error}); restore the file") from None
    slope, intercept = getattr(img.dataobj, "slope", 1.0), getattr(img.dataobj, "inter", 0.0)
    values = raw.reshape(img.shape[:3], order="F").astype(np.float64)
    if slope != 1.0:
        values *= slope
    if intercept != 0.0:
        values += intercept
    return values
