"""Any phase at any zone axis: the reciprocal nets of the candidates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from friedel.core.arrays import BoolArray, FloatArray
from friedel.core.errors import DataError
from friedel.crystal import PhaseSet, reflections, zone_axes, zone_net


@dataclass(frozen=True, slots=True)
class ZoneOptions:
    """How spots are matched with zone axes.

    Parameters
    ----------
    max_index
        Zone axes [uvw] up to this index are tried.
    tolerance_inv_a
        A spot this near a reflection, in 1/Å, matches it; three sigmas of its position where that is more.
    relative_tolerance
        What the reflection's length may differ by strain or composition, added to the tolerance.
    max_false_alarms
        Expected number of equally good matches among random spots, over all zones and rotations tried, up to which a
        match is kept.
    min_relative_f2
        Reflections with a smaller share of the phase's strongest kinematic intensity are not expected to be seen;
        without this the dense nets of large cells would match anything.
    max_spots
        Only this many of the most significant spots of a pattern are matched.
    n_seeds
        Rotations are proposed by this many of the brightest spots.
    max_grains
        Most grains sought in one pattern.
    """

    max_index: int = 2
    tolerance_inv_a: float = 0.015
    relative_tolerance: float = 0.004
    max_false_alarms: float = 0.01
    min_relative_f2: float = 0.02
    max_spots: int = 60
    n_seeds: int = 8
    max_grains: int = 4

    def __post_init__(self) -> None:
        if not 1 <= self.max_index <= 5 or not 0 < self.tolerance_inv_a < 1 or not 0 <= self.relative_tolerance < 0.1:
            raise DataError(
                "ZoneOptions needs 1 <= max_index <= 5, 0 < tolerance_inv_a < 1 (1/Å) and "
                f"0 <= relative_tolerance < 0.1, got {self.max_index}, {self.tolerance_inv_a}, "
                f"{self.relative_tolerance}."
            )
        if not self.max_false_alarms > 0 or min(self.n_seeds, self.max_spots) < 2 or self.max_grains < 1:
            raise DataError("ZoneOptions needs max_false_alarms > 0, n_seeds >= 2, max_spots >= 2 and max_grains >= 1.")


@dataclass(frozen=True, slots=True, eq=False)
class ZoneTemplate:
    """The allowed reflections of one phase along one zone axis, within the annulus.

    Parameters
    ----------
    phase
        Index in the phase set.
    uvw
        Zone axis.
    k_inv_a
        Allowed reflections (N, 2) in the annulus, order (ky, kx).
    basis_inv_a
        Rows span the net (2, 2).
    is_allowed
        Lookup (2L+1, 2L+1) by net coordinates, offset by L.
    """

    phase: int
    uvw: tuple[int, int, int]
    k_inv_a: FloatArray
    basis_inv_a: FloatArray
    is_allowed: BoolArray


def build_templates(
    phases: PhaseSet, options: ZoneOptions, annulus_inv_a: tuple[float, float]
) -> tuple[ZoneTemplate, ...]:
    """Compute the nets of all phases and zone axes that have four reflections or more in the annulus."""
    low, high = annulus_inv_a
    templates = []
    for index, crystal in enumerate(phases.crystals):
        faintest = options.min_relative_f2 * float(reflections(crystal, 1.0 / high).f2.max(initial=0.0))
        for uvw in zone_axes(crystal, options.max_index):
            net = zone_net(crystal, uvw, high)
            k = net.k_inv_a
            radius = np.hypot(k[:, 0], k[:, 1])
            allowed = ~net.is_extinct & (net.f2 >= faintest)
            inside = allowed & (radius >= low) & (radius <= high)
            if inside.sum() < 4:
                continue
            coordinates = np.rint(k[allowed] @ np.linalg.inv(net.basis_inv_a)).astype(int)
            reach = int(np.abs(coordinates).max()) + 1
            lookup = np.zeros((2 * reach + 1, 2 * reach + 1), dtype=bool)
            lookup[tuple((coordinates + reach).T)] = True
            axis = (int(uvw[0]), int(uvw[1]), int(uvw[2]))
            templates.append(ZoneTemplate(index, axis, k[inside], net.basis_inv_a, lookup))
    return tuple(templates)


def turned(k_inv_a: FloatArray, angle_rad: float) -> FloatArray:
    """Turn positions (N, 2) in order (ky, kx) from +kx towards +ky."""
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    ky, kx = k_inv_a.T
    return np.stack([cos * ky + sin * kx, cos * kx - sin * ky], axis=1)
