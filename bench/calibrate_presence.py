"""Fit how log evidence becomes probability (``friedel.identify.counts.presence.CALIBRATION``) on simulated patterns.

Single patterns of three sets of candidates: none, one or two of them, in zones and in any direction, 3 to 40 nm thick,
by two-beam, precessed and many-beam scattering, at 60 to 30,000 electrons; a fifth are of crystals that are no
candidates. ``python bench/calibrate_presence.py`` fits four numbers by maximum likelihood of what is there on one half
of the seeds, and prints them with the reliability on the other half. ``--write`` puts the table into
docs/bench/presence.md.
"""

from __future__ import annotations

import argparse
import datetime as dt
import platform
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
from scipy import optimize
from scipy.spatial.transform import Rotation

from friedel.core.beam import Beam
from friedel.core.grids import ReciprocalGrid
from friedel.crystal import Crystal, PhaseSet, load_phase, load_phases, zone_axes, zone_frame
from friedel.identify.counts.maps import map_counts
from friedel.identify.counts.matching import CountOptions, PhaseEvidence, weigh_phases
from friedel.identify.counts.presence import Calibration, posterior_of, presence_of
from friedel.identify.counts.template_bank import build_bank
from friedel.simulate.patterns.diffraction import (
    Conditions,
    OrientedCrystal,
    SpotPattern,
    diffract_many,
    orient,
    overlap,
)
from friedel.simulate.patterns.noise import Noise, expose
from friedel.simulate.patterns.render import SpotShape, render
from friedel.spots.dog import Dog, filter_stack, find_spots

DOCS = Path(__file__).parents[1] / "docs" / "bench" / "presence.md"
BEAM = Beam(200.0, 0.8)
GRID = ReciprocalGrid((0.0165, 0.0165), (63.5, 63.5), relative_sigma=0.005)
SHAPE = (128, 128)
#: Candidates, the ring in which they are sought, and crystals that are not among them.
SETS = (
    (("nmc811-o3", "nmc811-o1"), (0.34, 1.03), ("nio", "limn2o4", "lif", "si", "al2o3")),
    (("lif", "li2o", "li2co3"), (0.20, 1.03), ("nmc811-o3", "si", "cu", "al2o3")),
    (("nio", "limn2o4", "nmc811-o3"), (0.18, 1.03), ("lif", "nmc811-o1", "fe", "srtio3")),
)
PRECESSED_INV_A = 0.02
Array = Any


def spots_of(crystal: Crystal, frame: Array, thickness_a: float, kind: str, rng: np.random.Generator) -> SpotPattern:
    """Spots of a crystal whose frame has the rows ky, kx and beam."""
    base = orient(crystal, (0, 0, 1), 1.25)
    g = crystal.g_inv_a(base.reflections.hkl) @ frame.T * (1.0 + rng.normal(0.0, 0.002))
    if kind == "precessed":
        s = g[:, 2] + 0.5 * BEAM.wavelength_a * (g**2).sum(axis=1)
        light = base.reflections.f2 * np.exp(-0.5 * (s / PRECESSED_INV_A) ** 2)
        taken = rng.uniform(0.1, 0.5) * min(thickness_a / 150.0, 1.0)
        return SpotPattern(base.reflections.hkl, g[:, :2], taken * light / light.sum(), 1.0 - taken)
    oriented = OrientedCrystal(crystal, base.reflections, g)
    return diffract_many(oriented, BEAM, Conditions.of([thickness_a]), scattering=kind).pattern(0)  # type: ignore[arg-type]


def draw_frame(crystal: Crystal, near_zone: bool, rng: np.random.Generator) -> Array:
    """Any orientation, or one within 12 mrad of a zone axis of low indices."""
    if not near_zone:
        return Rotation.random(random_state=rng).as_matrix()
    axes = zone_axes(crystal, 1)
    laid = zone_frame(crystal, axes[0 if rng.random() < 0.6 else rng.integers(len(axes))])
    tilt = 12e-3 * np.sqrt(rng.random()) * np.array([*Rotation.random(random_state=rng).as_matrix()[0, :2], 0.0])
    turn = Rotation.from_rotvec([0.0, 0.0, rng.uniform(0, 2 * np.pi)]) * Rotation.from_rotvec(tilt)
    return turn.as_matrix() @ laid


