"""The printed report of a run, from the files of its folder alone."""

from __future__ import annotations

import csv
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from friedel.core.grids import RealGrid
from friedel.core.phase_map import PhaseMap
from friedel.io.maps.types import MapImage, MapSet
from friedel.pipeline.micrographs.report import COMPONENT_DECIMALS
from friedel.pipeline.recipe import load_recipe
from friedel.pipeline.runs.files import load_spots, load_summary
from friedel.pipeline.runs.maps import phase_map_of
from friedel.report.diffraction import plot_radius_histogram
from friedel.report.evolution import load_evolution, plot_evolution
from friedel.report.maps import plot_phase_map, plot_presence, plot_virtual_image
from friedel.report.pdf import Drawing, PdfSection, write_pdf
from friedel.report.tables import Cell, Table, mixture_table, shares_of

#: Frames of a series that are drawn; presence from which a phase is worth a picture of its own.
_MOST_FRAMES, _WORTH_DRAWING = 6, 0.05
#: Components in the table; the rest is in components.csv.
_MOST_COMPONENTS = 60
_COMPONENT_NAMES = {
    "phase": "phase", "hkl": "hkl", "d_measured_a": "d (Å)", "d_sigma_a": "± (Å)", "d_reference_a": "d ref. (Å)",
    "deviation_percent": "dev. (%)", "probability": "prob.", "n_spots": "spots", "intensity": "intensity",
}  # fmt: skip


def write_run_pdf(path: Path, run: Path, maps: MapSet) -> None:
    """Write a report fit for a supplement: the answer, calibration, warnings, maps, tables, settings, provenance."""
    summary = load_summary(run)
    provenance = json.loads((run / "provenance.json").read_text(encoding="utf-8"))
    threshold = float(maps.facts["min_probability"])
    is_series = maps.image("presence").axes[0].name == "t"
    frames: list[int | None] = [None]
    if is_series:
        frames = _chosen_frames(maps.image("valid").data.shape[0])
    found = [phase_map_of(maps, frame) for frame in frames]
    sections = [
        PdfSection("Which phases", tables=(_share_table(summary.fractions),)),
        PdfSection("Warnings", tuple(summary.warnings) or ("None.",)),
        PdfSection("Calibration", tables=(_calibration_table(summary.calibration),)),
        PdfSection("What was found", tables=_tables(run, found[-1], threshold)),
        PdfSection("Where", drawings=tuple(_map_drawings(found, frames, threshold) + _grey_drawings(maps, found[-1]))),
        *_evolution(run),
        *_spots(run),
        PdfSection("Settings", verbatim=(run / "recipe.toml").read_text(encoding="utf-8")),
        PdfSection("Provenance", tables=(_provenance_table(provenance),)),
    ]
    subtitle = f"friedel {provenance['versions'].get('friedel', '')} · {summary.kind} · {provenance['time_utc']}"
    write_pdf(path, Path(load_recipe(run / "recipe.toml").input).name, subtitle, sections)


def _chosen_frames(n: int) -> list[int | None]:
    """Return up to ``_MOST_FRAMES`` frames, evenly spread from the first to the last."""
    return [int(i) for i in np.unique(np.linspace(0, n - 1, min(n, _MOST_FRAMES)).round())]


def _share_table(fractions: Any) -> Table:
    rows = tuple((name, f"{100 * share:.1f} %") for name, share in fractions.items())
    return Table(("phase", "share"), rows, "Share of valid positions where each phase, none of them, or more than one "
                 "is present.")  # fmt: skip


def _calibration_table(calibration: Any) -> Table:
    rows = tuple(
        (name, ", ".join(f"{float(v):.6g}" for v in np.atleast_1d(entry["value"])), entry["source"],
         entry["relative_sigma"])
        for name, entry in calibration.items()
    )  # fmt: skip
    return Table(("quantity", "value", "source", "relative error"), rows, "Errors are one sigma.")


def _provenance_table(provenance: dict[str, Any]) -> Table:
    rows = [(f"sha256 of {Path(name).name}", value) for name, value in provenance["inputs_sha256"].items()]
    rows += [(f"sha256 of {name}", value) for name, value in provenance["weights_sha256"].items()]
    if device := provenance.get("network_device"):
        rows.append(("network ran on", device))
    rows += [(f"version of {name}", value) for name, value in provenance["versions"].items()]
    rows += [("seed", str(provenance["seed"])), ("time (UTC)", str(provenance["time_utc"]))]
    return Table(("what", "value"), tuple(rows))


