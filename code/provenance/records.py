"""What a result was made from: the ``inputs.json`` that every cell writes beside its outputs.

It names the code (the script and the modules that it imports, found in the source), the data it read, the packages and
the settings, all by content. Two equal descriptions stand for equal results, which is how a stale one is told from a
fresh one.
"""

import ast
import json
import re
from fnmatch import fnmatch

from provenance.repository import ROOT, object_ids

RECORD = "inputs.json"


def describe_inputs(cell, ids=None, root=ROOT):
    """Describe by content everything that a cell's result depends on.

    Parameters
    ----------
    cell : Cell
    ids : dict, optional
        Object ids of the paths at HEAD (`object_ids`), if the caller has them.

    Returns
    -------
    description : dict
        ``command``, ``code`` and ``data`` (object ids by path), ``packages`` (locked versions), ``settings``.
    """
    ids = object_ids(root=root) if ids is None else ids
    modules, imported = imported_modules(cell.script, root)
    locked = locked_versions((root / "requirements.lock").read_text())
    return {
        "command": cell.command,
        "code": {path: ids.get(path, "not committed") for path in modules},
        "data": dict(sorted((path, id_) for path, id_ in ids.items() if is_read(cell, path))),
        "packages": {name: locked[name] for name in sorted(imported & set(locked))},
        "settings": cell.settings,
    }


def is_read(cell, path):
    """Tell whether a cell reads a path: it is named, lies in a named folder or fits a named pattern.

    The record of an upstream cell is not read, what matters of it are its results; but the report tells the settings
    and commands of every result from their records.
    """
    if path.endswith("/" + RECORD) and cell.stage != "plot":
        return False
    return any(path == read or path.startswith(read + "/") or fnmatch(path, read) for read in cell.reads)


def dump_record(description):
    return json.dumps(description, indent=1, sort_keys=True) + "\n"


def imported_modules(script, root=ROOT):
    """Follow the import statements of a script.

    Parameters
    ----------
    script : str
        Path from the root, in ``code``.

    Returns
    -------
    modules : list of str
        The script and every module of this project that it imports, directly or not, but for the machinery that runs
        stages: paths from the root, sorted.
    packages : set of str
        Distributions imported from elsewhere, by the name under which they are locked.
    """
    found, packages, waiting = set(), set(), [script]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        if path.startswith(MACHINERY):
            continue
        found.add(path)
        for name in _imported_names(ast.parse((root / path).read_text(encoding="utf-8"))):
            own = _own_files(name, root)
            waiting += own
            if not own:
                top = name.split(".")[0]
                packages.add(DISTRIBUTIONS.get(top, top))
    return sorted(found), packages


# What runs a stage and records it computes nothing of a result: a better message in it must not rerun every model.
MACHINERY = "code/provenance/"
# Names of modules that differ from those of their distributions.
DISTRIBUTIONS = {"sklearn": "scikit-learn", "PIL": "pillow", "jupyter_client": "jupyter-client"}


def _imported_names(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _own_files(name, root):
    """Return the files of this project behind a dotted name, packages on the way included."""
    parts, files = name.split("."), []
    for depth in range(1, len(parts) + 1):
        stem = "/".join(("code", *parts[:depth]))
        files += [path for path in (f"{stem}.py", f"{stem}/__init__.py") if (root / path).is_file()]
    return files


PIN = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)[ \t]*(;?)", flags=re.MULTILINE)


def locked_versions(lock):
    """Return the versions that ``requirements.lock`` pins, by distribution name.

    Where a package is pinned apart for several Python versions the first pin is named.
    """
    versions = {}
    for name, version, _ in PIN.findall(lock):
        versions.setdefault(name.lower(), version)
    return versions


def unconditional_pins(lock):
    """Return the versions that the lock pins on every platform and Python version."""
    return {name.lower(): version for name, version, marker in PIN.findall(lock) if not marker}
