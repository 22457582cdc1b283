from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from friedel.core.errors import DataError
from friedel.identify.grains.watershed import PAPER, WatershedOptions, half_height_mask, otsu, segment


def rayleigh(shape: tuple[int, int], width_px: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    parts = [ndimage.gaussian_filter(rng.normal(size=shape), width_px) for _ in range(2)]
    found = np.hypot(*parts)
    return found / np.sqrt((found**2).mean())


def disk(shape: tuple[int, int], centre: tuple[int, int], radius: float) -> np.ndarray:
    y, x = np.indices(shape)
    return np.hypot(y - centre[0], x - centre[1]) <= radius


@pytest.mark.parametrize("seed", range(4))
def test_noise_alone_has_no_region(seed):
    noise = rayleigh((300, 300), 8, seed)
    assert not segment(noise)[1].any()
    assert segment(noise, noise_rms=1.0)[1].mean() < 0.01


def test_flat_amplitude_has_no_region_unless_it_is_known_to_stand_out_of_the_noise():
    flat = 5 + 0.1 * np.random.default_rng(0).normal(size=(100, 100))
    assert not segment(flat)[1].any()
    assert not segment(np.full((50, 50), 3.0))[1].any()
    assert segment(flat, noise_rms=0.5)[1].all()


def test_grain_is_found_where_it_is():
    grain = disk((200, 200), (80, 120), 40)
    amplitude = rayleigh((200, 200), 4, 1) * 0.3 + 3.0 * grain
    labels, mask = segment(amplitude)
    assert labels.max() == 1
    assert (mask & grain).sum() / (mask | grain).sum() > 0.95


def test_two_touching_grains_are_parted_at_the_neck():
    mask = disk((120, 200), (60, 60), 40) | disk((120, 200), (60, 135), 40)
    labels, _ = segment(mask.astype(float))
    assert labels.max() == 2
    assert labels[60, 60] != labels[60, 135]


def test_opening_removes_what_is_smaller_than_its_square():
    amplitude = np.zeros((100, 100))
    amplitude[20:26, 20:26] = 1
    amplitude[50:80, 50:80] = 1
    assert segment(amplitude)[1].sum() == 900
    assert segment(amplitude, WatershedOptions(opening_iterations=0))[1].sum() == 936


def test_grain_at_the_border_is_not_eroded_there():
    amplitude = np.zeros((100, 100))
    amplitude[:40, :40] = 1
    assert segment(amplitude)[1][:40, :40].all()


def test_otsu_parts_two_levels_and_says_how_well():
    threshold, separation = otsu(np.repeat([1.0, 9.0], 50))
    assert 1 < threshold < 9
    assert separation == pytest.approx(1)
    assert otsu(np.ones(5)) == (1.0, 0.0)


def test_even_opening_is_refused():
    with pytest.raises(DataError, match="odd"):
        WatershedOptions(opening_px=6)


@pytest.mark.parametrize("blur_px", [3, 8, 14])
def test_region_at_half_height_has_the_true_area_however_wide_the_mask_blurs(blur_px):
    grain = disk((240, 240), (120, 120), 60)
    snr = np.hypot(20 * ndimage.gaussian_filter(grain.astype(float), blur_px), rayleigh((240, 240), blur_px, 5))
    mask = half_height_mask(snr)
    assert (mask & grain).sum() / (mask | grain).sum() > 0.9
    assert mask.sum() == pytest.approx(grain.sum(), rel=0.1)


def test_noise_alone_has_hardly_any_region_at_half_height():
    assert np.mean([half_height_mask(rayleigh((300, 300), 8, seed)).mean() for seed in range(4)]) < 0.01


def test_preset_of_the_paper_has_its_parameters():
    assert (PAPER.rule, PAPER.opening_px, PAPER.opening_iterations, PAPER.dilation_iterations) == ("otsu", 7, 2, 0)
    with pytest.raises(DataError, match="half-height"):
        WatershedOptions(rule="mean")
