"""Fill the README's sentences and numbers from figures/claims.json.

``python tests/shared/readme_numbers.py`` writes them into README.md, between ``<!-- claim:ID -->`` (a sentence) or
``<!-- claim:ID number -->`` (also ``interval``, ``p``) and ``<!-- /claim -->``. No stage does this: a README that says
something else after a new run is a change to read and to commit. The tests hold the README to the file.
"""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MARKED = re.compile(r"<!-- claim:(\S+?)(?: (number|interval|p))? -->(.*?)<!-- /claim -->", re.DOTALL)
SUFFIX = " (Synthetic data.)"  # the README says so above all of them
MINUS = "\N{MINUS SIGN}"


def fill(text, claims):
    """Return a text with every marked place filled in.

    Parameters
    ----------
    text : str
    claims : dict of str to dict
        By id.

    Raises
    ------
    KeyError
        If a claim that the text names is not made any more.
    """

    def write(match):
        name, field, _ = match.groups()
        if name not in claims:
            raise KeyError(f"README names the claim {name}, which figures/claims.json does not make")
        opening = f"<!-- claim:{name}{f' {field}' if field else ''} -->"
        return f"{opening}{value_of(claims[name], field)}<!-- /claim -->"

    return MARKED.sub(write, text)


def value_of(claim, field):
    if field is None:
        return claim["text"].removesuffix(SUFFIX)
    if field == "interval":
        return f"{number(claim['low'])} to {number(claim['high'])}"
    if field == "p":
        return f"{claim['p']:.2g}"
    return number(claim["number"])


def number(value):
    return f"{value:.2f}".replace("-", MINUS)


def read_claims(path=ROOT / "figures/claims.json"):
    return {claim["id"]: claim for claim in json.loads(path.read_text(encoding="utf-8"))}


def main():
    readme = ROOT / "README.md"
    before = readme.read_text(encoding="utf-8")
    after = fill(before, read_claims())
    readme.write_text(after, encoding="utf-8")
    for old, new in zip(MARKED.finditer(before), MARKED.finditer(after), strict=True):
        if old.group() != new.group():
            print(f"{new.group(1)}: {new.group(3)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
