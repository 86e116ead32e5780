"""A sentence that may be said of a study, with its number, interval and test, and how it is written."""

import json
from dataclasses import asdict, dataclass

import numpy as np

from facepain.models.algorithms import ALGORITHMS
from facepain.report.figures.page import list_names, signed
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
    number: float  # what the sentence rests on; its interval or, of a `DESCRIPTION`, a range to compare it with:
    low: float
    high: float
    p: float | None  # None for a `DESCRIPTION`
    scheme: str  # what is permuted, or `DESCRIPTION`
    files: tuple  # from the root of the repository


def make_claim(name, text, numbers, files, p=None, scheme=DESCRIPTION):
    """Return a claim, or None where its number, its interval or its test is not known."""
    numbers = [*numbers] if scheme == DESCRIPTION else [*numbers, p]
    if not np.isfinite(np.array(numbers, float)).all():
        return None
    number, low, high, *p = (float(round_significant(value)) for value in numbers)
    return Claim(name, text, number, low, high, p[0] if p else None, scheme, tuple(files))


def write_claims(claims, outputs):
    """Write ``claims.json``."""
    outputs.write_json("claims.json", [asdict(claim) for claim in claims])


def read_claims(path):
    """Read ``claims.json`` as a dict of `Claim` by id."""
    return {entry["id"]: Claim(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))}


def mask_name(mask):
    return MASK_NAMES.get(mask, mask)


def name_model(mask, algorithm):
    return f"{ALGORITHMS[algorithm].label} in {mask_name(mask)}"


def model_name(cell):
    """Name a model in a sentence."""
    removed = f" ({list_names(cell.confounds)} removed)" if cell.confounds else ""
    return name_model(cell.mask, cell.algorithm) + removed


def rows_of(table, **values):
    """Return the rows of a table that have all values, as dicts; none where there is no table."""
    rows = [] if table is None else table.to_dict("records")
    return [row for row in rows if all(row[name] == value for name, value in values.items())]


def find_row(table, **values):
    """Return the first of `rows_of`, or None."""
    return next(iter(rows_of(table, **values)), None)


def numbers_of(row, name="estimate"):
    """Return a number of a row with the ends of its interval."""
    start = f"{name}_" if f"{name}_low" in row else ""
    return row[name], row[f"{start}low"], row[f"{start}high"]


def span(row, name="estimate"):
    """Write a number with its interval."""
    return "{} (95 % interval {} to {})".format(*map(signed, numbers_of(row, name)))


def is_floor(p, n):
    """Return whether p is the smallest that n permutations can give: a bound, since more might have given less."""
    return p <= (1 + 1e-5) / (1 + n)


def p_is(p, n=0, uncorrected=None):
    """Write a p value of n permutations, or of a test without any; at its floor as an upper bound."""
    if p != p:
        return "p not known"
    at_floor = n and is_floor(p if uncorrected is None else uncorrected, n)
    return f"p {AT_MOST if at_floor else '='} {p:.2g}"
