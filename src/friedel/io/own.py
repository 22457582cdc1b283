"""The calibration of a scan as plain values, for friedel's own files: nothing is lost on the way."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from friedel.core.arrays import LazyArray
from friedel.core.beam import Beam
from friedel.core.grids import RealGrid, ReciprocalGrid
from friedel.core.images import PatternScan
from friedel.io.describe import Axis, Description


def describe_scan(scan: PatternScan) -> Description:
    """Describe a scan with its whole calibration."""
    step_nm = [step / 10 for step in scan.scan_grid.step_a] if scan.scan_grid else [None, None]
    centre, step = scan.grid.centre_px, scan.grid.step_inv_a
    shape = scan.data.shape
    axes = (
        *(
            Axis(n, shape[i], step_nm[i], "nm" if step_nm[i] else "", role="navigate")
            for i, n in enumerate(("ry", "rx"))
        ),
        *(Axis(n, shape[i + 2], step[i], "1/A", -centre[i] * step[i]) for i, n in enumerate(("ky", "kx"))),
    )
    calibration = {
        "grid": {**asdict(scan.grid), "ellipse": scan.grid.ellipse.tolist()},
        "scan_grid": asdict(scan.scan_grid) if scan.scan_grid else None,
        "beam": asdict(scan.beam) if scan.beam else None,
        "valid": np.packbits(scan.valid).tobytes().hex() if scan.valid is not None else None,
        "origin": scan.origin,
    }
    energy = scan.beam.energy_kev if scan.beam else None
    dtype = np.dtype(scan.data.dtype).newbyteorder("=").str
    return Description("friedel", dtype, axes, energy, is_scan=True, calibration=calibration)


def rebuild_scan(data: LazyArray, calibration: dict[str, Any]) -> PatternScan:
    """Rebuild a scan from its data and the calibration that ``describe_scan`` wrote."""
    grid = {**calibration["grid"], "ellipse": np.array(calibration["grid"]["ellipse"])}
    for name in ("step_inv_a", "centre_px"):
        grid[name] = tuple(grid[name])
    scan_grid, beam, valid = calibration["scan_grid"], calibration["beam"], calibration["valid"]
    shape = data.shape[2:]
    mask = None
    if valid is not None:
        bits = np.frombuffer(bytes.fromhex(valid), dtype=np.uint8)
        mask = np.unpackbits(bits, count=int(np.prod(shape))).astype(bool).reshape(shape)
    return PatternScan(
        data,
        ReciprocalGrid(**grid),
        RealGrid(**{**scan_grid, "step_a": tuple(scan_grid["step_a"])}) if scan_grid else None,
        Beam(**beam) if beam else None,
        mask,
        calibration["origin"],
    )
