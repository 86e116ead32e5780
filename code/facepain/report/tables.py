"""Table 1 (cross-validation) and Table 2 (the other datasets) of the study, from the results of every cell."""

from itertools import product

import pandas as pd

from facepain.models.score_tables import METRIC_COLUMNS
from facepain.report.claims import AT_MOST, find_row, is_floor
from facepain.report.figures.page import SYNTHETIC_LABEL, say_removed, signed
from facepain.report.pages.markup import table as markdown_table

TESTED = ("r2", "pearson_r")  # scores that permutation tests are run for
SCORE_NAMES = {
    "r2": "R²",
    "pearson_r": "r",
    "mae": "MAE",
    "rmse": "RMSE",
    "r2_within": "R² within",
    "r2_between": "R² between",
    "r2_baseline": "R² baseline",
}
SUMMARIES = {
    "mean": "mean over folds",
    "sd": "standard deviation (of the population) over folds",
    "confounds": "of predicting the scores by the confounds alone, mean over folds",
}


def cross_validation_table(results):
    """Collect the cross-validated scores, each tested one with its p values, a row for each cell."""
    schemes = _schemes(results)
    rows = []
    for cell in results.regressions.values():
        row = {"mask": cell.mask, "algorithm": cell.algorithm, "n_folds": len(cell.folds)}
        for score in SCORE_NAMES:
            row[f"{score}_mean"], row[f"{score}_sd"] = cell.summary("mean", score), cell.summary("sd", score)
            if score in TESTED:
                tests = cell.tests_of(score).reindex(schemes)
                for scheme in schemes:
                    row[f"{score}_p_{scheme}"] = tests.at[scheme, "p"]
                    row[f"{score}_null_mean_{scheme}"] = tests.at[scheme, "null_mean"]
        row |= {f"{score}_confounds": alone for score, alone in confounds_alone(cell).items()}
        row["r2_pooled"] = cell.summary("pooled", "r2")
        row["n_distinct_pooled"] = int(cell.summary("pooled", "n_distinct"))
        rows.append(row)
    return pd.DataFrame(rows)


def confounds_alone(cell):
    """Return what the confounds predict without images in the published folds; empty where none are removed."""
    rows = {score: find_row(cell.table("confounds"), estimate_of="published", metric=score) for score in TESTED}
    return {score: row["estimate"] for score, row in rows.items() if row}


def cross_validation_columns(table):
    """Describe the columns of `cross_validation_table`."""
    described = {
        "mask": "mask of the images",
        "algorithm": "regression on the principal components",
        "n_folds": "folds of the cross-validation",
        "r2_pooled": "r2 of the predictions of all folds together",
        "n_distinct_pooled": "different trials among the predictions of all folds",
    }
    for column in table.columns.difference(list(described)):
        score, _, kind = column.rpartition("_")
        if "_null_mean_" in column:
            tested = column.split("_null_mean_")[0]
            described[column] = f"mean of the null scores of {tested}, permutation scheme {kind}"
        elif "_p_" in column:
            described[column] = f"p of the mean {column.split('_p_')[0]}, permutation scheme {kind}; n/a: not run"
        else:
            described[column] = f"{score}: {SUMMARIES[kind]}"
    return described


def other_datasets_table(results):
    """Collect the scores of every final model on the other datasets, R2 rising; None for a study with one dataset."""
    parts = [
        cell.test_metrics.assign(mask=cell.mask, algorithm=cell.algorithm)
        for cell in results.regressions.values()
        if len(cell.test_metrics)
    ]
    if not parts:
        return None
    table = pd.concat(parts, ignore_index=True).sort_values(["r2", "mask", "algorithm"], kind="stable")
    first = ["dataset", "mask", "algorithm", *SCORE_NAMES, "n_components", "n_train", "n_test"]
    return table[first].reset_index(drop=True)


