"""Hexagonal zones of the candidate phases, and the ring radii that a scan itself teaches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from friedel.core.arrays import FloatArray, IntArray, read_only
from friedel.crystal import PhaseSet, is_hexagonal_net, zone_axes, zone_net
from friedel.identify.hexagons.lattice import SIXTY_DEG, Hexagons
from friedel.identify.hexagons.origins import find_origins

#: Share of the strongest ring's kinematic intensity below which a ring is not expected to be seen.
_FAINT = 0.01
#: Rings nearer than this are taken as one when a histogram of radii is read.
_BIN_RELATIVE = 0.002


@dataclass(frozen=True, slots=True, eq=False)
class HexagonalZone:
    """A phase along a zone axis with a six-fold net, as rings of six spots.

    Parameters
    ----------
    phase
        Index in the phase set.
    uvw
        Zone axis.
    radius_inv_a
        Ring radii within the annulus (R,), increasing.
    azimuth_rad
        Angle of a spot of each ring from the first ring's, modulo 60 degrees (R,).
    f2
        Kinematic |F|^2 of a spot in each ring (R,), relative to the strongest.
    """

    phase: int
    uvw: tuple[int, int, int]
    radius_inv_a: FloatArray
    azimuth_rad: FloatArray
    f2: FloatArray

    def __post_init__(self) -> None:
        for name in ("radius_inv_a", "azimuth_rad", "f2"):
            object.__setattr__(self, name, read_only(getattr(self, name), ndim=1, name=f"HexagonalZone.{name}"))


def hexagonal_zones(phases: PhaseSet, annulus_inv_a: tuple[float, float]) -> tuple[HexagonalZone, ...]:
    """Find the six-fold zones of every phase: one per phase and first-ring radius, the lowest index first.

    [001] of layered oxides, [111] of cubic phases. Faint rings (1 % of the strongest kinematic intensity) are left
    out; forbidden ones never appear: {100} of O3 NMC811 does not, {100} of O1 does.
    """
    zones: list[HexagonalZone] = []
    for index, crystal in enumerate(phases.crystals):
        seen: list[float] = []
        for uvw in zone_axes(crystal, 1):
            net = zone_net(crystal, uvw, annulus_inv_a[1])
            allowed = ~net.is_extinct
            if allowed.sum() < 6 or not is_hexagonal_net(net):
                continue
            zone = _rings_of(index, uvw, net.k_inv_a[allowed], net.f2[allowed], annulus_inv_a)
            if zone is None or any(abs(zone.radius_inv_a[0] / r - 1) < _BIN_RELATIVE for r in seen):
                continue
            seen.append(float(zone.radius_inv_a[0]))
            zones.append(zone)
    return tuple(zones)


def _rings_of(
    phase: int, uvw: IntArray, k: FloatArray, f2: FloatArray, annulus_inv_a: tuple[float, float]
) -> HexagonalZone | None:
    radius = np.hypot(k[:, 0], k[:, 1])
    azimuth = np.arctan2(k[:, 0], k[:, 1]) % SIXTY_DEG
    keep = (f2 >= _FAINT * f2.max()) & (radius >= annulus_inv_a[0]) & (radius <= annulus_inv_a[1])
    if not keep.any():
        return None
    key = np.round(np.stack([radius, np.minimum(azimuth, SIXTY_DEG - azimuth + 1e-9)], axis=1)[keep], 4)
    _, first = np.unique(key, axis=0, return_index=True)
    rows = np.flatnonzero(keep)[first]
    rows = rows[np.argsort(radius[rows], kind="stable")]
    axis = (int(uvw[0]), int(uvw[1]), int(uvw[2]))
    return HexagonalZone(phase, axis, radius[rows], (azimuth[rows] - azimuth[rows[0]]) % SIXTY_DEG, f2[rows] / f2.max())


@dataclass(frozen=True, slots=True, eq=False)
class LearnedRings:
    """What the radii of a scan's hexagons say about its scale and its rings.

    Parameters
    ----------
    scale
        Measured over computed radius, one factor for the whole scan; 1 where it could not be fitted.
    scale_sigma
        One-sigma error of ``scale``.
    computed_inv_a, learned_inv_a
        Radius of each candidate ring as computed and as found in the scan (N,); NaN where the scan shows none.
    phase
        Index of the phase of each ring (N,).
    n_hexagons
        Hexagons that support each ring (N,).
    known
        Probability that a candidate made each hexagon of the scan.
    """

    scale: float
    scale_sigma: float
    computed_inv_a: FloatArray
    learned_inv_a: FloatArray
    phase: IntArray
    n_hexagons: IntArray
    known: FloatArray


def learn_rings(
    hexagons: Hexagons,
    zones: Sequence[HexagonalZone],
    half_log_ratio: FloatArray,
    *,
    relative_sigma: float,
    tolerance: float,
) -> LearnedRings:
    """Fit one scale to all hexagons of a scan, tell which a candidate made, and find each ring among those.

    A ring's learned radius is the median of the hexagons within ``tolerance`` of it that a candidate made.

    Parameters
    ----------
    half_log_ratio
        Light where candidates have no reflections (N,), from ``light_at_halves``.
    relative_sigma
        Error of the calibration.
    tolerance
        Relative distance up to which a hexagon belongs to a ring after scaling.
    """
    computed = np.concatenate([zone.radius_inv_a for zone in zones])
    phase = np.concatenate([np.full(len(zone.radius_inv_a), zone.phase) for zone in zones])
    origins = find_origins(
        hexagons.radius_inv_a, hexagons.sigma_inv_a, half_log_ratio, computed, relative_sigma=relative_sigma
    )
    measured = hexagons.radius_inv_a[origins.known >= 0.5]
    learned = np.full(len(computed), np.nan)
    counts = np.zeros(len(computed), dtype=np.int64)
    for i, ring in enumerate(computed * origins.scale):
        near = measured[np.abs(measured / ring - 1.0) <= tolerance]
        counts[i] = len(near)
        if len(near):
            learned[i] = float(np.median(near))
    return LearnedRings(origins.scale, origins.scale_sigma, computed, learned, phase, counts, origins.known)
