"""Clusters of a thresholded z map and their peaks in MNI space, as nilearn finds them."""

import warnings

import numpy as np
import pandas as pd

MIN_VOXELS = 10
CLUSTER_COLUMNS = {
    "threshold": "threshold of the z map that the cluster exceeds, as named in bootstrap.json",
    "cluster": "number of the cluster, positive ones first; letters mark further peaks in the same cluster",
    "x": "peak in MNI space, in mm, positive to the right",
    "y": "peak in MNI space, in mm, positive to the front",
    "z": "peak in MNI space, in mm, positive upwards",
    "peak_z": "bootstrap z at the peak",
    "size_mm3": "volume of the cluster in cubic mm; missing for further peaks",
}


def clusters_table(z_img, thresholds):
    """List clusters of at least 10 voxels whose absolute z reaches a threshold, if there is any, by its name."""
    largest = np.abs(z_img.get_fdata()).max()
    tables = [
        _clusters(z_img, threshold).assign(threshold=name)
        for name, threshold in thresholds.items()
        if threshold is not None and threshold <= largest
    ]
    found = [table for table in tables if len(table)]
    return pd.concat(found)[list(CLUSTER_COLUMNS)] if found else pd.DataFrame(columns=list(CLUSTER_COLUMNS))


def _clusters(z_img, threshold):
    from nilearn.reporting import get_clusters_table  # takes seconds to import, and few draws give no threshold

    # nilearn keeps what lies above the threshold: a voxel right at it is significant too.
    just_below = np.nextafter(threshold, 0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No clusters found", UserWarning)  # an empty table says it
        table = get_clusters_table(z_img, just_below, cluster_threshold=MIN_VOXELS, two_sided=True)
    table = table.rename(columns=dict(zip(table.columns, list(CLUSTER_COLUMNS)[1:], strict=True)))
    # nilearn leaves the size of further peaks empty.
    return table.assign(size_mm3=pd.to_numeric(table["size_mm3"], errors="coerce"))
