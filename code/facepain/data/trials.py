"""Read the table of trials, whatever its separator and column names, and check it row by row."""

import json
import re
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd

from errors import InputError
from files.tables import COLUMN_TYPES, read_json, read_text_table

SHOWN = 5  # entries of a list that a message spells out
ONLY_DATASET = "dataset-1"  # the name of a study's single dataset where the table gives none
# The study's own format: lists of equal length, one entry a trial.
DICTIONARY_COLUMNS = {"group": "participant_id", "data": "contrast"}
MISSING = ("", "n/a", "na", "nan", "null", "#n/a")  # in any case
# As reasons these say nothing: 0 and 1, or yes and no, leave open which of them means excluded.
LOGICAL = re.compile(
    r"[\W\d_]*[a-z]?[\W\d_]*|false|true|no(ne|t)?|yes|ok|keep|kept|included?|(not[ _-]?)?excluded?|us(ed|able)"
    r"|(in)?valid|good|bad|pass(ed)?|fail(ed)?|in|out|oui|non|vrai|faux|ja|nein|wahr|falsch|s[ií]|verdadero|falso"
)
# Names of files of `prep`, and of the estimates that stand beside datasets.
TAKEN = ("trials", "summary", "scores", "reliability", "study", "inputs", "published", "lopo")
# Without such a column trials are counted by their lines: no way to know whose image is whose.
ORDERED = re.compile(r"\{(trial|run)\b")


def read_trials(paths, target, columns=None, image_pattern=None):
    """Read the table of trials and check it.

    Parameters
    ----------
    paths : Path or list of Path
        A table whose columns are separated by tabs, commas or semicolons, or JSON dictionaries in the study's own
        format (``target``, ``group``, ``data``), one a dataset, which is named by its file.
    target : str
        Column to predict; in JSON it is always called ``target``.
    columns : dict of str to str, optional
        Name of the table's own column by the name used here.
    image_pattern : str, optional
        Where there is one (`facepain.data.image_names`) the table needs no ``contrast``.

    Returns
    -------
    trials : DataFrame
        All text but the target, floats, NaN only in excluded trials, and ``run``, ``trial`` and, where there are any,
        ``volume``: whole numbers, filled where the table has none. ``excluded`` is "" for usable trials.

    Raises
    ------
    InputError
        At an unreadable table, a missing column or id, two spellings of one, a duplicated trial, a reason for an
        exclusion that is none, or a score that is no finite number.
    """
    paths = [Path(path) for path in (paths if isinstance(paths, (list, tuple)) else [paths])]
    if all(path.suffix == ".json" for path in paths):
        table = pd.concat([_read_dictionary(path, target) for path in paths])
    elif len(paths) == 1:
        table = _rename(paths[0], read_text_table(paths[0]), columns or {})
    else:
        raise InputError(f"{paths[0]}: one of several tables; expected one table, or JSON dictionaries only; join them")
    path = paths[0]
    if target in {*COLUMN_TYPES, "excluded"}:
        raise InputError(f'prep.target = "{target}" is a column of the design, no score; name the score\'s own')
    used = ORDERED.findall(image_pattern) if image_pattern else ["contrast"]
    for column in ("participant_id", target, *used):
        if column not in table:
            why = f", which prep.images = {image_pattern} uses" if image_pattern and column in used else ""
            raise InputError(
                f'{path}: has no column "{column}"{why}; found {", ".join(table.columns)}; name the table\'s own under '
                "[prep.columns] in the params (the score: prep.target; images without a column: prep.images)"
            )
    if image_pattern and "{contrast" not in image_pattern:
        # A column of that name is another thing, such as a condition.
        table = table.drop(columns="contrast", errors="ignore")
    written, table = table, blank_missing(table)
    for column in (name for name in ("participant_id", "dataset") if name in written):
        require_filled(path, table, written, column)
        check_spellings(path, written[column], column)
    _fill(path, table, written)
    _check_reasons(path, table)
    _check_duplicates(path, table, written, image_pattern)
    table[target] = _scores(path, table, target, written[target])
    return table.reset_index(drop=True)


def read_participants(path, trials):
    """Read the table of participants as text, "" for what is missing; absent and duplicated ones stop."""
    table = read_text_table(path)
    for column in {"participant_id", "dataset"} & set(table):
        check_spellings(path, pd.concat([table[column], trials[column]]), column)
    people = blank_missing(table)
    if "participant_id" in people:
        require_filled(path, people, table, "participant_id")
        repeated = people.loc[people["participant_id"].duplicated(), "participant_id"]
        if len(repeated):
            raise InputError(
                f'{path}: participant "{repeated.iloc[0]}" is duplicated; expected one line for each; remove one'
            )
        unknown = sorted(set(trials.loc[is_usable(trials), "participant_id"]) - set(people["participant_id"]))
        if unknown:
            raise InputError(
                f"{path}: lacks {len(unknown)} participant(s) with usable trials: {shorten(unknown)}; expected a line "
                "for each, under the same id; add them, or correct the ids"
            )
    return people


