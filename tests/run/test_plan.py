"""How long a run takes: as declared until enough was measured, then as it was here."""

import re

import pytest
from repositories import ROOT, run

from provenance.declare import Options
from provenance.records.freshness import ABSENT, FRESH, STALE, Freshness
from provenance.run.plan import Plan
from stages import STUDY

STAND_IN = 533, 34, 69798  # trials and participants trained on, voxels


@pytest.fixture
def plan_of(tmp_path, monkeypatch):
    run(["git", "init", "--quiet", str(tmp_path)], tmp_path)
    monkeypatch.setenv("N_JOBS", "2")

    def make(size=STAND_IN, **values):
        cells = STUDY.cells(Options(values=values))
        return Plan(cells, cells, size, root=tmp_path)

    return make


def test_the_declared_time_is_within_a_factor_of_two_of_what_the_readme_says(plan_of):
    minutes = int(re.search(r"takes about (\d+) minutes on two idle cores", (ROOT / "README.md").read_text())[1])
    assert minutes / 2 < plan_of().total() / 60 < 2 * minutes


def test_the_declared_time_grows_with_what_is_computed_and_falls_with_cores(plan_of, monkeypatch):
    full, quick = plan_of().total(), plan_of(n_permutations=20, n_bootstraps=10).total()
    assert quick < full / 2 and plan_of((1066, 68, 69798)).total() > 3 * full
    monkeypatch.setenv("N_JOBS", "1")
    assert 1.5 * full < plan_of().total() < 2 * full


def test_what_was_measured_here_counts_and_scales_the_rest(plan_of):
    plan = plan_of()
    declared = plan.total()
    prep, *_, plot = plan.cells
    plan.measure(prep, 2.0)  # too little to judge this machine by
    assert plan_of().total() == pytest.approx(declared - plan.declared["prep"] + 2, abs=0.1)
    for cell in plan.cells[1:]:
        if cell is not plot:
            plan.measure(cell, 3 * plan.declared[cell.name])
    plan.measure(prep, 3 * plan.declared["prep"])
    assert plan_of().total() == pytest.approx(3 * declared, rel=0.01)


def test_content_that_a_figure_needs_and_is_not_here_counts(tmp_path):
    run(["git", "init", "--quiet", str(tmp_path)], tmp_path)
    cells = STUDY.cells()
    plot = next(cell for cell in cells if cell.stage == "plot")
    states = {cell.name: Freshness(ABSENT, ["its content is not in this clone"]) for cell in cells}
    plan = Plan([plot], cells, STAND_IN, states, tmp_path)
    assert plan.place(cells[0], states).startswith(f"cell 1 of {len(plan.cells)}") and len(plan.cells) > 30
    # What is out of date is left out of the figures, not made for them.
    states = {cell.name: Freshness(STALE, ["code"]) for cell in cells} | {"plot": Freshness(FRESH, [])}
    assert Plan([plot], cells, STAND_IN, states, tmp_path).cells == [plot]
