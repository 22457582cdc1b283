"""How many positions of a scan get the right phases, with and without the network, by dose."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

import friedel as fr
from friedel.core.arrays import IntArray
from friedel.simulate.patterns.scan import ScanOptions as Simulated
from friedel.simulate.patterns.scan import simulate_nmc811_scan

Template = Literal["hexagon", "counts"]
_TEMPLATES: tuple[Template, ...] = ("hexagon", "counts")
_MULTISLICE = {300: "P300", 1000: "P1000", 10000: "P10000"}
#: Rows of it that are mapped: all that there is to tell apart lies in them.
_ROWS = slice(12, 26)


def map_accuracy(doses: Sequence[int], seeds: Sequence[int] = (3,)) -> list[tuple[str, ...]]:
    """Rows of (scan and template, accuracy without / with the network at each dose) over none, O3, O1 and both."""
    rows: dict[str, list[str]] = {}
    for dose in doses:
        scans = [("simulated", *_simulated(dose, seed)) for seed in seeds]
        scans += [("multislice", *scan) for scan in _multislice(dose)]
        for template in _TEMPLATES:
            found: dict[str, list[tuple[float, float]]] = {}
            for kind, scan, truth in scans:
                pair = tuple(_accuracy(scan, truth, template, denoise) for denoise in ("none", "auto"))
                found.setdefault(kind, []).append((pair[0], pair[1]))
            for kind in ("simulated", "multislice"):
                mean = np.mean(found[kind], axis=0) if kind in found else None
                text = "" if mean is None else f"{mean[0]:.2f} / {mean[1]:.2f}"
                rows.setdefault(f"{kind}, {template}", []).append(text)
    return [(name, *values) for name, values in rows.items() if any(values)]


def _accuracy(scan: fr.PatternScan, truth: IntArray, template: Template, denoise: str) -> float:
    options = replace(fr.ScanOptions(denoise=denoise), template=template)
    result = fr.analyse_scan(scan, fr.load_phases(["nmc811-o3", "nmc811-o1"]), options)
    return float((result.phase_map.labels().astype(int) == truth).mean())


def _simulated(dose: int, seed: int) -> tuple[fr.PatternScan, IntArray]:
    scan, truth = simulate_nmc811_scan(seed, Simulated(scan_shape=(14, 18), dose_electrons=float(dose)))
    return replace(scan, data=np.asarray(scan.rows(0, 14))), truth.labels().astype(int)


def _multislice(dose: int) -> Iterator[tuple[fr.PatternScan, IntArray]]:
    """Scan by an independent multislice program, where it is at hand; rock salt, spinel and carbon count as none."""
    shared = os.environ.get("FRIEDEL_SHARED")
    if shared is None or dose not in _MULTISLICE:
        return
    folder = Path(shared) / "data" / "multislice" / "devmap"
    with np.load(folder / f"devmap_{_MULTISLICE[dose]}.npz") as counts, np.load(folder / "devmap_truth.npz") as known:
        patterns, truth = counts["data"][_ROWS], known["label4"][_ROWS].astype(int)
    grid = fr.ReciprocalGrid((0.0220, 0.0220), (64.0, 64.0))
    yield fr.PatternScan(patterns, grid, fr.RealGrid((20.0, 20.0)), fr.Beam(300.0, 1.0)), truth
