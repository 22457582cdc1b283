"""A small simulated 4D-STEM scan of NMC811 with its truth, for the demo and for tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from friedel.core.arrays import AnyArray, FloatArray
from friedel.core.beam import Beam
from friedel.core.grids import RealGrid, ReciprocalGrid
from friedel.core.images import PatternScan
from friedel.core.phase_map import PhaseMap
from friedel.crystal import load_phases
from friedel.simulate.diffraction import OrientedCrystal, SpotPattern, diffract, orient

#: Regions of the demo scan: vacuum, amorphous carbon, and columns of the phases named.
VACUUM, CARBON, O3, O1, BOTH = range(5)
#: In-plane rotation of the grain.
_GRAIN_RAD = 0.15


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """How the demo scan is taken.

    Parameters
    ----------
    scan_shape, pattern_shape
        Positions (ry, rx) and pixels (ky, kx).
    step_inv_a
        1/Å per detector pixel.
    dose_electrons
        Electrons per pattern.
    halo_share
        Share of the electrons in the diffuse halo about the beam where there is material.
    descan_px
        Drift of the beam over the whole scan, along each axis.
    """

    scan_shape: tuple[int, int] = (32, 40)
    pattern_shape: tuple[int, int] = (128, 128)
    step_inv_a: float = 0.0165
    dose_electrons: float = 3000.0
    halo_share: float = 0.25
    descan_px: float = 2.0


def simulate_nmc811_scan(seed: int, options: ScanOptions | None = None) -> tuple[PatternScan, PhaseMap]:
    """Simulate a grain of O3 NMC811 with lamellae of O1, a stretch where both lie along the beam, carbon and vacuum.

    Returns
    -------
    scan
        uint16 electron counts (ry, rx, ky, kx), with scale and energy as a good file has them.
    truth
        Presence 0 or 1 of ``nmc811-o3`` and ``nmc811-o1``.
    """
    options = options or ScanOptions()
    rng = np.random.default_rng(seed)
    phases = load_phases(["nmc811-o3", "nmc811-o1"])
    beam = Beam(energy_kev=300.0, semi_convergence_mrad=0.8)
    regions = _regions(options.scan_shape)
    ky, kx = options.pattern_shape
    o3, o1 = (orient(crystal, (0, 0, 1), 1.2) for crystal in phases.crystals)
    counts = np.zeros((*options.scan_shape, ky, kx), dtype=np.uint16)
    for ry, rx in np.ndindex(*options.scan_shape):
        spots = _column_spots(int(regions[ry, rx]), o3, o1, beam, rng)
        drift = options.descan_px * np.array([ry / options.scan_shape[0] - 0.5, rx / options.scan_shape[1] - 0.5])
        counts[ry, rx] = _expose(spots, bool(regions[ry, rx] != VACUUM), drift, beam, options, rng)
    centre = ((ky - 1) / 2.0, (kx - 1) / 2.0)
    grid = ReciprocalGrid((options.step_inv_a,) * 2, centre, source="metadata")
    scan = PatternScan(counts, grid, RealGrid((20.0, 20.0)), beam)
    presence = np.stack([np.isin(regions, (O3, BOTH)), np.isin(regions, (O1, BOTH))], axis=-1).astype(np.float32)
    names = tuple(crystal.name for crystal in phases.crystals)
    return scan, PhaseMap(names, presence, np.ones(options.scan_shape, dtype=bool), scan.scan_grid)


def _regions(scan_shape: tuple[int, int]) -> AnyArray:
    """Lay out the demo sample: a grain with an inclined lamella, a band of both, a carbon film, vacuum in a corner."""
    y, x = np.indices(scan_shape) / np.array(scan_shape).reshape(2, 1, 1)
    out = np.full(scan_shape, O3)
    out[np.abs(y - 0.2 - 0.35 * x) < 0.09] = O1
    out[np.abs(y - 0.55 - 0.35 * x) < 0.07] = BOTH
    edge = 1.15 - 0.55 * y - 0.25 * np.sin(4.0 * y)
    out[x > edge - 0.12] = CARBON
    out[x > edge] = VACUUM
    return out


def _column_spots(
    region: int, o3: OrientedCrystal, o1: OrientedCrystal, beam: Beam, rng: np.random.Generator
) -> list[SpotPattern]:
    """Spots of what the beam passes at one position; crystals stacked along the beam are taken one after the other."""
    tilt = (float(rng.normal(0.0, 2.0)), float(rng.normal(0.0, 2.0)))
    thickness = float(rng.uniform(120.0, 220.0))
    layers = {O3: [(o3, thickness)], O1: [(o1, thickness)], BOTH: [(o3, 0.6 * thickness), (o1, 0.4 * thickness)]}
    # The layered cells share their a axis; the first spot of O1, {100}, lies 30 degrees from that of O3, {110}.
    return [
        diffract(
            crystal,
            beam,
            thickness_a=t,
            rotation_rad=_GRAIN_RAD + (np.pi / 6.0 if crystal is o1 else 0.0),
            tilt_mrad=tilt,
        )
        for crystal, t in layers.get(region, [])
    ]


def _expose(
    spots: list[SpotPattern], has_matter: bool, drift_px: FloatArray, beam: Beam, options: ScanOptions,
    rng: np.random.Generator,
) -> AnyArray:  # fmt: skip
    """Draw Poisson counts of the direct beam, the spots and the halo on the detector."""
    ky, kx = options.pattern_shape
    centre = np.array([(ky - 1) / 2.0, (kx - 1) / 2.0]) + drift_px
    direct = float(np.prod([s.direct for s in spots])) if spots else 1.0
    k = np.concatenate([np.zeros((1, 2)), *(s.k_inv_a for s in spots)])
    share = np.concatenate([[direct], *(s.share for s in spots)])
    share /= share.sum()
    # A disk of radius alpha / lambda has a standard deviation of half its radius; the detector's blur adds 0.6 px.
    sigma = np.hypot(0.5e-3 * beam.semi_convergence_mrad / beam.wavelength_a / options.step_inv_a, 0.6)
    px = centre + k / options.step_inv_a
    y = np.exp(-0.5 * ((np.arange(ky) - px[:, :1]) / sigma) ** 2)
    x = np.exp(-0.5 * ((np.arange(kx) - px[:, 1:]) / sigma) ** 2)
    sharp = np.einsum("n,ny,nx->yx", share / (2.0 * np.pi * sigma**2), y, x)
    rows, columns = np.indices((ky, kx))
    radius = np.hypot(rows - centre[0], columns - centre[1]) * options.step_inv_a
    halo = 1.0 / (1.0 + (radius / 0.15) ** 2) ** 1.5
    halo_share = options.halo_share if has_matter else 0.0
    mean = options.dose_electrons * ((1.0 - halo_share) * sharp + halo_share * halo / halo.sum())
    return np.asarray(np.minimum(rng.poisson(mean), np.iinfo(np.uint16).max))
