"""Make the pictures of the page on simulation: ``python docs/make/simulation_pictures.py [NAME ...]``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from matplotlib.figure import Figure
from picture_files import save
from simulated_micrographs import draw_micrographs, draw_series
from simulated_patterns import draw_crystals, draw_doses, draw_draws, draw_parts
from simulated_scans import draw_cathode, draw_faults, draw_grains

PICTURES: dict[str, Callable[[], Figure]] = {
    "parts": draw_parts,
    "doses": draw_doses,
    "draws": draw_draws,
    "crystals": draw_crystals,
    "faults": draw_faults,
    "cathode": draw_cathode,
    "grains": draw_grains,
    "micrographs": draw_micrographs,
    "series": draw_series,
}


def main(names: Sequence[str]) -> None:
    """Draw the pictures named, or all."""
    for name in names or PICTURES:
        save(f"simulated-{name}", PICTURES[name](), dpi=100)


if __name__ == "__main__":
    main(sys.argv[1:])
