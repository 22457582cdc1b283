"""What any road hands over, and how it becomes the files of a run folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from friedel.core.arrays import AnyArray
from friedel.core.phase_map import PhaseMap
from friedel.core.spots import Spots
from friedel.nets.device import Device
from friedel.pipeline.recipe import Recipe
from friedel.pipeline.runs.files import (
    Summary,
    write_components,
    write_phase_map,
    write_provenance,
    write_recipe,
    write_spots,
    write_summary,
)
from friedel.pipeline.runs.folder import RunFolder
from friedel.pipeline.runs.provenance import Provenance
from friedel.report.html import Report, Section, write_report
from friedel.report.tables import Share, Table, shares_of


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer in short.

    Parameters
    ----------
    fractions, n_positions
        As in ``Summary``.
    shares, verdict
        As in ``Report``.
    """

    fractions: Mapping[str, float]
    n_positions: int
    shares: tuple[Share, ...]
    verdict: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What any road hands over for writing.

    Parameters
    ----------
    maps
        The phase map, or that of each frame.
    sections
        Draws the sections of the report.
    map_arrays, map_attributes
        What the store of the phase map holds besides.
    components
        Rows of components.csv.
    spot_columns
        What the store of the spots holds besides.
    write_more
        Writes further files into the folder of the run.
    network_device
        Where a network ran, "" if none did.
    spatial_prior
        How neighbours had a say in a map, "" if they had none.
    """

    kind: str
    maps: PhaseMap | Sequence[PhaseMap]
    answer: Answer
    spots: Spots
    calibration: Mapping[str, Mapping[str, Any]]
    warnings: tuple[str, ...]
    sections: Callable[[], list[Section]]
    map_arrays: Mapping[str, AnyArray] = field(default_factory=dict)
    map_attributes: Mapping[str, Any] = field(default_factory=dict)
    components: Sequence[Mapping[str, Any]] | None = None
    spot_columns: Mapping[str, AnyArray] = field(default_factory=dict)
    write_more: Callable[[Path], None] = lambda folder: None
    network_device: Device | Literal[""] = ""
    spatial_prior: str = ""


class Clock:
    """Seconds taken by each step."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """Note the time since the last lap."""
        now = time.perf_counter()
        self.laps[name] = round(now - self._last, 3)
        self._last = now


def calibration_entry(value: Any, source: str, relative_sigma: float | None) -> dict[str, Any]:
    """Return an entry of a summary's calibration."""
    return {"value": value, "source": source, "relative_sigma": relative_sigma}


def answer_of(phase_map: PhaseMap, kind: str, min_probability: float) -> Answer:
    """Answer from one phase map: which phases, what share, and how much is none or mixed."""
    fractions = phase_map.fractions(min_probability)
    shares = shares_of(phase_map, min_probability)
    n_positions = int(phase_map.valid.sum())
    return Answer(fractions, n_positions, shares, _verdict(phase_map, fractions, kind))


def _verdict(phase_map: PhaseMap, fractions: Mapping[str, float], kind: str) -> tuple[str, ...]:
    found = [name for name in phase_map.phases if fractions[name] > 0]
    missing = [name for name in phase_map.phases if fractions[name] == 0]
    if phase_map.valid.size == 1:
        return (f"In this pattern: {', '.join(found) or 'none of the candidate phases'}.",)
    if found:
        where = "positions" if kind == "scan" else "the image"
        shares = ", ".join(f"{name} in {100 * fractions[name]:.1f} %" for name in found)
        lines = [f"Of {where}: {shares}; none of the candidates in {100 * fractions['none']:.1f} %."]
    else:
        lines = [f"None of the candidate phases was found {'at any position' if kind == 'scan' else 'in the image'}."]
    if fractions["mixed"] > 0:
        lines.append(f"More than one phase is present in {100 * fractions['mixed']:.1f} %.")
    if missing and found:
        lines.append(f"Not found: {', '.join(missing)}.")
    return tuple(lines)


def write_outcome(
    run: RunFolder, recipe: Recipe, toml: str, outcome: Outcome, provenance: Provenance, clock: Clock
) -> Summary:
    """Write every file of a run folder."""
    folder, answer = run.partial, outcome.answer
    write_recipe(folder / "recipe.toml", toml)
    write_provenance(folder / "provenance.json", provenance)
    write_phase_map(
        folder / "phase_map.zarr",
        outcome.maps,
        min_probability=recipe.min_probability,
        extra=outcome.map_arrays,
        attributes=outcome.map_attributes,
    )
    write_spots(folder / "spots.zarr", outcome.spots, extra=outcome.spot_columns)
    if outcome.components is not None:
        write_components(folder / "components.csv", outcome.components)
    outcome.write_more(folder)
    sections = outcome.sections()
    clock.lap("draw")
    first = outcome.maps if isinstance(outcome.maps, PhaseMap) else outcome.maps[0]
    summary = Summary(
        kind=outcome.kind,
        phases=first.phases,
        fractions=answer.fractions,
        calibration=outcome.calibration,
        n_positions=answer.n_positions,
        n_spots=len(outcome.spots),
        warnings=outcome.warnings,
        timing_s=clock.laps,
    )
    write_summary(folder / "summary.json", summary)
    write_report(folder / "report.html", _report(recipe, toml, outcome, summary, provenance, sections))
    return summary


def _report(
    recipe: Recipe, toml: str, outcome: Outcome, summary: Summary, provenance: Provenance, sections: list[Section]
) -> Report:
    calibration = Table(
        ("quantity", "value", "source", "relative error"),
        tuple(
            (name, _number_text(entry["value"]), str(entry["source"]), entry["relative_sigma"])
            for name, entry in summary.calibration.items()
        ),
        "Calibration as used; errors are one sigma.",
    )
    facts = Table(
        ("what", "value"),
        (
            *((f"sha256 of {name}", value) for name, value in provenance.inputs_sha256.items()),
            *((f"sha256 of {name}", value) for name, value in provenance.weights_sha256.items()),
            *((("network ran on", provenance.network_device),) if provenance.network_device else ()),
            *((("spatial prior", provenance.spatial_prior),) if provenance.spatial_prior else ()),
            *((f"version of {name}", value) for name, value in provenance.versions.items()),
            ("seed", provenance.seed),
            ("host", provenance.host),
            ("time (UTC)", provenance.time_utc),
        ),
    )
    repeat = "Run the recipe again with: friedel run recipe.toml --out NEW_RUN"
    command = " ".join(provenance.command)
    return Report(
        title=Path(recipe.input).name,
        subtitle=f"friedel {provenance.versions.get('friedel', '')} · {outcome.kind} · {provenance.time_utc}",
        verdict=outcome.answer.verdict,
        shares=outcome.answer.shares,
        warnings=outcome.warnings,
        sections=(
            *sections,
            Section("Calibration", tables=(calibration,)),
            Section("Settings", (repeat, *((f"This run: {command}",) if command else ())), verbatim=toml),
            Section("Provenance", tables=(facts,)),
        ),
    )


def _number_text(value: Any) -> str:
    values = value if isinstance(value, tuple | list) else (value,)
    return ", ".join(f"{float(v):.6g}" for v in values)
