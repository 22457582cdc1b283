"""Scans on which the decision from evidence to presence is learned and tested: many sets of candidates.

A pattern shows nothing, a crystal that is no candidate, one candidate, or two along the beam; in zones and in any
direction, 3 to 40 nm thick, by two-beam, precessed and many-beam scattering, at 80 to 30,000 electrons.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal
from unittest.mock import patch

import numpy as np
from scipy.spatial.transform import Rotation

from friedel.core.beam import Beam
from friedel.core.grids import ReciprocalGrid
from friedel.core.images import PatternScan
from friedel.crystal import (
    Crystal,
    PhaseSet,
    load_phases,
    load_shipped_phases,
    reflections,
    zone_axes,
    zone_frame,
)
from friedel.identify.counts.stacked import may_grow_on
from friedel.pipeline.scans.counts import CountFindings
from friedel.pipeline.scans.lookalikes import sought_phases
from friedel.pipeline.scans.result import ScanOptions
from friedel.pipeline.scans.road import analyse_scan
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

Scattering = Literal["two-beam", "bloch", "precessed"]
#: Sets of candidates to learn from, and sets of other crystals for the test.
LEARNED = (
    ("nmc811-o3", "nmc811-o1"),
    ("lif", "li2o", "li2co3"),
    ("nio", "limn2o4", "nmc811-o3"),
    ("licoo2", "co3o4", "coo"),
    ("mos2", "mo"),
    ("ti", "tin", "tio2-rutile"),
    ("fe", "feo", "fe3o4", "fe2o3"),
    ("cu", "cu2o", "cuo"),
    ("si", "sic-3c"),
    ("gan", "al2o3", "aln"),
    ("graphite", "lic6"),
    ("nmc811-h3", "nmc811-o1", "nio"),
    ("mg", "mgo"),
    ("austenite", "fe", "cementite"),
    ("zr", "zro2", "zro2-cubic"),
    ("al", "si", "tio2-anatase"),
    ("pt", "ni", "ceo2"),
    ("lifepo4", "fepo4"),
    ("linio2", "li2mno3"),
    ("co", "wc"),
)
TESTED = (
    ("srtio3", "nb"),
    ("zno", "zn"),
    ("gaas", "ge", "inas"),
    ("li", "lioh", "licl"),
    ("sno2", "sn"),
    ("bn", "caco3-calcite", "cao"),
    ("ag", "pbs"),
    ("sio2-quartz", "mno", "mn3o4"),
)
_ENERGIES_KEV, _STEPS_INV_A = (200.0, 300.0, 200.0, 80.0), (0.0165, 0.018, 0.02)
_CENTRE, _SHAPE = (63.5, 63.5), (128, 128)
_PRECESSED_INV_A = 0.02
_SCATTERING: tuple[Scattering, ...] = ("two-beam", "bloch", "precessed")
#: Relative difference of the lattice of a relative, beyond what charge and composition do to one phase.
_RELATIVES = (0.016, 0.08)
#: Reflections by which two crystals are compared, the innermost, how near they lie to be taken for one another, and how
#: many crystals count as mimics of the candidates.
_COMPARED, _NEAR, _MIMICS = 6, 0.015, 12
#: Spread of the strain of a crystal that is no candidate, against its file.
_FOREIGN_STRAIN = 0.006
#: Spread of each lattice between positions, and further along a unique axis: little in most samples, much where a
#: battery is charged unevenly.
_UNREST, _AXIAL_UNREST = (0.0005, 0.006), (0.0005, 0.012)
#: What a pattern shows: nothing, a crystal that is no candidate, one candidate, or two along the beam.
SHOWN = ("none", "foreign", "one", "two")
#: Patterns of a scan.
PATTERNS = 64
#: Crystals of one space group whose edges agree to this are one phase, whatever their names.
_SAME_CELL = 0.025
Array = Any


@dataclass(frozen=True, slots=True, eq=False)
class Setting:
    """A set of candidates, the instrument, crystals that are not among the candidates, and those most like them."""

    phases: PhaseSet
    beam: Beam
    grid: ReciprocalGrid
    foreign: tuple[Crystal, ...]
    mimics: tuple[Crystal, ...]

    @classmethod
    @lru_cache(maxsize=1)
    def of(cls, names: tuple[str, ...], index: int) -> Setting:
        """Make the setting of a set of candidates; ``index`` draws the instrument."""
        phases = load_phases(names)
        beam = Beam(_ENERGIES_KEV[index % len(_ENERGIES_KEV)], 0.8)
        step = _STEPS_INV_A[index % len(_STEPS_INV_A)]
        own, kept_for_tests = phases.crystals, {name for row in TESTED for name in row} if names in LEARNED else set()
        others = (c for c in load_shipped_phases() if c.name not in kept_for_tests)
        foreign = tuple(c for c in others if not any(c.name == o.name or _is_same(c, o) for o in own))
        mimics = sorted(foreign, key=lambda c: (-_likeness(c, own), c.name))[:_MIMICS]
        grid = ReciprocalGrid((step, step), _CENTRE, relative_sigma=0.005)
        return cls(phases, beam, grid, foreign, tuple(mimics))


def _is_same(one: Crystal, two: Crystal) -> bool:
    edges = np.array(one.cell[:3]) / np.array(two.cell[:3])
    return one.space_group.number == two.space_group.number and bool((np.abs(edges - 1.0) < _SAME_CELL).all())


def _likeness(crystal: Crystal, own: tuple[Crystal, ...]) -> float:
    """Share of the innermost bright reflections of a crystal that lie near one of the candidates'."""
    bright = np.unique(np.round(reflections(crystal, 1.0, min_relative_f2=0.05).radius_inv_a, 4))[:_COMPARED]
    rivals = np.concatenate([reflections(c, 1.0, min_relative_f2=0.05).radius_inv_a for c in own])
    return float((np.abs(np.log(bright[:, None] / rivals)).min(axis=1) < _NEAR).mean())


