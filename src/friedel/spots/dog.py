"""Difference of Gaussians: the spot detector of the 4D-STEM road, with Poisson statistics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import ndimage, special

from friedel.core.arrays import AnyArray, BoolArray, Float32Array, FloatArray, IntArray
from friedel.core.errors import CalibrationError
from friedel.core.grids import ReciprocalGrid
from friedel.core.images import Pattern
from friedel.core.spots import Spots
from friedel.patterns.repair import estimate_gain, remove_spikes
from friedel.spots.maxima import highest, log_parabola, noise_threshold, position_sigma, round_maxima

#: Patterns that are filtered at once: their intermediate results stay in the caches, and small.
_BATCH = 16
#: Narrower than this, a Gaussian is no longer sampled by the pixels.
_MIN_SIGMA_PX = 0.8
#: Zones of equal area in which the width of the noise is judged.
_SPREAD_ZONES = 8
#: Electrons and number of spots from which their width is measured.
_BRIGHT_ELECTRONS, _MIN_BRIGHT_SPOTS = 100.0, 5


@dataclass(frozen=True, slots=True)
class Dog:
    """Difference-of-Gaussians detector for patterns counted by a camera.

    Parameters
    ----------
    sigma_inv_a
        Standard deviation of the narrow Gaussian in 1/Å: the radius of a spot along one axis. None takes the
        transmitted beam's.
    ratio
        Width of the wide Gaussian, which measures the background, over the narrow one.
    max_false_alarms
        Expected number of spots found in a pattern that holds nothing but background.
    method
        The detector's name in a recipe.
    """

    sigma_inv_a: float | None = None
    ratio: float = 2.5
    max_false_alarms: float = 0.1
    method: Literal["dog"] = "dog"

    def __post_init__(self) -> None:
        if self.sigma_inv_a is not None and not self.sigma_inv_a > 0:
            raise CalibrationError(f"Dog.sigma_inv_a must be positive (1/Å), got {self.sigma_inv_a}.")
        if not 1.2 <= self.ratio <= 10 or not 0 < self.max_false_alarms <= 100:
            raise CalibrationError(
                "Dog needs 1.2 <= ratio <= 10 and 0 < max_false_alarms <= 100, "
                f"got {self.ratio} and {self.max_false_alarms}."
            )

    def find(self, pattern: Pattern, annulus_inv_a: tuple[float, float]) -> Spots:
        """Find the spots of one pattern; see ``find_spots``."""
        stack = pattern.data[None]
        response = filter_stack(stack, self, pattern.grid, gain=estimate_gain(stack), valid=pattern.valid)
        return find_spots(response, self, annulus_inv_a, valid=pattern.valid)


@dataclass(frozen=True, slots=True, eq=False)
class DogResponse:
    """Patterns (n, ky, kx) in electrons, filtered for spots.

    Parameters
    ----------
    electrons
        The patterns, without spikes and invalid pixels.
    significance
        Of a spot at each pixel, in standard deviations; NaN-free.
    signal
        Smoothed pattern above the background.
    background
        Electrons per pixel around each pixel.
    total
        Electrons in each pattern (n,).
    sigma_px
        Width of the narrow Gaussian.
    grid
        Calibration of the pixels.
    """

    electrons: Float32Array
    significance: Float32Array
    signal: Float32Array
    background: Float32Array
    total: FloatArray
    sigma_px: float
    grid: ReciprocalGrid

    @property
    def effective_pixels(self) -> float:
        """Pixels that the narrow Gaussian weighs; a spot of the matched width keeps half of its peak when smoothed."""
        return 4.0 * np.pi * self.sigma_px**2

    def flux(self, pattern: AnyArray, px: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Electrons in a spot of the matched width at positions px (N, 2) of patterns (N,), and their one-sigma error.

        Positions outside the pattern give 0 with an infinite error.
        """
        inside = np.all((px >= 0) & (px <= np.array(self.signal.shape[1:]) - 1), axis=1)
        at = np.concatenate([pattern[:, None], np.where(inside[:, None], px, 0.0)], axis=1).T
        sampled = (
            ndimage.map_coordinates(image, at, order=1, mode="nearest").astype(np.float64)
            for image in (self.signal, self.background)
        )
        signal, background = (np.where(inside, values * self.effective_pixels, 0.0) for values in sampled)
        return signal, np.where(inside, np.sqrt(np.maximum(signal, 0.0) + background + 0.25), np.inf)


