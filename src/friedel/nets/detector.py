"""The network as a spot detector: it says where, the counts say how bright and how exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from friedel.core.arrays import AnyArray, BoolArray, Float32Array, FloatArray
from friedel.core.images import Pattern
from friedel.core.spots import Spots
from friedel.nets.inference import Network, prepare
from friedel.nets.spot_map import Trust, find_peaks, parabola_offsets
from friedel.patterns.repair import estimate_gain
from friedel.spots.dog import Dog, DogResponse, annulus_mask, filter_stack
from friedel.spots.maxima import position_sigma

#: Spots wider than this (one sigma, px) are looked at in patterns summed 2 x 2, as long as those keep so many pixels.
_WIDE_SPOT_PX, _LEAST_PX = 4.0, 64
#: Positions are best on validation crystals where the map is weighted as if its error were the first figure, in px; for
#: faint spots it is the second.
_MAP_WEIGHT_PX, _MAP_SIGMA_PX = 0.2, 0.5


@dataclass(frozen=True, slots=True, eq=False)
class NetDetector:
    """Spot detector that asks a network.

    Parameters
    ----------
    network
        Says where spots are.
    width
        Its ``sigma_inv_a`` is the radius of a spot, in which its light is measured.
    """

    network: Network
    width: Dog

    def find(self, pattern: Pattern, annulus_inv_a: tuple[float, float]) -> Spots:
        """Find the spots of one pattern whose distance from the centre lies in an annulus, brightest first."""
        stack = pattern.data[None]
        gain = estimate_gain(stack)
        response = filter_stack(stack, self.width, pattern.grid, gain=gain, valid=pattern.valid)
        electrons = prepare(stack, gain, pattern.valid)
        probability = map_spots(self.network, electrons, np.array([pattern.grid.centre_px]), response.sigma_px)
        return read_map(probability, self.network.trust(electrons), response, annulus_inv_a, valid=pattern.valid)


def map_spots(network: Network, electrons: Float32Array, centre_px: FloatArray, sigma_px: float) -> Float32Array:
    """Probability (n, ky, kx) of a spot at each pixel of patterns in electrons (n, ky, kx) with centres (n, 2).

    Where spots are wider than those that the network knows, counts are summed 2 x 2 first, again and again.
    """
    ky, kx = electrons.shape[1:]
    factor = 1
    while sigma_px / factor > _WIDE_SPOT_PX and min(ky, kx) // (2 * factor) >= _LEAST_PX:
        factor *= 2
    if factor == 1:
        return network.run(electrons, centre_px)[1]
    summed = sum_pixels(electrons, factor)
    small = network.run(summed, (centre_px + 0.5) / factor - 0.5)[1]
    place = [(np.arange(n) + 0.5) / factor - 0.5 for n in (ky, kx)]
    at = np.stack(np.meshgrid(*place, indexing="ij"))
    return np.stack([ndimage.map_coordinates(image, at, order=1, mode="nearest") for image in small])


def sum_pixels(electrons: AnyArray, factor: int) -> Float32Array:
    """Sum pixels of patterns (n, ky, kx) factor x factor; sums of Poisson counts are Poisson counts."""
    n, ky, kx = electrons.shape
    padded = np.pad(electrons, ((0, 0), (0, -ky % factor), (0, -kx % factor)))
    shape = (n, padded.shape[1] // factor, factor, padded.shape[2] // factor, factor)
    return np.asarray(padded.reshape(shape).sum(axis=(2, 4), dtype=np.float32))


def read_map(
    probability: Float32Array,
    trust: Trust,
    response: DogResponse,
    annulus_inv_a: tuple[float, float],
    *,
    valid: BoolArray | None = None,
) -> Spots:
    """Turn maps of spot probabilities (n, ky, kx) into spots, brightest first.

    Parameters
    ----------
    response
        The counts of the same patterns, filtered for spots: they give intensity (electrons above the background in a
        spot of the matched width), signal to noise, and the better part of the position.

    Notes
    -----
    The position is a weighted mean of that of the map and that of the maximum of the smoothed counts near by, whose
    error is that of Thompson, Larson and Webb, Biophys. J. 82, 2775 (2002), eq. 17. The error that is stated is the
    latter, or that of the map where it is smaller.
    """
    ring = annulus_mask(response.grid, probability.shape[1:], annulus_inv_a, valid)
    pattern, px, _ = find_peaks(probability, trust, ring)
    intensity, _ = response.flux(pattern, px)
    at = (pattern, *np.rint(px).astype(int).clip(0, np.array(ring.shape) - 1).T)
    counted = position_sigma(intensity, response.background[at].astype(np.float64), response.sigma_px)
    weight = _MAP_WEIGHT_PX**2 / (_MAP_WEIGHT_PX**2 + counted**2)
    px = px + weight[:, None] * (_brightest_near(response.signal, pattern, px) - px)
    sigma = counted * _MAP_SIGMA_PX / np.hypot(counted, _MAP_SIGMA_PX)
    order = np.lexsort((-intensity, pattern))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(pattern, minlength=len(probability)))])
    return Spots(
        response.grid.k_of(px)[order],
        sigma[order, None] * np.asarray(response.grid.step_inv_a),
        intensity[order],
        response.significance[at].astype(np.float64)[order],
        offsets,
        (len(probability), 1),
    )


def _brightest_near(signal: Float32Array, pattern: AnyArray, px: FloatArray) -> FloatArray:
    """Sub-pixel maximum (M, 2) of the smoothed counts within a pixel of each position; the position where none is."""
    nearest = np.rint(px).astype(int)
    steps = np.array([(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)])
    around = (nearest[:, None] + steps).clip(0, np.array(signal.shape[1:]) - 1)
    values = signal[pattern[:, None], around[..., 0], around[..., 1]]
    best = around[np.arange(len(px)), values.argmax(axis=1)]
    index = np.column_stack([pattern, best])
    found = best + parabola_offsets(signal, index, 1e-9)
    return np.where((values.max(axis=1) > 0)[:, None], found, px)
