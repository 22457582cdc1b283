"""A small simulated 4D-STEM scan of NMC811 with its truth, for the demo and for tests."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from friedel.core.arrays import IntArray
from friedel.core.images import PatternScan
from friedel.core.phase_map import PhaseMap
from friedel.crystal import load_phase
from friedel.simulate.patterns.acquisition import Acquisition, simulate_scan
from friedel.simulate.patterns.noise import Noise
from friedel.simulate.patterns.sample import Layer, Region, Sample

#: In-plane rotation of the grain; the first spot of O1, {100}, lies 30 degrees from that of O3, {110}.
_GRAIN_DEG = 8.6


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
        uint16 electron counts (ry, rx, ky, kx) in memory, with scale and energy as a good file has them.
    truth
        Presence 0 or 1 of ``nmc811-o3`` and ``nmc811-o1``.
    """
    options = options or ScanOptions()
    acquisition = Acquisition(
        pattern_shape=options.pattern_shape,
        step_inv_a=options.step_inv_a,
        noise=Noise(dose_electrons=options.dose_electrons, halo_width_inv_a=0.15),
        descan_px=options.descan_px,
        correlation_px=0.0,
    )
    simulated = simulate_scan(_sample(options), acquisition, seed)
    return replace(simulated.scan, data=np.asarray(simulated.scan.data)), simulated.truth


def _sample(options: ScanOptions) -> Sample:
    """Lay out a grain with an inclined lamella, a band of both, a carbon film, vacuum in a corner."""
    o3, o1 = (load_phase(name) for name in ("nmc811-o3", "nmc811-o1"))
    o1_deg = _GRAIN_DEG + 30.0
    columns = (
        (Layer(o3, (0, 0, 1), 170.0, _GRAIN_DEG),),
        (Layer(o1, (0, 0, 1), 170.0, o1_deg),),
        (Layer(o3, (0, 0, 1), 102.0, _GRAIN_DEG), Layer(o1, (0, 0, 1), 68.0, o1_deg)),
        (),
    )
    regions = [Region(layers, options.halo_share) for layers in columns]
    return Sample((*regions, Region()), _layout(options.scan_shape))


def _layout(scan_shape: tuple[int, int]) -> IntArray:
    y, x = np.indices(scan_shape) / np.array(scan_shape).reshape(2, 1, 1)
    out = np.zeros(scan_shape, dtype=np.int64)
    out[np.abs(y - 0.2 - 0.35 * x) < 0.09] = 1
    out[np.abs(y - 0.55 - 0.35 * x) < 0.07] = 2
    edge = 1.15 - 0.55 * y - 0.25 * np.sin(4.0 * y)
    out[x > edge - 0.12] = 3
    out[x > edge] = 4
    return out
