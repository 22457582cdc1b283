"""Maps of where the fringes of spots are seen."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from friedel.core.arrays import BoolArray, Float32Array, FloatArray, IntArray
from friedel.core.images import Micrograph, Pattern
from friedel.core.spots import Spots
from friedel.identify.grains.watershed import WatershedOptions, amplitude_mask, half_height_mask
from friedel.patterns.bragg import bragg_spectrum, fringe_wave_and_weight, noise_amplitude

#: Mean over median of an exponential distribution.
MEAN_OVER_MEDIAN = 1 / math.log(2)
#: A mask ends before the next spot: at this share of the distance, but not below this radius in 1/Å.
NEIGHBOUR_SHARE, LEAST_RADIUS_INV_A = 0.75, 0.012

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class FringeMaps:
    """Where the fringes of N spots are seen.

    Parameters
    ----------
    amplitude
        For each spot the amplitude (y, x) of its fringes, float32, in the unit of the micrograph.
    noise_rms
        Root mean square (y, x) that noise alone gives each, float32.
    mask
        For each spot where (y, x) its fringes stand out of the noise.
    shape
        Size of a map.
    """

    amplitude: list[Float32Array]
    noise_rms: list[Float32Array]
    mask: list[BoolArray]
    shape: tuple[int, int]

    def grain_snr(self, rows: IntArray) -> Float32Array:
        """Amplitude (y, x) of the fringes of one grain over the noise: root mean square over spots, noise taken off."""
        power = np.zeros(self.shape, dtype=np.float32)
        for i in rows:
            power += (self.amplitude[i] / self.noise_rms[i]) ** 2 - 1
        return np.sqrt(np.maximum(power / max(len(rows), 1), 0.0)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class FringeOptions:
    """How fringes are mapped.

    Parameters
    ----------
    radius_inv_a
        Radius of the Bragg masks in 1/Å.
    step_px
        Pixels of the micrograph for one of the maps.
    outlier_sigmas
        See ``FftOptions``.
    watershed
        How amplitudes are cut into regions.
    """

    radius_inv_a: float
    step_px: int
    outlier_sigmas: float
    watershed: WatershedOptions


def fringe_maps(
    micrograph: Micrograph, pattern: Pattern, spots: Spots, options: FringeOptions, tell: Progress
) -> FringeMaps:
    """Map the fringes of each spot of a micrograph with this diffractogram."""
    radii = mask_radii_inv_a(spots, options.radius_inv_a)
    spectrum = bragg_spectrum(micrograph, float(radii.min(initial=options.radius_inv_a)), options.outlier_sigmas)
    height, width = micrograph.shape
    maps = FringeMaps([], [], [], (math.ceil(height / options.step_px), math.ceil(width / options.step_px)))
    for i, (k, radius) in enumerate(zip(spots.k_inv_a, radii.tolist(), strict=True)):
        tell("maps", i, len(spots))
        wave, weight = fringe_wave_and_weight(spectrum, (float(k[0]), float(k[1])), radius, options.step_px)
        amplitude = np.abs(wave)
        noise = noise_amplitude(spectrum, noise_power(pattern, k, radius), radius) / np.sqrt(weight)
        maps.amplitude.append(amplitude)
        maps.noise_rms.append(noise.astype(np.float32))
        maps.mask.append(region_of(amplitude, maps.noise_rms[-1], options.watershed))
    return maps


def mask_radii_inv_a(spots: Spots, largest_inv_a: float) -> FloatArray:
    """Radius of the Bragg mask of each spot in 1/Å (N,), smaller where spots are close."""
    radii = np.full(len(spots), largest_inv_a)
    for i, k in enumerate(spots.k_inv_a):
        others = np.delete(spots.k_inv_a, i, axis=0)
        if len(others):
            nearest = min(np.hypot(*(others - k).T).min(), np.hypot(*(others + k).T).min())
            radii[i] = np.clip(NEIGHBOUR_SHARE * nearest, LEAST_RADIUS_INV_A, largest_inv_a)
    return radii


def region_of(amplitude: Float32Array, noise_rms: Float32Array, options: WatershedOptions) -> BoolArray:
    """Region (y, x) of an amplitude by the rule of the options."""
    if options.rule == "otsu":
        return amplitude_mask(amplitude, options, noise_rms=noise_rms)
    return half_height_mask(amplitude / noise_rms)


def grain_masks(maps: FringeMaps, grains: IntArray, options: WatershedOptions) -> list[BoolArray]:
    """Region (y, x) of each grain, from the fringes of all of its spots; ``grains`` (N,) numbers them from 0."""
    masks = []
    for g in range(int(grains.max(initial=-1)) + 1):
        rows = np.flatnonzero(grains == g)
        if len(rows) == 1:
            masks.append(maps.mask[rows[0]])
        else:
            masks.append(region_of(maps.grain_snr(rows), np.ones(maps.shape, dtype=np.float32), options))
    return masks


def phase_amplitude(maps: FringeMaps, posterior: FloatArray) -> Float32Array:
    """Amplitude (y, x, P) of each phase: root of the sum of squares over spots, weighed by ``posterior`` (N, P + 1)."""
    power = np.zeros((*maps.shape, posterior.shape[1] - 1), dtype=np.float32)
    for amplitude, row in zip(maps.amplitude, posterior.astype(np.float32), strict=True):
        for p in np.flatnonzero(row[:-1] > 1e-3):
            power[..., p] += row[p] * amplitude**2
    return np.sqrt(power)


def presence_of(masks: list[BoolArray], posterior: FloatArray, shape: tuple[int, int]) -> Float32Array:
    """Presence (y, x, P): the largest probability of each phase among the grains (G, P + 1) that cover a position."""
    presence = np.zeros((*shape, posterior.shape[1] - 1), dtype=np.float32)
    for mask, row in zip(masks, posterior.astype(np.float32), strict=True):
        for p in np.flatnonzero(row[:-1] > 1e-3):
            np.maximum(presence[..., p], row[p], out=presence[..., p], where=mask)
    return np.clip(presence, 0.0, 1.0)


def noise_power(pattern: Pattern, k_inv_a: FloatArray, radius_inv_a: float) -> float:
    """Mean power of the noise around a spot: from the median between one and two mask radii from it."""
    centre = pattern.grid.px_of(k_inv_a)
    half = [max(4, math.ceil(2 * radius_inv_a / step)) for step in pattern.grid.step_inv_a]
    spans = [np.arange(round(float(c)) - h, round(float(c)) + h + 1) for c, h in zip(centre, half, strict=True)]
    patch = pattern.data[np.ix_(spans[0] % pattern.shape[0], spans[1] % pattern.shape[1])]
    y, x = (((span - c) / h) for span, c, h in zip(spans, centre, half, strict=True))
    ring = np.hypot(y[:, None], x)
    return float(np.median(patch[(ring > 0.5) & (ring <= 1.0)])) * MEAN_OVER_MEDIAN
