"""Declare a study: its stages, the results that they make (cells), and what this library has to know of both.

A cell is one result: a stage with the names that it is run for, such as ``regress M1 lasso``. It is one command, run by
one ``datalad run``, and owns one output folder. Everything that runs, compares, explains, exports or publishes results
goes by what is declared here; what is not declared cannot run.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path

from errors import InputError, suggest

RECORD = "inputs.json"  # what a result was made from, beside it
PARAMS = "code/params.toml"


@dataclass(frozen=True)
class Options:
    """Choices of one run that change results, and so stand in the recorded command.

    `params` is the path of the params file from the root; `values` stand in place of numbers in it, by the name of the
    option, such as ``n_permutations``.
    """

    params: str = PARAMS
    values: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Cost:
    """What a cell takes, roughly: seconds of one core, bytes of memory at most, and cores that it can make use of."""

    seconds: float
    memory: float
    cores: int = 1


@dataclass(frozen=True)
class Stage:
    """One stage: the script ``code/<name>.py`` and what its cells read, see and write.

    `names`, `reads` and `settings` are functions of the params; `reads` and `settings` also of a cell's names.
    """

    name: str
    about: str  # what it serves to do: an infinitive with its object
    reads: Callable  # the paths from the root that the script reads
    settings: Callable  # the part of the params that the script gets to see
    arguments: tuple = ()  # of the script on the command line, such as ("mask", "algorithm")
    names: Callable = lambda params: [()]  # the arguments of every cell in order, as tuples
    table: type | None = None  # pydantic model of the stage's table in the params
    # Of the command, each with the dotted key of the setting that it replaces; an empty key for options that only
    # concern the results that are shown.
    options: dict = field(default_factory=dict)
    folder: str = ""  # that the cells' folders lie in; outputs/<name> by default
    private: tuple = ()  # patterns of participant-level files, below a cell's folder
    public: tuple = ()  # names among these that are group level after all
    sources: tuple = ()  # files of a cell that the report's numbers come from; empty where it shows nothing of it
    cost: Callable = lambda settings, *size: Cost(20, 1e9)  # of a cell, by its settings and `Study.size`
    shows: bool = False  # other cells' results: it reads their records too, and makes do with the results there are

    def __post_init__(self):
        for name in ("arguments", "private", "public", "sources"):
            if isinstance(value := getattr(self, name), str):  # as a tuple it would be its letters
                raise InputError(f'stage {self.name}: {name}=("{value}") is a text; expected a tuple: ("{value}",)')

    @property
    def script(self):
        return f"code/{self.name}.py"

    @property
    def form(self):
        """The form of its commands, such as ``python code/regress.py MASK ALGORITHM``."""
        return " ".join(("python", self.script, *map(str.upper, self.arguments)))

    @property
    def place(self):
        return self.folder or f"outputs/{self.name}"

    def is_private(self, name):
        """Return whether a file, below a cell's folder, is participant level.

        Records never are. Fingerprints describe the participant-level files too.
        """
        if name == RECORD or name in self.public or not self.private:
            return False
        return name.startswith("fingerprints.") or any(fnmatchcase(name, pattern) for pattern in self.private)


@dataclass(frozen=True)
class Cell:
    """One result folder and what it takes to make it."""

    declared: Stage
    names: tuple  # arguments of the script
    reads: tuple  # paths from the root
    settings: dict  # the part of the params that the script gets to see
    options: Options = Options()
    machinery: tuple = ()  # as of `Study`
    shown: tuple = ()  # of one that shows results: the cells that compute what it reads
    state: str = "fresh"  # of one that is shown, or ``stale`` or ``absent``; known when what shows it runs

    @property
    def stage(self):
        return self.declared.name

    @property
    def script(self):
        return self.declared.script

    @property
    def name(self):
        return " ".join((self.stage, *self.names))

    @cached_property
    def folder(self):
        """The folder that the cell owns, from the root."""
        return "/".join((self.declared.place, *self.names))

    @property
    def inputs(self):
        """The input datasets that the cell reads, each as a whole, by path from the root."""
        return sorted({"/".join(read.split("/")[:2]) for read in self.reads if read.startswith("inputs/")})

    @property
    def command(self):
        """The command as it is recorded: relative and bare."""
        flags = ["--params", self.options.params] if self.options.params != PARAMS else []
        for option, value in self.options.values.items():
            if option in self.declared.options:
                flags += [f"--{option.replace('_', '-')}", str(value)]
        return " ".join(("python", self.script, *self.names, *flags))

    def owns(self, path):
        """Return whether a path, from the root, lies in the cell's folder."""
        return path.startswith(self.folder + "/")

    def is_read(self, path):
        """Return whether the cell reads a path: it is named, or lies in a named folder.

        The record of an upstream cell is not read, what matters of it are its results; but what shows results shows
        their settings and commands too. Of a folder that it shows, it reads the group-level files.
        """
        if path.endswith("/" + RECORD) and not self.declared.shows:
            return False
        if path in self.reads:
            return True
        in_folder = path.startswith(self._folders)
        return in_folder and not any(other.owns(path) and other.is_private(path) for other in self.shown)

    @cached_property
    def _folders(self):
        return tuple(f"{read}/" for read in self.reads)

    def is_private(self, path):
        """Return whether one of the cell's files is participant level; records never are."""
        return self.declared.is_private(path.removeprefix(self.folder + "/"))


