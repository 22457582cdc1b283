"""The road of Lo and Su from a denoised pattern to its phases, as far as their text says how it goes.

Plain difference of Gaussians in an annulus; hexagons through two spots drawn at random, of which those with enough
vertices near spots stay; their radii against the ring radii of O1 and O3, learned from the scan or computed. The text
gives no widths, thresholds, tolerances or numbers of vertices: ``Settings`` names them, and studies choose them on
other scans than they judge by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from friedel.core.arrays import AnyArray, BoolArray, FloatArray, IntArray
from friedel.core.grids import ReciprocalGrid
from friedel.core.spots import Spots
from friedel.identify.hexagons.lattice import HexagonOptions, Hexagons, fit_hexagons

#: Bits of a label: what a pattern holds.
NONE, O3, O1, BOTH = range(4)
#: Width of the wide Gaussian over that of the narrow one (Marr and Hildreth, Proc. R. Soc. B 207, 187, 1980, app. B).
_RATIO = 1.6
#: Radii of O1 and O3 differ by 1.7; hexagons nearer together than this are of one ring when radii are learned.
_LEAST_APART = 1.15
_BIN = 0.005
_NO_LIMIT = 1e30
#: Error of the position of a maximum that is known to the pixel.
_POSITION_PX = 0.3


@dataclass(frozen=True, slots=True)
class Settings:
    """What the paper leaves open.

    Parameters
    ----------
    threshold
        Least height of a maximum of the difference of Gaussians, in electrons per pixel.
    min_vertices
        Vertices of a hexagon that must have a spot.
    sigma_px
        Width of the narrow Gaussian.
    tolerance_inv_a
        How far a spot may be from a vertex.
    radius_tolerance
        How far the radius of a hexagon may be from that of a ring, as a share of it.
    """

    threshold: float
    min_vertices: int
    sigma_px: float = 1.2
    tolerance_inv_a: float = 0.02
    radius_tolerance: float = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Patterns:
    """Patterns of a scan in electrons, as some denoiser left them, with what is true of them.

    Parameters
    ----------
    electrons
        (n, ky, kx).
    grid, shift_px
        Calibration, and the beam of each pattern relative to its centre (n, 2).
    truth
        Label of each (n,).
    """

    electrons: AnyArray
    grid: ReciprocalGrid
    shift_px: FloatArray
    truth: IntArray


def difference_of_gaussians(patterns: AnyArray, sigma_px: float) -> FloatArray:
    """Smooth patterns (n, ky, kx) with two Gaussians and subtract the wider from the narrower."""
    narrow, wide = (
        ndimage.gaussian_filter(patterns, (0, s, s), mode="nearest", output=np.float64)
        for s in (sigma_px, _RATIO * sigma_px)
    )
    return np.asarray(narrow - wide)


def find_maxima(scan: Patterns, settings: Settings, annulus_inv_a: tuple[float, float]) -> Spots:
    """Find the maxima of the difference of Gaussians in an annulus, the brightest of each pattern first."""
    response = difference_of_gaussians(scan.electrons, settings.sigma_px)
    is_top = response == ndimage.maximum_filter(response, (1, 3, 3), mode="nearest")
    index = np.argwhere(is_top & (response >= settings.threshold))
    px = index[:, 1:] - scan.shift_px[index[:, 0]]
    k = scan.grid.k_of(px)
    radius = np.hypot(*k.T)
    keep = np.flatnonzero((radius >= annulus_inv_a[0]) & (radius <= annulus_inv_a[1]))
    height = response[tuple(index[keep].T)]
    order = np.lexsort((-height, index[keep, 0]))
    keep, height = keep[order], height[order]
    n = len(scan.electrons)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(index[keep, 0], minlength=n))])
    sigma = np.full((len(keep), 2), _POSITION_PX * float(np.mean(scan.grid.step_inv_a)))
    return Spots(k[keep], sigma, height, height, offsets, (n, 1))


def find_hexagons(spots: Spots, settings: Settings, annulus_inv_a: tuple[float, float], *, seed: int = 0) -> Hexagons:
    """Find hexagons with enough vertices, whatever chance would give."""
    options = HexagonOptions(settings.tolerance_inv_a, settings.min_vertices, max_false_alarms=_NO_LIMIT)
    return fit_hexagons(spots, options, annulus_inv_a, seed=seed)


def learn_radii(radius_inv_a: FloatArray) -> tuple[float, float]:
    """Learn the ring radii of O1 and O3: the two most frequent radii of hexagons that are not of one ring.

    A radius that nothing shows is NaN; a lone ring is taken for that of O3, the matrix.
    """
    log = np.log(radius_inv_a)
    if not len(log):
        return np.nan, np.nan
    edges = np.arange(log.min() - _BIN, log.max() + 2 * _BIN, _BIN)
    counts = ndimage.gaussian_filter1d(np.histogram(log, edges)[0].astype(np.float64), 2.0, mode="constant")
    middle = 0.5 * (edges[1:] + edges[:-1])
    first = float(middle[int(counts.argmax())])
    counts = np.where(np.abs(middle - first) < np.log(_LEAST_APART), 0.0, counts)
    peaks = [first] if counts.max(initial=0.0) <= 0 else sorted((first, float(middle[int(counts.argmax())])))
    found = [float(np.median(radius_inv_a[np.abs(log - peak) < 0.03])) for peak in peaks]
    return (np.nan, found[0]) if len(found) == 1 else (found[0], found[1])


def label(hexagons: Hexagons, radii_inv_a: tuple[float, float], settings: Settings) -> IntArray:
    """Label each pattern (n,): O1 or O3 if it holds a hexagon at that radius, both if it holds both, else none."""
    labels = np.zeros(len(hexagons.offsets) - 1, dtype=np.int64)
    off = np.abs(hexagons.radius_inv_a[:, None] / np.array(radii_inv_a) - 1.0)
    for ring, bit in enumerate((O1, O3)):
        is_here: BoolArray = off[:, ring] <= settings.radius_tolerance
        labels[np.unique(hexagons.pattern_index[is_here])] |= bit
    return labels


def choose(
    scan: Patterns, annulus_inv_a: tuple[float, float], radii_inv_a: tuple[float, float],
    thresholds: Sequence[float], vertices: Sequence[int] = (3, 4, 5),
) -> Settings:  # fmt: skip
    """Choose threshold and number of vertices that give most positions of a scan their right label."""
    maxima = find_maxima(scan, Settings(min(thresholds), 3), annulus_inv_a)
    best, most = Settings(max(thresholds), max(vertices)), -1.0
    for threshold in thresholds:
        spots = maxima.where(maxima.intensity >= threshold)
        for settings in (Settings(float(threshold), v) for v in vertices):
            labels = label(find_hexagons(spots, settings, annulus_inv_a), radii_inv_a, settings)
            share = float((labels == scan.truth).mean())
            if share > most:
                best, most = settings, share
    return best


def hexagons_of(scan: Patterns, settings: Settings, annulus_inv_a: tuple[float, float]) -> Hexagons:
    """Find the hexagons of all patterns."""
    return find_hexagons(find_maxima(scan, settings, annulus_inv_a), settings, annulus_inv_a)
