"""A small sound study, tables and images in a folder, for a test to spoil."""

from copy import deepcopy

import nibabel
import numpy as np

from provenance.repository import ROOT
from stages import STUDY

SHAPE = (11, 13, 11)
AFFINE = np.array([[-18.0, 0, 0, 90], [0, 18, 0, -126], [0, 0, 18, -72], [0, 0, 0, 1]])
N_PARTICIPANTS = 12
COLUMNS = ["participant_id", "dataset", "trial", "facs", "contrast", "excluded"]


class Study:
    """A small sound study in a folder that is current, for a test to spoil."""

    def __init__(self, folder, rng):
        self.folder = folder
        self.images, self.behavior = folder / "inputs/contrasts", folder / "inputs/behavior"
        self.table = self.behavior / "trials.tsv"
        self.images.mkdir(parents=True)
        self.behavior.mkdir()
        common = rng.normal(size=SHAPE)
        self.rows = []
        for number in range(N_PARTICIPANTS):
            dataset = "dataset-1" if number < N_PARTICIPANTS * 2 // 3 else "dataset-2"
            self.rows.append([f"sub-{number:02d}", dataset, "1", f"{number + 0.5}", f"con_{number}.hdr", ""])
            self.save(number, common + 0.3 * rng.normal(size=SHAPE))
        self.write_table()
        self.params = deepcopy(STUDY.load_params(ROOT / "code/params.toml"))
        del self.params["similarity"]["signatures"]
        self.params["tune"]["grid"]["n_folds"] = 3
        self.params["extract"]["mask_files"] = {
            "whole-brain": "whole-brain",
            "M1": "whole-brain and not gray-matter",
            "without-M1": "whole-brain and not M1",
        }

    def save(self, number, values, affine=AFFINE, kind=nibabel.Nifti1Pair, ending="hdr"):
        img = kind(values.astype(np.float32), affine)
        # As integers, 0 would come back as half a step.
        img.set_data_dtype(np.int16 if values.all() else np.float32)
        nibabel.save(img, self.images / f"con_{number}.{ending}")

    def write_table(self, columns=COLUMNS, separator="\t"):
        self.table.write_text("\n".join(separator.join(row) for row in [columns, *self.rows]) + "\n")

    def set(self, row, column, value):
        self.rows[row][COLUMNS.index(column)] = value
        self.write_table()
