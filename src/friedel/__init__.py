"""friedel: which phases are where in this sample, and how sure are we?"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from friedel.core.beam import Beam
    from friedel.core.grids import RealGrid, ReciprocalGrid
    from friedel.core.images import Micrograph, MicrographSeries, Pattern, PatternScan
    from friedel.core.phase_map import PhaseMap
    from friedel.core.spots import Spots
    from friedel.crystal import load_phase, load_phases, phase_names
    from friedel.identify.grains.components import ComponentOptions, map_micrograph
    from friedel.io import ReadOptions, inspect, read, write_micrograph, write_scan
    from friedel.pipeline.recipe import Recipe, load_recipe
    from friedel.pipeline.run import run_recipe
    from friedel.pipeline.runs.files import load_phase_map, load_spots, load_summary
    from friedel.pipeline.scans.result import ScanOptions
    from friedel.pipeline.scans.road import analyse_scan
    from friedel.pipeline.scans.strain import measure_strain
    from friedel.spots.dog import Dog

_HOMES = {
    "core.beam": ("Beam",),
    "core.grids": ("RealGrid", "ReciprocalGrid"),
    "core.images": ("Micrograph", "MicrographSeries", "Pattern", "PatternScan"),
    "core.phase_map": ("PhaseMap",),
    "core.spots": ("Spots",),
    "crystal": ("load_phase", "load_phases", "phase_names"),
    "identify.grains.components": ("ComponentOptions", "map_micrograph"),
    "io": ("ReadOptions", "inspect", "read", "write_micrograph", "write_scan"),
    "pipeline.recipe": ("Recipe", "load_recipe"),
    "pipeline.run": ("run_recipe",),
    "pipeline.runs.files": ("load_phase_map", "load_spots", "load_summary"),
    "pipeline.scans.road": ("analyse_scan",),
    "pipeline.scans.result": ("ScanOptions",),
    "pipeline.scans.strain": ("measure_strain",),
    "spots.dog": ("Dog",),
}

__all__ = [
    "Beam",
    "ComponentOptions",
    "Dog",
    "Micrograph",
    "MicrographSeries",
    "Pattern",
    "PatternScan",
    "PhaseMap",
    "ReadOptions",
    "RealGrid",
    "Recipe",
    "ReciprocalGrid",
    "ScanOptions",
    "Spots",
    "analyse_scan",
    "inspect",
    "load_phase",
    "load_phase_map",
    "load_phases",
    "load_recipe",
    "load_spots",
    "load_summary",
    "map_micrograph",
    "measure_strain",
    "phase_names",
    "read",
    "run_recipe",
    "write_micrograph",
    "write_scan",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is used, so that ``import friedel`` stays light."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"friedel.{home}"), name)
    raise AttributeError(f"module 'friedel' has no attribute {name!r}")
