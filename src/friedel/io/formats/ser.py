"""FEI / Thermo Fisher TIA series (.ser): images and stacks; spectra are refused.

Layout: Chris Boothroyd's description of the TIA format, as read by all open readers. Lengths are in m; a step of a
diffraction pattern is written in 1/m into the same field, which only its size betrays.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from friedel.core.arrays import AnyArray
from friedel.core.errors import CorruptFileError, TruncatedFileError, UnsupportedFileError
from friedel.io.describe import Axis, Description
from friedel.io.formats.common import COPY_AGAIN, Opened, real_dtype, require_bytes, require_sizes
from friedel.io.limits import Limits
from friedel.io.views import LazyView, as_slice

_IMAGES = 0x4122
_TYPES = {1: "<u1", 2: "<u2", 3: "<u4", 4: "<i1", 5: "<i2", 6: "<i4", 7: "<f4", 8: "<f8", 9: "<c8", 10: "<c16"}
_ELEMENT = "<ddIddIHII"


@dataclass(frozen=True, slots=True)
class Header:
    """The part of the header that tells how many images there are and where."""

    navigation: tuple[Axis, ...]
    offsets: tuple[int, ...]
    tags: tuple[int, ...]
    is_complete: bool


class Frames(LazyView):
    """Images of a series, each mapped when it is needed; the file stores them bottom line first."""

    def __init__(self, path: Path, starts: AnyArray, image_shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
        self.path, self.starts, self.image_shape, self.stored = path, starts, image_shape, dtype
        self.shape, self.dtype = (*starts.shape, *image_shape), dtype

    def _read(self, spans: list[range]) -> AnyArray:
        starts = self.starts[tuple(as_slice(span) for span in spans[:-2])]
        key = tuple(as_slice(span) for span in spans[-2:])
        frames = [self._frame(int(start))[::-1][key] for start in starts.ravel()]
        return np.stack(frames).reshape(*starts.shape, *frames[0].shape)

    def _frame(self, start: int) -> AnyArray:
        return np.memmap(self.path, dtype=self.stored, mode="r", offset=start, shape=self.image_shape)


def open_file(path: Path, limits: Limits) -> Opened:
    """Open a .ser file; every image must lie in the file and have the shape of the first."""
    with path.open("rb") as stream:
        header = _read_header(path, stream)
        elements = [_read_element(path, stream, offset) for offset in header.offsets]
    first = elements[0]
    if any(element[6:] != first[6:] for element in elements):
        raise UnsupportedFileError(path, "its images differ in shape or type", "Save them as separate files.")
    delta_x, delta_y, code, nx, ny = first[1], first[4], *first[6:]
    if code not in _TYPES:
        raise CorruptFileError(path, f"data type {code} does not exist", COPY_AGAIN)
    dtype, start = np.dtype(_TYPES[code]), struct.calcsize(_ELEMENT)
    plain = real_dtype(path, dtype)
    require_sizes(path, (ny, nx))
    require_bytes(path, max(header.offsets) + start + nx * ny * dtype.itemsize)
    _require_tags_behind_images(path, header, start + nx * ny * dtype.itemsize)
    navigation, notes = (header.navigation, ()) if header.is_complete else _shortened(path, header)
    starts = np.array(header.offsets, dtype=np.int64).reshape([axis.size for axis in navigation]) + start
    signal = (Axis("y", ny, *_scale(delta_y)), Axis("x", nx, *_scale(delta_x)))
    axes = (*(axis for axis in navigation if axis.size > 1), *signal)
    starts = starts.reshape([axis.size for axis in axes[:-2]])
    return Opened(Description("TIA", plain, axes, notes=notes), Frames(path, starts, (ny, nx), dtype))


def _scale(delta: float) -> tuple[float | None, str]:
    """Tell metres from 1/metre: a pixel of 1 m is as impossible as a diffraction step of 1/m."""
    if not math.isfinite(delta) or delta <= 0:
        return None, ""
    return (delta * 1e9, "nm") if delta < 1.0 else (delta * 1e-9, "1/nm")


def _shortened(path: Path, header: Header) -> tuple[tuple[Axis, ...], tuple[str, ...]]:
    """Keep the images of a stack that was stopped early; a scan with holes is refused."""
    axis, n = header.navigation[0], len(header.offsets)
    if len(header.navigation) != 1:
        raise TruncatedFileError(path, f"the scan was stopped after {n} images", "Export the complete rows from TIA.")
    note = f"The series was stopped early: {n} of {axis.size} images are there."
    return (Axis(axis.name, n, axis.scale, axis.unit, axis.offset, "navigate"),), (note,)


def _unpack(path: Path, stream: BinaryIO, layout: str) -> tuple[Any, ...]:
    raw = stream.read(struct.calcsize(layout))
    require_bytes(path, stream.tell() - len(raw) + struct.calcsize(layout))
    return struct.unpack(layout, raw)


def _read_header(path: Path, stream: BinaryIO) -> Header:
    _, _, version, kind, _, total, valid = _unpack(path, stream, "<3H4I")
    if kind != _IMAGES:
        raise UnsupportedFileError(path, "it holds spectra, not images", "Name a .ser file of images.")
    width = "I" if version <= 0x210 else "Q"
    (table,) = _unpack(path, stream, "<" + width)
    (n_axes,) = _unpack(path, stream, "<I")
    if not 1 <= n_axes <= 3 or not 1 <= valid <= total:
        raise CorruptFileError(path, f"it states {n_axes} axes and {valid} of {total} images", COPY_AGAIN)
    axes = [_read_axis(path, stream, index) for index in range(n_axes)]
    if math.prod(axis.size for axis in axes) != total:
        raise CorruptFileError(path, f"axes of {[axis.size for axis in axes]} do not make {total} images", COPY_AGAIN)
    require_bytes(path, table + 2 * total * struct.calcsize("<" + width))
    stream.seek(table)
    offsets = _unpack(path, stream, f"<{valid}{width}")
    stream.seek(table + total * struct.calcsize("<" + width))
    tags = _unpack(path, stream, f"<{valid}{width}")
    return Header(tuple(axes[::-1]), offsets, tags, valid == total)


def _require_tags_behind_images(path: Path, header: Header, element_bytes: int) -> None:
    """An image ends where its tag begins; a size that says otherwise is damaged."""
    ends = [*header.offsets[1:], path.stat().st_size]
    for offset, tag, end in zip(header.offsets, header.tags, ends, strict=True):
        if offset < tag < end and tag != offset + element_bytes:
            problem = f"an image of {element_bytes} bytes stands where {tag - offset} bytes belong to it"
            raise CorruptFileError(path, problem, COPY_AGAIN)


def _read_axis(path: Path, stream: BinaryIO, index: int) -> Axis:
    size, _, delta, _, length = _unpack(path, stream, "<IddII")
    stream.seek(length, 1)
    (length,) = _unpack(path, stream, "<I")
    require_bytes(path, stream.tell() + length)
    unit = stream.read(length).decode("latin1").strip("\0 ")
    scale, known = (delta * 1e9, "nm") if unit == "meters" and delta > 0 else (None, "")
    return Axis(("frame", "ry")[index] if index < 2 else "axis-2", size, scale, known, role="navigate")


def _read_element(path: Path, stream: BinaryIO, offset: int) -> tuple[Any, ...]:
    stream.seek(offset)
    return _unpack(path, stream, _ELEMENT)
