"""Patterns of one crystal along several zone axes under random conditions, with a table of their spots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from friedel.core.errors import DataError
from friedel.core.images import PatternScan
from friedel.crystal import Crystal
from friedel.simulate.patterns.acquisition import Acquisition
from friedel.simulate.patterns.diffraction import Conditions, SpotPatterns, diffract_many, orient
from friedel.simulate.patterns.noise import dim_spots, distort, expose, pattern_rng
from friedel.simulate.patterns.render import SpotShape, render


@dataclass(frozen=True, slots=True)
class Draws:
    """Ranges from which the conditions of a pattern are drawn.

    Parameters
    ----------
    per_zone
        Patterns of each zone axis.
    thickness_a
        Least and largest thickness.
    tilt_mrad
        One-sigma mistilt about each axis.
    is_turned
        Whether the crystals are turned in the plane at random.
    """

    per_zone: int = 16
    thickness_a: tuple[float, float] = (50.0, 400.0)
    tilt_mrad: float = 3.0
    is_turned: bool = True

    def __post_init__(self) -> None:
        if self.per_zone < 1:
            raise DataError(f"per_zone must be at least 1, got {self.per_zone}.")
        if not 0 < self.thickness_a[0] <= self.thickness_a[1]:
            raise DataError(f"thickness_a must be two positive lengths in Å, low <= high, got {self.thickness_a}.")


@dataclass(frozen=True, slots=True, eq=False)
class PatternSet:
    """Patterns (zone, draw, ky, kx) in the shape of a scan, one row per zone axis, and what is true of them.

    Parameters
    ----------
    scan
        What the camera wrote.
    uvw
        Zone axis of each row.
    conditions, spots
        Conditions and spots of each row's patterns.
    """

    scan: PatternScan
    uvw: tuple[tuple[int, int, int], ...]
    conditions: tuple[Conditions, ...]
    spots: tuple[SpotPatterns, ...]


def simulate_patterns(
    crystal: Crystal, zones: Sequence[tuple[int, int, int]], acquisition: Acquisition, draws: Draws, seed: int
) -> PatternSet:
    """Simulate patterns of a crystal; of the acquisition, what concerns the sample and the scan is not used."""
    if not zones:
        raise DataError("Name at least one zone axis, e.g. --zone 0,0,1.")
    conditions, spots, rows = [], [], []
    shape = SpotShape.of(acquisition.beam, acquisition.spot_blur_px)
    grid = distort(acquisition.grid, acquisition.noise)
    for row, uvw in enumerate(zones):
        rng = pattern_rng(seed, row)
        turn = rng.uniform(0.0, 2.0 * np.pi, draws.per_zone) if draws.is_turned else np.zeros(draws.per_zone)
        conditions.append(
            Conditions(
                rng.uniform(*draws.thickness_a, draws.per_zone),
                turn,
                draws.tilt_mrad * rng.standard_normal((draws.per_zone, 2)),
            )
        )
        oriented = orient(crystal, uvw, acquisition.reach_inv_a)
        spots.append(diffract_many(oriented, acquisition.beam, conditions[-1], scattering=acquisition.scattering))
        for i in range(draws.per_zone):
            own = pattern_rng(seed, row, i)
            dimmed = dim_spots(spots[-1].pattern(i), acquisition.noise, own)
            share = render(dimmed, grid, acquisition.pattern_shape, shape)
            rows.append(expose(share, acquisition.noise, grid, own))
    data = np.stack(rows).reshape(len(zones), draws.per_zone, *acquisition.pattern_shape)
    scan = PatternScan(data, acquisition.grid, None, acquisition.beam)
    return PatternSet(scan, tuple(zones), tuple(conditions), tuple(spots))
