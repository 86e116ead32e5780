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

    Attributes
    ----------
    params : str
        Path of the params file from the root.
    values : dict of str to int
        In place of numbers in the params file, by the name of the option, such as ``n_permutations``.
    """

    params: str = PARAMS
    values: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Cost:
    """What a cell takes, roughly: seconds of one core, bytes of memory at most, and cores that it can make use of."""

    seconds: float
    memory: float
    cores: int = 1

    def on(self, n_cores):
        """Return the seconds on so many idle cores."""
        return self.seconds / min(self.cores, n_cores)


@dataclass(frozen=True)
class Stage:
    """One stage: the script ``code/<name>.py`` and what its cells read, see and write.

    Attributes
    ----------
    name : str
    about : str
        What it does, in a few words.
    arguments : tuple of str
        Arguments of the script on the command line, such as ``("mask", "algorithm")``.
    names : callable
        Takes the params, returns the arguments of every cell in order, as tuples.
    reads : callable
        Takes the params and a cell's names; returns paths from the root, globs allowed.
    settings : callable
        Takes the params and a cell's names; returns the part of the params that the script gets to see.
    table : type, optional
        Pydantic model of the stage's table in the params.
    options : dict of str to str
        Options of the command, each with the dotted key of the setting that it replaces; an empty key for options that
        only concern the results that are shown.
    folder : str, optional
        That the cells' folders lie in; ``outputs/<name>`` by default.
    private : tuple of str
        Patterns of participant-level files, below a cell's folder.
    public : tuple of str
        Names among these that are group level after all.
    sources : tuple of str
        Files of a cell that the report's numbers come from; empty where the report shows nothing of it.
    cost : callable
        Takes a cell's settings and `Study.size`, returns a `Cost`.
    shows : bool
        Whether it shows other cells' results: it reads their records too, and makes do with the results there are.
    """

    name: str
    about: str
    reads: Callable
    settings: Callable
    arguments: tuple = ()
    names: Callable = lambda params: [()]
    table: type | None = None
    options: dict = field(default_factory=dict)
    folder: str = ""
    private: tuple = ()
    public: tuple = ()
    sources: tuple = ()
    cost: Callable = lambda settings, *size: Cost(20, 1e9)
    shows: bool = False

    @property
    def script(self):
        return f"code/{self.name}.py"

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
    """One result folder and what it takes to make it.

    Attributes
    ----------
    names : tuple of str
        Arguments of the script.
    reads : tuple of str
        Paths from the root, globs allowed, of what the script reads.
    settings : dict
        The part of the params that the script gets to see.
    machinery : tuple of str
        As of `Study`.
    shown : tuple of Cell
        Of one that shows results: the cells that compute what it reads.
    outdated : dict of str to str
        Of these, by name, the state of those that are not fresh; known when the cell runs.
    """

    declared: Stage
    names: tuple
    reads: tuple
    settings: dict
    options: Options = Options()
    machinery: tuple = ()
    shown: tuple = ()
    outdated: dict = field(default_factory=dict)

    @property
    def stage(self):
        return self.declared.name

    @property
    def script(self):
        return self.declared.script

    @property
    def name(self):
        return " ".join((self.stage, *self.names))

    @property
    def folder(self):
        """The folder that the cell owns, from the root."""
        return "/".join((self.declared.place, *self.names))

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
        """Return whether the cell reads a path: it is named, lies in a named folder or fits a named pattern.

        The record of an upstream cell is not read, what matters of it are its results; but what shows results shows
        their settings and commands too. Of a folder that it shows, it reads the group-level files.
        """
        if path.endswith("/" + RECORD) and not self.declared.shows:
            return False
        if path in self.reads or any(fnmatchcase(path, read) for read in self._patterns):
            return True
        in_folder = path.startswith(self._folders)
        return in_folder and not any(other.owns(path) and other.is_private(path) for other in self.shown)

    @cached_property
    def _patterns(self):
        return [read for read in self.reads if set(read) & set("*?[")]

    @cached_property
    def _folders(self):
        return tuple(f"{read}/" for read in self.reads)

    def is_private(self, path):
        """Return whether one of the cell's files is participant level; records never are."""
        return self.declared.is_private(path.removeprefix(self.folder + "/"))


@dataclass(frozen=True)
class Study:
    """A study and its stages.

    Attributes
    ----------
    stages : tuple of Stage
        In an order in which each finds what it reads.
    load_params : callable
        Takes the path of a params file, returns its settings, checked.
    machinery : tuple of str
        Beginnings of the paths of code that runs stages and computes nothing of a result: a better message there must
        not rerun every model.
    rebuilt : callable
        Takes the name of an input dataset; returns whether `rebuild` makes it.
    rebuild : callable
        Takes a folder and names of input datasets, and builds these there.
    size : callable
        Returns how large the study is: trials, participants, and voxels of the largest mask.
    contradictions : callable
        Takes a folder of results; returns what in it contradicts itself, as tuples of a file's name and a sentence.
    participant_column, image_pattern : callable
        Take the params as they stand in the file, perhaps incomplete; return the column of participants' ids in the
        tables, and the pattern of images' names, None if there is none.
    libraries : tuple of str
        Files of installed packages, below their folder, that results hold as they are: these name nobody.
    """

    stages: tuple
    load_params: Callable
    machinery: tuple = ("code/provenance/",)
    rebuilt: Callable = lambda name: False
    rebuild: Callable | None = None
    size: Callable = lambda: (0, 0, 0)
    contradictions: Callable = lambda folder: []
    participant_column: Callable = lambda params: "participant_id"
    image_pattern: Callable = lambda params: None
    libraries: tuple = ()

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
        for stage in self.stages:
            cells += [self._make_cell(stage, params, options, names, cells) for names in stage.names(params)]
        return cells

    def cell(self, options, stage_name, *names):
        """Return one cell; stop if the study has no such one."""
        stage = self.stage(stage_name)
        if len(names) != len(stage.arguments):
            takes = " and ".join(stage.arguments) or "no name"
            raise InputError(f"{stage_name} takes {takes}; got {' '.join(names) or 'none'}")
        params = self.load_params(Path(options.params))
        known = [tuple(each) for each in stage.names(params)]
        for place, name in enumerate(names):
            allowed = list(dict.fromkeys(each[place] for each in known))
            if name not in allowed:
                raise InputError(
                    f'{stage_name} {" ".join(names)}: the {stage.arguments[place]} "{name}" is unknown; '
                    f"expected one of {', '.join(allowed)}{suggest(name, allowed)}"
                )
        found = [cell for cell in self.cells(options) if (cell.stage, cell.names) == (stage_name, names)]
        if not found:
            raise InputError(f"{' '.join((stage_name, *names))} is not a result of this study")
        return found[0]

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