OTHER_DATASETS_COLUMNS = {
    "dataset": "dataset that the final model was tested on; none of its trials was used for training",
    "mask": "mask of the images",
    "algorithm": "regression on the principal components",
    "r2": "coefficient of determination",
    "pearson_r": "Pearson correlation of observed and predicted scores",
    **{name: METRIC_COLUMNS[name] for name in ("mae", "rmse", "r2_between", "r2_baseline", "n_components", "n_train")},
    "r2_within": "r2 after subtracting each participant's mean from scores and predictions",
    "n_test": "trials tested",
}


def cross_validation_markdown(results):
    """Write Table 1 as Markdown: scores as mean ± SD over folds, p (null mean) for each permutation scheme."""
    if not results.regressions:
        return "### Table 1. Cross-validation\n\nNo model is here; `make all` makes them.\n"
    cells, schemes = list(results.regressions.values()), _schemes(results)
    header, lines = ["mask", "algorithm"], [[cell.mask, cell.algorithm] for cell in cells]
    for score, name in SCORE_NAMES.items():
        tested = schemes if score in TESTED else ()
        header += [name, *(f"p {scheme} (null mean)" for scheme in tested)]
        for line, cell in zip(lines, cells, strict=True):
            mean, sd, tests = cell.summary("mean", score), cell.summary("sd", score), cell.tests_of(score)
            line.append(f"{signed(mean)} ± {signed(sd)}")
            line += [_p_and_null(tests.loc[scheme]) if scheme in tests.index else "not run" for scheme in tested]
    missing = [key for key in product(results.masks, results.algorithms) if key not in results.regressions]
    lines += [[*key, *["no result"] * (len(header) - 2)] for key in missing]
    example = cells[0]
    n = max((int(n) for cell in cells for n in cell.tests_of("r2")["n"]), default=0)
    note = (
        f"Mean ± SD over {len(example.folds)} folds. p = (1 + null scores at or above the observed) / (1 + "
        f"permutations), with up to {n} permutations of each scheme. Scores without a p were not tested. R² baseline "
        "is the R² of predicting the mean of the training scores.\n"
    )
    if alone := confounds_alone(example):
        scores = " and ".join(f"{SCORE_NAMES[score]} {signed(value)}" for score, value in alone.items())
        note = (
            f"{note.rstrip()} Models are scored on what {', '.join(example.confounds)} leave of the scores; by "
            f"themselves these reach {scores} (of scores from which they are not removed).\n"
        )
    return _markdown("Table 1. Cross-validation", header, lines, note, results.synthetic)


def other_datasets_markdown(results):
    """Write Table 2 as Markdown, or the line that says why there is none."""
    table = other_datasets_table(results)
    title = "Table 2. Test on the other dataset"
    if table is None:
        why = f"No model was tested on another dataset: {results.why_not_tested()}."
        return f"### {title}\n\n{why if results.regressions else 'No model is here; `make all` makes them.'}\n"
    header = ["dataset", "mask", "algorithm", *SCORE_NAMES.values(), "trials"]
    lines = [
        [*row[:3], *(signed(value) for value in row[3:-1]), f"{row[-1]:.0f}"]
        for row in table[["dataset", "mask", "algorithm", *SCORE_NAMES, "n_test"]].itertuples(index=False)
    ]
    note = (
        "The final model of each mask and algorithm, the least favourable R² first. The association (r) is tested by "
        f"permutation: see `transfer.tsv` of each model.{say_removed(results.regressions.values())}\n"
    )
    return _markdown(title, header, lines, note, results.synthetic)


def _markdown(title, header, lines, note, synthetic):
    label = f"**{SYNTHETIC_LABEL}.**\n\n" if synthetic else ""
    return f"### {title}\n\n{label}{markdown_table(header, lines)}\n\n{note}"


def _schemes(results):
    return list(pd.concat([cell.tests_of("r2") for cell in results.regressions.values()]).index.unique())


def _p_and_null(test):
    bound = f"{AT_MOST} " if is_floor(test.p, test.n) else ""
    return f"{bound}{test.p:.2g} ({signed(test.null_mean)})"
