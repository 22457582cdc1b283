"""Array types, and what "lazy" means here: an array that is read when it is sliced."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from friedel.core.errors import DataError

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
ComplexArray = NDArray[np.complex128]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
AnyArray = NDArray[Any]

#: Values beyond this, squared and summed in single precision, are no numbers any more.
_LARGEST_VALUE = 1e15


class LazyArray(Protocol):
    """What numpy, zarr, h5py and dask arrays and friedel's guarded files have in common.

    ``np.asarray(lazy[a:b])`` reads just that part.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the elements."""
        ...

    def __getitem__(self, key: Any, /) -> Any:
        """Read a part of the array."""
        ...


def read_only(array: Any, *, ndim: int, name: str, dtype: Any = np.float64) -> AnyArray:
    """Return a read-only array of the given number of axes and type; raise DataError otherwise."""
    out = np.array(array, dtype=dtype)
    if out.ndim != ndim:
        raise DataError(f"{name} must have {ndim} axes, got shape {out.shape}.")
    out.flags.writeable = False
    return out


def require_finite(array: AnyArray, *, name: str) -> None:
    """Raise DataError that counts the NaN and infinite values, if there are any."""
    if array.dtype.kind not in "fc":
        return
    bad = int(array.size - np.count_nonzero(np.isfinite(array)))
    if bad:
        raise DataError(
            f"{name} has {bad} values of {array.size} that are NaN or infinite. Replace them, "
            "by the median of the others for instance, or cut them off."
        )


def without_missing(image: AnyArray) -> tuple[AnyArray, BoolArray | None]:
    """Return an image (y, x) in which the mean of the 5 x 5 pixels about it stands for each NaN and infinity.

    The median of the image stands where all of these are missing. Also return where that was; None if nowhere.

    Raises
    ------
    DataError
        If most of the image is missing.
    """
    missing = ~np.isfinite(image) if image.dtype.kind == "f" else np.zeros(image.shape, dtype=bool)
    rows, columns = np.nonzero(missing)
    if not len(rows):
        return image, None
    if 2 * len(rows) > image.size:
        raise DataError(f"{len(rows)} of {image.size} pixels are NaN or infinite: most is missing. Cut that off.")
    total, known = np.zeros(len(rows)), np.zeros(len(rows))
    for down, right in product(range(-2, 3), repeat=2):
        beside = image[np.clip(rows + down, 0, image.shape[0] - 1), np.clip(columns + right, 0, image.shape[1] - 1)]
        total += np.where(np.isfinite(beside), beside, 0.0)
        known += np.isfinite(beside)
    out = image.copy()
    out[rows, columns] = np.where(known > 0, total / np.maximum(known, 1), np.median(image[~missing]))
    return out, missing


def require_camera_values(largest: float, spread: float) -> None:
    """Raise DataError if values are so large, or differ by so little, that single precision loses their squares."""
    if largest > _LARGEST_VALUE or 0.0 < spread < 1.0 / _LARGEST_VALUE:
        raise DataError(
            f"Values up to {largest:.3g} that differ by {spread:.3g} are those of no camera. "
            "Scale the data to electrons or camera units, and mend single wild values."
        )


def require_axes(shape: Iterable[int], axes: tuple[str, ...], *, name: str, hint: str = "") -> None:
    """Raise DataError if a shape does not have one positive length for each named axis."""
    shape = tuple(shape)
    if len(shape) != len(axes) or min(shape, default=1) < 1:
        wanted = ", ".join(axes)
        raise DataError(f"{name} must have shape ({wanted}) with positive lengths, got {shape}. {hint}".strip())
