"""Scale, ellipse and centre from the rings of gold, whose radii are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from friedel.core.errors import CalibrationError
from friedel.core.grids import ReciprocalGrid
from friedel.core.images import Pattern
from friedel.patterns.ring_fit import fit_rings

#: Gold, a = 4.0782 Å: sqrt(h^2 + k^2 + l^2) / a, and light as of powder.
RADIUS = np.sqrt([3, 4, 8, 11, 12, 16, 19, 20]) / 4.0782
LIGHT = np.array([1.0, 0.53, 0.39, 0.46, 0.13, 0.06, 0.17, 0.15])
SHAPE, STEP = (250, 262), 0.005


def rings(stretch: float, axis_deg: float, centre: tuple[float, float], seed: int, brightness: float = 60.0) -> Pattern:
    """Poisson counts of rings, stretched by ``stretch`` along an axis (from +kx towards +ky), over a halo."""
    c, s = np.cos(np.deg2rad(axis_deg)), np.sin(np.deg2rad(axis_deg))
    along, across = np.array([s, c]), np.array([c, -s])  # (y, x)
    px = np.stack(np.indices(SHAPE), axis=-1) - np.array(centre)
    k = STEP * np.hypot(px @ along / np.sqrt(1 + stretch), px @ across * np.sqrt(1 + stretch))
    mean = 30.0 / (1.0 + (k / 0.15) ** 2)
    for radius, light in zip(RADIUS, LIGHT, strict=True):
        mean += brightness * light * np.exp(-0.5 * ((k - radius) / 0.006) ** 2)
    counts = np.random.default_rng(seed).poisson(mean).astype(float)
    return Pattern(counts, ReciprocalGrid((STEP, STEP), (124.5, 130.5)))


@pytest.mark.parametrize(
    ("stretch", "axis_deg", "scale", "centre"),
    [(0.0, 0.0, 1.0, (124.5, 130.5)), (0.03, 30.0, 1.04, (126.5, 127.5)), (0.05, 112.0, 0.92, (129.5, 131.5))],
)
def test_scale_ellipse_and_centre_are_recovered(
    stretch: float, axis_deg: float, scale: float, centre: tuple[float, float]
) -> None:
    pattern = rings(stretch, axis_deg, centre, seed=1)
    grid = replace(pattern.grid, step_inv_a=(STEP * scale, STEP * scale))
    fit = fit_rings(replace(pattern, grid=grid), RADIUS, LIGHT)
    assert fit.grid.relative_sigma < 5e-4
    assert abs(fit.grid.step_inv_a[0] / STEP - 1.0) < 4.0 * fit.grid.relative_sigma
    assert fit.scale == pytest.approx(1.0 / scale, abs=5e-4)
    assert fit.ellipticity == pytest.approx(stretch, abs=max(4.0 * fit.ellipticity_sigma, 0.002))
    assert fit.grid.centre_px == pytest.approx(centre, abs=0.06)
    assert fit.grid.source == "standard"
    if stretch:
        assert fit.long_axis_deg == pytest.approx(axis_deg, abs=2.0)
    # The grid puts every ring where it belongs: back from k to the stretched pixel.
    along = np.array([np.sin(np.deg2rad(axis_deg)), np.cos(np.deg2rad(axis_deg))])
    far = np.array(centre) + along * np.sqrt(1 + stretch) * RADIUS[2] / STEP
    assert np.hypot(*fit.grid.k_of(far)) == pytest.approx(RADIUS[2], rel=1e-3)


def test_stated_error_is_that_of_repeated_exposures() -> None:
    fits = [fit_rings(rings(0.02, 60.0, (124.5, 130.5), seed, 20.0), RADIUS, LIGHT) for seed in range(12)]
    off = np.array([fit.grid.step_inv_a[0] / STEP - 1.0 for fit in fits])
    stated = np.mean([fit.grid.relative_sigma for fit in fits])
    assert 0.3 < np.sqrt(np.mean(off**2)) / stated < 2.0


def test_beam_stop_over_a_third_of_the_rings_does_no_harm() -> None:
    pattern = rings(0.03, 75.0, (124.5, 130.5), seed=2)
    rows, columns = np.indices(SHAPE)
    stopped = np.abs(np.arctan2(rows - 124.5, columns - 130.5)) < np.pi / 3.5
    data = np.where(stopped, 0.0, pattern.data)
    fit = fit_rings(replace(pattern, data=data, valid=~stopped), RADIUS, LIGHT)
    assert fit.grid.step_inv_a[0] == pytest.approx(STEP, rel=1e-3)
    assert fit.ellipticity == pytest.approx(0.03, abs=0.003)


def test_what_is_no_ring_pattern_of_the_standard_is_refused() -> None:
    flat = np.random.default_rng(3).poisson(20.0, SHAPE).astype(float)
    grid = ReciprocalGrid((STEP, STEP), (124.5, 130.5))
    with pytest.raises(CalibrationError, match="standard"):
        fit_rings(Pattern(flat, grid), RADIUS, LIGHT)
    # Some rings of silicon can be laid on those of gold; the strongest is missing then.
    silicon = np.sqrt([3, 8, 11, 16, 19, 24, 27]) / 5.431
    with pytest.raises(CalibrationError, match="rings of the standard"):
        fit_rings(rings(0.0, 0.0, (124.5, 130.5), 4), silicon, np.array([1.0, 0.9, 0.5, 0.15, 0.2, 0.3, 0.15]))
