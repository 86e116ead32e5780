"""Read ``code/params.toml`` and check every key and value in it.

Each stage declares the model of its own table (code/stages.py); the models are here, with the names of their keys as
they stand in the file. A table or key with a default may be left out, so that older params files stay valid.
"""

import re
import tomllib
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model

from errors import InputError, suggest
from facepain.models.algorithms import ALGORITHMS, SCHEMES
from files import TABLE_ENDINGS


class Table(BaseModel):
    """A table of the params: unknown keys are refused, and so are values of another type."""

    model_config = ConfigDict(extra="forbid", strict=True)


def _table(name, **fields):
    """Return a table of some keys, each with its type and default; it may be left out as a whole."""
    model = create_model(name, __base__=Table, **fields)
    return Annotated[model, Field(default_factory=model)]


def _must(expected, is_right, validator=AfterValidator):
    """Return a validator of pydantic that says what was expected of a value."""

    def check(value):
        if not is_right(value):
            raise ValueError(f"Input should {expected}")
        return value

    return validator(check)


def _are_different(names):
    return len(set(names)) == len(names)


def _is_inside(path):
    return not path.startswith(("/", "~")) and ".." not in path.split("/")


def _is_table_file(path):
    return path.lower().endswith(TABLE_ENDINGS)


different = _must("be a list of different names", _are_different)
different_columns = _must(
    "be a different column for each", lambda columns: _are_different([own for _, own in columns if own is not None])
)
one_target = _must(
    "be one column: a run predicts one target; make a params file for each (PARAMS=)",
    lambda value: not isinstance(value, list),
    BeforeValidator,
)
Number = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[Number, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Two = Annotated[int, Field(ge=2)]
Share = Annotated[Number, Field(gt=0, lt=1)]
Text = Annotated[str, _must("be a text that is not empty", str.strip)]
PathInside = Annotated[
    Text, _must("be a path from the root of this repository, where the record of a result finds it", _is_inside)
]
TableFile = Annotated[
    Text, _must(f"end in {', '.join(TABLE_ENDINGS)}: only these are searched for names", _is_table_file)
]
PLAIN = re.compile(r"\w[\w.-]{0,59}")
Name = Annotated[
    str, _must("be up to 60 letters, digits, dots and dashes: it is part of paths and commands", PLAIN.fullmatch)
]
Names = Annotated[list[Name], Field(min_length=1), different]
AlgorithmName = Literal[*ALGORITHMS]
AlgorithmNames = Annotated[list[AlgorithmName], Field(min_length=1), different]
TunableName = Literal[*(name for name, algorithm in ALGORITHMS.items() if algorithm.penalty)]
Schemes = Annotated[list[Literal[*SCHEMES]], Field(min_length=1), different]
STEPS = ("image", "voxel", ["image", "voxel"])
Steps = Annotated[str | list[str], _must('be "image", "voxel" or the list ["image", "voxel"]', STEPS.__contains__)]
OWN_COLUMNS = ("participant_id", "dataset", "run", "trial", "contrast", "volume", "excluded")
# Names of the table's own columns, by the names used here.
Columns = create_model("Columns", __base__=Table, **dict.fromkeys(OWN_COLUMNS, (Text | None, None)))


class Prep(Table):
    table: TableFile | Annotated[list[TableFile], Field(min_length=1)]
    target: Annotated[Text, one_target]
    target_min: Number | None = None
    target_max: Number | None = None
    images: Text | None = None
    images_without_trial: Literal["refuse", "ignore"]
    columns: Annotated[Columns, different_columns] | None = None


class Extract(Table):
    masks: Names
    non_finite: Literal["drop", "zero"]
    mixed_grids: Literal["refuse", "continuous", "nearest"]
    target_grid: PathInside | None = None
    analyze_orientation: Literal["unknown", "radiological", "neurological"]
    zeros: Literal["value", "missing"]
    min_coverage: Annotated[Number, Field(ge=0, le=1)]
    mask_files: dict[Name, Text]


class CrossValidation(Table):
    scheme: Literal["group-shuffle", "group-kfold", "lopo"]
    n_folds: Two
    test_size: Share


class Permutation(Table):
    n: Count


class RegressPermutation(Permutation):
    strata: Literal["none", "first-of-run"] = "none"


class Bootstrap(Table):
    n: Two
    unit: Literal["participant", "trial"]
    fdr: Share


def _algorithm_table(algorithm):
    """Return the table ``[regress.<algorithm>]``."""
    fields = algorithm.parameters | {"permutation_schemes": (Schemes, list(algorithm.permutation_schemes))}
    for name in ("max_permutations", "max_permutations_lopo"):
        fields[name] = (Count | None, getattr(algorithm, name))
    return _table(f"{algorithm.label}Table", **fields)


class RegressBase(Table):
    algorithms: AlgorithmNames
    train_dataset: Text
    transform: Literal["raw", "log1p", "sqrt"]
    standardize: Steps
    variance: Share
    min_participants: Count | None = None  # of older params files; that of all stages counts
    confounds: Annotated[list[Text], different] = []
    cross_validation: CrossValidation
    permutation: RegressPermutation
    bootstrap: Bootstrap
    repeats: _table("Repeats", n=(Count, 100), n_folds=(Two, 5))
    learning: _table("Learning", n=(Count, 20))


Regress = create_model(
    "Regress", __base__=RegressBase, **{name: _algorithm_table(each) for name, each in ALGORITHMS.items()}
)


class Classify(Table):
    masks: Names
    C: Positive
    cross_validation: CrossValidation
    permutation: Permutation


class Similarity(Table):
    signatures: PathInside | None = None
    networks: PathInside | None = None
    masks: Names | None = None
    algorithms: AlgorithmNames | None = None
    permutation: _table("SimilarityPermutation", n=(Count, 5000), schemes=(Schemes, ["within", "block"]))
    bootstrap: _table("SimilarityBootstrap", n=(Two, 1000))


class Relate(Table):
    mask: Text = "whole-brain"
    algorithm: AlgorithmName = "lasso"
    measure: Literal["dot", "cosine", "pearson_r"] = "dot"
    columns: list[Text] = ["run", "trial"]
    permutation: _table("RelatePermutation", n=(Count, 5000))


class Tune(Table):
    masks: Names | None = None
    algorithms: Annotated[list[TunableName], Field(min_length=1), different] = ["lasso", "ridge"]
    repeats: Annotated[int, Field(ge=0)] = 20
    grid: _table("Grid", n_components=(Two, 9), n_penalties=(Two, 15), n_folds=(Two, 5))
    permutation: _table("TunePermutation", n=(Count, 1000), n_lopo=(Count, 200), schemes=(Schemes, ["within", "block"]))


class Occurrence(Table):
    masks: Names = ["whole-brain"]
    alpha: Positive = 1.0
    permutation: _table("OccurrencePermutation", n=(Count, 1000))


class Detectable(Table):
    algorithms: Annotated[list[AlgorithmName], different] = ["lasso", "ridge"]
    effects: Annotated[list[Share], Field(min_length=1)] = [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    n: Count = 200


class Compare(Table):
    n_exchanges: Count = 5000
    detectable: Annotated[Detectable, Field(default_factory=Detectable)]


class Plot(Table):
    title: Text | None = None
    score: Text | None = None
    brain_mm: Annotated[Number, Field(ge=1)] = 1.0
    mask: Text
    algorithm: AlgorithmName
    percentile: Annotated[Number, Field(ge=0, lt=100)]


def load_params(path, stages):
    """Read a params file and return its settings, checked and nested as in the file; mistakes stop.

    Optional keys that are left out are missing here too, but for tables of algorithms and of stages, which get their
    defaults.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; PARAMS names a params file of this repository") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid TOML ({error}); correct that line") from None
    model = params_model(stages)
    try:
        params = model.model_validate(found).model_dump(exclude_none=True)
    except ValidationError as error:
        # A misspelt key is also a missing one, and a list with a mistake in it no text: the first says more of each.
        first = min(error.errors(), key=lambda each: (each["type"] != "extra_forbidden", type(each["input"]) is list))
        raise InputError(f"{path.name}: {explain(first, model)}") from None
    check_masks(params, path.name, found)
    return params


def params_model(stages):
    """Return the model of a whole params file: what all stages share and a table for each."""
    # Repeats are drawn with the seeds that follow it; NumPy takes 32 bits.
    fields = {
        "seed": (Annotated[int, Field(ge=0, lt=2**31)], ...),
        "min_participants": (Annotated[int, Field(ge=1)], 5),
    }
    for stage in stages:
        if stage.table is not None:
            required = any(field.is_required() for field in stage.table.model_fields.values())
            fields[stage.name] = (stage.table, ... if required else Field(default_factory=stage.table))
    return create_model("Params", __base__=Table, **fields)


def explain(error, model):
    """Turn the first error of pydantic into a line that names the key, the value and what is allowed."""
    # Of a choice between types pydantic names the type too; a reader knows keys and positions only.
    key = ".".join(part for part in map(str, error["loc"]) if re.fullmatch(r"[\w.-]+", part) and part != "str")
    if error["type"] == "extra_forbidden":
        known = sorted(_fields_of(model, error["loc"][:-1]))
        return f"unknown key {key}; expected one of {', '.join(known)}{suggest(str(error['loc'][-1]), known)}"
    if error["type"] == "missing":
        return f"{key} is missing; see code/params.toml for its meaning"
    if error["type"] == "model_type":
        return f"{key} = {error['input']!r} must be a table of settings"
    message = error["msg"].removeprefix("Value error, ")
    message = message.replace("should be a valid", "should be a").replace("a integer", "an integer")
    message = message.replace("Input should", "it should")
    return f"{key} = {error['input']!r} is not allowed; {message[0].lower()}{message[1:]}"


def _fields_of(model, location):
    for part in location:
        model = model.model_fields[part].annotation
        for choice in getattr(model, "__args__", ()):
            if isinstance(choice, type) and issubclass(choice, BaseModel):
                model = choice
    return model.model_fields


def check_masks(params, name, given):
    """Stop if a table names a mask or an algorithm that another one does not define; ``given`` are without defaults."""
    known = params["extract"]["masks"]
    for mask in known:
        if mask not in params["extract"]["mask_files"]:
            raise InputError(
                f'{name}: extract.masks names "{mask}", which has no file under [extract.mask_files]; add it there'
            )
    named = {"classify.masks": params["classify"]["masks"], "plot.mask": [params["plot"]["mask"]]}
    named["tune.masks"] = params["tune"].get("masks", [])
    if not params["regress"]["confounds"]:
        named["occurrence.masks"] = given.get("occurrence", {}).get("masks", [])
    if "signatures" in params.get("similarity", {}):
        named["similarity.masks"] = params["similarity"].get("masks", [])
        named["relate.mask"] = [params["relate"]["mask"]]
    for key, masks in named.items():
        for mask in masks:
            if mask not in known:
                raise InputError(
                    f'{name}: {key} names "{mask}"; expected one of extract.masks: {", ".join(known)}'
                    f"{suggest(mask, known)}"
                )
    if "signatures" in params.get("similarity", {}):  # what mixed models read has to be made
        made = {"mask": known, "algorithm": params["regress"]["algorithms"]}
        for key, names in made.items():
            names = [each for each in names if each in (params["similarity"].get(f"{key}s") or names)]
            if params["relate"][key] not in names:
                raise InputError(
                    f'{name}: relate.{key} = "{params["relate"][key]}" is not compared with signatures; expected one '
                    f"of {', '.join(names)}: correct it, or add it to regress.{key}s and similarity.{key}s"
                )
    if params["plot"]["algorithm"] not in params["regress"]["algorithms"]:
        raise InputError(f'{name}: plot.algorithm = "{params["plot"]["algorithm"]}" is not in regress.algorithms')
