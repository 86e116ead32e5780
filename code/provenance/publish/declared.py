"""Decide what may leave this repository: what is declared, and nothing else.

Code and documents go with the content that ``code/manifest.tsv`` gives them, files that the owner named with the one
in ``code/publish.toml``, and group-level results as their run left them. All is read as it is committed.
"""

import json
import re
import tomllib
from dataclasses import dataclass, field, replace

from errors import InputError
from provenance.annex.integrity import ANNEX_OBJECT, KEY_CHECKSUM, broken_files, is_here
from provenance.annex.setup import RESULT_ENDINGS
from provenance.declare import RECORD
from provenance.publish.secrets import PARTICIPANTS
from provenance.records.freshness import FRESH, assess_records
from provenance.records.runs import last_run
from provenance.repository import ROOT, git, read_blobs, read_tree

MANIFEST, NAMED, NOTICE = "code/manifest.tsv", "code/publish.toml", "PRIVATE.md"
ABOUT = ("README.md", "CITATION.cff")  # these of the project say what its synthetic study found
# Written again for each recipient.
GENERATED = (".datalad/config", ".gitmodules", MANIFEST)
RESULTS = ("outputs/", "figures/")


@dataclass(frozen=True)
class Item:
    """A file: as git keeps it; its key if it is annexed; why it cannot go, whatever is declared."""

    mode: str
    id: str
    key: str | None = None
    obstacle: str | None = None


@dataclass
class Declared:
    """What goes and what stays, by path."""

    code: dict = field(default_factory=dict)  # items: code and documents of the manifest
    named: dict = field(default_factory=dict)  # items: files that the owner named
    inputs: dict = field(default_factory=dict)  # items: datasets that these results read, or that everybody can build
    results: list = field(default_factory=list)  # tuples (Cell, RunRecord, items by path)
    private: dict = field(default_factory=dict)  # number of participant-level files by folder
    stays: dict = field(default_factory=dict)  # reasons, of what else stays

    @property
    def files(self):
        """Everything that goes, by path."""
        return self.code | self.named | {path: item for _, _, files in self.results for path, item in files.items()}


def write_manifest():
    """Declare the code and documents of this working tree."""
    if (ROOT / NOTICE).exists():
        raise InputError(f"this branch is your own study: name files in {NAMED}, one by one, see docs/publishing.md")
    ids = list_code()
    (ROOT / MANIFEST).write_text(format_manifest(ids), encoding="utf-8", newline="\n")
    print(f"{MANIFEST}: {len(ids)} files; commit it, and they are declared to be public")


def list_code():
    """Return the object ids of the tracked files of the working tree that are neither results nor written again."""
    tracked = git("ls-files", "-z", "--stage").split("\0")
    paths = [entry.split("\t", 1)[1] for entry in filter(None, tracked) if entry.startswith("100")]
    paths = [path for path in paths if is_code(path) and (ROOT / path).is_file()]
    ids = git("hash-object", "--no-filters", "--stdin-paths", lines=paths).split()
    return dict(zip(paths, ids, strict=True))


def is_code(path):
    return not path.startswith((*RESULTS, "inputs/")) and path not in (*GENERATED, NAMED, NOTICE)


def format_manifest(ids):
    return "path\tid\n" + "".join(f"{path}\t{id_}\n" for path, id_ in sorted(ids.items()))


def read_declarations(tree):
    """Return the object ids that the manifest and the owner give to paths of a tree of items, as committed."""
    manifest = git("show", f"HEAD:{MANIFEST}", check=False)
    listed = dict(line.split("\t") for line in manifest.splitlines()[1:] if line.count("\t") == 1)
    expected = f"expected a table [files] with a line such as {name_line('docs/a.md', 'ID')}"
    try:
        tables = tomllib.loads(git("show", f"HEAD:{NAMED}", check=False))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{NAMED}: {error}; {expected}") from None
    for name, table in tables.items():
        if name != "files" or not isinstance(table, dict):
            raise InputError(f"{NAMED}: {name} is not a table [files]; {expected}")
    named = tables.get("files", {})
    for path, id_ in named.items():
        if path not in tree or tree[path].mode == "160000" or path in (*GENERATED, NAMED, NOTICE):
            raise InputError(
                f"{NAMED} names {path}, which is no committed file that can be published; write its path from the root "
                "of the repository as `git ls-files` does, or remove that line"
            )
        if not isinstance(id_, str) or not re.fullmatch("[0-9a-f]{40}", id_):
            raise InputError(
                f"{NAMED}: {path} = {id_!r}; expected the object id that `git rev-parse HEAD:{path}` prints"
            )
    return listed, named


def name_line(path, id_):
    return f'"{path}" = "{id_}"'


def read_items(revision="HEAD", root=ROOT):
    """Return every file and subdataset at a revision, by path."""
    return {path: Item(*entry) for path, entry in read_tree(revision=revision, root=root).items()}


