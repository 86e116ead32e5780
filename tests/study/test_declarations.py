"""Stages and algorithms are declared once: a new one is run, checked, explained and shown like all others."""

import os
import re
import subprocess
import sys
import tomllib
from dataclasses import replace

import pytest
from repositories import ROOT, run

import study
from errors import InputError
from facepain.models.algorithms import ALGORITHMS
from provenance.declare import Stage

FEW = {"N_PERMUTATIONS": "20", "N_BOOTSTRAPS": "10"}
ALGORITHM = """
        Algorithm(
            name="ols",
            label="Least squares",
            colour="#CC79A7",
            fit=fit_least_squares,
            parameters={"shrink": (Positive, 1.0)},
            permutation_schemes=("within",),
            sentence="ordinary least squares times {shrink:g}",
        ),
    )
}
"""
FIT = '''
def fit_least_squares(components, Y, shrink):
    """Fit scikit-learn's ``LinearRegression``, every coefficient times a constant."""
    products, intercept = products_with_targets(components, Y)
    return shrink * products / components.singular_values[:, None] ** 2, intercept


# Colours of Okabe'''
# At the end of the list: what shows results comes after it all the same.
STAGE = """        shows=True,
    ),
    Stage(
        name="count",
        about="count the voxels of each mask",
        arguments=("mask",),
        names=list_masks,
        table=Count,
        reads=lambda params, mask: ("inputs/masks",),
        settings=lambda params, mask: params["count"],
        sources=("count.json",),
        private=("people.*",),
    ),
)
"""
TABLE = '''
class Count(tables.Table):
    """The table of the stage ``count``."""

    least: int = 1


STAGES = ('''
SCRIPT = '''"""Count the voxels of a mask."""

import nibabel
import numpy as np

from provenance.run.stage import run_stage
from stages import STUDY


def main(cell, outputs):
    mask = np.asarray(nibabel.load(f"inputs/masks/{cell.names[0]}.nii.gz").dataobj)
    outputs.write_json("count.json", {"n_voxels": int(mask.sum()), "least": cell.settings["least"]})
    outputs.write_text("people.txt", "one participant")


if __name__ == "__main__":
    run_stage(STUDY, "count", main)
'''


def edit(path, *changes):
    text = path.read_text()
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path.write_text(text)


def make(folder, *arguments):
    return run(["make", *arguments], folder, **FEW).stdout


@pytest.fixture
def extended(study):
    """The small study on one mask without signatures, its code with a fourth algorithm and a new stage."""
    edit(
        study / "code/facepain/models/algorithms.py",
        ("    )\n}\n", ALGORITHM.lstrip("\n")),
        ("\n# Colours of Okabe", FIT),
    )
    edit(study / "code/stages.py", ("        shows=True,\n    ),\n)\n", STAGE), ("\nSTAGES = (", TABLE))
    (study / "code/count.py").write_text(SCRIPT)
    params = (study / "code/params.toml").read_text()
    params = params.replace('masks = ["whole-brain", "M1"]', 'masks = ["M1"]')
    params = params.replace('masks = ["whole-brain"]', 'masks = ["M1"]').replace('mask = "whole-brain"', 'mask = "M1"')
    params = re.sub(r"(?m)^(signatures|networks) = .*\n", "", params)
    (study / "code/params.toml").write_text(params.replace('["lasso", "ridge", "svr"]', '["lasso", "ols"]'))
    # Results that the study no longer declares.
    others = ["extract/whole-brain", "regress/whole-brain", "classify/whole-brain"]
    others += ["signatures", "similarity", "expression", "relate"]
    others = [f"outputs/{folder}" for folder in (*others, "regress/M1/ridge", "regress/M1/svr")]
    run(["git", "rm", "-r", "--quiet", *others], study)
    run(["git", "add", "--all"], study)
    run([sys.executable, "code/study.py", "manifest"], study)
    run(["git", "add", "--all"], study)
    run(["git", "commit", "--quiet", "--message", "Add an algorithm and a stage"], study)
    return study


