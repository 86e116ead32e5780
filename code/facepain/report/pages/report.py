"""The report: composed once in Markdown, and the same as one self-contained page."""

import base64
from importlib.metadata import version
from pathlib import Path

import numpy as np

from facepain.inference.bootstrap import MIN_VOXELS
from facepain.models.algorithms import ALGORITHMS
from facepain.report.claims import AT_MOST, read_claims, rows_of
from facepain.report.figures.catalogue import in_section
from facepain.report.figures.page import SYNTHETIC_LABEL, percent, signed
from facepain.report.pages.findings import describe_findings, describe_limits
from facepain.report.pages.markup import bullets, contents, picture, plain, render_page, table, to_html
from facepain.report.pages.methods import describe_methods
from facepain.results.load import read_records
from files import flatten
from files.tables import read_table

DRAWN_WITH = ("jinja2", "markdown-it-py", "matplotlib", "nilearn", "plotly")
TABLES = ("table-1.md", "table-2.md")
KNOWN = ("prep", "extract", "regress", "classify")  # stages whose tables have a place of their own
MOST_ROWS, MOST_COLUMNS = 24, 9  # of a table that is shown as it is
MOST_PEAKS = 12  # of an algorithm
PEAKS = {
    "fdr": "These peaks of the bootstrap z survive the false discovery rate (MNI space).",
    "uncorrected_0.001": "{} survives the false discovery rate. These are the peaks of the bootstrap z at p < .001 "
    "without correction (MNI space); such peaks also occur where there is nothing to find.",
}
TERMS = (
    "Sentences on unseen participants describe predictions of a model that was fitted without them (leave one "
    "participant out); the published scheme is the division into folds that the settings name. Skill compares the "
    "squared error of a model with that of always predicting the mean training score: 1 is perfect, 0 is no better. "
    "The permutation test *block* exchanges whole participants, *within* the trials of each; where every participant "
    "has one trial, *free* takes the place of *block*."
)
FACTS = {"sd": "standard deviation", "min": "smallest", "max": "largest"}
FACTS |= {"share_zero": "share of zeros", "share_not_whole": "share that is no whole number"}


def write_report(results, cells, settings, words, pictures, sources, outputs):
    """Write ``report.md`` and ``report.html``.

    ``cells`` are those of every result of the study but this page, ``settings`` holds its ``title``, ``words`` (of
    ``figures``, and why others are ``skipped``) and ``pictures`` are by name. ``sources`` gives the git object id of
    every file below ``outputs`` by its path; ``outputs``, an `OutputFolder`, holds the figures and tables.
    """
    label = f"> **{SYNTHETIC_LABEL}.**\n\n" if results.synthetic else ""
    body = compose_report(results, cells, words, sources, outputs)
    outputs.write_text("report.md", f"# {plain(settings['title'])}\n\n{label}{body}\n")
    embedded = {f"{name}.png": base64.b64encode(packed).decode("ascii") for name, packed in pictures.items()}
    html = to_html(body, lambda address: f"data:image/png;base64,{embedded[address]}")
    outputs.write_text("report.html", render_page(settings["title"], html, results.synthetic))


def compose_report(results, cells, words, sources, outputs):
    """Return the report without its title."""
    records, claims = read_records(cells), read_claims(outputs.path("claims.json"))
    figures, findings = words["figures"], describe_findings(claims, results)
    parts = [
        "## What was found",
        outdated(cells),
        TERMS,
        *show(figures, "found"),
        bullets(findings["found"]),
        "Interactive pages show the [scores](scores.html) and the weight map [on slices](weights-slices.html) and [on "
        "the surface](weights-surface.html); a [notebook](notebook.ipynb) walks through the results. Single trials "
        "have [pages of their own](../outputs/participants/index.html). Pages are annexed: where a link finds nothing, "
        "`make plot` and `make participants` make them.",
        "## Methods",
        "### Data and exclusions",
        *describe_data(results),
        *show(figures, "data"),
        "### Models and tests",
        "This section is generated from the settings that the results record.",
        *describe_methods(results, records),
        "## Results",
        "### All models",
        outdated(cells, "regress"),
        *show(figures, "models"),
        bullets(findings["models"]),
    ]
    for mask in results.masks:
        parts += [f"### {plain(mask)}", outdated(cells, "regress", mask), bullets(findings[f"mask {mask}"])]
        parts += [*show(figures, f"mask {mask}"), *describe_peaks(results, mask)]
    datasets = [outdated(cells, "classify"), bullets(findings["datasets"]), *show(figures, "datasets")]
    parts += ["### Datasets", *(datasets if any(datasets) else ["There is nothing on differences between datasets."])]
    if words["skipped"]:
        lines = (f"`{name}`: {plain(reason)}." for name, reason in words["skipped"].items())
        parts += ["### Figures that are not drawn", bullets(lines)]
    parts += ["## Tables", *(outputs.path(name).read_text(encoding="utf-8") for name in TABLES)]
    parts += show_stages(cells, records)
    parts += ["## Limits", bullets(describe_limits(claims, results)), "## Where every number comes from"]
    parts += [*show(figures, "sources"), *describe_sources(cells, records, sources)]
    parts += ["### Software", *describe_software(records)]
    body = "\n\n".join(part.strip() for part in parts if part)
    return f"{contents(body)}\n\n{body}"


