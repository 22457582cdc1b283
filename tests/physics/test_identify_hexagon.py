"""Regular hexagons are found among clutter, and rarely where there are none."""

from __future__ import annotations

import numpy as np
import pytest

from friedel.core.arrays import FloatArray
from friedel.core.errors import DataError
from friedel.core.spots import Spots
from friedel.identify.hexagons.lattice import HexagonOptions, Hexagons, fit_hexagons

ANNULUS = (0.3, 0.85)
SIGMA = 0.003


def table(patterns: list[FloatArray], seed: int = 0) -> Spots:
    """Spots at positions (m, 2) of each pattern, measured with an error of 0.003 1/Å."""
    rng = np.random.default_rng(seed)
    k = np.concatenate(patterns)
    intensity = rng.uniform(50.0, 500.0, len(k))
    offsets = np.concatenate([[0], np.cumsum([len(p) for p in patterns])])
    shape = (len(patterns), 1)
    return Spots(k + rng.normal(0, SIGMA, k.shape), np.full(k.shape, SIGMA), intensity, intensity / 9, offsets, shape)


def hexagon(radius: float, azimuth_deg: float, vertices: tuple[int, ...] = (0, 1, 2, 3, 4, 5)) -> FloatArray:
    angle = np.deg2rad(azimuth_deg) + np.pi / 3 * np.array(vertices)
    return radius * np.stack([np.sin(angle), np.cos(angle)], axis=1)


def clutter(n: int, seed: int) -> FloatArray:
    """Positions (n, 2) thrown at random into the annulus."""
    rng = np.random.default_rng(seed)
    radius = np.sqrt(rng.uniform(ANNULUS[0] ** 2, ANNULUS[1] ** 2, n))
    angle = rng.uniform(0, 2 * np.pi, n)
    return np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1)


def fit(patterns: list[FloatArray], options: HexagonOptions | None = None) -> Hexagons:
    return fit_hexagons(table(patterns), options or HexagonOptions(), ANNULUS)


@pytest.mark.parametrize("vertices", [(0, 1, 2, 3, 4, 5), (0, 1, 2, 4, 5), (0, 2, 3, 5), (1, 2, 4), (0, 2, 4)])
def test_hexagon_with_some_of_its_vertices_is_found(vertices: tuple[int, ...]) -> None:
    hexagons = fit([hexagon(0.41, 17.0, vertices)])
    assert hexagons.n_vertices.tolist() == [len(vertices)]
    assert abs(hexagons.radius_inv_a[0] - 0.41) < 4 * hexagons.sigma_inv_a[0]
    assert np.rad2deg(hexagons.azimuth_rad[0]) == pytest.approx(17.0, abs=1.0)
    assert hexagons.sigma_inv_a[0] == pytest.approx(SIGMA / np.sqrt(len(vertices)), rel=0.7)


def test_hexagon_is_found_among_clutter() -> None:
    n = 40
    patterns = [np.concatenate([hexagon(0.7, 5.0 + i), clutter(8, i)]) for i in range(n)]
    hexagons = fit(patterns)
    right = np.abs(hexagons.radius_inv_a - 0.7) < 0.01
    assert set(hexagons.pattern_index[right].tolist()) == set(range(n))
    assert (hexagons.n_vertices[right] == 6).mean() > 0.9
    turned = hexagons.azimuth_rad[right] - np.deg2rad(5.0 + hexagons.pattern_index[right])
    assert np.abs(turned).max() < 0.02


def test_azimuth_near_its_period_is_averaged_as_an_angle() -> None:
    azimuth = np.rad2deg(fit([hexagon(0.5, 0.0)]).azimuth_rad[0])
    assert min(azimuth, 60.0 - azimuth) < 1.0


@pytest.mark.parametrize("n_spots", [3, 4, 6, 10, 20, 40, 80])
def test_random_spots_give_no_more_hexagons_than_stated(n_spots: int) -> None:
    n = 150
    for allowed in (0.1, 0.5):
        found = fit([clutter(n_spots, 1000 + i) for i in range(n)], HexagonOptions(max_false_alarms=allowed))
        assert len(found) <= allowed * n + 3 * np.sqrt(allowed * n)


