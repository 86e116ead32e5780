"""The siblings of this clone: which there are, which one a published store becomes, which places they tell of.

A sibling is configured in this clone alone, for looking and fetching. Nothing but `make publish` may send to a public
one: ``git push`` and ``datalad push`` would send the git-annex branch as it is, and annexed files whoever they concern.
"""

import os
import re
from itertools import count
from pathlib import Path

from provenance.repository import git

PUBLIC, PRIVATE = "public", "private"
# What git takes for the address of a repository and quotes when it finds none there. No "=", which ends git's settings.
NO_PUSH = "no push, it may send what concerns participants, but make publish with TO set to {}"


def list_siblings():
    """Return the addresses of this clone's siblings by name."""
    lines = git("config", "--get-regexp", r"^remote\..*\.url$", check=False).splitlines()
    found = (line.split(" ", 1) for line in lines)
    return {key.removeprefix("remote.").removesuffix(".url"): url for key, url in found}


def folder_of(url):
    """Return the folder that a sibling's address stands for, None if it is elsewhere."""
    path = url.removeprefix("file://").removeprefix("ria+file://").split("#")[0]
    return Path(path) if path.startswith("/") else None


def sibling_at(dataset):
    return next((name for name, url in list_siblings().items() if folder_of(url) == dataset), None)


def configure_sibling(store, audience):
    """Make a store a sibling of this clone; return its name.

    Another sibling may be called ``public``. It stays what it is, and the new one gets the next free name: who writes
    an address wants to publish there.
    """
    name = store.sibling
    if name is None:
        taken = list_siblings()
        name = next(name for name in _numbered(audience) if name not in taken)
        git("config", f"remote.{name}.url", str(store.dataset))
        git("config", f"remote.{name}.fetch", f"+refs/heads/*:refs/remotes/{name}/*")
        git("config", f"remote.{name}.annex-ignore", "true")
    if audience == PUBLIC:
        _guard(name)
    return name


def _numbered(name):
    yield name
    yield from (f"{name}-{number}" for number in count(2))


def _guard(name):
    """Let nothing be sent to a sibling, nor to the storage that ``datalad create-sibling-ria`` configured with it."""
    storage = git("config", "--get-all", f"remote.{name}.datalad-publish-depends", check=False).splitlines()
    git("config", "--unset-all", f"remote.{name}.datalad-publish-depends", check=False)
    git("config", f"remote.{name}.annex-ignore", "true")
    git("config", f"remote.{name}.pushurl", NO_PUSH.format(name))
    for each in storage:
        git("config", f"remote.{each}.annex-readonly", "true")


def _is_guarded(name):
    return git("config", f"remote.{name}.pushurl", check=False) == NO_PUSH.format(name)


def known_places(public):
    """List the addresses, of siblings and of git-annex's remotes, that this clone knows besides public stores."""
    place_in_store = str(public.dataset.relative_to(public.folder))
    log = git("show", "git-annex:remote.log", check=False)
    found = [*list_siblings().values(), *re.findall(r" (?:url|directory|rsyncurl|location)=(\S+)", log)]
    local = git("config", "--get-regexp", r"^remote\..*\.(annex-directory|annex-rsyncurl|ora-url)$", check=False)
    found += [line.split(" ", 1)[1] for line in local.splitlines()]
    places = {re.sub(r"^(?:ria\+)?file://", "", url).split("#")[0].rstrip("/") for url in found}
    places |= {way(place) for place in places if place.startswith("/") for way in (os.path.normpath, os.path.realpath)}
    stores = {str(Path(place).parent.parent) for place in places if place.endswith(place_in_store)}
    places = {place for place in places | stores if not re.match(r"https?://[^@/]+(/|$)|\.", place)}
    seen = [public.dataset, *(folder_of(url) for name, url in list_siblings().items() if _is_guarded(name))]
    return sorted(places - {str(path) for dataset in seen for path in (dataset, dataset.parent.parent)})
