"""The rival of every candidate: a crystal that is not on the list, any two-dimensional lattice."""

from __future__ import annotations

import numpy as np
from scipy import special

from friedel.core.arrays import FloatArray, IntArray
from friedel.identify.counts.light import log_evidence
from friedel.identify.counts.maps import CountMaps
from friedel.identify.counts.orientation_fit import PLACE_PX, PLACE_RELATIVE, Fits, gains, log_clutter, log_sum

#: Spots, the brightest, any two of which may span the lattice.
_BASIS_SPOTS = 10
#: Cost, in natural logarithms, of the brightness of a spot of which nothing is expected.
_ANY_BRIGHTNESS = 1.5
#: Shares of the beam in a lit reflection of an unknown crystal, and shares of reflections that are lit.
_LEVELS, _LIT = (0.001, 0.004, 0.015, 0.06), (0.25, 0.5, 0.8)
#: Cost of the place of a spot anywhere in the annulus.
_PLACE_COST = 8.0
#: Least angle between the two, as its sine, and least distance of lattice points, in 1/Å.
_LEAST_SINE, _LEAST_LENGTH_INV_A = 0.2, 0.08


def free_lattice_evidence(maps: CountMaps, annulus_inv_a: tuple[float, float]) -> FloatArray:
    """Log evidence of the best free lattice in each pattern (n,), relative to spots without order; at least 0.

    Two spots span it, or one a row, and pay for their own places; every further spot near a lattice point is spared the
    cost of its place. Which points are lit is free as well, at the cost of naming them: log of the binomial
    coefficient, and of the number of points for how many. What a candidate phase explains must beat this to be named:
    that it fits n spots means little where any lattice of two spots fits them too.
    """
    s = maps.spot_count.shape[1]
    low, high = annulus_inv_a
    k = maps.grid.k_of(maps.spot_px - maps.beam_px[:, None] + np.asarray(maps.grid.centre_px))
    there = np.isfinite(k[..., 0])
    k = np.where(there[..., None], k, 0.0)
    first, second = np.triu_indices(min(s, _BASIS_SPOTS))
    is_row = first == second
    a, b = k[:, first], k[:, second]
    # The second vector of a row is beyond the pattern, at right angles to the first.
    length = np.maximum(np.hypot(a[..., 0], a[..., 1]), 1e-6)
    aside = np.stack([-a[..., 1], a[..., 0]], axis=-1) / length[..., None] * (4.0 * high)
    b = np.where(is_row[:, None], aside, b)
    det = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    size = np.hypot(a[..., 0], a[..., 1]) * np.hypot(b[..., 0], b[..., 1])
    usable = there[:, first] & there[:, second] & (np.abs(det) > np.maximum(_LEAST_SINE * size, _LEAST_LENGTH_INV_A**2))
    det = np.where(usable, det, 1.0)
    # Coordinates of every spot in every basis, (n, bases, spots).
    u = (k[:, None, :, 0] * b[..., None, 1] - k[:, None, :, 1] * b[..., None, 0]) / det[..., None]
    v = (a[..., None, 0] * k[:, None, :, 1] - a[..., None, 1] * k[:, None, :, 0]) / det[..., None]
    du, dv = u - np.rint(u), v - np.rint(v)
    off = du[..., None] * a[:, :, None] + dv[..., None] * b[:, :, None]
    step = float(np.mean(maps.grid.step_inv_a))
    off_px2 = (off**2).sum(axis=-1) / step**2
    radius_px = np.hypot(k[..., 0], k[..., 1]) / step
    variance = maps.spot_sigma_px**2 + PLACE_PX**2 + (PLACE_RELATIVE * radius_px) ** 2
    # The spots that span the lattice have errors of their own, which add up in the sum of several.
    variance = variance[:, None] * (1.0 + 0.5 * (np.rint(u) ** 2 + np.rint(v) ** 2))
    place = np.log(maps.reach_px**2 / (2.0 * variance)) - 0.5 * off_px2 / variance
    clutter = log_clutter(maps.spot_count, maps.spot_background, np.maximum(maps.total, 1.0)[:, None])
    excess = np.maximum(maps.spot_count - maps.spot_background, 0.5)
    free = log_evidence(maps.spot_count, maps.spot_background, excess, 1.0) - _ANY_BRIGHTNESS
    gain = log_sum(free[:, None] + place, clutter[:, None]) - log_sum(np.zeros_like(clutter), clutter)[:, None]
    spans = np.zeros((len(first), s), dtype=bool)
    spans[np.arange(len(first)), first] = spans[np.arange(len(first)), second] = True
    matched = (gain > 1.0) & there[:, None] & ~spans
    points = np.where(is_row, 2.0 * (high - low) / length, np.pi * (high**2 - low**2) / np.abs(det))
    points = np.maximum(points, 2.0)
    lit = np.minimum(matched.sum(axis=2) + 2.0 - is_row, points)
    naming = special.gammaln(points + 1) - special.gammaln(lit + 1) - special.gammaln(points - lit + 1)
    value = (gain * matched).sum(axis=2) - naming - np.log(points + 1.0)
    return np.asarray(np.maximum(np.where(usable, value, -np.inf).max(axis=1), 0.0))


def mimic_evidence(fits: Fits, total: FloatArray, chosen: IntArray) -> FloatArray:
    """Log evidence of a crystal that is not on the list, and has its reflections where some candidates have theirs.

    The same places as the candidate's, down to those where no spot stands out, but nothing known of their brightness: a
    share of them is lit, to an unknown level. Choosing the lattice freely costs the places of two spots. A candidate
    must beat this by what it knows of its intensities.

    Parameters
    ----------
    total
        Electrons of each pattern (n,).
    chosen
        Index of the candidates (C,).
    """
    place = np.full(len(fits.pattern), -1)
    place[chosen] = np.arange(len(chosen))
    mine = np.flatnonzero(place[fits.reflected.candidate] >= 0)
    which, sight = place[fits.reflected.candidate[mine]], fits.sight.at(mine)
    electrons = total.astype(np.float32)[fits.reflected.pattern[mine]]
    values = []
    for level in _LEVELS:
        gain = gains(sight, level * electrons, 1.0)
        for lit in _LIT:
            mixed = log_sum(np.log1p(-lit), np.log(lit) + gain)
            values.append(np.bincount(which, mixed, minlength=len(chosen)))
    return np.asarray(special.logsumexp(values, axis=0) - np.log(len(values)) - 2.0 * _PLACE_COST)
