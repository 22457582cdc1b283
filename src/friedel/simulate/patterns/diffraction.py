"""Spot patterns of thin crystals: which reflections light up, and how brightly."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from friedel.core.arrays import BoolArray, FloatArray, IntArray, read_only
from friedel.core.beam import Beam
from friedel.core.errors import DataError
from friedel.crystal import Crystal, Reflections, all_reflections, zone_frame
from friedel.simulate.patterns.bloch import bloch_shares, extinction_inv_a

#: "kinematic": single scattering; "two-beam": each reflection with the direct beam; "bloch": all beams together.
Scattering = Literal["kinematic", "two-beam", "bloch"]

#: Excitation errors beyond this, in 1/Å, give no light worth drawing.
MAX_EXCITATION_INV_A = 0.05
#: Share of the strongest |F|^2 below which single scattering gives no light.
_MIN_RELATIVE_F2 = 1e-9
#: Spots of two crystals nearer than this, in 1/Å, are one.
_SAME_PLACE_INV_A = 1e-5


@dataclass(frozen=True, slots=True, eq=False)
class SpotPattern:
    """Computed spots: hkl (N, 3), k_inv_a (N, 2) in order (ky, kx), and the share of the beam in each (N,).

    ``direct`` is the share that stays in the transmitted beam. A spot that belongs to no single reflection, as in
    ``overlap``, has hkl 0 0 0.
    """

    hkl: IntArray
    k_inv_a: FloatArray
    share: FloatArray
    direct: float


@dataclass(frozen=True, slots=True, eq=False)
class SpotPatterns:
    """Spots of one crystal under n conditions, for the reflections that light up under any of them.

    Parameters
    ----------
    hkl
        Miller indices (M, 3).
    k_inv_a
        Positions (n, M, 2) in order (ky, kx).
    share
        Share of the beam in each spot (n, M); 0 where a reflection is dark.
    direct
        Share in the transmitted beam (n,).
    """

    hkl: IntArray
    k_inv_a: FloatArray
    share: FloatArray
    direct: FloatArray

    def __len__(self) -> int:
        return len(self.direct)

    def pattern(self, index: int) -> SpotPattern:
        """Spots of one condition, without the dark ones."""
        lit = self.share[index] > 0
        return SpotPattern(self.hkl[lit], self.k_inv_a[index, lit], self.share[index, lit], float(self.direct[index]))


@dataclass(frozen=True, slots=True, eq=False)
class OrientedCrystal:
    """A crystal laid along a zone axis, ready for many thicknesses and tilts.

    Parameters
    ----------
    crystal
        The structure.
    reflections
        All of them up to some radius.
    g_inv_a
        Their vectors (N, 3) in components (ky, kx, zone axis).
    """

    crystal: Crystal
    reflections: Reflections
    g_inv_a: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Conditions:
    """Thickness and orientation of n exposures of one crystal.

    Parameters
    ----------
    thickness_a
        Thickness along the beam (n,).
    rotation_rad
        In-plane rotation from +kx towards +ky, (n,).
    tilt_mrad
        Mistilt about the kx and the ky axis, (n, 2).
    """

    thickness_a: FloatArray
    rotation_rad: FloatArray
    tilt_mrad: FloatArray

    def __post_init__(self) -> None:
        for name, ndim in (("thickness_a", 1), ("rotation_rad", 1), ("tilt_mrad", 2)):
            values = read_only(getattr(self, name), ndim=ndim, name=f"Conditions.{name}")
            object.__setattr__(self, name, values)
        n = len(self.thickness_a)
        if self.rotation_rad.shape != (n,) or self.tilt_mrad.shape != (n, 2):
            shapes = f"{self.thickness_a.shape}, {self.rotation_rad.shape} and {self.tilt_mrad.shape}"
            raise DataError(f"Conditions must have shapes (n,), (n,) and (n, 2), got {shapes}.")
        if not (self.thickness_a > 0).all():
            raise DataError(f"thickness_a must be positive, got {self.thickness_a.min():g} Å.")

    @classmethod
    def of(cls, thickness_a: ArrayLike, rotation_rad: ArrayLike = 0.0, tilt_mrad: ArrayLike = (0.0, 0.0)) -> Conditions:
        """Make them of values that may be one for all: (n,) or (), (n,) or (), (n, 2) or (2,)."""
        thickness, rotation, tilt = (np.asarray(x, dtype=np.float64) for x in (thickness_a, rotation_rad, tilt_mrad))
        (n,) = np.broadcast_shapes(thickness.shape, rotation.shape, tilt.shape[:-1], (1,))
        return cls(np.broadcast_to(thickness, n), np.broadcast_to(rotation, n), np.broadcast_to(tilt, (n, 2)))


def orient(crystal: Crystal, uvw: tuple[int, int, int], k_max_inv_a: float = 1.5) -> OrientedCrystal:
    """Lay a crystal with a zone axis against the beam, as ``zone_net`` draws it.

    The reflections of a crystal are computed once for all of its zone axes.
    """
    table = _reflection_table(crystal, k_max_inv_a)
    return OrientedCrystal(crystal, table, table.g_inv_a @ zone_frame(crystal, uvw, table).T)


def diffract(
    oriented: OrientedCrystal,
    beam: Beam,
    *,
    thickness_a: float,
    rotation_rad: float = 0.0,
    tilt_mrad: tuple[float, float] = (0.0, 0.0),
    scattering: Scattering = "two-beam",
) -> SpotPattern:
    """Compute the spots of a crystal near a zone axis; ``diffract_many`` for one condition.

    Parameters
    ----------
    thickness_a
        Thickness along the beam.
    rotation_rad
        In-plane rotation from +kx towards +ky.
    tilt_mrad
        Mistilt of the crystal about the kx and ky axes.
    """
    conditions = Conditions.of(thickness_a, rotation_rad, tilt_mrad)
    return diffract_many(oriented, beam, conditions, scattering=scattering).pattern(0)


def diffract_many(
    oriented: OrientedCrystal, beam: Beam, conditions: Conditions, *, scattering: Scattering = "two-beam"
) -> SpotPatterns:
    """Compute the spots of a crystal under many thicknesses, rotations and tilts at once.

    Notes
    -----
    Excitation error s = -(2 K g_z + g^2) / (2 K) with K = 1/lambda (Williams and Carter, Transmission Electron
    Microscopy, 2nd ed., ch. 12), extinction distance xi = pi V / (lambda gamma |F|) of F in Å (ibid., eq. 13.4 and
    23.28), thickness t. What a reflection takes from the beam is

    - kinematic: (sin(pi s t) / (s xi))^2 (ibid., eq. 13.1 for s xi >> 1), which is linear in |F|^2;
    - two-beam: sin^2(pi t sqrt(s^2 + 1/xi^2)) / (1 + (s xi)^2) (ibid., eq. 13.5);
    - bloch: the exact solution for all beams together (``bloch_shares``), with double diffraction.

    The first two treat the reflections one by one; they are then scaled together so that no electron is counted twice.
    """
    if scattering not in get_args(Scattering):
        raise DataError(f"scattering must be one of {', '.join(get_args(Scattering))}, got {scattering!r}.")
    table = oriented.reflections
    near = _reachable(oriented, beam, conditions)
    if scattering != "bloch":
        near &= table.f2 > _MIN_RELATIVE_F2 * table.f2.max()
    g = oriented.g_inv_a[near] @ np.swapaxes(rotations(conditions), 1, 2)
    s = -(g[..., 2] + 0.5 * beam.wavelength_a * (g**2).sum(axis=-1))
    lit = np.abs(s) < MAX_EXCITATION_INV_A
    any_lit = lit.any(axis=0)
    hkl, g, s, lit = table.hkl[near][any_lit], g[:, any_lit], s[:, any_lit], lit[:, any_lit]
    if scattering == "bloch":
        share, direct = _bloch(oriented.crystal, beam, hkl, s, lit, conditions)
    else:
        inverse_xi = extinction_inv_a(oriented.crystal, beam, np.sqrt(table.f2[near][any_lit]))
        taken = np.where(lit, _taken(s, inverse_xi, conditions.thickness_a[:, None], scattering), 0.0)
        direct = 1.0 / (1.0 + taken.sum(axis=1))
        share = taken * direct[:, None]
    # Components are (ky, kx, beam); the pattern shows the first two.
    return SpotPatterns(hkl, g[..., :2], share, direct)


def overlap(first: SpotPattern, second: SpotPattern, *, min_share: float = 1e-6) -> SpotPattern:
    """Spots of two crystals, one on top of the other along the beam.

    Every beam that leaves the first, diffracted or not, is diffracted by the second as the incident beam is, so that
    spots appear at sums of reflections (double diffraction; Williams and Carter, 2nd ed., section 18.8). Phases are
    left out. Spots at one place are one; those below ``min_share`` of the beam are dropped and their light is given to
    the direct beam. With two halves of the same crystal, double diffraction fills extinct positions.
    """
    shared = first.share[:, None] * second.share
    i, j = np.nonzero(shared > min_share)
    parts = (
        (first.hkl, first.k_inv_a, first.share * second.direct),
        (second.hkl, second.k_inv_a, second.share * first.direct),
        (np.zeros((len(i), 3), dtype=np.int64), first.k_inv_a[i] + second.k_inv_a[j], shared[i, j]),
    )
    hkl, k, share = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    _, index, place = np.unique(np.rint(k / _SAME_PLACE_INV_A), axis=0, return_index=True, return_inverse=True)
    share = np.bincount(place.ravel(), weights=share)
    keep = (share > min_share) & (np.hypot(*k[index].T) > _SAME_PLACE_INV_A)
    return SpotPattern(hkl[index][keep], k[index][keep], share[keep], 1.0 - float(share[keep].sum()))


@lru_cache(maxsize=16)
def _reflection_table(crystal: Crystal, k_max_inv_a: float) -> Reflections:
    return all_reflections(crystal, k_max_inv_a)


def _reachable(oriented: OrientedCrystal, beam: Beam, conditions: Conditions) -> BoolArray:
    """Which reflections (N,) a tilt as large as the largest could bring near the Ewald sphere."""
    g = oriented.g_inv_a
    g2 = (g**2).sum(axis=1)
    reach = np.sqrt(g2) * 1.05e-3 * float(np.hypot(*conditions.tilt_mrad.T).max(initial=0.0))
    return np.asarray(np.abs(g[:, 2] + 0.5 * beam.wavelength_a * g2) < MAX_EXCITATION_INV_A + reach)


def _taken(s: FloatArray, inverse_xi: FloatArray, thickness_a: FloatArray, scattering: Scattering) -> FloatArray:
    """Intensity over that of the incident beam, of each reflection alone."""
    if scattering == "kinematic":
        return np.asarray((np.pi * thickness_a * inverse_xi * np.sinc(s * thickness_a)) ** 2)
    effective = np.hypot(s, inverse_xi)
    return np.asarray((inverse_xi / effective * np.sin(np.pi * thickness_a * effective)) ** 2)


def _bloch(
    crystal: Crystal, beam: Beam, hkl: IntArray, s: FloatArray, lit: BoolArray, conditions: Conditions
) -> tuple[FloatArray, FloatArray]:
    """Shares (n, M) and direct (n,); conditions of equal tilt share one solution."""
    share, direct = np.zeros(s.shape), np.zeros(len(s))
    _, first, same = np.unique(conditions.tilt_mrad, axis=0, return_index=True, return_inverse=True)
    for group, i in enumerate(first):
        rows, beams = np.flatnonzero(same.ravel() == group), np.flatnonzero(lit[i])
        part, direct[rows] = bloch_shares(crystal, beam, hkl[beams], s[i, beams], conditions.thickness_a[rows])
        share[np.ix_(rows, beams)] = part
    return share, direct


def rotations(conditions: Conditions) -> FloatArray:
    """Matrices (n, 3, 3) on (ky, kx, z): in-plane rotation after the tilts about kx and ky."""
    zero, one = np.zeros(len(conditions.thickness_a)), np.ones(len(conditions.thickness_a))
    (cx, cy), (sx, sy) = np.cos(1e-3 * conditions.tilt_mrad.T), np.sin(1e-3 * conditions.tilt_mrad.T)
    c, s = np.cos(conditions.rotation_rad), np.sin(conditions.rotation_rad)
    tilt_kx = np.array([[cx, zero, -sx], [zero, one, zero], [sx, zero, cx]])
    tilt_ky = np.array([[one, zero, zero], [zero, cy, -sy], [zero, sy, cy]])
    plane = np.array([[c, s, zero], [-s, c, zero], [zero, zero, one]])
    return np.asarray(np.einsum("ijn,jkn,kln->nil", plane, tilt_ky, tilt_kx))
