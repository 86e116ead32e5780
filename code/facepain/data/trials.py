"""Read the table of trials, whatever its separator and column names, and check it row by row."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd

from errors import InputError
from facepain.data.exclusions import is_usable

SHOWN = 5  # entries of a list that a message spells out
ONLY_DATASET = "dataset-1"  # the name of a study's single dataset where the table gives none
SEPARATORS = "\t;,"
# The study's own format: lists of equal length, one entry a trial.
DICTIONARY_COLUMNS = {"group": "participant_id", "data": "contrast"}


def read_trials(paths, target, columns=None, image_pattern=None):
    """Read the table of trials and check it.

    Parameters
    ----------
    paths : Path or list of Path
        A table whose columns are separated by tabs, commas or semicolons, with ``participant_id``, ``contrast``, the
        target and, where they apply, ``dataset``, ``run``, ``trial``, ``volume``, ``excluded``. Or JSON dictionaries in
        the study's own format (``target``, ``group``, ``data``), one a dataset, which is named by its file.
    target : str
        Column to predict; in JSON it is always called ``target``.
    columns : dict of str to str, optional
        Name of the table's own column by the name used here.
    image_pattern : str, optional
        Where there is one (`facepain.data.image_names`) the table needs no ``contrast``.

    Returns
    -------
    trials : DataFrame
        All text but ``run``, ``trial`` and ``volume``, whole numbers filled where the table has none (``volume`` is
        there only where the table names volumes), and the target, floats, NaN only in excluded trials. ``excluded`` is
        "" for usable trials.

    Raises
    ------
    InputError
        If the table is unreadable, a column or an id is missing, a trial stands twice or a score is no finite number.
    """
    paths = [Path(path) for path in (paths if isinstance(paths, (list, tuple)) else [paths])]
    if all(path.suffix == ".json" for path in paths):
        table = pd.concat([_read_dictionary(path, target) for path in paths])
    elif len(paths) == 1:
        table = _rename(paths[0], _read_text_table(paths[0]), columns or {})
    else:
        raise InputError(f"{paths[0]}: one of several tables; expected one table, or JSON dictionaries only; join them")
    path = paths[0]
    for column in ("participant_id", target) if image_pattern else ("participant_id", target, "contrast"):
        if column not in table:
            raise InputError(
                f'{path}: has no column "{column}"; found {", ".join(table.columns)}; '
                "name the table's own under [prep.columns] in the params (the score: prep.target)"
            )
    _fill(path, table)
    _check_duplicates(path, table)
    table[target] = _scores(path, table, target)
    return table.reset_index(drop=True)


def _read(path):
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such table; correct prep.table in the params, or install it (`make inputs`)"
        ) from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder; expected a table, correct prep.table in the params") from None
    except PermissionError:
        raise InputError(f"{path}: may not be read by you; `chmod u+r {path}`") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start}); save the table as UTF-8") from None
    if "\0" in text:
        raise InputError(f"{path}: holds zero bytes; expected text, save the table as TSV or CSV")
    return text


def _read_text_table(path):
    text = _read(path)
    header = next((line for line in text.splitlines() if line.strip()), "")
    # Column names hold no separator, unlike reasons and names below them.
    separator = max(SEPARATORS, key=header.count)
    if not header.count(separator):
        raise InputError(
            f'{path}: not a table, its first line is "{header[:60]}"; expected column names '
            f"separated by tabs, commas or "
            "semicolons; save it as TSV or CSV"
        )
    lines, rows = _split(path, text, separator)
    table = pd.DataFrame(rows[1:], columns=rows[0], index=[f"line {line}" for line in lines[1:]], dtype=str)
    if table.empty:
        raise InputError(f"{path}: has no rows; expected one line a trial below the column names")
    return table.replace({"n/a": "", "NA": "", "NaN": ""})


def _split(path, text, separator):
    """Split a text into rows of equally many fields, blank ones left out; return their line numbers too."""
    reader = csv.reader(io.StringIO(text), delimiter=separator, skipinitialspace=True)
    lines, rows = [], []
    try:
        for row in reader:
            fields = [field.strip() for field in row]
            if not any(fields):
                continue
            # Spreadsheets write empty columns to the right of the table.
            width = len(rows[0]) if rows else max(number for number, field in enumerate(fields, 1) if field)
            if len(fields) < width or any(fields[width:]):
                raise InputError(
                    f"{path}: line {reader.line_num} has {len(fields)} fields, the first has "
                    f"{width}; expected as many in "
                    "every line; correct that line"
                )
            lines.append(reader.line_num)
            rows.append(fields[:width])
    except csv.Error as error:
        raise InputError(
            f"{path}: line {reader.line_num} is no line of a table ({error}); save it anew as TSV or CSV"
        ) from None
    twice = [name for name in rows[0] if rows[0].count(name) > 1]
    if twice:
        raise InputError(f'{path}: column "{twice[0]}" stands more than once; expected different names; rename one')
    return lines, rows


def _rename(path, table, columns):
    for own in columns.values():
        if own not in table:
            raise InputError(
                f'{path}: has no column "{own}", which prep.columns names; found {", ".join(table.columns)}; correct it'
            )
    # A column that goes by a name used here but was named otherwise would stand twice.
    dropped = [name for name, own in columns.items() if name != own and name in table]
    return table.drop(columns=dropped).rename(columns={own: name for name, own in columns.items()})


def _read_dictionary(path, target):
    try:
        content = json.loads(_read(path))
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON ({error}); restore the file") from None
    keys = ("target", *DICTIONARY_COLUMNS)
    if not isinstance(content, dict) or not all(isinstance(content.get(key), list) for key in keys):
        raise InputError(f'{path}: expected a dictionary of three lists, "target", "group" and "data"')
    lengths = {key: len(content[key]) for key in keys}
    if len(set(lengths.values())) > 1 or not lengths["target"]:
        counts = ", ".join(f"{key} {length}" for key, length in lengths.items())
        raise InputError(f"{path}: lists of different length ({counts}) or empty; expected one entry a trial in each")
    table = pd.DataFrame({name: map(str, content[key]) for key, name in DICTIONARY_COLUMNS.items()})
    table = table.assign(**{target: [str(value) for value in content["target"]]}, dataset=path.stem)
    table.index = [f"{path.name} entry {number}" for number in range(1, len(table) + 1)]
    return table.apply(lambda column: column.str.strip())


def _fill(path, table):
    """Fill columns that a simple study does not have, and check the others' form, in place."""
    for column, value in (("dataset", ONLY_DATASET), ("run", "1"), ("excluded", ""), ("contrast", "")):
        if column not in table:
            table[column] = value
    if "trial" not in table:
        table["trial"] = (table.groupby("participant_id").cumcount() + 1).astype(str)
    for column in ("participant_id", "dataset"):
        blank = table.index[table[column] == ""]
        if len(blank):
            raise InputError(f"{path}: {blank[0]} has no {column}; fill it in")
    named = table["dataset"].str.fullmatch(r"\w[\w.-]*")
    if not named.all():
        raise InputError(
            f'{path}: dataset "{table.loc[~named, "dataset"].iloc[0]}" names files; use letters, '
            f"digits, dots and dashes"
        )
    for column in ("run", "trial", *({"volume"} & set(table))):
        table[column] = _whole_numbers(path, table, column)


