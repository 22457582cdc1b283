"""Maps of where the fringes of spots are seen."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from friedel.core.arrays import BoolArray, Float32Array, FloatArray
from friedel.core.images import Micrograph, Pattern
from friedel.core.spots import Spots
from friedel.identify.watershed import WatershedOptions, amplitude_mask
from friedel.patterns.bragg import BraggSpectrum, bragg_spectrum, edge_weight, fringe_wave, noise_amplitude

#: Mean over median of an exponential distribution.
MEAN_OVER_MEDIAN = 1 / math.log(2)
#: A mask ends before the next spot: at this share of the distance, but not below this radius in 1/Å.
NEIGHBOUR_SHARE, LEAST_RADIUS_INV_A = 0.75, 0.012

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class FringeMaps:
    """What is needed to map the fringes of spots.

    Parameters
    ----------
    spectrum
        Transform of the micrograph.
    spots
        N spots.
    radii_inv_a
        Radius of the Bragg mask of each, (N,).
    step_px
        Pixels of the micrograph for one of the maps.
    """

    spectrum: BraggSpectrum
    spots: Spots
    radii_inv_a: FloatArray
    step_px: int

    def amplitude(self, spot: int) -> Float32Array:
        """Amplitude (y, x) of one spot's fringes."""
        return np.asarray(np.abs(fringe_wave(self.spectrum, *self._mask(spot))), dtype=np.float32)

    def noise(self, spot: int, pattern: Pattern) -> Float32Array:
        """Root mean square (y, x) of the amplitude that the noise around the spot would give."""
        power = noise_power(pattern, self.spots.k_inv_a[spot], float(self.radii_inv_a[spot]))
        rms = noise_amplitude(self.spectrum, power, float(self.radii_inv_a[spot]))
        return np.asarray(rms / np.sqrt(edge_weight(self.spectrum, *self._mask(spot))), dtype=np.float32)

    def _mask(self, spot: int) -> tuple[tuple[float, float], float, int]:
        ky, kx = self.spots.k_inv_a[spot]
        return (float(ky), float(kx)), float(self.radii_inv_a[spot]), self.step_px


def fringe_maps(micrograph: Micrograph, spots: Spots, *, radius_inv_a: float, step_px: int,
                outlier_sigmas: float) -> FringeMaps:  # fmt: skip
    """Prepare the maps of spots with masks of ``radius_inv_a`` in 1/Å, smaller where spots are close."""
    radii = np.full(len(spots), radius_inv_a)
    for i, k in enumerate(spots.k_inv_a):
        others = np.delete(spots.k_inv_a, i, axis=0)
        if len(others):
            nearest = min(np.hypot(*(others - k).T).min(), np.hypot(*(others + k).T).min())
            radii[i] = np.clip(NEIGHBOUR_SHARE * nearest, LEAST_RADIUS_INV_A, radius_inv_a)
    spectrum = bragg_spectrum(micrograph, float(radii.min(initial=radius_inv_a)), outlier_sigmas)
    return FringeMaps(spectrum, spots, radii, step_px)


def fringe_masks(maps: FringeMaps, pattern: Pattern, options: WatershedOptions, tell: Progress) -> list[BoolArray]:
    """Mark, for each spot, where (y, x) its fringes stand out of the noise."""
    masks = []
    for i in range(len(maps.spots)):
        tell("regions", i, len(maps.spots))
        masks.append(amplitude_mask(maps.amplitude(i), options, noise_rms=maps.noise(i, pattern)))
    return masks


def phase_amplitude_and_presence(
    maps: FringeMaps, masks: list[BoolArray], posterior: FloatArray, shape: tuple[int, int], tell: Progress
) -> tuple[Float32Array, Float32Array]:
    """Combine the maps of the spots to amplitude and presence of each phase, both (y, x, P) float32.

    ``posterior`` (N, P + 1) holds the probabilities of each spot, ``shape`` the size of a map.
    """
    power = np.zeros((*shape, posterior.shape[1] - 1), dtype=np.float32)
    presence = np.zeros_like(power)
    for i, mask in enumerate(masks):
        tell("maps", i, len(masks))
        squared = maps.amplitude(i) ** 2
        for p, probability in enumerate(posterior[i, :-1].astype(np.float32)):
            if probability > 1e-3:
                power[..., p] += probability * squared
                np.maximum(presence[..., p], probability * mask, out=presence[..., p])
    return np.sqrt(power), np.clip(presence, 0.0, 1.0)


def noise_power(pattern: Pattern, k_inv_a: FloatArray, radius_inv_a: float) -> float:
    """Mean power of the noise around a spot: from the median between one and two mask radii from it."""
    centre = pattern.grid.px_of(k_inv_a)
    half = [max(4, math.ceil(2 * radius_inv_a / step)) for step in pattern.grid.step_inv_a]
    spans = [np.arange(round(float(c)) - h, round(float(c)) + h + 1) for c, h in zip(centre, half, strict=True)]
    patch = pattern.data[np.ix_(spans[0] % pattern.shape[0], spans[1] % pattern.shape[1])]
    y, x = (((span - c) / h) for span, c, h in zip(spans, centre, half, strict=True))
    ring = np.hypot(y[:, None], x)
    return float(np.median(patch[(ring > 0.5) & (ring <= 1.0)])) * MEAN_OVER_MEDIAN
