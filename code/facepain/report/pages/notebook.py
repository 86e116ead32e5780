"""The notebook: a walk through every table and figure, executed, with the same bytes every time."""

import base64
import io
import tempfile
from contextlib import redirect_stdout

import nbformat
import pandas as pd
from IPython.core.displayhook import CapturingDisplayHook
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from matplotlib import style
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from traitlets.config import Config

from facepain.parallel import map_in_processes
from facepain.report.figures.page import SYNTHETIC_LABEL
from facepain.report.pages.markdown import plain

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}

START = '''\
import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from nilearn.image import load_img
from nilearn.plotting import plot_glass_brain

# The notebook may be opened from any folder of the repository.
root = next(folder for folder in (Path.cwd(), *Path.cwd().parents) if (folder / "outputs").is_dir())
outputs = root / "outputs"
sys.path.append(str(root / "code"))
from files.tables import read_table

%config InlineBackend.figure_formats = ["png"]
plt.rcParams.update({"figure.figsize": (7, 3.2), "figure.dpi": 80})
pd.options.display.precision = 3


def read(*path):
    """Read a table; numbers that are not defined are written as n/a."""
    return read_table(outputs.joinpath(*path))


def write(value):
    """Write a number: integers as integers, others with three decimals."""
    if isinstance(value, str):
        return value
    if value != value:
        return ""
    return f"{value:.0f}" if value % 1 == 0 else f"{value:.3f}" if abs(value) >= 0.001 else f"{value:.2g}"


def write_p(test):
    """Write a p value; the smallest that the number of permutations allows is an upper bound."""
    return ("≤ " if test["p"] * (1 + test["n"]) < 1.001 else "") + write(test["p"])


models = MODELS'''

SUMMARY = """\
read("prep", "summary.tsv").pivot(index="fact", columns="dataset", values="value").map(write)"""

TABLE_2 = '''\
tests = [read("regress", *cell, "test_metrics.tsv").assign(mask=cell[0], algorithm=cell[1]) for cell in models]
table_2 = pd.concat(tests).set_index(["dataset", "mask", "algorithm"]).sort_values("r2")
columns = ["r2", "r2_baseline", "pearson_r", "mae", "rmse", "n_test"]
table_2[columns].map(write) if len(table_2) else "no other dataset, or too few participants in it: no test"'''

TABLE_1 = '''\
def summarize(cell):
    """Return mean and SD over folds and the p values of one cell."""
    scores = read("regress", *cell, "metrics.tsv").set_index("fold")
    tests = read("regress", *cell, "permutation.tsv")
    tests = tests.query("metric == 'r2' and estimate_of == 'published'").set_index("scheme")
    row = {"mask": cell[0], "algorithm": cell[1]}
    for score in ("r2", "r2_baseline", "pearson_r"):
        row[f"{score} mean"], row[f"{score} SD"] = scores.loc["mean", score], scores.loc["sd", score]
    return row | {f"p of r2, {scheme}": write_p(test) for scheme, test in tests.iterrows()}


pd.DataFrame([summarize(cell) for cell in models]).set_index(["mask", "algorithm"]).map(write)'''

FOLDS = """\
figure, axes = plt.subplots(layout="constrained")
for x, cell in enumerate(models):
    scores = read("regress", *cell, "metrics.tsv").set_index("fold")["r2"]
    folds = scores[scores.index.str.fullmatch(r"\\d+")]
    axes.plot(np.full(len(folds), x), folds, "o", color="#0072B2", markersize=4)
    axes.plot([x - 0.3, x + 0.3], [scores["mean"]] * 2, color="black")
axes.axhline(0, color="grey", linewidth=0.8)
axes.set_xticks(range(len(models)), ["\\n".join(cell) for cell in models], fontsize=7)
axes.set_ylabel("R²")
axes.set_title("R² of every fold (dots) and their mean (line)LABEL", fontsize=9)
plt.show()"""

NULL = """\
mask, algorithm = CHOSEN
entries = json.loads((outputs / "regress" / mask / algorithm / "permutation.json").read_text())["entries"]
tested = [entry for entry in entries if entry["metric"] == "r2" and pd.notna(entry["p"])]
for entry in tested:
    null = np.array(entry["null_scores"])
    n_above = np.sum(null >= entry["score"])
    p = (1 + n_above) / (1 + len(null))
    print(f"{entry['scheme']}, {entry['estimate_of']}: {n_above} of {len(null)} null scores are at or above "
          f"{entry['score']:.3f}")
    print(f"p = (1 + {n_above}) / (1 + {len(null)}) = {p:.3g}; mean of the null {null.mean():.3f}")
    print(entry["null_hypothesis"], end="\\n\\n")
    assert np.isclose(p, entry["p"])
if not tested:
    print("the score of this model is not defined, and neither is p")"""

