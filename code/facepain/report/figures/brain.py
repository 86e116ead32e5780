"""Maps on the brain: axial slices and maximum projections, or, for a small mask, a crop with every voxel."""

from dataclasses import dataclass, replace
from functools import cache, cached_property

import nibabel
import numpy as np
from matplotlib import colormaps
from nibabel.affines import apply_affine

from facepain.data.anatomy import BRAIN_FILE, locate_packaged
from facepain.models.algorithms import ALGORITHMS
from facepain.report.figures.page import (
    Drawing,
    NothingToDraw,
    new_page,
    page_axes,
    place,
    say_removed,
    score_name,
    signed,
)
from facepain.results.load import correlate_maps

COLOURS = "RdBu_r"  # diverging, white at zero, safe for the colour-blind
SHOWN = 1e-12  # views of nilearn hide what is below: maps come with their hidden voxels set to 0
ALIKE = 0.95  # correlation from which two algorithms' maps are drawn as one
N_CUTS = 7
# Of a crop: all slices with voxels up to so many, else so few; and the columns that they are laid out in.
MOST_CUTS, CROP_CUTS, CROP_COLUMNS = 20, 10, 5
SMALL = 0.3  # of the brain's width: a mask that spans less in one direction is drawn as a crop
AROUND_MM = 10  # of a crop
LEFT, WIDTH, TITLE_MM, GLASS_MM = 3, 145, 6, 25
# What is looked at, in mm of MNI space.
SPACE = {"x": (-76, 76), "y": (-110, 78), "z": (-54, 82)}
PIXELS = {"origin": "lower", "interpolation": "nearest", "aspect": "auto"}
TEMPLATE = "Background: MNI152 template, as packaged with nilearn."


@dataclass(frozen=True)
class Map:
    """A map to draw."""

    title: str
    img: nibabel.Nifti1Image  # 0 outside the mask
    threshold: float  # voxels whose absolute value is below are not drawn
    unit: str = ""  # of its colour bar

    @cached_property
    def values(self):
        return np.asarray(self.img.dataobj, dtype=np.float32)

    @cached_property
    def largest(self):
        """The largest absolute value, where the colour scale ends."""
        return float(np.abs(self.values).max())

    @cached_property
    def shown(self):
        """The values, hidden ones set to 0."""
        return np.where(np.abs(self.values) >= self.threshold, self.values, 0)

    def n_shown(self):
        return np.count_nonzero(self.shown)

    def colour(self, values, behind):
        """Return pixels: the map's colours where values are shown, else the template, white outside the head."""
        grey = np.where(behind > 0.02, 0.35 + 0.6 * behind, 1.0)[..., None] * np.ones(3)
        shown = (np.abs(values) >= max(self.threshold, SHOWN))[..., None]
        colours = colormaps[COLOURS](0.5 + 0.5 * values / (self.largest or 1))[..., :3]
        return np.where(shown, colours, grey)


def percentile_threshold(values, n_voxels, percentile):
    """Return a percentile (0 to 100) of an image's absolute values in a mask of ``n_voxels``; outside it is 0."""
    values = np.abs(np.asarray(values, dtype=np.float64))
    nonzero = values[values > 0]
    return float(np.percentile(np.pad(nonzero, (0, n_voxels - nonzero.size)), percentile))


def draw_weights(cells, settings, synthetic):
    """Draw the average weight maps of one mask; those of algorithms that are nearly equal as one."""
    merged = merge_alike(cells, "weights_average")
    maps = [weight_map(cell, "weights_average", settings["percentile"], title) for title, cell in merged]
    figure, drawn = page_of_maps(maps, settings, synthetic, f"all weights of {cells[0].mask} are 0")
    caption = (
        f"Weights averaged over the folds of the cross-validation; drawn: {drawn}. Red: a "
        f"stronger contrast predicts a higher score, blue a lower one. Maps of algorithms that correlate at {ALIKE:g} "
        "or above are drawn once. A weight is not an effect: it depends on all other voxels. "
        f"{TEMPLATE}{say_removed(cells)}"
    )
    alt = f"Weight maps on slices of the brain, {cells[0].mask} mask. {'; '.join(map(describe_peak, maps))}."
    return Drawing(figure, f"Weight maps, {cells[0].mask}", caption, alt)


