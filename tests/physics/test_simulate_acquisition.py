"""A simulated scan is what its truth says: the same however it is read, each spot where its grain's lattice puts it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from friedel.core.arrays import FloatArray
from friedel.core.beam import Beam
from friedel.core.errors import DataError
from friedel.crystal import load_phase, load_phases, zone_net
from friedel.simulate.patterns.acquisition import Acquisition, SimulatedScan, simulate_scan
from friedel.simulate.patterns.noise import Noise
from friedel.simulate.patterns.sample import Layer, Region, Sample, cathode_sample, smooth_field, voronoi_sample
from friedel.simulate.training.pattern_set import Draws, simulate_patterns

GOLD, O3, O1 = (load_phase(name) for name in ("au", "nmc811-o3", "nmc811-o1"))
QUICK = Acquisition(pattern_shape=(56, 64), step_inv_a=0.036, noise=Noise(dose_electrons=2e5), descan_px=0.0)


def light_at(simulated: SimulatedScan, ry: int, rx: int, k_inv_a: FloatArray) -> FloatArray:
    """Electrons within 2 px of each position (N, 2)."""
    pattern = np.asarray(simulated.scan.data[ry, rx], dtype=float)
    px = np.stack(np.indices(pattern.shape), axis=-1)[None]
    near = np.hypot(*np.moveaxis(px - simulated.scan.grid.px_of(k_inv_a)[:, None, None], -1, 0)) < 2.0
    return np.asarray((pattern * near).sum(axis=(1, 2)))


def turn(k_inv_a: FloatArray, angle_deg: float) -> FloatArray:
    """Turn positions (N, 2) in order (ky, kx) from +kx towards +ky."""
    angle = np.deg2rad(angle_deg)
    ky, kx = k_inv_a.T
    return np.stack([ky * np.cos(angle) + kx * np.sin(angle), kx * np.cos(angle) - ky * np.sin(angle)], axis=1)


@pytest.fixture(scope="module")
def cathode() -> SimulatedScan:
    return simulate_scan(cathode_sample((12, 15), fault_share=0.1), QUICK, 7)


def test_patterns_are_the_same_however_they_are_read(cathode: SimulatedScan) -> None:
    data = cathode.scan.data
    whole = np.asarray(data)
    assert whole.shape == data.shape == (12, 15, 56, 64)
    for key in (3, np.s_[2:5, 4:9, 10:20], np.s_[-1, -1], np.s_[::4, 7, :, 30], np.s_[1:2]):
        assert np.array_equal(data[key], whole[key])
    again, other = (simulate_scan(cathode_sample((12, 15), fault_share=0.1), QUICK, seed) for seed in (7, 8))
    assert np.array_equal(again.scan.data[5], whole[5])
    assert not np.array_equal(other.scan.data[5], whole[5])


def test_spots_lie_where_zone_and_rotation_of_the_truth_put_them() -> None:
    rng = np.random.default_rng(5)
    crystals = load_phases(["au", "lif", "nmc811-o3"]).crystals
    grains = voronoi_sample(crystals, (10, 13), rng, n_grains=6)
    clear = Sample(tuple(replace(region, halo_share=0.0) for region in grains.regions), grains.where)
    simulated = simulate_scan(clear, replace(QUICK, bend_mrad=0.0), 5)
    checked = 0
    for p, crystal in enumerate(crystals):
        for ry, rx in np.argwhere(simulated.truth.presence[..., p] > 0)[::7]:
            u, v, w = (int(x) for x in simulated.zone_axis[ry, rx, p])
            net = zone_net(crystal, (u, v, w), 0.85)
            strong = net.f2 > 0.3 * net.f2.max()
            angles = simulated.rotation_deg[ry, rx, p] + np.arange(0.0, 180.0, 11.0)
            light = [light_at(simulated, ry, rx, turn(net.k_inv_a[strong], a)).mean() for a in angles]
            assert light[0] > 0.9 * max(light)
            assert light[0] > 2.5 * np.median(light)
            checked += 1
    assert checked >= 6


def test_truth_of_the_cathode_knows_stacks_films_and_vacuum(cathode: SimulatedScan) -> None:
    presence, thickness = cathode.truth.presence > 0.5, cathode.thickness_a
    names = list(cathode.truth.phases)
    assert names == ["nmc811-o3", "nmc811-o1", "limn2o4", "nio"]
    both = presence[..., 0] & presence[..., 1]
    assert both.any()
    np.testing.assert_allclose(thickness[both, 0] / thickness[both, 1], 100.0 / 70.0, rtol=1e-5)
    nothing = ~presence.any(axis=-1)
    assert nothing.any()
    assert (cathode.zone_axis[nothing] == 0).all()
    assert np.isnan(cathode.rotation_deg[nothing]).all()
    assert (thickness[presence] > 15.0).all()
    turned = cathode.rotation_deg[both]
    np.testing.assert_allclose(turned[:, 1] - turned[:, 0], 30.0, atol=1e-3)


def test_thin_layer_in_a_thick_column_does_not_count_as_present() -> None:
    regions = [Region((Layer(O3, (0, 0, 1), 300.0), Layer(O1, (0, 0, 1), t))) for t in (5.0, 20.0, 60.0)]
    sample = Sample(tuple(regions), np.arange(3)[:, None])
    still = replace(QUICK, thickness_spread=0.0)
    assert simulate_scan(sample, still, 0).truth.presence[:, 0, 1].tolist() == [0.0, 0.0, 1.0]


def test_descan_moves_the_beam_and_the_file_does_not_say_so() -> None:
    sample = Sample((Region((Layer(GOLD, (0, 0, 1)),)), Region()), np.ones((8, 8), dtype=int))
    simulated = simulate_scan(sample, replace(QUICK, descan_px=6.0), 1)
    assert simulated.scan.grid.centre_px == (27.5, 31.5)
    for ry, rx in ((0, 0), (4, 4), (7, 2)):
        pattern = np.asarray(simulated.scan.data[ry, rx], dtype=float)
        y, x = (float((np.indices(pattern.shape)[i] * pattern).sum() / pattern.sum()) for i in (0, 1))
        assert y - 27.5 == pytest.approx(6.0 * (ry / 8 - 0.5), abs=0.05)
        assert x - 31.5 == pytest.approx(6.0 * (rx / 8 - 0.5), abs=0.05)


def test_film_has_its_rings_and_vacuum_nothing_but_the_beam() -> None:
    regions = (Region((Layer(GOLD, (0, 0, 1)),)), Region(amorphous_share=0.5), Region())
    simulated = simulate_scan(Sample(regions, np.array([[0, 1, 2]])), QUICK, 3)
    radius = simulated.scan.grid.radius_inv_a((56, 64))
    film, vacuum = (np.asarray(simulated.scan.data[0, i], dtype=float) for i in (1, 2))
    ring = (radius > 0.42) & (radius < 0.54)
    assert film[ring].mean() > 5 * film[(radius > 0.16) & (radius < 0.26)].mean()
    assert vacuum[radius > 0.2].sum() == 0


@pytest.mark.parametrize("correlation_px", [0.0, 3.0])
def test_smooth_fields_have_unit_variance_and_their_correlation(correlation_px: float) -> None:
    rng = np.random.default_rng(0)
    fields = np.stack([smooth_field((48, 40), correlation_px, rng) for _ in range(60)])
    assert fields.var() == pytest.approx(1.0, rel=0.08)
    for lag in (1, 3, 6):
        expected = np.exp(-((lag / (2 * correlation_px)) ** 2)) if correlation_px else 0.0
        assert (fields[:, lag:] * fields[:, :-lag]).mean() == pytest.approx(expected, abs=0.08)


def test_pattern_set_holds_the_spots_it_drew() -> None:
    acquisition = replace(QUICK, beam=Beam(200.0), noise=Noise(dose_electrons=1e5))
    made = simulate_patterns(GOLD, [(0, 0, 1), (0, 1, 1)], acquisition, Draws(3, (60.0, 120.0)), 2)
    assert made.scan.scan_shape == (2, 3)
    for row in (0, 1):
        for i in range(3):
            spots = made.spots[row].pattern(i)
            pattern = np.asarray(made.scan.data[row, i], dtype=float)
            px = np.rint(made.scan.grid.px_of(spots.k_inv_a)).astype(int)
            seen = ((px > 3) & (px < np.array(pattern.shape) - 4)).all(axis=1) & (spots.share > 5e-3)
            assert seen.sum() >= 2
            for (y, x), share in zip(px[seen], spots.share[seen], strict=True):
                electrons = pattern[y - 3 : y + 4, x - 3 : x + 4].sum()
                assert electrons == pytest.approx(1e5 * share, abs=5 * np.sqrt(1e5 * share) + 0.01 * 1e5 * share)


def test_samples_and_draws_that_cannot_be_are_refused() -> None:
    with pytest.raises(DataError, match="no crystal"):
        simulate_scan(Sample((Region(),), np.zeros((2, 2), dtype=int)), QUICK, 0)
    with pytest.raises(DataError, match="regions"):
        Sample((Region(),), np.ones((2, 2), dtype=int))
    with pytest.raises(DataError, match="thickness_a"):
        Layer(GOLD, (0, 0, 1), -3.0)
    with pytest.raises(DataError, match="low <= high"):
        Draws(1, (300.0, 100.0))
