"""Display contrast of a diffractogram, as published."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from friedel.core.arrays import Float32Array
from friedel.core.errors import DataError
from friedel.core.images import Pattern


@dataclass(frozen=True, slots=True)
class ContrastOptions:
    """Constants of the contrast preset; the defaults are those of the paper.

    Parameters
    ----------
    alpha, beta
        Contrast (factor) and brightness (offset on a scale of 0 to 255).
    kernel_px
        Side of the Gaussian kernel, odd; 1 leaves the picture as it is.
    """

    alpha: float = 3.0
    beta: float = 11.0
    kernel_px: int = 3

    def __post_init__(self) -> None:
        if not self.alpha > 0:
            raise DataError(f"alpha must be positive, got {self.alpha}.")
        if self.kernel_px < 1 or self.kernel_px % 2 == 0:
            raise DataError(f"kernel_px must be an odd number of at least 1, got {self.kernel_px}.")


def paper_contrast(pattern: Pattern, options: ContrastOptions | None = None) -> Float32Array:
    """Show weak spots of a diffractogram: the preset of Raghavendran et al., J. Microsc. (2025) 10.1111/jmi.13413.

    Logarithm of the modulus, normalised to 0..1; mean subtracted and negative values clipped; times alpha plus beta
    on the scale of 0 to 255, clipped there; Gaussian filter. Floats throughout: there is no rounding to 8 bits.

    Returns
    -------
    Float32Array
        Shape of the pattern, 0 to 1. For display and for networks; spots are better searched in the power itself.
    """
    options = options or ContrastOptions()
    power = pattern.data if pattern.valid is None else np.where(pattern.valid, pattern.data, 0.0)
    least = 1e-12 * max(float(power.max()), 1e-30)
    log_modulus = (0.5 * np.log(np.maximum(power, least))).astype(np.float32)
    low, high = _range_without_zero_frequency(log_modulus, pattern)
    scaled = np.clip((log_modulus - low) / max(high - low, 1e-12), 0.0, 1.0)
    lifted = np.maximum(scaled - scaled.mean(dtype=np.float64), 0.0)
    bright = np.clip(options.alpha * lifted + options.beta / 255.0, 0.0, 1.0)
    taps = gaussian_taps(options.kernel_px)
    for axis in (0, 1):
        bright = ndimage.convolve1d(bright, taps, axis=axis, mode="nearest")
    return np.asarray(bright, dtype=np.float32)


def gaussian_taps(kernel_px: int) -> Float32Array:
    """Weights of a Gaussian kernel of this side with sigma = 0.3 ((side - 1) / 2 - 1) + 0.8 px.

    That is the width that OpenCV's GaussianBlur takes for a given side where none is stated (its documentation of
    getGaussianKernel), and so the one of the paper.
    """
    sigma_px = 0.3 * ((kernel_px - 1) * 0.5 - 1) + 0.8
    x = np.arange(kernel_px) - kernel_px // 2
    taps = np.exp(-0.5 * (x / sigma_px) ** 2)
    return np.asarray(taps / taps.sum(), dtype=np.float32)


def _range_without_zero_frequency(log_modulus: Float32Array, pattern: Pattern) -> tuple[float, float]:
    """Find the smallest and largest value off the zero frequency, whose removed mean would set the scale."""
    y, x = (round(c) for c in pattern.grid.centre_px)
    others = np.ones(pattern.shape, dtype=bool)
    if 0 <= y < pattern.shape[0] and 0 <= x < pattern.shape[1]:
        others[y, x] = False
    values = log_modulus[others]
    return float(values.min()), float(values.max())
