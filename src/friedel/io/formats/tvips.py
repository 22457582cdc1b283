"""TVIPS recordings: a header, then frames with a header each, split over files _000, _001, ...

Layout: the tables published with RosettaSciIO's reader.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from friedel.core.errors import CorruptFileError, TruncatedFileError, UnsupportedFileError
from friedel.io.describe import Axis, Description, image_axes
from friedel.io.formats.common import COPY_AGAIN, Opened, records, require_bytes, require_sizes
from friedel.io.limits import Limits
from friedel.io.views import Joined

_NAMES = (
    *("size", "version", "dimx", "dimy", "bits", "offsetx", "offsety", "binx", "biny"),
    *("pixelsize", "ht", "magtotal", "frameheaderbytes"),
)
_FRAME_HEADER_BYTES = {1: 12}
_MIN_FRAME_HEADER = 12
_MODE_AT, _MODE_DIFFRACTION = 24, 2
#: Where a frame's header has its time in seconds, of how many frames it is looked at, and how long a recording is.
_TIME_AT, _MOST_TIMES, _LONGEST_S = 4, 1000, 30 * 86400


def open_file(path: Path, limits: Limits) -> Opened:
    """Open a recording by its first file; every further file must end with a whole frame."""
    number = re.fullmatch(r".+_(\d{3})", path.stem)
    if number is None or number[1] != "000":
        raise UnsupportedFileError(path, "it is not the first file of a recording", "Name the file that ends in _000.")
    header = _read_header(path)
    frame = _frame_dtype(path, header)
    parts: list[Any] = []
    mode = None
    for part, name in enumerate(_files(path)):
        offset = header["size"] if part == 0 else 0
        count, rest = divmod(name.stat().st_size - offset, frame.itemsize)
        if count < 1 or rest:
            raise TruncatedFileError(name, f"it ends {rest} bytes into frame {count}", COPY_AGAIN)
        _require_times(name, offset, frame.itemsize, count)
        parts.append(records(name, offset, frame, (count,)))
        if part == 0 and header["frameheaderbytes"] >= _MODE_AT + 4:
            raw = np.memmap(name, dtype=np.uint8, mode="r", offset=offset + _MODE_AT, shape=(4,))
            mode = int(np.frombuffer(raw.tobytes(), "<u4")[0])
    array = Joined(parts)
    high_tension = header["ht"]
    description = Description(
        "TVIPS",
        frame["data"].base.newbyteorder("=").str,
        (Axis("frame", array.shape[0], role="navigate"), *image_axes((header["dimy"], header["dimx"]))),
        energy_kev=(high_tension / 1e3 if high_tension > 5000 else float(high_tension)) or None,
        is_scan=mode == _MODE_DIFFRACTION if mode is not None else None,
        notes=("The header states the camera's own pixel, which is no scale of the specimen.",),
    )
    return Opened(description, array)


def _files(path: Path) -> list[Path]:
    """List the files of a recording in order."""
    files = [path]
    while (following := path.with_name(f"{path.stem[:-3]}{len(files):03d}{path.suffix}")).exists():
        files.append(following)
    return files


def _read_header(path: Path) -> dict[str, int]:
    raw = np.fromfile(path, dtype="<u4", count=len(_NAMES))
    require_bytes(path, 4 * len(_NAMES), raw.nbytes)
    header = {name: int(value) for name, value in zip(_NAMES, raw, strict=True)}
    if header["version"] not in (1, 2) or not 4 * len(_NAMES) <= header["size"] <= 2**16:
        raise UnsupportedFileError(path, f"header version {header['version']} is not read", "Export it as .tif.")
    header["frameheaderbytes"] = _FRAME_HEADER_BYTES.get(header["version"], header["frameheaderbytes"])
    return header


def _require_times(path: Path, offset: int, frame_bytes: int, count: int) -> None:
    """Raise CorruptFileError unless frames were taken near one another: nothing else tells a wrong size of them."""
    some = np.linspace(0, count - 1, min(count, _MOST_TIMES)).astype(int)
    with path.open("rb") as stream:
        times_s = []
        for frame in some:
            stream.seek(offset + int(frame) * frame_bytes + _TIME_AT)
            times_s.append(int.from_bytes(stream.read(4), "little"))
    if max(times_s) - min(times_s) > _LONGEST_S:
        raise CorruptFileError(
            path, f"its frames of {frame_bytes} bytes with their headers state times that are years apart", COPY_AGAIN
        )


def _frame_dtype(path: Path, header: dict[str, int]) -> np.dtype[Any]:
    shape, bits, extra = (header["dimy"], header["dimx"]), header["bits"], header["frameheaderbytes"]
    require_sizes(path, shape)
    if bits not in (8, 16) or not _MIN_FRAME_HEADER <= extra <= 2**20 or max(shape) > 2**16:
        raise CorruptFileError(
            path, f"it states {bits} bits, frames of {shape}, frame headers of {extra} bytes", COPY_AGAIN
        )
    return np.dtype([("header", f"V{extra}"), ("data", f"<u{bits // 8}", shape)])
