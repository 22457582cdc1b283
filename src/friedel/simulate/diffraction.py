"""Spot patterns of thin crystals: which reflections light up, and how brightly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from friedel.core.arrays import FloatArray, IntArray
from friedel.core.beam import Beam
from friedel.crystal import Crystal, Reflections, all_reflections, zone_net

_ELECTRON_REST_KEV = 510.99895
#: Excitation errors beyond this, in 1/Å, give no light worth drawing.
_MAX_EXCITATION_INV_A = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class SpotPattern:
    """Computed spots of one crystal: hkl (N, 3), k_inv_a (N, 2), and the share of the beam in each (N,).

    ``direct`` is the share that stays in the transmitted beam.
    """

    hkl: IntArray
    k_inv_a: FloatArray
    share: FloatArray
    direct: float


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


def orient(crystal: Crystal, uvw: tuple[int, int, int], k_max_inv_a: float = 1.5) -> OrientedCrystal:
    """Lay a crystal with a zone axis against the beam, as ``zone_net`` draws it."""
    table = all_reflections(crystal, k_max_inv_a)
    return OrientedCrystal(crystal, table, table.g_inv_a @ _frame(crystal, uvw).T)


def diffract(
    oriented: OrientedCrystal,
    beam: Beam,
    *,
    thickness_a: float,
    rotation_rad: float = 0.0,
    tilt_mrad: tuple[float, float] = (0.0, 0.0),
) -> SpotPattern:
    """Compute the spots of a crystal near a zone axis.

    Parameters
    ----------
    thickness_a
        Thickness along the beam.
    rotation_rad
        In-plane rotation from +kx towards +ky.
    tilt_mrad
        Mistilt of the crystal about the kx and ky axes.

    Notes
    -----
    Excitation error s = -(2 K g_z + g^2) / (2 K) with K = 1/lambda (Williams and Carter, Transmission Electron
    Microscopy, 2nd ed., ch. 12). Each reflection takes from the beam what two-beam theory gives,
    sin^2(pi t sqrt(s^2 + 1/xi^2)) / (1 + (s xi)^2), with the extinction distance xi = pi V / (lambda gamma |F|) of F in
    Å (ibid., eq. 13.4 and 23.28); all are then scaled together so that no electron is counted twice. The many-beam
    exchange between reflections is left out: intensities are plausible, not exact.
    """
    table = oriented.reflections
    g = oriented.g_inv_a @ _rotation(rotation_rad, tilt_mrad).T
    k_inv_a = 1.0 / beam.wavelength_a
    s = -(2.0 * k_inv_a * g[:, 2] + (g**2).sum(axis=1)) / (2.0 * k_inv_a)
    keep = (np.abs(s) < _MAX_EXCITATION_INV_A) & (table.f2 > 1e-9 * table.f2.max())
    g, s, amplitude = g[keep], s[keep], np.sqrt(table.f2[keep])
    gamma = 1.0 + beam.energy_kev / _ELECTRON_REST_KEV
    inverse_xi = beam.wavelength_a * gamma * amplitude / (np.pi * oriented.crystal.volume_a3)
    effective = np.hypot(s, inverse_xi)
    taken = (inverse_xi / effective * np.sin(np.pi * thickness_a * effective)) ** 2
    total = 1.0 + float(taken.sum())
    # Components are (ky, kx, beam); the pattern shows the first two.
    return SpotPattern(table.hkl[keep], g[:, :2], taken / total, 1.0 / total)


def _frame(crystal: Crystal, uvw: tuple[int, int, int]) -> FloatArray:
    """Rows ky, kx and the beam's axis as Cartesian unit vectors (3, 3), as ``zone_net`` lays them."""
    net = zone_net(crystal, uvw, 2.0)
    rows = np.linalg.lstsq(crystal.g_inv_a(net.hkl), net.k_inv_a, rcond=None)[0].T
    ky, kx = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return np.stack([ky, kx, np.cross(kx, ky)])


def _rotation(rotation_rad: float, tilt_mrad: tuple[float, float]) -> FloatArray:
    """Matrix (3, 3) on (ky, kx, z): in-plane rotation after the tilts about kx and ky."""
    about_kx, about_ky = (t * 1e-3 for t in tilt_mrad)
    tilt_kx = np.array([[np.cos(about_kx), 0, -np.sin(about_kx)], [0, 1, 0], [np.sin(about_kx), 0, np.cos(about_kx)]])
    tilt_ky = np.array([[1, 0, 0], [0, np.cos(about_ky), -np.sin(about_ky)], [0, np.sin(about_ky), np.cos(about_ky)]])
    c, s = np.cos(rotation_rad), np.sin(rotation_rad)
    plane = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    return np.asarray(plane @ tilt_ky @ tilt_kx)
