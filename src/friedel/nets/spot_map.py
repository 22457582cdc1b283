"""From a map of spot probabilities to positions."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from friedel.core.arrays import AnyArray, FloatArray, IntArray


def find_peaks(probability: AnyArray, threshold: float) -> tuple[IntArray, FloatArray, FloatArray]:
    """Find the maxima of maps (n, ky, kx) at or above a threshold.

    Returns
    -------
    pattern (M,), position (M, 2) in px, and height (M,), patterns in order and the most probable spot first.

    Notes
    -----
    A network that is sure draws a Gaussian; the position is the maximum of the parabola through the logarithm of the
    map at the maximum and its neighbours.
    """
    top = ndimage.maximum_filter(probability, size=(1, 3, 3), mode="nearest")
    index = np.argwhere((probability >= threshold) & (probability == top))
    height = probability[tuple(index.T)].astype(np.float64)
    order = np.lexsort((-height, index[:, 0]))
    index, height = index[order], height[order]
    padded = np.log(np.maximum(np.pad(probability, ((0, 0), (1, 1), (1, 1)), mode="edge"), 1e-6)).astype(np.float64)
    n, y, x = index.T
    offset = np.zeros((len(index), 2))
    for axis, (dy, dx) in enumerate(((1, 0), (0, 1))):
        low, mid, high = (padded[n, y + 1 + i * dy, x + 1 + i * dx] for i in (-1, 0, 1))
        bend = np.minimum(low - 2.0 * mid + high, -1e-6)
        offset[:, axis] = np.clip(0.5 * (low - high) / bend, -0.5, 0.5)
    return n, index[:, 1:] + offset, height
