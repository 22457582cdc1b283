"""Nets that were deformed by a known strain show that strain, with errors that hold."""

from __future__ import annotations

import numpy as np
import pytest

from friedel.core.arrays import FloatArray
from friedel.core.spots import Spots
from friedel.crystal import ZoneNet, load_phase, zone_net
from friedel.identify.strain import Strains, fit_nets, fold_of, mean_net, spacings_of, strains_of, turns

SIGMA, BEAM = 0.003, 0.006
#: Displacement gradient (y, x) of the strained half.
GRADIENT = np.array([[0.002, 0.001], [0.003, 0.008]])
NETS = [("nmc811-o1", (0, 0, 1), 6), ("lif", (0, 0, 1), 4), ("lif", (0, 1, 1), 2), ("li2co3", (0, 0, 1), 2)]
HALF = 150


def net_of(name: str, uvw: tuple[int, int, int]) -> ZoneNet:
    return zone_net(load_phase(name), uvw, 0.95)


def measured(net: ZoneNet, deformed: FloatArray, seed: int = 0, beam_inv_a: float = BEAM, scale: float = 1.0) -> Spots:
    """Allowed nodes of the net under reciprocal deformations (n, 2, 2), with errors of 0.003 1/Å and of the beam."""
    rng = np.random.default_rng(seed)
    nodes = net.k_inv_a[~net.is_extinct]
    k = nodes @ np.swapaxes(deformed, 1, 2) + rng.normal(0, SIGMA, (len(deformed), len(nodes), 2))
    k = scale * (k + rng.normal(0, beam_inv_a, (len(deformed), 1, 2))).reshape(-1, 2)
    ones = np.ones(len(k))
    offsets = np.arange(len(deformed) + 1) * len(nodes)
    return Spots(k, np.full(k.shape, SIGMA), ones, ones, offsets, (len(deformed), 1))


def reciprocal(gradient: FloatArray) -> FloatArray:
    """What a displacement gradient does to reciprocal vectors: its inverse transpose."""
    return np.asarray(np.linalg.inv(np.eye(2) + gradient).T)


def two_halves(angle_rad: FloatArray) -> FloatArray:
    """Deformations (2 HALF, 2, 2) of nets turned by these angles: as in the file, then strained."""
    turned = turns(angle_rad)
    turned[HALF:] = reciprocal(GRADIENT) @ turned[HALF:]
    return turned


def compared(net: ZoneNet, spots: Spots, laid: FloatArray, axes_deg: float = 0.0) -> Strains:
    """Strain of all against the first half."""
    fits = fit_nets(spots, np.arange(len(laid)), laid, net, floor_inv_a=1e-6, centre_sigma_inv_a=BEAM)
    assert fits.is_known.all()
    first = np.arange(len(laid)) < HALF
    return strains_of(fits, mean_net(fits.of(first), fold_of(net)), fold_of(net), axes_deg)


@pytest.mark.parametrize(("name", "uvw", "fold"), NETS)
def test_known_strain_is_recovered_and_its_errors_hold(name: str, uvw: tuple[int, int, int], fold: int) -> None:
    net = net_of(name, uvw)
    assert fold_of(net) == fold
    angles = np.full(2 * HALF, 0.3)
    found = compared(net, measured(net, two_halves(angles)), turns(angles))
    truth = np.array([0.002, 0.008, 0.5 * (0.001 + 0.003)])
    sigma = np.sqrt(np.einsum("nii->ni", found.covariance))
    assert np.abs(found.tensor[:HALF].mean(axis=0)).max() < 5e-5
    # A thirtieth of one position's error is that of the mean; strains of 0.8 % have products of 6e-5.
    off = np.abs(found.tensor[HALF:].mean(axis=0) - truth)
    assert (off < 4.0 * sigma.mean(axis=0) / np.sqrt(0.5 * HALF) + 7e-5).all()
    pull = (found.tensor[HALF:] - truth) / sigma[HALF:]
    assert pull.std(axis=0) == pytest.approx(np.ones(3), abs=0.25)
    turn = np.rad2deg(0.5 * (0.003 * -1.0 + 0.001))
    assert found.rotation_deg[HALF:].mean() == pytest.approx(turn, abs=0.03)


def test_rotation_is_positive_from_x_towards_y() -> None:
    net = net_of("lif", (0, 0, 1))
    angles = np.concatenate([np.zeros(HALF), np.full(HALF, 0.01)])
    found = compared(net, measured(net, turns(angles)), turns(np.zeros(2 * HALF)))
    assert found.rotation_deg[HALF:].mean() == pytest.approx(np.rad2deg(0.01), abs=0.02)
    on_plus_y = turns(np.array([0.01]))[0] @ np.array([0.0, 1.0])
    assert on_plus_y[0] > 0


def test_a_wrong_scale_changes_no_strain_against_a_reference() -> None:
    net, angles = net_of("nmc811-o1", (0, 0, 1)), np.full(2 * HALF, 0.3)
    right, wrong = (
        compared(net, measured(net, two_halves(angles), scale=scale), turns(angles)) for scale in (1.0, 1.02)
    )
    assert np.abs(wrong.tensor - right.tensor).max() < 2e-4


def test_any_of_the_equivalent_ways_to_index_gives_the_same_strain() -> None:
    """A hexagon's azimuth is known modulo 60 degrees only."""
    net, angles = net_of("nmc811-o1", (0, 0, 1)), np.full(2 * HALF, 0.3)
    spots = measured(net, two_halves(angles))
    one = compared(net, spots, turns(angles))
    other = compared(net, spots, turns(angles + np.pi / 3 * np.arange(2 * HALF)))
    assert np.allclose(one.tensor, other.tensor, atol=1e-6)
    assert np.allclose(one.rotation_deg, other.rotation_deg, atol=1e-4)


