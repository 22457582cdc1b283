"""From a map of spot probabilities to positions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from friedel.core.arrays import AnyArray, BoolArray, FloatArray, IntArray

#: A maximum is at most this far from the middle of its pixel.
_MAX_OFFSET_PX = 0.75


@dataclass(frozen=True, slots=True, eq=False)
class Trust:
    """When a maximum of a map counts as a spot, for all patterns or for each of n.

    Parameters
    ----------
    threshold
        Least probability of a spot, a number or (n,).
    sure
        Least ``evidence`` of a pattern for any of its spots to count, a number or (n,).
    """

    threshold: float | FloatArray
    sure: float | FloatArray = 0.0


def evidence_of(pattern: IntArray, height: FloatArray, n: int) -> FloatArray:
    """Evidence (n,) for a crystal in each of n patterns, from the heights of its maxima: (sum h^3)^(1/3).

    A lone maximum is worth its height. Many that are less sure make up for it slowly, since they tend to be false
    together; the power did best on validation crystals, from 1 (their sum) to infinity (the highest alone).
    """
    return np.asarray(np.cbrt(np.bincount(pattern, weights=height**3, minlength=n)), dtype=np.float64)


def find_peaks(
    probability: AnyArray, trust: Trust, allowed: BoolArray | None = None
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Find the maxima of maps (n, ky, kx) that count as spots.

    Parameters
    ----------
    allowed
        Pixels (ky, kx) or (n, ky, kx) in which there may be spots; maxima elsewhere are no evidence either.

    Returns
    -------
    pattern (M,), position (M, 2) in px, and height (M,), patterns in order and the most probable spot first.

    Notes
    -----
    A network that is sure draws a Gaussian, whose logarithm is a parabola.
    """
    top = ndimage.maximum_filter(probability, size=(1, 3, 3), mode="nearest")
    threshold, sure = (np.broadcast_to(value, len(probability)) for value in (trust.threshold, trust.sure))
    is_peak = (probability >= threshold[:, None, None]) & (probability == top)
    index = np.argwhere(is_peak if allowed is None else is_peak & allowed)
    height = probability[tuple(index.T)].astype(np.float64)
    believed = (evidence_of(index[:, 0], height, len(probability)) >= sure)[index[:, 0]]
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
