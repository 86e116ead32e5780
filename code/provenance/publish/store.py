"""The stores that results are published to: RIA stores on this disk, by address or as siblings of this clone."""

import os
import re
import shutil
import uuid
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from errors import InputError
from provenance.annex.integrity import KEY_CHECKSUM, file_checksum
from provenance.publish.history import annex_folders, call
from provenance.publish.siblings import PUBLIC, dataset_id, folder_of, list_siblings, sibling_at
from provenance.repository import ROOT, git

BEGUN = {"error_logs", "ria-layout-version"}  # what DataLad makes first of a store
AUDIENCE = "facepain.audience"  # in the configuration of a store's repository: who may see it
# What git and DataLad keep in the repository of a store, besides content.
OWN = {
    "HEAD", "config", "config.dataladlock", "description", "packed-refs", "ria-layout-version", "objects", "refs",
    "info", "hooks", "branches", "logs", "gc.pid",
}  # fmt: skip
BRANCHES = {"refs/heads/main", "refs/heads/git-annex"}
TRANSFER = "annex/facepain-transfer"


@dataclass(frozen=True)
class Store:
    """A RIA store: its folder, and the sibling of this clone that it is, if any."""

    folder: Path
    sibling: str | None = None

    @property
    def address(self):
        return f"ria+file://{self.folder}"

    @property
    def dataset(self):
        """The repository of this dataset in the store."""
        return self.folder / _place_in_store()

    @property
    def tip(self):
        """The commit of the store's ``main``, "" if it has none."""
        if not self.dataset.exists():
            return ""
        return git(f"--git-dir={self.dataset}", "rev-parse", "--quiet", "--verify", "refs/heads/main", check=False)

    @cached_property
    def uuid(self):
        """The id by which git-annex knows the content of the store."""
        return git("config", "--file", str(self.dataset / "config"), "datalad.ora-remote.uuid")

    @property
    def keys(self):
        """What content is there."""
        return {path.name for path in self.dataset.glob("annex/objects/*/*/*/*")}

    @property
    def clone_command(self):
        return f"datalad clone '{self.address}#{dataset_id()}'"


def _place_in_store():
    return Path(dataset_id()[:3], dataset_id()[3:])


def create(store):
    """Make the store and the repository of this dataset in it, as far as they are not there."""
    store.folder.mkdir(parents=True, exist_ok=True)
    (store.folder / "error_logs").mkdir(exist_ok=True)
    (store.folder / "ria-layout-version").write_text("1\n")
    config = store.dataset / "config"
    if not store.dataset.exists():
        building = store.dataset.parent / f".{store.dataset.name}.building"
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(parents=True)
        call(building, "git", "init", "--quiet", "--bare", "--template=", "--initial-branch=main")
        (building / "ria-layout-version").write_text("2\n")
        (building / "annex/objects").mkdir(parents=True)
        os.replace(building, store.dataset)
    if not git("config", "--file", str(config), "datalad.ora-remote.uuid", check=False):
        git("config", "--file", str(config), "datalad.ora-remote.uuid", str(uuid.uuid4()))


def place_content(store, sources):
    """Copy content into a store, files by key, each whole or not at all."""
    transfer = store.dataset / TRANSFER
    shutil.rmtree(transfer, ignore_errors=True)
    for key, folder in annex_folders(ROOT, sorted(sources.keys() - store.keys), "hashdirmixed"):
        transfer.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(sources[key], transfer / key)
        if file_checksum(transfer / key) != KEY_CHECKSUM.match(key).group(2):
            raise InputError(
                f"{sources[key].relative_to(ROOT)}: its content does not fit its checksum; `make all` makes it again"
            )
        target = store.dataset / "annex/objects" / folder / key / key
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(transfer / key, target)
    shutil.rmtree(transfer, ignore_errors=True)


def require_nothing_else(store, keys):
    """Stop if the store holds what no publication put there, but for content of some keys."""
    if not store.dataset.exists():
        return
    refs = git(f"--git-dir={store.dataset}", "for-each-ref", "--format=%(refname)").split()
    found = [f"{ref}, a branch or tag; remove it there" for ref in refs if ref not in BRANCHES]
    for path in sorted(store.dataset.rglob("*")):
        parts = path.relative_to(store.dataset).parts
        if path.is_dir() or parts[0] in OWN or "/".join(parts).startswith(TRANSFER):
            continue
        if not (parts[:2] == ("annex", "objects") and parts[-1] in keys):
            found.append(f"{path}; remove it")
    if found:
        more = f" (and {len(found) - 1} more)" if found[1:] else ""
        raise InputError(f"the store holds what no publication put there: {found[0]}{more}; nothing was sent")


def find_store(option, address):
    """Return the store of an option: a folder with a slash in it, ``ria+file://`` and a folder, or a sibling's name.

    Stop if it is of another kind, or nothing can be published there.
    """
    url = git("config", f"remote.{address}.url", check=False)
    if url:
        store = Store(_store_of(f"{option}={address}", url), address)
    else:
        folder = _folder(option, address)
        store = Store(folder, sibling_at(folder / _place_in_store()))
    _require_usable(f"{option}={address}", store.folder)
    return store


def _folder(option, address):
    path = address.removeprefix("ria+file://")
    expected = f"expected ria+file:// and a folder, or the name of a sibling{_known_siblings()}"
    if "://" in path or re.match(r"[^/]+:", path) or "#" in path:
        raise InputError(f"{option}={address} is no store on this disk; {expected}")
    if "/" not in path:
        raise InputError(f"{option}={address} is no sibling of this clone; {expected}")
    return Path(os.path.abspath(os.path.expanduser(path)))


def _known_siblings():
    names = [name for name, url in list_siblings().items() if folder_of(url)]
    return f" ({', '.join(names)})" if names else ""


def _store_of(named, url):
    path = folder_of(url)
    if path is not None and url.startswith("ria+file://"):
        return path
    if path is None or Path(*path.parts[-2:]) != _place_in_store():
        raise InputError(f"{named} is at {url}; expected a RIA store on this disk that holds this dataset")
    return path.parent.parent


def _require_usable(named, folder):
    """Stop if no store is or can be made in a folder."""
    if folder.resolve().is_relative_to(ROOT):
        raise InputError(f"{named} lies in this repository; name a folder outside of it")
    place = folder
    while not place.exists():
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise InputError(f"{named}: {place} is no folder that can be written to; name another, or `chmod u+w {place}`")
    others = {path.name for path in folder.iterdir()} - BEGUN if place == folder else set()
    if others and not (folder / "ria-layout-version").is_file():
        raise InputError(f"{named}: the folder holds other things; expected a RIA store, or a new or empty folder")


def require_apart(public, private):
    """Stop if two stores are one, or one lies in the other."""
    one, other = public.folder.resolve(), private.folder.resolve()
    if one.is_relative_to(other) or other.is_relative_to(one):
        raise InputError("TO and PRIVATE are the same store or lie in one another; name two folders")


def require_audience(store, audience):
    """Stop if a store is for others than it was made for: what is in it has been seen, or must not be."""
    found = git("config", "--file", str(store.dataset / "config"), AUDIENCE, check=False)
    if found and found != audience:
        option = "TO" if found == PUBLIC else "PRIVATE"
        raise InputError(f"{store.folder} is a {found} store, see {option}=; name another folder for a {audience} one")


def set_audience(store, audience):
    git("config", "--file", str(store.dataset / "config"), AUDIENCE, audience)
