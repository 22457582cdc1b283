"""What all formats share: the open file, and the checks of promised against present bytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from friedel.core.errors import CorruptFileError, FileTooLargeError, TruncatedFileError, UnsupportedFileError
from friedel.io.describe import Axis, Description, image_axes
from friedel.io.limits import Limits

#: A compressed image may promise this much whatever its size, and beyond it ``BOMB_RATIO`` times its size.
FREE_BYTES = 256 * 2**20
BOMB_RATIO = 200

COPY_AGAIN = "Copy the file again from its source; what is missing cannot be made up."


@dataclass(frozen=True, slots=True)
class Opened:
    """An open file: its description, and an array-like that reads blocks when it is sliced."""

    description: Description
    array: Any


def gib(n_bytes: float) -> str:
    """Write a number of bytes for people."""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if n_bytes >= size:
            return f"{n_bytes / size:.1f} {unit}"
    return f"{n_bytes:.0f} bytes"


def require_bytes(path: Path, promised: int, present: int | None = None) -> None:
    """Raise TruncatedFileError if the file ends before the last byte that its header promises."""
    present = path.stat().st_size if present is None else present
    if promised > present:
        raise TruncatedFileError(
            path,
            f"its header promises {gib(promised)} ({promised} bytes), it holds {gib(present)} ({present})",
            COPY_AGAIN,
        )


def require_plausible(path: Path, promised: int, stored: int, limits: Limits) -> None:
    """Raise FileTooLargeError if a compressed image would unpack to more than its size or the memory can justify."""
    allowed = min(limits.memory_bytes, max(FREE_BYTES, BOMB_RATIO * stored))
    if promised > allowed:
        raise FileTooLargeError(
            path,
            f"its {gib(stored)} unpack to an image of {gib(promised)}, at most {gib(allowed)} are accepted",
            "If that is what it holds, save it uncompressed (.npy, .mrc) or raise Limits.memory_bytes.",
        )


def require_sizes(path: Path, sizes: tuple[int, ...]) -> None:
    """Raise CorruptFileError if a dimension is not positive."""
    if not sizes or min(sizes) < 1:
        raise CorruptFileError(path, f"its header states the dimensions {sizes}, all must be positive", COPY_AGAIN)


def real_dtype(path: Path, dtype: Any) -> str:
    """Return the native short string of a real numeric type; UnsupportedFileError for any other."""
    dtype = np.dtype(dtype)
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        what = "complex numbers" if dtype.kind == "c" else f"elements of type {dtype}"
        remedy = "Save its modulus instead." if dtype.kind == "c" else "Save it as numbers."
        raise UnsupportedFileError(path, f"it holds {what}, not real numbers", remedy)
    return str(dtype.newbyteorder("=").str)


def records(path: Path, offset: int, frame: np.dtype[Any], shape: tuple[int, ...]) -> Any:
    """Map frames with a header each, and return the lazy view of their field ``data``: shape + frame shape."""
    require_sizes(path, shape)
    require_bytes(path, offset + int(np.prod(shape, dtype=object)) * frame.itemsize)
    return np.memmap(path, dtype=frame, mode="r", offset=offset, shape=shape)["data"]


def plain_axes(path: Path, shape: tuple[int, ...]) -> tuple[Axis, ...]:
    """Return axes without calibration for an array of which nothing is known but its shape."""
    if len(shape) < 2:
        raise UnsupportedFileError(
            path, f"it holds an array of shape {shape}, not images", "Save images, stacks or scans."
        )
    return stack_axes(shape, image_axes((shape[-2], shape[-1])))


def stack_axes(shape: tuple[int, ...], signal: tuple[Axis, Axis]) -> tuple[Axis, ...]:
    """Return navigation axes without calibration for the leading part of a shape, then the signal axes."""
    names = {1: ("frame",), 2: ("ry", "rx")}.get(len(shape) - 2, tuple(f"axis-{i}" for i in range(len(shape) - 2)))
    return (*(Axis(name, int(n), role="navigate") for name, n in zip(names, shape, strict=False)), *signal)
