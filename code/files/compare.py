"""Compare a recomputed output with the recorded one: identical, equal within tolerance, or different."""

import base64
import binascii
import io
import json
import re
from functools import partial
from typing import NamedTuple

import nibabel
import numpy as np
from matplotlib.image import imread
from PIL.PngImagePlugin import PngImageFile
from scipy.special import ndtri

from files.fingerprints import N_PROJECTIONS, fingerprint, float_arrays
from files.rounding import map_step
from files.tables import COLUMN_TYPES, read_table

IDENTICAL, WITHIN, DIFFERENT = "identical", "equal within tolerance", "different"

# A rounded value may fall on either side of the border between two steps, no more.
MAP_STEPS = 1.01
DIGIT_TOLERANCE = 1.01e-5  # relative: one unit of the sixth significant digit
PIXEL_TOLERANCE = 8 / 255  # of a colour value, in at most PIXEL_SHARE of the pixels
PIXEL_SHARE = 1e-3
PROJECTION_TOLERANCE = 2e-6  # of a fingerprint
DRAWING_TOLERANCE = 0.02  # of a coordinate in a drawing, in its own unit: points


class Grade(NamedTuple):
    """Outcome of a comparison, and in words where and how much the files differ."""

    grade: str
    detail: str = ""


def compare_files(recorded, recomputed):
    """Compare two files, of the kind that the name of the second says, by bytes and, where these differ, by content.

    Maps may differ by one step of their rounding in any voxel, numbers in tables, JSON and NPZ by one unit of the sixth
    significant digit, and so may those in a page's text and scripts; pictures by a trace of colour in one pixel of a
    thousand, coordinates of drawings by a fiftieth of a point; maps of p as the z scores that they stand for; all else
    not at all. Only the same bytes are identical.
    """
    if recorded.read_bytes() == recomputed.read_bytes():
        return Grade(IDENTICAL)
    for endings, compare in COMPARISONS.items():
        if recomputed.name.endswith(endings):
            try:
                found = compare(recorded, recomputed)
                return Grade(WITHIN, "same values in other bytes") if found.grade == IDENTICAL else found
            except (ValueError, OSError, KeyError) as error:
                return Grade(DIFFERENT, f"cannot be compared: {str(error).splitlines()[0]}")
    return Grade(DIFFERENT, "other bytes")


def compare_fingerprints(fingerprints, name, recomputed):
    """Compare a recomputed file with the fingerprints of a recorded one, whose bytes are known to differ.

    `fingerprints` is the table of the recorded file's folder, ``fingerprints.tsv``, and `name` the file's in it.
    """
    recorded = {row["array"]: row for row in fingerprints[fingerprints["file"] == name].to_dict("records")}
    arrays = dict(float_arrays(recomputed))
    if not recorded or recorded.keys() != arrays.keys():
        return Grade(DIFFERENT, f"another checksum; holds {sorted(arrays)}, fingerprints are of {sorted(recorded)}")
    for key, values in arrays.items():
        found, expected = fingerprint(values), recorded[key]
        if found["shape"] != expected["shape"]:
            return Grade(DIFFERENT, f"{key}: shape {found['shape']}, recorded {expected['shape']}")
        tolerances = {"norm": DIGIT_TOLERANCE * expected["norm"]}
        tolerances |= {f"projection_{number}": PROJECTION_TOLERANCE for number in range(1, N_PROJECTIONS + 1)}
        for column, tolerance in tolerances.items():
            if not abs(found[column] - expected[column]) <= tolerance:
                return Grade(DIFFERENT, f"{key}: {column} {found[column]:g}, recorded {expected[column]:g}")
    return Grade(WITHIN, "by fingerprint; the recorded bytes are not here")


def _compare_maps(recorded, recomputed, as_z=False):
    """Compare images; of p values as |z|: one step of z moves p by more or less, depending on where it lies."""
    before, after = nibabel.load(recorded), nibabel.load(recomputed)
    if before.shape != after.shape or not np.array_equal(before.affine, after.affine):
        raise ValueError(f"another grid, {before.shape} and {after.shape}")
    if before.header != after.header or before.header.extensions != after.header.extensions:
        raise ValueError("another header")
    old, new = before.get_fdata(), after.get_fdata()
    if as_z:
        old, new = (-ndtri(np.clip(p, 1e-300, 1) / 2) for p in (old, new))
        return _grade(old, new, _step(old), DIGIT_TOLERANCE, "voxels, as |z|,")
    return _grade(old, new, _step(old), 0.0, "voxels")


