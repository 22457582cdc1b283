"""Spots of diffractograms: unbiased spacings, stated false alarms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from friedel.core.errors import CalibrationError, DataError
from friedel.core.grids import RealGrid
from friedel.core.images import Micrograph
from friedel.core.units import length_a
from friedel.patterns.diffractogram import FftOptions, diffractogram, window_correlation
from friedel.spots.cfar import Cfar, searched_half
from friedel.spots.noise_floor import noise_floor
from friedel.spots.speckle import gaussian_kernel, speckle_tail

STEP_A = 0.37
ANNULUS = (0.1, 1.3)


def fringe(shape, k, step_a, rng, amplitude=2.0, noise=1.0):
    y, x = np.indices(shape, dtype=float)
    angle = 2 * np.pi * (k[0] * y * step_a[0] + k[1] * x * step_a[1] + rng.uniform())
    return 100 + amplitude * np.cos(angle) + noise * rng.normal(size=shape)


def find(image, step_a=(STEP_A, STEP_A), annulus=ANNULUS, **options):
    window = options.get("window", "tukey")
    return Cfar(**options).find(diffractogram(Micrograph(image, RealGrid(step_a)), FftOptions(window)), annulus)


@pytest.mark.parametrize("case", range(30))
def test_fringe_spacing_is_right_to_half_a_permille_at_every_size_shape_angle_and_unit(case):
    rng = np.random.default_rng(case)
    shape = tuple(int(n) for n in rng.integers(200, 700, 2))
    unit, value = [("nm", 0.037), ("Å", 0.37), ("pm", 37.0), ("m", 3.7e-11)][case % 4]
    step_a = (length_a(value, unit), length_a(value, unit) * float(rng.choice([1.0, 0.9])))
    d_a, angle = rng.uniform(1.0, 4.0), rng.uniform(0, np.pi)
    k = np.array([np.sin(angle), np.cos(angle)]) / d_a
    spots = find(fringe(shape, k, step_a, rng), step_a)
    assert 1 / spots.radius_inv_a[0] == pytest.approx(d_a, rel=5e-4)


@pytest.mark.parametrize("side", [512, 1024, 1500])
def test_spacing_does_not_depend_on_the_number_of_pixels(side):
    rng = np.random.default_rng(side)
    spots = find(fringe((side, side), (0.3, 0.2646), (STEP_A, STEP_A), rng))
    assert 1 / spots.radius_inv_a[0] == pytest.approx(1 / np.hypot(0.3, 0.2646), rel=5e-4)


@pytest.mark.parametrize("shape", [(4200, 128), (96, 5000), (1536, 640)])
def test_spacing_is_right_beyond_4096_pixels_and_on_oblong_images(shape):
    rng = np.random.default_rng(shape[0])
    spots = find(fringe(shape, (0.31, 0.25), (STEP_A, STEP_A), rng))
    assert 1 / spots.radius_inv_a[0] == pytest.approx(1 / np.hypot(0.31, 0.25), rel=5e-4)


@pytest.mark.parametrize("d_a", [1.45, 1.1, 0.82])
def test_outer_reflections_are_not_cropped_away(d_a):
    rng = np.random.default_rng(2)
    k = np.array([np.sin(0.4), np.cos(0.4)]) / d_a
    spots = find(fringe((500, 600), k, (STEP_A, STEP_A), rng), annulus=(0.1, 1.3))
    assert 1 / spots.radius_inv_a[0] == pytest.approx(d_a, rel=5e-4)


@pytest.mark.parametrize("k", [(0.4, 0.0), (0.0, 0.4), (0.0005, -0.4), (-0.0005, 0.4), (0.4, 0.0007)])
def test_spot_on_an_axis_or_at_the_seam_of_the_half_plane_is_found_once(k):
    spots = find(fringe((300, 333), k, (STEP_A, STEP_A), np.random.default_rng(0)))
    near = np.minimum(np.hypot(*(spots.k_inv_a - k).T), np.hypot(*(spots.k_inv_a + k).T))
    assert (near < 0.01).sum() == 1


def test_only_one_spot_of_a_friedel_pair_is_reported():
    rng = np.random.default_rng(1)
    image = fringe((400, 300), (0.3, 0.2), (STEP_A, STEP_A), rng) + fringe(
        (400, 300), (0.3, -0.3), (STEP_A, STEP_A), rng
    )
    spots = find(image)
    assert len(spots) == 2
    assert (spots.k_inv_a[:, 0] > 0).all()


def test_stated_error_is_no_smaller_than_the_true_one():
    misses = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        k = rng.uniform(0.2, 0.5, 2)
        spots = find(fringe((256, 256), k, (STEP_A, STEP_A), rng, amplitude=0.15))
        misses += ((spots.k_inv_a[0] - k) / spots.sigma_inv_a[0]).tolist() if len(spots) else []
    assert len(misses) > 60
    assert np.std(misses) < 1
    assert np.max(np.abs(misses)) < 3


def amorphous(shape, rng, defocus_a=400.0):
    ky, kx = np.fft.fftfreq(shape[0], STEP_A)[:, None], np.fft.fftfreq(shape[1], STEP_A)
    k2 = ky**2 + kx**2
    transfer = np.sin(np.pi * 0.025 * defocus_a * k2) * np.exp(-k2 / 0.5**2)
    return 10 * np.fft.ifft2(np.fft.fft2(rng.normal(size=shape)) * transfer).real + rng.normal(size=shape)


@pytest.mark.parametrize("window", ["hann", "tukey", "none"])
@pytest.mark.parametrize("kind", ["white", "amorphous"])
def test_false_alarms_are_no_more_than_stated_and_not_far_fewer(kind, window):
    rng = np.random.default_rng(3)
    n_images, stated, shape = 20, 2.0, (400, 450)
    found = 0
    for _ in range(n_images):
        image = rng.normal(size=shape) if kind == "white" else amorphous(shape, rng)
        found += len(find(image, window=window, false_alarms=stated))
    limit = 3 * np.sqrt(n_images * stated)
    assert 0.15 * n_images * stated < found < n_images * stated + limit


@pytest.mark.parametrize("window", ["hann", "tukey", "none"])
@pytest.mark.parametrize("sigma_px", [0.7, 1.4, 2.8])
def test_tail_of_smoothed_speckle_is_that_of_simulated_noise(window, sigma_px):
    rng = np.random.default_rng(4)
    tail = speckle_tail(gaussian_kernel(sigma_px), window_correlation(window, 4))
    wanted, seen, n = 1e-3, 0, 0
    for _ in range(6):
        power = diffractogram(Micrograph(rng.normal(size=(400, 400)), RealGrid((1, 1))), FftOptions(window)).data
        for axis in (0, 1):
            power = ndimage.convolve1d(power, gaussian_kernel(sigma_px), axis=axis, mode="wrap")
        seen += int((power > np.interp(-np.log(wanted), -tail.log_survival, tail.level)).sum())
        n += power.size
    assert seen / n == pytest.approx(wanted, rel=0.35)


def test_floor_follows_rings_and_is_not_lifted_by_spots():
    rng = np.random.default_rng(5)
    quiet = amorphous((512, 512), rng)
    y, x = np.indices(quiet.shape)
    spots = sum(np.cos(2 * np.pi * STEP_A * (a * y + b * x)) for a, b in ((0.3, 0.1), (0.1, 0.5), (0.5, -0.4)))
    floors = [
        noise_floor(diffractogram(Micrograph(image, RealGrid((STEP_A, STEP_A)))))
        for image in (quiet, quiet + 5 * spots)
    ]
    keep = searched_half(diffractogram(Micrograph(quiet, RealGrid((STEP_A, STEP_A)))), ANNULUS)
    ratio = floors[1][keep] / floors[0][keep]
    assert np.median(ratio) == pytest.approx(1, abs=0.01)
    assert np.quantile(ratio, 0.99) < 1.15


def test_cross_streaks_of_an_image_without_window_are_no_spots():
    rng = np.random.default_rng(6)
    ramp = np.linspace(0, 60, 400)[:, None] + np.linspace(0, 90, 420)
    assert len(find(ramp + rng.normal(size=(400, 420)), window="none")) <= 1


def test_scan_lines_are_no_spots():
    rng = np.random.default_rng(7)
    lines = 2 * rng.normal(size=(400, 1)) + rng.normal(size=(400, 400))
    assert len(find(lines)) <= 1


def test_hot_pixel_does_not_hide_a_weak_fringe():
    image = fringe((300, 300), (0.3, 0.2), (STEP_A, STEP_A), np.random.default_rng(8), amplitude=0.3)
    image[10, 20] = 1e5
    assert 1 / find(image).radius_inv_a[0] == pytest.approx(1 / np.hypot(0.3, 0.2), rel=3e-3)


def test_small_grain_is_found_by_a_wider_search():
    rng = np.random.default_rng(9)
    image = rng.normal(size=(1024, 1024))
    y, x = np.indices(image.shape)
    grain = np.hypot(y - 450, x - 550) < 50
    image += 0.8 * grain * np.cos(2 * np.pi * STEP_A * (0.3 * y + 0.2 * x))
    spots = find(image)
    assert len(spots) == 1
    assert 1 / spots.radius_inv_a[0] == pytest.approx(1 / np.hypot(0.3, 0.2), rel=5e-3)


def test_half_plane_holds_each_frequency_once_and_no_nyquist():
    pattern = diffractogram(Micrograph(np.random.default_rng(10).normal(size=(64, 48)), RealGrid((1, 1))))
    keep = searched_half(pattern, (0.05, 0.71))
    mirrored = np.roll(keep[::-1, ::-1], (1, 1), (0, 1))
    assert not (keep & mirrored).any()
    assert not keep[0].any()
    assert not keep[:, 0].any()


def test_annulus_outside_the_pattern_is_refused_in_words():
    pattern = diffractogram(Micrograph(np.random.default_rng(11).normal(size=(64, 64)), RealGrid((1, 1))))
    with pytest.raises(CalibrationError, match="pixel size"):
        Cfar().find(pattern, (2.0, 3.0))
    with pytest.raises(CalibrationError, match="inner < outer"):
        Cfar().find(pattern, (0.3, 0.2))
    with pytest.raises(DataError, match="false_alarms"):
        Cfar(false_alarms=0)
