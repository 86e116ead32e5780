"""The notebook: a walk through every table and figure, executed, with the same bytes every time."""

import base64
import re
import tempfile

import nbformat
import pandas as pd
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from jinja2 import Template
from matplotlib import style
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from traitlets.config import Config

from facepain.parallel import map_in_processes
from facepain.report.figures.page import SYNTHETIC_LABEL
from facepain.report.pages.markup import plain

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}

# Cells, with the beginnings of the names of the figures that are shown below them.
NOTEBOOK = r'''\
%% text
# A walk through the results{{ label }}

Every number comes from a file below `outputs/`; run the cells from top to bottom.
%% code
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


models = {{ models }}
%% text
## The study

This table says who was measured, what was left out and why. It comes from `outputs/prep/summary.tsv`.
%% code paradigm scores
read("prep", "summary.tsv").pivot(index="fact", columns="dataset", values="value").map(write)
{% if models %}
%% text
## Cross-validation

Table 1 gives mean and SD over folds. No participant is in training and test set at once. p = (1 + null scores at or
above the observed) / (1 + permutations).
%% code models
def summarize(cell):
    """Return mean and SD over folds and the p values of one cell."""
    scores = read("regress", *cell, "metrics.tsv").set_index("fold")
    tests = read("regress", *cell, "permutation.tsv")
    tests = tests.query("metric == 'r2' and estimate_of == 'published'").set_index("scheme")
    row = {"mask": cell[0], "algorithm": cell[1]}
    for score in ("r2", "r2_baseline", "pearson_r"):
        row[f"{score} mean"], row[f"{score} SD"] = scores.loc["mean", score], scores.loc["sd", score]
    return row | {f"p of r2, {scheme}": write_p(test) for scheme, test in tests.iterrows()}


pd.DataFrame([summarize(cell) for cell in models]).set_index(["mask", "algorithm"]).map(write)
%% code calibration repeats
figure, axes = plt.subplots(layout="constrained")
for x, cell in enumerate(models):
    scores = read("regress", *cell, "metrics.tsv").set_index("fold")["r2"]
    folds = scores[scores.index.str.fullmatch(r"\d+")]
    axes.plot(np.full(len(folds), x), folds, "o", color="#0072B2", markersize=4)
    axes.plot([x - 0.3, x + 0.3], [scores["mean"]] * 2, color="black")
axes.axhline(0, color="grey", linewidth=0.8)
axes.set_xticks(range(len(models)), ["\n".join(cell) for cell in models], fontsize=7)
axes.set_ylabel("R²")
axes.set_title("R² of every fold (dots) and their mean (line){{ '; synthetic data' if label }}", fontsize=9)
plt.show()
%% text
## Does a model hold on another dataset?

Table 2 gives the scores of the final models, the least favourable first. An R² below 0 is worse than predicting the
mean of the trials that are scored.
%% code
tests = [read("regress", *cell, "test_metrics.tsv").assign(mask=cell[0], algorithm=cell[1]) for cell in models]
table_2 = pd.concat(tests).set_index(["dataset", "mask", "algorithm"]).sort_values("r2")
columns = ["r2", "r2_baseline", "pearson_r", "mae", "rmse", "n_test"]
table_2[columns].map(write) if len(table_2) else "no other dataset, or too few participants in it: no test"
%% text
## Is it more than chance?

A permutation test counts the null scores that reach the observed one, of the mean over the published folds and of
leaving one participant out (`lopo`).
%% code permutation
mask, algorithm = {{ chosen }}
entries = json.loads((outputs / "regress" / mask / algorithm / "permutation.json").read_text())["entries"]
tested = [entry for entry in entries if entry["metric"] == "r2" and pd.notna(entry["p"])]
for entry in tested:
    null = np.array(entry["null_scores"])
    n_above = np.sum(null >= entry["score"])
    p = (1 + n_above) / (1 + len(null))
    print(f"{entry['scheme']}, {entry['estimate_of']}: {n_above} of {len(null)} null scores are at or above "
          f"{entry['score']:.3f}")
    print(f"p = (1 + {n_above}) / (1 + {len(null)}) = {p:.3g}; mean of the null {null.mean():.3f}")
    print(entry["null_hypothesis"], end="\n\n")
    assert np.isclose(p, entry["p"])
if not tested:
    print("the score of this model is not defined, and neither is p")
{% if further %}
%% text
## Tuned models, occurrence and intensity

Penalty and number of components are chosen inside the training data (`tune`); whether a score is above 0, and how
high it is then, are predicted apart (`occurrence`). Each number is of participants whom the model has not seen.
%% code
pd.concat({" ".join(cell): read(*cell, "intervals.tsv") for cell in {{ further }}}, names=["result"]).query(
    "estimate_of == 'lopo' and metric in ('skill', 'pearson_r', 'auc')"
).droplevel(1)[{{ columns }}].map(write)
{% endif %}
{% if pairs %}
%% text
## Do models differ?

This table compares masks and algorithms in pairs; `p_corrected` is Holm's, over the pairs of a metric.
%% code
read("compare", "pairs.tsv").set_index(["a", "b", "metric"]).map(write)
{% endif %}
%% text
## Which parts of the brain?

This map is the average of the weights over folds. A weight depends on all other voxels: it is no measure of how a
place responds.
%% code weights pattern planted
weights = load_img(outputs / "regress" / mask / algorithm / "weights_average.nii.gz")
drawn = np.abs(weights.get_fdata())
# Voxels of the mask with weight 0 count among the percentiles; voxels outside do not.
inside = np.zeros(len(np.load(outputs / "regress" / mask / algorithm / "model.npz")["weights"]))
inside[: np.sum(drawn > 0)] = drawn[drawn > 0]
threshold = np.percentile(inside, {{ percentile }})
n_drawn = np.sum((drawn > 0) & (drawn >= threshold))
print(f"{n_drawn} of {len(inside)} voxels drawn, absolute weight at least {threshold:.3g}")
if drawn.any():
    plot_glass_brain(weights, threshold=threshold, plot_abs=False, colorbar=True, cmap="RdBu_r", title="{{ title }}")
    plt.show()
%% text
How sure are the weights? The table counts the voxels whose bootstrap z survives the false discovery rate and gives
the smallest z among them.
%% code bootstrap-z
pd.DataFrame(
    {
        (mask, algorithm): json.loads((outputs / "regress" / mask / algorithm / "bootstrap.json").read_text())[
            "thresholds"
        ].get("fdr", {})
        for mask, algorithm in models
    }
).T.rename_axis(["mask", "algorithm"]).map(write)
{% else %}
%% text
## Models

No model is here; `make all` makes them.
{% endif %}
%% text
{% if classified %}
## Does a classifier distinguish the datasets?

Compare its accuracy with the larger dataset's share.
{% else %}
## The datasets

No classifier of datasets is here.
{% endif %}
{% for mask in classified %}
%% code
read("classify", {{ mask|pprint }}, "metrics.tsv").set_index("fold").map(write)
%% code datasets_{{ mask }}
confusion = read("classify", {{ mask|pprint }}, "confusion.tsv").query("fold == 'pooled'")
counts = confusion.pivot(index="observed", columns="predicted", values="n_trials")
shares = counts.div(counts.sum(axis=1), axis=0).round(3)
print(counts, shares, sep="\n\n")
{% endfor %}
%% text
## Single trials

Nothing in this notebook names participants or shows single trials. In a clone that has the annexed files, this code
shows every prediction:

```python
predictions = read("regress", mask, algorithm, "predictions.tsv")
trials = read("prep", "trials.tsv")
predictions.join(trials[["dataset", "run", "trial"]], on="row")
```

After `make participants` the figures of single trials are in `outputs/participants/index.html`.
'''


