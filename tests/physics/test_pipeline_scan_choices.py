"""The ring in which spots are sought holds what tells the phases apart, and no wrong unit passes for a scale."""

from __future__ import annotations

import numpy as np
import pytest

from friedel.core.errors import CalibrationError
from friedel.core.grids import ReciprocalGrid
from friedel.core.images import PatternScan
from friedel.crystal import load_phases
from friedel.pipeline.scans.choices import Template, annulus_of_phases, zones_beside_counts

CATHODE = load_phases(["nmc811-o3", "nmc811-o1"])
TEMPLATES: list[Template] = ["hexagon", "lattice", "counts"]


def a_scan(step_inv_a: float, centre_px: tuple[float, float] = (60.0, 64.0)) -> PatternScan:
    return PatternScan(np.zeros((1, 1, 120, 128)), ReciprocalGrid((step_inv_a, step_inv_a), centre_px))


def test_the_ring_of_hexagons_holds_the_first_rings_of_both_phases() -> None:
    low, high = annulus_of_phases(a_scan(0.0165), CATHODE, "hexagon")
    assert low == pytest.approx(0.85 * 0.41, rel=0.02)  # {100} of O1 along [001], 2.44 Å
    assert high == pytest.approx(1.15 * 0.70, rel=0.02)  # {110} of O3 along [001], 1.43 Å


@pytest.mark.parametrize("template", ["lattice", "counts"])
def test_the_ring_of_lattices_ends_with_the_detector(template: Template) -> None:
    low, high = annulus_of_phases(a_scan(0.0165), CATHODE, template)
    assert high == pytest.approx(0.0165 * 59, rel=0.03)
    assert 0.1 < low < 0.25  # (003) of O3, 4.7 Å


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("factor", [0.1, 10.0])
def test_a_scale_in_another_unit_is_refused_with_its_option(template: Template, factor: float) -> None:
    with pytest.raises(CalibrationError, match="--step-inv-a"):
        annulus_of_phases(a_scan(factor * 0.0165), CATHODE, template)


def test_a_centre_off_the_pattern_is_refused_with_its_option() -> None:
    with pytest.raises(CalibrationError, match="--centre"):
        annulus_of_phases(a_scan(0.0165, (-3.0, 64.0)), CATHODE, "lattice")


@pytest.mark.parametrize(("step_inv_a", "expected"), [(0.0165, {0, 1}), (0.011, set()), (0.006, set())])
def test_rings_are_weighed_with_counts_only_where_every_phase_has_one(step_inv_a: float, expected: set[int]) -> None:
    """The camera ends at 0.95, 0.64 and 0.35 1/Å; the first rings are at 0.41 (O1) and 0.70 1/Å (O3)."""
    zones, _ = zones_beside_counts(a_scan(step_inv_a), CATHODE, (0.18, 0.98 * 59 * step_inv_a))
    assert {zone.phase for zone in zones} == expected
