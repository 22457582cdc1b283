"""Maps from local diffractograms: where each grain is, how its spacing and its azimuth change within it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from friedel.core.arrays import BoolArray, Float32Array, FloatArray, IntArray
from friedel.core.blocks import map_patterns
from friedel.core.images import PatternScan
from friedel.core.phase_map import PhaseMap
from friedel.identify.grains.components import MicrographResult, with_doubt
from friedel.identify.grains.watershed import PLATEAU_PERCENTILE

#: Chance that noise alone passes for a grain at a position.
FALSE_CHANCE = 1e-3
#: A grain ends where its fringes have fallen to half of their plateau, a quarter of the power.
EDGE_POWER = 0.25
#: Median over mean of an exponential distribution.
MEDIAN_OVER_MEAN = math.log(2)
#: Correlation of the noise of amplitudes two bins apart under a Hann window.
TWO_BINS = 1 / 6
#: Power over the noise below which the position of a spot is not measured.
LEAST_SNR = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class LocalMaps:
    """What the local diffractograms of G grains of a micrograph show, at positions (ry, rx).

    Parameters
    ----------
    phase_map
        Presence (ry, rx, P), with the names and probabilities of the whole image.
    seen
        Whether each grain is seen (ry, rx, G).
    spacing_ratio, spacing_sigma
        Local spacings of each grain over those in the whole image, and the one-sigma error (ry, rx, G); nan where it
        is not seen.
    turn_deg, turn_sigma_deg
        Local azimuth minus that of the whole image, from +kx towards +ky, likewise.
    offset_px
        Pixel (y, x) of the micrograph in the middle of the first position.
    """

    phase_map: PhaseMap
    seen: BoolArray
    spacing_ratio: Float32Array
    spacing_sigma: Float32Array
    turn_deg: Float32Array
    turn_sigma_deg: Float32Array
    offset_px: tuple[float, float]


def local_maps(scan: PatternScan, result: MicrographResult) -> LocalMaps:
    """Follow the grains of a micrograph through its local diffractograms.

    Parameters
    ----------
    scan
        ``tile`` of the same micrograph.
    result
        Its spots, grains and names: a tile is too small to tell spacings to 1 %, the whole image is not.

    Notes
    -----
    The power at the n spots of a grain over the noise adds up to a Gamma(n) variable where there is noise alone. A
    grain is seen where that has a chance of at most ``FALSE_CHANCE`` and where the power is at least a quarter of its
    plateau. A fringe between two bins has the amplitudes (1 + x) / (2 - x) and (1 - x) / (2 + x) in the bins beside
    the one at the distance x, in units of that one's (transform of a Hann window: Harris, Proc. IEEE 66 (1978) 51), so
    that x = 2 (high - low) / (high + low + 2 middle); its error is that of a bright amplitude, half the noise power.
    """
    snr, offset, sigma = _measure(scan, result.spots.k_inv_a)
    grains = result.match.grains
    n_grains = int(grains.max(initial=-1)) + 1
    shape = (*scan.scan_shape, n_grains)
    seen = np.zeros(shape, dtype=bool)
    values = np.full((4, *shape), np.nan, dtype=np.float32)
    for g in range(n_grains):
        rows = np.flatnonzero(grains == g)
        seen[..., g] = _seen(snr[..., rows])
        values[..., g] = _strain(result.spots.k_inv_a[rows], offset[..., rows, :], sigma[..., rows, :])
    values[:, ~seen] = np.nan
    posterior = with_doubt(result.match.grain_posterior)[:, :-1]
    presence = np.zeros((*shape[:2], posterior.shape[1]), dtype=np.float32)
    for g in range(n_grains):
        np.maximum(presence, np.where(seen[..., g, None], posterior[g], 0.0), out=presence)
    pmap = PhaseMap(result.match.phases, np.clip(presence, 0, 1), np.ones(shape[:2], dtype=bool), scan.scan_grid)
    middle = 0.5 * (scan.pattern_shape[0] - 1), 0.5 * (scan.pattern_shape[1] - 1)
    return LocalMaps(pmap, seen, values[0], values[1], values[2], values[3], middle)


def _measure(scan: PatternScan, k_inv_a: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Power over noise (ry, rx, N) at spots, and distance from them in 1/Å (ry, rx, N, 2) with its error."""
    at = scan.grid.px_of(k_inv_a)
    parts = []
    for _, block in map_patterns(lambda first, patterns: _measure_rows(patterns, at), scan):
        parts.append(block)
    snr, offset, sigma = (np.concatenate(part) for part in zip(*parts, strict=True))
    return snr, offset * scan.grid.step_inv_a, sigma * scan.grid.step_inv_a


