"""What a run has found so far, from the blocks that it keeps for resuming."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from friedel.core.arrays import Float32Array
from friedel.core.images import PatternScan
from friedel.crystal import load_phases
from friedel.identify.counts.presence import presence_of
from friedel.identify.hexagons.rings import hexagonal_zones
from friedel.pipeline.progress import Arrays
from friedel.pipeline.recipe import Recipe
from friedel.pipeline.runs.folder import RunFolder
from friedel.pipeline.scans.blocks import columns
from friedel.pipeline.scans.choices import annulus_of_phases, zones_beside_counts
from friedel.pipeline.scans.joined import join_evidence, judge_hexagons, presence_of_hexagons
from friedel.pipeline.scans.lookalikes import sought_phases


@dataclass(frozen=True, slots=True, eq=False)
class PartialMap:
    """A map that is being filled.

    Parameters
    ----------
    n_spots
        Spots found at each position (ry, rx); NaN where nothing is known yet.
    presence
        Presence of each phase (P, ry, rx), as it looks from what is known; None where the phases are judged at the end.
    """

    n_spots: Float32Array
    presence: Float32Array | None


def partial_map(out: Path, scan: PatternScan, scan_shape: tuple[int, int], recipe: Recipe) -> PartialMap | None:
    """Read the blocks of an unfinished run; None if there are none yet.

    Parameters
    ----------
    scan
        The scan that is mapped; ``scan_shape`` is that of its region.
    """
    run = RunFolder(out, out.with_name(out.name + ".partial"))
    starts = sorted(run.finished_blocks())
    if not starts:
        return None
    blocks = [run.load_block(start) for start in starts]
    counts = [np.diff(table["offsets"]) for table in columns(blocks, "spots")]
    where = [start * scan_shape[1] + np.arange(len(n)) for start, n in zip(starts, counts, strict=True)]
    place = np.concatenate(where)
    n_spots = np.full(scan_shape, np.nan, np.float32)
    n_spots.ravel()[place] = np.concatenate(counts)
    values = _presence(blocks, scan, recipe)
    if values is None:
        return PartialMap(n_spots, None)
    presence = np.full((values.shape[1], *scan_shape), np.nan, np.float32)
    presence.reshape(len(presence), -1)[:, place] = values.T
    return PartialMap(n_spots, presence)


def _presence(blocks: list[Arrays], scan: PatternScan, recipe: Recipe) -> Float32Array | None:
    """Judge the phases (n, P) from the blocks at hand, where the template allows that."""
    counted, phases, hexagons = any(columns(blocks, "phases")), load_phases(recipe.phases), None
    sought = sought_phases(phases, recipe.scan, "counts" if counted else "hexagon")
    if any(columns(blocks, "hexagons")):
        ring = recipe.scan.annulus_inv_a or annulus_of_phases(scan, sought, "counts" if counted else "hexagon")
        zones = zones_beside_counts(scan, phases, ring)[0] if counted else hexagonal_zones(sought, ring)
        hexagons = judge_hexagons(blocks, zones, scan.grid.relative_sigma)
    if counted:
        presence = presence_of(join_evidence(blocks, phases, hexagons), sought.priors)
    elif hexagons is not None:
        presence = presence_of_hexagons(hexagons, sought)
    else:
        return None
    return np.asarray(presence[:, : len(phases)], np.float32)
