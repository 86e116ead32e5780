"""Find participants in the content of files: their ids as words, columns of ids, patients in headers of images.

An id of three characters or more with a letter in it is looked for wherever it stands. Shorter ones and bare numbers
are in every table; they count behind a word such as ``participant``, and every table with a column of ids counts.
"""

import re
import struct

TABLES = ("inputs/behavior/participants.tsv", "inputs/behavior/trials.tsv", "outputs/prep/trials.tsv")
COLUMN = "participant_id"
# As BIDS labels them. Where the study's own ids are known a digit must be among them, which "sub-cortical" lacks.
LIKE_AN_ID = re.compile(rb"(?<![A-Za-z0-9])sub-[A-Za-z0-9]+")
LIKE_AN_ID_WITH_DIGIT = re.compile(rb"(?<![A-Za-z0-9])sub-[A-Za-z]*[0-9][A-Za-z0-9]*")
SYNTHETIC = re.compile(r"sub-[0-9]+")  # as the stand-in's, which documents and tests show
ID_COLUMN = re.compile(rb"\A(?:[^\n]*[\t,;])?\"?participant_id\"?(?:[\t,;\r\n]|\Z)")
ID_FIELD = re.compile(rb'"participant_id"\s*:\s*["\[0-9]|"group"\s*:\s*\[')
TRIAL_HOVER = re.compile(rb"\btrial\W{0,3}%\{", re.IGNORECASE)
LONG = 6  # characters that chance does not put into binary content
HEADER = 348  # bytes of an Analyze or NIfTI-1 header
PATIENT = slice(302, 312)  # Analyze's patient_id


class Names:
    """The ids of the study's participants, as far as they are known here."""

    def __init__(self, ids):
        whole = {name.lower() for name in ids if len(name) >= 3 and re.search("[A-Za-z]", name)}
        self.known = {name.encode(): _word(name) for name in sorted(whole)}
        self.telling = {name: word for name, word in self.known.items() if not SYNTHETIC.fullmatch(name.decode())}
        self.labelled = _labelled({name for name in ids if name.lower() not in whole})
        self.like_an_id = LIKE_AN_ID_WITH_DIGIT if ids else LIKE_AN_ID

    def find_in_text(self, content):
        """Return the first known id in a text, None if there is none."""
        return _find(content, self.known)

    def find_in_example(self, content):
        """Return what names a participant where ids that look like the synthetic ones are examples."""
        return _find(content, self.telling) or _find_column(content)

    def find_in_result(self, content):
        """Return what names a participant in a group-level result, as text or as bytes, None if nothing does."""
        if b"\0" in content:
            return self._find_in_bytes(content)
        if b"sub-" in content and (found := self.like_an_id.search(content)):
            return found.group().decode()
        if self.labelled and (found := self.labelled.search(content)):
            return found.group().decode(errors="replace")
        if ID_FIELD.search(content):
            return "participants in a field of ids"
        return _find(content, self.known) or _find_column(content)

    def _find_in_bytes(self, content):
        if patient := patient_of(content):
            return f'the patient "{patient}" in the header of an image'
        # Arrays of words hold each letter with three zero bytes: those are left out, and with them what parts words.
        narrow = content.replace(b"\0", b"")
        if b"sub-" in narrow and (found := re.search(rb"sub-[A-Za-z]*[0-9][A-Za-z0-9]*", narrow)):
            return found.group().decode()
        lowered = narrow.lower()
        long = next((name for name in self.telling if len(name) >= LONG and name in lowered), None)
        return long.decode() if long else _find(image_header(content), self.known)


def image_header(content):
    """Return the header of an Analyze or NIfTI-1 image with its extensions, b"" for anything else."""
    if len(content) < HEADER:
        return b""
    for order in "<>":
        if struct.unpack_from(order + "i", content)[0] == HEADER:
            end = struct.unpack_from(order + "f", content, 108)[0] if content[344:347] == b"n+1" else HEADER
            return content[: int(end) if HEADER <= end < 1e6 else HEADER]
    return b""


def patient_of(content):
    """Return the patient that an Analyze header names, "" if it is none or names nobody."""
    header = image_header(content)
    if not header or header[344:347] in (b"n+1", b"ni1"):  # where NIfTI-1 has numbers
        return ""
    return header[PATIENT].split(b"\0")[0].strip().decode("latin-1")


def find_trial_hover(content):
    """Tell whether a page names the trial under the cursor."""
    return b"%{" in content and TRIAL_HOVER.search(content) is not None


def read_ids(root):
    """Return the participants' ids from those of the study's tables that are here."""
    found = set()
    for path in (root / table for table in TABLES):
        if path.is_file():
            header, *rows = path.read_text(encoding="utf-8", errors="replace").splitlines() or [""]
            columns = header.split("\t")
            if COLUMN in columns:
                place = columns.index(COLUMN)
                found |= {row.split("\t")[place] for row in rows if row.count("\t") >= place}
    return found - {"", "n/a"}


def _word(name):
    return re.compile(rb"(?<![A-Za-z0-9])" + re.escape(name.encode()) + rb"(?![A-Za-z0-9])")


def _labelled(names):
    if not names:
        return None
    some = "|".join(re.escape(name) for name in sorted(names))
    text = rf"(?:participant|subject|patient|sub)(?:_id)?[\s\"':=#_-]{{1,4}}(?:{some})(?![A-Za-z0-9])"
    return re.compile(text.encode(), re.IGNORECASE)


def _find(content, words):
    # Most names are nowhere, which a plain search tells much sooner than a pattern.
    lowered = content.lower() if words else content
    return next((name.decode() for name, word in words.items() if name in lowered and word.search(lowered)), None)


def _find_column(content):
    return "participants in a column of ids" if ID_COLUMN.match(content) else None
