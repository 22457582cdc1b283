"""The transmitted beam is found to a fraction of a pixel, seen or hidden."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from friedel.core.errors import CalibrationError
from friedel.patterns.centre import find_centre

SHAPE = (110, 128)


def spot(centre: tuple[float, float], sigma: float, height: float) -> np.ndarray:
    y, x = np.indices(SHAPE)
    return height * np.exp(-0.5 * ((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / sigma**2)


def lattice(centre: tuple[float, float], *, direct: float = 1e4, seed: int = 0) -> np.ndarray:
    """A diffraction pattern: halo, direct beam, and Friedel pairs of unequal lattices."""
    y, x = np.indices(SHAPE)
    radius = np.hypot(y - centre[0], x - centre[1])
    out = 40.0 / (1.0 + (radius / 15.0) ** 2) + spot(centre, 1.6, direct)
    rng = np.random.default_rng(seed)
    for vector, height in (((14.0, 5.0), 300.0), ((-6.0, 18.0), 200.0), ((8.0, 23.0), 90.0), ((20.0, -13.0), 60.0)):
        for sign in (1, -1):
            at = (centre[0] + sign * vector[0], centre[1] + sign * vector[1])
            out += spot(at, 1.6, height * rng.uniform(0.5, 1.5))
    return out


@settings(max_examples=25, deadline=None)
@given(y=st.floats(48, 62), x=st.floats(56, 72))
def test_visible_beam_is_found_within_a_tenth_of_a_pixel(y: float, x: float) -> None:
    found = find_centre(np.random.default_rng(1).poisson(lattice((y, x))).astype(float))
    assert found.method == "direct beam"
    assert np.hypot(found.px[0] - y, found.px[1] - x) < 0.1
    assert found.beam_sigma_px == pytest.approx(1.6, rel=0.15)


def test_beam_behind_a_stop_is_found_from_friedels_law() -> None:
    centre = (57.3, 61.8)
    counts = np.random.default_rng(2).poisson(lattice(centre)).astype(float)
    valid = np.ones(SHAPE, dtype=bool)
    valid[50:66, 50:] = False
    counts[~valid] = 0.0
    found = find_centre(counts, valid)
    assert found.method == "inversion symmetry"
    assert np.hypot(found.px[0] - centre[0], found.px[1] - centre[1]) < 0.5
    assert found.beam_sigma_px is None


def test_hot_pixels_do_not_pull_the_centre() -> None:
    centre = (55.4, 63.1)
    counts = np.random.default_rng(3).poisson(lattice(centre)).astype(float)
    counts[[5, 80, 100], [120, 3, 60]] = 60000.0
    found = find_centre(counts)
    assert np.hypot(found.px[0] - centre[0], found.px[1] - centre[1]) < 0.1


def test_beam_is_told_from_a_lattice_point_about_which_the_pattern_is_as_symmetric() -> None:
    centre = (40.0, 50.0)
    out = np.full(SHAPE, 3.0)
    for i in range(-6, 7):
        for j in range(-6, 7):
            at = (centre[0] + 16.0 * i + 3.0 * j, centre[1] - 4.0 * i + 15.0 * j)
            out += spot(at, 1.5, 900.0 if (i, j) == (0, 0) else 200.0)
    found = find_centre(np.random.default_rng(4).poisson(out).astype(float))
    assert np.hypot(found.px[0] - centre[0], found.px[1] - centre[1]) < 0.2


def test_brightest_spot_is_the_beam_where_a_tilted_lattice_is_more_symmetric_elsewhere() -> None:
    centre, lit = (40.0, 46.0), (58.0, 68.0)
    out = np.full(SHAPE, 3.0)
    for i in range(-8, 9):
        for j in range(-8, 9):
            at = (centre[0] + 12.0 * i + 3.0 * j, centre[1] - 4.0 * i + 11.0 * j)
            glow = np.exp(-0.5 * ((at[0] - lit[0]) ** 2 + (at[1] - lit[1]) ** 2) / 28.0**2)
            out += spot(at, 1.5, 2500.0 if (i, j) == (0, 0) else 900.0 * glow)
    found = find_centre(np.random.default_rng(5).poisson(out).astype(float))
    assert np.hypot(found.px[0] - centre[0], found.px[1] - centre[1]) < 0.2


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_flat_pattern_is_refused_with_the_remedy(value: float) -> None:
    with pytest.raises(CalibrationError, match="--centre"):
        find_centre(np.full(SHAPE, value))


def test_bright_ring_about_a_stop_is_not_the_beam() -> None:
    # The brightest blob is most of a ring, whose centroid lies off its centre, because the stop covers a part of it.
    centre = (57.3, 61.8)
    y, x = np.indices(SHAPE)
    radius = np.hypot(y - centre[0], x - centre[1])
    light = (
        10.0 + 200.0 * np.exp(-0.5 * ((radius - 20.0) / 2.0) ** 2) + 30.0 * np.exp(-0.5 * ((radius - 38.0) / 2) ** 2)
    )
    valid = ~((np.abs(x - centre[1]) < 9.0) & (y < centre[0] + 8.0))
    counts = np.where(valid, np.random.default_rng(4).poisson(light), 0).astype(float)
    found = find_centre(counts, valid)
    assert found.method == "inversion symmetry"
    assert np.hypot(found.px[0] - centre[0], found.px[1] - centre[1]) < 0.7
