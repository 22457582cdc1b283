"""What a pattern holds at every pixel: electrons in a disk the size of a spot, background, and spots that stand out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from friedel.core.arrays import AnyArray, BoolArray, Float32Array, FloatArray, IntArray
from friedel.core.grids import ReciprocalGrid
from friedel.core.spots import Spots

#: Radius of the disk in standard deviations of a spot: it holds 86 % of a Gaussian one.
_DISK_SIGMAS = 2.0
#: A reflection this near a spot, in 1/Å per 1/Å of its own length and in standard deviations of a spot, is that spot.
REACH_RELATIVE, REACH_SIGMAS = 0.01, 1.5
NO_SPOT, SHADOW = -1, -2
#: How far beyond that the light of a spot reaches into the disks of other pixels.
_SHADOW_SIGMAS = 2.0
#: Spots of a pattern that are looked at, brightest first.
MAX_SPOTS = 40
#: How far within the annulus the transmitted beam may wander, in pixels.
_SLACK_PX = 2.0
#: Width of the rings in which the background is averaged, in pixels.
_RING_PX = 2.5


@dataclass(frozen=True, slots=True, eq=False)
class CountMaps:
    """Patterns (n, ky, kx) prepared for scoring.

    Parameters
    ----------
    disk
        Electrons in the disk about each pixel.
    background
        Electrons that the smooth background sends there, > 0.
    spot
        Index among the pattern's spots of the one at each pixel (n, ky, kx); ``NO_SPOT`` where there is none,
        ``SHADOW`` where the light of a spot reaches into the disk of a pixel that is not its own.
    spot_px
        Positions of the spots (n, S, 2), padded with NaN, brightest first.
    spot_sigma_px
        Their one-sigma errors along one axis (n, S).
    spot_count, spot_background
        Electrons in the disk about each spot, and of the background there (n, S); 0 and 1 where padded.
    total
        Electrons of each pattern (n,).
    beam_px
        Transmitted beam of each pattern (n, 2).
    seen
        Pixels in which a disk lies wholly on the detector and in the annulus (ky, kx).
    sigma_px
        Standard deviation of a spot.
    grid
        Calibration.
    """

    disk: Float32Array
    background: Float32Array
    spot: AnyArray
    spot_px: FloatArray
    spot_sigma_px: FloatArray
    spot_count: FloatArray
    spot_background: FloatArray
    total: FloatArray
    beam_px: FloatArray
    seen: BoolArray
    sigma_px: float
    grid: ReciprocalGrid

    @property
    def n_patterns(self) -> int:
        """Number of patterns."""
        return len(self.total)

    @property
    def reach_px(self) -> float:
        """Distance up to which a reflection of half the pattern's length is a spot."""
        half_px = 0.25 * min(self.seen.shape)
        return float(REACH_SIGMAS * self.sigma_px + REACH_RELATIVE * half_px)

    def of(self, rows: IntArray) -> CountMaps:
        """Return some of the patterns."""
        names = ("disk", "background", "spot", "spot_px", "spot_sigma_px", "spot_count", "spot_background", "total",
                 "beam_px")  # fmt: skip
        columns = {name: getattr(self, name)[rows] for name in names}
        return CountMaps(**columns, seen=self.seen, sigma_px=self.sigma_px, grid=self.grid)


def map_counts(
    electrons: Float32Array,
    spots: Spots,
    shift_px: FloatArray,
    grid: ReciprocalGrid,
    annulus_inv_a: tuple[float, float],
    *,
    sigma_px: float,
    valid: BoolArray | None = None,
) -> CountMaps:
    """Prepare patterns (n, ky, kx) in electrons.

    Parameters
    ----------
    spots
        Of these patterns, relative to each one's own beam.
    shift_px
        Beam of each pattern from the grid's centre (n, 2).
    """
    n, shape = len(electrons), electrons.shape[1:]
    usable = np.ones(shape, dtype=bool) if valid is None else valid
    area = _disk_sum(usable.astype(np.float32)[None], sigma_px)[0]
    disk = _disk_sum(electrons * usable, sigma_px)
    beam_px = np.asarray(grid.centre_px) + shift_px
    spot, spot_px, spot_sigma_px = _spot_maps(spots, beam_px, grid, shape, sigma_px)
    radius = grid.radius_inv_a((shape[0], shape[1]))
    low = annulus_inv_a[0]
    seen = (area > 0.9 * area.max()) & (radius >= low - _SLACK_PX * max(grid.step_inv_a))
    background = _ring_means(electrons, usable & (radius > 0.6 * low), spot == NO_SPOT, beam_px, grid) * area
    background = np.maximum(background, 1e-4)
    row, column = _pixel(spot_px, shape)
    index = np.arange(n)[:, None]
    there = np.isfinite(spot_px[..., 0])
    count = np.where(there, disk[index, row, column], 0.0)
    beneath = np.where(there, background[index, row, column], 1.0)
    total = electrons.sum(axis=(1, 2), dtype=np.float64)
    return CountMaps(
        disk, background, spot, spot_px, spot_sigma_px, count, beneath, total, beam_px, seen, sigma_px, grid
    )


