"""Sub-pixel positions of spots in a power spectrum, with errors from the statistics of its noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from friedel.core.arrays import AnyArray, FloatArray

MAX_ITERATIONS = 30
#: Speckle within a spot is smoothed by this share of its search width before its outline is measured.
OUTLINE_SMOOTHING = 0.35
#: A spot is the transform of a grain's outline times the transfer function sin(chi), whose slope across the spot pulls
#: its maximum by s^2 x 2 chi' cot(chi) for a spot of Gaussian width s: with 1.5 nm of delocalisation (chi' / 2 pi) and
#: grains of 10 nm about half of the spot's half width, with a corrector nearly nothing. SHAPE_ERROR times the half
#: width is added in quadrature to the error from noise, and LEAST_ERROR_PX for an ideal spot.
SHAPE_ERROR, LEAST_ERROR_PX = 0.2, 0.005


@dataclass(frozen=True, slots=True)
class RefinedSpot:
    """One spot in pixels of its pattern.

    Parameters
    ----------
    position_px, sigma_px
        Position (ky, kx) and its one-sigma error.
    intensity
        Power above the noise, summed over the spot.
    half_width_px
        Radius of a disk with the area where the power exceeds half of its peak.
    """

    position_px: tuple[float, float]
    sigma_px: tuple[float, float]
    intensity: float
    half_width_px: float


def refine(power: AnyArray, floor: AnyArray, at_px: tuple[int, int], scale_px: float,
           correlation: FloatArray) -> RefinedSpot:  # fmt: skip
    """Refine one spot by the Gaussian-weighted centroid that is its own centre.

    Parameters
    ----------
    power, floor
        Power (ky, kx), periodic, and mean power of its noise.
    at_px
        Pixel of the smoothed maximum.
    scale_px
        Standard deviation of the Gaussian weight.
    correlation
        Correlation of the amplitudes of noise at 0, 1, 2 ... px.

    Notes
    -----
    The fixed point is the maximum of the power convolved with the Gaussian, evaluated between the pixels; for the
    transform of any real, positive outline that maximum is the carrier frequency. The error propagates the variance
    of the power, F^2 + 2 F S for noise F under a signal S (non-central chi-squared with two degrees of freedom), with
    its correlation, through that fixed-point equation.
    """
    reach = math.ceil(4 * scale_px) + 1
    offsets = np.arange(-reach, reach + 1)
    rows, cols = (at_px[0] + offsets) % power.shape[0], (at_px[1] + offsets) % power.shape[1]
    patch = np.asarray(power[np.ix_(rows, cols)], dtype=np.float64)
    noise = float(floor[at_px])
    signal = patch - noise
    centre = _fixed_point(signal, offsets, scale_px)
    half_width_px = _half_width(signal, OUTLINE_SMOOTHING * scale_px)
    sigma = _errors(np.maximum(signal, 0.0), noise, offsets - centre[:, None], scale_px, correlation)
    floor_px = math.hypot(LEAST_ERROR_PX, SHAPE_ERROR * half_width_px)
    near = np.hypot(offsets[:, None] - centre[0], offsets - centre[1]) <= max(3 * scale_px, 2.5)
    return RefinedSpot(
        (float(at_px[0] + centre[0]), float(at_px[1] + centre[1])),
        (math.hypot(sigma[0], floor_px), math.hypot(sigma[1], floor_px)),
        float(np.maximum(signal[near].sum(), 0.0)),
        half_width_px,
    )


def _fixed_point(signal: FloatArray, offsets: AnyArray, scale_px: float) -> FloatArray:
    """Offset (2,) at which the Gaussian-weighted centroid equals the Gaussian's own centre."""
    centre = np.zeros(2)
    for _ in range(MAX_ITERATIONS):
        gy, gx = (np.exp(-0.5 * ((offsets - c) / scale_px) ** 2) for c in centre)
        total = gy @ signal @ gx
        if total <= 0:
            break
        moment = np.array([(gy * (offsets - centre[0])) @ signal @ gx, gy @ signal @ (gx * (offsets - centre[1]))])
        curvature = np.array([
            (gy * ((offsets - centre[0]) / scale_px) ** 2) @ signal @ gx,
            gy @ signal @ (gx * ((offsets - centre[1]) / scale_px) ** 2),
        ])  # fmt: skip
        step = moment / np.maximum(total - curvature, 0.2 * total)
        centre = centre + np.clip(step, -0.5 * scale_px, 0.5 * scale_px)
        if np.abs(centre).max() > 1.5 * scale_px + 1:
            return np.zeros(2)
        if np.abs(step).max() < 1e-5:
            break
    return centre


def _half_width(signal: FloatArray, smoothing_px: float) -> float:
    """Radius of a disk with the area of the connected region above half of the peak at the patch's middle."""
    smooth = ndimage.gaussian_filter(signal, smoothing_px)
    middle = signal.shape[0] // 2
    near = smooth[middle - 1 : middle + 2, middle - 1 : middle + 2]
    regions, _ = ndimage.label(smooth > 0.5 * near.max())
    peak = np.unravel_index(np.argmax(near), near.shape)
    inside = regions[middle - 1 + int(peak[0]), middle - 1 + int(peak[1])]
    area = int((regions == inside).sum()) if inside else 1
    return math.sqrt(area / math.pi)


def _errors(signal: FloatArray, noise: float, distance: FloatArray, scale_px: float,
            correlation: FloatArray) -> FloatArray:  # fmt: skip
    """One-sigma errors (2,) of the fixed point from the noise of the power."""
    taps = np.concatenate([correlation[:0:-1], correlation])
    gauss = np.exp(-0.5 * (distance / scale_px) ** 2)
    weight = np.outer(gauss[0], gauss[1])
    amplitude = np.sqrt(signal)
    sigma = np.empty(2)
    for axis in (0, 1):
        along = distance[axis][:, None] if axis == 0 else distance[axis][None, :]
        lever = weight * along
        variance = 2 * noise * _form(lever * amplitude, np.abs(taps)) + noise**2 * _form(lever, taps**2)
        slope = abs(float((weight * signal * (1 - (along / scale_px) ** 2)).sum()))
        sigma[axis] = math.sqrt(max(variance, 0.0)) / max(slope, 1e-30)
    return np.minimum(sigma, scale_px)


def _form(values: FloatArray, taps: FloatArray) -> float:
    """Quadratic form of values with a separable correlation."""
    spread = ndimage.convolve1d(ndimage.convolve1d(values, taps, axis=0, mode="constant"), taps, axis=1,
                                mode="constant")  # fmt: skip
    return float((values * spread).sum())
