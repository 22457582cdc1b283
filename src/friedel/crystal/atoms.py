"""The atoms of a unit cell: positions, formula and density."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import gemmi
import numpy as np

from friedel.core.arrays import FloatArray, IntArray, read_only
from friedel.core.errors import CrystalError
from friedel.crystal.structure import Crystal

MAX_ATOMS = 20_000
#: A site this near to a special position is on it: coordinates such as 0.333 are rounded.
SPECIAL_POSITION_A = 0.05
#: Atoms nearer than this share one place, and their occupancies must not exceed 1.
SAME_PLACE_A = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class UnitCellAtoms:
    """All atoms of one cell.

    Parameters
    ----------
    fract
        Positions (A, 3) in fractions of the cell, in [0, 1).
    elements
        Symbol of each atom, A of them.
    occupancy, b_iso_a2
        Occupancy and isotropic B in Å² of each atom, (A,).
    site_index
        Site of the crystal that each atom belongs to, (A,).
    """

    fract: FloatArray
    elements: tuple[str, ...]
    occupancy: FloatArray
    b_iso_a2: FloatArray
    site_index: IntArray

    def __post_init__(self) -> None:
        for name, ndim, dtype in (("fract", 2, float), ("occupancy", 1, float), ("b_iso_a2", 1, float),
                                  ("site_index", 1, np.int64)):  # fmt: skip
            object.__setattr__(self, name, read_only(getattr(self, name), ndim=ndim, name=name, dtype=dtype))

    def __len__(self) -> int:
        return len(self.elements)


@lru_cache(maxsize=256)
def unit_cell_atoms(crystal: Crystal) -> UnitCellAtoms:
    """Expand the sites by the space group, once per position.

    A site within 0.05 Å of a special position is moved onto it: the mean over the operations that keep it.

    Raises
    ------
    CrystalError
        If the cell holds more than 20 000 atoms, or two atoms share a place with occupancies above 1, as when all
        atoms of the cell are listed beside a space group that repeats them.
    """
    places = [_images(crystal, np.array(site.fract_xyz)) for site in crystal.sites]
    counts = [len(p) for p in places]
    if sum(counts) > MAX_ATOMS:
        raise CrystalError(f"{crystal.name}: the cell holds {sum(counts)} atoms, more than {MAX_ATOMS}.")
    index = np.repeat(np.arange(len(places)), counts)
    atoms = UnitCellAtoms(
        np.concatenate(places),
        tuple(crystal.sites[i].element for i in index),
        np.array([crystal.sites[i].occupancy for i in index]),
        np.array([crystal.sites[i].b_iso_a2 for i in index]),
        index,
    )
    _require_room(crystal, atoms)
    return atoms


def _images(crystal: Crystal, xyz: FloatArray) -> FloatArray:
    """Distinct positions (n, 3) in [0, 1) of one site under the space group."""
    group = crystal.space_group
    offset = group.rotations @ xyz + group.translations - xyz
    offset -= np.rint(offset)
    keeps = np.linalg.norm(offset @ crystal.direct_basis_a, axis=1) < SPECIAL_POSITION_A
    exact = xyz + offset[keeps].mean(axis=0)
    images = (group.rotations @ exact + group.translations) % 1.0
    images[images > 1.0 - 1e-9] = 0.0
    _, first = np.unique(np.rint(images * 1e6).astype(np.int64) % 1_000_000, axis=0, return_index=True)
    return np.asarray(images[np.sort(first)])


def _require_room(crystal: Crystal, atoms: UnitCellAtoms) -> None:
    _, first = np.unique(atoms.site_index, return_index=True)
    for i in first:
        offset = atoms.fract - atoms.fract[i]
        offset -= np.rint(offset)
        near = np.linalg.norm(offset @ crystal.direct_basis_a, axis=1) < SAME_PLACE_A
        if (total := float(atoms.occupancy[near].sum())) > 1.02:
            label = crystal.sites[atoms.site_index[i]].label
            raise CrystalError(
                f"{crystal.name}: {near.sum()} atoms with a total occupancy of {total:.3g} share the place of site "
                f"{label}. Are all atoms of the cell listed beside {crystal.space_group}? Then declare P 1."
            )


def chemical_formula(crystal: Crystal) -> str:
    """Contents of the cell per formula unit, elements in the order of the sites, such as "LiNi0.8Mn0.1Co0.1O2"."""
    units = crystal.formula_units or _formula_units(crystal)
    amounts = {symbol: round(total / units, 3) for symbol, total in _amounts(crystal).items()}
    return "".join(symbol if amount == 1 else f"{symbol}{amount:g}" for symbol, amount in amounts.items())


def density_g_cm3(crystal: Crystal) -> float:
    """Mass of the cell over its volume in g/cm³; atomic weights as in gemmi."""
    mass_u = sum(gemmi.Element(symbol).weight * total for symbol, total in _amounts(crystal).items())
    return float(mass_u * 1.66053906660 / crystal.volume_a3)


def _amounts(crystal: Crystal) -> dict[str, float]:
    """Atoms of each element in the cell."""
    atoms = unit_cell_atoms(crystal)
    amounts: dict[str, float] = dict.fromkeys(atoms.elements, 0.0)
    for symbol, occupancy in zip(atoms.elements, atoms.occupancy, strict=True):
        amounts[symbol] += float(occupancy)
    return amounts


def _formula_units(crystal: Crystal) -> int:
    """Greatest number that divides the number of places of every set of sites that hold the same elements."""
    atoms = unit_cell_atoms(crystal)
    places: dict[tuple[str, ...], int] = {}
    rounded = np.rint(atoms.fract * 1e3).astype(np.int64) % 1000
    held: dict[tuple[int, ...], set[str]] = {}
    for place, symbol in zip(map(tuple, rounded.tolist()), atoms.elements, strict=True):
        held.setdefault(place, set()).add(symbol)
    for symbols in held.values():
        key = tuple(sorted(symbols))
        places[key] = places.get(key, 0) + 1
    return int(np.gcd.reduce(list(places.values())))
