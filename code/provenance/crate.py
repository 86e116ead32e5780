"""Export the results and their run records as a Process Run Crate, a folder that tools can read which know no DataLad.

Run records become the entities of the crate: runs, programs, inputs, files, settings, people.
"""

import json
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote

from rocrate.model.contextentity import ContextEntity
from rocrate.rocrate import ROCrate

from errors import InputError
from files import flatten
from provenance.annex.dataset import building_folder
from provenance.annex.integrity import KEY_CHECKSUM, file_checksum, is_here, is_pointer
from provenance.declare import RECORD, Study
from provenance.publish.declared import find_declared
from provenance.publish.secrets import PARTICIPANTS, gather_secrets
from provenance.publish.store import UUID, dataset_id
from provenance.records.freshness import STALE, assess
from provenance.records.inputs import read_description
from provenance.repository import ROOT, git, input_datasets, object_ids, require_clean_tree, subdataset_setting
from provenance.run.recovery import only_one

METADATA = "ro-crate-metadata.json"
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
RO_CRATE_VERSION = "1.1"  # the one that the profile builds on
# RO-Crate 1.1 has no word for it, later versions have this one.
EXTRA_TERMS = {"sha256": "http://schema.org/sha256"}
COMPLETED = "http://schema.org/CompletedActionStatus"
ABOUT_THE_STUDY = ("CITATION.cff", "LICENSE", "requirements.lock")
FIELD = re.compile(r"([a-z-]+): *\"?([^\",}\n]+)")  # of a citation
SYNTHETIC = "Synthetic data: a simulation, not a measurement."
# Said here, since the tables of mimetypes differ from one system to the next.
MEDIA_TYPES = {
    ".cff": "application/yaml",
    ".gz": "application/gzip",
    ".html": "text/html",
    ".ipynb": "application/x-ipynb+json",
    ".js": "text/javascript",
    ".json": "application/json",
    ".md": "text/markdown",
    ".npz": "application/zip",
    ".png": "image/png",
    ".py": "text/x-python",
    ".svg": "image/svg+xml",
    ".toml": "application/toml",
    ".tsv": "text/tab-separated-values",
    ".lock": "text/plain",
    "": "text/plain",
}
PARTICIPANT_LEVEL = (
    "Not included, and neither are its size and checksum: participant level, or not declared to be public."
)
ABSENT = "Not included: its content was not in the clone that this crate was made in. Known by size and checksum."


def export_crate(study, cells, to):
    """Write a crate of every result, whole or not at all, to a folder that is absent, empty or an earlier crate."""
    target = find_target(to)
    with only_one():
        require_clean_tree(notes=True)
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


@dataclass
class Description:
    """A crate that grows; `ids` are the object ids at HEAD by path, `declared` the files that may go."""

    study: Study
    ids: dict
    declared: dict
    crate: ROCrate

    def add(self, identifier, properties, source=None):
        """Add an entity unless it is there, with the file to copy if any; return a reference to it."""
        if self.crate.dereference(identifier) is None:
            properties = unwrap_single(properties)
            if source is None:
                self.crate.add(ContextEntity(self.crate, identifier, properties))
            else:
                self.crate.add_file(source, properties["name"], properties=properties)
        return {"@id": identifier}

    def add_file(self, path, **properties):
        """Add a file; one that is not included gets a local identifier, which promises no content."""
        facts, is_included = describe_file(path, self.declared)
        identifier = quote(path) if is_included else f"#{quote(path)}"
        return self.add(identifier, {"@type": "File", **facts, **properties}, ROOT / path if is_included else None)


def describe_file(path, declared, root=ROOT):
    """Return what is known of a tracked file, in the words of RO-Crate, and whether it is copied.

    An annexed one is described by its key, so that its content need not be here. `declared` holds the paths that may
    go; of others only the name is given.
    """
    media_type = MEDIA_TYPES.get(PurePosixPath(path).suffix, "application/octet-stream")
    properties, place = {"name": path, "encodingFormat": media_type}, root / path
    if path not in declared:
        return properties | {"description": PARTICIPANT_LEVEL}, False
    named = os.readlink(place) if place.is_symlink() else place.read_text() if is_pointer(place) else ""
    key = KEY_CHECKSUM.search(named)
    if not is_here(place):
        known = {"contentSize": key.group(1), "sha256": key.group(2)} if key else {}
        return properties | known | {"description": ABSENT}, False
    checksum = file_checksum(place)
    if key and checksum != key.group(2):
        raise InputError(f"{path}: its content does not fit its checksum; `make all` makes it again")
    return properties | {"contentSize": str(place.stat().st_size), "sha256": checksum}, True


