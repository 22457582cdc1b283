from __future__ import annotations

import numpy as np
import pytest

from friedel.core.errors import CalibrationError
from friedel.core.grids import RealGrid
from friedel.core.images import Micrograph
from friedel.patterns.bragg import bragg_amplitude, bragg_spectrum, fringe_wave, noise_amplitude


def fringe(shape: tuple[int, int], k: tuple[float, float], step_a: tuple[float, float], amplitude: float = 5.0):
    y, x = np.indices(shape)
    return amplitude * np.cos(2 * np.pi * (k[0] * y * step_a[0] + k[1] * x * step_a[1]) + 1.0)


@pytest.mark.parametrize("shape", [(301, 420), (256, 256), (500, 211)])
@pytest.mark.parametrize("k", [(0.31, 0.22), (0.25, -0.3), (0.004, 0.41), (0.33, 0.0)])
def test_amplitude_is_an_even_envelope_at_every_size_and_angle_up_to_the_edges(shape, k):
    step = (0.4, 0.3)
    found = bragg_amplitude(Micrograph(fringe(shape, k, step), RealGrid(step)), np.array([k]), 0.05)
    assert found.shape == shape
    np.testing.assert_allclose(found, 5.0, rtol=0.04)


def test_wrong_frequency_gives_nothing():
    image = Micrograph(fringe((256, 256), (0.3, 0.2), (0.4, 0.4)), RealGrid((0.4, 0.4)))
    found = bragg_amplitude(image, np.array([[0.3, -0.2]]), 0.05)
    assert found[64:192, 64:192].max() < 0.01
    assert found.max() < 0.1 * 5.0


def test_grain_at_one_edge_does_not_wrap_around_to_the_other():
    image = fringe((256, 256), (0.3, 0.2), (0.4, 0.4))
    image[:, 64:] = 0
    found = bragg_amplitude(Micrograph(image, RealGrid((0.4, 0.4))), np.array([[0.3, 0.2]]), 0.06)
    assert found[64:192, 10].min() > 4
    assert found[:, 200:].max() < 0.1


def test_two_fringes_add_in_squares():
    step = (0.4, 0.4)
    image = fringe((256, 256), (0.3, 0.2), step, 3.0) + fringe((256, 256), (0.1, -0.4), step, 4.0)
    found = bragg_amplitude(Micrograph(image, RealGrid(step)), np.array([[0.3, 0.2], [0.1, -0.4]]), 0.05)
    np.testing.assert_allclose(found[50:200, 50:200], 5.0, rtol=0.02)


def test_amplitude_of_noise_is_that_expected_from_parseval():
    image = Micrograph(np.random.default_rng(0).normal(0, 3, (700, 600)), RealGrid((0.4, 0.3)))
    spectrum = bragg_spectrum(image, 0.08)
    wave = np.concatenate([fringe_wave(spectrum, (ky, 0.4), 0.08)[50:-50, 50:-50] for ky in (-0.6, -0.2, 0.2, 0.6)])
    assert np.sqrt(np.mean(np.abs(wave) ** 2)) == pytest.approx(noise_amplitude(spectrum, 9.0, 0.08), rel=0.07)


def test_coarse_map_is_the_fine_one_at_every_third_pixel():
    image = Micrograph(np.random.default_rng(1).normal(size=(200, 170)), RealGrid((0.4, 0.3)))
    spectrum = bragg_spectrum(image, 0.06)
    fine, coarse = (fringe_wave(spectrum, (0.3, 0.1), 0.06, step) for step in (1, 3))
    np.testing.assert_allclose(coarse, fine[::3, ::3], atol=1e-5)


def test_spot_beyond_nyquist_is_refused():
    image = Micrograph(np.ones((64, 64)), RealGrid((0.5, 0.5)))
    with pytest.raises(CalibrationError, match="Nyquist"):
        bragg_amplitude(image, np.array([[1.2, 0.0]]), 0.05)
