"""What made a result and what changed: the planted change is named, and nothing else."""

import pytest
from repositories import SMALL, run

pytestmark = pytest.mark.slow
RESULT = "outputs/regress/M1/lasso/metrics.tsv"


def explain(folder, result, since=None, check=True):
    options = [f"RESULT={result}", *([f"SINCE={since}"] if since else [])]
    return run(["make", "--silent", "explain", *options], folder, check).stdout


def edit(folder, name, old, new):
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1))
    run(["git", "commit", "--quiet", "--all", "--message", f"Edit {name}"], folder)


def causes(said):
    parts = ("  code  ", "  input  ", "  setting  ", "  package  ")
    return [line.strip() for line in said.splitlines() if line.startswith(parts)]


def test_what_made_a_result(finished_study):
    folder, _ = finished_study
    said = explain(folder, RESULT)
    assert "command   python code/regress.py M1 lasso --n-permutations 20 --n-bootstraps 10" in said
    commit = run(["git", "log", "-1", "--format=%H", "--", RESULT], folder).stdout[:10]
    assert f"commit    {commit} of " in said
    assert "input     outputs/extract/M1: 2 file(s), commit " in said and "[DATALAD RUNCMD] extract M1" in said
    assert "code      code/facepain/inference/bootstrap.py: " in said
    assert "setting   algorithm.alpha = 1.0" in said and "package   scipy " in said
    assert "requirements.lock, commit " in said
    said = explain(folder, folder / "outputs/regress/../prep")
    assert "input     inputs/behavior: " in said and "python code/prep.py" in said


def test_a_setting_that_changed_is_named_alone(study):
    before = run(["git", "rev-parse", "HEAD"], study).stdout.strip()
    edit(study, "code/params.toml", "alpha = 1.0\npermutation", "alpha = 2.0\npermutation")
    run(["make", "cell", "CELL=regress M1 lasso"], study, **SMALL)
    said = explain(study, RESULT, before)
    assert causes(said) == ["setting  algorithm.alpha: 1.0 -> 2.0"]
    assert f"1 file(s) differ from {before}" in said and "by way of" not in said
    # The run of the record that is shown, also of a file whose bytes it left as they were.
    folder = "outputs/regress/M1/lasso/"
    differing = run(["git", "diff", "--name-only", before, "HEAD"], study).stdout.splitlines()
    same = next(path for path in run(["git", "ls-files", folder], study).stdout.splitlines() if path not in differing)
    said, last = explain(study, same), run(["git", "rev-parse", "HEAD"], study).stdout[:10]
    assert f"commit    {last} of " in said and "algorithm.alpha = 2.0" in said and "CHANGED" not in said
    unchanged = explain(study, "outputs/regress/M1/ridge/metrics.tsv", before)
    assert "the same bytes as at" in unchanged
    assert "made from the same inputs, code, settings and packages" in unchanged


def test_an_input_that_changed_is_named_alone_far_downstream(study):
    before = run(["git", "rev-parse", "HEAD"], study).stdout.strip()
    table = study / "inputs/behavior/trials.tsv"
    header, first, *rest = table.read_text().splitlines()
    column = header.split("\t").index("facs")
    row = next(number for number, line in enumerate(rest) if float(line.split("\t")[column]) > 2)
    fields = rest[row].split("\t")
    fields[column] = "1.5"
    rest[row] = "\t".join(fields)
    table.write_text("\n".join([header, first, *rest]) + "\n")
    run(["git", "commit", "--quiet", "--all", "--message", "Correct a score"], table.parent)
    run(["git", "commit", "--quiet", "--all", "--message", "Take the corrected scores"], study)
    run(["make", "cell", "CELL=regress M1 lasso"], study, **SMALL)
    said = explain(study, RESULT, before)
    assert causes(said) == ["input  inputs/behavior changed"], said
    assert "trials.tsv | 2 +-" in said
    assert "by way of outputs/prep/trials.tsv" in said


def test_a_line_of_code_that_changed_is_shown(study):
    before = run(["git", "rev-parse", "HEAD"], study).stdout.strip()
    edit(study, "code/classify.py", "images =", "# Said anew.\n    images =")
    run(["make", "classify"], study, **SMALL)
    said = explain(study, "outputs/classify/whole-brain", before)
    assert causes(said) == ["code  code/classify.py changed"]
    assert "      +    # Said anew." in said.splitlines()
    assert "the same bytes as at" in said


def test_what_cannot_be_explained(finished_study):
    folder, _ = finished_study
    assert "RESULT= is missing" in explain(folder, "", check=False)
    assert "code/prep.py is no result at HEAD" in explain(folder, "code/prep.py", check=False)
    outside = "RESULT=../x lies outside of this repository; name a file below outputs/ or figures/"
    assert outside in explain(folder, "../x", check=False)
    assert "SINCE=never is no revision" in explain(folder, RESULT, "never", check=False)
    first = run(["git", "rev-list", "--max-parents=0", "HEAD"], folder).stdout.strip()
    assert f"{RESULT} did not exist at {first}" in explain(folder, RESULT, first, check=False)
