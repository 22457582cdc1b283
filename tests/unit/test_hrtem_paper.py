"""Equations 2 to 14 and Table 1 of Raghavendran et al. (2025), worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.distance import directed_hausdorff

from friedel.core.errors import DataError
from friedel.core.grids import RealGrid, ReciprocalGrid
from friedel.core.images import Micrograph, Pattern
from friedel.identify.grains.table import feature_size_px
from friedel.patterns.diffractogram import diffractogram
from friedel.patterns.radial import radial_peaks, radial_profile, within
from friedel.spots.segmentation import binary_cross_entropy, score_mask, spot_contrast


def mask(*pixels: tuple[int, int], shape=(6, 8)) -> np.ndarray:
    out = np.zeros(shape, dtype=bool)
    for pixel in pixels:
        out[pixel] = True
    return out


def disk_pattern(radius_px: float = 610.8, n: int = 4096) -> Pattern:
    """A spot 610.8 px from the centre of the FFT of 4096 px of 0.37 Å; only the part about it is drawn."""
    grid = ReciprocalGrid((1 / (n * 0.37),) * 2, centre_px=(0.0, 0.0))
    y, x = np.indices((40, 700))
    return Pattern(np.exp(-0.5 * ((y - 8) ** 2 + (x - radius_px) ** 2) / 2.0**2).astype(np.float32) + 1e-3, grid)


def test_equations_2_and_3_distance_and_spacing_of_the_published_radius():
    grid = disk_pattern().grid
    assert 1 / np.hypot(*grid.k_of((0.0, 610.8))) == pytest.approx(0.37 * 4096 / 610.8)
    assert pytest.approx(2.481, abs=5e-4) == 0.37 * 4096 / 610.8
    assert 1 / np.hypot(*grid.k_of((366.48, 488.64))) == pytest.approx(2.481, abs=5e-4)  # 3-4-5: the same radius


def test_equations_4_and_5_signal_and_contrast_to_noise():
    values = np.array([[10.0, 10.0, 1.0, 3.0]])
    snr_db, cnr = spot_contrast(values, np.array([[True, True, False, False]]))
    assert snr_db == pytest.approx(20.0)
    assert cnr == pytest.approx(8.0)
    with pytest.raises(DataError, match="differ"):
        spot_contrast(np.ones((2, 2)), mask((0, 0), shape=(2, 2)))


def test_equation_6_cross_entropy():
    assert binary_cross_entropy(np.array([0.5, 0.5]), np.array([True, False])) == pytest.approx(math.log(2))
    assert binary_cross_entropy(np.array([0.9, 0.2]), np.array([True, False])) == pytest.approx(
        -(math.log(0.9) + math.log(0.8)) / 2
    )


def test_equations_7_to_10_overlap_of_two_masks():
    score = score_mask(mask((0, 0), (0, 1), (0, 2)), mask((0, 1), (0, 2), (0, 3), (0, 4)))
    assert (score.hits, score.false, score.missed, score.rejected) == (2, 1, 2, 43)
    assert score.dice == pytest.approx(4 / 7)
    assert score.iou == pytest.approx(2 / 5)
    assert score.pixel_accuracy == pytest.approx(45 / 48)
    assert score.recall == pytest.approx(1 / 2)
    assert score.precision == pytest.approx(2 / 3)
    perfect = score_mask(mask((1, 1)), mask((1, 1)))
    assert perfect.dice == perfect.iou == 1.0  # the equation as printed would give 2


@pytest.mark.parametrize(("sigma_y", "sigma_x"), [(5.0, 5.0), (4.0, 7.0)])
def test_equation_11_size_of_a_spot_from_both_axes(sigma_y, sigma_x):
    grid = ReciprocalGrid((0.01, 0.01), centre_px=(50, 50))
    y, x = np.indices((101, 101)) - 50
    spot = 100 * np.exp(-0.5 * ((y / sigma_y) ** 2 + (x / sigma_x) ** 2)) + 1e-6
    axes = 2 * math.sqrt(2 * math.log(2)) * np.array([sigma_y, sigma_x])  # full axes of the outline at half height
    assert feature_size_px(Pattern(spot, grid), np.array([50.0, 50.0])) == pytest.approx(np.hypot(*axes), rel=0.06)


def test_equations_12_to_14_hausdorff_distance_is_that_of_scipy():
    rng = np.random.default_rng(0)
    a, b = rng.random((30, 40)) > 0.97, rng.random((30, 40)) > 0.97
    expected = max(directed_hausdorff(np.argwhere(p), np.argwhere(q))[0] for p, q in ((a, b), (b, a)))
    assert score_mask(a, b).hausdorff_px == pytest.approx(expected)
    assert score_mask(mask(), mask()).hausdorff_px == 0
    assert score_mask(mask((1, 1)), mask()).hausdorff_px == math.inf


def test_table_1_percentages_are_ratios_of_two_measurements_and_no_check_of_the_scale():
    rows = ((2.41641, 2.416, 2.481), (2.62746, 2.6528, 2.664), (1.59336, 1.593, 1.631))
    match = [100 * (1 - abs(d / manual - 1)) for d, manual, _ in rows]
    assert match == pytest.approx([100, 99.04, 100], abs=0.03)
    off = [100 * (d / true - 1) for d, _, true in rows]
    assert off == pytest.approx([-2.6, -1.4, -2.3], abs=0.05)  # all too small: one shared error of the scale


def test_peaks_of_the_radial_profile_lie_at_the_spacings():
    rng = np.random.default_rng(1)
    y, x = np.indices((400, 500)) * 0.4
    image = 50 + rng.normal(size=y.shape)
    for d_a, angle in ((2.481, 0.3), (2.014, 1.2)):
        image += np.cos(2 * np.pi * (np.sin(angle) * y + np.cos(angle) * x) / d_a)
    pattern = diffractogram(Micrograph(image, RealGrid((0.4, 0.4))))
    profile = radial_profile(pattern)
    peaks = radial_peaks(profile, k_min_inv_a=0.1)
    assert np.sort(peaks.k_inv_a[:2]) == pytest.approx([1 / 2.481, 1 / 2.014], abs=0.5 * max(pattern.grid.step_inv_a))
    assert len(peaks.k_inv_a) == 2


def test_profile_of_the_spots_alone_has_no_background():
    rng = np.random.default_rng(2)
    pattern = diffractogram(Micrograph(rng.normal(size=(256, 256)), RealGrid((0.4, 0.4))))
    spot = np.array([[0.2, 0.25]])
    inside = within(pattern, spot, np.array([0.02]))
    assert inside.sum() == pytest.approx(2 * np.pi * (0.02 * 256 * 0.4) ** 2, rel=0.15)
    middle = pattern.shape[0] // 2
    np.testing.assert_array_equal(inside[1:, 1:], inside[1:, 1:][::-1, ::-1])
    masked = radial_profile(pattern, inside=inside)
    apart = np.abs(masked.k_inv_a - np.hypot(0.2, 0.25))
    assert (masked.intensity[apart > 0.03] == 0).all()
    assert masked.intensity[apart < 0.01].min() > 0
    assert inside[middle, middle] == np.False_


def test_noise_alone_has_no_peaks_in_its_radial_profile():
    rng = np.random.default_rng(3)
    found = [
        len(radial_peaks(radial_profile(diffractogram(Micrograph(rng.normal(size=(300, 300)), RealGrid((0.4, 0.4))))),
                         k_min_inv_a=0.1).k_inv_a)
        for _ in range(10)
    ]  # fmt: skip
    assert sum(found) <= 3
