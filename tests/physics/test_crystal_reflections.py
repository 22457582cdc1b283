"""Lattice geometry, structure factors and families of reflections against known values."""

from __future__ import annotations

from importlib.resources import files

import gemmi
import numpy as np
import pytest

from friedel.crystal import (
    Crystal,
    Site,
    all_reflections,
    load_phase,
    reflections,
    scattering_factor_a,
    space_group,
    structure_factors,
    unit_cell_atoms,
)

SHIPPED = sorted(entry.name[:-4] for entry in (files("friedel.crystal") / "library").iterdir())

# Interplanar distances in Å as they are commonly quoted for the phases of the solid-electrolyte interphase, and
# textbook values of standards. Published cells of one phase differ by up to 0.1 %.
KNOWN_D_A = [
    ("li", (0, 1, 1), 2.481), ("li", (0, 0, 2), 1.755), ("li", (1, 1, 2), 1.433),
    ("lif", (1, 1, 1), 2.326), ("lif", (0, 0, 2), 2.014), ("lif", (0, 2, 2), 1.424),
    ("li2o", (1, 1, 1), 2.664), ("li2o", (0, 2, 2), 1.631), ("li2o", (1, 1, 3), 1.391), ("li2o", (0, 0, 2), 2.307),
    ("li2co3", (1, 1, 0), 4.162), ("li2co3", (1, 1, 1), 3.031), ("li2co3", (-2, 0, 2), 2.918),
    ("li2co3", (0, 0, 2), 2.813), ("li2co3", (-1, 1, 2), 2.627), ("li2co3", (0, 2, 0), 2.488),
    ("li2co3", (-3, 1, 1), 2.430),
    ("lioh", (0, 0, 1), 4.334), ("lioh", (0, 1, 1), 2.746), ("lioh", (1, 1, 0), 2.510),
    ("si", (1, 1, 1), 3.1356), ("au", (1, 1, 1), 2.355), ("cu", (1, 1, 1), 2.087), ("graphite", (0, 0, 2), 3.355),
    ("al", (1, 1, 1), 2.338), ("mgo", (0, 0, 2), 2.106), ("srtio3", (1, 1, 0), 2.761),
]  # fmt: skip


@pytest.mark.parametrize(("name", "hkl", "d_a"), KNOWN_D_A)
def test_d_spacing_is_that_of_the_literature(name: str, hkl: tuple[int, int, int], d_a: float) -> None:
    g = np.linalg.norm(load_phase(name).g_inv_a([hkl]))
    assert 1 / g == pytest.approx(d_a, rel=1e-3)


# |F|^2 relative to the strongest, from an earlier and separate calculation of the same phases.
KNOWN_F2 = [
    ("li", {(1, 1, 0): 1.0, (2, 0, 0): 0.31, (2, 1, 1): 0.15}),
    ("lif", {(1, 1, 1): 0.15, (2, 0, 0): 1.0, (2, 2, 0): 0.43}),
    ("li2o", {(1, 1, 1): 0.78, (2, 2, 0): 1.0, (3, 1, 1): 0.21, (2, 0, 0): 0.0007}),
    ("li2co3", {(-2, 0, 2): 0.67, (0, 0, 2): 1.0, (0, 2, 0): 0.27, (-3, 1, 1): 0.25}),
]


@pytest.mark.parametrize(("name", "expected"), KNOWN_F2)
def test_relative_intensity_of_interphase_compounds(name: str, expected: dict[tuple[int, int, int], float]) -> None:
    f2 = np.abs(structure_factors(load_phase(name), list(expected))) ** 2
    assert f2 / f2.max() == pytest.approx(list(expected.values()), abs=0.06)


def test_002_of_lithium_oxide_is_nearly_extinct_but_not_quite() -> None:
    table = reflections(load_phase("li2o"), 1.5)
    share = table.relative_f2[(table.hkl == (2, 0, 0)).all(axis=1)]
    assert 1e-5 < share[0] < 1e-2


def test_scattering_factor_at_zero_angle_is_that_of_international_tables() -> None:
    """f_e(0) of H 0.529, C 2.509 and Au 10.573 Å: International Tables C, table 4.3.1.1."""
    found = [float(scattering_factor_a(element, 0.0)) for element in ("H", "C", "Au")]
    assert found == pytest.approx([0.529, 2.509, 10.573], rel=0.02)


def test_structure_factor_of_the_forward_beam_adds_up_all_atoms() -> None:
    forward = structure_factors(load_phase("lif"), [[0, 0, 0]])[0]
    single = [float(scattering_factor_a(element, 0.0)) for element in ("Li", "F")]
    assert forward == pytest.approx(4 * sum(single))


def test_rock_salt_sums_and_subtracts_its_two_ions() -> None:
    """F(200) = 4 (f_M + f_X) and F(111) = 4 (f_M - f_X), each with its Debye-Waller factor."""
    lif = load_phase("lif")
    for hkl, sign in (((2, 0, 0), 1), ((1, 1, 1), -1)):
        s = float(np.linalg.norm(lif.g_inv_a([hkl]))) / 2
        weight = np.exp(-0.5 * s**2)
        expected = 4 * weight * (scattering_factor_a("Li", s) + sign * scattering_factor_a("F", s))
        assert structure_factors(lif, [hkl])[0] == pytest.approx(complex(expected), abs=1e-9)


