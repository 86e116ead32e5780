"""Figures: what they show equals the results, they are readable, and the same bytes come twice."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import nibabel
import numpy as np
import pytest
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from PIL import Image
from planted_results import ALGORITHMS, MASKS, draw_trials, list_shown, write_records, write_results
from repositories import ROOT

from errors import InputError
from facepain.report.figures import behavior, brain, classifier, nulls, prediction, provenance
from facepain.report.figures.catalogue import PARTICIPANTS, draw_figure, list_figures
from facepain.report.figures.page import SYNTHETIC_LABEL, NothingToDraw, new_page, page_style
from facepain.results.load import load_results

SETTINGS = {"mask": "whole-brain", "algorithm": "lasso", "percentile": 99.0, "command": "python code/plot.py"}
BRAINS = ("weights_", "bootstrap-z_", "weight-map")
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
    assert not reasons
    assert {"r2", "calibration", "scores", "paradigm", "permutation_r2", "confusion_whole-brain"} <= set(drawings)
    for name, drawing in drawings.items():
        check_readable(name, drawing.figure)
        assert SYNTHETIC_LABEL in [text.get_text() for text in texts(drawing.figure)], name
        assert drawing.title and drawing.alt and drawing.caption.endswith(".")


@pytest.mark.slow
def test_brain_pages_are_drawn_readable_and_labelled(results):
    for name, figure in list_study_figures(results).items():
        if name.startswith(BRAINS):
            drawn = figure().figure
            check_readable(name, drawn)
            assert SYNTHETIC_LABEL in [text.get_text() for text in texts(drawn)], name


def test_real_data_carry_no_label_of_synthetic_data(tmp_path, rng):
    results = write_results(tmp_path, draw_trials(rng), rng, synthetic=False)
    for name, drawing in draw(results)[0].items():
        assert not [text for text in drawing.figure.findobj(Text) if "ynthetic" in text.get_text()], name


def test_a_study_that_does_not_say_is_not_called_synthetic(results, tmp_path):
    (tmp_path / "outputs/prep/study.json").unlink()
    assert not load_results(tmp_path / "outputs", MASKS, ALGORITHMS, "facs").synthetic


def test_participants_are_named_only_in_their_folder(results):
    drawings, _ = draw(results)
    for name, drawing in drawings.items():
        written = " ".join(text.get_text() for text in drawing.figure.findobj(Text))
        assert ("sub-1" in written) == name.startswith(PARTICIPANTS), name
        assert "sub-" not in drawing.title + drawing.caption + drawing.alt


STUDIES = {
    "one dataset": {"n_participants": (6,)},
    "30 images, one each": {"n_participants": (30,), "n_trials": 1},
    "3 participants": {"n_participants": (3,)},
    "constant target": {"constant": 4.0},
    "nothing but zeros": {"constant": 0.0},
}


@pytest.mark.parametrize("study", STUDIES)
def test_small_and_odd_studies_get_their_figures_or_a_reason(study, tmp_path, rng):
    results = write_results(tmp_path, draw_trials(rng, **STUDIES[study]), rng)
    drawings, reasons = draw(results)
    for name, drawing in drawings.items():
        check_readable(name, drawing.figure)
    assert {"r2", "scores", "paradigm", "participants/predictions_M1"} <= set(drawings)
    if "n_participants" in STUDIES[study]:
        assert reasons["confusion"] == reasons["datasets"] == "one dataset only: nothing was told apart"
    assert all(reason and "\n" not in reason for reason in reasons.values())


def test_the_paradigm_of_another_study_is_not_made_up(results):
    with pytest.raises(NothingToDraw, match="the paradigm behind reappraisal is not known"):
        list_study_figures(replace(results, target="reappraisal"))["paradigm"]()


def test_constant_predictions_are_said_to_be_constant(tmp_path, rng):
    results = write_results(tmp_path, draw_trials(rng), rng, skill=0)
    drawings, reasons = draw(results)
    written = [text.get_text() for text in drawings["participants/predictions_M1"].figure.findobj(Text)]
    assert "constant prediction" in written
    assert reasons["calibration"].startswith("no two bins of predictions with 3 participants")


def test_empty_maps_are_left_out_with_a_reason(tmp_path, rng):
    results = write_results(tmp_path, draw_trials(rng), rng, weights=0, z=0)
    _, reasons = draw(results, brains=True)
    assert reasons["weight-map"] == "all weights of whole-brain lasso are 0"
    assert reasons["weights_M1"] == "all weights of M1 are 0"
    assert reasons["bootstrap-z_M1"].startswith("no voxel of M1 survives a false discovery rate of 0.05")


def test_threshold_is_the_percentile_inside_the_mask(rng):
    volume = np.zeros((7, 8, 9))
    inside = rng.random(volume.shape) < 0.5
    values = np.where(rng.random(inside.sum()) < 0.3, 0, rng.normal(size=inside.sum()))
    volume[inside] = values
    expected = np.percentile(np.abs(values), 99)
    assert brain.percentile_threshold(volume, inside.sum(), 99) == expected
    drawn = brain.Map("", nibabel.Nifti1Image(volume.astype(np.float32), np.eye(4)), expected)
    assert drawn.n_shown() == np.sum(np.abs(values) >= expected) == np.ceil(0.01 * inside.sum())
    kept = np.asarray(drawn.thresholded().dataobj)
    assert np.all((kept == 0) | (np.abs(kept) >= expected))


def test_zeros_have_a_bar_of_their_own_and_every_trial_is_counted(rng):
    scores = np.array([0, 0, 0, 0.5, 2, 2, 43.33, 20, 0, 7.25])
    edges = behavior.score_bins(scores)
    figure = new_page(50, synthetic=False)
    zero_axes, axes = figure.subplots(1, 2)
    behavior.plot_scores(zero_axes, axes, scores, edges, "black")
    assert zero_axes.patches[0].get_height() == pytest.approx(40)
    heights = axes.patches[0].get_data().values
    assert heights.sum() == pytest.approx(60)
    assert edges[0] == 0 and edges[-1] > 43.33


@pytest.mark.parametrize("scores", ([0, 0], [-3.2, 0, 5], [4, 4, 4], [1e-4, 2e-4], [0, 44]))
def test_bins_hold_every_score_that_is_not_zero(scores):
    edges = behavior.score_bins(scores)
    rest = np.array([score for score in scores if score])
    assert np.histogram(rest, edges)[0].sum() == len(rest)
    assert np.all(np.diff(edges) > 0)


def test_r2_shows_folds_mean_band_and_test(results):
    cell = results.regressions["whole-brain", "lasso"]
    axes = new_page(50, synthetic=False).subplots()
    prediction.plot_r2(axes, 0, cell)
    heights = {tuple(np.atleast_1d(line.get_ydata())) for line in axes.lines}
    assert tuple(cell.folds["r2"]) in heights
    assert (cell.summary("mean", "r2"),) * 2 in heights
    assert (cell.summary("mean", "r2_baseline"),) * 2 in heights
    assert tuple(cell.test_metrics["r2"]) in heights
    band = axes.collections[0].get_paths()[0].get_extents()
    first = cell.tests_of("r2").iloc[0]
    assert (band.y0, band.y1) == (first["null_quantile_0.025"], first["null_quantile_0.975"])


def test_calibration_line_is_the_least_squares_fit(rng):
    predicted = rng.normal(size=50)
    observed = 3 - 2 * predicted
    axes = new_page(50, synthetic=False).subplots()
    assert prediction.plot_calibration(axes, observed, predicted) == pytest.approx(-2)
    line = axes.lines[1]
    assert line.get_ydata() == pytest.approx(3 - 2 * np.asarray(line.get_xdata()))


def test_bins_of_few_participants_are_not_shown(results):
    rows = results.regressions["M1", "lasso"].predictions
    assert len(prediction.bin_predictions(rows)[0]) > 0
    alone = rows[rows["participant_id"] == rows["participant_id"].iloc[0]]
    assert len(prediction.bin_predictions(alone)[0]) == 0


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


def list_edges(outputs):
    """Return what every record says was read, as (source, target), and what the figures read."""
    edges = set()
    for path in outputs.rglob("inputs.json"):
        name = " ".join(path.parent.relative_to(outputs).parts)
        edges.add((name, "plot"))
        for read, id_ in json.loads(path.read_text())["data"].items():
            parts = read.split("/")
            edges.add((" ".join(parts[1:-1]) if parts[0] == "outputs" else f"{read} {id_[:10]}", name))
    return edges


GRIDS = {
    "as planted": (MASKS, ALGORITHMS),
    "one by one": (["M1"], ["lasso"]),
    "five masks": (["whole-brain", "M1", "without-M1", "dorsal-anterior-cingulate-cortex", "insula"], ALGORITHMS),
}


@pytest.mark.parametrize("grid", GRIDS)
def test_every_record_and_everything_read_is_in_the_provenance(grid, results, tmp_path):
    masks, algorithms = GRIDS[grid]
    outputs = tmp_path / "study/outputs"
    write_records(outputs, algorithms, masks)
    cells = {(mask, algorithm): None for mask in masks for algorithm in algorithms}
    study = replace(results, folder=outputs, regressions=cells, classifiers={})
    figure = provenance.draw_provenance(
        study, list_shown(outputs), "python code/plot.py --params code/other.toml"
    ).figure
    check_readable(grid, figure)
    expected = list_edges(outputs)
    arrows = {arrow.get_label(): arrow for arrow in figure.axes[0].lines}
    assert len(arrows) == len(figure.axes[0].lines)
    assert set(arrows) == {f"{source} > {target}" for source, target in expected}
    boxes = {patch.get_label(): patch.get_bbox() for patch in figure.axes[0].patches}
    assert boxes.keys() == {name for edge in expected for name in edge}
    assert len(boxes) == 3 + 2 + len(masks) * (1 + len(algorithms))
    for source, target in expected:
        check_arrow(arrows[f"{source} > {target}"].get_xydata(), source, target, boxes)
    written = [text.get_text() for text in texts(figure)]
    assert {"commit " + digit * 10 for digit in "abc"} <= set(written)
    assert "code/plot.py--paramscode/other.toml" in "".join(written)


def check_arrow(corners, source, target, boxes):
    """An arrow leads from the side of its source to the left of its target, and through no box."""
    (x_end, y_end), (x_start, y_start) = corners[0], corners[-1]
    assert x_end == boxes[target].x0 and boxes[target].y0 < y_end < boxes[target].y1
    assert x_start in (boxes[source].x0, boxes[source].x1) and boxes[source].y0 < y_start < boxes[source].y1
    for (x0, y0), (x1, y1) in pairwise(corners):
        line = Bbox([[min(x0, x1), min(y0, y1)], [max(x0, x1), max(y0, y1)]])
        crossed = [name for name, box in boxes.items() if Bbox.intersection(line, box.padded(-0.1))]
        assert crossed == [], f"the arrow from {source} to {target} runs through a box"


def test_text_of_the_provenance_lies_in_its_boxes(results):
    axes = list_study_figures(results)["provenance"]().figure.axes[0]
    axes.figure.draw_without_rendering()
    boxes = [patch.get_window_extent() for patch in axes.patches]
    for text in axes.texts:
        extent = text.get_window_extent()
        assert any(box.x0 <= extent.x0 and extent.x1 <= box.x1 for box in boxes), text.get_text()


def test_files_written_are_counted(results, tmp_path):
    folder = tmp_path / "outputs/regress/M1/lasso"
    (folder / "link.npy").symlink_to("nowhere")  # annexed content that is not in this clone
    figure = list_study_figures(results)["provenance"]().figure
    counts = [text.get_text() for text in figure.axes[0].texts if text.get_text().endswith(" files")]
    n_files = len(list(folder.iterdir()))
    assert counts.count(f"{n_files} files") == 1 and counts.count(f"{n_files - 1} files") == 5


def test_a_missing_result_is_left_out_and_half_a_one_names_its_command(results, tmp_path):
    folder = tmp_path / "outputs/regress/M1/ridge"
    (folder / "model.npz").unlink()
    with pytest.raises(InputError, match=r"regress/M1/ridge/model.npz is not here; `make regress` makes it"):
        load_results(tmp_path / "outputs", MASKS, ALGORITHMS, "facs")
    (folder / "metrics.tsv").unlink()
    assert ("M1", "ridge") not in load_results(tmp_path / "outputs", MASKS, ALGORITHMS, "facs").regressions


def test_saved_files_tell_no_date_and_no_version(results, tmp_path):
    draw_figure(list_study_figures(results), "r2", tmp_path)
    svg = (tmp_path / "r2.svg").read_text(encoding="utf-8")
    assert "<dc:date>" not in svg and "Matplotlib" not in svg
    with Image.open(tmp_path / "r2.png") as png:
        assert set(png.info) == {"dpi"}
        assert png.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        assert png.width == pytest.approx(180 / 25.4 * 300, abs=1)
        assert png.convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)


DRAW_AGAIN = """
import sys, json, matplotlib
sys.path[:0] = {path!r}
matplotlib.rcParams["font.size"] = 20  # as a user's matplotlibrc may have it
from planted_results import ALGORITHMS, MASKS, list_shown
from facepain.report.figures.catalogue import draw_figure, list_figures
from facepain.results.load import load_results
results = load_results({outputs!r}, MASKS, ALGORITHMS, "facs")
figures = list_figures(results, list_shown({outputs!r}), {settings!r})
print(json.dumps({{name: draw_figure(figures, name, {folder!r}) for name in {names!r}}}))
"""


@pytest.mark.slow
def test_bytes_are_the_same_in_another_process_locale_and_folder(results, tmp_path):
    names = [name for name in list_study_figures(results) if not name.startswith(("weights_", "bootstrap-z_"))]
    said = []
    for number, (locale, seed) in enumerate((("C", "1"), ("C.UTF-8", "2"))):
        folder = tmp_path / f"try-{number}"
        folder.mkdir()
        script = DRAW_AGAIN.format(
            path=[str(ROOT / "code"), str(ROOT / "tests/shared")],
            outputs=str(tmp_path / "outputs"), settings=SETTINGS, folder=str(folder), names=names,
        )  # fmt: skip
        environment = os.environ | {"LC_ALL": locale, "PYTHONHASHSEED": seed, "TZ": f"UTC{number}", "MPLBACKEND": "Agg"}
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=folder, env=environment, capture_output=True, check=True
        )
        said.append(json.loads(done.stdout))
    assert said[0] == said[1]
    for name in names:
        for ending in (".png", ".svg"):
            first, second = ((tmp_path / f"try-{number}" / f"{name}{ending}").read_bytes() for number in (0, 1))
            assert first == second, name + ending
