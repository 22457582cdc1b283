"""Broken pixels are found and mended, spots are not; the gain comes out of the noise."""

from __future__ import annotations

import numpy as np
import pytest

from friedel.core.arrays import AnyArray, FloatArray
from friedel.patterns import repair
from friedel.patterns.masks import find_shadow
from friedel.patterns.repair import estimate_gain, find_bad_pixels, remove_spikes
from friedel.simulate.patterns.scan import ScanOptions, simulate_nmc811_scan

SHAPE = (64, 70)


def spotty_pattern(sigma_px: float = 1.0, electrons: float = 400.0) -> FloatArray:
    """Return a background of 2 electrons per pixel with four sharp spots."""
    y, x = np.indices(SHAPE, dtype=float)
    out = np.full(SHAPE, 2.0)
    for cy, cx in ((20.0, 20.3), (20.5, 50.0), (45.2, 33.7), (31.0, 35.0)):
        out += electrons / (2 * np.pi * sigma_px**2) * np.exp(-0.5 * ((y - cy) ** 2 + (x - cx) ** 2) / sigma_px**2)
    return out


def test_dead_hot_and_nan_pixels_are_found_and_nothing_else() -> None:
    mean = np.random.default_rng(0).poisson(spotty_pattern() * 200) / 200.0
    bad = {"dead": (10, 12), "hot": (50, 8), "very hot": (0, 0), "NaN": (40, 60), "infinite": (41, 20)}
    for kind, at in bad.items():
        mean[at] = {"dead": 0.0, "hot": 200.0, "very hot": 1e6, "NaN": np.nan, "infinite": np.inf}[kind]
    assert set(map(tuple, np.argwhere(find_bad_pixels(mean)).tolist())) == set(bad.values())


@pytest.mark.parametrize(("line", "value"), [(np.s_[40, :], 6e4), (np.s_[:, 12:14], 900.0), (np.s_[:, 69], 0.0)])
def test_rows_and_columns_that_are_hot_or_dead_as_a_whole_are_found(line: tuple[slice, ...], value: float) -> None:
    mean = np.random.default_rng(2).poisson(spotty_pattern() * 200) / 200.0
    mean[line] = value * np.random.default_rng(3).uniform(0.9, 1.1, mean[line].shape)
    expected = np.zeros(SHAPE, dtype=bool)
    expected[line] = True
    np.testing.assert_array_equal(find_bad_pixels(mean), expected)


def test_a_streak_of_light_that_ends_in_the_pattern_is_no_bad_line() -> None:
    mean = np.random.default_rng(5).poisson(spotty_pattern() * 200) / 200.0
    mean[30:33, 8:60] += 300.0
    assert not find_bad_pixels(mean).any()


@pytest.mark.parametrize("electrons", [1e-4, 0.01, 0.3, 5.0])
def test_lone_electrons_and_gaps_between_them_are_no_defects(electrons: float) -> None:
    y, x = np.indices(SHAPE, dtype=float)
    mean = 1e4 * electrons / (1.0 + np.hypot(y - 32, x - 35) ** 3) + 0.1 * electrons
    sample = np.random.default_rng(4).poisson(mean * 500) / 500.0
    assert not find_bad_pixels(sample).any()
    assert not find_bad_pixels(40.0 * sample).any()


def test_spikes_are_mended_from_their_surroundings_and_spots_are_kept() -> None:
    rng = np.random.default_rng(1)
    clean = rng.poisson(spotty_pattern(), (20, *SHAPE)).astype(np.uint16)
    hit = clean.copy()
    at = (np.arange(20), rng.integers(0, 64, 20), rng.integers(0, 12, 20))
    hit[at] = 5000
    mended = remove_spikes(hit, gain=1.0)
    assert mended[at].max() <= 8.0  # near the 2 electrons around it
    untouched = np.ones(clean.shape, dtype=bool)
    untouched[at] = False
    np.testing.assert_array_equal(mended[untouched], clean[untouched])


@pytest.mark.parametrize("gain", [1.0, 37.0, 0.01])
def test_spikes_are_judged_in_electrons(gain: float) -> None:
    pattern = np.zeros((1, *SHAPE))
    pattern[0, 30, 30], pattern[0, 10, 10] = 5.0 * gain, 50.0 * gain
    mended = remove_spikes(pattern, gain=gain)
    assert mended[0, 30, 30] == pytest.approx(5.0 * gain, rel=1e-5)
    assert mended[0, 10, 10] == 0.0


def test_invalid_and_nan_pixels_take_the_median_around_them() -> None:
    pattern = np.full((2, *SHAPE), 3.0)
    valid = np.ones(SHAPE, dtype=bool)
    valid[12], valid[30:40, 20:30] = False, False
    pattern[:, ~valid] = 1e6
    pattern[1, 50, 50] = np.nan
    mended = remove_spikes(pattern, gain=1.0, valid=valid)
    assert np.isfinite(mended).all()
    assert (mended[:, 12] == 3.0).all()
    assert mended[1, 50, 50] == 3.0
    assert mended[0, 34, 24] == 0.0  # too far from anything known


