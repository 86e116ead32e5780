"""Publish results: group level to a public store, on request everything to a private one.

Both are RIA stores. What arrives is put together in a scratch clone that has never heard of this repository's
siblings, so that its git-annex branch names neither a host nor a user nor another store: ``datalad push`` would send
the branch of this repository as it is. No sibling is configured here for the same reason.
"""

import os
import re
import shutil
import subprocess
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path

from facepain.errors import InputError
from provenance import disclosure
from provenance.annex import ANNEX_NAME, NEUTRAL_IDENTITY
from provenance.annex_dataset import remove_tree
from provenance.integrity import is_corrupt, is_pointer
from provenance.repository import ROOT, git, git_folder, object_ids, require_clean_tree

GOES, STAYS, NOT_HERE = "goes", "stays", "not here"


@dataclass(frozen=True)
class Decision:
    """What happens to the content of one annexed file, and why."""

    path: str
    key: str
    verdict: str
    reason: str = ""


def publish(to, private=None):
    """List what goes and what stays, then create or update the stores.

    Parameters
    ----------
    to : str
        A folder, or ``ria+file://`` and a folder: the public store.
    private : str, optional
        The same for the private store.

    Returns
    -------
    status : int

    Raises
    ------
    InputError
        If anything in the history or in the store breaks the rule, before anything is sent.
    """
    if not to:
        raise InputError("TO= is missing; name the public store: make publish TO=ria+file:///some/folder")
    store, private_store = store_folder(to), store_folder(private) if private else None
    if private_store and (store.is_relative_to(private_store) or private_store.is_relative_to(store)):
        raise InputError("TO and PRIVATE are the same store or lie in one another; name two folders")
    require_clean_tree()
    if git("rev-parse", "--is-shallow-repository") == "true":
        raise InputError("this clone is shallow, so that no file's past can be told; `git fetch --unshallow`")
    decisions, problems = decide(secrets_besides=[str(private_store)] if private_store else [])
    problems += forbidden_objects(dataset_folder(store), decisions)
    show(decisions, problems)
    if problems:
        raise InputError(f"{len(problems)} file(s) break the rule, see above; nothing was sent")
    send(store, [decision for decision in decisions if decision.verdict == GOES])
    print(f"public: {clone_address(store)}")
    if private_store:
        send(private_store, [decision for decision in decisions if decision.verdict != NOT_HERE])
        print("private: everything that is here, for those who know its address")
    return 0


def store_folder(address):
    """Return the folder of a store.

    Raises
    ------
    InputError
        If the address is of another kind.
    """
    path = address.removeprefix("ria+file://")
    if "://" in path or ":" in path.split("/")[0]:
        raise InputError(f"{address}: expected a folder, or ria+file:// and a folder; copy it elsewhere then")
    return Path(path).expanduser().absolute()


def dataset_id():
    return git("config", "--file", ".datalad/config", "datalad.dataset.id")


def dataset_folder(store):
    name = dataset_id()
    return store / name[:3] / name[3:]


def clone_address(store):
    return f"datalad clone 'ria+file://{store}#{dataset_id()}'"


def decide(secrets_besides):
    """Decide on every annexed file of HEAD by its path, its past and its content.

    Returns
    -------
    decisions : list of Decision
    problems : list of str
        What forbids to publish at all.
    """
    everywhere, _ = disclosure.read_history(["--all"])
    private = disclosure.private_past(everywhere)
    entries, contents = disclosure.read_history(["HEAD"])
    names = disclosure.participant_names()
    secrets = disclosure.machine_names(*secrets_besides)
    messages = git("log", "--format=%B%n%ae%n%ce", "HEAD")
    problems = disclosure.violations(entries, contents, private, secrets, names, messages)
    decisions = []
    present = object_ids()
    for entry in sorted((entry for entry in entries if entry.key), key=lambda entry: entry.path):
        if present.get(entry.path) == entry.blob:
            decisions.append(_decide(entry, private, names, secrets))
    return decisions, problems


def _decide(entry, private, names, secrets):
    path = ROOT / entry.path
    if not path.exists() or is_pointer(path):
        return Decision(entry.path, entry.key, NOT_HERE, "its content is not in this clone")
    if is_corrupt(path):
        raise InputError(f"{entry.path}: its content does not fit its checksum; `make all` makes it again")
    if entry.key in private:
        known = disclosure.is_participant_level(entry.path)
        reason = "participant-level" if known else f"participant-level: it is {private[entry.key]} under another name"
        return Decision(entry.path, entry.key, STAYS, reason)
    content = disclosure.unpacked(path)
    if name := disclosure.find_name(content, names):
        return Decision(entry.path, entry.key, STAYS, f"participant-level: it names {name}")
    if any(secret in content for secret in secrets):
        return Decision(entry.path, entry.key, STAYS, "it tells of this machine")
    return Decision(entry.path, entry.key, GOES)


