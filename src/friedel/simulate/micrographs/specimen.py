"""The phase shift that a specimen gives to the electron wave, pixel by pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import fft

from friedel.core.arrays import AnyArray
from friedel.core.beam import Beam
from friedel.core.errors import DataError
from friedel.crystal import scattering_factor_a
from friedel.simulate.micrographs.grains import Beams, Grain, beams_of
from friedel.simulate.micrographs.optics import Complex64Array
from friedel.simulate.micrographs.sampling import Sampling
from friedel.simulate.micrographs.waves import plane_waves

#: Atoms per Å³ of amorphous carbon of 2.0 g/cm³.
FILM_ATOMS_PER_A3 = 0.1
#: Beams weaker than this share of a grain's strongest are not drawn.
_LEAST_SHARE = 1e-4
#: A smaller excitation error changes the amplitude of the thickest foil by less than a hundredth.
_LEAST_EXCITATION_INV_A = 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class Specimen:
    """Grains, which may overlap, and an amorphous film over the whole field of view.

    Parameters
    ----------
    grains
        In any order.
    film_a
        Thickness of the film of amorphous carbon in Å.
    phases
        Names of all phases that the truth tells of; those of the grains where left out.
    """

    grains: tuple[Grain, ...]
    film_a: float = 80.0
    phases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.film_a <= 5000:
            raise DataError(f"film_a must lie between 0 and 5000 Å, got {self.film_a}.")
        used = tuple(dict.fromkeys(grain.crystal.name for grain in self.grains))
        if self.phases and (missing := set(used) - set(self.phases)):
            raise DataError(f"phases must name every grain's phase, {', '.join(sorted(missing))} is missing.")
        object.__setattr__(self, "phases", self.phases or used)


def phase_shift(
    specimen: Specimen, sampling: Sampling, beam: Beam, g_max_inv_a: float, film: Complex64Array | None
) -> Complex64Array:
    """Phase shift in rad (y, x); its imaginary part damps the wave.

    A mistilt makes the beams +g and -g unequally strong. The part that is equal in both is a real shift, the rest an
    imaginary one.

    Parameters
    ----------
    film
        Half spectrum of the film's shift, from ``film_spectrum``.
    """
    field = np.zeros(sampling.shape, dtype=np.complex64)
    if film is not None:
        field.real = fft.irfft2(film, s=sampling.shape)
    for grain in specimen.grains:
        _add_grain(field, grain, beams_of(grain, beam, g_max_inv_a), sampling)
    return field


def film_spectrum(film_a: float, sampling: Sampling, beam: Beam, rng: np.random.Generator) -> Complex64Array:
    """``rfft2`` of the phase shift of randomly placed carbon atoms."""
    white = fft.rfft2(rng.standard_normal(sampling.shape, dtype=np.float32))
    ky, kx = sampling.frequencies(half=True)
    return np.asarray(white * film_amplitude(np.hypot(ky, kx), film_a, sampling, beam), dtype=np.complex64)


def film_amplitude(k_inv_a: AnyArray, film_a: float, sampling: Sampling, beam: Beam) -> AnyArray:
    """Root of the power of the film's phase shift, scaled so that white noise of variance v has the power v.

    n atoms per area at random places have the power (gamma lambda f)^2 n per frequency area: Campbell's theorem, with
    the phase shift of one atom as in ``beams_of``.
    """
    table_k = np.linspace(0, float(np.max(k_inv_a, initial=0.0)) + 0.01, 400)
    factor = np.interp(k_inv_a, table_k, scattering_factor_a("C", table_k / 2))
    atoms_per_px = FILM_ATOMS_PER_A3 * film_a * sampling.pixel_area_a2
    return np.asarray(beam.gamma * beam.wavelength_a * factor * math.sqrt(atoms_per_px) / sampling.pixel_area_a2)


def _add_grain(field: Complex64Array, grain: Grain, beams: Beams, sampling: Sampling) -> None:
    """Add the fringes of a grain to the phase shift, in place.

    Each fringe is a product of a function of y and one of x, so that all together are one product of matrices.
    """
    k, amplitude = wedge_waves(grain, beams, sampling)
    if not len(k) or not grain.region.area_px:
        return
    window, q = grain.region.window, sampling.cycles_per_px(k)
    along_y, along_x = (plane_waves(q[:, i], part.start, part.stop - part.start) for i, part in enumerate(window))
    fringes = (amplitude.astype(np.complex64)[:, None] * along_y).T @ along_x
    field[window] += fringes * grain.region.mask


def wedge_waves(grain: Grain, beams: Beams, sampling: Sampling) -> tuple[AnyArray, AnyArray]:
    """Wave vectors (N, 2) and amplitudes (N,) of the plane waves of a grain of even or changing thickness.

    Where the thickness changes linearly, sin(pi s t) / (pi s) is the sum of two plane waves: a wedge splits each spot.
    """
    s = beams.excitation_inv_a
    s = np.where(s < 0, -1, 1) * np.maximum(np.abs(s), _LEAST_EXCITATION_INV_A)
    most = np.abs(beams.coupling_inv_a) * np.minimum(grain.thickness_a, 1 / (np.pi * np.abs(s)))
    keep = most > _LEAST_SHARE * most.max(initial=0.0)
    k, s = beams.k_inv_a[keep], s[keep]
    if not any(grain.wedge):
        return k, beams.amplitudes(grain.thickness_a)[keep]
    slope = np.array(grain.wedge)
    start_a = grain.thickness_a - slope @ sampling.matrix_a @ grain.region.middle_px()
    half = beams.coupling_inv_a[keep] / (2j * np.pi * s)
    waves = [half * np.exp(1j * np.pi * s * start_a), -half * np.exp(-1j * np.pi * s * start_a)]
    return np.concatenate([k + 0.5 * s[:, None] * slope, k - 0.5 * s[:, None] * slope]), np.concatenate(waves)
