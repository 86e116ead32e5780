"""The stage relate: its numbers are those of lme4, whichever columns are named; what cannot be related is said."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import relate
from files.outputs import OutputFolder
from files.tables import read_table

N_PARTICIPANTS, N_TRIALS = 16, 10


@pytest.fixture
def study(tmp_path, monkeypatch):
    """The trials of `test_the_numbers_are_those_of_lme4`: x is the expression, z a rating, y the score."""
    groups, rng = np.repeat(np.arange(N_PARTICIPANTS), N_TRIALS), np.random.default_rng(2023)
    slopes = 0.4 + 0.5 * rng.normal(size=N_PARTICIPANTS)
    x, z = rng.normal(size=len(groups)), rng.normal(size=len(groups))
    y = slopes[groups] * x + 0.2 * z + rng.normal(size=N_PARTICIPANTS)[groups] + rng.normal(size=len(groups))
    x, z, y = (np.round(values, 6) for values in (x, z, y))
    trials = {"participant_id": [f"sub-{group:02d}" for group in groups], "dataset": "d", "run": 1, "trial": 1}
    trials = pd.DataFrame(trials | {"facs": y, "rating": z, "twice": 2 * z})
    expression = pd.DataFrame({"row": np.arange(len(groups)), "signature": "001", "dot": x})
    for name, table in (("prep/trials", trials), ("expression/M1/lasso/expression", expression)):
        path = tmp_path / f"outputs/{name}.tsv"
        path.parent.mkdir(parents=True)
        table.to_csv(path, sep="\t", index=False)
    monkeypatch.chdir(tmp_path)
    return trials, np.std(x), np.std(z), np.std(y)


def run_relate(folder, columns):
    settings = {"mask": "M1", "algorithm": "lasso", "measure": "dot", "columns": columns, "permutation": {"n": 19}}
    settings |= {"train_dataset": "d", "target": "facs", "transform": "raw", "seed": 1}
    outputs = OutputFolder(folder / "made")
    relate.main(SimpleNamespace(name="relate", settings=settings), outputs)
    return read_table(outputs.path("fixed_effects.tsv")), read_table(outputs.path("participant_slopes.tsv"))


def test_numbers_are_those_of_lme4_whichever_columns_are_named(study, tmp_path, capsys):
    _, sd_x, sd_z, sd_y = study
    effects, slopes = run_relate(tmp_path, ["run", "rating", "twice"])
    said = capsys.readouterr().out
    for name in ("run", "twice"):
        assert f"relate: {name} is left out, it is the same in every trial or follows from the other columns" in said
    effects = effects.set_index("term")
    assert list(effects.index) == ["intercept", "expression", "rating"] and len(slopes) == N_PARTICIPANTS
    assert effects.loc["expression", "estimate"] == pytest.approx(0.2402648807 * sd_x / sd_y, rel=5e-4)
    assert effects.loc["rating", "estimate"] == pytest.approx(0.2044612917 * sd_z / sd_y, rel=5e-4)
    assert effects.loc["expression", "se"] == pytest.approx(0.10474184318 * sd_x / sd_y, rel=2e-3)
    assert effects.loc["rating", "se"] == pytest.approx(0.07933070456 * sd_z / sd_y, rel=2e-3)


def test_participants_with_one_trial_each_have_no_slope(study, tmp_path, capsys):
    trials = study[0].assign(participant_id=[f"sub-{row:03d}" for row in range(len(study[0]))])
    trials.to_csv(tmp_path / "outputs/prep/trials.tsv", sep="\t", index=False)
    effects, slopes = run_relate(tmp_path, ["rating"])
    assert "every participant has one trial, so that there is no slope within them: left out" in capsys.readouterr().out
    assert effects.empty and slopes.empty and "p_permutation" in effects