def _step(values):
    """Return how far rounded values of a map may be apart."""
    largest = np.abs(values).max(initial=0)
    return MAP_STEPS * map_step(largest) if largest else 0.0


def _compare_exact_array(recorded, recomputed):
    old, new = (np.load(path, mmap_mode="r", allow_pickle=False) for path in (recorded, recomputed))
    return _compare_array(old, new, "values", is_exact=True)


def _compare_arrays(recorded, recomputed):
    with np.load(recorded, allow_pickle=False) as before, np.load(recomputed, allow_pickle=False) as after:
        if sorted(before.files) != sorted(after.files):
            return Grade(DIFFERENT, f"holds {sorted(after.files)}, recorded {sorted(before.files)}")
        return worst([_compare_array(before[name], after[name], f"values of {name}") for name in sorted(before.files)])


def _compare_array(old, new, what, is_exact=False):
    if old.shape != new.shape or old.dtype != new.dtype:
        return Grade(DIFFERENT, f"{what}: {new.dtype} {new.shape}, recorded {old.dtype} {old.shape}")
    if old.dtype.kind != "f":
        return Grade(IDENTICAL) if np.array_equal(old, new) else Grade(DIFFERENT, f"other {what}")
    if is_exact:
        return _grade(old, new, 0.0, 0.0, what)
    return _grade(old, new, _step(old) if old.dtype == np.float32 else 0.0, DIGIT_TOLERANCE, what)


def _compare_tables(recorded, recomputed):
    before, after = read_table(recorded, str), read_table(recomputed, str)
    # Fields too many in a line become its index.
    if list(before) != list(after) or not before.index.equals(after.index):
        return Grade(DIFFERENT, f"{len(after)} rows of {list(after)}, recorded {len(before)} of {list(before)}")
    return worst([_compare_cells(before[name], after[name], name) for name in before])


def _compare_cells(old, new, name):
    """Compare texts one by one; where they differ both must be numbers that agree, and no ids."""
    is_text = COLUMN_TYPES.get(name) is str
    for row, (before, after) in enumerate(zip(old, new, strict=True)):
        if before != after and (is_text or not _close(before, after)):
            return Grade(DIFFERENT, f"column {name}, row {row + 1}: {after}, recorded {before}")
    return Grade(IDENTICAL if list(old) == list(new) else WITHIN, f"column {name}: last digit")


def _close(before, after):
    try:
        before, after = float(before), float(after)
    except (TypeError, ValueError):
        return False
    return bool(np.isclose(after, before, rtol=DIGIT_TOLERANCE, atol=0))


def _compare_json(recorded, recomputed):
    # As pairs, so that a key that is there twice is seen.
    trees = (json.loads(path.read_text(), object_pairs_hook=tuple) for path in (recorded, recomputed))
    before, after = (list(_leaves(tree)) for tree in trees)
    if [key for key, _ in before] != [key for key, _ in after]:
        return Grade(DIFFERENT, "other keys or lengths")
    for (key, old), (_, new) in zip(before, after, strict=True):
        numbers = isinstance(old, float) and isinstance(new, (int, float)) and not isinstance(new, bool)
        if old != new and not (numbers and _close(old, new)):
            return Grade(DIFFERENT, f"{key}: {new}, recorded {old}")
    return Grade(IDENTICAL if before == after else WITHIN, "last digit")


def _leaves(content, key=""):
    if isinstance(content, tuple):
        for name, value in content:
            yield from _leaves(value, f"{key}.{name}".lstrip("."))
    elif isinstance(content, list):
        for position, value in enumerate(content):
            yield from _leaves(value, f"{key}[{position}]")
    else:
        yield key, content


def _read_picture(file):
    try:
        with PngImageFile(file) as picture:
            if picture.is_animated:  # browsers show other frames than the one that is read here
                raise ValueError("holds more than one picture")
        return imread(file)
    except SyntaxError as error:
        raise ValueError(f"no picture can be read ({error})") from None


