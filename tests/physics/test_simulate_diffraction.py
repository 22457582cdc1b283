"""Simulated spots lie where crystallography puts them, and no electron is counted twice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from friedel.core.arrays import FloatArray
from friedel.core.beam import Beam
from friedel.crystal import load_phase, zone_axes, zone_frame, zone_net
from friedel.simulate.patterns.diffraction import SpotPattern, diffract, orient

BEAM = Beam(300.0)
GOLD = orient(load_phase("au"), (0, 0, 1), 1.2)
GOLD_A = 4.07825
O3 = orient(load_phase("nmc811-o3"), (0, 0, 1), 1.2)
O1 = orient(load_phase("nmc811-o1"), (0, 0, 1), 1.2)


def radii(pattern: SpotPattern) -> FloatArray:
    return np.hypot(pattern.k_inv_a[:, 0], pattern.k_inv_a[:, 1])


def share_of(pattern: SpotPattern, hkl: tuple[int, int, int]) -> float:
    return float(pattern.share[(pattern.hkl == hkl).all(axis=1)].sum())


def test_rings_of_gold_lie_at_the_tabulated_spacings() -> None:
    pattern = diffract(GOLD, BEAM, thickness_a=100.0)
    rings = np.unique(np.round(radii(pattern), 6))[:3]
    np.testing.assert_allclose(rings, [2 / GOLD_A, np.sqrt(8) / GOLD_A, 4 / GOLD_A], rtol=1e-5)


def test_centring_forbids_mixed_indices_and_100_of_o3() -> None:
    parity = diffract(GOLD, BEAM, thickness_a=100.0).hkl % 2
    assert (parity == parity[:, :1]).all()
    first_o3, first_o1 = (radii(diffract(c, BEAM, thickness_a=150.0)).min() for c in (O3, O1))
    assert first_o3 == pytest.approx(2 / 2.872, rel=1e-4)  # {110}: d = a / 2
    assert first_o1 == pytest.approx(2 / (np.sqrt(3) * 2.82), rel=1e-4)  # {100}: d = a sqrt(3) / 2


@pytest.mark.parametrize("uvw", [(0, 0, 1), (0, 1, 1), (1, 2, 3)])
def test_positions_are_those_of_the_zone_net(uvw: tuple[int, int, int]) -> None:
    crystal = load_phase("li2co3")
    pattern, net = diffract(orient(crystal, uvw, 0.8), BEAM, thickness_a=100.0), zone_net(crystal, uvw, 0.8)
    place = {tuple(hkl): k for hkl, k in zip(net.hkl.tolist(), net.k_inv_a, strict=True)}
    in_zone = pattern.hkl @ np.array(uvw) == 0
    assert in_zone.sum() >= 4
    for hkl, k in zip(pattern.hkl[in_zone].tolist(), pattern.k_inv_a[in_zone], strict=True):
        np.testing.assert_allclose(k, place[tuple(hkl)], atol=1e-9)


@pytest.mark.parametrize("name", ["si", "li2co3", "nmc811-o3", "tio2-rutile"])
def test_known_reflections_give_the_frame_that_the_zone_has(name: str) -> None:
    crystal = load_phase(name)
    for uvw in zone_axes(crystal, 3):
        frame = orient(crystal, uvw, 1.0).g_inv_a @ zone_frame(crystal, uvw)
        np.testing.assert_allclose(frame, orient(crystal, uvw, 1.0).reflections.g_inv_a, atol=1e-9)


def test_higher_laue_zones_lie_above_the_zone_axis() -> None:
    # (kx, ky, [uvw]) are right-handed, and g . [uvw] = hu + kv + lw counts the Laue zones.
    crystal, uvw = load_phase("li2co3"), (1, 2, 3)
    oriented = orient(crystal, uvw, 0.8)
    length = float(np.linalg.norm(np.array(uvw) @ crystal.direct_basis_a))
    np.testing.assert_allclose(oriented.g_inv_a[:, 2] * length, oriented.reflections.hkl @ np.array(uvw), atol=1e-9)


def test_rotation_turns_from_kx_towards_ky() -> None:
    still, turned = (diffract(GOLD, BEAM, thickness_a=100.0, rotation_rad=r) for r in (0.0, np.pi / 2))
    ky, kx = still.k_inv_a.T
    np.testing.assert_allclose(turned.k_inv_a, np.stack([kx, -ky], axis=1), atol=1e-12)


def test_without_tilt_spots_come_in_friedel_pairs() -> None:
    pattern = diffract(O1, BEAM, thickness_a=150.0, rotation_rad=0.3)
    for hkl, k, share in zip(pattern.hkl.tolist(), pattern.k_inv_a, pattern.share, strict=True):
        partner = int(np.flatnonzero((pattern.hkl == [-i for i in hkl]).all(axis=1))[0])
        np.testing.assert_allclose(pattern.k_inv_a[partner], -k, atol=1e-12)
        assert pattern.share[partner] == pytest.approx(share, rel=1e-9)


@given(st.floats(1.0, 2000.0), st.floats(-40.0, 40.0), st.floats(-40.0, 40.0), st.floats(-7.0, 7.0))
def test_no_electron_is_lost_or_counted_twice(thickness: float, about_kx: float, about_ky: float, turn: float) -> None:
    pattern = diffract(O1, BEAM, thickness_a=thickness, rotation_rad=turn, tilt_mrad=(about_kx, about_ky))
    assert pattern.direct + pattern.share.sum() == pytest.approx(1.0, abs=1e-12)
    assert (pattern.share >= 0).all()


def test_thin_crystals_are_kinematic() -> None:
    thin, twice = (diffract(GOLD, BEAM, thickness_a=t) for t in (0.5, 1.0))
    f2 = {tuple(h): f for h, f in zip(GOLD.reflections.hkl.tolist(), GOLD.reflections.f2, strict=True)}
    ratio = share_of(thin, (2, 2, 0)) / share_of(thin, (2, 0, 0))
    assert ratio == pytest.approx(f2[2, 2, 0] / f2[2, 0, 0], rel=1e-3)
    assert share_of(twice, (2, 0, 0)) / share_of(thin, (2, 0, 0)) == pytest.approx(4.0, rel=0.01)


def test_bragg_tilt_lights_a_spot_and_dims_its_partner() -> None:
    # The electrons travel along +z, so that g_z = -g^2 / 2K brings g onto the Ewald sphere: a tilt of lambda g / 2.
    pattern = diffract(GOLD, BEAM, thickness_a=20.0)
    top = int(np.argmax(pattern.k_inv_a[:, 0] - 1e3 * (np.abs(pattern.k_inv_a[:, 1]) > 1e-9)))
    hkl = tuple(pattern.hkl[top].tolist())
    theta = 1e3 * 0.5 * BEAM.wavelength_a * float(radii(pattern)[top])
    tilted = diffract(GOLD, BEAM, thickness_a=20.0, tilt_mrad=(-theta, 0.0))
    bright, dim = share_of(tilted, hkl), share_of(tilted, tuple(-i for i in hkl))
    further = diffract(GOLD, BEAM, thickness_a=20.0, tilt_mrad=(-2.0 * theta, 0.0))
    relative = [share_of(p, hkl) / p.direct for p in (pattern, tilted, further)]
    assert bright > dim
    assert relative[1] > relative[0]
    assert relative[1] > relative[2]


def test_light_fades_as_the_crystal_tilts_away() -> None:
    def ring_light(tilt: float) -> float:
        thicknesses = np.linspace(80.0, 240.0, 9)
        directions = np.linspace(0.0, np.pi / 6.0, 4)
        tilts = [(tilt * np.cos(a), tilt * np.sin(a)) for a in directions]
        return float(np.mean([1 - diffract(O3, BEAM, thickness_a=t, tilt_mrad=a).direct
                              for t in thicknesses for a in tilts]))  # fmt: skip

    light = [ring_light(tilt) for tilt in (7.0, 14.0, 28.0, 56.0)]
    assert light == sorted(light, reverse=True)
    assert light[-1] < 0.2 * light[0]
