"""A random polycrystal in an amorphous matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from friedel.core.errors import DataError
from friedel.crystal import Crystal, zone_axes
from friedel.simulate.micrographs.grains import Grain, voronoi_regions
from friedel.simulate.micrographs.sampling import Sampling
from friedel.simulate.micrographs.specimen import Specimen


@dataclass(frozen=True, slots=True)
class Polycrystal:
    """What a random specimen is made of.

    Parameters
    ----------
    n_cells
        Cells of a Voronoi tessellation.
    matrix_share
        Share of the cells that hold no crystal.
    thickness_a
        Range of the thickness of grains.
    tilt_mrad
        Scale of the Rayleigh distribution of mistilts.
    max_index
        Largest index of the zone axes.
    film_a
        Thickness of the amorphous film.
    """

    n_cells: int = 16
    matrix_share: float = 0.3
    thickness_a: tuple[float, float] = (20.0, 80.0)
    tilt_mrad: float = 3.0
    max_index: int = 1
    film_a: float = 80.0

    def __post_init__(self) -> None:
        low, high = self.thickness_a
        if not 0 < low <= high:
            raise DataError(f"thickness_a must be a range 0 < low <= high in Å, got {self.thickness_a}.")
        if not 0 <= self.matrix_share <= 1 or not self.tilt_mrad >= 0:
            raise DataError("matrix_share must lie in [0, 1], and tilt_mrad must not be negative.")


def random_polycrystal(
    crystals: Sequence[Crystal], sampling: Sampling, options: Polycrystal, rng: np.random.Generator
) -> Specimen:
    """Fill the cells of a tessellation with grains; the phases take turns, so that each has its share."""
    cells = voronoi_regions(sampling.shape, options.n_cells, rng)
    cells = cells[: len(cells) - round(options.matrix_share * len(cells))]
    grains = []
    for i, cell in enumerate(cells):
        crystal = crystals[i % len(crystals)]
        axes = zone_axes(crystal, options.max_index)
        u, v, w = (int(x) for x in axes[int(rng.integers(len(axes)))])
        tilt, azimuth = rng.rayleigh(options.tilt_mrad), rng.uniform(0, 2 * np.pi)
        grains.append(
            Grain(
                crystal,
                (u, v, w),
                cell,
                rotation_deg=float(rng.uniform(0, 360)),
                tilt_mrad=(float(tilt * np.sin(azimuth)), float(tilt * np.cos(azimuth))),
                thickness_a=float(rng.uniform(*options.thickness_a)),
            )
        )
    return Specimen(tuple(grains), options.film_a, tuple(crystal.name for crystal in crystals))
