"""Where the pixels of a simulated micrograph lie: as the file says, and as they truly do."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy import fft

from friedel.core.arrays import FloatArray
from friedel.core.errors import DataError
from friedel.core.grids import RealGrid


@dataclass(frozen=True, slots=True)
class Sampling:
    """Pixels of a micrograph whose stated size may be wrong.

    Parameters
    ----------
    shape
        Pixels (y, x).
    step_a
        Å per pixel (y, x) as stated in the file.
    scale_error
        True over stated length of a pixel, less one.
    anisotropy, anisotropy_deg
        Relative excess of the magnification error along a direction over that across it, and the direction, from +x
        towards +y.
    """

    shape: tuple[int, int]
    step_a: tuple[float, float]
    scale_error: float = 0.0
    anisotropy: float = 0.0
    anisotropy_deg: float = 0.0

    def __post_init__(self) -> None:
        if len(self.shape) != 2 or min(self.shape) < 16:
            raise DataError(f"A micrograph needs at least 16 x 16 px, got {self.shape}.")
        RealGrid(self.step_a)
        for name in ("scale_error", "anisotropy"):
            if not abs(getattr(self, name)) < 0.5:
                raise DataError(f"{name} is relative and must lie within 0.5, got {getattr(self, name)}.")

    @property
    def grid(self) -> RealGrid:
        """The stated pixel size, as a file gives it."""
        return RealGrid(self.step_a, source="metadata")

    @property
    def matrix_a(self) -> FloatArray:
        """True position in Å of a pixel, (2, 2): ``matrix_a @ (y, x)``."""
        angle = math.radians(2 * self.anisotropy_deg)
        # The symmetric matrix that stretches along the direction and shrinks across it, in order (y, x).
        stretch = np.array([[-math.cos(angle), math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        distortion = (1 + self.scale_error) * (np.eye(2) + 0.5 * self.anisotropy * stretch)
        return np.asarray(distortion @ np.diag(self.step_a))

    @property
    def pixel_area_a2(self) -> float:
        """True area of a pixel."""
        return float(np.linalg.det(self.matrix_a))

    def cycles_per_px(self, k_inv_a: FloatArray) -> FloatArray:
        """Frequencies (..., 2) in cycles per pixel of true ones (ky, kx) in 1/Å."""
        return np.asarray(k_inv_a @ self.matrix_a)

    def stated(self, k_inv_a: FloatArray) -> FloatArray:
        """Frequencies (..., 2) in 1/Å that a reader of the file finds for true ones (ky, kx)."""
        return np.asarray(self.cycles_per_px(k_inv_a) / self.step_a)

    def frequencies(self, *, half: bool) -> tuple[FloatArray, FloatArray]:
        """True ky and kx in 1/Å of the pixels of ``fft2``, or of ``rfft2`` with ``half``, each of the plane's shape."""
        qy = fft.fftfreq(self.shape[0])[:, None]
        qx = fft.rfftfreq(self.shape[1]) if half else fft.fftfreq(self.shape[1])
        inverse = np.linalg.inv(self.matrix_a)
        return qy * inverse[0, 0] + qx * inverse[1, 0], qy * inverse[0, 1] + qx * inverse[1, 1]

    @property
    def nyquist_inv_a(self) -> float:
        """Largest |k| in 1/Å within which every frequency is sampled without aliases."""
        return 0.5 / float(np.linalg.norm(self.matrix_a, axis=0).max())

    def finer(self, factor: int) -> Sampling:
        """The same field of view with so many times as many pixels along each axis."""
        height, width = self.shape
        steps = (self.step_a[0] / factor, self.step_a[1] / factor)
        return replace(self, shape=(factor * height, factor * width), step_a=steps)