def spots_of(
    crystal: Crystal, beam: Beam, frame: Array, thickness_a: float, kind: Scattering, rng: np.random.Generator
) -> SpotPattern:
    """Spots of a crystal whose frame has the rows ky, kx and beam."""
    base = orient(crystal, (0, 0, 1), 1.3)
    g = crystal.g_inv_a(base.reflections.hkl) @ frame.T
    if kind == "precessed":
        s = g[:, 2] + 0.5 * beam.wavelength_a * (g**2).sum(axis=1)
        light = base.reflections.f2 * np.exp(-0.5 * (s / _PRECESSED_INV_A) ** 2)
        taken = rng.uniform(0.1, 0.7) * min(thickness_a / 150.0, 1.0)
        return SpotPattern(base.reflections.hkl, g[:, :2], taken * light / max(light.sum(), 1e-12), 1.0 - taken)
    oriented = OrientedCrystal(crystal, base.reflections, g)
    thicknesses = thickness_a * (1.0 + rng.uniform(0.0, 0.25) * np.linspace(-1.0, 1.0, 5))
    spots = diffract_many(oriented, beam, Conditions.of(thicknesses), scattering=kind)
    return SpotPattern(spots.hkl, spots.k_inv_a[0], spots.share.mean(axis=0), float(spots.direct.mean()))


def with_residues(
    spots: SpotPattern, crystal: Crystal, beam: Beam, frame: Array, rng: np.random.Generator
) -> SpotPattern:
    """Light reflections that the centring forbids by up to 0.03 % of the beam, and make all uneven by up to a third.

    Surfaces that end within a cell, steps and single faults break the centring; bending, and vibrations that scatter
    many beams together, make intensities differ from those of a perfect slab.
    """
    uneven = rng.gamma(shape := rng.uniform(9.0, 100.0), 1.0 / shape, len(spots.share))
    share = spots.share * uneven
    share *= min(1.0, 0.95 / max(float(share.sum()), 1e-9))
    hkl = _forbidden(crystal)
    g = crystal.g_inv_a(hkl) @ frame.T
    s = g[:, 2] + 0.5 * beam.wavelength_a * (g**2).sum(axis=1)
    lit = (np.abs(s) < 0.01) & (np.hypot(g[:, 0], g[:, 1]) < 1.0)
    residue = 10.0 ** rng.uniform(-5.0, -3.5) * rng.gamma(2.0, 0.5, int(lit.sum())) * float(share.sum())
    share = np.append(share, residue)
    return SpotPattern(
        np.concatenate([spots.hkl, hkl[lit]]), np.concatenate([spots.k_inv_a, g[lit, :2]]), share,
        max(1.0 - float(share.sum()), 0.0),
    )  # fmt: skip


@lru_cache(maxsize=16)
def _forbidden(crystal: Crystal) -> Array:
    """Miller indices (N, 3) within 1 1/Å that the lattice's centring forbids."""
    reach = np.ceil(np.linalg.norm(crystal.direct_basis_a, axis=1)).astype(int)
    hkl = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), axis=-1).reshape(-1, 3)
    allowed = {tuple(row) for row in orient(crystal, (0, 0, 1), 1.3).reflections.hkl.tolist()}
    kept = [row for row in hkl.tolist() if tuple(row) not in allowed and any(row)]
    return np.array(kept, dtype=np.int64).reshape(-1, 3)


