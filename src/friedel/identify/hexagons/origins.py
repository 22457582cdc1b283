"""Which hexagons of a scan a candidate made, and which another crystal.

Others draw hexagons as large as a candidate's: {220} of rock salt and {440} of spinel lie within 3 % of {110} of
layered oxides. A scan knows its own scale better than 3 %, and one phase has nearly one radius throughout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
from scipy import special

from friedel.core.arrays import AnyArray, FloatArray, IntArray
from friedel.identify.hexagons.halves import CONFUSABLE

#: Hexagons that are asked: those of one grain are no independent witnesses, so that more would tell no more.
_WITNESSES = 200
#: Relative distance from the rings, beside three sigmas of the scale, up to which hexagons are modelled.
_WINDOW = 0.04
#: Relative differences of the lattice from the file's: throughout the scan (one sigma), and the least range within
#: which charge changes that of a layered oxide.
_CELL_SIGMA, _CELL_RANGE = 0.003, 0.02
#: Spreads of ln radius between positions: strain, and disks that are brighter on one side.
_SPREADS = np.array([0.003, 0.008])
#: Of the hexagons of one crystal, the share whose radius strays within half of the cell range, as charge lets it, or
#: lies between those of two phases along the beam.
_STRAYS = 0.3
#: Where one phase prevails: the share of the candidates' hexagons on its ring, beside an even share of the others.
_PREVAILING = (0.5, 1.0)
#: Shares of hexagons that no candidate made, and how likely each is before the scan is seen.
_FOREIGN, _FOREIGN_PRIOR = np.array([0.02, 0.1, 0.3, 0.7]), np.array([0.3, 0.3, 0.25, 0.15])
#: Of these, the share that has any radius where other crystals with a radius of their own are there.
_ANYTHING = 0.05
#: Radii of other crystals that are tried, and the width at which hexagons are counted to find them.
_N_RADII, _BLUR = 6, 0.003
#: Grid: fewest and most scales on each side, and how far apart these should be; points that are drawn from it.
_N_SCALES, _SCALE_STEP, _N_STATES = (8, 32), 0.003, 64


@dataclass(frozen=True, slots=True, eq=False)
class Origins:
    """What the hexagons of a scan say together.

    Parameters
    ----------
    scale, scale_sigma
        Measured over computed radius, one factor for the whole scan, and its one-sigma error with that of the grid.
    known
        Probability that a candidate made each hexagon (N,).
    """

    scale: float
    scale_sigma: float
    known: FloatArray


class _Mix(NamedTuple):
    """How the candidates' hexagons are shared out among rings that are alike: so many on one, the rest evenly."""

    ring: int
    prevails: float


class _State(NamedTuple):
    """A point of the grid.

    Spread of ln radius; share of hexagons of no candidate; how the candidates' hexagons are shared out, by index;
    ln scale; ln radius of a crystal without light at its halves and of one with it, NaN where there is none.
    """

    spread: float
    foreign: float
    mix: int
    shift: float
    plain: float
    halved: float


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """Hexagons (M,) near the rings: ln radius and its error, the first ring of their group, and light.

    ``light`` is the likelihood ratio of ``light_at_halves``.
    """

    log_radius: FloatArray
    error: FloatArray
    first: FloatArray
    light: FloatArray