def filter_stack(
    patterns: AnyArray, detector: Dog, grid: ReciprocalGrid, *, gain: float = 1.0, valid: BoolArray | None = None
) -> DogResponse:
    """Filter patterns (n, ky, kx) that share a calibration for spots.

    Parameters
    ----------
    gain
        Detector units per electron.
    valid
        (ky, kx), False where the detector tells nothing.

    Notes
    -----
    The narrow Gaussian, weighted so that its response has the variance of its mean, sees an equivalent count "on";
    what is left of the wide one sees a count "off" on a larger area. Their difference is judged by the likelihood
    ratio of two Poisson counts, which is standard normal under the null down to small counts (Li and Ma, ApJ 272, 317,
    1983, eq. 17).
    """
    if detector.sigma_inv_a is None:
        raise CalibrationError("The spot width is not known. Give Dog(sigma_inv_a=...), e.g. the beam's radius in 1/Å.")
    sigma_px = max(detector.sigma_inv_a / float(np.mean(grid.step_inv_a)), _MIN_SIGMA_PX)
    stack, z, signal, background = (np.empty(patterns.shape, dtype=np.float32) for _ in range(4))
    for first in range(0, len(patterns), _BATCH):
        part = slice(first, first + _BATCH)
        stack[part] = remove_spikes(patterns[part], gain=gain, valid=valid) / np.float32(gain)
        z[part], signal[part], background[part] = _significance(stack[part], detector.ratio, sigma_px, valid)
    total = stack.sum(axis=(1, 2), dtype=np.float64)
    return DogResponse(stack, z, signal, background, total, sigma_px, grid)


