"""Statistics of the power spectrum of noise after smoothing: how high do false peaks rise?

The power of white Gaussian noise at one frequency is exponentially distributed; neighbouring frequencies are
correlated by the window. A smoothed power is a weighted sum of correlated exponentials, hence a sum of independent
ones, whose weights are the eigenvalues of the weighted correlation matrix.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from friedel.core.arrays import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class SpeckleTail:
    """Upper tail of a smoothed noise power of mean 1.

    Parameters
    ----------
    level
        Powers above 1, increasing (T,).
    log_survival
        Natural logarithm of the probability that the power exceeds each level (T,).
    log_peak_rate
        Natural logarithm of the expected number of peaks above each level per pixel (T,).
    """

    level: FloatArray
    log_survival: FloatArray
    log_peak_rate: FloatArray

    def threshold(self, peaks_per_px: float) -> float:
        """Power above which this many false peaks per pixel are expected."""
        return float(np.interp(-math.log(peaks_per_px), -self.log_peak_rate, self.level))

    def log_rate_of(self, power: FloatArray) -> FloatArray:
        """Logarithm of the expected number of false peaks per pixel at least as high as ``power``.

        Beyond the table the tail is exponential and is continued as such.
        """
        inside = np.interp(power, self.level, self.log_peak_rate)
        slope = (self.log_peak_rate[-1] - self.log_peak_rate[-2]) / (self.level[-1] - self.level[-2])
        return np.asarray(inside + slope * np.maximum(power - self.level[-1], 0.0))


def gaussian_kernel(sigma_px: float) -> FloatArray:
    """Weights of a Gaussian of sum 1, cut at 3 sigma but at least one pixel wide; a single 1 for sigma 0."""
    reach = math.ceil(3 * sigma_px)
    x = np.arange(-reach, reach + 1)
    taps = np.exp(-0.5 * (x / max(sigma_px, 1e-9)) ** 2)
    return np.asarray(taps / taps.sum())


def speckle_tail(kernel: FloatArray, correlation: FloatArray) -> SpeckleTail:
    """Compute the tail for noise power smoothed by a separable kernel.

    Parameters
    ----------
    kernel
        One-dimensional weights, sum 1, used along both axes.
    correlation
        Correlation of the complex amplitudes at 0, 1, 2 ... px (``patterns.diffractogram.window_correlation``).

    Notes
    -----
    The survival function is the saddle-point approximation for weighted sums of chi-squared variables (Kuonen,
    Biometrika 86 (1999) 929, eq. 3). Peaks are counted as pixels (tight where these are hardly correlated) times,
    where that is smaller, the number of peaks for each pixel above the same level: the expected Euler characteristic
    (Worsley, Adv. Appl. Prob. 26 (1994) 13, theorem 3.2, two dimensions) over the survival function of a chi-squared
    field with the smoothed power's variance and slope.
    """
    rho = _lagged(correlation, len(kernel), 0)
    root = np.sqrt(kernel)
    one_axis = np.linalg.eigvalsh(root[:, None] * rho * root)
    weights = np.outer(one_axis, one_axis).ravel()
    weights = weights[weights > 1e-6 * weights.max()]
    weights /= weights.sum()
    saddle = (1 - np.geomspace(0.97, 1e-3, 400)) / weights.max()
    level, log_survival = _saddle_point_survival(weights, saddle)
    per_pixel = _log_peaks_per_pixel(log_survival, kernel, correlation, weights)
    return SpeckleTail(level, log_survival, log_survival + np.minimum(per_pixel, 0.0))


def _saddle_point_survival(weights: FloatArray, saddle: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Levels and log survival of a sum of exponentials with these means at the given saddle points (increasing)."""
    ratio = saddle[:, None] * weights
    level = (weights / (1 - ratio)).sum(axis=1)
    cumulant = -np.log1p(-ratio).sum(axis=1)
    curvature = ((weights / (1 - ratio)) ** 2).sum(axis=1)
    w = np.sqrt(2 * (saddle * level - cumulant))
    v = saddle * np.sqrt(curvature)
    return level, special.log_ndtr(-(w + np.log(v / w) / w))


def _lagged(correlation: FloatArray, size: int, lag: int) -> FloatArray:
    """Correlation of pixel i of a row with pixel j + lag of the same row, (size, size)."""
    distance = np.abs(np.subtract.outer(np.arange(size), np.arange(size) + lag))
    return np.append(correlation, 0.0)[np.minimum(distance, len(correlation))]


def _log_peaks_per_pixel(
    log_survival: FloatArray, kernel: FloatArray, correlation: FloatArray, weights: FloatArray
) -> FloatArray:
    """Logarithm of peaks over pixels above the same level, in the chi-squared field of matched variance and slope.

    Such a field of n degrees of freedom, divided by n, has the variance 2 / n and a slope of variance 2 / n x 2 L,
    where L is the variance of the slope of its Gaussian fields: that gives n and L.
    """
    here, next_px = (float(kernel @ _lagged(correlation, len(kernel), lag) ** 2 @ kernel) for lag in (0, 1))
    gaussian_slope = max((here - next_px) / here, 1e-12)
    dof = 2 / float((weights**2).sum())
    survival = np.exp(np.maximum(log_survival, -600.0))
    u = 2 * special.gammainccinv(0.5 * dof, survival)
    log_density = 0.5 * (dof - 2) * np.log(u / 2) - 0.5 * u - special.gammaln(0.5 * dof)
    euler = gaussian_slope / (2 * math.pi) * np.maximum(u - (dof - 1), 1e-12)
    return np.asarray(np.log(euler) + log_density - np.log(survival))
