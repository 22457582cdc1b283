"""The work that is done block by block, possibly in parallel, and kept for resuming."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, fields
from functools import partial

import numpy as np

from friedel.core.arrays import AnyArray, BoolArray, FloatArray
from friedel.core.blocks import map_patterns, pieces, row_blocks
from friedel.core.grids import ReciprocalGrid
from friedel.core.spots import Spots
from friedel.identify.counts.matching import PhaseEvidence
from friedel.identify.hexagons.lattice import HexagonOptions, Hexagons, fit_hexagons
from friedel.identify.hexagons.presence import RING_TOLERANCE, RingEvidence, measure_rings
from friedel.identify.hexagons.rings import HexagonalZone
from friedel.nets.denoise import ScanDenoiser
from friedel.patterns.survey import Survey
from friedel.pipeline.progress import Arrays, BlockStore, Progress
from friedel.pipeline.scans.counts import CountPlan, score_counts
from friedel.spots.dog import Dog, DogResponse, filter_stack, find_spots


@dataclass(frozen=True, slots=True, eq=False)
class BlockPlan:
    """What is sought in every block.

    Parameters
    ----------
    detector
        Finds the spots.
    annulus_inv_a
        Ring in which they are sought.
    zones
        Six-fold zones of the phases, for hexagons; empty for spots alone.
    hexagon
        How hexagons are found.
    counts
        What to score the counts against, for the counts template.
    denoiser
        Adds up alike neighbours and asks a network for the spots; None leaves both to the detector.
    seed
        Of everything random.
    ring_annulus_inv_a
        Ring in which hexagons are sought, within ``annulus_inv_a``; None for all of that.
    """

    detector: Dog
    annulus_inv_a: tuple[float, float]
    zones: tuple[HexagonalZone, ...] = ()
    hexagon: HexagonOptions = HexagonOptions()  # noqa: RUF009 - frozen
    counts: CountPlan | None = None
    denoiser: ScanDenoiser | None = None
    seed: int = 0
    ring_annulus_inv_a: tuple[float, float] | None = None


def run_blocks(
    survey: Survey, plan: BlockPlan, *, store: BlockStore | None, executor: Executor | None, progress: Progress
) -> list[Arrays]:
    """Find spots (and hexagons) in every block of rows, taking what an interrupted run has left."""
    scan = survey.scan
    blocks = row_blocks(scan)
    task = partial(
        _analyse_block, grid=scan.grid, shift_px=survey.shift_px, valid=scan.valid, gain=survey.gain, plan=plan,
        blocks=dict(blocks),
    )  # fmt: skip
    starts = [start for start, _ in blocks]
    known = store.finished_blocks() if store else frozenset()
    done = {start: store.load_block(start) for start in starts if store and start in known}
    halo = plan.denoiser.halo if plan.denoiser else 0
    for start, arrays in map_patterns(task, scan, executor=executor, skip=done.keys(), halo=halo):
        if store:
            store.save_block(start, arrays)
        done[start] = arrays
        progress("spots", len(done), len(starts))
    return [done[start] for start in starts]


def _analyse_block(
    start: int,
    patterns: AnyArray,
    *,
    grid: ReciprocalGrid,
    shift_px: FloatArray,
    valid: BoolArray | None,
    gain: float,
    plan: BlockPlan,
    blocks: dict[int, int],
) -> Arrays:
    """Spots of a block of rows, and with zones its hexagons and the light in their rings, as named arrays.

    ``blocks`` are the first rows of all blocks, and where each ends.
    """
    first, shift = start * patterns.shape[1], shift_px[start * patterns.shape[1] :]
    if plan.denoiser is None:
        gathered, stack = None, patterns.reshape(-1, *patterns.shape[-2:])
    else:
        gathered = plan.denoiser.gather_rows(patterns, start, blocks[start])
        stack, gain = gathered.electrons, 1.0
    parts = []
    for piece in pieces(stack):
        response = filter_stack(stack[piece], plan.detector, grid, gain=gain, valid=valid)
        if plan.denoiser is None or gathered is None:
            found = find_spots(response, plan.detector, plan.annulus_inv_a, valid=valid)
        else:
            found = plan.denoiser.find_spots(gathered.part(piece), response, plan.annulus_inv_a)
        parts.append(_judge_piece(first + piece.start, response, found, shift[piece], grid, valid, plan))
    return _join(parts, len(stack))


def _judge_piece(
    first: int, response: DogResponse, found: Spots, shift: FloatArray, grid: ReciprocalGrid, valid: BoolArray | None,
    plan: BlockPlan,
) -> Arrays:  # fmt: skip
    """Judge patterns of which the first has this index in the scan, as ``_analyse_block`` does."""
    moved = np.repeat(shift * np.asarray(grid.step_inv_a) @ grid.ellipse.T, np.diff(found.offsets), axis=0)
    spots = Spots(found.k_inv_a - moved, found.sigma_inv_a, found.intensity, found.snr, found.offsets, found.scan_shape)
    arrays = _pack("spots", spots)
    if plan.zones:
        ring = plan.ring_annulus_inv_a or plan.annulus_inv_a
        hexagons = fit_hexagons(
            spots.where(_within(spots, ring)), plan.hexagon, ring, seed=plan.seed, first_index=first
        )
        reach = 3.0 * grid.relative_sigma + RING_TOLERANCE
        evidence = measure_rings(response, shift, hexagons, plan.zones, max_scale_error=reach, valid=valid)
        arrays |= _pack("hexagons", hexagons) | _pack("evidence", evidence)
    if plan.counts is not None:
        arrays |= _pack("phases", score_counts(plan.counts, response, spots, shift, valid))
    return arrays


def _join(parts: Sequence[Arrays], n: int) -> Arrays:
    """Join what was made of consecutive patterns, n in all."""
    arrays = _pack("spots", join_spots(parts, (n, 1)))
    if "hexagons.offsets" in parts[0]:
        arrays |= _pack("hexagons", join_hexagons(parts)) | _pack("evidence", join_rings(parts))
    if any(name.startswith("phases.") for name in parts[0]):
        arrays |= _pack("phases", join_counts(parts))
    return arrays


def _within(spots: Spots, annulus_inv_a: tuple[float, float]) -> BoolArray:
    return np.asarray((spots.radius_inv_a >= annulus_inv_a[0]) & (spots.radius_inv_a <= annulus_inv_a[1]))


def _pack(prefix: str, table: Spots | Hexagons | RingEvidence | PhaseEvidence) -> Arrays:
    values = {f"{prefix}.{field.name}": getattr(table, field.name) for field in fields(table)}
    return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}


def join_spots(blocks: Sequence[Arrays], scan_shape: tuple[int, int]) -> Spots:
    """Join the spots of all blocks of a scan."""
    parts = [Spots(**table, scan_shape=(len(table["offsets"]) - 1, 1)) for table in columns(blocks, "spots")]
    return Spots.join(parts, scan_shape)


def join_hexagons(blocks: Sequence[Arrays]) -> Hexagons:
    """Join the hexagons of all blocks."""
    return Hexagons.join([Hexagons(**table) for table in columns(blocks, "hexagons")])


def join_rings(blocks: Sequence[Arrays]) -> RingEvidence:
    """Join the light in the rings of all blocks."""
    return RingEvidence.join([RingEvidence(**table) for table in columns(blocks, "evidence")])


def join_counts(blocks: Sequence[Arrays]) -> PhaseEvidence:
    """Join what the counts of all blocks say."""
    return PhaseEvidence.join([PhaseEvidence(**table) for table in columns(blocks, "phases")])


def columns(blocks: Sequence[Arrays], prefix: str) -> list[Arrays]:
    """Return the columns of one table, such as "spots", "hexagons" or "phases", of every block."""
    return [
        {name.removeprefix(prefix + "."): value for name, value in block.items() if name.startswith(prefix + ".")}
        for block in blocks
    ]
