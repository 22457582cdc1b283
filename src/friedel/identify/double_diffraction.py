"""Spots that may be diffracted twice: sums of two brighter spots of one phase."""

from __future__ import annotations

import itertools

import numpy as np

from friedel.core.arrays import FloatArray, IntArray
from friedel.core.spots import Spots

#: Distance in 1/Å, beyond three sigma, up to which a spot lies at a sum of two others.
TOLERANCE_INV_A = 0.003


def double_diffraction(spots: Spots, posterior: FloatArray) -> IntArray:
    """Find spots that are the sum of two brighter spots of a phase, or twice one of them.

    Parameters
    ----------
    spots
        N spots of one pattern, brightest first, one of each Friedel pair.
    posterior
        (N, P + 1) probabilities of the phases, the last of none.

    Returns
    -------
    IntArray
        (N,) index of the phase whose spots add up to the spot, where that is not its likeliest phase; else -1.

    Notes
    -----
    Twice diffracted beams appear where the structure factor vanishes (the 002 of antifluorite Li2O as 111 + 1-1-1),
    and where another phase may have a reflection.
    """
    found = np.full(len(spots), -1, dtype=np.int64)
    leading = posterior.argmax(axis=1)
    n_phases = posterior.shape[1] - 1
    for i in range(len(spots)):
        reach = TOLERANCE_INV_A + 3 * float(np.hypot(*spots.sigma_inv_a[i]))
        for p in range(n_phases):
            parents = [j for j in range(i) if leading[j] == p and posterior[j, p] > 0.5]
            if leading[i] != p and _is_sum(spots.k_inv_a[i], spots.k_inv_a[parents], reach):
                found[i] = p
                break
    return found


def share_with_double_diffraction(posterior: FloatArray, twice: IntArray) -> FloatArray:
    """Give half of the leading probability of each spot to the phase that may have diffracted twice, (N, P + 1)."""
    shared = posterior.copy()
    for i in np.flatnonzero(twice >= 0):
        leading = int(posterior[i].argmax())
        half = 0.5 * posterior[i, leading]
        shared[i, leading] -= half
        shared[i, twice[i]] += half
    return shared


def _is_sum(k: FloatArray, parents: FloatArray, reach: float) -> bool:
    """Tell whether k is a sum or difference of two of the parents (Q, 2), or twice one of them."""
    for a, b in itertools.combinations_with_replacement(range(len(parents)), 2):
        for sign_a, sign_b in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
            if np.hypot(*(k - sign_a * parents[a] - sign_b * parents[b])) < reach:
                return True
    return False
