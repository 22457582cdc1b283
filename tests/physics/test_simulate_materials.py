"""The materials for training: real, distinct, and split so that no composition lies on two sides."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import spglib

from friedel.core.errors import CrystalError
from friedel.crystal import (  # fmt: skip
    Crystal,
    crystal_of_atoms,
    density_g_cm3,
    load_isotypes,
    load_phase,
    load_prototypes,
    reflections,
    unit_cell_atoms,
)
from friedel.simulate.training.materials import (
    SYSTEMS,
    TEST_PHASES,
    Material,
    load_materials,
    select_materials,
    split_of,
)

pytest.importorskip("pymatgen", reason="the prototypes come with pymatgen, extra train")

# Densities in g/cm³ of the CRC Handbook of Chemistry and Physics, 97th ed., section 4.
DENSITIES = {
    "NaI rock-salt-halides": 3.67, "KBr rock-salt-halides": 2.74, "AgCl rock-salt-halides": 5.56,
    "BaO rock-salt-chalcogenides": 5.72, "CdO rock-salt-chalcogenides": 8.15, "PbTe rock-salt-chalcogenides": 8.16,
    "TiC rock-salt-pnictides-and-carbides": 4.93, "UC rock-salt-pnictides-and-carbides": 13.6,
    "CsI caesium-chloride": 4.51, "BaF2 fluorite": 4.89, "UO2 fluorite": 10.97, "ThO2 fluorite": 10.0,
    "AlAs zincblende": 3.76, "InSb zincblende": 5.77, "ZnSe zincblende": 5.26, "CuI zincblende": 5.67,
    "BeO wurtzite": 3.01, "InN wurtzite": 6.88, "MgF2 rutile": 3.15, "RuO2 rutile": 7.05, "Cr2O3 corundum": 5.22,
    "V2O3 corundum": 4.87, "TiS2 cadmium-iodide": 3.37, "SnS2 cadmium-iodide": 4.5, "PbI2 cadmium-iodide": 6.16,
    "MgCl2 cadmium-chloride": 2.325, "CdCl2 cadmium-chloride": 4.08, "WS2 molybdenite": 7.6,
    "Bi2Se3 tetradymite": 7.5, "Ca face-centred-elements": 1.54, "Th face-centred-elements": 11.7,
    "Be hexagonal-close-packed-elements": 1.85, "Re hexagonal-close-packed-elements": 20.8,
    "Gd hexagonal-close-packed-elements": 7.90, "K body-centred-elements": 0.89, "Te tellurium": 6.24,
    "Sb antimony": 6.68, "In indium": 7.31,
}  # fmt: skip


# Lattice constants in Å of other programs: elements as in ASE 3.29 (ase.data, to two digits; a and c), compounds as in
# xrayutilities 1.7.
OTHERS = {
    "Ac": (5.31,), "Ce": (5.16,), "Er": (3.56, 5.589), "Cd": (2.98, 5.620), "Re": (2.76, 4.457), "Sc": (3.31, 5.276),
    "Dy": (3.59, 5.647), "Y": (3.65, 5.734), "Ba": (5.02,), "Ho": (3.58, 5.621), "Tm": (3.54, 5.558),
    "Tc": (2.74, 4.395), "Ar": (5.26,), "Sr": (6.08,), "Th": (5.08,), "Yb": (5.49,), "Tl": (3.46, 5.533),
    "Lu": (3.51, 5.563), "Ca": (5.58,), "Tb": (3.60, 5.692), "Te": (4.45, 5.919), "Hf": (3.20, 5.062),
    "Gd": (3.64, 5.780), "Be": (2.29, 3.588), "Os": (2.74, 4.326), "In": (3.2523, 4.9461), "Sb": (4.307, 11.273),
    "Sn": (6.4912,), "AlAs": (5.66172,), "AlSb": (6.1355,), "GaSb": (6.09593,), "InSb": (6.47937,), "PbTe": (6.464,),
    "PbSe": (6.128,), "HgSe": (6.085,), "SrF2": (5.8007,), "BaF2": (6.2001,), "MnTe": (4.1429, 6.7031),
    "SnTe": (6.3268,),
}  # fmt: skip


@pytest.fixture(scope="module")
def materials() -> tuple[Material, ...]:
    return load_materials()


def closest_a(crystal: Crystal) -> float:
    """Shortest distance between atoms that are surely both there, in Å."""
    atoms = unit_cell_atoms(crystal)
    offset = atoms.fract[:, None] - atoms.fract[None]
    offset -= np.rint(offset)
    steps = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3), axis=-1).reshape(-1, 3)
    distance = np.linalg.norm((offset[:, :, None] + steps) @ crystal.direct_basis_a, axis=-1)
    together = (atoms.occupancy[:, None] + atoms.occupancy[None])[..., None] > 1.001
    return float(distance[(distance > 0.01) & together].min(initial=np.inf))


def test_enough_materials_of_every_crystal_system_come_with_friedel(materials: tuple[Material, ...]) -> None:
    assert len(materials) >= 435
    systems = Counter(m.crystal.crystal_system for m in materials)
    assert set(systems) == set(SYSTEMS)
    assert len({m.name for m in materials}) == len(materials)


def test_no_two_atoms_are_nearer_than_any_bond(materials: tuple[Material, ...]) -> None:
    """0.74 Å is the bond of H2, 0.96 Å that of water; no bond without hydrogen is below 1.05 Å."""
    near = {m.name: closest_a(m.crystal) for m in materials}
    floor = {m.name: 0.9 if "H" in unit_cell_atoms(m.crystal).elements else 1.05 for m in materials}
    assert {name: d for name, d in near.items() if d < floor[name]} == {}


def test_materials_are_as_dense_as_matter(materials: tuple[Material, ...]) -> None:
    dense = {m.name: density_g_cm3(m.crystal) for m in materials}
    assert {name: rho for name, rho in dense.items() if not 0.5 < rho < 25} == {}


@pytest.mark.parametrize(("name", "density"), DENSITIES.items())
def test_density_of_an_isotype_is_that_of_handbooks(name: str, density: float) -> None:
    crystal = next(c for c in load_isotypes() if c.name == name)
    assert density_g_cm3(crystal) == pytest.approx(density, rel=0.06)


@pytest.mark.parametrize(("formula", "lengths"), OTHERS.items())
def test_lattice_constants_of_isotypes_are_those_of_other_programs(formula: str, lengths: tuple[float, ...]) -> None:
    cells = [c.cell for c in load_isotypes() if c.name.split()[0] == formula]
    assert len(cells) == 1
    assert [cells[0][0], cells[0][2]][: len(lengths)] == pytest.approx(lengths, rel=4e-3)


@pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")
def test_declared_space_group_of_each_family_is_found_again() -> None:
    families = {crystal.name.split()[1]: crystal for crystal in load_isotypes()}
    assert len(families) > 60
    wrong = {}
    for crystal in families.values():
        atoms = unit_cell_atoms(crystal)
        numbers = [sorted(set(atoms.elements)).index(e) for e in atoms.elements]
        found = spglib.get_symmetry_dataset((crystal.direct_basis_a, atoms.fract, numbers), symprec=1e-3)
        if found.number != crystal.space_group.number:
            wrong[crystal.name] = (crystal.space_group.number, found.number)
    assert wrong == {}


def test_prototypes_have_the_space_group_of_their_label() -> None:
    crystals = load_prototypes()
    assert len(crystals) > 200
    assert [c.name for c in crystals if int(c.name.split()[1].split("_")[2]) != c.space_group.number] == []
    sources = " ".join(c.source for c in crystals)
    assert "Zeitschrift für Kristallographie" in sources
    assert "\\" not in sources
    assert all("Mehl" in c.source for c in crystals)


@pytest.mark.parametrize("name", ["lif", "li2co3", "nmc811-o3", "sio2-quartz", "cementite", "zro2"])
def test_symmetry_is_found_again_from_a_skewed_primitive_cell(name: str) -> None:
    """Same d-spacings and structure factors per volume, whatever cell the atoms come in."""
    crystal = load_phase(name)
    atoms = unit_cell_atoms(crystal)
    skew = np.array([[1, 0, 0], [1, 1, 0], [-1, 2, 1]])
    shift = np.array([0.13, 0.21, 0.34])
    fract = (atoms.fract + shift) @ np.linalg.inv(skew)
    places: dict[tuple[float, ...], list[tuple[str, float]]] = {}
    for xyz, element, occupancy in zip(fract.round(6), atoms.elements, atoms.occupancy, strict=True):
        places.setdefault(tuple(xyz), []).append((element, round(float(occupancy), 4)))
    contents = [tuple(sorted(held)) for held in places.values()]
    again = crystal_of_atoms(name, skew @ crystal.direct_basis_a, np.array(list(places)), contents, tolerance_a=2e-3)
    assert again.space_group.number == crystal.space_group.number
    ours, theirs = reflections(again, 1.5), reflections(crystal, 1.5)
    assert np.sort(ours.d_a) == pytest.approx(np.sort(theirs.d_a), rel=1e-4)
    light = [np.sort(t.f2 * t.multiplicity) / c.volume_a3**2 for t, c in ((ours, again), (theirs, crystal))]
    assert light[0] == pytest.approx(light[1], rel=2e-3, abs=1e-7)


def test_no_composition_lies_in_two_splits(materials: tuple[Material, ...]) -> None:
    splits: dict[str, set[str]] = {}
    for m in materials:
        splits.setdefault(m.composition, set()).add(m.split)
    assert {c for c, held in splits.items() if len(held) > 1} == set()
    share = Counter(m.split for m in materials)
    assert share["train"] > 0.6 * len(materials)
    assert min(share["validation"], share["test"]) > 0.1 * len(materials)


def test_phases_of_the_demo_are_never_trained_on(materials: tuple[Material, ...]) -> None:
    splits = {m.name: m.split for m in materials}
    assert {splits[name] for name in TEST_PHASES} == {"test"}
    lithium = [m.split for m in materials if m.composition == "Li1"]
    assert len(lithium) > 1
    assert set(lithium) == {"test"}


def test_split_of_a_composition_is_fixed_for_ever() -> None:
    """A network trained on one release may be judged with another: the split must not move."""
    compositions = ("Cl0.5 Na0.5", "Si1", "O0.667 Ti0.333", "Al0.4 O0.6")
    assert [split_of(c) for c in compositions] == ["test", "train", "train", "validation"]


def test_choice_takes_the_crystal_systems_in_turn(materials: tuple[Material, ...]) -> None:
    chosen = select_materials(materials, 21)
    assert Counter(m.crystal.crystal_system for m in chosen) == dict.fromkeys(SYSTEMS, 3)
    more = select_materials(materials, 435)
    assert {m.name for m in chosen} < {m.name for m in more}
    with pytest.raises(CrystalError, match="Lower --materials"):
        select_materials(materials, 10_000)


def test_folder_of_cifs_takes_their_place_and_keeps_the_test_phases_apart(tmp_path: Path) -> None:
    library = Path(sys.modules["friedel.crystal.library"].__file__ or "").parent / "library"
    for name, other in (("lif", "mp-1138"), ("nacl", "mine")):
        (tmp_path / f"{other}.cif").write_text((library / f"{name}.cif").read_text())
    held = {m.name: m for m in load_materials(tmp_path)}
    assert set(held) == {"mp-1138", "mine"}
    assert held["mp-1138"].split == "test"
    assert {m.origin for m in held.values()} == {"folder"}
    with pytest.raises(CrystalError, match=r"no folder with \.cif files"):
        load_materials(tmp_path / "nothing")


def test_missing_pymatgen_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("friedel.crystal.prototypes.find_spec", lambda _: None)
    load_prototypes.cache_clear()
    with pytest.raises(CrystalError, match=r"pip install 'friedel\[train\]'"):
        load_prototypes()
