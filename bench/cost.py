"""How the cost of a map grows with the patterns and with the phases: linearly, and less than linearly.

CPU seconds of ``analyse_scan``. A small simulated scan is seen again and again, as a scan of so many rows, so that
all patterns cost the same. Writes its section of docs/bench/speed.md when given --write.
"""

from __future__ import annotations

import argparse
import time
from typing import Any, Literal

import numpy as np
from section import SPEED, made_by, write_section

import friedel as fr
from friedel.core.arrays import AnyArray
from friedel.simulate.patterns.scan import ScanOptions, simulate_nmc811_scan

HEADING = "How the cost grows"
PATTERN_PX, STEP_INV_A, COLUMNS, DOSE_ELECTRONS = 64, 0.033, 32, 5000.0
PATTERNS, PHASES = (1024, 4096, 16384), (2, 4, 8, 16, 32)
#: Patterns for which the phases are counted.
N_BY_PHASES = 512
#: Candidates in the order in which they are added: battery materials, then metals, oxides and what else is common.
NAMES = (
    "nmc811-o3", "nmc811-o1", "nio", "limn2o4", "lif", "li2o", "li2co3", "al", "cu", "si", "al2o3", "fe", "au", "ag",
    "tio2-rutile", "tio2-anatase", "coo", "co3o4", "mno", "cao", "caf2", "ceo2", "cu2o", "cuo", "fe2o3", "graphite",
    "nacl", "ni", "pt", "zno", "srtio3", "w",
)  # fmt: skip


class Repeated:
    """A scan's patterns as a longer scan of the same rows, again and again."""

    def __init__(self, patterns: AnyArray, rows: int) -> None:
        self.patterns, self.shape, self.dtype = patterns, (rows, *patterns.shape[1:]), patterns.dtype

    def __getitem__(self, key: Any, /) -> AnyArray:
        """Read rows."""
        rows = np.arange(self.shape[0])[key] % len(self.patterns)
        return np.asarray(self.patterns[rows])


def scan_of(n_patterns: int) -> fr.PatternScan:
    """Make a scan of so many patterns."""
    options = ScanOptions(
        (16, COLUMNS), (PATTERN_PX, PATTERN_PX), STEP_INV_A, dose_electrons=DOSE_ELECTRONS, descan_px=0.0
    )
    scan, _ = simulate_nmc811_scan(0, options)
    return fr.PatternScan(Repeated(np.asarray(scan.data), n_patterns // COLUMNS), scan.grid, scan.scan_grid, scan.beam)


def seconds(n_patterns: int, n_phases: int, template: Literal["hexagon", "lattice", "counts"]) -> float:
    """CPU seconds of one map."""
    scan, phases = scan_of(n_patterns), fr.load_phases(list(NAMES[:n_phases]))
    began = time.process_time()
    fr.analyse_scan(scan, phases, fr.ScanOptions(template=template, denoise="none"))
    return time.process_time() - began


def main() -> None:
    """Measure, print, and write the section if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the section of docs/bench/speed.md")
    write = parser.parse_args().write
    lines = [
        *made_by(
            "bench/cost.py --write",
            f"CPU time of one thread; patterns of {PATTERN_PX} x {PATTERN_PX} px with {DOSE_ELECTRONS:.0f} electrons, "
            "without the network.",
        ),
        "",
        "| patterns, 2 phases, hexagons | seconds | milliseconds per pattern |",
        "|---|---|---|",
    ]
    seconds(N_BY_PHASES, 2, "hexagon")  # what is loaded on first use
    for n in PATTERNS:
        took = seconds(n, 2, "hexagon")
        lines.append(f"| {n:,} | {took:.1f} | {1e3 * took / n:.2f} |")
        print(lines[-1], flush=True)
    lines += ["", f"| phases, {N_BY_PHASES} patterns | lattices, s | counts, s |", "|---|---|---|"]
    for n in PHASES:
        lattices, counts = (seconds(N_BY_PHASES, n, template) for template in ("lattice", "counts"))
        lines.append(f"| {n} | {lattices:.1f} | {counts:.1f} |")
        print(lines[-1], flush=True)
    if write:
        write_section(SPEED, HEADING, lines)


if __name__ == "__main__":
    main()
