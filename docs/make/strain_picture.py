"""Picture of a simulated scan of a crystal with a known strain, as measured against a region of it."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from picture_files import save

import friedel as fr
from friedel.core.arrays import FloatArray
from friedel.core.grids import ReciprocalGrid
from friedel.report.strain_map import LocalMap, plot_local_maps
from friedel.simulate.patterns.diffraction import SpotPattern, diffract, orient
from friedel.simulate.patterns.noise import Noise, expose, pattern_rng
from friedel.simulate.patterns.render import SpotShape, render

SHAPE, SIDE, SEED = (24, 32), 128, 0
#: Columns of the reference.
REFERENCE = 8


def gradients() -> FloatArray:
    """Displacement gradients (ry, rx, 2, 2) in order (y, x): stretched along x, sheared by turns from top to bottom."""
    out = np.zeros((*SHAPE, 2, 2))
    out[..., 1, 1] = 0.012 * np.arange(SHAPE[1]) / (SHAPE[1] - 1)
    out[..., 0, 1] = 0.004 * np.sin(np.arange(SHAPE[0]) / 4.0)[:, None]
    return out


def strained_scan() -> fr.PatternScan:
    """Simulate O1 NMC811 along [001] at 5,000 electrons per pattern."""
    beam, grid = fr.Beam(300.0), ReciprocalGrid((0.0165, 0.0165), (0.5 * (SIDE - 1),) * 2)
    spots = diffract(orient(fr.load_phase("nmc811-o1"), (0, 0, 1)), beam, thickness_a=120.0, rotation_rad=0.2)
    data, strain = np.zeros((*SHAPE, SIDE, SIDE), dtype=np.uint16), gradients()
    for ry, rx in np.ndindex(SHAPE):
        k = spots.k_inv_a @ np.linalg.inv(np.eye(2) + strain[ry, rx])
        light = render(SpotPattern(spots.hkl, k, spots.share, spots.direct), grid, (SIDE, SIDE), SpotShape(blur_px=0.9))
        data[ry, rx] = expose(light, Noise(5000.0), grid, pattern_rng(SEED, ry, rx))
    return fr.PatternScan(data, grid, fr.RealGrid((20.0, 20.0)), beam)


def draw_strain() -> Figure:
    """Draw what is measured."""
    scan, phases = strained_scan(), fr.load_phases(["nmc811-o3", "nmc811-o1"])
    mapped = fr.analyse_scan(scan, phases, fr.ScanOptions(template="hexagon"))
    reference = np.broadcast_to(np.arange(SHAPE[1]) < REFERENCE, SHAPE)
    maps = fr.measure_strain(mapped, phases, reference=reference)
    p = phases.names.index("nmc811-o1")
    truth = np.stack([gradients()[..., 0, 0], gradients()[..., 1, 1], 0.5 * gradients()[..., 0, 1]], axis=-1)
    truth -= truth[reference].mean(axis=0)
    pull = (maps.strain[..., p, :] - truth) / maps.strain_sigma[..., p, :]
    print("off by, in its errors (yy, xx, xy):", pull.mean(axis=(0, 1)).round(2), "+-", pull.std(axis=(0, 1)).round(2))
    print("one error in %:", (100.0 * maps.strain_sigma[..., p, :].mean(axis=(0, 1))).round(3))
    shown = [LocalMap(maps.d_a[..., p], "d {1 0 0} in Å", is_signed=False)]
    shown += [
        LocalMap(100.0 * maps.strain[..., p, i], f"strain {name} in %") for i, name in enumerate(("yy", "xx", "xy"))
    ]
    shown.append(LocalMap(maps.rotation_deg[..., p], "rotation in °"))
    return plot_local_maps(shown, scan.scan_grid, reference)


if __name__ == "__main__":
    save("strain", draw_strain(), 100)
