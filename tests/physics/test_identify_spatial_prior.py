"""Neighbours sharpen a map, and find no grains that no position shows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from friedel.core.arrays import BoolArray, FloatArray
from friedel.core.errors import DataError
from friedel.identify.metrics import reliability_of
from friedel.identify.spatial_prior import MAX_STRENGTH, Smoothed, agreement_of, smooth_posterior

SHAPE = (40, 48)
ALL = np.ones(SHAPE, dtype=bool)
#: None, and each of two phases alone.
NAMES = ((), (0,), (1,))


def grains() -> FloatArray:
    """States (ry, rx, 3), one of them 1: a disk of the first phase, a half plane of the second, none between."""
    y, x = np.indices(SHAPE)
    first, second = (y - 14) ** 2 + (x - 14) ** 2 < 100, x > 30
    return np.stack([~first & ~second, first, second], axis=-1).astype(np.float64)


def calibrated(there: FloatArray, spread: float, seed: int = 0) -> FloatArray:
    """Probabilities of the states by Bayes' rule, from evidence of unit noise about ``spread`` where each is."""
    evidence = spread * there + np.random.default_rng(seed).normal(size=there.shape)
    return np.asarray(special.softmax(spread * evidence + np.log(there.mean(axis=(0, 1))), axis=-1))


def smoothed(posterior: FloatArray, valid: BoolArray = ALL, strength: float | None = None, seed: int = 0) -> Smoothed:
    agreement = agreement_of(NAMES[: posterior.shape[2]])
    return smooth_posterior(posterior, valid, agreement, strength=strength, seed=seed)


def of_one(presence: FloatArray) -> FloatArray:
    """Probabilities of none and of one phase (ry, rx, 2)."""
    return np.stack([1.0 - presence, presence], axis=-1)


def test_agreement_is_the_share_of_phases_in_common() -> None:
    found = agreement_of(((), (0,), (1,), (0, 1)))
    assert np.array_equal(found, np.array([[1, 0, 0, 0], [0, 1, 0, 0.5], [0, 0, 1, 0.5], [0, 0.5, 0.5, 1]]))


def test_weak_evidence_is_sharpened_and_promises_no_more_than_is_so() -> None:
    """Held below the critical strength, neighbours say rather less than grains of this size would allow."""
    there = grains()
    posterior = calibrated(there, 1.2)
    found = smoothed(posterior).posterior
    wrong = [float((p.argmax(axis=2) != there.argmax(axis=2)).mean()) for p in (posterior, found)]
    assert wrong[0] > 0.2
    assert wrong[1] < 0.35 * wrong[0]
    told = reliability_of(found.ravel(), there.ravel() > 0.5)
    less_sure = np.where(told.promised > 0.5, told.found - told.promised, told.promised - told.found)
    assert (less_sure[told.n >= 100] > -0.05).all()
    assert told.calibration_error < 0.1


def test_exact_probabilities_of_a_small_map_are_reached() -> None:
    """All states of five positions; a sixth is not valid and has no say."""
    presence = np.array([[0.9, 0.4, 0.2], [0.6, 0.5, 0.3]])
    valid = np.array([[True, True, True], [True, True, False]])
    strength, mean, total = 0.5, np.zeros((2, 3)), 0.0
    for bits in range(32):
        state = np.zeros((2, 3), dtype=int)
        state[valid] = [bits >> i & 1 for i in range(5)]
        weight = float(np.where(state == 1, presence, 1.0 - presence)[valid].prod())
        for one, two in (((0, 0), (0, 1)), ((0, 1), (0, 2)), ((1, 0), (1, 1)), ((0, 0), (1, 0)), ((0, 1), (1, 1))):
            weight *= np.exp(strength * (state[one] == state[two]))
        total += weight
        mean += weight * state
    maps = [smoothed(of_one(presence), valid, strength, seed).posterior[..., 1] for seed in range(40)]
    assert np.mean(maps, axis=0)[valid] == pytest.approx((mean / total)[valid], abs=0.012)
    assert all(one[1, 2] == 0.0 for one in maps)


def test_without_strength_nothing_changes() -> None:
    posterior = calibrated(grains(), 1.2)
    assert smoothed(posterior, strength=0.0).posterior == pytest.approx(posterior, abs=1e-9)


