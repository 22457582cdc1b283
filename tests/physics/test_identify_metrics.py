"""Figures of merit against values worked out by hand or stated by others."""

from __future__ import annotations

import math

import numpy as np
import pytest

from friedel.core.errors import DataError
from friedel.core.phase_map import PhaseMap
from friedel.identify.metrics import confusion_of, evaluate_map, evaluate_presence, kappa_of, reliability_of

#: Ten positions of O3, O1 and both: O3 at 0-4 and 6, O1 at 4-6; presence as found.
THERE = np.array([[1, 0]] * 4 + [[1, 1], [0, 1], [1, 1]] + [[0, 0]] * 3, dtype=bool)
FOUND = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.6], [0.2, 0.1], [0.9, 0.9], [0.2, 0.9], [0.4, 0.9],
                  [0.1, 0.1], [0.6, 0.1], [0.1, 0.1]])  # fmt: skip


def map_of(presence: np.ndarray, phases: tuple[str, ...] = ("o3", "o1"), shape: tuple[int, int] = (2, 5)) -> PhaseMap:
    return PhaseMap(phases, presence.reshape(*shape, -1).astype(np.float32), np.ones(shape, dtype=bool))


def test_kappa_of_the_textbook_table() -> None:
    # p_o = 35/50, p_e = 0.5 x 0.6 + 0.5 x 0.4.
    assert kappa_of(np.array([[20, 5], [10, 15]])) == pytest.approx(0.4)


def test_kappa_of_the_example_of_scikit_learn() -> None:
    # cohen_kappa_score(negative positive negative neutral positive, negative positive negative neutral negative)
    _, table = confusion_of(np.array([0, 2, 0, 1, 2]), np.array([0, 2, 0, 1, 0]))
    assert kappa_of(table) == pytest.approx(0.6875)


def test_kappa_is_zero_for_chance_and_undefined_where_all_is_one_class() -> None:
    assert kappa_of(np.array([[9, 21], [21, 49]])) == pytest.approx(0.0)
    assert math.isnan(kappa_of(np.array([[7]])))


def test_scores_of_a_small_map_by_hand() -> None:
    result = evaluate_presence(("o3", "o1"), FOUND, THERE)
    o3, o1 = result.phases
    # O3: there at 6 positions, named at 5 (0, 1, 2, 4, 8), 4 of them right.
    assert (o3.n_there, o3.n_named, o3.n_both) == (6, 5, 4)
    assert (o3.precision, o3.recall) == (pytest.approx(4 / 5), pytest.approx(4 / 6))
    assert o3.f1 == pytest.approx(2 * 0.8 * (4 / 6) / (0.8 + 4 / 6))
    assert o3.iou == pytest.approx(4 / 7)
    # O1: there at 3, named at 4 (2, 4, 5, 6), 3 right.
    assert (o1.precision, o1.recall, o1.iou) == (pytest.approx(0.75), 1.0, pytest.approx(0.75))
    # Right sets: 0, 1, 4, 5, 7, 9.
    assert result.accuracy == pytest.approx(0.6)
    assert result.false_naming == pytest.approx(1 / 3)
    assert result.sets.tolist() == [0, 1, 2, 3]
    assert result.confusion.tolist() == [[2, 1, 0, 0], [1, 2, 0, 1], [0, 0, 1, 0], [0, 0, 1, 1]]
    # p_e = (3 x 3 + 4 x 3 + 1 x 2 + 2 x 2) / 100
    assert result.kappa == pytest.approx((0.6 - 0.27) / 0.73)


def test_calibration_error_by_hand() -> None:
    presence = np.array([0.95] * 10 + [0.25] * 30)
    there = np.array([True] * 7 + [False] * 3 + [True] * 9 + [False] * 21)
    # Bins 0.9-1: |0.7 - 0.95| of 10; 0.2-0.3: |0.3 - 0.25| of 30.
    found = reliability_of(presence, there)
    assert found.calibration_error == pytest.approx((10 * 0.25 + 30 * 0.05) / 40)
    assert found.n.tolist() == [0, 0, 30, 0, 0, 0, 0, 0, 0, 10]
    assert found.found[2] == pytest.approx(0.3)
    assert np.isnan(found.found[0])


def test_honest_probabilities_are_calibrated_and_their_squares_are_not() -> None:
    rng = np.random.default_rng(1)
    chance = rng.random(100_000)
    there = rng.random(100_000) < chance
    assert reliability_of(chance, there).calibration_error < 0.01
    # The mean of p - p^2 over p in 0..1.
    assert reliability_of(chance**2, there).calibration_error == pytest.approx(1 / 6, abs=0.01)


def test_certainties_belong_to_the_outer_bins() -> None:
    assert reliability_of(np.array([0.0, 1.0]), np.array([False, True])).n.tolist() == [1] + [0] * 8 + [1]


def test_names_may_come_in_any_order() -> None:
    straight = evaluate_map(map_of(FOUND), map_of(THERE.astype(float)))
    turned = evaluate_map(map_of(FOUND), map_of(THERE[:, ::-1].astype(float), ("o1", "o3")))
    assert straight.accuracy == pytest.approx(0.6)
    assert turned.confusion.tolist() == straight.confusion.tolist()


def test_foreign_phase_alone_should_be_none() -> None:
    truth = np.column_stack([THERE, ~THERE.any(axis=1)]).astype(float)
    result = evaluate_map(map_of(FOUND), map_of(truth, ("o3", "o1", "spinel")))
    (spinel,) = result.foreign
    assert (spinel.phase, spinel.n_alone, spinel.n_named) == ("spinel", 3, 1)
    assert spinel.false_naming == pytest.approx(1 / 3)
    assert result.accuracy == pytest.approx(0.6)


def test_positions_that_are_not_valid_do_not_count() -> None:
    found, truth = map_of(FOUND), map_of(THERE.astype(float))
    valid = truth.valid.copy()
    valid[1, 3] = False  # position 8, which is wrong
    masked = PhaseMap(truth.phases, truth.presence, valid)
    assert evaluate_map(found, masked).accuracy == pytest.approx(6 / 9)
    assert evaluate_map(found, masked).false_naming == 0.0


def test_maps_that_do_not_belong_together_are_refused() -> None:
    found, truth = map_of(FOUND), map_of(THERE.astype(float))
    with pytest.raises(DataError, match="2 x 5 positions and the truth 5 x 2"):
        evaluate_map(found, map_of(THERE.astype(float), shape=(5, 2)))
    with pytest.raises(DataError, match=r"knows o3, o1 and the truth a, b: no name is in both"):
        evaluate_map(found, map_of(THERE.astype(float), ("a", "b")))
    with pytest.raises(DataError, match="nothing to compare"):
        evaluate_map(found, PhaseMap(truth.phases, truth.presence, np.zeros((2, 5), dtype=bool)))
