"""The stores that results are published to: RIA stores on this disk, by address or as siblings of this clone.

A sibling is configured in this clone alone, for looking and fetching. Nothing but `make publish` may send to a public
one: ``git push`` and ``datalad push`` would send the git-annex branch as it is, and annexed files whoever they concern.
"""

import fcntl
import os
import re
import shlex
import shutil
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from itertools import chain, count
from pathlib import Path

from errors import InputError
from provenance.annex.dataset import annex_folders, building_folder, run_neutral
from provenance.annex.integrity import KEY_CHECKSUM, file_checksum
from provenance.repository import ROOT, git, write_whole

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
PUBLIC, PRIVATE = "public", "private"
# What git takes for the address of a repository and quotes when it finds none there. No "=", which ends git's settings.
NO_PUSH = "no push, only make publish with TO set to {}"
BEGUN = {"error_logs", "ria-layout-version"}  # what DataLad makes first of a store
CONTENT_ID = "datalad.ora-remote.uuid"  # in the configuration of a store's repository: as which git-annex knows it
AUDIENCE = "facepain.audience"  # beside it: who may see the store
# What git and DataLad keep in the repository of a store, besides content.
OWN = {
    "HEAD", "config", "config.dataladlock", "description", "packed-refs", "ria-layout-version", "objects", "refs",
    "info", "hooks", "branches", "logs", "gc.pid",
}  # fmt: skip
BRANCHES = {"refs/heads/main", "refs/heads/git-annex"}
TRANSFER, SENT = "annex/facepain-transfer", "annex/facepain-sent"


@cache
def dataset_id():
    """Return DataLad's id of this repository, which everybody gets to see; stop if it may be anything else."""
    found = git("config", "--file", ".datalad/config", "datalad.dataset.id", check=False)
    if not UUID.fullmatch(found):
        raise InputError(f".datalad/config: datalad.dataset.id = {found!r}; expected a UUID, as DataLad gives")
    return found


def list_siblings():
    """Return the addresses of this clone's siblings by name."""
    lines = git("config", "--get-regexp", r"^remote\..*\.url$", check=False).splitlines()
    found = (line.split(" ", 1) for line in lines)
    return {key.removeprefix("remote.").removesuffix(".url"): url for key, url in found}


def folder_of(url):
    """Return the folder that a sibling's address stands for, None if it is elsewhere."""
    path = url.removeprefix("file://").removeprefix("ria+file://").split("#")[0]
    return Path(path) if path.startswith("/") else None


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
        return self.folder / place_in_store()

    @property
    def tip(self):
        """The commit of the store's ``main``, "" if it has none."""
        if not self.dataset.exists():
            return ""
        return git(f"--git-dir={self.dataset}", "rev-parse", "--quiet", "--verify", "refs/heads/main", check=False)

    def setting(self, key, *value):
        """Return a setting of the store's repository, "" if there is none; with a value, set it."""
        return git("config", "--file", str(self.dataset / "config"), key, *value, check=bool(value))

    @property
    def keys(self):
        """What content is there."""
        return {path.name for path in self.dataset.glob("annex/objects/*/*/*/*")}

    @property
    def sent(self):
        """The keys that publications began to copy, interrupted ones too, whose results may have changed since."""
        note = self.dataset / SENT
        return set(note.read_text().split()) if note.exists() else set()

    @property
    def clone_command(self):
        return f"datalad clone {shlex.quote(f'{self.address}#{dataset_id()}')}"


def place_in_store():
    return Path(dataset_id()[:3], dataset_id()[3:])


def create(store):
    """Make the store and the repository of this dataset in it, as far as they are not there."""
    store.folder.mkdir(parents=True, exist_ok=True)
    (store.folder / "error_logs").mkdir(exist_ok=True)
    (store.folder / "ria-layout-version").write_text("1\n")
    if not store.dataset.exists():
        with building_folder(store.dataset) as building:
            run_neutral(building, "git", "init", "--quiet", "--bare", "--template=", "--initial-branch=main")
            (building / "ria-layout-version").write_text("2\n")
            (building / "annex/objects").mkdir(parents=True)
            os.replace(building, store.dataset)
    if not store.setting(CONTENT_ID):
        store.setting(CONTENT_ID, str(uuid.uuid4()))


