"""Make a clone ready for DataLad: annex under a neutral name, a neutral identity, a hint where content is missing."""

import json
import os
import shlex
import shutil

from errors import InputError
from provenance.repository import ROOT, git

# git-annex would name the annex after user, host and folder, and its branch travels.
ANNEX_NAME = "a clone of the face of pain"
NEUTRAL_IDENTITY = {"user.name": "The face of pain", "user.email": "face-of-pain@example.invalid"}
MISSING_HOOK = {
    "datalad.result-hook.facepain-missing.match-json": json.dumps(
        {"action": "get", "type": "file", "status": ["in", ["error", "impossible"]]}
    ),
    "datalad.result-hook.facepain-missing.call-json": (
        'run_procedure {{"dataset": "{dsarg}", "spec": ["facepain_what_makes", "{path}"]}}'
    ),
}


def ensure_annex(root=ROOT):
    """Initialise git-annex in this clone if it is not, with neither login nor host name.

    Before that ``datalad get`` fetches nothing and ``datalad save`` puts large files into git.

    Raises
    ------
    InputError
        If git-annex is missing.
    """
    require_git_annex()
    if ensure_identity(root):
        print(f'git has no identity configured: commits are made as "{NEUTRAL_IDENTITY["user.name"]}"')
    if not is_initialised(root):
        git("annex", "init", "--quiet", ANNEX_NAME, root=root)
        print("initialised git-annex in this clone")
    for key, value in (*MISSING_HOOK.items(), *_filters()):
        if git("config", "--local", key, check=False, root=root) != value:
            git("config", "--local", key, value, root=root)


def is_initialised(root=ROOT):
    return bool(git("config", "annex.uuid", check=False, root=root))


def _filters():
    """Name git-annex by its path, lest `git status` or the hook of `git commit` fail outside of the environment."""
    found = shutil.which("git-annex")
    program = shlex.quote(found)
    return [
        ("filter.annex.smudge", f"{program} smudge -- %f"),
        ("filter.annex.clean", f"{program} smudge --clean -- %f"),
        ("filter.annex.process", f"{program} filter-process"),
        # The programs of special remotes lie beside it.
        ("alias.annex", f'!PATH={shlex.quote(os.path.dirname(found))}:"$PATH" {program}'),
    ]


def require_git_annex():
    """Stop if git-annex or DataLad is not on PATH."""
    for program in ("git-annex", "datalad"):
        if shutil.which(program) is None:
            raise InputError(
                f"{program} is missing; `make setup` installs it from requirements.lock (so must an active environment)"
            )


def ensure_identity(root=ROOT):
    """Give git a neutral identity for this process and its children where it has none.

    Returns
    -------
    neutral : bool
        Whether that was needed.
    """
    missing = [
        (key, value)
        for key, value in NEUTRAL_IDENTITY.items()
        if f"GIT_AUTHOR_{key.split('.')[1].upper()}" not in os.environ
        and not git("config", key, check=False, root=root)
    ]
    # As settings and not as GIT_AUTHOR_NAME, which DataLad does not look at.
    count = int(os.environ.get("GIT_CONFIG_COUNT", 0))
    for number, (key, value) in enumerate(missing, count):
        os.environ[f"GIT_CONFIG_KEY_{number}"], os.environ[f"GIT_CONFIG_VALUE_{number}"] = key, value
        os.environ["GIT_CONFIG_COUNT"] = str(number + 1)
    return bool(missing)
