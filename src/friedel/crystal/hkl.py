"""Reflections of a crystal: all of them, or one per family of symmetry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from friedel.core.arrays import FloatArray, IntArray, read_only
from friedel.core.errors import CrystalError
from friedel.crystal.factors import structure_factors
from friedel.crystal.structure import Crystal

MAX_REFLECTIONS = 2_000_000
#: Share of the strongest |F|^2 below which a reflection counts as extinct.
EXTINCT_F2 = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Reflections:
    """Computed reflections, longest d-spacing first.

    Parameters
    ----------
    hkl
        Miller indices (N, 3), int64.
    g_inv_a
        Reciprocal vectors (N, 3) in 1/Å, Cartesian as in ``Crystal.direct_basis_a``.
    f2
        Squared modulus of the kinematic structure factor in Å², (N,).
    multiplicity
        Reflections that each row stands for, (N,), int64.
    """

    hkl: IntArray
    g_inv_a: FloatArray
    f2: FloatArray
    multiplicity: IntArray

    def __post_init__(self) -> None:
        for name, ndim, dtype in (("hkl", 2, np.int64), ("g_inv_a", 2, float), ("f2", 1, float),
                                  ("multiplicity", 1, np.int64)):  # fmt: skip
            values = read_only(getattr(self, name), ndim=ndim, name=f"Reflections.{name}", dtype=dtype)
            object.__setattr__(self, name, values)
        n = len(self.hkl)
        if not self.hkl.shape == self.g_inv_a.shape == (n, 3) or not len(self.f2) == len(self.multiplicity) == n:
            raise CrystalError(f"Reflections must have one entry per reflection in every column, got {n} hkl.")

    def __len__(self) -> int:
        return len(self.hkl)

    @property
    def radius_inv_a(self) -> FloatArray:
        """Length of the reciprocal vectors in 1/Å, (N,)."""
        return np.asarray(np.linalg.norm(self.g_inv_a, axis=1))

    @property
    def d_a(self) -> FloatArray:
        """Spacing d = 1 / |g| in Å, (N,)."""
        return 1.0 / self.radius_inv_a

    @property
    def relative_f2(self) -> FloatArray:
        """``f2`` over the largest ``f2``, (N,)."""
        return self.f2 / max(float(self.f2.max(initial=0.0)), np.finfo(float).tiny)


def lattice_points(crystal: Crystal, g_max_inv_a: float) -> IntArray:
    """All hkl (N, 3) except 000 with |g| up to ``g_max_inv_a`` in 1/Å, in both halves of reciprocal space."""
    if not 0 < g_max_inv_a <= 20:
        raise CrystalError(f"The largest |g| must lie in (0, 20] 1/Å, got {g_max_inv_a:g}; that is 1 / d_min.")
    expected = 4 / 3 * np.pi * g_max_inv_a**3 * crystal.volume_a3
    if expected > MAX_REFLECTIONS:
        raise CrystalError(
            f"{crystal.name} has about {expected:.2g} reflections up to {g_max_inv_a:g} 1/Å, more than "
            f"{MAX_REFLECTIONS}. Ask for a larger d-spacing."
        )
    reach = (g_max_inv_a * (1 + 1e-9) * np.array(crystal.cell[:3])).astype(np.int64)
    plane = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach[1:]), indexing="ij"), axis=-1).reshape(-1, 2)
    parts = []
    for h in range(-int(reach[0]), int(reach[0]) + 1):
        hkl = np.column_stack([np.full(len(plane), h), plane])
        radius = np.linalg.norm(crystal.g_inv_a(hkl), axis=1)
        parts.append(hkl[(radius <= g_max_inv_a * (1 + 1e-9)) & hkl.any(axis=1)])
    return np.concatenate(parts)


def all_reflections(crystal: Crystal, g_max_inv_a: float) -> Reflections:
    """Every reflection up to ``g_max_inv_a`` in 1/Å, both hkl and -h-k-l, extinct ones with ``f2`` near 0 included."""
    return _tabulate(crystal, lattice_points(crystal, g_max_inv_a))


def reflections(crystal: Crystal, d_min_a: float, *, min_relative_f2: float = EXTINCT_F2) -> Reflections:
    """One reflection per family that the Laue class makes equivalent.

    Parameters
    ----------
    d_min_a
        Smallest d-spacing in Å.
    min_relative_f2
        Families with a smaller share of the strongest ``f2`` are left out, extinct ones among them.

    Raises
    ------
    CrystalError
        If ``d_min_a`` is not positive or asks for more than two million reflections.
    """
    if not d_min_a > 0:
        raise CrystalError(f"d_min_a must be a positive length in Å, got {d_min_a}. Pass --d-min-a, e.g. 0.8.")
    laue = crystal.space_group.laue_rotations
    hkl = representatives(lattice_points(crystal, 1.0 / d_min_a), laue)
    kept = np.stack([(hkl @ w == hkl).all(axis=1) for w in laue]).sum(axis=0)
    table = _tabulate(crystal, hkl, len(laue) // kept)
    keep = table.relative_f2 >= min_relative_f2
    return Reflections(table.hkl[keep], table.g_inv_a[keep], table.f2[keep], table.multiplicity[keep])


def representatives(hkl: IntArray, laue: IntArray) -> IntArray:
    """Replace row vectors (N, 3) by one of each family under the rotations (m, 3, 3), and drop doubles.

    The member with the smallest sum of absolute indices stands for the family, then the one with the fewest negative
    indices, then one with l and k not negative, then the one with the largest h, k, l: {110} of a hexagonal crystal
    is (1 1 0), not (2 -1 0).
    """
    size = 4 * int(np.abs(hkl).max(initial=0)) + 1
    best = np.full(len(hkl), -1, dtype=np.int64)
    for w in laue:
        best = np.maximum(best, _rank(hkl @ w, size))
    keys = np.unique(best)
    half = size // 2
    return np.stack([keys // size**2 % size - half, keys // size % size - half, keys % size - half], axis=1)


def _rank(hkl: IntArray, size: int) -> IntArray:
    negative = hkl < 0
    order = 16 * (3 * size - np.abs(hkl).sum(axis=1))
    order -= 4 * negative.sum(axis=1) + 2 * negative[:, 2] + negative[:, 1]
    shifted = hkl + size // 2
    return np.asarray(((order * size + shifted[:, 0]) * size + shifted[:, 1]) * size + shifted[:, 2])


def _tabulate(crystal: Crystal, hkl: IntArray, multiplicity: IntArray | None = None) -> Reflections:
    """Table of these reflections, longest d-spacing first; families of equal d in the order of h, k, l."""
    counts = np.ones(len(hkl), dtype=np.int64) if multiplicity is None else multiplicity
    g = crystal.g_inv_a(hkl)
    radius = np.round(np.linalg.norm(g, axis=1), 9)
    order = np.lexsort((-hkl[:, 2], -hkl[:, 1], -hkl[:, 0], radius))
    f2 = np.abs(structure_factors(crystal, hkl[order])) ** 2
    return Reflections(hkl[order], g[order], f2, counts[order])
