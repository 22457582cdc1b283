"""The tiled road: local diffractograms, and maps that agree with those of the whole image."""

from __future__ import annotations

import numpy as np
import pytest

from friedel.core.errors import DataError
from friedel.core.grids import RealGrid
from friedel.core.images import Micrograph
from friedel.crystal import load_phases
from friedel.identify.grains.components import ComponentOptions, map_micrograph
from friedel.identify.grains.local_maps import local_maps, to_image
from friedel.patterns.tiles import tile
from friedel.simulate.micrographs.micrograph import SEI_PHASES, sei_micrograph

SEI = load_phases(SEI_PHASES)


def fringes(shape, k, step_a, rng, bend=0.0, noise=1.0):
    """Cosine fringes whose frequency along x grows by ``bend`` (relative) from the left edge to the right one."""
    y, x = np.indices(shape) * np.array(step_a)[:, None, None]
    width = shape[1] * step_a[1]
    phase = k[0] * y + k[1] * (x + bend * (x**2 / (2 * width) - x / 2))
    return Micrograph(100 + 2 * np.cos(2 * np.pi * phase) + noise * rng.normal(size=shape), RealGrid(step_a))


def test_tiles_have_the_power_of_white_noise_and_a_calibrated_grid():
    noise = np.random.default_rng(0).normal(0, 3, (200, 300))
    scan = tile(Micrograph(noise, RealGrid((0.4, 0.5))), 64, 32)
    assert scan.scan_shape == (5, 8)
    assert scan.rows(0, 5).mean() == pytest.approx(9, rel=0.03)
    assert scan.grid.step_inv_a == pytest.approx((1 / 25.6, 1 / 32))
    assert scan.scan_grid is not None
    assert scan.scan_grid.step_a == pytest.approx((12.8, 16.0))


def test_slices_of_tiles_are_those_of_the_whole():
    scan = tile(fringes((100, 120), (0.2, 0.3), (0.4, 0.4), np.random.default_rng(1)), 32, 16)
    whole = scan.rows(0, scan.scan_shape[0])
    for key in (slice(1, 3), (2, 3), (slice(1, 3), 2, slice(5, 9)), (slice(None), slice(0, 2), 4, 7)):
        np.testing.assert_allclose(scan.data[key], whole[key], rtol=1e-4, atol=1e-5)


def test_fringe_lies_in_every_tile_where_the_grid_puts_it():
    scan = tile(fringes((200, 260), (0.21, -0.33), (0.4, 0.5), np.random.default_rng(2), noise=0.1), 64, 40)
    middle = scan.grid.px_of((0.21, -0.33))
    for pattern in scan.rows(0, scan.scan_shape[0]).reshape(-1, 64, 64):
        half = np.where(np.arange(64)[:, None] > 32, pattern, 0)
        top = np.array(np.unravel_index(half.argmax(), half.shape))
        assert np.abs(top - middle).max() < 1


@pytest.mark.parametrize(("window", "step"), [(63, 8), (12, 8), (400, 8), (64, 0)])
def test_impossible_tiles_are_refused(window, step):
    with pytest.raises(DataError, match="_px must be"):
        tile(Micrograph(np.ones((200, 200)), RealGrid((1.0, 1.0))), window, step)


def test_local_spacing_follows_a_gradient_within_its_error():
    rng = np.random.default_rng(3)
    micrograph = fringes((512, 512), (0.02, 0.4823), (0.37, 0.37), rng, bend=0.02, noise=3.0)
    result = map_micrograph(micrograph, load_phases(["cu"]), ComponentOptions(max_spots=1))
    maps = local_maps(tile(micrograph, 96, 32), result)
    x = (maps.offset_px[1] + 32 * np.arange(maps.seen.shape[1])) / 512
    true_k = np.hypot(0.02, 0.4823 * (1 + 0.02 * (x - 0.5)))
    ratio = result.spots.radius_inv_a[0] / true_k
    off = (maps.spacing_ratio[..., 0] - ratio) / maps.spacing_sigma[..., 0]
    assert maps.seen.all()
    assert abs(np.nanmean(maps.spacing_ratio[..., 0] - ratio)) < 5e-4
    assert 0.6 < np.nanstd(off) < 1.5


def test_turn_of_a_lattice_is_measured():
    rng = np.random.default_rng(4)
    micrograph = fringes((384, 384), (0.02, 0.4823), (0.37, 0.37), rng)
    result = map_micrograph(micrograph, load_phases(["cu"]), ComponentOptions(max_spots=1))
    angle = np.deg2rad(0.8)
    turned = (0.02 * np.cos(angle) + 0.4823 * np.sin(angle), 0.4823 * np.cos(angle) - 0.02 * np.sin(angle))
    maps = local_maps(tile(fringes((384, 384), turned, (0.37, 0.37), rng), 96, 48), result)
    assert np.nanmean(maps.turn_deg) == pytest.approx(0.8, abs=0.05)


def test_tiled_road_and_bragg_filter_agree_on_where_the_phases_are():
    micrograph, truth = sei_micrograph(11, (512, 512))
    result = map_micrograph(micrograph, SEI, ComponentOptions(max_spots=30))
    maps = local_maps(tile(micrograph, 64, 16), result)
    tiled = to_image(maps.phase_map.presence >= 0.5, micrograph.shape, maps.offset_px, 16)
    whole = result.phase_map.presence >= 0.5
    both, either = (tiled & whole).sum(), (tiled | whole).sum()
    assert either > 0.2 * truth.presence.any(axis=-1).sum()
    assert both / either > 0.75
