"""The map with neighbours stands beside that of the evidence, which it leaves alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr

from friedel.core.images import PatternScan
from friedel.core.phase_map import PhaseMap
from friedel.crystal import load_phases
from friedel.identify.counts.matching import CountOptions
from friedel.io import write_scan
from friedel.pipeline.recipe import parse_recipe
from friedel.pipeline.run import run_recipe
from friedel.pipeline.scans.neighbours import with_neighbours
from friedel.pipeline.scans.result import HexagonFindings, ScanOptions
from friedel.pipeline.scans.road import analyse_scan
from friedel.simulate.patterns.acquisition import Acquisition, simulate_scan
from friedel.simulate.patterns.noise import Noise
from friedel.simulate.patterns.sample import Layer, Region, Sample
from friedel.simulate.patterns.scan import ScanOptions as Simulated
from friedel.simulate.patterns.scan import simulate_nmc811_scan

CATHODE = load_phases(["nmc811-o3", "nmc811-o1"])
#: A coarser bank of templates and every position by itself, to be quick.
QUICK = ScanOptions(template="counts", denoise="none", counts=CountOptions(spacing_deg=5.0, per_phase=6))


@pytest.fixture(scope="module")
def simulated() -> tuple[PatternScan, PhaseMap]:
    return simulate_nmc811_scan(3, Simulated((16, 20), (96, 96), step_inv_a=0.021, dose_electrons=300.0))


def test_evidence_stays_and_the_map_with_neighbours_is_nearer_to_the_truth(
    simulated: tuple[PatternScan, PhaseMap],
) -> None:
    scan, truth = simulated
    alone = analyse_scan(scan, CATHODE, QUICK)
    both = with_neighbours(alone)
    assert alone.smoothed is None
    assert both.smoothed is not None
    assert both.phase_map.presence.tobytes() == alone.phase_map.presence.tobytes()
    there = truth.presence > 0.5
    wrong = [float(((m.presence >= 0.5) != there).mean()) for m in (both.phase_map, both.smoothed.phase_map)]
    assert wrong[1] < 0.9 * wrong[0]
    assert both.smoothed.strength > 0.3


def test_scores_of_hexagons_are_smoothed_too(simulated: tuple[PatternScan, PhaseMap]) -> None:
    found = analyse_scan(simulated[0], CATHODE, ScanOptions(template="hexagon", neighbours=True))
    assert isinstance(found.found, HexagonFindings)
    assert found.smoothed is not None
    there = simulated[1].presence > 0.5
    wrong = [float(((m.presence >= 0.5) != there).mean()) for m in (found.phase_map, found.smoothed.phase_map)]
    assert 0.0 < wrong[1] < wrong[0]
    nothing = ~there.any(axis=-1)
    assert (found.smoothed.phase_map.labels()[nothing] != 0).mean() < 0.05


def test_a_scan_without_crystals_stays_none() -> None:
    nowhere = Region((Layer(CATHODE.crystals[0], (0, 0, 1)),))
    sample = Sample((Region((), 0.2, 0.3), Region(), nowhere), (np.indices((10, 12))[1] > 6).astype(np.int64))
    acquisition = Acquisition(pattern_shape=(96, 96), step_inv_a=0.021, noise=Noise(dose_electrons=150.0))
    scan = simulate_scan(sample, acquisition, 5).scan
    found = analyse_scan(scan, CATHODE, replace(QUICK, neighbours=True))
    assert found.smoothed is not None
    assert not found.smoothed.phase_map.labels().any()


def test_run_folder_holds_both_and_says_which_is_which(tmp_path: Path) -> None:
    scan, _ = simulate_nmc811_scan(3, Simulated((8, 10), (96, 96), step_inv_a=0.021, dose_electrons=300.0))
    write_scan(tmp_path / "scan.zarr", scan)
    values = {"input": str(tmp_path / "scan.zarr"), "phases": list(CATHODE.names)}
    quick = {"template": "hexagon", "denoise": "none"}
    for name, options in (("alone", quick), ("both", {**quick, "neighbours": True})):
        run_recipe(parse_recipe({**values, "scan": options}), tmp_path / name)
    alone, both = (zarr.open_group(tmp_path / name / "phase_map.zarr", mode="r") for name in ("alone", "both"))
    for name in ("presence", "label", "valid"):
        assert np.array_equal(alone[name][...], both[name][...])
    assert both["presence_neighbours"].shape == both["presence"].shape
    assert not np.array_equal(both["presence_neighbours"][...], both["presence"][...])
    label = (both["presence_neighbours"][...] >= 0.5) @ np.array([1, 2])
    assert np.array_equal(both["label_neighbours"][...], label)
    assert both.attrs["neighbours"]["number"] == 4
    assert "presence_neighbours" not in alone
    said = [json.loads((tmp_path / n / "provenance.json").read_text())["spatial_prior"] for n in ("alone", "both")]
    assert said[0] == ""
    assert "presence_neighbours and label_neighbours alone" in said[1]
    reports = [(tmp_path / name / "report.html").read_text(encoding="utf-8") for name in ("alone", "both")]
    assert ["Map of the phases with neighbours" in report for report in reports] == [False, True]
    summaries = [json.loads((tmp_path / name / "summary.json").read_text()) for name in ("alone", "both")]
    assert summaries[0]["fractions"] == summaries[1]["fractions"]
