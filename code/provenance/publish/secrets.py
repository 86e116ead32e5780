"""Know the participants' names and the private places, and find them in what is about to go: the second net.

Names come from every table of every input dataset that is here, also from datasets put aside for another branch, with
the participants that a study excludes, and from the names of images. A short name or a bare number is in every table;
it counts only behind a word such as ``participant``.
"""

import csv
import json
import os
import re
import socket
import string
import sysconfig
import tomllib
from contextlib import suppress
from functools import cache
from getpass import getuser
from pathlib import Path

from errors import InputError
from files import TABLE_ENDINGS
from provenance.annex.own_dataset import IMAGES
from provenance.publish.contents import normalise, read_texts
from provenance.publish.store import place_in_store
from provenance.repository import ROOT, git, git_folder, input_datasets, object_ids

ID = "participant_id"
PARTICIPANTS = ("behavior", "contrasts")  # the input datasets that concern them
# Columns of tables whose column of ids no params name.
ID_COLUMN = re.compile(r"(participant|subject|patient|proband|name)s?(_?(id|name|code))?", re.IGNORECASE)
EXAMPLE = re.compile(r"sub-[0-9]+")  # the form of the stand-in's ids, which documents and code show
LIKE_AN_ID = re.compile(r"(?<![a-z0-9])sub-[a-z]*[0-9][a-z0-9]*")  # as BIDS labels participants
A_TABLE_OF_IDS = re.compile(
    r'\A(?:[^\n]*[\t,;])?"?participant_id"?(?:[\t,;\r\n]|\Z)|"(?:group|participant_id)"\s*:\s*\['
)
SHORTEST, LONG = 3, 6  # characters of a name, and of one that is not in binary content by chance
WORD = re.compile(r"[^\W\d_]{2,}")
# Logins and hosts that are many people's.
COMMON = {"root", "user", "users", "admin", "guest", "home", "nobody", "test", "tester", "runner", "jovyan", "ubuntu",
          "debian", "docker", "vscode", "data", "localhost"}  # fmt: skip


class Secrets:
    """What is searched for: names of participants, and places, hosts and logins.

    The public store's folder, the open place, may be named. Libraries, whole files of packages, are not searched.
    """

    def __init__(self, names, places=(), open_place="", libraries=()):
        self.libraries = libraries
        names = {normalise(name) for name in names}
        # Long enough, and no bare number, to be looked for wherever it stands.
        long = (name for name in sorted(names) if len(name) >= SHORTEST and any(map(str.isalpha, name)))
        self.names = {name: _word(name) for name in long}
        self.telling = {name: word for name, word in self.names.items() if not EXAMPLE.fullmatch(name)}
        self.beginnings = {_beginning(name) for name in self.names}
        short = "|".join(re.escape(name) for name in sorted(names - self.names.keys() - {""}))
        labels = r"(?:participant|subject|patient|sub)(?:_?id)?[\s\"':=#_-]{1,4}"
        self.labelled = re.compile(rf"\b{labels}(?:{short})(?![a-z0-9])") if short else None
        places = sorted(normalise(place) for place in places if len(place) > SHORTEST)
        self.places = {place: re.compile(_apart(re.escape(place))) for place in places}
        self.open_place = re.compile(re.escape(normalise(open_place)) + r"(?![\w-]|\.\w)") if open_place else None

    def find(self, path, content, is_example=False):
        """Return what in a file must not go, None if nothing.

        In code and documents ids of the form of the synthetic ones are examples.
        """
        content = b"" if content in self.libraries else content
        for text, is_binary in (*read_texts(os.fsencode(path)), *read_texts(content)):
            if found := self._find_name(text, is_binary, is_example) or self._find_place(text, is_binary):
                return found
        return None

    def find_participant(self, text):
        """Return the participant that a text names, whatever ids look like examples, None if there is none."""
        return self._find_name(normalise(text), False, False)

    def _find_name(self, text, is_binary, is_example):
        names = self.telling if is_example else self.names
        # Ids of a study begin alike, so that one look at a text settles most of them.
        here = {beginning for beginning in self.beginnings if beginning in text}
        for name, word in names.items() if here else ():
            seen = _beginning(name) in here and all(part in text for part in _parts(name))
            if seen and (len(name) >= LONG or not is_binary) and word.search(text):
                return f"it names {name}"
        if is_example or is_binary:
            return None
        if "sub-" in text and (found := LIKE_AN_ID.search(text)):
            return f"it names {found.group()}"
        if self.labelled and (found := self.labelled.search(text)):
            return f"it names {found.group()}"
        return "it lists participants" if A_TABLE_OF_IDS.search(text) else None

    def _find_place(self, text, is_binary):
        text = self.open_place.sub("", text) if self.open_place else text
        for place, word in self.places.items():
            if place in text and (len(place) >= LONG or not is_binary) and word.search(text):
                return f"it names a private place ({place})"
        return None


