"""Sentences about signatures: only what a test carries, each with its number, interval and test."""

from types import SimpleNamespace

import pandas as pd
import pytest

from facepain.report.signature_claims import relation_claims, similarity_claims

SIMILARITY = pd.DataFrame(
    [
        ("planted", "all", "cosine", 0.31, 0.2, 0.4, "block", 0.001, 0.004, 1000),
        ("planted", "network-1", "cosine", 0.5, 0.4, 0.6, "block", 0.001, 0.002, 100),
        ("unrelated", "all", "cosine", 0.02, -0.1, 0.1, "block", 0.6, 0.9, 1000),
        ("planted", "all", "pearson_r", 0.3, 0.2, 0.4, "block", 0.001, 0.004, 1000),
    ],
    columns=["signature", "network", "metric", "score", "low", "high", "scheme", "p", "p_familywise", "n_voxels"],
).assign(p_spatial=[None, None, None, 0.032])
EFFECTS = pd.DataFrame(
    [
        ("planted", "expression", 0.2, 0.05, 0.15, 0.25, 0.001, 0.002, 500, 34),
        ("planted", "trial", 0.3, 0.05, 0.25, 0.35, 0.001, None, 500, 34),
        ("own-model", "expression", 0.3, 0.05, 0.2, 0.4, 0.001, 0.002, 500, 34),
        ("mixed", "expression", 0.1, 0.06, -0.02, 0.22, 0.1, 0.01, 500, 34),
        ("unrelated", "expression", 0.0, 0.05, -0.1, 0.1, 0.9, 0.8, 500, 34),
    ],
    columns=["model", "term", "estimate", "se", "low", "high", "p", "p_permutation", "n_trials", "n_participants"],
)

CELL = SimpleNamespace(mask="M1", algorithm="lasso", confounds=(), scheme_of_people="block")


@pytest.fixture
def results():
    tables = {"similarity/M1/lasso/similarity": SIMILARITY, "relate/fixed_effects": EFFECTS}
    settings = {"similarity/M1/lasso": {"permutation": {"n": 249}}, "relate": {"permutation": {"n": 5000}}}
    return SimpleNamespace(
        score="facs (units)", settings=lambda name: settings.get(name, {}), table=lambda name: tables.get(name)
    )


def test_only_similarities_over_the_whole_mask_that_survive_are_said(results):
    (claim,) = similarity_claims(results, CELL)
    assert (claim.id, claim.number, claim.p, claim.scheme) == ("similarity/planted/M1/lasso", 0.31, 0.004, "block")
    assert "cosine 0.31 (95 % interval 0.20 to 0.40), family-wise p \N{LESS-THAN OR EQUAL TO} 0.004" in claim.text
    assert "as two stationary random fields, gives p = 0.032; where fields are not stationary, about 10 %" in claim.text
    assert claim.files == ("outputs/similarity/M1/lasso/similarity.tsv",)
    assert 'Lasso in M1 resembles the signature "planted": ' in claim.text


def test_the_sign_of_a_similarity_is_said(results):
    opposite = SIMILARITY.assign(score=-SIMILARITY["score"], low=-SIMILARITY["high"], high=-SIMILARITY["low"])
    unsure = SIMILARITY.assign(low=-0.1)
    for table, said in ((opposite, ["resembles, with opposite sign, the signature"]), (unsure, [])):
        results.table = {"similarity/M1/lasso/similarity": table}.get
        claims = list(similarity_claims(results, CELL))
        assert len(claims) == len(said) and all(text in claim.text for text, claim in zip(said, claims, strict=True))


def test_only_expressions_whose_permutation_test_finds_them_are_said(results):
    claims = {claim.id: claim for claim in relation_claims(results)}
    assert claims.keys() == {"expression/planted", "expression/own-model"}
    assert "out of fold" in claims["expression/own-model"].text
    assert "its facs differs by 0.20 (95 % interval 0.15 to 0.25)" in claims["expression/planted"].text
    assert "; p = 0.002, scores permuted" in claims["expression/planted"].text
    assert claims["expression/planted"].scheme == "within" and claims["expression/planted"].p == 0.002


def test_a_study_without_signatures_says_nothing(results):
    results.table = {}.get
    assert [*similarity_claims(results, CELL), *relation_claims(results)] == []
