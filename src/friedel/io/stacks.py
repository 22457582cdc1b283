"""Writing series of micrographs frame by frame, so that they need not fit into memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from friedel.core.errors import DataError, UnsupportedFileError
from friedel.core.images import Micrograph
from friedel.io.writing import atomic

_MODES = {np.dtype(np.uint16): 6, np.dtype(np.float32): 2}


def write_series(path: str | Path, frames: Iterable[Micrograph], n_frames: int) -> None:
    """Write a stack of micrographs as .mrc with the pixel size in its cell; MRC has no place for times.

    The file appears under its name once the last frame is written.

    Raises
    ------
    DataError
        If the frames differ in shape, type or pixel size, are neither uint16 nor float32, or are not ``n_frames``.
    """
    import mrcfile

    path = Path(path)
    if path.suffix != ".mrc":
        raise UnsupportedFileError(path, f"series are not written as {path.suffix or 'that'}", "Name it *.mrc.")
    coming = iter(frames)
    first = next(coming, None)
    if first is None or first.data.dtype not in _MODES:
        found = "no frame" if first is None else str(first.data.dtype)
        raise DataError(f"A stack holds frames of uint16 or float32, got {found}.")
    count = 0
    with atomic(path) as temporary:
        shape, mode = (n_frames, *first.shape), _MODES[first.data.dtype]
        with mrcfile.new_mmap(temporary, shape, mrc_mode=mode) as stack:
            stack.set_image_stack()
            stack.voxel_size = (first.grid.step_a[1], first.grid.step_a[0], 0.0)
            for count, frame in enumerate(itertools.chain([first], coming), 1):
                if count > n_frames or not _are_alike(frame, first):
                    raise DataError(
                        f"Frame {count} of {n_frames} does not fit to the first, of {first.shape} px and "
                        f"{first.data.dtype}: got {frame.shape} and {frame.data.dtype}."
                    )
                stack.data[count - 1] = frame.data
        if count != n_frames:
            raise DataError(f"A stack of {n_frames} frames was promised, and {count} came.")


def _are_alike(frame: Micrograph, first: Micrograph) -> bool:
    return (frame.shape, frame.data.dtype, frame.grid) == (first.shape, first.data.dtype, first.grid)