def test_displacement_damps_intensity_by_exp_minus_2_b_s_squared() -> None:
    group = space_group("F m -3 m")
    cold, hot = (
        Crystal("x", (4, 4, 4, 90, 90, 90), group, (Site("Al1", "Al", (0, 0, 0), b_iso_a2=b),)) for b in (0.0, 2.0)
    )
    ratio = structure_factors(hot, [[4, 0, 0]])[0] / structure_factors(cold, [[4, 0, 0]])[0]
    assert abs(ratio) == pytest.approx(np.exp(-2.0 * 0.5**2))


@pytest.mark.parametrize("name", ["si", "li2co3", "sio2-quartz", "gaas", "nmc811-o3"])
def test_opposite_reflections_are_complex_conjugates(name: str) -> None:
    crystal = load_phase(name)
    hkl = all_reflections(crystal, 0.8).hkl
    assert structure_factors(crystal, -hkl) == pytest.approx(structure_factors(crystal, hkl).conj(), abs=1e-9)


@pytest.mark.parametrize("name", SHIPPED)
def test_extinctions_are_those_of_the_space_group(name: str) -> None:
    """gemmi's test for systematic absence is the oracle."""
    crystal = load_phase(name)
    operations = gemmi.find_spacegroup_by_name(crystal.space_group.symbol).operations()
    table = all_reflections(crystal, 0.7)
    absent = np.array([operations.is_systematically_absent(hkl.tolist()) for hkl in table.hkl])
    assert table.relative_f2[absent].max(initial=0.0) < 1e-12
    assert table.relative_f2[~absent].max() == 1.0


@pytest.mark.parametrize("name", SHIPPED)
def test_multiplicities_add_up_to_all_reflections(name: str) -> None:
    crystal = load_phase(name)
    families = reflections(crystal, 1 / 0.7, min_relative_f2=0.0)
    assert families.multiplicity.sum() == len(all_reflections(crystal, 0.7))


@pytest.mark.parametrize(
    ("name", "hkl", "multiplicity"),
    [("si", (1, 1, 1), 8), ("si", (2, 2, 0), 12), ("si", (3, 1, 1), 24), ("nmc811-o3", (0, 0, 3), 2),
     ("nmc811-o3", (1, 1, 0), 6), ("graphite", (1, 0, 1), 12), ("li2co3", (1, 1, 0), 4), ("lioh", (1, 1, 0), 4)],
)  # fmt: skip
def test_multiplicity_of_a_family(name: str, hkl: tuple[int, int, int], multiplicity: int) -> None:
    table = reflections(load_phase(name), 1.0)
    row = np.flatnonzero((table.hkl == hkl).all(axis=1))
    assert table.multiplicity[row].tolist() == [multiplicity]


def test_families_share_one_intensity() -> None:
    """Merging is right only if every member of a family has the same |F|^2."""
    crystal = load_phase("sio2-quartz")
    families = reflections(crystal, 1.5, min_relative_f2=0.0)
    laue = crystal.space_group.laue_rotations
    for hkl, f2 in zip(families.hkl, families.f2, strict=True):
        members = np.abs(structure_factors(crystal, hkl @ laue)) ** 2
        assert members == pytest.approx(np.full(len(laue), f2), abs=1e-9 * families.f2.max())


def test_reflections_are_sorted_by_decreasing_d() -> None:
    d_a = reflections(load_phase("li2co3"), 0.9).d_a
    assert (np.diff(d_a) <= 1e-9).all()


def test_g_times_d_is_one_and_g_follows_the_metric() -> None:
    """1/d^2 of a monoclinic crystal from the textbook formula, e.g. Warren, X-ray Diffraction, eq. 2.17."""
    crystal = load_phase("li2co3")
    table = all_reflections(crystal, 0.6)
    a, b, c, _, beta_deg, _ = crystal.cell
    h, k, l_ = table.hkl.T
    sine, cosine = np.sin(np.radians(beta_deg)), np.cos(np.radians(beta_deg))
    inv_d2 = (h**2 / a**2 + l_**2 / c**2 - 2 * h * l_ * cosine / (a * c)) / sine**2 + k**2 / b**2
    assert table.radius_inv_a == pytest.approx(np.sqrt(inv_d2))
    assert table.d_a * table.radius_inv_a == pytest.approx(np.ones(len(table)))


def test_rounded_coordinates_are_moved_onto_their_special_position() -> None:
    """With 0.333 instead of 1/3 the forbidden 001 of a hexagonal close packing must stay dark, and two atoms remain."""
    crystal = Crystal(
        "mg", (3.209, 3.209, 5.210, 90, 90, 120), space_group("P 63/m m c"), (Site("Mg1", "Mg", (0.333, 0.667, 0.25)),)
    )
    assert len(unit_cell_atoms(crystal)) == 2
    assert abs(structure_factors(crystal, [[0, 0, 7]])[0]) < 1e-9
    assert abs(structure_factors(crystal, [[1, 1, 5]])[0]) < 1e-9
