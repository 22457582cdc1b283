"""High-resolution micrographs of grains on an amorphous film."""

from __future__ import annotations

import numpy as np
from scipy import fft

from friedel.core.errors import DataError
from friedel.core.images import Micrograph
from friedel.core.phase_map import PhaseMap
from friedel.crystal import load_phases
from friedel.simulate.camera import Exposure, expose
from friedel.simulate.grains import (
    G_MAX_INV_A,
    Grain,
    finer_grain,
    place_disks,
    random_outline,
    star_region,
)
from friedel.simulate.micrograph_truth import Imaging, MicrographTruth
from friedel.simulate.optics import Complex64Array, Optics, wave_transfer
from friedel.simulate.sampling import Sampling
from friedel.simulate.specimen import Specimen, film_spectrum, phase_shift
from friedel.simulate.spot_labels import label_spots

SEI_PHASES = ("li", "lif", "li2o", "li2co3")
SEI_ZONES = {
    "li": ((0, 0, 1), (1, 1, 1)),
    "lif": ((0, 0, 1), (0, 1, 1)),
    "li2o": ((0, 1, 1), (0, 0, 1)),
    "li2co3": ((0, 0, 1), (0, 0, 1)),
}
SEI_RADII_PX = (130.0, 85.0)
#: Thickness in Å at which the strongest fringes of each phase shift the wave by about 0.1 rad at 300 kV.
SEI_THICKNESS_A = {"li": 60.0, "lif": 30.0, "li2o": 30.0, "li2co3": 60.0}


def simulate_micrograph(
    specimen: Specimen, imaging: Imaging, rng: np.random.Generator
) -> tuple[Micrograph, MicrographTruth]:
    """Simulate the counts of a camera.

    Returns
    -------
    Micrograph
        Electrons per pixel (y, x), uint16 of a counting camera, else float32, with the stated pixel size.
    MicrographTruth
        Spots of the diffractogram, phase map and grain map.

    Notes
    -----
    Projected potential of each grain's zero-order zone with the phases of its structure factors, kinematically damped
    by excitation errors; linear imaging of a weak phase object, or the intensity of the wave exp(i phase shift). Both
    go through the coherent transfer function with its envelopes, then drift, camera and Poisson noise. Neither other
    Laue zones, nor dynamical scattering beyond the phase grating, nor inelastic scattering.
    """
    film = film_spectrum(specimen.film_a, imaging.sampling, imaging.beam, rng) if specimen.film_a else None
    counts = expose(image_spectrum(specimen, imaging, film), imaging.sampling, imaging.exposure, rng)
    labels = label_spots(specimen, imaging, harmonics_limit_inv_a(imaging.sampling))
    micrograph = Micrograph(counts, imaging.sampling.grid, imaging.beam)
    return micrograph, MicrographTruth(specimen, imaging, labels)


def image_spectrum(specimen: Specimen, imaging: Imaging, film: Complex64Array | None) -> Complex64Array:
    """Half spectrum (``rfft2``) of the intensity in the image plane, its mean scaled to 1.

    Parameters
    ----------
    film
        ``film_spectrum`` of the specimen's film.

    Notes
    -----
    Squares of the wave have twice its frequencies: a strong object is imaged on finer pixels where its sums would
    otherwise fold back onto the beams (the two-thirds rule; Kirkland, Advanced Computing in Electron Microscopy, 2nd
    ed., section 6.8). Frequencies beyond the camera's Nyquist are then left out.
    """
    sampling, g_max = imaging.sampling, harmonics_limit_inv_a(imaging.sampling)
    if not imaging.is_strong:
        field = phase_shift(specimen, sampling, imaging.beam, g_max, film)
        wave = fft.fft2(field) * wave_transfer(*sampling.frequencies(half=False), imaging.optics)
        image = -2 * fft.ifft2(wave).imag
        image += 1 - image.mean()
        return np.asarray(fft.rfft2(image))
    factor = 2 if sampling.nyquist_inv_a < 1.5 * g_max else 1
    fine = sampling.finer(factor)
    grains = tuple(finer_grain(grain, factor) for grain in specimen.grains)
    wide = None if film is None else _widened(film, sampling.shape, factor)
    field = phase_shift(Specimen(grains, specimen.film_a), fine, imaging.beam, g_max, wide)
    wave = fft.fft2(np.exp(1j * field)) * wave_transfer(*fine.frequencies(half=False), imaging.optics)
    amplitude = fft.ifft2(wave)
    image = amplitude.real**2 + amplitude.imag**2
    return _narrowed(fft.rfft2(image / image.mean()), sampling.shape, factor)


def harmonics_limit_inv_a(sampling: Sampling) -> float:
    """Largest frequency of the fringes that are simulated: the camera's Nyquist, at most 1.25 1/Å."""
    return min(G_MAX_INV_A, 0.999 * sampling.nyquist_inv_a)


def sei_micrograph(seed: int, shape: tuple[int, int] = (1024, 1024)) -> tuple[Micrograph, PhaseMap]:
    """Simulate the demonstration: Li, LiF, Li2O and Li2CO3 grains of an SEI on an amorphous film, 0.37 Å per pixel.

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
        outline = random_outline(float(radius), rng)
        grains.append(
            Grain(
                crystal,
                SEI_ZONES[crystal.name][i // len(crystals)],
                star_region(shape, (float(middle[0]), float(middle[1])), outline),
                rotation_deg=float(rng.uniform(0, 360)),
                thickness_a=SEI_THICKNESS_A[crystal.name],
            )
        )
    imaging = Imaging(Sampling(shape, (0.37, 0.37)), Optics(), Exposure())
    micrograph, truth = simulate_micrograph(Specimen(tuple(grains), phases=SEI_PHASES), imaging, rng)
    return micrograph, truth.phase_map


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
