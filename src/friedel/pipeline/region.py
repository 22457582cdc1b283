"""Regions of interest: a rectangle, or a mask from a file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from friedel.core.arrays import AnyArray, BoolArray, LazyArray
from friedel.core.errors import DataError
from friedel.core.images import Micrograph, PatternScan
from friedel.io import ReadOptions, read
from friedel.io.views import LazyView, as_slice


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """The part of a scan or micrograph that is analysed.

    Parameters
    ----------
    rows, columns
        Bounding box (start, stop).
    mask
        Which positions of the box belong to it, (rows, columns).
    """

    rows: tuple[int, int]
    columns: tuple[int, int]
    mask: BoolArray

    def outline(self, shape: tuple[int, int]) -> BoolArray:
        """Mark the region in the whole field of this shape."""
        out = np.zeros(shape, dtype=bool)
        out[slice(*self.rows), slice(*self.columns)] = self.mask
        return out

    def is_whole(self, shape: tuple[int, int]) -> bool:
        """Whether the region is the whole field of this shape."""
        return self.mask.shape == shape and bool(self.mask.all())


def find_region(
    shape: tuple[int, int], roi: tuple[tuple[int, int], tuple[int, int]] | None, mask: str | None
) -> Region:
    """Make a region of a field of this shape from a rectangle ((y0, y1), (x0, x1)) or a mask file; neither is all.

    Raises
    ------
    DataError
        If the rectangle is empty or leaves the field, or the mask has another shape or is empty.
    """
    if mask is not None:
        image = read(mask, ReadOptions(kind="micrograph", pixel_size_a=1.0))
        assert isinstance(image, Micrograph)
        return region_of_mask(shape, np.asarray(image.data) != 0, mask)
    (y0, y1), (x0, x1) = roi or ((0, shape[0]), (0, shape[1]))
    if not (0 <= y0 < y1 <= shape[0] and 0 <= x0 < x1 <= shape[1]):
        raise DataError(
            f"The region {y0}:{y1},{x0}:{x1} is empty or leaves the field of {shape[0]} x {shape[1]}. "
            "Mend --roi Y0:Y1,X0:X1."
        )
    return Region((y0, y1), (x0, x1), np.ones((y1 - y0, x1 - x0), dtype=bool))


def region_of_mask(shape: tuple[int, int], mask: BoolArray, name: str) -> Region:
    """Make a region from a mask (y, x) that is true inside it."""
    if mask.shape != shape or not mask.any():
        raise DataError(
            f"{name}: a mask of {shape} with some pixels set is needed, got {mask.shape}, {int(mask.sum())} set."
        )
    y, x = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    rows, columns = (int(y[0]), int(y[-1]) + 1), (int(x[0]), int(x[-1]) + 1)
    return Region(rows, columns, mask[slice(*rows), slice(*columns)])


def crop_scan(scan: PatternScan, region: Region) -> PatternScan:
    """Return the bounding box of a region of a scan, still lazy."""
    if region.is_whole(scan.scan_shape):
        return scan
    return replace(scan, data=_Box(scan.data, region.rows, region.columns))


class _Box(LazyView):
    """A rectangle of the first two axes of an array."""

    def __init__(self, array: LazyArray, rows: tuple[int, int], columns: tuple[int, int]) -> None:
        self.array, self.start = array, (rows[0], columns[0])
        self.shape: tuple[int, ...] = (rows[1] - rows[0], columns[1] - columns[0], *array.shape[2:])
        self.dtype: np.dtype[Any] = array.dtype

    def _read(self, spans: list[range]) -> AnyArray:
        moved = [range(s.start + o, s.stop + o, s.step) for s, o in zip(spans[:2], self.start, strict=True)]
        return np.asarray(self.array[tuple(as_slice(span) for span in (*moved, *spans[2:]))])
