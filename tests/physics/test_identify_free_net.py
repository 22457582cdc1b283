"""A phase is named by the places of its spots only where it foretells them better than a lattice laid through them."""

from __future__ import annotations

import numpy as np
import pytest

from friedel.core.arrays import FloatArray
from friedel.core.spots import Spots
from friedel.crystal import load_phases, zone_net
from friedel.identify.lattices.free_net import count_nodes, free_net_evidence, net_evidence
from friedel.identify.lattices.zone_map import match_scan
from friedel.identify.lattices.zones import ZoneOptions, build_templates

ANNULUS = (0.2, 1.0)
PHASES = load_phases(["si", "au", "mg", "mgo"])


def turned(k: FloatArray, angle_rad: float) -> FloatArray:
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    return k @ np.array([[c, s], [-s, c]])


def nodes_of(basis: FloatArray) -> FloatArray:
    """Nodes of a net in the annulus (m, 2)."""
    u, v = np.mgrid[-12:13, -12:13]
    k = np.stack([u.ravel(), v.ravel()], axis=1) @ basis
    radius = np.hypot(*k.T)
    return np.asarray(k[(radius >= ANNULUS[0]) & (radius <= ANNULUS[1])])


def evidence(k: FloatArray) -> float:
    return free_net_evidence(k, np.full(len(k), 0.005), np.ones(len(k), dtype=bool), ANNULUS)


def test_nodes_of_a_net_are_counted() -> None:
    assert count_nodes(0.45 * np.eye(2), ANNULUS) == 12  # {10}, {11} and {20}, at 0.45, 0.64 and 0.9 1/Å
    assert count_nodes(0.45 * np.array([[1.0, 0.0], [0.5, np.sqrt(0.75)]]), ANNULUS) == 18


def test_order_is_told_from_chance() -> None:
    rng = np.random.default_rng(1)
    net = nodes_of(np.array([[0.31, 0.05], [-0.08, 0.42]]))[:10]
    assert evidence(net + rng.normal(0, 0.003, net.shape)) > 10.0
    radius, angle = np.sqrt(rng.uniform(0.04, 1.0, (40, 8))), rng.uniform(0, 2 * np.pi, (40, 8))
    chance = [evidence(np.stack([r * np.sin(a), r * np.cos(a)], axis=1)) for r, a in zip(radius, angle, strict=True)]
    assert np.mean(np.array(chance) > np.log(20.0)) <= 0.05


def test_evidence_of_a_free_net_does_not_depend_on_its_direction() -> None:
    net = nodes_of(np.array([[0.31, 0.05], [-0.08, 0.42]]))
    assert evidence(turned(net, 0.7)) == pytest.approx(evidence(net), abs=1e-6)


def test_regular_net_is_likelier_than_an_oblique_one_of_as_many_spots() -> None:
    square = np.array([[0.45, 0.0], [0.0, 0.45]])
    oblique = np.array([[0.45, 0.0], [0.08, 0.45]])
    spots = np.array([[1, 0], [0, 1], [-1, 0], [0, -1], [1, 1], [-1, -1]])
    assert evidence(spots @ square) > evidence(spots @ oblique) + 3.0


def test_right_net_beats_any_lattice_and_one_with_other_lengths_does_not() -> None:
    net = zone_net(PHASES.crystals[0], (0, 1, 1), ANNULUS[1])
    nodes = net.k_inv_a[~net.is_extinct & (net.radius_inv_a >= ANNULUS[0])]
    sigma, everything = np.full(len(nodes), 0.005), np.ones(len(nodes), dtype=bool)

    def lead(k: FloatArray) -> float:
        own = net_evidence(nodes, everything, k, sigma, n_allowed=len(nodes), n_other=0, n_nets=30,
                           strain_sigma=0.004, annulus_inv_a=ANNULUS)  # fmt: skip
        return own - free_net_evidence(k, sigma, everything, ANNULUS)

    assert lead(turned(nodes, 0.01)) > 10.0
    assert lead(1.004 * nodes) > 10.0
    assert lead(1.04 * nodes) < 0.0


def test_lattices_drawn_at_random_bear_no_name() -> None:
    rng = np.random.default_rng(2)
    patterns = []
    for i in range(120):
        a, ratio, angle = rng.uniform(0.22, 0.5), rng.uniform(1.0, 1.8), rng.uniform(np.pi / 3, np.pi / 2)
        if i % 3 == 0:
            ratio, angle = 1.0, rng.choice([np.pi / 3, np.pi / 2])
        basis = a * np.array([[0.0, 1.0], [ratio * np.sin(angle), ratio * np.cos(angle)]])
        k = turned(nodes_of(basis), rng.uniform(0, np.pi))
        patterns.append(k[rng.random(len(k)) < 0.7])
    k = np.concatenate(patterns)
    k = k + rng.normal(0, 0.002, k.shape)
    offsets = np.concatenate([[0], np.cumsum([len(p) for p in patterns])])
    light = rng.uniform(80.0, 120.0, len(k))
    spots = Spots(k, np.full(k.shape, 0.002), light, light / 9.0, offsets, (len(patterns), 1))
    options = ZoneOptions()
    found = match_scan(spots, build_templates(PHASES, options, ANNULUS), options, ANNULUS, len(PHASES.crystals))
    assert (found.presence >= 0.5).any(axis=1).mean() <= 0.05


def test_places_that_are_known_well_and_lie_on_no_net_have_an_answer() -> None:
    """Once the two that span it have been fitted away, the spots that a free net still meets may lie on one line."""
    rng = np.random.default_rng(1)
    for _ in range(150):
        k = rng.uniform(-1.0, 1.0, (rng.integers(3, 40), 2))
        found = free_net_evidence(k, np.full(len(k), 0.001), rng.random(len(k)) < 0.5, (0.1, 1.0))
        assert 0.0 <= found < np.inf
