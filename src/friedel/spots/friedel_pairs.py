"""Friedel pairs: spots at k and -k of a camera's pattern."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from friedel.core.arrays import FloatArray, IntArray
from friedel.core.errors import DataError
from friedel.core.spots import Spots


@dataclass(frozen=True, slots=True, eq=False)
class FriedelPairs:
    """Pairs of spots of one pattern that lie opposite each other.

    Parameters
    ----------
    index
        Rows (Q, 2) of the spots of each pair, the one in the half ky > 0 (or ky = 0, kx > 0) first.
    k_inv_a
        Half the difference of the two positions, (Q, 2): free of the error of the centre.
    sigma_inv_a
        Its one-sigma error, (Q, 2).
    centre_offset_inv_a
        Mean of the two positions, (Q, 2): where the pair puts the transmitted beam.
    """

    index: IntArray
    k_inv_a: FloatArray
    sigma_inv_a: FloatArray
    centre_offset_inv_a: FloatArray

    def __len__(self) -> int:
        return len(self.index)


def pair_friedel(spots: Spots, tolerance_inv_a: float) -> FriedelPairs:
    """Pair the spots of a camera's pattern that lie opposite each other.

    Parameters
    ----------
    spots
        Spots of one pattern. Those of a diffractogram hold one half only, because the other is its exact copy and no
        second witness: they have no pairs, and need none.
    tolerance_inv_a
        Largest distance of one spot from the mirror image of the other, 1/Å; includes twice the error of the centre.

    Returns
    -------
    FriedelPairs
        Each spot in at most one pair; the closest pairs are made first.

    Raises
    ------
    DataError
        If the spots are of several patterns or the tolerance is not positive.
    """
    if spots.n_patterns != 1:
        raise DataError(f"Pairs are made within one pattern, got spots of {spots.n_patterns}. Use spots.of(index).")
    if not tolerance_inv_a > 0:
        raise DataError(f"tolerance_inv_a must be positive in 1/Å, got {tolerance_inv_a}.")
    index = _closest_pairs(spots.k_inv_a, tolerance_inv_a)
    first, second = spots.k_inv_a[index[:, 0]], spots.k_inv_a[index[:, 1]]
    swap = (first[:, 0] < second[:, 0]) | ((first[:, 0] == second[:, 0]) & (first[:, 1] < second[:, 1]))
    index[swap] = index[swap, ::-1]
    first, second = spots.k_inv_a[index[:, 0]], spots.k_inv_a[index[:, 1]]
    sigma = 0.5 * np.hypot(spots.sigma_inv_a[index[:, 0]], spots.sigma_inv_a[index[:, 1]])
    return FriedelPairs(index, 0.5 * (first - second), sigma, 0.5 * (first + second))


def _closest_pairs(k_inv_a: FloatArray, tolerance_inv_a: float) -> IntArray:
    """Rows (Q, 2) of mutually exclusive pairs, closest first."""
    if len(k_inv_a) < 2:
        return np.zeros((0, 2), dtype=np.int64)
    near = cKDTree(k_inv_a).query_ball_point(-k_inv_a, tolerance_inv_a)
    pairs = np.array([(i, j) for i, others in enumerate(near) for j in others if i < j], dtype=np.int64).reshape(-1, 2)
    order = np.argsort(np.hypot(*(k_inv_a[pairs[:, 0]] + k_inv_a[pairs[:, 1]]).T), kind="stable")
    used = np.zeros(len(k_inv_a), dtype=bool)
    chosen = []
    for i, j in pairs[order]:
        if not (used[i] or used[j]):
            used[[i, j]] = True
            chosen.append((i, j))
    return np.array(chosen, dtype=np.int64).reshape(-1, 2)
