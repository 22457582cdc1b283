"""The report of a mapped series, and its film."""

from __future__ import annotations

import numpy as np

from friedel.core.arrays import FloatArray
from friedel.core.images import MicrographSeries
from friedel.identify.grains.spacings import UNKNOWN
from friedel.identify.series.lives import Change, Life
from friedel.pipeline.micrographs.report import COMPONENT_DECIMALS, indexed_png
from friedel.pipeline.series.road import SeriesResult
from friedel.report.evolution import Evolution, plot_evolution
from friedel.report.html import Picture, Section
from friedel.report.maps import plot_micrograph, plot_phase_map
from friedel.report.series import ComponentCurve, film_of, plot_component_heat_map, plot_components, plot_drift
from friedel.report.style import png_of
from friedel.report.tables import Cell, Table

#: Frames shown in the report; lines in one picture, and rows in the heat map, that can still be told apart.
_SHOWN_FRAMES, _MOST_LINES, _MOST_ROWS = 6, 12, 30
_METHOD = (
    "Drift: phase correlation of each frame with those 1, 2, 4 and 8 frames before. Spots: constant false-alarm rate, "
    "or the network under Provenance if one is, in windows of frames that are averaged in register, linked from "
    "window to window. Names: given once for the whole stack, with one scale. Intensity: amplitude of the fringes in "
    "counts, less what noise alone gives, integrated over the region that the grain ever fills; every frame is "
    "measured at the same places, nothing is rescaled, so that intensities are linear in the counts and 0 on average "
    "where there is nothing. Onsets: the power where a grain is first seen, against a constant, with that of "
    "positions without spots as control; the interval holds the onset with 95 % confidence. Maps: where the amplitude "
    "exceeds half of the grain's plateau over the series."
)
_FILM = (
    "All frames in sequence: film.gif beside this page. Positions are those of the first frame; what has drifted out "
    "of view is white, as are holes in which pixels have no value."
)


def series_sections(
    series: MicrographSeries, result: SeriesResult, fraction: FloatArray, min_probability: float, first: int
) -> list[Section]:
    """Sections of the report: evolution, maps, evidence, tables."""
    tables = [_onset_table(series, result.lives, first), _component_table(result)]
    return [
        Section("What changes", pictures=tuple(_change_pictures(series, result, fraction, first))),
        Section(
            "Where each phase is",
            (_FILM,),
            tuple(_map_pictures(series, result, min_probability, first)),
        ),
        Section("What the FFT shows", pictures=tuple(_evidence(series, result, first))),
        Section("Onsets and components", (_METHOD,), tables=tuple(tables)),
    ]  # fmt: skip


def when(series: MicrographSeries, change: Change, first: int) -> str:
    """Say a frame with its interval, time and dose."""
    facts = [f"95 %: {first + change.low} to {first + change.high}"]
    if series.time_s is not None and change.frame < len(series.time_s):
        facts.append(f"{series.time_s[change.frame]:.4g} s")
    if series.dose_e_per_a2 is not None and change.frame < len(series.dose_e_per_a2):
        facts.append(f"{series.dose_e_per_a2[change.frame]:.4g} e/Å²")
    return f"frame {first + change.frame} ({'; '.join(facts)})"


def film(series: MicrographSeries, result: SeriesResult, min_probability: float, first: int) -> bytes:
    """Make a GIF of the maps with the onsets of the phases marked."""
    captions = [_caption(series, t, first) for t in range(len(result.maps))]
    onsets = {" ".join(name for name in (life.phase, _spacing(life)) if name): life.appears.frame
              for life in result.lives if not life.hkl and life.appears is not None}  # fmt: skip
    return film_of(result.maps, captions, onsets, min_probability)


def _caption(series: MicrographSeries, t: int, first: int) -> str:
    said = f"frame {first + t}"
    if series.time_s is not None:
        said += f", {series.time_s[t]:.4g} s"
    if series.dose_e_per_a2 is not None:
        said += f", {series.dose_e_per_a2[t]:.4g} e/Å²"
    return said


def _axis(series: MicrographSeries, result: SeriesResult, first: int) -> tuple[FloatArray, str]:
    """Return frames, and their name with time and dose of the last one."""
    n = len(result.maps)
    label = "frame"
    if series.time_s is not None:
        label += f" ({series.time_s[-1]:.4g} s at the end" + (
            ")" if series.dose_e_per_a2 is None else f", {series.dose_e_per_a2[-1]:.4g} e/Å²)"
        )
    return np.arange(first, first + n, dtype=np.float64), label


