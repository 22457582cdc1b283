"""Azimuthal profiles: intensity against distance from the centre, on a calibrated grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from friedel.core.arrays import FloatArray, IntArray
from friedel.core.errors import CalibrationError
from friedel.core.images import Pattern


@dataclass(frozen=True, slots=True, eq=False)
class RadialProfile:
    """Intensity against distance from the centre.

    Parameters
    ----------
    k_inv_a
        Mean distance of the pixels of each bin (B,), increasing; empty bins are left out.
    intensity
        Mean or median of each bin (B,).
    n_pixels
        Pixels in each bin (B,).
    """

    k_inv_a: FloatArray
    intensity: FloatArray
    n_pixels: IntArray

    @property
    def d_a(self) -> FloatArray:
        """Spacing 1 / k of each bin in Å, infinite at the centre."""
        with np.errstate(divide="ignore"):
            return np.asarray(1.0 / self.k_inv_a)


def radial_profile(
    pattern: Pattern, *, bin_inv_a: float | None = None, statistic: Literal["mean", "median"] = "mean"
) -> RadialProfile:
    """Average a pattern over the azimuth: the "diffraction-like graph" of an HRTEM micrograph.

    Parameters
    ----------
    bin_inv_a
        Width of a bin in 1/Å; None takes the larger step of the grid.
    statistic
        "median" is insensitive to spots.

    Notes
    -----
    Equations 2 and 3 of Raghavendran et al., J. Microsc. (2025) 10.1111/jmi.13413, with the distance taken in 1/Å on
    each axis, so that it holds for pictures that are not square: r = N x pixel size / d only where N is the length of
    that axis.
    """
    width = max(pattern.grid.step_inv_a) if bin_inv_a is None else bin_inv_a
    if not width > 0:
        raise CalibrationError(f"bin_inv_a must be positive in 1/Å, got {width}.")
    radius = pattern.grid.radius_inv_a(pattern.shape)
    keep = np.ones(pattern.shape, dtype=bool) if pattern.valid is None else pattern.valid
    radius, values = radius[keep], np.asarray(pattern.data[keep], dtype=np.float64)
    index = np.floor(radius / width + 0.5).astype(np.int64)
    counts = np.bincount(index)
    used = counts > 0
    k = np.bincount(index, radius)[used] / counts[used]
    if statistic == "mean":
        level = np.bincount(index, values)[used] / counts[used]
    else:
        level = _medians(values[np.lexsort((values, index))], counts[used])
    return RadialProfile(k, level, counts[used])


def _medians(ordered: FloatArray, counts: IntArray) -> FloatArray:
    """Medians of consecutive groups of these sizes, each group ordered."""
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    return np.asarray(0.5 * (ordered[first + (counts - 1) // 2] + ordered[first + counts // 2]))