def strained(crystal: Crystal, strain: float, axial: float = 0.0) -> Crystal:
    """Scale a crystal so that its reciprocal lengths grow by ``strain``, and those along its unique axis c by more."""
    a, b, c, alpha, beta, gamma = crystal.cell
    along = (1.0 + strain) * (1.0 + (axial if crystal.unique_axis.any() else 0.0))
    return replace(crystal, cell=(a / (1.0 + strain), b / (1.0 + strain), c / along, alpha, beta, gamma))


def _states(crystal: Crystal, rng: np.random.Generator) -> tuple[Crystal, ...]:
    """Draw the lattices that one phase has in a sample: mostly one, at times two, as where charge is uneven."""
    n = 1 + int(rng.random() < 0.25)
    iso = np.clip(0.004 * rng.standard_t(4, n), -0.015, 0.015)
    axial = np.clip(rng.choice([0.003, 0.015]) * rng.standard_t(4) + 0.005 * rng.normal(0.0, 1.0, n), -0.05, 0.05)
    return tuple(strained(crystal, float(e), float(x)) for e, x in zip(iso, axial, strict=True))


def draw_frame(crystal: Crystal, near_zone: bool, textured: bool, rng: np.random.Generator) -> Array:
    """Any orientation, or one within 12 mrad of a zone axis of low indices, ``textured`` of the six-fold one."""
    if not near_zone:
        return Rotation.random(random_state=rng).as_matrix()
    if textured and (crystal.is_hexagonal or crystal.crystal_system == "cubic"):
        laid = zone_frame(crystal, (0, 0, 1) if crystal.is_hexagonal else (1, 1, 1))
    else:
        axes = zone_axes(crystal, 1)
        laid = zone_frame(crystal, axes[0 if rng.random() < 0.5 else rng.integers(len(axes))])
    azimuth = rng.uniform(0, 2 * np.pi)
    tilt = 12e-3 * np.sqrt(rng.random()) * np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
    turn = Rotation.from_rotvec([0.0, 0.0, rng.uniform(0, 2 * np.pi)]) * Rotation.from_rotvec(tilt)
    return turn.as_matrix() @ laid


@dataclass(frozen=True, slots=True)
class Sample:
    """What all patterns of a scan share.

    Parameters
    ----------
    states, foreign
        Candidates as they are strained in this sample, one or two of each, and the crystals in it that are none.
    odds
        Of none, a foreign crystal, one candidate and two along the beam.
    weights
        How often each candidate is met.
    dose, halo, blur_px
        Electrons per pattern, share in the halo, and blur.
    scattering
        How light is shared out.
    unrest, axial_unrest
        Spread of each lattice between positions, and further along a unique axis.
    textured
        Whether all crystals lie along their six-fold zones, as in a cathode seen along its layers.
    """

    states: tuple[tuple[Crystal, ...], ...]
    foreign: tuple[Crystal, ...]
    odds: Array
    weights: Array
    dose: float
    halo: float
    blur_px: float
    scattering: Scattering
    unrest: float
    axial_unrest: float
    textured: bool


def draw_sample(setting: Setting, lookalikes: tuple[Crystal, ...], textured: bool, rng: np.random.Generator) -> Sample:
    """Draw what a scan shares.

    Of foreign crystals half are relatives of a candidate, of its structure with other lattice parameters, as alloys and
    other oxides are: the commonest mimics. The others are any, those that share many spacings with a candidate, and the
    look-alikes that are sought, in equal parts.
    """
    own = setting.phases.crystals
    states = tuple(_states(crystal, rng) for crystal in own)
    relative = own[rng.integers(len(own))]
    off = float(rng.choice([-1.0, 1.0]) * np.exp(rng.uniform(*np.log(_RELATIVES))))
    groups = [group for group in (setting.foreign, setting.mimics, lookalikes) if group]
    others = tuple(group[rng.integers(len(group))] for group in groups)
    foreign = (strained(relative, off),) if rng.random() < 0.35 else (*others, strained(relative, off))
    odds = rng.dirichlet([0.6, 1.0, 2.0, 1.0]) if rng.random() < 0.8 else np.array([0.2, 0.8, 0.0, 0.0])
    return Sample(
        states,
        foreign,
        odds,
        rng.dirichlet(np.full(len(own), 1.5)),
        float(np.exp(rng.uniform(np.log(80.0), np.log(30_000.0)))),
        rng.uniform(0.05, 0.4),
        rng.uniform(0.6, 1.0),
        _SCATTERING[rng.choice(3, p=[0.3, 0.45, 0.25])],
        float(np.exp(rng.uniform(*np.log(_UNREST)))),
        float(np.exp(rng.uniform(*np.log(_AXIAL_UNREST)))),
        textured,
    )


