"""Merge newer code of the repository that a study came from, and keep the study's own inputs, params and results."""

from errors import InputError
from provenance.repository import ROOT, changed_files, git, input_datasets, require_clean_tree

OWN = ("outputs", "figures", "inputs", ".gitmodules")  # taken from one side whole, never merged
PARAMS = "code/params.toml"  # older ones stay valid


def update(source="", root=ROOT):
    """Merge another history into this branch; all or nothing.

    The source is what `git fetch` takes: a remote, a URL or a folder, and a branch after a blank; ``origin main`` by
    default. Stop if there is nothing to fetch from, or both sides changed the same lines of code.
    """
    require_clean_tree(root)
    where, _, branch = (source or "origin").partition(" ")
    git("fetch", "--quiet", "--no-tags", where, branch or "main", root=root)
    theirs = git("rev-parse", "FETCH_HEAD", root=root)
    base = git("merge-base", "HEAD", theirs, check=False, root=root)
    if not base:
        raise InputError(
            f"{where} shares no history with this study; name where this repository was cloned from: FROM="
        )
    if base == theirs:
        print(f"nothing is newer in {where}")
        return
    kept = [group for group in (OWN, (PARAMS,)) if git("diff", "--name-only", base, "HEAD", "--", *group, root=root)]
    try:
        git("merge", "--no-commit", "--no-ff", "--quiet", theirs, root=root, check=False)
        for group in kept:
            _keep(group, root)
        if OWN in kept:
            _add_new_inputs(theirs, root)
        both = sorted({line[3:] for line in changed_files(root) if "U" in line[:2] or line[:2] in ("AA", "DD")})
        if both:
            raise InputError(
                f"{len(both)} file(s) were changed here and there: {', '.join(both[:5])}; nothing was merged; "
                f"`git merge {theirs[:10]}` lets you join them by hand"
            )
        git("commit", "--quiet", "--allow-empty", "--message", f"Take up newer code ({theirs[:10]})", root=root)
    except BaseException:
        git("merge", "--abort", check=False, root=root)
        raise
    n_changed = len(git("diff", "--name-only", "HEAD^1", "HEAD", root=root).splitlines())
    ours = ", your inputs and results kept" if OWN in kept else ""
    print(f"merged {theirs[:10]}: {n_changed} file(s) changed{ours}{', your params kept' if (PARAMS,) in kept else ''}")


def _keep(paths, root):
    """Take some paths as this branch has them, whatever the merge made of them."""
    git("reset", "--quiet", "HEAD", "--", *paths, root=root, check=False)
    tracked = [path for path in paths if git("ls-tree", "HEAD", "--", path, root=root)]
    if tracked:
        git("checkout", "HEAD", "--", *tracked, root=root)
    results = [path for path in paths if path in ("outputs", "figures")]
    if results:
        git("clean", "-fdqx", "--", *results, root=root)


def _add_new_inputs(theirs, root):
    """Take over the input datasets that the other side has and this branch does not know."""
    known = input_datasets(root=root)
    new = {path: commit for path, commit in input_datasets(theirs, root).items() if path not in known}
    for path, commit in new.items():
        git("update-index", "--add", "--cacheinfo", f"160000,{commit},{path}", root=root)
        (root / path).mkdir(parents=True, exist_ok=True)
        listed = git("config", "--blob", f"{theirs}:.gitmodules", "--get-regexp", f"^submodule\\.{path}\\.", root=root)
        for key, _, value in (line.partition(" ") for line in listed.splitlines()):
            git("config", "--file", ".gitmodules", key, value, root=root)
    if new:
        git("add", ".gitmodules", root=root)
