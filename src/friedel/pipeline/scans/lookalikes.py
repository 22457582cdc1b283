"""Phases that nobody asked for, sought beside those asked for, so that these are not named in their place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

import numpy as np

from friedel.core.arrays import AnyArray, BoolArray, FloatArray
from friedel.core.errors import CrystalError
from friedel.crystal import PhaseSet, load_phases, lookalikes_of, restacked_of
from friedel.identify.counts.hypotheses import hypotheses_of
from friedel.identify.counts.matching import PhaseEvidence
from friedel.identify.hexagons.presence import RingEvidence
from friedel.identify.lattices.zone_map import ZoneEvidence
from friedel.pipeline.scans.choices import Template
from friedel.pipeline.scans.counts import CountFindings
from friedel.pipeline.scans.result import HexagonFindings, LatticeFindings, ScanOptions

#: How likely each look-alike is before looking, relative to each phase that was asked for.
_RARITY = 0.3

Findings = HexagonFindings | LatticeFindings | CountFindings
Table = TypeVar("Table", RingEvidence, ZoneEvidence, PhaseEvidence, CountFindings)


def sought_phases(phases: PhaseSet, options: ScanOptions, template: Template) -> PhaseSet:
    """Return the phases asked for, and after them the look-alikes that the options want to be sought beside them.

    Hexagons need none but the same layers stacked otherwise, unless they are named: their radii are weighed against
    those of any other crystal.

    Raises
    ------
    CrystalError
        If a look-alike is named that is unknown, or is one of the phases.
    """
    if options.lookalikes == "none":
        return phases
    if options.lookalikes == "auto":
        alike = () if template == "hexagon" else lookalikes_of(phases)
        added = (*alike, *(crystal for crystal in restacked_of(phases) if crystal not in alike))
    else:
        added = load_phases(name for name in options.lookalikes.split(",")).crystals
        if doubles := [crystal.name for crystal in added if crystal.name in phases.names]:
            raise CrystalError(
                f"{', '.join(doubles)} cannot be a phase and a look-alike. Leave it out of --lookalikes."
            )
    if not added:
        return phases
    weights: FloatArray = np.append(np.array(phases.priors) * len(phases), np.full(len(added), _RARITY))
    return PhaseSet((*phases.crystals, *added), tuple(weights / weights.sum()))


def are_likely(presence: FloatArray, n_asked: int) -> BoolArray:
    """Which look-alikes are likely where (n, L), given the presence (n, P) of all that was sought."""
    return np.asarray(presence[:, n_asked:] >= 0.5)


def lookalike_warnings(sought: PhaseSet, n_asked: int, presence: FloatArray, valid: BoolArray) -> tuple[str, ...]:
    """Tell of look-alikes that are likely somewhere, given the presence (n, P) of all that was sought."""
    found = are_likely(presence[valid.ravel()], n_asked).sum(axis=0)
    return tuple(
        f"{name}, which is not among the phases, is likely at {n} of {int(valid.sum())} positions; where none of the "
        "phases is likely beside it, the map says none. Add it to --phases to map it."
        for name, n in zip(sought.names[n_asked:], found, strict=True)
        if n
    )


def asked_alone(found: Findings, phases: PhaseSet) -> Findings:
    """Keep of what was found what tells of the phases asked for, which come first."""
    n = len(phases)
    if isinstance(found, HexagonFindings):
        zones = [z for z, zone in enumerate(found.zones) if zone.phase < n]
        measured = ("hexagon", "scale", "scale_sigma", "azimuth_rad", "share", "share_sigma")
        evidence = _cut(found.evidence, measured, zones)
        mine, columns = found.rings.phase < n, ("computed_inv_a", "learned_inv_a", "phase", "n_hexagons")
        rings = replace(found.rings, **{name: getattr(found.rings, name)[mine] for name in columns})
        return replace(found, zones=tuple(found.zones[z] for z in zones), evidence=evidence, rings=rings)
    if isinstance(found, LatticeFindings):
        matched = _cut(found.evidence, ("presence", "uvw", "rotation_deg", "log10_false_alarms"), slice(n))
        matched = replace(matched, spot_phase=_asked_spots(matched.spot_phase, n))
        return replace(found, templates=tuple(t for t in found.templates if t.phase < n), evidence=matched)
    n_sought, shared = found.evidence.single.shape[1], found.plan.shared
    explanations = hypotheses_of(n_sought)
    kept = [h for h, name in enumerate(explanations) if max(name, default=0) < n]
    of_asked = [tuple(p for p in name if p < n) for name in explanations]
    same = np.array([[asked == explanations[h] for h in kept] for asked in of_asked], dtype=np.float64)
    weighed = _cut(found.evidence, ("single", "frame", "strain", "claimed"), slice(n))
    weighed = _cut(_cut(weighed, ("features",), kept), ("pair",), [h - 1 - n_sought for h in kept if h > n_sought])
    plan = replace(found.plan, phases=phases, shared=shared.of(n) if shared else None)
    found = _cut(found, ("uvw", "rotation_deg", "off_deg"), slice(n))
    spots = _asked_spots(found.spot_phase, n)
    return replace(found, plan=plan, evidence=weighed, posterior=found.posterior @ same, spot_phase=spots)


def _cut(table: Table, names: Iterable[str], kept: slice | list[int]) -> Table:
    """Keep of some columns (n, P, ...) of a table some of the P."""
    return replace(table, **{name: getattr(table, name)[:, kept] for name in names})


def _asked_spots(spot_phase: AnyArray, n: int) -> AnyArray:
    """Phase of each spot, -1 where a look-alike explains it."""
    return np.asarray(np.where(spot_phase < n, spot_phase, -1))