@pytest.mark.parametrize("gain", [1.0, 12.5, 0.02])
@pytest.mark.parametrize("level", [0.003, 0.03, 0.3, 3.0, 30.0])
def test_gain_is_recovered_from_flat_counts(level: float, gain: float) -> None:
    counts = np.random.default_rng(2).poisson(level, (60, 96, 96))
    assert estimate_gain(counts * gain) == pytest.approx(gain, rel=0.06)


@pytest.mark.parametrize("dose", [100.0, 1000.0, 10000.0])
@pytest.mark.parametrize("halo", [0.02, 0.25])
def test_gain_is_recovered_beside_beam_and_spots(dose: float, halo: float) -> None:
    options = ScanOptions((6, 8), dose_electrons=dose, halo_share=halo)
    patterns = np.asarray(simulate_nmc811_scan(1, options)[0].data).reshape(-1, 128, 128)
    assert estimate_gain(patterns * 12.5) == pytest.approx(12.5, rel=0.1)


def test_gain_leaves_nan_out() -> None:
    counts: AnyArray = np.random.default_rng(3).poisson(0.5, (40, *SHAPE)) * 4.0
    counts[3], counts[:, 20, 20] = np.nan, np.nan
    assert estimate_gain(counts) == pytest.approx(4.0, rel=0.06)


def test_patterns_without_light_have_gain_one() -> None:
    assert estimate_gain(np.zeros((4, *SHAPE), dtype=np.uint16)) == 1.0
    assert estimate_gain(np.full((4, *SHAPE), np.nan)) == 1.0


@pytest.mark.parametrize("dose", [100.0, 1000.0, 10000.0])
def test_faint_scan_has_no_shadow_and_no_bad_pixels(dose: float) -> None:
    patterns = np.asarray(simulate_nmc811_scan(1, ScanOptions((16, 20), dose_electrons=dose, halo_share=0.02))[0].data)
    mean = patterns.reshape(-1, 128, 128).mean(axis=0)
    assert not find_bad_pixels(mean).any()
    assert not find_shadow(mean).any()


@pytest.mark.parametrize("shape", [(3, 2, 2), (4, 5, 3), (6, 32, 24)])
def test_spikes_are_the_same_whether_looked_up_or_filtered(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int, int]
) -> None:
    rng = np.random.default_rng(0)
    patterns = rng.poisson(3.0, shape).astype(np.float32)
    patterns[rng.random(shape) < 0.05] *= 200
    cleaned = []
    for share in (-1.0, 2.0):
        monkeypatch.setattr(repair, "_MANY_PIXELS", share)
        cleaned.append(repair.remove_spikes(patterns, gain=1.0))
    np.testing.assert_array_equal(cleaned[0], cleaned[1])
    assert (cleaned[0] != patterns).any() or shape == (3, 2, 2)


def test_infinite_pixels_do_not_shield_a_spike_beside_them() -> None:
    pattern = np.ones((1, 9, 9), np.float32)
    pattern[0, 4, 4], pattern[0, 4, 5], pattern[0, 3, 4] = 1000.0, np.inf, np.nan
    np.testing.assert_array_equal(repair.remove_spikes(pattern, gain=1.0), np.ones((1, 9, 9)))


def test_saturation_shows_in_pixels_that_do_not_scatter() -> None:
    rng = np.random.default_rng(0)
    mean = np.full((8, 9), 0.5)
    mean[3:5, 4:6] = 200.0
    counts = rng.poisson(mean, (40, 8, 9))
    assert not repair.find_saturated(counts).any()
    np.testing.assert_array_equal(repair.find_saturated(np.minimum(counts, 100)), mean > 1)
    assert not repair.find_saturated(np.minimum(counts, 100)[:4]).any()


@pytest.mark.parametrize("mean", [3.0, 300.0])
@pytest.mark.parametrize("step", [1.0, 0.25, 7.0])
def test_share_of_cut_off_pixels_is_counted(mean: float, step: float) -> None:
    image = step * np.random.default_rng(0).poisson(mean, (256, 256))
    limit = np.quantile(image, 0.9)
    assert repair.saturated_share(np.minimum(image, limit)) == pytest.approx((image >= limit).mean())


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("mean", [0.02, 0.7, 3.0, 300.0])
def test_tail_of_counts_is_not_cut_off(mean: float, seed: int) -> None:
    image = np.random.default_rng(seed).poisson(mean, (64, 64))
    assert repair.saturated_share(image) == 0.0
    assert repair.saturated_share(image.astype(np.float32)) == 0.0


def test_an_image_of_one_value_or_with_nan_has_no_end_that_is_cut_off() -> None:
    image = np.full((8, 8), 3.0)
    assert repair.saturated_share(image) == 0.0
    image[0, :3] = np.nan, 4.0, 2.0
    assert repair.saturated_share(image) == 0.0
