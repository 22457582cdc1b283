"""Parts of a picture that show no sample.

The shadow of a beam stop, a scale bar burned in by another program, and holes in which pixels have no value.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from friedel.core.arrays import AnyArray, BoolArray
from friedel.patterns.repair import estimate_gain

#: A shadow covers this share of the pattern and reaches its edge; where more is dark, it is spots that have a rim.
_SHADOW_SHARE = (0.01, 0.5)
#: A shadow has at most this share of the median light, and this share of the brightest light near its rim.
_SHADOW_LIGHT, _SHADOW_DEPTH = 0.3, 0.35
#: The light at the rim stands this many standard deviations of its counting noise, in nine pixels, above the shadow.
_RIM_SIGMAS = 6.0
#: A burned-in bar is at least this long, as a share of the picture's width, and this much longer than high.
_BAR_LENGTH, _BAR_ASPECT = 0.02, 4.0
#: Side of the smallest square of missing pixels that its surroundings cannot stand in for.
HOLE_PX = 5


def find_shadow(mean_pattern: AnyArray) -> BoolArray:
    """Find the shadow of a beam stop in a mean pattern (ky, kx): True where no electrons arrive.

    A shadow is a connected dark region that runs from the edge of the detector into it, and along most of its border
    the light rises by a factor of three or more within a few pixels, by more than counting noise. At the dark corners
    of a pattern, where the light fades slowly or electrons are few, it does not.
    """
    image = ndimage.median_filter(np.nan_to_num(mean_pattern.astype(np.float64)), size=3, mode="nearest")
    image = ndimage.uniform_filter(image, size=max(3, min(image.shape) // 100), mode="nearest")
    light = image - float(np.quantile(image, 0.002))
    size = max(3, min(image.shape) // 40)
    bright = ndimage.maximum_filter(light, size=2 * size + 1, mode="nearest")
    electron = estimate_gain(mean_pattern[None])  # what one electron adds to a mean pattern
    is_rim = (light < _SHADOW_DEPTH * bright) & (
        bright - light > _RIM_SIGMAS * np.sqrt(electron * np.maximum(bright, 0.0) / 9.0)
    )
    dark = light <= max(_SHADOW_LIGHT * float(np.median(light)), 1e-9 * float(light.max()))
    opened = ndimage.binary_opening(np.pad(dark, 4, mode="edge"), iterations=2)[4:-4, 4:-4]
    labels, _ = ndimage.label(opened)
    out = np.zeros(image.shape, dtype=bool)
    # Frames of screenshots and detectors have a rim of their own, one percent wide at most.
    rim = 1 + max(image.shape) // 100
    edges = (labels[:rim], labels[-rim:], labels[:, :rim], labels[:, -rim:])
    touches = {int(i) for edge in edges for i in np.unique(edge)} - {0}
    for i in sorted(touches):
        region = labels == i
        if not _SHADOW_SHARE[0] <= region.mean() <= _SHADOW_SHARE[1]:
            continue
        border = region & ~ndimage.binary_erosion(region, iterations=2, border_value=1)
        if 2 * int(is_rim[border].sum()) > int(border.sum()):
            out |= region
    return np.asarray(ndimage.binary_dilation(out, iterations=size) if out.any() else out)


def find_burned_in_bar(image: AnyArray) -> BoolArray:
    """Find a scale bar burned into a picture (y, x), with its label: True where the picture is not the sample.

    A bar is a filled rectangle of the brightest (or darkest) value there is, at least four times longer than high. Its
    label stands above or below it, about as wide as the bar.
    """
    out = np.zeros(image.shape, dtype=bool)
    for value in (image.max(), image.min()):
        labels, n = ndimage.label(image == value)
        if n > 20000:
            continue
        for i, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
            height, width = rows.stop - rows.start, columns.stop - columns.start
            if width < _BAR_LENGTH * image.shape[1] or width < _BAR_ASPECT * height or height < 2:
                continue
            if width > 0.6 * image.shape[1] or (labels[rows, columns] == i).mean() < 0.97:
                continue
            reach = max(3 * height, width // 2)
            out[
                max(rows.start - reach, 0) : rows.stop + reach,
                max(columns.start - height, 0) : columns.stop + width // 4,
            ] = True
    return out


def find_holes(missing: BoolArray) -> BoolArray:
    """Find where so many pixels of a picture (y, x) are missing together that others cannot stand in for them."""
    return np.asarray(ndimage.binary_opening(missing, np.ones((HOLE_PX, HOLE_PX))))
