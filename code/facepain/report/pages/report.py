"""The report, one page as self-contained HTML and as Markdown; and the page of figures of participants."""

import base64
import io
from importlib.metadata import version

from PIL import Image

from facepain.report.claims import read_claims
from facepain.report.figures.page import SYNTHETIC_LABEL, percent, score_name
from facepain.report.pages.document import Code, Grid, Heading, Items, Picture, Text, parse_grid, to_html, to_markdown
from facepain.report.pages.findings import describe_findings, describe_limits
from facepain.report.pages.interactive import PARTICIPANTS
from facepain.report.pages.methods import describe_methods
from facepain.report.pages.records import read_records
from facepain.report.pages.shell import render_page

TITLE = "The face of pain: predicting facial expression from the brain"
PICTURE_WIDTH = 1400  # pixels, twice what the page shows: sharp on dense screens
PICTURE_COLOURS = 192
DRAWN_WITH = ("jinja2", "matplotlib", "nilearn", "plotly")


def write_report(results, cells, words, sources, outputs):
    """Write ``report.html``, ``report.md`` and the page of figures of participants.

    Parameters
    ----------
    results : StudyResults
    cells : list of ShownCell
        Every result of the study but this page.
    words : dict
        ``figures``: title, caption and alt text of each figure by name; ``skipped``: why others were not drawn.
    sources : dict of str to str
        Git object id of every file below ``outputs``.
    outputs : files.outputs.OutputFolder
        Holds the figures and tables.
    """
    blocks = compose_report(results, cells, words, sources, outputs)
    label = [Text(f"{SYNTHETIC_LABEL}.", "warning")] if results.synthetic else []
    outputs.write_text("report.md", to_markdown(TITLE, [*label, *blocks]))
    body = to_html(blocks, lambda name: embed_picture(outputs.path(f"{name}.png")))
    outputs.write_text("report.html", render_page(TITLE, body, results.synthetic))
    title, body = participants_page(words)
    outputs.write_text(f"{PARTICIPANTS}index.html", render_page(title, body, results.synthetic))


def compose_report(results, cells, words, sources, outputs):
    """Return the blocks of the report, the same for HTML and Markdown."""
    records = read_records(cells)
    claims = read_claims(outputs.path("claims.json"))
    pictures = [
        Picture(name, **said) for name, said in sorted_figures(words["figures"]) if not name.startswith(PARTICIPANTS)
    ]
    origins = [picture for picture in pictures if picture.name == "provenance"]
    skipped = [f"`{name}`: {reason}." for name, reason in sorted(words["skipped"].items())]
    return [
        Heading("What was asked"),
        Text(
            f"Can the {score_name(results.target).removesuffix(' (points)')} of a painful trial be predicted from "
            "the brain's response to it, "
            "by which parts of the brain, and does a model that was trained on one dataset hold on another?"
        ),
        Heading("What was found"),
        Items(tuple(describe_findings(claims, results))),
        Text(
            "To look closer: [scores](scores.html), [weight map on slices](weights-slices.html) and [on the "
            "surface](weights-surface.html), "
            "the [notebook](notebook.ipynb). What names participants or shows single trials is [on a page of its "
            "own](participants/index.html). "
            "Pages are annexed: where a link finds nothing, `datalad get figures` or `make plot` brings them."
        ),
        Heading("Limits"),
        Items(tuple(describe_limits(claims, results))),
        Heading("Data and exclusions"),
        *describe_data(results),
        Heading("Methods"),
        Text("This section is generated from the settings that the results record.", "quiet"),
        *describe_methods(results, records),
        Heading("Tables"),
        *(block for name in ("table-2.md", "table-1.md") for block in _table(outputs, name)),
        Heading("Figures"),
        *(picture for picture in pictures if picture not in origins),
        *([Text("Not drawn:"), Items(tuple(skipped))] if skipped else []),
        Heading("Software"),
        *describe_software(records),
        Heading("Where every number comes from"),
        *origins,
        *describe_sources(cells, records, sources),
    ]


def sorted_figures(figures):
    """List figures in the order of a paper: study, scores, performance, tests, maps, datasets."""
    order = (
        "paradigm",
        "scores",
        "r2",
        "calibration",
        "permutation",
        "weight-map",
        "weights",
        "bootstrap-z",
        "confusion",
        "datasets",
    )
    rank = {name: next((n for n, start in enumerate(order) if name.startswith(start)), len(order)) for name in figures}
    # A mask's figures keep the order in which the masks were named.
    return sorted(figures.items(), key=lambda item: rank[item[0]])