def test_another_grain_of_the_same_lattice_is_rotated_and_not_strained() -> None:
    net = net_of("li2co3", (0, 0, 1))
    angles = np.concatenate([np.full(HALF, 0.3), np.full(HALF, 0.3 + np.deg2rad(25.0))])
    found = compared(net, measured(net, turns(angles)), turns(angles))
    assert np.abs(found.tensor[HALF:].mean(axis=0)).max() < 3e-4
    assert found.rotation_deg[HALF:].mean() == pytest.approx(25.0, abs=0.05)


@pytest.mark.parametrize("axes_deg", [30.0, 90.0, -120.0])
def test_strain_is_given_along_the_axes_of_the_scan(axes_deg: float) -> None:
    """A detector whose axes are turned from +x towards +y sees everything turned the other way."""
    net, angles = net_of("lif", (0, 0, 1)), np.full(2 * HALF, 0.3)
    seen = turns(np.full(2 * HALF, -np.deg2rad(axes_deg)))
    spots = measured(net, seen @ two_halves(angles))
    found = compared(net, spots, seen @ turns(angles), axes_deg)
    off, sigma = found.tensor[HALF:] - [0.002, 0.008, 0.002], np.sqrt(np.einsum("nii->ni", found.covariance[HALF:]))
    assert (np.abs(off.mean(axis=0)) < 4.0 * sigma.mean(axis=0) / np.sqrt(0.5 * HALF) + 7e-5).all()
    pull = off / sigma
    assert pull.std(axis=0) == pytest.approx(np.ones(3), abs=0.25)


def test_errors_are_those_of_a_small_reference_too() -> None:
    """Each position of one half against a single one of the other."""
    net, angles = net_of("nmc811-o1", (0, 0, 1)), np.full(2 * HALF, 0.3)
    fits = fit_nets(
        measured(net, turns(angles)), np.arange(2 * HALF), turns(angles), net, floor_inv_a=1e-6, centre_sigma_inv_a=BEAM
    )
    each = np.eye(2 * HALF, dtype=bool)
    pairs = [strains_of(fits.of(each[i]), mean_net(fits.of(each[HALF + i]), 6), 6) for i in range(HALF)]
    strain = np.array([np.append(one.tensor[0], one.rotation_deg[0]) for one in pairs])
    sigma = np.array([np.append(np.sqrt(np.diag(one.covariance[0])), one.rotation_sigma_deg[0]) for one in pairs])
    assert (strain / sigma).std(axis=0) == pytest.approx(np.ones(4), abs=0.25)


def test_spacing_is_that_of_the_strained_net_and_its_error_holds() -> None:
    net, angles = net_of("lif", (0, 0, 1)), np.full(2 * HALF, 0.3)
    gradient = np.array([[0.006, 0.0], [0.0, 0.006]])
    spots = measured(net, reciprocal(gradient) @ turns(angles))
    fits = fit_nets(spots, np.arange(2 * HALF), turns(angles), net, floor_inv_a=1e-6, centre_sigma_inv_a=BEAM)
    d, sigma = spacings_of(fits, net.k_inv_a[:4])
    assert d.mean() == pytest.approx(1.006 * net.d_a[0], rel=2e-4)
    assert ((d - 1.006 * net.d_a[0]) / sigma).std() == pytest.approx(1.0, abs=0.2)


def test_a_single_row_of_spots_tells_no_strain() -> None:
    net = net_of("lif", (0, 0, 1))
    row = np.abs(net.k_inv_a[:, 0]) < 1e-9
    assert row.sum() >= 4
    k = net.k_inv_a[row]
    ones = np.ones(len(k))
    spots = Spots(k, np.full(k.shape, SIGMA), ones, ones, np.array([0, len(k)]), (1, 1))
    fits = fit_nets(spots, np.array([0]), np.eye(2)[None], net, floor_inv_a=1e-6, centre_sigma_inv_a=BEAM)
    assert not fits.is_known.any()


def test_stray_spots_and_second_spots_on_a_node_are_left_out() -> None:
    net, angles = net_of("nmc811-o1", (0, 0, 1)), np.zeros(2 * HALF)
    spots = measured(net, two_halves(angles))
    stray, beside = np.array([[0.2, 0.11], [-0.21, 0.3]]), np.array([0.004, 0.004])
    per = int(spots.offsets[1])
    each = [spots.of(i).k_inv_a for i in range(2 * HALF)]
    k = np.concatenate([np.concatenate([own, stray, own[:1] + beside]) for own in each])
    ones = np.ones(len(k))
    offsets = np.arange(2 * HALF + 1) * (per + 3)
    more = Spots(k, np.full(k.shape, SIGMA), ones, ones, offsets, spots.scan_shape)
    assert np.allclose(compared(net, more, turns(angles)).tensor, compared(net, spots, turns(angles)).tensor)


def test_fitting_some_at_a_time_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    net, angles = net_of("nmc811-o1", (0, 0, 1)), np.zeros(2 * HALF)
    spots = measured(net, two_halves(angles))
    whole = compared(net, spots, turns(angles)).tensor
    monkeypatch.setattr("friedel.identify.strain._AT_ONCE", 7)
    assert np.array_equal(compared(net, spots, turns(angles)).tensor, whole)
