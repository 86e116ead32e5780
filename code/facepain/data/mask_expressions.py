"""What a mask's definition in the params says: files, atlas labels and names, joined by ``and`` and ``and not``.

definition := source { "and" [ "not" ] source }
source     := name of another mask | "whole-brain" | "gray-matter" | path [ (">" | ">=") number ]
            | atlas ":" label { "," label }
atlas      := "harvard-oxford" | path
"""

import operator
import re
from dataclasses import dataclass

from errors import InputError

BRAIN, GRAY_MATTER, HARVARD_OXFORD = "whole-brain", "gray-matter", "harvard-oxford"
COMPARISONS = {">": operator.gt, ">=": operator.ge}
NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]{1,2})?"
IMAGE = r".+\.(nii|nii\.gz|hdr|img)"


@dataclass(frozen=True)
class Term:
    """One source of a definition."""

    source: str  # a path, a name, or `BRAIN`, `GRAY_MATTER`, `HARVARD_OXFORD`
    labels: tuple = ()  # of an atlas; empty for what is a mask itself
    negated: bool = False
    comparison: str = ""  # one of `COMPARISONS` where voxels are those above a threshold
    threshold: float = 0.0


def parse_definition(name, definition):
    """Split a mask's definition into its terms; one that is empty somewhere, or makes no sense, stops."""
    where = f'extract.mask_files.{name} = "{definition}"'
    terms = []
    for text in re.split(r"\s+and\s+", definition.strip()):
        negated = text.startswith("not ")
        text, comparison, threshold = _split_threshold(where, text.removeprefix("not ").strip())
        source, _, labels = text.partition(":")
        listed = tuple(label.strip() for label in labels.split(",")) if labels else ()
        if not source.strip() or not all(listed) or (_ and not listed):
            raise InputError(
                f'{where}: "{text}" is empty somewhere; expected a source, or an atlas and its labels: "a.nii: 3, 4"'
            )
        if comparison and (listed or not re.fullmatch(IMAGE, source.strip())):
            raise InputError(f'{where}: a threshold is for the values of one file; expected such as "x.nii.gz > 0.5"')
        terms.append(Term(source.strip(), listed, negated, comparison, threshold))
    if terms[0].negated:
        raise InputError(f'{where}: begins with "not"; expected what to take it from, such as "whole-brain and not M1"')
    for term in terms:
        if term.labels and term.source in (BRAIN, GRAY_MATTER):
            raise InputError(f'{where}: "{term.source}" has no labels; expected an atlas before the colon')
        if term.source == HARVARD_OXFORD and not term.labels:
            raise InputError(
                f'{where}: names no label of the atlas; expected such as "harvard-oxford: Precentral Gyrus"'
            )
    return terms


def _split_threshold(where, text):
    """Split ``path > number`` into its parts; without a comparison the last two are empty."""
    match = re.search("[<>=]+", text)
    if not match:
        return text, "", 0.0
    source, comparison, number = text[: match.start()], match.group(), text[match.end() :].strip()
    if comparison not in COMPARISONS or not re.fullmatch(NUMBER, number):
        raise InputError(
            f'{where}: "{comparison} {number}" is no threshold; expected > or >= and a number, such as "x.nii.gz > 0.5"'
        )
    return source.strip(), comparison, float(number)


def definitions_used(name, definitions, above=()):
    """Return those definitions that a mask needs, its own first; unknown sources and circles stop.

    A name used in its own definition means what this project carries under it. ``above`` are the masks whose
    definitions led to this one.
    """
    used = {name: definitions[name]}
    for term in parse_definition(name, definitions[name]):
        if kind_of(term.source, name, definitions) == "mask":
            if term.source in above:
                raise InputError(f"extract.mask_files: {name} and {term.source} name each other; define one without it")
            used |= definitions_used(term.source, definitions, (*above, name))
    return used


def kind_of(source, current, definitions):
    """Return what a source is: ``mask``, another definition; ``file``; or ``packaged``. Others stop."""
    if source in definitions and source != current:
        return "mask"
    if source in (BRAIN, GRAY_MATTER, HARVARD_OXFORD):
        return "packaged"
    if re.fullmatch(IMAGE, source):
        if source.startswith(("/", "~")) or ".." in source.split("/"):
            raise InputError(
                f'extract.mask_files.{current}: "{source}" lies outside of this repository; copy it in, commit it and '
                "name it from the root, so that the result's record is whole"
            )
        return "file"
    known = ", ".join(sorted({*definitions, BRAIN, GRAY_MATTER, HARVARD_OXFORD} - {current}))
    raise InputError(
        f'extract.mask_files.{current}: "{source}" is no mask; expected a NIfTI file by path, or one of {known}'
    )


def mask_files(name, definitions):
    """List the files that a mask is made from, as paths from the root."""
    used = definitions_used(name, definitions)
    terms = [(current, term) for current, text in used.items() for term in parse_definition(current, text)]
    return sorted({term.source for current, term in terms if kind_of(term.source, current, definitions) == "file"})
