"""Spots in scans: what neighbours add, also next to a boundary, beside principal components of the whole scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from denoise_methods import Found, detect, score, total
from denoise_patterns import Case, expose_case, training_like_noise
from scipy import ndimage

from friedel.core.arrays import AnyArray, BoolArray, Float32Array
from friedel.core.beam import Beam
from friedel.core.grids import ReciprocalGrid
from friedel.nets.detector import read_map
from friedel.nets.inference import Network
from friedel.nets.scoring import Score
from friedel.patterns.neighbours import pool_neighbours
from friedel.simulate.patterns.diffraction import Conditions, diffract_many, orient
from friedel.simulate.patterns.noise import draw_noise
from friedel.simulate.patterns.render import SpotShape
from friedel.simulate.training.materials import Material
from friedel.spots.dog import Dog, filter_stack

_SHAPE, _PATTERN, _GRAINS, _SCANS = (10, 12), (128, 128), 5, 3
_COMPONENTS = 6
_STEP_INV_A = 0.018


@dataclass(frozen=True, slots=True, eq=False)
class ScanCase:
    """Patterns of a scan, which grain each is of, and which lie next to another grain."""

    cases: list[Case]
    at_boundary: BoolArray

    @property
    def electrons(self) -> Float32Array:
        """All patterns (ry, rx, ky, kx)."""
        return np.stack([case.electrons for case in self.cases]).reshape(*_SHAPE, *_PATTERN)


def make_scan(materials: Sequence[Material], dose: float, seed: int) -> ScanCase:
    """Simulate grains at random places, each a crystal of its own; tilt and thickness vary with the position."""
    rng = np.random.default_rng([15, seed])
    noise = draw_noise(rng, training_like_noise(dose))
    seeds = rng.uniform(0, 1, (_GRAINS, 2)) * _SHAPE
    position = np.moveaxis(np.indices(_SHAPE), 0, -1)[:, :, None]
    where = ((position - seeds) ** 2).sum(axis=-1).argmin(axis=-1)
    grid = ReciprocalGrid((_STEP_INV_A,) * 2, ((_PATTERN[0] - 1) / 2, (_PATTERN[1] - 1) / 2))
    grains = []
    for _ in range(_GRAINS):
        material = materials[int(rng.integers(len(materials)))]
        zone = [(0, 0, 1), (0, 1, 1), (1, 1, 1), (1, 1, 0), (1, 0, 0)][int(rng.integers(5))]
        tilt = rng.normal(0, 3, 2)
        grains.append((orient(material.crystal, zone, 1.8), rng.uniform(0, 6.28), rng.uniform(100, 300), tilt))
    cases = []
    for i in where.ravel():
        oriented, turn, thickness, tilt = grains[i]
        conditions = Conditions.of(thickness * rng.normal(1, 0.05), turn, tilt + rng.normal(0, 0.5, 2))
        spots = diffract_many(oriented, Beam(300.0), conditions).pattern(0)
        cases.append(expose_case(spots, noise, grid, SpotShape(blur_px=0.8), _PATTERN, rng))
    spread = ndimage.maximum_filter(where, 3) != ndimage.minimum_filter(where, 3)
    return ScanCase(cases, spread.ravel())


def pooled_scan_scores(network: Network, materials: Sequence[Material], doses: Sequence[int]) -> list[tuple[str, ...]]:
    """Rows of (method, F1 of all positions / of those next to a boundary at each dose)."""
    rows: dict[str, list[str]] = {}
    for dose in doses:
        scans = [make_scan(materials, float(dose), seed) for seed in range(_SCANS)]
        found: dict[str, list[tuple[list[Found], list[Case], BoolArray]]] = {}
        for scan in scans:
            for name, spots in _methods(network, scan).items():
                found.setdefault(name, []).append((spots, scan.cases, scan.at_boundary))
        for name, parts in found.items():
            thresholds = (0.0,) if name.startswith("network") else np.geomspace(2.0, 20.0, 15)
            # The best threshold for each classical way, chosen with the truth at hand: an upper bound.
            best = max((_score(parts, t) for t in thresholds), key=lambda pair: pair[0].f1)
            rows.setdefault(name, []).append(f"{best[0].f1:.2f} / {best[1].f1:.2f}")
    return [(name, *values) for name, values in rows.items()]


def _score(parts: list[tuple[list[Found], list[Case], BoolArray]], significance: float) -> tuple[Score, Score]:
    everywhere, boundary = [], []
    for spots, cases, at_boundary in parts:
        scores = [score(f, c, significance) for f, c in zip(spots, cases, strict=True)]
        everywhere += scores
        boundary += [s for s, edge in zip(scores, at_boundary, strict=True) if edge]
    return total(everywhere), total(boundary)


def _methods(network: Network, scan: ScanCase) -> dict[str, list[Found]]:
    electrons = scan.electrons
    grid = scan.cases[0].grid
    judged = grid.radius_inv_a(_PATTERN) > scan.cases[0].annulus_inv_a[0]
    pooled, _ = pool_neighbours(electrons, judged)
    blind = electrons + sum(
        np.roll(electrons, shift, axis=(0, 1)) for shift in np.ndindex(3, 3) if shift != (0, 0)
    )  # every neighbour, alike or not
    flat, all_pooled = electrons.reshape(-1, *_PATTERN), pooled.reshape(-1, *_PATTERN)
    components = principal_components(flat)
    return {
        "detector": _detected(flat, scan.cases),
        "detector on alike neighbours": _detected(all_pooled, scan.cases),
        f"{_COMPONENTS} principal components, Gaussian, detector": _detected(components, scan.cases),
        "network": _asked(network, flat, scan.cases),
        "network on all neighbours": _asked(network, blind.reshape(-1, *_PATTERN), scan.cases),
        "network on alike neighbours": _asked(network, all_pooled, scan.cases),
    }


def principal_components(patterns: Float32Array) -> AnyArray:
    """Keep the first components of the patterns (n, ky, kx), weighted for Poisson noise, and smooth them a little.

    Keenan and Kotula, Surf. Interface Anal. 36, 203 (2004).
    """
    n = len(patterns)
    flat = patterns.reshape(n, -1).astype(np.float64)
    rows, columns = (np.sqrt(np.maximum(flat.mean(axis=axis), 1e-3)) for axis in (1, 0))
    u, s, vh = np.linalg.svd(flat / rows[:, None] / columns, full_matrices=False)
    kept = (u[:, :_COMPONENTS] * s[:_COMPONENTS]) @ vh[:_COMPONENTS] * rows[:, None] * columns
    smooth = ndimage.gaussian_filter(kept.reshape(patterns.shape), (0, 1, 1))
    return np.asarray(np.maximum(smooth, 0.0), dtype=np.float32)


def _detected(images: AnyArray, cases: list[Case]) -> list[Found]:
    return [detect(image, case, 1.0) for image, case in zip(images, cases, strict=True)]


def _asked(network: Network, images: Float32Array, cases: list[Case]) -> list[Found]:
    grid = cases[0].grid
    probability = network.run(images, np.tile(grid.centre_px, (len(images), 1)))[1]
    found = []
    for i, case in enumerate(cases):
        dog = Dog(sigma_inv_a=case.sigma_px * _STEP_INV_A)
        response = filter_stack(images[i : i + 1], dog, grid)
        spots = read_map(probability[i : i + 1], network.trust(images[i : i + 1]), response, case.annulus_inv_a)
        found.append(Found(grid.px_of(spots.k_inv_a).reshape(-1, 2), np.full(len(spots), np.inf)))
    return found
