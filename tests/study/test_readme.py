"""The README says what is so: its numbers are those of the outputs, its commands run, its links lead somewhere."""

import re

import pytest
from repositories import ROOT, SMALL, make_repository, run, small_cells

from files.tables import read_table

README = (ROOT / "README.md").read_text()


def stated_rows(first_cell):
    rows = [
        [cell.strip() for cell in line.strip("| \n").split("|")] for line in README.splitlines() if line.startswith("|")
    ]
    return [row for row in rows if row[0].startswith(first_cell)]


def minus(number, digits=2):
    return f"{number:.{digits}f}".replace("-0.00", "0.00")


@pytest.mark.parametrize("mask", ["whole-brain", "M1", "without-M1"])
def test_the_scores_stated_are_those_of_the_outputs(mask):
    rows = [row for row in stated_rows(mask) if len(row) == 5]
    assert len(rows) == 3
    for _, algorithm, test, folds, p in rows:
        cell = ROOT / "outputs/regress" / mask / algorithm.lower()
        metrics = read_table(cell / "metrics.tsv").set_index("fold")["r2"]
        tests = read_table(cell / "permutation.tsv").query("scheme == 'within' and metric == 'r2'")
        assert test == minus(read_table(cell / "test_metrics.tsv")["r2"][0])
        assert folds == f"{minus(metrics['mean'])} ± {minus(metrics['sd'])}"
        assert p == f"{tests['p'].iloc[0]:.4f}"


def test_the_classifier_stated_is_that_of_the_outputs():
    cell = ROOT / "outputs/classify/whole-brain"
    metrics = read_table(cell / "metrics.tsv").set_index("fold")
    test = read_table(cell / "permutation.tsv").iloc[0]
    mean, sd = metrics.loc["mean"], metrics.loc["sd"]
    sentence = (
        f"{mean['accuracy']:.1%} ± {sd['accuracy']:.1%} of the trials of unseen participants (always naming the larger "
        f"dataset: {mean['majority_share']:.1%}; balanced accuracy {mean['balanced_accuracy']:.1%}, p = {test['p']:.4f})"
    )
    assert sentence in " ".join(README.split())


def test_links_and_files_named_exist():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_every_target_named_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)", README)) | set(
        re.findall(r"^make ([a-z-]+)", README, flags=re.MULTILINE)
    )
    assert {"all", "test", "verify"} <= named <= targets


@pytest.mark.slow
def test_the_commands_run_as_written(tmp_path):
    """From a plain clone in an empty folder to a verdict, one file fetched, one result computed again."""
    source = make_repository(tmp_path / "source")
    first, _, fetch, again = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
    reader = tmp_path / "reader"
    reader.mkdir()
    said = run(["bash", "-ec", first.replace("URL", str(source))], reader, **SMALL).stdout
    n = len(small_cells())
    assert f"verdict: {n} of {n} cells ran" in said
    clone = reader / "face-of-pain"
    assert run(["git", "status", "--porcelain"], clone).stdout == ""
    run(["bash", "-ec", fetch.replace("PATH-OF-A-FINISHED-CLONE", str(clone))], reader)
    assert (reader / "results/outputs/regress/whole-brain/lasso/weights_average.nii.gz").exists()
    before = run(["git", "rev-parse", "HEAD"], clone).stdout
    run(["bash", "-ec", again], clone)
    assert run(["git", "rev-parse", "HEAD"], clone).stdout == before
