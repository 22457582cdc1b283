"""NanoMEGAS block files (ASTAR): a scan of square 8-bit patterns, each behind six bytes of its own.

Header fields and their units as published with RosettaSciIO's reader: scan step in nm, pixels per cm times 100, camera
length in mm times 10, beam energy in V.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from friedel.core.beam import Beam
from friedel.core.errors import FriedelError
from friedel.io.describe import Axis, Description, image_axes
from friedel.io.formats.common import Opened, records, require_bytes, require_sizes
from friedel.io.limits import Limits

_HEADER = "<6sH3I5H2dIHI"


def open_file(path: Path, limits: Limits) -> Opened:
    """Open a block file; it must hold every pattern that its header promises."""
    with path.open("rb") as stream:
        raw = stream.read(struct.calcsize(_HEADER))
    require_bytes(path, struct.calcsize(_HEADER), len(raw))
    fields = struct.unpack(_HEADER, raw)
    data_offset, side, nx, ny = fields[3], fields[5], fields[7], fields[8]
    step_x, step_y, energy_v, pixels_per_m, camera_length = fields[10:]
    require_sizes(path, (ny, nx, side))
    frame = np.dtype([("header", "V6"), ("data", "u1", (side, side))])
    data = records(path, data_offset, frame, (ny, nx))
    energy_kev = energy_v / 1e3 if energy_v else None
    step_inv_a = _step_inv_a(pixels_per_m, camera_length * 1e-4, energy_kev)
    scan = (
        Axis("ry", ny, step_y or None, "nm", role="navigate"),
        Axis("rx", nx, step_x or None, "nm", role="navigate"),
    )
    signal = image_axes((side, side), (step_inv_a, step_inv_a), "1/A")
    return Opened(Description("NanoMEGAS block file", "|u1", (*scan, *signal), energy_kev, is_scan=True), data)


def _step_inv_a(pixels_per_m: float, camera_length_m: float, energy_kev: float | None) -> float | None:
    """Pixel size in 1/Å, pixel / (camera length * wavelength); None unless the header states all three."""
    if not (pixels_per_m and camera_length_m and energy_kev):
        return None
    try:
        return 1.0 / (pixels_per_m * camera_length_m * Beam(energy_kev).wavelength_a)
    except FriedelError:
        return None
