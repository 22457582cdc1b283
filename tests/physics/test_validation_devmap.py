"""Validation on an independent multislice simulation of a cathode scan: loose bounds, a few points below what was
measured. Nothing is fitted to these data.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from friedel.core.beam import Beam
from friedel.core.grids import RealGrid, ReciprocalGrid
from friedel.core.images import PatternScan
from friedel.crystal import load_phases
from friedel.pipeline.scans.road import ScanOptions, analyse_scan


@pytest.mark.parametrize(
    ("dose", "accuracy", "o1_recall", "foreign"),
    [("P10000", 0.82, 0.95, 0.05), ("P1000", 0.83, 0.91, 0.11)],
    ids=["10000", "1000"],
)
def test_cathode_scan_is_mapped_by_hexagons(
    shared_data: Path, dose: str, accuracy: float, o1_recall: float, foreign: float
) -> None:
    """Labels none, O3, O1 and both of 32 x 32 positions, with rock salt, spinel and carbon counting as none.

    Measured on 21 November 2026: accuracy 0.860 at 10000 electrons a pattern and 0.869 at 1000; recall of O1 0.996 and
    0.952, precision of O1 1.000 and 1.000; 0.020 and 0.075 of rock salt and spinel are named. Most of what is missed:
    O3 beneath O1, and O3 whose ring is seen 1 % smaller than it is.
    """
    folder = shared_data / "multislice" / "devmap"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    with np.load(folder / f"devmap_{dose}.npz") as counts, np.load(folder / "devmap_truth.npz") as known:
        patterns, truth, is_foreign = counts["data"], known["label4"], known["cls"] >= 5
    grid = ReciprocalGrid((0.0220, 0.0220), (64.0, 64.0))
    scan = PatternScan(patterns, grid, RealGrid((20.0, 20.0)), Beam(300.0, 1.0))
    result = analyse_scan(scan, load_phases(["nmc811-o3", "nmc811-o1"]), ScanOptions(template="hexagon"))
    labels = result.phase_map.labels()
    found, there = labels & 2 > 0, truth & 2 > 0
    assert (labels == truth).mean() > accuracy
    assert (labels[is_foreign] != 0).mean() < foreign
    assert (found & there).sum() / there.sum() > o1_recall
    assert (found & there).sum() / found.sum() > 0.97
    assert result.survey.centre.px == pytest.approx((64.0, 64.0), abs=0.3)
