"""Put one's own datasets in the place of the synthetic ones, on a branch of its own, and go back.

Which datasets belong in ``inputs`` is what the branch records; `put_in_place` makes it so. A dataset that has to make
way is moved to ``.git/facepain/datasets``, whole, and comes back when its branch does: going there and back
loses nothing and fetches nothing.
"""

import json
import os
import re
import time
from pathlib import Path

from errors import InputError
from make_inputs import DATASET_IDS
from provenance.annex.dataset import remove_tree
from provenance.annex.own_dataset import clone_dataset, dataset_id, import_files, require_source, take_up_changes
from provenance.repository import (
    ROOT,
    datalad,
    git,
    git_folder,
    input_datasets,
    object_ids,
    read_state,
    require_clean_tree,
    subdataset_setting,
    write_whole,
)
from provenance.run.recovery import remove_stale_locks

BRANCH = "own-study"
NOTICE = "PRIVATE.md"
UNDO_NOTE = "own.json"  # in .git/facepain while datasets are moved
NOTICE_TEXT = """\
# Not for publishing

This branch was made by `make own`: it records where your own data are, and results made from them. As long as this
file is here, `git push` and `datalad push` from the clone that made it refuse to send it (.git/hooks/pre-push), and
git-annex treats all remotes as read-only. Remove this file, in a commit, when everything on this branch may be seen;
the next `make status` lifts the restriction.
"""
WRITTEN = "# Written by `make own`"
HOOK = f"""\
#!/bin/sh
{WRITTEN}: a commit that holds {NOTICE} is not published by accident.
refs=$(cat)
for object in $(printf '%s\\n' "$refs" | awk '{{ print $2 }}'); do
    if git cat-file -e "$object:{NOTICE}" 2>/dev/null; then
        echo "not pushed: this commit records private data; read {NOTICE}, remove it in a commit to publish" >&2
        exit 1
    fi
done
if printf '%s\\n' "$refs" | grep -qE '^refs/heads/(git-annex|synced/.*) '; then
    for branch in $(git for-each-ref --format='%(refname)' refs/heads); do
        if git cat-file -e "$branch:{NOTICE}" 2>/dev/null; then
            echo "not pushed: the branch git-annex lists the private files of $branch; push others by name" >&2
            exit 1
        fi
    done
fi
next="$(dirname "$0")/pre-push.next"
if [ -x "$next" ]; then printf '%s\\n' "$refs" | "$next" "$@"; fi
"""
URL = re.compile(r"^([a-z+.-]+://|[\w.-]+@[\w.-]+:|[\w.-]{2,}:(?!\\))")


def start(sources, only=None):
    """Make the branch ``own-study`` with other datasets in ``inputs`` and no results; all or nothing.

    `sources` are by name below ``inputs``: a DataLad dataset (path or URL), a folder of files, or one file; names that
    are left out keep their dataset. `only` are the contrast images to take from a folder, such as ``con_*``.
    """
    undo()
    require_clean_tree()
    if git("branch", "--list", BRANCH):
        raise InputError(
            f"there is a branch {BRANCH} already; `git switch {BRANCH}` and `make inputs` go to it, "
            f"`git branch -m {BRANCH} another-name` keeps it aside, then try again"
        )
    for name in ("contrasts", "behavior"):
        if not sources.get(name):
            raise InputError(f"{name.upper()}= is missing; expected a folder, a dataset's path or its URL")
    found = {name: find_source(name, source) for name, source in sources.items() if source}
    building = {name: ROOT / "inputs" / f".{name}.building" for name in found}
    try:
        for name, (kind, source) in found.items():
            remove_if_there(building[name])
            if kind == "dataset":
                clone_dataset(source, building[name], name)
            else:
                import_files(source, building[name], name, only)
        switch(found, building)
    finally:
        undo()
    print(f"on the branch {BRANCH}, without results; `make check` looks at the data, `make synthetic` goes back")


def find_source(name, source):
    """Return what kind a source is: ``dataset`` or ``files``; return it with its absolute path or URL."""
    if URL.match(source) and not os.path.exists(source):
        return "dataset", source
    path = Path(source).expanduser().absolute()
    if not path.exists():
        raise InputError(f"{name.upper()}={source}: no such folder or file; expected a path that is here, or a URL")
    if not os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0)):
        raise InputError(f"{name.upper()}={source}: may not be read by you; `chmod u+rX` it, or ask its owner")
    if path.is_relative_to(ROOT):
        raise InputError(f"{name.upper()}={source}: lies in this repository; move it beside, where it stays yours")
    if path.is_file() and name in ("contrasts", "signatures"):
        path = path.parent
    is_repository = (path / ".git").exists() or ((path / "HEAD").is_file() and (path / "objects").is_dir())
    return ("dataset" if is_repository else "files"), str(path)


