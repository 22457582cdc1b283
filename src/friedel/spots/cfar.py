"""Spots of a diffractogram at a constant false-alarm rate."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from friedel.core.arrays import AnyArray, BoolArray, FloatArray
from friedel.core.errors import CalibrationError, DataError
from friedel.core.images import Pattern
from friedel.core.spots import Spots
from friedel.patterns.diffractogram import WindowName, window_correlation
from friedel.spots.noise_floor import floor_variance, noise_floor
from friedel.spots.refine import RefinedSpot, refine
from friedel.spots.speckle import SpeckleTail, gaussian_kernel, speckle_tail

#: Width of the narrowest search in px, about the main lobe of a Hann window; each further one is twice as wide.
LEAST_SCALE_PX = 0.7
#: Grains smaller than this many micrographs' sides over 200 px are not searched with a kernel of their own.
SCALE_SHARE = 1 / 200
#: Least standard deviation of the weight of the sub-pixel fit: below it the sampling of a lobe biases the fit by more
#: than 0.01 px.
LEAST_WEIGHT_PX = 2.0
#: A spot must rise to this many times the skirts of stronger ones; exp(-2) = 14 % of a skirt's speckle do.
SKIRT_MARGIN = 2.0
#: Lags at which the amplitudes of windowed noise are still correlated.
CORRELATION_REACH_PX = 4


@dataclass(frozen=True, slots=True)
class Cfar:
    """Spot detector for power spectra with a stated number of false alarms.

    Parameters
    ----------
    false_alarms
        Expected number of spots found in a micrograph that shows noise alone.
    window
        Window with which the diffractogram was made; it sets how neighbouring pixels are correlated.
    max_spots
        Largest number of spots kept, the most significant ones.

    Notes
    -----
    The power over its noise floor is smoothed at several widths, because a spot is as wide as its grain is small.
    Each width has its own threshold from the tail of smoothed speckle and an equal share of the false alarms, so that
    their sum is an upper bound. It is raised by x^2 v / 2, the mean of an exponential tail over the error of a floor
    of relative variance v. Half of the plane is searched, as the other half repeats it; a frequency at the edge of
    the plane (Nyquist) cannot be told from its alias and is left out. Of candidates closer than their width the most
    significant stays; one that is less than twice the skirt of a stronger spot, (half width / distance)^2 of
    its power as for a straight-edged grain, is taken for that skirt.
    """

    false_alarms: float = 0.1
    window: WindowName = "tukey"
    max_spots: int = 500

    def __post_init__(self) -> None:
        if not 0 < self.false_alarms <= 100:
            raise DataError(f"false_alarms must lie in (0, 100], got {self.false_alarms}.")
        if self.max_spots < 1:
            raise DataError(f"max_spots must be at least 1, got {self.max_spots}.")

    def find(self, pattern: Pattern, annulus_inv_a: tuple[float, float]) -> Spots:
        """Find spots of a diffractogram whose distance from the centre lies in an annulus, brightest first.

        ``intensity`` is the power above the noise summed over the spot, ``snr`` the highest power over the noise.
        See ``SpotDetector.find``.
        """
        search = searched_half(pattern, annulus_inv_a)
        floor = noise_floor(pattern)
        ratio = pattern.data / floor
        correlation = window_correlation(self.window, CORRELATION_REACH_PX)
        scales = _scales_px(pattern.shape)
        rate = self.false_alarms / (len(scales) * int(search.sum()))
        caution = 1 - 0.5 * math.log(rate) * floor_variance(pattern, correlation)
        found = [_peaks(ratio / caution, search, scale, correlation, rate) for scale in scales]
        table = np.concatenate(found)
        table = table[np.argsort(table[:, 3])]
        table = table[distinct(table, pattern.shape, 4 * self.max_spots)]
        spots = [
            refine(pattern.data, floor, (int(y), int(x)), max(scale, LEAST_WEIGHT_PX), correlation)
            for y, x, scale, _ in table
        ]
        kept = _outside_skirts(ratio, table, spots)[: self.max_spots]
        return as_spots(pattern, ratio, [(spots[i], (int(table[i, 0]), int(table[i, 1]))) for i in kept])


def searched_half(pattern: Pattern, annulus_inv_a: tuple[float, float]) -> BoolArray:
    """Mark the pixels of the annulus in the half plane ky > 0, or ky = 0 and kx > 0, off the Nyquist frequencies."""
    low, high = annulus_inv_a
    if not 0 <= low < high:
        raise CalibrationError(f"annulus_inv_a must be (inner, outer) with inner < outer in 1/Å, got {annulus_inv_a}.")
    radius = pattern.grid.radius_inv_a(pattern.shape)
    middle = round(pattern.grid.centre_px[0]), round(pattern.grid.centre_px[1])
    keep = (radius >= low) & (radius <= high)
    keep[: middle[0]] = False
    keep[middle[0], : middle[1] + 1] = False
    keep[-1] = keep[:, 0] = keep[:, -1] = False
    if pattern.valid is not None:
        keep &= pattern.valid
    if not keep.any():
        raise CalibrationError(
            f"The annulus {low:g} to {high:g} 1/Å holds no pixel of the pattern, which reaches {radius.max():g} 1/Å "
            f"in steps of {max(pattern.grid.step_inv_a):g} 1/Å. Check the pixel size, or choose another annulus."
        )
    return np.asarray(keep)


def _scales_px(shape: tuple[int, int]) -> list[float]:
    """Widths of the search: doubled from the narrowest up to that of the smallest grains looked for."""
    n = 1 + max(0, math.floor(math.log2(max(min(shape) * SCALE_SHARE / LEAST_SCALE_PX, 1.0))))
    return [LEAST_SCALE_PX * 2**i for i in range(n)]


def _peaks(ratio: AnyArray, search: BoolArray, scale: float, correlation: FloatArray, rate: float) -> FloatArray:
    """Local maxima (n, 4) above the threshold: row, column, scale in px, log of the false-alarm rate per pixel."""
    kernel = gaussian_kernel(scale)
    tail: SpeckleTail = speckle_tail(kernel, correlation)
    smooth = ratio
    for axis in (0, 1):
        smooth = ndimage.convolve1d(smooth, kernel, axis=axis, mode="wrap")
    y, x = np.nonzero((smooth > tail.threshold(rate)) & search)
    height, width = ratio.shape
    here = smooth[y, x]
    highest = np.ones(len(y), dtype=bool)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            highest &= here >= smooth[(y + dy) % height, (x + dx) % width]
    y, x, here = y[highest], x[highest], here[highest]
    return np.stack([y, x, np.full(len(y), scale), tail.log_rate_of(here)], axis=1)


def distinct(table: FloatArray, shape: tuple[int, int], most: int) -> list[int]:
    """Rows to keep: none within the width of a more significant one, or of its mirror image; most significant first."""
    centred = table[:, :2] - (shape[0] // 2, shape[1] // 2)
    free = np.ones(len(table), dtype=bool)
    kept: list[int] = []
    while len(kept) < most and free.any():
        first = int(np.argmax(free))
        kept.append(first)
        reach = 2.5 * max(float(table[first, 2]), 1.0) + 1.0
        free &= np.hypot(*(centred - centred[first]).T) >= reach
        free &= np.hypot(*(centred + centred[first]).T) >= reach
    return kept


def _outside_skirts(ratio: AnyArray, table: FloatArray, spots: list[RefinedSpot]) -> list[int]:
    """Rows that are brighter than the skirts of all more significant spots, in the same order."""
    at = table[:, :2].astype(int)
    power = np.array([peak_power(ratio, (int(y), int(x))) for y, x in at])
    width = np.array([s.half_width_px for s in spots])
    kept: list[int] = []
    for i in range(len(table)):
        distance = np.hypot(*(at[kept] - at[i]).T)
        skirt = SKIRT_MARGIN * power[kept] * (width[kept] / np.maximum(distance, 1.0)) ** 2
        if not (skirt > power[i]).any():
            kept.append(i)
    return kept


def peak_power(ratio: AnyArray, at: tuple[int, int]) -> float:
    """Highest power over the floor in the 3 x 3 pixels about a peak."""
    rows, cols = (np.arange(c - 1, c + 2) % n for c, n in zip(at, ratio.shape, strict=True))
    return float(ratio[np.ix_(rows, cols)].max())


def as_spots(pattern: Pattern, ratio: AnyArray, found: list[tuple[RefinedSpot, tuple[int, int]]]) -> Spots:
    """Convert to calibrated units, brightest first."""
    if not found:
        return Spots.empty()
    found = sorted(found, key=lambda item: -item[0].intensity)
    k = pattern.grid.k_of([spot.position_px for spot, _ in found])
    sigma = np.array([spot.sigma_px for spot, _ in found]) * pattern.grid.step_inv_a
    intensity = np.array([spot.intensity for spot, _ in found])
    snr = np.array([peak_power(ratio, at) - 1 for _, at in found])
    return Spots(k, sigma, intensity, snr, np.array([0, len(found)]))
