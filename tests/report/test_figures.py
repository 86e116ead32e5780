"""Figures: what they show equals the results, they are readable, and the same bytes come twice."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import nibabel
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from PIL import Image
from planted_results import ALGORITHMS, MASKS, ShownCell, draw_trials, list_shown, write_records, write_results
from repositories import ROOT

from errors import InputError
from facepain.data.summary import bin_scores, score_bins
from facepain.models.algorithms import ALGORITHMS as DECLARED
from facepain.report.figures import brain, classifier, nulls, prediction, provenance
from facepain.report.figures.catalogue import list_figures
from facepain.report.figures.data import draw_scores, plot_scores
from facepain.report.figures.page import (
    DATASET_COLOURS,
    NULL_GREY,
    SYNTHETIC_LABEL,
    NothingToDraw,
    dataset_colours,
    draw_figure,
    new_page,
    page_style,
)
from facepain.report.figures.participants import (
    draw_expression,
    draw_influence,
    draw_predictions,
    draw_scores_by_participant,
    draw_trajectories,
    spread_equal,
)
from facepain.report.figures.signatures import draw_fixed_effects
from facepain.results.load import load_results
from files.tables import read_table
from provenance.declare import Stage

SETTINGS = {
    "mask": "whole-brain",
    "algorithm": "lasso",
    "percentile": 99.0,
    "brain_mm": 4.0,
    "command": "python code/plot.py",
}
BRAINS = ("weights_", "bootstrap-z_", "pattern_", "planted_")
SMALLEST_TYPE = 7  # points, at the width of a page


@pytest.fixture(autouse=True)
def style():
    with page_style():
        yield


@pytest.fixture
def results(tmp_path, rng):
    return write_results(tmp_path, draw_trials(rng), rng)


def list_study_figures(results):
    return list_figures(results, list_shown(results.folder), SETTINGS)


def draw(results, brains=False):
    """Draw every figure but the slow ones; return drawings and reasons."""
    drawings, reasons = {}, {}
    for name, figure in list_study_figures(results).items():
        if brains or not name.startswith(BRAINS):
            try:
                drawings[name] = figure()
            except NothingToDraw as reason:
                reasons[name] = str(reason)
    return drawings, reasons


def texts(figure):
    """Return all text of a figure that has ink."""
    figure.draw_without_rendering()
    hidden = set()
    for axes in figure.axes:
        for axis, on in ((axes.xaxis, axes.axison), (axes.yaxis, axes.axison)):
            low, high = sorted(axis.get_view_interval())
            # Ticks beyond the ends of their axis are kept by matplotlib, but not drawn.
            ticks = (*axis.get_major_ticks(), *axis.get_minor_ticks())
            unseen = ticks if not on else [tick for tick in ticks if not low <= tick.get_loc() <= high]
            hidden.update(label for tick in unseen for label in (tick.label1, tick.label2))
    found = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    return [text for text in found if text not in hidden]


def check_readable(name, figure):
    """No type is too small, cut at the edge of the page or written over other type."""
    width, height = figure.bbox.width, figure.bbox.height
    seen = []
    for text in texts(figure):
        box = text.get_window_extent()
        said = f"{name}: {text.get_text()!r}"
        assert text.get_fontsize() >= SMALLEST_TYPE, said
        assert box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1, f"{said} is cut: {box}"
        for other, taken in seen:
            overlap = Bbox.intersection(box, taken)
            assert overlap is None or min(overlap.width, overlap.height) <= 2, f"{said} covers {other!r}"
        seen.append((text.get_text(), box))


def test_every_figure_is_drawn_readable_and_labelled(results):
    drawings, reasons = draw(results)
    # No table of these is planted.
    assert set(reasons) <= {"repeats", "learning", "similarity", "expression_effects"}
    assert {"models", "calibration", "calibration_dataset-2", "scores", "paradigm", "permutation_r2"} <= set(drawings)
    for name, drawing in drawings.items():
        check_readable(name, drawing.figure)
        assert SYNTHETIC_LABEL in [text.get_text() for text in texts(drawing.figure)], name
        assert drawing.title and drawing.alt and drawing.caption.endswith(".")
        assert len(drawing.caption.split()) <= 60, name


@pytest.mark.slow
def test_brain_pages_are_drawn_readable_and_labelled(results):
    drawings, reasons = draw(results, brains=True)
    assert {"weights_M1", "weights_whole-brain", "pattern_M1", "bootstrap-z_M1"} <= set(drawings)
    assert reasons["planted_M1"] == "nothing is known to have been planted in these data"
    for name, drawing in drawings.items():
        if name.startswith(BRAINS):
            check_readable(name, drawing.figure)
            assert len(drawing.caption.split()) <= 60, name
            assert SYNTHETIC_LABEL in [text.get_text() for text in texts(drawing.figure)], name


def test_real_data_carry_no_label_of_synthetic_data(tmp_path, rng):
    results = write_results(tmp_path, draw_trials(rng), rng, synthetic=False)
    for name, drawing in draw(results)[0].items():
        assert not [text for text in drawing.figure.findobj(Text) if "ynthetic" in text.get_text()], name


def test_a_study_that_does_not_say_is_not_called_synthetic(results, tmp_path):
    (tmp_path / "outputs/prep/study.json").unlink()
    assert not load_results(tmp_path / "outputs", MASKS, ALGORITHMS, "facs").synthetic


def test_figures_of_groups_name_no_participant(results):
    for name, drawing in draw(results)[0].items():
        written = " ".join(text.get_text() for text in drawing.figure.findobj(Text))
        assert "sub-" not in written + drawing.title + drawing.caption + drawing.alt, name


def read_predictions(results, mask):
    return {name: read_table(results.folder / f"regress/{mask}/{name}/predictions.tsv") for name in ALGORITHMS}


def test_every_participant_has_a_place_and_equal_scores_lie_side_by_side(results):
    trials = read_table(results.folder / "prep/trials.tsv")
    predictions = read_predictions(results, "M1")
    scores = draw_scores_by_participant(trials, "facs", "FACS score", synthetic=True)
    predicted = draw_predictions(predictions, "FACS score", True, "M1")
    for table, drawing in ((trials, scores), (predictions["lasso"], predicted)):
        people = set(table["participant_id"])
        check_readable(drawing.title, drawing.figure)
        written = {text.get_text().removesuffix(" (test)") for text in texts(drawing.figure)}
        assert people <= written
    shifts = spread_equal(np.array([0, 0, 0, 1.5, 2, 2]))
    assert len(set(shifts[:3])) == 3 and shifts[3] == 0 and np.abs(shifts).max() <= 0.4
    with pytest.raises(NothingToDraw, match="no model of M1 is here"):
        draw_predictions({}, "FACS score", True, "M1")


def test_learning_curves_and_influence_are_drawn_from_their_tables(results):
    cell = results.regressions["M1", "ridge"]
    sizes, repeats = np.repeat([2, 8, 14], 3), np.tile([1, 2, 3], 3)
    table = pd.DataFrame({"n_participants": sizes, "repeat": repeats, "pearson_r": sizes / 20 + repeats / 100})
    object.__setattr__(cell, "table", {"learning": table}.get)
    drawing = prediction.draw_learning(replace(results, regressions={("M1", "ridge"): cell}))
    check_readable("learning", drawing.figure)
    np.testing.assert_allclose(drawing.figure.axes[0].lines[0].get_ydata(), [0.12, 0.42, 0.72])
    assert "M1: Ridge 0.30" in drawing.alt
    people = [f"sub-{number:02d}" for number in range(9)]
    without = pd.DataFrame({"participant_id": people, "metric": "skill", "score_without": [0.3] * 8 + [0.1]})
    drawing = draw_influence({"lasso": without}, True, "M1")
    check_readable("influence", drawing.figure)
    assert drawing.figure.axes[0].get_xticklabels()[0].get_text() == "sub-08"
    assert "0.10 to 0.30" in drawing.alt


def test_scores_over_trials_and_against_expression_are_drawn_for_each_participant(results):
    trials = read_table(results.folder / "prep/trials.tsv")
    people = sorted(set(trials["participant_id"]))
    given = (trials, "facs", "FACS score", True)
    dot = 2.0 * trials["facs"].to_numpy() + 1
    expression = pd.DataFrame({"row": np.arange(len(trials)), "signature": "own-model", "dot": dot})
    for drawing in (draw_trajectories(*given), draw_expression(expression, *given, "own-model", "dot")):
        check_readable(drawing.title, drawing.figure)
        assert set(people) <= {text.get_text() for text in texts(drawing.figure)}
    # The page, in mm downwards: the panel of the first participant, with their trials and the line through these.
    (of_first, line), own = drawing.figure.axes[0].lines[:2], trials[trials["participant_id"] == people[0]]
    x, y = of_first.get_data()
    assert len(x) == len(own)
    assert np.corrcoef(own["facs"], -y)[0, 1] == pytest.approx(1)
    np.testing.assert_allclose(y, np.interp(x, *line.get_data()), atol=1e-9)


STUDIES = {
    "one dataset": {"n_participants": (6,)},
    "30 images, one each": {"n_participants": (30,), "n_trials": 1},
    "3 participants": {"n_participants": (3,)},
    "constant target": {"constant": 4.0},
    "nothing but zeros": {"constant": 0.0},
}


@pytest.mark.parametrize("n_datasets", (3, 6))
def test_several_datasets_fit_their_figures(n_datasets, tmp_path, rng):
    results = write_results(tmp_path, draw_trials(rng, (12, *[6] * (n_datasets - 1))), rng)
    drawings, _ = draw(results)
    for name, drawing in drawings.items():
        check_readable(name, drawing.figure)
    pages = [drawing.title for name, drawing in drawings.items() if name.startswith("models")]
    assert all(sum(f"dataset-{number}" in title for title in pages) == 1 for number in range(2, n_datasets + 1))
    assert len(set(dataset_colours(results.datasets).values())) == n_datasets


def test_scores_of_too_few_participants_are_missed_by_no_figure(tmp_path, rng):
    results = write_results(tmp_path, draw_trials(rng), rng, min_participants=6)
    assert all(cell.folds["r2"].isna().all() and cell.test_metrics.empty for cell in results.regressions.values())
    drawings, _ = draw(results)
    for name, drawing in drawings.items():
        check_readable(name, drawing.figure)
        assert "nan" not in drawing.alt, name
        assert not [text for text in texts(drawing.figure) if "nan" in text.get_text()], name
    assert {"models", "scores", "datasets_whole-brain"} <= set(drawings)


@pytest.mark.parametrize("study", STUDIES)
def test_small_and_odd_studies_get_their_figures_or_a_reason(study, tmp_path, rng):
    results = write_results(tmp_path, draw_trials(rng, **STUDIES[study]), rng)
    drawings, reasons = draw(results)
    for name, drawing in drawings.items():
        check_readable(name, drawing.figure)
    assert {"models", "paradigm"} <= set(drawings)
    if "n_participants" in STUDIES[study]:
        assert reasons["datasets"] == "one dataset only: no classifier was trained"
    assert all(reason and "\n" not in reason for reason in reasons.values())


def test_the_paradigm_of_another_study_is_not_made_up(results):
    with pytest.raises(NothingToDraw, match="the paradigm behind reappraisal is not known"):
        list_study_figures(replace(results, target="reappraisal"))["paradigm"]()


def test_empty_maps_are_left_out_with_a_reason(tmp_path, rng):
    results = write_results(tmp_path, draw_trials(rng), rng, weights=0, z=0)
    _, reasons = draw(results, brains=True)
    assert reasons["weights_M1"] == "all weights of M1 are 0"
    assert reasons["bootstrap-z_M1"].startswith("no voxel of M1 survives a false discovery rate of 0.05")


@pytest.mark.parametrize("kept", ([], [("M1", "svr")], [("whole-brain", "ridge"), ("M1", "lasso")]))
def test_any_models_may_be_missing(results, kept):
    some = replace(results, regressions={key: results.regressions[key] for key in kept})
    drawings, reasons = draw(some, brains=not kept)
    written = [text.get_text() for text in texts(drawings["models"].figure)]
    assert written.count("no result") == (6 - len(kept)) * (4 if kept else 2)
    if not kept:
        assert reasons["weights_M1"] == "no model of M1 is here; `make all` makes them"


def test_a_fourth_algorithm_is_drawn_as_it_is_declared(results, monkeypatch):
    fourth = replace(DECLARED["ridge"], name="elastic", label="Elastic", colour="#CC79A7")
    monkeypatch.setitem(DECLARED, "elastic", fourth)
    ridge = results.regressions["M1", "ridge"]
    more = replace(
        results,
        algorithms=[*ALGORITHMS, "elastic"],
        regressions=results.regressions | {("M1", "elastic"): replace(ridge, algorithm="elastic")},
    )
    drawings, _ = draw(more)
    for name in ("models", "permutation_r2", "calibration"):
        check_readable(name, drawings[name].figure)
        assert any("Elastic" in text.get_text() for text in texts(drawings[name].figure)), name


def simulate(colour, deficiency):
    """Return a colour as a reader with a colour deficiency sees it (Machado et al. 2009, severity 1), linear RGB."""
    matrices = {
        "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        "none": np.eye(3),
    }
    rgb = np.array([int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return np.clip(np.array(matrices[deficiency]) @ linear, 0, 1)


@pytest.mark.parametrize("deficiency", ("none", "protan", "deutan"))
def test_a_colour_has_one_meaning_and_readers_tell_them_apart(deficiency):
    algorithms = [algorithm.colour for algorithm in DECLARED.values()]
    assert not set(algorithms) & set(DATASET_COLOURS)
    for colours in ([*algorithms, NULL_GREY], DATASET_COLOURS):
        seen = [simulate(colour, deficiency) for colour in colours]
        assert min(np.abs(a - b).max() for k, a in enumerate(seen) for b in seen[:k]) > 0.08


def test_threshold_is_the_percentile_inside_the_mask(rng):
    volume = np.zeros((7, 8, 9))
    inside = rng.random(volume.shape) < 0.5
    values = np.where(rng.random(inside.sum()) < 0.3, 0, rng.normal(size=inside.sum()))
    volume[inside] = values
    expected = np.percentile(np.abs(values), 99)
    assert brain.percentile_threshold(volume, inside.sum(), 99) == expected
    drawn = brain.Map("", nibabel.Nifti1Image(volume.astype(np.float32), np.eye(4)), expected)
    assert drawn.n_shown() == np.sum(np.abs(values) >= expected) == np.ceil(0.01 * inside.sum())
    assert np.all((drawn.shown == 0) | (np.abs(drawn.shown) >= expected))


def test_zeros_have_a_bar_of_their_own_and_areas_are_shares(rng):
    scores = np.array([0, 0, 0, 0.5, 2, 2, 43.33, 20, 0, 7.25])
    trials = pd.DataFrame({"participant_id": [f"sub-{k}" for k in range(10)], "dataset": "dataset-1", "facs": scores})
    bins = bin_scores(trials, "facs", 2)
    assert bins["n_trials"].sum() == 10 and bins["n_participants"].min() >= 2
    figure = new_page(50, synthetic=False)
    zero_axes, axes = figure.subplots(1, 2)
    plot_scores(zero_axes, axes, bins, 10, "black")
    assert zero_axes.patches[0].get_height() == pytest.approx(40)
    assert sum(bar.get_height() * bar.get_width() for bar in axes.patches) == pytest.approx(60)


def test_scores_of_too_few_participants_are_withheld(rng):
    trials = draw_trials(rng, n_participants=(12, 4))
    bins = bin_scores(trials, "facs", 5)
    assert set(bins["dataset"]) == {"dataset-1"} and bins["n_participants"].min() >= 5


def test_zeros_of_too_few_participants_are_no_share(results):
    scores = results.scores[results.scores["high"] > 0]
    drawing = draw_scores(replace(results, scores=scores))
    assert "(zeros of too few participants)" in drawing.alt and "%" not in drawing.alt
    assert any("too few" in text.get_text() for axes in drawing.figure.axes for text in axes.texts)


def test_mixed_models_without_a_term_are_left_out_with_a_reason(results):
    empty = pd.DataFrame(columns=["model", "term", "estimate", "low", "high", "p", "p_permutation"])
    object.__setattr__(results, "table", {"relate/fixed_effects": empty}.get)
    with pytest.raises(NothingToDraw, match="no mixed model"):
        draw_fixed_effects(results)


@pytest.mark.parametrize("scores", ([0, 0], [-3.2, 0, 5], [4, 4, 4], [1e-4, 2e-4], [0, 44]))
def test_bins_hold_every_score_that_is_not_zero(scores):
    edges = score_bins(scores)
    rest = np.array([score for score in scores if score])
    assert np.histogram(rest, edges)[0].sum() == len(rest)
    assert np.all(np.diff(edges) > 0)


def test_a_models_line_shows_folds_score_null_baseline_and_test(results):
    cell = results.regressions["whole-brain", "lasso"]
    axes = new_page(50, synthetic=False).subplots()
    prediction.plot_model(axes, 0, cell, "published", "r2")
    drawn = {tuple(np.atleast_1d(line.get_xdata())) for line in axes.lines}
    assert tuple(cell.folds["r2"]) in drawn
    assert (cell.summary("mean", "r2"),) in drawn
    assert (cell.summary("mean", "r2_baseline"),) in drawn
    shown = cell.tests_of("r2").loc["block"]  # unseen participants: whole participants are exchanged
    band = axes.patches[0]
    ends = (band.get_x(), band.get_x() + band.get_width())
    assert ends == pytest.approx((max(shown["null_quantile_0.025"], prediction.LOWEST), shown["null_quantile_0.975"]))
    axes = new_page(50, synthetic=False).subplots()
    prediction.plot_model(axes, 0, cell, "dataset-2", "r2")
    assert tuple(cell.test_metrics["r2"]) in {tuple(np.atleast_1d(line.get_xdata())) for line in axes.lines}


def test_no_null_score_is_lost_at_the_edge(results):
    cell = results.regressions["M1", "lasso"]
    low, high = nulls.null_limits([cell], "r2")
    scores = cell.null_scores["within", "r2"]
    assert scores.max() <= high and cell.tests_of("r2")["score"].iloc[0] <= high
    assert np.median(scores) > low


def test_confusion_matrix_states_counts_and_row_shares(results):
    axes = new_page(50, synthetic=False).subplots()
    table = results.classifiers["whole-brain"].confusion
    rows = table[table["fold"] == "pooled"]
    image = classifier.plot_confusion(axes, rows)
    counts = rows["n_trials"].to_numpy().reshape(2, 2)
    shares = 100 * counts / counts.sum(axis=1, keepdims=True)
    assert np.asarray(image.get_array()) == pytest.approx(shares)
    assert axes.texts[1].get_text() == f"{counts[0, 1]}\n({shares[0, 1]:.0f} %)"


GRIDS = {
    "as planted": (MASKS, ALGORITHMS),
    "one by one": (["M1"], ["lasso"]),
    "five masks": (["whole-brain", "M1", "without-M1", "dorsal-anterior-cingulate-cortex", "insula"], ALGORITHMS),
}


@pytest.mark.parametrize("grid", GRIDS)
def test_the_provenance_shows_every_stage_and_what_it_read(grid, results, tmp_path):
    masks, algorithms = GRIDS[grid]
    outputs = tmp_path / "study/outputs"
    write_records(outputs, algorithms, masks)
    figure = provenance.draw_provenance(
        results, list_shown(outputs), "python code/plot.py --params code/other.toml"
    ).figure
    check_readable(grid, figure)
    expected = {("inputs/behavior", "prep"), ("inputs/contrasts", "prep"), ("inputs/contrasts", "extract")}
    expected |= {("inputs/masks", "extract"), ("prep", "extract"), ("prep", "regress"), ("extract", "regress")}
    expected |= {(stage, "plot") for stage in ("prep", "extract", "regress")}
    axes = figure.axes[0]
    arrows = {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}
    assert set(arrows) == {f"{source} > {target}" for source, target in expected}
    boxes = {patch.get_label(): patch.get_bbox() for patch in axes.patches}
    for source, target in expected:
        (x0, y0), *_, (x1, y1) = arrows[f"{source} > {target}"].get_xydata()
        assert boxes[source].y0 < y0 < boxes[source].y1 and boxes[target].y0 < y1 < boxes[target].y1
        assert min(x0, x1) >= boxes[source].x1
    written = [text.get_text() for text in texts(figure)]
    assert {"commit " + digit * 10 for digit in "abc"} <= set(written)
    assert "python code/plot.py --params code/other.toml" in written
    n_models = len(masks) * len(algorithms)
    assert f"{n_models} result{'s' * (n_models > 1)}" in written


def test_the_provenance_follows_any_number_of_stages(results, tmp_path):
    cells = []
    for number in range(14):
        folder = tmp_path / f"outputs/stage{number}"
        folder.mkdir(parents=True)
        read = {f"outputs/stage{k}/x.tsv": "1" for k in range(number)} or {"inputs/behavior": "b" * 40}
        (folder / "inputs.json").write_text(json.dumps({"data": read, "packages": {}, "settings": {}, "command": ""}))
        stage = Stage(f"stage{number}", "", None, None, sources=("x.tsv",))
        cells.append(ShownCell(stage.name, stage.name, str(folder), stage))
    check_readable("14 stages", provenance.draw_provenance(results, cells, "python code/plot.py").figure)


def test_a_missing_result_is_left_out(results, tmp_path):
    (tmp_path / "outputs/regress/M1/ridge/model.npz").unlink()
    (tmp_path / "outputs/regress/M1/svr/metrics.tsv").unlink()
    found = load_results(tmp_path / "outputs", MASKS, ALGORITHMS, "facs").regressions
    assert set(results.regressions) - set(found) == {("M1", "ridge"), ("M1", "svr")}
    shutil.rmtree(tmp_path / "outputs/prep")
    with pytest.raises(InputError, match=r"prep/summary.tsv is not here; `make prep` makes it"):
        load_results(tmp_path / "outputs", MASKS, ALGORITHMS, "facs")


def test_saved_files_tell_no_date_and_no_version(results, tmp_path):
    draw_figure(list_study_figures(results)["models"], tmp_path / "models")
    svg = (tmp_path / "models.svg").read_text(encoding="utf-8")
    assert "<dc:date>" not in svg and "Matplotlib" not in svg
    with Image.open(tmp_path / "models.png") as png:
        assert set(png.info) == {"dpi"}
        assert png.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        assert png.width == pytest.approx(180 / 25.4 * 300, abs=1)
        assert png.convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)


DRAW_AGAIN = """
import sys, json, matplotlib
sys.path[:0] = {path!r}
matplotlib.rcParams["font.size"] = 20  # as a user's matplotlibrc may have it
from planted_results import ALGORITHMS, MASKS, list_shown
from pathlib import Path
from facepain.report.figures.catalogue import list_figures
from facepain.report.figures.page import draw_figure
from facepain.results.load import load_results
results = load_results({outputs!r}, MASKS, ALGORITHMS, "facs")
figures = list_figures(results, list_shown({outputs!r}), {settings!r})
print(json.dumps({{name: draw_figure(figures[name], Path(name))[0] for name in {names!r}}}))
"""


@pytest.mark.slow
def test_bytes_are_the_same_in_another_process_locale_and_folder(results, tmp_path):
    figures = list_study_figures(results)
    names = list({name.split("_")[0]: name for name in figures}.values())  # one of each kind
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    script = DRAW_AGAIN.format(
        path=[str(ROOT / "code"), str(ROOT / "tests/shared")],
        outputs=str(tmp_path / "outputs"), settings=SETTINGS, names=names,
    )  # fmt: skip
    environment = os.environ | {"LC_ALL": "C", "PYTHONHASHSEED": "1", "TZ": "UTC3", "MPLBACKEND": "Agg"}
    done = subprocess.run([sys.executable, "-c", script], cwd=there, env=environment, capture_output=True, check=True)
    said = {name: draw_figure(figures[name], here / name)[0] for name in names}
    assert json.loads(done.stdout) == said
    for name in names:
        for ending in (".png", ".svg") if "skipped" not in said[name] else ():
            assert (here / f"{name}{ending}").read_bytes() == (there / f"{name}{ending}").read_bytes(), name + ending
