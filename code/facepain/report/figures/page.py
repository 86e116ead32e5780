"""The page that every figure is drawn on: its size, type and colours, the label of simulated data, how it is saved."""

import io
from dataclasses import dataclass
from functools import partial
from itertools import cycle

import numpy as np
from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

PAGE_WIDTH_MM = 180
PNG_DPI = 300
PNG_LEVEL = 3  # of compression: twice as fast as the default, a tenth larger
SVG_DPI = 150  # of what is raster inside a vector figure
EMBEDDED_WIDTH = 1400  # pixels of a picture inside a page, twice what that shows: sharp on dense screens
EMBEDDED_COLOURS = 192
FOOTER_MM = 6
MM_PER_INCH = 25.4

# Okabe & Ito 2008, distinguishable for readers with any common colour blindness.
OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")
VERMILION, PURPLE, SKY, BLACK = OKABE_ITO[3:]
GREY, NULL_GREY = "#767676", "#D2D2D2"  # the second of null distributions; no algorithm is grey
DATASET_COLOURS = (SKY, VERMILION, PURPLE, BLACK, "#BBCC33", "#332288")  # none of them an algorithm's

SYNTHETIC_LABEL = "Synthetic data: a simulation, not a measurement"

STYLE = {
    "text.parse_math": False,  # a name with two dollar signs is no formula
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.titley": 1,  # else every drawing measures all tick labels to keep clear of them
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.hashsalt": "facepain",
    "svg.fonttype": "path",
}


class NothingToDraw(Exception):  # noqa: N818 - no error: a study may lack what a figure shows
    """A figure that this study has no data for; the message says why, in one line."""


@dataclass(frozen=True)
class Drawing:
    """A figure and the words that go with it: heading, caption with its numbers, and what it shows in a sentence."""

    figure: Figure
    title: str
    caption: str
    alt: str


# A context in which figures are drawn and saved in the style of the pages, whatever matplotlibrc a user has.
page_style = partial(style.context, ["default", STYLE])


def new_page(height_mm, synthetic, layout="constrained"):
    """Open a page of the width that all figures have; ``height_mm`` is without the footer, which labels simulated data.

    Axes are arranged above the footer, or with the layout None placed by the caller (`place`).
    """
    total = height_mm + FOOTER_MM
    figure = Figure(figsize=(PAGE_WIDTH_MM / MM_PER_INCH, total / MM_PER_INCH), layout=layout)
    if layout == "constrained":
        share = FOOTER_MM / total
        figure.get_layout_engine().set(rect=(0, share, 1, 1 - share), w_pad=0.04, h_pad=0.04)
    if synthetic:
        position = {"x": 1 - 2 / PAGE_WIDTH_MM, "y": 1.5 / total, "ha": "right", "va": "bottom"}
        figure.text(**position, s=SYNTHETIC_LABEL, fontsize=8, fontweight="bold", color=VERMILION)
    return figure


def place(figure, left, top, width, height):
    """Add axes at a place in mm from the upper left corner of the page."""
    page_width, page_height = (MM_PER_INCH * inches for inches in figure.get_size_inches())
    bottom = page_height - top - height
    return figure.add_axes((left / page_width, bottom / page_height, width / page_width, height / page_height))


def page_axes(figure, left=0, top=0, width=None, height=None):
    """Add invisible axes in mm from their upper left corner: drawn faster than axes for each picture of the page."""
    if width is None:
        width, height = (MM_PER_INCH * inches for inches in figure.get_size_inches())
    axes = place(figure, left, top, width, height)
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    return axes


def save_figure(figure, path):
    """Save as PNG and SVG, the same bytes at any time and place; return the picture. The path has no ending."""
    settle(figure)
    figure.set_dpi(PNG_DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")  # nothing shines through
    picture.save(f"{path}.png", dpi=(PNG_DPI, PNG_DPI), compress_level=PNG_LEVEL)
    figure.savefig(f"{path}.svg", dpi=SVG_DPI, metadata={"Date": None, "Creator": None})
    return picture


def draw_figure(draw, path):
    """Call what returns a `Drawing` or raises `NothingToDraw`, and save the figure at a path without an ending.

    Return its ``title``, ``caption`` and ``alt``, or ``skipped``, the reason why it was not drawn; and its picture.
    """
    with page_style():
        try:
            drawing = draw()
        except NothingToDraw as reason:
            return {"skipped": str(reason)}, None
        picture = save_figure(drawing.figure, path)
    return {"title": drawing.title, "caption": drawing.caption, "alt": drawing.alt}, picture


def shrink(picture):
    """Return a picture as PNG small enough to be embedded in a page."""
    size = (EMBEDDED_WIDTH, round(picture.height * EMBEDDED_WIDTH / picture.width))
    picture = picture.resize(size, Image.Resampling.HAMMING)
    packed = io.BytesIO()
    picture.quantize(EMBEDDED_COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(packed, "PNG")
    return packed.getvalue()


def settle(figure):
    """Arrange the axes for good, at rounded places."""
    if figure.get_layout_engine() is None:
        return
    figure.get_layout_engine().execute(figure)
    figure.set_layout_engine(None)  # with "none" a placeholder stays, for which everything is drawn twice
    for axes in figure.axes:
        # The solver of the layout leaves last bits that differ from one process to the next, and ids in SVG hold them.
        axes.set_position([round(float(value), 5) for value in axes.get_position().bounds])


def dataset_colours(datasets):
    """Give every dataset its colour, in the order of their names."""
    return dict(zip(sorted(datasets), cycle(DATASET_COLOURS), strict=False))


def score_name(score, transform="raw", confounds=()):
    """Name a score for an axis, with its unit in brackets if it has one and was not transformed."""
    bare = score.split(" (")[0]
    name = {"raw": score, "log1p": f"log(1 + {bare})", "sqrt": f"square root of {bare}"}[transform]
    return f"{name} without {list_names(confounds)}" if confounds else name


def list_names(names):
    """List names in a sentence, such as "age, run and motion"."""
    *names, last = names
    return f"{', '.join(names)} and {last}" if names else last


def say_removed(cells):
    """Say that scores are without confounds, where a model had these removed; empty where none had."""
    confounds = next((cell.confounds for cell in cells if cell.confounds), ())
    return f" Scores are what {list_names(confounds)} leave of them." if confounds else ""


def percent(share, digits=0):
    """Write a share as a percentage."""
    return f"{100 * share:.{digits}f} %"


def signed(value, spec=".2f"):
    """Write a number as a format says, with a true minus sign, and "n/a" for one that is undefined."""
    if value != value:
        return "n/a"
    text = format(value, spec)
    return text.replace("-", "\N{MINUS SIGN}") if float(text) else text.lstrip("-")
