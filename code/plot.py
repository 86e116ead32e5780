"""Draw the group-level figures and write the tables, pages, notebook and report, from outputs/ alone."""

from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from multiprocessing import get_context
from pathlib import Path

from facepain.report.claims import make_claims, write_claims
from facepain.report.figures.catalogue import list_figures
from facepain.report.figures.page import draw_figure
from facepain.report.pages.site import write_site
from facepain.report.recovered import RECOVERED_COLUMNS, recovered_table
from facepain.results.load import ShownCell, load_results
from facepain.results.tables import (
    OTHER_DATASETS_COLUMNS,
    cross_validation_columns,
    cross_validation_markdown,
    cross_validation_table,
    other_datasets_markdown,
    other_datasets_table,
)
from provenance.repository import object_ids
from provenance.run.progress import Progress
from provenance.run.stage import n_workers, run_stage
from stages import STUDY

_figures = {}  # of this process: results are read once in each, not sent between them


def main(cell, outputs):
    results, cells = read_results(cell.settings), describe_cells(cell)
    write_tables(results, outputs)
    settings = cell.settings | {"command": cell.command}
    names = list(list_figures(results, cells, settings))
    words = draw_all(names, cells, settings, outputs.path("."))
    drawn = {name: said for name, said in words.items() if "skipped" not in said}
    skipped = {name: said["skipped"] for name, said in words.items() if "skipped" in said}
    told = {"figures": drawn, "skipped": skipped}
    outputs.write_json("captions.json", told)
    write_site(results, cells, cell.settings, told, object_ids("outputs"), outputs)
    for name, reason in skipped.items():
        print(f"plot: {name} is not drawn: {reason}")
    print(f"plot: {len(drawn)} figures" + (", labelled as synthetic" if results.synthetic else ""))


def describe_cells(cell):
    """Describe every other cell for the report, and print which are not up to date."""
    outdated = cell.outdated
    for name, state in outdated.items():
        print(f"plot: {name} is {state}; `make all` makes it")
    return [
        ShownCell(
            name=other.name,
            folder=other.folder,
            form=" ".join(("python", other.script, *(name.upper() for name in other.declared.arguments))),
            about=other.declared.about,
            sources=other.declared.sources,
            state=outdated.get(other.name, "fresh"),
        )
        for other in cell.shown
    ]


def read_results(settings):
    """Read what the settings name."""
    return load_results("outputs", settings["masks"], settings["algorithms"], settings["target"], settings["score"])


def write_tables(results, outputs):
    """Write Table 1, Table 2 where there is another dataset, how planted patterns were recovered, and the claims."""
    if results.regressions:
        table = cross_validation_table(results)
        outputs.write_table("table-1.tsv", table, cross_validation_columns(table))
    outputs.write_text("table-1.md", cross_validation_markdown(results))
    tests = other_datasets_table(results)
    if tests is None:
        print("plot: table-2.tsv is not written: no model was tested on another dataset")
    else:
        outputs.write_table("table-2.tsv", tests, OTHER_DATASETS_COLUMNS)
    outputs.write_text("table-2.md", other_datasets_markdown(results))
    recovered = recovered_table(results)
    if recovered is not None:
        outputs.write_table("recovered.tsv", recovered, RECOVERED_COLUMNS)
    write_claims(make_claims(results, recovered), outputs)


def draw_all(names, cells, settings, folder):
    """Draw every figure, on as many processes as there are workers; their number changes no byte."""
    jobs = min(n_workers(), len(names))
    prepare(cells, settings) if jobs == 1 else None
    pool = ProcessPoolExecutor(jobs, get_context("spawn"), prepare, (cells, settings)) if jobs > 1 else nullcontext()
    with pool as workers, Progress(len(names), "plot") as progress:
        words = {}
        outcomes = (workers.map if jobs > 1 else map)(draw, names, [str(folder)] * len(names))
        for name, said in zip(names, outcomes, strict=True):
            words[name] = said
            progress()
    return words


def prepare(cells, settings):
    """Make this process ready to draw."""
    _figures.update(list_figures(read_results(settings), cells, settings))


def draw(name, folder):
    """Draw and save one figure in this process; return its words."""
    return draw_figure(_figures[name], Path(folder, name))


if __name__ == "__main__":
    run_stage(STUDY, "plot", main)