def show(figures, section):
    """Return the figures of a section, in the order in which they were drawn."""
    return [picture(name, said) for name, said in figures.items() if in_section(name, section)]


def outdated(cells, stage=None, mask=None):
    """Say which results are missing or stale, of all stages, one stage or one mask of it; empty if none is."""
    found = [cell for cell in cells if cell.state != "fresh" and stage in (None, cell.stage)]
    found = [cell for cell in found if mask is None or mask in cell.name.split()]
    if not found:
        return ""
    listed = ", ".join(f"{plain(cell.name)} ({cell.state})" for cell in found)
    what = "shown from an older run, or missing" if stage else "from older inputs, code or settings, if shown at all"
    return f"> **Not up to date:** {listed}. These results are {what}; `make all` makes them."


def describe_data(results):
    """Return the facts of the datasets: who and what was analysed, what was left out and why."""
    facts = results.summary["fact"].drop_duplicates()
    excluded, rows = facts.str.startswith("excluded"), []
    summary = results.summary.pivot(index="fact", columns="dataset", values="value")
    place = list(facts[~excluded]).index("trials_usable") + 1
    for fact in (*facts[~excluded][:place], *facts[excluded], *facts[~excluded][place:]):
        write = percent if fact.startswith(f"{results.target}_share_") else write_fact
        shown = ("\N{EN DASH}" if value != value else write(value) for value in summary.loc[fact])
        rows.append((plain(name_fact(fact, results)), *shown))
    return [
        table(("fact", *map(plain, summary.columns)), rows),
        "These facts are those of `outputs/prep/summary.tsv`. Standard deviations of scores are of the population.",
    ]


def write_fact(value):
    return f"{value:.0f}" if value == round(value) else f"{value:.4g}"


def name_fact(fact, results):
    """Name a fact of the summary for a reader."""
    if fact.startswith("excluded"):
        return f"trials {fact}"
    for start, about in ((f"{results.target}_", results.score), ("age_", "age (years)"), ("sex_", "enrolled, sex")):
        if fact.startswith(start):
            name = fact.removeprefix(start)
            return f"{about}{'' if start == 'sex_' else ':'} {FACTS.get(name, name.replace('_', ' '))}"
    return fact.replace("_", " ")


def describe_peaks(results, mask):
    """Return the peaks of a mask's bootstrap z maps: of what survives the false discovery rate, else without it."""
    cells = results.models(mask)
    tables = {ALGORITHMS[cell.algorithm].label: cell.table("clusters") for cell in cells}
    survivors = [cell.bootstrap["thresholds"].get("fdr", {}).get("n_voxels", 0) for cell in cells]
    header = ("algorithm", "x (mm)", "y (mm)", "z (mm)", "z at the peak", "cluster (mm\N{SUPERSCRIPT THREE})")
    for threshold, lead in PEAKS.items():
        rows, left_out = [], 0
        for name, peaks in tables.items():
            found = sorted(rows_of(peaks, threshold=threshold), key=lambda peak: -abs(peak["peak_z"]))
            left_out += len(found[MOST_PEAKS:])
            for peak in found[:MOST_PEAKS]:
                size = "" if peak["size_mm3"] != peak["size_mm3"] else f"{peak['size_mm3']:.0f}"
                place = (signed(peak[axis], ".0f") for axis in "xyz")
                rows.append((name, *place, signed(peak["peak_z"]), size))
        if rows:
            nothing = f"No cluster of {MIN_VOXELS} voxels" if any(survivors) else "No voxel"
            more = f" The {MOST_PEAKS} highest of each algorithm are shown; {left_out} are not." if left_out else ""
            return [f"{lead.format(nothing)} Clusters have {MIN_VOXELS} voxels or more.{more}", table(header, rows)]
    return []


