"""The cells of the study: each is one command, run by one ``datalad run``, that owns one output folder."""

from dataclasses import dataclass

from facepain.errors import InputError
from facepain.mask_expressions import definitions_used, mask_files

STAGES = ("prep", "extract", "regress", "classify", "plot")
INPUTS = ("inputs/contrasts", "inputs/behavior", "inputs/masks")


@dataclass(frozen=True)
class Options:
    """Choices of one run that change results, and so stand in the recorded command.

    Attributes
    ----------
    params : str
        Path of the params file from the root.
    n_permutations, n_bootstraps : int or None
        In place of the numbers in the params file.
    """

    params: str = "code/params.toml"
    n_permutations: int | None = None
    n_bootstraps: int | None = None


@dataclass(frozen=True)
class Cell:
    """One result folder and what it takes to make it.

    Attributes
    ----------
    stage : str
        One of `STAGES`; the script is ``code/<stage>.py``.
    names : tuple of str
        Arguments of the script: mask, and algorithm for ``regress``.
    reads : tuple of str
        Paths from the root, globs allowed, of what the script reads.
    folder : str
        The folder that the cell owns.
    settings : dict
        The part of the params that the script gets to see.
    flags : tuple of str
        Options of the command, present only where they differ from the default.
    """

    stage: str
    names: tuple
    reads: tuple
    folder: str
    settings: dict
    flags: tuple = ()

    @property
    def name(self):
        return " ".join((self.stage, *self.names))

    @property
    def script(self):
        return f"code/{self.stage}.py"

    @property
    def command(self):
        return " ".join(("python", self.script, *self.names, *self.flags))


def study_cells(params, options):
    """List every cell of the study, in an order in which each finds what it reads.

    Parameters
    ----------
    params : dict
        Checked settings (`facepain.params.load_params`).
    options : Options

    Returns
    -------
    cells : list of Cell
    """
    masks, algorithms = params["extract"]["masks"], params["regress"]["algorithms"]
    grid = [("prep",)]
    grid += [("extract", mask) for mask in masks]
    grid += [("regress", mask, algorithm) for mask in masks for algorithm in algorithms]
    grid += [("classify", mask) for mask in params["classify"]["masks"]]
    grid += [("plot",)]
    return [make_cell(params, options, stage, *names) for stage, *names in grid]


def make_cell(params, options, stage, *names):
    """Describe one cell.

    Raises
    ------
    InputError
        If the params do not name the mask or algorithm asked for.
    """
    allowed = {
        "prep": (),
        "extract": (params["extract"]["masks"],),
        "regress": (params["extract"]["masks"], params["regress"]["algorithms"]),
        "classify": (params["classify"]["masks"],),
        "plot": (),
    }[stage]
    if len(names) != len(allowed):
        raise InputError(f"{stage} takes {len(allowed)} names, got {' '.join(names) or 'none'}")
    for name, known in zip(names, allowed, strict=True):
        if name not in known:
            raise InputError(f'{stage} {" ".join(names)}: "{name}" is unknown; expected one of {", ".join(known)}')
    return Cell(
        stage=stage,
        names=names,
        reads=_reads(params, stage, *names),
        folder="figures" if stage == "plot" else "/".join(("outputs", stage, *names)),
        settings=_settings(params, options, stage, names),
        flags=_flags(options, stage),
    )


def _reads(params, stage, *names):
    if stage == "prep":
        return ("inputs/behavior", "inputs/contrasts")
    if stage == "extract":
        files = mask_files(names[0], params["extract"]["mask_files"])
        files += [params["extract"]["target_grid"]] if "target_grid" in params["extract"] else []
        # A subdataset is read as a whole: what is committed of it here is its commit.
        files = {"/".join(file.split("/")[:2]) if file.startswith("inputs/") else file for file in files}
        return ("outputs/prep/trials.tsv", "inputs/contrasts", *sorted(files - {"inputs/contrasts"}))
    if stage == "plot":
        # For the report's methods.
        records = (f"outputs/extract/{mask}/inputs.json" for mask in params["extract"]["masks"])
        return ("outputs/classify", "outputs/regress", "outputs/prep", *records)
    extract = f"outputs/extract/{names[0]}"
    # The last made first: where both are missing, the command that makes it makes the other too.
    return (f"{extract}/signals.npy", f"{extract}/mask.nii.gz", "outputs/prep/trials.tsv")


def _settings(params, options, stage, names):
    """Keep the seed, the stage's own table, and in it only what concerns the cell's names."""
    settings = dict(params[stage])
    if stage == "extract":
        (mask,) = names
        del settings["masks"]
        settings["mask_files"] = definitions_used(mask, settings["mask_files"])
    if stage == "regress":
        _, algorithm = names
        for other in ("lasso", "ridge", "svr", "algorithms"):
            settings.pop(other)
        settings["algorithm"] = params["regress"][algorithm]
    if stage in ("regress", "classify"):
        settings["seed"] = params["seed"]
        settings["target"] = params["prep"]["target"]
        if options.n_permutations is not None:
            settings["permutation"] = {**settings["permutation"], "n": options.n_permutations}
    if stage == "classify":
        del settings["masks"], settings["target"]
    if stage == "regress" and options.n_bootstraps is not None:
        settings["bootstrap"] = {**settings["bootstrap"], "n": options.n_bootstraps}
    if stage == "plot":
        settings["target"] = params["prep"]["target"]
        settings["masks"] = params["extract"]["masks"]
        settings["algorithms"] = params["regress"]["algorithms"]
    return settings


def _flags(options, stage):
    flags = []
    if options.params != Options.params:
        flags += ["--params", options.params]
    if options.n_permutations is not None and stage in ("regress", "classify"):
        flags += ["--n-permutations", str(options.n_permutations)]
    if options.n_bootstraps is not None and stage == "regress":
        flags += ["--n-bootstraps", str(options.n_bootstraps)]
    return tuple(flags)
