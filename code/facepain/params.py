"""Read ``params.toml`` and check every key and value in it."""

import tomllib
from numbers import Real

from facepain.errors import InputError

TRANSFORMS = ("raw", "log1p", "sqrt")
ALGORITHMS = ("lasso", "ridge", "svr")
PERMUTATION_SCHEMES = ("within", "block", "free")


def _one_of(*allowed):
    def check(value):
        return isinstance(value, str) and value in allowed

    return check, "one of " + ", ".join(f'"{name}"' for name in allowed)


def _list_of(*allowed):
    def check(value):
        return isinstance(value, list) and value and len(set(value)) == len(value) and set(value) <= set(allowed)

    return check, "a list of " + ", ".join(f'"{name}"' for name in allowed) + ", each at most once"


def _number(low=None, high=None, low_open=False, high_open=False):
    def check(value):
        if not isinstance(value, Real) or isinstance(value, bool) or value != value:
            return False
        above = low is None or (value > low if low_open else value >= low)
        return above and (high is None or (value < high if high_open else value <= high))

    ends = [f"{'above' if low_open else 'at least'} {low}"] if low is not None else []
    ends += [f"{'below' if high_open else 'at most'} {high}"] if high is not None else []
    return check, " ".join(["a number", " and ".join(ends)]).strip()


def _count(low):
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= low, (
        f"a whole number, {low} or more"
    )


TEXT = (lambda value: isinstance(value, str) and value.strip() != "", "a text")
TABLES = (
    lambda value: TEXT[0](value) or (isinstance(value, list) and bool(value) and all(map(TEXT[0], value))),
    "a path, or a list of paths of JSON dictionaries",
)
TABLE_COLUMNS = ("participant_id", "dataset", "run", "trial", "contrast", "volume", "excluded")
NAMES = (
    lambda value: (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(name, str) and name and not set(name) & set("/\\ ") for name in value)
        and len(set(value)) == len(value)
    ),
    "a list of different names without spaces or slashes",
)
CROSS_VALIDATION = {
    "scheme": _one_of("group-shuffle", "group-kfold", "lopo"),
    "n_folds": _count(2),
    "test_size": _number(0, 1, low_open=True, high_open=True),
}
SCHEMES = _list_of(*PERMUTATION_SCHEMES)

# A key, what its value must satisfy, and that condition in words. OPTIONAL keys may be left out.
SCHEMA = {
    "seed": _count(0),
    "prep": {
        "table": TABLES,
        "target": TEXT,
        "target_min": _number(),
        "target_max": _number(),
        "images": TEXT,
        "images_without_trial": _one_of("refuse", "ignore"),
        "columns": dict.fromkeys(TABLE_COLUMNS, TEXT),
    },
    "extract": {
        "masks": NAMES,
        "non_finite": _one_of("drop", "zero"),
        "mixed_grids": _one_of("refuse", "continuous", "nearest"),
        "target_grid": TEXT,
        "analyze_orientation": _one_of("unknown", "radiological", "neurological"),
        "zeros": _one_of("value", "missing"),
        "min_coverage": _number(0, 1),
        "mask_files": {"*": TEXT},
    },
    "regress": {
        "algorithms": _list_of(*ALGORITHMS),
        "train_dataset": TEXT,
        "transform": _one_of(*TRANSFORMS),
        "standardize": _one_of("image", "voxel"),
        "variance": _number(0, 1, low_open=True, high_open=True),
        "cross_validation": CROSS_VALIDATION,
        "lasso": {"alpha": _number(0, low_open=True), "permutation_schemes": SCHEMES},
        "ridge": {"alpha": _number(0, low_open=True), "permutation_schemes": SCHEMES},
        "svr": {
            "C": _number(0, low_open=True),
            "epsilon": _number(0),
            "permutation_schemes": SCHEMES,
        },
        "permutation": {"n": _count(1)},
        "bootstrap": {
            "n": _count(2),
            "unit": _one_of("participant", "trial"),
            "fdr": _number(0, 1, low_open=True, high_open=True),
        },
    },
    "classify": {
        "masks": NAMES,
        "C": _number(0, low_open=True),
        "cross_validation": CROSS_VALIDATION,
        "permutation": {"n": _count(1)},
    },
    "plot": {
        "mask": TEXT,
        "algorithm": _one_of(*ALGORITHMS),
        "percentile": _number(0, 100, high_open=True),
    },
}
OPTIONAL = {"prep.target_min", "prep.target_max", "prep.images", "prep.columns", "extract.target_grid"} | {
    f"prep.columns.{column}" for column in TABLE_COLUMNS
}


def load_params(path):
    """Read a params file and return its settings, checked.

    Parameters
    ----------
    path : Path
        A TOML file with the keys of ``code/params.toml``.

    Returns
    -------
    params : dict
        Nested as in the file.

    Raises
    ------
    InputError
        If the file is missing or is no TOML, if a key is unknown or missing, or if a value is not allowed.
    """
    try:
        params = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; PARAMS names a params file of this repository") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid TOML ({error}); mend that line") from None
    _check_table(params, SCHEMA, path.name, "")
    _check_masks(params, path.name)
    return params


def _check_table(table, schema, name, prefix):
    for key, value in table.items():
        rule = schema.get(key, schema.get("*"))
        if rule is None:
            expected = ", ".join(sorted(schema))
            raise InputError(f"{name}: unknown key {prefix}{key}; expected one of {expected}")
        if isinstance(rule, dict):
            if not isinstance(value, dict):
                raise InputError(f"{name}: {prefix}{key} = {value!r} must be a table of settings")
            _check_table(value, rule, name, f"{prefix}{key}.")
        elif not rule[0](value):
            raise InputError(f"{name}: {prefix}{key} = {value!r} is not allowed; expected {rule[1]}")
    for key in schema:
        if key not in table and key != "*" and f"{prefix}{key}" not in OPTIONAL:
            raise InputError(f"{name}: {prefix}{key} is missing; see code/params.toml for its meaning")


def _check_masks(params, name):
    known = params["extract"]["masks"]
    for mask in known:
        if mask not in params["extract"]["mask_files"]:
            raise InputError(
                f'{name}: extract.masks names "{mask}", which has no file under [extract.mask_files]; add it there'
            )
    for key, masks in (("classify.masks", params["classify"]["masks"]), ("plot.mask", [params["plot"]["mask"]])):
        for mask in masks:
            if mask not in known:
                raise InputError(f'{name}: {key} names "{mask}"; expected one of extract.masks: {", ".join(known)}')
    if params["plot"]["algorithm"] not in params["regress"]["algorithms"]:
        raise InputError(f'{name}: plot.algorithm = "{params["plot"]["algorithm"]}" is not in regress.algorithms')
