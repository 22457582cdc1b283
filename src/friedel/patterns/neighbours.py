"""Adding up the counts of neighbouring positions of a scan where they see the same pattern."""

from __future__ import annotations

import numpy as np

from friedel.core.arrays import AnyArray, BoolArray, Float32Array, FloatArray

#: Pixels along each axis that are added up to one cell before two patterns are compared: about a spot.
_CELL_PX = 4
#: Up to this many standard deviations beyond what chance allows, two patterns count as alike; from the second on, as
#: different; in between in part.
_ALIKE, _DIFFERENT = 1.0, 3.0
#: Light beyond the beam by which one crystal may outshine another part of it that is thicker, or tilted otherwise.
_OUTSHINES = 2.0
#: Each pair of neighbours once: right, below, and below to either side.
_SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))


def pool_neighbours(electrons: AnyArray, judged: BoolArray) -> tuple[Float32Array, FloatArray]:
    """Add to each pattern those of its eight neighbours that are alike, so that boundaries are kept.

    Parameters
    ----------
    electrons
        Counts (ry, rx, ky, kx) in electrons.
    judged
        Pixels (ky, kx) by which likeness is judged: valid ones away from the transmitted beam.

    Returns
    -------
    pooled (ry, rx, ky, kx), counts of the 3 x 3 positions as of one longer exposure, and the number of patterns
    (ry, rx) that it amounts to.

    Notes
    -----
    With weights w, a sum of Poisson counts of mean m has the mean S(w) m and the variance S(w^2) m. Times S(w) / S(w^2)
    both are S(w)^2 / S(w^2) times m again. The weights fall from 1 to 0 as the unlikeness or the excess of light
    grows from 1 to 3.
    """
    ry, rx = electrons.shape[:2]
    cells = _cells(np.where(judged, electrons, 0.0))
    light = cells.sum(axis=-1)
    pooled = electrons.astype(np.float32)
    total, squares = np.ones((ry, rx)), np.ones((ry, rx))
    for dy, dx in _SHIFTS:
        first = np.s_[: ry - dy, max(0, -dx) : rx - max(0, dx)]
        second = np.s_[dy:, max(0, dx) : rx - max(0, -dx)]
        unlike = np.maximum(unlikeness(cells[first], cells[second]), excess_light(light[first], light[second]))
        weight = np.clip((_DIFFERENT - unlike) / (_DIFFERENT - _ALIKE), 0.0, 1.0)
        for here, there in ((first, second), (second, first)):
            pooled[here] += weight[..., None, None].astype(np.float32) * electrons[there]
            total[here] += weight
            squares[here] += weight**2
    pooled *= (total / squares)[..., None, None].astype(np.float32)
    return pooled, total**2 / squares


def unlikeness(first: AnyArray, second: AnyArray) -> FloatArray:
    """Standard deviations by which pairs of counts (..., cells) differ more than two draws of one mean pattern would.

    Given the sum k of a cell, the first count is binomial with the first pattern's share p of all counts. Its
    chi-squared, (n - p k)^2 / (p q k), has the mean 1 and the variance 2 + (1 - 6 p q) / (p q k), exactly, also for the
    smallest counts (fourth moment of the binomial distribution); their sum over m lit cells is compared with that. The
    part of the variance that follows the sums of both patterns, m^2 (1 - 2 p)^2 / (p q sum of k), is not there, since p
    is taken from those sums. Where so few counts coincide that the variance falls below 1, it is taken as 1.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    k = a + b
    all_a, all_b = a.sum(axis=-1, keepdims=True), b.sum(axis=-1, keepdims=True)
    p = (all_a / np.maximum(all_a + all_b, 1e-12)).clip(1e-6, 1.0 - 1e-6)
    spread = p * (1.0 - p)
    lit = k > 0
    safe = np.where(lit, k, 1.0)
    excess = np.where(lit, (a - p * k) ** 2 / (spread * safe) - 1.0, 0.0)
    variance = np.where(lit, 2.0 + (1.0 - 6.0 * spread) / (spread * safe), 0.0).sum(axis=-1)
    variance -= lit.sum(axis=-1) ** 2 * ((1.0 - 4.0 * spread) / (spread * np.maximum(all_a + all_b, 1e-12)))[..., 0]
    return np.asarray(excess.sum(axis=-1) / np.sqrt(np.maximum(variance, 1.0)))


def excess_light(first: AnyArray, second: AnyArray) -> FloatArray:
    """Standard deviations by which one of two counts exceeds twice the other, 0 where none does.

    Of so few counts that they have no shape, as of a film beside a bright crystal, their number alone tells. Given the
    sum k of both, the lesser is binomial with a share of at least 1/3 unless one outshines the other.
    """
    k = np.asarray(first, dtype=np.float64) + second
    share = 1.0 / (1.0 + _OUTSHINES)
    lacking = share * k - np.minimum(first, second)
    return np.asarray(np.maximum(lacking, 0.0) / np.sqrt(np.maximum(share * (1.0 - share) * k, 1.0)))


def _cells(patterns: AnyArray) -> Float32Array:
    """Sums over cells of pixels (ry, rx, cells); what is left over at the far edges is not judged."""
    ry, rx, ky, kx = patterns.shape
    n, m = ky // _CELL_PX, kx // _CELL_PX
    whole = patterns[:, :, : n * _CELL_PX, : m * _CELL_PX]
    sums = whole.reshape(ry, rx, n, _CELL_PX, m, _CELL_PX).sum(axis=(3, 5), dtype=np.float32)
    return np.asarray(sums.reshape(ry, rx, n * m))
