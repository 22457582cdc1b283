"""Stacking faults of layered oxides: slabs that lie as in O1 within O3, and the streaks that they make.

The slabs of O3 follow each other with a shift of [2/3, 1/3, 1/3]; in O1 they lie straight on each other. A stack of
both is periodic within the layers only, so that its reciprocal lattice is one of rods along c*. Rods with h - k = 3n
see no difference; the others are streaked.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from friedel.core.arrays import BoolArray, ComplexArray, FloatArray, IntArray
from friedel.core.beam import Beam
from friedel.core.errors import CrystalError, DataError
from friedel.crystal import Crystal, scattering_factor_a, unit_cell_atoms, zone_frame
from friedel.simulate.patterns.bloch import extinction_inv_a
from friedel.simulate.patterns.diffraction import MAX_EXCITATION_INV_A, Conditions, SpotPattern, rotations

#: Shift of a slab of O3 against the one below, in fractions of a and b (obverse setting of R centring).
_SHIFT = np.array([2.0 / 3.0, 1.0 / 3.0])
#: Samples of a streak per its finest detail, the inverse height of the stack.
_OVERSAMPLING = 2
#: The rod 00 begins half way to 003.
_ORIGIN_L = 1.5
#: Samples of streaks with less than this share of the beam are dropped.
_MIN_SHARE = 1e-7


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Slabs of a layered oxide, one on the other.

    Parameters
    ----------
    crystal
        The O3 structure, R-3m on hexagonal axes with the metal in the slabs at z = 1/2.
    is_shifted
        Whether each slab but the first (N - 1,) is shifted against the one below, as in O3; otherwise as in O1.
    """

    crystal: Crystal
    is_shifted: BoolArray

    def __post_init__(self) -> None:
        number = self.crystal.space_group.number
        if number != 166 or not self.crystal.is_hexagonal:
            raise CrystalError(
                f"Stacking faults need an O3 oxide, R-3m (166) on hexagonal axes; {self.crystal.name} is "
                f"{self.crystal.space_group} ({number}). Give its layer no fault_share."
            )

    @property
    def n_slabs(self) -> int:
        """Number of slabs N."""
        return len(self.is_shifted) + 1

    @property
    def is_shifted_above(self) -> BoolArray:
        """Whether the gap above each slab (N,) is one of O3; the topmost is as the one below it."""
        last = self.is_shifted[-1:] if len(self.is_shifted) else np.ones(1, dtype=bool)
        return np.concatenate([self.is_shifted, last])

    @property
    def height_a(self) -> float:
        """Extent along c in Å: a third of the cell per slab."""
        return self.n_slabs * self.crystal.cell[2] / 3.0


def draw_stack(
    crystal: Crystal, n_slabs: int, fault_share: float, rng: np.random.Generator, *, mean_lamella: float = 3.0
) -> Stack:
    """Draw a stack in which a share of the slabs lies as in O1, in lamellae of this mean number of slabs.

    A Markov chain: an O1 lamella ends with probability 1 / ``mean_lamella`` at each slab, and the chance that one
    begins balances that.
    """
    if n_slabs < 1 or not 0 <= fault_share < 1 or not mean_lamella >= 1:
        raise DataError(
            f"A stack needs a slab or more, a fault_share in [0, 1) and lamellae of a slab or more, got {n_slabs}, "
            f"{fault_share} and {mean_lamella}."
        )
    end = 1.0 / mean_lamella
    begin = min(1.0, end * fault_share / (1.0 - fault_share))
    draws, is_fault = rng.random(n_slabs), np.zeros(n_slabs, dtype=bool)
    is_fault[0] = draws[0] < fault_share
    for i in range(1, n_slabs):
        is_fault[i] = draws[i] >= end if is_fault[i - 1] else draws[i] < begin
    return Stack(crystal, ~is_fault[1:])


