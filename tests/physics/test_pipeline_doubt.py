"""Doubt is kept: freedom of the fit is no evidence, and what fits two phases makes neither present."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import friedel as fr
from friedel.identify.counts.matching import CountOptions
from friedel.identify.grains.components import CLEAR_LEAD, with_doubt
from friedel.identify.hexagons.lattice import Hexagons
from friedel.identify.lattices.zone_map import Distortion, undistorted
from friedel.pipeline.scans.counts import CountFindings
from friedel.pipeline.scans.result import HexagonFindings, LatticeFindings, scan_warnings
from friedel.simulate.patterns.scan import ScanOptions, simulate_nmc811_scan


@pytest.fixture(scope="module")
def nmc811_scan() -> fr.PatternScan:
    return simulate_nmc811_scan(1, ScanOptions(scan_shape=(8, 10)))[0]


@pytest.mark.parametrize("phase", ["srtio3", "tio2-rutile", "li2co3"])
def test_crystal_that_is_not_there_is_none(nmc811_scan: fr.PatternScan, phase: str) -> None:
    result = fr.analyse_scan(nmc811_scan, fr.load_phases([phase]), fr.ScanOptions(template="lattice"))
    assert result.phase_map.fractions()["none"] > 0.95


def test_a_scale_that_is_off_by_two_names_nothing_and_is_suspected(nmc811_scan: fr.PatternScan) -> None:
    grid = replace(nmc811_scan.grid, step_inv_a=tuple(2.0 * step for step in nmc811_scan.grid.step_inv_a))
    phases = fr.load_phases(["nmc811-o3", "nmc811-o1"])
    result = fr.analyse_scan(replace(nmc811_scan, grid=grid), phases, fr.ScanOptions(template="lattice"))
    assert result.phase_map.fractions()["none"] > 0.95
    assert any("check --step-inv-a" in warning for warning in result.warnings)


@pytest.mark.parametrize(("phase", "scale"), [("nmc811-o3", 1.06), ("srtio3", 1.0)])
def test_only_a_crystal_that_is_there_says_that_the_scale_is_far_off(
    nmc811_scan: fr.PatternScan, phase: str, scale: float
) -> None:
    """Bent far enough, strontium titanate would explain some spots, and no better than any lattice does."""
    grid = replace(nmc811_scan.grid, step_inv_a=tuple(scale * step for step in nmc811_scan.grid.step_inv_a))
    scan, phases = replace(nmc811_scan, grid=grid), fr.load_phases([phase])
    result = fr.analyse_scan(scan, phases, fr.ScanOptions(template="lattice"))
    assert isinstance(result.found, LatticeFindings)
    assert (result.found.refused is not None) == (scale != 1.0)
    assert any("more than the calibration allows" in warning for warning in result.warnings) == (scale != 1.0)
    assert result.phase_map.fractions()["none"] == 1.0


@pytest.mark.parametrize("phase", ["srtio3", "mgo", "lif"])
def test_spots_where_no_phase_is_likely_are_explained_by_none(nmc811_scan: fr.PatternScan, phase: str) -> None:
    quick = CountOptions(spacing_deg=5.0, per_phase=6)
    result = fr.analyse_scan(nmc811_scan, fr.load_phases([phase]), fr.ScanOptions(template="counts", counts=quick))
    named = result.phase_map.presence.ravel() >= 0.5
    assert isinstance(result.found, CountFindings)
    explained = np.add.reduceat(result.found.spot_phase >= 0, result.spots.offsets[:-1].clip(max=len(result.spots) - 1))
    assert (explained[~named & (np.diff(result.spots.offsets) > 0)] == 0).all()
    assert any("spots are explained by none" in warning for warning in result.warnings)


def test_name_that_rests_on_a_few_of_many_spots_is_doubted(nmc811_scan: fr.PatternScan) -> None:
    phases = fr.load_phases(["nmc811-o3"])
    result = fr.analyse_scan(nmc811_scan, phases, fr.ScanOptions(template="lattice"))
    assert isinstance(result.found, LatticeFindings)
    assert not any("doubt what is named" in warning for warning in result.warnings)
    n = len(result.spots)
    evidence = replace(result.found.evidence, spot_phase=np.where(np.arange(n) < 0.2 * n, 0, -1))
    found = replace(result.found, evidence=evidence)
    said = scan_warnings(result.survey, result.spots, found, None, phases.names, stored_relative_sigma=0.005)
    assert any("doubt what is named" in warning for warning in said)


def test_right_crystal_keeps_its_map(nmc811_scan: fr.PatternScan) -> None:
    result = fr.analyse_scan(nmc811_scan, fr.load_phases(["nmc811-o3"]), fr.ScanOptions(template="lattice"))
    assert isinstance(result.found, LatticeFindings)
    assert result.found.refused is None
    assert result.phase_map.fractions()["nmc811-o3"] > 0.5


@pytest.mark.parametrize(("foreign", "is_told"), [(1, False), (20, True)])
def test_hexagons_of_chance_are_not_taken_for_another_phase(
    nmc811_scan: fr.PatternScan, foreign: int, is_told: bool
) -> None:
    names = ("nmc811-o3", "nmc811-o1")
    result = fr.analyse_scan(nmc811_scan, fr.load_phases(names), fr.ScanOptions(template="hexagon"))
    assert isinstance(result.found, HexagonFindings)
    assert not any("hexagons are of none" in warning for warning in result.warnings)
    radii = np.full(1000, result.found.rings.learned_inv_a[0])
    radii[:foreign] *= 1.1
    ones = np.ones(1000)
    hexagons = Hexagons(radii, 0.001 * ones, 0 * ones, 6 * ones.astype(int), ones, -9 * ones, np.array([0, 1000]))
    found = replace(result.found, hexagons=hexagons, rings=replace(result.found.rings, known=ones))
    said = scan_warnings(result.survey, result.spots, found, None, names, stored_relative_sigma=0.005)
    assert any(warning.startswith(f"{foreign} of 1000 hexagons are of none") for warning in said) is is_told


def test_an_ellipse_of_few_cameras_is_doubted(nmc811_scan: fr.PatternScan) -> None:
    phases = fr.load_phases(["nmc811-o3"])
    result = fr.analyse_scan(nmc811_scan, phases, fr.ScanOptions(template="lattice"))
    assert isinstance(result.found, LatticeFindings)
    for percent, is_doubted in ((0.5, []), (2.5, [False]), (5.8, [True])):
        bent = Distortion(np.diag([1.0 + percent / 100, 1.0]), np.zeros(2), 0.001, 9)
        found = replace(result.found, distortion=bent)
        said = scan_warnings(result.survey, result.spots, found, None, phases.names, stored_relative_sigma=0.015)
        ellipse = [warning for warning in said if f"elliptic by {percent} %" in warning]
        assert [("friedel calibrate" in warning) for warning in ellipse] == is_doubted


def test_strain_counts_prior_standard_deviations() -> None:
    assert undistorted(0.015).strain(0.015) == 0.0
    two_percent = Distortion(np.eye(2) * 1.0354, np.zeros(2), 0.001, 9)
    assert two_percent.strain(0.015) == pytest.approx(2.0, rel=0.01)  # sqrt(1.5^2 + 2^2) / sqrt(2) = 1.77 %
    elliptic = Distortion(np.diag([1.04, 1.0]), np.zeros(2), 0.001, 9)
    assert elliptic.strain(0.5) == pytest.approx(1.0)


def test_undecided_spot_makes_no_phase_present() -> None:
    posterior = np.array([[0.6, 0.35, 0.05], [0.8, 0.1, 0.1], [0.02, 0.03, 0.95]])
    shown = with_doubt(posterior)
    assert CLEAR_LEAD * 0.35 > 0.6
    assert (shown[0, :2] < 0.5).all()
    assert np.array_equal(shown[1:], posterior[1:])
