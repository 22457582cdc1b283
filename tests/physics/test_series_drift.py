"""Drift of a series: known shifts are found, and frames that are like no other are owned up to."""

from __future__ import annotations

import numpy as np
from scipy import fft

from friedel.core.grids import RealGrid
from friedel.core.images import Micrograph
from friedel.patterns.drift import estimate_drift, solve_drift

SHAPE = (128, 192)


def scene(rng: np.random.Generator) -> np.ndarray:
    """Something with structure from 2 pixels upwards, as film has."""
    ky, kx = np.fft.fftfreq(SHAPE[0])[:, None], np.fft.fftfreq(SHAPE[1])
    band = np.exp(-((np.hypot(ky, kx) / 0.25) ** 2))
    return fft.ifft2(fft.fft2(rng.normal(size=SHAPE)) * band).real


def moved(image: np.ndarray, shift: np.ndarray) -> np.ndarray:
    ky, kx = np.fft.fftfreq(SHAPE[0])[:, None], np.fft.fftfreq(SHAPE[1])
    return fft.ifft2(fft.fft2(image) * np.exp(-2j * np.pi * (ky * shift[0] + kx * shift[1]))).real


def frames_of(shifts: np.ndarray, noise: float, seed: int = 3) -> list[Micrograph]:
    rng = np.random.default_rng(seed)
    image = scene(rng)
    image /= image.std()
    return [Micrograph(100 + moved(image, s) + noise * rng.normal(size=SHAPE), RealGrid((0.4, 0.4))) for s in shifts]


def walk(n: int) -> np.ndarray:
    steps = np.random.default_rng(8).normal(0, 1.3, (n - 1, 2))
    return np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])


def test_shifts_are_found_to_a_few_hundredths_of_a_pixel_in_row_and_column():
    true = walk(14)
    found = estimate_drift(frames_of(true, 0.5))
    assert np.abs(true).max() > 3
    np.testing.assert_allclose(found.shift_px, true, atol=0.1)
    assert np.sqrt(np.mean((found.shift_px - true) ** 2)) < 0.04
    assert found.is_known.all()


def test_stated_error_is_that_of_many_series():
    true = walk(12)
    errors, stated = [], []
    for seed in range(12):
        found = estimate_drift(frames_of(true, 2.0, seed))
        errors.append(found.shift_px[-1] - true[-1])
        stated.append(found.sigma_px[-1])
    ratio = np.sqrt(np.mean(np.square(errors))) / np.sqrt(np.mean(np.square(stated)))
    assert 0.4 < ratio < 2.5


def test_frame_like_no_other_lies_between_its_neighbours():
    true = walk(9)
    frames = frames_of(true, 0.3)
    frames[4] = Micrograph(100 + np.random.default_rng(5).normal(size=SHAPE), RealGrid((0.4, 0.4)))
    found = estimate_drift(frames)
    assert found.is_known.tolist() == [i != 4 for i in range(9)]
    np.testing.assert_allclose(found.shift_px[4], (found.shift_px[3] + found.shift_px[5]) / 2, atol=1e-3)
    np.testing.assert_allclose(found.shift_px[5:], true[5:], atol=0.1)


def test_blank_frames_have_no_drift_to_speak_of():
    blank = [Micrograph(np.full(SHAPE, 7.0), RealGrid((0.4, 0.4)))] * 4
    found = estimate_drift(blank)
    assert found.is_known.tolist() == [True, False, False, False]
    np.testing.assert_array_equal(found.shift_px, 0)


def test_one_wrong_difference_among_many_does_not_move_the_rest():
    true = walk(10)
    pairs = np.array([(i - lag, i) for i in range(10) for lag in (1, 2, 4, 8) if i >= lag])
    differences = true[pairs[:, 1]] - true[pairs[:, 0]]
    differences += np.random.default_rng(1).normal(0, 0.01, differences.shape)
    differences[7] += (25.0, -40.0)
    found = solve_drift(10, pairs, differences)
    np.testing.assert_allclose(found.shift_px, true, atol=0.1)


def test_a_single_frame_has_not_moved():
    found = estimate_drift(frames_of(np.zeros((1, 2)), 0.1))
    assert found.shift_px.tolist() == [[0.0, 0.0]]
