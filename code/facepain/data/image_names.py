"""Say which contrast image belongs to which trial, by a column or a pattern, and that none is left over."""

import re
import string
import unicodedata
from pathlib import PurePosixPath

from errors import InputError
from facepain.data.trials import is_usable, shorten

IMAGE_ENDINGS = (".hdr", ".nii", ".nii.gz")
WILDCARDS = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
SPM_VOLUME = re.compile(r",([0-9]{1,9})$")  # SPM writes image.nii,3 for the third volume


def name_images(trials, image_paths, pattern=None):
    """Return the trials with the image of each, as on disk, and the images that should all belong to a trial.

    Trials are as of `read_trials`, ``image_paths`` the images there are below one folder. A pattern, such as
    ``sub-{participant_id}/con_{trial:04d}.hdr``, has columns in braces and the wildcards ``*``, ``?`` and ``**/``,
    which have to leave one image. Without it the column ``contrast`` names the image; where all paths there begin with
    folders that are not here, such as another machine's, these are left out. A usable trial without an image keeps the
    name it asks for; those in series get a column ``volume``. Raises InputError if the pattern is no pattern of this
    table, or fits several images.
    """
    if pattern:
        return _name_by_pattern(trials, image_paths, pattern)
    contrast = trials["contrast"].str.replace("\\", "/")
    volumes = contrast.str.extract(SPM_VOLUME, expand=False)
    if volumes.notna().any():
        trials = trials.assign(volume=volumes.fillna(trials.get("volume", "1")).astype(int))
    contrast = contrast.str.replace(SPM_VOLUME, "", regex=True).str.replace(r"\.img$", ".hdr", regex=True)
    contrast = contrast.map(lambda name: str(PurePosixPath(name)) if name else "")
    # Accents may be composed in the table and not in the file system.
    found = {unicodedata.normalize("NFC", path): path for path in image_paths}
    contrast = contrast.map(lambda name: unicodedata.normalize("NFC", name))
    foreign = _foreign_folders(contrast, found)
    contrast = contrast.str.removeprefix(foreign)
    return trials.assign(contrast=[found.get(name, name) for name in contrast]), list(image_paths)


def _foreign_folders(contrast, found):
    """Return the leading folders to leave out so that an image, the first that can, is found; "" where none is."""
    for name in filter(None, contrast):  # that of an excluded trial need not be there
        parts = name.split("/")
        for start in range(len(parts)):
            if "/".join(parts[start:]) in found:
                return "".join(part + "/" for part in parts[:start])
    return ""


def _name_by_pattern(trials, image_paths, pattern):
    pieces = _parse(pattern, trials)
    fitting = re.compile("".join(literal + ("[^/]+?" if field else "") for literal, field, _ in pieces))
    expected = [path for path in image_paths if fitting.fullmatch(unicodedata.normalize("NFC", path))]
    named = []
    for row in trials.to_dict("records"):
        asked = re.compile("".join(literal + re.escape(_fill(row, field, spec)) for literal, field, spec in pieces))
        fits = [path for path in expected if asked.fullmatch(unicodedata.normalize("NFC", path))]
        if len(fits) > 1 and not row["excluded"]:
            raise InputError(
                f'prep.images = "{pattern}" fits {len(fits)} images for {row["participant_id"]} trial {row["trial"]}: '
                f"{shorten(fits)}; expected one; make the pattern narrower"
            )
        missing = "" if row["excluded"] else pattern.format_map(row)
        named.append(fits[0] if len(fits) == 1 else missing)
    return trials.assign(contrast=named), expected


def _parse(pattern, trials):
    """Split a pattern into (literal as a regular expression, column, format) and check its columns."""
    try:
        pieces = list(string.Formatter().parse(unicodedata.normalize("NFC", pattern)))
    except ValueError as error:
        raise InputError(f'prep.images = "{pattern}" is not a pattern ({error}); expected columns in braces') from None
    for _, field, spec, conversion in pieces:
        if field is None:
            continue
        if field not in trials:
            raise InputError(
                f'prep.images = "{pattern}" names "{field}", which is no column; expected one of '
                f"{', '.join(trials.columns)}"
            )
        try:
            if conversion:
                raise ValueError("no conversion")
            format(trials[field].iloc[0], spec)
        except ValueError:
            raise InputError(
                f'prep.images = "{pattern}": "{field}" cannot be written as '
                f'"{spec or conversion}"; expected a form such '
                "as {trial:04d}, and plain {participant_id} for columns of text"
            ) from None
    return [(_as_expression(literal), field, spec) for literal, field, spec, _ in pieces]


def _as_expression(literal):
    parts = re.split(r"(\*\*/|\*|\?)", literal)
    return "".join(WILDCARDS.get(part, re.escape(part)) for part in parts)


def _fill(row, field, spec):
    return "" if field is None else unicodedata.normalize("NFC", format(row[field], spec))


def match_images(trials, image_paths, without_trial="refuse"):
    """Stop at usable trials without an image or sharing one, and at images without a trial, unless to "ignore"."""
    found = set(image_paths)
    usable = trials[is_usable(trials)]
    image = ["contrast", "volume"] if "volume" in usable else ["contrast"]
    twice = usable[(usable["contrast"] != "") & usable.duplicated(image, keep=False)]
    if len(twice):
        raise InputError(
            f"{twice['contrast'].iloc[0]} belongs to more than one trial; expected one image a trial; correct the table"
        )
    without_image = usable[~usable["contrast"].isin(found)]
    lonely = sorted(found - set(trials["contrast"])) if without_trial == "refuse" else []
    problems = []
    if len(without_image):
        names = [
            f"{row.participant_id} trial {row.trial} ({row.contrast or 'none named'})"
            for row in without_image.itertuples()
        ]
        problems.append(f"{len(names)} usable trial(s) without an image: {shorten(names)}")
    if lonely:
        problems.append(
            f"{len(lonely)} image(s) without a trial: {shorten(lonely)} "
            f'(prep.images_without_trial = "ignore" leaves them out)'
        )
    if problems:
        raise InputError("; ".join(problems) + "; restore the images, correct the table or exclude the trials")
