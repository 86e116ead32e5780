import os
import signal
import subprocess
import sys
import threading
import time
from multiprocessing import get_context
from pathlib import Path

import pytest
from repositories import ROOT

from errors import InputError
from facepain.parallel import Resampling, map_in_order, map_in_processes, resample_rng


@pytest.mark.parametrize("map_items", [map_in_order, map_in_processes])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_results_come_in_order_while_few_wait(map_items, n_jobs):
    taken = []
    items = (taken.append(item) or item for item in range(50))
    results = map_items(lambda item: -item, items, n_jobs)
    assert next(results) == 0
    assert len(taken) <= 2 * n_jobs
    assert list(results) == [-item for item in range(1, 50)]


def test_two_workers_work_at_once():
    both = threading.Barrier(2, timeout=10)
    assert len(list(map_in_order(lambda _: both.wait(), range(4), 2))) == 4
    both = get_context("fork").Barrier(2, timeout=10)
    assert len(list(map_in_processes(lambda _: both.wait(), range(4), 2))) == 4


@pytest.mark.parametrize("map_items", [map_in_order, map_in_processes])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_error_of_a_worker_reaches_the_caller(map_items, n_jobs):
    with pytest.raises(ZeroDivisionError):
        list(map_items(lambda item: 1 / item, [1, 0, 1, 1, 1, 1], n_jobs))


def test_the_work_ends_where_the_caller_takes_no_more_results():
    # The pool learns late of what is submitted, cancelled and shut down, as on a busy machine.
    work = (
        "import multiprocessing.connection, time\n"
        "from facepain.parallel import map_in_processes\n"
        "wait = multiprocessing.connection.wait\n"
        "def wait_late(*given):\n"
        "    ready = wait(*given)\n"
        "    time.sleep(0.02)\n"
        "    return ready\n"
        "multiprocessing.connection.wait = wait_late\n"
        "for result in map_in_processes(abs, range(50), 2):\n"
        "    if result == 4:\n"
        "        break\n"
        "    time.sleep(0.3)\n"
    )
    given = {"cwd": ROOT, "env": os.environ | {"PYTHONPATH": "code"}, "timeout": 60}
    assert subprocess.run([sys.executable, "-c", work], **given).returncode == 0


def test_a_worker_that_was_killed_is_named_with_a_remedy():
    def work(item):
        if item == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return item

    with pytest.raises(InputError, match=r"was killed.*N_JOBS=1"):
        list(map_in_processes(work, range(6), 2))


def test_a_worker_ends_when_who_asked_for_the_work_was_killed(tmp_path):
    work = (
        "import os, pathlib, signal, time\n"
        "from facepain.parallel import map_in_processes\n"
        "def work(item):\n"
        f"    pathlib.Path({str(tmp_path)!r}, str(os.getpid())).touch()\n"
        "    time.sleep(0.2)\n"
        "    os.kill(os.getppid(), signal.SIGKILL) if item else None\n"
        "list(map_in_processes(work, range(2), 2))\n"
    )
    subprocess.run([sys.executable, "-c", work], env=os.environ | {"PYTHONPATH": str(ROOT / "code")}, timeout=30)
    workers = [Path("/proc", path.name) for path in tmp_path.iterdir()]
    deadline = time.monotonic() + 10
    while any(worker.exists() for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(workers) == 2 and not any(worker.exists() for worker in workers)


def test_progress_counts_every_resample():
    done = []
    resampling = Resampling(25, seed=1, n_jobs=2, progress=done.append)
    assert list(resampling.run(list, 10)) == [list(range(10)), list(range(10, 20)), [20, 21, 22, 23, 24]]
    assert done == [10, 10, 5]


def test_generator_depends_on_seed_and_index_alone():
    draws = {resample_rng(seed, index).random() for seed in range(3) for index in range(3)}
    assert len(draws) == 9
    assert resample_rng(1, 2).random() == resample_rng(1, 2).random()


@pytest.mark.parametrize("name", ["n", "n_jobs"])
def test_no_resample_and_no_worker_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} is 0: give 1 or more"):
        Resampling(**{"n": 5, "seed": 1, "n_jobs": 1, name: 0})
