"""The first look at a scan: centre, bad pixels, gain, descan and virtual images."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from friedel.core.arrays import AnyArray, BoolArray, FloatArray, IntArray, LazyArray, require_camera_values
from friedel.core.blocks import map_patterns, pieces, row_blocks
from friedel.core.errors import CalibrationError, DataError
from friedel.core.images import PatternScan
from friedel.patterns.centre import Centre, find_centre
from friedel.patterns.descan import beam_offsets, smooth_descan
from friedel.patterns.masks import find_burned_in_bar, find_shadow
from friedel.patterns.repair import estimate_gain, find_bad_pixels, find_saturated, remove_spikes

#: The mean pattern, the bad pixels and the gain are taken from so many patterns at most, of so many pixels in all.
_SAMPLE_PATTERNS, _SAMPLE_PIXELS = 512, 2**25
#: Spot radius taken along one axis, in pixels, where a beam stop hides the beam that would tell it.
_HIDDEN_BEAM_SIGMA_PX = 1.5


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """What a first pass over a scan tells.

    Parameters
    ----------
    scan
        The scan with its centre and its mask of valid pixels set.
    mean_pattern
        Mean of a sample of patterns (ky, kx).
    gain
        Detector units per electron, estimated from the noise.
    centre
        The transmitted beam and how it was found.
    shift_px
        Beam of each position relative to the centre (ry * rx, 2).
    bright_field, annular
        Virtual images (ry, rx): electrons in the transmitted beam, and in the annulus.
    valid
        Positions that hold data (ry, rx).
    n_saturated
        Pixels of the detector that show the largest of all values in most patterns.
    """

    scan: PatternScan
    mean_pattern: FloatArray
    gain: float
    centre: Centre
    shift_px: FloatArray
    bright_field: FloatArray
    annular: FloatArray
    valid: BoolArray
    n_saturated: int = 0

    @property
    def spot_sigma_px(self) -> float:
        """Radius of a spot along one axis: that of the transmitted beam."""
        return self.centre.beam_sigma_px or _HIDDEN_BEAM_SIGMA_PX

    @property
    def electrons(self) -> float:
        """Electrons of the mean pattern."""
        return float(self.mean_pattern.sum()) / self.gain


class _AboveDark:
    """A scan's data counted from the camera's dark level, still lazy."""

    def __init__(self, data: LazyArray, dark: float) -> None:
        self.data, self.dark = data, dark
        self.shape, self.dtype = data.shape, np.dtype(np.float32)

    def __getitem__(self, key: Any, /) -> AnyArray:
        """Read a part."""
        return np.asarray(np.maximum(np.asarray(self.data[key], dtype=np.float32) - np.float32(self.dark), 0.0))


def sample_patterns(scan: PatternScan) -> AnyArray:
    """Read up to 512 patterns (n, ky, kx), fewer of more than 65536 pixels, from rows spread evenly over the scan."""
    return sample_patterns_with_index(scan)[0]


def sample_patterns_with_index(scan: PatternScan) -> tuple[AnyArray, IntArray]:
    """Return the patterns of ``sample_patterns`` and their indices in C order (n,)."""
    ry, rx = scan.scan_shape
    wanted = int(np.clip(_SAMPLE_PIXELS // np.prod(scan.pattern_shape), 16, _SAMPLE_PATTERNS))
    n_rows = int(np.clip(wanted // rx, 1, ry))
    step = max(1, rx * n_rows // wanted)
    rows = np.unique(np.linspace(0, ry - 1, n_rows).astype(int))
    patterns = np.concatenate([scan.rows(int(row), int(row) + 1)[0, ::step] for row in rows])
    return patterns, (rows[:, None] * rx + np.arange(0, rx, step)).ravel()


def survey_scan(
    scan: PatternScan,
    *,
    annulus_inv_a: tuple[float, float],
    fit_centre: bool = True,
    executor: Executor | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Survey:
    """Look over a scan once.

    Parameters
    ----------
    annulus_inv_a
        Ring of the annular image, 1/Å.
    fit_centre
        False keeps the calibration's centre; the beam's drift about it is followed all the same.
    progress
        Called with rows done and rows in all.

    Raises
    ------
    CalibrationError, DataError
        If no beam can be found, or no position holds data.
    """
    sample = sample_patterns(scan).astype(np.float64)
    counts = np.isfinite(sample)
    if not counts.all():
        sample[~counts] = np.nan
    _check_values(sample)
    dark = float(np.nanquantile(sample, 0.01)) if counts.any() else 0.0
    if dark < 0.0:
        # A camera with an offset below zero: count from its dark level.
        scan, sample = replace(scan, data=_AboveDark(scan.data, dark)), np.maximum(sample - dark, 0.0)
    mean = np.nansum(sample, axis=0) / np.maximum(counts.sum(axis=0), 1)
    if not np.any(mean):
        raise DataError(
            f"All of the {len(sample)} patterns looked at are zero or NaN: there is nothing to map. "
            "Is this the right data set?"
        )
    good = ~(find_bad_pixels(mean) | find_shadow(mean) | find_burned_in_bar(mean)) & counts.any(axis=0)
    if scan.valid is not None:
        good &= scan.valid
    n_saturated = int(find_saturated(sample[:, good]).sum())
    gain = estimate_gain(sample[: max(16, len(sample) // 8)])
    centre = find_centre(mean, good)
    seen = centre.method == "direct beam"
    if not fit_centre:
        centre = Centre(scan.grid.centre_px, 0.5, "given", centre.beam_sigma_px)
    scan = replace(scan, grid=scan.grid.with_centre(centre.px), valid=good)
    masks = _virtual_masks(scan, centre, annulus_inv_a)
    look = partial(_look_at_block, masks=masks, centre=centre, gain=gain, valid=good)
    rows = scan.scan_shape[0]
    parts = []
    for start, part in map_patterns(look, scan, executor=executor):
        parts.append(part)
        progress(min(start + row_blocks(scan)[0][1], rows), rows)
    images, offset, sigma = (np.concatenate([part[i] for part in parts]) for i in range(3))
    has_data = np.isfinite(images[:, 2]) & (images[:, 2] > 0)
    if not has_data.any():
        raise DataError("No position of the scan holds a pattern: all are zero or NaN. Is this the right data set?")
    shift = smooth_descan(offset, sigma, scan.scan_shape) if seen else np.zeros_like(offset)
    if not fit_centre:
        shift -= np.median(shift, axis=0)
    bright_field, annular = (np.nan_to_num(images[:, i]).reshape(scan.scan_shape) for i in (0, 1))
    valid = has_data.reshape(scan.scan_shape)
    return Survey(scan, mean, gain, centre, shift, bright_field, annular, valid, n_saturated)


def _check_values(sample: FloatArray) -> None:
    """Raise unless values (n, ky, kx) are those of a camera that counts further than to one."""
    largest = max(abs(float(edge(sample, initial=0.0))) for edge in (np.nanmin, np.nanmax))
    require_camera_values(largest, largest)
    saturated = find_saturated(sample)
    if saturated.all() or not saturated.any():
        return
    if float(np.min(sample, where=sample > 0, initial=largest)) == largest:
        raise DataError(
            f"The patterns hold no values but 0 and {largest:g}, the latter throughout the transmitted beam: they are "
            "cut off, and how bright spots are is lost. Export the patterns as the camera counted them."
        )


def virtual_image(
    scan: PatternScan, annulus_inv_a: tuple[float, float], *, executor: Executor | None = None
) -> FloatArray:
    """Sum each pattern over an annulus about the calibration's centre: (ry, rx), in detector units.

    Raises
    ------
    CalibrationError
        If the annulus holds no pixel.
    """
    mask = _ring(scan, annulus_inv_a)
    sums = [part for _, part in map_patterns(partial(_sum_block, mask=mask), scan, executor=executor)]
    return np.concatenate(sums).reshape(scan.scan_shape)


def _sum_block(start: int, patterns: AnyArray, *, mask: BoolArray) -> FloatArray:
    return np.asarray(patterns[..., mask].sum(axis=-1, dtype=np.float64)).ravel()


def _ring(scan: PatternScan, annulus_inv_a: tuple[float, float]) -> BoolArray:
    if not 0.0 <= annulus_inv_a[0] < annulus_inv_a[1]:
        raise CalibrationError(
            f"The annulus must be LO,HI in 1/Å with 0 <= LO < HI, got {annulus_inv_a[0]:g},{annulus_inv_a[1]:g}. "
            "Mend --annulus-inv-a."
        )
    radius = scan.grid.radius_inv_a(scan.pattern_shape)
    mask = (radius >= annulus_inv_a[0]) & (radius <= annulus_inv_a[1])
    if scan.valid is not None:
        mask &= scan.valid
    if not mask.any():
        raise CalibrationError(
            f"The annulus {annulus_inv_a[0]:.3g} to {annulus_inv_a[1]:.3g} 1/Å holds no pixel of the pattern, which "
            f"reaches to {radius.max():.3g} 1/Å. Check --annulus-inv-a and --step-inv-a."
        )
    return np.asarray(mask)


def _virtual_masks(
    scan: PatternScan, centre: Centre, annulus_inv_a: tuple[float, float]
) -> tuple[BoolArray, BoolArray]:
    rows, columns = np.indices(scan.pattern_shape)
    reach = 2.5 * (centre.beam_sigma_px or _HIDDEN_BEAM_SIGMA_PX) + 1.0
    beam = np.hypot(rows - centre.px[0], columns - centre.px[1]) <= reach
    return np.asarray(beam & scan.valid if scan.valid is not None else beam), _ring(scan, annulus_inv_a)


def _look_at_block(
    start: int,
    patterns: AnyArray,
    *,
    masks: tuple[BoolArray, BoolArray],
    centre: Centre,
    gain: float,
    valid: BoolArray,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Bright field, annular and total electrons (n, 3), beam offsets (n, 2) and their errors (n,) of a block."""
    flat = patterns.reshape(-1, *patterns.shape[-2:])
    parts = [_look_at(flat[piece], masks, centre, gain, valid) for piece in pieces(flat)]
    light, offset, sigma = (np.concatenate(column) for column in zip(*parts, strict=True))
    return light, offset, sigma


def _look_at(
    patterns: AnyArray, masks: tuple[BoolArray, BoolArray], centre: Centre, gain: float, valid: BoolArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    is_float = patterns.dtype.kind == "f"
    dark = ~np.isfinite(patterns).any(axis=(1, 2)) if is_float else np.zeros(len(patterns), dtype=bool)
    clean = remove_spikes(patterns, gain=gain, valid=valid)
    sums = [clean[:, mask].sum(axis=1, dtype=np.float64) for mask in masks]
    total = np.where(dark, np.nan, clean.sum(axis=(1, 2), dtype=np.float64))
    offset, sigma = beam_offsets(clean, centre, gain=gain)
    return np.stack([*sums, total], axis=1) / gain, offset, sigma
