"""Make a clone ready for DataLad: annex under a neutral name, a neutral identity, a hint where content is missing."""

import os
import re
import shlex
import shutil

from errors import InputError
from provenance.repository import (
    ROOT,
    find_root,
    git,
    git_folder,
    input_datasets,
    object_ids,
    require_plain_branch,
    write_whole,
)

# git-annex would name the annex after user, host and folder, and its branch travels.
ANNEX_NAME = "a clone of the face of pain"
NEUTRAL_IDENTITY = {"user.name": "The face of pain", "user.email": "face-of-pain@example.invalid"}
# What a user's own settings would change of what is recorded. Identity, credentials and safe.directory still count.
NEUTRAL = {
    "core.excludesFile": os.devnull,
    "core.attributesFile": os.devnull,
    "core.hooksPath": ".git/hooks",
    "core.autocrlf": "false",
    "core.safecrlf": "false",
    "core.fsmonitor": "false",
    "core.commitGraph": "false",  # which says what commits hold, and git believes it
    "gc.writeCommitGraph": "false",
    "commit.gpgSign": "false",
    "commit.cleanup": "whitespace",
    "tag.gpgSign": "false",
    "merge.ff": "true",
    "merge.verifySignatures": "false",
    "log.showSignature": "false",
    "log.follow": "false",
    "color.ui": "auto",
    "status.showUntrackedFiles": "normal",
    "diff.ignoreSubmodules": "none",
    "submodule.recurse": "false",
    "i18n.commitEncoding": "UTF-8",
    "i18n.logOutputEncoding": "UTF-8",
    "init.defaultObjectFormat": "sha1",
    "init.defaultRefFormat": "files",
    "annex.gitaddtoannex": "true",
    "annex.dotfiles": "false",
    "annex.addunlocked": "false",
    "annex.thin": "false",
}
# Of the files that stages write.
RESULT_ENDINGS = (".tsv", ".json", ".npz", ".npy", ".nii.gz", ".png", ".svg", ".html", ".md", ".js", ".ipynb")
OVERRIDING = re.compile(r"^[^#].*\s[-!]?(annex\.\w+|text|crlf|eol|filter|ident|working-tree-encoding)\b")
ATTRIBUTES_OF_ANNEX = (["*", "filter=annex"], [".*", "!filter"])
LAUNCHER = """\
#!/bin/sh
# Written by `make setup`: git-annex, also where its environment is not active or this clone was moved.
for folder in {found} "$(dirname "$0")/../../.venv/bin"; do
    if [ -x "$folder/git-annex" ]; then PATH="$folder:$PATH" exec "$folder/git-annex" "$@"; fi
done
exec git-annex "$@"
"""
MISSING = "datalad.result-hook.facepain-missing"
MISSING_HOOK = {
    f"{MISSING}.match-json": '{"action": "get", "type": "file", "status": ["in", ["error", "impossible"]]}',
    f"{MISSING}.call-json": 'run_procedure {{"dataset": "{dsarg}", "spec": ["facepain_what_makes", "{path}"]}}',
}


def ensure_annex(root=ROOT):
    """Initialise git-annex in this clone if it is not, with neither login nor host name.

    Before that ``datalad get`` fetches nothing and ``datalad save`` puts large files into git.
    """
    for program in ("git-annex", "datalad"):
        if shutil.which(program) is None:
            raise InputError(
                f"{program} is missing; `make setup` installs it from requirements.lock (so must an active environment)"
            )
    require_annexable(root)
    if ensure_identity(root):
        print(f'git has no identity configured: commits are made as "{NEUTRAL_IDENTITY["user.name"]}"')
    neutral = neutral_settings(root)
    if not is_initialised(root):
        configure(root, neutral)  # before git-annex writes its hooks, which would go to a folder of the user's
        git("annex", "init", "--quiet", ANNEX_NAME, root=root)
        print("initialised git-annex in this clone", flush=True)
    path, programs = git_folder(root) / "git-annex", os.path.dirname(shutil.which("git-annex"))
    text = LAUNCHER.format(found=shlex.quote(programs))
    if not path.exists() or path.read_text() != text:
        write_whole(path, text)
    configure(root, neutral | MISSING_HOOK | launch('"$(git rev-parse --git-common-dir)/facepain/git-annex"'))
    configure_inputs(root)


def configure_inputs(root=ROOT):
    """Neutralise the user's settings in the installed input datasets too, which `git status` looks into."""
    for path in input_datasets(root=root):
        if (root / path / ".git").is_dir():
            configure(root / path, neutral_settings(root / path) | launch("../../.git/facepain/git-annex"))


def is_initialised(root=ROOT):
    return bool(git("config", "annex.uuid", check=False, root=root))


