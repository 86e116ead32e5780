"""Write everything that is to be read in a browser or as a notebook, from results, figures and tables."""

from facepain.pages.interactive import write_pages
from facepain.pages.notebook import write_notebook
from facepain.pages.records import read_records
from facepain.pages.report import write_report


def write_site(results, settings, words, sources, outputs):
    """Write interactive pages, notebook and report.

    Parameters
    ----------
    results : StudyResults
    settings : dict
        ``mask``, ``algorithm`` and ``percentile`` of the map that is shown.
    words : dict
        ``figures``: title, caption and alt text by name; ``skipped``: why others were not drawn.
    sources : dict of str to str
        Git object id of every file below ``outputs``.
    outputs : facepain.outputs.OutputFolder
        Holds the figures and tables already.
    """
    write_pages(results, settings, outputs)
    write_notebook(results, settings, words, outputs)
    write_report(results, read_records("outputs", results), words, sources, outputs)
