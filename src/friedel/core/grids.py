"""Calibrated pixel grids of real and reciprocal space."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from friedel.core.arrays import FloatArray, read_only
from friedel.core.errors import CalibrationError

Source = Literal["metadata", "user", "standard", "fitted", "derived"]

#: Relative one-sigma error taken for a scale whose error nobody stated. Stored scales of real files with a known
#: lattice were 1 to 5 % off; 1.5 % is the usual claim of a microscope's factory calibration.
UNSTATED_RELATIVE_SIGMA = 0.015


def _check_step(step: tuple[float, float], name: str, unit: str, option: str) -> None:
    if len(step) != 2 or not all(math.isfinite(s) and s > 0 for s in step):
        raise CalibrationError(f"{name} must be two positive numbers (y, x) in {unit}, got {step}. Pass {option}.")


def _check_sigma(relative_sigma: float) -> None:
    if not (math.isfinite(relative_sigma) and 0 <= relative_sigma < 1):
        raise CalibrationError(f"relative_sigma must lie in [0, 1), got {relative_sigma}.")


@dataclass(frozen=True, slots=True)
class RealGrid:
    """Pixel size of a micrograph or step of a scan.

    Parameters
    ----------
    step_a
        Å per pixel along (y, x).
    source
        Where the scale comes from.
    relative_sigma
        Relative one-sigma error of the scale.
    """

    step_a: tuple[float, float]
    source: Source = "metadata"
    relative_sigma: float = UNSTATED_RELATIVE_SIGMA

    def __post_init__(self) -> None:
        _check_step(self.step_a, "step_a", "Å per pixel", "--pixel-size-a (micrograph) or --scan-step-nm (scan)")
        _check_sigma(self.relative_sigma)


@dataclass(frozen=True, slots=True)
class ReciprocalGrid:
    """Calibration of the pixels of a diffraction pattern.

    A pixel ``px`` (ky, kx), integer at the centre of a pixel, lies at
    ``k = ellipse @ ((px - centre_px) * step_inv_a)``.

    Parameters
    ----------
    step_inv_a
        1/Å per pixel along (ky, kx), with ``|g| = 1/d``.
    centre_px
        The transmitted beam (ky, kx).
    ellipse
        2x2 matrix that undoes the elliptic distortion; the identity where there is none.
    rotation_deg
        Angle from the scan's to the detector's axes; kept for orientation maps, not applied by ``k_of``.
    source, relative_sigma
        Where the scale comes from and its relative one-sigma error.
    """

    step_inv_a: tuple[float, float]
    centre_px: tuple[float, float]
    ellipse: FloatArray = field(default_factory=lambda: np.eye(2))
    rotation_deg: float = 0.0
    source: Source = "metadata"
    relative_sigma: float = UNSTATED_RELATIVE_SIGMA

    def __post_init__(self) -> None:
        _check_step(self.step_inv_a, "step_inv_a", "1/Å per pixel", "--step-inv-a")
        if len(self.centre_px) != 2 or not all(math.isfinite(c) for c in self.centre_px):
            raise CalibrationError(
                f"centre_px must be two finite numbers (ky, kx), got {self.centre_px}. Pass --centre."
            )
        ellipse = read_only(self.ellipse, ndim=2, name="ellipse")
        if ellipse.shape != (2, 2) or not np.isfinite(ellipse).all() or np.linalg.det(ellipse) <= 0:
            raise CalibrationError(f"ellipse must be a 2x2 matrix with positive determinant, got {self.ellipse}.")
        object.__setattr__(self, "ellipse", ellipse)
        _check_sigma(self.relative_sigma)

    def k_of(self, px: Any) -> FloatArray:
        """Reciprocal position in 1/Å of pixel positions ``(..., 2)``, both in order (ky, kx)."""
        offset = (np.asarray(px, dtype=np.float64) - self.centre_px) * self.step_inv_a
        return np.asarray(offset @ self.ellipse.T, dtype=np.float64)

    def px_of(self, k_inv_a: Any) -> FloatArray:
        """Pixel position of reciprocal positions ``(..., 2)`` in 1/Å; the inverse of ``k_of``."""
        offset = np.asarray(k_inv_a, dtype=np.float64) @ np.linalg.inv(self.ellipse).T
        return np.asarray(offset / self.step_inv_a + self.centre_px, dtype=np.float64)

    def radius_inv_a(self, shape: tuple[int, int]) -> FloatArray:
        """Distance in 1/Å of every pixel of a pattern of this shape (ky, kx) from the centre."""
        return np.asarray(np.sqrt(self.radius2_inv_a2(shape)), dtype=np.float64)

    def radius2_inv_a2(self, shape: tuple[int, int]) -> FloatArray:
        """Square of that distance in 1/Å²."""
        (yy, yx), (xy, xx) = self.ellipse * self.step_inv_a
        y, x = np.arange(shape[0])[:, None] - self.centre_px[0], np.arange(shape[1]) - self.centre_px[1]
        return np.asarray((yy * y + yx * x) ** 2 + (xy * y + xx * x) ** 2, dtype=np.float64)

    def with_centre(self, centre_px: tuple[float, float]) -> ReciprocalGrid:
        """Return the same grid about another centre."""
        return replace(self, centre_px=(float(centre_px[0]), float(centre_px[1])))
