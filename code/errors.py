"""The one kind of error that a user is meant to read."""

from difflib import get_close_matches


class InputError(ValueError):
    """A mistake in the data, the settings or the repository, reported in one line.

    The message names the file or setting, the value found, what was expected and how to fix it. Stage scripts print it
    without a traceback; every other exception is a defect of this project and keeps its traceback.
    """


def suggest(name, known):
    """Return ``; did you mean ...?`` for a name that is close to a known one, else an empty text."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""
