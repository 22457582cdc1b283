"""Scale, ellipse and centre from the rings of a polycrystalline standard."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from friedel.core.arrays import BoolArray, FloatArray, IntArray
from friedel.core.errors import CalibrationError
from friedel.core.grids import ReciprocalGrid
from friedel.core.images import Pattern

_SECTORS = 36
#: Most radial bins, and the width over which the light around a ring is averaged, relative to the whole radius.
_MAX_BINS, _BACKGROUND = 400, 0.06
#: Scale is sought this far from the stored one; wrong camera lengths are farther, and have to be stated.
_MAX_SCALE_ERROR = 0.12
_N_SCALES = 481
#: A neighbour with this share of a ring's light, within this relative distance, spoils its place.
_NEIGHBOUR_SHARE, _NEIGHBOUR_DISTANCE = 0.15, 0.07
#: Half widths of the window about a ring in turn, relative to its radius.
_WINDOWS = (0.06, 0.05, 0.04, 0.035, 0.035)
_LEAST_POINTS, _LEAST_RINGS = 12, 2
#: Rings that are not there give places spread evenly over the window; these scatter less.
_BELIEVED_SCATTER = 0.6
_MIN_SNR = 3.0
#: Relative width (sigma) of a ring in the standard's profile, and least correlation with it. The rings of silicon,
#: ceria and rutile, laid on those of gold, reached 0.1 to 0.3; gold itself 0.47 (a real camera) and 0.95 (simulated).
_RING_WIDTH, _LEAST_AGREEMENT = 0.012, 0.4


@dataclass(frozen=True, slots=True, eq=False)
class RingFit:
    """A calibration by rings.

    Parameters
    ----------
    grid
        The calibration, source "standard".
    scale
        Fitted over stored step: 1.04 if stored lengths are 4 % too small.
    ellipticity, ellipticity_sigma
        Longest over shortest axis of a ring on the detector, minus 1.
    long_axis_deg
        Azimuth of the longest axis, from +kx towards +ky, 0 to 180.
    centre_sigma_px
        One-sigma error of the centre along one axis.
    n_rings, n_points
        Rings, and places on them, that took part.
    residual
        Root mean square distance of the places from the rings, relative to the radius.
    """

    grid: ReciprocalGrid
    scale: float
    ellipticity: float
    ellipticity_sigma: float
    long_axis_deg: float
    centre_sigma_px: float
    n_rings: int
    n_points: int
    residual: float


@dataclass(frozen=True, slots=True, eq=False)
class _Places:
    """Where rings were seen: index of the ring, azimuth, relative distance from it, and weight, each (n,)."""

    ring: IntArray
    azimuth: FloatArray
    off: FloatArray
    window: float


def fit_rings(pattern: Pattern, radius_inv_a: FloatArray, light: FloatArray) -> RingFit:
    """Fit step, ellipse and centre so that the rings of a pattern lie where a standard has them.

    Parameters
    ----------
    pattern
        Rings, such as the mean of a scan over a powder; its grid may be wrong by 12 % in scale, a few per cent in
        ellipse and some pixels in centre.
    radius_inv_a, light
        Radii of the standard's rings (R,) and their relative light per length of ring (R,).

    Raises
    ------
    CalibrationError
        If fewer than two rings are found, or what is found does not lie on rings.

    Notes
    -----
    The scale at which the azimuthal mean correlates best with the standard's profile starts the fit. Then, in turns,
    the place of each ring in each of 36 sectors is taken from the centroid of its light, and
    ln(k / g) = u E u + c u / g is solved for the symmetric strain E and the shift c of the centre, by least squares
    without outliers; u is the direction. Errors are from the scatter; that of the scale from the scatter between rings
    where that is larger.
    """
    order = np.argsort(radius_inv_a)
    radius, light = radius_inv_a[order], light[order]
    start = _first_scale(pattern, radius, light)
    step_y, step_x = pattern.grid.step_inv_a
    grid = replace(pattern.grid, step_inv_a=(step_y / start, step_x / start))
    usable = np.flatnonzero(_stands_alone(radius, light))
    for window in _WINDOWS:
        places = _find_places(replace(pattern, grid=grid), radius, usable, window)
        value, keep = _solve(places, radius)
        grid = _corrected(grid, value)
    profile, k = _mean_profile(replace(pattern, grid=grid), 0.8 * radius[0])
    if _agreement(profile, k, radius, light) < _LEAST_AGREEMENT:
        raise _no_rings()
    return _result(pattern.grid, grid, places, keep, radius)


def _profiles(pattern: Pattern) -> tuple[FloatArray, FloatArray]:
    """Contrast of the light over its surroundings (S, B) by sector and radial bin, NaN without pixels; radii (B,)."""
    rows, columns = np.indices(pattern.shape)
    k = pattern.grid.k_of(np.stack([rows, columns], axis=-1))
    valid = np.ones(pattern.shape, dtype=bool) if pattern.valid is None else pattern.valid
    radius = np.hypot(k[..., 0], k[..., 1])
    width = max(float(np.mean(pattern.grid.step_inv_a)) / 2.0, float(radius.max()) / _MAX_BINS)
    bins = (radius / width).astype(int)[valid]
    sector = ((np.arctan2(k[..., 0], k[..., 1]) / (2 * np.pi) % 1.0) * _SECTORS).astype(int)[valid] % _SECTORS
    n_bins = int(bins.max()) + 1
    flat = sector * n_bins + bins
    n = np.bincount(flat, minlength=_SECTORS * n_bins).reshape(_SECTORS, n_bins)
    total = np.bincount(flat, np.asarray(pattern.data, np.float64)[valid], _SECTORS * n_bins).reshape(n.shape)
    mean = np.divide(total, n, out=np.full(n.shape, np.nan), where=n > 0)
    base = max(float(np.nanmedian(mean)), 1e-12)
    log = np.log(np.maximum(np.nan_to_num(mean, nan=base), 0.0) + base)
    middle = _BACKGROUND * n_bins
    weight = (n > 0).astype(float)
    around = ndimage.gaussian_filter1d(log * weight, middle, axis=1) / np.maximum(
        ndimage.gaussian_filter1d(weight, middle, axis=1), 1e-6
    )
    return np.asarray(np.where(n > 0, log - around, np.nan), np.float64), np.asarray((np.arange(n_bins) + 0.5) * width)


def _mean_profile(pattern: Pattern, low_inv_a: float) -> tuple[FloatArray, FloatArray]:
    """Contrast averaged over the azimuth, and radii, beyond ``low_inv_a`` where a quarter of the sectors has pixels."""
    contrast, k = _profiles(pattern)
    n = np.isfinite(contrast).sum(axis=0)
    used = (n > _SECTORS // 4) & (k > low_inv_a)
    return np.asarray(np.nan_to_num(contrast).sum(axis=0)[used] / n[used]), k[used]


def _agreement(profile: FloatArray, k: FloatArray, radius: FloatArray, light: FloatArray) -> float:
    """Correlation of a profile with that of rings at these radii."""
    model = (np.sqrt(light) * np.exp(-0.5 * ((k[:, None] / radius - 1.0) / _RING_WIDTH) ** 2)).sum(axis=1)
    if len(k) < _LEAST_POINTS or not model.std() > 0 or not profile.std() > 0:
        return -1.0
    return float(np.corrcoef(model, profile)[0, 1])


def _first_scale(pattern: Pattern, radius: FloatArray, light: FloatArray) -> float:
    """Measured over true radius at which profile and standard correlate best."""
    profile, k = _mean_profile(pattern, 0.7 * radius[0])
    scales = np.linspace(1.0 - _MAX_SCALE_ERROR, 1.0 + _MAX_SCALE_ERROR, _N_SCALES)
    return float(scales[int(np.argmax([_agreement(profile, k, scale * radius, light) for scale in scales]))])


def _stands_alone(radius: FloatArray, light: FloatArray) -> BoolArray:
    """Which rings have no neighbour that would pull their place."""
    near = np.abs(np.log(radius[:, None] / radius)) < _NEIGHBOUR_DISTANCE
    np.fill_diagonal(near, val=False)
    rivals = np.where(near, light[None, :], 0.0).max(axis=1, initial=0.0)
    return np.asarray((rivals < _NEIGHBOUR_SHARE * light) & (light > 0.01 * light.max()))


def _find_places(pattern: Pattern, radius: FloatArray, usable: IntArray, window: float) -> _Places:
    """Centroid of the light of each usable ring in each sector, where it stands out."""
    contrast, k = _profiles(pattern)
    # Neighbouring bins differ by noise only, but for the slopes of few rings.
    noise = 1.4826 * float(np.nanmedian(np.abs(np.diff(contrast, axis=1)))) / math.sqrt(2.0)
    ring, azimuth, off = [], [], []
    for j in usable:
        inside = np.abs(k / radius[j] - 1.0) <= window
        if inside.sum() < 5 or k[-1] < radius[j] * (1.0 + window):
            continue
        for sector in range(_SECTORS):
            values = contrast[sector, inside]
            if not np.isfinite(values).all():
                continue
            values = values - np.linspace(values[:2].mean(), values[-2:].mean(), len(values))
            top = float(values.max())
            if top < _MIN_SNR * max(noise, 1e-9):
                continue
            weight = np.clip(values - 0.4 * top, 0.0, None)
            ring.append(j)
            azimuth.append((sector + 0.5) * 2 * np.pi / _SECTORS)
            off.append(math.log(float(weight @ k[inside] / weight.sum()) / radius[j]))
    return _Places(np.array(ring, dtype=int), np.array(azimuth), np.array(off), window)


def _solve(places: _Places, radius: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Strain (yy, yx, xx) and shift of the centre (2,) in 1/Å, and which places took part."""
    _require_rings(len(places.off), len(np.unique(places.ring)))
    design = _design(places, radius)
    keep = np.ones(len(places.off), dtype=bool)
    value: FloatArray = np.zeros(5)
    for _ in range(4):
        value = np.asarray(np.linalg.lstsq(design[keep], places.off[keep], rcond=None)[0], np.float64)
        distance = np.abs(places.off - design @ value)
        keep = distance <= 3.0 * 1.4826 * max(float(np.median(distance)), 1e-5)
    return value, np.asarray(keep)


