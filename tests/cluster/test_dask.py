"""Dask in place of threads changes no byte; its packages have a lock of their own, and are installed by the test."""

import os
import re
import subprocess
import sys

import pytest
from repositories import ROOT
from slurm import Slurm

LOCK = ROOT / "code/locks/dask.lock"
pytestmark = pytest.mark.slow

# Images, permutations and both kinds of bootstrap, as stages do them; prints what is written of them.
WORK = """
import hashlib, sys
from pathlib import Path
import nibabel
import numpy as np
from errors import InputError
from facepain.data.extraction import extract_signals, inspect_images
from facepain.inference.bootstrap import bootstrap_weights
from facepain.inference.permutation import permutation_test
from facepain.models.cross_validation import make_folds, prepare_folds
from facepain.models.pca_regression import PCARegression
from facepain.models.standardize import StandardizedImages
from facepain.parallel import Resampling
from files.rounding import round_map

def extract(rng, n_jobs):
    paths = [Path(f"images/{number:02}.nii") for number in range(40)]
    paths[0].parent.mkdir(exist_ok=True)
    for number, path in enumerate(paths):
        nibabel.save(nibabel.Nifti1Image(rng.normal(size=(5, 6, 7)), np.diag([3, 3, 3 + number % 2, 1])), path)
    images = inspect_images(paths, {"analyze_orientation": "unknown", "mixed_grids": "continuous"})
    mask = np.ones((5, 6, 7), dtype=bool)
    signals = np.empty((len(paths), mask.sum()), np.float32)
    quality, _ = extract_signals(images, mask, signals, lambda: None, n_jobs=n_jobs)
    paths[7].write_bytes(paths[7].read_bytes()[:-100])
    try:
        extract_signals(images, mask, signals, lambda: None, n_jobs=n_jobs)
    except InputError as error:
        message = str(error)
    assert message.startswith("images/07.nii: truncated"), message
    return signals.tobytes() + repr((quality, message)).encode()

def main():
    rng = np.random.default_rng(1)
    written = extract(rng, int(sys.argv[1]))
    signals, y = rng.normal(size=(60, 500)).astype(np.float32), rng.normal(size=60)
    groups = np.repeat(np.arange(12), 5)
    for mode in ("image", "voxel"):
        images, n_jobs = StandardizedImages(signals, mode), int(sys.argv[1])
        model = PCARegression("ridge", explained_variance=0.8, alpha=1.0)
        splits = make_folds(groups, scheme="group-shuffle", n_folds=3, test_size=0.3, seed=1)
        folds = prepare_folds(images, splits, model, n_jobs)
        resampling = Resampling(600, 42, n_jobs, progress=lambda n: None)
        tests = permutation_test(folds, y, groups, model, "within", resampling)
        z = bootstrap_weights(images, y, groups, model, Resampling(60, 42, n_jobs)).z
        written += repr([test["null_scores"] for test in tests]).encode() + round_map(z).tobytes()
    print(hashlib.sha256(written).hexdigest())

if __name__ == "__main__":
    main()
"""


@pytest.fixture(scope="module")
def dask_folder(tmp_path_factory):
    """The packages of the lock, beside those of the environment."""
    folder = tmp_path_factory.mktemp("dask")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--target", folder]
    done = subprocess.run([*pip, "-r", LOCK], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"Dask cannot be installed here: {done.stderr.strip()[-200:]}")
    return folder


def compute(folder, n_jobs, **environment):
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'code'}{os.pathsep}{folder}"} | environment
    script = folder / "work.py"
    script.write_text(WORK)
    command = [sys.executable, script, str(n_jobs)]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_threads_and_workers_of_dask_give_the_same_bytes(dask_folder):
    with Slurm() as slurm:
        configuration = dask_folder / "jobqueue.yaml"
        configuration.write_text(
            "jobqueue:\n  slurm:\n    cores: 1\n    processes: 1\n    memory: 1GB\n    interface: lo\n"
            f"    walltime: '00:10:00'\n    log-directory: {dask_folder}\n"
            f"    job-script-prologue: ['export PYTHONPATH={dask_folder}']\n"
        )
        by_slurm = compute(dask_folder, 2, DASK="slurm", DASK_CONFIG=str(configuration), **slurm.environment)
        slurm.wait_for(lambda: not slurm.jobs())
    assert re.fullmatch("[0-9a-f]{64}", by_slurm)
    assert compute(dask_folder, 1) == compute(dask_folder, 2) == by_slurm == compute(dask_folder, 2, DASK="local")


def test_dask_that_is_not_there_is_named(dask_folder):
    with pytest.raises(AssertionError, match="DASK is set and Dask is not installed: `pip install --no-deps"):
        (dask_folder / "alone").mkdir()
        compute(dask_folder / "alone", 1, DASK="local")