def blank_missing(table):
    """Return a table of text without blanks around its fields, and "" for what is missing."""
    stripped = table.apply(lambda column: column.str.strip())
    return stripped.mask(stripped.apply(lambda column: column.str.lower().isin(MISSING)), "")


def require_filled(path, table, written, column):
    """Stop at a name that is missing, showing it as it is written: somebody may be called NA."""
    blank = table.index[table[column] == ""]
    if len(blank):
        found = written.loc[blank[0], column].strip()
        said = f'has {column} "{found}", which means missing; write another name' if found else f"has no {column}"
        raise InputError(f"{path}: {blank[0]} {said}; expected one in every line")


def check_spellings(path, names, what):
    """Stop at two names that differ only in case, blanks or how their accents are composed, in the column ``what``."""
    spellings = {}
    for name in names.unique():
        plain = "".join(letter for letter in name if not letter.isspace() and unicodedata.category(letter) != "Cf")
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", plain).casefold())
        known = spellings.setdefault(folded, name)
        if known != name:
            shown = [f'"{each}"' + ("" if each.isascii() else f" (written {each!a})") for each in (known, name)]
            raise InputError(
                f"{path}: {what} {' and '.join(shown)} differ only in case, blanks or the form of a letter; "
                "expected one spelling for each; correct one"
            )


def _rename(path, table, columns):
    for own in columns.values():
        if own not in table:
            raise InputError(
                f'{path}: has no column "{own}", which prep.columns names; found {", ".join(table.columns)}; correct it'
            )
    # A column that goes by a name used here but was named otherwise would be duplicated.
    dropped = [name for name, own in columns.items() if name != own and name in table]
    return table.drop(columns=dropped).rename(columns={own: name for name, own in columns.items()})


def _read_dictionary(path, target):
    # Numbers as they are written: as floats, the ids 1.1 and 1.10 would be one.
    content = read_json(path, **dict.fromkeys(("parse_float", "parse_int", "parse_constant"), str))
    keys = ("target", *DICTIONARY_COLUMNS)
    if not isinstance(content, dict) or not all(isinstance(content.get(key), list) for key in keys):
        raise InputError(f'{path}: expected a dictionary of three lists, "target", "group" and "data"')
    lengths = {key: len(content[key]) for key in keys}
    if len(set(lengths.values())) > 1 or not lengths["target"]:
        counts = ", ".join(f"{key} {length}" for key, length in lengths.items())
        raise InputError(f"{path}: lists of different length ({counts}) or empty; expected one entry a trial in each")
    for key in keys:
        for number, value in enumerate(content[key], 1):
            if not isinstance(value, str) and (value is not None or key != "target"):
                raise InputError(
                    f"{path}: entry {number} of {key} is {json.dumps(value)[:60]}; expected a text or a number; "
                    "correct it"
                )
    names = {**DICTIONARY_COLUMNS, "target": target}
    columns = {names[key]: ["null" if value is None else value for value in content[key]] for key in keys}
    table = pd.DataFrame(columns, dtype=str)
    table.index = [f"{path.name} entry {number}" for number in range(1, len(table) + 1)]
    return table.assign(dataset=path.stem)


