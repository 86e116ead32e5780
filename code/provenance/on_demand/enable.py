"""Let ``datalad get`` fetch results that nobody stores from a special remote that recomputes them.

That remote holds nothing. What it claims to hold are the results of HEAD; a claim is a line in this clone's git-annex
branch. It runs the code that the run records name, so it exists only where somebody asked for it.
"""

import os
import re
import shutil
from pathlib import Path

from errors import InputError
from provenance.repository import git, git_folder, write_whole

REMOTE = "on-demand"
PROGRAM = "git-annex-remote-facepain"  # git-annex looks for this name on PATH
MARK = "facepain.on-demand"  # in this clone's own .git/config, which nothing that is fetched or cloned can write
# It belongs to the environment and asks for the mark before anything of a clone is run or imported: any clone may tell
# git-annex to start it. git-annex speaks to it through standard streams; what a run prints goes to standard error.
SCRIPT = f"""#!/bin/sh
# Recompute a result of the clone in which git-annex asks for one, if `make on-demand` was run in this very clone.
top=$(cd "$(git rev-parse --show-toplevel)" && pwd -P)
here=$(cd "$(git rev-parse --absolute-git-dir)" && pwd -P)
if [ "$(git config --local --get {MARK})" != "$top $here $(git config --local --get annex.uuid)" ]; then
    said="on-demand: nothing was run: only after \\`make on-demand\\` in this clone may its code be started"
    echo VERSION 1  # git-annex shows in one line what its own protocol says
    while read -r request _; do
        case "$request" in
            INITREMOTE | PREPARE) echo "$request-FAILURE $said" ;;
            *) echo UNSUPPORTED-REQUEST ;;
        esac
    done
    exit 1
fi
exec "$(dirname "$0")/python" "$top/code/study.py" serve "$PWD" 3>&1 1>&2
"""


def enable(cells):
    """Opt in: mark this clone, and add the special remote to it."""
    put_program()  # git-annex asks it at once
    git("config", "--local", MARK, mark_here())
    if not is_enabled():
        if f" name={REMOTE} " in git("show", "git-annex:remote.log", check=False):
            git("annex", "enableremote", "--quiet", REMOTE)
            # Of a remote that another clone made git-annex takes nothing unseen.
            said = git("annex", "verifyremote", REMOTE)
            if asked := re.search(r"--safe (\S+)", said):
                if " externaltype=facepain " not in said.replace("\n", " ") + " ":
                    raise InputError(
                        f"the special remote {REMOTE} of this dataset is another; `git annex renameremote` it first"
                    )
                git("annex", "verifyremote", REMOTE, "--safe", asked.group(1))
        else:
            git("annex", "initremote", "--quiet", REMOTE, "type=external", "externaltype=facepain", "encryption=none")
        # Content that could be made again is no copy: never a reason to drop the only one.
        git("annex", "untrust", "--quiet", REMOTE)
    n_files = refresh(cells)
    print(f"`datalad get` recomputes what is stored nowhere of {n_files} files; `git remote remove {REMOTE}` ends that")


def mark_here():
    """Return the mark that belongs to this clone: where its files and its history lie, and git-annex's id of it."""
    folders = (Path(git("rev-parse", option)).resolve() for option in ("--show-toplevel", "--absolute-git-dir"))
    return " ".join((*map(str, folders), git("config", "--local", "annex.uuid")))


def refresh(cells):
    """Make good for a new environment, and tell git-annex that the remote has the results of HEAD; return how many."""
    put_program()
    uuid = git("config", f"remote.{REMOTE}.annex-uuid")
    claims = [f"{key} {uuid} 1" for key in sorted(result_keys(cells))]
    note = git_folder() / "claimed"
    if not note.exists() or note.read_text().splitlines() != claims:
        git("annex", "setpresentkey", "--batch", lines=claims)
        write_whole(note, "\n".join(claims))
    return len(claims)


def is_enabled():
    """Return whether this clone was opted in where it lies, and has the remote."""
    mark = git("config", "--local", MARK, check=False)
    return bool(mark) and mark == mark_here() and bool(git("config", f"remote.{REMOTE}.annex-uuid", check=False))


def put_program():
    """Put the program of the remote beside git-annex."""
    program = Path(shutil.which("git-annex")).parent / PROGRAM
    if program.is_file() and os.access(program, os.X_OK) and program.read_text() == SCRIPT:
        return
    try:
        write_whole(program, SCRIPT, mode=0o755)
    except OSError:
        raise InputError(f"{program} cannot be written; leave this environment, `make setup` makes one") from None


def result_keys(cells):
    """Map the key of every annexed result to the cell that makes it and the path of its file."""
    found = git("annex", "find", "--anything", "--format=${key} ${file}\\000", "--", "outputs", "figures")
    keys = {}
    for entry in filter(None, found.split("\0")):
        key, path = entry.split(" ", 1)
        for cell in cells:
            if cell.owns(path):
                keys.setdefault(key, (cell, path))
    return keys
