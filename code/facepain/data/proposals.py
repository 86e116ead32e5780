"""Propose settings for a study from its table and the names of its images; a person confirms them."""

import itertools
import re

import pandas as pd

from errors import InputError
from facepain.data.image_names import match_images, name_images
from facepain.data.mask_expressions import IMAGE
from facepain.data.trials import LOGICAL, blank_missing, shorten

# How tables of other studies call the columns, without case and signs.
KNOWN_AS = {
    "participant_id": "participantid participant subject subjectid subj sub id subid ppt pid",
    "dataset": "dataset study site cohort sample",
    "run": "run runid runnumber block lauf",
    "trial": "trial trialid trialnumber trialno trialnr trialnum trialindex durchgang essai",
    "contrast": "contrast image imagefile file filename path nifti conimage",
    "volume": "volume vol",
    "excluded": "excluded exclude exclusion exclusionreason reason",
}
# Others may be called so too: a contrast "pain", a block "A", an image of a face.
WHOLE = r"[0-9]+(\.0+)?"
HELD = {"run": WHOLE, "trial": WHOLE, "volume": WHOLE, "contrast": rf"{IMAGE}(,[0-9]+)?"}
SCORE = re.compile(
    r"facs|score|rating|pain|schmerz|douleur|unpleasant|target|(?<![a-z])(vas|nrs|vrs)(?![a-z])", re.IGNORECASE
)
MOST_PATTERNS = 20_000
MOST_WILDCARDS = 1000
N_TRIED = 3  # trials by which patterns are tried before all are


def propose_columns(table):
    """Say which of a table's columns are those of a study: the table's own name by the name used here."""
    table = blank_missing(table)
    plain = {re.sub("[^a-z0-9]", "", name.lower()): name for name in reversed(table.columns)}
    columns = {}
    for name, known in KNOWN_AS.items():
        candidates = [own for own in (name, *(plain.get(key) for key in known.split())) if own in table]
        if name in HELD:  # by most fields: a mistake in a few is for `read_trials` to name
            filled = [table.loc[table[own] != "", own] for own in candidates]
            candidates = [text.name for text in filled if text.str.fullmatch(HELD[name]).mean() > 0.5]
        if candidates and candidates[0] not in columns.values():
            columns[name] = candidates[0]
    return columns


def propose_targets(table, columns):
    """List the columns that may be the score, the likeliest first, each with what is wrong with it, "" if nothing is.

    Columns that only count lines, of each participant or of the table, come last.
    """
    table = blank_missing(table)
    lines = pd.Series(range(len(table)), table.index)
    of_person = table.groupby(columns.get("participant_id", table.columns[0])).cumcount()
    usable = pd.Series(True, table.index)
    if "excluded" in columns and not table[columns["excluded"]].str.lower().str.fullmatch(LOGICAL).all():
        usable = table[columns["excluded"]] == ""
    problems, ranks = {}, {}
    for name in (name for name in table.columns if name and name not in columns.values()):
        every = pd.to_numeric(table[name].str.replace(",", "."), errors="coerce")
        numbers = every[usable]
        if numbers.nunique() < 2 or numbers.isna().mean() > 0.5:
            continue
        counts = any((every - order).nunique() == 1 for order in (lines, of_person))
        problems[name] = _find_problem(table.loc[usable, name], numbers)
        ranks[name] = counts, not SCORE.search(name), problems[name] != ""
    return {name: problems[name] for name in sorted(ranks, key=ranks.get)}


def _find_problem(text, numbers):
    if text.str.contains(",").any():
        return "has numbers with a comma, where a decimal point is expected"
    lines = text.index[numbers.isna()]
    return f"has no number in {shorten(list(lines))}" if len(lines) else ""


def propose_pattern(trials, image_paths, columns):
    """Find the pattern, as of `name_images`, by which images are called after their trials; None if there is none.

    Numbers of trials and runs are only looked for where the table has such ``columns``, as of `propose_columns`: those
    that `read_trials` fills in follow the order of lines.
    """
    usable = trials[trials["excluded"] == ""]
    rows, there = usable.to_dict("records"), set(image_paths)
    if not rows:
        return None
    # The longest id and the last trial are least likely to be in a name by chance.
    example = max(rows, key=lambda row: (len(row["participant_id"]), row["participant_id"], row["trial"]))
    example = {name: value for name, value in example.items() if name in columns}
    some = itertools.chain.from_iterable(_patterns(path, example) for path in sorted(image_paths))
    candidates = set(itertools.islice(some, MOST_PATTERNS))
    plain = [each for each in candidates if "*" not in each]
    for pattern in sorted(plain, key=lambda each: (each.count("{"), len(each), each)):
        named = {(pattern.format_map(row), row.get("volume")) for row in rows}
        if len(named) == len(rows) and {path for path, _ in named} <= there:
            return pattern
    wild = [each for each in candidates if "*" in each]
    for pattern in sorted(wild, key=lambda each: (each.count("*"), each.count("{"), each))[:MOST_WILDCARDS]:
        try:
            for part in (usable.iloc[-N_TRIED:], usable):
                match_images(name_images(part, image_paths, pattern)[0], image_paths, "ignore")
        except InputError:
            continue
        return pattern
    return None


def _patterns(path, trial):
    """Yield patterns that a trial's image may follow: each number in a path is fixed, of the trial, or anything."""
    id_ = trial["participant_id"]
    numbers = "([0-9]+)" if id_.isdigit() else rf"({re.escape(id_)}(?![0-9])|[0-9]+)"
    choices = []
    for piece in re.split(numbers, path):
        literal = piece.replace("{", "{{").replace("}", "}}")
        options = ["{participant_id}"] if piece == id_ else []
        if piece.isdigit():
            if id_.isdigit() and int(id_) == int(piece) and len(piece) >= len(id_):
                options.append(f"{{participant_id:0>{len(piece)}}}")
            width = f":0{len(piece)}d" if piece.startswith("0") and len(piece) > 1 else ""
            options += [f"{{{name}{width}}}" for name in ("trial", "run") if int(piece) == trial.get(name)]
            options.append("*")
        choices.append([*options, literal] if len(options) != 1 or piece.isdigit() else options)
    for pattern in itertools.product(*choices):
        if any("{participant_id" in piece for piece in pattern):
            yield "".join(pattern)
