"""What tests share: seeded numbers, no figure left open, a small study in a repository of its own."""

import shutil

import matplotlib
import numpy as np
import pytest
from repositories import SMALL, make_repository, run

matplotlib.use("Agg")


@pytest.fixture
def rng():
    return np.random.default_rng(20210607)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    from matplotlib import pyplot as plt

    plt.close("all")


@pytest.fixture(scope="session")
def finished_study(tmp_path_factory):
    """A small study with every result made by ``make all``; tests must not change it. Gives (folder, what make said)."""
    folder = make_repository(tmp_path_factory.mktemp("study") / "repository")
    said = run(["make", "all"], folder, **SMALL).stdout
    return folder, said


@pytest.fixture
def study(finished_study, tmp_path):
    """A copy of the finished study that a test may change."""
    shutil.copytree(finished_study[0], tmp_path / "study", symlinks=True)
    return tmp_path / "study"
