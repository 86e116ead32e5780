"""Clusters of a thresholded z map and their peaks in MNI space, as nilearn finds them."""

import warnings

import numpy as np
import pandas as pd
from nilearn.reporting import get_clusters_table

MIN_VOXELS = 10
CLUSTER_COLUMNS = {
    "cluster": "number of the cluster, largest peak first; letters mark further peaks in the same cluster",
    "x": "peak in MNI space, in mm, positive to the right",
    "y": "peak in MNI space, in mm, positive to the front",
    "z": "peak in MNI space, in mm, positive upwards",
    "peak_z": "bootstrap z at the peak",
    "size_mm3": "volume of the cluster in cubic mm; empty for further peaks",
}


def clusters_table(z_img, threshold):
    """List clusters of at least 10 voxels whose absolute z reaches a threshold, positive ones first.

    Parameters
    ----------
    z_img : Nifti1Image
    threshold : float or None
        None where nothing is significant.

    Returns
    -------
    clusters : DataFrame
        With the columns of `CLUSTER_COLUMNS`; empty where there is none.
    """
    names = list(CLUSTER_COLUMNS)
    if threshold is None:
        return pd.DataFrame(columns=names)
    # nilearn keeps what lies above the threshold: a voxel right at it is significant too.
    just_below = np.nextafter(threshold, 0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No clusters found", UserWarning)  # an empty table says it
        table = get_clusters_table(z_img, just_below, cluster_threshold=MIN_VOXELS, two_sided=True)
    table = table.rename(columns=dict(zip(table.columns, names, strict=True)))
    # nilearn leaves the size of further peaks empty.
    return table.assign(size_mm3=pd.to_numeric(table["size_mm3"], errors="coerce"))
