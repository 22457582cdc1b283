"""Pictures of simulated patterns: every part of the noise, doses, and crystals in the way of the beam."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from picture_files import Panel, grid_of

from friedel import Beam
from friedel.core.arrays import FloatArray
from friedel.core.grids import ReciprocalGrid
from friedel.crystal import load_phase
from friedel.simulate.patterns.detector import Detector, electrons_of
from friedel.simulate.patterns.diffraction import SpotPattern, diffract, orient, overlap
from friedel.simulate.patterns.noise import Noise, dim_spots, distort, draw_noise, expose, pattern_rng
from friedel.simulate.patterns.render import MIN_BLUR_PX, SpotShape, render

SEED = 0
SHAPE = (128, 128)
GRID = ReciprocalGrid((0.0165, 0.0165), (63.5, 63.5))
BEAM = Beam(energy_kev=300.0, semi_convergence_mrad=0.5)
SPOT = SpotShape.of(BEAM, MIN_BLUR_PX)
DOSE = 20_000.0


def crystal_spots() -> SpotPattern:
    """Spots of SrTiO3 along [001], 150 Å thick, tilted by a few mrad."""
    return spots_of("srtio3", (0, 0, 1), 150.0, tilt_mrad=(4.0, -3.0), scattering="bloch")


def taken(noise: Noise, spots: SpotPattern | None = None, seed: int = SEED) -> FloatArray:
    """Electrons per pixel of the pattern under this noise."""
    rng, grid = pattern_rng(seed), distort(GRID, noise)
    spots = dim_spots(spots or crystal_spots(), noise, rng)
    return electrons_of(expose(render(spots, grid, SHAPE, SPOT), noise, grid, rng), noise.detector)


def draw_parts() -> Figure:
    """Draw every part of the noise by itself, all on the same pattern."""
    plain, misty = Noise(DOSE), Noise(DOSE, halo_share=0.4)

    def with_camera(**settings: Any) -> FloatArray:
        return taken(replace(misty, detector=Detector(**settings)))

    panels: list[Panel] = [
        ("sharp: no noise at all", DOSE * render(crystal_spots(), GRID, SHAPE, SPOT)),
        ("counting alone", taken(plain)),
        ("dimming: four spots in five", taken(replace(plain, dim_chance=0.8, dim_depth=1.0))),
        ("halo: 40 %, 0.1 1/Å", taken(misty)),
        ("amorphous rings: 30 %", taken(replace(plain, amorphous_share=0.3))),
        ("blur: 1.5 px", taken(replace(plain, blur_px=1.5))),
        ("ellipse: 15 % along 45°", taken(replace(plain, ellipticity=0.15, ellipse_rad=np.pi / 4))),
        ("descan: 8 px down, 12 px left", taken(replace(plain, shift_y_px=8.0, shift_x_px=-12.0))),
        ("beam stop: 8 px, arm 5 px", taken(replace(misty, stop_radius_px=8.0, stop_arm_px=5.0, stop_azimuth_rad=2.0))),
        ("salt 0.5 %, pepper 5 %", taken(replace(misty, salt_share=0.005, pepper_share=0.05))),
        ("spread: 1 px, tail 30 % of 6 px", with_camera(psf_px=1.0, tail_share=0.3, tail_px=6.0)),
        ("the same, light shared", with_camera(psf_px=1.0, tail_share=0.3, tail_px=6.0, is_counting=False, gain=50.0)),
        ("read-out noise: 0.5 electrons", with_camera(read_noise_electrons=0.5, gain=50.0, offset=200.0)),
        ("saturation: 20 electrons", with_camera(saturation=20.0)),
        ("dead and hot pixels: 1 % each", with_camera(dead_share=0.01, hot_share=0.01)),
        ("gaps: 4 px between 2 x 2 tiles", with_camera(tiles=(2, 2), gap_px=4)),
    ]  # fmt: skip
    return grid_of(panels, 4, top=150.0)


def draw_doses() -> Figure:
    """Draw one pattern with halo and blur at rising doses, each on its own grey scale."""
    noise = Noise(halo_share=0.3, blur_px=0.6)
    doses = (30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000)
    return grid_of([(f"{dose:,} electrons", taken(replace(noise, dose_electrons=dose))) for dose in doses], 4)


def draw_draws() -> Figure:
    """Draw one pattern under noises drawn from the default ranges, each on its own grey scale."""
    panels: list[Panel] = []
    for i in range(12):
        noise = draw_noise(pattern_rng(SEED, i))
        panels.append((f"{noise.dose_electrons:,.0f} electrons", taken(noise, seed=i)))
    return grid_of(panels, 4)


def draw_crystals() -> Figure:
    """Draw what lies in the way of the beam: disks, tilts, double diffraction, overlapping crystals."""
    beams = [replace(BEAM, semi_convergence_mrad=mrad) for mrad in (0.2, 2.0, 4.0)]
    o3 = spots_of("nmc811-o3", (0, 0, 1), 100.0, scattering="bloch")
    o1 = spots_of("nmc811-o1", (0, 0, 1), 60.0, rotation_rad=0.15 + np.pi / 6, scattering="bloch")
    panels: list[Panel] = [
        *((f"disks: {beam.semi_convergence_mrad:g} mrad", hazy(crystal_spots(), beam)) for beam in beams),
        ("tilted by 15 mrad", hazy(spots_of("srtio3", (0, 0, 1), 150.0, tilt_mrad=(12.0, -9.0)))),
        ("Li₂O [011], single scattering", hazy(spots_of("li2o", (0, 1, 1), 200.0, scattering="kinematic"))),
        ("Li₂O [011], all beams together", hazy(spots_of("li2o", (0, 1, 1), 200.0, scattering="bloch"))),
        ("O3 of NMC811 [001]", hazy(o3)),
        ("O3 with O1 below", hazy(overlap(o3, o1))),
    ]
    return grid_of(panels, 4, top=150.0)


def spots_of(name: str, uvw: tuple[int, int, int], thickness_a: float, **conditions: Any) -> SpotPattern:
    """Spots of a crystal of the library."""
    return diffract(orient(load_phase(name), uvw), BEAM, thickness_a=thickness_a, **{"rotation_rad": 0.15} | conditions)


def hazy(spots: SpotPattern, beam: Beam = BEAM) -> FloatArray:
    """Electrons per pixel with a halo of 20 %."""
    noise = Noise(DOSE, halo_share=0.2)
    share = render(spots, GRID, SHAPE, SpotShape.of(beam, 0.6))
    return expose(share, noise, GRID, pattern_rng(SEED)).astype(np.float64)
