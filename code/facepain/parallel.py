"""Ordered work on processes, threads or the workers of a Dask cluster: the same to the last bit for any number of them.

Dask is chosen by the environment variable ``DASK``, which is recorded nowhere: ``local`` (processes of this machine),
``slurm`` (jobs of dask-jobqueue, as Dask's own configuration files say), or the address or scheduler file of a running
cluster.
"""

import atexit
import os
import pickle
import signal
import tempfile
import threading
import time
import zipfile
from collections import deque
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from errors import InputError

CODE = Path(__file__).resolve().parents[1]
NEEDED = ("facepain", "files", "errors.py")  # by the functions that workers of Dask run


@dataclass(frozen=True)
class Resampling:
    """Say how often to resample, from which seed, and on how many workers."""

    n: int  # permutations or bootstrap draws
    seed: int  # of the whole test; resample ``b`` depends on ``(seed, b)`` alone
    n_jobs: int = 1  # processes; they change no byte of a result
    progress: Callable[[int], None] = lambda _n: (
        None
    )  # called after every batch with the number of resamples newly done

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
            self.progress(len(batch))

    def run_each(self, function):
        """Return ``function(index)`` of every resample, for what takes long."""
        return [result for (result,) in self.run(lambda indices: [function(index) for index in indices], 1)]


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


def map_on_dask(function, items, n_jobs):
    """Yield ``function(item)`` in the order of the items, computed by the workers of a Dask cluster.

    The function goes to each worker once, with the arrays that it holds; a task is an item. At most two tasks for each
    worker wait. ``local`` and ``slurm`` start ``n_jobs`` workers.
    """
    client = _connect(os.environ["DASK"], n_jobs)
    held = client.scatter(_Held(function), broadcast=True, hash=False)
    waiting = 2 * max(n_jobs, sum(client.nthreads().values()))
    yield from _take_in_order(lambda item: client.submit(_call_held, held, item, pure=False), items, waiting)


def workers_see(folder, n_jobs):
    """Return whether all workers of the cluster have this folder in their file systems."""
    return all(_connect(os.environ["DASK"], n_jobs).run(os.path.isdir, str(folder)).values())


class _Held:
    """A function, such that Dask takes it for data."""

    def __init__(self, function):
        self.function = function

    def __getstate__(self):
        from cloudpickle import dumps

        # As one string: Dask would send arrays apart, to where they are not aligned and NumPy computes at half speed.
        return dumps(self.function)

    def __setstate__(self, pickled):
        self.function = pickle.loads(pickled)


def _call_held(held, item):
    with threadpool_limits(1, user_api="blas"):
        return held.function(item)


@cache
def _connect(where, n_jobs):
    """Start or find the cluster; wait for its first worker; send the project's code there."""
    try:
        from distributed import Client, LocalCluster
        from distributed.diagnostics.plugin import UploadFile
    except ImportError:
        raise InputError(
            "DASK is set and Dask is not installed: `pip install --no-deps --require-hashes -r code/locks/dask.lock` "
            "in the environment of this study"
        ) from None
    if where == "local":
        cluster = LocalCluster(n_workers=n_jobs, threads_per_worker=1, dashboard_address=None)
    elif where == "slurm":
        from dask_jobqueue import SLURMCluster

        cluster = SLURMCluster()
        cluster.scale(n_jobs)
    else:
        cluster = None
    client = Client(scheduler_file=where) if Path(where).is_file() else Client(cluster or where)
    for opened in filter(None, (cluster, client)):
        atexit.register(opened.close)
    client.wait_for_workers(1)
    # Not to where the code is loaded already: loaded again, its InputError would be another class than before.
    # `client.upload_file` would load it in this process too, where the scheduler may run.
    if where != "local":
        client.register_plugin(UploadFile(_pack()))
    return client


def _pack():
    """Write the project's code into an archive that workers import from."""
    path = Path(tempfile.mkdtemp()) / "facepain.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in NEEDED:
            for file in sorted((CODE / name).rglob("*.py")) or [CODE / name]:
                archive.write(file, file.relative_to(CODE))
    return str(path)


def resample_rng(seed, index):
    """Return the generator of one resample: the ``index``-th child of the seed, drawn directly."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))