def neutral_settings(root):
    """Return what a repository holds of `NEUTRAL`: its folder of hooks only where the user shares another.

    By itself git finds that folder, also in a linked working tree and after a move.
    """
    scopes = git("config", "--show-scope", "--get-all", "core.hooksPath", check=False, root=root)
    is_shared = re.search(r"^(global|system)\t", scopes, re.MULTILINE)
    folder = git("rev-parse", "--path-format=absolute", "--git-common-dir", root=root) if is_shared else ""
    return NEUTRAL | {"core.hooksPath": f"{folder}/hooks" if is_shared else None}


def configure(root, settings):
    """Write settings to a repository's own configuration, where they differ; those that are None are unset there."""
    listed = git("config", "--local", "--list", "-z", root=root, check=False)
    if not listed:
        find_root(root)  # stops at one of another user
    present = {key.lower(): value for key, _, value in (entry.partition("\n") for entry in listed.split("\0"))}
    for key, value in settings.items():
        if present.get(key.lower()) != value:
            git("config", "--local", *((key, value) if value is not None else ("--unset-all", key)), root=root)


def launch(launcher):
    """Return the settings by which git finds git-annex outside of the environment, else `git status` fails."""
    return {
        "filter.annex.smudge": f"sh {launcher} smudge -- %f",
        "filter.annex.clean": f"sh {launcher} smudge --clean -- %f",
        "filter.annex.process": f"sh {launcher} filter-process",
        "alias.annex": f"!sh {launcher}",
    }


def require_annexable(root=ROOT):
    """Stop where git-annex would not keep files as this repository needs them."""
    require_plain_branch(root)
    probe = git_folder(root) / "link"
    try:
        probe.unlink(missing_ok=True)
        probe.symlink_to("nowhere")
        probe.unlink()
    except OSError:
        raise InputError(
            f"{root} lies on a file system without symbolic links (FAT?), by which git-annex keeps large files; "
            "clone to another disk"
        ) from None
    if os.stat(git_folder(root)).st_dev != os.stat(root).st_dev:
        raise InputError(
            f"{root} and {git_folder(root)} lie on different disks, between which no result can be moved whole; make "
            "a clone whose .git lies within it"
        )
    require_own_rules(root)
    origin, _, value = git("config", "--show-origin", "annex.largefiles", check=False, root=root).partition("\t")
    if value:
        file = origin.removeprefix("file:")
        raise InputError(
            f"annex.largefiles = {value} in {file} overrides the rules of this repository for what lies in git; remove "
            f"it there (`git config --file {shlex.quote(file)} --unset-all annex.largefiles`)"
        )


def require_own_rules(root=ROOT):
    """Stop if a rule in ``.git/info``, as a template of the user's brings one, changes what is recorded of results."""
    results = [*object_ids("outputs", "figures", root=root), *(f"outputs/x{ending}" for ending in RESULT_ENDINGS)]
    hidden = git("check-ignore", "--no-index", "--verbose", "--stdin", lines=results, check=False, root=root)
    if hidden:
        rule, _, name = hidden.splitlines()[0].partition("\t")
        raise InputError(f"a rule hides results such as {name} from git ({rule}); remove it")
    path = root / git("rev-parse", "--git-path", "info/attributes", root=root)
    for line in path.read_text(errors="replace").splitlines() if path.exists() else ():
        if OVERRIDING.search(line) and line.split() not in ATTRIBUTES_OF_ANNEX:
            place = os.path.relpath(path, root)
            raise InputError(f"{place}: `{line}` overrides the rules of this repository for its files; remove it")


def ensure_identity(root=ROOT):
    """Give git a neutral identity for this process and its children; return whether it had none."""
    configured = {key: git("config", key, check=False, root=root) for key in NEUTRAL_IDENTITY}
    # For new datasets too, which know nothing of this clone's configuration; and as settings and not as
    # GIT_AUTHOR_NAME, which DataLad does not look at.
    set_for_children({key: configured[key] or value for key, value in NEUTRAL_IDENTITY.items()})
    given = {key for key in NEUTRAL_IDENTITY if f"GIT_AUTHOR_{key.split('.')[1].upper()}" in os.environ}
    return not all(configured[key] or key in given for key in NEUTRAL_IDENTITY)


def neutralise():
    """Let no setting of the user change what this process and its children record, in any repository."""
    set_for_children(NEUTRAL)
    os.environ |= {"GIT_ATTR_NOSYSTEM": "1", "GIT_TEMPLATE_DIR": "", "GIT_NO_REPLACE_OBJECTS": "1"}
    os.environ["GIT_GRAFT_FILE"] = os.path.join(os.devnull, "none")  # an empty one would be warned of


def set_for_children(settings):
    count = int(os.environ.get("GIT_CONFIG_COUNT", 0))
    for number, (key, value) in enumerate(settings.items(), count):
        os.environ[f"GIT_CONFIG_KEY_{number}"], os.environ[f"GIT_CONFIG_VALUE_{number}"] = key, value
    os.environ["GIT_CONFIG_COUNT"] = str(count + len(settings))
