"""From a map of spot probabilities to positions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from friedel.core.arrays import AnyArray, FloatArray, IntArray

#: A maximum is at most this far from the middle of its pixel.
_MAX_OFFSET_PX = 0.75


@dataclass(frozen=True, slots=True)
class Trust:
    """When a maximum of a map counts as a spot.

    Parameters
    ----------
    threshold
        Least probability.
    doubt
        Largest probability that all maxima of a pattern are false, were they independent; beyond, none of them counts.
        A single maximum must be nearly sure, and many need not be.
    """

    threshold: float
    doubt: float = 1.0


def find_peaks(probability: AnyArray, trust: Trust) -> tuple[IntArray, FloatArray, FloatArray]:
    """Find the maxima of maps (n, ky, kx) that count as spots.

    Returns
    -------
    pattern (M,), position (M, 2) in px, and height (M,), patterns in order and the most probable spot first.

    Notes
    -----
    A network that is sure draws a Gaussian, whose logarithm is a parabola.
    """
    top = ndimage.maximum_filter(probability, size=(1, 3, 3), mode="nearest")
    index = np.argwhere((probability >= trust.threshold) & (probability == top))
    height = probability[tuple(index.T)].astype(np.float64)
    nothing = np.bincount(index[:, 0], weights=np.log1p(-np.minimum(height, 1.0 - 1e-6)), minlength=len(probability))
    believed = nothing[index[:, 0]] <= np.log(trust.doubt)
    index, height = index[believed], height[believed]
    order = np.lexsort((-height, index[:, 0]))
    index, height = index[order], height[order]
    return index[:, 0], index[:, 1:] + parabola_offsets(probability, index, 1e-6), height


def parabola_offsets(image: AnyArray, index: IntArray, least: float) -> FloatArray:
    """Sub-pixel offsets (M, 2) of maxima of pictures (n, ky, kx): the parabola through the logarithm about each."""
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1)), mode="edge")
    n, y, x = index.T
    offset = np.zeros((len(index), 2))
    for axis, (dy, dx) in enumerate(((1, 0), (0, 1))):
        values = (padded[n, y + 1 + i * dy, x + 1 + i * dx].astype(np.float64) for i in (-1, 0, 1))
        low, mid, high = (np.log(np.maximum(v, least)) for v in values)
        bend = np.minimum(low - 2.0 * mid + high, -1e-6)
        offset[:, axis] = np.clip(0.5 * (low - high) / bend, -_MAX_OFFSET_PX, _MAX_OFFSET_PX)
    return offset
