"""Publish what is declared to a public store, and on request everything to a private one.

One list says what goes, with every text in it that is not this project's own, what stays and why; then it asks.
"""

import json
import os
import re
import sys

from errors import InputError
from provenance.annex.setup import set_for_children
from provenance.declare import RECORD
from provenance.publish import history
from provenance.publish import store as stores
from provenance.publish.contents import normalise
from provenance.publish.declared import find_declared, read_items
from provenance.publish.secrets import WORD, gather_secrets
from provenance.repository import ROOT, datalad, git_folder, read_blobs, require_clean_tree, write_whole

SHOWN = 12  # reasons to stay; all are in the table
TEXTS, LONGEST = 60, 100  # shown of them, and characters of each
TEXTS_FILE = "publication-texts.txt"  # in .git/facepain
NUMBER = re.compile(r"[-+.\d\s%e]*")
OBJECT_ID = re.compile(r"`?[0-9a-f]{12,64}`?")


def publish(study, cells, to, private, agreed):
    """List what goes and what stays, ask unless `agreed` is "1", then create or update the stores.

    `to` and `private` are ``ria+file://`` and a folder, or the name of a sibling. Nothing is sent if a store is none
    that this package made and keeps, or nobody agreed.
    """
    if not to:
        raise InputError("TO= is missing; name the public store: make publish TO=ria+file:///some/folder")
    public, safe = stores.find_store("TO", to), stores.find_store("PRIVATE", private) if private else None
    if safe:
        stores.require_apart(public, safe)
        stores.require_audience(safe, stores.PRIVATE)
    stores.require_audience(public, stores.PUBLIC)
    require_clean_tree(notes=True)
    secrets = gather_secrets(study, public.folder)
    with history.scratch_repository(public) as scratch:
        history.require_published(scratch, study, public)
        stored = public.keys
        published = read_items("main", scratch) if public.tip else {}
        declared = find_declared(study, cells, secrets, stored.__contains__, published)
        sources = {
            item.key: ROOT / path for path, item in declared.files.items() if item.key and item.key not in stored
        }
        stores.require_nothing_else(
            public, {item.key for item in declared.files.values()} | history.published_keys(scratch)
        )
        commits = history.add_commits(scratch, study, cells, declared, published)
        print("\n".join(describe(declared, commits, published)), flush=True)
        write_table(declared)
        require_agreement(agreed)
        stores.create(public)
        public.setting(stores.AUDIENCE, stores.PUBLIC)
        name = stores.configure_sibling(public)  # guarded before anything is in it
        stores.place_content(public, sources)
        history.write_annex_branch(scratch, public, sorted(public.keys & history.published_keys(scratch)))
        history.push(scratch, public)
    print(
        f"public: {len(commits)} commit(s) and the content of {len(sources)} file(s) sent; "
        f"sibling {name}, {public.clone_command}"
    )
    if safe:
        send_everything(safe)


def describe(declared, commits, published):
    """Say what goes and what stays, in a few lines; named files in full."""
    news = [subject.removeprefix("[DATALAD RUNCMD] ") for subject in commits]
    lines = ["goes:"]
    if history.CODE_MESSAGE in news:
        lines.append(f"  {len(declared.code)} files of code and documents, as code/manifest.tsv lists them")
    new = [(cell, files) for cell, _, files in declared.results if cell.name in news]
    lines += [f"  {cell.name}: {len(files)} file(s) of {cell.folder}" for cell, files in new]
    for path, item in declared.named.items():
        if path not in published or published[path].id != item.id:
            content = read_content(path, item, read_blobs([item.id]))
            text = content.decode(errors="ignore")
            text = text if text.encode() == content and "\0" not in text else f"({len(content)} bytes)"
            lines += [f"  {path}, which code/publish.toml names:", *(f"    | {line}" for line in text.splitlines())]
    texts = foreign_texts(declared, new)
    if texts:
        place = git_folder() / TEXTS_FILE
        write_whole(place, "".join(f"{text}\n" for text in texts))
        shown = [text if len(text) <= LONGEST else f"{text[:LONGEST]}\N{HORIZONTAL ELLIPSIS}" for text in texts[:TEXTS]]
        lines.append(f"  texts in these results that are not in the code: {', '.join(shown)}")
        if shown != texts:
            lines.append(f"  all {len(texts)}, in full: {os.path.relpath(place, ROOT)}")
    if not news:
        lines.append("  nothing new")
    lines.append("stays:")
    if declared.private:
        places = sorted({"/".join(folder.split("/")[:2]) for folder in declared.private})
        lines.append(f"  participant level: {sum(declared.private.values())} files in {', '.join(places)}")
    reasons = [f"  {path}: {reason}" for path, reason in declared.stays.items()]
    return [*lines, *reasons[:SHOWN], *([f"  and {len(reasons) - SHOWN} more"] if reasons[SHOWN:] else [])]


