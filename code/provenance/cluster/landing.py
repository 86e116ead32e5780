"""Land what jobs handed over: move the branch on by one commit a cell, whole or not at all, without a lock of our own.

A job hands its cell over as a commit under ``refs/facepain/cells`` and its branch. Landing takes of it the cell's
folder and the very message, author and dates, as a new commit on top of the branch, so that history is linear and each
run record is the same to the byte. Git moves the branch only from the commit that was seen (compare-and-swap); who
comes second begins again. Whoever lands on a branch, lands all that waits for it: what a killed job left is landed by
the next.
"""

import random
import time
from contextlib import suppress
from urllib.parse import quote, unquote

from errors import InputError
from provenance.annex.integrity import blob_id
from provenance.repository import ROOT, changed_files, git, git_folder, object_ids
from provenance.run.recovery import MARKER

REFS = "refs/facepain/cells/"
ATTEMPTS = 20
PAUSE = 2.0  # seconds between two attempts, at most


def cell_ref(branch, folder):
    """Return the ref under which a job hands over the folder of its cell for a branch; of all for the folder ""."""
    return f"{REFS}{quote(branch, safe='')}/{quote(folder)}"


def waiting(branch, root=ROOT):
    """Return what was handed over for a branch and is not landed: commits by the folder of their cell."""
    refs = cell_ref(branch, "")
    listing = git("for-each-ref", "--sort=committerdate", "--format=%(refname) %(objectname)", refs, root=root)
    entries = (line.split() for line in listing.splitlines())
    return {unquote(ref.removeprefix(refs)): commit for ref, commit in entries}


def land(branch, root=ROOT):
    """Move a branch, and its working tree where it is checked out, on by all that waits; return the cells' folders.

    If the repository does not take it, say why and stop; all that waits goes on waiting then.
    """
    reason = ""
    for attempt in range(ATTEMPTS):
        time.sleep(random.uniform(0, PAUSE) if attempt else 0)
        handed_over = waiting(branch, root)
        old = new = git("rev-parse", f"refs/heads/{branch}", root=root)
        landed = []
        for folder, commit in handed_over.items():
            before, new = new, graft(new, commit, folder, root)
            landed += [folder] if new != before else []
        reason = move(branch, old, new, landed, root) if landed else ""
        if not reason:
            for folder, commit in handed_over.items():
                # Only what was landed: another job may have handed over again.
                git("update-ref", "-d", cell_ref(branch, folder), commit, check=False, root=root)
            return landed
    raise InputError(f"{', '.join(landed)}: handed over, but not yet on {branch}: {reason}; `make submit` tries again")


def graft(onto, commit, folder, root):
    """Return a commit on top of another that holds a cell's folder as a job made it.

    Returns `onto` itself where it holds that already, or where a result of this cell was committed since the job
    began: the job then knew less.
    """
    made = git("rev-parse", "--verify", f"{commit}:{folder}", root=root)
    here = _tree(f"{onto}:{folder}", root)
    if here == made:
        return onto
    if here != _tree(f"{commit}^:{folder}", root):
        print(f"{folder}: another result was committed since the job began; that one stays")
        return onto
    tree = _replace(f"{onto}^{{tree}}", folder.split("/"), made, root)
    head, _, message = git("cat-file", "commit", commit, root=root).partition("\n\n")
    kept = [line for line in head.splitlines() if line.startswith(("author ", "committer ", "encoding "))]
    text = "\n".join([f"tree {tree}", f"parent {onto}", *kept, "", message])
    return git("hash-object", "-t", "commit", "-w", "--stdin", root=root, lines=[text])


def move(branch, old, new, folders, root):
    """Move a branch from the commit that was seen to a new one; return why it could not be moved, "" if it was."""
    try:
        if git("symbolic-ref", "--quiet", "HEAD", check=False, root=root) != f"refs/heads/{branch}":
            git("update-ref", f"refs/heads/{branch}", new, old, root=root)
        elif (git_folder(root) / MARKER).exists():
            return "a cell is made in this repository itself at the moment, or was interrupted"
        else:
            _remove_leftovers(new, folders, root)
            # Work tree first, branch last: if this is killed between, the next landing goes on from there.
            git("merge", "--quiet", "--ff-only", new, root=root)
    except InputError as error:
        in_the_way = "files in these folders are not as committed; put them aside with `git stash -u`"
        return in_the_way if "Aborting" in str(error) else str(error)
    return ""


def _remove_leftovers(new, folders, root):
    """Remove untracked files that a killed landing wrote: those that are just what is about to land."""
    ids = object_ids(*folders, revision=new, root=root)

    def find():
        untracked = (line[3:] for line in changed_files(root, *folders) if line.startswith("??"))
        return [root / path for path in untracked if path in ids and blob_id(root / path) == ids[path]]

    lock = git_folder(root).parent / "index.lock"
    # Under git's lock, which another landing holds while it writes such files itself.
    if find():
        with suppress(FileExistsError), open(lock, "x"):
            try:
                for path in find():
                    path.unlink()
            finally:
                lock.unlink()


def _tree(name, root):
    """Return the id of a tree such as ``commit:folder``, None if there is none of that name."""
    return git("rev-parse", "--verify", "--quiet", name, check=False, root=root) or None


def _replace(tree, parts, new, root):
    """Return a tree in which the folder at a path is another one."""
    entries = git("ls-tree", tree, root=root).splitlines() if tree else []
    name, *rest = parts
    if rest:
        new = _replace(_tree(f"{tree}:{name}", root) if tree else None, rest, new, root)
    kept = [entry for entry in entries if entry.split("\t", 1)[1] != name]
    return git("mktree", root=root, lines=[*kept, f"040000 tree {new}\t{name}"])
