"""Read tables: identifiers and labels are text, whatever they look like."""

import pandas as pd

# Left to guess, a reader takes 001 for 1 and 1.10 for 1.1. Columns that are not named here hold measurements.
COLUMN_TYPES = {
    **dict.fromkeys(("participant_id", "dataset", "observed", "predicted", "contrast", "mask"), str),
    **dict.fromkeys(("fold", "signature", "network", "array", "shape"), str),
    **dict.fromkeys(("run", "trial", "volume", "row"), int),
}


def read_table(source, types=COLUMN_TYPES):
    """Read a TSV that `files.outputs.OutputFolder.write_table` wrote.

    Parameters
    ----------
    source : Path or text buffer
    types : type or dict of str to type, optional
        Of the columns; `str` reads every field as it is written.

    Returns
    -------
    table : DataFrame
        ``n/a`` is NaN, unless all is text.
    """
    missing = [] if types is str else ["n/a"]
    return pd.read_csv(source, sep="\t", dtype=types, na_values=missing, keep_default_na=False)
