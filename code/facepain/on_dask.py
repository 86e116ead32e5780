"""Ordered work on the workers of a Dask cluster, in place of processes of one machine; it changes no byte of a result.

Chosen by the environment variable ``DASK``, which is recorded nowhere: ``local`` (processes of this machine), ``slurm``
(jobs of dask-jobqueue, as Dask's own configuration files say), or the address or scheduler file of a running cluster.
"""

import atexit
import os
import pickle
import tempfile
import zipfile
from functools import cache
from pathlib import Path

from threadpoolctl import threadpool_limits

from errors import InputError

CODE = Path(__file__).resolve().parents[1]
NEEDED = ("facepain", "files", "errors.py")  # by the functions that workers run


def map_on_dask(function, items, n_jobs):
    """Yield ``function(item)`` in the order of the items, computed by the workers of a Dask cluster.

    The function goes to each worker once, with the arrays that it holds; a task is an item. At most two tasks for each
    worker wait. ``local`` and ``slurm`` start ``n_jobs`` workers.
    """
    from facepain.parallel import _take_in_order  # which imports this module

    client = _connect(os.environ["DASK"], n_jobs)
    held = client.scatter(_Held(function), broadcast=True, hash=False)
    waiting = 2 * max(n_jobs, sum(client.nthreads().values()))
    yield from _take_in_order(lambda item: client.submit(_call, held, item, pure=False), items, waiting)


def workers_see(folder, n_jobs):
    """Return whether all workers of the cluster have this folder in their file systems."""
    return all(_connect(os.environ["DASK"], n_jobs).run(os.path.isdir, str(folder)).values())


class _Held:
    """A function, such that Dask takes it for data."""

    def __init__(self, function):
        self.function = function

    def __reduce__(self):
        from cloudpickle import dumps

        # As one string: Dask would send arrays apart, to where they are not aligned and NumPy computes at half speed.
        return _hold, (dumps(self.function),)


def _hold(pickled):
    return _Held(pickle.loads(pickled))


def _call(held, item):
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
