"""numpy's .npy: an array without calibration, mapped into memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from friedel.core.errors import CorruptFileError
from friedel.io.describe import Description
from friedel.io.formats.common import Opened, plain_axes, real_dtype, require_bytes, require_sizes
from friedel.io.limits import Limits


def open_file(path: Path, limits: Limits) -> Opened:
    """Open a .npy file; pickled objects are refused."""
    with path.open("rb") as stream:
        version = np.lib.format.read_magic(stream)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(stream)
        start = stream.tell()
    plain, axes = real_dtype(path, dtype), plain_axes(path, shape)
    require_sizes(path, shape)
    end = start + int(np.prod(shape, dtype=object)) * dtype.itemsize
    require_bytes(path, end)
    if path.stat().st_size > end:
        raise CorruptFileError(
            path, f"{path.stat().st_size - end} bytes follow its array", "Copy it again; save one array in a file."
        )
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    return Opened(Description("numpy", plain, axes), array)
