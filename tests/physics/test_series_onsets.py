"""Onsets: found in the right frame for every law of growth, and seldom where nothing changes."""

from __future__ import annotations

import numpy as np
import pytest

from friedel.core.errors import DataError
from friedel.identify.series.onsets import LEAST_CHANCE, find_rises, judge_rises, rise_statistics, tail_probability

#: How the amplitude grows with frames since the onset, as a share of its last.
GROWTHS = {
    "step": lambda t: (t > 0).astype(float),
    "area": lambda t: np.clip(t / 20, 0, 1),
    "diameter": lambda t: np.sqrt(t / 60),
    "saturating": lambda t: 1 - np.exp(-t / 10),
}


def powers(rng, n, onset, height=10.0, growth="area", *, frames=100, film=0.4, spots=3, blink=0.0):
    """Powers (n, frames) of spots: a growing wave, film that stays, shot noise, and film that comes and goes slowly."""
    shape = (n, spots, frames)

    def speckle(*size):
        return np.sqrt(0.5) * (rng.normal(size=size) + 1j * rng.normal(size=size))

    grown = GROWTHS[growth](np.clip(np.arange(frames) - onset + 1, 0, None).astype(float))
    wave = height * grown * np.exp(2j * np.pi * rng.uniform(size=(n, spots, 1)))
    still = np.sqrt(film) * speckle(n, spots, 1)
    slow = speckle(*shape)
    for t in range(1, frames):
        slow[..., t] = 0.9 * slow[..., t - 1] + np.sqrt(1 - 0.81) * slow[..., t]
    field = wave + still + np.sqrt(blink) * slow + np.sqrt(1 - film - blink) * speckle(*shape)
    return (np.abs(field) ** 2).mean(axis=1)


@pytest.mark.parametrize("growth", GROWTHS)
@pytest.mark.parametrize("onset", [6, 40])
def test_onset_is_found_whatever_the_law_of_growth(growth, onset):
    found = find_rises(powers(np.random.default_rng(2), 40, onset, growth=growth))
    error = found.frame - onset
    assert abs(error.mean()) < 0.7
    assert (np.abs(error) <= 1).mean() >= 0.75
    assert ((found.low <= onset) & (onset <= found.high)).mean() >= 0.9
    assert (found.high - found.low).mean() < 6


def test_what_vanishes_later_does_not_move_its_onset():
    rising = powers(np.random.default_rng(3), 30, 30)
    falling = rising.copy()
    falling[:, 70:] = powers(np.random.default_rng(4), 30, 999)[:, :30]
    np.testing.assert_allclose(find_rises(falling).frame, find_rises(rising).frame, atol=2)


def test_onsets_do_not_depend_on_the_unit_of_brightness_beyond_noise():
    series = 50 * powers(np.random.default_rng(5), 20, 40)
    np.testing.assert_array_equal(find_rises(series).frame, find_rises(4 * series).frame)


@pytest.mark.parametrize("blink", [0.0, 0.4])
def test_series_in_which_nothing_changes_seldom_name_an_onset(blink):
    """300 series of six units; film that comes and goes does so for the controls as well."""
    rng = np.random.default_rng(6)
    wanted, runs, n = 0.2, 300, 6
    appear = there = 0
    for _ in range(runs):
        power = powers(rng, n * 17, 999, frames=20, spots=1, film=0.3, blink=blink).reshape(n, 17, 20)
        verdict = judge_rises(power[:, 0], power[:, 1:], wanted)
        appear, there = appear + verdict.appears.sum(), there + verdict.is_first.sum()
    # 60 are promised of each; the tail of so few controls is known to half of that, and a test that never says
    # anything would not be held by the upper bound alone.
    assert 10 <= appear <= 1.5 * wanted * runs
    assert 10 <= there <= 1.5 * wanted * runs


def test_unit_that_is_there_from_the_first_frame_does_not_appear():
    rng = np.random.default_rng(7)
    controls = powers(rng, 160, 999, frames=30).reshape(10, 16, 30)
    power = powers(rng, 10, -50, height=6.0, growth="step", frames=30)
    verdict = judge_rises(power, controls, 0.05)
    assert verdict.is_first.all()
    assert not verdict.appears.any()
    late = judge_rises(powers(rng, 10, 12, frames=30), controls, 0.05)
    assert late.appears.all()
    assert not late.is_first.any()


def test_stated_chances_of_rising_are_met_by_chance():
    rng = np.random.default_rng(8)
    sample = rise_statistics(powers(rng, 600, 999, frames=24, spots=1))
    chance = tail_probability(rise_statistics(powers(rng, 2000, 999, frames=24, spots=1)), sample)
    for level in (0.3, 0.1, 0.02):
        assert (chance <= level).mean() == pytest.approx(level, rel=0.4)


def test_no_chance_is_said_to_be_less_than_can_be_known():
    sample = np.random.default_rng(9).exponential(size=200)
    assert tail_probability(np.array([1e4]), sample)[0] == LEAST_CHANCE
    with pytest.raises(DataError, match="At least 10 controls"):
        tail_probability(np.ones(1), sample[:9])


def test_five_frames_are_too_few():
    with pytest.raises(DataError, match="at least 6 frames, got 5"):
        find_rises(np.ones((1, 5)))
