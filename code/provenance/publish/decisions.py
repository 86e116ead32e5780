"""Decide for each annexed file whether its content may be published: by its path, its past and what is in it."""

from collections.abc import Callable
from dataclasses import dataclass

from errors import InputError
from provenance.annex.integrity import broken_files, is_pointer
from provenance.publish.disclosure import (
    EXAMPLES,
    RESULTS,
    Machine,
    unpack,
    why_participant_level,
)
from provenance.publish.history import checksum, identity
from provenance.publish.participant_names import Names
from provenance.repository import ROOT, object_ids

MACHINE = "it tells of this machine or a private place"
GOES, STAYS, NOT_HERE = "goes", "stays", "not here"


@dataclass(frozen=True)
class Decision:
    """What happens to the content of one annexed file, and why."""

    path: str
    key: str
    verdict: str
    reason: str = ""


@dataclass(frozen=True)
class Rule:
    """What must not be told: the participants' names, this machine's, and content with a participant-level past."""

    names: Names
    machine: Machine
    private: dict
    is_private: Callable

    def why_kept(self, path, content):
        """Say why a content must not be published under a path, None if it may."""
        parts = list(unpack(content))
        for part in parts:
            original = self.private.get(checksum(part)) if part else None
            if original:
                return f"it is {original} under another name"
        is_example = path.startswith(EXAMPLES)
        if reason := why_participant_level(parts, self.names, is_example):
            return reason
        told = (self.machine.find(part, path.startswith(RESULTS)) for part in parts)
        found = next(filter(None, told), None)
        return f"{MACHINE} ({found})" if found else None


def decide(entries, rule):
    """Decide on every annexed file of HEAD by its path, its past and its content."""
    present = object_ids()
    annexed = [entry for entry in entries if entry.key and present.get(entry.path) == entry.blob]
    here = {entry.path for entry in annexed if (ROOT / entry.path).exists() and not is_pointer(ROOT / entry.path)}
    for path in broken_files(sorted(here)):
        raise InputError(f"{path}: its content does not fit its checksum; `make all` makes it again")
    return [_decide(entry, rule, entry.path in here) for entry in annexed]


def _decide(entry, rule, is_here):
    past = rule.private.get(identity(entry.key))
    if not is_here:
        return Decision(entry.path, entry.key, NOT_HERE, "its content is not in this clone")
    if rule.is_private(entry.path):
        return Decision(entry.path, entry.key, STAYS, "participant-level")
    why = f"it is {past} under another name" if past else rule.why_kept(entry.path, (ROOT / entry.path).read_bytes())
    if why is None:
        return Decision(entry.path, entry.key, GOES)
    return Decision(entry.path, entry.key, STAYS, why if why.startswith(MACHINE) else f"participant-level: {why}")
