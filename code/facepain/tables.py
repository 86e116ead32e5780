"""Read the table of trials and join it with the contrast images, by id and never by order."""

import io
from pathlib import Path

import numpy as np
import pandas as pd

from facepain.errors import InputError

IMAGE_ENDINGS = (".hdr", ".nii", ".nii.gz")
SHOWN = 5  # entries of a list that a message spells out
ONLY_DATASET = "dataset-1"  # the name of a study's single dataset where the table gives none


def read_trials(path, target):
    """Read the table of trials and check it, row by row.

    Parameters
    ----------
    path : Path
        TSV with columns ``participant_id``, ``contrast``, the target and, where they apply, ``dataset``, ``run``,
        ``trial``, ``excluded``.
    target : str
        Column to predict.

    Returns
    -------
    trials : DataFrame
        With all the columns above; ``dataset``, ``run`` and ``trial`` filled where the table has none, ``excluded``
        "" for usable trials. Scores are floats, NaN only in excluded trials.

    Raises
    ------
    InputError
        If the table is unreadable, a column or an id is missing, a trial stands twice or a score is no finite number.
    """
    table = _read_text_table(path)
    for column in ("participant_id", "contrast", target):
        if column not in table:
            raise InputError(f"{path}: has no column {column}; found {', '.join(table.columns)}; name it or set the params")
    for column, value in (("dataset", ONLY_DATASET), ("run", "1"), ("excluded", "")):
        if column not in table:
            table[column] = value
    if "trial" not in table:
        table["trial"] = (table.groupby("participant_id").cumcount() + 1).astype(str)
    for column in ("participant_id", "dataset"):
        blank = np.flatnonzero(table[column] == "")
        if blank.size:
            raise InputError(f"{path}: line {blank[0] + 2} has no {column}; fill it in")
    named = table["dataset"].str.fullmatch(r"[\w.-]+")
    if not named.all():
        raise InputError(
            f'{path}: dataset "{table.loc[~named, "dataset"].iloc[0]}" names files; use letters, digits, dots and dashes'
        )
    for column in ("run", "trial"):
        table[column] = _whole_numbers(path, table[column])
    _check_duplicates(path, table)
    table[target] = _scores(path, table, target)
    return table


def _read_text_table(path):
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: no such table; install the subdataset (`make inputs`) or correct its name") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start}); save the table as UTF-8") from None
    try:
        table = pd.read_csv(io.StringIO(text), sep="\t", dtype=str, keep_default_na=False, skipinitialspace=True)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(f"{path}: not a tab-separated table ({error}); save it with tabs between the columns") from None
    if table.empty:
        raise InputError(f"{path}: has no rows; expected one line a trial below the column names")
    table = table.apply(lambda column: column.fillna("").str.strip())
    return table.replace({"n/a": ""})


def _whole_numbers(path, column):
    bad = np.flatnonzero(~column.str.fullmatch(r"\d+"))
    if bad.size:
        raise InputError(
            f'{path}: line {bad[0] + 2} has {column.name} "{column.iloc[bad[0]]}"; expected a whole number, such as 1'
        )
    return column.astype(int)


def _check_duplicates(path, table):
    twice = table[table.duplicated(["participant_id", "trial"], keep=False)]
    if len(twice):
        lines = ", ".join(f"{row.participant_id} trial {row.trial} (line {index + 2})" for index, row in twice.iterrows())
        raise InputError(f"{path}: a trial stands more than once: {lines}; keep one line for each")
    used = table[(table["contrast"] != "") & (table["excluded"] == "")]
    twice = used[used.duplicated("contrast", keep=False)]
    if len(twice):
        raise InputError(f"{path}: {twice['contrast'].iloc[0]} belongs to more than one trial; name one image a trial")
    datasets = table.groupby("participant_id")["dataset"].nunique()
    if (datasets > 1).any():
        name = datasets.index[datasets > 1][0]
        raise InputError(f"{path}: {name} stands in more than one dataset; give each participant one")


def _scores(path, table, target):
    scores = pd.to_numeric(table[target], errors="coerce").astype(float)
    bad = np.flatnonzero(~np.isfinite(scores) & (table["excluded"] == ""))
    if bad.size:
        row = table.iloc[bad[0]]
        raise InputError(
            f'{path}: {target} of {row.participant_id} trial {row.trial} (line {bad[0] + 2}) is "{row[target]}"; expected '
            "a finite number; correct it, or give a reason in the column excluded"
        )
    return scores


