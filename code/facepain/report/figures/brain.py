"""Maps on the brain: slices, glass brain and inflated surface, with one colour scale for what is compared."""

from dataclasses import dataclass
from functools import cache

import nibabel
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from nilearn.datasets import load_fsaverage, load_fsaverage_data, load_mni152_template
from nilearn.plotting import plot_glass_brain, plot_stat_map, plot_surf_stat_map
from nilearn.surface import SurfaceImage

from facepain.report.figures.page import (
    ALGORITHM_NAMES,
    GREY,
    MM_PER_INCH,
    PAGE_WIDTH_MM,
    PNG_DPI,
    Drawing,
    NothingToDraw,
    new_page,
    place,
    score_name,
)

COLOURS = "RdBu_r"  # diverging, white at zero, safe for the colour-blind
N_CUTS = 7
MARGIN = 3  # mm
SLICES_MM, GLASS_MM = 28, 21  # height of a line of slices, of a line of glass brains or surfaces
TITLE_MM, BAR_MM = 6, 13
SURFACE_VIEWS = (("left", "lateral"), ("left", "medial"), ("right", "medial"), ("right", "lateral"))
SHADES = 8  # step of grey and colour in brain pictures, out of 256: a page stays under 1 MB
FINE = 1.7  # brains are drawn on a larger sheet and shrunk, so that nilearn's lines and letters become thinner
SHOWN = 1e-12  # nilearn hides what is below: maps come with their hidden voxels set to 0
SLICE_TEMPLATE = "Background: MNI152 template, as packaged with nilearn."
TEMPLATES = (
    "Backgrounds: MNI152 template, fsaverage5 inflated surfaces (mid-cortical values), as packaged with nilearn."
)


@dataclass(frozen=True)
class Map:
    """A map to draw.

    Attributes
    ----------
    title : str
    img : Nifti1Image
        0 outside the mask.
    threshold : float
        Voxels whose absolute value is below are not drawn.
    """

    title: str
    img: nibabel.Nifti1Image
    threshold: float

    def thresholded(self):
        """Return the map with hidden voxels set to 0."""
        values = np.asarray(self.img.dataobj, dtype=np.float32)
        return nibabel.Nifti1Image(np.where(np.abs(values) >= self.threshold, values, 0), self.img.affine)

    def n_shown(self):
        values = np.abs(np.asarray(self.img.dataobj))
        return int(np.sum((values >= self.threshold) & (values > 0)))

    def largest(self):
        return float(np.abs(np.asarray(self.img.dataobj)).max())


def percentile_threshold(values, n_voxels, percentile):
    """Return a percentile of the absolute values inside a mask.

    Parameters
    ----------
    values : array_like
        Of a whole image, 0 outside the mask.
    n_voxels : int
        Voxels in the mask; those with value 0 count like any other.
    percentile : float
        0 to 100.

    Returns
    -------
    threshold : float
        As ``numpy.percentile`` of the mask's absolute values, which keeps (100 - percentile) % of its voxels.
    """
    values = np.abs(np.asarray(values, dtype=np.float64).ravel())
    inside = np.zeros(n_voxels)
    nonzero = values[values > 0]
    inside[: nonzero.size] = nonzero
    return float(np.percentile(inside, percentile))


def axial_cuts(imgs):
    """Return the heights (z in mm) of the slices to draw: evenly spaced inside where the maps are not 0."""
    lows, highs = [], []
    for img in imgs:
        rows = np.argwhere(np.asarray(img.dataobj) != 0)
        if len(rows):
            z = nibabel.affines.apply_affine(img.affine, rows)[:, 2]
            lows.append(z.min())
            highs.append(z.max())
    return _evenly(min(lows), max(highs)) if lows else _evenly(-60, 75)