def find_origins(
    radius_inv_a: FloatArray,
    sigma_inv_a: FloatArray,
    half_log_ratio: FloatArray,
    rings_inv_a: FloatArray,
    *,
    relative_sigma: float,
) -> Origins:
    """Weigh the candidates against other crystals, for all hexagons of a scan together.

    A candidate's hexagon lies on one of the candidates' rings, or between two that are alike: layers of two phases, or
    a charge between theirs. One scale holds for the scan, with a Gaussian prior, and there is no light at the halves.
    The other hexagons are of a crystal without light at its halves, such as rock salt, or of one with it, such as
    spinel; each of these has one radius throughout the scan, or is absent. A few have any radius. Scale, radii, spread
    and the share of other crystals are summed out on a grid. A scan that is mostly of another crystal can move the
    scale no further than its error allows.

    Parameters
    ----------
    radius_inv_a, sigma_inv_a, half_log_ratio
        Of the hexagons (N,), the last from ``light_at_halves``.
    rings_inv_a
        Radii of the candidates' rings.
    relative_sigma
        One-sigma error of the stored scale.
    """
    rings = np.asarray(np.unique(np.round(np.log(rings_inv_a), 6)), dtype=np.float64)
    scale_sigma = float(np.hypot(relative_sigma, _CELL_SIGMA))
    window = _WINDOW + 3.0 * scale_sigma
    near, seen = _near_rings(np.log(radius_inv_a), sigma_inv_a / radius_inv_a, half_log_ratio, rings, window)
    mixes = _mixes(rings)
    shifts = _shifts(scale_sigma)
    states, weight = _posterior(seen, rings, shifts, scale_sigma, window)
    known = np.zeros(len(radius_inv_a))
    for state, share in zip(states, weight, strict=True):
        width = np.hypot(state.spread, seen.error)
        ours = (1.0 - state.foreign) * _candidates(seen, rings, np.array([state.shift]), mixes[state.mix], width)[0]
        plain, halved = np.array([state.plain]), np.array([state.halved])
        theirs = state.foreign * _others(seen, plain, halved, _length_of(rings, window), width)[0, 0]
        known[near] += share * ours / (ours + theirs)
    scales = np.exp([state.shift for state in states])
    scale = float(weight @ scales)
    spread, rounding = np.sqrt(weight @ (scales - scale) ** 2), (shifts[1] - shifts[0]) / np.sqrt(12.0)
    return Origins(scale, float(np.hypot(spread, rounding)), np.clip(known, 0.0, 1.0))


def _shifts(scale_sigma: float) -> FloatArray:
    """Ln scales that are tried, within three standard deviations."""
    n = int(np.clip(3.0 * scale_sigma / _SCALE_STEP, *_N_SCALES))
    return np.asarray(3.0 * scale_sigma * np.arange(-n, n + 1) / n)


def _near_rings(
    log_radius: FloatArray, error: FloatArray, half_log_ratio: FloatArray, rings: FloatArray, window: float
) -> tuple[IntArray, _Seen]:
    """Hexagons within the window of a ring, as indices (M,) and as what is known of them."""
    off = np.abs(log_radius[:, None] - rings)
    near = np.flatnonzero(off.min(axis=1) <= window)
    first = _first_of_group(rings)[off[near].argmin(axis=1)]
    return near, _Seen(log_radius[near], error[near], first, np.exp(half_log_ratio[near]))


def _first_of_group(rings: FloatArray) -> FloatArray:
    """Least of the rings that each ring may be confused with, all as ln radius."""
    starts = np.concatenate([[True], np.diff(rings) > CONFUSABLE])
    return np.asarray(rings[starts][np.cumsum(starts) - 1])


def _posterior(
    seen: _Seen, rings: FloatArray, shifts: FloatArray, scale_sigma: float, window: float
) -> tuple[list[_State], FloatArray]:
    """Points of the grid that stand for their posterior distribution, drawn evenly along it, and their shares."""
    rows = np.unique(np.linspace(0, len(seen.first) - 1, min(_WITNESSES, len(seen.first))).astype(int))
    asked = _Seen(seen.log_radius[rows], seen.error[rows], seen.first[rows], seen.light[rows])
    radii, length = _peaks(asked.log_radius), _length_of(rings, window)
    mixes = _mixes(rings)
    axes = (_SPREADS, _FOREIGN, np.arange(len(mixes)), shifts, radii, radii)
    log_posterior = np.empty([len(axis) for axis in axes])
    for i, spread in enumerate(_SPREADS):
        width = np.hypot(spread, asked.error)
        theirs = _others(asked, radii, radii, length, width).astype(np.float32)
        for k, mix in enumerate(mixes):
            ours = _candidates(asked, rings, shifts, mix, width).astype(np.float32)
            for (j, share), (m, row) in product(enumerate(_FOREIGN.astype(np.float32)), enumerate(ours)):
                log_posterior[i, j, k, m] = np.log((1.0 - share) * row + share * theirs).sum(axis=2)
    there = np.log(np.where(np.isnan(radii), 0.5, 0.5 * 2.0 * _BLUR / length))
    log_posterior += np.log(_FOREIGN_PRIOR)[:, None, None, None, None] + there[:, None] + there
    log_posterior -= 0.5 * (shifts[:, None, None] / scale_sigma) ** 2
    return _draw_evenly(log_posterior, axes)


