"""The one kind of error that a user is meant to read."""


class InputError(ValueError):
    """A mistake in the data, the settings or the repository, told in one line.

    The message names the file or setting, the value found, what was expected and the mend. Stage scripts print it
    without a traceback; every other exception is a defect of this project and keeps its traceback.
    """
