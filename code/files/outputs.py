"""Write a cell's outputs: gathered beside, put in place whole, with the same bytes on every machine."""

import json
import os
import shutil
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd

from files.fingerprints import COLUMNS as FINGERPRINT_COLUMNS
from files.fingerprints import fingerprint_files
from files.rounding import round_map, round_significant

ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


class OutputFolder:
    """The files of one cell, written into a folder beside, `partial`, until all are there.

    That is a scratch folder on the file system of the results; what an earlier run left in it is removed.
    """

    def __init__(self, partial):
        self.partial = Path(partial)
        shutil.rmtree(self.partial, ignore_errors=True)
        self.partial.mkdir(parents=True)

    def path(self, name):
        """Return where to write a file that none of the methods below writes."""
        path = self.partial / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write_text(self, name, text):
        self.path(name).write_text(text, encoding="utf-8", newline="\n")

    def write_json(self, name, content):
        """Write JSON with sorted keys; floats are written as they are, so round them before."""
        self.write_text(name, json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n")

    def write_table(self, name, table, columns=None, exact=False):
        """Write a TSV, its floats rounded to 6 significant digits unless `exact`, and a JSON on its columns.

        `columns` says by name what each column holds, with its unit; without it no JSON is written: another file
        describes them.
        """
        if not exact:
            floats = table.select_dtypes("floating").columns
            table = table.assign(**{column: round_significant(table[column]) for column in floats})
        self.write_text(name, table.to_csv(sep="\t", index=False, lineterminator="\n", na_rep="n/a"))
        if columns is not None:
            self.write_json(name.removesuffix(".tsv") + ".json", describe_columns(table, columns))

    def write_permutation_tests(self, entries, columns):
        """Write permutation tests: ``permutation.json`` with all null scores, ``permutation.tsv`` without them.

        `entries` has a dict for each scheme and metric; the JSON describes the columns of the table too.
        """
        quantiles = [{f"null_quantile_{q}": value for q, value in each["null_quantiles"].items()} for each in entries]
        rows = [each | of_null for each, of_null in zip(entries, quantiles, strict=True)]
        table = pd.DataFrame(rows, columns=list(columns))
        self.write_table("permutation.tsv", table)
        self.write_json("permutation.json", {"columns": describe_columns(table, columns), "entries": entries})

    def write_map(self, name, values, mask_img):
        """Write voxel values as an image, rounded (`files.rounding.round_map`), 0 outside the mask."""
        self.write_image(name, unmask(round_map(values), mask_img))

    def write_image(self, name, img):
        nibabel.save(img, self.path(name))

    def write_arrays(self, name, **arrays):
        """Write an NPZ without the time of day; floats are rounded to 6 significant digits unless float32."""
        with zipfile.ZipFile(self.path(name), "w", zipfile.ZIP_DEFLATED) as archive:
            for key, values in sorted(arrays.items()):
                values = np.asarray(values)
                if values.dtype == np.float64:
                    values = np.asarray(round_significant(values))
                with archive.open(zipfile.ZipInfo(f"{key}.npy", ZIP_EPOCH), "w") as member:
                    np.lib.format.write_array(member, values, allow_pickle=False)

    def write_fingerprints(self):
        """Describe all maps, arrays, predictions and null scores, for clones that have not their bytes."""
        names = sorted(
            path.relative_to(self.partial).as_posix()
            for path in self.partial.rglob("*")
            if path.name.endswith((".nii.gz", ".npz"))
            or path.name in ("predictions.tsv", "out_of_fold.tsv", "permutation.json")
        )
        self.write_table("fingerprints.tsv", fingerprint_files(self.partial, names), FINGERPRINT_COLUMNS, exact=True)

    def publish(self, target):
        """Put the files in the place of the cell's folder, whole: what the cell no longer writes is gone."""
        target = Path(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        # Beside `partial`. One is there where a network disk kept a file of it open when the cell ran last.
        earlier = self.partial.with_name(f"{self.partial.name}.earlier")
        shutil.rmtree(earlier, ignore_errors=True)
        if target.exists():
            os.replace(target, earlier)
        os.replace(self.partial, target)
        shutil.rmtree(earlier, ignore_errors=True)


def describe_columns(table, columns):
    return {column: {"Description": columns[column]} for column in table.columns}


def unmask(values, mask_img, outside=0):
    """Put values, (n_voxels,), back to their places in a float32 image, with another value outside.

    The mask is non-zero at n_voxels voxels; it gives the grid and their order (as NumPy's boolean indexing, C order).
    """
    inside = np.asarray(mask_img.dataobj) != 0
    volume = np.full(inside.shape, outside, dtype=np.float32)
    volume[inside] = values
    return nibabel.Nifti1Image(volume, mask_img.affine)
