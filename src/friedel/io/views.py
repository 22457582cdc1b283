"""Lazy views: arrays that read through to another array when they are sliced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from friedel.core.arrays import AnyArray, LazyArray


def full_key(key: Any, shape: tuple[int, ...]) -> list[int | range]:
    """Turn a basic index into one int or range per axis; IndexError for anything else."""
    parts = list(key) if isinstance(key, tuple) else [key]
    if any(part is Ellipsis for part in parts):
        at = next(i for i, part in enumerate(parts) if part is Ellipsis)
        parts[at : at + 1] = [slice(None)] * (len(shape) - len(parts) + 1)
    parts += [slice(None)] * (len(shape) - len(parts))
    if len(parts) != len(shape):
        raise IndexError(f"{len(parts)} indices for an array of shape {shape}")
    return [_full_part(part, size) for part, size in zip(parts, shape, strict=True)]


def _full_part(part: Any, size: int) -> int | range:
    if isinstance(part, slice):
        span = range(*part.indices(size))
        if span.step < 0:
            raise IndexError("slices of a file must have a positive step; turn the array round after reading")
        return span
    if isinstance(part, (int, np.integer)) and -size <= part < size:
        return int(part) % size
    raise IndexError(f"index {part!r} does not fit an axis of length {size}; ints and slices are read")


def as_slice(span: range) -> slice:
    """Turn a range with positive step into a slice."""
    return slice(span.start, span.stop, span.step)


class LazyView:
    """Base of the views: turns any basic index into one range per axis, for which ``_read`` is defined."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> AnyArray:
        """Read everything."""
        return np.asarray(self[...], dtype=dtype)

    def __getitem__(self, key: Any, /) -> AnyArray:
        """Read a part, given by ints and slices with positive step."""
        parts = full_key(key, self.shape)
        spans = [part if isinstance(part, range) else range(part, part + 1) for part in parts]
        kept = tuple(len(part) for part in parts if isinstance(part, range))
        if 0 in kept:
            return np.empty(kept, self.dtype)
        return self._read(spans).reshape(kept)

    def _read(self, spans: list[range]) -> AnyArray:
        """Read a block: one non-empty range per axis."""
        raise NotImplementedError


class Reframed(LazyView):
    """A list of patterns (n, ky, kx) seen as a scan (ry, rx, ky, kx) in C order."""

    def __init__(self, frames: LazyArray, scan_shape: tuple[int, int]) -> None:
        self.frames = frames
        self.shape = (*scan_shape, *frames.shape[1:])
        self.dtype = frames.dtype

    def _read(self, spans: list[range]) -> AnyArray:
        rows, columns, *rest = spans
        n_columns, key = self.shape[1], tuple(as_slice(span) for span in rest)
        if columns == range(n_columns) and rows.step == 1:
            block = np.asarray(self.frames[(slice(rows.start * n_columns, rows.stop * n_columns), *key)])
            return block.reshape(len(rows), n_columns, *block.shape[1:])
        return np.stack([np.asarray(self.frames[(self._row(row, columns), *key)]) for row in rows])

    def _row(self, row: int, columns: range) -> slice:
        first = row * self.shape[1]
        return slice(first + columns.start, first + columns.stop, columns.step)


class Joined(LazyView):
    """Arrays of frames (n_i, ...) seen as one, one after the other."""

    def __init__(self, parts: Sequence[LazyArray]) -> None:
        self.parts = list(parts)
        self.starts = np.concatenate([[0], np.cumsum([part.shape[0] for part in self.parts])]).astype(int)
        self.shape = (int(self.starts[-1]), *self.parts[0].shape[1:])
        self.dtype = self.parts[0].dtype

    def _read(self, spans: list[range]) -> AnyArray:
        wanted, key = np.array(spans[0]), tuple(as_slice(span) for span in spans[1:])
        blocks = []
        for start, part in zip(self.starts, self.parts, strict=False):
            inside = wanted[(wanted >= start) & (wanted < start + part.shape[0])] - start
            if inside.size:
                frames = slice(int(inside[0]), int(inside[-1]) + 1, spans[0].step)
                blocks.append(np.asarray(part[(frames, *key)]))
        return np.concatenate(blocks)


class Fixed(LazyView):
    """An array with one axis held at index 0."""

    def __init__(self, array: LazyArray, axis: int) -> None:
        self.array, self.axis = array, axis
        self.shape = (*array.shape[:axis], *array.shape[axis + 1 :])
        self.dtype = array.dtype

    def _read(self, spans: list[range]) -> AnyArray:
        key = [as_slice(span) for span in spans]
        return np.asarray(self.array[(*key[: self.axis], 0, *key[self.axis :])])


class Part(LazyView):
    """The entries start to stop of the first axis of an array."""

    def __init__(self, array: LazyArray, start: int, stop: int) -> None:
        self.array, self.start = array, start
        self.shape, self.dtype = (stop - start, *array.shape[1:]), array.dtype

    def _read(self, spans: list[range]) -> AnyArray:
        first = range(spans[0].start + self.start, spans[0].stop + self.start, spans[0].step)
        return np.asarray(self.array[tuple(as_slice(span) for span in (first, *spans[1:]))])


class Lifted(LazyView):
    """An array with leading axes of length one put before its own."""

    def __init__(self, array: LazyArray, ndim: int) -> None:
        self.array, self.extra = array, ndim - len(array.shape)
        self.shape, self.dtype = (*([1] * self.extra), *array.shape), array.dtype

    def _read(self, spans: list[range]) -> AnyArray:
        return np.asarray(self.array[tuple(as_slice(span) for span in spans[self.extra :])])


class Turned(LazyView):
    """A scan stored as (ky, kx, ry, rx), seen as (ry, rx, ky, kx)."""

    def __init__(self, array: LazyArray) -> None:
        self.array = array
        self.shape, self.dtype = (*array.shape[2:], *array.shape[:2]), array.dtype

    def _read(self, spans: list[range]) -> AnyArray:
        key = tuple(as_slice(span) for span in (*spans[2:], *spans[:2]))
        return np.ascontiguousarray(np.asarray(self.array[key]).transpose(2, 3, 0, 1))
