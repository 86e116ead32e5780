"""Clone a dataset for the length of a job."""

import os

from provenance.annex.setup import NEUTRAL, ensure_annex
from provenance.repository import git

# The clone will be gone: no branch is to speak of it.
SETTINGS = NEUTRAL | {"annex.private": "true", "commit.gpgsign": "false", "gc.auto": "0"}


def clone_dataset(source, clone, revision):
    """Clone a dataset with its annex, without content, and check out a branch or commit of it."""
    identity = {key: git("config", key, check=False, root=source) for key in ("user.name", "user.email")}
    settings = SETTINGS | {key: value for key, value in identity.items() if value}
    options = [word for key, value in settings.items() for word in ("--config", f"{key}={value}")]
    # By git's transport: links to files that another job's push replaces meanwhile end a clone with an error.
    git("clone", "--quiet", "--no-local", "--no-checkout", *options, str(source), str(clone), root=source)
    # Before git-annex is there, whose hook would look at every file.
    git("checkout", "--quiet", revision, root=clone)
    # Files as young as the index would go through git-annex at every look at them.
    for name in git("ls-files", "-z", root=clone).split("\0"):
        if os.path.lexists(clone / name):
            os.utime(clone / name, (0, 0), follow_symlinks=False)
    git("update-index", "-q", "--refresh", check=False, root=clone)
    ensure_annex(clone)
