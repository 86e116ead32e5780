"""Describe numeric files by a few numbers, so that a clone without their bytes can still be compared with them."""

import json
import re

import nibabel
import numpy as np
import pandas as pd

from files.rounding import round_significant
from files.tables import read_table

N_PROJECTIONS = 3
COLUMNS = {
    "file": "file of this folder, annexed",
    "array": "array, column or numbers in it",
    "shape": "its shape",
    "norm": "Euclidean norm",
    **dict.fromkeys(
        (f"projection_{number}" for number in range(1, N_PROJECTIONS + 1)),
        "sum of the values times random signs (seeded), divided by norm and root of their number",
    ),
}


def fingerprint_files(folder, names):
    """Describe every float array in some files of a folder: a table with the columns of `COLUMNS`, one row an array."""
    found = ((name, key, values) for name in names for key, values in float_arrays(folder / name))
    rows = [{"file": name, "array": key, **fingerprint(values)} for name, key, values in found]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def fingerprint(values):
    """Return shape, norm and seeded projections of an array, rounded to 6 significant digits.

    One value changed by the root mean square of all moves a projection by about 1 / n.
    """
    flat = np.nan_to_num(np.asarray(values, dtype=np.float64)).ravel()
    norm = float(np.sqrt(np.square(flat).sum()))
    row = {"shape": "x".join(map(str, np.shape(values))), "norm": round_significant(norm)}
    for number in range(1, N_PROJECTIONS + 1):
        projection = (flat * random_signs(flat.size, number)).sum()
        scale = norm * np.sqrt(flat.size)
        row[f"projection_{number}"] = round_significant(projection / scale if scale else 0.0)
    return row


def random_signs(n_values, seed):
    """Draw signs from raw random bits, which are the same in every version of NumPy."""
    words = np.random.PCG64(seed).random_raw(-(-n_values // 64))
    bits = np.unpackbits(words.astype("<u8").view(np.uint8), bitorder="little")[:n_values]
    return bits.astype(np.float64) * 2 - 1


def float_arrays(path):
    """Yield name and values of the float arrays in a file, sorted by name."""
    name = str(path)
    if name.endswith(".nii.gz"):
        yield "voxels", nibabel.load(path).get_fdata()
    elif name.endswith(".npz"):
        with np.load(path, allow_pickle=False) as arrays:
            yield from ((key, arrays[key]) for key in sorted(arrays.files) if arrays[key].dtype.kind == "f")
    elif name.endswith(".tsv"):
        table = read_table(path)
        yield from ((key, table[key].to_numpy()) for key in sorted(table.select_dtypes("floating")))
    elif name.endswith(".json"):
        numbers = re.findall(r"-?\d+\.\d+(?:[eE][-+]?\d+)?", json.dumps(json.loads(path.read_text())))
        yield "numbers", np.array(numbers, dtype=np.float64)