def draw_weight_maps(cells, percentile, synthetic):
    """Draw the average weight maps of one mask, an algorithm under the other.

    Parameters
    ----------
    cells : list of RegressionResults
        Of one mask.
    percentile : float
        Of the absolute weights in the mask; weaker ones are not drawn.
    synthetic : bool

    Returns
    -------
    drawing : Drawing

    Raises
    ------
    NothingToDraw
        If all weights are 0.
    """
    maps = [_weight_map(cell, percentile) for cell in cells]
    unit = _unit_of_weights(cells[0])
    _require_voxels(maps, f"all weights of {cells[0].mask} are 0")
    figure = _page_of_maps(maps, axial_cuts([each.img for each in maps]), unit, synthetic)
    kept = "; ".join(f"{each.title}: {each.n_shown()} voxels of at least {each.threshold:.2g}" for each in maps)
    caption = (
        f"Weights of {len(maps)} regressions on the {cells[0].mask} mask, averaged over the folds of the "
        "cross-validation. "
        f"Drawn are the voxels at or above the {percentile:g}th percentile of the absolute weight ({kept}); one colour "
        f"scale for all, white at zero. Red: a stronger contrast predicts a higher score. {TEMPLATES}"
    )
    alt = (
        f"Axial slices, glass brains and inflated surfaces with the strongest weights of {_names(cells)}, "
        f"{cells[0].mask} mask."
    )
    return Drawing(figure, f"Weight maps, {cells[0].mask}", caption, alt)


def draw_z_maps(cells, limit, synthetic):
    """Draw the bootstrap z maps of one mask, thresholded by the false discovery rate.

    Parameters
    ----------
    cells : list of RegressionResults
        Of one mask.
    limit : float
        Largest absolute z of all masks: the end of the colour scale.
    synthetic : bool

    Raises
    ------
    NothingToDraw
        If no voxel of any algorithm survives.
    """
    maps = [Map(ALGORITHM_NAMES[cell.algorithm], cell.map_img("bootstrap_z"), _z_threshold(cell)) for cell in cells]
    first = cells[0].bootstrap
    mask, fdr = cells[0].mask, f"a false discovery rate of {first['fdr']:g}"
    _require_voxels(maps, f"no voxel of {mask} survives {fdr} in any algorithm")
    figure = _page_of_maps(maps, axial_cuts([each.img for each in maps]), "bootstrap z of the weight", synthetic, limit)
    kept = "; ".join(
        f"{each.title}: {each.n_shown()} of {cell.n_voxels}" for each, cell in zip(maps, cells, strict=True)
    )
    caption = (
        f"Bootstrap z of the weights (mean over SD of {first['n']} draws of the {first['unit']}s), {mask} mask. "
        "Drawn are "
        f"the voxels that survive {fdr} ({kept}); all masks and algorithms share one colour scale, white at zero. "
        f"{TEMPLATES}"
    )
    alt = f"Axial slices, glass brains and inflated surfaces with the voxels of {_names(cells)} that survive {fdr}."
    return Drawing(figure, f"Bootstrap z, {mask}", caption, alt)


def draw_chosen_map(cell, percentile, synthetic):
    """Draw one average weight map large: glass brain, then axial and coronal slices.

    Parameters
    ----------
    cell : RegressionResults
    percentile : float
    synthetic : bool

    Raises
    ------
    NothingToDraw
        If all weights are 0.
    """
    chosen = _weight_map(cell, percentile)
    _require_voxels([chosen], f"all weights of {cell.mask} {cell.algorithm} are 0")
    width, limit = PAGE_WIDTH_MM - 2 * MARGIN, chosen.largest()
    figure = new_page(TITLE_MM + 50 + 2 * SLICES_MM + BAR_MM + 14, synthetic, layout=None)
    shown = chosen.thresholded()
    _write(figure, TITLE_MM / 2, f"{chosen.title}, {cell.mask}: average over {len(cell.folds)} folds", weight="bold")
    _show(figure, _glass(shown, limit, (width, 50)), (MARGIN, TITLE_MM, width, 50))
    top = TITLE_MM + 52
    _slices(figure, shown, limit, axial_cuts([chosen.img]), top)
    _slices(figure, shown, limit, _coronal_cuts(chosen.img), top + SLICES_MM + 4, "y")
    _colour_bar(figure, top + 2 * SLICES_MM + 9, limit, _unit_of_weights(cell), chosen.threshold)
    total = np.asarray(chosen.img.dataobj)
    positive = int(np.sum(total >= max(chosen.threshold, SHOWN)))
    caption = (
        f"Average {chosen.title} weight map of the {cell.mask} mask over {len(cell.folds)} folds, thresholded at the "
        f"{percentile:g}th percentile of the absolute weight ({chosen.threshold:.3g}): {chosen.n_shown()} of "
        f"{cell.n_voxels} voxels, {positive} of them positive. White is zero. {SLICE_TEMPLATE}"
    )
    alt = (
        f"Glass brain and slices with the strongest {chosen.title} weights: {positive} positive voxels of "
        f"{chosen.n_shown()}."
    )
    return Drawing(figure, f"Average {chosen.title} weight map, {cell.mask}", caption, alt)


