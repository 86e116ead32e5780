"""Make the history of a public store, and its git-annex branch: of what is declared, by nobody in particular.

The store's ``main`` begins with code and documents and goes on with one commit for each result, which holds its run
record. It is the only state: the next publication starts from it, from whichever clone, and only adds to it.
"""

import json
from contextlib import contextmanager
from datetime import datetime

from errors import InputError
from provenance.annex.dataset import annex_folders, import_commit, run_neutral
from provenance.annex.integrity import ANNEX_OBJECT, KEY_CHECKSUM
from provenance.annex.setup import NEUTRAL_IDENTITY
from provenance.declare import RECORD
from provenance.publish.declared import GENERATED, MANIFEST, Item, find_owner, format_manifest, is_code, read_items
from provenance.publish.store import CONTENT_ID, UUID, dataset_id
from provenance.records.runs import CLOSING, OPENING, TITLE, parse_record
from provenance.repository import CODE_MESSAGE, ROOT, git, read_blobs, subdataset_setting
from provenance.run.recovery import scratch_folder

AUTHOR = f"{NEUTRAL_IDENTITY['user.name']} <{NEUTRAL_IDENTITY['user.email']}>"
STORAGE = "public-storage"
DESIGNS = ("full", "small")  # of inputs that are built here


@contextmanager
def scratch_repository(store):
    """Give a bare repository that knows this one's objects and the store's ``main``, and nothing else of either."""
    with scratch_folder("publish") as scratch:
        run_neutral(scratch, "git", "init", "--quiet", "--bare", "--template=", "--initial-branch=main")
        objects = ROOT / git("rev-parse", "--git-path", "objects")
        (scratch / "objects/info").mkdir(exist_ok=True)
        (scratch / "objects/info/alternates").write_text(f"{objects.resolve()}\n")
        if store.tip:
            run_neutral(scratch, "git", "fetch", "--quiet", "--no-tags", str(store.dataset), "+main:refs/heads/main")
        yield scratch


def require_published(scratch, study, store):
    """Stop if the store's ``main`` is no history that this package made."""
    if not store.tip:
        return
    odd = set(run_neutral(scratch, "git", "log", "--format=%an <%ae>%n%cn <%ce>", "main").splitlines()) - {AUTHOR}
    for message in run_neutral(scratch, "git", "log", "-z", "--format=%B", "main").split("\0"):
        message = message.strip("\n")
        record = parse_record(message)
        if message not in ("", CODE_MESSAGE) and (record is None or message != write_message(record, message)):
            odd.add(message.splitlines()[0])
    paths = run_neutral(scratch, "git", "log", "--format=", "--name-only", "-z", "-m", "--root", "main").split("\0")
    odd |= {path.strip("\n") for path in paths if study.is_private(path.strip("\n"))}
    if odd:
        raise InputError(
            f"{store.folder} holds a history that `make publish` did not make ({sorted(odd)[0]}); strangers may have "
            "it already: publish to a new folder, and take this one away if it must not be seen"
        )


def add_commits(scratch, study, cells, declared, base):
    """Write what is new to ``main``, which has the files of `base`; return the subjects of the commits."""
    head = read_items()
    tree = _with_code(scratch, study, cells, declared, base, head)
    stream = []
    if tree != base:
        first = next((run.date for _, run, _ in declared.results), git("log", "-1", "--format=%cI"))
        stream.append((CODE_MESSAGE, first, dict(tree)))
    for cell, run, files in declared.results:
        old = {path for path in tree if (owner := find_owner(path, cells)) and owner.folder == cell.folder}
        following = {path: item for path, item in tree.items() if path not in old} | files
        if {path: item.id for path, item in following.items()} != {path: item.id for path, item in tree.items()}:
            record = {"cmd": cell.command, "inputs": list(cell.reads), "outputs": [cell.folder]}
            stream.append((write_message(record, TITLE + cell.name), run.date, following))
        tree = following
    _import(scratch, stream, "refs/heads/main^0" if base else None)
    return [message.splitlines()[0] for message, _, _ in stream]


