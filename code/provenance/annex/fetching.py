"""Fetch annexed content that is not here yet."""

import os
import subprocess
from pathlib import Path

from errors import InputError
from provenance.annex.integrity import is_here, require_whole
from provenance.repository import datalad


def fetch_content(folder, names=("",)):
    """Fetch annexed content that is not here yet: of a dataset, or of some of its files; broken content stops."""
    if folder.startswith("inputs/"):
        require_whole(folder)
    found = [path for name in names for path in (Path(folder, name), *Path(folder, name).rglob("*"))]
    absent = [path for path in found if ".git" not in path.parts and os.path.lexists(path) and not is_here(path)]
    if not absent:
        return
    print(f"{folder}: fetching {len(absent)} file(s)", flush=True)
    command = ["git", "annex", "get", "--quiet", "--", *(name or "." for name in names)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if not all(map(is_here, absent)):
        # DataLad knows more ways to get there, but takes a second to start, and keeps git-annex's reason to itself.
        datalad("get", "--dataset", folder, *(str(Path(folder, name)) for name in names))
    if absent := [path for path in absent if not is_here(path)]:
        said = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()] or [
            "no reason given"
        ]
        reason = next((line for line in said if "changed" in line), said[-1])
        others = f" and {len(absent) - 1} more" if absent[1:] else ""
        raise InputError(
            f"{absent[0]}{others} cannot be fetched ({reason[:200]}); "
            "make the place that has them reachable; after a change of your own files `make own` records it"
        )