def _design(places: _Places, radius: FloatArray) -> FloatArray:
    uy, ux = np.sin(places.azimuth), np.cos(places.azimuth)
    g = radius[places.ring]
    return np.stack([uy * uy, 2 * uy * ux, ux * ux, uy / g, ux / g], axis=1)


def _require_rings(n_points: int, n_rings: int) -> None:
    if n_points < _LEAST_POINTS or n_rings < _LEAST_RINGS:
        raise CalibrationError(
            f"{n_points} places on {n_rings} rings of the standard stand out; {_LEAST_POINTS} on {_LEAST_RINGS} are "
            "needed. Check --standard, and that --step-inv-a is right to 12 %."
        )


def _no_rings() -> CalibrationError:
    return CalibrationError(
        "What is seen does not lie on the rings of the standard. Is this a ring pattern of it? For single crystals "
        "pass --phases."
    )


def _corrected(grid: ReciprocalGrid, value: FloatArray) -> ReciprocalGrid:
    """Take strain and shift out of a grid: one step for both axes, the rest in the ellipse."""
    strain = np.array([[value[0], value[1]], [value[1], value[2]]])
    centre = grid.px_of(value[3:])
    total = np.linalg.inv(np.eye(2) + strain) @ grid.ellipse @ np.diag(grid.step_inv_a)
    step = math.sqrt(float(np.linalg.det(total)))
    return replace(grid, step_inv_a=(step, step), centre_px=(float(centre[0]), float(centre[1])), ellipse=total / step)


