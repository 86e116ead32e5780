"""The file of extracted signals, written and read row by row: memory does not grow with the number of images."""

import numpy as np


class SignalsWriter:
    """Write ``signals.npy`` one row after the other."""

    def __init__(self, path, n_trials, n_voxels):
        self.shape = (n_trials, n_voxels)
        self._file = open(path, "wb")  # noqa: SIM115, closed by the context
        header = {"descr": "<f4", "fortran_order": False, "shape": self.shape}
        np.lib.format.write_array_header_1_0(self._file, header)
        self._next = 0

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._file.close()

    def __setitem__(self, row, values):
        """Write the next row, as float32."""
        if row != self._next or len(values) != self.shape[1]:
            raise ValueError(f"row {row} of {len(values)} voxels; expected row {self._next} of {self.shape[1]}")
        self._file.write(np.asarray(values, dtype="<f4").tobytes())
        self._next += 1


def read_rows(path):
    """Yield the rows of ``signals.npy``, one in memory at a time."""
    with open(path, "rb") as file:
        np.lib.format.read_magic(file)
        (n_trials, n_voxels), _, dtype = np.lib.format.read_array_header_1_0(file)
        for _ in range(n_trials):
            yield np.fromfile(file, dtype=dtype, count=n_voxels)


def take_rows(signals, rows):
    """Return some rows of the signals, in rising order; without a copy where they follow each other."""
    rows = np.asarray(rows)
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1:
        return np.asarray(signals[rows[0] : rows[-1] + 1])
    return np.asarray(signals[rows])
