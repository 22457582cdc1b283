"""Neighbours are added up where they see the same pattern, and kept apart where they do not."""

from __future__ import annotations

import numpy as np
import pytest

from friedel.patterns.neighbours import excess_light, pool_neighbours, unlikeness

JUDGED = np.hypot(*(np.indices((64, 64)) - 31.5)) > 6


def _mean_pattern(angle_rad, radius_px=20.0, share=0.03):
    rows, columns = np.indices((64, 64)) - 31.5
    light = 0.6 * np.exp(-0.5 * (rows**2 + columns**2) / 1.5) / (2 * np.pi * 1.5) + 0.15 / 64**2
    for turn in angle_rad + np.arange(6) * np.pi / 3:
        spot = (rows - radius_px * np.sin(turn)) ** 2 + (columns - radius_px * np.cos(turn)) ** 2
        light += share * np.exp(-0.5 * spot / 1.5) / (2 * np.pi * 1.5)
    return light


def _two_grains(dose, rng, boundary=6):
    mean = np.empty((8, 12, 64, 64))
    mean[:, :boundary], mean[:, boundary:] = _mean_pattern(0.1), _mean_pattern(0.1 + np.pi / 6, 14.0)
    return rng.poisson(dose * mean).astype(np.float32), dose * mean


@pytest.mark.parametrize("mean_count", [0.05, 0.5, 5.0])
@pytest.mark.parametrize("ratio", [1.0, 3.0])
def test_unlikeness_of_like_patterns_is_standard_whatever_the_counts(mean_count, ratio):
    rng = np.random.default_rng(0)
    level = mean_count * rng.uniform(0.2, 2.0, 300)
    found = unlikeness(rng.poisson(level, (4000, 300)), rng.poisson(ratio * level, (4000, 300)))
    assert found.mean() == pytest.approx(0.0, abs=0.08)
    assert found.std() < 1.08
    if mean_count >= 0.5:
        assert found.std() > 0.9


def test_patterns_without_counts_are_alike():
    assert unlikeness(np.zeros(10), np.zeros(10)) == 0.0


@pytest.mark.parametrize("dose", [100, 1000])
def test_within_a_grain_nearly_nine_patterns_are_added_and_stay_poisson(dose):
    mean = np.broadcast_to(dose * _mean_pattern(0.3), (12, 12, 64, 64))
    counts = np.random.default_rng(1).poisson(mean).astype(np.float32)
    pooled, amount = pool_neighbours(counts, JUDGED)
    inner = np.s_[1:-1, 1:-1]
    assert amount[inner].mean() > 8.3
    expected = amount[inner][..., None, None] * mean[inner]
    deviation = (pooled[inner] - expected) / np.sqrt(expected)
    assert deviation.mean() == pytest.approx(0.0, abs=0.02)
    assert deviation.var() == pytest.approx(1.0, abs=0.06)


def test_at_the_edge_of_a_block_only_what_is_there_is_added():
    counts = np.ones((3, 3, 64, 64), dtype=np.float32)
    pooled, amount = pool_neighbours(counts, JUDGED)
    np.testing.assert_allclose(amount, [[4, 6, 4], [6, 9, 6], [4, 6, 4]])
    np.testing.assert_allclose(pooled[..., 0, 0], amount)


@pytest.mark.parametrize("dose", [300, 1000, 10000])
def test_nothing_is_added_across_a_boundary(dose):
    counts, _ = _two_grains(dose, np.random.default_rng(2))
    pooled, amount = pool_neighbours(counts, JUDGED)
    foreign = _mean_pattern(0.1 + np.pi / 6, 14.0) > 0.004  # spots that only the other grain has
    alone = _mean_pattern(0.1)[foreign].sum()
    at_boundary = pooled[:, 5][:, foreign].sum(axis=1) / (dose * amount[:, 5])
    inside = pooled[:, 2][:, foreign].sum(axis=1) / (dose * amount[:, 2])
    assert amount[1:-1, 5].mean() == pytest.approx(6.0, abs=0.5)
    assert at_boundary.mean() == pytest.approx(inside.mean(), abs=0.1 * _mean_pattern(0.1)[foreign].sum() + 0.004)
    assert at_boundary.mean() < 1.3 * alone


def test_the_light_of_a_crystal_is_not_added_to_the_film_beside_it():
    rng, bright = np.random.default_rng(4), _mean_pattern(0.1, share=0.06)
    film = _mean_pattern(0.0, share=0.0) * 0.3
    mean = np.broadcast_to(bright, (8, 12, 64, 64)).copy()
    mean[:, 6:] = film
    counts = rng.poisson(100 * mean).astype(np.float32)
    pooled, amount = pool_neighbours(counts, JUDGED)
    spots = (bright > 0.004) & JUDGED
    given = pooled[:, 6][:, spots].sum(axis=1) / amount[:, 6]
    assert given.mean() < 100 * film[spots].sum() + 0.05 * 100 * bright[spots].sum()
    assert amount[1:-1, 8].mean() > 8.0


@pytest.mark.parametrize("ratio", [1.0, 1.9])
def test_a_crystal_half_as_bright_is_still_the_same_crystal(ratio):
    rng = np.random.default_rng(5)
    brightness = np.broadcast_to(np.where(np.arange(8) % 2, ratio, 1.0)[:, None, None], (12, 8, 1, 1))
    counts = rng.poisson(200 * _mean_pattern(0.1) * brightness)
    _, amount = pool_neighbours(counts.astype(np.float32), JUDGED)
    assert amount[1:-1, 1:-1].mean() > 8.2


def test_excess_light_counts_standard_deviations_beyond_twice():
    # 30 of 90 is just twice as much; 12 of 90 lacks 18 of what has the variance 90 * 1/3 * 2/3.
    np.testing.assert_allclose(excess_light(np.array([30.0, 12.0, 78.0]), np.array([60.0, 78.0, 12.0])),
                               [0.0, 18.0 / np.sqrt(20.0), 18.0 / np.sqrt(20.0)])  # fmt: skip
    assert excess_light(np.array(0.0), np.array(0.0)) == 0.0


def test_the_answer_does_not_depend_on_the_rows_that_are_looked_at_together():
    counts, _ = _two_grains(500, np.random.default_rng(3))
    whole, amount = pool_neighbours(counts, JUDGED)
    part, part_amount = pool_neighbours(counts[2:6], JUDGED)
    np.testing.assert_array_equal(part[1:-1], whole[3:5])
    np.testing.assert_array_equal(part_amount[1:-1], amount[3:5])


def test_rows_and_columns_are_not_mistaken():
    counts = np.zeros((2, 3, 64, 72), dtype=np.float32)
    counts[0, 2, 5, 60] = 4.0
    pooled, _ = pool_neighbours(counts, np.ones((64, 72), dtype=bool))
    assert pooled[1, 1, 5, 60] > 0
    assert pooled[0, 0].sum() == 0
    assert pooled[1, 0].sum() == 0