def _compare_pixels(old, new):
    if old.shape != new.shape:
        return Grade(DIFFERENT, f"{new.shape[1]} x {new.shape[0]} pixels, recorded {old.shape[1]} x {old.shape[0]}")
    off = np.abs(old - new).max(axis=-1)
    if off.max() <= PIXEL_TOLERANCE and (off > 0).mean() <= PIXEL_SHARE:
        return Grade(WITHIN if off.any() else IDENTICAL, f"{(off > 0).sum()} pixels by at most {off.max():.3g}")
    return Grade(DIFFERENT, f"{(off > 0).sum()} of {off.size} pixels, by at most {off.max():.3g}")


def _compare_drawings(recorded, recomputed):
    """Compare SVG or HTML: words one by one, numbers as coordinates or values, pictures inside by their pixels."""
    old, new = (_tokens(path.read_text(encoding="utf-8")) for path in (recorded, recomputed))
    if len(old) != len(new):
        return Grade(DIFFERENT, f"{len(new)} words and numbers, recorded {len(old)}")
    grades = []
    for (before, is_coordinate), (after, _) in zip(old, new, strict=True):
        if before == after:
            continue
        if NUMBER.fullmatch(before) and NUMBER.fullmatch(after):
            near = is_coordinate and abs(float(before) - float(after)) <= DRAWING_TOLERANCE
            if not near and not _close(before, after):
                return Grade(DIFFERENT, f"{after} where {before} is recorded")
            grades.append(Grade(WITHIN, "numbers in the last digits"))
        elif before.startswith(PICTURE) and after.startswith(PICTURE):
            grades.append(_compare_pixels(_decode(before), _decode(after)))
        else:
            return Grade(DIFFERENT, f"{after[:40]!r} where {before[:40]!r} is recorded")
    return worst(grades)


NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?")
PICTURE = "data:image/png;base64,"
# Matplotlib derives ids from what they name: a last digit changes them.
DRAWN_ID = re.compile(r"\b(?:[a-z]|image)[0-9a-f]{10}\b")
TOKEN = re.compile(
    rf"{PICTURE}[A-Za-z0-9+/=\s]+|{DRAWN_ID.pattern}|(?<![\w.#]){NUMBER.pattern}(?![\w])|\s+|\w+|[^\w\s]"
)
DRAWING = re.compile(r"(<svg\b.*?</svg>)", re.DOTALL)
TAG = re.compile(r"(<\w[^<>]*>)")


def _tokens(text):
    """Return words and numbers, each with whether it lies in a tag of a drawing, where numbers are coordinates."""
    names, tokens = {}, []
    for n_part, part in enumerate(DRAWING.split(text)):
        for n_piece, piece in enumerate(TAG.split(part) if n_part % 2 else [part]):
            for token in TOKEN.findall(piece):
                if DRAWN_ID.fullmatch(token):
                    token = names.setdefault(token, f"id {len(names)}")
                if not token.isspace():
                    tokens.append((token, n_piece % 2 == 1))
    return tokens


def _decode(token):
    try:
        return _read_picture(io.BytesIO(base64.b64decode(token.removeprefix(PICTURE))))
    except binascii.Error as error:
        raise ValueError("a picture in it cannot be read") from error


def _grade(old, new, atol, rtol, what):
    off = ~((old == new) | (np.isnan(old) & np.isnan(new)))
    if not off.any():
        return Grade(IDENTICAL, "same values in other bytes")
    close = np.isclose(new, old, rtol=rtol, atol=atol, equal_nan=True)
    largest = np.nanmax(np.abs(np.where(off, new - old, 0)))
    first = tuple(int(index[0]) for index in np.nonzero(~close if not close.all() else off))
    detail = f"{off.sum()} of {off.size} {what}, by at most {largest:.3g}, first at {first}"
    return Grade(WITHIN if close.all() else DIFFERENT, detail)


def worst(grades):
    """Return the grade that speaks for several: the first different one, else the first within tolerance."""
    order = (DIFFERENT, WITHIN, IDENTICAL)
    return min(grades, key=lambda grade: order.index(grade.grade), default=Grade(IDENTICAL))


COMPARISONS = {
    ("_p.nii.gz",): partial(_compare_maps, as_z=True),
    (".nii.gz", ".nii"): _compare_maps,
    (".npz",): _compare_arrays,
    (".npy",): _compare_exact_array,
    (".tsv",): _compare_tables,
    (".json",): _compare_json,
    (".png",): lambda *paths: _compare_pixels(*map(_read_picture, paths)),
    (".svg", ".html"): _compare_drawings,
}
