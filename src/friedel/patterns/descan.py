"""The wandering of the transmitted beam over the detector as the probe scans."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from friedel.core.arrays import AnyArray, BoolArray, FloatArray
from friedel.patterns.centre import Centre

_MAX_ROUNDS = 8


def beam_offsets(patterns: AnyArray, centre: Centre, *, gain: float) -> tuple[FloatArray, FloatArray]:
    """Measure how far the direct beam of each pattern (n, ky, kx) lies from the centre.

    Returns
    -------
    offset_px
        Centroid (n, 2) within three beam radii, found anew about itself until it rests; NaN where the beam is dark.
    sigma_px
        One-sigma counting error along one axis (n,): beam radius / sqrt(electrons).
    """
    width = centre.beam_sigma_px or 1.5
    reach = 3.0 * width + 1.0
    place = np.indices(patterns.shape[1:]).astype(np.float64)
    rows, columns = place[0], place[1]
    near = np.hypot(rows - centre.px[0], columns - centre.px[1]) <= 2.0 * reach + 2.0
    y, x = rows[near] - centre.px[0], columns[near] - centre.px[1]
    light = patterns[:, near].astype(np.float64) / gain
    light = np.clip(light - np.quantile(light, 0.2, axis=1, keepdims=True), 0.0, None)
    offset = np.zeros((len(patterns), 2))
    total = np.zeros(len(patterns))
    # Each pattern rests by itself, so that the result does not depend on which ones are measured together.
    moving = np.arange(len(patterns))
    for _ in range(_MAX_ROUNDS):
        before = offset[moving]
        inside = light[moving] * (np.hypot(y - before[:, :1], x - before[:, 1:]) <= reach)
        total[moving] = inside.sum(axis=1)
        safe = np.maximum(total[moving], 1e-12)
        offset[moving] = np.stack([(inside * y).sum(axis=1) / safe, (inside * x).sum(axis=1) / safe], axis=1)
        moving = moving[np.abs(offset[moving] - before).max(axis=1) >= 0.01]
        if not len(moving):
            break
    offset[total < 1.0] = np.nan
    return offset, width / np.sqrt(np.maximum(total, 1.0))


def smooth_descan(offset_px: FloatArray, sigma_px: FloatArray, scan_shape: tuple[int, int]) -> FloatArray:
    """Combine the measured beam offsets (n, 2) with the plane that descan follows, into one shift per position (n, 2).

    The plane through all offsets is fitted robustly. What single positions deviate from it beyond their counting
    error is real wandering of variance w; each position then takes the plane plus w / (w + sigma^2) of its own
    deviation (the best linear estimate of a Gaussian deviation). Dark positions take the plane.
    """
    ry, rx = np.indices(scan_shape, dtype=np.float64).reshape(2, -1)
    design = np.stack([np.ones_like(ry), ry - ry.mean(), rx - rx.mean()], axis=1)
    out = np.zeros_like(offset_px)
    for axis in (0, 1):
        values = offset_px[:, axis]
        seen = np.isfinite(values)
        if not seen.any():
            continue
        plane = design @ _robust_plane(design[seen], values[seen], sigma_px[seen])
        deviation = np.where(seen, values - plane, 0.0)
        spread = 1.4826 * float(np.median(np.abs(deviation[seen])))
        wander = max(spread**2 - float(np.median(sigma_px[seen] ** 2)), 0.0)
        out[:, axis] = plane + deviation * wander / (wander + sigma_px**2)
    return out


@dataclass(frozen=True, slots=True)
class DescanPlane:
    """The plane that the beam's wandering follows.

    Parameters
    ----------
    slope_px
        Pixels (ky, kx) that the beam moves from one position to the next along ry, and along rx.
    slope_sigma_px
        One-sigma errors of the same.
    left_px
        Root mean square of what the plane leaves, along one axis.
    """

    slope_px: tuple[tuple[float, float], tuple[float, float]]
    slope_sigma_px: tuple[float, float]
    left_px: float


def descan_plane(shift_px: FloatArray, valid: BoolArray) -> DescanPlane:
    """Fit the plane to the shifts (n, 2) of the positions of a scan, over those that are valid (ry, rx)."""
    ry, rx = np.indices(valid.shape, dtype=np.float64).reshape(2, -1)
    used = valid.ravel()
    design = np.stack([np.ones(int(used.sum())), ry[used] - ry[used].mean(), rx[used] - rx[used].mean()], axis=1)
    fit = np.linalg.lstsq(design, shift_px[used], rcond=None)[0]
    left = float(np.sqrt(np.mean((shift_px[used] - design @ fit) ** 2)))
    spread = np.sqrt((design[:, 1:] ** 2).sum(axis=0))
    sigma = left / np.maximum(spread, 1e-12) * (spread > 0)
    along_ry, along_rx = fit[1:]
    slope = ((float(along_ry[0]), float(along_ry[1])), (float(along_rx[0]), float(along_rx[1])))
    return DescanPlane(slope, (float(sigma[0]), float(sigma[1])), left)


def _robust_plane(design: FloatArray, values: FloatArray, sigma: FloatArray) -> FloatArray:
    """Weighted least squares, repeated without what lies beyond four robust sigmas; a constant for too few values."""
    if len(values) < 12:
        return np.array([float(np.median(values)), 0.0, 0.0])
    keep = np.ones(len(values), dtype=bool)
    fit: FloatArray = np.zeros(3)
    for _ in range(3):
        weight = 1.0 / np.maximum(sigma[keep], 0.02)
        fit = np.asarray(
            np.linalg.lstsq(design[keep] * weight[:, None], values[keep] * weight, rcond=None)[0], np.float64
        )
        residual = np.abs(values - design @ fit)
        keep = residual <= 4.0 * 1.4826 * max(float(np.median(residual)), 1e-3)
    return np.asarray(fit)
