"""The pages, the notebook and the report: opened in a real browser, offline, the same bytes every time."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html import escape
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import plotly.graph_objects
import pytest
from markupsafe import Markup
from PIL import Image
from planted_results import ALGORITHMS, MASKS, draw_trials, list_shown, write_results
from plotly.offline import get_plotlyjs
from repositories import ROOT

from facepain.report.claims import write_claims
from facepain.report.figures.page import shrink
from facepain.report.pages.charts import prediction_charts, score_charts
from facepain.report.pages.findings import describe_findings, describe_limits
from facepain.report.pages.interactive import scores_page, write_pages
from facepain.report.pages.markup import contents, embed_json, picture, plain, table, to_html
from facepain.report.pages.methods import _resampling, describe_methods, shared_settings
from facepain.report.pages.notebook import run_notebook, write_notebook
from facepain.report.pages.participants import overview_page, predictions_page
from facepain.report.pages.report import describe_peaks, describe_sources, outdated, write_report
from facepain.report.study_claims import make_claims
from facepain.report.tables import cross_validation_markdown, other_datasets_markdown
from facepain.results.load import load_results
from files.outputs import OutputFolder
from files.tables import read_table

TITLE = "A study of <script>alert(1)</script>"
SHOWN = {"mask": "whole-brain", "algorithm": "lasso", "percentile": 99.0, "title": TITLE}
SETTINGS = {
    "algorithm": {"alpha": 1.0, "C": 1.0, "epsilon": 0.1},
    "bootstrap": {"fdr": 0.05, "n": 10, "unit": "participant"},
    "cross_validation": {"n_folds": 2, "scheme": "group-shuffle", "test_size": 0.3},
    "permutation": {"n": 20},
    "seed": 42,
    "standardize": "image",
    "target": "facs",
    "train_dataset": "dataset-1",
    "transform": "raw",
    "variance": 0.8,
}
MADE_FROM = {"data": {"inputs/behavior": "c0ffee" * 6}, "packages": {"numpy": "2.4.6"}}
PAGES = (
    "report.html",
    "scores.html",
    "weights-slices.html",
    "weights-surface.html",
    "../outputs/participants/predictions.html",
    "../outputs/participants/index.html",
)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A made-up study and everything that is written of it."""
    return write_all(tmp_path_factory.mktemp("finished"))


def write_all(folder, n_participants=(12, 5), **choices):
    """Make up results below a folder and write what is to be read of them beside, as the stage does."""
    rng = np.random.default_rng(5)
    trials = draw_trials(rng, n_participants, constant=choices.pop("constant", None))
    results = write_results(folder, trials, rng, **choices)
    for cell in [("prep",), *(("regress", *names) for names in results.regressions)]:
        record = {"command": " ".join(("python", f"code/{cell[0]}.py", *cell[1:])), "settings": SETTINGS, **MADE_FROM}
        Path(folder, "outputs", *cell, "inputs.json").write_text(json.dumps(record))
    outputs = OutputFolder(folder / "partial")
    outputs.write_text("table-1.md", cross_validation_markdown(results))
    write_claims(make_claims(results), outputs)
    outputs.write_text("table-2.md", other_datasets_markdown(results))
    words = {"figures": {}, "skipped": {"datasets": "one dataset only"}}
    for name in ("models", "paradigm", "provenance"):
        Image.linear_gradient("L").resize((1600, 800)).convert("RGB").save(outputs.path(f"{name}.png"))
        outputs.write_text(f"{name}.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>")
        words["figures"][name] = {
            "title": f"Title of {name}",
            "caption": "A caption, p < 0.05.",
            "alt": f"Alternative of {name}",
        }
    before = os.getcwd()
    (folder / "code").symlink_to(ROOT / "code")  # the notebook reads tables as the stages do
    os.chdir(folder)
    try:
        write_pages(results, SHOWN, outputs)
        pictures = {name: shrink(Image.open(outputs.path(f"{name}.png"))) for name in words["figures"]}
        write_notebook(run_notebook(results, SHOWN), words["figures"], pictures, outputs)
        sources = {"outputs/prep/summary.tsv": "ab12" * 10}
        write_report(results, list_shown("outputs"), SHOWN, words, pictures, sources, outputs)
    finally:
        os.chdir(before)
    outputs.publish(folder / "figures")
    write_participants(results, folder)
    return folder


