"""Write everything that is to be read in a browser or as a notebook, from results, figures and tables."""

from facepain.report.pages.interactive import write_pages
from facepain.report.pages.notebook import write_notebook
from facepain.report.pages.report import write_report


def write_site(results, cells, settings, words, sources, outputs):
    """Write interactive pages, notebook and report.

    Parameters
    ----------
    results : StudyResults
    cells : list of ShownCell
    settings : dict
        ``mask``, ``algorithm`` and ``percentile`` of the map that is shown.
    words : dict
        ``figures``: title, caption and alt text by name; ``skipped``: why others were not drawn.
    sources : dict of str to str
        Git object id of every file below ``outputs``.
    outputs : files.outputs.OutputFolder
        Holds the figures and tables already.
    """
    write_pages(results, settings, outputs)
    write_notebook(results, settings, words, outputs)
    write_report(results, cells, settings, words, sources, outputs)
