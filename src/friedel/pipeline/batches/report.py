"""The table and the report of a batch: all samples side by side, with what failed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from friedel.core.arrays import FloatArray
from friedel.core.errors import FriedelError
from friedel.pipeline.batches.batch import REPORT, TABLE, BatchEntry
from friedel.pipeline.runs.files import load_phase_map
from friedel.pipeline.runs.folder import writing_to
from friedel.report.comparison import plot_comparison
from friedel.report.html import Picture, Report, Section, write_report
from friedel.report.maps import plot_phase_map
from friedel.report.style import png_of
from friedel.report.tables import Cell, Table, write_csv

#: Rows of the picture that compares, and maps, that a page still shows well; the latest ones.
_MOST_ROWS, _MOST_MAPS = 40, 12
_FACTS = ("name", "input", "status", "kind", "n_positions", "n_spots", "scale", "n_warnings", "error")


def write_batch(
    out: Path, entries: Sequence[BatchEntry], min_probability: float, *, state: str = "", refresh_s: int = 0
) -> None:
    """Write batch.csv and report.html of all entries; ``state`` is a sentence for the head of the report."""
    phases = _phases_of(entries)
    with writing_to(out):
        write_csv(out / TABLE, (*_FACTS, *(f"fraction {phase}" for phase in phases)), _rows(entries, phases))
        write_report(out / REPORT, _report(out, entries, phases, min_probability, state, refresh_s))


def _phases_of(entries: Sequence[BatchEntry]) -> list[str]:
    """Every phase of any sample, and none and mixed at the end."""
    names = dict.fromkeys(phase for e in entries if e.summary is not None for phase in e.summary.phases)
    return [*names, *(("none", "mixed") if names else ())]


def _rows(entries: Sequence[BatchEntry], phases: Sequence[str]) -> list[dict[str, Cell]]:
    rows = []
    for entry in entries:
        summary = entry.summary
        row: dict[str, Any] = dict.fromkeys(_FACTS) | {
            "name": entry.name,
            "input": entry.input,
            "status": "failed" if summary is None else "mapped",
            "error": entry.error or None,
        }
        if summary is not None:
            scale = summary.calibration.get("scale", {}).get("value")
            row |= {"kind": summary.kind, "n_positions": summary.n_positions, "n_spots": summary.n_spots,
                    "scale": scale, "n_warnings": len(summary.warnings)}  # fmt: skip
        row |= {f"fraction {phase}": None if summary is None else summary.fractions.get(phase) for phase in phases}
        rows.append(row)
    return rows


def _report(
    out: Path, entries: Sequence[BatchEntry], phases: Sequence[str], min_probability: float, state: str, refresh_s: int
) -> Report:
    mapped = [entry for entry in entries if entry.summary is not None]
    failed = [entry for entry in entries if entry.summary is None]
    verdict = [f"{len(mapped)} of {len(entries)} files are mapped" + (f"; {len(failed)} failed." if failed else ".")]
    verdict += [state] if state else []
    sections = []
    if mapped:
        sections.append(
            Section("All samples", pictures=(_comparison(mapped, phases),), tables=(_table(mapped, phases),))
        )
        sections.append(Section("Maps", pictures=tuple(_maps(out, mapped[-_MOST_MAPS:], min_probability))))
    if failed:
        rows = tuple((entry.name, entry.error) for entry in failed)
        sections.append(Section("What failed", tables=(Table(("name", "why"), rows),)))
    warnings = [f"{entry.name}: {said}" for entry in mapped if entry.summary for said in entry.summary.warnings]
    return Report(out.resolve().name, "friedel, many files with one recipe", tuple(verdict), warnings=tuple(warnings),
                  sections=tuple(sections), refresh_s=refresh_s)  # fmt: skip


def _fractions(entries: Sequence[BatchEntry], phases: Sequence[str]) -> FloatArray:
    return np.array([[e.summary.fractions.get(phase, np.nan) if e.summary else np.nan for phase in phases]
                     for e in entries]).reshape(len(entries), len(phases))  # fmt: skip


def _comparison(mapped: Sequence[BatchEntry], phases: Sequence[str]) -> Picture:
    shown = mapped[-_MOST_ROWS:]
    drawing = plot_comparison([entry.name for entry in shown], phases, _fractions(shown, phases))
    most = "" if len(shown) == len(mapped) else f" The latest {len(shown)} of {len(mapped)}."
    return Picture(
        png_of(drawing), f"Share of the positions, in per cent, in which each phase is present.{most}",
        "Share of each phase in each sample",
    )  # fmt: skip


def _table(mapped: Sequence[BatchEntry], phases: Sequence[str]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for entry, shares in zip(mapped, _fractions(mapped, phases), strict=True):
        if entry.summary is not None:
            scale = entry.summary.calibration.get("scale", {}).get("value")
            facts = (entry.summary.kind, entry.summary.n_spots, scale, len(entry.summary.warnings))
            rows.append((entry.name, *facts, *(None if np.isnan(s) else f"{100 * s:.1f} %" for s in shares)))
    header = ("name", "kind", "spots", "scale", "warnings", *phases)
    links = tuple(f"{entry.name}/report.html" for entry in mapped)
    return Table(header, tuple(rows), "Each name leads to the report of its run.", links)


def _maps(out: Path, mapped: Sequence[BatchEntry], min_probability: float) -> list[Picture]:
    """Draw the map of each sample, of a series the last frame's."""
    pictures = []
    for entry in mapped:
        try:
            last = entry.summary is not None and entry.summary.kind == "series"
            phase_map = load_phase_map(out / entry.name, _n_frames(out / entry.name) - 1 if last else None)
        except FriedelError:
            continue  # a run that was moved away is still in the table
        caption = f"{entry.name}, last frame" if last else entry.name
        pictures.append(Picture(png_of(plot_phase_map(phase_map, min_probability), dpi=90), caption,
                                f"Phase map of {entry.name}"))  # fmt: skip
    return pictures


def _n_frames(run: Path) -> int:
    """Count the frames of a mapped series."""
    import zarr

    return int(zarr.open_group(run / "phase_map.zarr", mode="r")["valid"].shape[0])
