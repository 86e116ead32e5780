"""Read from CITATION.cff what this study is called, whose it is, and the paper that it follows."""

import re
from dataclasses import dataclass

from errors import InputError
from provenance.repository import ROOT

FIELD = re.compile(r"([a-z-]+): *\"?([^\",}\n]+)")


@dataclass(frozen=True)
class Citation:
    """Title, licence (in SPDX) and authors (schema.org's type, and name) of the study; title and DOI of the paper."""

    title: str
    license: str
    authors: tuple
    paper: str
    doi: str


def read_citation(root=ROOT):
    """Read ``CITATION.cff``: its top-level fields, its authors, and the first work that it refers to."""
    text = (root / "CITATION.cff").read_text(encoding="utf-8")
    own, _, references = text.partition("\nreferences:")
    _, _, authors = own.partition("\nauthors:\n")
    # What follows the authors is no longer indented.
    authors = re.split(r"^\S", authors, maxsplit=1, flags=re.MULTILINE)[0]
    try:
        return Citation(
            title=top_level(own, "title"),
            license=top_level(own, "license"),
            authors=tuple(name_author(entry) for entry in re.split(r"^ *- ", authors, flags=re.MULTILINE)[1:]),
            paper=re.search(r'^ +title: *"(.+)"$', references, flags=re.MULTILINE).group(1),
            doi=re.search(r"^ +doi: *(\S+)$", references, flags=re.MULTILINE).group(1),
        )
    except (AttributeError, KeyError):
        raise InputError(
            "CITATION.cff: expected title, license, authors and a reference with title and doi; correct it"
        ) from None


def top_level(text, name):
    return re.search(rf'^{name}: *"?([^"\n]+)', text, flags=re.MULTILINE).group(1)


def name_author(entry):
    fields = dict(FIELD.findall(entry))
    if "name" in fields:
        return "Organization", fields["name"]
    return "Person", f"{fields['given-names']} {fields['family-names']}"
