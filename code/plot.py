"""Draw the group-level figures and write the tables, pages, notebook and report, from outputs/ alone."""

from functools import partial

from facepain.parallel import map_in_processes
from facepain.report.claims import write_claims
from facepain.report.figures.catalogue import list_figures
from facepain.report.figures.page import draw_figure, shrink
from facepain.report.figures.recovery import RECOVERED_COLUMNS, recovered_table
from facepain.report.pages.interactive import write_pages
from facepain.report.pages.notebook import run_notebook, write_notebook
from facepain.report.pages.report import write_report
from facepain.report.study_claims import make_claims
from facepain.report.tables import (
    OTHER_DATASETS_COLUMNS,
    cross_validation_columns,
    cross_validation_markdown,
    cross_validation_table,
    other_datasets_markdown,
    other_datasets_table,
)
from facepain.results.load import load_results
from provenance.repository import object_ids
from provenance.run.progress import Progress
from provenance.run.stage import n_workers, run_stage
from stages import STUDY


def main(cell, outputs):
    shown = (cell.settings[name] for name in ("masks", "algorithms", "target", "score"))
    results = load_results("outputs", *shown, folders=[other.folder for other in cell.shown])
    figures = list_figures(results, cell.shown, cell.settings | {"command": cell.command})
    # What takes longest comes first, so that no process waits for another at the end. Pages and notebook are one piece
    # of work: both need nilearn's views, which take seconds to import.
    work = {
        "pages and notebook": lambda: (
            write_pages(results, cell.settings, outputs) or run_notebook(results, cell.settings)
        ),
        "the tables": lambda: write_tables(results, outputs),
    } | {name: partial(draw, figure, outputs.path(name)) for name, figure in figures.items()}
    with Progress(len(work), "plot") as progress:
        done = {}
        for name, result in zip(work, map_in_processes(lambda name: work[name](), work, n_workers()), strict=True):
            done[name] = result
            progress()
    pictures = {name: picture for name in figures if (picture := done[name][1])}
    words = {"figures": {name: done[name][0] for name in pictures}}
    words["skipped"] = {name: done[name][0]["skipped"] for name in figures if name not in pictures}
    outputs.write_json("captions.json", words)
    write_notebook(done["pages and notebook"], words["figures"], pictures, outputs)
    write_report(results, cell.shown, cell.settings, words, pictures, object_ids("outputs"), outputs)
    for name, reason in words["skipped"].items():
        print(f"plot: {name} is not drawn: {reason}")
    print(f"plot: {len(pictures)} figures" + (", labelled as synthetic" if results.synthetic else ""))


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


def draw(figure, path):
    """Draw and save one figure; return its words, and a picture to embed if it could be drawn."""
    words, picture = draw_figure(figure, path)
    return words, picture and shrink(picture)


if __name__ == "__main__":
    run_stage(STUDY, "plot", main)
