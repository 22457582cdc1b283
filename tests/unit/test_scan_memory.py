"""What a block of a scan takes while it is worked on does not grow with the block."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from friedel.core import blocks
from friedel.core.blocks import row_blocks
from friedel.core.grids import ReciprocalGrid
from friedel.core.images import PatternScan
from friedel.crystal import load_phases
from friedel.identify.hexagons.rings import hexagonal_zones
from friedel.patterns.survey import survey_scan
from friedel.pipeline.scans.blocks import BlockPlan, run_blocks
from friedel.spots.dog import Dog

ANNULUS_INV_A = (0.35, 0.8)
SHAPE = (64, 8, 64, 64)


@pytest.fixture
def scan() -> PatternScan:
    """512 patterns of one byte per pixel."""
    rows, columns = np.indices(SHAPE[2:]) - (SHAPE[2] - 1) / 2
    beam = 0.5 + 60.0 * np.exp(-(rows**2 + columns**2) / 4.0)
    counts = np.random.default_rng(0).poisson(beam, SHAPE).astype(np.uint8)
    return PatternScan(counts, ReciprocalGrid((0.033, 0.033), (31.5, 31.5), source="user", relative_sigma=0.005))


def test_spots_of_a_block_take_less_memory_than_the_block_as_floats(
    scan: PatternScan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "_PIECE_PIXELS", SHAPE[2] * SHAPE[3] * 16)
    assert len(row_blocks(scan)) == 1
    survey = survey_scan(scan, annulus_inv_a=ANNULUS_INV_A)
    plan = BlockPlan(Dog(0.05), ANNULUS_INV_A, hexagonal_zones(load_phases(["nmc811-o3"]), ANNULUS_INV_A))
    tracemalloc.start()
    try:
        run_blocks(survey, plan, store=None, executor=None, progress=lambda step, done, total: None)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < int(np.prod(SHAPE)) * np.dtype(np.float32).itemsize
