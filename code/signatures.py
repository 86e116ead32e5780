"""Compare the signatures with each other, within every mask."""

import nibabel
import pandas as pd

from facepain.data.signatures import load_signatures
from facepain.inference.similarity import METRICS, similarity_of_maps
from provenance.run.stage import run_stage
from stages import STUDY

COLUMNS = {
    "mask": "voxels compared",
    "a": "signature",
    "b": "signature",
    "cosine": "cosine of the angle between the two maps; n/a where one is 0 in all these voxels",
    "pearson_r": "their Pearson correlation; n/a where one is constant there",
}


def main(cell, outputs):
    settings, tables = cell.settings, []
    for mask in settings["masks"]:
        mask_img = nibabel.load(f"outputs/extract/{mask}/mask.nii.gz")
        names, maps = load_signatures(settings["signatures"], mask_img, settings["analyze_orientation"])
        for name, values in zip(names, maps, strict=True):
            scores = dict(zip(METRICS, similarity_of_maps(values, maps), strict=True))
            tables.append(pd.DataFrame({"mask": mask, "a": name, "b": names} | scores))
    outputs.write_table("signatures.tsv", pd.concat(tables), COLUMNS)
    print(f"{cell.name}: {len(names)} signatures on {len(settings['masks'])} masks")


if __name__ == "__main__":
    run_stage(STUDY, "signatures", main)