@pytest.mark.slow
def test_a_new_algorithm_and_a_new_stage_are_followed_everywhere(extended):
    states = make(extended, "status")
    assert "regress M1 ols" in states and "count M1" in states
    rule = "outputs/count/**/people.txt annex.largefiles=anything"
    said = run(["make", "cell", "CELL=count M1"], extended, check=False).stdout
    assert f"add to .gitattributes and commit it: {rule}" in said
    attributes = extended / ".gitattributes"
    attributes.write_text(f"{attributes.read_text()}{rule}\n")
    run(["git", "commit", "--quiet", "--all", "--message", "Annex a participant-level file"], extended)
    said = make(extended, "all")
    assert "regress M1 ols: computing" in said and "count M1: computing" in said and "NOT REPRODUCED" not in said
    said = make(extended, "count", "all")
    assert "count: fresh" in said and "every result is fresh" in said

    table = "outputs/regress/M1/ols/metrics.tsv"
    assert "python code/regress.py M1 ols" in make(extended, "explain", f"RESULT={table}")
    assert "setting   least = 1" in make(extended, "explain", "RESULT=outputs/count/M1/count.json")
    assert "1 of " in make(extended, "verify", "CELL=count M1")
    assert (extended / "outputs/count/M1/people.txt").is_symlink()
    report = (extended / "figures/report.md").read_text()
    for source in (table, "outputs/count/M1/count.json"):
        assert f"`{source}`" in report
    assert "Least squares" in report and "ordinary least squares times 1" in report
    captions = (extended / "figures/captions.json").read_text()
    assert "count" in captions
    make(extended, "crate", f"TO={extended.parent / 'crate'}")
    assert (extended.parent / "crate" / table).exists()
    assert (extended.parent / "crate/outputs/count/M1/count.json").exists()


def test_what_is_not_declared_cannot_run(tmp_path):
    done = run([sys.executable, "code/regress.py", "M1", "elastic-net"], ROOT, check=False)
    assert 'the algorithm "elastic-net" is unknown; expected one of lasso, ridge, svr' in done.stdout
    assert "Traceback" not in done.stdout


def test_a_text_in_place_of_a_tuple_is_refused():
    with pytest.raises(InputError, match=r'stage a: private=\("people.tsv"\) is a text; expected a tuple'):
        Stage("a", "", None, None, private=("people.tsv"))


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        ({"colour": "purpel"}, "colour is no #RRGGBB"),
        ({"sentence": "Lasso ({l1ratio:g})"}, r"sentence cannot be filled with the parameters \(KeyError"),
        ({"penalty": "alhpa"}, "shrink goes with one parameter, the penalty"),
        ({"penalty": "alhpa", "shrink": None, "fit": max}, 'penalty "alhpa" is no parameter'),
        ({"shrink": None}, "expected either fit or shrink"),
        ({"permutation_schemes": ("whitin", "block")}, "permutation_schemes are a tuple of some of within"),
        ({"permutation_schemes": ("within")}, "permutation_schemes are a tuple of some of within"),
    ],
)
def test_a_mistake_in_the_entry_of_an_algorithm_is_named(mistake, message):
    with pytest.raises(InputError, match=f"algorithm lasso: {message}"):
        replace(ALGORITHMS["lasso"], **mistake)


def test_a_stage_that_is_called_like_another_target_is_refused(monkeypatch):
    monkeypatch.setenv("MAKE_TARGETS", "all test regress test")
    with pytest.raises(SystemExit, match="stage test: `make test` does something else; name the stage otherwise"):
        study.require_known_words()


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("", 'name a result: make cell CELL="regress whole-brain lasso"'),
        ("regress M1", "; expected one of regress M1 lasso, regress M1 ridge, regress M1 svr"),
        ("regress M1 laso", "; did you mean regress M1 lasso?"),
    ],
)
def test_a_name_of_a_result_that_is_not_whole_is_completed(name, hint):
    with pytest.raises(InputError) as error:
        study.find_cell(name.split())
    assert str(error.value).endswith(hint)


def test_no_import_runs_upwards():
    environment = os.environ | {"PYTHONPATH": str(ROOT / "code")}
    command = [os.path.join(os.path.dirname(sys.executable), "lint-imports"), "--config", str(ROOT / "pyproject.toml")]
    done = subprocess.run([*command, "--no-cache"], cwd=ROOT / "code", env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    forbidden = next(each["forbidden_modules"] for each in contracts if each["type"] == "forbidden")
    assert sorted(forbidden) == sorted({path.stem for path in (ROOT / "code").glob("*.py")} - {"errors"})