def test_noise_is_given_no_name_that_it_had_not() -> None:
    """A phase that is nowhere, with a presence of one in twenty that differs by chance, also beyond a half."""
    presence = special.expit(np.random.default_rng(1).normal(-3.0, 1.2, SHAPE))
    named = presence >= 0.5
    assert 0 < named.sum() < 20
    for strength in (None, 0.35, MAX_STRENGTH):
        found = smoothed(of_one(presence), strength=strength)
        assert not ((found.posterior[..., 1] >= 0.5) & ~named).any()
        assert found.posterior[..., 1].mean() < 1.02 * presence.mean()
    assert not (found.posterior[..., 1] >= 0.5).any()
    assert smoothed(of_one(presence)).strength < 0.2


def test_even_doubt_stays_doubt() -> None:
    """Below the critical strength no grains form of themselves where no position knows anything."""
    assert np.log1p(np.sqrt(2.0)) > MAX_STRENGTH
    found = smoothed(of_one(np.full(SHAPE, 0.5)), strength=MAX_STRENGTH).posterior[..., 1]
    assert found.mean() == pytest.approx(0.5, abs=0.12)
    assert 0.1 < found.min() < found.max() < 0.9


def test_labels_without_order_teach_no_strength() -> None:
    there = np.random.default_rng(2).random(SHAPE) < 0.4
    found = smoothed(of_one(np.where(there, 0.98, 0.02)))
    assert found.strength < 0.1
    assert ((found.posterior[..., 1] >= 0.5) == there).all()


def test_grains_teach_strength() -> None:
    assert smoothed(0.97 * grains() + 0.01).strength == MAX_STRENGTH


def test_a_single_position_with_strong_evidence_survives_among_sure_neighbours() -> None:
    """Whether the map about it is none, which is all there is, or a phase that fills half of it."""
    for about in (1, 2):
        there = np.zeros((*SHAPE, 3))
        there[..., 1] = 1.0
        there[:, 16:] = np.eye(3)[about]
        there[20, 30] = np.eye(3)[0]
        found = smoothed(0.97 * there + 0.01, strength=MAX_STRENGTH).posterior
        assert found[20, 30, 0] > 0.6


def test_a_doubtful_position_within_a_grain_goes_with_it() -> None:
    posterior = 0.97 * grains() + 0.01
    posterior[14, 14] = (0.55, 0.3, 0.15)
    assert smoothed(posterior).posterior[14, 14].argmax() == 1


def test_edges_of_sure_grains_stay_where_they_are() -> None:
    there = grains()
    found = smoothed(0.91 * there + 0.03).posterior
    assert np.array_equal(found.argmax(axis=2), there.argmax(axis=2))


def test_a_wire_of_one_position_width_survives_where_it_is_sure() -> None:
    there = np.zeros(SHAPE, dtype=bool)
    there[:, 20] = True
    found = smoothed(of_one(np.where(there, 0.95, 0.05)), strength=MAX_STRENGTH).posterior[..., 1]
    assert np.array_equal(found >= 0.5, there)


def test_positions_that_are_not_valid_have_no_say() -> None:
    valid = np.ones((6, 9), dtype=bool)
    valid[:, 4] = False
    presence = np.where(np.arange(9) < 4, 0.7, 0.2) * np.ones((6, 1))
    other = np.where(valid, presence, 0.99)
    one, two = (smoothed(of_one(p), valid, 0.6).posterior for p in (presence, other))
    assert one.tobytes() == two.tobytes()
    assert not one[:, 4].any()


def test_a_map_without_a_valid_position_stays_empty() -> None:
    found = smoothed(calibrated(grains(), 1.2), ~ALL)
    assert (found.posterior.shape, found.strength) == ((*SHAPE, 3), 0.0)
    assert not found.posterior.any()


def test_equal_seeds_give_equal_bytes() -> None:
    posterior = calibrated(grains(), 1.2)
    one, two, other = (smoothed(posterior, seed=seed).posterior for seed in (3, 3, 4))
    assert one.tobytes() == two.tobytes()
    assert 0.0 < np.abs(one - other).max() < 0.25


def test_arguments_that_do_not_agree_are_refused() -> None:
    posterior = calibrated(grains(), 1.0)
    with pytest.raises(DataError, match=r"\(40, 48, 3\)"):
        smoothed(posterior, ALL[1:])
    with pytest.raises(DataError, match="strength"):
        smoothed(posterior, strength=1.0)
