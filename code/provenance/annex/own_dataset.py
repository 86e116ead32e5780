"""Make a dataset of one's own files: a clone of one that there is, or one that knows the files of a folder by checksum.

The files of a folder stay where they are. git-annex reads each once for its checksum and remembers the folder in this
clone's configuration, in no commit; content is copied when a stage asks for it, and checked on the way.
"""

import os
import re
import uuid
from pathlib import Path

from errors import InputError
from provenance.repository import datalad, git

IMAGES = ("hdr", "img", "nii", "nii.gz", "mat")
WANTED = {
    "contrasts": IMAGES,
    "masks": (*IMAGES, "json", "md"),
    "signatures": (*IMAGES, "tsv", "json", "md"),
    "behavior": ("tsv", "csv", "json", "txt", "md"),
}
OWNER = "owner"  # git-annex's name for the folder
ANNEX_NAME = "a dataset of one's own files"


def clone_dataset(source, folder):
    """Clone a dataset without the content of its annexed files."""
    print(f"cloning {source}", flush=True)
    if reason := datalad("clone", source, str(folder), root=folder.parent):
        raise InputError(f"{source} cannot be cloned: {reason[:200]}; expected a DataLad dataset or git repository")
    if git("rev-parse", "--verify", "--quiet", "HEAD", root=folder, check=False) == "":
        raise InputError(f"{source} has no commit; expected a dataset with files; save them there first")


def import_files(source, folder, name, only=None):
    """Make a dataset in `folder` that knows the files of a folder, or one file, and copies none.

    `name`, of `WANTED`, decides which files are wanted; `only` is a pattern of contrast images' names without ending.
    """
    source = Path(source)
    if source.is_file():
        source, patterns = source.parent, [re.sub(r"[^\w.-]", "?", source.name)]
        files = [Path(patterns[0])]
    else:
        stem = (only or "*") if name == "contrasts" else "*"
        patterns = [f"{place}{stem}.{ending}" for ending in WANTED[name] for place in ("", "*/")]
        files = find_wanted(source, name, stem)
    total = sum((source / file).stat().st_size for file in files if (source / file).exists())
    said = f"reading {len(files)} file(s), {total / 1e6:.0f} MB, for their checksums; none is moved or copied"
    print(f"{source}: {said}", flush=True)
    folder.mkdir(parents=True)
    git("init", "--quiet", "-b", "main", root=folder)
    (folder / ".datalad").mkdir()
    (folder / ".datalad/config").write_text(f'[datalad "dataset"]\n\tid = {uuid.uuid4()}\n')
    (folder / ".gitattributes").write_text("* annex.backend=SHA256E\n**/.git* annex.largefiles=nothing\n")
    git("add", ".datalad/config", ".gitattributes", root=folder)
    git("commit", "--quiet", "--message", "Start a dataset of one's own files", root=folder)
    git("annex", "init", "--quiet", ANNEX_NAME, root=folder)
    git("config", "annex.jobs", "cpus", root=folder)  # small files take longer to ask for than to copy
    remote = ("type=directory", f"directory={source}", "encryption=none", "importtree=yes")
    git("annex", "initremote", "--quiet", OWNER, *remote, root=folder)
    wanted = " or ".join(f"include={pattern}" for pattern in patterns)
    git("annex", "wanted", "--quiet", OWNER, f"({wanted}) and exclude=.* and exclude=*/.*", root=folder)
    take_up_changes(folder)


def find_wanted(source, name, stem):
    """List the wanted files below a folder; stop at a link, which git-annex would leave out silently."""
    files, links = [], []
    for parent, folders, names in os.walk(source):
        links += [os.path.join(parent, entry) for entry in folders if os.path.islink(os.path.join(parent, entry))]
        for path in (Path(parent, entry) for entry in names):
            is_wanted = any(path.match(f"{stem}.{ending}") for ending in WANTED[name])
            if is_wanted and "/." not in f"/{path.relative_to(source)}":
                (links if path.is_symlink() else files).append(str(path))
    if links:
        raise InputError(
            f"{links[0]} is a link, one of {len(links)} below {source}; expected files themselves; name the folder "
            "they lie in, or copy them (`cp -rL`)"
        )
    if not files:
        raise InputError(
            f"{source}: holds no {stem}.{{{','.join(WANTED[name])}}}; expected the {name}; correct the path"
        )
    unreadable = [file for file in files if not os.access(file, os.R_OK)]
    if unreadable:
        raise InputError(
            f"{unreadable[0]}: may not be read by you, one of {len(unreadable)}; `chmod u+r` it, or ask its owner"
        )
    return [Path(file).relative_to(source) for file in files]


def take_up_changes(folder):
    """Record the present files of the folder that a dataset was made from; return whether its commit changed."""
    if not git("config", f"remote.{OWNER}.annex-directory", root=folder, check=False):
        return False
    before = git("rev-parse", "HEAD", root=folder)
    git("annex", "import", "main", "--quiet", "--from", OWNER, "--no-content", root=folder)
    git("merge", "--quiet", "--no-edit", "--allow-unrelated-histories", f"{OWNER}/main", root=folder)
    git("annex", "merge", "--quiet", root=folder)
    return git("rev-parse", "HEAD", root=folder) != before


def dataset_id(path):
    """Return DataLad's id of a dataset, "" if it has none."""
    return git("config", "--file", ".datalad/config", "datalad.dataset.id", root=path, check=False)