def check_range(trials, target, low=None, high=None):
    """Stop at a score outside the range that the params state.

    Raises
    ------
    InputError
    """
    low, high = -np.inf if low is None else low, np.inf if high is None else high
    outside = trials[(trials["excluded"] == "") & ~trials[target].between(low, high)]
    if len(outside):
        row = outside.iloc[0]
        raise InputError(
            f"{target} of {row.participant_id} trial {row.trial} is {row[target]:g}; expected {low:g} to {high:g}; "
            "correct the table, exclude the trial with a reason, or widen prep.target_min and prep.target_max"
        )


def match_images(trials, image_paths):
    """Check that every usable trial has its image and every image its trial.

    Parameters
    ----------
    trials : DataFrame
        As from `read_trials`.
    image_paths : iterable of str
        Images there are, relative to the folder that ``contrast`` refers to.

    Raises
    ------
    InputError
        Listing usable trials without an image and images without a trial.
    """
    found = set(image_paths)
    usable = trials[trials["excluded"] == ""]
    without_image = usable[~usable["contrast"].isin(found)]
    without_trial = sorted(found - set(trials["contrast"]))
    problems = []
    if len(without_image):
        names = [f"{row.participant_id} trial {row.trial} ({row.contrast or 'none named'})" for row in without_image.itertuples()]
        problems.append(f"{len(names)} usable trial(s) without an image: {shorten(names)}")
    if without_trial:
        problems.append(f"{len(without_trial)} image(s) without a trial: {shorten(without_trial)}")
    if problems:
        raise InputError("; ".join(problems) + "; restore the images, correct the table or exclude the trials")


def shorten(names):
    """Join the first few of a list of names and count the rest."""
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def usable_trials(trials):
    """Return the usable trials in the order of every matrix: dataset, participant_id, trial."""
    usable = trials[trials["excluded"] == ""].drop(columns="excluded")
    return usable.sort_values(["dataset", "participant_id", "trial"]).reset_index(drop=True)


def summarize(trials, participants, target):
    """Describe each dataset: participants, trials, exclusions by reason, facts of the scores.

    Parameters
    ----------
    trials : DataFrame
        As from `read_trials`, excluded trials included.
    participants : DataFrame or None
        With ``participant_id``, ``dataset`` and, where known, ``age`` and ``sex``.
    target : str

    Returns
    -------
    summary : DataFrame
        Columns ``dataset``, ``fact``, ``value``.
    """
    rows = []
    for dataset, of_dataset in trials.groupby("dataset"):
        enrolled = of_dataset["participant_id"].nunique()
        facts = {}
        if participants is not None:
            people = participants[participants["dataset"] == dataset] if "dataset" in participants else participants
            enrolled = len(people)
            facts |= _facts_of_people(people)
        usable = of_dataset[of_dataset["excluded"] == ""]
        scores = usable[target]
        facts = {"participants_enrolled": enrolled, "participants_usable": usable["participant_id"].nunique(), **facts}
        facts |= {"trials": len(of_dataset), "trials_usable": len(usable)}
        reasons = of_dataset.loc[of_dataset["excluded"] != "", "excluded"].value_counts().sort_index()
        facts |= {f"excluded: {reason}": count for reason, count in reasons.items()}
        facts |= {
            f"{target}_mean": scores.mean(),
            f"{target}_sd": scores.std(ddof=0),
            f"{target}_min": scores.min(),
            f"{target}_quartile_1": scores.quantile(0.25),
            f"{target}_median": scores.median(),
            f"{target}_quartile_3": scores.quantile(0.75),
            f"{target}_max": scores.max(),
            f"{target}_share_zero": (scores == 0).mean(),
            f"{target}_share_not_whole": (scores % 1 != 0).mean(),
        }
        rows += [{"dataset": dataset, "fact": fact, "value": value} for fact, value in facts.items()]
    return pd.DataFrame(rows)


def _facts_of_people(people):
    facts = {}
    if "sex" in people:
        counts = people["sex"].value_counts().sort_index()
        facts |= {f"sex_{sex}": count for sex, count in counts.items() if sex}
    if "age" in people:
        ages = pd.to_numeric(people["age"], errors="coerce").dropna()
        if len(ages):
            facts |= {"age_mean": ages.mean(), "age_sd": ages.std(ddof=1), "age_min": ages.min(), "age_max": ages.max()}
    return facts
