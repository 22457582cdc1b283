"""What a phase may show in a micrograph: lone reflections, and pairs of them in every orientation of a grain."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from friedel.core.arrays import BoolArray, FloatArray, IntArray
from friedel.crystal import Crystal, Site, all_reflections, space_group
from friedel.crystal.hkl import EXTINCT_F2, representatives

#: Weakest reflection, relative to the strongest of its phase, that may explain a spot on its own.
LEAST_F2 = 0.003
#: Sine of the least angle between two reflections that set a grain's orientation.
LEAST_SINE = 0.2
#: Reflections whose lengths differ by less (relative) are of one family.
SAME_LENGTH = 1e-4
#: Unknown cubic crystals have lattice parameters from 2.6 to 6.8 Å, in steps of ln a.
CUBIC_STEP = 0.32
CUBIC_MIDDLES_A = tuple(2.6 * math.exp((i + 0.5) * CUBIC_STEP) for i in range(3))


@dataclass(frozen=True, slots=True, eq=False)
class PhaseModel:
    """Reflections of one phase, and how probable each is to be met in a grain of random orientation.

    Parameters
    ----------
    name
        The phase.
    hkl, g_inv_a, relative_f2
        Reflections (M, 3) of one half of reciprocal space, their vectors (M, 3) in 1/Å and their squared structure
        factors over the strongest (M,). Reflections that vanish, but not by centring, are among them: double
        diffraction may light them up.
    visible
        Weight (M,) with which each shows: the fourth root of ``relative_f2``, 0 for those that vanish.
    first, first_share
        Rows (F,) of one reflection of each family, and the probability (F,) that a lone spot is of it.
    family, family_size
        Family of each reflection (M,), and the reflections of each in the table (F,).
    family_hkl
        Indices by which each family is called (F, 3).
    pair_total
        Sum of ``pair_weight`` over all pairs.
    """

    name: str
    hkl: IntArray
    g_inv_a: FloatArray
    relative_f2: FloatArray
    visible: FloatArray
    first: IntArray
    first_share: FloatArray
    family: IntArray
    family_size: IntArray
    family_hkl: IntArray
    pair_total: float

    @property
    def radius_inv_a(self) -> FloatArray:
        """Length of the reflections (M,) in 1/Å."""
        return np.asarray(np.linalg.norm(self.g_inv_a, axis=1))


def phase_model(crystal: Crystal, range_inv_a: tuple[float, float]) -> PhaseModel:
    """Tabulate what a phase may show between two distances from the centre in 1/Å.

    Notes
    -----
    A reflection is seen where it lies close to the plane through the centre across the beam. In random orientation
    the probability of that is proportional to 1 / |g| for one reflection and to 1 / |g1 x g2| for two at once. Both
    are weighed by ``visible``, weak on purpose: which reflections show depends on thickness, tilt and transfer
    function more than on the structure factor.
    """
    table = all_reflections(crystal, range_inv_a[1])
    f2 = table.relative_f2
    rotations, shifts = crystal.space_group.rotations, crystal.space_group.translations
    centring = shifts[(rotations == np.eye(3, dtype=np.int64)).all(axis=(1, 2))]
    by_centring = np.abs(table.hkl @ centring.T - np.rint(table.hkl @ centring.T)).max(axis=1) > 1e-3
    h, k, el = table.hkl.T
    half = (el > 0) | ((el == 0) & ((k > 0) | ((k == 0) & (h > 0))))
    keep = half & ~by_centring & (table.radius_inv_a >= range_inv_a[0])
    hkl, g, f2 = table.hkl[keep], table.g_inv_a[keep], f2[keep]
    visible = np.where(f2 >= LEAST_F2, f2, 0.0) ** 0.25
    radius = np.linalg.norm(g, axis=1)
    first, family = _families(radius, f2)
    size = np.bincount(family, minlength=len(first))
    called = [representatives(hkl[i : i + 1], crystal.space_group.laue_rotations)[0] for i in first]
    pairs = sum(float(n * pair_weight(g, visible, int(i)).sum()) for i, n in zip(first, size, strict=True))
    share = size * visible[first] / radius[first]
    share /= max(float(share.sum()), 1e-300)
    return PhaseModel(crystal.name, hkl, g, f2, visible, first, share, family, size,
                      np.array(called, dtype=np.int64).reshape(-1, 3), pairs)  # fmt: skip


def pair_weight(g_inv_a: FloatArray, visible: FloatArray, row: int) -> FloatArray:
    """Weight (M,) of seeing one reflection and each other at once; 0 for those nearly parallel to it."""
    lengths = np.linalg.norm(g_inv_a, axis=1)
    cross = np.linalg.norm(np.cross(g_inv_a[row], g_inv_a), axis=1)
    apart = cross > LEAST_SINE * lengths[row] * lengths
    return np.asarray(visible[row] * visible * apart / np.where(apart, cross, 1.0))


def cubic_models(range_inv_a: tuple[float, float]) -> tuple[PhaseModel, ...]:
    """Models of crystals that may be there though nobody named them: primitive, body- and face-centred cubic ones.

    Their lattice parameters stand for intervals of ``CUBIC_STEP`` in ln a. Cubic and hexagonal crystals are common,
    and show nets whose angles and ratios do not tell one from another: only the lattice parameter does.
    """
    wider = range_inv_a[0] * math.exp(-0.5 * CUBIC_STEP), range_inv_a[1] * math.exp(0.5 * CUBIC_STEP)
    atom = (Site("Al", "Al", (0.0, 0.0, 0.0)),)
    return tuple(
        phase_model(Crystal(symbol, (a, a, a, 90.0, 90.0, 90.0), space_group(symbol), atom), wider)
        for symbol in ("Pm-3m", "Im-3m", "Fm-3m")
        for a in CUBIC_MIDDLES_A
    )


@lru_cache(maxsize=4096)
def in_plane(model: PhaseModel, uvw: tuple[int, int, int]) -> tuple[IntArray, BoolArray]:
    """Rows of the reflections that a grain seen along [uvw] may show, and which of them vanish.

    A reflection that vanishes is among them where it is the sum of two that do not: twice diffracted beams add up.
    """
    rows = np.flatnonzero(model.hkl @ np.array(uvw) == 0)
    own = model.visible[rows] > 0
    both = np.concatenate([model.hkl[rows[own]], -model.hkl[rows[own]]])
    sums = {tuple(h) for h in (both[:, None] + both[None]).reshape(-1, 3).tolist()}
    reached = np.array([tuple(h) in sums for h in model.hkl[rows].tolist()], dtype=bool)
    vanishes = model.relative_f2[rows] < EXTINCT_F2
    shown = reached | ~vanishes
    return rows[shown], vanishes[shown]


@lru_cache(maxsize=4096)
def in_row(model: PhaseModel, first: int) -> IntArray:
    """Rows of the table with the reflections parallel to one of them, itself among them, that do not vanish."""
    parallel = ~np.cross(model.hkl, model.hkl[first]).any(axis=1)
    return np.flatnonzero(parallel & (model.relative_f2 >= EXTINCT_F2))


def zone_of(first: IntArray, second: IntArray) -> tuple[int, int, int]:
    """Zone axis [uvw], coprime, along which two reflections (3,) are seen at once."""
    u, v, w = np.cross(first, second).tolist()
    common = math.gcd(u, v, w)
    return u // common, v // common, w // common


def _families(radius: FloatArray, f2: FloatArray) -> tuple[IntArray, IntArray]:
    """Row of the first reflection of each family (F,), longest spacing first, and the family of each reflection (M,).

    A family has one length and one strength.
    """
    key = np.stack([np.round(np.log(radius) / SAME_LENGTH), np.round(f2, 6)], axis=1)
    _, first, family = np.unique(key, axis=0, return_index=True, return_inverse=True)
    return first.astype(np.int64), family.reshape(-1).astype(np.int64)
