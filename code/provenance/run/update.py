"""Merge newer code of the repository that a study came from, and keep the study's own inputs, params and results."""

from errors import InputError
from provenance.declare import PARAMS
from provenance.repository import ROOT, changed_files, git, input_datasets, require_clean_tree

OWN = ("outputs", "figures", "inputs", ".gitmodules")  # taken from one side whole, never merged


def update(source):
    """Merge another history into this branch; all or nothing.

    The source is what `git fetch` takes: a remote, a URL or a folder, and a branch after a blank; ``origin main`` by
    default. Stop if there is nothing to fetch from, or both sides changed the same lines of code.
    """
    require_clean_tree()
    where, _, branch = (source or "origin").partition(" ")
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
    # Older params stay valid.
    kept = [group for group in (OWN, (PARAMS,)) if git("diff", "--name-only", base, "HEAD", "--", *group)]
    try:
        git("merge", "--no-commit", "--no-ff", "--quiet", theirs, check=False)
        for group in kept:
            _keep(group)
        if OWN in kept:
            _add_new_inputs(theirs)
        both = sorted({line[3:] for line in changed_files() if "U" in line[:2] or line[:2] in ("AA", "DD")})
        if both:
            raise InputError(
                f"{len(both)} file(s) were changed here and there: {', '.join(both[:5])}; nothing was merged; "
                f"`git merge {theirs[:10]}` lets you join them by hand"
            )
        git("commit", "--quiet", "--allow-empty", "--message", f"Take up newer code ({theirs[:10]})")
    except BaseException:
        git("merge", "--abort", check=False)
        raise
    n_changed = len(git("diff", "--name-only", "HEAD^1", "HEAD").splitlines())
    ours = ", your inputs and results kept" if OWN in kept else ""
    print(f"merged {theirs[:10]}: {n_changed} file(s) changed{ours}{', your params kept' if (PARAMS,) in kept else ''}")


def _keep(paths):
    """Take some paths as this branch has them, whatever the merge made of them."""
    git("reset", "--quiet", "HEAD", "--", *paths, check=False)
    tracked = [path for path in paths if git("ls-tree", "HEAD", "--", path)]
    if tracked:
        git("checkout", "HEAD", "--", *tracked)
    results = [path for path in paths if path in ("outputs", "figures")]
    if results:
        git("clean", "-fdqx", "--", *results)


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
