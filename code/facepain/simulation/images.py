"""Contrast images of the stand-in study: planted patterns and smooth noise, one trial at a time.

An image is a sum of fields: the mean response, the score pattern times the trial's score, a nuisance pattern times the
participant's loading, a field of the participant's own, the age and scanner patterns, and noise. All are integers.
"""

import math
from dataclasses import dataclass
from functools import cache

import nibabel as nib
import numpy as np

from facepain.data.anatomy import MNI_ORIGIN_MM, find_brain, find_m1, mni_coordinates, mni_shape, on_mni_grid
from facepain.simulation.draws import NORMAL_UNIT, draw_bytes, draw_normal, open_stream
from facepain.simulation.scores import N_TRIALS, draw_participants, draw_trials

FIELD_UNIT = 1 << 10
WEIGHT_UNIT = 1 << 10
# One unit of signal is 2**11 counts of the stored int16: 16 units fit, 12 standard deviations.
COUNTS_PER_UNIT = 1 << 11
HEADER_TEXT = b"synthetic contrast (simulation, not a measurement)"

# Voxel-wise standard deviations of the fields in 1/1024 of the broad noise's, chosen so that
# the full study shows the published scores. The score's is per 100 FACS points, the age's per decade.
MEAN_WEIGHT = 1024
SCORE_WEIGHT = 1210
NUISANCE_WEIGHT = 300
INDIVIDUAL_WEIGHT = 820
SCANNER_WEIGHT = 150
AGE_WEIGHT = 31
FINE_NOISE_WEIGHT = 512
BROAD_NOISE_WEIGHT = 1024

# The scanner adds this much of the score pattern: dataset 2 reads as more expressive than it is.
SCANNER_SCORE_OVERLAP = 175
AGE_CENTRE = 27
# A trial excluded for motion has noise this many times as large.
MOTION_NOISE = 3

# Widths of the boxes that smooth, in mm: three passes of 24 mm give a FWHM of 28 mm.
FINE_WIDTH_MM = 6
FIELD_WIDTH_MM = 12
BROAD_WIDTH_MM = 24
N_PASSES = 3

# The score pattern is what exceeds 4/5 of a standard deviation: regions, with silence between.
SCORE_THRESHOLD = 819

PATTERN_NAMES = ("mean", "score", "nuisance", "scanner", "age")
_PATTERN_STREAM, _LOADING_STREAM, _INDIVIDUAL_STREAM, _NOISE_STREAM = range(11, 15)
_FINE, _BROAD = range(2)
_WHITE_VARIANCE = (256**2 - 1) // 3


@dataclass(frozen=True)
class Planted:
    """What the images hold apart from noise and each participant's own field."""

    support: np.ndarray  # bool: where images are not 0, the brain and one voxel around it
    patterns: dict[str, np.ndarray]  # by `PATTERN_NAMES`, int64 in `FIELD_UNIT`; `score` is 0 in M1
    nuisance_loadings: np.ndarray  # (n_participants,) int64 in `NORMAL_UNIT`


def draw_planted(design):
    """Draw the planted patterns of a design and return them as `Planted`."""
    support = _dilate(find_brain(design.step_mm))
    patterns = {name: _draw_pattern(design, name, support) for name in PATTERN_NAMES}
    patterns["scanner"] += SCANNER_SCORE_OVERLAP * patterns["score"] // SCANNER_WEIGHT
    n_participants = sum(cohort.n_enrolled for cohort in design.cohorts)
    loadings = draw_normal(open_stream(design.seed, _LOADING_STREAM), n_participants)
    return Planted(support, patterns, loadings)


@cache  # figures ask for it mask by mask
def draw_score_pattern(design):
    """Draw the pattern that carries the score, as in `Planted`, alone."""
    return _draw_pattern(design, "score", _dilate(find_brain(design.step_mm)))