def _draw_evenly(log_posterior: FloatArray, axes: Sequence[AnyArray]) -> tuple[list[_State], FloatArray]:
    """Points at even steps of the cumulated posterior, and the share of the steps that met each."""
    cumulated = np.cumsum(np.exp(log_posterior - log_posterior.max()))
    steps = (np.arange(_N_STATES) + 0.5) / _N_STATES * cumulated[-1]
    met, times = np.unique(np.searchsorted(cumulated, steps), return_counts=True)
    columns = [axis[index] for axis, index in zip(axes, np.unravel_index(met, log_posterior.shape), strict=True)]
    return [_State(*point) for point in zip(*columns, strict=True)], times / _N_STATES


def _mixes(rings: FloatArray) -> list[_Mix]:
    """All phases alike, or one of them prevailing."""
    n = max(int(np.sum(_first_of_group(rings) == first)) for first in rings)
    return [_Mix(0, 0.0), *(_Mix(ring, share) for ring in range(n) for share in _PREVAILING)]


def _length_of(rings: FloatArray, window: float) -> float:
    """Length in ln radius of what is modelled about the widest group of rings."""
    return 2.0 * window + float(np.max(rings - _first_of_group(rings)))


def _peaks(log_radius: FloatArray) -> FloatArray:
    """Ln radii at which most hexagons lie, and NaN for no such crystal."""
    if not len(log_radius):
        return np.array([np.nan])
    grid = np.arange(log_radius.min() - 2.0 * _BLUR, log_radius.max() + 2.0 * _BLUR, 0.5 * _BLUR)
    height = _normal(grid[:, None] - log_radius, np.full(len(log_radius), _BLUR)).sum(axis=1)
    top = np.flatnonzero((height[1:-1] >= height[:-2]) & (height[1:-1] > height[2:])) + 1
    top = top[np.argsort(-height[top], kind="stable")][:_N_RADII]
    return np.append(grid[np.sort(top)], np.nan)


def _candidates(seen: _Seen, rings: FloatArray, shifts: FloatArray, mix: _Mix, width: FloatArray) -> FloatArray:
    """Density of each hexagon of a candidate in ln radius by scale (S, M).

    Most lie on the rings; some stray between those that are alike, and about the ring of a phase that prevails.
    """
    out = np.full((len(shifts), len(seen.first)), 1e-6)
    for first in np.unique(seen.first):
        group = rings[_first_of_group(rings) == first]
        ring = min(mix.ring, len(group) - 1)
        weight = np.full(len(group), (1.0 - mix.prevails) / len(group))
        weight[ring] += mix.prevails
        centre = group[ring] if mix.prevails == 1.0 else 0.5 * (group[0] + group[-1])
        low, high = min(group[0], centre - 0.5 * _CELL_RANGE), max(group[-1], centre + 0.5 * _CELL_RANGE)
        rows = np.flatnonzero(seen.first == first)
        off, sigma = seen.log_radius[rows] - shifts[:, None], width[rows]
        strays = _between(off - low, high - low, sigma)
        on_ring = sum(share * _normal(off - one, sigma) for one, share in zip(group, weight, strict=True))
        out[:, rows] += (1.0 - _STRAYS) * on_ring + _STRAYS * strays
    return out


def _others(seen: _Seen, plain: FloatArray, halved: FloatArray, length: float, width: FloatArray) -> FloatArray:
    """Density of each hexagon of other crystals in ln radius and light, by the radii of two of them (P, H, M)."""

    def of_one(radii: FloatArray) -> FloatArray:
        off = seen.log_radius - radii[:, None]
        strays = _between(off + 0.5 * _CELL_RANGE, _CELL_RANGE, width)
        return np.nan_to_num((1.0 - _STRAYS) * _normal(off, width) + _STRAYS * strays)

    n = (np.isfinite(plain)[:, None] + np.isfinite(halved).astype(int))[..., None]
    free = np.where(n > 0, _ANYTHING, 1.0)
    anything = 0.5 * (1.0 + seen.light) / length
    own = of_one(plain)[:, None] + of_one(halved) * seen.light
    return np.asarray(free * anything + (1.0 - free) / np.maximum(n, 1) * own)


def _between(off: FloatArray, span: float, sigma: FloatArray) -> FloatArray:
    """Density at an offset from the lower end of a span, if it is anywhere within, with a Gaussian error."""
    return np.asarray((special.ndtr(off / sigma) - special.ndtr((off - span) / sigma)) / span)


def _normal(off: FloatArray, sigma: FloatArray) -> FloatArray:
    return np.asarray(np.exp(-0.5 * (off / sigma) ** 2) / (np.sqrt(2.0 * np.pi) * sigma))
