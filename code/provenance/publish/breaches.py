"""Find what breaks the rule where nothing can be kept back: in the history of a branch, and in a store as it is."""

import re
from pathlib import Path

from provenance.annex.integrity import KEY_CHECKSUM
from provenance.publish.decisions import GOES, MACHINE, STAYS
from provenance.publish.disclosure import EXAMPLES
from provenance.publish.history import identity, read_blobs
from provenance.repository import git

# Where addresses of datasets stand, and those that may be told.
ADDRESSES = {
    ".gitmodules": re.compile(rb"(?im)^\s*(?:datalad-)?url\s*=\s*(\S+)"),
    ".datalad/config": re.compile(rb"(\b(?:ssh|file|rsync|ria\+\w+)://\S+)"),
}
OPEN_ADDRESS = re.compile(rb"\.\.?/|https?://[^@/\s]+(/|$)")


def breaches_in_history(entries, contents, rule):
    """Say what in the history of this branch breaks the rule; a push cannot leave such a thing behind.

    Parameters
    ----------
    entries, contents
        From `provenance.publish.history.read_history`.
    rule : Rule

    Returns
    -------
    problems : list of str
    """
    problems = set()
    for entry in entries:
        problems.update(_breaches_of(entry, contents[entry.blob], rule))
    messages = git("log", "--format=%B%n%an <%ae>%n%cn <%ce>", "HEAD").encode()
    if found := rule.machine.find(messages):
        problems.add(f"a commit's message or author tells of this machine or a private place ({found})")
    if found := rule.names.find_in_text(git("log", "--format=%B", "HEAD").encode()):
        problems.add(f"a commit's message names a participant ({found})")
    return sorted(problems)


def _breaches_of(entry, content, rule):
    """Yield what one version of a file that travels with the history does against the rule."""
    find_name = rule.names.find_in_example if entry.path.startswith(EXAMPLES) else rule.names.find_in_result
    if found := find_name(entry.path.encode()):
        yield f"{entry.path} names a participant in its path ({found}), which travels even where the content does not"
    if entry.key:
        if found := rule.machine.find(content):
            yield f"{entry.path} is a link, and {MACHINE} ({found})"
        if not KEY_CHECKSUM.match(entry.key) and (found := find_name(entry.key.encode())):
            yield f"{entry.path} is a link to a key that names a participant ({found})"
        return
    if rule.is_private(entry.path):
        yield f"{entry.path} is participant-level and lies in git; only the annex keeps it back"
    elif (why := rule.why_kept(entry.path, content)) is not None:
        yield f"{entry.path} lies in git, and {why}"
    for address in ADDRESSES[entry.path].findall(content) if entry.path in ADDRESSES else ():
        if not OPEN_ADDRESS.match(address):
            yield f"{entry.path} tells where private inputs lie ({address.decode(errors='replace')})"


def breaches_in_store(store, rule, decisions):
    """Say what the public store holds already and must not, as after a push by other means.

    Returns
    -------
    problems : list of str
    """
    allowed = {decision.key for decision in decisions if decision.verdict == GOES}
    kept = {identity(decision.key): decision.path for decision in decisions if decision.verdict == STAYS}
    problems = []
    places = ("annex/**/*", "ora-remote-*/**/*")
    for path in filter(Path.is_file, sorted(path for place in places for path in store.dataset.glob(place))):
        if path.name in allowed:
            continue
        past = rule.private.get(identity(path.name)) or kept.get(identity(path.name))
        why = f"it is {past}" if past else rule.why_kept("outputs/", path.read_bytes())
        if why is not None:
            problems.append(f"the store holds an object that is participant-level, {why}: remove {path.parent}")
    if any(filter(Path.is_file, store.dataset.glob("archives/**/*"))):
        problems.append(f"the store holds an archive, into which nobody looks: remove {store.dataset / 'archives'}")
    return problems + _breaches_in_store_history(store, rule)


def _breaches_in_store_history(store, rule):
    if not store.is_made:
        return []
    there = f"--git-dir={store.dataset}"
    branches = git(there, "for-each-ref", "--format=%(refname)").split()
    unknown = [branch for branch in branches if branch not in ("refs/heads/main", "refs/heads/git-annex")]
    problems = [f"the store holds {branch}, which nobody looked at: remove it there" for branch in unknown]
    loose = git(there, "fsck", "--unreachable", "--no-reflogs", "--no-progress", check=False).splitlines()
    blobs = read_blobs({line.split()[2] for line in loose if line.startswith("unreachable blob")}, store.dataset)
    if any(rule.why_kept("outputs/", content) for content in blobs.values()):
        problems.append(
            "the store holds objects of a participant that no branch leads to: remove them, `git "
            f"--git-dir={store.dataset} gc --prune=now`"
        )
    if "refs/heads/git-annex" in branches:
        said = git(there, "log", "-p", "--format=%B%n%an <%ae>%n%cn <%ce>", "refs/heads/git-annex").encode()
        if found := rule.machine.find(said, in_result=True):
            problems.append(
                f"the store's git-annex branch tells of this machine or a private place ({found}): "
                "publish to a new folder and give up this one"
            )
    return problems
