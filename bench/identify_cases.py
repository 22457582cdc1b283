"""Patterns with known phases for the bench of identification: friedel's own simulation, and multislice by abTEM.

Both come in two halves, "development" and "held-out", that share neither seeds nor, in multislice, structures and
thicknesses. Whatever has a parameter to choose is chosen on the first; only the second is reported.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from friedel.core.beam import Beam
from friedel.crystal import Crystal, load_phase, load_phases
from friedel.simulate.patterns.diffraction import OrientedCrystal, SpotPattern, diffract, orient, overlap

Half = Literal["development", "held-out"]
Where = Literal["near", "any", "map"]
Array = Any

PHASES = ("nmc811-o3", "nmc811-o1")
KINDS = {"O3": (True, False), "O1": (False, True), "both": (True, True)}
DOSES = (100, 200, 1000, 10000)
SHAPE = (128, 128)
CENTRE_PX = (63.5, 63.5)
#: 1/Å per pixel of the own simulation and of multislice.
STEP_INV_A = {"own": 0.0165, "abTEM": 0.0180}
#: Semi-angle (mrad) of the beam: own simulation, and by energy (keV) as in ``truth_abtem.py``.
OWN_PROBE_MRAD, ABTEM_PROBES_MRAD = 0.8, {200: 0.9, 300: 0.8}
#: Doses, and positions of each, that are taken of a simulated map.
MAP_DOSES, _N_MAP = (100, 1000, 10000), 120
#: One sigma of the excitation errors that light up where the beam is precessed, 1/Å.
EXCITATION_INV_A = 0.02
NOTHING = SpotPattern(np.zeros((0, 3), dtype=np.int64), np.zeros((0, 2)), np.zeros(0), 1.0)
_REGIONS = ("near", "any")
_SEEDS = {"development": 1_000, "held-out": 2_000}
#: Crystals that are among no candidates: beside the mimics of layered oxides along [111], anything.
_FOREIGN = {"near": ("nio", "limn2o4"), "any": ("nio", "limn2o4", "lif", "si", "al2o3", "fe")}


@dataclass(frozen=True, slots=True, eq=False)
class Cases:
    """Patterns of one source, region and dose.

    Parameters
    ----------
    step_inv_a, centre_px
        1/Å per pixel; the beam (ky, kx).
    counts
        Electrons (n, ky, kx), uint16.
    there
        Whether each of ``PHASES`` is in the column (n, 2).
    kind
        "O3", "O1", "both", "carbon", "vacuum" or the name of a foreign phase (n,).
    energy_kev, probe_mrad, thickness_nm, tilt_mrad
        Of each pattern (n,); ``probe_mrad`` is the semi-angle of the beam.
    """

    step_inv_a: float
    centre_px: tuple[float, float]
    counts: Array
    there: Array
    kind: Array
    energy_kev: Array
    probe_mrad: Array
    thickness_nm: Array
    tilt_mrad: Array

    def where(self, keep: Array) -> Cases:
        """Return some of the patterns."""
        return Cases(self.step_inv_a, self.centre_px, *(column[keep] for column in _columns(self)))

    def alike(self, other: Cases) -> bool:
        """Whether both are of one calibration, so that a program can see them together."""
        return (self.step_inv_a, self.centre_px) == (other.step_inv_a, other.centre_px)

    @staticmethod
    def join(parts: Sequence[Cases]) -> Cases:
        """Lay cases of one calibration end to end."""
        first = parts[0]
        return Cases(first.step_inv_a, first.centre_px, *map(np.concatenate, zip(*map(_columns, parts), strict=True)))

    @property
    def is_foreign(self) -> Array:
        """Whether the pattern is of a crystal that is no candidate (n,)."""
        return ~np.isin(self.kind, [*KINDS, "carbon", "vacuum"])


def _columns(cases: Cases) -> tuple[Array, ...]:
    return (
        cases.counts,
        cases.there,
        cases.kind,
        cases.energy_kev,
        cases.probe_mrad,
        cases.thickness_nm,
        cases.tilt_mrad,
    )


@dataclass(frozen=True, slots=True, eq=False)
class CaseSet:
    """Cases of one source ("own", "abTEM", "map"), region and dose."""

    source: Literal["own", "abTEM", "map"]
    where: Where
    dose: int
    cases: Cases


def own_cases(half: Half, where: Where, dose: float, n_per_kind: int = 60) -> Cases:
    """Simulate O3, O1, both, carbon and foreign crystals with friedel, ``n_per_kind`` each, at 300 kV.

    "near": within 12 mrad of [001], or [111] of the mimics, 5 to 40 nm thick, two-beam intensities; stacked phases are
    aligned. "any": each crystal in any direction, with intensities as of a precessed beam: |F|^2 times a Gaussian of
    the excitation error. Spots are Gaussians about a diffuse halo; the geometry does not depend on the dose.
    """
    draw = np.random.default_rng([_SEEDS[half], _REGIONS.index(where)])
    noise = np.random.default_rng([_SEEDS[half], _REGIONS.index(where), round(dose)])
    beam = Beam(300.0, OWN_PROBE_MRAD)
    o3, o1 = load_phases(PHASES).crystals
    rows = []
    for i in range(5 * n_per_kind):
        kind = ("O3", "O1", "both", "carbon", _FOREIGN[where][i // 5 % len(_FOREIGN[where])])[i % 5]
        thickness_nm, tilt_mrad, turn = (
            draw.uniform(5, 40),
            12.0 * np.sqrt(draw.random()),
            draw.uniform(0, 2 * np.pi),
        )
        share, halo = draw.uniform(0.2, 0.8), draw.uniform(0.05, 0.25)
        azimuth = draw.uniform(0, 2 * np.pi)
        tilt = (tilt_mrad * np.cos(azimuth), tilt_mrad * np.sin(azimuth))
        if kind in KINDS:
            parts = [c for c, there in zip((o3, o1), KINDS[kind], strict=True) if there]
        else:
            parts = [] if kind == "carbon" else [load_phase(kind)]
        shares = (share, 1.0 - share) if len(parts) == 2 else (1.0,)
        spots = []
        for crystal, part in zip(parts, shares, strict=False):
            if where == "any":
                spots.append(_precessed(crystal, beam, part, draw))
                continue
            rotation = turn + (np.pi / 6 if crystal is o1 else 0.0)
            t_a = 10.0 * thickness_nm * part
            spots.append(diffract(_oriented(crystal), beam, thickness_a=t_a, rotation_rad=rotation, tilt_mrad=tilt))
        column = overlap(*spots) if len(spots) == 2 else next(iter(spots), NOTHING)
        counts = noise.poisson(dose * _expected(column, halo, beam, STEP_INV_A["own"]))
        there = KINDS.get(kind, (False, False))
        rows.append((counts.astype(np.uint16), there, kind, 300.0, OWN_PROBE_MRAD, thickness_nm, tilt_mrad))
    return _shuffled(rows, STEP_INV_A["own"])


_ORIENTED: dict[str, OrientedCrystal] = {}


def _oriented(crystal: Crystal) -> OrientedCrystal:
    """Lay [001] (hexagonal) or [111] (cubic) along the beam."""
    if crystal.name not in _ORIENTED:
        _ORIENTED[crystal.name] = orient(crystal, (0, 0, 1) if crystal.is_hexagonal else (1, 1, 1), 1.2)
    return _ORIENTED[crystal.name]


def _precessed(crystal: Crystal, beam: Beam, part: float, draw: np.random.Generator) -> SpotPattern:
    """Any direction along the beam; 40 to 70 % of the beam, times ``part``, goes into the reflections."""
    base = _oriented(crystal)
    g = base.g_inv_a @ Rotation.random(random_state=draw).as_matrix().T
    s = g[:, 2] + 0.5 * beam.wavelength_a * (g**2).sum(axis=1)
    light = base.reflections.f2 * np.exp(-0.5 * (s / EXCITATION_INV_A) ** 2)
    taken = part * draw.uniform(0.4, 0.7)
    return SpotPattern(base.reflections.hkl, g[:, :2], taken * light / light.sum(), 1.0 - taken)


def _expected(spots: SpotPattern, halo: float, beam: Beam, step_inv_a: float) -> Array:
    """Share of the beam in each pixel: direct beam and spots as Gaussians, and a halo about the beam."""
    k = np.concatenate([np.zeros((1, 2)), spots.k_inv_a])
    share = np.append(spots.direct, spots.share)
    bright = share > 1e-7
    sigma = np.hypot(0.5e-3 * beam.semi_convergence_mrad / beam.wavelength_a / step_inv_a, 0.6)
    px = k[bright] / step_inv_a + CENTRE_PX
    y, x = (np.exp(-0.5 * ((np.arange(n) - px[:, i : i + 1]) / sigma) ** 2) for i, n in enumerate(SHAPE))
    sharp = (share[bright, None] / (2 * np.pi * sigma**2) * y).T @ x
    rows, columns = np.indices(SHAPE)
    radius = np.hypot(rows - CENTRE_PX[0], columns - CENTRE_PX[1]) * step_inv_a
    glow = (1.0 + (radius / 0.15) ** 2) ** -1.5
    return (1.0 - halo) * sharp + halo * glow / glow.sum()


def abtem_cases(folder: Path, half: Half, where: Where, dose: float, limit: int | None = None) -> Cases:
    """Expose the multislice patterns that ``truth_abtem.py`` left in a folder, each in an in-plane rotation of its own.

    ``limit`` keeps that many, evenly over the list; rotation and choice do not depend on the dose.
    """
    with np.load(folder / f"{half.replace('-', '_')}.npz") as stored:
        facts = json.loads(str(stored["facts"]))
        chosen = [i for i, fact in enumerate(facts) if fact["where"] == where]
        if limit is not None and limit < len(chosen):
            chosen = [chosen[int(i)] for i in np.linspace(0, len(chosen) - 1, limit)]
        clean = (stored["code"][chosen] / 65535.0) ** 2 * stored["scale"][chosen, None, None]
        fine = float(stored["step_inv_a"])
    draw = np.random.default_rng([_SEEDS[half], _REGIONS.index(where), 7])
    noise = np.random.default_rng([_SEEDS[half], _REGIONS.index(where), 7, round(dose)])
    rows = []
    for pattern, fact in zip(clean, (facts[i] for i in chosen), strict=True):
        mean = _turned(pattern, draw.uniform(0, 2 * np.pi), fine, STEP_INV_A["abTEM"])
        kind = fact["kind"]
        there = KINDS.get(kind, (False, False))
        counts = noise.poisson(dose * mean).astype(np.uint16)
        energy_kev = fact["energy_kev"]
        known = (float(energy_kev), ABTEM_PROBES_MRAD[energy_kev], fact["thickness_nm"], fact["tilt_mrad"])
        rows.append((counts, there, kind, *known))
    return _shuffled(rows, STEP_INV_A["abTEM"])


def map_cases(folder: Path, dose: int) -> Cases:
    """Read a simulated map with Poisson noise, some of its positions in mixed order."""
    kinds = np.array(["vacuum", "carbon", "O3", "O1", "both", "rock_salt", "spinel"])
    with np.load(folder / "devmap_truth.npz") as truth, np.load(folder / f"devmap_P{dose}.npz") as stored:
        counts = stored["data"].reshape(-1, *SHAPE)
        kind, thickness_nm, tilt = (truth[name].ravel() for name in ("cls", "t_nm", "tilt_mrad"))
    chosen = np.random.default_rng(6).permutation(len(counts))[:_N_MAP]
    rows = [
        (counts[i], KINDS.get(kinds[kind[i]], (False, False)), kinds[kind[i]], 300.0, 1.0, thickness_nm[i], tilt[i])
        for i in chosen
    ]
    return replace(_shuffled(rows, 0.0220), centre_px=(64.0, 64.0))


def _shuffled(rows: list[tuple[Any, ...]], step_inv_a: float) -> Cases:
    """Mix the patterns, so that no program can learn from neighbours."""
    order = np.random.default_rng(5).permutation(len(rows))
    return Cases(step_inv_a, CENTRE_PX, *(np.array(column)[order] for column in zip(*rows, strict=True)))


def _turned(pattern: Array, angle_rad: float, fine_inv_a: float, step_inv_a: float, samples: int = 2) -> Array:
    """Turn a pattern about its middle and sample it on the detector, ``samples`` x ``samples`` times in each pixel."""
    offsets = (np.arange(samples) + 0.5) / samples - 0.5
    axes = [((np.arange(n)[:, None] + offsets).ravel() - c) * step_inv_a for n, c in zip(SHAPE, CENTRE_PX, strict=True)]
    ky, kx = np.meshgrid(*axes, indexing="ij")
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    middle = (pattern.shape[0] - 1) / 2.0
    places = np.stack([c * ky - s * kx, s * ky + c * kx]) / fine_inv_a + middle
    values = ndimage.map_coordinates(pattern, places, order=1) * (step_inv_a / fine_inv_a) ** 2
    return values.reshape(SHAPE[0], samples, SHAPE[1], samples).mean(axis=(1, 3))
