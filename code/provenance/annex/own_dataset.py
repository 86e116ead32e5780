"""Make a dataset of one's own files: a clone of one that there is, or one that knows the files of a folder by checksum.

The files of a folder stay where they are. git-annex reads each once for its checksum and remembers the folder in this
clone's configuration, in no commit; content is copied when a stage asks for it, and checked on the way.
"""

import fnmatch
import os
import re
import uuid
from pathlib import Path

from errors import InputError
from files import TABLE_ENDINGS
from provenance.repository import ROOT, datalad, git, read_tree

IMAGES = (".hdr", ".img", ".nii", ".nii.gz", ".mat")
WANTED = {
    "contrasts": IMAGES,
    "masks": (*IMAGES, ".json", ".md"),
    "signatures": (*IMAGES, ".tsv", ".json", ".md"),
    "behavior": (*TABLE_ENDINGS, ".md"),
}
OWNER = "owner"  # git-annex's name for the folder
ANNEX_NAME = "a dataset of one's own files"


def clone_dataset(source, folder, name):
    """Clone a dataset without the content of its annexed files; stop if it has none of those that `name` is for."""
    print(f"cloning {source}", flush=True)
    if reason := datalad("clone", source, str(folder), root=folder.parent):
        raise InputError(f"{source} cannot be cloned: {reason[:200]}; expected a DataLad dataset or git repository")
    if git("rev-parse", "--verify", "--quiet", "HEAD", root=folder, check=False) == "":
        raise InputError(f"{source} has no commit; expected a dataset with files; save them there first")
    tree = read_tree(root=folder)
    if not any(path.lower().endswith(WANTED[name]) for path in tree):
        inside = [path for path, (mode, _) in tree.items() if mode == "160000"]
        within = f"; its subdatasets, such as {inside[0]}, are not looked into" if inside else ""
        raise InputError(
            f"{source}: holds no {', '.join(WANTED[name])}{within}; expected the {name} in the dataset itself; "
            "copy them from where they are to a plain folder (`datalad get -r .`, `cp -rL`), and name that"
        )


def import_files(source, folder, name, only=None):
    """Make a dataset in `folder` that knows the files of a folder, or one file, and copies none.

    `name`, of `WANTED`, decides which files are wanted; `only` is a pattern of contrast images' names without ending.
    """
    source = Path(source)
    # Blanks and brackets end a pattern where git-annex reads it.
    if source.is_file():
        names = list_parts(source, name)
        source, patterns = source.parent, [re.sub(r"[^\w.-]", "?", each) for each in names]
    else:
        names, stem = [], re.sub(r"[\s()]", "?", only or "*") if name == "contrasts" else "*"
        patterns = [f"{place}{stem}{ending}" for ending in WANTED[name] for place in ("", "*/")]
    files = find_wanted(source, patterns, "correct the path, or convert the files (a spreadsheet: save it as CSV)")
    if names and (others := {str(file) for file in files} - set(names)):
        raise InputError(
            f"{source / min(others)}: git-annex cannot tell its name from {names[0]}, where a blank or sign stands for "
            "any; expected one such file; rename one"
        )
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


def list_parts(path, name):
    """List the names of the files that one file stands for: an image may consist of several; stop at any other."""
    if path.is_symlink():
        annexed = "/.git/annex/" in str(path.resolve())
        expected = "its dataset (the folder)" if annexed else f"the file itself: {path.resolve()}, or a copy (`cp -L`)"
        raise InputError(f"{path}: is a link; expected {expected}")
    if not path.name.lower().endswith(WANTED[name]):
        raise InputError(f"{path}: expected {', '.join(WANTED[name])}; convert it (a spreadsheet: save it as CSV)")
    parts = [path.with_suffix(ending) for ending in (".hdr", ".img", ".mat")]
    return [each.name for each in parts if each.exists()] if path in parts else [path.name]


def find_wanted(source, patterns, fix):
    """List the files below a folder that git-annex takes by patterns; stop at a link, which it leaves out silently.

    There `*` and `?` stand for the separator of folders too; stop at a file that is only taken for this reason. `fix`
    is what to do if nothing is found.
    """
    files, links = [], []
    for parent, folders, names in os.walk(source):
        # Beside one file that is wanted there may be anything.
        below = any("/" in pattern for pattern in patterns)
        folders[:] = [entry for entry in folders if below and not entry.startswith(".")]
        links += [os.path.join(parent, entry) for entry in folders if os.path.islink(os.path.join(parent, entry))]
        for path in (Path(parent, entry).relative_to(source) for entry in names):
            is_wanted = any(fnmatch.fnmatchcase(path.as_posix(), pattern) for pattern in patterns)
            if is_wanted and not path.name.startswith("."):
                (links if (source / path).is_symlink() else files).append(path)
    if links:
        raise InputError(
            f"{source / links[0]} is a link, one of {len(links)} below {source}; expected files themselves; name the "
            "folder they lie in, or copy them (`cp -rL`)"
        )
    if not files:
        called = ", ".join(pattern for pattern in patterns if "/" not in pattern)
        said = f"holds no file called {called}" if source.is_dir() else "no such folder"
        raise InputError(f"{source}: {said}; {fix}")
    if others := [file for file in files if not any(file.match(pattern) for pattern in patterns)]:
        raise InputError(
            f"{source}: ONLY= fits the folder of {others[0]}, one of {len(others)} files that would be taken along; "
            "expected a pattern of images' names that fits no folder, such as '*_con_*'"
        )
    unreadable = [source / file for file in files if not os.access(source / file, os.R_OK)]
    if unreadable:
        raise InputError(
            f"{unreadable[0]}: may not be read by you, one of {len(unreadable)}; `chmod u+r` it, or ask its owner"
        )
    return files


def require_source(folder):
    """Return whether a dataset was made from a folder's files; stop if these are there no more."""
    source = git("config", f"remote.{OWNER}.annex-directory", root=folder, check=False)
    if source:
        patterns = re.findall(r"include=([^ )]+)", git("annex", "wanted", OWNER, root=folder))
        move = f"`git -C {folder.relative_to(ROOT)} annex enableremote {OWNER} directory=NEW`"
        find_wanted(Path(source), patterns, f"mount the disk it is on; if it was moved, name its new place: {move}")
    return bool(source)


def take_up_changes(folder):
    """Record the present files of the folder that a dataset was made from; return whether its commit changed."""
    before = git("rev-parse", "HEAD", root=folder)
    git("annex", "import", "main", "--quiet", "--from", OWNER, "--no-content", root=folder)
    git("merge", "--quiet", "--no-edit", "--allow-unrelated-histories", f"{OWNER}/main", root=folder)
    git("annex", "merge", "--quiet", root=folder)
    return git("rev-parse", "HEAD", root=folder) != before


def dataset_id(path):
    """Return DataLad's id of a dataset, "" if it has none."""
    return git("config", "--file", ".datalad/config", "datalad.dataset.id", root=path, check=False)
