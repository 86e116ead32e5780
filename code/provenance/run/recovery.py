"""Put back what an interrupted run left half-made."""

import json
import shutil

from provenance.repository import ROOT, changed_files, git, git_folder
from provenance.run.locks import remove_stale_locks

MARKER = "running.json"
DISK_LOW = 50e6  # bytes


def restore_interrupted(root=ROOT, quietly=False):
    """Undo what an interrupted run left in its own output folder, and say so."""
    marker = git_folder(root) / MARKER
    if not marker.exists():
        return
    interrupted = json.loads(marker.read_text())
    remove_stale_locks(interrupted.get("started", 0), root)
    folder = interrupted["folder"]
    make_plain(interrupted["cell"], root)
    if any(line[3:].startswith(folder) for line in changed_files(root)):
        if not quietly:
            print(f"an earlier run was interrupted: {folder} is put back to its last commit")
        restore(folder, root)
    # Half-written results would fill the disk.
    shutil.rmtree(git_folder(root) / "partial", ignore_errors=True)
    marker.unlink()


def restore(folder, root=ROOT):
    """Put an output folder back to its last commit."""
    git("reset", "--quiet", "--", folder, root=root, check=False)
    if git("ls-tree", "HEAD", "--", folder, root=root):
        git("checkout", "--quiet", "HEAD", "--", folder, root=root)
    git("clean", "-fdqx", "--", folder, root=root)


def make_plain(name, root=ROOT):
    """Put the commit of a result's run on top of a commit that somebody made meanwhile.

    There DataLad saves the outputs and then writes the run record into a merge, which holds the changes of others too.
    That merge is made again as one commit with the folder of the result and nothing else.
    """
    head, *parents = git("rev-list", "--parents", "-1", "HEAD", root=root).split()
    if len(parents) != 2 or git("log", "-1", "--format=%s", head, root=root) != f"[DATALAD RUNCMD] {name}":
        return
    theirs = parents[1]
    if git("log", "-1", "--format=%s", theirs, root=root) == "Remaining changes after command execution":
        theirs = git("rev-parse", f"{theirs}^", root=root)
    plain = theirs
    if git("diff", "--name-only", theirs, head, root=root):
        message = git("log", "-1", "--format=%B", head, root=root)
        plain = git("commit-tree", f"{head}^{{tree}}", "-p", theirs, "-m", message, root=root)
    git("update-ref", "HEAD", plain, head, root=root)
