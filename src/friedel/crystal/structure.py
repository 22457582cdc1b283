"""The crystal structure: cell, space group and sites."""

from __future__ import annotations

import math
from dataclasses import dataclass

import gemmi
import numpy as np

from friedel.core.arrays import FloatArray
from friedel.core.errors import CrystalError
from friedel.crystal.spacegroup import SpaceGroup

#: Isotropic displacement parameter in Å² for a site whose source states none; typical of inorganic crystals at room
#: temperature.
DEFAULT_B_ISO_A2 = 0.5

MIN_LENGTH_A, MAX_LENGTH_A = 1.0, 200.0
MAX_B_ISO_A2 = 50.0
#: Californium is the last element with tabulated electron scattering factors.
MAX_ATOMIC_NUMBER = 98

Cell = tuple[float, float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class Site:
    """One independent atomic site.

    Parameters
    ----------
    label
        Name of the site, such as "Li1".
    element
        Symbol of the element; "D" becomes "H".
    fract_xyz
        Position in fractions of the cell.
    occupancy
        Share of the cells in which an atom is there, above 0, at most 1.
    b_iso_a2
        Isotropic displacement parameter B = 8 pi^2 <u^2> in Å².
    """

    label: str
    element: str
    fract_xyz: tuple[float, float, float]
    occupancy: float = 1.0
    b_iso_a2: float = DEFAULT_B_ISO_A2

    def __post_init__(self) -> None:
        element = "H" if self.element == "D" else self.element
        number = gemmi.Element(element).atomic_number
        if not 1 <= number <= MAX_ATOMIC_NUMBER or gemmi.Element(element).name != element:
            raise CrystalError(f"Site {self.label}: {self.element!r} is not an element from H to Cf.")
        object.__setattr__(self, "element", element)
        if len(self.fract_xyz) != 3 or not all(math.isfinite(x) and abs(x) < 100 for x in self.fract_xyz):
            raise CrystalError(f"Site {self.label}: the position must be three fractions, got {self.fract_xyz}.")
        if not 0 < self.occupancy <= 1:
            raise CrystalError(f"Site {self.label}: the occupancy must lie in (0, 1], got {self.occupancy}.")
        if not 0 <= self.b_iso_a2 <= MAX_B_ISO_A2:
            raise CrystalError(f"Site {self.label}: B must lie in 0 to {MAX_B_ISO_A2:g} Å², got {self.b_iso_a2}.")


@dataclass(frozen=True, slots=True, eq=False)
class Crystal:
    """A crystal structure and where it was published.

    Parameters
    ----------
    name
        Name of the phase, such as "lif".
    cell
        a, b, c in Å and alpha, beta, gamma in degrees.
    space_group
        Space group with its operations, in the setting of ``cell`` and ``sites``.
    sites
        Independent sites, at least one.
    source
        Reference of the cell and sites; empty where not known.
    formula_units
        How often the cell holds the chemical formula (Z); None where not stated.

    Raises
    ------
    CrystalError
        If the cell is impossible, has another symmetry than the space group, or holds no site.
    """

    name: str
    cell: Cell
    space_group: SpaceGroup
    sites: tuple[Site, ...]
    source: str = ""
    formula_units: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "cell", tuple(float(x) for x in self.cell))
        object.__setattr__(self, "sites", tuple(self.sites))
        _check_cell(self.name, self.cell)
        if not self.sites:
            raise CrystalError(f"{self.name}: a crystal needs at least one atomic site, got none.")
        _check_symmetry_of_cell(self)

    @property
    def direct_basis_a(self) -> FloatArray:
        """Rows a, b, c (3, 3) in Å: a along x, b in the xy plane."""
        return _direct_basis_a(self.cell)

    @property
    def reciprocal_basis_inv_a(self) -> FloatArray:
        """Rows a*, b*, c* (3, 3) in 1/Å, without 2 pi: a_i . a*_j is 1 for i = j and 0 otherwise."""
        return np.asarray(np.linalg.inv(self.direct_basis_a).T)

    @property
    def volume_a3(self) -> float:
        """Volume of the cell in Å³."""
        return float(np.linalg.det(self.direct_basis_a))

    @property
    def crystal_system(self) -> str:
        """One of the seven crystal systems, in lower case."""
        return self.space_group.crystal_system

    @property
    def is_hexagonal(self) -> bool:
        """Whether the crystal is trigonal or hexagonal and described on hexagonal axes."""
        return self.crystal_system in ("trigonal", "hexagonal") and abs(self.cell[5] - 120.0) < 0.1

    @property
    def unique_axis(self) -> FloatArray:
        """Unit vector (3,) along the axis whose length is free beside the others, 0 where there is not just one.

        It is c of tetragonal and hexagonal crystals, and [111] of trigonal ones on rhombohedral axes.
        """
        if self.crystal_system not in ("tetragonal", "trigonal", "hexagonal"):
            return np.zeros(3)
        rhombohedral = self.crystal_system == "trigonal" and not self.is_hexagonal
        axis = self.direct_basis_a.sum(axis=0) if rhombohedral else self.direct_basis_a[2]
        return np.asarray(axis / np.linalg.norm(axis))

    def g_inv_a(self, hkl: object) -> FloatArray:
        """Reciprocal vectors (N, 3) in 1/Å, Cartesian as in ``direct_basis_a``, of Miller indices (N, 3)."""
        return np.asarray(np.asarray(hkl, dtype=np.float64) @ self.reciprocal_basis_inv_a)