def _result(
    stored: ReciprocalGrid, grid: ReciprocalGrid, places: _Places, keep: BoolArray, radius: FloatArray
) -> RingFit:
    """Errors from the scatter of the places about the last fit."""
    design = _design(places, radius)
    value = np.linalg.lstsq(design[keep], places.off[keep], rcond=None)[0]
    left = places.off - design @ value
    scatter = float(np.sqrt(np.mean(left[keep] ** 2)))
    rings = np.unique(places.ring[keep])
    _require_rings(int(keep.sum()), len(rings))
    if float(np.sqrt(np.mean(left**2))) > _BELIEVED_SCATTER * places.window / math.sqrt(3.0):
        raise _no_rings()
    covariance = np.linalg.inv(design[keep].T @ design[keep]) * scatter**2
    by_ring = np.array([np.mean(left[keep & (places.ring == j)]) for j in rings])
    scale_sigma = math.hypot(
        0.5 * math.sqrt(covariance[0, 0] + covariance[2, 2] + 2 * covariance[0, 2]),
        float(by_ring.std(ddof=1)) / math.sqrt(len(rings)),
    )
    total = grid.ellipse @ np.diag(grid.step_inv_a)
    # A circle in k is the ellipse px = inverse(total) k on the detector.
    axes, lengths, _ = np.linalg.svd(np.linalg.inv(total))
    long_axis = math.degrees(math.atan2(axes[0, 0], axes[1, 0])) % 180.0
    step = grid.step_inv_a[0]
    return RingFit(
        replace(grid, source="standard", relative_sigma=scale_sigma),
        step / math.sqrt(stored.step_inv_a[0] * stored.step_inv_a[1] * float(np.linalg.det(stored.ellipse))),
        float(lengths[0] / lengths[1] - 1.0),
        math.sqrt(covariance[0, 0] + covariance[2, 2] - 2 * covariance[0, 2]),
        long_axis,
        math.sqrt(0.5 * (covariance[3, 3] + covariance[4, 4])) / step,
        len(rings),
        int(keep.sum()),
        scatter,
    )
