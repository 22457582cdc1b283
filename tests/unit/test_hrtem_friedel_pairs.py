from __future__ import annotations

import numpy as np
import pytest

from friedel.core.errors import DataError
from friedel.core.spots import Spots
from friedel.spots.friedel_pairs import pair_friedel


def spots_at(k: np.ndarray) -> Spots:
    n = len(k)
    return Spots(k, np.full((n, 2), 0.002), np.ones(n), np.ones(n), np.array([0, n]))


def test_pairs_give_the_vector_and_the_centre_however_far_off_it_is():
    half = np.array([[0.3, 0.1], [0.1, -0.4], [0.0, 0.5]])
    shift = np.array([0.004, -0.003])
    pairs = pair_friedel(spots_at(np.concatenate([half, -half]) + shift), 0.02)
    assert len(pairs) == 3
    np.testing.assert_allclose(pairs.centre_offset_inv_a, np.tile(shift, (3, 1)), atol=1e-12)
    for k in half:
        assert np.abs(pairs.k_inv_a - k).sum(axis=1).min() < 1e-12
    np.testing.assert_allclose(pairs.sigma_inv_a, 0.002 / np.sqrt(2))


def test_spot_without_partner_stays_alone_and_none_is_used_twice():
    pairs = pair_friedel(spots_at(np.array([[0.3, 0.1], [-0.3, -0.1], [-0.301, -0.1], [0.2, 0.2]])), 0.01)
    assert pairs.index.tolist() == [[0, 1]]


def test_half_of_a_diffractogram_has_no_pairs():
    assert len(pair_friedel(spots_at(np.array([[0.3, 0.1], [0.1, 0.4]])), 0.01)) == 0
    assert len(pair_friedel(Spots.empty(), 0.01)) == 0


def test_spots_of_several_patterns_are_refused():
    two = Spots.join([spots_at(np.ones((1, 2))), spots_at(np.ones((1, 2)))], (1, 2))
    with pytest.raises(DataError, match="within one pattern"):
        pair_friedel(two, 0.01)
