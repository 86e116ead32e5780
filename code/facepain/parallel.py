"""Ordered work on a fixed number of threads, the same to the last bit for any number of them."""

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
from threadpoolctl import threadpool_limits

from facepain.on_dask import map_on_dask


@dataclass(frozen=True)
class Resampling:
    """Say how often to resample, from which seed, and on how many workers.

    Parameters
    ----------
    n : int
        Number of permutations or of bootstrap draws.
    seed : int
        Seed of the whole test; resample ``b`` depends on ``(seed, b)`` alone.
    n_jobs : int, default 1
        Number of threads. It changes no byte of a result.
    progress : callable, optional
        Called with the number of resamples newly done, after every batch.
    """

    n: int
    seed: int
    n_jobs: int = 1
    progress: Callable[[int], None] | None = None

    def __post_init__(self):
        for name in ("n", "n_jobs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: give 1 or more")

    def __reduce__(self):
        # For workers of Dask: they resample one by one, and show nothing.
        return Resampling, (self.n, self.seed)

    def run(self, function, batch_size):
        """Yield ``function(indices)`` for consecutive batches of resample indices, in order.

        Parameters
        ----------
        function : callable
            Takes a range of resample indices.
        batch_size : int
            Must never depend on ``n_jobs``: BLAS rounds by the shape of what it is given.
        """
        batches = [range(start, min(start + batch_size, self.n)) for start in range(0, self.n, batch_size)]
        ordered = map_on_dask if os.environ.get("DASK") else map_in_order
        for batch, result in zip(batches, ordered(function, batches, self.n_jobs), strict=True):
            yield result
            if self.progress is not None:
                self.progress(len(batch))


def map_in_order(function, items, n_jobs=1):
    """Yield ``function(item)`` in the order of the items, computed by threads.

    NumPy lets other threads run inside its matrix products, eigendecompositions and ufuncs, so
    threads share the arrays at no cost. BLAS itself is kept to one thread. At most ``2 * n_jobs``
    results wait to be taken, whatever the number of items.
    """
    items = iter(items)
    with threadpool_limits(1, user_api="blas"):
        if n_jobs == 1:
            yield from map(function, items)
            return
        with ThreadPoolExecutor(n_jobs) as pool:
            pending = deque(pool.submit(function, item) for item in islice(items, 2 * n_jobs))
            try:
                while pending:
                    yield pending.popleft().result()
                    pending.extend(pool.submit(function, item) for item in islice(items, 1))
            finally:
                for future in pending:
                    future.cancel()


def resample_rng(seed, index):
    """Return the generator of one resample: the ``index``-th child of the seed, drawn directly."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))
