"""Hold a recomputed file against the fingerprints that git keeps of an annexed one."""

import io
import subprocess
from pathlib import PurePosixPath

import numpy as np

from files.compare import DIFFERENT, WITHIN, Grade
from files.fingerprints import N_PROJECTIONS, fingerprint, float_arrays
from files.tables import read_table

FINGERPRINTS = "fingerprints.tsv"
NORM_TOLERANCE = 1.01e-5  # relative: one unit of the sixth digit
PROJECTION_TOLERANCE = 2e-6


def compare_fingerprints(path, revision, recomputed, root):
    """Compare a recomputed file with the fingerprints recorded beside a path at a commit.

    Never identical: the bytes are known to differ, since their checksums do.
    """
    folder, name = str(PurePosixPath(path).parent), PurePosixPath(path).name
    shown = subprocess.run(
        ["git", "show", f"{revision}:{folder}/{FINGERPRINTS}"], cwd=root, capture_output=True, text=True
    )
    if shown.returncode:
        return Grade(DIFFERENT, "another checksum; neither the recorded bytes nor fingerprints of them are here")
    table = read_table(io.StringIO(shown.stdout))
    recorded = {row["array"]: row for row in table[table["file"] == name].to_dict("records")}
    arrays = dict(float_arrays(recomputed))
    if not recorded or recorded.keys() != arrays.keys():
        return Grade(DIFFERENT, f"another checksum; holds {sorted(arrays)}, fingerprints are of {sorted(recorded)}")
    for key, values in arrays.items():
        found, expected = fingerprint(values), recorded[key]
        if found["shape"] != expected["shape"]:
            return Grade(DIFFERENT, f"{key}: shape {found['shape']}, recorded {expected['shape']}")
        if not np.isclose(found["norm"], expected["norm"], rtol=NORM_TOLERANCE, atol=0):
            return Grade(DIFFERENT, f"{key}: norm {found['norm']:g}, recorded {expected['norm']:g}")
        for number in range(1, N_PROJECTIONS + 1):
            column = f"projection_{number}"
            if abs(found[column] - expected[column]) > PROJECTION_TOLERANCE:
                return Grade(DIFFERENT, f"{key}: {column} {found[column]:g}, recorded {expected[column]:g}")
    return Grade(WITHIN, "by fingerprint; the recorded bytes are not here")
