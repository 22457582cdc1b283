from __future__ import annotations

import numpy as np
import pytest

from friedel.core.errors import DataError
from friedel.identify.grains.groups import group_by_place
from friedel.identify.grains.spacings import SpacingOptions, match_spacings, reference_spacings, spot_name

HKL = np.array([[1, 0, 0], [1, 1, 0], [2, 0, 0]])


def phase(name: str, *d_a: float):
    return reference_spacings(name, np.array(d_a), np.ones(len(d_a)), HKL[: len(d_a)])


def match(d_a, phases, scale_sigma=0.0, sigma=0.001, **options):
    d_a = np.asarray(d_a, dtype=float)
    return match_spacings(d_a, np.full(len(d_a), sigma), phases, scale_sigma=scale_sigma, range_a=(1.0, 6.0),
                          options=SpacingOptions(**options))  # fmt: skip


def test_spacing_far_from_all_phases_is_unknown():
    found = match([3.0], [phase("a", 2.0), phase("b", 2.4)])
    assert found.names == ("unknown",)
    assert found.posterior[0, -1] > 0.99


def test_two_phases_with_the_same_spacing_are_both_named_and_neither_reaches_one_half():
    found = match([2.0], [phase("a", 2.0), phase("b", 2.0)])
    assert found.names == ("a|b",)
    assert (found.posterior[0, :2] < 0.5).all()


def test_probabilities_add_up_to_one():
    found = match([2.0, 2.01, 3.3], [phase("a", 2.0, 3.3), phase("b", 2.02)], scale_sigma=0.01)
    np.testing.assert_allclose(found.posterior.sum(axis=1), 1)


def test_one_shared_scale_error_is_found_and_undone():
    phases = [phase("a", 2.0, 3.1, 1.4), phase("b", 2.06, 2.5)]
    found = match(np.array([2.0, 3.1, 1.4]) * 1.03, phases, scale_sigma=0.02)
    assert found.names == ("a", "a", "a")
    assert found.scale == pytest.approx(1 / 1.03, abs=3 * found.scale_sigma)
    assert found.scale_sigma < 0.01
    nearest_alone = match(np.array([2.0]) * 1.03, phases, scale_sigma=0.0)
    assert nearest_alone.names == ("b",)


def test_spots_of_one_spacing_are_one_witness_of_the_scale():
    phases = [phase("a", 2.0)]
    one, many = (match([2.02] * n, phases, scale_sigma=0.02) for n in (1, 12))
    assert many.scale == pytest.approx(one.scale, abs=1e-9)
    assert many.scale_sigma == pytest.approx(one.scale_sigma, rel=1e-6)


def test_phase_with_many_spacings_explains_a_spot_less_well_than_one_with_few():
    d = np.linspace(1.5, 3.0, 80)
    crowd = reference_spacings("crowd", d, np.ones(80), np.tile([1, 1, 1], (80, 1)))
    found = match([d[40]], [phase("few", float(d[40])), crowd])
    assert found.posterior[0, 0] > 2 * found.posterior[0, 1]


def test_priors_move_what_spacings_leave_open():
    phases = [phase("a", 2.0), phase("b", 2.0)]
    found = match_spacings(np.array([2.0]), np.array([0.001]), phases, scale_sigma=0.0, range_a=(1, 6),
                           priors=np.array([0.9, 0.1]))  # fmt: skip
    assert found.posterior[0, 0] == pytest.approx(9 * found.posterior[0, 1])


def test_no_spots_give_an_empty_match():
    found = match([], [phase("a", 2.0)], scale_sigma=0.015)
    assert found.names == ()
    assert found.scale == pytest.approx(1)
    assert found.scale_sigma == pytest.approx(0.015, rel=0.02)


def test_best_family_is_that_at_the_fitted_scale():
    found = match([2.0, 3.1], [phase("a", 3.1, 2.0, 1.4)])
    assert found.best_hkl[:, 0].tolist() == [[1, 1, 0], [1, 0, 0]]
    np.testing.assert_allclose(found.best_d_a[:, 0], [2.0, 3.1])


def test_equal_spacings_are_merged_into_the_strongest():
    merged = reference_spacings("a", np.array([2.0, 2.0, 1.5]), np.array([1.0, 3.0, 1.0]), HKL)
    assert merged.d_a.tolist() == [2.0, 1.5]
    assert merged.hkl[0].tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    ("posterior", "name"),
    [
        ((0.9, 0.05, 0.05), "a"),
        ((0.6, 0.35, 0.05), "a|b"),
        ((0.2, 0.1, 0.7), "unknown"),
        ((0.45, 0.01, 0.44), "unknown"),
    ],
)
def test_name_says_no_more_than_the_probabilities(posterior, name):
    assert spot_name(np.array(posterior), ("a", "b"), 10.0) == name


def test_impossible_input_is_refused():
    with pytest.raises(DataError, match="positive"):
        match([-1.0], [phase("a", 2.0)])
    with pytest.raises(DataError, match="--phases"):
        match([2.0], [])


def disk(y: int, x: int) -> np.ndarray:
    rows, cols = np.indices((200, 200))
    return np.hypot(rows - y, cols - x) < 40


def test_spots_that_fill_the_same_place_are_of_one_grain():
    groups = group_by_place([disk(60, 60), disk(140, 140), disk(64, 62), np.zeros((200, 200), bool)])
    assert groups[0] == groups[2]
    assert len(set(groups.tolist())) == 3
