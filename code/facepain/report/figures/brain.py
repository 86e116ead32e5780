"""Maps on the brain: axial slices and maximum projections, or, for a small mask, a crop with every voxel."""

from dataclasses import dataclass
from functools import cache

import nibabel
import numpy as np
from matplotlib import colormaps
from nilearn.datasets import load_mni152_template

from facepain.report.figures.page import ALGORITHM_NAMES, Drawing, NothingToDraw, new_page, place, score_name, signed

COLOURS = "RdBu_r"  # diverging, white at zero, safe for the colour-blind
SHOWN = 1e-12  # views of nilearn hide what is below: maps come with their hidden voxels set to 0
ALIKE = 0.95  # correlation from which two algorithms' maps are drawn as one
N_CUTS, CROP_CUTS, CROP_COLUMNS = 7, 8, 4
SMALL = 0.3  # of the brain's width: a mask that spans less in one direction is drawn as a crop
AROUND_MM = 6  # of a crop
LEFT, WIDTH, TITLE_MM, GLASS_MM = 3, 145, 6, 25
# What is looked at, in mm of MNI space.
SPACE = {"x": (-76, 76), "y": (-110, 78), "z": (-54, 82)}
TEMPLATE = "Background: MNI152 template, as packaged with nilearn."


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
    unit : str
        Of its colour bar.
    """

    title: str
    img: nibabel.Nifti1Image
    threshold: float
    unit: str = ""

    @property
    def values(self):
        return np.asarray(self.img.dataobj, dtype=np.float32)

    def thresholded(self):
        """Return the map with hidden voxels set to 0."""
        return nibabel.Nifti1Image(np.where(np.abs(self.values) >= self.threshold, self.values, 0), self.img.affine)

    def n_shown(self):
        return int(np.sum((np.abs(self.values) >= self.threshold) & (self.values != 0)))

    def largest(self):
        return float(np.abs(self.values).max())


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


def draw_weights(cells, settings, synthetic):
    """Draw the average weight maps of one mask; those of algorithms that are nearly equal as one."""
    maps = []
    for title, cell in merge_alike(cells, "weights_average"):
        maps.append(weight_map(cell, "weights_average", settings["percentile"], title))
    _require_voxels(maps, f"all weights of {cells[0].mask} are 0")
    figure, cropped = page_of_maps(maps, settings["brain_mm"], synthetic)
    caption = (
        f"Weights averaged over the folds of the cross-validation; drawn: {drawn_voxels(cropped, settings)}. Red: a "
        f"stronger contrast predicts a higher score, blue a lower one. Maps of algorithms that correlate at {ALIKE:g} "
        f"or above are drawn once. A weight is not an effect: it depends on all other voxels. {TEMPLATE}"
    )
    alt = f"Weight maps on slices of the brain, {cells[0].mask} mask. {'; '.join(map(describe_peak, maps))}."
    return Drawing(figure, f"Weight maps, {cells[0].mask}", caption, alt)


def draw_z_maps(cells, settings, synthetic):
    """Draw the bootstrap z maps of one mask, thresholded by the false discovery rate.

    Raises
    ------
    NothingToDraw
        If no voxel of any algorithm survives.
    """
    maps = []
    for cell in cells:
        threshold = cell.bootstrap["thresholds"].get("fdr", {"z": None})["z"]
        img = cell.map_img("bootstrap_z")
        maps.append(Map(ALGORITHM_NAMES[cell.algorithm], img, np.inf if threshold is None else threshold, "z"))
    mask, fdr = cells[0].mask, f"a false discovery rate of {cells[0].bootstrap['fdr']:g}"
    if not any(cell.bootstrap["thresholds"] for cell in cells):
        raise NothingToDraw(f"{mask}: {cells[0].bootstrap['reason_no_thresholds']}")
    maps = [each for each in maps if each.n_shown()]
    _require_voxels(maps, f"no voxel of {mask} survives {fdr} in any algorithm")
    figure, _ = page_of_maps(maps, settings["brain_mm"], synthetic, crop=False)
    caption = (
        f"Bootstrap z of the weights (mean over SD of draws of {cells[0].bootstrap['unit']}s), where they survive "
        f"{fdr}. Algorithms without such a voxel are not drawn. {TEMPLATE}"
    )
    alt = f"Slices of the brain with the voxels that survive {fdr}. {'; '.join(map(describe_peak, maps))}."
    return Drawing(figure, f"Bootstrap z, {mask}", caption, alt)


def draw_pattern(cell, settings, synthetic):
    """Draw the final model's weights above its pattern.

    Raises
    ------
    NothingToDraw
        If no pattern was computed, or all weights are 0.
    """
    if not (cell.folder / "pattern_final.nii.gz").exists():
        raise NothingToDraw(f"no pattern of {cell.mask} {cell.algorithm} is here")
    maps = [weight_map(cell, "weights_final", settings["percentile"], "Weights")]
    pattern = weight_map(cell, "pattern_final", settings["percentile"], "Pattern (Haufe et al. 2014)")
    maps.append(Map(pattern.title, pattern.img, pattern.threshold, "covariance with the\npredicted score"))
    _require_voxels(maps, f"all weights of {cell.mask} {cell.algorithm} are 0")
    figure, cropped = page_of_maps(maps, settings["brain_mm"], synthetic)
    caption = (
        "Above: weights of the final model, which say how the prediction is computed. Below: its pattern, the "
        "covariance of each voxel with the prediction, which says where the brain varies with it. The two may differ "
        f"widely. Drawn: {drawn_voxels(cropped, settings)}. {TEMPLATE}"
    )
    name = f"{cell.mask}, {ALGORITHM_NAMES[cell.algorithm]}"
    alt = f"Weights and pattern on slices of the brain, {name}. {'; '.join(map(describe_peak, maps))}."
    return Drawing(figure, f"Weights and pattern, {name}", caption, alt)


def describe_peak(shown):
    """Say where the largest absolute value of a map lies, for an alternative text."""
    x, y, z = (f"{signed(mm, 0)}" for mm in strongest(shown.img))
    return f"{shown.title}: largest at x = {x}, y = {y}, z = {z} mm"


def strongest(img):
    """Return the place (x, y, z in mm) of the largest absolute value."""
    values = np.abs(np.asarray(img.dataobj))
    voxel = np.unravel_index(np.argmax(values), values.shape)
    return [float(mm) for mm in (img.affine @ [*voxel, 1])[:3]]


def drawn_voxels(cropped, settings):
    return "every voxel of the mask" if cropped else f"the voxels above the {settings['percentile']:g}th percentile"


def weight_map(cell, file, percentile, title):
    """Read one of a cell's maps, with the percentile of its absolute values as the threshold."""
    img = cell.map_img(file)
    threshold = percentile_threshold(img.dataobj, cell.n_voxels, percentile)
    per = "SD of the image" if "image" in cell.standardize else "unit of contrast"
    return Map(title, img, threshold, f"{score_name(cell.score, cell.transform)}\nper {per}")


