"""How much a count of electrons speaks for a spot."""

from __future__ import annotations

import numpy as np

from friedel.core.arrays import AnyArray

#: Relative error of a background that is taken as smooth.
BACKGROUND_SIGMA = 0.15


def log_evidence(count: AnyArray, background: AnyArray, expected: AnyArray, shape: float) -> AnyArray:
    """Logarithm of the likelihood ratio "a spot of unknown intensity" to "background alone" for Poisson counts.

    Parameters
    ----------
    count, background
        Electrons in a small disk, and those that the background sends there, > 0.
    expected, shape
        Mean of the spot's intensity, > 0, and shape of the gamma law that it follows about that mean.

    Notes
    -----
    The integral of Poisson(n; b + A) / Poisson(n; b) over Gamma(A; shape, mean m), by Laplace's method in log A. The
    mode solves a quadratic equation. The law's own norm is taken by the same method, so that n = 0 gives the exact
    -shape log(1 + m / shape). A background known to a relative error r only is allowed for by dividing all counts by
    1 + r^2 b (quasi-Poisson: McCullagh and Nelder, Generalized Linear Models, 2nd ed., 1989, ch. 9).
    """
    spread = 1.0 / (1.0 + BACKGROUND_SIGMA**2 * background)
    n, b, m = count * spread, background * spread, np.maximum(expected * spread, 1e-12)
    t = 1.0 + shape / m
    p = t * b - n - shape
    root = np.sqrt(p * p + 4.0 * t * shape * b)
    # The stable one of two ways to write the positive root.
    amplitude = np.where(p < 0, (root - p) / (2.0 * t), 2.0 * shape * b / (root + np.abs(p)))
    amplitude = np.maximum(amplitude, 1e-12)
    curvature = amplitude * (t - n * b / (b + amplitude) ** 2)
    ratio = amplitude / m
    fit = n * np.log1p(amplitude / b) - amplitude + shape * (np.log(ratio) - ratio + 1.0)
    return fit + 0.5 * np.log(shape / np.maximum(curvature, 1e-3 * shape))
