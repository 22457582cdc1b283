"""From the intensity in the image plane to the counts of a camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

from friedel.core.arrays import AnyArray
from friedel.core.errors import DataError
from friedel.simulate.micrographs.optics import Complex64Array
from friedel.simulate.micrographs.sampling import Sampling


@dataclass(frozen=True, slots=True)
class Exposure:
    """One exposure of a camera.

    Parameters
    ----------
    dose_e_per_a2
        Electrons per Å² of the specimen.
    drift_a
        Way (y, x) in Å that the specimen moves during the exposure, at a steady pace.
    mtf_nyquist
        Modulation transfer of the camera at the Nyquist frequency, in (0, 1]; in between 1 / (1 + (1/m - 1) u^2), u
        the frequency over Nyquist.
    is_counting
        A counting camera puts each electron into one pixel, at worst a wrong one: Poisson noise stays white, and the
        data are whole. Otherwise the light of each electron spreads over pixels, and the noise with it.
    read_noise_e
        Root mean square noise per pixel of a camera that does not count, in electrons.
    """

    dose_e_per_a2: float = 400.0
    drift_a: tuple[float, float] = (0.0, 0.0)
    mtf_nyquist: float = 1.0
    is_counting: bool = True
    read_noise_e: float = 0.0

    def __post_init__(self) -> None:
        if not self.dose_e_per_a2 > 0:
            raise DataError(f"dose_e_per_a2 must be positive, got {self.dose_e_per_a2}. Pass --dose.")
        if not 0 < self.mtf_nyquist <= 1:
            raise DataError(f"mtf_nyquist must lie in (0, 1], got {self.mtf_nyquist}.")
        if self.read_noise_e < 0 or (self.is_counting and self.read_noise_e > 0):
            raise DataError(f"read_noise_e must not be negative, and 0 for a counting camera, got {self.read_noise_e}.")


def drift_transfer(ky: AnyArray, kx: AnyArray, exposure: Exposure) -> AnyArray:
    """Contrast left by drift along a straight way: sin(pi k d) / (pi k d)."""
    return np.asarray(np.sinc(ky * exposure.drift_a[0] + kx * exposure.drift_a[1]))


def modulation_transfer(qy: AnyArray, qx: AnyArray, exposure: Exposure) -> AnyArray:
    """Contrast left by the camera at frequencies in cycles per pixel."""
    return np.asarray(1 / (1 + (1 / exposure.mtf_nyquist - 1) * 4 * (qy**2 + qx**2)))


def expose(spectrum: Complex64Array, sampling: Sampling, exposure: Exposure, rng: np.random.Generator) -> AnyArray:
    """Draw the camera's counts of an intensity with the mean 1.

    Parameters
    ----------
    spectrum
        ``rfft2`` of the intensity.

    Returns
    -------
    AnyArray
        Electrons per pixel (y, x): uint16 of a counting camera, else float32.

    Raises
    ------
    DataError
        If a counting camera would have to count more electrons per pixel than it can store.
    """
    electrons = exposure.dose_e_per_a2 * sampling.pixel_area_a2
    ky, kx = sampling.frequencies(half=True)
    moved = spectrum * drift_transfer(ky, kx, exposure).astype(np.float32)
    blur = modulation_transfer(fft.fftfreq(sampling.shape[0])[:, None], fft.rfftfreq(sampling.shape[1]), exposure)
    blur = blur.astype(np.float32)
    if exposure.is_counting:
        expected = np.maximum(fft.irfft2(moved * blur, s=sampling.shape), 0) * electrons
        counts = rng.poisson(expected)
        if counts.max() > np.iinfo(np.uint16).max:
            raise DataError(f"{counts.max()} electrons in a pixel are more than a count of 16 bits. Lower --dose.")
        return np.asarray(counts, dtype=np.uint16)
    arrived = rng.poisson(np.maximum(fft.irfft2(moved, s=sampling.shape), 0) * electrons).astype(np.float32)
    light = fft.irfft2(fft.rfft2(arrived) * blur, s=sampling.shape)
    if exposure.read_noise_e > 0:
        light += exposure.read_noise_e * rng.standard_normal(sampling.shape, dtype=np.float32)
    return np.asarray(light, dtype=np.float32)


def noise_variance(qy: AnyArray, qx: AnyArray, sampling: Sampling, exposure: Exposure) -> AnyArray:
    """Expected power of the noise of electrons and read-out at frequencies in cycles per pixel.

    Scaled as ``diffractogram``: white noise of variance v has the power v.
    """
    electrons = exposure.dose_e_per_a2 * sampling.pixel_area_a2
    spread = np.ones_like(qy) if exposure.is_counting else modulation_transfer(qy, qx, exposure) ** 2
    return np.asarray(electrons * spread + exposure.read_noise_e**2)