def _map_drawings(found: list[PhaseMap], frames: list[int | None], threshold: float) -> list[Drawing]:
    out = []
    for phase_map, frame in zip(found, frames, strict=True):
        of_frame = "" if frame is None else f" of frame {frame}"
        caption = f"Phase map{of_frame}, presence at least {threshold:g}; the darker, the less sure."
        out.append(Drawing(partial(_draw_map, phase_map, threshold), caption))
    last = found[-1]
    for i, name in enumerate(last.phases):
        if float(last.presence[..., i].max(initial=0.0)) > _WORTH_DRAWING:
            out.append(Drawing(partial(_draw_presence, last, name), f"Presence of {name}."))
    return out


def _draw_map(phase_map: PhaseMap, threshold: float, ax: Any) -> None:
    plot_phase_map(phase_map, threshold, ax)


def _draw_presence(phase_map: PhaseMap, name: str, ax: Any) -> None:
    plot_presence(phase_map, name, ax)


def _grey_drawings(maps: MapSet, like: PhaseMap) -> list[Drawing]:
    """Draw virtual images and fringe amplitudes."""
    out = []
    for image in maps.images:
        if image.name in ("bright_field", "annular"):
            out.append(Drawing(partial(_draw_grey, image.data, like.grid), f"{_said(image)}."))
        elif image.name == "amplitude" and image.axes[0].name == "phase":
            for name, picture in zip(image.axes[0].labels, image.data, strict=True):
                if float(picture.max(initial=0.0)) > 0.0:
                    out.append(Drawing(partial(_draw_grey, picture, like.grid), f"Fringe amplitude of {name}."))
    return out


def _said(image: MapImage) -> str:
    return image.description[:1].upper() + image.description[1:]


def _draw_grey(picture: Any, grid: RealGrid | None, ax: Any) -> None:
    plot_virtual_image(picture, grid, ax=ax)


def _evolution(run: Path) -> list[PdfSection]:
    if not (run / "evolution.csv").is_file():
        return []
    evolution = load_evolution(run / "evolution.csv")
    drawing = Drawing(lambda ax: plot_evolution(evolution, ax=ax), "Intensity of each phase over the frames.")
    return [PdfSection("Evolution", drawings=(drawing,))]


def _tables(run: Path, phase_map: PhaseMap, threshold: float) -> tuple[Table, ...]:
    tables = [_certainty_table(phase_map, threshold), mixture_table(phase_map, threshold)]
    path = run / "components.csv"
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        shown = tuple(tuple(_cell(name, row[name]) for name in _COMPONENT_NAMES) for row in rows[:_MOST_COMPONENTS])
        more = "" if len(rows) <= _MOST_COMPONENTS else f" The first {_MOST_COMPONENTS} of {len(rows)}."
        decimals = (*COMPONENT_DECIMALS, None)
        tables.append(Table(tuple(_COMPONENT_NAMES.values()), shown, f"Components.{more}", decimals=decimals))
    return tuple(tables)


def _certainty_table(phase_map: PhaseMap, threshold: float) -> Table:
    rows = tuple((share.phase, share.certainty) for share in shares_of(phase_map, threshold))
    return Table(("phase", "how sure"), rows, "How sure the phases are.")


def _cell(column: str, text: str) -> Cell:
    """Return a cell of components.csv as what its column holds: names are texts, even if they look like numbers."""
    if not text:
        return None
    if column in ("phase", "hkl"):
        return text.removeprefix("'")
    return int(text) if text.isdecimal() else float(text)


def _spots(run: Path) -> list[PdfSection]:
    spots = load_spots(run)
    if not len(spots):
        return []
    draw = partial(_draw_radii, spots.radius_inv_a)
    caption = f"Distance of all {len(spots)} spots from the transmitted beam."
    return [PdfSection("Spots", drawings=(Drawing(draw, caption),))]


def _draw_radii(radius_inv_a: Any, ax: Any) -> None:
    plot_radius_histogram(radius_inv_a, ax=ax)