def _change_pictures(series: MicrographSeries, result: SeriesResult, fraction: FloatArray, first: int) -> list[Picture]:
    x, label = _axis(series, result, first)
    phases = result.match.phases
    onsets = {life.phase: float(first + life.appears.frame)
              for life in result.lives
              if life.phase in phases and not life.hkl and life.appears is not None}  # fmt: skip
    names = np.array(result.match.names)
    columns = {
        "frame": np.repeat(x, len(phases)),
        "fraction": fraction[:, : len(phases)].ravel(),
        "intensity": np.stack([result.intensity[:, names == phase].sum(axis=1) for phase in phases], axis=1).ravel(),
    }
    evolution = Evolution(phases * len(x), columns)
    curves = component_curves(result)
    out = [
        Picture(
            png_of(plot_evolution(evolution, "intensity", onsets=onsets)),
            "Intensity of each phase, in counts · nm²; dashed, the frame in which it appears.",
            "Intensity of the phases over the frames",
        ),
        Picture(
            png_of(plot_evolution(evolution, "fraction", onsets=onsets)),
            "Share of the image that each phase takes in the maps.",
            "Share of the phases over the frames",
        ),
    ]
    if curves:
        out.append(
            Picture(
                png_of(plot_components(curves[:_MOST_LINES], phases, x, label)),
                f"Intensity of the {min(len(curves), _MOST_LINES)} strongest components; triangles: where they appear. "
                "All are in components.csv.",
                "Intensity of components over the frames",
            )
        )
        out.append(
            Picture(
                png_of(plot_component_heat_map(curves[:_MOST_ROWS], x, label)),
                "Components over time, each relative to its own largest intensity; white marks: where they appear.",
                "Heat map of components over the frames",
            )
        )
    return out


def component_curves(result: SeriesResult) -> list[ComponentCurve]:
    """Return the curves of the components with one name, strongest first, then of the others."""
    onset = {
        (life.phase, life.hkl, life.d_measured_a): life.appears.frame
        for life in result.lives
        if life.appears is not None
    }
    ordered = sorted(result.components, key=lambda c: c.phase == UNKNOWN or "|" in c.phase)
    return [ComponentCurve(c.phase, c.hkl or f"{c.d_measured_a:.3f} Å", result.intensity[:, list(c.spots)].sum(axis=1),
                           onset.get((c.phase, c.hkl, c.d_measured_a)))
            for c in ordered]  # fmt: skip


def _map_pictures(series: MicrographSeries, result: SeriesResult, min_probability: float, first: int) -> list[Picture]:
    chosen = np.unique(np.linspace(0, len(result.maps) - 1, _SHOWN_FRAMES).round().astype(int)).tolist()
    return [
        Picture(
            png_of(plot_phase_map(result.maps[t], min_probability), dpi=110),
            f"Phase map of {_caption(series, t, first)}.",
            f"Phase map of frame {first + t}",
        )
        for t in chosen
    ]


def _evidence(series: MicrographSeries, result: SeriesResult, first: int) -> list[Picture]:
    drawing, n_spots = indexed_png(result.pattern, result.spots, result.match), len(result.spots)
    x, label = _axis(series, result, first)
    step_a = np.asarray(series.grid.step_a)
    drift = plot_drift(result.drift.shift_px * step_a, result.drift.sigma_px * step_a, x, label)
    return [
        Picture(drawing, f"Mean FFT of {len(result.windows)} windows with the {n_spots} spots that were "
                "followed; white: several phases, or none, explain it.", "Mean diffractogram with indexed spots"),
        Picture(png_of(plot_micrograph(series.frame(0)), dpi=110), "The first frame.", "First frame"),
        Picture(png_of(drift), "Drift of the specimen, with three standard errors.", "Drift over the frames"),
    ]  # fmt: skip


def _spacing(life: Life) -> str:
    """Spacing of a family, by which one that nothing explains is told from others; empty for a whole phase."""
    return "" if life.d_measured_a is None else f"{life.d_measured_a:.3f} Å"


def _onset_table(series: MicrographSeries, lives: tuple[Life, ...], first: int) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for life in lives:
        start = "the start" if life.is_first else "–" if life.appears is None else when(series, life.appears, first)
        end = "the end" if life.is_last else "–" if life.vanishes is None else when(series, life.vanishes, first)
        doubt = [change.false_alarms for change in (life.appears, life.vanishes) if change is not None]
        rows.append(
            (life.phase, life.hkl or _spacing(life) or "whole phase", start, end, max(doubt) if doubt else None)
        )
    return Table(("phase", "hkl", "seen from", "gone from", "false alarms"), tuple(rows),
                 "From when to when phases and components are seen; false alarms: how many changes as large are "
                 "expected in a series in which nothing changes.")  # fmt: skip


def _component_table(result: SeriesResult) -> Table:
    header = ("phase", "hkl", "d measured (Å)", "± (Å)", "d reference (Å)", "deviation (%)", "probability", "spots")
    rows = tuple(
        (c.phase, c.hkl or "–", c.d_measured_a, c.d_sigma_a, c.d_reference_a, c.deviation_percent, c.probability,
         c.n_spots)
        for c in result.components
    )  # fmt: skip
    caption = "Components of the stack; several names joined by | explain a component equally well."
    return Table(header, rows, caption, decimals=COMPONENT_DECIMALS)
