"""The benchmark runs, whatever it measures."""

import sys
from itertools import pairwise

import pytest
from repositories import ROOT, run


@pytest.mark.slow
def test_tiny_benchmark_prints_every_table():
    lines = run([sys.executable, "tests/shared/bench.py", "--tiny"], ROOT).stdout.splitlines()
    titles = [line.split()[0].rstrip(":") for before, line in pairwise(lines) if not before]
    assert titles == ["Resampling", "Memory", "Extraction", "Growth", "Growth"]
    # The two extractions that are timed give the same values.
    assert "  Largest difference between the values of the first two: 0." in lines
    by_name = {line.split()[0] for line in lines if line.startswith("  ")}
    assert {"lasso,", "ridge,", "svr,", "images,", "ours,", "20", "40", "100", "200"} <= by_name