def draw_z_maps(cells, settings, synthetic):
    """Draw the bootstrap z maps of one mask, thresholded by the false discovery rate, if any voxel survives."""
    maps = []
    for cell in cells:
        threshold = cell.bootstrap["thresholds"].get("fdr", {}).get("z")
        img = cell.map_img("bootstrap_z")
        maps.append(Map(ALGORITHMS[cell.algorithm].label, img, np.inf if threshold is None else threshold, "z"))
    mask, fdr = cells[0].mask, f"a false discovery rate of {cells[0].bootstrap['fdr']:g}"
    if not any(cell.bootstrap["thresholds"] for cell in cells):
        raise NothingToDraw(f"{mask}: {cells[0].bootstrap['reason_no_thresholds']}")
    maps = [each for each in maps if each.n_shown()]
    empty = f"no voxel of {mask} survives {fdr} in any algorithm"
    figure, _ = page_of_maps(maps, settings, synthetic, empty, crop=False)
    caption = (
        f"Bootstrap z of the weights (mean over SD of draws of {cells[0].bootstrap['unit']}s), where they survive "
        f"{fdr}. Algorithms without such a voxel are not drawn. {TEMPLATE}"
    )
    alt = f"Slices of the brain with the voxels that survive {fdr}. {'; '.join(map(describe_peak, maps))}."
    return Drawing(figure, f"Bootstrap z, {mask}", caption, alt)


def draw_pattern(cell, settings, synthetic):
    """Draw the final model's weights above its pattern."""
    weights = weight_map(cell, "weights_final", settings["percentile"], "Weights")
    pattern = weight_map(cell, "pattern_final", settings["percentile"], "Pattern (Haufe et al. 2014)")
    maps = [weights, replace(pattern, unit="covariance with the\npredicted score")]
    empty = f"all weights of {cell.mask} {cell.algorithm} are 0"
    figure, drawn = page_of_maps(maps, settings, synthetic, empty)
    caption = (
        "Above: weights of the final model, which say how the prediction is computed. Below: its pattern, the "
        "covariance of each voxel with the prediction, which says where the brain varies with it. The two may differ "
        f"widely. Drawn: {drawn}. {TEMPLATE}"
    )
    name = f"{cell.mask}, {ALGORITHMS[cell.algorithm].label}"
    alt = f"Weights and pattern on slices of the brain, {name}. {'; '.join(map(describe_peak, maps))}."
    return Drawing(figure, f"Weights and pattern, {name}", caption, alt)


def describe_peak(shown):
    """Say where the largest absolute value of a map lies, for an alternative text."""
    x, y, z = (signed(mm, ".0f") for mm in strongest(shown.img))
    return f"{shown.title}: largest at x = {x}, y = {y}, z = {z} mm"


def strongest(img):
    """Return the place (x, y, z in mm) of the largest absolute value."""
    values = np.abs(np.asarray(img.dataobj))
    voxel = np.unravel_index(np.argmax(values), values.shape)
    return [float(mm) for mm in (img.affine @ [*voxel, 1])[:3]]


def weight_map(cell, file, percentile, title):
    """Read one of a cell's maps, with the percentile of its absolute values as the threshold."""
    img = cell.map_img(file)
    threshold = percentile_threshold(img.dataobj, cell.n_voxels, percentile)
    per = "SD of the image" if "image" in cell.standardize else "unit of contrast"
    return Map(title, img, threshold, f"{score_name(cell.score, cell.transform)}\nper {per}")


def merge_alike(cells, file):
    """Group cells whose maps nearly agree; return the first of each group, with a title that names all and their r."""
    r, titles = correlate_maps(cells, file), {}
    for k, cell in enumerate(cells):
        name = ALGORITHMS[cell.algorithm].label
        first = next((first for first in titles if r[first, k] >= ALIKE), None)
        if first is None:
            titles[k] = name
        else:
            titles[first] += f", {name} (r = {signed(r[first, k], '.3f')})"
    return [(title, cells[first]) for first, title in titles.items()]


