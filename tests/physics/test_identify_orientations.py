"""Beam directions and the templates along them."""

from __future__ import annotations

import numpy as np
import pytest

from friedel.core.beam import Beam
from friedel.crystal import PhaseSet, load_phase, load_phases, zone_axes, zone_net
from friedel.identify.counts.candidates import _best_of, _conjugate, _largest_product
from friedel.identify.counts.template_bank import AZIMUTHS, FREQUENCIES, affordable_spacing_deg, build_bank
from friedel.identify.orientations import beam_directions, frames_of, proper_rotations
from friedel.identify.zone_names import name_orientations

CUBIC, LAYERED, MONOCLINIC = load_phases(["lif", "nmc811-o3", "li2co3"]).crystals


@pytest.mark.parametrize(("crystal", "order"), [(CUBIC, 24), (LAYERED, 6), (MONOCLINIC, 2)], ids=["m-3m", "-3m", "2/m"])
def test_laue_class_has_its_number_of_proper_rotations(crystal: object, order: int) -> None:
    rotations = proper_rotations(crystal)  # type: ignore[arg-type]
    assert len(rotations) == order
    products = rotations @ np.swapaxes(rotations, 1, 2)
    np.testing.assert_allclose(products, np.broadcast_to(np.eye(3), (order, 3, 3)), atol=1e-9)


@pytest.mark.parametrize("crystal", [CUBIC, LAYERED, MONOCLINIC], ids=["lif", "nmc811-o3", "li2co3"])
def test_every_direction_has_a_sampled_one_near_it(crystal: object) -> None:
    directions, rotations = beam_directions(crystal, 4.0), proper_rotations(crystal)  # type: ignore[arg-type]
    some = np.random.default_rng(1).normal(size=(400, 3))
    some /= np.linalg.norm(some, axis=1, keepdims=True)
    nearest = np.max(np.einsum("mij,aj,ni->man", rotations, directions, some), axis=(0, 1))
    assert np.rad2deg(np.arccos(nearest.min())) < 3.2


def test_symmetry_saves_its_share_of_directions() -> None:
    """A fundamental domain holds one in as many directions as there are rotations; zone axes are added to it."""
    per_sphere = 4.0 * np.pi / (np.sqrt(0.75) * np.deg2rad(3.0) ** 2)
    for crystal, order in ((CUBIC, 24), (LAYERED, 6), (MONOCLINIC, 2)):
        assert len(beam_directions(crystal, 3.0)) == pytest.approx(per_sphere / order, rel=0.15)


def test_frames_are_right_handed_and_end_with_the_beam() -> None:
    directions = beam_directions(LAYERED, 5.0)
    frames = frames_of(directions)
    np.testing.assert_allclose(frames[:, 2], directions)
    np.testing.assert_allclose(np.cross(frames[:, 1], frames[:, 0]), directions, atol=1e-12)


def test_template_of_a_zone_axis_holds_the_zone_net() -> None:
    """[001] of O3 within 1 1/Å: the hexagon {110} at 0.697 1/Å, and nothing at {100}."""
    bank = build_bank(PhaseSet((LAYERED,)), Beam(300.0), (0.3, 1.0), spacing_deg=6.0, radial_step_inv_a=0.02)
    along_c = int(np.argmax(bank.frame[:, 2, 2]))
    lit = bank.coupling2[along_c] > 0
    g = bank.g_inv_a[along_c][lit]
    in_plane = np.sort(np.hypot(g[:, 0], g[:, 1])[np.abs(g[:, 2]) < 1e-6])
    net = zone_net(LAYERED, (0, 0, 1), 1.0)
    np.testing.assert_allclose(in_plane, np.sort(net.radius_inv_a[~net.is_extinct]), atol=1e-6)
    assert len(in_plane) == 6


def test_many_phases_of_low_symmetry_take_a_coarser_bank() -> None:
    few, many = PhaseSet((CUBIC,)), load_phases(["li2co3", "al2o3", "nmc811-o3", "nmc811-o1", "lioh"])
    assert affordable_spacing_deg(few, 2.5) == 2.5
    assert affordable_spacing_deg(many, 1.0) > 1.5
    n = sum(len(beam_directions(c, affordable_spacing_deg(many, 1.0))) for c in many.crystals)
    assert n == pytest.approx(12_000, rel=0.1)


def test_no_orientations_have_no_names() -> None:
    uvw, rotation_deg, off_deg = name_orientations(LAYERED, np.zeros((0, 3, 3)))
    assert (uvw.shape, rotation_deg.shape, off_deg.shape) == ((0, 3), (0,), (0,))


def test_best_templates_and_azimuths_are_those_of_the_whole_correlation() -> None:
    """Even and odd parts over half of the azimuths tell the same as an FFT over all."""
    rng = np.random.default_rng(2)
    waves = 600.0 * rng.normal(size=(2, FREQUENCIES, 50)).astype(np.float32)
    spectrum = np.pad(waves[0] + 1j * waves[1], ((0, AZIMUTHS // 2 + 1 - FREQUENCIES), (0, 0)))
    scores = np.fft.irfft(spectrum, AZIMUTHS, axis=0)
    order, azimuth = _best_of(waves, 5)
    np.testing.assert_array_equal(order, np.argsort(-scores.max(axis=0))[:5])
    np.testing.assert_array_equal(azimuth, scores[:, order].argmax(axis=0))


def test_products_stay_below_what_single_precision_counts() -> None:
    """Sums of rounded products are exact only where no product exceeds the bound that they are scaled by."""
    bank = build_bank(load_phases(["nmc811-o3"]), Beam(200.0), (0.2, 1.2), spacing_deg=8.0, radial_step_inv_a=0.02)
    (own,) = bank.spectra
    alike = own.coefficients[:, :, :4].transpose(0, 2, 1)
    picture = np.stack(np.split(alike, 2, axis=2))
    for waves in (picture, np.random.default_rng(3).normal(size=picture.shape).astype(np.float32)):
        rows = _conjugate(waves)
        reached = np.abs(rows @ own.coefficients).max(axis=(0, 1, 3)) / _largest_product(rows, own)
        assert (reached <= 1.0 + 1e-5).all()
        assert (reached > 0.2).all()


@pytest.mark.parametrize("name", ["nmc811-o3", "si", "lifepo4", "tio2-rutile"])
def test_about_a_hundredth_of_all_directions_lies_within_two_degrees_of_an_axis_of_low_index(name: str) -> None:
    """What the log odds of such a direction rest on: half of all crystals lie there, ln(0.5 / 0.01) = 3.9."""
    crystal = load_phase(name)
    axes = zone_axes(crystal, 1) @ crystal.direct_basis_a
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    alike = (proper_rotations(crystal) @ axes.T).transpose(0, 2, 1).reshape(-1, 3)
    n = len(np.unique(np.round(np.concatenate([alike, -alike]), 6) + 0.0, axis=0))
    assert 0.5 < n * 0.5 * (1.0 - np.cos(np.deg2rad(2.0))) / 0.01 < 1.6