def place_content(store, sources):
    """Copy content into a store, files by key, each whole or not at all."""
    transfer = store.dataset / TRANSFER
    with one_sender(store):
        shutil.rmtree(transfer, ignore_errors=True)
        write_whole(store.dataset / SENT, "".join(f"{key}\n" for key in sorted(store.sent | sources.keys())))
        for key, folder in annex_folders(ROOT, sorted(sources.keys() - store.keys), "hashdirmixed"):
            transfer.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(sources[key], transfer / key)
            if file_checksum(transfer / key) != KEY_CHECKSUM.match(key).group(2):
                raise InputError(
                    f"{sources[key].relative_to(ROOT)}: its content does not fit its checksum; `make all` makes it "
                    "again"
                )
            target = store.dataset / "annex/objects" / folder / key / key
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(transfer / key, target)
        shutil.rmtree(transfer, ignore_errors=True)


@contextmanager
def one_sender(store):
    """Let clones that publish to the same store copy one after the other."""
    folder = os.open(store.dataset, os.O_RDONLY)
    try:
        with suppress(OSError):  # where the file system knows no locks of folders
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def require_nothing_else(store, keys):
    """Stop if the store holds what no publication put there, but for content of some keys."""
    if not store.dataset.exists():
        return
    keys = keys | store.sent
    refs = git(f"--git-dir={store.dataset}", "for-each-ref", "--format=%(refname)").split()
    found = [f"{ref}, a branch or tag; remove it there" for ref in refs if ref not in BRANCHES]
    for path in sorted(store.dataset.rglob("*")):
        parts = path.relative_to(store.dataset).parts
        if path.is_dir() or parts[0] in OWN or "/".join(parts).startswith((TRANSFER, SENT)):
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
    siblings, named = list_siblings(), f"{option}={address}"
    if url := siblings.get(address):
        name, folder = address, folder_of(url)
        if folder is not None and not url.startswith("ria+file://"):
            folder = folder.parent.parent if Path(*folder.parts[-2:]) == place_in_store() else None
        if folder is None:
            raise InputError(f"{named} is at {url}; expected a RIA store on this disk that holds this dataset")
    else:
        path = address.removeprefix("ria+file://")
        is_foreign = "://" in path or re.match(r"[^/]+:", path) or "#" in path
        if is_foreign or "/" not in path:
            names = [name for name, url in siblings.items() if folder_of(url)]
            known = f" ({', '.join(names)})" if names else ""
            found = "store on this disk" if is_foreign else "sibling of this clone"
            expected = f"expected ria+file:// and a folder, or the name of a sibling{known}"
            raise InputError(f"{named} is no {found}; {expected}")
        folder = Path(os.path.abspath(os.path.expanduser(path)))
        dataset = folder / place_in_store()
        name = next((name for name, url in siblings.items() if folder_of(url) == dataset), None)
    _require_usable(named, folder)
    return Store(folder, name)


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
    found = store.setting(AUDIENCE)
    if found and found != audience:
        option = "TO" if found == PUBLIC else "PRIVATE"
        raise InputError(f"{store.folder} is a {found} store, see {option}=; name another folder for a {audience} one")


def configure_sibling(store):
    """Make a public store a sibling of this clone, to which nothing can be pushed; return its name.

    Another sibling may be called ``public``. It stays what it is, and the new one gets the next free name: who writes
    an address wants to publish there.
    """
    name = store.sibling
    if name is None:
        taken = list_siblings()
        names = chain([PUBLIC], (f"{PUBLIC}-{number}" for number in count(2)))
        name = next(name for name in names if name not in taken)
        git("config", f"remote.{name}.url", str(store.dataset))
        git("config", f"remote.{name}.fetch", f"+refs/heads/*:refs/remotes/{name}/*")
    # Nor to the storage that ``datalad create-sibling-ria`` configured with it.
    storage = git("config", "--get-all", f"remote.{name}.datalad-publish-depends", check=False).splitlines()
    git("config", "--unset-all", f"remote.{name}.datalad-publish-depends", check=False)
    git("config", f"remote.{name}.annex-ignore", "true")
    git("config", f"remote.{name}.pushurl", NO_PUSH.format(name))
    for each in storage:
        git("config", f"remote.{each}.annex-readonly", "true")
        git("config", "--unset-all", f"remote.{each}.facepain-guarded", check=False)  # it stays so
    return name