def foreign_texts(declared, results):
    """List the texts of some results that hold a word which code and documents do not."""
    code = read_blobs({item.id for item in declared.code.values()}).values()
    known = {word for content in code for word in WORD.findall(normalise(content.decode("utf-8", "ignore")))}
    contents = read_blobs({item.id for _, files in results for item in files.values()})
    found = {}
    for _, files in results:
        for path, item in files.items():
            for text in read_strings(path, read_content(path, item, contents)):
                is_number = NUMBER.fullmatch(text) or OBJECT_ID.fullmatch(text)
                if not is_number and set(WORD.findall(normalise(text))) - known:
                    found[" ".join(text.split())] = None
    return list(found)


def read_content(path, item, blobs):
    return (ROOT / path).read_bytes() if item.key and (ROOT / path).exists() else blobs[item.id]


def read_strings(path, content):
    """Yield the texts of a table, a JSON file, a page or a drawing; not those within scripts and pictures."""
    if not path.endswith((".tsv", ".json", ".md", ".svg", ".html")):
        return
    text = content.decode("utf-8", "ignore")
    if path.endswith(".json"):
        tree = json.loads(text)
        yield from _strings_in(tree["settings"] if path.endswith("/" + RECORD) else tree)
    elif path.endswith((".svg", ".html")):
        text = re.sub(r"(?s)<(script|style)\b.*?</\1>|<!--.*?-->|<[^>]*>", "\n", text)
        yield from filter(None, map(str.strip, text.splitlines()))
    else:
        yield from filter(None, (field.strip() for field in re.split(r"[\t\n|]", text)))


def _strings_in(tree):
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict):
        yield from tree
        tree = list(tree.values())
    for value in tree if isinstance(tree, list) else ():
        yield from _strings_in(value)


def write_table(declared):
    """Write every file with what happens to it and why."""
    rows = [("path", "goes", "reason")]
    rows += [(path, "yes", "") for path in declared.files]
    rows += [(folder, "no", f"participant level, {count} files") for folder, count in declared.private.items()]
    rows += [(path, "no", reason) for path, reason in declared.stays.items()]
    (git_folder() / "publication.tsv").write_text("".join("\t".join(row) + "\n" for row in rows))


def require_agreement(agreed):
    """Ask whether the list may go; stop if the answer is not yes."""
    if agreed == "1":
        return
    if not sys.stdin.isatty():
        raise InputError("nothing was sent; YES=1 agrees to the list above, and a terminal asks")
    if input("Send this? What strangers have cannot be taken back. [y/N] ").strip().lower() not in ("y", "yes"):
        raise InputError("nothing was sent")


def send_everything(store):
    """Send this branch and all content to a private store, as DataLad does."""
    print("private: sending the branch and everything", flush=True)
    name = store.sibling
    set_for_children({"core.hooksPath": os.devnull})  # a branch of one's own refuses to be pushed by accident
    if name is None:
        name = stores.PRIVATE
        known = ["--existing", "reconfigure"] if store.dataset.exists() else ["--new-store-ok"]
        _require_done("create-sibling-ria", "-s", name, "--storage-name", f"{name}-storage", *known, store.address)
    store.setting(stores.AUDIENCE, stores.PRIVATE)
    # Nor is anything sent by git-annex from such a branch.
    set_for_children({f"remote.{each}.annex-readonly": "false" for each in (name, f"{name}-storage")})
    _require_done("push", "--to", name, "--data", "anything")
    print(f"private: sibling {name}, {store.clone_command}")


def _require_done(*command):
    if reason := datalad(*command):
        raise InputError(f"`datalad {command[0]}` failed: {reason}; fix that, then run the same command again")
