"""From single to many-beam scattering: thickness fringes, excitation errors, double diffraction."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from friedel.core.beam import Beam
from friedel.core.errors import DataError
from friedel.crystal import load_phase
from friedel.simulate.patterns.bloch import bloch_shares
from friedel.simulate.patterns.diffraction import (
    Conditions,
    OrientedCrystal,
    Scattering,
    SpotPattern,
    diffract,
    diffract_many,
    orient,
    overlap,
)

BEAM = Beam(200.0)
GOLD = orient(load_phase("au"), (0, 0, 1), 1.2)
SILICON = orient(load_phase("si"), (0, 1, 1), 1.2)
RUTILE = orient(load_phase("tio2-rutile"), (0, 0, 1), 1.2)
O3, O1 = (orient(load_phase(name), (0, 0, 1), 1.2) for name in ("nmc811-o3", "nmc811-o1"))


def share_of(pattern: SpotPattern, hkl: tuple[int, int, int]) -> float:
    return float(pattern.share[(pattern.hkl == hkl).all(axis=1)].sum())


def ring_share(pattern: SpotPattern, radius_inv_a: float) -> float:
    return float(pattern.share[np.abs(np.hypot(*pattern.k_inv_a.T) / radius_inv_a - 1) < 0.01].sum())


@pytest.mark.parametrize("tilt_mrad", [0.0, 4.0, -11.0])
def test_kinematic_thickness_fringes_follow_the_ewald_sphere(tilt_mrad: float) -> None:
    # The distance from g to the sphere, by exact geometry: the sphere of radius K about -K z, at the spot's place.
    k = 1 / BEAM.wavelength_a
    index = int(np.flatnonzero((GOLD.reflections.hkl == (0, 2, 0)).all(axis=1))[0])
    along_ky = float(GOLD.g_inv_a[index, 0])
    assert abs(along_ky) == pytest.approx(2 / 4.07825)
    ky, kz = along_ky * np.cos(tilt_mrad * 1e-3), along_ky * np.sin(tilt_mrad * 1e-3)
    s = (np.sqrt(k**2 - ky**2) - k) - kz
    thicknesses = np.linspace(20.0, 600.0, 40)
    conditions = Conditions.of(thicknesses, tilt_mrad=(tilt_mrad, 0.0))
    patterns = diffract_many(GOLD, BEAM, conditions, scattering="kinematic")
    column = int(np.flatnonzero((patterns.hkl == (0, 2, 0)).all(axis=1))[0])
    taken = patterns.share[:, column] / patterns.direct
    expected = np.sin(np.pi * s * thicknesses) ** 2 / s**2
    np.testing.assert_allclose(taken / taken.max(), expected / expected.max(), atol=0.02)


@pytest.mark.parametrize(("hkl", "tabulated_a"), [((1, 1, 1), 556.0), ((2, 0, 0), 673.0), ((2, 2, 0), 1057.0)])
def test_extinction_distances_of_aluminium_are_the_tabulated_ones(
    hkl: tuple[int, int, int], tabulated_a: float
) -> None:
    # At 100 kV, atoms at rest: Hirsch et al., Electron Microscopy of Thin Crystals (1965), appendix.
    aluminium = load_phase("al")
    still = replace(aluminium, sites=tuple(replace(site, b_iso_a2=0.0) for site in aluminium.sites))
    thicknesses = np.linspace(1.0, 700.0, 1400)
    share, direct = bloch_shares(still, Beam(100.0), np.array([hkl]), np.zeros(1), thicknesses)
    np.testing.assert_allclose(share[:, 0] + direct, 1.0, atol=1e-12)
    assert 2 * thicknesses[int(np.argmin(direct))] == pytest.approx(tabulated_a, rel=0.015)


def test_two_beams_alone_are_two_beam_theory() -> None:
    patterns = diffract_many(GOLD, BEAM, Conditions.of(np.linspace(20.0, 300.0, 15)), scattering="two-beam")
    column = int(np.flatnonzero((patterns.hkl == (2, 0, 0)).all(axis=1))[0])
    two_beam = patterns.share[:, column] / patterns.direct
    s = -0.5 * BEAM.wavelength_a * (2 / 4.07825) ** 2
    share, _ = bloch_shares(GOLD.crystal, BEAM, np.array([[2, 0, 0]]), np.array([s]), np.linspace(20.0, 300.0, 15))
    np.testing.assert_allclose(two_beam, share[:, 0], atol=1e-9)


@pytest.mark.parametrize("oriented", [GOLD, SILICON, RUTILE, O1])
def test_thin_crystals_scatter_once(oriented: OrientedCrystal) -> None:
    once = diffract(oriented, BEAM, thickness_a=1.0, scattering="kinematic")
    many = diffract(oriented, BEAM, thickness_a=1.0, scattering="bloch")
    bright = [tuple(h) for h, x in zip(once.hkl.tolist(), once.share, strict=True) if x > 0.2 * once.share.max()]
    for hkl in bright:
        assert share_of(many, hkl) == pytest.approx(share_of(once, hkl), rel=0.03)


@settings(max_examples=25, deadline=None)
@given(st.floats(1.0, 2000.0), st.floats(-30.0, 30.0), st.floats(-30.0, 30.0), st.floats(30.0, 300.0))
def test_many_beams_lose_no_electron(thickness: float, about_kx: float, about_ky: float, energy_kev: float) -> None:
    tilt = (about_kx, about_ky)
    pattern = diffract(O1, Beam(energy_kev), thickness_a=thickness, tilt_mrad=tilt, scattering="bloch")
    assert pattern.direct + pattern.share.sum() == pytest.approx(1.0, abs=1e-9)


def test_double_diffraction_lights_200_of_silicon_but_not_100_of_rutile() -> None:
    # g(111) + g(1-1-1) = g(200). In rutile a glide plane holds the beam, and its paths cancel (Gjonnes and Moodie).
    once, many = (diffract(SILICON, BEAM, thickness_a=200.0, scattering=s) for s in ("two-beam", "bloch"))
    assert share_of(once, (2, 0, 0)) == 0.0
    assert share_of(many, (2, 0, 0)) > 0.01
    rutile = diffract(RUTILE, BEAM, thickness_a=200.0, scattering="bloch")
    assert share_of(rutile, (1, 0, 0)) < 1e-12
    assert share_of(rutile, (1, 1, 0)) > 0.01


@pytest.mark.parametrize("tilt_mrad", [3.0, 10.0, 20.0])
def test_many_beams_leave_100_of_o3_dark_and_light_that_of_o1(tilt_mrad: float) -> None:
    # Share of the six {100} spots near [001]: O3 at most 0.0014, O1 at least 0.03 (multislice, 5 to 40 nm). Exactly on
    # the axis, O1's fades at one thickness: to 0.014 at 31 nm.
    conditions = Conditions.of(np.linspace(50.0, 400.0, 36), tilt_mrad=(0.6 * tilt_mrad, 0.8 * tilt_mrad))
    shares = {}
    for name, oriented in (("o3", O3), ("o1", O1)):
        radius = 2 / (np.sqrt(3) * oriented.crystal.cell[0])
        patterns = diffract_many(oriented, BEAM, conditions, scattering="bloch")
        shares[name] = np.array([ring_share(patterns.pattern(i), radius) for i in range(len(patterns))])
    assert shares["o3"].max() <= 0.0014
    assert shares["o1"].min() >= 0.03


def test_condition_by_condition_and_all_at_once_agree() -> None:
    rng = np.random.default_rng(1)
    thickness, rotation, tilt = rng.uniform(50, 400, 6), rng.uniform(0, 6, 6), rng.normal(0, 6, (6, 2))
    for scattering in get_args(Scattering):
        together = diffract_many(O1, BEAM, Conditions.of(thickness, rotation, tilt), scattering=scattering)
        for i in range(6):
            alone = diffract(O1, BEAM, thickness_a=thickness[i], rotation_rad=rotation[i],
                             tilt_mrad=(tilt[i, 0], tilt[i, 1]), scattering=scattering)  # fmt: skip
            part = together.pattern(i)
            assert (part.hkl == alone.hkl).all()
            np.testing.assert_allclose(part.k_inv_a, alone.k_inv_a, atol=1e-12)
            np.testing.assert_allclose(part.share, alone.share, atol=1e-12)


def test_overlapping_crystals_share_the_electrons_and_add_their_deflections() -> None:
    o3, o1 = (diffract(c, BEAM, thickness_a=60.0, rotation_rad=0.4, tilt_mrad=(9.0, -4.0)) for c in (O3, O1))
    both = overlap(o3, o1, min_share=0.0)
    assert both.direct + both.share.sum() == pytest.approx(1.0, abs=1e-12)
    assert both.direct == pytest.approx(o3.direct * o1.direct, abs=1e-3)
    # Each electron is deflected by the one and then by the other, so that the mean deflections add up.
    mean = [p.share @ p.k_inv_a for p in (o3, o1, both)]
    assert np.hypot(*mean[0]) > 0.01
    np.testing.assert_allclose(mean[2], mean[0] + mean[1], atol=1e-5)


def test_two_halves_fill_extinct_positions() -> None:
    half = diffract(SILICON, BEAM, thickness_a=60.0)
    place = 2 / load_phase("si").cell[0]
    assert ring_share(half, place) == 0.0
    assert ring_share(overlap(half, half), place) > 1e-4


def test_unknown_scattering_and_impossible_thickness_are_refused() -> None:
    with pytest.raises(DataError, match="kinematic, two-beam, bloch"):
        diffract(GOLD, BEAM, thickness_a=10.0, scattering="multislice")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="thickness_a must be positive"):
        diffract(GOLD, BEAM, thickness_a=0.0)
