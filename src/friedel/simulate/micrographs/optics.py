"""What the objective lens does to the electron wave."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from friedel.core.arrays import AnyArray, FloatArray
from friedel.core.beam import Beam
from friedel.core.errors import DataError

Complex64Array = NDArray[np.complex64]


@dataclass(frozen=True, slots=True)
class Optics:
    """The beam and the objective lens.

    Parameters
    ----------
    energy_kev
        Beam energy.
    defocus_a
        Underfocus is positive, Å, counted from the middle of the foil.
    cs_mm
        Spherical aberration.
    astigmatism_a, astigmatism_deg
        Two-fold: the defocus is larger by ``astigmatism_a`` along this direction (from +kx towards +ky), and smaller
        by as much across it.
    focal_spread_a
        One-sigma spread of the focus, Å.
    semi_convergence_mrad
        One-sigma half angle of the illumination.
    """

    energy_kev: float = 300.0
    defocus_a: float = 80.0
    cs_mm: float = 0.005
    astigmatism_a: float = 0.0
    astigmatism_deg: float = 0.0
    focal_spread_a: float = 30.0
    semi_convergence_mrad: float = 0.1

    def __post_init__(self) -> None:
        Beam(self.energy_kev)
        for name in ("focal_spread_a", "semi_convergence_mrad"):
            if not getattr(self, name) >= 0:
                raise DataError(f"{name} must not be negative, got {getattr(self, name)}.")
        for name in ("defocus_a", "cs_mm", "astigmatism_a", "astigmatism_deg"):
            if not math.isfinite(getattr(self, name)):
                raise DataError(f"{name} must be a finite number, got {getattr(self, name)}.")


def aberration_rad(ky: AnyArray, kx: AnyArray, optics: Optics) -> AnyArray:
    """Aberration function chi in rad at frequencies in 1/Å.

    chi = pi lambda k^2 (Cs lambda^2 k^2 / 2 - z(azimuth)), z(azimuth) = z + A cos 2(azimuth - a): Kirkland, Advanced
    Computing in Electron Microscopy, 2nd ed., chapter 2.
    """
    wavelength, k2 = Beam(optics.energy_kev).wavelength_a, ky**2 + kx**2
    along, across = _astigmatic(optics)
    z_k2 = optics.defocus_a * k2 + along * (kx**2 - ky**2) + across * (2 * ky * kx)
    return np.asarray(np.pi * wavelength * (0.5e7 * optics.cs_mm * wavelength**2 * k2**2 - z_k2))


def displacement_a(ky: AnyArray, kx: AnyArray, optics: Optics) -> tuple[AnyArray, AnyArray]:
    """How far (y, x) in Å the lens moves the part of the wave with this frequency: grad chi / (2 pi).

    Without astigmatism (Cs lambda^3 k^3 - z lambda k) along k: Coene and Jansen, Scanning Microscopy Supplement 6
    (1992) 379.
    """
    wavelength, k2 = Beam(optics.energy_kev).wavelength_a, ky**2 + kx**2
    along, across = _astigmatic(optics)
    round_part = 1e7 * optics.cs_mm * wavelength**2 * k2 - optics.defocus_a
    dy = wavelength * (round_part * ky + along * ky - across * kx)
    dx = wavelength * (round_part * kx - along * kx - across * ky)
    return np.asarray(dy), np.asarray(dx)


def envelope(ky: AnyArray, kx: AnyArray, optics: Optics) -> AnyArray:
    """Damping of the wave by the spreads of focus and of direction, both Gaussian.

    exp(-(pi lambda d k^2)^2 / 2) exp(-2 (pi s / lambda)^2 r^2) with the one-sigma spreads d and s and the
    displacement r (Frank, Optik 38 (1973) 519; Kirkland, ibid., chapter 3).
    """
    wavelength, k2 = Beam(optics.energy_kev).wavelength_a, ky**2 + kx**2
    dy, dx = displacement_a(ky, kx, optics)
    spread_rad = optics.semi_convergence_mrad * 1e-3
    exponent = 0.5 * (np.pi * wavelength * optics.focal_spread_a * k2) ** 2
    exponent += 2 * (np.pi * spread_rad / wavelength) ** 2 * (dy**2 + dx**2)
    return np.asarray(np.exp(-exponent))


def wave_transfer(ky: AnyArray, kx: AnyArray, optics: Optics) -> Complex64Array:
    """Transfer of the wave, exp(-i chi) times the envelope, at frequencies in 1/Å; complex64.

    A weak phase object of shift p(k) has the image contrast 2 p(k) sin(chi) envelope: dark atoms at underfocus.
    """
    ky, kx = np.asarray(ky, dtype=np.float32), np.asarray(kx, dtype=np.float32)
    chi, damping = aberration_rad(ky, kx, optics), envelope(ky, kx, optics)
    out = np.empty(chi.shape, dtype=np.complex64)
    out.real, out.imag = damping * np.cos(chi), -damping * np.sin(chi)
    return out


def phase_contrast(ky: FloatArray, kx: FloatArray, optics: Optics) -> AnyArray:
    """Contrast transfer 2 sin(chi) envelope of a weak phase object."""
    return np.asarray(2 * np.sin(aberration_rad(ky, kx, optics)) * envelope(ky, kx, optics))


def _astigmatic(optics: Optics) -> tuple[float, float]:
    angle = math.radians(2 * optics.astigmatism_deg)
    return optics.astigmatism_a * math.cos(angle), optics.astigmatism_a * math.sin(angle)
