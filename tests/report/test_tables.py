"""Tables 1 and 2 hold what the metrics files hold, with p beside the scores that were tested."""

from dataclasses import replace

import pytest
from planted_results import draw_trials, write_results

from facepain.report.pages.findings import describe_findings
from facepain.report.tables import (
    OTHER_DATASETS_COLUMNS,
    cross_validation_columns,
    cross_validation_markdown,
    cross_validation_table,
    other_datasets_markdown,
    other_datasets_table,
)
from files.outputs import OutputFolder
from files.tables import read_table


@pytest.fixture
def results(tmp_path, rng):
    return write_results(tmp_path, draw_trials(rng), rng)


def test_table_1_equals_the_metrics_files(results, tmp_path):
    table = cross_validation_table(results).set_index(["mask", "algorithm"])
    assert len(table) == 6
    for mask, algorithm in table.index:
        folder = tmp_path / "outputs/regress" / mask / algorithm
        metrics = read_table(folder / "metrics.tsv").set_index("fold")
        tests = read_table(folder / "permutation.tsv").set_index(["metric", "scheme"])
        row = table.loc[(mask, algorithm)]
        for score in ("r2", "pearson_r", "mae", "rmse", "r2_within", "r2_between", "r2_baseline"):
            assert row[f"{score}_mean"] == metrics.loc["mean", score]
            assert row[f"{score}_sd"] == metrics.loc["sd", score]
        for score in ("r2", "pearson_r"):
            for scheme in ("within", "block", "free"):
                assert row[f"{score}_p_{scheme}"] == tests.loc[(score, scheme), "p"]
                assert row[f"{score}_null_mean_{scheme}"] == tests.loc[(score, scheme), "null_mean"]


def test_table_2_equals_the_test_metrics_and_starts_with_the_worst(results, tmp_path):
    table = other_datasets_table(results)
    assert table["r2"].is_monotonic_increasing
    for row in table.itertuples():
        metrics = read_table(tmp_path / "outputs/regress" / row.mask / row.algorithm / "test_metrics.tsv")
        assert row.r2 == metrics["r2"].item() and row.dataset == metrics["dataset"].item()


def test_every_column_is_described(results, tmp_path):
    table = cross_validation_table(results)
    out = OutputFolder(tmp_path / "partial")
    out.write_table("table-1.tsv", table, cross_validation_columns(table))
    out.write_table("table-2.tsv", other_datasets_table(results), OTHER_DATASETS_COLUMNS)
    described = cross_validation_columns(table)
    assert described["r2_p_block"] == "p of the mean r2, permutation scheme block; n/a: not run"
    assert described["pearson_r_null_mean_free"] == "mean of the null scores of pearson_r, permutation scheme free"
    assert described["r2_within_sd"] == "r2_within: standard deviation (of the population) over folds"


def test_markdown_has_a_row_for_every_cell_and_says_that_data_are_synthetic(results):
    for text, n_rows in ((cross_validation_markdown(results), 6), (other_datasets_markdown(results), 6)):
        lines = [line for line in text.splitlines() if line.startswith("|")]
        assert len(lines) == n_rows + 2
        assert len({line.count("|") for line in lines}) == 1
        assert "Synthetic data: a simulation" in text


def test_a_scheme_that_was_not_run_is_said_to_be_so(results):
    cell = results.regressions["M1", "ridge"]
    results.regressions["M1", "ridge"] = replace(cell, tests=cell.tests[cell.tests["scheme"] != "block"])
    row = next(line for line in cross_validation_markdown(results).splitlines() if line.startswith("| M1 | ridge"))
    assert row.count("not run") == 2


def test_one_dataset_or_others_of_few_participants_have_no_table_2(tmp_path, rng):
    results = write_results(tmp_path, draw_trials(rng, n_participants=(6,)), rng, synthetic=False)
    assert other_datasets_table(results) is None
    assert "another dataset: the study has only one dataset." in other_datasets_markdown(results)
    assert "ynthetic" not in cross_validation_markdown(results)
    results = write_results(tmp_path, draw_trials(rng), rng, min_participants=6)
    assert (
        "another dataset: every other dataset has fewer than min_participants participants."
        in other_datasets_markdown(results)
    )
    assert (
        "every other dataset has fewer than min_participants participants."
        in describe_findings({}, results)["found"][0]
    )