def _significance(
    stack: Float32Array, ratio: float, sigma_px: float, valid: BoolArray | None
) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Significance of light in the narrow Gaussian, its signal and its background, all (n, ky, kx)."""
    narrow = _blur(stack, sigma_px, valid)
    wide = _blur(stack, ratio * sigma_px, valid)
    # The narrow Gaussian's share is taken out of the wide one: what is left measures the surroundings.
    share = 1.0 / ratio**2
    background = np.maximum((wide - share * narrow) / (1.0 - share), 0.0)
    pixels = 4.0 * np.pi * sigma_px**2
    alpha = 1.0 / (ratio**2 - 1.0)
    on = np.maximum(pixels * narrow, 0.0)
    off = pixels * background / alpha
    both = np.maximum(on + off, 1e-12)
    likelihood_ratio = special.xlogy(on, (1 + alpha) / alpha * on / both) + special.xlogy(off, (1 + alpha) * off / both)
    z = np.sign(on - alpha * off) * np.sqrt(2.0 * np.maximum(likelihood_ratio, 0.0))
    return z.astype(np.float32), np.maximum(narrow - background, 0.0), background


def _blur(stack: Float32Array, sigma_px: float, valid: BoolArray | None) -> Float32Array:
    """Blur patterns (n, ky, kx) with a Gaussian; larger invalid regions do not count (normalised convolution)."""
    blurred = ndimage.gaussian_filter(stack, (0, sigma_px, sigma_px), mode="nearest", truncate=3.0)
    if valid is None or not np.any(ndimage.binary_opening(~valid)):
        return np.asarray(blurred)
    weight = ndimage.binary_closing(valid, border_value=1).astype(np.float32)
    blurred = ndimage.gaussian_filter(stack * weight, (0, sigma_px, sigma_px), mode="nearest", truncate=3.0)
    share = ndimage.gaussian_filter(weight, sigma_px, mode="nearest", truncate=3.0)
    return np.asarray(np.where(share > 0.05, blurred / np.maximum(share, 0.05), 0.0), dtype=np.float32)


def find_spots(
    response: DogResponse, detector: Dog, annulus_inv_a: tuple[float, float], *, valid: BoolArray | None = None
) -> Spots:
    """Find spots in filtered patterns.

    Parameters
    ----------
    annulus_inv_a
        Inner and outer radius in 1/Å in which spots are sought.

    Returns
    -------
    Spots
        With scan shape (n, 1); brightest first in each pattern. ``intensity`` is in electrons.

    Raises
    ------
    CalibrationError
        If the annulus lies wholly outside the patterns.

    Notes
    -----
    The significance is divided by its robust width at the same radius where that exceeds one, which absorbs a gain
    that is not quite right, a blur of the noise and a lively background. Positions are the maximum of the parabola
    through the logarithm of the smoothed signal; their error is that of Thompson, Larson and Webb, Biophys. J. 82,
    2775 (2002), eq. 17.
    """
    n, sigma_px, grid = len(response.total), response.sigma_px, response.grid
    ring = annulus_mask(grid, response.signal.shape[1:], annulus_inv_a, valid)
    widths, zone = _spread(response, ring)
    threshold = noise_threshold(int(ring.sum()), sigma_px, detector.max_false_alarms)
    # No width is less than 1, so that what is too faint before it is divided by that is so afterwards.
    index = np.argwhere((response.significance >= threshold) & ring)
    index = index[_significance_at(response, index, widths, zone) >= threshold]
    # The maximum of the signal, not of z: a step of the spread within a bright spot would drag it aside.
    index = highest(response.signal, index, int(np.ceil(sigma_px)))
    index = round_maxima(index, response.signal, sigma_px)
    at = tuple(index.T)
    intensity = response.effective_pixels * response.signal[at].astype(np.float64)
    sigma = position_sigma(intensity, response.background[at].astype(np.float64), sigma_px)
    order = np.lexsort((-intensity, index[:, 0]))
    k = grid.k_of(index[:, 1:] + log_parabola(response.signal, index))
    counts = np.bincount(index[:, 0], minlength=n)
    return Spots(
        k[order],
        sigma[order, None] * np.asarray(grid.step_inv_a),
        intensity[order],
        _significance_at(response, index, widths, zone).astype(np.float64)[order],
        np.concatenate([[0], np.cumsum(counts)]),
        (n, 1),
    )


def annulus_mask(
    grid: ReciprocalGrid, shape: tuple[int, ...], annulus_inv_a: tuple[float, float], valid: BoolArray | None
) -> BoolArray:
    """Mask (ky, kx) of the pixels in an annulus, a pixel away from invalid ones; CalibrationError if it is empty."""
    radius = grid.radius_inv_a((shape[0], shape[1]))
    low, high = annulus_inv_a
    ring = (radius >= low) & (radius <= high)
    if valid is not None:
        ring &= ndimage.binary_erosion(valid, iterations=1, border_value=1)
    if not ring.any():
        raise CalibrationError(
            f"The annulus {low:.3g} to {high:.3g} 1/Å holds no pixel; the pattern reaches from {radius.min():.3g} to "
            f"{radius.max():.3g} 1/Å. Check --step-inv-a and --annulus-inv-a."
        )
    return np.asarray(ring)


def measure_spot_sigma(
    response: DogResponse, annulus_inv_a: tuple[float, float], *, valid: BoolArray | None = None
) -> float:
    """Measure the radius of spots along one axis, in pixels, from the brightest; never more than the response's own.

    A Gaussian spot has an area of 2 pi ln 2 sigma^2 above half its height. Where fewer than five spots hold a hundred
    electrons, the width that the patterns were filtered with is returned.
    """
    spots = find_spots(response, Dog(), annulus_inv_a, valid=valid)
    px = np.rint(response.grid.px_of(spots.k_inv_a)).astype(int)
    pattern = np.repeat(np.arange(spots.n_patterns), np.diff(spots.offsets))
    reach = int(np.ceil(2.0 * response.sigma_px)) + 1
    widths = []
    for i in np.flatnonzero(spots.intensity >= _BRIGHT_ELECTRONS)[:200]:
        y, x = px[i]
        window = response.electrons[pattern[i], max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]
        base = float(np.quantile(window, 0.1))
        above, _ = ndimage.label(window > base + 0.5 * (float(window.max()) - base))
        top = np.unravel_index(int(np.argmax(window)), window.shape)
        widths.append(np.sqrt(float((above == above[top]).sum()) / (2.0 * np.pi * np.log(2.0))))
    if len(widths) < _MIN_BRIGHT_SPOTS:
        return response.sigma_px
    return float(np.clip(np.median(widths), _MIN_SIGMA_PX, response.sigma_px))


def _significance_at(response: DogResponse, index: AnyArray, widths: Float32Array, zone: IntArray) -> Float32Array:
    """Significance at some pixels (n, ky, kx) of (M, 3) over its width in the zone of each."""
    pattern, row, column = index.T
    return np.asarray(response.significance[pattern, row, column] / widths[pattern, zone[row, column]])


def _spread(response: DogResponse, ring: BoolArray) -> tuple[Float32Array, IntArray]:
    """Robust width of the significance in zones of radius, at least 1 (n, zones), and the zone of each pixel (ky, kx).

    It is taken where the background is lowest, a third of each zone: about a bright spot the wide Gaussian digs a
    trough of high negative significance, and a ring of such troughs would hide every fainter spot of that ring.
    """
    radius = response.grid.radius_inv_a((ring.shape[0], ring.shape[1]))
    edges = np.unique(np.quantile(radius[ring], np.arange(_SPREAD_ZONES) / _SPREAD_ZONES, method="lower"))
    zone = np.clip(np.searchsorted(edges, radius, side="right") - 1, 0, None)
    widths = []
    for i in range(len(edges)):
        inside = np.flatnonzero(ring & (zone == i))
        n_calm = int(np.ceil(len(inside) / 3))
        background, significance = (
            picture.reshape(len(picture), ring.size).take(inside, axis=1)
            for picture in (response.background, response.significance)
        )
        calm = np.argpartition(background, n_calm - 1, axis=1)[:, :n_calm]
        significance = np.take_along_axis(significance, calm, axis=1)
        widths.append(np.median(np.abs(significance), axis=1))
    return np.maximum(1.4826 * np.stack(widths, axis=1), 1.0).astype(np.float32), zone