def read_predictions(folder):
    """Read what participants.py reads: predictions by mask and algorithm."""
    path = folder / "outputs/regress"
    return {mask: {name: read_table(path / mask / name / "predictions.tsv") for name in ALGORITHMS} for mask in MASKS}


def write_participants(results, folder):
    """Write the pages of participants, as their stage does."""
    outputs = OutputFolder(folder / "partial")
    trials = read_table(folder / "outputs/prep/trials.tsv")
    for ending in ("png", "svg"):
        shutil.copy(folder / f"figures/paradigm.{ending}", outputs.path(f"scores.{ending}"))
    words = {"scores": {"title": "Scores", "caption": "A caption.", "alt": "Dots"}, "other": {"skipped": "not known"}}
    outputs.write_text("index.html", overview_page(words, results.synthetic))
    page = predictions_page(trials, read_predictions(folder), "FACS score", results.synthetic)
    outputs.write_text("predictions.html", page)
    outputs.write_text("plotly.min.js", get_plotlyjs())
    outputs.publish(folder / "outputs/participants")


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium here (`apt-get install chromium`): pages were not opened")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield running
        running.close()


@pytest.fixture
def visit(browser, finished):
    """Open a page from its folder; what it asked of other places and what it complained about fails the test."""
    contexts, wrong = [], []

    def open_page(name, width=1200, scheme="light"):
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme))
        page = contexts[-1].new_page()
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("requestfailed", lambda request: wrong.append(f"not found: {request.url}"))
        page.on(
            "request",
            lambda request: None if request.url.startswith(("file:", "data:", "blob:")) else wrong.append(request.url),
        )
        page.goto((finished / "figures" / name).as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_every_page_opens_says_synthetic_and_fits_the_screen(visit, name):
    page = visit(name, 390, "dark")
    assert "Synthetic data" in page.inner_text("main")
    for width, scheme in ((390, "dark"), (1200, "light")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 24, 26)"
        assert dark == (scheme == "dark")
    assert page.evaluate("[...document.images].filter(image => !image.complete || !image.naturalWidth).length") == 0


@pytest.mark.slow
def test_scores_can_be_chosen_and_hidden(visit):
    page = visit("scores.html")
    shown = page.locator("#chart .violinlayer .trace")
    shown.first.wait_for()
    before = shown.count()
    page.locator("#chart .legendtoggle").nth(1).click()
    page.wait_for_function(
        "before => document.querySelectorAll('#chart .violinlayer .trace').length < before", arg=before
    )
    page.select_option("#choose-0", "mae|none")
    page.wait_for_function("document.querySelector('#chart .ytitle').textContent.includes('mean absolute error')")


@pytest.mark.slow
def test_a_trial_is_named_under_the_pointer(visit):
    page = visit("../outputs/participants/predictions.html")
    page.select_option("#choose-2", "cross-validation")
    page.locator("#chart .scatterlayer .point").first.wait_for()
    page.evaluate("Plotly.Fx.hover('chart', [{curveNumber: 0, pointNumber: 1}])")
    told = page.locator("#chart .hoverlayer").text_content()
    assert re.search(r"sub-1\d\d.*run \d, trial \d.*observed.*predicted", told)


@pytest.mark.slow
def test_the_map_can_be_cut_and_turned(visit):
    page = visit("weights-slices.html")
    canvas = page.locator("canvas").first
    before = canvas.evaluate("canvas => canvas.toDataURL()")
    canvas.click(position={"x": 100, "y": 150})
    assert canvas.evaluate("canvas => canvas.toDataURL()") != before
    before = canvas.evaluate("canvas => canvas.toDataURL()")
    page.locator("input[type=range]").fill("10")
    assert canvas.evaluate("canvas => canvas.toDataURL()") != before
    page = visit("weights-surface.html")
    page.wait_for_function(
        "document.getElementById('surface-plot').data?.length === 2"
    )  # the surface and the colour bar
    page.select_option("#select-hemisphere", "right")
    page.select_option("#select-view", "top")
    page.wait_for_function("document.getElementById('surface-plot').layout.scene.camera.eye.z > 1")


@pytest.mark.parametrize("name", PAGES)
def test_pages_refer_to_files_that_exist_and_to_nothing_outside(finished, name):
    path = finished / "figures" / name
    html = re.sub(r"<script>.*?</script>", "", path.read_text(), flags=re.DOTALL)
    targets = [
        target for target in re.findall(r'(?:src|href)="([^"]+)"', html) if not target.startswith(("data:", "#"))
    ]
    assert targets
    assert [target for target in targets if not (path.parent / target).is_file()] == []
    assert path.read_text().count("plotly.js v") == 0  # one shared copy


def test_the_report_holds_its_pictures_with_alternative_texts(finished):
    html = (finished / "figures/report.html").read_text()
    assert html.count('src="data:image/png;base64,') == 3
    assert 'alt="Alternative of models"' in html
    assert "p &lt; 0.05" in html
    assert "<script>alert" not in html
    markdown = (finished / "figures/report.md").read_text()
    assert "![Alternative of models](models.png)" in markdown
    links = re.findall(r"\]\(([^)]+)\)", markdown)
    assert [link for link in links if not (finished / "figures" / link).is_file() and link[0] != "#"] == []
    assert "<script>" not in markdown
    body = markdown[markdown.index("\n## What was found") :]
    order = ("## What was found", "models.png", "## Methods", "## Results", "### whole-brain", "### M1", "Table 1")
    places = [body.index(each) for each in (*order, "Table 2", "## Limits")]
    assert places == sorted(places)
    assert markdown.count("](provenance.png)") == 2  # the picture, and the link to it
    assert markdown.index("## Where every number comes from") < markdown.index("provenance.png")


def test_report_and_notebook_name_no_participant_and_no_folder_of_this_machine(finished):
    for name in ("report.html", "report.md", "notebook.ipynb", "scores.html"):
        text = (finished / "figures" / name).read_text()
        assert not re.search(r"\bsub-\d", text)
        assert str(finished) not in text
        assert str(Path.home()) not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", text)


def test_the_notebook_was_executed(finished):
    written = nbformat.read(finished / "figures/notebook.ipynb", as_version=4)
    assert [cell.id for cell in written.cells] == [f"cell-{number:02d}" for number in range(1, len(written.cells) + 1)]
    code = [cell for cell in written.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    images = [output for cell in code for output in cell.outputs if "image/png" in output.get("data", {})]
    assert len(images) == 2
    assert sum("attachments" in cell for cell in written.cells) == 3


@pytest.mark.slow
def test_the_same_bytes_in_another_folder_zone_and_locale(finished, tmp_path):
    elsewhere = tmp_path / "another folder"
    folders = [str(ROOT / name) for name in ("tests/shared", "tests/report", "code")]
    write = f"import sys; sys.path[:0] = {folders!r}; "
    write += f"from pathlib import Path; from test_pages import write_all; write_all(Path({str(elsewhere)!r}))"
    changed = {
        "TZ": "Asia/Tokyo",
        "LC_ALL": "C",
        "HOME": str(tmp_path),
        "PYTHONHASHSEED": "7",
        "OPENBLAS_NUM_THREADS": "2",
    }
    subprocess.run([sys.executable, "-c", write], check=True, env=os.environ | changed, cwd=tmp_path)
    names = sorted(
        path.relative_to(finished / "figures") for path in (finished / "figures").rglob("*") if path.is_file()
    )
    assert Path("notebook.ipynb") in names
    assert [
        name
        for name in names
        if (finished / "figures" / name).read_bytes() != (elsewhere / "figures" / name).read_bytes()
    ] == []


@pytest.mark.slow
def test_one_dataset_of_three_participants_gets_its_pages_and_a_line_why_not(tmp_path):
    write_all(tmp_path, n_participants=(3,))
    report = (tmp_path / "figures/report.md").read_text()
    assert "No model was tested on another dataset: the study has only one dataset." in report
    assert "The study has one dataset: no classifier of datasets was run." in report
    assert "`datasets`: one dataset only." in report
    assert '"whole-brain|lasso|test"' not in (tmp_path / "outputs/participants/predictions.html").read_text()
    assert (tmp_path / "figures/notebook.ipynb").exists()


@pytest.mark.slow
def test_a_constant_target_and_weights_of_zero_are_told(tmp_path):
    write_all(tmp_path, n_participants=(4, 3), constant=2.0, skill=0, weights=0, z=0)
    assert "All weights of this map are 0" in (tmp_path / "figures/weights-slices.html").read_text()
    assert "NaN" not in (tmp_path / "figures/scores.html").read_text()
    assert (tmp_path / "figures/notebook.ipynb").exists()


def test_results_that_the_params_no_longer_ask_for_are_not_read(finished):
    shown = (finished / "outputs", MASKS, ALGORITHMS, "facs")
    assert load_results(*shown).table("prep/summary") is not None
    assert load_results(*shown, folders=["outputs/prep"]).table("prep/summary") is not None
    without = load_results(*shown, folders=["outputs/extract/M1"])
    assert without.table("prep/summary") is None and not without.classifiers
    assert load_results(*shown).classifiers.keys() == {"whole-brain"}


def test_a_study_without_models_gets_a_page_that_says_so(finished):
    results = replace(load_results(finished / "outputs", MASKS, ALGORITHMS, "facs"), regressions={})
    _title, body, scripts = scores_page(results)
    assert "No model is here: `make all` makes them." in body and scripts == ()


def test_one_algorithm_stands_for_itself(finished):
    results = load_results(finished / "outputs", MASKS, ["ridge"], "facs")
    assert describe_findings({}, results)["found"][-1] == "These sentences are also in `claims.json`."


def test_charts_are_valid_and_hold_every_fold_and_prediction(finished):
    results = load_results(finished / "outputs", MASKS, ALGORITHMS, "facs")
    trials, predictions = read_table(finished / "outputs/prep/trials.tsv"), read_predictions(finished)
    for charts in (score_charts(results), prediction_charts(trials, predictions, "FACS score")):
        for chart in charts.values():
            plotly.graph_objects.Figure(chart)  # raises at a property that plotly does not know
    chart = score_charts(results)["r2", "within"]
    assert [trace.name for trace in chart.data if trace.type == "violin"] == ["Lasso", "Ridge", "SVR"]
    folds = [y for trace in chart.data if trace.type == "violin" for y in trace.y]
    written = [y for cell in results.regressions.values() for y in cell.folds["r2"]]
    assert sorted(folds) == sorted(written)
    charts = prediction_charts(trials, predictions, "FACS score")
    assert set(charts) == {
        (mask, algorithm, kind) for mask in MASKS for algorithm in ALGORITHMS for kind in ("cross-validation", "test")
    }
    points = [y for trace in charts["M1", "svr", "test"]["data"] if trace["mode"] == "markers" for y in trace["y"]]
    assert sorted(points) == sorted(trials.query("dataset == 'dataset-2'")["facs"])


def test_methods_follow_the_settings_that_were_used(finished):
    results = load_results(finished / "outputs", MASKS, ALGORITHMS, "facs")
    records = {f"regress {mask} {algorithm}": {"settings": SETTINGS} for mask in MASKS for algorithm in ALGORITHMS}
    told = "\n\n".join(describe_methods(results, records))
    assert "more than 80 % of the variance" in told
    assert "2 random splits in which 30 % of the participants were held out" in told
    assert "explain was removed" not in told and "predicted, not scored" not in told
    few = replace(
        results,
        regressions={
            key: replace(cell, test_metrics=cell.test_metrics[:0]) for key, cell in results.regressions.items()
        },
    )
    assert "since every other dataset has fewer than min_participants" in "\n".join(describe_methods(few, records))
    third = results.summary.query("dataset == 'dataset-2'").assign(dataset="dataset-3")
    some = replace(results, summary=pd.concat([results.summary, third]))
    told_too = "\n\n".join(describe_methods(some, records))
    assert "(dataset-3, of fewer than `min_participants` participants: predicted, not scored)" in told_too
    for record in records.values():
        record["settings"] = record["settings"] | {"confounds": ["age", "run"]}
    assert "What age, run explain was removed from images and scores" in "\n".join(describe_methods(results, records))
    records = {f"regress {mask} {algorithm}": {"settings": SETTINGS} for mask in MASKS for algorithm in ALGORITHMS}
    assert "not all rest on the same settings" not in told
    other = json.loads(json.dumps(SETTINGS)) | {"variance": 0.9}
    records["regress M1 svr"] = {"settings": other}
    assert "`variance`: " in "\n\n".join(describe_methods(results, records))
    shared, different = shared_settings(records)
    assert different == {"variance": {name: 0.9 if name == "regress M1 svr" else 0.8 for name in records}}
    assert shared["cross_validation.n_folds"] == 2


def test_resampled_images_are_counted_by_dataset(finished):
    results = load_results(finished / "outputs", MASKS, ALGORITHMS, "facs")
    settings = {"mask_files": {"M1": "a.nii"}, "non_finite": "drop", "mixed_grids": "continuous"}
    object.__setattr__(results, "json", {"extract/M1/mask": {"resampled": {"dataset-1": 0, "dataset-2": 3}}}.get)
    usable = [f"{results.fact(name, 'trials_usable'):.0f}" for name in results.datasets]
    told = _resampling(results, "M1", settings)
    assert told == f"resampled (continuous): 0 of {usable[0]} of dataset-1, 3 of {usable[1]} of dataset-2"
    assert _resampling(results, "M1", settings | {"mixed_grids": "refuse"}) == "there are none"


def test_real_data_are_not_called_synthetic(finished):
    results = load_results(finished / "outputs", MASKS, ALGORITHMS, "facs")
    assert "synthetic" in describe_limits({}, results)[0]
    assert not any("synthetic" in text for text in describe_limits({}, replace(results, synthetic=False)))


def test_every_committed_file_is_named_with_its_object(finished):
    cells = [
        replace(cell, folder=cell.folder.removeprefix(f"{finished}/")) for cell in list_shown(finished / "outputs")
    ]
    objects = {"outputs/regress/M1/svr/metrics.tsv": "f00d" * 10}
    told = "\n".join(describe_sources(cells, {}, objects))
    assert "| `outputs/regress/M1/svr/metrics.tsv` | `f00df00df00d` |" in told
    assert "`outputs/regress/M1/lasso/metrics.tsv`" not in told


def test_a_result_that_is_not_up_to_date_is_named_at_its_place(finished):
    cells = list_shown(finished / "outputs")
    assert outdated(cells) == outdated(cells, "regress", "M1") == ""
    cells = [replace(cell, state="stale") if cell.name == "regress M1 svr" else cell for cell in cells]
    assert "regress M1 svr (stale)" in outdated(cells, "regress", "M1")
    assert outdated(cells, "regress", "whole-brain") == outdated(cells, "classify") == ""


def test_peaks_survive_the_false_discovery_rate_or_are_called_uncorrected(finished):
    results = load_results(finished / "outputs", MASKS, ALGORITHMS, "facs")
    peak = {"threshold": "uncorrected_0.001", "x": -45.0, "y": 3.0, "z": 0.0, "peak_z": -4.1, "size_mm3": 54}
    tables = {"lasso": [peak]}
    for cell in results.models("M1"):
        found = lambda _, name=cell.algorithm: pd.DataFrame(tables[name]) if name in tables else None  # noqa: E731
        object.__setattr__(cell, "table", found)
    lead, peaks = describe_peaks(results, "M1")
    assert "without correction" in lead and "| Lasso | \N{MINUS SIGN}45 | 3 | 0 | \N{MINUS SIGN}4.10 | 54 |" in peaks
    cell = results.models("M1")[0]
    few = replace(cell, bootstrap=cell.bootstrap | {"thresholds": {"fdr": {"n_voxels": 4}}})
    object.__setattr__(few, "table", cell.table)
    lead, _ = describe_peaks(replace(results, regressions=results.regressions | {("M1", cell.algorithm): few}), "M1")
    assert lead.startswith("No cluster of 10 voxels survives the false discovery rate.")
    tables["ridge"] = [peak | {"threshold": "fdr"}]
    lead, peaks = describe_peaks(results, "M1")
    assert "survive the false discovery rate" in lead and "Lasso" not in peaks and "| Ridge |" in peaks


HOSTILE = ("<script>alert(1)</script>", "a | b", "`x` *y* [z](http://z)", "=1+1", "+x", "-x", "@x", "# none")
HOSTILE += ('the patients\' "faces" & pain',)


@pytest.mark.parametrize("text", HOSTILE)
def test_what_comes_from_data_is_text(text):
    html = to_html(table(("h",), [(plain(text),)]), str)
    assert Markup(html).striptags() == f"h {text}"
    assert not re.search("<(script|a|em|code)", html)
    assert plain("=1+1").startswith("\\=")
    html = to_html(picture("models", dict.fromkeys(("title", "caption", "alt"), text)), str)
    assert Markup(html).striptags() == f"{text}. {text} PNG, SVG"
    assert f'alt="{escape(text, quote=False).replace(chr(34), "&quot;")}"' in html
    assert not re.search("<(script|em|code)", html)


def test_a_picture_becomes_a_figure_and_headings_are_linked():
    said = {"title": "R2", "caption": "It is low.", "alt": 'a "b" [c]'}
    html = to_html("## A & B\n\n" + picture("models", said), lambda name: f"data:{name}")
    assert '<h2 id="a--b">A &amp; B</h2>' in html
    assert '<figure><img src="data:models.png" alt="a &quot;b&quot; [c]" /><figcaption><strong>R2.</strong>' in html
    assert 'src="data:weights_Québec.png"' in to_html(picture("weights_Québec", said), lambda name: f"data:{name}")
    assert contents("## One\n\n### Two three") == "- [One](#one)\n  - [Two three](#two-three)"


@pytest.mark.slow
@pytest.mark.parametrize("width", (794 - 76, 816 - 76), ids=("A4", "Letter"))
def test_printed_nothing_is_cut(visit, width):
    page = visit("report.html", width)  # pixels between margins of 1 cm
    page.emulate_media(media="print")
    cut = """[...document.querySelectorAll("main *")].filter(each => each.scrollWidth > each.clientWidth + 1 &&
      each.clientWidth > 0 && getComputedStyle(each).display !== "inline")
      .map(each => each.outerHTML.slice(0, 60))"""
    assert page.evaluate(cut) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_embedded_json_cannot_end_its_script():
    assert embed_json({"name": "</script><b>"}) == '{"name":"\\u003c/script>\\u003cb>"}'