def read_citation(root=ROOT):
    """Read from ``CITATION.cff`` title, licence and authors (type, name) of the study, title and DOI of the paper."""
    text = (root / "CITATION.cff").read_text(encoding="utf-8")
    own, _, references = text.partition("\nreferences:")
    # What follows the authors is no longer indented.
    authors = re.split(r"^\S", own.partition("\nauthors:\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    people = [dict(FIELD.findall(entry)) for entry in re.split(r"^ *- ", authors, flags=re.MULTILINE)[1:]]

    def value(name, text):
        return re.search(rf'^ *{name}: *"?([^"\n]+)', text, flags=re.MULTILINE).group(1)

    try:
        return {
            **{name: value(name, own) for name in ("title", "license")},
            "authors": [
                ("Organization", each["name"])
                if "name" in each
                else ("Person", f"{each['given-names']} {each['family-names']}")
                for each in people
            ],
            **{name: value(key, references) for name, key in (("paper", "title"), ("doi", "doi"))},
        }
    except (AttributeError, KeyError):
        raise InputError(
            "CITATION.cff: expected title, license, authors and a reference with title and doi; correct it"
        ) from None


def describe_study(study, runs, declared):
    """Return a crate, not yet written, of every run, as tuples (Cell, RunRecord), with what it read and wrote.

    `declared` holds the files that may go, by path.
    """
    crate = ROCrate(version=RO_CRATE_VERSION)
    crate.metadata.extra_terms = EXTRA_TERMS
    description = Description(study, object_ids(), declared, crate)
    mentions = [describe_run(description, cell, run) for cell, run in runs]
    for path in ABOUT_THE_STUDY:
        description.add_file(path)
    for name, value in unwrap_single(describe_root(description, mentions)).items():
        crate.root_dataset[name] = value
    return crate


def unwrap_single(properties):
    """Write a list of one value as this value, and leave empty ones out, as RO-Crate recommends."""
    return {
        name: value[0] if isinstance(value, list) and len(value) == 1 else value
        for name, value in properties.items()
        if value != []
    }


def describe_root(description, mentions):
    """Return the properties of the crate as a whole: whose it is, of which commit, whether its data are synthetic."""
    citation = read_citation()
    is_synthetic = any(map(description.study.rebuilt, PARTICIPANTS))
    license_ = {
        "@type": "CreativeWork",
        "name": citation["license"],
        "description": "Of code and results; see LICENSE.",
    }
    paper = {"@type": "ScholarlyArticle", "name": citation["paper"]}
    profile = {"@type": "CreativeWork", "name": "Process Run Crate", "version": PROFILE.rsplit("/", 1)[1]}
    return {
        "name": citation["title"],
        "description": (f"{SYNTHETIC} " if is_synthetic else "")
        + f"{len(mentions)} results of one analysis, each made by one command that `datalad run` recorded, with what "
        "it read and wrote. Results of groups are included; those of single participants are described, not included.",
        "datePublished": to_utc(git("log", "-1", "--format=%cI")),
        "version": git("rev-parse", "HEAD"),
        "identifier": f"urn:uuid:{dataset_id()}",
        "license": description.add(f"https://spdx.org/licenses/{citation['license']}", license_),
        "author": [
            description.add(f"#author/{quote(name)}", {"@type": kind, "name": name})
            for kind, name in citation["authors"]
        ],
        "citation": description.add(f"https://doi.org/{citation['doi']}", paper),
        "conformsTo": description.add(PROFILE, profile),
        "mentions": mentions,
    }


def describe_run(description, cell, run):
    """Add the run of one cell; return a reference to it."""
    record = read_description(cell.folder)
    author = git("log", "-1", "--format=%an", run.commit)
    inputs = input_datasets()
    read = [
        describe_input(description, path, id_) if path in inputs else description.add_file(path)
        for path, id_ in record["data"].items()
    ]
    written = [path for path in description.ids if path.startswith(f"{cell.folder}/")]
    settings = []
    for name, value in flatten(record["settings"]).items():  # runs with the same one share it
        text = value if isinstance(value, str) else json.dumps(value)
        setting = {"@type": "PropertyValue", "name": name, "value": text}
        settings.append(description.add(f"#setting/{quote(f'{name}={text}')}", setting))
    action = {
        "@type": "CreateAction",
        "name": cell.name,
        "description": f"Command: {run.command}",
        "identifier": run.commit,
        "instrument": describe_program(description, cell, record),
        "object": [*read, *settings],
        "result": [description.add_file(path) for path in written],
        "agent": description.add(f"#agent/{quote(author)}", {"@type": "Person", "name": author}),
        "endTime": to_utc(run.date),
        "actionStatus": COMPLETED,
    }
    return description.add(f"#run/{quote(cell.name)}", action)


def describe_input(description, path, commit):
    """Add an input dataset by its commit and DataLad's id; its address may be private and is not given."""
    id_ = subdataset_setting(path, "datalad-id")
    name = path.split("/")[1]
    about = SYNTHETIC if name in PARTICIPANTS and description.study.rebuilt(name) else "Not included."
    properties = {"@type": "Dataset", "name": path, "version": commit, "description": f"DataLad dataset. {about}"}
    known = {"identifier": f"urn:uuid:{id_}"} if UUID.fullmatch(id_) else {}
    return description.add(f"#{path}", properties | known)


def describe_program(description, cell, record):
    """Add a stage script with the modules and packages that it imports, at the versions that ran."""
    modules = [description.add_file(path, version=id_) for path, id_ in record["code"].items() if path != cell.script]
    packages = []
    for name, version in record["packages"].items():
        identifier = f"pkg:pypi/{name}@{version}"
        about = {"@type": "SoftwareApplication", "name": name, "softwareVersion": version, "url": identifier}
        packages.append(description.add(identifier, about))
    return description.add_file(
        cell.script,
        **{"@type": ["File", "SoftwareSourceCode"]},
        version=record["code"][cell.script],
        url={"@id": cell.script},
        programmingLanguage=description.add("#python", {"@type": "ComputerLanguage", "name": "Python"}),
        hasPart=modules,
        softwareRequirements=packages,
    )


def to_utc(date):
    """Write a date of git as ISO 8601 in UTC, whatever the zone of who committed."""
    return datetime.fromisoformat(date).astimezone(UTC).isoformat()