WEIGHTS = """\
weights = load_img(outputs / "regress" / mask / algorithm / "weights_average.nii.gz")
drawn = np.abs(weights.get_fdata())
# Voxels of the mask with weight 0 count among the percentiles; voxels outside do not.
inside = np.zeros(len(np.load(outputs / "regress" / mask / algorithm / "model.npz")["weights"]))
inside[: np.sum(drawn > 0)] = drawn[drawn > 0]
threshold = np.percentile(inside, PERCENTILE)
n_drawn = np.sum((drawn > 0) & (drawn >= threshold))
print(f"{n_drawn} of {len(inside)} voxels drawn, absolute weight at least {threshold:.3g}")
if drawn.any():
    plot_glass_brain(weights, threshold=threshold, plot_abs=False, colorbar=True, cmap="RdBu_r", title="TITLE")
    plt.show()"""

BOOTSTRAP = """\
pd.DataFrame(
    {
        (mask, algorithm): json.loads((outputs / "regress" / mask / algorithm / "bootstrap.json").read_text())[
            "thresholds"
        ].get("fdr", {})
        for mask, algorithm in models
    }
).T.rename_axis(["mask", "algorithm"]).map(write)"""

CLASSIFIER = 'read("classify", CLASSIFIED, "metrics.tsv").set_index("fold").map(write)'
CONFUSION = """\
confusion = read("classify", CLASSIFIED, "confusion.tsv").query("fold == 'pooled'")
counts = confusion.pivot(index="observed", columns="predicted", values="n_trials")
shares = counts.div(counts.sum(axis=1), axis=0).round(3)
print(counts, shares, sep="\\n\\n")"""

FURTHER = """\
pd.concat({" ".join(cell): read(*cell, "intervals.tsv") for cell in FURTHER_CELLS}, names=["result"]).query(
    "estimate_of == 'lopo' and metric in ('skill', 'pearson_r', 'auc')"
).droplevel(1)[COLUMNS].map(write)"""
PAIRS = 'read("compare", "pairs.tsv").set_index(["a", "b", "metric"]).map(write)'

CLOSING = """\
## Single trials

Nothing in this notebook names participants or shows single trials. In a clone that has the annexed files, this code
shows every prediction:

```python
predictions = read("regress", mask, algorithm, "predictions.tsv")
trials = read("prep", "trials.tsv")
predictions.join(trials[["dataset", "run", "trial"]], on="row")
```

After `make participants` the figures of single trials are in `outputs/participants/index.html`."""


def run_notebook(results, settings):
    """Write the text and code of the notebook and execute it; the figures come between by `write_notebook`.

    Return its cells, each with the beginnings of the names of the figures that are shown below it.
    """
    walk, make = list_cells(results, settings), {"text": new_markdown_cell, "code": new_code_cell}
    cells = [make[kind](text) for kind, text, *_ in walk]
    return [(cell, tuple(families)) for cell, (_, _, *families) in zip(execute(cells), walk, strict=True)]


def write_notebook(walk, figures, pictures, outputs):
    """Write ``notebook.ipynb``, with ids that count its cells: the walk of `run_notebook` with every figure.

    It holds results of groups only; it says how to see single trials.
    """
    cells, waiting = [], dict(figures)
    for cell, families in walk:
        shown = [name for name in waiting if name.startswith(families)]
        cells += [cell, *(_figure(waiting.pop(name), pictures[name]) for name in shown)]
    cells += [_figure(said, pictures[name]) for name, said in waiting.items()]
    cells.append(new_markdown_cell(CLOSING))
    for number, cell in enumerate(cells, 1):
        cell["id"] = f"cell-{number:02d}"
    notebook = new_notebook(cells=cells, metadata={"kernelspec": KERNEL, "language_info": {"name": "python"}})
    outputs.write_text("notebook.ipynb", nbformat.writes(notebook, indent=1) + "\n")


STUDY = (
    "## The study\n\nThis table says who was measured, what was left out and why. It comes from "
    "`outputs/prep/summary.tsv`."
)
CROSS = (
    "## Cross-validation\n\nTable 1 gives mean and SD over folds. No participant is in training and test set at once. "
    "p = (1 + null scores at or above the observed) / (1 + permutations)."
)
OTHER = (
    "## Does a model hold on another dataset?\n\nTable 2 gives the scores of the final models, the least favourable "
    "first. An R² below 0 is worse than predicting the mean of the trials that are scored."
)
CHANCE = (
    "## Is it more than chance?\n\nA permutation test counts the null scores that reach the observed one, of the mean "
    "over the published folds and of leaving one participant out (`lopo`)."
)
CHOSEN_INSIDE = (
    "## Tuned models, occurrence and intensity\n\nPenalty and number of components are chosen inside the training data "
    "(`tune`); whether a score is above 0, and how high it is then, are predicted apart (`occurrence`). Each number is "
    "of participants whom the model has not seen."
)
DIFFERENCES = (
    "## Do models differ?\n\nThis table compares masks and algorithms in pairs; `p_corrected` is Holm's, over the "
    "pairs of a metric."
)
PARTS = (
    "## Which parts of the brain?\n\nThis map is the average of the weights over folds. A weight depends on all other "
    "voxels: it is no measure of how a place responds."
)
WHICH = "## Does a classifier distinguish the datasets?\n\nCompare its accuracy with the larger dataset's share."
SURE = (
    "How sure are the weights? The table counts the voxels whose bootstrap z survives the false discovery rate and "
    "gives the smallest z among them."
)


