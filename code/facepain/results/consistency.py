"""Check what follows from a result's own files, where what it was made from is private."""

import json

import nibabel
import numpy as np
from scipy.special import ndtr

from files.fingerprints import fingerprint, float_arrays
from files.tables import read_table

DIGITS = 1.01e-5  # relative: one unit of the sixth significant digit


def find_contradictions(folder):
    """Compare p values with their null scores, p with z, means with their folds, fingerprints with their files.

    Return a list of (name, detail): which file of a result's folder does not follow from the others, and how. Files
    that are not here are passed over.
    """
    checks = {
        "permutation.json": _check_permutation,
        "bootstrap_z.nii.gz": _check_bootstrap,
        "metrics.tsv": _check_metrics,
        "fingerprints.tsv": _check_fingerprints,
    }
    return [each for name, check in checks.items() if (folder / name).exists() for each in check(folder / name, folder)]


def _check_permutation(path, folder):
    table_path = folder / "permutation.tsv"
    entries = json.loads(path.read_text(encoding="utf-8"))["entries"]
    for entry in entries:
        null = np.array(entry["null_scores"])
        p = (1 + np.count_nonzero(null >= entry["score"])) / (1 + null.size)
        if not np.isclose(p, entry["p"], rtol=DIGITS, atol=0):
            yield path.name, f"{entry['scheme']} {entry['metric']}: p = {entry['p']}, its null scores give {p:.6g}"
    if table_path.exists():
        rows = read_table(table_path).to_dict("records")
        if [(row["score"], row["p"]) for row in rows] != [(entry["score"], entry["p"]) for entry in entries]:
            yield table_path.name, "its scores or p values are not those of permutation.json"


def _check_bootstrap(z_path, folder):
    p_path = folder / "bootstrap_p.nii.gz"
    if p_path.exists():
        z, p = (nibabel.load(path).get_fdata() for path in (z_path, p_path))
        off = ~np.isclose(np.where(z == 0, 1, 2 * ndtr(-np.abs(z))), p, rtol=1e-4, atol=0)
        if off.any():
            yield p_path.name, f"{off.sum()} voxels do not follow from bootstrap_z.nii.gz"


def _check_metrics(path, _folder):
    table = read_table(path)
    folds = table[table["fold"].str.isdigit()]
    mean = table[table["fold"] == "mean"]
    if len(mean) == 1:
        for column in table.select_dtypes("floating"):
            expected, size = folds[column].mean(), np.nan_to_num(folds[column].abs().max())
            # Both were rounded to six digits. Without scores, and where those of folds are withheld, there is no mean.
            if expected == expected and not np.isclose(mean[column].item(), expected, rtol=1e-4, atol=1e-5 * size):
                yield path.name, f"{column}: mean {mean[column].item()}, its folds give {expected:.6g}"


def _check_fingerprints(path, folder):
    for name, rows in read_table(path).groupby("file"):
        if not (folder / name).exists():
            continue
        arrays = dict(float_arrays(folder / name))
        for row in rows.to_dict("records"):
            found = fingerprint(arrays[row["array"]]) if row["array"] in arrays else {}
            if any(row[key] != value for key, value in found.items()) or not found:
                yield path.name, f"{name}, {row['array']}: the file is another one"
