"""The siblings of this clone: which there are, and which one a published store becomes.

A sibling is configured in this clone alone, for looking and fetching. Nothing but `make publish` may send to a public
one: ``git push`` and ``datalad push`` would send the git-annex branch as it is, and annexed files whoever they concern.
"""

import re
from functools import cache
from itertools import chain, count
from pathlib import Path

from errors import InputError
from provenance.repository import git

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
PUBLIC, PRIVATE = "public", "private"
# What git takes for the address of a repository and quotes when it finds none there. No "=", which ends git's settings.
NO_PUSH = "no push, only make publish with TO set to {}"


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


def sibling_at(dataset):
    return next((name for name, url in list_siblings().items() if folder_of(url) == dataset), None)


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
    return name
