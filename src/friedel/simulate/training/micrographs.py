"""A stream of random micrographs with their truth, to train and to judge spot detectors with."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from friedel.core.arrays import IntArray
from friedel.core.errors import DataError
from friedel.core.images import Micrograph
from friedel.crystal import Crystal, zone_axes
from friedel.simulate.micrographs.camera import Exposure
from friedel.simulate.micrographs.grains import Grain, Region, beams_of, random_outline, star_region, voronoi_regions
from friedel.simulate.micrographs.imaging import Imaging, harmonics_limit_inv_a
from friedel.simulate.micrographs.micrograph import simulate_micrograph
from friedel.simulate.micrographs.optics import Optics
from friedel.simulate.micrographs.sampling import Sampling
from friedel.simulate.micrographs.specimen import Specimen
from friedel.simulate.micrographs.truth import MicrographTruth

Range = tuple[float, float]

#: Fringes stronger than this are imaged as a strong phase object.
WEAK_RAD = 0.15
#: Grains are no thicker than where one fringe shifts the wave by this much: a phase grating is wrong beyond.
MOST_RAD = 0.8


@dataclass(frozen=True, slots=True)
class Variety:
    """Ranges from which micrographs are drawn; doses, pixel sizes, film and grain sizes evenly in their logarithm.

    Parameters
    ----------
    shape
        Pixels (y, x).
    step_a
        True pixel size in Å.
    energies_kev
        Beam energies, one of which is taken.
    defocus_a, cs_mm
        Underfocus is positive. Half of the micrographs are taken with a corrector (Cs of at most 0.02 mm).
    thickness_a, tilt_mrad
        Of grains; the tilt is the scale of a Rayleigh distribution, itself drawn from the range.
    grain_share
        Diameter of lone grains over the shorter side of the picture.
    max_grains
        Most grains in a picture.
    empty_share
        Share of micrographs that show the amorphous film alone.
    max_index
        Largest index of the zone axes.
    scale_error, anisotropy
        One-sigma relative error of the stated pixel size, and largest anisotropy.
    """

    shape: tuple[int, int] = (512, 512)
    step_a: Range = (0.2, 0.5)
    energies_kev: tuple[float, ...] = (80.0, 120.0, 200.0, 300.0)
    defocus_a: Range = (-600.0, 1500.0)
    cs_mm: Range = (0.0, 1.2)
    thickness_a: Range = (20.0, 250.0)
    tilt_mrad: Range = (0.0, 15.0)
    film_a: Range = (20.0, 300.0)
    dose_e_per_a2: Range = (50.0, 5000.0)
    grain_share: Range = (0.05, 0.6)
    max_grains: int = 8
    empty_share: float = 0.1
    max_index: int = 2
    scale_error: float = 0.015
    anisotropy: float = 0.02

    def __post_init__(self) -> None:
        for name in ("step_a", "thickness_a", "film_a", "dose_e_per_a2", "grain_share"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise DataError(f"{name} must be a range 0 < low <= high, got {getattr(self, name)}.")
        if not 0 <= self.empty_share <= 1 or not 1 <= self.max_grains <= 32 or not self.energies_kev:
            raise DataError("empty_share must lie in [0, 1], max_grains in 1 to 32, energies_kev not be empty.")


def labelled_micrographs(
    seed: int, crystals: Sequence[Crystal], variety: Variety | None = None, *, start: int = 0
) -> Iterator[tuple[Micrograph, MicrographTruth]]:
    """Draw micrographs without end, from number ``start`` on; the same seed and number give the same micrograph."""
    for index in itertools.count(start):
        yield labelled_micrograph(seed, index, crystals, variety)


def labelled_micrograph(
    seed: int, index: int, crystals: Sequence[Crystal], variety: Variety | None = None
) -> tuple[Micrograph, MicrographTruth]:
    """Draw micrograph number ``index`` of a seed's endless set.

    Parameters
    ----------
    crystals
        The structures that grains are made of. Sets for training and for judging should share none.
    """
    if not crystals:
        raise DataError("Micrographs need at least one crystal to draw grains from, got none.")
    variety = variety or Variety()
    rng = np.random.default_rng([seed, index])
    imaging = _random_imaging(variety, rng)
    grains: tuple[Grain, ...] = ()
    if rng.random() >= variety.empty_share:
        grains = tuple(_random_grain(region, crystals, variety, imaging, rng) for region in _regions(variety, rng))
    specimen = Specimen(grains, _log_uniform(variety.film_a, rng), phases=_names(grains, crystals))
    strongest = max((_strongest_rad(grain, imaging) for grain in grains), default=0.0)
    return simulate_micrograph(specimen, replace(imaging, is_strong=strongest > WEAK_RAD), rng)


def _random_imaging(variety: Variety, rng: np.random.Generator) -> Imaging:
    low_cs, high_cs = variety.cs_mm
    cs_mm = rng.uniform(low_cs, max(low_cs, min(high_cs, 0.02)) if rng.random() < 0.5 else high_cs)
    energy_kev = float(rng.choice(variety.energies_kev))
    optics = Optics(
        energy_kev=energy_kev,
        defocus_a=float(rng.uniform(*variety.defocus_a)),
        cs_mm=float(cs_mm),
        astigmatism_a=float(rng.exponential(20.0)),
        astigmatism_deg=float(rng.uniform(0, 180)),
        focal_spread_a=float(rng.uniform(10, 60)),
        semi_convergence_mrad=float(rng.uniform(0.02, 0.4)),
    )
    step_a, error = _log_uniform(variety.step_a, rng), float(rng.normal(0, variety.scale_error))
    sampling = Sampling(
        variety.shape,
        (step_a / (1 + error),) * 2,
        scale_error=error,
        anisotropy=float(rng.uniform(0, variety.anisotropy)),
        anisotropy_deg=float(rng.uniform(0, 180)),
    )
    is_counting = bool(rng.random() < 0.5)
    way, angle = rng.exponential(0.3), rng.uniform(0, 2 * np.pi)
    exposure = Exposure(
        dose_e_per_a2=_log_uniform(variety.dose_e_per_a2, rng),
        drift_a=(float(way * np.sin(angle)), float(way * np.cos(angle))),
        mtf_nyquist=float(rng.uniform(0.3, 0.9) if is_counting else rng.uniform(0.05, 0.4)),
        is_counting=is_counting,
        read_noise_e=0.0 if is_counting else float(rng.uniform(0, 2)),
    )
    return Imaging(sampling, optics, exposure)


def _regions(variety: Variety, rng: np.random.Generator) -> list[Region]:
    """Cells that fill part of the picture, or lone grains that may overlap; one may fill the whole picture."""
    n_grains, shape = int(rng.integers(1, variety.max_grains + 1)), variety.shape
    if rng.random() < 0.4:
        cells = voronoi_regions(shape, n_grains, rng)
        return [cell for cell in cells if len(cells) == 1 or rng.random() < 0.7]
    regions = []
    for _ in range(n_grains):
        radius_px = 0.5 * min(shape) * _log_uniform(variety.grain_share, rng)
        middle = (float(rng.uniform(0, shape[0])), float(rng.uniform(0, shape[1])))
        regions.append(star_region(shape, middle, random_outline(radius_px, rng)))
    return regions


def _random_grain(
    region: Region, crystals: Sequence[Crystal], variety: Variety, imaging: Imaging, rng: np.random.Generator
) -> Grain:
    crystal = crystals[int(rng.integers(len(crystals)))]
    axes: IntArray = zone_axes(crystal, variety.max_index)
    u, v, w = (int(x) for x in axes[int(rng.integers(len(axes)))])
    tilt, azimuth = rng.rayleigh(rng.uniform(*variety.tilt_mrad)), rng.uniform(0, 2 * np.pi)
    step_a = imaging.sampling.step_a[0]
    grain = Grain(
        crystal,
        (u, v, w),
        region,
        rotation_deg=float(rng.uniform(0, 360)),
        tilt_mrad=(float(tilt * np.sin(azimuth)), float(tilt * np.cos(azimuth))),
        thickness_a=_log_uniform(variety.thickness_a, rng),
        origin_a=(float(rng.uniform(0, 20)), float(rng.uniform(0, 20))),
    )
    grain = replace(grain, thickness_a=min(grain.thickness_a, _thickest_a(grain, imaging)))
    if rng.random() < 0.7:
        return grain
    # A wedge that loses or gains at most half of the thickness from the middle to the far corners.
    steepest = 0.5 * grain.thickness_a / (math.hypot(*region.mask.shape) * step_a)
    way, azimuth = rng.uniform(0, steepest), rng.uniform(0, 2 * np.pi)
    return replace(grain, wedge=(float(way * np.sin(azimuth)), float(way * np.cos(azimuth))))


def _strongest_rad(grain: Grain, imaging: Imaging) -> float:
    """Phase shift by the strongest fringe of a grain, with both of its beams."""
    beams = beams_of(grain, imaging.beam, harmonics_limit_inv_a(imaging.sampling))
    return 2 * float(np.abs(beams.amplitudes(grain.thickness_a)).max(initial=0.0))


def _thickest_a(grain: Grain, imaging: Imaging) -> float:
    """Thickness at which the strongest fringe would shift the wave by the most that is allowed, if undamped."""
    beams = beams_of(grain, imaging.beam, harmonics_limit_inv_a(imaging.sampling))
    return 0.5 * MOST_RAD / max(float(np.abs(beams.coupling_inv_a).max(initial=0.0)), 1e-9)


def _names(grains: Sequence[Grain], crystals: Sequence[Crystal]) -> tuple[str, ...]:
    """Phases of the grains; of a picture without grains the first crystal's, since a phase map names at least one."""
    return tuple(dict.fromkeys(grain.crystal.name for grain in grains)) or (crystals[0].name,)


def _log_uniform(bounds: Range, rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(math.log(bounds[0]), math.log(bounds[1]))))
