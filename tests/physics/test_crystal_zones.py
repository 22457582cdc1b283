"""Zone axes and their nets against crystallography that is known beforehand."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from friedel.core.errors import CrystalError
from friedel.crystal import all_reflections, is_hexagonal_net, load_phase, ring_radii_inv_a, zone_axes, zone_net


def test_first_rings_of_o3_and_o1_at_001() -> None:
    """{100} of O3 is forbidden by the centring, so that its first ring is {110}; O1 shows both."""
    o3, o1 = (ring_radii_inv_a(zone_net(load_phase(f"nmc811-{x}"), (0, 0, 1), 0.8)) for x in ("o3", "o1"))
    assert o3 == pytest.approx([0.696], abs=0.002)
    assert o1[:2] == pytest.approx([0.4095, 0.709], abs=0.002)


def test_100_of_o3_is_kept_as_an_extinct_node() -> None:
    net = zone_net(load_phase("nmc811-o3"), (0, 0, 1), 0.5)
    assert len(net) == 6
    assert net.is_extinct.all()


def test_charging_moves_the_ring_of_o3_by_two_percent() -> None:
    rings = [ring_radii_inv_a(zone_net(load_phase(n), (0, 0, 1), 0.8))[0] for n in ("nmc811-o3", "nmc811-h3")]
    assert rings[1] / rings[0] == pytest.approx(1.02, abs=0.003)


@pytest.mark.parametrize(
    ("name", "uvw", "expected"),
    [("nmc811-o3", (0, 0, 1), True), ("nmc811-o1", (0, 0, 1), True), ("nio", (1, 1, 1), True),
     ("limn2o4", (1, 1, 1), True), ("graphite", (0, 0, 1), True), ("nio", (0, 0, 1), False),
     ("nio", (0, 1, 1), False), ("nmc811-o3", (2, 1, 0), False), ("li2co3", (0, 0, 1), False)],
)  # fmt: skip
def test_hexagonal_nets(name: str, uvw: tuple[int, int, int], expected: bool) -> None:
    assert is_hexagonal_net(zone_net(load_phase(name), uvw, 0.8)) is expected


def test_rock_salt_111_mimics_o3_with_a_smaller_radius() -> None:
    o3 = ring_radii_inv_a(zone_net(load_phase("nmc811-o3"), (0, 0, 1), 0.8))[0]
    rock_salt = ring_radii_inv_a(zone_net(load_phase("nio"), (1, 1, 1), 0.8))[0]
    assert rock_salt / o3 == pytest.approx(0.974, abs=0.003)


@pytest.mark.parametrize("name", ["si", "li2co3", "nmc811-o3", "sio2-quartz", "fe2o3", "lifepo4"])
def test_net_holds_every_reflection_of_the_zone(name: str) -> None:
    crystal = load_phase(name)
    table = all_reflections(crystal, 0.9)
    for uvw in zone_axes(crystal, 2):
        net = zone_net(crystal, uvw, 0.9)
        expected = table.hkl[table.hkl @ uvw == 0]
        assert sorted(map(tuple, net.hkl.tolist())) == sorted(map(tuple, expected.tolist()))


@pytest.mark.parametrize("name", ["si", "li2co3", "nmc811-o3", "sio2-quartz", "li2mno3"])
def test_net_keeps_lengths_and_angles_and_is_right_handed(name: str) -> None:
    crystal = load_phase(name)
    for uvw in zone_axes(crystal, 2):
        net = zone_net(crystal, uvw, 0.7)
        g = crystal.g_inv_a(net.hkl)
        assert net.k_inv_a @ net.k_inv_a.T == pytest.approx(g @ g.T)
        axis = uvw @ crystal.direct_basis_a
        ky, kx = net.k_inv_a.T
        turn = np.cross(g[:, None], g[None]) @ (axis / np.linalg.norm(axis))
        assert np.outer(kx, ky) - np.outer(ky, kx) == pytest.approx(turn)


@pytest.mark.parametrize("name", ["si", "nmc811-o3", "li2co3", "cuo"])
@pytest.mark.parametrize("uvw", [(0, 0, 1), (1, 1, 0), (1, 2, 3)])
def test_shortest_allowed_reflection_lies_along_kx(name: str, uvw: tuple[int, int, int]) -> None:
    net = zone_net(load_phase(name), uvw, 2.0)
    allowed = net.k_inv_a[~net.is_extinct]
    shortest = np.hypot(*allowed.T).min()
    assert np.hypot(*(allowed - [0.0, shortest]).T).min() < 1e-9


@pytest.mark.parametrize("name", ["si", "nmc811-o3", "li2co3", "cuo", "fe2o3", "sio2-quartz"])
def test_basis_spans_exactly_the_allowed_reflections(name: str) -> None:
    crystal = load_phase(name)
    for uvw in zone_axes(crystal, 2):
        net = zone_net(crystal, uvw, 1.2)
        indices = net.k_inv_a[~net.is_extinct] @ np.linalg.inv(net.basis_inv_a)
        assert indices == pytest.approx(np.rint(indices), abs=1e-6)
        first, second = net.basis_inv_a
        assert abs(first @ second) <= 0.5 * (first @ first) * (1 + 1e-6)
        assert np.linalg.norm(first) <= np.linalg.norm(second) * (1 + 1e-9)
        assert first[1] * second[0] - first[0] * second[1] > 0


def test_diamond_net_is_that_of_the_allowed_reflections() -> None:
    """At [001] of silicon 200 is forbidden by the d glide: the net is spanned by 220 and -220."""
    net = zone_net(load_phase("si"), (0, 0, 1), 0.6)
    assert np.linalg.norm(net.basis_inv_a, axis=1) == pytest.approx([np.sqrt(8) / 5.43102] * 2)


def test_zone_axes_of_a_cubic_crystal() -> None:
    assert zone_axes(load_phase("si"), 2).tolist() == [[0, 0, 1], [0, 1, 1], [1, 1, 1], [0, 1, 2], [1, 1, 2], [1, 2, 2]]


@pytest.mark.parametrize("name", ["nmc811-o3", "li2co3", "graphite", "sio2-quartz", "lifepo4"])
def test_zone_axes_are_one_of_each_family(name: str) -> None:
    """Every coprime direction is equivalent to just one of the list."""
    laue = load_phase(name).space_group.laue_rotations
    axes = zone_axes(load_phase(name), 2)
    orbits = [{tuple(x) for x in (laue @ uvw).tolist()} for uvw in axes]
    for uvw in product(range(-2, 3), repeat=3):
        if np.gcd.reduce(uvw) == 1:
            assert sum(uvw in orbit for orbit in orbits) == 1, uvw


def test_a_common_factor_of_the_zone_axis_does_not_matter() -> None:
    assert zone_net(load_phase("si"), (0, 0, 2), 0.6).uvw == (0, 0, 1)


@pytest.mark.parametrize("uvw", [(0, 0, 0), (0.5, 0, 1), (1, 1)])
def test_impossible_zone_axis_is_refused(uvw: tuple[int, int, int]) -> None:
    with pytest.raises(CrystalError, match="three whole numbers"):
        zone_net(load_phase("si"), uvw, 0.6)
