"""What the beam passes at each position of a scan: vacuum, films, and crystals of any phase along any zone axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import fft

from friedel.core.arrays import FloatArray, IntArray, read_only
from friedel.core.errors import DataError
from friedel.crystal import Crystal, load_phase, zone_axes

#: A phase counts as present where it fills this share of the column, and is so thick.
MIN_COLUMN_SHARE, MIN_THICKNESS_A = 0.1, 15.0


@dataclass(frozen=True, slots=True)
class Layer:
    """A crystal in the way of the beam.

    Parameters
    ----------
    crystal
        The structure.
    uvw
        Zone axis along the beam.
    thickness_a
        Mean thickness along the beam.
    rotation_deg
        In-plane rotation from +kx towards +ky.
    tilt_mrad
        Mean mistilt about the kx and ky axes.
    fault_share
        Share of stacking faults among the slabs of a layered oxide (``faults``), in [0, 1).
    """

    crystal: Crystal
    uvw: tuple[int, int, int]
    thickness_a: float = 200.0
    rotation_deg: float = 0.0
    tilt_mrad: tuple[float, float] = (0.0, 0.0)
    fault_share: float = 0.0

    def __post_init__(self) -> None:
        if not self.thickness_a > 0:
            raise DataError(f"{self.crystal.name}: thickness_a must be positive, got {self.thickness_a}.")
        if not 0 <= self.fault_share < 1:
            raise DataError(f"{self.crystal.name}: fault_share must lie in [0, 1), got {self.fault_share}.")


@dataclass(frozen=True, slots=True)
class Region:
    """What fills a part of the scan.

    Parameters
    ----------
    layers
        Crystals in the order in which the beam passes them; none in vacuum and films.
    halo_share, amorphous_share
        Shares of the electrons in the halo about the beam and in the rings of an amorphous film (``Noise``).
    """

    layers: tuple[Layer, ...] = ()
    halo_share: float = 0.0
    amorphous_share: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A sample as the scan sees it.

    Parameters
    ----------
    regions
        What there is.
    where
        Index into ``regions`` of each position (ry, rx).
    """

    regions: tuple[Region, ...]
    where: IntArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "where", read_only(self.where, ndim=2, name="Sample.where", dtype=np.int64))
        if not 0 <= self.where.min() <= self.where.max() < len(self.regions):
            raise DataError(f"Sample.where must hold numbers of its {len(self.regions)} regions, from 0.")

    @property
    def crystals(self) -> tuple[Crystal, ...]:
        """Crystals of all regions in the order in which they occur, each phase once."""
        return tuple({layer.crystal.name: layer.crystal for r in self.regions for layer in r.layers}.values())


def voronoi_sample(
    crystals: Sequence[Crystal],
    scan_shape: tuple[int, int],
    rng: np.random.Generator,
    *,
    n_grains: int = 12,
    zones: Sequence[tuple[int, int, int]] | None = None,
    thickness_a: float = 200.0,
) -> Sample:
    """Lay out grains of these crystals in turn, each at a random zone axis and rotation, with a film and vacuum.

    Parameters
    ----------
    n_grains
        Grains of crystals; one region in eight more is an amorphous film, another vacuum, at least one of each.
    zones
        Zone axes to draw from; by default all low-index ones of each crystal, up to index 1.
    """
    if n_grains < 1 or not crystals:
        raise DataError(f"A sample needs at least one grain and one crystal, got {n_grains} and {len(crystals)}.")
    regions = []
    for i in range(n_grains):
        crystal = crystals[i % len(crystals)]
        axes = np.asarray(zones if zones is not None else zone_axes(crystal, 1))
        u, v, w = (int(x) for x in axes[rng.integers(len(axes))])
        layer = Layer(crystal, (u, v, w), thickness_a * float(rng.uniform(0.6, 1.4)), float(rng.uniform(0.0, 360.0)))
        regions.append(Region((layer,), halo_share=0.2))
    n_more = max(1, n_grains // 8)
    regions += [*[Region(halo_share=0.1, amorphous_share=0.3)] * n_more, *[Region()] * n_more]
    seeds = rng.uniform(0.0, 1.0, (len(regions), 2)) * scan_shape
    position = np.moveaxis(np.indices(scan_shape), 0, -1)[:, :, None]
    return Sample(tuple(regions), ((position - seeds) ** 2).sum(axis=-1).argmin(axis=-1))


def cathode_sample(scan_shape: tuple[int, int], *, fault_share: float = 0.0) -> Sample:
    """Lay out a particle of charged NMC811 along [001] of its layers.

    O3, an inclined lamella of O1, a band where O3 lies on O1, and towards the surface spinel and rock salt, a carbon
    film and vacuum. All lattices share the oxygen planes, so that their azimuths are tied: {100} of O1 lies 30 degrees
    from {110} of O3 and from {220} of rock salt and {440} of spinel along [111].
    """
    o3, o1, spinel, salt = (load_phase(name) for name in ("nmc811-o3", "nmc811-o1", "limn2o4", "nio"))
    turn = 8.6
    matrix = Layer(o3, (0, 0, 1), 170.0, turn, fault_share=fault_share)
    lamella = Layer(o1, (0, 0, 1), 170.0, turn + 30.0)
    stacked = (Layer(o3, (0, 0, 1), 100.0, turn), Layer(o1, (0, 0, 1), 70.0, turn + 30.0))
    crust = [(Layer(crystal, (1, 1, 1), 120.0, turn),) for crystal in (spinel, salt)]
    layers = [(matrix,), (lamella,), stacked, *crust]
    regions = [*(Region(part, halo_share=0.25) for part in layers), Region((), 0.15, 0.3), Region()]
    y, x = np.indices(scan_shape) / np.array(scan_shape, dtype=np.float64).reshape(2, 1, 1)
    edge = 1.10 - 0.45 * y - 0.2 * np.sin(4.0 * y)
    where = np.zeros(scan_shape, dtype=np.int64)
    where[np.abs(y - 0.2 - 0.35 * x) < 0.09] = 1
    where[np.abs(y - 0.55 - 0.35 * x) < 0.07] = 2
    for region, inset in ((3, 0.30), (4, 0.20), (5, 0.10), (6, 0.0)):
        where[x > edge - inset] = region
    return Sample(tuple(regions), where)


def smooth_field(shape: tuple[int, int], correlation_px: float, rng: np.random.Generator) -> FloatArray:
    """Random field (ry, rx) of mean 0 and variance 1 whose correlation falls as exp(-(r / 2 correlation_px)^2)."""
    white = fft.rfft2(rng.standard_normal(shape))
    ky, kx = fft.fftfreq(shape[0])[:, None], fft.rfftfreq(shape[1])
    transfer = np.exp(-2.0 * (np.pi * correlation_px) ** 2 * (ky**2 + kx**2))
    transfer /= np.sqrt(fft.irfft2(transfer**2, s=shape)[0, 0])
    return np.asarray(fft.irfft2(white * transfer, s=shape))