def run_notebook(results, settings):
    """Fill in and execute the notebook; the figures come between by `write_notebook`.

    Return its cells, each with the beginnings of the names of the figures that are shown below it.
    """
    models = list(results.regressions)
    chosen = settings["mask"], settings["algorithm"]
    chosen = chosen if chosen in models else next(iter(models), ())
    further = [("tune", *key) for key in models] + [("occurrence", mask) for mask in results.masks]
    further = [cell for cell in further if results.table("/".join((*cell, "intervals"))) is not None]
    filled = Template(NOTEBOOK, trim_blocks=True).render(
        label=f"\n\n> **{SYNTHETIC_LABEL}.**" if results.synthetic else "",
        models=models,
        chosen=chosen,
        title=", ".join(chosen) + " (synthetic)" * results.synthetic,
        percentile=f"{settings['percentile']:g}",
        further=further,
        columns=["part"] * any(cell[0] == "occurrence" for cell in further) + ["metric", "estimate", "low", "high"],
        pairs=results.table("compare/pairs") is not None,
        classified=list(results.classifiers),
    )
    make, cells, shown = {"text": new_markdown_cell, "code": new_code_cell}, [], []
    for part in re.split("^%% ", filled, flags=re.MULTILINE)[1:]:
        head, _, text = part.partition("\n")
        kind, *families = head.split()
        cells.append(make[kind](text.strip()))
        shown.append(tuple(families))
    # A kernel of its own would import every package once more. A forked process has them already, and what the cells
    # change is gone with it; IPython draws into the first notebook of a process only.
    (executed,) = map_in_processes(execute, [cells], 2)  # with one it would be this process
    return list(zip(executed, shown, strict=True))