def _table(outputs, name):
    label = SYNTHETIC_LABEL.split(":")[0]
    blocks = parse_grid(outputs.path(name).read_text(encoding="utf-8"))
    # The page says so above everything else.
    return [block for block in blocks if not (isinstance(block, Text) and block.text.startswith(f"**{label}"))]


def describe_data(results):
    """Tell who and what was analysed and what was left out and why, dataset by dataset."""
    facts = list(dict.fromkeys(results.summary["fact"]))
    rows = []
    for fact in facts:
        name = f"trials {fact}" if fact.startswith("excluded") else fact.replace("_", " ")
        values = [results.fact(dataset, fact) for dataset in results.datasets]
        write = percent if "share" in fact else lambda value: f"{value:.4g}"
        rows.append((name, *("\N{EN DASH}" if value != value else write(value) for value in values)))
    return [
        Grid(("fact", *results.datasets), tuple(rows)),
        Text(
            "From `outputs/prep/summary.tsv`. Ages in years; scores in points; standard deviations of scores are of "
            "the population.",
            "quiet",
        ),
    ]


def describe_software(records):
    """List the packages that the results record, and those that drew this page."""
    used = {}
    for record in records.values():
        used |= record["packages"]
    drawn = {name: version(name) for name in DRAWN_WITH}
    rows = [
        (name, number, "analysis" if name in used else "figures and pages")
        for name, number in sorted((drawn | used).items())
    ]
    return [
        Grid(("package", "version", "used for"), tuple(rows)),
        Text("`requirements.lock` pins these and all that they need, with hashes."),
    ]


def describe_sources(cells, records, sources):
    """List the files that numbers and figures come from by the content they had, and how to find their commits.

    Notes
    -----
    Object ids and not commits are written here: a commit's id holds the time of day, and the same analysis run twice
    would make two different reports. Git finds the commit from the object.
    """
    rows = []
    for cell in cells:
        command = f"`{cell.command}`"
        for path in (f"{cell.folder}/{file}" for file in cell.sources):
            if path not in sources:
                continue  # such as a classifier of one dataset
            rows.append((f"`{path}`", f"`{sources[path][:12]}`", command))
            command = "the same"
    inputs = {}
    for record in records.values():
        inputs |= {path: commit for path, commit in record["data"].items() if path.startswith("inputs/")}
    lines = [(f"`{path}`", f"`{commit[:12]}`") for path, commit in sorted(inputs.items())]
    return [
        Text(
            "Every number above is read from one of these files, which the command beside it wrote through `datalad "
            "run`. The object "
            "is the file's content in git (for an annexed file, of the link that holds its checksum). The commit "
            "that it comes from, "
            "with the command, its inputs and the time, is found from the object:"
        ),
        Code(
            "git log -1 --find-object=OBJECT    # the commit that a file comes from\ndatalad rerun COMMIT           "
            "    # makes it again"
        ),
        Grid(("file", "object", "command"), tuple(rows)),
        Text("The data that went in, by the commit of the subdataset:"),
        Grid(("subdataset", "commit"), tuple(lines)),
        Text("`inputs.json` beside every result names in the same way the code, settings and packages that made it."),
    ]


def embed_picture(path):
    """Return a figure as a data address: smaller than the file, with fewer colours, large enough for the page."""
    with Image.open(path) as picture:
        picture = picture.convert("RGB")
        size = (PICTURE_WIDTH, round(picture.height * PICTURE_WIDTH / picture.width))
        small = picture.resize(size, Image.Resampling.LANCZOS) if picture.width > PICTURE_WIDTH else picture
        small = small.quantize(PICTURE_COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    held = io.BytesIO()
    small.save(held, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(held.getvalue()).decode("ascii")


def participants_page(words):
    """Return title and body of the page of figures that name participants or show single trials."""
    pictures = [
        Picture(name.removeprefix(PARTICIPANTS), **said)
        for name, said in words["figures"].items()
        if name.startswith(PARTICIPANTS)
    ]
    skipped = [f"`{name}`: {why}." for name, why in words["skipped"].items() if name.startswith(PARTICIPANTS)]
    blocks = [
        Text(
            "These figures name participants, by the repository's own ids, or show single trials. They are annexed "
            "and part of no "
            "other page: share them only as the participants' consent allows."
        ),
        Text(
            "[Predicted against observed, trial by trial](predictions.html) \N{EM DASH} [report of the "
            "groups](../report.html)"
        ),
        *pictures,
        *([Text("Not drawn:"), Items(tuple(skipped))] if skipped else []),
    ]
    return "Figures of participants", to_html(blocks, lambda name: f"{name}.png")