def _unit_of_weights(cell):
    per = "SD of the image" if "image" in cell.standardize else "unit of contrast"
    return f"weight: {score_name(cell.target, cell.transform)} per {per}"


def _names(cells):
    return ", ".join(ALGORITHM_NAMES[cell.algorithm] for cell in cells)


def _weight_map(cell, percentile):
    img = cell.map_img("weights_average")
    threshold = percentile_threshold(img.dataobj, cell.n_voxels, percentile)
    return Map(ALGORITHM_NAMES[cell.algorithm], img, threshold)


def _z_threshold(cell):
    z = cell.bootstrap["thresholds"].get("fdr", {"z": None})["z"]
    return np.inf if z is None else z


def _require_voxels(maps, why):
    if not any(each.n_shown() for each in maps):
        raise NothingToDraw(why)


def _page_of_maps(maps, cuts, unit, synthetic, limit=None):
    """Lay out title, slices, glass brains and surfaces of every map, and one colour bar below all."""
    row = TITLE_MM + SLICES_MM + 4 + GLASS_MM + 2
    figure = new_page(len(maps) * row + BAR_MM, synthetic, layout=None)
    limit = limit or max(each.largest() for each in maps)
    half = (PAGE_WIDTH_MM - 3 * MARGIN) / 2
    for number, each in enumerate(maps):
        top = number * row
        shown = each.thresholded()
        note = f"{each.n_shown()} voxels drawn, absolute value at least {each.threshold:.2g}"
        if not each.n_shown():
            note = "no voxel above the threshold"
        _write(figure, top + TITLE_MM / 2, each.title, weight="bold")
        _write(figure, top + TITLE_MM / 2, note, left=22)
        _slices(figure, shown, limit, cuts, top + TITLE_MM)
        below = top + TITLE_MM + SLICES_MM + 4
        _show(figure, _glass(shown, limit, (half, GLASS_MM)), (MARGIN, below, half, GLASS_MM))
        _surfaces(figure, each, limit, (2 * MARGIN + half, below, half, GLASS_MM))
    thresholds = {each.threshold for each in maps}
    _colour_bar(figure, len(maps) * row + 1, limit, unit, thresholds.pop() if len(thresholds) == 1 else None)
    return figure


def _write(figure, top, text, left=MARGIN, **style):
    axes = place(figure, left, top, 1, 0.1)
    axes.axis("off")
    axes.text(0, 0, text, va="center", ha="left", **style)


def _slices(figure, img, limit, cuts, top, direction="z"):
    """Draw a line of slices with their places in mm and the sides of the brain."""
    width = PAGE_WIDTH_MM - 2 * MARGIN
    each = width / len(cuts)
    size = (width, SLICES_MM)
    panel = _render(
        lambda axes: plot_stat_map(
            img, _template(), cut_coords=cuts, display_mode=direction, axes=axes, figure=axes.figure, annotate=False,
            black_bg=False, resampling_interpolation="nearest", **_scale(limit),
        ),
        size,
    )  # fmt: skip
    axes = _show(figure, panel, (MARGIN, top, *size))
    for number, cut in enumerate(cuts):
        label = f"{direction} = {cut:.0f} mm".replace("-", "\N{MINUS SIGN}")
        axes.text((number + 0.5) / len(cuts), -0.02, label, transform=axes.transAxes, ha="center", va="top", fontsize=7)
    for side, x in (("L", 0.1), ("R", 0.9)):
        axes.text(x * each / width, 0.9, side, transform=axes.transAxes, ha="center", fontsize=7)


