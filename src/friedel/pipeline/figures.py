"""Figures for papers from what an analysis has found."""

from __future__ import annotations

import numpy as np

from friedel.core.arrays import BoolArray
from friedel.core.errors import DataError
from friedel.core.images import MicrographSeries, Pattern
from friedel.nets.cards import DEFAULT_WEIGHTS
from friedel.nets.denoise import denoise_scan
from friedel.nets.inference import load_network
from friedel.pipeline.scans.outlines import outlines_at, own_grid
from friedel.pipeline.scans.result import ScanResult
from friedel.pipeline.series.report import component_curves
from friedel.pipeline.series.road import SeriesResult
from friedel.report.figures import Panels, Slice, draw_detection, draw_distribution, draw_evolution

#: Lines and slices that fit a column.
_MOST_LINES, _MOST_SLICES = 9, 3


def figure_of_pattern(result: ScanResult, position: tuple[int, int]) -> Panels:
    """Draw what is found at a position (ry, rx): the pattern, denoised by the network, what fits, and the spots."""
    ry, rx = position
    survey = result.survey
    shape = survey.scan.scan_shape
    if not (0 <= ry < shape[0] and 0 <= rx < shape[1]):
        raise DataError(f"The scan has {shape[0]} x {shape[1]} positions, got {position}.")
    grid, valid, index = own_grid(survey, ry, rx), survey.scan.valid, ry * shape[1] + rx
    raw = Pattern(np.nan_to_num(np.asarray(survey.scan.data[ry, rx], dtype=np.float64)), grid, valid)
    network = load_network(DEFAULT_WEIGHTS) if result.denoiser is None else result.denoiser.network
    clean = Pattern(np.asarray(denoise_scan(survey, network).data[ry, rx]), grid, valid)
    return draw_detection(raw, clean, result.spots.of(index), outlines_at(result, index), result.annulus_inv_a)


def figure_of_scan(result: ScanResult, roi: BoolArray | None = None, min_probability: float = 0.5) -> Panels:
    """Draw the light in the annulus at each position with a region of interest (ry, rx), and the phases in it."""
    phase_map = result.phase_map
    if roi is not None:
        if roi.shape != phase_map.valid.shape:
            raise DataError(f"The region must have shape {phase_map.valid.shape}, got {roi.shape}.")
        rows, columns = np.flatnonzero(roi.any(axis=1)), np.flatnonzero(roi.any(axis=0))
        if not len(rows):
            raise DataError("The region of interest is empty.")
        cut = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        phase_map = type(phase_map)(phase_map.phases, phase_map.presence[cut], (phase_map.valid & roi)[cut],
                                    phase_map.grid)  # fmt: skip
    return draw_distribution(result.survey.annular, result.survey.scan.scan_grid, roi, phase_map, min_probability)


def figure_of_series(series: MicrographSeries, result: SeriesResult) -> Panels:
    """Draw the strongest components over the frames, and the frames in which phases appear, or the first and last."""
    n = len(result.maps)
    starts = sorted((life.appears.frame, life.phase) for life in result.lives
                    if life.appears is not None and not life.hkl and life.phase in result.match.phases)  # fmt: skip
    chosen = [(t, f"{phase} appears, {t}") for t, phase in starts] or [(0, "frame 0"), (n - 1, f"frame {n - 1}")]
    shifts = result.drift.shift_px.tolist()
    slices = [Slice(title, series.frame(t), result.maps[t], (shifts[t][0], shifts[t][1]))
              for t, title in chosen[:_MOST_SLICES]]  # fmt: skip
    curves = [curve for curve in component_curves(result) if curve.phase in result.match.phases][:_MOST_LINES]
    return draw_evolution(curves, result.match.phases, np.arange(n, dtype=np.float64), "frame", slices)