def draw_pattern(
    setting: Setting, sample: Sample, sought: PhaseSet, rng: np.random.Generator
) -> tuple[Array, list[bool], int]:
    """Counts, which of the phases sought are there (P,), and which of ``SHOWN`` it is."""
    what = SHOWN[shown_index := int(rng.choice(4, p=sample.odds))]
    n_there = {"one": 1, "two": 2}.get(what, 0)
    weights = 0.98 * sample.weights + 0.02 / len(sample.weights)
    there = tuple(sorted(int(i) for i in rng.choice(len(weights), n_there, replace=False, p=weights / weights.sum())))
    shown = [sample.states[i][rng.integers(len(sample.states[i]))] for i in there]
    is_there = [p in there for p in range(len(sought))]
    if what == "foreign":
        foreign = sample.foreign[rng.integers(len(sample.foreign))]
        shown = [strained(foreign, float(np.clip(_FOREIGN_STRAIN * rng.standard_t(4), -0.015, 0.015)))]
        is_there = [p >= len(weights) and _is_same(foreign, c) for p, c in enumerate(sought.crystals)]
    thickness = float(np.exp(rng.uniform(np.log(30.0), np.log(400.0))))
    near = bool(rng.random() < 0.6) or sample.textured
    share = rng.uniform(0.2, 0.8)
    spots: list[SpotPattern] = []
    frame = None
    for i, crystal in enumerate(shown):
        part = 1.0 if len(shown) == 1 else (share, 1.0 - share)[i]
        grown = frame is not None and near and may_grow_on(shown[0], crystal) and rng.random() < 0.8
        frame = frame if grown else draw_frame(crystal, near, sample.textured, rng)
        crystal = strained(crystal, 0.0, float(rng.normal(0.0, sample.axial_unrest)))
        one = spots_of(crystal, setting.beam, frame, max(thickness * part, 15.0), sample.scattering, rng)
        one = with_residues(one, crystal, setting.beam, frame, rng) if sample.scattering != "precessed" else one
        spots.append(replace(one, k_inv_a=one.k_inv_a * (1.0 + rng.normal(0.0, sample.unrest))))
    nothing = SpotPattern(np.zeros((0, 3), dtype=np.int64), np.zeros((0, 2)), np.zeros(0), 1.0)
    column = overlap(*spots, min_share=1e-5) if len(spots) == 2 else next(iter(spots), nothing)
    film = rng.uniform(0.0, 0.3) * (rng.random() < 0.4 or what == "none")
    dose = sample.dose * float(np.exp(rng.normal(0.0, 0.1)))
    noise = Noise(dose, halo_share=sample.halo, halo_width_inv_a=rng.uniform(0.08, 0.2), amorphous_share=film)
    drawn = render(column, setting.grid, _SHAPE, SpotShape.of(setting.beam, sample.blur_px))
    return expose(drawn, noise, setting.grid, rng), is_there, shown_index


def draw_scan(
    names: tuple[str, ...], index: int, which: int, seed: int, *, textured: bool
) -> tuple[PatternScan, Array, Array]:
    """Draw a scan with the scale that its file would state, what is there (n, P), and which of ``SHOWN`` that is (n,).

    The scale is off by as much as its calibration says. Look-alikes that are sought follow the candidates.
    """
    setting = Setting.of(names, index)
    sought = sought_beside(names)
    rng = np.random.default_rng([seed, index, which])
    sample = draw_sample(setting, sought.crystals[len(names) :], textured, rng)
    sigma = float(rng.choice([0.003, 0.005, 0.015]))
    step = setting.grid.step_inv_a[0] * (1.0 + rng.normal(0.0, sigma))
    true = replace(setting, grid=replace(setting.grid, step_inv_a=(step, step)))
    drawn = [draw_pattern(true, sample, sought, rng) for _ in range(PATTERNS)]
    believed = replace(setting.grid, source="user", relative_sigma=sigma)
    scan = PatternScan(np.stack([row[0] for row in drawn])[:, None], believed, None, setting.beam)
    return scan, np.array([row[1] for row in drawn]), np.array([row[2] for row in drawn])


@lru_cache(maxsize=1)
def sought_beside(names: tuple[str, ...]) -> PhaseSet:
    """Return the candidates, and the look-alikes that a map seeks beside them."""
    return sought_phases(load_phases(names), ScanOptions(), "counts")


def weigh(scan: PatternScan, phases: PhaseSet) -> Array:
    """Features (n, H, F) of every explanation of the patterns of a scan, those by look-alikes included.

    It is analysed as a user's, so that the decision is learned on what it will see: strains and scale learned from the
    scan included. Of look-alikes a map keeps nothing; here they are kept.
    """
    with patch("friedel.pipeline.scans.road.asked_alone", lambda found, _: found):
        found = analyse_scan(scan, phases, ScanOptions(template="counts")).found
    assert isinstance(found, CountFindings)
    return found.evidence.features.astype(np.float32)