def diffract_stack(
    stack: Stack,
    uvw: tuple[int, int, int],
    beam: Beam,
    *,
    thickness_a: float,
    rotation_rad: float = 0.0,
    tilt_mrad: tuple[float, float] = (0.0, 0.0),
    k_max_inv_a: float = 1.2,
) -> SpotPattern:
    """Compute the spots and streaks of a stack, seen along its layers' normal or edge-on.

    Parameters
    ----------
    uvw
        [001], where the beam passes all slabs in turn, or [uv0], where it runs along the layers.
    thickness_a
        Thickness along the beam edge-on; along [001] the height of the stack counts.

    Returns
    -------
    SpotPattern
        Edge-on, a streak is a row of spots so close that they merge. hkl holds the rod's h and k, and l rounded.

    Notes
    -----
    Along [001], all beams together: each slab is a phase grating, moved by its shift, between two halves of free
    flight (multislice: Kirkland, Advanced Computing in Electron Microscopy, 2nd ed., section 6.4). Edge-on, the
    kinematic sum over the slabs, F(h, k, l) with l any real number (Warren, X-ray Diffraction, 1969, ch. 13), which
    saturates as in two-beam theory; a reflection of a perfect stack then has the same light as in ``diffract``.
    """
    u, v, w = uvw
    if not ((u == v == 0 and w != 0) or (w == 0 and (u or v))):
        raise DataError(f"A faulted stack is seen along [001] or edge-on, along [uv0]; got [{u} {v} {w}].")
    turn = rotations(Conditions.of(thickness_a, rotation_rad, tilt_mrad))[0] @ zone_frame(stack.crystal, uvw)
    if w:
        return _in_plan(stack, beam, turn, k_max_inv_a)
    return _edge_on(stack, beam, turn, k_max_inv_a, thickness_a)


def stack_factors(stack: Stack, hkl: FloatArray) -> ComplexArray:
    """Structure factors (M,) in Å of the whole stack at any real hkl (M, 3), as sums over its slabs and gaps."""
    below = np.concatenate([[False], stack.is_shifted])
    above = stack.is_shifted_above
    lateral = np.cumsum(below)[:, None] * _SHIFT
    place = np.column_stack([lateral, np.arange(stack.n_slabs) / 3.0])
    slab, alkali = _parts(stack.crystal, hkl)
    # The alkali above a slab sits over its metal in O1, and two shifts aside in O3, at the octahedron's middle.
    aside = above[:, None] * 2.0 * _SHIFT
    phase = np.exp(2j * np.pi * (hkl @ place.T))
    return np.asarray(
        slab * phase.sum(axis=1) + alkali * (phase * np.exp(2j * np.pi * (hkl[:, :2] @ aside.T))).sum(axis=1)
    )


def _parts(crystal: Crystal, hkl: FloatArray) -> tuple[ComplexArray, ComplexArray]:
    """Structure factors (M,) of the slab about z = 1/2 and of the gap above it, origin at the slab's middle."""
    atoms = unit_cell_atoms(crystal)
    s = np.linalg.norm(crystal.g_inv_a(hkl), axis=1) / 2.0
    offset = atoms.fract - [0.0, 0.0, 0.5]
    in_slab, in_gap = np.abs(offset[:, 2]) < 1.0 / 6.0 - 0.02, np.abs(offset[:, 2] - 1.0 / 6.0) < 0.02
    offset[in_gap, :2] -= 2.0 * _SHIFT
    parts = []
    for chosen in (in_slab, in_gap):
        total = np.zeros(len(hkl), dtype=np.complex128)
        for i in np.flatnonzero(chosen):
            weight = atoms.occupancy[i] * scattering_factor_a(atoms.elements[i], s) * np.exp(-atoms.b_iso_a2[i] * s**2)
            total += weight * np.exp(2j * np.pi * (hkl @ offset[i]))
        parts.append(total)
    return parts[0], parts[1]


def _rods(crystal: Crystal, k_max_inv_a: float) -> IntArray:
    """Indices hk (R, 2) of the rods within reach, 00 among them."""
    reach = int(k_max_inv_a * max(crystal.cell[:2])) + 1
    hk = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    radius = np.linalg.norm(crystal.g_inv_a(np.column_stack([hk, np.zeros(len(hk))])), axis=1)
    return np.asarray(hk[radius <= k_max_inv_a])