@cache
def _parts(name):
    """Return the words of a name, as of ``jane roe`` and ``jane_roe``; an id such as ``p_14`` is one."""
    words = re.split(r"[\s_.,]+", name)
    return words if all(word.isalpha() and len(word) >= SHORTEST for word in words) else name.split()


def _beginning(name):
    return _parts(name)[0][:4]


def _word(name):
    """Return the pattern of a name; of several words, in any cyclic order or backwards, however they are joined."""
    parts = _parts(name)
    joined = r"[\W_]{0,4}" if all(map(str.isalpha, parts)) else r"(?:[ _.-]|, |\n)?"
    orders = [order[n:] + order[:n] for order in (parts, parts[::-1]) for n in range(len(parts))]
    spelt = "|".join(joined.join(map(re.escape, order)) for order in orders)
    return re.compile(spelt if len(name) >= LONG else _apart(spelt))


def _apart(pattern):
    return rf"(?<![^\W_])(?:{pattern})(?![^\W_])"


def gather_secrets(study, public=None):
    """Gather what is searched for in all that goes, to the folder of a public store or into a crate.

    Stop if the participants' names are not known here.
    """
    _require_known_names(study)
    names, places = gather_names(study), gather_places(public)
    if not names:
        print("the ids of the synthetic participants are not known here: only what looks like sub-01 is found")
    open_place = str(public or "")
    if found := Secrets((), places).find(open_place, b""):
        print(f"note: the public store's own address is published with it, and {found}")
    packages = Path(sysconfig.get_paths()["purelib"])
    libraries = [(packages / path).read_bytes() for path in study.libraries if (packages / path).is_file()]
    return Secrets(names, places, open_place, libraries)


def _require_known_names(study):
    """Stop where the tables that name the participants are not here: nothing could be searched for."""
    for name in PARTICIPANTS:
        folder = ROOT / "inputs" / name
        if f"inputs/{name}" not in input_datasets() or study.rebuilt(name):
            continue
        installed = (folder / ".git").exists()
        absent = [path for path in object_ids(root=folder) if is_table(path)] if installed else []
        absent = [path for path in absent if not (folder / path).exists()]
        if absent or not installed:
            raise InputError(
                f"{'/'.join(['inputs', name, *absent[:1]])} is not here, so that the participants' names, which must "
                "not go, are not known; `make inputs` brings it, or go to the clone that has it"
            )


def gather_names(study):
    """Return the participants' names, as far as tables and images of them are here."""
    columns, patterns = {ID}, []
    branches = git("for-each-ref", "--format=%(refname):code/params.toml", "refs/heads", "refs/remotes").split()
    for params in (*branches, *(f"HEAD:{path}" for path in object_ids("code") if path.endswith(".toml"))):
        try:
            declared = tomllib.loads(git("show", params, check=False))
        except tomllib.TOMLDecodeError:
            declared = {}
        columns.add(study.participant_column(declared))
        patterns += filter(None, [study.image_pattern(declared)])
    names = set()
    for path in object_ids("outputs"):
        if study.is_private(path) and path.endswith(".tsv") and (ROOT / path).exists():
            names |= _names_in_table(ROOT / path, columns)
    for dataset in input_folders():
        paths = list(object_ids(root=dataset))
        for path in paths:
            if is_table(path) and (dataset / path).exists():
                names |= _names_in_table(dataset / path, columns)
        names |= _names_in_paths([path for path in paths if path.endswith(IMAGES)], patterns)
    return names - {"", "n/a"}


def input_folders():
    """List the datasets of participants that are here: in ``inputs``, and put aside for another branch."""
    found = [ROOT / "inputs" / name for name in PARTICIPANTS]
    # A dataset that was put aside is called after the input that it was.
    others = {path.split("/")[1] for path in input_datasets()} - set(PARTICIPANTS)
    aside = [path for path in (git_folder() / "datasets").glob("*") if path.name.partition("-")[0] not in others]
    return [place for place in (*found, *sorted(aside)) if (place / ".git").exists()]


def is_table(path):
    return path.lower().endswith(TABLE_ENDINGS)


def _names_in_table(path, columns):
    text = path.read_bytes().decode("utf-8-sig", errors="replace")
    if path.suffix.lower() == ".json":
        return _names_in_json(text, columns)
    # As the study reads tables: line by line, blank ones passed over, quotes in a TSV as text.
    lines = [line for line in text.splitlines() if line.strip(" \t;,")]
    separator = max("\t;,", key=(lines or [""])[0].count)
    quoting = csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL
    form = {"delimiter": separator, "quoting": quoting, "skipinitialspace": True}
    header, *rows = [row for line in lines for row in csv.reader([line], **form)] or [[]]
    names = [name.strip() for name in header]
    places = [place for place, name in enumerate(names) if name in columns or ID_COLUMN.fullmatch(name)]
    found = {row[place].strip() for row in rows for place in places if len(row) > place}
    return found | {name.strip('"') for name in found}


