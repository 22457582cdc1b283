"""From a specimen to the intensity in the image plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

from friedel.core.beam import Beam
from friedel.core.errors import DataError
from friedel.simulate.micrographs.camera import Exposure
from friedel.simulate.micrographs.grains import G_MAX_INV_A, finer_grain
from friedel.simulate.micrographs.optics import Complex64Array, Optics, wave_transfer
from friedel.simulate.micrographs.sampling import Sampling
from friedel.simulate.micrographs.specimen import Specimen, phase_shift
from friedel.simulate.micrographs.waves import exit_wave


@dataclass(frozen=True, slots=True)
class Imaging:
    """How a micrograph is taken.

    Parameters
    ----------
    is_strong
        False for linear imaging of a weak phase object; True for the intensity of the wave exp(i phase shift).
    """

    sampling: Sampling
    optics: Optics
    exposure: Exposure
    is_strong: bool = False

    @property
    def beam(self) -> Beam:
        """The beam."""
        return Beam(self.optics.energy_kev)


def image_spectrum(specimen: Specimen, imaging: Imaging, film: Complex64Array | None) -> Complex64Array:
    """Half spectrum (``rfft2``) of the intensity in the image plane, that of vacuum being 1.

    Parameters
    ----------
    film
        ``film_spectrum`` of the specimen's film.

    Notes
    -----
    Squares of the wave have twice its frequencies: a strong object is imaged on finer pixels where its sums would
    otherwise fold back onto the beams (the two-thirds rule; Kirkland, Advanced Computing in Electron Microscopy, 2nd
    ed., section 6.8). Frequencies beyond the camera's Nyquist are then left out. The picture repeats itself beyond its
    border: what the lens moves out on one side comes in on the other.
    """
    sampling, g_max = imaging.sampling, harmonics_limit_inv_a(imaging.sampling)
    if not imaging.is_strong:
        field = phase_shift(specimen, sampling, imaging.beam, g_max, film)
        wave = fft.fft2(field) * wave_transfer(*sampling.frequencies(half=False), imaging.optics)
        image = -2 * fft.ifft2(wave).imag
        return np.asarray(fft.rfft2(1 + image))
    factor = 2 if sampling.nyquist_inv_a < 1.5 * g_max else 1
    fine = sampling.finer(factor)
    grains = tuple(finer_grain(grain, factor) for grain in specimen.grains)
    wide = None if film is None else _widened(film, sampling.shape, factor)
    field = phase_shift(Specimen(grains, specimen.film_a), fine, imaging.beam, g_max, wide)
    wave = fft.fft2(exit_wave(field)) * wave_transfer(*fine.frequencies(half=False), imaging.optics)
    amplitude = fft.ifft2(wave)
    image = amplitude.real**2 + amplitude.imag**2
    return _narrowed(fft.rfft2(image), sampling.shape, factor)


def harmonics_limit_inv_a(sampling: Sampling) -> float:
    """Largest frequency of the fringes that are simulated: the camera's Nyquist, at most 1.25 1/Å."""
    return min(G_MAX_INV_A, 0.999 * sampling.nyquist_inv_a)


def _widened(half: Complex64Array, shape: tuple[int, int], factor: int) -> Complex64Array:
    """Half spectrum of the same band-limited function on ``factor`` times as many pixels along each axis."""
    return _resized(half, shape, (factor * shape[0], factor * shape[1]))


def _narrowed(half: Complex64Array, shape: tuple[int, int], factor: int) -> Complex64Array:
    """Half spectrum on pixels of ``shape``, of a function given on ``factor`` times as many along each axis."""
    return _resized(half, (factor * shape[0], factor * shape[1]), shape)


def _resized(half: Complex64Array, old: tuple[int, int], new: tuple[int, int]) -> Complex64Array:
    """Copy the frequencies that both grids have, off their Nyquist frequencies, keeping the values of the pixels."""
    if old == new:
        return half
    if half.shape != (old[0], old[1] // 2 + 1):
        raise DataError(f"A half spectrum of {old} px must have shape {(old[0], old[1] // 2 + 1)}, got {half.shape}.")
    rows, columns = ((min(o, n) - 1) // 2 for o, n in zip(old, new, strict=True))
    out = np.zeros((new[0], new[1] // 2 + 1), dtype=half.dtype)
    out[: rows + 1, : columns + 1] = half[: rows + 1, : columns + 1]
    out[-rows:, : columns + 1] = half[-rows:, : columns + 1]
    out *= new[0] * new[1] / (old[0] * old[1])
    return out
