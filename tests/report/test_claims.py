"""What may be said follows from the tables: planted ones lead to the sentence that they carry, and to no other."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from planted_results import draw_trials, write_results

from facepain.models.algorithms import ALGORITHMS
from facepain.report.claims import DESCRIPTION, p_is, read_claims, write_claims
from facepain.report.figures.prediction import draw_models
from facepain.report.pages.findings import describe_findings, describe_limits
from facepain.report.study_claims import make_claims
from facepain.report.tables import cross_validation_columns, cross_validation_markdown, cross_validation_table
from files.outputs import OutputFolder

FLOOR = 1 / 5001
NOTHING = {"pearson_r": (0.02, -0.3, 0.3), "within_r": (0.01, -0.1, 0.1), "p": 0.4}
FOUND = {"pearson_r": (0.53, 0.1, 0.7), "within_r": (0.3, 0.2, 0.4), "p": FLOOR}
LEVEL = {"offset": (0.1, -0.9, 1.1), "r2": (0.25, 0.05, 0.4), "r2_offset_removed": (0.26, 0.06, 0.4)}
TOO_HIGH = {"offset": (4.4, 3.5, 5.2), "r2": (-0.2, -0.6, -0.05), "r2_offset_removed": (0.24, 0.05, 0.4)}
GAIN = {"slope": (1.0, 0.7, 1.3), "r2_recalibrated": (0.25, 0.04, 0.4)}
TOO_WIDE = {"slope": (0.5, 0.3, 0.8), "r2_recalibrated": (0.28, 0.05, 0.4)}


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """Results without any of the tables that claims need."""
    rng = np.random.default_rng(5)
    return write_results(tmp_path_factory.mktemp("claims"), draw_trials(rng), rng)


def transfer_row(scores):
    row = {"dataset": "dataset-2", "n_participants": 18, "n_trials": 264, "n_permutations": 5000}
    row |= {"p_within": scores["p"], "p_block": scores.get("p_block", scores["p"])}
    for name, value in scores.items():
        if not name.startswith("p_") and name != "p":
            row |= dict(zip((name, f"{name}_low", f"{name}_high"), value, strict=True))
    return row


def test_row(scheme, p, null_mean=-0.1, estimate="lopo", metric="pearson_r", score=0.5):
    names = {"estimate_of": estimate, "scheme": scheme, "metric": metric, "score": score}
    return names | {"p": p, "null_mean": null_mean, "n": 5000}


test_row.__test__ = False


def interval_rows(r=(0.5, 0.3, 0.6), skill=(0.25, 0.05, 0.35)):
    rows = [("lopo", "pearson_r", *r), ("lopo", "skill", *skill)]
    return pd.DataFrame(rows, columns=["estimate_of", "metric", "estimate", "low", "high"]).assign(n_participants=15)


def planted(results, tables=None, tests=(), **study_tables):
    """Return results of one model with these tables, named without their folder; those of the study by their path."""
    cell = results.regressions["whole-brain", "lasso"]
    given = {name: pd.DataFrame(table) for name, table in (tables or {}).items()}
    cell = replace(cell, tests=pd.DataFrame(tests, columns=list(test_row("", 0))))
    study = {name.replace("__", "/"): pd.DataFrame(table) for name, table in study_tables.items()}
    object.__setattr__(cell, "table", given.get)
    results = replace(results, regressions={("whole-brain", "lasso"): cell}, classifiers={})
    object.__setattr__(results, "table", study.get)
    return results


def claims_of(results, kind):
    return [claim for claim in make_claims(results) if claim.id.split("/")[0] == kind]


def test_no_table_no_sentence(bare):
    kinds = {claim.id.split("/")[0] for claim in make_claims(bare)}
    assert kinds <= {"datasets", "same", "shrinkage"}
    untested = transfer_row(FOUND | LEVEL | GAIN) | {"p_block": np.nan, "p_within": np.nan}
    assert claims_of(planted(bare, {"transfer": [untested]}), "transfer") == []


SCENARIOS = {
    "nothing": (
        NOTHING | LEVEL | GAIN,
        0.5,
        ["no association was shown, as in the training data"],
        ["constant", "vary"],
    ),
    "offset only": (
        FOUND | TOO_HIGH | GAIN,
        FLOOR,
        [
            "of its participants are associated (r = 0.53 (95 % interval 0.10 to 0.70)",
            "Predictions are 4.4 units of the score too high (95 % interval 3.5 to 5.2)",
            "without that constant, 0.24 (95 % interval 0.05 to 0.40)",
        ],
        ["vary", "Neither"],
    ),
    "too low": (
        FOUND | TOO_HIGH | {"offset": (-2.9, -3.5, -2.3)} | GAIN,
        FLOOR,
        ["Predictions are 2.9 units of the score too low (95 % interval 2.3 to 3.5)"],
        ["too high", "Neither"],
    ),
    "gain only": (
        FOUND | LEVEL | TOO_WIDE,
        FLOOR,
        [
            "Predictions vary more than the scores",
            "where predictions differ by 1, scores differ by 0.50",
            "fitted on the other participants, 0.28",
        ],
        ["too high", "Neither"],
    ),
    "pattern lost": (
        NOTHING | TOO_HIGH | GAIN,
        FLOOR,
        ["the association found in the training data was not found there", "no evidence of absence"],
        ["too high", "are associated"],
    ),
    "all well": (FOUND | LEVEL | GAIN, FLOOR, ["are associated", "Neither a constant error nor a wrong gain"], ["too"]),
}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_transfer_is_taken_apart(bare, scenario):
    scores, p_training, said, unsaid = SCENARIOS[scenario]
    [claim] = claims_of(
        planted(bare, {"transfer": [transfer_row(scores)]}, [test_row("block", p_training)]), "transfer"
    )
    for text in said:
        assert text in claim.text, claim.text
    for text in unsaid:
        assert text not in claim.text, claim.text
    assert (claim.number, claim.low, claim.high) == scores["pearson_r"]
    assert claim.scheme == "block"
    assert claim.files == ("outputs/regress/whole-brain/lasso/transfer.tsv",)


def test_an_offset_of_transformed_scores_is_not_in_points(bare):
    results = planted(bare, {"transfer": [transfer_row(FOUND | TOO_HIGH | GAIN)]})
    [(key, cell)] = results.regressions.items()
    logged = replace(cell, transform="log1p")
    object.__setattr__(logged, "table", cell.table)
    [claim] = claims_of(replace(results, regressions={key: logged}), "transfer")
    assert "Predictions of log(1 + facs) are 4.40 too high (95 % interval 3.50 to 5.20)" in claim.text


def test_trials_alone_are_not_called_participants(bare):
    row = transfer_row(FOUND | LEVEL | GAIN | {"p_block": 0.2})
    [claim] = claims_of(planted(bare, {"transfer": [row]}), "transfer")
    assert "an association over whole participants was not shown" in claim.text
    assert claim.scheme == "within"
    unsure = transfer_row(FOUND | LEVEL | GAIN | {"pearson_r": (0.3, -0.6, 1.0), "within_r": (0.2, -0.4, 0.8)})
    [claim] = claims_of(planted(bare, {"transfer": [unsure]}), "transfer")
    assert "no association was shown" in claim.text


def test_unseen_people_need_block_and_an_interval(bare):
    within = test_row("within", FLOOR)
    assert claims_of(planted(bare, {"intervals": interval_rows()}, [within]), "unseen") == []
    block = test_row("block", FLOOR)
    assert claims_of(planted(bare, {}, [block]), "unseen") == []
    [claim] = claims_of(planted(bare, {"intervals": interval_rows()}, [within, block]), "unseen")
    assert "better than the mean training score" in claim.text
    assert "gives \N{MINUS SIGN}0.10 on average; block p \N{LESS-THAN OR EQUAL TO} 0.0002" in claim.text
    unsure = interval_rows(skill=(0.1, -0.05, 0.2))
    [claim] = claims_of(planted(bare, {"intervals": unsure}, [block]), "unseen")
    assert "is not certain" in claim.text


def test_confounds_alone_are_the_baseline_of_figure_table_and_sentences(tmp_path):
    rng = np.random.default_rng(7)
    moved = write_results(tmp_path, draw_trials(rng), rng, confounds=["motion", "run"])
    cell = moved.regressions["whole-brain", "lasso"]
    alone = cell.table("confounds").set_index(["estimate_of", "metric"])["estimate"]
    assert alone["lopo", "pearson_r"] > 0.5
    [claim, *_] = claims_of(moved, "confounds")
    assert claim.text.startswith("Without images, motion and run predict the scores of unseen participants (r = 0.")
    assert (claim.number, claim.scheme, claim.p) == (alone["lopo", "pearson_r"], "block", 0.05)
    assert cell.table("intervals") is None and "reaches" not in claim.text
    tables = {"confounds": cell.table("confounds"), "intervals": interval_rows()}
    beside = planted(moved, tables, [test_row("block", FLOOR)])
    [claim] = claims_of(beside, "confounds")
    assert "For what they leave of the scores, Lasso in the whole brain reaches r = 0.50" in claim.text
    [claim] = claims_of(beside, "unseen")
    assert claim.text.startswith("Lasso in the whole brain (motion and run removed) predicts")
    assert "better than a model of motion and run alone does: skill 0.25" in claim.text
    drawing = draw_models(moved, ["dataset-2"])
    crosses = [line.get_xdata()[0] for line in drawing.figure.axes[1].lines if line.get_marker() == "x"]
    assert crosses == pytest.approx([alone["lopo", "pearson_r"]] * len(moved.regressions))
    assert "what motion and run leave; crosses" in drawing.caption and len(drawing.caption.split()) <= 60
    table = cross_validation_table(moved)
    assert table["r2_confounds"].iloc[0] == alone["published", "r2"]
    assert set(cross_validation_columns(table)) == set(table)
    assert "by themselves these reach R² " in cross_validation_markdown(moved)


def test_a_model_among_many_is_held_to_the_corrected_p(bare):
    cells = [
        {
            "mask": "whole-brain",
            "algorithm": "lasso",
            "estimate_of": "lopo",
            "scheme": "block",
            "metric": "pearson_r",
            "p_familywise": 0.2,
            "n_familywise": 4,
        }
    ]
    results = planted(bare, {"intervals": interval_rows()}, [test_row("block", 0.03)], compare__cells=cells)
    [claim] = claims_of(results, "unseen")
    assert "no prediction of the scores of unseen participants was shown" in claim.text
    assert "corrected for all models, p \N{LESS-THAN OR EQUAL TO} 0.2" in claim.text
    tables = {"transfer": [transfer_row(NOTHING | LEVEL | GAIN)]}
    [claim] = claims_of(planted(bare, tables, [test_row("block", 0.03)], compare__cells=cells), "transfer")
    assert "no association was shown, as in the training data" in claim.text


def test_one_trial_a_participant_is_exchanged_freely(bare):
    n_trials = bare.regressions["whole-brain", "lasso"].n_trials
    tables, tests = {"intervals": interval_rows().assign(n_participants=n_trials)}, [test_row("free", 0.001)]
    [claim] = claims_of(planted(bare, tables, tests), "unseen")
    assert claim.scheme == "free" and "better than the mean training score" in claim.text and "free p = " in claim.text
    # With several trials each, they are no more alike than those of two: nothing is said of unseen participants.
    assert claims_of(planted(bare, {"intervals": interval_rows()}, tests), "unseen") == []


def test_absence_is_said_with_what_would_have_been_found_or_not_at_all(bare):
    tables, tests = {"intervals": interval_rows((0.0, -0.2, 0.2), (-0.1, -0.3, 0.1))}, [test_row("block", 0.5)]
    [claim] = claims_of(planted(bare, tables, tests), "unseen")
    assert "is not known, so that this is no evidence of absence" in claim.text
    about = {"mask": "whole-brain", "algorithm": "lasso", "skill": 0.0}
    about |= {"n": 200}
    powers = [about | {"effect": effect, "power": power} for effect, power in ((0.2, 0.1), (0.4, 0.7), (0.6, 0.9))]
    results = planted(bare, tables, tests, compare__detectable=powers)
    said = claims_of(results, "unseen")[0].text
    assert "reaches r = 0.60 was found in 90 % of 200 planted studies; a weaker one may be there." in said
    assert "By the mean r over the published folds, without correction for all models" in said
    [claim] = claims_of(results, "detectable")
    assert (claim.number, claim.low, claim.high, claim.p) == (0.6, 0.4, 0.6, None)
    weak = planted(bare, tables, tests, compare__detectable=powers[:2])
    assert "No planted effect was found often enough either" in claims_of(weak, "unseen")[0].text
    assert "was found in only 70 % of 200 planted studies" in claims_of(weak, "detectable")[0].text


def test_the_published_split_is_placed_among_others(bare):
    others = np.linspace(-1, 0.3, 100)
    table = pd.DataFrame({"repeat": np.arange(101), "r2": [0.24, *others], "skill": 0.2})
    [claim] = claims_of(planted(bare, {"repeats": table}), "split")
    below = int(np.sum(others < 0.24))
    assert f"{below} % of them lie below the published one" in claim.text
    assert "training mean depends less on the division: 0.20 on average (middle 95 %: 0.20 to 0.20)" in claim.text
    assert f"{int(np.sum(others < 0))} % below 0" in claim.text
    assert (claim.scheme, claim.p) == (DESCRIPTION, None)
    # As many folds as participants: every division is the same.
    assert claims_of(planted(bare, {"repeats": table.assign(r2=0.24)}), "split") == []


def test_an_algorithm_without_a_penalty_shrinks_nothing(bare, monkeypatch):
    assert claims_of(planted(bare), "shrinkage")
    monkeypatch.setitem(ALGORITHMS, "lasso", replace(ALGORITHMS["lasso"], penalty=""))
    assert claims_of(planted(bare), "shrinkage") == []


def test_trials_rest_on_within(bare):
    [claim] = claims_of(planted(bare, {"intervals": interval_rows()}, [test_row("within", 0.3, 0.4)]), "trials")
    assert "was not shown" in claim.text
    assert "gives 0.40 on average; within p = 0.3" in claim.text


def test_algorithms_with_the_same_weights_are_called_so(bare):
    lasso, other = (bare.regressions["whole-brain", name] for name in ("lasso", "svr"))
    ridge = replace(lasso, algorithm="ridge")
    lasso = replace(lasso, metrics=lasso.metrics.assign(shrinkage=0.0007))
    both = replace(bare, regressions={("whole-brain", "lasso"): lasso, ("whole-brain", "ridge"): ridge})
    [claim] = claims_of(both, "same")
    assert claim.text.startswith("Lasso and Ridge are nearly the same model in the whole brain")
    said = {claim.id: claim.text for claim in claims_of(both, "shrinkage")}
    assert "spread 0.07 % less than those of least squares" in said["shrinkage/whole-brain/lasso"]
    wider = replace(lasso, metrics=lasso.metrics.assign(shrinkage=-0.0036))
    [claim] = claims_of(replace(bare, regressions={("whole-brain", "lasso"): wider}), "shrinkage")
    assert "spread 0.36 % more than those of least squares" in claim.text and claim.number == -0.0036
    ridge = replace(other, algorithm="ridge")
    assert claims_of(replace(both, regressions=both.regressions | {("whole-brain", "ridge"): ridge}), "same") == []


def test_differences_carry_their_corrected_p(bare):
    about = {"a": "M1 lasso", "b": "whole-brain lasso", "metric": "skill"}
    pairs = [about | {"difference": -0.3, "low": -0.4, "high": -0.1, "p": 0.0002, "p_corrected": 0.004}]
    [claim] = claims_of(planted(bare, compare__pairs=pairs), "difference")
    assert claim.text.startswith(
        "With penalties and numbers of components as set, "
        "Lasso in the whole brain predicts unseen participants better than Lasso in M1"
    )
    assert "(difference in skill 0.30 (95 % interval 0.10 to 0.40); paired" in claim.text
    [claim] = claims_of(planted(bare, compare__pairs=[pairs[0] | {"p_corrected": 0.2}]), "difference")
    assert "; paired exchange, of this pair alone p = 0.0002, Holm-corrected p = 0.2)" in claim.text
    assert claim.text.startswith(
        "With penalties and numbers of components as set, "
        "no difference between Lasso in the whole brain and Lasso in M1 was shown"
    )


def test_a_corrected_p_at_its_floor_is_a_bound(bare):
    pair = {"a": "M1 lasso", "b": "whole-brain lasso", "metric": "skill", "difference": -0.3, "low": -0.4, "high": -0.1}
    results = planted(bare, compare__pairs=[pair | {"p": FLOOR, "p_corrected": 18 * FLOOR}])
    object.__setattr__(results, "settings", lambda name: {"n_exchanges": 5000} if name == "compare" else {})
    assert "Holm-corrected p \N{LESS-THAN OR EQUAL TO} 0.0036" in claims_of(results, "difference")[0].text


def test_no_sign_is_reported_where_no_large_weight_lies_in_the_planted_pattern(bare):
    about = {"mask": "whole-brain", "algorithm": "lasso", "n_top": 3, "share_planted": 0.0, "chance_share": 0.1}
    rows = pd.DataFrame([about | {"map": name, "share_right_sign": np.nan} for name in ("average", "fold-1")])
    text = next(claim.text for claim in make_claims(planted(bare), rows) if claim.id.startswith("recovered/"))
    assert "largest weights of a fold (3 voxels) 0 % lie where a pattern was planted" in text and "sign" not in text


def test_tuned_and_parts_rest_on_their_own_tests(bare):
    intervals, block = interval_rows(), [test_row("block", 0.001)]
    tuning = [
        {"fold": 1, "at_edge": "no", "shrinkage": 0.02},
        {"fold": 2, "at_edge": "most components, weakest penalty", "shrinkage": 0.01},
        {"fold": 3, "at_edge": "most components, strongest penalty", "shrinkage": 0.5},
    ]
    folder = "tune__whole-brain__lasso__"
    tables = {f"{folder}intervals": intervals, f"{folder}permutation": block, f"{folder}tuning": tuning}
    [claim] = claims_of(planted(bare, **tables), "tuned")
    assert "predicts unseen participants: r = " in claim.text
    for of_scores, test, shown in (
        (interval_rows(skill=(0.1, -0.05, 0.2)), block, "associated with the scores of unseen participants: r"),
        (intervals, [test_row("within", 0.001)], "associated with the scores of single trials, given the participant"),
        (intervals, [test_row("within", 0.5)], "was not shown to follow single trials"),
        (intervals, [test_row("block", 0.5)], "was not shown to predict unseen participants"),
    ):
        given = tables | {f"{folder}intervals": of_scores, f"{folder}permutation": test}
        assert shown in claims_of(planted(bare, **given), "tuned")[0].text
    assert "block p = 0.001" in claim.text and "Of the 3 choices, of the published folds and the final" in claim.text
    assert (
        "fitted training scores by 2.0 %" in claim.text
        and "The strongest penalty of the grid is taken in 1 of them" in claim.text
    )
    assert "In 2 of them as many components are taken as the smallest inner training set has" in claim.text
    elsewhere = {"estimate_of": "dataset-2", "metric": ["r2", "pearson_r"], "estimate": -1.0, "low": -2.0, "high": 0.0}
    tables[f"{folder}intervals"] = pd.concat([intervals, pd.DataFrame(elsewhere)])
    [claim] = claims_of(planted(bare, **tables), "tuned")
    minus = "\N{MINUS SIGN}"
    said = f"On dataset-2 (no permutation test) it reaches R² = {minus}1.00 (95 % interval {minus}2.00 to 0.00)"
    assert said in claim.text
    about = {"part": "occurrence", "estimate_of": "lopo"}
    auc = pd.DataFrame([about | {"metric": "auc", "estimate": 0.7, "low": 0.6, "high": 0.8}])
    test = [test_row("block", 0.01, metric="auc") | about]
    folder = "occurrence__whole-brain__"
    [claim] = claims_of(planted(bare, **{f"{folder}intervals": auc, f"{folder}permutation": test}), "occurrence")
    assert "predicts whether a trial of an unseen participant has a score above 0 (AUC = 0.70" in claim.text
    both = pd.DataFrame([about | {"part": part, "metric": "pearson_r", "estimate": r, "low": 0.3, "high": 0.7}
                         for part, r in (("product", 0.6), ("plain", 0.55))])  # fmt: skip
    test = [test_row("block", 0.01) | {"part": "product", "estimate_of": "lopo"}]
    [claim] = claims_of(planted(bare, **{f"{folder}intervals": both, f"{folder}permutation": test}), "product")
    assert "block p = 0.01; by one regression of all scores, r = 0.55 (95 % interval 0.30 to 0.70))" in claim.text


def test_every_claim_has_its_number_interval_and_test(bare, tmp_path):
    tables = {"intervals": interval_rows(), "transfer": [transfer_row(FOUND | LEVEL | GAIN)]}
    results = planted(bare, tables, [test_row("block", FLOOR), test_row("within", FLOOR)])
    claims = make_claims(results)
    assert {claim.id.split("/")[0] for claim in claims} == {"transfer", "level", "unseen", "trials", "shrinkage"}
    for claim in claims:
        assert claim.low <= claim.number <= claim.high
        assert (claim.p is None) == (claim.scheme == DESCRIPTION)
        assert claim.text.endswith("(Synthetic data.)")
    assert not any("ynthetic" in claim.text for claim in make_claims(replace(results, synthetic=False)))
    outputs = OutputFolder(tmp_path / "partial")
    write_claims(claims, outputs)
    read = read_claims(tmp_path / "partial/claims.json")
    assert [replace(claim, files=tuple(claim.files)) for claim in read.values()] == claims
    assert len(read) == len(claims)
    findings = describe_findings(read, results)
    assert findings["found"][0].startswith("Lasso in the whole brain, tested on dataset-2")
    assert "no evidence of absence" in " ".join(describe_limits(read, results))


def test_p_at_its_floor_is_a_bound():
    assert p_is(FLOOR, 5000) == "p \N{LESS-THAN OR EQUAL TO} 0.0002"
    assert p_is(2 / 5001, 5000) == "p = 0.0004"
    assert p_is(0.0312) == "p = 0.031"
