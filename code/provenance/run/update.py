"""Merge newer code of the repository that a study came from, and keep the study's own inputs, params and results."""

import os
from pathlib import PurePosixPath

from errors import InputError
from provenance.declare import PARAMS
from provenance.repository import ROOT, changed_files, git, input_datasets, require_clean_tree
from provenance.run.recovery import only_one, restore_interrupted

# Taken from one side whole, never merged; older params stay valid.
OWN = {"inputs and results": ("outputs", "figures", "inputs", ".gitmodules"), "params": (PARAMS,)}
# A study of one's own writes its own: where both sides changed the same lines these stay.
WORDS = ("README.md", "CITATION.cff", "code/manifest.tsv")


@only_one()
def update(source):
    """Merge another history into this branch.

    The source is what `git fetch` takes: a remote, a URL or a folder, and a branch after a blank; ``origin main`` by
    default. Stop if there is nothing to fetch from or a file would be overwritten, and where both sides changed the
    same lines of code: with the merge left open, and nothing but code to join.
    """
    restore_interrupted()
    require_clean_tree()
    where, _, branch = (source or "origin").partition(" ")
    if not source and "origin" not in git("remote").splitlines():
        raise InputError("this clone has no remote `origin`; name where its repository was cloned from: FROM=")
    git("fetch", "--quiet", "--no-tags", where, branch or "main")
    theirs = git("rev-parse", "FETCH_HEAD")
    base = git("merge-base", "HEAD", theirs, check=False)
    if not base:
        raise InputError(
            f"{where} shares no history with this study; name where this repository was cloned from: FROM="
        )
    if base == theirs:
        print(f"nothing is newer in {where}")
        return
    _require_nothing_in_the_way(theirs)
    kept = {what: paths for what, paths in OWN.items() if git("diff", "--name-only", base, "HEAD", "--", *paths)}
    try:
        git("merge", "--no-commit", "--no-ff", "--quiet", theirs, check=False)
        for paths in kept.values():
            _keep(paths)
        if "inputs and results" in kept:
            _add_new_inputs(theirs)
        both = sorted({line[3:] for line in changed_files() if "U" in line[:2] or line[:2] in ("AA", "DD")})
        for path in (path for path in both if path in WORDS):
            _keep((path,))
            kept[path] = (path,)
        both = [path for path in both if path not in kept]
        if not both:
            git("commit", "--quiet", "--allow-empty", "--message", f"Take up newer code ({theirs[:10]})")
    except BaseException:
        git("merge", "--abort", check=False)
        raise
    if both:
        raise InputError(
            f"{len(both)} file(s) were changed here and there: {', '.join(both[:5])}; all else is merged and waits, "
            "with inputs and results of your own as they were: edit these files (git marks the places), then "
            "`git add` them and `git commit`; or go back by `git merge --abort`"
        )
    n_changed = len(git("diff", "--name-only", "HEAD^1", "HEAD").splitlines())
    print(f"merged {theirs[:10]}: {n_changed} file(s) changed" + "".join(f", your {what} kept" for what in kept))


def _require_nothing_in_the_way(theirs):
    """Stop if a merge would overwrite a file that git ignores: it would say nothing of it."""
    tracked = set(git("ls-files").splitlines())
    added = git("diff", "--name-only", "--no-renames", "--diff-filter=A", "--ignore-submodules", "HEAD", theirs)
    for path in map(PurePosixPath, added.splitlines()):
        for place in (path, *path.parents[:-1]):
            here = ROOT / place
            is_folder = here.is_dir() and not here.is_symlink() and place != path
            if os.path.lexists(here) and not is_folder and str(place) not in tracked:
                raise InputError(f"{place} is not tracked here, and newer code brings {path}; move yours away")


def _keep(paths):
    """Take some paths as this branch has them, whatever the merge made of them."""
    git("reset", "--quiet", "HEAD", "--", *paths, check=False)
    tracked = [path for path in paths if git("ls-tree", "HEAD", "--", path)]
    if tracked:
        git("checkout", "HEAD", "--", *tracked)
    git("clean", "-fdq", "--", *paths)  # the tree was clean: what is not tracked now came by the merge


def _add_new_inputs(theirs):
    """Take over the input datasets that the other side has and this branch does not know."""
    known = input_datasets()
    new = {path: commit for path, commit in input_datasets(theirs).items() if path not in known}
    for path, commit in new.items():
        git("update-index", "--add", "--cacheinfo", f"160000,{commit},{path}")
        (ROOT / path).mkdir(parents=True, exist_ok=True)
        listed = git("config", "--blob", f"{theirs}:.gitmodules", "--get-regexp", f"^submodule\\.{path}\\.")
        for key, _, value in (line.partition(" ") for line in listed.splitlines()):
            git("config", "--file", ".gitmodules", key, value)
    if new:
        git("add", ".gitmodules")