def test_many_vertices_mean_little_among_many_spots() -> None:
    patterns = [clutter(80, 1000 + i) for i in range(40)]
    assert len(fit(patterns, HexagonOptions(max_false_alarms=1e9))) > 20
    assert len(fit(patterns)) <= 4


def test_three_vertices_are_enough_among_few_other_spots() -> None:
    patterns = [np.concatenate([hexagon(0.5, 3.0 * i, (0, 1, 3)), clutter(5, i)]) for i in range(20)]
    hexagons = fit(patterns)
    assert (np.abs(hexagons.radius_inv_a - 0.5) < 0.01).sum() >= 18


def test_two_hexagons_share_a_pattern() -> None:
    both = np.concatenate([hexagon(0.41, 12.0), hexagon(0.709, 42.0)])
    hexagons = fit([both, hexagon(0.709, 42.0), clutter(0, 0)])
    assert hexagons.offsets.tolist() == [0, 2, 3, 3]
    assert sorted(np.round(hexagons.radius_inv_a[:2], 2).tolist()) == [0.41, 0.71]


def test_two_grains_of_one_ring_are_two_hexagons() -> None:
    hexagons = fit([np.concatenate([hexagon(0.41, 12.0), hexagon(0.41, 37.0)])])
    assert sorted(np.rad2deg(hexagons.azimuth_rad).round().tolist()) == [12.0, 37.0]


def test_result_does_not_depend_on_the_order_of_spots() -> None:
    spots = table([np.concatenate([hexagon(0.41, 12.0), clutter(8, 3)])])
    order = np.random.default_rng(1).permutation(len(spots))
    shuffled = Spots(spots.k_inv_a[order], spots.sigma_inv_a[order], spots.intensity[order], spots.snr[order],
                     spots.offsets)  # fmt: skip
    first, second = (fit_hexagons(s, HexagonOptions(), ANNULUS) for s in (spots, shuffled))
    np.testing.assert_allclose(first.radius_inv_a, second.radius_inv_a, rtol=1e-9)
    np.testing.assert_allclose(first.intensity, second.intensity, rtol=1e-9)


def test_result_does_not_depend_on_how_a_scan_is_cut() -> None:
    spots = table([np.concatenate([hexagon(0.41, 3.0 * i), clutter(60, i)]) for i in range(10)])
    options = HexagonOptions(max_draws=1, max_false_alarms=1e9)  # one draw of many pairs: chance decides
    whole = fit_hexagons(spots, options, ANNULUS, seed=5)
    cut = [Spots.join([spots.of(i) for i in part], (len(part), 1)) for part in (range(4), range(4, 10))]
    parts = [fit_hexagons(p, options, ANNULUS, seed=5, first_index=i) for p, i in zip(cut, (0, 4), strict=True)]
    joined = Hexagons.join(parts)
    np.testing.assert_array_equal(joined.offsets, whole.offsets)
    np.testing.assert_array_equal(joined.radius_inv_a, whole.radius_inv_a)


def test_vertices_are_the_hexagon_that_was_found() -> None:
    hexagons = fit([hexagon(0.6, 20.0)])
    vertices = hexagons.vertices_inv_a(0)
    distance = np.linalg.norm(vertices[:, None] - hexagon(0.6, 20.0), axis=2).min(axis=1)
    assert distance.max() < 4 * SIGMA


def test_rectangle_is_no_hexagon() -> None:
    for angle in (35.0, 45.0):
        a = np.deg2rad(np.array([angle, 180 - angle, 180 + angle, -angle]))
        assert len(fit([0.5 * np.stack([np.sin(a), np.cos(a)], axis=1)])) == 0


def test_too_few_vertices_and_impossible_settings() -> None:
    assert len(fit([hexagon(0.5, 9.0, (0, 1, 3))], HexagonOptions(min_vertices=4))) == 0
    for settings in ({"tolerance_inv_a": 0.0}, {"min_vertices": 7}, {"max_false_alarms": 0.0}, {"max_draws": 0}):
        with pytest.raises(DataError, match="HexagonOptions"):
            HexagonOptions(**settings)
