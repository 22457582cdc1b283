"""MRC images and stacks, and the scans of Direct Electron cameras that come as MRC with an info text beside it.

Header: MRC2014 (Cheng et al., J. Struct. Biol. 192 (2015) 146). Cell lengths are in Å.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from friedel.core.errors import CorruptFileError, UnsupportedFileError
from friedel.io.describe import Axis, Description, image_axes
from friedel.io.formats.common import COPY_AGAIN, Opened, real_dtype, require_bytes, require_sizes, stack_axes
from friedel.io.limits import Limits

HEADER_BYTES = 1024
_MODES = {0: "i1", 1: "i2", 2: "f4", 4: "c8", 6: "u2", 12: "f2"}
_IMOD_STAMP = 1146047817


@dataclass(frozen=True, slots=True)
class Header:
    """The part of an MRC header that tells where the data lie and how long a pixel is (None where not stated)."""

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    offset: int
    pixel_a: tuple[float | None, float | None]


def open_file(path: Path, limits: Limits) -> Opened:
    """Open an .mrc file."""
    header = read_header(path)
    data = np.memmap(path, dtype=header.dtype, mode="r", offset=header.offset, shape=header.shape)
    info = _info_file(path)
    if info is not None:
        return _de_movie(path, data, _read_info(info))
    shape = header.shape if header.shape[0] > 1 else header.shape[1:]
    axes = stack_axes(shape, image_axes(header.shape[1:], header.pixel_a, "A"))
    return Opened(Description("MRC", real_dtype(path, header.dtype), axes), data.reshape(shape))


def read_header(path: Path) -> Header:
    """Read and check the header: positive dimensions, a known mode, and all bytes present."""
    with path.open("rb") as stream:
        raw = stream.read(HEADER_BYTES)
    require_bytes(path, HEADER_BYTES, len(raw))
    order = _byte_order(path, raw)
    nx, ny, nz, mode = struct.unpack(order + "4i", raw[:16])
    grid = struct.unpack(order + "3i", raw[28:40])
    cell = struct.unpack(order + "3f", raw[40:52])
    axis_order = struct.unpack(order + "3i", raw[64:76])
    (extended,) = struct.unpack(order + "i", raw[92:96])
    require_sizes(path, (nz, ny, nx))
    if mode not in _MODES:
        raise UnsupportedFileError(path, f"mode {mode} is not read", f"Save it in one of the modes {sorted(_MODES)}.")
    if axis_order not in ((1, 2, 3), (0, 0, 0)):
        raise UnsupportedFileError(
            path, f"its axes are stored in the order {axis_order}", "Save it in the order 1, 2, 3."
        )
    if extended < 0:
        raise CorruptFileError(path, f"its extended header has {extended} bytes", COPY_AGAIN)
    dtype = np.dtype(order + _MODES[mode])
    if mode == 0 and struct.unpack(order + "i", raw[152:156])[0] == _IMOD_STAMP and not raw[156] & 1:
        dtype = np.dtype("u1")
    offset = HEADER_BYTES + extended
    require_bytes(path, offset + nz * ny * nx * dtype.itemsize)
    return Header((nz, ny, nx), dtype, offset, (_step(cell[1], grid[1]), _step(cell[0], grid[0])))


def _byte_order(path: Path, raw: bytes) -> str:
    """Tell the byte order from the machine stamp or, in old files, from the mode."""
    stamp = raw[212:214]
    if stamp in (b"\x44\x44", b"\x44\x41"):
        return "<"
    if stamp == b"\x11\x11":
        return ">"
    for order in "<>":
        if 0 <= struct.unpack(order + "i", raw[12:16])[0] < 128:
            return order
    raise UnsupportedFileError(path, "it does not begin like an MRC file", "Give it its right suffix.")


def _step(cell_a: float, n: int) -> float | None:
    step = cell_a / n if n > 0 else 0.0
    return step if np.isfinite(step) and step > 0 else None


def _info_file(path: Path) -> Path | None:
    """Find the info text of a Direct Electron movie: same name with "info.txt" in place of "movie.mrc"."""
    info = path.with_name(path.name.removesuffix("movie.mrc") + "info.txt")
    return info if path.name.endswith("_movie.mrc") and info.exists() else None


def _read_info(info: Path) -> dict[str, str]:
    lines = (line.partition("=") for line in info.read_text(errors="replace").splitlines())
    return {key.strip(): value.strip() for key, mark, value in lines if mark}


def _de_movie(path: Path, data: Any, info: dict[str, str]) -> Opened:
    """Give a Direct Electron movie the scan shape, scales and energy of its info text; -1 means not stated."""

    def number(key: str) -> float | None:
        try:
            value = float(info.get(key, "-1"))
        except ValueError:
            return None
        return value if np.isfinite(value) and value > 0 else None

    is_scan = info.get("Scan - Enable") == "Enable"
    roi = "ROI " if info.get("Scan - ROI Enable") == "Enable" else ""
    scan = tuple(int(number(f"Scan - {roi}Size {axis}") or 0) for axis in "YX")
    is_raster = info.get("Scan - ROI Type" if roi else "Scan - Type") == "Raster"
    notes: tuple[str, ...] = ()
    navigation = [Axis("frame", data.shape[0], role="navigate")]
    if is_scan and is_raster and scan[0] * scan[1] == data.shape[0]:
        steps = [number(f"Specimen Pixel Size {axis} (nanometers)") for axis in "YX"]
        navigation = [
            Axis(n, s, step, "nm", role="navigate") for n, s, step in zip(("ry", "rx"), scan, steps, strict=True)
        ]
        data = data.reshape(*scan, *data.shape[1:])
    elif is_scan:
        notes = (
            f"The info text tells no raster that fits its {data.shape[0]} patterns; pass --scan-shape if it was one.",
        )
    diffracts = is_scan or number("Instrument Project Camera Length (centimeters)") is not None
    key, unit = ("Diffraction Pixel Size {}", "1/nm") if diffracts else ("Specimen Pixel Size {} (nanometers)", "nm")
    signal = image_axes(data.shape[-2:], (number(key.format("Y")), number(key.format("X"))), unit)
    energy_v = number("Instrument Accelerating Voltage (V)")
    return Opened(
        Description(
            "MRC (Direct Electron)",
            real_dtype(path, data.dtype),
            (*navigation, *signal),
            energy_kev=energy_v / 1e3 if energy_v else None,
            is_scan=diffracts,
            notes=notes,
        ),
        data,
    )
