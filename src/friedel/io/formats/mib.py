"""Quantum Detectors Merlin files (.mib): frames behind a text header each; RAW mode is refused.

Pixels are big endian, the bottom line comes first.

Header fields: Merlin manual, "MQ1,number,offset,chips,width,height,type,layout,...".
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from friedel.core.errors import CorruptFileError, TruncatedFileError, UnsupportedFileError
from friedel.io.describe import Axis, Description, image_axes
from friedel.io.formats.common import COPY_AGAIN, Opened, records, require_bytes, require_sizes
from friedel.io.limits import Limits

_TYPES = {"U01": ">u1", "U08": ">u1", "U16": ">u2", "U32": ">u4", "U64": ">u8"}
_HEADER_FIELDS = 8


def open_file(path: Path, limits: Limits) -> Opened:
    """Open a .mib file; the .hdr beside it, if any, tells how many frames and how long a scan line."""
    with path.open("rb") as stream:
        fields = stream.read(256).decode("latin1").split(",")
    if len(fields) < _HEADER_FIELDS:
        raise TruncatedFileError(path, "it ends inside the first header", COPY_AGAIN)
    try:
        header_bytes, width, height = int(fields[2]), int(fields[4]), int(fields[5])
    except ValueError:
        raise CorruptFileError(path, f"its first header reads {','.join(fields[:8])!r}", COPY_AGAIN) from None
    if fields[6] not in _TYPES:
        remedy = "Record with RAW mode off, or convert it with Merlin's software."
        raise UnsupportedFileError(path, f"frames of type {fields[6]} are not read", remedy)
    require_sizes(path, (height, width, header_bytes))
    frame = np.dtype([("header", f"V{header_bytes}"), ("data", _TYPES[fields[6]], (height, width))])
    present, rest = divmod(path.stat().st_size, frame.itemsize)
    require_bytes(path, frame.itemsize)
    if rest:
        raise TruncatedFileError(path, f"it ends {rest} bytes into frame {present}", COPY_AGAIN)
    per_line = _check_hdr(path, present)
    signal, dtype = image_axes((height, width)), frame["data"].base.newbyteorder("=").str
    if per_line > 1 and present % per_line == 0:
        shape: tuple[int, ...] = (present // per_line, per_line)
        navigation = tuple(Axis(name, size, role="navigate") for name, size in zip(("ry", "rx"), shape, strict=True))
    else:
        shape, navigation = (present,), (Axis("frame", present, role="navigate"),)
    data = records(path, 0, frame, shape)[..., ::-1, :]
    if present == 1:
        return Opened(Description("Merlin", dtype, signal, is_scan=True), data[0])
    return Opened(Description("Merlin", dtype, (*navigation, *signal), is_scan=True), data)


def _check_hdr(path: Path, present: int) -> int:
    """Compare the frames with those that the .hdr promises; return the frames per trigger, 1 where not known."""
    hdr = path.with_suffix(".hdr")
    if not hdr.exists():
        return 1
    lines = (line.partition("\t") for line in hdr.read_text(encoding="latin1").splitlines())
    values = {key.rstrip(":").strip(): value.strip() for key, _, value in lines}
    try:
        promised = int(values.get("Frames in Acquisition (Number)", "0"))
        per_line = int(values.get("Frames per Trigger (Number)", "1"))
    except ValueError:
        return 1
    if present < promised:
        raise TruncatedFileError(path, f"{hdr.name} promises {promised} frames, {present} are there", COPY_AGAIN)
    return per_line
