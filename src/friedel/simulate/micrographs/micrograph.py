"""High-resolution micrographs of grains on an amorphous film."""

from __future__ import annotations

import math

import numpy as np

from friedel.core.images import Micrograph
from friedel.core.phase_map import PhaseMap
from friedel.crystal import load_phases
from friedel.simulate.micrographs.camera import Exposure, expose
from friedel.simulate.micrographs.grains import Grain, place_disks, random_outline, star_region
from friedel.simulate.micrographs.imaging import Imaging, image_spectrum
from friedel.simulate.micrographs.optics import Complex64Array, Optics
from friedel.simulate.micrographs.sampling import Sampling
from friedel.simulate.micrographs.specimen import Specimen, film_spectrum
from friedel.simulate.micrographs.spot_labels import label_spots
from friedel.simulate.micrographs.truth import MicrographTruth

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
    specimen: Specimen, imaging: Imaging, rng: np.random.Generator, *, film: Complex64Array | None = None
) -> tuple[Micrograph, MicrographTruth]:
    """Simulate the counts of a camera.

    Parameters
    ----------
    film
        ``film_spectrum`` of the specimen's film; a new one is drawn where it is left out.

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
    go through the coherent transfer function with its envelopes, then drift, camera and Poisson noise. The intensity
    is scaled to the mean 1, as envelopes spread electrons, but take none away. Neither other Laue zones, nor dynamical
    scattering beyond the phase grating, nor inelastic scattering.
    """
    if film is None and specimen.film_a > 0:
        film = film_spectrum(specimen.film_a, imaging.sampling, imaging.beam, rng)
    spectrum = image_spectrum(specimen, imaging, film)
    mean = float(spectrum[0, 0].real) / math.prod(imaging.sampling.shape)
    counts = expose(spectrum / np.float32(mean), imaging.sampling, imaging.exposure, rng)
    labels = label_spots(specimen, imaging, mean)
    micrograph = Micrograph(counts, imaging.sampling.grid, imaging.beam)
    return micrograph, MicrographTruth(specimen, imaging, labels)


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
