"""Shadows and burned-in bars are found, and nothing else is."""

from __future__ import annotations

import numpy as np

from friedel.patterns.masks import find_burned_in_bar, find_shadow


def halo(
    shape: tuple[int, int] = (300, 260), width: float = 60.0, power: float = 1.0, top: float = 400.0
) -> np.ndarray:
    y, x = np.indices(shape)
    radius = np.hypot(y - 150, x - 120)
    return np.random.default_rng(0).poisson(top / (1.0 + (radius / width) ** 2) ** power).astype(float)


def test_beam_stop_is_found_where_it_is() -> None:
    pattern = halo()
    stop = np.zeros(pattern.shape, dtype=bool)
    stop[140:175, 100:] = True
    pattern[stop] = np.random.default_rng(1).poisson(1.0, stop.sum())
    found = find_shadow(pattern)
    assert (found & stop).sum() > 0.97 * stop.sum()
    assert (found & ~stop).sum() < 0.6 * stop.sum()


def test_dark_corners_of_a_fading_halo_are_no_shadow() -> None:
    fading = halo(width=60.0, power=3.0, top=1e6)
    assert fading[-40:, -40:].mean() < 0.2 * np.median(fading)
    assert not find_shadow(fading).any()


def test_empty_and_flat_patterns_have_no_shadow() -> None:
    assert not find_shadow(np.zeros((64, 64))).any()
    assert not find_shadow(np.full((64, 64), 9.0)).any()


def test_scale_bar_and_its_label_are_found() -> None:
    image = halo()
    image[270:276, 20:90] = image.max() + 1.0
    image[255:266, 30:34] = image.max()
    found = find_burned_in_bar(image)
    assert found[270:276, 20:90].all()
    assert found[255:266, 30:34].all()
    assert found.mean() < 0.15


def test_saturated_spots_are_no_scale_bar() -> None:
    image = halo()
    y, x = np.indices(image.shape)
    image[np.hypot(y - 80, x - 80) < 9] = 5000.0
    assert not find_burned_in_bar(image).any()


def test_counts_without_a_bar_are_left_alone() -> None:
    assert not find_burned_in_bar(np.random.default_rng(2).poisson(0.01, (128, 128))).any()
    assert not find_burned_in_bar(np.zeros((64, 64))).any()