def _with_code(scratch, study, cells, declared, base, head):
    """Return the next tree of the store, still with the results that it has."""
    tree = {}
    for path, item in base.items():
        owner = find_owner(path, cells)
        stays = path in head if owner is None else f"{owner.folder}/{RECORD}" in head
        if stays and not study.is_private(path) and path not in GENERATED and item.mode != "160000":
            tree[path] = item  # the present content may not go; the former did
    tree |= {path: Item(item.mode, item.id) for path, item in (declared.code | declared.named).items()}
    linked = (path for path, item in base.items() if item.mode == "160000" and path in head)
    known = {path: head[path] for path in linked if head[path].mode == "160000"}
    links = known | declared.inputs
    listed = {path: item.id for path, item in tree.items() if is_code(path) and item.mode != "120000"}
    written = {
        ".datalad/config": f'[datalad "dataset"]\n\tid = {dataset_id()}\n',
        ".gitmodules": "".join(_describe_input(study, path) for path in sorted(links)),
        MANIFEST: format_manifest(listed),
    }
    for path, text in written.items():
        id_ = run_neutral(scratch, "git", "hash-object", "-w", "--stdin", stdin=text.encode()).strip()
        tree[path] = Item("100644", id_)
    return tree | links


def _describe_input(study, path):
    """Return the entry of an input dataset without an address, but for one that the study builds itself."""
    name = path.split("/")[1]
    id_, design = (subdataset_setting(path, key) for key in ("datalad-id", "facepain-design"))
    values = {"path": path, "update": "none"} | ({"datalad-id": id_} if UUID.fullmatch(id_) else {})
    if study.rebuilt(name):
        values |= {"url": f"./{path}"} | ({"facepain-design": design} if design in DESIGNS else {})
    return f'[submodule "{path}"]\n' + "".join(f"\t{key} = {value}\n" for key, value in values.items())


def write_message(record, title):
    """Return the message of a run as DataLad writes it, of a first run that ended well."""
    record = {
        "chain": [], "cmd": record["cmd"], "dsid": dataset_id(), "exit": 0, "extra_inputs": [],
        "inputs": record["inputs"], "outputs": record["outputs"], "pwd": ".",
    }  # fmt: skip
    text = json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False)
    return "\n".join((title.splitlines()[0], "", OPENING, text, CLOSING))


def _import(scratch, commits, parent):
    """Write commits, each of a whole tree, to ``main``."""
    stream = []
    for message, date, tree in commits:
        seconds = int(datetime.fromisoformat(date).timestamp())
        stream += ["commit refs/heads/main", f"committer {AUTHOR} {seconds} +0000"]
        stream += [f"data {len(message.encode())}", message]
        stream += [f"from {parent}"] if parent else []
        stream.append("deleteall")
        for path, item in tree.items():
            quoted = '"' + path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
            stream.append(f"M {item.mode} {item.id} {quoted}")
        parent = None  # the commit before
    run_neutral(scratch, "git", "fast-import", "--quiet", stdin="\n".join([*stream, ""]).encode())


def published_keys(scratch):
    """Return the keys of all annexed files of ``main``, of any time."""
    if not run_neutral(scratch, "git", "for-each-ref", "refs/heads/main"):
        return set()
    # Links and pointers are short.
    listing = run_neutral(scratch, "git", "rev-list", "--objects", "--filter=blob:limit=1000", "main")
    contents = read_blobs({line.split(" ")[0] for line in listing.splitlines()}, scratch)
    found = (ANNEX_OBJECT.search(content) for content in contents.values())
    return {key for match in found if match and KEY_CHECKSUM.match(key := match.group(1).decode())}


def write_annex_branch(scratch, store, keys):
    """Write a git-annex branch that knows the public storage and what is in it."""
    uuid = store.setting(CONTENT_ID)
    remote = {
        "archive-id": dataset_id(), "autoenable": "true", "encryption": "none", "externaltype": "ora",
        "name": STORAGE, "type": "external", "url": store.address.replace(" ", "&32;"), "timestamp": "1s",
    }  # fmt: skip
    files = {
        "uuid.log": f"{uuid} {STORAGE} timestamp=1s\n",
        "remote.log": f"{uuid} {' '.join(f'{key}={value}' for key, value in remote.items())}\n",
    }
    for key, folder in annex_folders(scratch, keys, "hashdirlower"):
        files[f"{folder}{key}.log"] = f"1s 1 {uuid}\n"
    tree = [("100644", path, text.encode()) for path, text in files.items()]
    import_commit(scratch, "git-annex", f"{AUTHOR} 0 +0000", "update", tree)


def push(scratch, store):
    """Send both branches, together or not at all, and take away what no branch of the store leads to."""
    refs = ["refs/heads/main:refs/heads/main", "+refs/heads/git-annex:refs/heads/git-annex"]
    options = ("--quiet", "--atomic", "--no-verify", "--no-follow-tags")
    run_neutral(scratch, "git", "push", *options, str(store.dataset), *refs)
    run_neutral(store.dataset, "git", "symbolic-ref", "HEAD", "refs/heads/main")
    run_neutral(store.dataset, "git", "gc", "--quiet", "--prune=now")
