"""What does not follow from a result's own files is named, without what it was made from."""

import numpy as np
import pandas as pd
import pytest

from facepain.results.consistency import find_contradictions
from files.outputs import OutputFolder


@pytest.fixture
def result(tmp_path):
    outputs = OutputFolder(tmp_path / "partial")
    entry = {"scheme": "within", "metric": "r2", "score": 0.2, "p": 0.4, "null_scores": [0.1, 0.3, 0.05, 0.15]}
    columns = dict.fromkeys(("scheme", "metric", "score", "p"), "a column")
    outputs.write_permutation_tests([entry | {"null_quantiles": {}}], columns)
    scores = pd.DataFrame({"fold": ["1", "2", "mean"], "r2": [0.1, 0.3, 0.2]})
    outputs.write_table("metrics.tsv", scores)
    outputs.write_arrays("split_fold-1.npz", y_pred=np.array([0.5, 1.5]))
    outputs.write_fingerprints()
    outputs.publish(tmp_path / "result")
    return tmp_path / "result"


def test_a_result_as_written_contradicts_nothing(result):
    assert find_contradictions(result) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "detail"),
    [
        ("permutation.tsv", "\t0.4\n", "\t0.2\n", "not those of permutation.json"),
        ("permutation.json", '"p": 0.4', '"p": 0.2', "p = 0.2, its null scores give 0.4"),
        ("metrics.tsv", "mean\t0.2", "mean\t0.9", "mean 0.9, its folds give 0.2"),
        ("fingerprints.tsv", "split_fold-1.npz\ty_pred\t2", "split_fold-1.npz\ty_pred\t3", "the file is another one"),
    ],
)
def test_a_forged_number_is_named(result, name, old, new, detail):
    text = (result / name).read_text()
    assert old in text
    (result / name).write_text(text.replace(old, new))
    found = dict(find_contradictions(result))
    assert detail in found[name]


def test_null_scores_that_are_not_here_are_passed_over(result):
    (result / "permutation.json").unlink()
    assert find_contradictions(result) == []


@pytest.mark.parametrize("mean", (np.nan, 0.2))
def test_folds_without_a_score_or_withheld_contradict_no_mean(result, mean):
    scores = pd.DataFrame({"fold": ["1", "2", "mean"], "r2": [np.nan, np.nan, mean]})
    scores.to_csv(result / "metrics.tsv", sep="\t", index=False, na_rep="n/a")
    assert find_contradictions(result) == []
