from __future__ import annotations

import numpy as np
import pytest

from friedel.core.errors import DataError
from friedel.core.grids import RealGrid
from friedel.core.images import Micrograph, Pattern
from friedel.patterns.contrast import ContrastOptions, gaussian_taps, paper_contrast
from friedel.patterns.diffractogram import (
    FftOptions,
    clean_image,
    diffractogram,
    diffractogram_and_outliers,
    outliers,
    window_correlation,
)
from friedel.patterns.radial import radial_profile

SHAPES = [(64, 64), (65, 64), (64, 65), (33, 47)]


def micrograph(data: np.ndarray, step_a: tuple[float, float] = (0.37, 0.37)) -> Micrograph:
    return Micrograph(data, RealGrid(step_a))


@pytest.mark.parametrize("shape", SHAPES)
def test_power_without_window_is_that_of_a_plain_fourier_transform_over_the_number_of_pixels(shape):
    image = np.random.default_rng(0).normal(5, 3, shape)
    expected = np.fft.fftshift(np.abs(np.fft.fft2(image - image.mean())) ** 2) / image.size
    np.testing.assert_allclose(diffractogram(micrograph(image), FftOptions("none")).data, expected, atol=1e-3)


@pytest.mark.parametrize("window", ["hann", "tukey", "none"])
def test_white_noise_of_variance_v_has_mean_power_v_under_every_window(window):
    image = np.random.default_rng(1).normal(0, 3, (300, 250))
    assert diffractogram(micrograph(image), FftOptions(window)).data.mean() == pytest.approx(9, rel=0.03)


