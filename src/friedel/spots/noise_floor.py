"""The smooth level of noise under the spots of a power spectrum."""

from __future__ import annotations

import itertools
import math

import numpy as np
from scipy import ndimage, signal

from friedel.core.arrays import AnyArray, Float32Array, FloatArray
from friedel.core.images import Pattern

#: Mean over median of an exponential distribution.
MEAN_OVER_MEDIAN = 1 / math.log(2)
#: Rings are one pixel wide and smoothed, in the logarithm, by a parabola through this many of them.
SMOOTHED_RINGS = 7
#: Share of the weakest pixels of a ring that are averaged (spots are among the others), and what that average is for
#: an exponential distribution of mean 1: (1 - (1 - q) (1 - ln(1 - q))) / q.
TRIM, TRIMMED_MEAN = 0.75, (1 - 0.25 * (1 + math.log(4))) / 0.75
#: Relative variance of a smoothed ring's level times its number of independent pixels: 1.35 for the trimmed mean,
#: 0.333 for the parabola. Variance of the local correction, for independent pixels.
RING_VARIANCE, BOX_VARIANCE = 1.35 * 0.333, 5e-4
#: Side of the boxes of the local correction.
BOX_PX = 48
#: Half width of the strips along the axes where scan lines and the image's borders leave streaks; half length of
#: their running median.
STRIP_PX, STRIP_REACH_PX = 4, 24
#: A streak is coherent across its width and its median is that of few pixels: its floor is raised by this factor.
STREAK_CAUTION = 3.0


def noise_floor(pattern: Pattern) -> Float32Array:
    """Estimate the mean power of the noise at every pixel (ky, kx) of a diffractogram.

    The level of rings follows the transfer function (Thon rings) and the detector's roll-off, a local median corrects
    what is not round (astigmatism, anisotropic pixels), a running median along the axes lifts the level of streaks
    and leaves compact spots. Medians and trimmed means, because spots are rare; scaled to means, because noise power
    is exponential.
    """
    radial = _radial_level(pattern)
    ratio = pattern.data / radial
    floor = radial * _local_level(ratio)
    _lift_streaks(pattern, floor)
    return np.asarray(np.maximum(floor, np.float32(1e-30)))


def floor_variance(pattern: Pattern, correlation: FloatArray) -> Float32Array:
    """Relative variance of ``noise_floor`` at every pixel, for amplitudes with this correlation at 0, 1, 2 ... px."""
    clump = float(2 * (correlation**2).sum() - 1) ** 2
    radius_px = pattern.grid.radius_inv_a(pattern.shape).astype(np.float32) / max(pattern.grid.step_inv_a)
    independent = np.float32(math.pi) * np.maximum(radius_px, 1.0)
    return np.asarray(clump * (np.float32(RING_VARIANCE) / independent + np.float32(BOX_VARIANCE)))


def _radial_level(pattern: Pattern) -> Float32Array:
    """Level of rings, smoothed and interpolated in the logarithm, as a mean of exponential power."""
    step = max(pattern.grid.step_inv_a)
    radius = (pattern.grid.radius_inv_a(pattern.shape) / step).astype(np.float32).ravel()
    ring = (radius + np.float32(0.5)).astype(np.int32)
    values = pattern.data.ravel()[np.argsort(ring, kind="stable")]
    bounds = np.concatenate([[0], np.cumsum(np.bincount(ring))])
    level = np.zeros(len(bounds) - 1)
    for i, (start, stop) in enumerate(itertools.pairwise(bounds)):
        keep = math.ceil(TRIM * (stop - start))
        level[i] = np.partition(values[start:stop], keep - 1)[:keep].mean(dtype=np.float64) / TRIMMED_MEAN
    smooth = signal.savgol_filter(np.log(np.maximum(level, 1e-30)), SMOOTHED_RINGS, 2)
    level_at = np.interp(radius, np.arange(len(level)), smooth)
    return np.asarray(np.exp(level_at), dtype=np.float32).reshape(pattern.shape)


def _local_level(ratio: AnyArray) -> Float32Array:
    """Median over boxes, interpolated between their middles, as a mean of exponential power."""
    boxes = [max(1, round(n / BOX_PX)) for n in ratio.shape]
    bounds = [np.linspace(0, n, b + 1).astype(int) for n, b in zip(ratio.shape, boxes, strict=True)]
    coarse = np.empty(boxes)
    for i in range(boxes[0]):
        for j in range(boxes[1]):
            box = ratio[bounds[0][i] : bounds[0][i + 1], bounds[1][j] : bounds[1][j + 1]]
            coarse[i, j] = np.median(box) * MEAN_OVER_MEDIAN
    coarse = ndimage.gaussian_filter(coarse, 0.7, mode="nearest")
    weights = [_interpolation(n, b) for n, b in zip(ratio.shape, boxes, strict=True)]
    return np.asarray(weights[0] @ coarse @ weights[1].T, dtype=np.float32)


def _interpolation(length: int, n_boxes: int) -> FloatArray:
    """Weights (length, n_boxes) of linear interpolation between the middles of equal boxes."""
    at = np.clip((np.arange(length) + 0.5) * n_boxes / length - 0.5, 0, n_boxes - 1)
    return np.asarray(np.maximum(0.0, 1 - np.abs(at[:, None] - np.arange(n_boxes))))


def _lift_streaks(pattern: Pattern, floor: Float32Array) -> None:
    """Raise the floor, in place, along rows and columns through the centre that are brighter than it throughout."""
    centre = [round(c) for c in pattern.grid.centre_px]
    for offset in range(-STRIP_PX, STRIP_PX + 1):
        row, column = centre[0] + offset, centre[1] + offset
        for line, level in ((pattern.data[row], floor[row]), (pattern.data[:, column], floor[:, column])):
            running = ndimage.median_filter(line / level, 2 * STRIP_REACH_PX + 1, mode="nearest") * MEAN_OVER_MEDIAN
            level *= np.where(running > 1.5, STREAK_CAUTION * running, 1.0).astype(floor.dtype)