def _whole_numbers(path, table, column):
    # An excluded trial may have no image and so no volume.
    text = table[column].mask(~is_usable(table) & (table[column] == ""), "0")
    bad = table.index[~text.str.fullmatch(r"[0-9]{1,9}(\.0+)?")]
    if len(bad):
        raise InputError(
            f'{path}: {bad[0]} has {column} "{table.loc[bad[0], column]}"; expected a whole '
            f"number, such as 1; correct it"
        )
    return text.astype(float).astype(int)


def _check_duplicates(path, table):
    twice = table[table.duplicated(["participant_id", "trial"], keep=False)]
    if len(twice):
        rows = [f"{row.participant_id} trial {row.trial} ({row.Index})" for row in twice.itertuples()]
        raise InputError(f"{path}: a trial stands more than once: {shorten(rows)}; keep one line for each")
    datasets = table.groupby("participant_id")["dataset"].nunique()
    if (datasets > 1).any():
        name = datasets.index[datasets > 1][0]
        raise InputError(f"{path}: {name} stands in more than one dataset; give each participant one")


def _scores(path, table, target):
    scores = pd.to_numeric(table[target], errors="coerce").astype(float)
    bad = np.flatnonzero(~np.isfinite(scores) & is_usable(table))
    if bad.size:
        row = table.iloc[bad[0]]
        mend = (
            "write decimals with a point"
            if "," in row[target]
            else "correct it, or give a reason in the column excluded"
        )
        raise InputError(
            f'{path}: {target} of {row.participant_id} trial {row.trial} ({table.index[bad[0]]}) is "{row[target]}"; '
            f"expected a finite number; {mend}"
        )
    return scores






def shorten(names):
    """Join the first few of a list of names and count the rest."""
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")






