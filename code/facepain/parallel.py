"""Ordered work on a fixed number of processes or threads, the same to the last bit for any number of them."""

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context

import numpy as np
from threadpoolctl import threadpool_limits

from errors import InputError
from facepain.on_dask import map_on_dask, workers_see


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
        Number of processes. It changes no byte of a result.
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

        The batch size must never depend on ``n_jobs``: BLAS rounds by the shape of what it is given.
        """
        batches = [range(start, min(start + batch_size, self.n)) for start in range(0, self.n, batch_size)]
        for batch, result in zip(batches, map_anywhere(function, batches, self.n_jobs), strict=True):
            yield result
            if self.progress is not None:
                self.progress(len(batch))


def map_anywhere(function, items, n_jobs=1, folder=None):
    """Yield ``function(item)`` in the order of the items, computed on Dask where that was chosen, else by processes.

    Processes of this machine compute also where the function reads files of a folder that workers of Dask do not see.
    """
    on_dask = os.environ.get("DASK") and (folder is None or workers_see(folder, n_jobs))
    return (map_on_dask if on_dask else map_in_processes)(function, items, n_jobs)


def map_in_order(function, items, n_jobs=1):
    """Yield ``function(item)`` in the order of the items, computed by threads.

    NumPy lets other threads run inside its matrix products and eigendecompositions, so that threads share the arrays
    at no cost. BLAS itself is kept to one thread. At most ``2 * n_jobs`` results wait to be taken, whatever the number
    of items.
    """
    with threadpool_limits(1, user_api="blas"):
        if n_jobs == 1:
            yield from map(function, items)
            return
        with ThreadPoolExecutor(n_jobs) as pool:
            yield from _take_in_order(lambda item: pool.submit(function, item), items, 2 * n_jobs)


def map_in_processes(function, items, n_jobs=1):
    """Yield ``function(item)`` in the order of the items, computed by forked processes; else as `map_in_order`.

    For what is many small steps, or SciPy's LAPACK, whose wrappers let no other thread run. The processes inherit the
    function with its arrays and copy none; results are sent back. A process that was killed from outside stops.
    """
    with threadpool_limits(1, user_api="blas"):
        if n_jobs == 1:
            yield from map(function, items)
            return
        with ProcessPoolExecutor(n_jobs, get_context("fork"), _inherit, (function,)) as pool:
            try:
                yield from _take_in_order(lambda item: pool.submit(_call, item), items, 2 * n_jobs)
            except BrokenProcessPool:
                raise InputError(
                    "a process that computed was killed, most likely for want of memory; close other programs or "
                    "compute with fewer at once: N_JOBS=1"
                ) from None
            finally:
                # Where the caller takes no more: Python 3.11.2 can wait forever for futures cancelled one by one.
                pool.shutdown(cancel_futures=True)


def _take_in_order(submit, items, n_waiting):
    items = iter(items)
    pending = deque(submit(item) for item in islice(items, n_waiting))
    try:
        while pending:
            yield pending.popleft().result()
            pending.extend(submit(item) for item in islice(items, 1))
    finally:
        for future in pending:
            future.cancel()


_inherited = None  # of a forked process: what it computes


def _inherit(function):
    global _inherited
    _inherited = function
    # Whoever stops the work stops the process that asked for it, which then ends these: without a traceback of each.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent):
    """End this process when its parent was killed, so that it does not wait for work for ever."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _call(item):
    return _inherited(item)


def resample_rng(seed, index):
    """Return the generator of one resample: the ``index``-th child of the seed, drawn directly."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))