def page_of_maps(maps, settings, synthetic, empty, crop=True):
    """Lay out title, pictures and colour bar of every map, one below the other; return the page and what is drawn.

    ``brain_mm`` in the settings is the resolution of the pictures, ``percentile`` that of weights that are drawn. A map
    that spans little of the brain is drawn as a crop, with every voxel and half that resolution. Where no voxel of any
    map is to be drawn, `NothingToDraw` says so in the words of ``empty``.
    """
    if not any(each.n_shown() for each in maps):
        raise NothingToDraw(empty)
    applied = (apply_affine(each.img.affine, np.argwhere(each.values)) for each in maps)
    places = np.concatenate([*applied])  # in mm, where any of the maps is not 0
    ends = {axis: (places[:, k].min(), places[:, k].max()) for k, axis in enumerate("xyz")}
    crop = crop and any(high - low < SMALL * np.ptp(SPACE[axis]) for axis, (low, high) in ends.items())
    space = {axis: (low - AROUND_MM, high + AROUND_MM) for axis, (low, high) in ends.items()} if crop else SPACE
    maps = [replace(each, threshold=0) for each in maps] if crop else maps
    step = settings["brain_mm"] / 2 if crop else settings["brain_mm"]
    columns = CROP_COLUMNS if crop else N_CUTS
    # Evenly spaced; the outermost slices of a brain hold little of it.
    axial = np.linspace(*ends["z"], 2 * N_CUTS + 5)[3:-2:2].round()
    cuts, drawn = crop_cuts(places[:, 2]) if crop else (axial, "")
    found = np.any([each.values != 0 for each in maps], axis=0)  # of several maps on one mask
    found = nibabel.Nifti1Image(found.astype(np.uint8), maps[0].img.affine)
    n_rows = -(-len(cuts) // columns)
    tile = WIDTH / columns, WIDTH / columns * np.ptp(space["y"]) / np.ptp(space["x"])
    height = TITLE_MM + n_rows * (tile[1] + 4) + (0 if crop else GLASS_MM + 3)
    figure = new_page(len(maps) * height + 2, synthetic, layout=None)
    page = page_axes(figure)
    for number, each in enumerate(maps):
        top = number * height
        note = f"{each.n_shown()} voxels of at least {each.threshold:.2g} (absolute)" if not crop else drawn
        page.text(LEFT, top + 0.55 * TITLE_MM, each.title, va="center", fontweight="bold")
        page.text(LEFT + WIDTH, top + 0.55 * TITLE_MM, note, va="center", ha="right", fontsize=7)
        for k, cut in enumerate(cuts):
            row, column = divmod(k, columns)
            left, upper, width = LEFT + column * tile[0], top + TITLE_MM + row * (tile[1] + 4), tile[0] - 0.5
            values, behind = slice_map(each.img, space, cut, step)
            extent = (left, left + width, upper + tile[1], upper)
            page.imshow(each.colour(values, behind), extent=extent, **PIXELS)
            inside, _ = slice_map(found, space, cut, step)
            if crop and inside.any():
                page.contour(inside, [0.5], extent=extent, colors="black", linewidths=0.5)
            place_text = f"z = {signed(cut, '.3g')} mm"
            page.text(left + width / 2, upper + 1.02 * tile[1], place_text, ha="center", va="top", fontsize=7)
            for side, x in (("L", 0.04), ("R", 0.96)) if k == 0 else ():
                page.text(left + x * width, upper + 0.07 * tile[1], side, ha="center", va="center", fontsize=7)
        if not crop:
            show_glass(page, each, max(step, 2.0), top + TITLE_MM + tile[1] + 5)
        draw_colour_bar(figure, top + TITLE_MM + 2, height - TITLE_MM - 12, each)
    return figure, drawn or f"the voxels above the {settings['percentile']:g}th percentile"


def crop_cuts(heights):
    """Return heights of slices, from those of the voxels, and in words what of these they show."""
    planes = np.unique(np.round(heights, 2))
    if len(planes) <= MOST_CUTS:
        return planes, "every voxel"
    cuts = np.linspace(planes[0], planes[-1], CROP_CUTS + 2)[1:-1]
    return cuts, f"every voxel in {len(cuts)} slices between z = {planes[0]:.0f} and {planes[-1]:.0f} mm"


def slice_map(img, space, height, step):
    """Return the values and the template of an axial slice, y upwards and x to the right, a pixel each `step` mm."""
    x, y = (np.arange(low, high + step / 2, step) for low, high in (space["x"], space["y"]))
    places = x[None, :], y[:, None], np.full((1, 1), height)
    return sample(img, *places), sample(template(), *places)


def show_glass(page, shown, step, top):
    """Place four maximum projections: left and right hemisphere, from the front, from above."""
    x, y, z = (np.arange(low, high + step / 2, step) for low, high in SPACE.values())
    places = np.ix_(x, y, z)
    values, inside = sample(shown.img, *places), sample(template(), *places) > 0.2
    left = (x < 0)[:, None, None]
    views = [
        ("left hemisphere", np.where(left, values, 0), 0, ("y", "z")),
        ("right hemisphere", np.where(left, 0, values), 0, ("y", "z")),
        ("from behind", values, 1, ("x", "z")),
        ("from above", values, 2, ("x", "y")),
    ]
    at = LEFT
    for title, volume, axis, (across, up) in views:
        width = GLASS_MM * np.ptp(SPACE[across]) / np.ptp(SPACE[up])
        extent = (at, at + width, top + GLASS_MM, top + 3)
        highest = np.take_along_axis(volume, np.expand_dims(np.abs(volume).argmax(axis), axis), axis)
        projected, outline = highest.squeeze(axis).T, inside.any(axis).T
        page.imshow(shown.colour(projected, np.zeros_like(projected)), extent=extent, **PIXELS)
        page.contour(outline, [0.5], extent=extent, colors="#505050", linewidths=0.6)
        page.text(at + width / 2, top + 2.6, title, ha="center", fontsize=7)
        at += width + 4


def sample(img, x, y, z):
    """Return the values of the voxels that places in mm lie in, arrays that broadcast; 0 outside the image."""
    data, inside, indices = np.asarray(img.dataobj), True, []
    for (*factors, shift), size in zip(np.linalg.inv(img.affine)[:3], data.shape, strict=True):
        # Without the products with 0, along axes of the image, each index is known for a line and not for every place.
        terms = [factor * mm for factor, mm in zip(factors, (x, y, z), strict=True) if factor]
        index = np.rint(sum(terms) + shift).astype(int)
        inside = inside & (index >= 0) & (index < size)
        indices.append(np.clip(index, 0, size - 1))
    return np.where(inside, data[tuple(indices)], 0)


@cache
def template():
    """Return the MNI152 template with values from 0 to 1."""
    img = nibabel.load(locate_packaged("nilearn", BRAIN_FILE))  # nilearn takes seconds to import
    values = np.asarray(img.dataobj, dtype=np.float32)
    return nibabel.Nifti1Image(np.clip(values / np.percentile(values[values > 0], 99), 0, 1), img.affine)


def draw_colour_bar(figure, top, height, shown):
    """Draw the colours that occur in a map, none between minus and plus its threshold."""
    height, threshold = min(height, 40), shown.threshold
    values = shown.values[np.abs(shown.values) >= max(threshold, SHOWN)]
    if not values.size:
        return
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    steps = np.linspace(low, high, 200)
    axes = place(figure, LEFT + WIDTH + 2, top, 3, height)
    pixels = shown.colour(steps[:, None], np.zeros((200, 1)))
    axes.imshow(pixels, extent=(0, 1, low, high), **PIXELS)
    ends = [low, *([-threshold, threshold] if threshold else [0.0]), high]
    ticks = sorted({tick for tick in ends if low <= tick <= high})
    # Ticks closer than a line of type would lie on each other; the ends say more.
    kept = [ticks[0]]
    for tick in ticks[1:]:
        if (tick - kept[-1]) / (high - low) * height > 3.5:
            kept.append(tick)
    axes.set_yticks(kept, [signed(tick, ".2g") for tick in kept])
    axes.yaxis.tick_right()
    axes.set_xticks([])
    axes.set_xlabel(shown.unit, loc="left", fontsize=7, labelpad=3)
    axes.xaxis.set_label_coords(0, -0.06)
    for spine in axes.spines.values():
        spine.set(visible=True, linewidth=0.5)