def _disk_sum(stack: Float32Array, sigma_px: float) -> Float32Array:
    """Sum over a disk about each pixel; what lies outside the detector counts nothing."""
    radius = max(_DISK_SIGMAS * sigma_px, 1.5)
    reach = int(np.floor(radius))
    padded = np.pad(stack, ((0, 0), (reach, reach), (reach + 1, reach)))
    running = np.cumsum(padded, axis=2, dtype=np.float32)
    height, width = stack.shape[1:]
    out = np.zeros(stack.shape, dtype=np.float32)
    for dy in range(-reach, reach + 1):
        half = int(np.floor(np.sqrt(max(radius**2 - dy**2, 0.0))))
        rows = running[:, reach + dy : reach + dy + height]
        out += rows[:, :, reach + half + 1 : reach + half + 1 + width] - rows[:, :, reach - half : reach - half + width]
    return np.maximum(out, 0.0)


def _spot_maps(
    spots: Spots, beam_px: FloatArray, grid: ReciprocalGrid, shape: tuple[int, ...], sigma_px: float
) -> tuple[AnyArray, FloatArray, FloatArray]:
    """Index of the nearest spot at each pixel (n, ky, kx); positions (n, S, 2) and their errors (n, S)."""
    n = len(beam_px)
    place = np.arange(len(spots)) - np.repeat(spots.offsets[:-1], np.diff(spots.offsets))
    kept = place < MAX_SPOTS
    pattern = np.repeat(np.arange(n), np.diff(spots.offsets))[kept]
    place = place[kept]
    # As many for every pattern, so that sums over them do not depend on the neighbours.
    spot_px = np.full((n, MAX_SPOTS, 2), np.nan)
    shift = (beam_px - np.asarray(grid.centre_px))[pattern]
    px = grid.px_of(spots.k_inv_a[kept]) + shift
    spot_px[pattern, place] = px
    spot_sigma_px = np.ones(spot_px.shape[:2])
    error = spots.sigma_inv_a[kept] / np.asarray(grid.step_inv_a)
    spot_sigma_px[pattern, place] = np.sqrt(0.5 * (error**2).sum(axis=1))
    label = np.full((n, *shape), NO_SPOT, dtype=np.int16)
    nearest = np.full((n, *shape), np.inf, dtype=np.float32)
    reach_px = REACH_SIGMAS * sigma_px + REACH_RELATIVE * np.hypot(*spots.k_inv_a[kept].T) / min(grid.step_inv_a)
    shadow_px = reach_px + _SHADOW_SIGMAS * sigma_px
    furthest = int(np.ceil(shadow_px.max(initial=1.0))) + 1
    steps = np.arange(-furthest, furthest + 1)
    base = np.rint(px).astype(int)
    for dy in steps:
        for dx in steps:
            at = base + np.array([dy, dx])
            distance = np.hypot(*(at - px).T)
            near = (distance <= shadow_px) & (at >= 0).all(axis=1) & (at < np.array(shape)).all(axis=1)
            # One offset at a time no two spots of a pattern write to one pixel, unless they round to the same one.
            where = (pattern[near], at[near, 0], at[near, 1])
            closer = distance[near] < nearest[where]
            where = tuple(axis[closer] for axis in where)
            nearest[where] = distance[near][closer]
            own = distance[near] <= reach_px[near]
            label[where] = np.where(own, place[near], SHADOW)[closer]
    return label, spot_px, spot_sigma_px


def _ring_means(
    electrons: Float32Array, usable: BoolArray, calm: BoolArray, beam_px: FloatArray, grid: ReciprocalGrid
) -> Float32Array:
    """Mean of each pattern at each radius from its beam, away from spots (n, ky, kx)."""
    px = np.moveaxis(np.indices((electrons.shape[1], electrons.shape[2])), 0, -1)
    out = np.empty(electrons.shape, dtype=np.float32)
    # Patterns whose beam rounds to the same quarter pixel share their rings.
    keys, group = np.unique(np.rint(beam_px * 4).astype(np.int64), axis=0, return_inverse=True)
    for g, key in enumerate(keys):
        members = np.flatnonzero(group.ravel() == g)
        k = grid.with_centre((key[0] / 4.0, key[1] / 4.0)).k_of(px)
        ring = np.hypot(k[..., 0], k[..., 1]) / (_RING_PX * float(np.mean(grid.step_inv_a)))
        below = np.floor(ring).astype(int)
        n_rings = int(below.max()) + 2
        for i in members:
            good = usable & calm[i]
            index = below[good]
            counts = np.bincount(index, minlength=n_rings).astype(np.float64)
            sums = np.bincount(index, electrons[i][good].astype(np.float64), minlength=n_rings).astype(np.float64)
            out[i] = _smooth(sums, counts)[below]
    return out


def _smooth(sums: FloatArray, counts: FloatArray) -> FloatArray:
    """Mean over each ring and its neighbours, weighted 1 2 1; empty rings take the mean of all."""
    total, pixels = (np.convolve(x, [1.0, 2.0, 1.0], mode="same") for x in (sums, counts))
    overall = sums.sum() / max(counts.sum(), 1.0)
    # Half an electron spread over the ring: an empty ring at low dose is not known to be dark.
    return np.asarray(np.where(pixels > 0, (total + 0.5) / np.maximum(pixels, 1.0), overall))


def _pixel(px: FloatArray, shape: tuple[int, ...]) -> tuple[IntArray, IntArray]:
    """Nearest pixel (row, column) within the pattern; NaN gives 0."""
    index = np.rint(np.nan_to_num(px)).astype(np.int64)
    return np.clip(index[..., 0], 0, shape[0] - 1), np.clip(index[..., 1], 0, shape[1] - 1)
