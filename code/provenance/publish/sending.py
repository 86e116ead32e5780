"""Send to a store: the history of this branch, and the content of some annexed files.

What arrives is put together in a scratch clone that has never heard of this repository's siblings, so that its
git-annex branch names neither a host nor a user nor another store: ``datalad push`` would send the branch as it is.
"""

import os
import re
import shutil
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

from errors import InputError
from provenance.annex.dataset import remove_tree
from provenance.annex.setup import ANNEX_NAME, NEUTRAL_IDENTITY
from provenance.publish.ria_store import dataset_id, set_audience
from provenance.publish.siblings import configure_sibling
from provenance.repository import ROOT, git_folder

LOCK_PATIENCE = 3.0  # seconds: a git at work keeps its lock for less
FIELD = re.compile(r"([\w-]+)=(.*?)(?=\s+[\w-]+=|\s*$)", flags=re.MULTILINE)
# What git-annex records of a storage in a RIA store; another field, such as push-url, would lead elsewhere.
ORA_FIELDS = {"archive-id", "autoenable", "encryption", "externaltype", "name", "type", "url", "timestamp"}


def send(store, audience, sources):
    """Create or update a store.

    Parameters
    ----------
    store : provenance.publish.ria_store.Store
    audience : {'public', 'private'}
    sources : dict of str to Path
        By key, the files whose content goes.

    Returns
    -------
    name : str
        Of the sibling of this clone that the store is.
    """
    _clean_up_after_a_kill(store)
    clone = _scratch_clone(store)
    try:
        storage = _connect(store, clone, f"{audience}-storage")
        set_audience(store, audience)
        # Guarded before anything is in it.
        name = configure_sibling(store, audience)
        _place(clone, sources)
        _call(clone, "git-annex", "copy", "--quiet", "--jobs=2", "--batch-keys", "--to", storage, stdin=sorted(sources))
        # The store may know more by now than when this began.
        _call(clone, "git", "fetch", "--quiet", "store")
        _call(clone, "git-annex", "merge", "--quiet")
        _call(clone, "git", "push", "--quiet", "store", "HEAD:refs/heads/main", "git-annex:git-annex")
        _call(store.dataset, "git", "symbolic-ref", "HEAD", "refs/heads/main")
        return name
    finally:
        remove_tree(clone.parent)


def _clean_up_after_a_kill(store):
    """Remove what a publication that was killed left, here and in the store."""
    left = list(_scratch().iterdir())
    for folder in left:
        remove_tree(folder)
    locks = [*store.dataset.glob("*.lock"), *store.dataset.glob("refs/**/*.lock")] if left else []
    if locks:
        time.sleep(LOCK_PATIENCE)
    for lock in locks:
        lock.unlink(missing_ok=True)


def _scratch():
    place = git_folder() / "publishing"
    place.mkdir(exist_ok=True)
    return place


def _scratch_clone(store):
    """Clone this branch and what the store's own git-annex branch knows, nothing else."""
    parent = Path(tempfile.mkdtemp(dir=_scratch()))
    clone = parent / "clone"
    _call(parent, "git", "clone", "--quiet", "--single-branch", "--no-tags", "--no-local", str(ROOT), str(clone))
    _call(clone, "git", "remote", "remove", "origin")
    if store.is_made and _ask(ROOT, "git", f"--git-dir={store.dataset}", "branch", "--list", "git-annex"):
        _call(clone, "git", "fetch", "--quiet", str(store.dataset), "+refs/heads/git-annex:refs/heads/git-annex")
    # The same name in every publication, lest each leave a repository behind that nobody finds.
    _call(clone, "git", "config", "annex.uuid", str(uuid.uuid5(uuid.UUID(dataset_id()), "publication")))
    # What the store's branch says of other places is not to be followed.
    _call(clone, "git-annex", "init", "--quiet", "--no-autoenable", ANNEX_NAME)
    return clone


def _connect(store, clone, storage):
    """Make the store, or take it up, as the sibling ``store`` of a clone; return the name of its storage."""
    storage = _recorded_storage(store, clone) or storage
    known = ["--existing", "reconfigure"] if store.dataset.exists() else ["--new-store-ok"]
    _call(
        clone, "datalad", "-f", "disabled", "-l", "error", "create-sibling-ria", "-s", "store",
        "--storage-name", storage, *known, store.address,
    )  # fmt: skip
    _vouch_for(store, clone, storage)
    return storage


def _recorded_storage(store, clone):
    """Return the name under which the store's git-annex branch knows its storage, None if it does not."""
    own = _ask(clone, "git", "config", "--file", str(store.dataset / "config"), "datalad.ora-remote.uuid").strip()
    log = _ask(clone, "git", "show", "git-annex:remote.log")
    line = next((line for line in log.splitlines() if own and line.startswith(own + " ")), None)
    if line is None:
        return None
    recorded = _fields(line)
    if recorded.get("externaltype") != "ora" or recorded.keys() - ORA_FIELDS:
        raise _of_another_place(store)
    return recorded["name"]


def _fields(said):
    """Return what git-annex says of a remote, in which a space may be written as its number."""
    return {name: value.replace("&32;", " ") for name, value in FIELD.findall(said)}


def _vouch_for(store, clone, storage):
    """Tell git-annex that the store is the one that was asked for.

    Of a store that another clone created, this one included at its second publication, git-annex takes neither
    content nor pushes before somebody has looked at its address.
    """
    said = _call(clone, "git-annex", "verifyremote", storage)
    asked = re.search(r"--safe (\S+)", said)
    if asked is None:
        return
    if _fields(said).get("url") != store.address:
        raise _of_another_place(store)
    _call(clone, "git-annex", "verifyremote", storage, "--safe", asked.group(1))


def _of_another_place(store):
    return InputError(
        f"{store.folder}: by its git-annex branch, content for this store would go to another place than this folder; "
        "publish to a new folder and give up this one"
    )


def _place(clone, sources):
    """Put content where git-annex of a clone looks for it."""
    keys = sorted(sources)
    form = "--format=${hashdirmixed}\\n"
    folders = _call(clone, "git-annex", "examinekey", "--batch", form, stdin=keys).split()
    for key, folder in zip(keys, folders, strict=True):
        target = clone / ".git/annex/objects" / folder / key / key
        target.parent.mkdir(parents=True)
        shutil.copyfile(sources[key], target)


def _ask(folder, *command):
    """Run a command that may find nothing."""
    return subprocess.run(command, cwd=folder, env=_environment(), capture_output=True, text=True).stdout


def _call(folder, *command, stdin=()):
    """Run a command without the settings and the name of whoever publishes."""
    done = subprocess.run(
        command, cwd=folder, env=_environment(), capture_output=True, text=True,
        input="".join(f"{line}\n" for line in stdin),
    )  # fmt: skip
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()
        raise InputError(f"`{' '.join(command[:4])}` failed: {said[-1]}; mend that, the same command goes on")
    return done.stdout


def _environment():
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    settings = [("safe.directory", "*"), *NEUTRAL_IDENTITY.items()]
    environment |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings):
        environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return environment
