"""Patterns on which denoisers are judged: made by the numpy factory, of crystals that no network was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from friedel.core.arrays import Float32Array, FloatArray, IntArray
from friedel.core.beam import Beam
from friedel.core.grids import ReciprocalGrid
from friedel.crystal import zone_axes
from friedel.nets.inference import prepare
from friedel.nets.scoring import judge_spots
from friedel.simulate.patterns.detector import electrons_of, spread
from friedel.simulate.patterns.diffraction import Conditions, Scattering, SpotPattern, diffract_many, orient
from friedel.simulate.patterns.noise import Noise, NoiseRanges, beam_stop, count, dim_spots, distort, draw_noise, expect
from friedel.simulate.patterns.render import SpotShape, render
from friedel.simulate.ranges import Range
from friedel.simulate.training.dataset import PairRanges
from friedel.simulate.training.materials import Material

RANGES = PairRanges(
    energy_kev=Range(80.0, 300.0), tilt_mrad=Range(0.0, 12.0), disk_radius_px=Range(1.5, 8.0, chance=0.2)
)
NOTHING = SpotPattern(np.zeros((0, 3), dtype=np.int64), np.zeros((0, 2)), np.zeros(0), 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One pattern: what the camera gave in electrons, with spikes filled; what it should be; and its true spots.

    ``clean``: the electrons of beam and spots alone, as the paper of Lo and Su has it, without halo, film and blur;
    ``spot_electrons``: expected in each spot.
    """

    electrons: Float32Array
    expected: FloatArray
    clean: FloatArray
    grid: ReciprocalGrid
    spot_px: FloatArray
    spot_kind: IntArray
    spot_electrons: FloatArray
    width_px: float
    radius_px: float

    @property
    def sigma_px(self) -> float:
        """Width of a Gaussian as wide as the spots."""
        return float(np.hypot(self.width_px, 0.5 * self.radius_px))

    @property
    def annulus_inv_a(self) -> tuple[float, float]:
        """Where spots are sought: off the transmitted beam."""
        step = float(np.mean(self.grid.step_inv_a))
        return (2.5 * self.width_px + self.radius_px) * step, 2.0 * step * max(self.electrons.shape)


def training_like_noise(dose_electrons: float, **changes: Any) -> NoiseRanges:
    """Return the noise of the factory at one dose, with changed ranges."""
    return NoiseRanges(
        dose_electrons=Range(dose_electrons, dose_electrons), dim_chance=Range(0, 0, chance=0.0), **changes
    )


def make_case(
    material: Material, rng: np.random.Generator, noise: Noise, *, scattering: Scattering = "two-beam",
    shape: tuple[int, int] = (128, 128), ranges: PairRanges = RANGES, no_crystal: bool = False,
) -> Case:  # fmt: skip
    """Expose a pattern of a material along one of its zone axes."""
    axes = zone_axes(material.crystal)
    u, v, w = (int(x) for x in axes[rng.integers(min(len(axes), 60))])
    beam, step = Beam(ranges.energy_kev.draw(rng)), 2.0 * ranges.reach_inv_a.draw(rng) / min(shape)
    tilt, azimuth = ranges.tilt_mrad.draw(rng), rng.uniform(0, 2 * np.pi)
    conditions = Conditions.of(ranges.thickness_a.draw(rng), rng.uniform(0, 2 * np.pi),
                               (tilt * np.sin(azimuth), tilt * np.cos(azimuth)))  # fmt: skip
    blur_px = ranges.blur_px.draw(rng)
    radius_px = ranges.disk_radius_px.draw(rng) if rng.random() < ranges.disk_radius_px.chance else 0.0
    nominal = ReciprocalGrid((step, step), ((shape[0] - 1) / 2, (shape[1] - 1) / 2))
    grid = distort(nominal, noise)
    spots = NOTHING
    if not no_crystal:
        oriented = orient(material.crystal, (u, v, w), 0.75 * step * float(np.hypot(*shape)))
        spots = dim_spots(diffract_many(oriented, beam, conditions, scattering=scattering).pattern(0), noise, rng)
    return expose_case(spots, noise, grid, SpotShape(radius_px * step, blur_px), shape, rng)


def expose_case(
    spots: SpotPattern, noise: Noise, grid: ReciprocalGrid, spot: SpotShape, shape: tuple[int, int],
    rng: np.random.Generator,
) -> Case:  # fmt: skip
    """Expose spots, and say which of them are to be found."""
    share = render(spots, grid, shape, spot)
    expected = expect(share, noise, grid)
    electrons = electrons_of(count(expected, noise, rng), noise.detector)
    if not noise.detector.is_counting:
        expected = spread(expected, noise.detector)
    px = grid.px_of(spots.k_inv_a)
    seen = ((px >= 0) & (px <= np.array(shape) - 1)).all(axis=1)
    px, nearest = px[seen], np.rint(px[seen]).astype(int)
    width = float(np.sqrt(spot.blur_px**2 + noise.blur_px**2 + noise.detector.psf_px**2))
    radius = spot.disk_radius_inv_a / float(np.mean(grid.step_inv_a))
    kept = (1.0 - noise.halo_share) * (1.0 - noise.amorphous_share) * noise.dose_electrons
    light = spots.share[seen] * kept * beam_stop(shape, noise, grid.centre_px)[tuple(nearest.T)]
    area = 4.0 * np.pi * width**2 + np.pi * radius**2
    background = np.maximum(expected[tuple(nearest.T)] - 2.0 * light / area, 0.0)
    kind = judge_spots(px, light, background, noise.dose_electrons, width, radius)
    prepared = prepare(np.maximum(electrons, 0.0)[None], 1.0, None)[0]
    return Case(prepared, expected, share * noise.dose_electrons, grid, px, kind, light, width, radius)


def make_cases(
    materials: Sequence[Material],
    n: int,
    seed: int,
    noise_ranges: NoiseRanges,
    *,
    noise_changes: dict[str, Any] | None = None,
    **options: Any,
) -> list[Case]:
    """Make n patterns, each of a material of its own turn and with a seed of its own."""
    cases = []
    for i in range(n):
        rng = np.random.default_rng([seed, i])
        noise = replace(draw_noise(rng, noise_ranges), **(noise_changes or {}))
        cases.append(make_case(materials[int(rng.integers(len(materials)))], rng, noise, **options))
    return cases
