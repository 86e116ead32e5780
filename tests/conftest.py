"""What tests share: seeded numbers, no figure left open, a small study in a repository of its own."""

import fcntl
import os

import matplotlib
import numpy as np
import pytest
import scipy.linalg  # noqa: F401 - brings a BLAS of its own
from repositories import IDENTITY, SMALL, copy_repository, make_repository, name_tester, readme_commands, run
from threadpoolctl import threadpool_limits

matplotlib.use("Agg")
threadpool_limits(1)  # as stages compute; several processes of tests share the cores

# Settings and an identity in the surroundings, as on many CI servers, go before those of a test's repository.
SETTINGS_OF_GIT = ("GIT_AUTHOR_", "GIT_COMMITTER_", "GIT_CONFIG_")


def forget_git_settings():
    for key in [key for key in os.environ if key.startswith(SETTINGS_OF_GIT)]:
        del os.environ[key]


forget_git_settings()
# Where git knows nobody: tests commit, and clone with DataLad, as users would who have told it their names.
os.environ.setdefault("EMAIL", "tester@example.invalid")


def pytest_collection_modifyitems(config, items):
    """Begin with the tests that take long; the first of all makes the finished study, which others would wait for."""
    if not hasattr(config, "workerinput"):
        return
    items.sort(key=lambda item: (item.get_closest_marker("slow") is None, "finished_study" in item.fixturenames))
    for first in [item for item in items if "finished_study" in item.fixturenames][:1]:
        items.remove(first)
        items.insert(0, first)


@pytest.fixture
def rng():
    return np.random.default_rng(20210607)


@pytest.fixture(autouse=True)
def no_git_settings_of_others():
    """Begin and end without settings for git: tests, and fixtures of a module, share their process's surroundings."""
    forget_git_settings()
    yield
    forget_git_settings()


@pytest.fixture(autouse=True)
def close_figures():
    yield
    from matplotlib import pyplot as plt

    plt.close("all")


@pytest.fixture(scope="session")
def finished_study(tmp_path_factory, worker_id):
    """A small study with every result, made by the first commands of the README; tests must not change it.

    Made once for a run of the tests, by whichever of the processes needs it first. Gives (folder, what make printed).
    """
    shared = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        shared = shared.parent
    folder, printed = shared / "finished-study/face-of-pain", shared / "finished-study/printed.txt"
    with open(shared / "finished-study.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not printed.exists():
            folder.parent.mkdir()
            source = make_repository(folder.parent / "source")
            commands = readme_commands()[0].replace("URL", str(source))
            printed.write_text(run(["bash", "-ec", commands], folder.parent, **SMALL, **IDENTITY).stdout)
            run(["git", "remote", "remove", "origin"], folder)
            name_tester(folder)
    return folder, printed.read_text()


@pytest.fixture
def study(finished_study, tmp_path):
    """A copy of the finished study that a test may change."""
    return copy_repository(finished_study[0], tmp_path / "study")
