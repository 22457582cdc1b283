"""High-resolution micrographs of grains in an amorphous matrix, by linear (weak-phase) imaging."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import fft

from friedel.core.arrays import Float32Array, FloatArray
from friedel.core.beam import Beam
from friedel.core.errors import DataError
from friedel.core.grids import RealGrid
from friedel.core.images import Micrograph
from friedel.core.phase_map import PhaseMap
from friedel.crystal import load_phases
from friedel.simulate.grains import Grain, grain_of, place_disks, random_outline

SEI_PHASES = ("li", "lif", "li2o", "li2co3")
SEI_ZONES = {
    "li": ((0, 0, 1), (1, 1, 1)),
    "lif": ((0, 0, 1), (0, 1, 1)),
    "li2o": ((0, 1, 1), (0, 0, 1)),
    "li2co3": ((0, 0, 1), (0, 0, 1)),
}
SEI_RADII_PX = (130.0, 85.0)


@dataclass(frozen=True, slots=True)
class MicroscopeOptions:
    """The microscope and the exposure.

    Parameters
    ----------
    energy_kev
        Beam energy.
    defocus_a
        Underfocus is positive, Å.
    cs_mm
        Spherical aberration.
    focal_spread_a
        One-sigma spread of the focus, Å.
    semi_convergence_mrad
        One-sigma half angle of the illumination.
    dose_e_per_a2
        Electrons per Å².
    fringe_phase_rad
        Phase shift by the strongest fringe of a grain.
    amorphous_phase_rad
        Root mean square of the phase shift by the amorphous matrix.
    """

    energy_kev: float = 300.0
    defocus_a: float = 80.0
    cs_mm: float = 0.005
    focal_spread_a: float = 30.0
    semi_convergence_mrad: float = 0.1
    dose_e_per_a2: float = 400.0
    fringe_phase_rad: float = 0.10
    amorphous_phase_rad: float = 0.08

    def __post_init__(self) -> None:
        for name in ("focal_spread_a", "semi_convergence_mrad", "fringe_phase_rad", "amorphous_phase_rad"):
            if not getattr(self, name) >= 0:
                raise DataError(f"{name} must not be negative, got {getattr(self, name)}.")
        if not self.dose_e_per_a2 > 0:
            raise DataError(f"dose_e_per_a2 must be positive, got {self.dose_e_per_a2}.")


def transfer_function(k_inv_a: FloatArray, options: MicroscopeOptions) -> FloatArray:
    """Contrast transfer of a weak phase object at spatial frequencies in 1/Å.

    2 sin(chi) E_t E_s with chi = pi lambda z k^2 - pi/2 Cs lambda^3 k^4 (underfocus z positive), focal spread
    E_t = exp(-(pi lambda d k^2)^2 / 2), convergence E_s = exp(-(pi a / lambda)^2 (Cs lambda^3 k^3 - z lambda k)^2):
    Williams and Carter, Transmission Electron Microscopy, 2nd ed., chapter 28.
    """
    wavelength_a = Beam(options.energy_kev).wavelength_a
    cs_a, spread_rad = options.cs_mm * 1e7, options.semi_convergence_mrad * 1e-3
    k2 = k_inv_a**2
    chi = np.pi * wavelength_a * options.defocus_a * k2 - 0.5 * np.pi * cs_a * wavelength_a**3 * k2**2
    temporal = np.exp(-0.5 * (np.pi * wavelength_a * options.focal_spread_a * k2) ** 2)
    slope = cs_a * wavelength_a**3 * k2 * k_inv_a - options.defocus_a * wavelength_a * k_inv_a
    spatial = np.exp(-((np.pi * spread_rad / wavelength_a) ** 2) * slope**2)
    return np.asarray(2 * np.sin(chi) * temporal * spatial)


def simulate_micrograph(
    grains: Sequence[Grain],
    phases: Sequence[str],
    shape: tuple[int, int],
    step_a: tuple[float, float],
    rng: np.random.Generator,
    options: MicroscopeOptions | None = None,
) -> tuple[Micrograph, PhaseMap]:
    """Simulate electron counts of grains in an amorphous matrix.

    Returns
    -------
    Micrograph
        uint16 counts per pixel (y, x).
    PhaseMap
        Truth: presence 1 within the outlines. Fringes spill beyond them, as in a microscope.

    Notes
    -----
    The phase shift is a sum of cosines of each grain's zero-order zone, with amplitudes as the moduli of its
    structure factors and random phases of the fringes, plus amorphous noise; intensity 1 + shift filtered by the
    transfer function; Poisson counts. Neither dynamical scattering, nor thickness, nor mistilt.
    """
    options = options or MicroscopeOptions()
    presence = np.zeros((*shape, len(phases)), dtype=np.float32)
    shift = np.zeros(shape, dtype=np.float32)
    for grain in grains:
        _add_grain(shift, presence[..., list(phases).index(grain.phase)], grain, step_a, options.fringe_phase_rad, rng)
    spectrum = fft.rfft2(shift) + options.amorphous_phase_rad * _amorphous(shape, step_a, rng)
    ky, kx = fft.fftfreq(shape[0], step_a[0]), fft.rfftfreq(shape[1], step_a[1])
    spectrum *= transfer_function(np.hypot(ky[:, None], kx), options).astype(np.float32)
    intensity = np.maximum(1.0 + fft.irfft2(spectrum, s=shape), 0.0)
    counts = rng.poisson(intensity * options.dose_e_per_a2 * math.prod(step_a))
    micrograph = Micrograph(
        np.minimum(counts, 65535).astype(np.uint16), RealGrid(step_a, source="metadata"), Beam(options.energy_kev)
    )
    truth = PhaseMap(tuple(phases), presence, np.ones(shape, dtype=bool), micrograph.grid)
    return micrograph, truth


def sei_micrograph(seed: int, shape: tuple[int, int] = (1024, 1024)) -> tuple[Micrograph, PhaseMap]:
    """Simulate the demonstration: Li, LiF, Li2O and Li2CO3 grains of an SEI in an amorphous matrix, 0.37 Å per pixel.

    Two grains of each phase, the radii scaled with the shorter side of the picture; 300 kV with a corrector.
    """
    rng = np.random.default_rng(seed)
    crystals = load_phases(SEI_PHASES).crystals
    scale = min(shape) / 1024
    radii_px = np.repeat(SEI_RADII_PX, len(crystals)) * scale
    middles = place_disks(shape, radii_px * 1.16, rng)
    grains = []
    for i, (middle, radius) in enumerate(zip(middles, radii_px, strict=True)):
        crystal = crystals[i % len(crystals)]
        grains.append(
            grain_of(
                crystal,
                SEI_ZONES[crystal.name][i // len(crystals)],
                centre_px=(float(middle[0]), float(middle[1])),
                corner_px=random_outline(float(radius), rng),
                rotation_deg=float(rng.uniform(0, 360)),
            )
        )
    return simulate_micrograph(grains, SEI_PHASES, shape, (0.37, 0.37), rng)


def _add_grain(shift: Float32Array, presence: Float32Array, grain: Grain, step_a: tuple[float, float],
               phase_rad: float, rng: np.random.Generator) -> None:  # fmt: skip
    """Add a grain's fringes to the phase shift and mark it in the truth, both in place."""
    reach = float(grain.corner_px.max())
    spans = [
        np.arange(max(0, math.floor(c - reach)), min(n, math.ceil(c + reach) + 1))
        for c, n in zip(grain.centre_px, shift.shape, strict=True)
    ]
    window = np.ix_(*spans)
    inside = grain.covers(spans[0][:, None].astype(float), spans[1][None, :].astype(float))
    fringes = np.zeros(inside.shape, dtype=np.complex64)
    for k, amplitude in zip(grain.k_inv_a, grain.amplitude, strict=True):
        start = rng.uniform(0, 2 * np.pi)
        along_y = np.exp(1j * (2 * np.pi * k[0] * spans[0] * step_a[0] + start))
        along_x = np.exp(2j * np.pi * k[1] * spans[1] * step_a[1])
        fringes += (amplitude * np.outer(along_y, along_x)).astype(np.complex64)
    shift[window] += phase_rad * fringes.real * inside
    presence[window] = np.maximum(presence[window], inside)


def _amorphous(shape: tuple[int, int], step_a: tuple[float, float], rng: np.random.Generator) -> FloatArray:
    """Half spectrum of random atoms of unit root mean square: white, rolled off as 1 / (1 + (k / 0.3)^2)."""
    white = fft.rfft2(rng.standard_normal(shape, dtype=np.float32))
    ky, kx = fft.fftfreq(shape[0], step_a[0]), fft.rfftfreq(shape[1], step_a[1])
    roll_off = 1 / (1 + (ky[:, None] ** 2 + kx**2) / 0.3**2)
    return np.asarray(white * (roll_off / math.sqrt(float((roll_off**2).mean()))))
