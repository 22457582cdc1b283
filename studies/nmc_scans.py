"""Scans of NMC811 whose truth is known, as the studies of O1 and O3 look at them: raw, and denoised in several ways."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from lo_su import Patterns, Settings, choose, find_maxima, hexagons_of, label

import friedel as fr
from friedel.core.arrays import AnyArray, Float32Array, FloatArray, IntArray
from friedel.identify.hexagons.rings import hexagonal_zones
from friedel.nets.denoise import denoise_scan
from friedel.nets.inference import load_network
from friedel.patterns.survey import Survey, survey_scan
from friedel.pipeline.scans.choices import annulus_of_phases
from friedel.simulate.patterns.scan import ScanOptions as Simulated
from friedel.simulate.patterns.scan import simulate_nmc811_scan

PHASES = ("nmc811-o3", "nmc811-o1")
NAMES = ("none", "O3", "O1", "both")
#: Doses of the multislice scan, and the rows of it in which all that there is to tell apart lies.
_MULTISLICE, _ROWS = {300: "P300", 1000: "P1000", 10000: "P10000"}, slice(12, 26)

#: Numbers of maxima in a pattern at which thresholds are tried.
_PER_PATTERN = (4, 5, 6, 8, 10, 12, 14, 16, 20, 24, 30, 40, 60)


@dataclass(frozen=True, slots=True, eq=False)
class KnownScan:
    """A scan with the label of each position, (n,) as ``lo_su`` has them, and what a first look at it tells."""

    scan: fr.PatternScan
    truth: IntArray
    survey: Survey
    annulus_inv_a: tuple[float, float]

    def patterns(self, electrons: AnyArray | None = None) -> Patterns:
        """Lay the patterns out one after another: the counts, or what a denoiser made of them (ry, rx, ky, kx)."""
        counts = np.asarray(self.survey.scan.data[:]) / self.survey.gain if electrons is None else electrons
        flat = counts.reshape(-1, *self.scan.pattern_shape).astype(np.float32)
        return Patterns(flat, self.survey.scan.grid, self.survey.shift_px, self.truth)


def known_scan(scan: fr.PatternScan, truth: AnyArray) -> KnownScan:
    """Look over a scan with its true labels (ry, rx)."""
    annulus = annulus_of_phases(scan, fr.load_phases(PHASES), "hexagon")
    return KnownScan(scan, truth.ravel().astype(np.int64), survey_scan(scan, annulus_inv_a=annulus), annulus)


def simulated_scan(dose: float, seed: int, shape: tuple[int, int] = (14, 18)) -> KnownScan:
    """Simulate O3 with a lamella of O1, a band of both, carbon and vacuum."""
    scan, truth = simulate_nmc811_scan(seed, Simulated(scan_shape=shape, dose_electrons=dose))
    return known_scan(replace(scan, data=np.asarray(scan.rows(0, shape[0]))), truth.labels())


def multislice_scan(dose: int) -> KnownScan | None:
    """Load the scan by an independent multislice program; None where FRIEDEL_SHARED names no folder that holds it.

    Rock salt, spinel and carbon, which are there too, count as none.
    """
    shared = os.environ.get("FRIEDEL_SHARED")
    if shared is None or dose not in _MULTISLICE:
        return None
    folder = Path(shared) / "data" / "multislice" / "devmap"
    with np.load(folder / f"devmap_{_MULTISLICE[dose]}.npz") as counts, np.load(folder / "devmap_truth.npz") as known:
        patterns, truth = counts["data"][_ROWS], known["label4"][_ROWS]
    grid = fr.ReciprocalGrid((0.0220, 0.0220), (64.0, 64.0))
    return known_scan(fr.PatternScan(patterns, grid, fr.RealGrid((20.0, 20.0)), fr.Beam(300.0, 1.0)), truth)


def multislice_classes() -> AnyArray:
    """What there is at each position of the multislice scan (n,): vacuum, carbon, O3, O1, mixed, rock salt, spinel."""
    names = np.array(("vacuum", "carbon", "O3", "O1", "O3 and O1", "rock salt", "spinel"))
    with np.load(Path(os.environ["FRIEDEL_SHARED"]) / "data" / "multislice" / "devmap" / "devmap_truth.npz") as known:
        return np.asarray(names[known["cls"][_ROWS].ravel()])


def chosen_settings(choice: KnownScan, patterns: Patterns) -> Settings:
    """Choose what the paper leaves open, on a scan that is not the one judged."""
    maxima = find_maxima(patterns, Settings(1e-6, 3), choice.annulus_inv_a)
    levels = thresholds_for(maxima.intensity, len(patterns.truth), _PER_PATTERN)
    return choose(patterns, choice.annulus_inv_a, computed_radii(choice.annulus_inv_a), levels)


def lo_su_labels(known: KnownScan, patterns: Patterns, settings: Settings) -> IntArray:
    """Label a scan by the steps of the paper, with computed ring radii."""
    hexagons = hexagons_of(patterns, settings, known.annulus_inv_a)
    return label(hexagons, computed_radii(known.annulus_inv_a), settings)


def denoisers() -> dict[str, Callable[[KnownScan], Patterns]]:
    """Ways to look at a scan before the paper's steps: as counted, and as friedel's network denoises each pattern."""
    return {
        "Lo and Su, raw": lambda known: known.patterns(),
        "Lo and Su, denoised": lambda known: known.patterns(denoised_by_friedel(known)),
    }


def map_of(labels: IntArray, known: KnownScan) -> fr.PhaseMap:
    """Lay labels (n,) out as a map of presence 0 and 1."""
    shape = known.scan.scan_shape
    presence = np.stack([(labels >> i) & 1 for i in range(2)], axis=-1).reshape(*shape, 2).astype(np.float32)
    return fr.PhaseMap(PHASES, presence, np.ones(shape, dtype=bool), known.scan.scan_grid)


def computed_radii(annulus_inv_a: tuple[float, float]) -> tuple[float, float]:
    """First-ring radii of O1 and O3 along [001] as their lattices have them, in 1/Å."""
    zones = hexagonal_zones(fr.load_phases(PHASES), annulus_inv_a)
    first: dict[int, float] = {zone.phase: float(zone.radius_inv_a[0]) for zone in zones if zone.uvw == (0, 0, 1)}
    return first[1], first[0]


def denoised_by_friedel(known: KnownScan) -> Float32Array:
    """Expected counts of each pattern by the shipped network, each pattern by itself (ry, rx, ky, kx)."""
    return np.asarray(denoise_scan(known.survey, load_network("denoiser"), neighbours=False).data[:])


def friedel_labels(known: KnownScan, denoise: str) -> tuple[IntArray, fr.PhaseMap]:
    """Map the scan as ``friedel map`` does, with hexagons."""
    options = replace(fr.ScanOptions(denoise=denoise), template="hexagon")
    found = fr.analyse_scan(known.scan, fr.load_phases(PHASES), options).phase_map
    return found.labels().astype(np.int64).ravel(), found


def thresholds_for(heights: FloatArray, n_patterns: int, per_pattern: Sequence[float]) -> list[float]:
    """Heights above which so many maxima are left in a pattern on average."""
    ranked = np.sort(heights)[::-1]
    return [float(ranked[min(int(n * n_patterns), len(ranked) - 1)]) for n in per_pattern]


def accuracy(labels: IntArray, truth: IntArray) -> float:
    """Share of positions whose set of phases is right."""
    return float((labels == truth).mean())
