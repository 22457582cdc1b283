"""Space groups as plain arrays of operations, so that nothing needs to be looked up later."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gemmi
import numpy as np

from friedel.core.arrays import FloatArray, IntArray, read_only
from friedel.core.errors import CrystalError

MAX_OPERATIONS = 192

_SYSTEM_ENDS = (
    (2, "triclinic"),
    (15, "monoclinic"),
    (74, "orthorhombic"),
    (142, "tetragonal"),
    (167, "trigonal"),
    (194, "hexagonal"),
    (230, "cubic"),
)


@dataclass(frozen=True, slots=True, eq=False)
class SpaceGroup:
    """A space group in one setting.

    Parameters
    ----------
    symbol
        Hermann-Mauguin symbol, extended where the setting needs it, such as "R -3 m:H".
    number
        Number in International Tables A, 1 to 230.
    rotations
        Matrices W (n, 3, 3), int64, of all operations x' = W x + w, centring included.
    translations
        Vectors w (n, 3) in fractions of the cell.
    """

    symbol: str
    number: int
    rotations: IntArray
    translations: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "rotations", read_only(self.rotations, ndim=3, name="rotations", dtype=np.int64))
        object.__setattr__(self, "translations", read_only(self.translations, ndim=2, name="translations"))
        n = len(self.rotations)
        if self.rotations.shape != (n, 3, 3) or self.translations.shape != (n, 3) or not 1 <= n <= MAX_OPERATIONS:
            raise CrystalError(f"A space group holds 1 to {MAX_OPERATIONS} operations, got {n} of {self.symbol!r}.")
        if not 1 <= self.number <= 230:
            raise CrystalError(f"The number of a space group lies between 1 and 230, got {self.number}.")

    def __str__(self) -> str:
        return self.symbol

    @property
    def crystal_system(self) -> str:
        """One of the seven crystal systems, in lower case."""
        return next(name for end, name in _SYSTEM_ENDS if self.number <= end)

    @property
    def laue_rotations(self) -> IntArray:
        """Distinct rotation parts together with their inverses through the origin, (m, 3, 3)."""
        return np.unique(np.concatenate([self.rotations, -self.rotations]), axis=0)


def space_group(symbol: str, *, alpha_deg: float = 0.0, gamma_deg: float = 0.0) -> SpaceGroup:
    """Look up a space group by its Hermann-Mauguin symbol or by its number.

    Parameters
    ----------
    symbol
        Such as "Fm-3m", "F d -3 m:2" or "225". Where two origins are in use and none is named, the second
        (at the centre of inversion) is taken.
    alpha_deg, gamma_deg
        Angles of the cell, which tell rhombohedral from hexagonal axes where the symbol does not.

    Raises
    ------
    CrystalError
        If there is no such group.
    """
    name = " ".join(symbol.replace("_", " ").split()).replace(" :", ":")
    if name.isdecimal():
        known = gemmi.find_spacegroup_by_number(int(name)) if 1 <= int(name) <= 230 else None
        name = known.hm if known else ""
    found = gemmi.find_spacegroup_by_name(name, alpha_deg, gamma_deg, "2") if name else None
    if found is None:
        raise CrystalError(f"{symbol!r} is not a space group. Give its Hermann-Mauguin symbol, such as 'F m -3 m'.")
    return _from_gemmi(found)


def space_group_of_hall(symbol: str) -> SpaceGroup:
    """Look up a space group by its Hall symbol, in any setting that the symbol can express."""
    try:
        operations = gemmi.symops_from_hall(symbol)
    except (RuntimeError, ValueError) as error:
        raise CrystalError(f"{symbol!r} is not a Hall symbol: {error}.") from None
    return space_group_of_operations([op.triplet() for op in operations])


def space_group_of_operations(triplets: Sequence[str]) -> SpaceGroup:
    """Find the space group of a complete list of operations such as "-x,y,1/2-z".

    Settings that International Tables do not list keep their operations, and spglib names the type.

    Raises
    ------
    CrystalError
        If an operation cannot be read or the list is not a group.
    """
    if not 1 <= len(triplets) <= MAX_OPERATIONS:
        raise CrystalError(f"A space group has 1 to {MAX_OPERATIONS} operations, got {len(triplets)}.")
    try:
        operations = [gemmi.Op(text).wrap() for text in triplets]
    except (RuntimeError, ValueError) as error:
        raise CrystalError(f"An operation of symmetry cannot be read: {error}.") from None
    rotations, translations = _arrays_of(operations)
    found = gemmi.find_spacegroup_by_ops(gemmi.GroupOps(operations))
    if found is not None:
        group = _from_gemmi(found)
        if sorted(_keys(rotations, translations)) == sorted(_keys(group.rotations, group.translations)):
            return group
    _require_group(rotations, translations)
    symbol, number = _type_of_operations(rotations, translations)
    return SpaceGroup(f"{symbol} (own setting)", number, rotations, translations)


def _type_of_operations(rotations: IntArray, translations: FloatArray) -> tuple[str, int]:
    """Hermann-Mauguin symbol and number of the type of a group in any setting, by spglib."""
    import spglib

    with warnings.catch_warnings():
        # spglib 2.7 and later warn at every call that its way of reporting errors will change; both ways are handled.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            kind: Any = spglib.get_spacegroup_type_from_symmetry(rotations.astype("intc"), translations)
        except Exception as error:  # noqa: BLE001 - the class of spglib's error differs between versions
            raise CrystalError(f"The operations of symmetry belong to no space group: {error}.") from None
    if not kind:
        raise CrystalError(f"The {len(rotations)} operations of symmetry belong to no space group.")
    return str(kind.international_full), int(kind.number)


def _from_gemmi(found: gemmi.SpaceGroup) -> SpaceGroup:
    rotations, translations = _arrays_of(list(found.operations()))
    return SpaceGroup(found.xhm(), int(found.number), rotations, translations)


def _arrays_of(operations: list[gemmi.Op]) -> tuple[IntArray, FloatArray]:
    rotations = np.array([op.rot for op in operations], dtype=np.int64) // gemmi.Op.DEN
    translations = np.array([op.tran for op in operations], dtype=np.float64) / gemmi.Op.DEN
    return rotations, translations


def _require_group(rotations: IntArray, translations: FloatArray) -> None:
    """Raise CrystalError unless the operations are distinct, invertible, and every product is one of them."""
    invertible = (np.abs(np.rint(np.linalg.det(rotations))) == 1).all()
    known = set(_keys(rotations, translations))
    products = np.einsum("aij,bjk->abik", rotations, rotations).reshape(-1, 3, 3)
    shifts = (np.einsum("aij,bj->abi", rotations, translations) + translations[:, None]).reshape(-1, 3)
    if not invertible or len(known) != len(rotations) or not set(_keys(products, shifts)) <= known:
        raise CrystalError(f"The {len(rotations)} operations of symmetry are not a group: some are missing or doubled.")


def _keys(rotations: IntArray, translations: FloatArray) -> list[bytes]:
    shifts = np.rint(translations * gemmi.Op.DEN).astype(np.int64) % gemmi.Op.DEN
    flat = np.concatenate([rotations.reshape(-1, 9), shifts], axis=1).astype(np.int16)
    return [row.tobytes() for row in flat]
