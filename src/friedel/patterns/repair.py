"""Pixels that lie: dead and hot ones of the detector, and spikes that hit a single frame."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from friedel.core.arrays import AnyArray, BoolArray, Float32Array, FloatArray, IntArray

#: A pixel is defective if it lies this many robust sigmas off the median of its 5 x 5 surroundings in the mean pattern.
_DEFECT_SIGMAS = 8.0
#: No real spot, blurred by the point spread, raises one pixel this many times above its second brightest neighbour.
_SPIKE_RATIO = 5.0
#: Electrons below which a lone pixel may well be counting noise and is kept.
_SPIKE_ELECTRONS = 8.0

#: Share of a row or column that must be hot for the whole of it to be a fault of the camera and no streak of light.
_HOT_LINE_SHARE = 0.9

#: From this share of the pixels on, filtering all is faster than looking them up.
_MANY_PIXELS = 0.05
#: Patterns in which a pixel that is not saturated scatters.
_FEWEST_TO_SCATTER = 16

_EIGHT = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], dtype=bool)


def find_bad_pixels(mean_pattern: FloatArray) -> BoolArray:
    """Find dead and hot pixels in the mean pattern of many positions, shape (ky, kx); True is bad.

    A pixel that differs from the median of its surroundings by more than any point spread allows: brighter than
    five times its second brightest neighbour, or at zero amid neighbours that all count; and rows and columns of which
    this is true as a whole, one or two of them side by side. Of few electrons neither can be told.
    """
    finite = np.isfinite(mean_pattern)
    image = np.where(finite, mean_pattern, 0.0)
    neighbours = ndimage.median_filter(image, size=5, mode="mirror")
    second = ndimage.rank_filter(image, rank=-2, footprint=_EIGHT, mode="mirror")
    # A spot that the edge cuts may have all its light in two pixels of the rim: there one bright neighbour is enough.
    first = ndimage.maximum_filter(image, footprint=_EIGHT, mode="mirror")
    second[[0, -1]], second[:, [0, -1]] = first[[0, -1]], first[:, [0, -1]]
    low = ndimage.minimum_filter(image, footprint=_EIGHT, mode="mirror")
    residual = image - neighbours
    electron = estimate_gain(mean_pattern[None])  # what one electron adds to a mean pattern
    noise = np.maximum(
        1.4826 * float(np.median(np.abs(residual))), np.sqrt(electron * np.maximum(neighbours, electron))
    )
    hot = (residual > _DEFECT_SIGMAS * noise) & (image > _SPIKE_RATIO * np.maximum(second, 0.0) + noise)
    dead = (image <= 0.0) & (low > 0.0) & (neighbours > _DEFECT_SIGMAS * noise)
    return np.asarray(~finite | hot | dead | _find_bad_lines(image, electron))


def _find_bad_lines(image: FloatArray, electron: float) -> BoolArray:
    """Find rows and columns that are hot or dead as a whole, against the lines beside them."""
    bad = np.zeros(image.shape, dtype=bool)
    for across in (0, 1):
        size = (5, 1) if across == 0 else (1, 5)
        beside = np.maximum(ndimage.median_filter(image, size=size, mode="mirror"), 0.0)
        noise = _DEFECT_SIGMAS * np.sqrt(electron * np.maximum(beside, electron))
        hot = image > _SPIKE_RATIO * beside + noise
        bad |= hot & (hot.mean(axis=1 - across, keepdims=True) > _HOT_LINE_SHARE)
        bad |= (image <= 0.0).all(axis=1 - across, keepdims=True) & (beside > noise).any(axis=1 - across, keepdims=True)
    return bad


def find_saturated(patterns: AnyArray) -> BoolArray:
    """Find pixels that show the largest of all values in more than half of the patterns (n, ...), as booleans (...).

    Counts scatter, so that a pixel is at one value throughout only where the camera can tell no more. Fewer than 16
    patterns do not show that.
    """
    largest = np.nanmax(patterns, initial=0.0)
    if len(patterns) < _FEWEST_TO_SCATTER or largest <= 0:
        return np.zeros(patterns.shape[1:], dtype=bool)
    return np.asarray((patterns == largest).mean(axis=0) > 0.5)


def saturated_share(image: AnyArray) -> float:
    """Share of the pixels of an image that are cut off: they pile up at its largest value.

    The tail of counts thins out towards its end. If the largest value is shown more often than the one below, by four
    standard deviations of the difference, the camera or an export could tell no more. 0 where it is not.
    """
    largest = np.nanmax(image)
    below = image[image < largest]
    if not below.size:
        return 0.0
    n_top, n_below = np.count_nonzero(image == largest), np.count_nonzero(below == below.max())
    return n_top / image.size if n_top - n_below > 4.0 * np.sqrt(n_top + n_below) else 0.0


def remove_spikes(patterns: AnyArray, *, gain: float, valid: BoolArray | None = None) -> Float32Array:
    """Replace spikes (cosmic rays, salt) and invalid pixels of patterns (n, ky, kx) by the median of their neighbours.

    Parameters
    ----------
    gain
        Detector units per electron; a pixel of fewer than eight electrons is never called a spike.
    valid
        (ky, kx), False where the detector tells nothing.
    """
    out = patterns.astype(np.float32)
    bad = ~np.isfinite(out) if patterns.dtype.kind == "f" else np.zeros(out.shape, dtype=bool)
    out[bad] = 0.0
    bright = np.nonzero(out > _SPIKE_ELECTRONS * gain)
    second = _second_brightest_neighbour(out, bright)
    bad[bright] |= out[bright] > _SPIKE_RATIO * np.maximum(second, 0.0) + _SPIKE_ELECTRONS * gain
    if valid is not None:
        bad |= ~valid
    if bad.any():
        masked = np.where(bad, np.nan, out)
        index = np.argwhere(bad)
        padded = np.pad(masked, ((0, 0), (2, 2), (2, 2)), mode="reflect")
        rows = index[:, 1, None, None] + np.arange(5)[None, :, None]
        columns = index[:, 2, None, None] + np.arange(5)[None, None, :]
        around = padded[index[:, 0, None, None], rows, columns].reshape(len(index), -1)
        has_any = np.isfinite(around).any(axis=1)
        fill = np.zeros(len(index), dtype=np.float32)
        fill[has_any] = np.nanmedian(around[has_any], axis=1)
        out[bad] = fill
    return out


def _second_brightest_neighbour(patterns: Float32Array, pixels: tuple[IntArray, ...]) -> Float32Array:
    """Second brightest of the eight neighbours of some pixels (frame, row, column), mirrored at the border."""
    if len(pixels[0]) > _MANY_PIXELS * patterns.size or min(patterns.shape[1:]) < 2:
        return np.asarray(ndimage.rank_filter(patterns, rank=-2, footprint=_EIGHT[None], mode="mirror")[pixels])
    frame, row, column = pixels
    last_row, last_column = patterns.shape[1] - 1, patterns.shape[2] - 1
    down, right = (np.argwhere(_EIGHT) - 1).T
    rows, columns = np.abs(row[:, None] + down), np.abs(column[:, None] + right)
    rows, columns = last_row - np.abs(last_row - rows), last_column - np.abs(last_column - columns)
    return np.asarray(np.partition(patterns[frame[:, None], rows, columns], -2, axis=1)[:, -2])


def estimate_gain(patterns: AnyArray) -> float:
    """Detector units per electron, from the noise of patterns (n, ky, kx) against their mean (photon transfer).

    For Poisson counts the variance equals the mean in electrons, so that in detector units variance / mean = gain
    (Janesick, Photon Transfer, 2007, ch. 5). The noise is measured with the second-difference mask of Immerkaer
    (CVIU 64, 300, 1996), whose response to white noise has 36 times its variance, in the dimmer 80 % of the pixels
    that have light near them. NaN is left out; patterns without light give 1.
    A correlated (blurred) signal gives a value that is too low; the spot detectors correct for that themselves.
    """
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float64)
    stack = patterns.astype(np.float64)
    finite = np.isfinite(stack)
    stack = np.where(finite, stack, 0.0)
    response = ndimage.convolve(stack, mask[None], mode="nearest")
    local = ndimage.uniform_filter(stack, size=(0, 7, 7), mode="nearest")
    lit = local > 1e-9 * local.max()
    if not finite.all():
        lit &= ndimage.minimum_filter(finite, size=(0, 7, 7), mode="nearest")
    if not lit.any():
        return 1.0
    background = lit & (local <= np.quantile(local[lit], 0.8))
    level = max(float(np.mean(stack[background])), 1e-30)
    squared = response[background] ** 2
    squared = np.minimum(squared, np.quantile(squared, 0.999))
    return max(float(np.mean(squared)) / (36.0 * level), 1e-6)