def draw_pattern(
    phases: PhaseSet, foreign: tuple[str, ...], rng: np.random.Generator
) -> tuple[Array, tuple[int, ...], float]:
    """Counts, the phases that are there, and the dose."""
    n = len(phases.crystals)
    what = rng.choice(["none", "foreign", "one", "two"], p=[0.15, 0.2, 0.4, 0.25])
    there = (
        () if what in ("none", "foreign") else tuple(sorted(rng.choice(n, 1 if what == "one" else 2, replace=False)))
    )
    crystals = [load_phase(str(rng.choice(foreign)))] if what == "foreign" else [phases.crystals[i] for i in there]
    thickness = float(np.exp(rng.uniform(np.log(30.0), np.log(400.0))))
    kind = str(rng.choice(["two-beam", "bloch", "precessed"], p=[0.3, 0.4, 0.3]))
    near = bool(rng.random() < 0.5) or kind == "bloch"
    share = rng.uniform(0.25, 0.75)
    spots: list[SpotPattern] = []
    frame = None
    for i, crystal in enumerate(crystals):
        part = 1.0 if len(crystals) == 1 else (share, 1.0 - share)[i]
        aligned = frame is not None and crystals[0].is_hexagonal and crystal.is_hexagonal and near
        frame = frame if aligned else draw_frame(crystal, near, rng)
        spots.append(spots_of(crystal, frame, max(thickness * part, 15.0), kind, rng))
    nothing = SpotPattern(np.zeros((0, 3), dtype=np.int64), np.zeros((0, 2)), np.zeros(0), 1.0)
    column = overlap(*spots) if len(spots) == 2 else next(iter(spots), nothing)
    dose = float(np.exp(rng.uniform(np.log(60.0), np.log(30_000.0))))
    film = rng.uniform(0.0, 0.3) * (rng.random() < 0.4 or what == "none")
    noise = Noise(
        dose, halo_share=rng.uniform(0.05, 0.4), halo_width_inv_a=rng.uniform(0.08, 0.2), amorphous_share=film
    )
    counts = expose(render(column, GRID, SHAPE, SpotShape.of(BEAM, rng.uniform(0.6, 1.0))), noise, GRID, rng)
    return counts, tuple(int(i) for i in there), dose


def weigh(index: int, seed: int, n: int, chunk: int = 32) -> tuple[PhaseEvidence, list[tuple[int, ...]], Array]:
    """Evidence for n patterns of one set of candidates, what is there, and the doses."""
    names, annulus, foreign = SETS[index]
    phases = load_phases(names)
    options = CountOptions()
    bank = build_bank(phases, BEAM, annulus, spacing_deg=options.spacing_deg, radial_step_inv_a=GRID.step_inv_a[0])
    detector = Dog(sigma_inv_a=1.1 * GRID.step_inv_a[0], max_false_alarms=1.0)
    parts, truth, doses = [], [], []
    for first in range(0, n, chunk):
        drawn = [
            draw_pattern(phases, foreign, np.random.default_rng([seed, index, i])) for i in range(first, first + chunk)
        ]
        response = filter_stack(np.stack([row[0] for row in drawn]), detector, GRID)
        spots = find_spots(response, detector, annulus)
        maps = map_counts(response.electrons, spots, np.zeros((chunk, 2)), GRID, annulus, sigma_px=1.1)
        parts.append(weigh_phases(maps, bank, phases, options))
        truth += [row[1] for row in drawn]
        doses += [row[2] for row in drawn]
        print(f"set {index}, seed {seed}: {first + chunk} of {n}", flush=True)
    return PhaseEvidence.join(parts), truth, np.array(doses)


def loss(parameters: Array, sets: list[tuple[PhaseEvidence, list[tuple[int, ...]], Array]]) -> float:
    """Mean negative log posterior of what is there."""
    temper, single, pair, doubt = parameters
    if temper <= 0.0 or not 0.0 < doubt < 1.0:
        return 1e9
    total, n = 0.0, 0
    for evidence, truth, _ in sets:
        posterior, names = posterior_of(evidence, Calibration(temper, single, pair, doubt))
        right = np.array([names.index(there) for there in truth])
        total -= float(np.log(posterior[np.arange(len(right)), right]).sum())
        n += len(right)
    return total / n


def reliability(sets: list[tuple[PhaseEvidence, list[tuple[int, ...]], Array]], calibration: Calibration) -> str:
    """Table of presence against how often the phase was there, and the expected calibration error."""
    presence, there = [], []
    for evidence, truth, _ in sets:
        value = presence_of(evidence, calibration)
        presence.append(value.ravel())
        there.append(np.array([[p in row for p in range(value.shape[1])] for row in truth]).ravel())
    p, y = np.concatenate(presence), np.concatenate(there)
    bins = np.clip((p * 10).astype(int), 0, 9)
    lines = ["| presence | mean | phase was there | positions |", "|---|---|---|---|"]
    error = 0.0
    for b in range(10):
        here = bins == b
        if here.any():
            error += abs(p[here].mean() - y[here].mean()) * here.mean()
            lines.append(
                f"| {b / 10:.1f}-{(b + 1) / 10:.1f} | {p[here].mean():.3f} | {y[here].mean():.3f} | {here.sum()} |"
            )
    return "\n".join([*lines, "", f"Expected calibration error {error:.3f}."])


def main() -> None:
    """Fit, print, and write if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--per-set", type=int, default=320)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    halves = [[weigh(i, seed, args.per_set) for i in range(len(SETS))] for seed in (11, 12)]
    start = astuple(Calibration(0.3, 0.0, 0.0, 0.03))
    fit = optimize.minimize(
        loss, start, args=(halves[0],), method="Nelder-Mead", options={"maxiter": 3000, "maxfev": 3000}
    )
    calibration = Calibration(*(round(float(x), 2) for x in fit.x))
    table = reliability(halves[1], calibration)
    text = f"{calibration}\nloss {loss(fit.x, halves[0]):.3f} fitted, {loss(fit.x, halves[1]):.3f} held out\n\n{table}"
    print(text)
    if args.write:
        day = dt.datetime.now(tz=dt.UTC).date()
        head = (
            "# How well presence is calibrated\n\nMade by `python bench/calibrate_presence.py --write` on "
            f"{day}, {platform.machine()}, Python {platform.python_version()}: {args.per_set} patterns of each of "
            f"{len(SETS)} sets of candidates to fit, as many of other seeds for the table.\n\n"
        )
        DOCS.write_text(head + table + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
