"""From spots to the light on a detector's pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import erfc

from friedel.core.arrays import FloatArray, IntArray
from friedel.core.beam import Beam
from friedel.core.errors import DataError
from friedel.core.grids import ReciprocalGrid
from friedel.simulate.patterns.diffraction import SpotPattern

#: Standard deviation of a pixel's own square, 1 / sqrt(12): no spot is narrower.
MIN_BLUR_PX = 0.29
#: A profile ends so many standard deviations beyond its disk.
_REACH = 4.0
#: Below this ratio of disk radius to blur, a spot is drawn as a Gaussian of the same variance.
_DISK_OVER_BLUR = 2.0


@dataclass(frozen=True, slots=True)
class SpotShape:
    """How wide a spot is.

    Parameters
    ----------
    disk_radius_inv_a
        Radius of the convergence disk, alpha / lambda; 0 for a parallel beam.
    blur_px
        One-sigma blur in detector pixels, at least that of a pixel.
    """

    disk_radius_inv_a: float = 0.0
    blur_px: float = 0.6

    def __post_init__(self) -> None:
        if not self.disk_radius_inv_a >= 0:
            raise DataError(f"disk_radius_inv_a must not be negative, got {self.disk_radius_inv_a}.")
        if not self.blur_px >= MIN_BLUR_PX:
            raise DataError(f"blur_px must be at least {MIN_BLUR_PX}, the width of a pixel, got {self.blur_px}.")

    @classmethod
    def of(cls, beam: Beam, blur_px: float = 0.6) -> SpotShape:
        """Shape of the spots of this beam: disks of radius alpha / lambda."""
        return cls(1e-3 * beam.semi_convergence_mrad / beam.wavelength_a, blur_px)


def render(pattern: SpotPattern, grid: ReciprocalGrid, shape: tuple[int, int], spot: SpotShape) -> FloatArray:
    """Draw spots and transmitted beam on a detector.

    Parameters
    ----------
    grid
        Scale, centre and ellipse of the detector; k = 0 is the transmitted beam.
    shape
        Pixels (ky, kx).

    Returns
    -------
    FloatArray
        Share of the beam in each pixel (ky, kx). It adds up to 1 less the light that misses the detector.

    Notes
    -----
    A disk in reciprocal space, so an ellipse on a distorted detector, with its edge blurred: erfc((r - R) / (sqrt(2)
    sigma)) / 2, or a Gaussian of variance sigma^2 + R^2 / 4 along each axis where R is below 2 sigma. Each spot is
    drawn on a patch about it and scaled to its share there, so that no light is lost by sampling.
    """
    px = grid.px_of(np.concatenate([np.zeros((1, 2)), pattern.k_inv_a]))
    share = np.concatenate([[pattern.direct], pattern.share])
    half = _half_width_px(grid, spot)
    nearest = np.rint(px).astype(np.int64)
    seen = ((nearest >= -half) & (nearest < np.array(shape) + half)).all(axis=1)
    profiles = _profiles(px[seen] - nearest[seen], half, grid, spot)
    profiles *= (share[seen] / profiles.sum(axis=(1, 2)))[:, None, None]
    return _deposit(profiles, nearest[seen], half, shape)


def _sigma_px(grid: ReciprocalGrid, spot: SpotShape) -> tuple[FloatArray, bool]:
    """Blur along (ky, kx) of a spot that is drawn as a Gaussian, and whether it is one."""
    radius_px = spot.disk_radius_inv_a / np.asarray(grid.step_inv_a)
    is_disk = bool(radius_px.min() > _DISK_OVER_BLUR * spot.blur_px)
    return np.full(2, spot.blur_px) if is_disk else np.hypot(spot.blur_px, radius_px / 2), not is_disk


def _half_width_px(grid: ReciprocalGrid, spot: SpotShape) -> int:
    sigma, is_gaussian = _sigma_px(grid, spot)
    stretch = float(np.linalg.norm(np.linalg.inv(grid.ellipse), ord=2))
    edge = 0.0 if is_gaussian else spot.disk_radius_inv_a * stretch / min(grid.step_inv_a)
    return int(np.ceil(edge + _REACH * sigma.max() + 0.5))


def _profiles(fraction_px: FloatArray, half: int, grid: ReciprocalGrid, spot: SpotShape) -> FloatArray:
    """Unscaled patches (M, P, P) of spots that lie ``fraction_px`` (M, 2) from the middle of their patch."""
    sigma, is_gaussian = _sigma_px(grid, spot)
    steps = np.arange(-half, half + 1)
    dy, dx = (steps - fraction_px[:, axis, None] for axis in (0, 1))
    if is_gaussian:
        along_y, along_x = (np.exp(-0.5 * (d / s) ** 2) for d, s in zip((dy, dx), sigma, strict=True))
        return np.asarray(along_y[:, :, None] * along_x[:, None, :])
    to_k = grid.ellipse * grid.step_inv_a
    metric = to_k.T @ to_k
    k2 = metric[0, 0] * dy[:, :, None] ** 2 + metric[1, 1] * dx[:, None, :] ** 2
    k2 += 2.0 * metric[0, 1] * dy[:, :, None] * dx[:, None, :]
    blur_inv_a = spot.blur_px * np.sqrt(np.prod(grid.step_inv_a))
    return np.asarray(erfc((np.sqrt(k2) - spot.disk_radius_inv_a) / (np.sqrt(2.0) * blur_inv_a)))


def _deposit(profiles: FloatArray, middle_px: IntArray, half: int, shape: tuple[int, int]) -> FloatArray:
    """Add patches (M, P, P) about pixels (M, 2) into one picture."""
    # The picture is padded so that every patch fits, and cropped at the end.
    height, width = shape[0] + 4 * half, shape[1] + 4 * half
    steps = np.arange(2 * half + 1)
    corner = middle_px + half
    rows, columns = corner[:, :1] + steps, corner[:, 1:] + steps
    index = rows[:, :, None] * width + columns[:, None, :]
    picture = np.bincount(index.ravel(), weights=profiles.ravel(), minlength=height * width)
    return np.ascontiguousarray(picture.reshape(height, width)[2 * half : -2 * half, 2 * half : -2 * half])