def _in_plan(stack: Stack, beam: Beam, turn: FloatArray, k_max_inv_a: float) -> SpotPattern:
    crystal = stack.crystal
    hk = _rods(crystal, k_max_inv_a)
    hkl = np.column_stack([hk, np.zeros(len(hk))])
    g = crystal.g_inv_a(hkl) @ turn.T
    half_way = np.exp(1j * np.pi * crystal.cell[2] / 3.0 * _excitation(g, beam))
    gratings = [_grating(crystal, beam, k_max_inv_a, shifted) for shifted in (False, True)]
    lateral = np.concatenate([[0], np.cumsum(stack.is_shifted)])[:, None] * _SHIFT
    moves = np.exp(-2j * np.pi * (lateral @ hk.T))
    wave = (~hk.any(axis=1)).astype(np.complex128)
    for shifted, move in zip(stack.is_shifted_above, moves, strict=True):
        wave = half_way * move * (gratings[int(shifted)] @ (move.conj() * half_way * wave))
    share = np.abs(wave) ** 2
    is_rod = hk.any(axis=1)
    return SpotPattern(hkl[is_rod].astype(np.int64), g[is_rod, :2], share[is_rod], float(share[~is_rod][0]))


@lru_cache(maxsize=16)
def _grating(crystal: Crystal, beam: Beam, k_max_inv_a: float, shifted: bool) -> ComplexArray:
    """What the potential of one slab and the gap above it makes of the amplitudes (R,) of all beams, (R, R)."""
    hk = _rods(crystal, k_max_inv_a)
    hkl, inverse = np.unique((hk[:, None] - hk).reshape(-1, 2), axis=0, return_inverse=True)
    slab, alkali = _parts(crystal, np.column_stack([hkl, np.zeros(len(hkl))]))
    factor = slab + alkali * np.exp(2j * np.pi * (hkl @ _SHIFT) * (2.0 if shifted else 0.0))
    # A slab is a third of the cell, in volume too; conjugated as in ``bloch_shares``.
    coupling = 0.5 * extinction_inv_a(crystal, beam, np.full(1, 3.0)) * factor.conj()
    values, vectors = np.linalg.eigh(coupling[inverse.ravel()].reshape(len(hk), len(hk)))
    return np.asarray((vectors * np.exp(2j * np.pi * crystal.cell[2] / 3.0 * values)) @ vectors.conj().T)


def _edge_on(stack: Stack, beam: Beam, turn: FloatArray, k_max_inv_a: float, thickness_a: float) -> SpotPattern:
    crystal = stack.crystal
    c = crystal.cell[2]
    step = c / (_OVERSAMPLING * stack.height_a)
    hk = _rods(crystal, k_max_inv_a)
    flat = crystal.g_inv_a(np.column_stack([hk, np.zeros(len(hk))])) @ turn.T
    hk = hk[np.abs(_excitation(flat, beam)) < MAX_EXCITATION_INV_A + 0.05 * k_max_inv_a]
    n_half = int(k_max_inv_a * c / step)
    along = np.arange(-n_half, n_half + 1) * step
    hkl = np.column_stack([np.repeat(hk, len(along), axis=0), np.tile(along, len(hk))])
    g = crystal.g_inv_a(hkl) @ turn.T
    s = _excitation(g, beam)
    near = (np.abs(s) < MAX_EXCITATION_INV_A) & (np.linalg.norm(g, axis=1) <= k_max_inv_a)
    # About 000 lies the transmitted beam, which is no reflection.
    near &= hkl[:, :2].any(axis=1) | (np.abs(hkl[:, 2]) > _ORIGIN_L)
    hkl, g, s = hkl[near], g[near], s[near]
    inverse_xi = extinction_inv_a(crystal, beam, 3.0 * np.abs(stack_factors(stack, hkl)) / stack.n_slabs)
    effective = np.maximum(np.hypot(s, inverse_xi), 1e-12)
    taken = (inverse_xi / effective * np.sin(np.pi * thickness_a * effective)) ** 2 / _OVERSAMPLING
    bright = taken > _MIN_SHARE
    direct = 1.0 / (1.0 + float(taken[bright].sum()))
    return SpotPattern(np.rint(hkl[bright]).astype(np.int64), g[bright, :2], taken[bright] * direct, direct)


def _excitation(g: FloatArray, beam: Beam) -> FloatArray:
    """Excitation errors in 1/Å of vectors (M, 3) in the frame of the pattern, as in ``diffract_many``."""
    return np.asarray(-(g[:, 2] + 0.5 * beam.wavelength_a * (g**2).sum(axis=1)))
