"""Containers of pictures: micrographs in real space, patterns in reciprocal space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from friedel.core.arrays import (
    AnyArray,
    BoolArray,
    FloatArray,
    LazyArray,
    read_only,
    require_axes,
    require_finite,
    without_missing,
)
from friedel.core.beam import Beam
from friedel.core.errors import DataError
from friedel.core.grids import RealGrid, ReciprocalGrid
from friedel.core.showing import card_of_micrograph, card_of_pattern, card_of_scan, card_of_series


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Micrograph:
    """A real-space image of shape (y, x) with its pixel size; values are finite.

    Parameters
    ----------
    replaced
        Where values were NaN or infinite, and the mean of those about them stands (y, x); None where nowhere.
    """

    data: AnyArray
    grid: RealGrid
    beam: Beam | None = None
    replaced: BoolArray | None = None

    def __post_init__(self) -> None:
        require_axes(self.data.shape, ("y", "x"), name="Micrograph", hint="A stack? Use MicrographSeries.")
        require_finite(self.data, name="Micrograph")
        if self.data.dtype.kind not in "biuf":
            raise DataError(
                f"Micrograph must hold real numbers, got {self.data.dtype}. A complex wave? Take its modulus."
            )

    def __repr__(self) -> str:
        return card_of_micrograph(self, with_pictures=False).text()

    def _repr_html_(self) -> str:
        return card_of_micrograph(self).html()

    @classmethod
    def mended(cls, data: AnyArray, grid: RealGrid, beam: Beam | None = None) -> Micrograph:
        """Make a micrograph of an image whose NaN and infinite values are replaced; DataError if most of it is such."""
        require_axes(data.shape, ("y", "x"), name="Micrograph", hint="A stack? Use MicrographSeries.")
        whole, replaced = without_missing(data)
        return cls(whole, grid, beam, replaced)

    @property
    def shape(self) -> tuple[int, int]:
        """Length of y and x in pixels."""
        return self.data.shape[0], self.data.shape[1]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class MicrographSeries:
    """A lazy stack of micrographs (t, y, x).

    Parameters
    ----------
    data
        Frames, read when sliced.
    grid
        Pixel size, shared by all frames.
    time_s, dose_e_per_a2
        When each frame ended and the dose by then, shape (t,), increasing; None where not known.
    """

    data: LazyArray
    grid: RealGrid
    beam: Beam | None = None
    time_s: FloatArray | None = None
    dose_e_per_a2: FloatArray | None = None

    def __post_init__(self) -> None:
        require_axes(self.data.shape, ("t", "y", "x"), name="MicrographSeries")
        for name in ("time_s", "dose_e_per_a2"):
            values = getattr(self, name)
            if values is None:
                continue
            values = read_only(values, ndim=1, name=name)
            if values.shape != (self.data.shape[0],) or not (np.diff(values) > 0).all():
                raise DataError(f"{name} must increase and have one value per frame ({self.data.shape[0]}).")
            object.__setattr__(self, name, values)

    def __repr__(self) -> str:
        return card_of_series(self, with_pictures=False).text()

    def _repr_html_(self) -> str:
        return card_of_series(self).html()

    def frame(self, index: int) -> Micrograph:
        """Read one frame."""
        return Micrograph.mended(np.asarray(self.data[index]), self.grid, self.beam)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Pattern:
    """One diffraction pattern or diffractogram (ky, kx) on a calibrated grid.

    Parameters
    ----------
    data
        Intensity, finite wherever ``valid``.
    grid
        Calibration.
    valid
        False where the detector tells nothing (dead pixels, gaps, beam stop), shape (ky, kx).
    origin
        "camera" or "fft": decides the noise model.
    """

    data: AnyArray
    grid: ReciprocalGrid
    valid: BoolArray | None = None
    origin: Literal["camera", "fft"] = "camera"

    def __post_init__(self) -> None:
        require_axes(self.data.shape, ("ky", "kx"), name="Pattern", hint="A stack? Use PatternScan.")
        _check_valid(self.valid, self.data.shape)
        require_finite(self.data if self.valid is None else self.data[self.valid], name="Pattern")

    def __repr__(self) -> str:
        return card_of_pattern(self, with_pictures=False).text()

    def _repr_html_(self) -> str:
        return card_of_pattern(self).html()

    @property
    def shape(self) -> tuple[int, int]:
        """Length of ky and kx in pixels."""
        return self.data.shape[0], self.data.shape[1]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PatternScan:
    """A lazy scan of patterns (ry, rx, ky, kx).

    Parameters
    ----------
    data
        Patterns, read when sliced; slicing along ``ry`` must not read other rows.
    grid
        Calibration shared by all patterns.
    scan_grid
        Step of the scan; None where the file lacks it, and then maps are in scan pixels.
    valid
        False where the detector tells nothing, shape (ky, kx).
    """

    data: LazyArray
    grid: ReciprocalGrid
    scan_grid: RealGrid | None = None
    beam: Beam | None = None
    valid: BoolArray | None = None
    origin: Literal["camera", "fft"] = "camera"

    def __post_init__(self) -> None:
        require_axes(
            self.data.shape,
            ("ry", "rx", "ky", "kx"),
            name="PatternScan",
            hint="One pattern? Use data[None, None]. A list of patterns? Pass --scan-shape NY,NX.",
        )
        _check_valid(self.valid, self.data.shape[2:])

    def __repr__(self) -> str:
        return card_of_scan(self, with_pictures=False).text()

    def _repr_html_(self) -> str:
        return card_of_scan(self).html()

    @property
    def scan_shape(self) -> tuple[int, int]:
        """Number of positions along ry and rx."""
        return self.data.shape[0], self.data.shape[1]

    @property
    def pattern_shape(self) -> tuple[int, int]:
        """Number of pixels along ky and kx."""
        return self.data.shape[2], self.data.shape[3]

    def pattern(self, ry: int, rx: int) -> Pattern:
        """Read the pattern of one position."""
        return Pattern(np.asarray(self.data[ry, rx]), self.grid, self.valid, self.origin)

    def rows(self, start: int, stop: int) -> AnyArray:
        """Read the patterns of scan rows start to stop: (stop - start, rx, ky, kx)."""
        return np.asarray(self.data[start:stop])


def _check_valid(valid: Any, shape: tuple[int, ...]) -> None:
    if valid is not None and (valid.shape != tuple(shape) or valid.dtype != np.bool_):
        raise DataError(f"valid must be a bool mask of shape {tuple(shape)}, got {valid.dtype} {valid.shape}.")