def _fill(path, table, written):
    """Fill columns that a simple study does not have, and check the others' form, in place."""
    for column, value in (("dataset", ONLY_DATASET), ("run", "1"), ("excluded", ""), ("contrast", "")):
        if column not in table:
            table[column] = value
    if "trial" not in table:
        table["trial"] = (table.groupby("participant_id").cumcount() + 1).astype(str)
    for column in ("participant_id", "dataset"):
        odd = table.index[table[column].str.contains(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")]
        if len(odd):
            raise InputError(f"{path}: {odd[0]} has a control character in its {column}; expected letters and digits")
    named = table["dataset"].str.fullmatch(r"\w[\w.-]{0,59}") & ~table["dataset"].str.lower().isin(TAKEN)
    if not named.all():
        raise InputError(
            f'{path}: dataset "{table.loc[~named, "dataset"].iloc[0]}" names files and results; use up to 60 letters, '
            f"digits, dots and dashes, and none of {', '.join(TAKEN)}"
        )
    for column in ("run", "trial", *({"volume"} & set(table))):
        table[column] = _whole_numbers(path, table, column, written)


def _whole_numbers(path, table, column, written):
    # An excluded trial may have no image and so no volume.
    text = table[column].mask(~is_usable(table) & (table[column] == ""), "0")
    bad = table.index[~text.str.fullmatch(r"[0-9]{1,9}(\.0+)?")]
    if len(bad):
        found = written.loc[bad[0], column]
        raise InputError(f'{path}: {bad[0]} has {column} "{found}"; expected a whole number, such as 1; correct it')
    return text.astype(float).astype(int)


def _check_reasons(path, table):
    logical = table.index[(table["excluded"] != "") & table["excluded"].str.lower().str.fullmatch(LOGICAL)]
    if len(logical):
        raise InputError(
            f'{path}: {logical[0]} has "{table.loc[logical[0], "excluded"]}" in the column excluded, which would count '
            "as a reason to leave the trial out; expected a reason in words, such as motion, for trials to leave out, "
            "and an empty field for usable ones"
        )


def _check_duplicates(path, table, written, image_pattern):
    places = table["participant_id"] + " trial " + table["trial"].astype(str) + " (" + table.index + ")"
    twice = table.duplicated(["participant_id", "trial"], keep=False)
    if twice.any():
        by_run = not table.duplicated(["participant_id", "run", "trial"]).any()
        fix = "trials are counted over the runs of a participant: number those of later runs on" if by_run else ""
        raise InputError(
            f"{path}: a trial is duplicated: {shorten(list(places[twice]))}; {fix or 'keep one line for each'}"
        )
    # Without images in the table two trials may well have the same score and nothing else.
    comparable = ((table["contrast"] != "") & (not image_pattern)) | ("trial" not in written)
    copied = comparable & table.duplicated(table.columns.difference(["trial"]), keep=False)
    if copied.any():
        rows = shorten(list(places[copied]))
        raise InputError(f"{path}: rows are the same but for the number of their trial: {rows}; keep one line for each")
    datasets = table.groupby("participant_id")["dataset"].nunique()
    if (datasets > 1).any():
        name = datasets.index[datasets > 1][0]
        raise InputError(f"{path}: {name} is in more than one dataset; give each participant one")


def _scores(path, table, target, written):
    scores = pd.to_numeric(table[target], errors="coerce").astype(float)
    bad = np.flatnonzero(~np.isfinite(scores) & is_usable(table))
    if bad.size:
        row, found = table.iloc[bad[0]], written.iloc[bad[0]]
        fix = "write decimals with a point" if "," in found else "correct it, or give a reason in the column excluded"
        raise InputError(
            f'{path}: {target} of {row.participant_id} trial {row.trial} ({table.index[bad[0]]}) is "{found}"; '
            f"expected a finite number; {fix}"
        )
    return scores


def is_usable(trials):
    """Return which trials are used: those without a reason in the column ``excluded``; (n_trials,) Series of bool."""
    return trials["excluded"] == ""


def check_scores(trials, target, low=None, high=None):
    """Stop at a usable score outside the range that the params state, and if all are the same: nothing to predict."""
    low, high = -np.inf if low is None else low, np.inf if high is None else high
    usable = trials[is_usable(trials)]
    outside = usable[~usable[target].between(low, high)]
    if len(outside):
        row = outside.iloc[0]
        raise InputError(
            f"{target} of {row.participant_id} trial {row.trial} is {row[target]:g}; expected {low:g} to {high:g}; "
            "correct the table, exclude the trial with a reason, or widen prep.target_min and prep.target_max"
        )
    if usable[target].nunique() == 1:
        found = usable[target].iloc[0]
        raise InputError(f"{target} is {found:g} in every usable trial; expected scores that differ; see prep.target")


def usable_trials(trials):
    """Return the usable trials in the order of every matrix: dataset, participant_id, trial."""
    usable = trials[is_usable(trials)].drop(columns="excluded")
    return usable.sort_values(["dataset", "participant_id", "trial"]).reset_index(drop=True)


def first_of_run(trials):
    """Return for every trial (n_trials,) whether it has the smallest number of its run in its dataset."""
    return (trials["trial"] == trials.groupby(["dataset", "run"])["trial"].transform("min")).to_numpy()


def find_confounds(trials, participants, names):
    """Return confounds, or other columns that the params name, of every usable trial as numbers, by their names.

    A name is ``first_trial`` (1 for the first trial of a run), or a column of the trials or of the participants, who
    may be None. Raises InputError if there is no such column, or a usable trial has no number in it.
    """
    known = trials.assign(first_trial=first_of_run(trials).astype(float))
    if participants is not None and "participant_id" in participants:
        further = participants[["participant_id", *participants.columns.difference(known.columns)]]
        known = known.merge(further, on="participant_id", how="left")
    confounds = {}
    for name in names:
        if name not in known:
            raise InputError(
                f'regress.confounds or relate.columns names "{name}"; expected first_trial, or a column of the trials '
                f"or the participants: {', '.join(known.columns)}"
            )
        values = pd.to_numeric(known[name], errors="coerce").to_numpy(float)
        if not np.isfinite(values).all():
            row = known[~np.isfinite(values)].iloc[0]
            found = f'"{row[name]}"' if isinstance(row[name], str) and row[name] else "missing"
            raise InputError(
                f'column "{name}" is {found} for participant {row["participant_id"]}, trial {row["trial"]}; '
                "expected a number for every usable trial; fill it in, code it as numbers, or exclude the trial"
            )
        confounds[name] = values
    return confounds


def rows_of_training(trials, dataset):
    """Return the rows of the dataset that models are trained on."""
    rows = np.flatnonzero(trials["dataset"] == dataset)
    if not rows.size:
        known = ", ".join(sorted(set(trials["dataset"])))
        raise InputError(f'regress.train_dataset = "{dataset}" has no usable trial; expected one of {known}')
    return rows


def shorten(names):
    """Join the first few of a list of names and count the rest."""
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
