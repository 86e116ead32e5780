import threading

import pytest

from facepain.parallel import Resampling, map_in_order, resample_rng


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_results_come_in_order_while_few_wait(n_jobs):
    taken = []
    items = (taken.append(item) or item for item in range(50))
    results = map_in_order(lambda item: -item, items, n_jobs)
    assert next(results) == 0
    assert len(taken) <= 2 * n_jobs
    assert list(results) == [-item for item in range(1, 50)]


def test_two_workers_work_at_once():
    both = threading.Barrier(2, timeout=10)
    assert len(list(map_in_order(lambda _: both.wait(), range(4), 2))) == 4


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_error_of_a_worker_reaches_the_caller(n_jobs):
    with pytest.raises(ZeroDivisionError):
        list(map_in_order(lambda item: 1 / item, [1, 0, 1, 1, 1, 1], n_jobs))


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
