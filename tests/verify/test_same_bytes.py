"""Other processors, thread counts, languages, folders, dates: every output comes out the same to the byte."""

import csv
import os
import shutil
import sys

import pytest
from repositories import copy_repository, run

pytestmark = pytest.mark.slow
# Kernels, of which every x86-64 processor since 2013 can run three beside or with its own; threads; languages, of which
# German writes 0,5; time zones in which it is never the same date; and for each a result of another kind, since what
# could differ is the linear algebra of a stage and not its mask.
MACHINES = (
    ("Prescott", 1, "C", "Pacific/Kiritimati", "regress M1 svr"),
    ("Sandybridge", 2, "de_DE.UTF-8", "Etc/GMT+12", "regress M1 lasso"),
    ("Haswell", 2, "C.UTF-8", "Pacific/Kiritimati", "plot"),
    ("SkylakeX", 1, "de_DE.UTF-8", "UTC", "classify whole-brain"),
)
KERNEL = (
    "import numpy, threadpoolctl; numpy.ones((2, 2)) @ numpy.ones((2, 2)); "
    "print({pool['architecture'] for pool in threadpoolctl.threadpool_info() if pool['user_api'] == 'blas'})"
)


@pytest.mark.parametrize(("kernel", "n_threads", "language", "zone", "cell"), MACHINES)
def test_verify_finds_every_output_identical(finished_study, tmp_path, kernel, n_threads, language, zone, cell):
    environment = {
        "OPENBLAS_CORETYPE": kernel, "OPENBLAS_NUM_THREADS": str(n_threads), "N_JOBS": str(n_threads),
        "LC_ALL": language, "TZ": zone, "TMPDIR": str(tmp_path / "ein anderer Ordner"),
    }  # fmt: skip
    if language.startswith("de"):
        environment |= make_german(tmp_path / "locales", language)
    os.mkdir(environment["TMPDIR"])
    usual, other = (run([sys.executable, "-c", KERNEL], tmp_path, check=False, **each) for each in ({}, environment))
    if other.returncode or usual.stdout == other.stdout:
        pytest.skip(f"this processor cannot run the kernel {kernel}, or uses it anyway")
    folder = copy_repository(finished_study[0], tmp_path / "another folder")
    done = run(["make", "verify", f"CELL={cell}"], folder, check=False, **environment)
    with open(folder / ".git/facepain/verification.tsv", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [row for row in rows if row["grade"] != "identical"] == [], done.stdout
    assert done.returncode == 0 and len(rows) > 5


def make_german(folder, name):
    """Make the language where the system can, and return what finds it there; else the system falls back to C."""
    folder.mkdir()
    if shutil.which("localedef") is None:
        return {}
    run(["localedef", "-i", "de_DE", "-f", "UTF-8", str(folder / name)], folder, check=False)
    return {"LOCPATH": str(folder)}
