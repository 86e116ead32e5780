"""Clusters: planted blobs are found where they are, at each threshold that they reach."""

import nibabel
import numpy as np

from facepain.inference.bootstrap import CLUSTER_COLUMNS, clusters_table

AFFINE = np.array([[-3.0, 0, 0, 30], [0, 3, 0, -30], [0, 0, 3, -30], [0, 0, 0, 1]])


def test_planted_blobs_are_listed_with_their_peaks_and_volumes_by_threshold():
    z = np.zeros((20, 21, 22), np.float32)
    z[3:6, 4:7, 5:8], z[4, 5, 6] = 3.5, 6
    z[12:15, 12:15, 12:15], z[13, 13, 13] = -3.5, -5
    z[18, 18, 18] = 9  # too small to count
    table = clusters_table(nibabel.Nifti1Image(z, AFFINE), {"fdr": 3.5, "bonferroni_0.05": 5.5, "none": None})
    assert list(table) == list(CLUSTER_COLUMNS)
    assert table["threshold"].tolist() == ["fdr", "fdr"]
    assert table["peak_z"].tolist() == [6, -5]
    assert table["size_mm3"].tolist() == [27 * 27, 27 * 27]
    assert table[["x", "y", "z"]].to_numpy().tolist() == [[18, -15, -12], [-9, 9, 9]]


def test_no_cluster_gives_an_empty_table_with_the_same_columns():
    empty = clusters_table(nibabel.Nifti1Image(np.zeros((5, 6, 7), np.float32), AFFINE), {"fdr": None, "x": 3.0})
    assert list(empty) == list(CLUSTER_COLUMNS) and empty.empty
