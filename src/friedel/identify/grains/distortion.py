"""The anisotropy of a micrograph's pixels, from spots whose reflections are known."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from friedel.core.arrays import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """A stretch without change of area, shared by all spots of an image.

    Parameters
    ----------
    matrix
        Symmetric, of trace 2 (2, 2), order (ky, kx): measured positions are this times the undistorted ones.
    sigma
        One-sigma error of its eigenvalues.
    """

    matrix: FloatArray
    sigma: float

    @property
    def share(self) -> float:
        """Relative difference between the longest and the mean axis."""
        return float(np.abs(np.linalg.eigvalsh(self.matrix) - 1).max())

    def undo(self, k_inv_a: FloatArray) -> FloatArray:
        """Positions (N, 2) without the stretch."""
        return np.asarray(k_inv_a @ np.linalg.inv(self.matrix).T)


def fit_stretch(k_inv_a: FloatArray, g_inv_a: FloatArray, sigma: FloatArray, *, scale_sigma: float,
                stretch_sigma: float) -> Stretch:  # fmt: skip
    """Fit the stretch of spots.

    Parameters
    ----------
    k_inv_a
        Measured positions (N, 2).
    g_inv_a
        Lengths of their reflections (N,).
    sigma
        Relative one-sigma errors (N,), that of the lattices included.
    scale_sigma, stretch_sigma
        One-sigma errors of scale and stretch before the fit.

    Notes
    -----
    To first order ln(|k| / g) = e + a cos 2 phi + b sin 2 phi for the azimuth phi from kx towards ky; least squares
    with Gaussian priors of zero mean.
    """
    azimuth = np.arctan2(k_inv_a[:, 0], k_inv_a[:, 1])
    design = np.stack([np.ones(len(sigma)), np.cos(2 * azimuth), np.sin(2 * azimuth)], axis=1)
    priors = np.array([max(scale_sigma, 1e-9), max(stretch_sigma, 1e-9), max(stretch_sigma, 1e-9)]) ** -2.0
    weighted = design / sigma[:, None] ** 2
    covariance = np.linalg.inv(design.T @ weighted + np.diag(priors))
    _, a, b = covariance @ (weighted.T @ np.log(np.hypot(*k_inv_a.T) / g_inv_a))
    matrix = np.array([[1 - a, b], [b, 1 + a]])
    return Stretch(matrix, math.sqrt(max(float(covariance[1, 1]), float(covariance[2, 2]))))
