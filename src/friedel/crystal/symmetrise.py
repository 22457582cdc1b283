"""Finding the symmetry of a structure that is given as bare atoms of one cell."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from friedel.core.arrays import FloatArray
from friedel.core.errors import CrystalError
from friedel.crystal.spacegroup import SpaceGroup, space_group_of_hall
from friedel.crystal.structure import Cell, Crystal, Site

#: Atoms within this of their symmetric places are on them.
SYMMETRY_TOLERANCE_A = 0.01

#: What lies on one place of the cell: elements and occupancies.
Content = tuple[tuple[str, float], ...]


def crystal_of_atoms(
    name: str,
    basis_a: FloatArray,
    fract: FloatArray,
    contents: Sequence[Content],
    *,
    source: str = "",
    tolerance_a: float = SYMMETRY_TOLERANCE_A,
) -> Crystal:
    """Make a crystal in the conventional cell of its space group from all places of any one cell.

    Parameters
    ----------
    basis_a
        Rows a, b, c (3, 3) in Å of the cell, primitive or not.
    fract
        Places (N, 3) in fractions of the cell.
    contents
        Elements and occupancies of each place, N of them.
    source
        Reference of the structure.
    tolerance_a
        How far an atom may be off its symmetric place, Å.

    Raises
    ------
    CrystalError
        If no space group is found, as where two atoms coincide.

    Notes
    -----
    Symmetry and standard setting by spglib (Togo, Shinohara and Tanaka, Sci. Technol. Adv. Mater.: Methods 4, 2384822,
    2024): the conventional cell of International Tables A, hexagonal axes for rhombohedral groups, the first origin
    that spglib lists.
    """
    kinds = sorted(set(contents))
    numbers = [kinds.index(content) for content in contents]
    with warnings.catch_warnings():
        # spglib 2.7 and later warn at every call that its way of reporting errors will change; both ways are handled.
        warnings.simplefilter("ignore", DeprecationWarning)
        found = _dataset(name, (basis_a, fract, numbers), tolerance_a)
    group = space_group_of_hall(str(found.hall))
    places, orbits = np.asarray(found.std_positions) % 1.0, _orbits(found)
    sites = [
        Site(f"{element}{i}", element, (float(x), float(y), float(z)), occupancy)
        for i, first in enumerate(orbits, start=1)
        for element, occupancy in kinds[found.std_types[first]]
        for x, y, z in [places[first]]
    ]
    return Crystal(name, _symmetric_cell(np.asarray(found.std_lattice), group), group, tuple(sites), source)


def _dataset(name: str, cell: tuple[Any, Any, Any], tolerance_a: float) -> Any:
    import spglib

    try:
        found = spglib.get_symmetry_dataset(cell, symprec=tolerance_a)
    except Exception as error:  # noqa: BLE001 - the class of spglib's error differs between versions
        raise CrystalError(f"{name}: the atoms have no space group: {error}.") from None
    if found is None:
        raise CrystalError(f"{name}: the atoms have no space group. Do two of them share a place?")
    return found


def _orbits(found: Any) -> list[int]:
    """First atom of the standard cell that stands for each independent site."""
    independent = np.asarray(found.crystallographic_orbits)[_first_of_primitive(found)]
    _, first = np.unique(independent, return_index=True)
    return [int(i) for i in np.sort(first)]


def _first_of_primitive(found: Any) -> list[int]:
    """For each atom of the standard cell, an atom of the given cell that is the same atom of the primitive cell."""
    given = {int(primitive): i for i, primitive in reversed(list(enumerate(found.mapping_to_primitive)))}
    return [given[int(primitive)] for primitive in found.std_mapping_to_primitive]


def _symmetric_cell(basis_a: FloatArray, group: SpaceGroup) -> Cell:
    """Cell parameters of a basis, averaged over the rotations of the group so that equal lengths are equal."""
    metric = np.einsum("nji,jk,nkl->il", group.rotations, basis_a @ basis_a.T, group.rotations) / len(group.rotations)
    lengths = np.sqrt(metric.diagonal())
    cosines = metric / np.outer(lengths, lengths)
    angles = np.degrees(np.arccos([cosines[1, 2], cosines[0, 2], cosines[0, 1]]))
    a, b, c, alpha, beta, gamma = (round(float(x), 6) for x in (*lengths, *angles))
    return a, b, c, alpha, beta, gamma
