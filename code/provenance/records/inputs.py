"""What a result was made from: the ``inputs.json`` that every cell writes beside its outputs.

It names the code (the script and the modules that it imports, found in the source), the data it read, the packages and
the settings, all by content. Two equal descriptions stand for equal results, which is how a stale one is distinguished
from a fresh one.
"""

import ast
import hashlib
import json
import os
import re
import sys
from contextlib import suppress
from functools import cache

from files import flatten
from provenance.declare import RECORD
from provenance.repository import ROOT, git, git_folder, read_state, write_whole

# Names of modules that differ from those of their distributions.
DISTRIBUTIONS = {"sklearn": "scikit-learn", "PIL": "pillow", "IPython": "ipython"}
KNOWN_NAMES = "imported.json"  # in .git/facepain
PIN = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)[ \t]*(;?)", flags=re.MULTILINE)


def describe_inputs(cell, ids, root=ROOT, results=None):
    """Describe by content everything that a cell's result depends on.

    `ids` are the object ids at HEAD by path; `results`, of a cell that shows results, the states of those that are not
    fresh. Returns ``command``, ``code`` and ``data`` (object ids by path), ``packages`` (locked versions) and
    ``settings``.
    """
    modules, imported = imported_modules(cell.script, root, cell.machinery)
    locked = locked_versions((root / "requirements.lock").read_text())
    shown = {} if results is None else {"results": results}
    return shown | {
        "command": cell.command,
        "code": {path: ids.get(path, "not committed") for path in modules},
        "data": dict(sorted((path, id_) for path, id_ in ids.items() if cell.is_read(path))),
        "packages": {name: locked[name] for name in sorted(imported & set(locked))},
        "settings": cell.settings,
    }


def read_description(folder, revision="HEAD", root=ROOT):
    """Return the description in the ``inputs.json`` of a folder at a revision, {} if there is none or it is damaged."""
    try:
        found = json.loads(git("show", f"{revision}:{folder}/{RECORD}", check=False, root=root))
    except json.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def imported_modules(script, root=ROOT, machinery=("code/provenance/",)):
    """Follow the import statements of a script in ``code``.

    Returns the sorted paths of the script and of every module of this project that it imports, directly or not, and the
    names under which the distributions are locked that these import. What begins with one of `machinery` is left out:
    what runs a stage and records it computes nothing of a result.
    """
    walk = ((os.path.relpath(folder, root), names) for folder, _, names in os.walk(root / "code"))
    listed = [f"{folder}/{name}" for folder, names in walk if not folder.endswith("__pycache__") for name in names]
    present = frozenset(path for path in listed if path.endswith(".py"))
    unseen, compiled = unasked_modules(root, listed)
    found, packages, waiting = compiled, set(), [script, *sorted(unseen)]
    n_known = len(known_names())
    while waiting:
        path = waiting.pop()
        if path in found or path.startswith(machinery):
            continue
        found.add(path)
        own, others = _imports(path, (root / path).read_text(encoding="utf-8"), present)
        waiting += own
        packages |= others
    if len(known_names()) > n_known:
        with suppress(OSError):  # in a clone that may only be read
            write_whole(git_folder() / KNOWN_NAMES, json.dumps(known_names()))
    return sorted(found), packages


def unasked_modules(root, listed):
    """Return the modules in ``code`` that Python takes in place of others, whoever imports these: source and compiled.

    These are named as Python's own modules or as packages, such as ``code/random.py``, or stand beside a source.
    """
    lock = root / "requirements.lock"
    taken = {name.replace("-", "_") for name in locked_versions(lock.read_text() if lock.exists() else "")}
    taken |= sys.stdlib_module_names | DISTRIBUTIONS.keys()
    source = {path for path in listed if path.endswith(".py") and re.split("[/.]", path)[1] in taken}
    return source, {path for path in listed if path.endswith((".pyc", ".so", ".pyd"))}


@cache  # since every cell asks for the same modules again
def _imports(path, source, present):
    """Return what a module imports: files of this project, packages on the way included, and distributions."""
    key, known = hashlib.sha256(source.encode()).hexdigest(), known_names()
    if key not in known:  # kept, since to parse all modules takes every command a while
        known[key] = []
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                known[key] += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                start = "." * node.level + (f"{node.module}." if node.module else "")
                known[key] += [f"{start}{alias.name}" for alias in node.names]
    own, packages = set(), set()
    for name in known[key]:
        absolute = name.lstrip(".")
        above = path.split("/")[1 : len(absolute) - len(name)]  # of a relative one
        parts = [*above, *absolute.split(".")]
        stems = ["/".join(("code", *parts[:depth])) for depth in range(1, len(parts) + 1)]
        files = {path for stem in stems for path in (f"{stem}.py", f"{stem}/__init__.py")} & present
        own |= files
        if not files:
            packages.add(DISTRIBUTIONS.get(parts[0], parts[0]))
    return own, packages


@cache
def known_names():
    return read_state(git_folder() / KNOWN_NAMES)


@cache
def locked_versions(lock):
    """Return the versions that ``requirements.lock`` pins, by distribution name; of several pins the first."""
    return {name.lower(): version for name, version, _ in reversed(PIN.findall(lock))}


def unconditional_pins(lock):
    """Return the versions that the lock pins on every platform and Python version."""
    return {name.lower(): version for name, version, marker in PIN.findall(lock) if not marker}


def differences(recorded, present):
    """Say in words what changed between two descriptions of inputs (`describe_inputs`), if anything did."""
    reasons = []
    for part, key, old, new in find_differences(recorded, present):
        if part == "results":
            # What is stale now is named by the caller.
            reasons += [f"{key} was {old} when this was drawn"] if old else []
        elif part in ("code", "data"):
            verb = "is new" if old is None else "is gone" if new is None else "changed"
            reasons.append(f"{key} {verb}")
        else:
            reasons.append(f"{f'{part} {key}'.rstrip()}: {old} -> {new}")
    return reasons


def find_differences(before, after):
    """Yield part, key and both values of what differs between two descriptions, in the order of the second."""
    for part in after:
        old, new = (flatten({part: description.get(part) or {}}) for description in (before, after))
        for name in sorted(old.keys() | new.keys()):
            if old.get(name) != new.get(name):
                yield part, name.partition(".")[2], old.get(name), new.get(name)
