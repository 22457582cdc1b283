"""Maxima of filtered patterns: which of them are spots, where they lie, and how surely."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from friedel.core.arrays import AnyArray, BoolArray, Float32Array, FloatArray

#: Ratio of the principal curvatures up to which a maximum is a spot.
_MAX_ELONGATION = 6.0
#: How much wider the second look at rough maxima is.
_WIDER = 3.0


def noise_threshold(n_pixels: int, sigma_px: float, max_false_alarms: float) -> float:
    """Significance at which the expected number of maxima of pure noise falls to ``max_false_alarms``.

    Expected maxima above z of a smooth Gaussian field of area A and correlation length sigma sqrt(2):
    A z exp(-z^2/2) / (2 pi)^{3/2} / (2 sigma^2) (Adler, The Geometry of Random Fields, 1981, ch. 6).
    """
    z = np.linspace(2.0, 12.0, 2001)
    expected = n_pixels * z * np.exp(-0.5 * z**2) / ((2 * np.pi) ** 1.5 * 2.0 * sigma_px**2)
    return float(z[int(np.argmax(expected <= max_false_alarms))])


def highest(signal: Float32Array, index: AnyArray, reach: int) -> AnyArray:
    """Keep those of the pixels (n, ky, kx) of (M, 3) within so many rows and columns of which none is higher."""
    # Few are left to be looked at in full where neighbours are compared first.
    for near in (1, reach):
        index = index[_around(signal, index, near).max(axis=(1, 2)) == signal[tuple(index.T)]]
    return index


def _around(pictures: AnyArray, index: AnyArray, reach: int) -> AnyArray:
    """Pixels within so many rows and columns of each pixel (n, ky, kx) of (M, 3); the rim goes on beyond the border."""
    steps = np.arange(-reach, reach + 1)
    rows = (index[:, 1, None] + steps).clip(0, pictures.shape[1] - 1)
    columns = (index[:, 2, None] + steps).clip(0, pictures.shape[2] - 1)
    return np.asarray(pictures[index[:, 0, None, None], rows[:, :, None], columns[:, None]])


def _are_near(index: AnyArray, others: AnyArray, shape: tuple[int, ...], reach: int) -> BoolArray:
    """Whether any of other pixels (K, 3) lies within so many rows and columns of each pixel (M, 3) of pictures (M,)."""
    there = np.zeros(shape, dtype=bool)
    there[tuple(others.T)] = True
    return np.asarray(_around(there, index, reach).any(axis=(1, 2)))


def round_maxima(index: AnyArray, signal: Float32Array, sigma_px: float) -> AnyArray:
    """Return one index (n, ky, kx) for each maximum (M, 3) that has the shape of a spot.

    A spot wider than the Gaussian, saturated perhaps, has a rough or flat top: maxima that fail the test of shape are
    looked at again through a wider Gaussian, and its round maximum near by counts, once.
    """
    is_round = _is_round(signal, index)
    again = index[~is_round]
    if not len(again):
        return index
    frames, place = np.unique(again[:, 0], return_inverse=True)
    wide = ndimage.gaussian_filter(signal[frames], (0, _WIDER * sigma_px, _WIDER * sigma_px), mode="nearest")
    reach = int(np.ceil(_WIDER * sigma_px))
    highest_near = ndimage.maximum_filter(wide, size=(1, 2 * reach + 1, 2 * reach + 1), mode="nearest")
    tops = np.argwhere((wide == highest_near) & (wide > 0.0))  # where all is dark, every pixel is as high as any
    tops = tops[_are_near(tops, np.column_stack([place, again[:, 1:]]), wide.shape, reach)]
    tops = tops[_is_round(wide, tops)]
    tops[:, 0] = frames[tops[:, 0]]
    return np.concatenate([index[is_round], tops[~_are_near(tops, index[is_round], signal.shape, reach)]])


def _is_round(signal: Float32Array, index: AnyArray) -> BoolArray:
    """Tell spots from edges and rings: whether the larger curvature is at most six times the smaller one, (M,).

    The ratio of trace squared to determinant of the Hessian, as in Lowe, IJCV 60, 91 (2004), sec. 4.1.
    """
    padded = np.pad(signal, ((0, 0), (1, 1), (1, 1)), mode="edge")
    n, y, x = index.T
    grid = {(dy, dx): padded[n, y + 1 + dy, x + 1 + dx].astype(np.float64) for dy in (-1, 0, 1) for dx in (-1, 0, 1)}
    yy = grid[1, 0] - 2.0 * grid[0, 0] + grid[-1, 0]
    xx = grid[0, 1] - 2.0 * grid[0, 0] + grid[0, -1]
    yx = 0.25 * (grid[1, 1] - grid[1, -1] - grid[-1, 1] + grid[-1, -1])
    determinant = yy * xx - yx**2
    limit = (_MAX_ELONGATION + 1.0) ** 2 / _MAX_ELONGATION
    return np.asarray((determinant > 0) & ((yy + xx) ** 2 <= limit * determinant))


def log_parabola(above: Float32Array, index: AnyArray) -> FloatArray:
    """Sub-pixel offset (M, 2) of each maximum from the parabola through the logarithm of its neighbours."""
    if not len(index):
        return np.zeros((0, 2))
    padded = np.pad(above, ((0, 0), (1, 1), (1, 1)), mode="edge").astype(np.float64)
    n, y, x = index.T
    mid = np.log(np.maximum(padded[n, y + 1, x + 1], 1e-9))
    out = []
    for dy, dx in ((1, 0), (0, 1)):
        low = np.log(np.maximum(padded[n, y + 1 - dy, x + 1 - dx], 1e-9))
        high = np.log(np.maximum(padded[n, y + 1 + dy, x + 1 + dx], 1e-9))
        bend = low - 2.0 * mid + high
        out.append(np.where(bend < -1e-6, np.clip(0.5 * (low - high) / np.minimum(bend, -1e-6), -0.75, 0.75), 0.0))
    return np.stack(out, axis=1)


def position_sigma(electrons: FloatArray, background: FloatArray, sigma_px: float) -> FloatArray:
    """One-sigma error of a position along one axis in pixels: Thompson, Larson and Webb 2002, eq. 17, pixel 1."""
    n = np.maximum(electrons, 1e-9)
    variance = (sigma_px**2 + 1.0 / 12.0) / n + 8.0 * np.pi * sigma_px**4 * background / n**2
    return np.asarray(np.sqrt(variance))