def _coronal_cuts(img):
    rows = np.argwhere(np.asarray(img.dataobj) != 0)
    y = nibabel.affines.apply_affine(img.affine, rows)[:, 1]
    return _evenly(y.min(), y.max())


def _evenly(low, high):
    # The outermost slices of a brain hold little of it.
    return [float(round(cut)) for cut in np.linspace(low, high, 2 * N_CUTS + 5)[3:-2:2]]


def _glass(img, limit, size):
    return _render(
        lambda axes: plot_glass_brain(
            img, display_mode="lyrz", axes=axes, figure=axes.figure, plot_abs=False, resampling_interpolation="nearest",
            **_scale(limit),
        ),
        size,
    )  # fmt: skip


def _surfaces(figure, each, limit, box):
    """Draw the four views of the inflated surface side by side."""
    left, top, width, height = box
    surface = SurfaceImage.from_volume(_meshes()["pial"], each.img, inner_mesh=_meshes()["white_matter"], depth=[0.5])
    for part in surface.data.parts.values():
        part[~(np.abs(part) >= each.threshold)] = 0
    for number, (side, view) in enumerate(SURFACE_VIEWS):
        panel = _crop(_render_surface(surface, side, view, limit))
        axes = _show(figure, panel, (left + number * width / 4, top, width / 4 - 1, height))
        axes.set_title(f"{side} {view}", fontsize=7, pad=1)


def _render_surface(surface, side, view, limit):
    return _render(
        lambda axes: plot_surf_stat_map(
            _meshes()["inflated"], surface, _meshes()["sulcal"], hemi=side, view=view, axes=axes, figure=axes.figure,
            **_scale(limit),
        ),
        (43, 32),
        projection="3d",
    )  # fmt: skip


def _scale(limit):
    return {"vmin": -limit, "vmax": limit, "cmap": COLOURS, "threshold": SHOWN, "colorbar": False}


def _render(draw, size, **axes_options):
    """Draw on axes of their own and return the pixels, so that PNG and SVG need not draw twice.

    Parameters
    ----------
    draw : callable
        Takes axes.
    size : tuple of float
        Width and height in mm.

    Returns
    -------
    pixels : (height, width, 3) ndarray of uint8
    """
    figure = Figure(figsize=[FINE * mm / MM_PER_INCH for mm in size], dpi=PNG_DPI / FINE)
    canvas = FigureCanvasAgg(figure)
    draw(figure.add_axes((0, 0, 1, 1), **axes_options))
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[:, :, :3].astype(int)
    return np.minimum((pixels + SHADES // 2) // SHADES * SHADES, 255).astype(np.uint8)


def _crop(pixels):
    """Cut off the white around a drawing."""
    inked = (pixels < 250).any(axis=2)
    rows, columns = np.flatnonzero(inked.any(axis=1)), np.flatnonzero(inked.any(axis=0))
    return pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] if rows.size else pixels


def _show(figure, pixels, box):
    axes = place(figure, *box)
    axes.imshow(pixels, interpolation="nearest")
    axes.axis("off")
    return axes


def _colour_bar(figure, top, limit, unit, threshold):
    """Draw the colour scale with zero marked and, where all maps share it, the threshold."""
    axes = place(figure, 50, top, 80, 3)
    bar = figure.colorbar(plt.cm.ScalarMappable(Normalize(-limit, limit), COLOURS), cax=axes, orientation="horizontal")
    ticks = [-limit, 0, limit]
    if threshold is not None and 0.15 * limit < threshold < 0.85 * limit:
        ticks = [-limit, -threshold, 0, threshold, limit]
    bar.set_ticks(ticks, labels=[f"{tick:.2g}".replace("-", "\N{MINUS SIGN}") for tick in ticks])
    bar.set_label(unit, labelpad=1)
    bar.ax.axvline(0, color="black", linewidth=0.8)
    bar.outline.set_linewidth(0.5)
    bar.outline.set_edgecolor(GREY)


@cache
def _template():
    return load_mni152_template(resolution=1)


@cache
def _meshes():
    meshes = {name: load_fsaverage("fsaverage5")[name] for name in ("pial", "white_matter", "inflated")}
    return meshes | {"sulcal": load_fsaverage_data(mesh="fsaverage5", data_type="sulcal")}