def switch(found, building):
    """Make the branch and its commit from datasets that are ready; a note says what `undo` does if a step fails."""
    hook, note, commit = hook_path(), git_folder() / UNDO_NOTE, git("rev-parse", "HEAD")
    came_from = git("symbolic-ref", "--quiet", "--short", "HEAD", check=False) or commit
    hooks = {
        str(path): path.read_bytes().decode("latin-1") if path.exists() else None
        for path in (hook, hook.with_name("pre-push.next"))
    }
    state = {"from": came_from, "commit": commit, "started": time.time(), "parked": {}, "hooks": hooks}
    write_whole(note, json.dumps(state))
    install_hook()
    guard_remotes(True)
    git("switch", "--quiet", "--create", BRANCH)
    git("config", f"branch.{BRANCH}.facepain-from", came_from)
    results = [folder for folder in ("outputs", "figures") if object_ids(folder)]
    if results:
        git("rm", "-r", "--quiet", "--", *results)
    for name, (kind, source) in found.items():
        path = ROOT / "inputs" / name
        place = str(parking_place(path)) if is_installed(path) else None
        state["parked"][name] = place
        write_whole(note, json.dumps(state))
        if place:
            os.replace(path, place)
        remove_if_there(path)
        os.replace(building[name], path)
        record(name, "./inputs/" + name if kind == "files" else source, dataset_id(path))
    (ROOT / NOTICE).write_text(NOTICE_TEXT, encoding="utf-8")
    git("-c", "advice.addEmbeddedRepo=false", "add", ".gitmodules", NOTICE, *(f"inputs/{name}" for name in found))
    git("commit", "--quiet", "--message", "Put one's own datasets in the place of the synthetic ones")


def undo():
    """Put everything back as it was before a `start` that made no commit, also a killed one, in spite of hooks."""
    for folder in (ROOT / "inputs").glob(".*.building"):
        remove_if_there(folder)
    note, without_hooks = git_folder() / UNDO_NOTE, ("-c", f"core.hooksPath={os.devnull}")
    if not note.exists():
        return
    state = read_state(note)  # a power failure leaves it empty: datasets are found where they were put aside
    if state and git("rev-parse", "HEAD") == state["commit"]:
        remove_stale_locks(state["started"], ROOT)
        for name, place in state["parked"].items():
            path = ROOT / "inputs" / name
            if place is None or os.path.exists(place):  # else it was not moved yet
                remove_if_there(path)
                os.replace(place, path) if place else path.mkdir()  # as git keeps the place of what is not installed
        git(*without_hooks, "reset", "--quiet", "--hard")
        (ROOT / NOTICE).unlink(missing_ok=True)
        switch_to(state["from"], *without_hooks)
        git(*without_hooks, "branch", "--quiet", "-D", BRANCH, check=False)
        for path, content in state["hooks"].items():
            path = Path(path)
            path.unlink(missing_ok=True) if content is None else path.write_bytes(content.encode("latin-1"))
    note.unlink()


def switch_to(branch, *options):
    """Check out a branch, or a commit where there is no such branch."""
    git(*options, "switch", "--quiet", *([] if git("branch", "--list", branch) else ["--detach"]), branch)


def record(name, url, id_):
    """Write to ``.gitmodules`` which dataset belongs at a place and where it comes from."""
    section = f"submodule.inputs/{name}"
    git("config", "--file", ".gitmodules", "--remove-section", section, check=False)
    values = {"path": f"inputs/{name}", "url": url, "datalad-id": id_, "update": "none"}
    values["datalad-url"] = url if url.startswith("ria+") else ""
    for key, value in values.items():
        if value:
            git("config", "--file", ".gitmodules", f"{section}.{key}", value)


def hook_path():
    """Return where the hook belongs: in this clone, whatever folder of hooks the user shares among repositories.

    Stop if the clone's folder of hooks is a link that leads out of it.
    """
    folder = Path(git("rev-parse", "--path-format=absolute", "--git-common-dir")).resolve()
    if (folder / "hooks").resolve() != folder / "hooks":
        raise InputError(
            ".git/hooks is a link out of this clone, where nothing is written; replace it by a folder of its own: "
            "`rm .git/hooks && mkdir .git/hooks`"
        )
    return folder / "hooks/pre-push"


def install_hook():
    """Refuse to push private commits; a hook that is there, such as git-annex's own, runs after this one."""
    path = hook_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and WRITTEN.encode() not in path.read_bytes():
        after = path.with_name("pre-push.next")
        if after.exists():
            raise InputError(
                f"{path} and {after} are both there, and only one can run after the hook of `make own`; join them in "
                "the second, and remove the first"
            )
        os.replace(path, after)
    path.write_text(HOOK)
    path.chmod(0o755)


