"""Say what concerns single participants, and so must never lie in git itself."""

from fnmatch import fnmatch

from provenance.records import RECORD

# A star stands for folders too. .gitattributes annexes these, so that a plain clone holds none of them.
PARTICIPANT_LEVEL = (
    "outputs/prep/*",
    "outputs/extract/*",
    "outputs/*predictions.*",
    "outputs/*split_fold-*",
    "outputs/*quality.*",
    "figures/participants/*",
)


def is_participant_level(path):
    """Tell whether a path, from the root, is participant level; the records of inputs never are."""
    return not path.endswith("/" + RECORD) and any(fnmatch(path, pattern) for pattern in PARTICIPANT_LEVEL)