def merge_alike(cells, file):
    """Group cells whose maps nearly agree with the first of the group.

    Returns
    -------
    groups : list of tuple (title, RegressionResults)
        The title names all algorithms of the group and how they correlate with the first.
    """
    groups = []
    for cell in cells:
        values = np.asarray(cell.map_img(file).dataobj, dtype=float).ravel()
        for group in groups:
            r = float(np.corrcoef(group["values"], values)[0, 1]) if values.any() and group["values"].any() else np.nan
            if r >= ALIKE:
                group["title"] += f", {ALGORITHM_NAMES[cell.algorithm]} (r = {signed(r, 3)})"
                break
        else:
            groups.append({"title": ALGORITHM_NAMES[cell.algorithm], "cell": cell, "values": values})
    return [(group["title"], group["cell"]) for group in groups]


def _require_voxels(maps, why):
    if not any(each.n_shown() for each in maps):
        raise NothingToDraw(why)


def page_of_maps(maps, step, synthetic, crop=True):
    """Lay out title, pictures and colour bar of every map, one below the other.

    Parameters
    ----------
    maps : list of Map
    step : float
        Resolution of the pictures in mm.
    synthetic : bool
    crop : bool
        Whether a map that spans little of the brain is drawn as a crop, with every voxel.

    Returns
    -------
    figure : Figure
    cropped : bool
    """
    ends = bounding_box([each.img for each in maps])
    crop = crop and any(high - low < SMALL * np.ptp(SPACE[axis]) for axis, (low, high) in ends.items())
    space = {axis: (low - AROUND_MM, high + AROUND_MM) for axis, (low, high) in ends.items()} if crop else SPACE
    columns, n_cuts = (CROP_COLUMNS, CROP_CUTS) if crop else (N_CUTS, N_CUTS)
    cuts = np.linspace(*ends["z"], n_cuts + (2 if crop else 4))[1:-1] if crop else axial_cuts(ends["z"])
    n_rows = -(-len(cuts) // columns)
    tile = WIDTH / columns, WIDTH / columns * np.ptp(space["y"]) / np.ptp(space["x"])
    height = TITLE_MM + n_rows * (tile[1] + 4) + (0 if crop else GLASS_MM + 3)
    figure = new_page(len(maps) * height + 2, synthetic, layout=None)
    for number, each in enumerate(maps):
        top = number * height
        note = f"{each.n_shown()} voxels of at least {each.threshold:.2g} (absolute)" if not crop else "every voxel"
        axes = place(figure, LEFT, top, WIDTH, TITLE_MM)
        axes.axis("off")
        axes.text(0, 0.45, each.title, va="center", fontweight="bold", transform=axes.transAxes)
        axes.text(1, 0.45, note, va="center", ha="right", fontsize=7, transform=axes.transAxes)
        threshold = 0 if crop else each.threshold
        painter = Painter(each.img, threshold, each.largest(), step / 2 if crop else step)
        for k, cut in enumerate(cuts):
            row, column = divmod(k, columns)
            box = (LEFT + column * tile[0], top + TITLE_MM + row * (tile[1] + 4), tile[0] - 0.5, tile[1])
            axes = painter.show(figure, box, painter.slice(space, cut), space, outline=crop)
            axes.set_title(f"z = {cut:.0f} mm".replace("-", "\N{MINUS SIGN}"), fontsize=7, y=-0.02, va="top", pad=0)
            if not k:
                for side, x in (("L", 0.04), ("R", 0.96)):
                    axes.text(x, 0.93, side, transform=axes.transAxes, ha="center", va="center", fontsize=7)
        if not crop:
            painter.show_glass(figure, top + TITLE_MM + tile[1] + 5)
        draw_colour_bar(figure, top + TITLE_MM + 2, height - TITLE_MM - 12, each, threshold)
    return figure, crop


def bounding_box(imgs):
    """Return the least and greatest place, in mm along each axis, where the maps are not 0."""
    places = [nibabel.affines.apply_affine(img.affine, np.argwhere(np.asarray(img.dataobj) != 0)) for img in imgs]
    places = np.concatenate([place for place in places if len(place)])
    return {axis: (places[:, k].min(), places[:, k].max()) for k, axis in enumerate("xyz")}


def axial_cuts(ends):
    """Return heights of slices, evenly spaced; the outermost slices of a brain hold little of it."""
    return [float(round(cut)) for cut in np.linspace(*ends, 2 * N_CUTS + 5)[3:-2:2]]


@dataclass
class Painter:
    """Turns one map into pictures: colours above the threshold, the template in grey behind.

    Attributes
    ----------
    img : Nifti1Image
    threshold, limit : float
        Absolute values below the first are not drawn, the second is the end of the colour scale.
    step : float
        Size of a pixel in mm; a voxel is drawn as it is, not interpolated.
    """

    img: nibabel.Nifti1Image
    threshold: float
    limit: float
    step: float

    def slice(self, space, height):
        """Return the values and the template of an axial slice, y upwards and x to the right."""
        x, y = (np.arange(low, high + self.step / 2, self.step) for low, high in (space["x"], space["y"]))
        places = np.stack(np.broadcast_arrays(x[None, :], y[:, None], np.float64(height)), axis=-1)
        return sample(self.img, places), sample(template(self.step), places)

    def colour(self, values, behind):
        """Return pixels: the map's colours where it is shown, else the template, white outside the head."""
        grey = np.where(behind > 0.02, 0.35 + 0.6 * behind, 1.0)[..., None] * np.ones(3)
        shown = (np.abs(values) >= max(self.threshold, SHOWN))[..., None]
        colours = colormaps[COLOURS](0.5 + 0.5 * values / (self.limit or 1))[..., :3]
        return np.where(shown, colours, grey)

    def show(self, figure, box, picture, space, outline=False):
        """Place a slice on the page, with the outline of the mask if wanted."""
        values, behind = picture
        axes = place(figure, *box)
        extent = (*space["x"], *space["y"])
        axes.imshow(self.colour(values, behind), origin="lower", extent=extent, interpolation="nearest", aspect="auto")
        axes.axis("off")
        if outline and (values != 0).any():
            axes.contour(values != 0, [0.5], extent=extent, colors="black", linewidths=0.5)
        return axes

    def show_glass(self, figure, top):
        """Place four maximum projections: left and right hemisphere, from the front, from above."""
        step = max(self.step, 2.0)
        x, y, z = (np.arange(low, high + step / 2, step) for low, high in SPACE.values())
        places = np.stack(np.meshgrid(x, y, z, indexing="ij"), axis=-1)
        values, inside = sample(self.img, places), sample(template(step), places) > 0.2
        left = x < 0
        views = [
            ("left hemisphere", np.where(left[:, None, None], values, 0), inside, 0, ("y", "z")),
            ("right hemisphere", np.where(left[:, None, None], 0, values), inside, 0, ("y", "z")),
            ("from behind", values, inside, 1, ("x", "z")),
            ("from above", values, inside, 2, ("x", "y")),
        ]
        at = LEFT
        for title, volume, brain, axis, (across, up) in views:
            width = GLASS_MM * np.ptp(SPACE[across]) / np.ptp(SPACE[up])
            axes = place(figure, at, top + 3, width, GLASS_MM - 3)
            at += width + 4
            highest = np.take_along_axis(volume, np.abs(volume).argmax(axis)[(slice(None),) * axis + (None,)], axis)
            projected, outline = highest.squeeze(axis).T, brain.any(axis).T
            extent = (*SPACE[across], *SPACE[up])
            picture = self.colour(projected, np.zeros_like(projected))
            axes.imshow(picture, origin="lower", extent=extent, interpolation="nearest", aspect="auto")
            axes.contour(outline, [0.5], extent=extent, colors="#505050", linewidths=0.6)
            axes.axis("off")
            axes.set_title(title, fontsize=7, pad=1)


def sample(img, places):
    """Return the values of the voxels that places in mm lie in, 0 outside the image."""
    data = np.asarray(img.dataobj)
    indices = np.rint(nibabel.affines.apply_affine(np.linalg.inv(img.affine), places)).astype(int)
    inside = np.all((indices >= 0) & (indices < data.shape), axis=-1)
    indices = np.where(inside[..., None], indices, 0)
    return np.where(inside, data[tuple(np.moveaxis(indices, -1, 0))], 0)


@cache
def template(step):
    """Return the MNI152 template with values from 0 to 1, at 1 mm for fine pictures and 2 mm for others."""
    img = load_mni152_template(resolution=1 if step < 2 else 2)
    values = np.asarray(img.dataobj, dtype=np.float32)
    return nibabel.Nifti1Image(np.clip(values / np.percentile(values[values > 0], 99), 0, 1), img.affine)


def draw_colour_bar(figure, top, height, shown, threshold):
    """Draw the colours that occur in a map, none between minus and plus its threshold."""
    height = min(height, 40)
    values = shown.values[np.abs(shown.values) >= max(threshold, SHOWN)]
    if not values.size:
        return
    limit = shown.largest()
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    steps = np.linspace(low, high, 200)
    painter = Painter(shown.img, threshold, limit, 2)
    axes = place(figure, LEFT + WIDTH + 2, top, 3, height)
    pixels = painter.colour(steps[:, None], np.zeros((200, 1)))
    axes.imshow(pixels, origin="lower", extent=(0, 1, low, high), aspect="auto", interpolation="nearest")
    ends = [low, *([-threshold, threshold] if threshold else [0.0]), high]
    ticks = sorted({tick for tick in ends if low <= tick <= high})
    # Ticks closer than a line of type would lie on each other; the ends say more.
    kept = [ticks[0]]
    for tick in ticks[1:]:
        if (tick - kept[-1]) / (high - low) * height > 3.5:
            kept.append(tick)
    axes.set_yticks(kept, [signed_short(tick) for tick in kept])
    axes.yaxis.tick_right()
    axes.set_xticks([])
    axes.set_xlabel(shown.unit, loc="left", fontsize=7, labelpad=3)
    axes.xaxis.set_label_coords(0, -0.06)
    for spine in axes.spines.values():
        spine.set(visible=True, linewidth=0.5)


def signed_short(value):
    """Write a number to two significant digits with a true minus sign."""
    return f"{value:.2g}".replace("-", "\N{MINUS SIGN}")
