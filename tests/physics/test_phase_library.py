"""Every phase of the shipped library: symmetry, density, distances, source."""

from __future__ import annotations

import time
from importlib.resources import files

import numpy as np
import pytest
import spglib

from friedel.core.errors import CrystalError
from friedel.crystal import PhaseSet, chemical_formula, density_g_cm3, load_phase, load_phases, unit_cell_atoms

SHIPPED = sorted(entry.name[:-4] for entry in (files("friedel.crystal") / "library").iterdir())

# Densities in g/cm³ of the solids at room temperature as handbooks print them (e.g. CRC Handbook of Chemistry and
# Physics, 97th ed., sections 4 and 12); ice at 100 K. Measured and computed densities differ by 1 or 2 %.
DENSITIES = {
    "ag": 10.5, "al": 2.70, "au": 19.3, "cu": 8.96, "ni": 8.90, "pt": 21.5, "pd": 12.0, "pb": 11.3, "rh": 12.4,
    "ir": 22.5, "ru": 12.1, "li": 0.534, "na": 0.968, "fe": 7.87, "cr": 7.19, "mo": 10.2, "w": 19.3, "v": 6.11,
    "nb": 8.57, "ta": 16.6, "mg": 1.74, "ti": 4.51, "zr": 6.52, "zn": 7.14, "co": 8.86, "sn": 7.29, "bi": 9.79,
    "si": 2.33, "ge": 5.32, "diamond": 3.51, "graphite": 2.26, "lif": 2.64, "lih": 0.78, "licl": 2.07, "lioh": 1.45,
    "li2o": 2.01, "li2o2": 2.31, "li2co3": 2.11, "li2s": 1.64, "li3n": 1.27, "li3p": 1.43, "li3po4": 2.46,
    "naf": 2.78, "nacl": 2.17, "nah": 1.39, "na2o": 2.39, "na2co3": 2.54, "kcl": 1.99, "mgo": 3.60, "cao": 3.34,
    "nio": 6.72, "coo": 6.44, "mno": 5.37, "feo": 6.0, "cuo": 6.31, "cu2o": 6.0, "fe2o3": 5.25, "fe3o4": 5.17,
    "co3o4": 6.11, "mn3o4": 4.84, "mno2": 5.08, "al2o3": 3.99, "tio2-rutile": 4.23, "tio2-anatase": 3.90,
    "zro2": 5.68, "ceo2": 7.22, "sno2": 6.85, "sio2-quartz": 2.65, "v2o5": 3.35, "zno": 5.6, "srtio3": 5.1,
    "caf2": 3.18, "caco3-calcite": 2.71, "gaas": 5.32, "gap": 4.14, "inp": 4.81, "inas": 5.67, "cdte": 5.85,
    "gan": 6.1, "aln": 3.26, "bn": 2.29, "sic-3c": 3.16, "mos2": 5.06, "pbs": 7.60, "fes2": 5.02, "tin": 5.21,
    "wc": 15.6, "cementite": 7.69, "ice-ih": 0.93, "lab6": 4.76, "tlcl": 7.0, "cscl": 3.99,
    "lifepo4": 3.6, "limn2o4": 4.3, "licoo2": 5.05, "linio2": 4.78, "li4ti5o12": 3.48, "nmc811-o3": 4.78,
}  # fmt: skip


def test_library_is_large_enough_and_names_are_plain() -> None:
    assert len(SHIPPED) >= 60
    assert all(name == name.lower() and " " not in name for name in SHIPPED)


@pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")
@pytest.mark.parametrize("name", SHIPPED)
def test_declared_space_group_is_found_again_from_the_atoms(name: str) -> None:
    crystal = load_phase(name)
    atoms = unit_cell_atoms(crystal)
    places: dict[tuple[float, ...], list[tuple[str, float]]] = {}
    for fract, element, occupancy in zip(atoms.fract.round(4), atoms.elements, atoms.occupancy, strict=True):
        places.setdefault(tuple(fract), []).append((element, round(float(occupancy), 4)))
    contents = [tuple(sorted(held)) for held in places.values()]
    numbers = [sorted(set(contents)).index(held) for held in contents]
    found = spglib.get_symmetry_dataset((crystal.direct_basis_a, np.array(list(places)), numbers), symprec=2e-3)
    assert found.number == crystal.space_group.number


@pytest.mark.parametrize(("name", "density"), DENSITIES.items())
def test_density_is_that_of_handbooks(name: str, density: float) -> None:
    assert density_g_cm3(load_phase(name)) == pytest.approx(density, rel=0.04)


@pytest.mark.parametrize("name", SHIPPED)
def test_atoms_keep_their_distance(name: str) -> None:
    """No two atoms that are surely there are nearer than 0.9 Å, the O-H distance of hydroxides."""
    crystal = load_phase(name)
    atoms = unit_cell_atoms(crystal)
    shifts = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3), axis=-1).reshape(-1, 3)
    offset = (atoms.fract[:, None, None] - atoms.fract[None, :, None] + shifts) @ crystal.direct_basis_a
    distance = np.linalg.norm(offset, axis=-1)
    together = (atoms.occupancy[:, None] + atoms.occupancy[None, :])[..., None] > 1.001
    assert distance[(distance > 0.01) & together].min() > 0.9


@pytest.mark.parametrize("name", SHIPPED)
def test_every_phase_names_its_source(name: str) -> None:
    assert any(str(year) in load_phase(name).source for year in range(1930, 2030))


@pytest.mark.parametrize(
    ("alias", "name"),
    [("LiF", "lif"), ("Li2CO3", "li2co3"), ("NMC811 O3", "nmc811-o3"), ("nmc811_o1", "nmc811-o1"), ("Gold", "au"),
     ("rutile", "tio2-rutile"), ("LFP", "lifepo4"), ("LiNi0.5Mn1.5O4", "lini0.5mn1.5o4")],
)  # fmt: skip
def test_common_names_are_understood(alias: str, name: str) -> None:
    assert load_phase(alias).name == name


@pytest.mark.parametrize(
    ("name", "formula"),
    [("nmc811-o3", "LiNi0.8Mn0.1Co0.1O2"), ("li2o2", "Li2O2"), ("ice-ih", "H2O"), ("lifepo4", "LiFePO4"),
     ("li4ti5o12", "Li1.333Ti1.667O4"), ("ni16ti6si7", "Ni16Ti6Si7"), ("si", "Si")],
)  # fmt: skip
def test_formula(name: str, formula: str) -> None:
    assert chemical_formula(load_phase(name)) == formula


def test_unknown_name_suggests_near_ones() -> None:
    with pytest.raises(CrystalError, match="limn2o4"):
        load_phase("LiMnO4")


def test_phase_set_has_equal_priors_and_unique_names() -> None:
    phases = load_phases(["LiF", "li", "Li2O"])
    assert phases.names == ("lif", "li", "li2o")
    assert phases.priors == pytest.approx((1 / 3,) * 3)
    with pytest.raises(CrystalError, match="unique names, got lif"):
        load_phases(["lif", "LiF"])
    with pytest.raises(CrystalError, match="add up to 1"):
        PhaseSet(phases.crystals, (0.5, 0.4, 0.3))
    with pytest.raises(CrystalError, match="at least one"):
        load_phases([])


def test_loading_a_phase_is_fast() -> None:
    load_phase("lif")
    start = time.perf_counter()
    load_phase("ni16ti6si7")
    assert time.perf_counter() - start < 0.5
