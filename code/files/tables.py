"""Read tables and JSON: identifiers and labels are text, whatever they look like, and what is damaged stops."""

import csv
import json
import re

import pandas as pd

from errors import InputError

# Left to guess, a reader takes 001 for 1 and 1.10 for 1.1. Columns that are not named here hold measurements.
COLUMN_TYPES = {
    **dict.fromkeys(("participant_id", "dataset", "observed", "predicted", "contrast", "mask"), str),
    **dict.fromkeys(("fold", "signature", "network", "array", "shape", "bin"), str),
    **dict.fromkeys(("run", "trial", "volume", "row"), int),
}
SEPARATORS = "\t;,"
LINE_END = re.compile(r"\r\n|\n|\r")


def read_table(source, types=COLUMN_TYPES):
    """Read a TSV that `files.outputs.OutputFolder.write_table` wrote, from a path or a text buffer.

    ``n/a`` is NaN; with `types` ``str`` every field is text, as it is written.
    """
    missing = [] if types is str else ["n/a"]
    return pd.read_csv(source, sep="\t", dtype=types, na_values=missing, keep_default_na=False)


def read_text_table(path):
    """Read a table that somebody else wrote, with columns separated by tabs, commas or semicolons.

    All is text, as it is written; the index says the line of each row. Raises InputError if it is no text in UTF-8, has
    no header or no rows, or a line has too few or too many fields.
    """
    lines = [
        (number, line) for number, line in enumerate(LINE_END.split(read_text(path)), 1) if line.strip(" \t;,\ufeff")
    ]
    header = lines[0][1] if lines else ""
    # Column names hold no separator, unlike reasons and names below them.
    separator = max(SEPARATORS, key=header.count)
    if not header.count(separator) and not re.fullmatch(r"\w+", header.strip()):
        raise InputError(
            f'{path}: not a table, its first line is "{header[:60]}"; expected column names separated by tabs, '
            "commas or semicolons; save it as TSV or CSV"
        )
    rows = [_split(path, number, line, separator) for number, line in lines]
    names = [name.strip() for name in rows[0]]
    while names and not names[-1]:  # spreadsheets write empty columns to the right of the table
        names.pop()
    for name in names:
        if names.count(name) > 1:
            raise InputError(f'{path}: column "{name}" is duplicated; expected different names; rename one')
        if separator == "\t" and re.fullmatch('".*"', name):
            raise InputError(
                f"{path}: column {name} is in quotes, which a TSV takes as part of the text; write it without quotes "
                "(in R: quote = FALSE), or as CSV"
            )
    for (number, _), row in zip(lines, rows, strict=True):
        if len(row) < len(names) or any(field.strip() for field in row[len(names) :]):
            raise InputError(
                f"{path}: line {number} has {len(row)} fields, the first has {len(names)}; expected as many in every "
                "line; correct that line"
            )
    if len(rows) == 1:
        raise InputError(f"{path}: has no rows; expected one line a trial or participant below the column names")
    fields = [row[: len(names)] for row in rows[1:]]
    return pd.DataFrame(fields, columns=names, index=[f"line {number}" for number, _ in lines[1:]], dtype=str)


def _split(path, number, line, separator):
    """Split a line into fields; in a TSV quotes are text like any other, as BIDS has it."""
    if separator == "\t":
        return line.split("\t")
    try:
        (row,) = csv.reader([line], delimiter=separator, skipinitialspace=True, strict=True)
        return row
    except csv.Error as error:
        raise InputError(
            f"{path}: line {number} is no line of a table ({error}); a field that begins with a quote has to end with "
            "one on the same line; correct that line"
        ) from None


def read_text(path):
    """Return the text of a file in UTF-8, without its byte order mark; stop with an InputError if it has none."""
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
        raise InputError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    if "\0" in text:
        raise InputError(f"{path}: holds zero bytes; expected text, save the table as TSV or CSV")
    return text


def read_json(path, **options):
    """Read a JSON file that somebody else wrote, with options of `json.loads`; a key that is there twice stops."""

    def unique(pairs):
        keys = [key for key, _ in pairs]
        for key in keys:
            if keys.count(key) > 1:
                raise InputError(f'{path}: key "{key}" is duplicated; expected each once; remove one')
        return dict(pairs)

    try:
        return json.loads(read_text(path), object_pairs_hook=unique, **options)
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON ({error}); restore the file") from None
