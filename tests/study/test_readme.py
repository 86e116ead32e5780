"""The README says what is so: its numbers are those of the claims, its commands run, its links lead somewhere."""

import re

import pytest
from readme_numbers import MARKED, fill, read_claims
from repositories import ROOT, readme_commands, run, small_cells

from stages import STAGES

README = (ROOT / "README.md").read_text()


@pytest.fixture(scope="module")
def claims():
    path = ROOT / "figures/claims.json"
    if not path.exists():
        pytest.skip("figures/claims.json is not here; `make plot` makes it")
    return read_claims(path)


def test_sentences_and_numbers_are_those_of_the_claims(claims):
    assert fill(README, claims) == README, "python tests/shared/readme_numbers.py writes what the claims say"
    assert len(MARKED.findall(README)) >= 20


def test_the_summary_is_what_the_claims_say(claims):
    """The sentences "In short" are written by hand; each part of them needs a claim that carries it."""
    assert "In short: for participants whom the model has not seen" in README
    unseen, tuned = claims["unseen/whole-brain/lasso"], claims["tuned/whole-brain/lasso"]
    assert unseen["p"] <= 0.05 and "was shown" not in unseen["text"]
    assert tuned["p"] <= 0.05 and tuned["number"] > unseen["number"]
    transfer = claims["transfer/dataset-2/whole-brain/lasso"]
    assert transfer["p"] <= 0.05 and "are associated" in transfer["text"]
    assert "Predictions are" in transfer["text"] and "points too high" in transfer["text"]
    assert claims["level/dataset-2/whole-brain/lasso"]["number"] < 0
    assert claims["tuned/M1/lasso"]["p"] <= 0.05 and "M1 predicts the scores too" in " ".join(README.split())
    for algorithm in ("lasso", "ridge", "svr"):
        assert (
            "no prediction of the scores of unseen participants was shown" in claims[f"unseen/M1/{algorithm}"]["text"]
        )


def test_marked_places_are_filled_and_a_claim_that_is_gone_is_named():
    claim = {"text": "It is so. (Synthetic data.)", "number": -0.123, "low": -1.0, "high": 2.0, "p": 0.0002}
    text = "<!-- claim:a/b -->old<!-- /claim --> <!-- claim:a/b number --><!-- /claim --> <!-- claim:a/b interval -->"
    filled = fill(text + "<!-- /claim -->", {"a/b": claim})
    assert re.sub("<!--.*?-->", "", filled) == "It is so. \N{MINUS SIGN}0.12 \N{MINUS SIGN}1.00 to 2.00"
    assert fill(filled, {"a/b": claim}) == filled
    with pytest.raises(KeyError, match="README names the claim a/b"):
        fill(text, {})


def test_links_and_files_named_exist():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_every_target_named_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    targets |= {stage.name for stage in STAGES}
    named = set(re.findall(r"`make ([a-z-]+)", README)) | set(
        re.findall(r"^make ([a-z-]+)", README, flags=re.MULTILINE)
    )
    assert {"all", "test", "verify"} <= named <= targets


@pytest.mark.slow
def test_the_commands_run_as_written(finished_study, study, tmp_path):
    """The first block made the finished study from a plain clone; one file is fetched, one result computed again."""
    folder, said = finished_study
    _, trial, test, fetch, again = readme_commands()
    n = len(small_cells())
    assert f"verdict: {n} of {n} cells ran" in said
    assert run(["git", "status", "--porcelain"], folder).stdout == ""
    run(["bash", "-ec", fetch.replace("PATH-OF-A-FINISHED-CLONE", str(folder))], tmp_path)
    assert (tmp_path / "results/outputs/regress/whole-brain/lasso/weights_average.nii.gz").exists()
    before = run(["git", "rev-parse", "HEAD"], study).stdout
    run(["bash", "-ec", again], study)
    assert run(["git", "rev-parse", "HEAD"], study).stdout == before
    # What these start takes minutes, and is what the finished study and this run of the tests are.
    assert (trial, test) == ("make trial\n", "make test\n")
    done = run(["make", "trial", f"TO={study}"], study, check=False)
    assert f"trial: {study} exists already; remove it, or name another folder with TO=" in done.stdout
