"""Azimuthal profiles: intensity against distance from the centre, on a calibrated grid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import ndimage

from friedel.core.arrays import BoolArray, FloatArray, IntArray
from friedel.core.errors import CalibrationError
from friedel.core.images import Pattern

#: Bins over which the background of a peak is taken.
BACKGROUND_BINS = 31
#: Pixels of a windowed spectrum that vary together.
CORRELATED = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class RadialProfile:
    """Intensity against distance from the centre.

    Parameters
    ----------
    k_inv_a
        Mean distance of the pixels of each bin (B,), increasing; empty bins are left out.
    intensity
        Mean or median of each bin (B,).
    n_pixels
        Pixels in each bin (B,).
    """

    k_inv_a: FloatArray
    intensity: FloatArray
    n_pixels: IntArray

    @property
    def d_a(self) -> FloatArray:
        """Spacing 1 / k of each bin in Å, infinite at the centre."""
        with np.errstate(divide="ignore"):
            return np.asarray(1.0 / self.k_inv_a)


@dataclass(frozen=True, slots=True, eq=False)
class RadialPeaks:
    """Peaks of a radial profile, highest above their surroundings first.

    Parameters
    ----------
    k_inv_a
        Distances from the centre (N,), between the bins.
    height
        Intensity above the background (N,).
    significance
        ``height`` over its one-sigma error (N,).
    """

    k_inv_a: FloatArray
    height: FloatArray
    significance: FloatArray


def radial_profile(
    pattern: Pattern,
    *,
    bin_inv_a: float | None = None,
    statistic: Literal["mean", "median"] = "mean",
    inside: BoolArray | None = None,
) -> RadialProfile:
    """Average a pattern over the azimuth: the "diffraction-like graph" of an HRTEM micrograph.

    Parameters
    ----------
    bin_inv_a
        Width of a bin in 1/Å; None takes the larger step of the grid.
    statistic
        "median" is insensitive to spots.
    inside
        Mask (ky, kx), of the spots for example: intensity elsewhere counts as zero, as in a segmented spectrum.

    Notes
    -----
    Equations 2 and 3 of Raghavendran et al., J. Microsc. (2025) 10.1111/jmi.13413, with the distance taken in 1/Å on
    each axis, so that it holds for pictures that are not square: r = N x pixel size / d only where N is the length of
    that axis.
    """
    width = max(pattern.grid.step_inv_a) if bin_inv_a is None else bin_inv_a
    if not width > 0:
        raise CalibrationError(f"bin_inv_a must be positive in 1/Å, got {width}.")
    radius = pattern.grid.radius_inv_a(pattern.shape)
    keep = np.ones(pattern.shape, dtype=bool) if pattern.valid is None else pattern.valid
    shown = pattern.data if inside is None else np.where(inside, pattern.data, 0)
    radius, values = radius[keep], np.asarray(shown[keep], dtype=np.float64)
    index = np.floor(radius / width + 0.5).astype(np.int64)
    counts = np.bincount(index)
    used = counts > 0
    k = np.bincount(index, radius)[used] / counts[used]
    if statistic == "mean":
        level = np.bincount(index, values)[used] / counts[used]
    else:
        level = _medians(values[np.lexsort((values, index))], counts[used])
    return RadialProfile(k, level, counts[used])


def within(pattern: Pattern, k_inv_a: FloatArray, radius_inv_a: FloatArray) -> BoolArray:
    """Mark the pixels (ky, kx) within some distances (N,) in 1/Å of spots (N, 2), and of their Friedel mates."""
    mask = np.zeros(pattern.shape, dtype=bool)
    for k, reach in zip(k_inv_a, radius_inv_a, strict=True):
        for middle in (pattern.grid.px_of(k), pattern.grid.px_of(-k)):
            half = [reach / step for step in pattern.grid.step_inv_a]
            spans = [
                np.arange(max(math.ceil(c - h), 0), min(math.floor(c + h) + 1, n))
                for c, h, n in zip(middle, half, pattern.shape, strict=True)
            ]
            y, x = ((span - c) / h for span, c, h in zip(spans, middle, half, strict=True))
            mask[np.ix_(*spans)] |= np.hypot(y[:, None], x) <= 1
    return mask


def radial_peaks(profile: RadialProfile, *, k_min_inv_a: float, least_significance: float = 6.0) -> RadialPeaks:
    """Find peaks of the radial profile of a power spectrum farther out than ``k_min_inv_a`` (1/Å).

    Notes
    -----
    The background is the running median over ``BACKGROUND_BINS`` bins. Half of the pixels of a bin, those that Friedel
    does not repeat, have exponentially distributed power; a window correlates neighbours, which ``CORRELATED`` pixels
    share. In the profile of a segmented spectrum, which is zero but for its spots, every maximum is a peak, of infinite
    significance. Positions are those of a parabola through the logarithm of three bins, good to half a bin: the spots
    of a diffractogram are measured better one by one.
    """
    level = profile.intensity
    background = ndimage.median_filter(level, size=BACKGROUND_BINS, mode="nearest")
    height = level - background
    sigma = background * np.sqrt(2 * CORRELATED / np.maximum(profile.n_pixels, 1))
    significance = np.divide(height, sigma, out=np.where(height > 0, np.inf, 0.0), where=sigma > 0)
    inner = np.arange(1, len(level) - 1)
    high = (level[inner] >= level[inner - 1]) & (level[inner] > level[inner + 1])
    at = inner[high & (significance[inner] > least_significance) & (profile.k_inv_a[inner] >= k_min_inv_a)]
    at = at[np.lexsort((-height[at], -significance[at]))]
    low, middle, top = (np.log(np.maximum(level[at + i], 1e-300)) for i in (-1, 0, 1))
    shift = np.clip(0.5 * (low - top) / np.minimum(low - 2 * middle + top, -1e-12), -0.5, 0.5)
    step = np.where(
        shift < 0, profile.k_inv_a[at] - profile.k_inv_a[at - 1], profile.k_inv_a[at + 1] - profile.k_inv_a[at]
    )
    return RadialPeaks(profile.k_inv_a[at] + shift * step, height[at], significance[at])


def _medians(ordered: FloatArray, counts: IntArray) -> FloatArray:
    """Medians of consecutive groups of these sizes, each group ordered."""
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    return np.asarray(0.5 * (ordered[first + (counts - 1) // 2] + ordered[first + counts // 2]))
