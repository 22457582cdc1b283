"""Grains in the plane of a micrograph: where they are, and the beams of the crystal in them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from friedel.core.arrays import AnyArray, BoolArray, ComplexArray, FloatArray, IntArray
from friedel.core.beam import Beam
from friedel.core.errors import DataError
from friedel.crystal import Crystal, structure_factors, zone_net

#: Corners of a grain's outline, and how far their distances from the middle scatter (relative).
N_CORNERS, ROUGHNESS = 8, 0.15
MAX_TRIES = 4000
#: Spacings below 0.8 Å are not imaged.
G_MAX_INV_A = 1.25


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """Pixels of a grain: a mask (h, w) whose first pixel lies at ``offset_px`` (y, x) of the picture."""

    offset_px: tuple[int, int]
    mask: BoolArray

    @property
    def window(self) -> tuple[slice, slice]:
        """The part of the picture that the mask covers."""
        (y, x), (height, width) = self.offset_px, self.mask.shape
        return slice(y, y + height), slice(x, x + width)

    @property
    def area_px(self) -> int:
        """Number of pixels."""
        return int(self.mask.sum())

    def middle_px(self) -> FloatArray:
        """Centre of mass (y, x)."""
        return np.array([axis.mean() for axis in np.nonzero(self.mask)]) + self.offset_px

    def finer(self, factor: int) -> Region:
        """The same region on so many times as many pixels along each axis."""
        y, x = self.offset_px
        return Region((factor * y, factor * x), self.mask.repeat(factor, axis=0).repeat(factor, axis=1))


@dataclass(frozen=True, slots=True, eq=False)
class Grain:
    """A crystal laid along a zone axis in a region of the picture.

    Parameters
    ----------
    crystal, uvw
        The structure, and the zone axis along the beam.
    region
        Its pixels.
    rotation_deg
        In-plane rotation of ``zone_net``'s frame, from +kx towards +ky.
    tilt_mrad
        Centre of the Laue circle (y, x) as an angle: the mistilt.
    thickness_a
        In the middle of the region.
    wedge
        Change of the thickness per Å along (y, x).
    origin_a
        Position (y, x) in Å of an origin of the lattice.
    """

    crystal: Crystal
    uvw: tuple[int, int, int]
    region: Region
    rotation_deg: float = 0.0
    tilt_mrad: tuple[float, float] = (0.0, 0.0)
    thickness_a: float = 50.0
    wedge: tuple[float, float] = (0.0, 0.0)
    origin_a: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if not self.thickness_a > 0:
            raise DataError(f"thickness_a of a grain of {self.crystal.name} must be positive, got {self.thickness_a}.")


@dataclass(frozen=True, slots=True, eq=False)
class Beams:
    """The diffracted beams of a grain, both +g and -g.

    Parameters
    ----------
    hkl
        Miller indices (N, 3) of the net that the allowed reflections span, extinct ones in it included.
    node
        Place in that net, in steps of its two basis vectors, (N, 2).
    k_inv_a
        Positions (N, 2) in order (ky, kx), turned into the frame of the picture.
    coupling_inv_a
        Phase shift per Å of thickness of the wave exp(2 pi i k r), complex (N,).
    excitation_inv_a
        Excitation errors, (N,).
    """

    hkl: IntArray
    node: IntArray
    k_inv_a: FloatArray
    coupling_inv_a: ComplexArray
    excitation_inv_a: FloatArray

    def amplitudes(self, thickness_a: float) -> ComplexArray:
        """Coefficients (N,) of the phase shift, kinematically: coupling times t times sinc(s t).

        Williams and Carter, Transmission Electron Microscopy, 2nd ed., chapter 13, with the wave referred to the
        middle of the foil.
        """
        return np.asarray(self.coupling_inv_a * thickness_a * np.sinc(self.excitation_inv_a * thickness_a))


def beams_of(grain: Grain, beam: Beam, g_max_inv_a: float = G_MAX_INV_A) -> Beams:
    """Compute the beams of a grain up to a radius in 1/Å.

    Notes
    -----
    The projected potential of the zone is sum V_g exp(-2 pi i g r) with V_g = h^2 F_g / (2 pi m e V_cell), and the
    interaction constant 2 pi m e lambda / h^2 turns it into a phase shift of gamma lambda F_g / V_cell per Å (Kirkland,
    Advanced Computing in Electron Microscopy, 2nd ed., chapters 2 and 5). The mean potential is left out, as the matrix
    about the grains has about the same. Excitation error s = g tilt - lambda g^2 / 2: zero on the Laue circle.
    """
    hkl, node, k, factor = _zone(grain.crystal, grain.uvw, g_max_inv_a)
    angle = math.radians(grain.rotation_deg)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    k = k @ turn
    shift = np.exp(-2j * np.pi * (k @ np.array(grain.origin_a)))
    coupling = beam.gamma * beam.wavelength_a / grain.crystal.volume_a3 * factor.conj() * shift
    excitation = 1e-3 * (k @ np.array(grain.tilt_mrad)) - 0.5 * beam.wavelength_a * (k**2).sum(axis=1)
    return Beams(hkl, node, k, coupling, excitation)


@lru_cache(maxsize=512)
def _zone(
    crystal: Crystal, uvw: tuple[int, int, int], g_max_inv_a: float
) -> tuple[IntArray, IntArray, FloatArray, ComplexArray]:
    """Indices, places in the net, positions and structure factors of a zone's nodes."""
    net = zone_net(crystal, uvw, g_max_inv_a)
    steps = net.k_inv_a @ np.linalg.inv(net.basis_inv_a)
    node = np.rint(steps).astype(np.int64)
    keep = (np.abs(steps - node) < 1e-3).all(axis=1)
    return net.hkl[keep], node[keep], net.k_inv_a[keep], structure_factors(crystal, net.hkl[keep])


