"""A sentence that may be said of a study, with its number, interval and test, and how it is written."""

import json
from dataclasses import asdict, dataclass

import numpy as np

from facepain.report.figures.page import ALGORITHM_NAMES, signed
from files.rounding import round_significant

ALPHA = 0.05
AT_MOST = "\N{LESS-THAN OR EQUAL TO}"
MASK_NAMES = {"whole-brain": "the whole brain", "without-M1": "the brain without M1"}
DESCRIPTION = "description"  # what is described, not compared with chance: no p
SYNTHETIC_SUFFIX = " (Synthetic data.)"


@dataclass(frozen=True)
class Claim:
    """A sentence and what carries it; `make_claim` rounds its numbers."""

    id: str  # kind of claim, then what it is about, such as ``unseen/M1/lasso``
    text: str  # of a synthetic study it says so
    number: float  # what the sentence rests on, with its interval or, of a `DESCRIPTION`, its range
    low: float
    high: float
    p: float | None  # None for a `DESCRIPTION`
    scheme: str  # what is permuted, or `DESCRIPTION`
    files: tuple  # from the root of the repository


def make_claim(name, text, numbers, files, p=None, scheme=DESCRIPTION):
    """Return a claim, or None where its number, its interval or its test is not known."""
    tested = scheme != DESCRIPTION
    if not all(np.isfinite(float(value)) for value in numbers) or (tested and not np.isfinite(p)):
        return None
    number, low, high = (float(round_significant(value)) for value in numbers)
    return Claim(name, text, number, low, high, float(round_significant(p)) if tested else None, scheme, tuple(files))


def write_claims(claims, outputs):
    """Write ``claims.json``."""
    outputs.write_json("claims.json", [asdict(claim) for claim in claims])


def read_claims(path):
    """Read ``claims.json`` as a dict of `Claim` by id."""
    return {entry["id"]: Claim(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))}


def mask_name(mask):
    return MASK_NAMES.get(mask, mask)


def name_model(mask, algorithm):
    return f"{ALGORITHM_NAMES[algorithm]} in {mask_name(mask)}"


def model_name(cell):
    """Name a model in a sentence."""
    removed = f" ({name_confounds(cell)} removed)" if cell.confounds else ""
    return name_model(cell.mask, cell.algorithm) + removed


def name_confounds(cell):
    """List the confounds that were removed, such as "age, run and motion"."""
    *names, last = cell.confounds
    return f"{', '.join(names)} and {last}" if names else last


def span(row, name="estimate", ends=None):
    """Write a number with its interval."""
    low, high = ends or (("low", "high") if name == "estimate" else (f"{name}_low", f"{name}_high"))
    return f"{signed(row[name])} (95 % interval {signed(row[low])} to {signed(row[high])})"


def at_floor(p, n):
    """Return whether p is the smallest that n permutations can give."""
    return bool(n) and p <= (1 + 1e-5) / (1 + n)


def p_is(p, n=0, bound=None):
    """Write a p value; at its floor, the smallest that n permutations can give, as an upper bound."""
    if p != p:
        return "p not known"
    bound = at_floor(p, n) if bound is None else bound
    return f"p {AT_MOST if bound else '='} {float(f'{p:.2g}'):g}"