@dataclass(frozen=True)
class Study:
    """A study and its stages."""

    stages: tuple  # in an order in which each finds what it reads; those that show results come after all others
    load_params: Callable  # takes the path of a params file, returns its settings, checked
    # Beginnings of the paths of code that runs stages and computes nothing of a result: a better message there must not
    # rerun every model.
    machinery: tuple = ("code/provenance/",)
    rebuilt: Callable = lambda name: False  # whether `rebuild` makes the input dataset of a name
    rebuild: Callable | None = None  # takes a folder and names of input datasets, and builds these there
    size: Callable = lambda: (0, 0, 0)  # numbers of trials, of participants, and of voxels of the largest mask
    # Takes a folder of results; returns what in it contradicts itself, as tuples of a file's name and a sentence.
    contradictions: Callable = lambda folder: []
    # These take the params as they stand in the file, perhaps incomplete.
    participant_column: Callable = lambda params: "participant_id"  # of participants' ids in the tables
    image_pattern: Callable = lambda params: None  # of images' names, None if there is none
    libraries: tuple = ()  # files of installed packages, below their folder, that results hold as they are: name nobody

    def stage(self, name):
        """Return a stage by its name."""
        known = {stage.name: stage for stage in self.stages}
        if name not in known:
            raise InputError(f'"{name}" is not a stage; expected one of {", ".join(known)}{suggest(name, known)}')
        return known[name]

    def cells(self, options=Options()):
        """List every cell, in an order in which each finds what it reads."""
        params = self.load_params(Path(options.params))
        cells = []
        for stage in sorted(self.stages, key=lambda stage: stage.shows):
            cells += [self._make_cell(stage, params, options, names, cells) for names in stage.names(params)]
        return cells

    def cell(self, options, stage_name, *names):
        """Return one cell; stop if the study has no such one."""
        stage = self.stage(stage_name)
        known = {cell.names: cell for cell in self.cells(options) if cell.stage == stage_name}
        for place, name in enumerate(names):
            allowed = list(dict.fromkeys(each[place] for each in known))
            if name not in allowed:
                raise InputError(
                    f'{stage_name} {" ".join(names)}: the {stage.arguments[place]} "{name}" is unknown; '
                    f"expected one of {', '.join(allowed)}{suggest(name, allowed)}"
                )
        if names not in known:
            raise InputError(f"{' '.join((stage_name, *names))} is not a result of this study")
        return known[names]

    def _make_cell(self, stage, params, options, names, others):
        settings = stage.settings(params, *names)
        for option, value in options.values.items():
            if stage.options.get(option):
                settings = replace_setting(settings, stage.options[option].split("."), value)
        reads = tuple(stage.reads(params, *names))
        computed = (other for other in others if not other.declared.shows and stage.shows)
        shown = tuple(other for other in computed if any(_touches(read, other) for read in reads))
        return Cell(stage, tuple(names), reads, settings, options, self.machinery, shown)

    def is_private(self, path):
        """Return whether a path, from the root, is participant level, whatever the params name."""
        if path.endswith("/" + RECORD):
            return False
        for stage in self.stages:
            if path.startswith(stage.place + "/"):
                parts = path.removeprefix(stage.place + "/").split("/")
                name = "/".join(parts[len(stage.arguments) :]) or parts[-1]
                if stage.is_private(name):
                    return True
        return False


def replace_setting(settings, keys, value):
    """Return nested settings with one of them replaced."""
    first, *rest = keys
    return {**settings, first: replace_setting(settings[first], rest, value) if rest else value}


def upstream(cell, cells):
    """Return the cells of a list that write what a cell reads."""
    return [other for other in cells if other is not cell and any(_touches(read, other) for read in cell.reads)]


def _touches(read, cell):
    folder = cell.folder
    return read == folder or read.startswith(folder + "/") or folder.startswith(read + "/")
