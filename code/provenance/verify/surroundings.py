"""Find what would make git, or whoever looks, see another history or other files than those recorded."""

import os

from provenance.annex.integrity import blob_id, file_checksum, is_corrupt
from provenance.repository import ROOT, git, git_folder, hidden_files, input_datasets, object_ids


def list_files(folder):
    """Return the paths of all files and links below a folder, from the root, whatever git ignores."""
    return {
        os.path.relpath(os.path.join(parent, name), ROOT)
        for parent, folders, names in os.walk(ROOT / folder)
        for name in (*names, *(each for each in folders if os.path.islink(os.path.join(parent, each))))
    }


def find_deceptions():
    """Return what hides or replaces parts of this repository, as tuples (path, detail)."""
    found = [
        (ref, "replaces an object of the history; all was verified as recorded, without it")
        for ref in git("for-each-ref", "--format=%(refname)", "refs/replace").splitlines()
    ]
    grafts = git_folder().parent / "info/grafts"
    if grafts.exists() and grafts.read_text().strip():
        found.append((".git/info/grafts", "gives commits other parents; all was verified as recorded, without it"))
    ids = object_ids()
    for path in hidden_files():
        if os.path.lexists(ROOT / path) and not (ROOT / path).is_dir() and blob_id(ROOT / path) != ids.get(path):
            found.append((path, "differs from its commit, and git was told not to look at it"))
    return found


def changed_inputs(names):
    """Return what of some installed input datasets is not what this repository records, as tuples (path, detail)."""
    found = []
    for path, commit in input_datasets().items():
        root = ROOT / path
        if path not in names or not (root / ".git").exists():
            continue
        head = git("rev-parse", "HEAD", root=root)
        if head != commit:
            found.append((path, f"is at commit {head[:10]}, recorded is {commit[:10]}"))
        recorded = object_ids(root=root)
        for name, id_ in recorded.items():
            if not os.path.lexists(root / name):
                found.append((f"{path}/{name}", "its file was removed"))
            elif not (root / name).is_dir() and blob_id(root / name) != id_ and not _is_unlocked(root, name, id_):
                found.append((f"{path}/{name}", "differs from its commit"))
            elif is_corrupt(root / name):
                found.append((f"{path}/{name}", "its content does not fit its checksum"))
    return found


def _is_unlocked(root, name, id_):
    """Return whether git holds only the name of a file's content, as of an unlocked one, and the content fits."""
    named = git("cat-file", "blob", id_, root=root, check=False)
    return named.startswith("/annex/objects/") and file_checksum(root / name) in named
