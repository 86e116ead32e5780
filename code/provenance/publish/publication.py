"""Publish results: group level to a public store, on request everything to a private one.

What goes and what stays is decided by path, by the path's past and by content, and listed before anything is sent.
What lies in git travels with the history and cannot be left behind: a breach of the rule there stops everything.
"""

from collections import Counter
from pathlib import Path

from errors import InputError
from provenance.publish.breaches import breaches_in_history, breaches_in_store
from provenance.publish.decisions import GOES, STAYS, Rule, decide
from provenance.publish.disclosure import Machine
from provenance.publish.history import private_past, read_history
from provenance.publish.participant_names import Names, read_ids
from provenance.publish.ria_store import find_store, require_apart, require_audience
from provenance.publish.sending import send
from provenance.publish.siblings import PRIVATE, PUBLIC, known_places
from provenance.repository import ROOT, git, git_folder, require_clean_tree

MORE_SAYS = "docs/publishing.md says what to do"


def publish(study, to, private=None):
    """List what goes and what stays, then create or update the stores.

    Parameters
    ----------
    study : Study
    to : str
        The public store: ``ria+file://`` and a folder, or the name of a sibling.
    private : str, optional
        The same for the private store.

    Raises
    ------
    InputError
        If anything in the history or in the store breaks the rule, before anything is sent.
    """
    if not to:
        raise InputError("TO= is missing; name the public store: make publish TO=ria+file:///some/folder")
    stores = {PUBLIC: find_store("TO", to)}
    if private:
        stores[PRIVATE] = find_store("PRIVATE", private)
        require_apart(stores[PUBLIC], stores[PRIVATE])
    for audience, store in stores.items():
        require_audience(store, audience)
    require_clean_tree()
    require_whole_history()
    for store in stores.values():
        require_descent(store)
    rule = make_rule(study, stores)
    history = read_history("HEAD")
    decisions = decide(history[0], rule)
    problems = [*breaches_in_history(*history, rule), *breaches_in_store(stores[PUBLIC], rule, decisions)]
    show(decisions, problems)
    if problems:
        raise InputError(f"{len(problems)} thing(s) break the rule, see above; nothing was sent; {MORE_SAYS}")
    for audience, store in stores.items():
        send_to(store, audience, decisions)


def require_whole_history():
    """Stop in a shallow clone."""
    if git("rev-parse", "--is-shallow-repository") == "true":
        raise InputError("this clone is shallow, so that no file's past can be told; `git fetch --unshallow`")


def require_descent(store):
    """Stop if a store holds commits that this branch does not."""
    if not store.is_made:
        return
    tip = git(f"--git-dir={store.dataset}", "rev-parse", "--quiet", "--verify", "refs/heads/main", check=False)
    if tip and git("merge-base", tip, "HEAD", check=False) != tip:
        raise InputError(
            f"{store.folder} holds commits that this branch does not (its main is at {tip[:10]}); merge them first "
            f"(`git pull {store.dataset} main`), or publish to a new folder"
        )


def make_rule(study, stores):
    """Gather what is held against the rule."""
    ids = read_ids(ROOT)
    if not ids:
        print("the participants' ids are not known here, `make inputs` brings them: whatever looks like sub- counts")
    public = stores[PUBLIC]
    places = [str(ROOT), *known_places(public)]
    if PRIVATE in stores:
        folder = stores[PRIVATE].folder
        places += [str(folder), str(folder.resolve())]
    ordinary = (ROOT / "README.md").read_text(encoding="utf-8")
    machine = Machine(places, str(public.folder), ordinary)
    if said := Machine(places, ordinary=ordinary).find(str(public.folder).encode(), in_result=True):
        print(f"note: the public store's own address is published with it, and tells of {said}")
    return Rule(Names(ids), machine, private_past(study.is_private), study.is_private)


def show(decisions, problems):
    """Print what goes and what stays, by folder; write every file to a table."""
    print("goes: the history of this branch, with all that lies in git")
    groups = Counter(
        (item.verdict, str(Path(item.path).parent), item.reason) for item in decisions if ":" not in item.reason
    )
    for (verdict, folder, reason), count in sorted(groups.items()):
        print(f"{verdict}: {folder}, {count} file(s){', ' + reason if reason else ''}")
    for item in decisions:
        if ":" in item.reason:
            print(f"{item.verdict}: {item.path}, {item.reason}")
    for problem in problems:
        print(f"BREAKS THE RULE: {problem}")
    rows = [("path", "verdict", "reason"), *((item.path, item.verdict, item.reason) for item in decisions)]
    (git_folder() / "publication.tsv").write_text("".join("\t".join(row) + "\n" for row in rows))


def send_to(store, audience, decisions):
    """Send what an audience may have, and make the store a sibling."""
    verdicts = (GOES,) if audience == PUBLIC else (GOES, STAYS)
    sources = {item.key: ROOT / item.path for item in decisions if item.verdict in verdicts}
    print(f"{audience}: sending the history and the content of {len(sources)} file(s)", flush=True)
    name = send(store, audience, sources)
    print(f"{audience}: sibling {name}, {store.clone_command}")
