"""The beam is followed over the detector: exactly where it is bright, by the plane where it is dark."""

from __future__ import annotations

import numpy as np
import pytest

from friedel.core.arrays import FloatArray
from friedel.patterns.centre import Centre
from friedel.patterns.descan import beam_offsets, smooth_descan

SCAN = (12, 15)
CENTRE = Centre((23.5, 31.5), 0.1, "direct beam", 1.6)


def beams(offsets: FloatArray, electrons: float, seed: int, gain: float = 1.0) -> FloatArray:
    """Patterns (n, 48, 64) of a Gaussian beam at centre + offset on 0.02 electrons per pixel."""
    y, x = np.arange(48)[None, :, None], np.arange(64)[None, None, :]
    at = offsets + CENTRE.px
    square = (y - at[:, :1, None]) ** 2 + (x - at[:, 1:, None]) ** 2
    mean = electrons / (2 * np.pi * 1.6**2) * np.exp(-0.5 * square / 1.6**2) + 0.02
    return gain * np.random.default_rng(seed).poisson(mean)


def plane() -> FloatArray:
    ry, rx = np.indices(SCAN, dtype=float).reshape(2, -1)
    return np.stack([0.3 + 0.12 * (ry - 5.5) - 0.05 * (rx - 7.0), -0.2 - 0.07 * (ry - 5.5) + 0.1 * (rx - 7.0)], axis=1)


def test_company_does_not_change_a_measurement() -> None:
    patterns = beams(2.0 * plane(), 3000.0, 3)
    together, _ = beam_offsets(patterns, CENTRE, gain=1.0)
    alone = np.concatenate([beam_offsets(pattern[None], CENTRE, gain=1.0)[0] for pattern in patterns])
    assert together.tobytes() == alone.tobytes()


@pytest.mark.parametrize("electrons", [30.0, 300.0, 3000.0])
@pytest.mark.parametrize("gain", [1.0, 20.0])
def test_offset_is_unbiased_and_as_sure_as_it_says(electrons: float, gain: float) -> None:
    true = plane()
    offset, sigma = beam_offsets(beams(true, electrons, 0, gain), CENTRE, gain=gain)
    pull = (offset - true) / sigma[:, None]
    assert np.abs(pull.mean(axis=0)).max() < 4.0 / np.sqrt(len(pull))
    assert 0.7 < pull.std() < 1.5
    assert np.median(sigma) == pytest.approx(1.6 / np.sqrt(electrons), rel=0.15)


def test_dark_pattern_has_no_offset() -> None:
    patterns = beams(plane(), 500.0, 1)
    patterns[7] = 0.0
    offset, _ = beam_offsets(patterns, CENTRE, gain=1.0)
    assert np.isnan(offset[7]).all()
    assert np.isfinite(np.delete(offset, 7, axis=0)).all()


def test_plane_is_recovered_better_than_single_beams_tell() -> None:
    true = plane()
    noise = np.random.default_rng(2).normal(0.0, 0.5, true.shape)
    shift = smooth_descan(true + noise, np.full(len(true), 0.5), SCAN)
    assert np.sqrt(np.mean((shift - true) ** 2)) < 0.5 * np.sqrt(np.mean(noise**2))


def test_dark_positions_and_outliers_take_the_plane() -> None:
    true = plane()
    sigma = np.full(len(true), 0.05)
    measured = true + np.random.default_rng(3).normal(0.0, 0.05, true.shape)
    measured[40:60] = np.nan
    measured[100:110] += 6.0
    shift = smooth_descan(measured, sigma, SCAN)
    np.testing.assert_allclose(np.delete(shift, range(100, 110), axis=0), np.delete(true, range(100, 110), axis=0),
                               atol=0.2)  # fmt: skip
    np.testing.assert_allclose(shift[40:60], true[40:60], atol=0.03)


def test_wander_beyond_counting_noise_is_followed() -> None:
    rng = np.random.default_rng(4)
    wander = rng.normal(0.0, 0.8, (len(plane()), 2))
    true = plane() + wander
    shift = smooth_descan(true + rng.normal(0.0, 0.1, true.shape), np.full(len(true), 0.1), SCAN)
    assert np.sqrt(np.mean((shift - true) ** 2)) < 0.15


def test_scan_of_few_positions_takes_their_median() -> None:
    offset = np.array([[0.5, -0.5], [0.6, -0.4], [0.4, -0.6], [np.nan, np.nan]])
    shift = smooth_descan(offset, np.full(4, 1.0), (2, 2))
    np.testing.assert_allclose(shift, np.tile([0.5, -0.5], (4, 1)), atol=0.05)


def test_scan_without_a_single_beam_stands_still() -> None:
    np.testing.assert_array_equal(smooth_descan(np.full((4, 2), np.nan), np.ones(4), (2, 2)), np.zeros((4, 2)))
