"""Grains in the plane of a micrograph: outlines, and the fringes of a crystal at a zone axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from friedel.core.arrays import BoolArray, FloatArray, IntArray
from friedel.core.errors import DataError
from friedel.crystal import Crystal, zone_net

#: Corners of a grain's outline, and how far their distances from the middle scatter (relative).
N_CORNERS, ROUGHNESS = 8, 0.15
MAX_TRIES = 4000


@dataclass(frozen=True, slots=True, eq=False)
class Grain:
    """A crystal seen along a zone axis, with a star-shaped outline.

    Parameters
    ----------
    phase
        Name of its phase.
    centre_px
        Middle (y, x) in pixels.
    corner_px
        Distance of each corner from the middle (C,), at equal steps of azimuth.
    hkl
        Indices (K, 3), one of each Friedel pair.
    k_inv_a
        Positions (K, 2) in order (ky, kx), turned into the frame of the image.
    amplitude
        Modulus of the structure factor over the largest one of the zone, (K,).
    """

    phase: str
    centre_px: tuple[float, float]
    corner_px: FloatArray
    hkl: IntArray
    k_inv_a: FloatArray
    amplitude: FloatArray

    def covers(self, y_px: FloatArray, x_px: FloatArray) -> BoolArray:
        """Whether points lie in the outline; the edge runs straight in azimuth and distance between the corners."""
        dy, dx = y_px - self.centre_px[0], x_px - self.centre_px[1]
        turns = (np.arctan2(dy, dx) / (2 * np.pi)) % 1.0 * len(self.corner_px)
        edge = np.interp(turns, np.arange(len(self.corner_px) + 1), np.append(self.corner_px, self.corner_px[0]))
        return np.asarray(np.hypot(dy, dx) <= edge)


def grain_of(
    crystal: Crystal,
    uvw: tuple[int, int, int],
    *,
    centre_px: tuple[float, float],
    corner_px: FloatArray,
    rotation_deg: float,
    g_max_inv_a: float = 1.0,
) -> Grain:
    """Make a grain of a crystal at a zone axis, turned by ``rotation_deg`` from +kx towards +ky."""
    net = zone_net(crystal, uvw, g_max_inv_a)
    half = (net.k_inv_a[:, 0] > 1e-9) | ((np.abs(net.k_inv_a[:, 0]) <= 1e-9) & (net.k_inv_a[:, 1] > 0))
    shown = half & ~net.is_extinct
    angle = np.deg2rad(rotation_deg)
    ky, kx = net.k_inv_a[shown].T
    turned = np.stack([ky * np.cos(angle) + kx * np.sin(angle), kx * np.cos(angle) - ky * np.sin(angle)], axis=1)
    amplitude = np.sqrt(net.f2[shown] / net.f2[shown].max())
    return Grain(crystal.name, centre_px, corner_px, net.hkl[shown], turned, amplitude)


def random_outline(radius_px: float, rng: np.random.Generator) -> FloatArray:
    """Distances of the corners of a rough disk from its middle, (C,)."""
    return np.asarray(radius_px * (1 + ROUGHNESS * rng.uniform(-1, 1, N_CORNERS)))


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