def show_stages(cells, records):
    """Return the tables of every other stage whose numbers are shown, so that no declared stage is left out."""
    shown = [cell for cell in cells if cell.stage not in KNOWN and cell.declared.sources]
    parts = []
    for stage in dict.fromkeys(cell.stage for cell in shown):
        its_cells = [cell for cell in shown if cell.stage == stage]
        about, sources = its_cells[0].declared.about, its_cells[0].declared.sources
        parts += [f"### {stage.capitalize()}", outdated(cells, stage), f"This stage serves to {about}."]
        first = next((cell for cell in its_cells if any(Path(cell.folder, file).exists() for file in sources)), None)
        if first is None:
            parts.append("It has no result here.")
            continue
        for path in (Path(first.folder, file) for file in sources):
            if path.suffix == ".tsv" and path.exists():
                parts += show_table(path, f"{first.folder}/{path.name}", counts_in(records.get(first.name)))
        others = ", ".join(f"`{cell.folder}`" for cell in its_cells if cell is not first)
        parts.append(f"The same tables of the other results are in {others}." if others else "")
    return parts


def show_table(path, name, counts):
    """Return the beginning of a table; a p that is the smallest of one of ``counts`` permutations is a bound."""
    found = read_table(path)
    shown = found.iloc[:MOST_ROWS, :MOST_COLUMNS]
    floors = [1 / (1 + n) for n in (*counts, *found.get("n", ()), *found.get("n_familywise", ()))]
    rows = [
        [write_value(value, floors if column.split("_")[0] == "p" else ()) for column, value in row.items()]
        for row in shown.to_dict("records")
    ]
    sizes = zip(shown.shape, found.shape, ("rows", "columns"), strict=True)
    cut = ", ".join(f"the first {here} of {there} {what}" for here, there, what in sizes if here < there)
    return [f"`{name}`{f' ({cut})' if cut else ''}:", table(shown.columns, rows)]


def counts_in(record):
    """Return the whole numbers among the settings of a result, those of permutations among them."""
    values = flatten(record["settings"] if record else {}).values()
    values = [each for value in values for each in (value if isinstance(value, list) else [value])]
    return [value for value in values if type(value) is int and value > 1]


def write_value(value, floors):
    """Write a value of a table: numbers to three significant digits, those that are one of some floors as a bound."""
    if not isinstance(value, float):
        return plain(value)
    bound = f"{AT_MOST} " if np.isclose(value, floors, rtol=1e-4, atol=0).any() else ""
    return "n/a" if value != value else f"{bound}{signed(value, '.3g')}"


def describe_software(records):
    """List the packages that the results record, and those that drew this page."""
    used = dict(item for record in records.values() for item in record["packages"].items())
    packages = {name: version(name) for name in DRAWN_WITH} | used
    rows = [(name, packages[name], "analysis" if name in used else "figures and pages") for name in sorted(packages)]
    return [
        table(("package", "version", "used for"), rows),
        "`requirements.lock` pins these and all that they need, with hashes.",
    ]


def describe_sources(cells, records, sources):
    """List the files that numbers and figures come from by the content they had, and how to find their commits.

    Object ids and not commits are written: a commit's id holds the time of day, and the same analysis run twice would
    make two different reports. Git finds the commit from the object.
    """
    paths = [f"{cell.folder}/{file}" for cell in cells for file in cell.declared.sources]
    rows = [(f"`{path}`", f"`{sources[path][:12]}`") for path in paths if path in sources]
    read = dict(item for record in records.values() for item in record["data"].items())
    inputs = [(f"`{path}`", f"`{commit[:12]}`") for path, commit in sorted(read.items()) if path.startswith("inputs/")]
    return [
        "Every number above is read from one of these files. Each was written by one command through `datalad run`. "
        "The object is the file's content in git (for an annexed file, of the link that holds its checksum). It leads "
        "to the commit, with the command, its inputs and the time:",
        "```\ngit log -1 --find-object=OBJECT    # the commit that a file comes from\n"
        "datalad rerun COMMIT               # makes it again\n```",
        table(("file", "object"), rows),
        "The data that went in, by the commit of the subdataset:",
        table(("subdataset", "commit"), inputs),
        "`inputs.json` beside every result names in the same way the code, settings and packages that made it.",
    ]
