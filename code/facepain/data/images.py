"""Read contrast images: their grid, their raw numbers and scale factors, their voxels inside a mask."""

import gzip
import math
import os
from dataclasses import dataclass
from functools import partial

import nibabel
import numpy as np
from nibabel.affines import apply_affine, voxel_sizes
from nibabel.nifti1 import Nifti1Pair

from errors import InputError

ORIENTATIONS = ("radiological", "neurological")
AFFINE_TOLERANCE = 1e-3  # mm: headers hold float32
SMALLEST_VOXEL = 1e-6  # cubic mm
PACKED = (".gz", ".bz2", ".zst", ".mgz")
GZIPPED = (".gz", ".mgz")
MOST_PACKED = 1100  # times smaller than its content: gzip reaches 1032
MOST_PADDING = 1024  # bytes that some programs leave behind the voxels
LARGEST_FLOAT32 = np.finfo(np.float32).max
AXES = {"x": ("left", "right"), "y": ("back", "front"), "z": ("bottom", "top")}


@dataclass(frozen=True)
class Grid:
    """Where the voxels of an image lie."""

    shape: tuple  # three axes
    affine: np.ndarray  # (4, 4), voxel indices to mm

    def matches(self, other):
        return self.shape == other.shape and np.allclose(self.affine, other.affine, rtol=0, atol=AFFINE_TOLERANCE)

    def difference(self, other):
        """Say in words which axes run the other way than in another grid; "" if none does."""
        words, ends = [], [nibabel.aff2axcodes(grid.affine, [*AXES.values()]) for grid in (self, other)]
        for end, other_end in zip(*ends, strict=True):
            axis, sides = next((axis, sides) for axis, sides in AXES.items() if end in sides)
            if end != other_end and other_end in sides:
                words.append(f"its {axis} axis is flipped: it runs from {other_end} to {end}")
        return "; ".join(words)

    def __str__(self):
        size = " x ".join(map(str, self.shape))
        steps = " x ".join(f"{step:.4g}" for step in voxel_sizes(self.affine))
        origin = ", ".join(f"{value:.4g}" for value in self.affine[:3, 3])
        return f"{size} voxels of {steps} mm from ({origin})"


