"""What the blocks of a scan say together: its hexagons, and its counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from friedel.core.arrays import BoolArray, FloatArray
from friedel.crystal import PhaseSet
from friedel.identify.counts.hypotheses import with_rings
from friedel.identify.counts.matching import PhaseEvidence
from friedel.identify.hexagons.presence import RING_TOLERANCE, known_by_zone, presence_from_rings
from friedel.identify.hexagons.rings import HexagonalZone, learn_rings
from friedel.identify.zone_names import name_orientations
from friedel.pipeline.progress import Arrays
from friedel.pipeline.scans.blocks import join_counts, join_hexagons, join_rings
from friedel.pipeline.scans.result import HexagonFindings

#: Angle between the beam and a zone axis up to which the rings of its net are whole.
_ALONG_DEG = 2.0


def judge_hexagons(blocks: list[Arrays], zones: tuple[HexagonalZone, ...], relative_sigma: float) -> HexagonFindings:
    """Join the hexagons of all blocks and learn the rings from them."""
    hexagons, evidence = join_hexagons(blocks), join_rings(blocks)
    rings = learn_rings(
        hexagons, zones, evidence.half_log_ratio, relative_sigma=relative_sigma, tolerance=RING_TOLERANCE
    )
    return HexagonFindings(hexagons, zones, evidence, rings)


def presence_of_hexagons(hexagons: HexagonFindings, phases: PhaseSet) -> FloatArray:
    """Score of each phase at each position (n, P), by the light in the rings of its zones."""
    evidence, rings = hexagons.evidence, hexagons.rings
    known = known_by_zone(evidence, hexagons.hexagons, rings.known)
    return presence_from_rings(evidence, hexagons.zones, len(phases.crystals), scale=rings.scale, known=known)


def join_evidence(blocks: Sequence[Arrays], phases: PhaseSet, hexagons: HexagonFindings | None) -> PhaseEvidence:
    """Join what counts say in all blocks, with what the rings of hexagons add to it.

    Counts may know more phases than ``phases``, look-alikes behind them, whose rings are not sought.
    """
    evidence = join_counts(blocks)
    if hexagons is None:
        return evidence
    along = are_along(evidence, phases, hexagons.zones)
    n_lookalikes = evidence.single.shape[1] - len(phases)
    rings = np.pad(presence_of_hexagons(hexagons, phases), ((0, 0), (0, n_lookalikes)))
    return replace(evidence, features=with_rings(evidence.features, rings, along))


def are_along(evidence: PhaseEvidence, phases: PhaseSet, zones: Sequence[HexagonalZone]) -> BoolArray:
    """Whether the likeliest phase of each pattern lies within 2 degrees of one of its six-fold zones (n,)."""
    surest = evidence.single[:, : len(phases)].argmax(axis=1)
    out = np.zeros(len(surest), dtype=bool)
    for p, crystal in enumerate(phases.crystals):
        rows = np.flatnonzero(surest == p)
        uvw, _, off_deg = name_orientations(crystal, evidence.frame[rows, p])
        axes = np.array([zone.uvw for zone in zones if zone.phase == p]).reshape(-1, 3)
        out[rows] = (uvw[:, None] == axes).all(axis=2).any(axis=1) & (off_deg <= _ALONG_DEG)
    return out
