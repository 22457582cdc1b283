"""Pairs of clean and noisy diffraction patterns of many crystals, to train networks with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, get_args

import numpy as np

from friedel.core.arrays import AnyArray, Float32Array
from friedel.core.beam import Beam
from friedel.core.errors import DataError
from friedel.core.grids import ReciprocalGrid
from friedel.crystal import Crystal, zone_axes, zone_net
from friedel.simulate.patterns.diffraction import Conditions, OrientedCrystal, Scattering, diffract_many, orient
from friedel.simulate.patterns.noise import Noise, NoiseRanges, dim_spots, distort, draw_noise, expose, pattern_rng
from friedel.simulate.patterns.render import SpotShape, render
from friedel.simulate.ranges import Range
from friedel.simulate.training.materials import Material

#: A zone axis is worth a pattern if two of its reflections that are not on one line lie within this, in 1/Å: as far as
#: the widest of the detectors that ``PairRanges`` draws.
ZONE_REACH_INV_A = 1.6
#: Highest index of a zone axis.
MAX_ZONE_INDEX = 8
#: Spots with a smaller share of the beam are drawn, and not listed.
MIN_LISTED_SHARE = 1e-6
Uvw = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class PairRanges:
    """What the settings of a pair are drawn from, apart from the noise.

    ``reach_inv_a`` is the distance from the middle of the detector to the nearer edge, which stands for the camera
    length. ``disk_radius_px`` is that of the convergence disks; by default a spot.
    """

    energy_kev: Range = field(default=Range(30.0, 300.0))
    reach_inv_a: Range = field(default=Range(0.6, 1.6, is_log=True))
    thickness_a: Range = field(default=Range(25.0, 800.0, is_log=True))
    tilt_mrad: Range = field(default=Range(0.0, 20.0))
    blur_px: Range = field(default=Range(0.4, 1.2))
    disk_radius_px: Range = field(default=Range(1.5, 9.0, chance=0.3))


@dataclass(frozen=True, slots=True)
class PairOptions:
    """How a set of pairs is made.

    Parameters
    ----------
    seed
        Decides every random number.
    zones
        Largest number of zone axes per material.
    shape
        Pixels (ky, kx).
    step_inv_a
        1/Å per pixel of all patterns; drawn for each where None.
    scattering
        How the intensities of the spots are computed.
    ranges, noise
        What settings and noise are drawn from.
    """

    seed: int = 0
    zones: int = 60
    shape: tuple[int, int] = (128, 128)
    step_inv_a: float | None = None
    scattering: Scattering = "two-beam"
    ranges: PairRanges = field(default=PairRanges())
    noise: NoiseRanges = field(default=NoiseRanges())

    def __post_init__(self) -> None:
        if self.seed < 0 or self.zones < 1:
            raise DataError(f"seed must be 0 or more and zones 1 or more, got {self.seed} and {self.zones}.")
        if len(self.shape) != 2 or not all(16 <= n <= 4096 for n in self.shape):
            raise DataError(
                f"shape must be two numbers (ky, kx) from 16 to 4096, got {self.shape}. Pass --shape KY,KX."
            )
        if self.scattering not in get_args(Scattering):
            known = ", ".join(get_args(Scattering))
            raise DataError(f"scattering must be one of {known}, got {self.scattering!r}. Pass --scattering.")
        if self.step_inv_a is not None and not 1e-4 <= self.step_inv_a <= 2 * self._max_step:
            raise DataError(
                f"step_inv_a must lie between 0.0001 and {2 * self._max_step:.3g} 1/Å per pixel for patterns of "
                f"{self.shape}, got {self.step_inv_a}. Pass --step-inv-a."
            )

    @property
    def _max_step(self) -> float:
        return 2 * self.ranges.reach_inv_a.high / min(self.shape)

    @property
    def k_max_inv_a(self) -> float:
        """Radius in 1/Å that reaches into every corner of every pattern."""
        return float(np.hypot(*self.shape)) / 2 * (self.step_inv_a or self._max_step)


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """One pattern as physics would have it, and as a camera gives it.

    Parameters
    ----------
    noisy
        What the camera writes (ky, kx), uint16 or uint32.
    clean
        Share of the beam in each pixel (ky, kx) without any noise: transmitted beam and all spots, in the same places.
    spot_px, spot_share
        Positions (M, 2) in order (ky, kx) of the spots on the detector, transmitted beam excepted, and the share of
        the beam in each (M,), brightest first.
    facts
        Material, zone axis, settings and all draws of the noise, in JSON's types.
    """

    noisy: AnyArray
    clean: Float32Array
    spot_px: Float32Array
    spot_share: Float32Array
    facts: dict[str, Any]


def training_zones(crystal: Crystal, count: int) -> tuple[Uvw, ...]:
    """Choose at most ``count`` zone axes [uvw], one per family of symmetry, lowest indices first.

    Indices go up to 8, and two reflections that are not on one line must lie within 1.6 1/Å. Small cubic cells have
    fewer than 60 such zones, copper 29.
    """
    chosen: list[Uvw] = []
    for max_index in range(1, MAX_ZONE_INDEX + 1):
        families = [tuple(int(i) for i in uvw) for uvw in zone_axes(crystal, max_index)]
        for u, v, w in families:
            if max(abs(u), abs(v), abs(w)) == max_index and _is_seen(crystal, (u, v, w)):
                chosen.append((u, v, w))
                if len(chosen) == count:
                    return tuple(chosen)
    return tuple(chosen)


def pairs(materials: Iterable[Material], options: PairOptions, *, repeat: int = 0) -> Iterator[Pair]:
    """Make one pair for each zone axis of each material, on the fly.

    Parameters
    ----------
    repeat
        Number of the pass over the materials: each gives other settings and other noise.

    Notes
    -----
    A pair hangs on the seed, the name of its material, its zone axis and ``repeat`` alone, so that it is the same
    whatever else is made before it or beside it.
    """
    for material in materials:
        for uvw in training_zones(material.crystal, options.zones):
            yield make_pair(material, uvw, options, repeat)


def make_pair(material: Material, uvw: Uvw, options: PairOptions, repeat: int = 0) -> Pair:
    """Make the pair of one material and zone axis; ``pairs`` for one."""
    rng = pattern_rng(options.seed, _number_of(material.name), *(i % 2**32 for i in uvw), repeat)
    settings = _draw(options, rng)
    oriented = orient(material.crystal, uvw, options.k_max_inv_a)
    noise = draw_noise(rng, options.noise)
    return _expose(material, oriented, uvw, settings, noise, options, rng)


@dataclass(frozen=True, slots=True)
class _Settings:
    beam: Beam
    step_inv_a: float
    thickness_a: float
    tilt_mrad: tuple[float, float]
    rotation_rad: float
    blur_px: float


def _draw(options: PairOptions, rng: np.random.Generator) -> _Settings:
    ranges = options.ranges
    energy_kev, tilt, azimuth = ranges.energy_kev.draw(rng), ranges.tilt_mrad.draw(rng), rng.uniform(0, 2 * np.pi)
    reach = ranges.reach_inv_a.draw(rng)
    step = options.step_inv_a or 2 * reach / min(options.shape)
    has_disks = rng.random() < ranges.disk_radius_px.chance
    radius_px = ranges.disk_radius_px.draw(rng)
    convergence = 1e3 * radius_px * step * Beam(energy_kev).wavelength_a if has_disks else 0.0
    return _Settings(
        Beam(energy_kev, convergence),
        step,
        ranges.thickness_a.draw(rng),
        (float(tilt * np.sin(azimuth)), float(tilt * np.cos(azimuth))),
        float(rng.uniform(0, 2 * np.pi)),
        ranges.blur_px.draw(rng),
    )


def _expose(
    material: Material, oriented: OrientedCrystal, uvw: Uvw, settings: _Settings, noise: Noise, options: PairOptions,
    rng: np.random.Generator,
) -> Pair:  # fmt: skip
    centre = ((options.shape[0] - 1) / 2, (options.shape[1] - 1) / 2)
    grid = distort(ReciprocalGrid((settings.step_inv_a,) * 2, centre), noise)
    conditions = Conditions.of(settings.thickness_a, settings.rotation_rad, settings.tilt_mrad)
    spots = diffract_many(oriented, settings.beam, conditions, scattering=options.scattering).pattern(0)
    shape = SpotShape.of(settings.beam, settings.blur_px)
    clean = render(spots, grid, options.shape, shape)
    dimmed = dim_spots(spots, noise, rng)
    sharp = clean if dimmed.direct == spots.direct else render(dimmed, grid, options.shape, shape)
    noisy = expose(sharp, noise, grid, rng)
    px = grid.px_of(spots.k_inv_a)
    listed = (spots.share >= MIN_LISTED_SHARE) & ((px >= -0.5) & (px < np.array(options.shape) - 0.5)).all(axis=1)
    order = np.flatnonzero(listed)[np.argsort(-spots.share[listed], kind="stable")]
    facts = _material_facts(material, uvw) | {
        "energy_kev": settings.beam.energy_kev,
        "semi_convergence_mrad": settings.beam.semi_convergence_mrad,
        "thickness_a": settings.thickness_a,
        "tilt_mrad": settings.tilt_mrad,
        "rotation_rad": settings.rotation_rad,
        "step_inv_a": settings.step_inv_a,
        "centre_px": grid.centre_px,
        "ellipse": grid.ellipse.tolist(),
        "blur_px": settings.blur_px,
        "scattering": options.scattering,
        "n_spots": len(order),
        "noise": asdict(noise),
    }
    return Pair(noisy, clean.astype(np.float32), px[order].astype(np.float32),
                spots.share[order].astype(np.float32), facts)  # fmt: skip


def _material_facts(material: Material, uvw: Uvw) -> dict[str, Any]:
    return {
        "material": material.name,
        "origin": material.origin,
        "composition": material.composition,
        "space_group": material.crystal.space_group.number,
        "crystal_system": material.crystal.crystal_system,
        "split": material.split,
        "zone_axis": list(uvw),
    }


def _number_of(name: str) -> int:
    """Number below 2^32 that hangs on the name alone."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")


def _is_seen(crystal: Crystal, uvw: Uvw) -> bool:
    """Whether two allowed reflections of the zone that are not on one line lie within reach."""
    net = zone_net(crystal, uvw, ZONE_REACH_INV_A)
    k = net.k_inv_a[~net.is_extinct]
    return len(k) > 0 and bool((np.abs(k[0, 0] * k[:, 1] - k[0, 1] * k[:, 0]) > 1e-6).any())
