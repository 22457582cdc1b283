"""The map in which neighbours have a say, as files of a run and as a section of its report."""

from __future__ import annotations

import numpy as np

from friedel.core.arrays import AnyArray
from friedel.core.phase_map import PhaseMap
from friedel.pipeline.scans.result import ScanResult
from friedel.report.html import Picture, Section
from friedel.report.maps import plot_phase_map
from friedel.report.style import png_of
from friedel.report.tables import Table

_TEXT = (
    "A spatial prior: a phase is taken to be likelier where its four neighbours have it (Potts's model, averaged over "
    "samples). {strength} Everything else in this report is by the evidence of each position alone. Thin grains and "
    "single positions with weak evidence are lost first; grains are not found where no position shows them."
)


def arrays_with_neighbours(phase_map: PhaseMap, min_probability: float) -> dict[str, AnyArray]:
    """Return the map by its names in a run folder."""
    return {"presence_neighbours": phase_map.presence, "label_neighbours": phase_map.labels(min_probability)}


def words_of_prior(result: ScanResult) -> str:
    """Say how neighbours had a say, and in which arrays; nothing where they had none."""
    if result.smoothed is None:
        return ""
    return f"4 neighbours, strength {result.smoothed.strength:.2f}, in presence_neighbours and label_neighbours alone"


def neighbour_sections(result: ScanResult, min_probability: float) -> list[Section]:
    """Return the section, or none where neighbours had no say or there are none."""
    if result.smoothed is None or result.phase_map.valid.size == 1:
        return []
    smoothed, pmap = result.smoothed, result.smoothed.phase_map
    ax = plot_phase_map(pmap, min_probability)
    ax.set_title("with neighbours")
    picture = Picture(
        png_of(ax),
        f"Phase map with neighbours: presence of at least {min_probability:g} after neighbours have had a say.",
        "Map of the phases with neighbours",
    )
    before, after = result.phase_map.labels(min_probability), pmap.labels(min_probability)
    share = np.mean((before != after)[pmap.valid]) if pmap.valid.any() else 0.0
    learned = (
        f"A neighbour adds up to {smoothed.strength:.2f} to the log odds of what it holds, as learned from the map; "
        f"{100 * share:.1f} % of the positions changed their label."
    )
    return [
        Section(
            "With neighbours", (_TEXT.format(strength=learned),), (picture,), (_table(result, pmap, min_probability),)
        )
    ]


def _table(result: ScanResult, pmap: PhaseMap, min_probability: float) -> Table:
    alone, together = (one.fractions(min_probability) for one in (result.phase_map, pmap))
    rows = tuple((name, 100.0 * alone[name], 100.0 * together[name]) for name in alone)
    header = ("phase", "positions by evidence (%)", "with neighbours (%)")
    return Table(header, rows, "Share of positions where each phase is present.", decimals=(None, 1, 1))
