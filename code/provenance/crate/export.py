"""Export the results and their run records as a Process Run Crate, a folder that other tools can read."""

import json
import os
from pathlib import Path
from urllib.parse import unquote

from errors import InputError
from provenance.annex.dataset import building_folder
from provenance.crate.entities import describe_study
from provenance.declare import RECORD
from provenance.publish.declared import find_declared
from provenance.publish.secrets import gather_secrets
from provenance.publish.store import dataset_id
from provenance.records.freshness import STALE, assess
from provenance.repository import ROOT, object_ids, require_clean_tree
from provenance.run.recovery import only_one

METADATA = "ro-crate-metadata.json"


def export_crate(study, cells, to):
    """Write a crate of every result, whole or not at all, to a folder that is absent, empty or an earlier crate."""
    target = find_target(to)
    with only_one():
        require_clean_tree()
        require_results(cells)
        secrets = gather_secrets(study)
        # Where content is missing it is described only.
        declared = find_declared(study, cells, secrets, is_stored=lambda _key: True)
        for cell in (cell for cell in cells if cell.name in declared.stays):
            raise InputError(
                f"{cell.name} may not leave this repository: {declared.stays[cell.name]}; docs/publishing.md says how "
                "to declare a study to be public"
            )
        runs = [(cell, run) for cell, run, _ in declared.results]
        crate = describe_study(study, runs, declared.files)
        for entity in crate.get_entities():  # the name of a file that stays could name a participant
            if found := secrets.find_participant(json.dumps(entity.properties(), ensure_ascii=False)):
                raise InputError(f"{unquote(entity.id)} may not be described: {found}")
        with building_folder(target) as folder:
            crate.write(folder)
            for path in folder.rglob("*"):
                if path.is_file():
                    path.chmod(0o644)  # the content of annexed files is read-only
            with building_folder(target.with_name(f"{target.name}.old")) as aside:  # removed, and with it what it takes
                if target.exists():
                    os.replace(target, aside / target.name)
                os.replace(folder, target)
    files = [entity for entity in crate.get_entities() if "File" in entity.properties()["@type"]]
    included = sum(not entity.id.startswith("#") for entity in files)
    print(f"{to}: {len(runs)} runs, {len(files)} files described, {included} of them included")


def find_target(to):
    """Return the folder to write; stop if it is not named or must not be written to."""
    if not to:
        raise InputError("TO= is missing; name a folder that is not there yet: make crate TO=../face-of-pain-crate")
    target = Path(os.path.expanduser(to)).resolve()
    if target.is_relative_to(ROOT) or ROOT.is_relative_to(target):
        raise InputError(f"TO={to} lies in or around this repository; name a folder beside it")
    if not target.parent.is_dir() or not os.access(target.parent, os.W_OK | os.X_OK):
        raise InputError(f"TO={to} cannot be made; expected a folder around it that is there and may be written to")
    if target.exists() and (not target.is_dir() or (foreign := find_foreign(target))):
        what = f"holds {foreign}, which no crate of this study put there" if target.is_dir() else "is a file"
        raise InputError(f"TO={to} {what}; name a folder that is empty, absent or an earlier crate of this study")
    return target


def find_foreign(folder):
    """Return a file that an earlier crate of this study did not write, None if there is none."""
    known = set()
    try:
        graph = json.loads((folder / METADATA).read_text(encoding="utf-8"))["@graph"]
        if any(entity.get("identifier") == f"urn:uuid:{dataset_id()}" for entity in graph if entity["@id"] == "./"):
            known = {unquote(entity["@id"]) for entity in graph}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # no metadata, or those of something else
    files = (str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())
    return next((path for path in files if path not in known), None)


def require_results(cells):
    """Stop unless all results are there, belong together, and each is as its run left it."""
    ids = object_ids()
    for cell in cells:
        if f"{cell.folder}/{RECORD}" not in ids:
            raise InputError(f"{cell.name} is absent: it was never made; `make {cell.stage}` makes it")
    states = assess(cells)
    stale = [f"{name} ({state.reasons[0]})" for name, state in states.items() if state.state == STALE]
    if stale:
        shown = ", ".join(stale[:3]) + (f" and {len(stale) - 3} more" if stale[3:] else "")
        raise InputError(
            f"{len(stale)} result(s) are stale: {shown}; `make all` renews them, "
            "or `git switch --detach COMMIT` to where they were fresh and export from there"
        )
    folders = tuple(f"{cell.folder}/" for cell in cells)
    for path in (path for path in ids if path.startswith(("outputs/", "figures/")) and not path.startswith(folders)):
        raise InputError(f"{path} belongs to no result of this study; `git rm` and commit, or name it in the params")
