"""Many-beam dynamical diffraction by Bloch waves."""

from __future__ import annotations

import numpy as np

from friedel.core.arrays import ComplexArray, FloatArray, IntArray
from friedel.core.beam import Beam
from friedel.crystal import Crystal, structure_factors

#: Beams that are solved together, nearest to the Ewald sphere first; the rest stay dark.
MAX_BEAMS = 121


def extinction_inv_a(crystal: Crystal, beam: Beam, amplitude_a: FloatArray) -> FloatArray:
    """Inverse extinction distance in 1/Å of structure factors of this modulus in Å.

    1/xi = lambda gamma |F| / (pi V), gamma = 1 + E / (m c^2): Williams and Carter, Transmission Electron Microscopy,
    2nd ed., eq. 13.4, with F in Å of the electron at rest.
    """
    return np.asarray(beam.wavelength_a * beam.gamma * amplitude_a / (np.pi * crystal.volume_a3))


def bloch_shares(
    crystal: Crystal, beam: Beam, hkl: IntArray, s_inv_a: FloatArray, thickness_a: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Solve the many-beam problem for a crystal slab.

    Parameters
    ----------
    hkl
        Reflections (M, 3), extinct ones included: double diffraction lights them.
    s_inv_a
        Their excitation errors (M,).
    thickness_a
        Thicknesses (T,), which cost next to nothing beside the first.

    Returns
    -------
    share
        Share of the beam in each reflection (T, M); 0 beyond the ``MAX_BEAMS`` nearest to the Ewald sphere.
    direct
        Share in the transmitted beam (T,). Nothing is absorbed: both add up to 1.

    Notes
    -----
    With psi the amplitudes of all beams, dpsi/dz = 2 pi i A psi, where A has s_g on the diagonal and 1 / (2 xi_gh) =
    lambda gamma F_g-h / (2 pi V) beside it (Spence and Zuo, Electron Microdiffraction, 1992, eq. 3.2.3 divided by 2K,
    without back-scattering; beams along the surface's normal). A is Hermitian, so that psi(t) = C exp(2 pi i e t) C^H
    psi(0) with its eigenvalues e.
    """
    chosen = np.sort(np.argsort(np.abs(s_inv_a), kind="stable")[: MAX_BEAMS - 1])
    beams = np.concatenate([np.zeros((1, 3), dtype=np.int64), hkl[chosen]])
    matrix = 0.5 * _couplings(crystal, beam, beams)
    np.fill_diagonal(matrix, np.concatenate([[0.0], s_inv_a[chosen]]))
    values, vectors = np.linalg.eigh(matrix)
    phases = np.exp(2j * np.pi * np.outer(thickness_a, values))
    intensity = np.abs((phases * vectors[0].conj()) @ vectors.T) ** 2
    share = np.zeros((len(thickness_a), len(hkl)))
    share[:, chosen] = intensity[:, 1:]
    return share, intensity[:, 0]


def _couplings(crystal: Crystal, beam: Beam, beams: IntArray) -> ComplexArray:
    """Inverse extinction distances (N, N) in 1/Å, with their phases, of the differences of the beams."""
    difference = beams[:, None] - beams[None, :]
    span = int(np.abs(difference).max(initial=0))
    size = 2 * span + 1
    key = ((difference[..., 0] + span) * size + difference[..., 1] + span) * size + difference[..., 2] + span
    unique, inverse = np.unique(key.ravel(), return_inverse=True)
    hkl = np.stack([unique // size**2, unique // size % size, unique % size], axis=1) - span
    # The incident wave is exp(2 pi i k r), so that beam g is fed from h by the Fourier coefficient F at g - h of the
    # potential, whose sign of phase is opposite to that of exp(2 pi i hkl . r) in ``structure_factors``.
    factor = structure_factors(crystal, hkl).conj()
    moduli = extinction_inv_a(crystal, beam, np.ones(1))[0] * factor
    return np.asarray(moduli[inverse.ravel()].reshape(key.shape))
