"""Look at contrast images before anything is computed: which are empty, off in scale, shifted or mirrored?

A warning is a reason to look, not a verdict: contrast images of different people differ.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from nibabel.affines import apply_affine
from scipy.ndimage import center_of_mass

from facepain.data.images import Grid

SCALE = 5.0  # times the median SD, or below one part of it
ZEROS_SHARE = 0.01  # of a mask's voxels that are exactly 0, from which 0 may stand for what was not measured
ZEROS_LEAST = 3  # voxels
N_COSTLY = 3  # images named whose voxels without a value cost most
LEAST_SHARE = 0.8  # of the median share of voxels with a value
SHIFT_MM = 15.0  # of the centre of an image's absolute values from the median centre
APART_MM = 25.0  # of that median centre from the centre of the largest mask
STRIDE = 2  # every second voxel along each axis gives the centre well enough
# Voxels left of the middle whose partners on the right are compared: 16 kB an image.
N_PAIRS = 4096
LEAST_ASYMMETRY = 0.05  # median correlation of one image's asymmetry with the others'; below it nothing can be decided
MIRRORED_DISTANCE = 5.0  # median absolute deviations below that median, and below 0, where an image is suspicious


@dataclass(frozen=True)
class Screen:
    """What was found in each image; all arrays have one row an image."""

    share: np.ndarray  # of the mask's voxels, those with a finite value that is not 0
    mean: np.ndarray  # over these voxels
    sd: np.ndarray  # over these voxels
    centre: np.ndarray  # (n_images, 3), of the absolute values, in mm
    asymmetry: np.ndarray  # (n_images, n_pairs) float32: left minus right at mirrored voxels
    zero: dict  # by image that has any: which of the mask's voxels are exactly 0, as packed bits
    absent: dict  # the same for voxels that are not finite
    copies: dict  # images whose values are those of an earlier one


def screen_images(volumes, mask, grid, progress):
    """Take what the warnings need from each image of `read_volumes`, inside a mask, one image in memory at a time."""
    inside = np.ravel_multi_index(np.nonzero(mask), mask.shape, order="F")
    left, right = mirrored_pairs(mask, grid)
    found = {"share": [], "mean": [], "sd": [], "centre": [], "asymmetry": []}
    zero, absent, seen, copies = {}, {}, {}, {}
    for row, (_, volume) in enumerate(volumes):
        flat = volume.reshape(-1, order="F")
        values = flat[inside]
        for bits, marked in ((zero, values == 0), (absent, ~np.isfinite(values))):
            if marked.any():
                bits[row] = np.packbits(marked)
        first = seen.setdefault(hashlib.sha256(values.tobytes()).digest(), row)
        if first != row:
            copies[row] = first
        values = values[np.isfinite(values) & (values != 0)]
        found["share"].append(values.size / inside.size)
        found["mean"].append(values.mean() if values.size else 0.0)
        found["sd"].append(values.std() if values.size else 0.0)
        found["centre"].append(centre_of(np.abs(volume[::STRIDE, ::STRIDE, ::STRIDE]), grid, STRIDE))
        found["asymmetry"].append(np.nan_to_num(flat[left] - flat[right]).astype(np.float32))
        progress()
    arrays = {name: np.array(values) for name, values in found.items()}
    return Screen(**arrays, zero=zero, absent=absent, copies=copies)


@dataclass(frozen=True)
class Losses:
    """What the voxels without a value cost a mask."""

    kept: np.ndarray  # (n_voxels,) bool: voxels of the mask that have a value in every image
    empty: list  # images without any value but 0
    costly: list  # up to `N_COSTLY` images that lack most: row, voxels that it lacks, voxels that only it lacks
    gained: int  # voxels that would come back if all of these were left out
    zeros: list  # row and share of images of which an unlikely share is exactly 0, the largest first


def find_losses(screen, within, zeros="value"):
    """Count the voxels that a mask (those ``within`` the screened ones) loses, and to which images."""

    def marked(packed, row):
        bits = packed.get(row)
        return np.unpackbits(bits, count=within.size).astype(bool)[within] if bits is not None else False

    def lacking(row):
        return marked(screen.absent, row) | (marked(screen.zero, row) if zeros == "missing" else False)

    n_voxels = int(within.sum())
    counts, lacked, empty, suspicious = np.zeros(n_voxels, dtype=np.int32), {}, [], []
    for row in sorted({*screen.absent, *screen.zero}):
        zero = np.sum(marked(screen.zero, row))
        if np.all(marked(screen.absent, row) | marked(screen.zero, row)):
            empty.append(row)
        if zero >= max(ZEROS_LEAST, ZEROS_SHARE * n_voxels):
            suspicious.append((row, float(zero / n_voxels)))
        if np.any(lacking(row)):
            counts += lacking(row)
            lacked[row] = int(np.sum(lacking(row)))
    costly = sorted(lacked, key=lambda row: (-lacked[row], row))[:N_COSTLY]
    without = counts - sum((lacking(row).astype(np.int32) for row in costly), np.zeros_like(counts))
    return Losses(
        kept=counts == 0,
        empty=empty,
        costly=[(row, lacked[row], int(np.sum(lacking(row) & (counts == 1)))) for row in costly],
        gained=int(((counts > 0) & (without == 0)).sum()),
        zeros=sorted(suspicious, key=lambda each: -each[1]),
    )


def centre_of(weights, grid, stride=1):
    """Return the centre of mass in mm of a volume, or of each stride-th voxel; what is not finite weighs nothing."""
    weights = np.where(np.isfinite(weights), weights, 0.0)
    if not weights.any():
        return np.full(3, np.nan)
    return apply_affine(grid.affine, stride * np.array(center_of_mass(weights)))


def mirrored_pairs(mask, grid):
    """Return the places in Fortran order of voxels left of the middle and their partners; `N_PAIRS` at most, spread."""
    voxels = np.argwhere(mask)
    mm = apply_affine(grid.affine, voxels)
    mirror = apply_affine(np.linalg.inv(grid.affine), mm * (-1, 1, 1))
    partners = np.floor(np.round(mirror, 6) + 0.5).astype(int)
    usable = np.flatnonzero((mm[:, 0] < 0) & ((partners >= 0) & (partners < grid.shape)).all(axis=1))
    usable = usable[:: max(1, -(-len(usable) // N_PAIRS))]
    return tuple(np.ravel_multi_index(ijk[usable].T, grid.shape, order="F") for ijk in (voxels, partners))


def find_warnings(screen, mask, grid):
    """Say which images look wrong, as a list of (row, or None for all of them, and what is wrong with it)."""
    warnings = []
    empty = screen.share == 0
    constant = ~empty & (screen.sd == 0)
    good = ~(empty | constant)
    if not good.any():
        return [(None, "every image is empty or constant inside the masks")]
    typical_sd, typical_share = np.median(screen.sd[good]), np.median(screen.share[good])
    typical_centre = np.median(screen.centre[good], axis=0)
    for row in range(len(screen.sd)):
        if not good[row]:
            what = "empty: nothing but 0 or NaN" if empty[row] else "constant"
            warnings.append((row, f"{what} inside the masks"))
            continue
        ratio, share = screen.sd[row] / typical_sd, screen.share[row]
        shift = np.linalg.norm(screen.centre[row] - typical_centre)
        if not 1 / SCALE <= ratio <= SCALE:
            factor = f"its SD is {ratio:.3g} times the median of all; its scale factor or unit may be wrong"
            warnings.append((row, f'{factor}, which counts with regress.standardize = "voxel"'))
        if share < LEAST_SHARE * typical_share:
            warnings.append((row, f"values in {share:.0%} of the masks, typically {typical_share:.0%}"))
        if shift > SHIFT_MM:
            warnings.append((row, f"its centre lies {shift:.0f} mm from the others'; its origin may be wrong"))
    apart = np.linalg.norm(centre_of(mask.astype(float), Grid(mask.shape, grid.affine)) - typical_centre)
    if apart > APART_MM:
        warnings.append((None, f"the images' centre lies {apart:.0f} mm from the masks'; they may be in another space"))
    agreement = agreement_on_sides(screen.asymmetry[good])
    typical = np.median(agreement)
    limit = min(0.0, typical - MIRRORED_DISTANCE * np.median(np.abs(agreement - typical)))
    if typical >= LEAST_ASYMMETRY:
        for row, value in zip(np.flatnonzero(good), agreement, strict=True):
            if value < limit:
                usual = f"its asymmetry correlates {value:.2f} with the others', typically {typical:.2f}"
                warnings.append((int(row), f"left and right look exchanged ({usual})"))
    return warnings


def agreement_on_sides(asymmetry):
    """Correlate each image's left-right difference (n_images, n_pairs) with the sum of the others'; 0 if none."""
    values = asymmetry.astype(np.float64)
    if not values.shape[1]:
        return np.zeros(len(values))
    values -= values.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(values, axis=1)
    units = values / np.where(norms > 0, norms, 1)[:, None]
    others = units.sum(axis=0) - units
    return (units * others).sum(axis=1) / np.maximum(np.linalg.norm(others, axis=1), np.finfo(float).tiny)