def write_notebook(walk, figures, pictures, outputs):
    """Write ``notebook.ipynb``, with ids that count its cells: the walk of `run_notebook` with every figure.

    It holds results of groups only; its last cell, after all figures, says how to see single trials.
    """
    cells, waiting = [], dict(figures)
    for cell, families in walk:
        is_last = cell is walk[-1][0]
        shown = [name for name in waiting if is_last or name.startswith(families)]
        drawn = [_figure(waiting.pop(name), pictures[name]) for name in shown]
        cells += [*drawn, cell] if is_last else [cell, *drawn]
    for number, cell in enumerate(cells, 1):
        cell["id"] = f"cell-{number:02d}"
    notebook = new_notebook(cells=cells, metadata={"kernelspec": KERNEL, "language_info": {"name": "python"}})
    outputs.write_text("notebook.ipynb", nbformat.writes(notebook, indent=1) + "\n")


def _figure(said, picture):
    title, caption, alt = (plain(said[key]) for key in ("title", "caption", "alt"))
    text = f"### {title}\n\n![{alt}](attachment:figure.png)\n\n{caption}"
    image = base64.b64encode(picture).decode("ascii")
    return new_markdown_cell(text, attachments={"figure.png": {"image/png": image}})


class _Shell(InteractiveShell):
    def enable_gui(self, gui=None):
        """Open no window: figures are drawn into the notebook."""


def execute(cells):
    """Execute the cells of a notebook as its kernel would, and keep no trace of when and where."""
    settings = Config()
    settings.HistoryManager.enabled = False
    # As wide as in a kernel, however wide the terminal is.
    wide = pd.option_context("display.width", 80, "display.max_columns", 20, "display.precision", 6)
    with tempfile.TemporaryDirectory() as scratch, style.context("default"), wide:
        shell = _Shell.instance(config=settings, ipython_dir=scratch)
        shell.run_line_magic("matplotlib", "inline")
        for number, cell in enumerate((cell for cell in cells if cell.cell_type == "code"), 1):
            with shell.display_trap, capture_output() as captured:
                ran = shell.run_cell(cell.source)
            ran.raise_error()
            cell.outputs, cell.execution_count = [], number
            if captured.stdout:
                cell.outputs.append(new_output("stream", text=captured.stdout))
            for data in (each.data for each in captured.outputs):
                is_figure = "image/png" in data  # else it is the value of the cell
                counted = {"output_type": "execute_result", "execution_count": number}
                cell.outputs.append(
                    new_output(**({"output_type": "display_data"} if is_figure else counted), data=data)
                )
    return cells