def _measure_rows(power: Float32Array, at_px: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Measure tiles (rows, rx, ky, kx): in pixels."""
    height, width = power.shape[2:]
    index = np.rint(at_px).astype(np.int64)
    y, x = index.T
    ring = np.array([(i, j) for i in range(-6, 7) for j in range(-6, 7) if 4 <= math.hypot(i, j) <= 6])
    around = power[:, :, (y[:, None] + ring[:, 0]) % height, (x[:, None] + ring[:, 1]) % width]
    noise = np.maximum(np.median(around, axis=-1) / MEDIAN_OVER_MEAN, 1e-30)

    def near(dy: int, dx: int) -> FloatArray:
        return np.asarray(power[:, :, (y + dy) % height, (x + dx) % width] / noise, dtype=np.float64)

    middle = near(0, 0)
    offset, sigma = np.full((*middle.shape, 2), np.nan), np.full((*middle.shape, 2), np.inf)
    for axis, (dy, dx) in enumerate(((1, 0), (0, 1))):
        low, high = np.sqrt(near(-dy, -dx)), np.sqrt(near(dy, dx))
        total = low + high + 2 * np.sqrt(middle)
        bright = middle > LEAST_SNR
        offset[..., axis] = np.where(bright, 2 * (high - low) / total + index[:, axis] - at_px[:, axis], np.nan)
        sigma[..., axis] = np.where(bright, 2 * math.sqrt(1 - TWO_BINS) / total, np.inf)
    return middle, offset, sigma


def _seen(snr: FloatArray) -> BoolArray:
    """Whether a grain's spots (ry, rx, n) stand out of the noise and rise to a quarter of their plateau."""
    n = snr.shape[-1]
    total = snr.sum(axis=-1)
    found = total > float(special.gammainccinv(n, FALSE_CHANCE))
    if not found.any():
        return np.asarray(found)
    plateau = float(np.percentile(total[found] - n, PLATEAU_PERCENTILE))
    return np.asarray(found & (total - n > EDGE_POWER * plateau))


def _strain(k_inv_a: FloatArray, offset: FloatArray, sigma: FloatArray) -> Float32Array:
    """Spacing ratio, turn in degrees, and their errors (4, ry, rx) from the spots (n, 2) of a grain."""
    length = np.hypot(*k_inv_a.T)
    along = k_inv_a / length[:, None]
    across = np.stack([along[:, 1], -along[:, 0]], axis=1)  # of growing azimuth, from +kx towards +ky
    out = []
    for axis in (along, across):
        value = (offset * axis).sum(axis=-1) / length
        error = np.sqrt(((sigma * np.where(np.abs(axis) > 1e-6, axis, 0.0)) ** 2).sum(axis=-1)) / length
        weight = np.where(np.isfinite(value) & np.isfinite(error), error**-2.0, 0.0)
        total = weight.sum(axis=-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            out += [(weight * np.nan_to_num(value)).sum(axis=-1) / total, total**-0.5]
    ratio, ratio_sigma, turn, turn_sigma = out
    return np.stack([1 - ratio, ratio_sigma, np.rad2deg(turn), np.rad2deg(turn_sigma)]).astype(np.float32)


def to_image(values: BoolArray, shape: tuple[int, int], offset_px: tuple[float, float], step_px: int) -> BoolArray:
    """Values (ry, rx, ...) of the nearest position at each pixel (y, x, ...) of the micrograph."""
    rows: list[IntArray] = [
        np.clip(np.rint((np.arange(n) - first) / step_px), 0, m - 1).astype(np.int64)
        for n, first, m in zip(shape, offset_px, values.shape[:2], strict=True)
    ]
    return np.asarray(values[np.ix_(*rows)])
