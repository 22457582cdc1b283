"""From a series to what its run folder holds."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from friedel.core.arrays import FloatArray
from friedel.core.images import MicrographSeries
from friedel.crystal import PhaseSet
from friedel.identify.grains.table import component_of_spots
from friedel.identify.series.lives import Life
from friedel.nets.inference import device_of
from friedel.pipeline.progress import Progress
from friedel.pipeline.recipe import Recipe
from friedel.pipeline.region import find_region
from friedel.pipeline.runs.files import write_evolution, write_onsets
from friedel.pipeline.runs.folder import RunFolder, writing_to
from friedel.pipeline.runs.outcome import Answer, Outcome, calibration_entry
from friedel.pipeline.series.report import film, series_sections, when
from friedel.pipeline.series.road import SeriesResult, analyse_series
from friedel.pipeline.workers import ask_worker
from friedel.report.colours import phase_colours
from friedel.report.files import write_atomic
from friedel.report.tables import Share


@dataclass(frozen=True, slots=True, eq=False)
class Shares:
    """How much of each frame each phase takes.

    Parameters
    ----------
    names
        The phases, then "none" and "mixed".
    fraction
        Share of the valid positions (t, P + 2).
    n_valid
        Valid positions (t,).
    pixel_nm2
        Area of one position.
    """

    names: tuple[str, ...]
    fraction: FloatArray
    n_valid: FloatArray
    pixel_nm2: float


def map_series(
    series: MicrographSeries,
    recipe: Recipe,
    phases: PhaseSet,
    run: RunFolder,
    executor: Executor | None,
    progress: Progress,
) -> Outcome:
    """Analyse a series and prepare what its run folder holds."""
    height, width = series.data.shape[1:]
    region = find_region((height, width), recipe.region.roi, recipe.region.roi_mask)
    result = analyse_series(
        series, region, phases, recipe.micrograph, recipe.series, store=run, executor=executor, seed=recipe.seed,
        progress=progress,
    )  # fmt: skip
    by_network = recipe.micrograph.detector == "net"
    device = ask_worker(device_of, recipe.micrograph.segmenter, executor) if by_network else ""
    shares = _shares(result, recipe.min_probability, progress)
    first = recipe.read.frames[0] if recipe.read.frames else 0
    step_a = np.asarray(series.grid.step_a)
    arrays = {"drift_a": result.drift.shift_px * step_a, "drift_sigma_a": result.drift.sigma_px * step_a}
    arrays |= {name: value for name in ("time_s", "dose_e_per_a2") if (value := getattr(series, name)) is not None}
    steps = np.hypot(*np.diff(arrays["drift_a"], axis=0).T)
    way_a = float(np.sqrt(np.mean(steps**2))) if len(steps) else 0.0

    def write_more(folder: Path) -> None:
        write_evolution(folder / "evolution.csv", evolution_rows(series, result, shares, first))
        write_onsets(folder / "onsets.csv", onset_rows(series, result.lives, first))
        with writing_to(folder):
            write_atomic(folder / "film.gif", film(series, result, recipe.min_probability, first))

    return Outcome(
        "series",
        result.maps,
        _answer(series, result, shares, first),
        result.spots,
        {
            "pixel_size_a": calibration_entry(series.grid.step_a, series.grid.source, series.grid.relative_sigma),
            "scale": calibration_entry(result.match.scale, "fitted", result.match.scale_sigma),
            "drift_a_per_frame": calibration_entry(way_a, "fitted", None),
        },
        result.warnings,
        lambda: series_sections(series, result, shares.fraction, recipe.min_probability, first),
        arrays,
        {"step_px": result.step_px, "roi": [list(region.rows), list(region.columns)], "first_frame": first},
        list(component_rows(result, first)),
        {"component": component_of_spots(result.components, len(result.spots))},
        write_more,
        network_device=device,
    )


def _shares(result: SeriesResult, min_probability: float, progress: Progress) -> Shares:
    rows, n_valid, pixel_nm2 = [], [], 1.0
    names: tuple[str, ...] = ()
    for i, phase_map in enumerate(result.maps):
        found = phase_map.fractions(min_probability)
        names = tuple(found)
        rows.append(list(found.values()))
        n_valid.append(float(phase_map.valid.sum()))
        if phase_map.grid is not None:
            pixel_nm2 = float(np.prod(phase_map.grid.step_a)) / 100
        progress("shares", i + 1, len(result.maps))
    return Shares(names, np.array(rows), np.array(n_valid), pixel_nm2)


def component_rows(result: SeriesResult, first: int) -> Iterator[dict[str, Any]]:
    """Yield the rows of components.csv: one per component and frame, in the identity that holds for the stack."""
    for t in range(len(result.intensity)):
        d_a = 1 / np.hypot(*result.k_inv_a[t].T)
        for component in result.components:
            rows = list(component.spots)
            factor = float(d_a[rows].mean() * np.mean(result.spots.radius_inv_a[rows]))
            d = component.d_measured_a * factor
            yield component.as_row(first + t) | {
                "d_measured_a": d,
                "deviation_percent": 100 * (d / component.d_reference_a - 1),
                "intensity": float(result.intensity[t, rows].sum()),
            }


def evolution_rows(
    series: MicrographSeries, result: SeriesResult, shares: Shares, first: int
) -> Iterator[dict[str, Any]]:
    """Yield the rows of evolution.csv: one per frame and phase; what a phase does not have is empty."""
    names = np.array(result.match.names)
    of_phase = {phase: np.flatnonzero(names == phase) for phase in result.match.phases}
    strongest = {c.phase: list(c.spots) for c in reversed(result.components)}
    for t in range(len(result.intensity)):
        for p, (phase, rows) in enumerate(of_phase.items()):
            d = np.mean(1 / np.hypot(*result.k_inv_a[t, strongest[phase]].T)) if len(rows) else None
            yield {
                "frame": first + t,
                "time_s": _at(series.time_s, t),
                "dose_e_per_a2": _at(series.dose_e_per_a2, t),
                "phase": phase,
                "intensity": float(result.intensity[t, rows].sum()) if len(rows) else None,
                "area_nm2": float(shares.fraction[t, p] * shares.n_valid[t] * shares.pixel_nm2),
                "fraction": float(shares.fraction[t, p]),
                "d_measured_a": None if d is None else float(d),
            }


def onset_rows(series: MicrographSeries, lives: tuple[Life, ...], first: int) -> Iterator[dict[str, Any]]:
    """Yield the rows of onsets.csv: one per phase or component and event."""
    for life in lives:
        head = {"phase": life.phase, "hkl": life.hkl, "d_measured_a": life.d_measured_a}
        nothing = dict.fromkeys(("frame", "frame_low", "frame_high", "time_s", "dose_e_per_a2", "false_alarms"))
        for is_there, event in ((life.is_first, "there from the start"), (life.is_last, "there to the end")):
            if is_there:
                yield head | {"event": event} | nothing
        for change, event in ((life.appears, "appears"), (life.vanishes, "vanishes")):
            if change is not None:
                yield head | {
                    "event": event,
                    "frame": first + change.frame,
                    "frame_low": first + change.low,
                    "frame_high": first + change.high,
                    "time_s": _at(series.time_s, change.frame),
                    "dose_e_per_a2": _at(series.dose_e_per_a2, change.frame),
                    "false_alarms": change.false_alarms,
                }


def _at(values: FloatArray | None, frame: int) -> float | None:
    return None if values is None or frame >= len(values) else float(values[frame])


def _answer(series: MicrographSeries, result: SeriesResult, shares: Shares, first: int) -> Answer:
    """Answer in a sentence per phase: from when to when, and how much."""
    of_phase = {life.phase: life for life in result.lives if life.d_measured_a is None}
    lines, cards = [], []
    mean = dict(zip(shares.names, shares.fraction.mean(axis=0).tolist(), strict=True))
    for p, (phase, colour) in enumerate(phase_colours(result.match.phases).items()):
        fraction = shares.fraction[:, p]
        most = int(np.argmax(fraction))
        life = of_phase.get(phase)
        text = "not found" if life is None else _life_text(series, life, first)
        if life is not None:
            lines.append(f"{phase} {text}; in {100 * fraction[0]:.1f} % of the image at first, "
                         f"{100 * fraction[-1]:.1f} % at the end.")  # fmt: skip
        where = f"; most in frame {first + most}, {100 * fraction[most]:.1f} %" if fraction[most] > 0 else ""
        cards.append(Share(phase, colour, mean[phase], f"mean of all frames; {text}{where}"))
    if not lines:
        lines.append("None of the candidate phases was found in the series.")
    return Answer(mean, int(shares.n_valid.sum()), tuple(cards), tuple(lines))


def _life_text(series: MicrographSeries, life: Life, first: int) -> str:
    said = []
    if life.is_first:
        said.append("is there from the start")
    if life.appears is not None:
        said.append(f"appears in {when(series, life.appears, first)}")
    if life.vanishes is not None:
        said.append(f"is gone from {when(series, life.vanishes, first)} on")
    return " and ".join(said) or "is there, but no change of it is significant"
