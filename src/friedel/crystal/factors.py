"""Kinematic structure factors for electrons."""

from __future__ import annotations

from functools import cache

import gemmi
import numpy as np
from numpy.typing import ArrayLike

from friedel.core.arrays import AnyArray, ComplexArray, FloatArray
from friedel.crystal.atoms import unit_cell_atoms
from friedel.crystal.structure import Crystal

#: Terms of the sum that are held in memory at once.
_CHUNK = 4_000_000


@cache
def _coefficients(element: str) -> tuple[FloatArray, FloatArray]:
    coefficients = gemmi.Element(element).c4322
    return np.array(coefficients.a, dtype=np.float64), np.array(coefficients.b, dtype=np.float64)


def scattering_factor_a(element: str, s_inv_a: ArrayLike) -> FloatArray:
    """Electron scattering factor f_e in Å of the neutral atom at s = sin(theta) / lambda = |g| / 2 in 1/Å.

    Sum of five Gaussians, International Tables for Crystallography C, table 4.3.2.2, as tabulated in gemmi; without
    the relativistic mass factor. Ions are treated as neutral atoms, which matters below about 0.2 1/Å only.
    """
    a, b = _coefficients(element)
    s2 = np.asarray(s_inv_a, dtype=np.float64)[..., None] ** 2
    return np.asarray((a * np.exp(-b * s2)).sum(axis=-1))


def structure_factors(crystal: Crystal, hkl: ArrayLike) -> ComplexArray:
    """Kinematic structure factors for electrons.

    Parameters
    ----------
    hkl
        Miller indices (N, 3).

    Returns
    -------
    ComplexArray
        F (N,) in Å: the sum over the atoms of the cell of occupancy f_e(s) exp(-B s^2) exp(2 pi i hkl . r), with
        s = |g| / 2 (International Tables for Crystallography C, section 4.3.1).
    """
    atoms = unit_cell_atoms(crystal)
    indices = np.asarray(hkl, dtype=np.float64).reshape(-1, 3)
    out = np.zeros(len(indices), dtype=np.complex128)
    step = max(1, _CHUNK // len(atoms))
    for start in range(0, len(indices), step):
        part = indices[start : start + step]
        weights = _site_weights(crystal, part)[:, atoms.site_index]
        out[start : start + step] = (weights * np.exp(2j * np.pi * (part @ atoms.fract.T))).sum(axis=1)
    return out


def forward_amplitudes(crystal: Crystal, hkl: ArrayLike) -> FloatArray:
    """Amplitude in Å (N,) that each reflection would have if all atoms scattered in phase."""
    atoms = unit_cell_atoms(crystal)
    multiplicity = np.bincount(atoms.site_index, minlength=len(crystal.sites))
    return np.asarray(_site_weights(crystal, np.asarray(hkl)) @ multiplicity)


def _site_weights(crystal: Crystal, hkl: AnyArray) -> FloatArray:
    """Occupancy times scattering factor times Debye-Waller factor in Å, (N, sites)."""
    s = np.linalg.norm(crystal.g_inv_a(hkl), axis=1) / 2
    factors = {element: scattering_factor_a(element, s) for element in {site.element for site in crystal.sites}}
    columns = [x.occupancy * factors[x.element] * np.exp(-x.b_iso_a2 * s**2) for x in crystal.sites]
    return np.stack(columns, axis=1)