def random_outline(radius_px: float, rng: np.random.Generator) -> FloatArray:
    """Distances of the corners of a rough disk from its middle, (C,)."""
    return np.asarray(radius_px * (1 + ROUGHNESS * rng.uniform(-1, 1, N_CORNERS)))


def star_region(shape: tuple[int, int], centre_px: tuple[float, float], corner_px: FloatArray) -> Region:
    """Fill a star-shaped outline.

    Parameters
    ----------
    centre_px
        Middle (y, x).
    corner_px
        Distance of each corner from the middle (C,), at equal steps of azimuth; the edge runs straight in azimuth and
        distance between the corners.
    """
    reach = float(corner_px.max())
    spans = [
        np.arange(min(max(0, math.floor(c - reach)), n), max(min(n, math.ceil(c + reach) + 1), 0))
        for c, n in zip(centre_px, shape, strict=True)
    ]
    dy, dx = spans[0][:, None] - centre_px[0], spans[1] - centre_px[1]
    turns = (np.arctan2(dy, dx) / (2 * np.pi)) % 1.0 * len(corner_px)
    edge = np.interp(turns, np.arange(len(corner_px) + 1), np.append(corner_px, corner_px[0]))
    offset = tuple(int(span[0]) if len(span) else 0 for span in spans)
    return Region((offset[0], offset[1]), np.asarray(np.hypot(dy, dx) <= edge))


def voronoi_regions(shape: tuple[int, int], n_cells: int, rng: np.random.Generator) -> list[Region]:
    """Cut the picture into the cells of points drawn at random, each the pixels that are nearest to its point."""
    if n_cells < 1:
        raise DataError(f"At least one grain is needed, got {n_cells}.")
    points = rng.uniform(0, 1, (n_cells, 2)) * shape
    y, x = (np.arange(n, dtype=np.float32) for n in shape)
    nearest, owner = np.full(shape, np.inf, dtype=np.float32), np.zeros(shape, dtype=np.int16)
    for i, (py, px) in enumerate(points.astype(np.float32)):
        distance = (y - py)[:, None] ** 2 + (x - px) ** 2
        closer = distance < nearest
        nearest[closer], owner[closer] = distance[closer], i
    return [region_of(owner == i) for i in range(n_cells) if (owner == i).any()]


def region_of(mask: AnyArray) -> Region:
    """Cut a mask of the whole picture, at least one pixel of it set, to the window that holds it."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    y, x = int(rows[0]), int(columns[0])
    return Region((y, x), np.array(mask[y : rows[-1] + 1, x : columns[-1] + 1], dtype=bool))


def place_disks(shape: tuple[int, int], radii_px: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Draw middles (N, 2) of disks that neither overlap nor leave the picture.

    Raises
    ------
    DataError
        If they do not fit.
    """
    placed: list[FloatArray] = []
    for radius in radii_px:
        for _ in range(MAX_TRIES):
            middle = rng.uniform(radius, np.array(shape) - radius) if 2 * radius < min(shape) else np.full(2, np.nan)
            apart = [np.hypot(*(middle - other)) - radii_px[j] for j, other in enumerate(placed)]
            if min(apart, default=np.inf) > radius:
                placed.append(middle)
                break
        else:
            raise DataError(f"{len(radii_px)} grains do not fit into {shape} px. Draw fewer or smaller ones.")
    return np.array(placed).reshape(-1, 2)


def finer_grain(grain: Grain, factor: int) -> Grain:
    """The same grain on so many times as many pixels along each axis."""
    return replace(grain, region=grain.region.finer(factor))