def guard_remotes(is_private=False):
    """Let git-annex send nothing to any remote while a branch is private: DataLad copies before it asks the hook.

    Without a private branch what is guarded is free again.
    """
    branches = git("for-each-ref", "--format=%(refname)", "refs/heads").splitlines()
    found = git("cat-file", "--batch-check", lines=[f"{branch}:{NOTICE}" for branch in branches])
    is_private = is_private or " blob " in found
    listed = git("config", "--local", "--get-regexp", r"^remote\.", check=False).splitlines()
    settings = dict(line.partition(" ")[::2] for line in listed)
    for remote in {key.rpartition(".")[0] for key in settings}:
        if is_private and settings.get(f"{remote}.annex-readonly") != "true":
            git("config", f"{remote}.annex-readonly", "true")
            git("config", f"{remote}.facepain-guarded", "true")
        elif not is_private and f"{remote}.facepain-guarded" in settings:
            git("config", "--unset-all", f"{remote}.annex-readonly", check=False)
            git("config", "--unset-all", f"{remote}.facepain-guarded")


def refresh():
    """Record what changed in the folders that the datasets here were made from; all or nothing."""
    undo()
    require_clean_tree()
    if not (ROOT / NOTICE).exists():
        raise InputError(
            "CONTRASTS= and BEHAVIOR= are missing; expected a folder, a dataset's path or its URL for each"
        )
    commits = {path: commit for path, commit in input_datasets().items() if require_source(ROOT / path)}
    try:
        changed = [path for path in commits if take_up_changes(ROOT / path)]
        if changed:
            git("add", *changed)
            git("commit", "--quiet", "--message", "Take up changes of one's own files")
    except BaseException:
        for path, commit in commits.items():
            git("reset", "--quiet", "--hard", commit, root=ROOT / path)
        git("reset", "--quiet")
        raise
    print(f"own: {', '.join(changed) or 'nothing'} changed")


def go_back():
    """Switch to the branch that one's own study started from, and put its datasets in place."""
    undo()
    if (ROOT / NOTICE).exists():
        require_clean_tree()
        branch = git("symbolic-ref", "--quiet", "--short", "HEAD", check=False)
        origin = git("config", f"branch.{branch}.facepain-from", check=False) or "main"
        switch_to(origin)
        print(f"on {origin}; `git switch {branch}` and `make inputs` go to your own study again")
    put_in_place()


def put_in_place():
    """Bring the datasets that this branch records to ``inputs``; move others aside."""
    undo()
    if (ROOT / NOTICE).exists():
        install_hook()
    for name, path in ((path.split("/")[1], ROOT / path) for path in input_datasets()):
        if is_installed(path) and not belongs(path, name):
            os.replace(path, parking_place(path))
            path.mkdir()  # as git keeps the place of a subdataset that is not installed
        if is_installed(path):
            continue
        aside = [place for place in sorted(parking().iterdir()) if belongs(place, name)]
        if aside:
            remove_if_there(path)
            os.replace(aside[0], path)
        elif subdataset_setting(f"inputs/{name}", "datalad-id") != DATASET_IDS.get(name):
            fetch(name)


def belongs(path, name):
    """Return whether a dataset is the one that this branch records: by its id, or by its commit where one has no id."""
    wanted, found = subdataset_setting(f"inputs/{name}", "datalad-id"), dataset_id(path)
    if wanted and found:
        return wanted == found
    return git("cat-file", "-t", input_datasets()[f"inputs/{name}"], root=path, check=False) == "commit"


def fetch(name):
    url = subdataset_setting(f"inputs/{name}", "url")
    if not url:
        raise InputError(f"inputs/{name} is private and its address was not published: only its owner has it")
    print(f"inputs/{name}: fetching the dataset from {url}", flush=True)
    reason = datalad("get", "--no-data", f"inputs/{name}")
    if reason or not is_installed(ROOT / "inputs" / name):
        raise InputError(
            f"inputs/{name} cannot be fetched from {url} ({reason or 'no reason given'}); "
            "correct its url in .gitmodules, or go back by `make synthetic`"
        )


def parking_place(path):
    """Return where a dataset goes when it makes way; stop if it may not be moved."""
    shown = path.relative_to(ROOT)
    if (path / ".git").is_file():
        raise InputError(f"{shown} keeps its history elsewhere; `datalad drop --what all -d {shown}` it first")
    if changed := git("status", "--porcelain", root=path).splitlines():
        raise InputError(
            f"{shown} has {len(changed)} file(s) that differ from its last commit, such as {changed[0][3:]}; keep them "
            f"with `datalad save -d {shown}`, then try again"
        )
    # One dataset may hold both images and scores.
    place = parking() / f"{path.name}-{dataset_id(path) or git('rev-parse', 'HEAD', root=path)}"
    if place.exists():
        raise InputError(f"{place} is taken by another copy of {shown}; remove the one that is not needed")
    return place


def parking():
    folder = git_folder() / "datasets"
    folder.mkdir(exist_ok=True)
    return folder


def is_installed(path):
    return (path / ".git").exists()


def remove_if_there(path):
    if path.is_dir() and not path.is_symlink():
        remove_tree(path)