def open_image(path, orientation="unknown", volume=None):
    """Open one contrast image or mask and check its file, without reading its voxels; return it and its affine.

    ``orientation`` is of files whose header does not say whether x runs from right to left ("radiological") or from
    left to right: Analyze, and NIfTI with `sform_code` and `qform_code` 0. ``volume`` is from 1, of a file that holds a
    series. Raises InputError if a file is missing, truncated or unreadable, has not three dimensions, holds colours or
    complex numbers, or its orientation is unknown.
    """
    try:
        # Kept open, a packed series is read forward from volume to volume.
        img = nibabel.load(path, mmap=False, keep_file_open=volume is not None)
    except FileNotFoundError:
        raise InputError(_missing(path)) from None
    except PermissionError:
        raise InputError(f"{path}: may not be read by you; `chmod u+r` it, or ask its owner") from None
    except Exception as error:  # nibabel raises a dozen kinds on damaged headers
        raise InputError(
            f"{path}: not a readable image ({_first_line(error)}); expected NIfTI or Analyze, restore the file"
        ) from None
    _check_shape(path, img.shape, volume)
    if (dtype := img.get_data_dtype()).kind not in "iufb":
        kind = {"c": "complex numbers", "V": "colours (RGB)"}.get(dtype.kind, f"values of type {dtype}")
        raise InputError(f"{path}: holds {kind}; expected one real number a voxel; save the contrast as real numbers")
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
    n_volumes = math.prod(shape[3:])
    if volume is None and n_volumes > 1:
        raise InputError(
            f"{path}: has shape {said}; expected one volume of three axes; where each trial has a volume of it, name "
            "that, from 1, in a column volume of the table"
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
    return f"{path}: no such image; fetch it (`datalad get`) or correct its path"


def _check_size(path, img):
    """Compare the size of a file with what its header promises; a packed one may be smaller, within limits."""
    name = os.fspath(img.file_map["image"].filename)
    if not os.path.exists(name):
        raise InputError(_missing(path))
    proxy = img.dataobj
    if not isinstance(proxy, nibabel.arrayproxy.ArrayProxy):
        return  # such as MINC, which nibabel reads by other means
    expected, found = promised_bytes(img), os.path.getsize(name)
    if name.endswith(PACKED):
        if name.endswith(GZIPPED) and found * MOST_PACKED + proxy.offset < expected:
            size = " x ".join(map(str, img.shape))
            raise InputError(
                f"{name}: its header promises {size} voxels, {expected} bytes, more than its {found} bytes can hold; "
                "restore the file"
            )
    elif found < expected:
        raise InputError(f"{name}: truncated, {found} bytes where its header promises {expected}; restore the file")
    else:
        _check_excess(name, img, found)


def _check_excess(name, img, found):
    """Stop at a file that holds much more than its header promises: of another type or shape than it says."""
    if not isinstance(img, nibabel.AnalyzeImage):  # NIfTI is one; FreeSurfer's files have a footer
        return
    expected = promised_bytes(img)
    if found > expected + MOST_PADDING:
        raise InputError(
            f"{name}: {found} bytes where its header promises {expected}; type or shape in the header may be wrong; "
            "restore the file"
        )


def promised_bytes(img):
    """Return how many bytes a header promises up to the end of the voxels; stop if they begin within the header."""
    proxy = img.dataobj
    if isinstance(img, nibabel.Nifti1Image) and proxy.offset < img.header.single_vox_offset:
        raise InputError(
            f"{img.get_filename()}: its header says that voxels begin at byte {proxy.offset}, within the header; "
            f"expected {img.header.single_vox_offset} or more (vox_offset); restore the file"
        )
    return proxy.offset + proxy.dtype.itemsize * math.prod(map(int, img.shape))


def _affine(path, img, orientation):
    """Return the affine; where the header leaves left and right open only with an explicit choice of them."""
    affine = np.array(img.affine, dtype=np.float64)
    is_nifti = isinstance(img, Nifti1Pair)
    if is_nifti:
        is_known = img.header["sform_code"] > 0 or img.header["qform_code"] > 0
    elif isinstance(img, nibabel.AnalyzeImage):
        is_known = "mat" in img.file_map and _mat_says_where_left_is(os.fspath(img.file_map["mat"].filename))
    else:
        is_known = True
    if is_known:
        return affine
    if orientation not in ORIENTATIONS:
        lacks = "its header has sform_code = qform_code = 0" if is_nifti else "has no NIfTI header"
        raise InputError(
            f"{path}: {lacks}, which leaves open where left is; set extract.analyze_orientation in the params to "
            '"radiological" (x runs from right to left, as SPM writes by default) or "neurological" (left to right)'
        )
    # nibabel takes x as running from right to left.
    if orientation == "neurological":
        affine[0] *= -1
    return affine


def forms_apart(img):
    """Return by how many mm an image's sform and qform disagree at most over its voxels; 0 unless it has both."""
    if not isinstance(img, Nifti1Pair):
        return 0.0
    sform, s_code = img.get_sform(coded=True)
    try:
        qform, q_code = img.get_qform(coded=True)
    except ValueError:  # no rotation: the quaternion's numbers are impossible
        return 0.0
    if not (s_code and q_code) or np.allclose(sform, qform, rtol=0, atol=AFFINE_TOLERANCE):
        return 0.0
    corners = np.array([*np.ndindex(2, 2, 2)]) * (np.array(img.shape[:3]) - 1)
    return float(np.linalg.norm(apply_affine(sform - qform, corners), axis=1).max())


def check_packed(path, img):
    """Read a packed file to its end, where its checksum is: nibabel stops before. Stop if it is cut or damaged."""
    name = os.fspath(img.file_map["image"].filename) if "image" in img.file_map else os.fspath(path)
    if not name.endswith(PACKED):
        return
    opener = gzip.open if name.endswith(GZIPPED) else nibabel.openers.Opener
    try:
        with opener(name, "rb") as file:
            found = sum(map(len, iter(partial(file.read, 1 << 20), b"")))
    except Exception as error:  # zlib, gzip, bz2 and zstd have errors of their own
        raise InputError(f"{name}: damaged ({_first_line(error)}); restore the file") from None
    _check_excess(name, img, found)


def read_image(path, orientation, what, named_in):
    """Read an image, affine and values in float64, as strictly as contrasts; ``what`` and ``named_in`` are said."""
    try:
        img, affine = open_image(path, orientation)
        check_packed(path, img)
        return img, affine, read_scaled(img)
    except InputError as error:
        reason = str(error).removeprefix(f"{path}: ").partition("; where each trial")[0]
        raise InputError(f"{path}: not a readable {what} ({reason}); correct the file, or {named_in}") from None


def _first_line(error):
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _mat_says_where_left_is(path):
    """Return whether SPM wrote ``mat`` beside an image; a ``M`` alone leaves open how its x axis runs."""
    import scipy.io  # few studies need it

    return os.path.exists(path) and any(name == "mat" for name, *_ in scipy.io.whosmat(path))


def grid_of(img, affine):
    return Grid(tuple(int(length) for length in img.shape[:3]), affine)


def read_scaled(img, volume=None):
    """Read an image's values, scaled, in float64 and three dimensions, or its ``volume``, from 1; damaged data stop."""
    is_series = volume is not None and len(img.shape) > 3
    with np.errstate(all="ignore"):
        try:
            scaled = img.dataobj[..., volume - 1] if is_series else np.asanyarray(img.dataobj)
        except Exception as error:  # truncated gzip streams raise EOFError, OSError, zlib.error or ValueError
            name = img.get_filename()
            raise InputError(f"{name}: its data cannot be read ({_first_line(error)}); restore the file") from None
        values = scaled.reshape(img.shape[:3], order="F").astype(np.float64)
        # Signals are stored as float32: what does not fit is not finite there either.
        values[np.abs(values) > LARGEST_FLOAT32] = np.nan
    return values