def forbidden_objects(folder, decisions):
    """Find what a store holds already and must not."""
    allowed = {decision.key for decision in decisions if decision.verdict == GOES}
    kept = {decision.key: decision for decision in decisions if decision.verdict == STAYS}
    private = disclosure.private_past(disclosure.read_history(["--all"])[0])
    problems = []
    for path in (folder / "annex/objects").rglob("*") if folder.exists() else ():
        key = path.name
        if path.is_file() and key not in allowed and (key in kept or key in private):
            name = kept[key].path if key in kept else private[key]
            problems.append(f"the store holds the content of {name} already, which is participant-level: remove {path}")
    return problems


def show(decisions, problems):
    """Print what goes and what stays, by folder; write every file to a table."""
    groups = {}
    for decision in decisions:
        reason = decision.reason.split(":")[0] if decision.verdict == STAYS else decision.reason
        groups.setdefault((decision.verdict, str(Path(decision.path).parent), reason), []).append(decision)
    print("goes: the history of this branch, with all that lies in git")
    for (verdict, folder, reason), members in sorted(groups.items()):
        print(f"{verdict}: {folder}, {len(members)} file(s){', ' + reason if reason else ''}")
    for decision in decisions:
        if decision.verdict == STAYS and ":" in decision.reason:
            print(f"stays: {decision.path}, {decision.reason}")
    for problem in problems:
        print(f"BREAKS THE RULE: {problem}")
    rows = [("path", "verdict", "reason"), *((item.path, item.verdict, item.reason) for item in decisions)]
    table = git_folder() / "publication.tsv"
    table.write_text("".join("\t".join(row) + "\n" for row in rows))


def send(store, decisions):
    """Create or update a store with the history of this branch and the content of some files."""
    parent = Path(tempfile.mkdtemp(prefix="facepain-publish-"))
    try:
        clone = parent / "clone"
        _call(parent, "git", "clone", "--quiet", "--single-branch", "--no-tags", "--no-local", str(ROOT), str(clone))
        _call(clone, "git", "remote", "remove", "origin")
        published = dataset_folder(store)
        if (published / "refs").exists():
            _call(clone, "git", "fetch", "--quiet", str(published), "+refs/heads/git-annex:refs/heads/git-annex")
        # The same name in every publication, lest each leave a repository behind that nobody finds.
        own = str(uuid.uuid5(uuid.UUID(dataset_id()), "publication"))
        _call(clone, "git", "config", "annex.uuid", own)
        # What the store's branch says of other places is not to be followed.
        _call(clone, "git", "annex", "init", "--quiet", "--no-autoenable", ANNEX_NAME)
        options = ["--existing", "reconfigure"] if published.exists() else ["--new-store-ok"]
        _call(
            clone, "datalad", "-f", "disabled", "-l", "error", "create-sibling-ria", "-s", "store", *options,
            f"ria+file://{store}",
        )  # fmt: skip
        _vouch_for(store, clone)
        keys = sorted({decision.key for decision in decisions})
        _place(clone, {decision.key: ROOT / decision.path for decision in decisions})
        _call(clone, "git", "annex", "copy", "--quiet", "--jobs=2", "--batch-keys", "--to", "store-storage", stdin=keys)
        # The store may know more by now than when this began.
        _call(clone, "git", "fetch", "--quiet", "store")
        _call(clone, "git", "annex", "merge", "--quiet")
        _call(clone, "git", "push", "--quiet", "store", "HEAD:refs/heads/main", "git-annex:git-annex")
        _call(published, "git", "symbolic-ref", "HEAD", "refs/heads/main")
    finally:
        remove_tree(parent)


def _vouch_for(store, clone):
    """Tell git-annex that the store is the one that was asked for.

    Of a store that another clone created, this one included at its second publication, git-annex takes neither
    content nor pushes before somebody has looked at its address.
    """
    said = _call(clone, "git", "annex", "verifyremote", "store-storage")
    asked = re.search(r"--safe (\S+)", said)
    if asked is None:
        return
    address = f"ria+file://{store}"
    if f" url={address} " not in said:
        raise InputError(f"the store gives itself another address than {address}; publish to a new folder")
    _call(clone, "git", "annex", "verifyremote", "store-storage", "--safe", asked.group(1))


def _place(clone, sources):
    """Put content where git-annex of a clone looks for it."""
    keys = sorted(sources)
    form = "--format=${hashdirmixed}\\n"
    folders = _call(clone, "git", "annex", "examinekey", "--batch", form, stdin=keys).split()
    for key, folder in zip(keys, folders, strict=True):
        target = clone / ".git/annex/objects" / folder / key / key
        target.parent.mkdir(parents=True)
        shutil.copyfile(sources[key], target)


def _call(folder, *command, stdin=()):
    """Run a command without the settings and the name of whoever publishes."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    settings = [("safe.directory", "*"), *NEUTRAL_IDENTITY.items()]
    environment |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings):
        environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True,
        input="".join(f"{line}\n" for line in stdin),
    )  # fmt: skip
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()
        raise InputError(f"`{' '.join(command[:4])}` failed: {said[-1]}")
    return done.stdout