@pytest.mark.parametrize("shape", SHAPES)
def test_grid_has_its_own_step_along_each_axis_and_the_zero_frequency_at_the_centre(shape):
    pattern = diffractogram(micrograph(np.random.default_rng(2).normal(size=shape), (0.3, 0.4)))
    assert pattern.grid.step_inv_a == pytest.approx((1 / (0.3 * shape[0]), 1 / (0.4 * shape[1])))
    assert pattern.grid.centre_px == (shape[0] // 2, shape[1] // 2)
    assert pattern.origin == "fft"


def test_calibration_keeps_its_source_and_error():
    source = Micrograph(np.random.default_rng(3).normal(size=(64, 64)), RealGrid((0.3, 0.3), "standard", 0.002))
    grid = diffractogram(source).grid
    assert (grid.source, grid.relative_sigma) == ("standard", 0.002)


def test_hann_window_confines_a_fringe_that_is_no_whole_number_of_periods():
    x = np.arange(200)
    fringe = np.tile(np.cos(2 * np.pi * 0.1525 * x), (200, 1))
    power = {w: diffractogram(micrograph(fringe), FftOptions(w)).data[100] for w in ("hann", "none")}
    leaked = {w: p[150:].max() / p.max() for w, p in power.items()}
    assert leaked["hann"] < 1e-5 < 1e-4 < leaked["none"]


def test_weak_fringe_beside_a_bright_region_survives_where_an_8_bit_picture_would_lose_it():
    image = np.full((256, 256), 1000.0)
    image[:, :128] = 60000.0
    image += 20 * np.cos(2 * np.pi * 0.25 * np.arange(256))[:, None]
    assert 20 < (60000 - 1000) / 255
    power = diffractogram(micrograph(image)).data
    assert power[128 + 64, 128] > 100 * np.median(power)


def test_hot_pixel_is_replaced_and_counted_and_changes_no_spot():
    image = np.random.default_rng(4).normal(100, 5, (256, 256))
    image += 5 * np.cos(2 * np.pi * 0.25 * np.arange(256))
    spoilt = image.copy()
    spoilt[100, 50:52] = 1e6
    clean, n_clean = diffractogram_and_outliers(micrograph(image), FftOptions())
    repaired, n_spoilt = diffractogram_and_outliers(micrograph(spoilt), FftOptions())
    assert (n_clean, n_spoilt) == (0, 2)
    np.testing.assert_allclose(repaired.data[128, 192], clean.data[128, 192], rtol=0.01)


def test_image_lies_about_zero_after_a_hot_row_is_replaced():
    image = np.random.default_rng(6).normal(1000, 5, (256, 256))
    image[100] = 1e6  # raises the mean by 3900: a frame about the image, which fringes are seen in
    clean, n_bad = clean_image(micrograph(image), 8.0)
    assert n_bad == 256
    assert abs(float(clean.mean())) < 0.01
    assert float(clean.std()) == pytest.approx(5, rel=0.02)


def test_strong_fringes_of_a_small_grain_are_no_outliers():
    image = np.random.default_rng(5).normal(0, 1, (256, 256))
    image[:40, :40] += 20 * np.cos(2 * np.pi * 0.25 * np.arange(40))
    _, n_outliers = clean_image(micrograph(image), 8.0)
    assert n_outliers < 20


def columns(period_px: float, height: float, side_px: int = 256) -> np.ndarray:
    """Bright atom columns on a square lattice turned by 17 degrees, over noise of standard deviation 1."""
    y, x = np.indices((side_px, side_px))
    turn = np.exp(1j * np.radians(17)) / period_px
    u, v = ((x + 1j * y) * turn).real, ((x + 1j * y) * turn).imag
    squared = ((u - np.rint(u)) ** 2 + (v - np.rint(v)) ** 2) * period_px**2
    sigma_px = max(0.6, 0.12 * period_px)
    return np.random.default_rng(9).normal(size=(side_px, side_px)) + height * np.exp(-squared / (2 * sigma_px**2))


@pytest.mark.parametrize("period_px", [3.0, 3.5, 4.0, 8.0, 15.0])
@pytest.mark.parametrize("height", [20.0, 200.0])
def test_atom_columns_are_no_outliers_and_hot_pixels_above_them_are(period_px, height):
    image = columns(period_px, height)
    assert not outliers(image, 8.0).any()
    rng = np.random.default_rng(10)
    hot = rng.integers(0, 256, (30, 2)).T
    image[tuple(hot)] += 20 * height * rng.choice([-1, 1], 30)
    found = outliers(image, 8.0)
    assert found[tuple(hot)].all()
    assert found.sum() == len(np.unique(hot, axis=1).T)


def test_a_lattice_grain_on_a_film_is_no_outlier_up_to_its_edge():
    image = columns(3.5, 50.0)
    image[:, 100:] = np.random.default_rng(11).normal(size=(256, 156))
    assert not outliers(image, 8.0).any()


def test_a_spot_of_columns_replaced_as_outliers_would_be_a_false_one():
    image = columns(3.5, 50.0)
    power = {s: diffractogram(micrograph(image), FftOptions(outlier_sigmas=s)).data for s in (8.0, 1e9)}
    np.testing.assert_array_equal(power[8.0], power[1e9])


def test_a_bright_particle_stays_and_a_broken_line_goes():
    image = np.random.default_rng(12).normal(size=(128, 128))
    image[40:46, 40:46] += 100
    assert not outliers(image, 8.0).any()
    image[:, 90] += 100
    assert outliers(image, 8.0)[:, 90].all()
    assert outliers(image, 8.0).sum() == 128


def test_hann_correlation_is_two_thirds_and_one_sixth():
    np.testing.assert_allclose(window_correlation("hann", 3), [1, 2 / 3, 1 / 6, 0], atol=1e-6)


def test_too_small_an_image_and_an_unknown_window_are_refused_in_words():
    with pytest.raises(DataError, match="16 x 16"):
        diffractogram(micrograph(np.zeros((8, 64))))
    with pytest.raises(DataError, match="window"):
        FftOptions("blackman")  # type: ignore[arg-type]


def test_paper_contrast_keeps_the_mean_of_zero_lift_at_the_stated_brightness():
    pattern = diffractogram(micrograph(np.random.default_rng(6).normal(size=(128, 128))))
    shown = paper_contrast(pattern)
    assert shown.dtype == np.float32
    assert shown.min() == pytest.approx(11 / 255, abs=1e-6)
    assert shown.max() <= 1


def test_paper_contrast_does_not_depend_on_the_unit_of_the_intensity():
    image = np.random.default_rng(7).normal(size=(96, 80))
    shown = [paper_contrast(diffractogram(micrograph(image * unit))) for unit in (1.0, 1e4)]
    np.testing.assert_allclose(shown[0], shown[1], atol=1e-3)


def test_gaussian_of_side_three_has_the_published_width():
    np.testing.assert_allclose(gaussian_taps(3), [0.2389, 0.5221, 0.2389], atol=2e-4)
    with pytest.raises(DataError, match="odd"):
        ContrastOptions(kernel_px=4)


@pytest.mark.parametrize("shape", [(120, 200), (201, 120)])
def test_radial_profile_of_an_oblong_picture_peaks_at_the_spacing(shape):
    y, x = np.indices(shape)
    ring = np.cos(2 * np.pi * 0.4 * 0.3 * y) + np.cos(2 * np.pi * 0.4 * 0.5 * x)
    profile = radial_profile(diffractogram(micrograph(ring, (0.3, 0.5))))
    assert profile.d_a[np.argmax(profile.intensity)] == pytest.approx(2.5, rel=0.03)


def test_median_profile_does_not_see_a_spot():
    pattern = diffractogram(micrograph(np.random.default_rng(8).normal(size=(128, 128))), FftOptions("none"))
    bright = pattern.data.copy()
    bright[64, 96] = 1e6
    spoilt = Pattern(bright, pattern.grid, origin="fft")
    before, after = (radial_profile(p, statistic="median").intensity for p in (pattern, spoilt))
    assert np.abs(after - before).max() < 0.1
