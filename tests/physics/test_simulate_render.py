"""Light on the detector: as much as the spots hold, and where the calibration says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from friedel.core.arrays import FloatArray
from friedel.core.beam import Beam
from friedel.core.errors import DataError
from friedel.core.grids import ReciprocalGrid
from friedel.crystal import load_phase
from friedel.simulate.patterns.diffraction import SpotPattern, diffract, orient
from friedel.simulate.patterns.render import SpotShape, render

SHAPE = (90, 130)
GRID = ReciprocalGrid((0.02, 0.025), (41.3, 66.8), np.array([[1.02, 0.01], [0.01, 0.97]]))


def one_spot(k_inv_a: tuple[float, float]) -> SpotPattern:
    return SpotPattern(np.array([[1, 0, 0]]), np.array([k_inv_a]), np.array([1.0]), 0.0)


def moments(picture: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Middle (2,) and covariance (2, 2) in pixels of the light."""
    px = np.stack(np.indices(picture.shape), axis=-1).reshape(-1, 2)
    weight = picture.ravel() / picture.sum()
    middle = weight @ px
    return middle, (px - middle).T @ ((px - middle) * weight[:, None])


@given(st.floats(-0.5, 0.5), st.floats(-0.9, 0.9), st.sampled_from([0.0, 0.03, 0.12]), st.floats(0.6, 2.0))
def test_spot_lies_where_the_grid_puts_it_and_keeps_its_light(
    ky: float, kx: float, radius_inv_a: float, blur_px: float
) -> None:
    picture = render(one_spot((ky, kx)), GRID, SHAPE, SpotShape(radius_inv_a, blur_px))
    assert picture.shape == SHAPE
    assert picture.sum() == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(moments(picture)[0], GRID.px_of((ky, kx)), atol=0.03)


def test_sum_is_the_share_that_the_detector_catches() -> None:
    full = diffract(orient(load_phase("au"), (0, 0, 1), 2.0), Beam(200.0), thickness_a=80.0)
    middle = np.array([44.5, 64.5])
    beyond_px = (np.abs(GRID.px_of(full.k_inv_a) - middle) - middle).max(axis=1)
    clear = np.abs(beyond_px) > 4.0  # not cut by an edge
    pattern = SpotPattern(full.hkl[clear], full.k_inv_a[clear], full.share[clear], full.direct)
    caught = beyond_px[clear] < 0
    assert 0 < caught.sum() < len(caught)
    picture = render(pattern, GRID, SHAPE, SpotShape())
    assert picture.sum() == pytest.approx(pattern.direct + pattern.share[caught].sum(), abs=1e-12)


def test_spot_on_the_edge_is_cut_in_half() -> None:
    grid = ReciprocalGrid((0.02, 0.02), (40.0, 60.0))
    picture = render(one_spot((-40.5 * 0.02, 0.0)), grid, SHAPE, SpotShape(0.1))
    assert picture.sum() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("radius_px", [4.0, 9.0])
def test_disk_has_the_radius_of_the_convergence_angle(radius_px: float) -> None:
    beam = Beam(200.0, semi_convergence_mrad=1e3 * Beam(200.0).wavelength_a * radius_px * 0.02)
    grid = ReciprocalGrid((0.02, 0.02), (44.2, 64.6))
    picture = render(one_spot((0.0, 0.0)), grid, SHAPE, SpotShape.of(beam, blur_px=0.5))
    # A uniform disk has the variance R^2 / 4 along each axis; the blur adds its own.
    np.testing.assert_allclose(np.diag(moments(picture)[1]), radius_px**2 / 4 + 0.25, rtol=0.03)
    assert picture.max() == pytest.approx(1 / (np.pi * radius_px**2), rel=0.03)


def test_ellipse_distorts_disks_as_it_does_distances() -> None:
    grid = ReciprocalGrid((0.02, 0.02), (44.2, 64.6), np.array([[1.25, 0.1], [0.1, 0.8]]))
    covariance = moments(render(one_spot((0.0, 0.0)), grid, SHAPE, SpotShape(0.2, blur_px=0.3)))[1]
    to_px = np.linalg.inv(grid.ellipse) / 0.02
    np.testing.assert_allclose(covariance, to_px @ to_px.T * 0.2**2 / 4, rtol=0.03, atol=0.3)


def test_negative_radius_and_missing_blur_are_refused() -> None:
    with pytest.raises(DataError, match="disk_radius_inv_a"):
        SpotShape(-0.1)
    with pytest.raises(DataError, match="width of a pixel"):
        SpotShape(0.0, 0.1)