def _names_in_json(text, columns):
    try:
        content = json.loads(text)
    except json.JSONDecodeError:
        return set()
    found = set()
    for table in content if isinstance(content, list) else [content]:
        for key, values in table.items() if isinstance(table, dict) else ():
            if key == "group" or key in columns:
                values = values if isinstance(values, list) else [values]
                found |= {str(value) for value in values if not isinstance(value, dict)}
    return found


def _names_in_paths(paths, patterns):
    """Return the participants that patterns find in images' names, and words that are not common to all or ordinary."""
    matches = (_id_in_pattern(pattern).fullmatch(path) for pattern in patterns for path in paths)
    found = {match.group(1) for match in matches if match}
    parts = [set(re.split(r"[/._\s]", path)) for path in paths]
    ordinary = {word for path in ("README.md", "docs/own-study.md", "code/params.toml") for word in _words(ROOT / path)}
    ordinary |= {normalise(word) for pattern in patterns for word in WORD.findall(pattern)}
    for part in set().union(*parts) - (set.intersection(*parts) if parts[1:] else set()):
        words = [normalise(word) for word in WORD.findall(part)]
        if EXAMPLE.fullmatch(part) or any(len(word) > SHORTEST and word not in ordinary for word in words):
            found.add(part)
    return found


def _id_in_pattern(pattern):
    """Turn a pattern such as ``{participant_id}/con_{trial:04d}.hdr`` into one that finds the id, of `.img` too."""
    text = ""
    for literal, field, _, _ in string.Formatter().parse(re.sub(r"\.(hdr|img)$", "", pattern)):
        text += re.escape(literal).replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
        text += "" if field is None else "([^/]+?)" if field == ID and "(" not in text else "[^/]+?"
    return re.compile(text + r"(?:\.hdr|\.img)?" if ID in pattern else "(?!)()")


def _words(path):
    return {normalise(word) for word in WORD.findall(path.read_text(encoding="utf-8"))} if path.is_file() else set()


def gather_places(public=None):
    """List the places that git, git-annex and `make own` know here, and this machine's names."""
    found = {str(ROOT)}
    for repository in (ROOT, *input_folders()):
        pattern = r"(url|pushurl|directory|rsyncurl|ora-url|insteadof)$"
        settings = git("config", "--get-regexp", pattern, check=False, root=repository)
        found |= {line.split(" ", 1)[1] for line in settings.splitlines() if " " in line}
        log = git("show", "git-annex:remote.log", check=False, root=repository)
        found |= {place.replace("&32;", " ") for place in re.findall(r"=(\S*[/@]\S*)", log)}
        log = git("show", "git-annex:uuid.log", check=False, root=repository)  # where others have clones
        found |= set(re.findall(r" (\S+@\S+:\S+)", log))
    history = git("log", "--all", "-p", "--format=", "--", ".gitmodules", check=False)
    found |= set(re.findall(r"^\+\s*(?:datalad-)?url\s*=\s*(\S+)", history, flags=re.MULTILINE))
    places = {re.sub(r"^(?:ria\+)?file://", "", url).split("#")[0].rstrip("/") for url in found}
    # The folder on another host is not open either.
    elsewhere = (re.match(r"(?:\w+://[^/\s]*@[^/\s]+|(?:[^/:\s]+@)?[^/:\s]+:)(/[^/\s]+/\S+)", each) for each in places)
    places |= {match.group(1) for match in elsewhere if match}
    places |= {os.path.realpath(place) for place in places if place.startswith("/")}
    in_store = place_in_store().as_posix()
    places |= {str(Path(place).parent.parent) for place in places if place.endswith(in_store)}
    open_places = {str(path) for path in (public, public / in_store)} if public else set()
    ours = {place for place in places - open_places if not re.match(r"https?://[^@/]+(/|$)|\.|$", place)}
    return ours | machine_names()


def machine_names():
    """Return the names by which this machine and its user are known, as far as they are no ordinary words."""
    host, login, home = socket.gethostname(), "", str(Path.home())
    with suppress(KeyError, OSError):  # an account without a name, as in containers
        login = getuser()
    usual = COMMON | set().union(*(_words(ROOT / path) for path in ("README.md", "docs/provenance.md")))
    found = {name for name in (host, login) if normalise(name) not in usual} | {f"{login or 'user'}@{host}"}
    return found | ({home} if len(Path(home).parts) > 2 else set())
