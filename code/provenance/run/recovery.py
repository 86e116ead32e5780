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