def find_declared(study, cells, secrets, is_stored=lambda key: False, published=None):
    """Sort the files of HEAD into those that go and those that stay.

    `is_stored` takes a key and returns whether its content is at the other end already; `published` is what strangers
    have already, by path: it was searched before it went.
    """
    found = Declared()
    candidates, owners, datasets = {}, {}, {}
    tree = read_items()
    listed, named = read_declarations(tree)
    is_own = not all(map(study.rebuilt, PARTICIPANTS))
    for path, item in tree.items():
        if path in (*GENERATED, NAMED, NOTICE):
            continue
        if item.mode == "160000":
            datasets[path] = item
            continue
        if study.is_private(path):
            if path in named:
                raise InputError(f"{NAMED} names {path}, which is participant level and never goes; remove that line")
            folder = path.rsplit("/", 1)[0]
            found.private[folder] = found.private.get(folder, 0) + 1
            continue
        owners[path] = find_owner(path, cells)
        if path in ABOUT and is_own and item.id == listed.get(path) != named.get(path):
            found.stays[path] = f"describes the synthetic study; write your own and name it in {NAMED}"
        elif owners[path] or item.id in (listed.get(path), named.get(path)):
            candidates[path] = item
        elif path in named:
            found.stays[path] = f"another content than the one that {NAMED} names: {name_line(path, item.id)}"
        elif path in listed:
            found.stays[path] = f"changed; to let it go, add below [files] in {NAMED}: {name_line(path, item.id)}"
        else:
            found.stays[path] = "not declared"
    look = _Look(candidates, secrets, is_stored, published or {})
    for path in (path for path in candidates if not owners[path]):
        is_project = listed.get(path) == candidates[path].id
        if reason := look.obstacle(path, is_project):
            found.stays[path] = reason
        else:
            (found.code if is_project else found.named)[path] = look.items[path]
    states = assess_records(cells, {path: item.id for path, item in tree.items()})
    for cell in cells:
        files = [path for path in candidates if owners[path] is cell]
        if reason := _why_cell_stays(found, cell, files, states[cell.name], look):
            found.stays[cell.name] = reason
        else:
            found.results.append((cell, last_run(cell), {path: look.items[path] for path in files}))
    read = {path for cell, _, _ in found.results for path in cell.reads}
    for path, item in datasets.items():
        if path in read or (path.startswith("inputs/") and study.rebuilt(path.split("/")[1])):
            found.inputs[path] = item
        else:
            found.stays[path] = "a dataset that no result in this list reads"
    return found


def find_owner(path, cells):
    """Return the cell in whose folder a path lies, the nearest one, None if there is none."""
    return max((cell for cell in cells if cell.owns(path)), key=lambda cell: len(cell.folder), default=None)


def _why_cell_stays(found, cell, files, state, look):
    record = f"{cell.folder}/{RECORD}"
    if record not in files:
        return "never made"
    # A fresh one was changed last by its own run, in a whole history: its files are what that run made.
    if state.state != FRESH:
        return f"{state.state}: {state.reasons[0]}"
    goes = found.code | found.named
    params = cell.options.params
    needed = json.loads(look.contents[record])["code"] | {params: getattr(look.items.get(params), "id", None)}
    if withheld := [path for path, id_ in needed.items() if path not in goes or goes[path].id != id_]:
        return f"{withheld[0]}, which made it, does not go"
    if foreign := [path for path in files if not path.endswith(RESULT_ENDINGS)]:
        return f"{foreign[0]} is of no kind that stages write"
    reasons = ((path, look.obstacle(path)) for path in files)
    return next((f"{path}: {reason}" for path, reason in reasons if reason), None)


class _Look:
    """A look into files of HEAD: what they hold, and what of that must not go."""

    def __init__(self, items, secrets, is_stored, published):
        self.secrets, self.published = secrets, published
        git_contents = read_blobs({item.id for item in items.values()})
        self.contents = {path: git_contents[item.id] for path, item in items.items()}
        self.items = {path: self._describe(path, item, is_stored) for path, item in items.items()}
        annexed = [path for path, item in self.items.items() if item.key and not item.obstacle and is_here(ROOT / path)]
        for path in broken_files(annexed):
            raise InputError(f"{path}: its content does not fit its checksum; `make all` makes it again")
        self.here = set(annexed)

    def _describe(self, path, item, is_stored):
        if item.mode not in ("100644", "100755", "120000"):
            return replace(item, obstacle="no file")
        content = self.contents[path]
        link = ANNEX_OBJECT.search(content[:4000])
        if item.mode != "120000" and not (link and content.startswith(b"/annex/objects/")):
            return item
        if not link:
            return replace(item, obstacle="a link")
        item = replace(item, key=link.group(1).decode())
        form = re.fullmatch(KEY_CHECKSUM.pattern + r"(\.[\w.]*)?", item.key)
        if not form or not path.endswith(form.group(3) or ""):
            return replace(item, obstacle=f"its key {item.key} is not made of a checksum and the ending of this name")
        if not is_here(ROOT / path) and not is_stored(item.key):
            return replace(item, obstacle="its content is not in this clone")
        return item

    def obstacle(self, path, is_example=False):
        """Say why a file cannot go, None if it can."""
        if self.items[path].obstacle:
            return self.items[path].obstacle
        if path in self.published and self.published[path].id == self.items[path].id:
            return None
        content = self.contents[path]
        if self.items[path].key:
            content = (ROOT / path).read_bytes() if path in self.here else b""
        return self.secrets.find(path, content, is_example)