def list_cells(results, settings):
    """List cells as kind and text, then the beginnings of the names of the figures to show below."""
    label = f"\n\n> **{SYNTHETIC_LABEL}.**" if results.synthetic else ""
    lead = "Every number comes from a file below `outputs/`; run the cells from top to bottom."
    walk = [
        ("text", f"# A walk through the results{label}\n\n{lead}"),
        ("code", START.replace("MODELS", repr(list(results.regressions)))),
        ("text", STUDY),
        ("code", SUMMARY, "paradigm", "scores"),
    ]
    if results.regressions:
        chosen = settings["mask"], settings["algorithm"]
        chosen = chosen if chosen in results.regressions else next(iter(results.regressions))
        title = ", ".join(chosen) + " (synthetic)" * results.synthetic
        weights = WEIGHTS.replace("PERCENTILE", f"{settings['percentile']:g}").replace("TITLE", title)
        walk += [
            ("text", CROSS),
            ("code", TABLE_1, "models"),
            ("code", FOLDS.replace("LABEL", "; synthetic data" * results.synthetic), "calibration", "repeats"),
            ("text", OTHER),
            ("code", TABLE_2),
            ("text", CHANCE),
            ("code", NULL.replace("CHOSEN", repr(chosen)), "permutation"),
            *list_further(results),
            ("text", PARTS),
            ("code", weights, "weights", "pattern", "planted"),
            ("text", SURE),
            ("code", BOOTSTRAP, "bootstrap-z"),
        ]
    else:
        walk.append(("text", "## Models\n\nNo model is here; `make all` makes them."))
    walk.append(("text", WHICH if results.classifiers else "## The datasets\n\nNo classifier of datasets is here."))
    for mask in results.classifiers:
        walk.append(("code", CLASSIFIER.replace("CLASSIFIED", repr(mask))))
        walk.append(("code", CONFUSION.replace("CLASSIFIED", repr(mask)), f"datasets_{mask}"))
    return walk


def list_further(results):
    """List cells on tuned models, occurrence and differences between models, as far as there are results of them."""
    models = [("tune", *key) for key in results.regressions] + [("occurrence", mask) for mask in results.masks]
    found = [cell for cell in models if results.table("/".join((*cell, "intervals"))) is not None]
    walk = []
    if found:
        columns = ["part"] * any(cell[0] == "occurrence" for cell in found) + ["metric", "estimate", "low", "high"]
        code = FURTHER.replace("FURTHER_CELLS", repr(found)).replace("COLUMNS", repr(columns))
        walk += [("text", CHOSEN_INSIDE), ("code", code)]
    if results.table("compare/pairs") is not None:
        walk += [("text", DIFFERENCES), ("code", PAIRS)]
    return walk


def _figure(said, picture):
    title, caption, alt = (plain(said[key]) for key in ("title", "caption", "alt"))
    text = f"### {title}\n\n![{alt}](attachment:figure.png)\n\n{caption}"
    image = base64.b64encode(picture).decode("ascii")
    return new_markdown_cell(text, attachments={"figure.png": {"image/png": image}})


class _Shell(InteractiveShell):
    def enable_gui(self, gui=None):
        """Open no window: figures are drawn into the notebook."""


def execute(cells):
    """Execute the cells of a notebook as its kernel would, and keep no trace of when and where.

    A kernel of its own would import every package once more. A forked process has them already, and what the cells
    change is gone with it; IPython draws into the first notebook of a process only.
    """
    (executed,) = map_in_processes(_execute, [cells], 2)  # with one it would be this process
    return executed


def _execute(cells):
    outputs, settings = [], Config()
    settings.HistoryManager.enabled = False
    # As wide as in a kernel, however wide the terminal is.
    wide = pd.option_context("display.width", 80, "display.max_columns", 20, "display.precision", 6)
    with tempfile.TemporaryDirectory() as scratch, style.context("default"), wide:
        shell = _Shell.instance(config=settings, ipython_dir=scratch)
        shell.display_pub, shell.display_trap.hook = CapturingDisplayPublisher(), CapturingDisplayHook(shell, outputs)
        shell.display_pub.outputs = outputs
        shell.run_line_magic("matplotlib", "inline")
        for number, cell in enumerate((cell for cell in cells if cell.cell_type == "code"), 1):
            outputs.clear()
            with redirect_stdout(io.StringIO()) as printed:
                shell.run_cell(cell.source).raise_error()
            text = [new_output("stream", text=printed.getvalue())] if printed.getvalue() else []
            cell.outputs, cell.execution_count = text + [_output(each, number) for each in outputs], number
    return cells


def _output(shown, number):
    """Return what a cell displays: its value, which alone has no ``transient`` data, or a figure."""
    data = {
        name: base64.b64encode(value).decode("ascii") if isinstance(value, bytes) else value
        for name, value in shown["data"].items()
    }
    if "transient" in shown:
        return new_output("display_data", data=data)
    return new_output("execute_result", data=data, execution_count=number)