def _draw_pattern(design, name, support):
    field = draw_field(design, FIELD_WIDTH_MM, _PATTERN_STREAM, PATTERN_NAMES.index(name))
    pattern = standardise_field(field, support)
    if name != "score":
        return pattern
    excess = np.maximum(np.abs(pattern) - SCORE_THRESHOLD, 0)
    regions = np.where(find_m1(design.step_mm) | ~support, 0, np.sign(pattern) * excess)
    deviation = math.isqrt(int(np.sum(regions**2)) // int(support.sum()))
    # Not centred: a mean taken off would leave a score pattern in M1.
    return regions * FIELD_UNIT // deviation


def draw_images(design):
    """Yield the header's path and the int16 volume of every contrast image that exists, in the order of the trials."""
    planted = draw_planted(design)
    participants, trials = draw_participants(design), draw_trials(design)
    gains = {cohort.name: cohort.score_gain for cohort in design.cohorts}
    scanners = {cohort.name: cohort.scanner for cohort in design.cohorts}
    for number, person in enumerate(participants.itertuples()):
        constant = _add_constant(design, planted, number, scanners[person.dataset], person.age)
        score_weight = SCORE_WEIGHT * gains[person.dataset]
        rows = trials.iloc[number * N_TRIALS : (number + 1) * N_TRIALS]
        for row in rows[rows["contrast"] != ""].itertuples():
            hundredths = round(row.facs * 100)
            signal = planted.patterns["score"] * (score_weight * hundredths) // 1_000_000
            gain = MOTION_NOISE if row.excluded else 1
            fine = draw_field(design, FINE_WIDTH_MM, _NOISE_STREAM, number, row.trial, _FINE)
            broad = draw_field(design, BROAD_WIDTH_MM, _NOISE_STREAM, number, row.trial, _BROAD)
            total = constant + signal + gain * (FINE_NOISE_WEIGHT * fine + BROAD_NOISE_WEIGHT * broad)
            yield row.contrast, _store(total, planted.support)


def pack_pair(volume, step_mm):
    """Return an int16 volume of `mni_shape` as a NIfTI-1 pair as SPM8 writes it: the bytes of `.hdr` and `.img`."""
    if volume.dtype != np.int16 or volume.shape != mni_shape(step_mm):
        raise ValueError(
            f"volume is {volume.dtype} of shape {volume.shape}, expected int16 of shape"
            f" {mni_shape(step_mm)}: draw it with the same voxel size of {step_mm} mm"
        )
    header = nib.nifti1.Nifti1PairHeader(endianness="<")
    header.set_data_dtype(np.int16)
    header.set_data_shape(volume.shape)
    header["scl_slope"], header["scl_inter"] = 1 / COUNTS_PER_UNIT, 0
    # The fields are written one by one: set_qform finds its quaternion by linear algebra. Half a
    # turn about y with a mirrored third axis is an x axis that runs from right to left.
    header["pixdim"][:4] = -1, step_mm, step_mm, step_mm
    header["quatern_c"] = 1
    for axis, (origin, sign) in enumerate(zip(MNI_ORIGIN_MM, (-1, 1, 1), strict=True)):
        row = np.zeros(4)
        row[axis], row[3] = sign * step_mm, origin
        header[f"srow_{'xyz'[axis]}"] = row
        header[f"qoffset_{'xyz'[axis]}"] = origin
    header["qform_code"] = header["sform_code"] = 4
    header.set_xyzt_units("mm", "sec")
    header["descrip"] = HEADER_TEXT
    return header.binaryblock, volume.astype("<i2").tobytes(order="F")


def _add_constant(design, planted, number, scanner, age):
    """Add up what all images of a participant share."""
    patterns = planted.patterns
    individual = draw_field(design, FIELD_WIDTH_MM, _INDIVIDUAL_STREAM, number)
    total = MEAN_WEIGHT * patterns["mean"] + INDIVIDUAL_WEIGHT * individual
    total += SCANNER_WEIGHT * scanner * patterns["scanner"]
    total += AGE_WEIGHT * (int(age) - AGE_CENTRE) * patterns["age"] // 10
    loading = NUISANCE_WEIGHT * int(planted.nuisance_loadings[number]) // NORMAL_UNIT
    return total + loading * patterns["nuisance"]


def draw_field(design, width_mm, *key):
    """Draw a smooth field with a standard deviation of `FIELD_UNIT`."""
    shape = mni_shape(design.step_mm)
    white = draw_bytes(open_stream(design.seed, *key), math.prod(shape)).reshape(shape)
    n_doublings = max(width_mm // design.step_mm, 1).bit_length() - 1
    deviation = math.isqrt(_WHITE_VARIANCE * _sum_squared_kernel(n_doublings))
    return _smooth(white, n_doublings) * FIELD_UNIT // deviation


def _smooth(volume, n_doublings):
    """Sum over boxes of 2**n_doublings voxels along each axis, `N_PASSES` times, wrapping round."""
    for axis in range(volume.ndim):
        for shift in [1 << doubling for doubling in range(n_doublings)] * N_PASSES:
            volume = volume + np.roll(volume, shift, axis)
    return volume


def _sum_squared_kernel(n_doublings):
    line = np.ones(1, dtype=np.int64)
    for _ in range(N_PASSES):
        line = np.convolve(line, np.ones(1 << n_doublings, dtype=np.int64))
    return int(np.sum(line**2)) ** 3


def standardise_field(field, support):
    """Scale to mean 0 and a standard deviation of `FIELD_UNIT` over the support."""
    n = int(support.sum())
    centred = field - int(field[support].sum()) // n
    deviation = math.isqrt(int(np.sum(centred[support] ** 2)) // n)
    return centred * FIELD_UNIT // deviation


def _dilate(brain):
    for axis in range(brain.ndim):
        brain = brain | np.roll(brain, 1, axis) | np.roll(brain, -1, axis)
    return brain


def _store(total, support):
    counts = total * COUNTS_PER_UNIT // (FIELD_UNIT * WEIGHT_UNIT)
    limits = np.iinfo(np.int16)
    return np.where(support, np.clip(counts, limits.min, limits.max), 0).astype(np.int16)


SIGNATURE_STREAM = 15
# The planted signature is 3 parts score pattern and 4 parts of its own: both have the same SD, so its cosine is 3/5.
SCORE_PART, OWN_PART = 3, 4
# Centres of the networks in mm: seven regions of about equal size, each with its mirror image.
NETWORK_CENTRES_MM = ((20, -80, 5), (30, -25, 55), (40, -50, 40), (45, -10, 5), (25, 0, -25), (35, 35, 25), (10, 45, 0))
SIGNATURE_COLUMNS = {
    "name": {"Description": "name of the map, used in results"},
    "file": {"Description": "image below this folder"},
    "kind": {"Description": "what the map is"},
    "source": {"Description": "where it comes from"},
    "licence": {"Description": "under which it may be used"},
}


def draw_signatures(design):
    """Draw the maps of the stand-in: by name a float32 image and what it is.

    ``planted`` has a cosine of 0.6 with the score pattern, ``unrelated`` none, ``network`` is the score pattern inside
    the first network, ``coarse`` the planted one on a grid twice as coarse.
    """
    planted = draw_planted(design)
    score = planted.patterns["score"]
    own, unrelated = (
        standardise_field(draw_field(design, FIELD_WIDTH_MM, SIGNATURE_STREAM, number), planted.support)
        for number in range(2)
    )
    shared = (SCORE_PART * score + OWN_PART * own) // 5
    inside = [np.where(planted.support, field, 0) for field in (shared, unrelated)]
    network = np.where(draw_networks(design.step_mm) == 1, score, 0)
    return {
        "planted": (_pack(inside[0], design.step_mm), "shares the planted score pattern, cosine 0.6"),
        "unrelated": (_pack(inside[1], design.step_mm), "smooth and unrelated to the score"),
        "network": (_pack(network, design.step_mm), "the planted score pattern within network-1"),
        "coarse": (_pack(shared[::2, ::2, ::2], 2 * design.step_mm), "the map planted, on a grid twice as coarse"),
    }


def draw_networks(step_mm):
    """Return the labels of seven made-up networks inside the brain: the nearest centre, left and right alike."""
    x, y, z = mni_coordinates(step_mm)
    distances = [(np.abs(x) - a) ** 2 + (y - b) ** 2 + (z - c) ** 2 for a, b, c in NETWORK_CENTRES_MM]
    nearest = np.argmin(np.stack(np.broadcast_arrays(*distances)), axis=0) + 1
    return np.where(find_brain(step_mm), nearest, 0).astype(np.int16)


def _pack(field, step_mm):
    # Whole numbers over a power of two are exact in float32.
    return on_mni_grid((field / FIELD_UNIT).astype(np.float32), step_mm)