def _check_cell(name: str, cell: Cell) -> None:
    if len(cell) != 6 or not all(math.isfinite(x) for x in cell):
        raise CrystalError(f"{name}: the cell must be six finite numbers (a, b, c, alpha, beta, gamma), got {cell}.")
    if not all(MIN_LENGTH_A <= x <= MAX_LENGTH_A for x in cell[:3]):
        raise CrystalError(
            f"{name}: a, b, c must lie between {MIN_LENGTH_A:g} and {MAX_LENGTH_A:g} Å, got {cell[:3]}. In nm or pm?"
        )
    if not all(10.0 <= x <= 170.0 for x in cell[3:]):
        raise CrystalError(f"{name}: alpha, beta, gamma must lie between 10 and 170 degrees, got {cell[3:]}.")
    ca, cb, cg = (math.cos(math.radians(x)) for x in cell[3:])
    if 1 - ca * ca - cb * cb - cg * cg + 2 * ca * cb * cg < 1e-4:
        raise CrystalError(f"{name}: a cell with the angles {cell[3:]} has no volume.")


def _direct_basis_a(cell: Cell) -> FloatArray:
    a, b, c = cell[:3]
    (ca, cb, cg), sg = (_cos_deg(x) for x in cell[3:]), math.sin(math.radians(cell[5]))
    cx, cy = c * cb, c * (ca - cb * cg) / sg
    return np.array([[a, 0.0, 0.0], [b * cg, b * sg, 0.0], [cx, cy, math.sqrt(c * c - cx * cx - cy * cy)]])


def _cos_deg(angle_deg: float) -> float:
    """Cosine that is exactly 0 at a right angle, so that orthogonal cells stay orthogonal."""
    return 0.0 if angle_deg == 90.0 else math.cos(math.radians(angle_deg))


def _check_symmetry_of_cell(crystal: Crystal) -> None:
    """Raise CrystalError if an operation of the space group changes lengths or angles of the cell by over 0.2 %."""
    basis = crystal.direct_basis_a
    metric = basis @ basis.T
    scale = np.sqrt(np.outer(metric.diagonal(), metric.diagonal()))
    moved = np.einsum("nji,jk,nkl->nil", crystal.space_group.rotations, metric, crystal.space_group.rotations)
    worst = float(np.abs((moved - metric) / scale).max())
    if worst > 4e-3:
        raise CrystalError(
            f"{crystal.name}: the cell {crystal.cell} does not have the symmetry of {crystal.space_group} "
            f"({crystal.crystal_system}). Correct the cell, or name the space group of the distorted structure."
        )
