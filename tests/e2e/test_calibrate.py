"""``friedel calibrate`` as a user calls it, and what ``friedel map`` makes of its file."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from friedel.core.images import PatternScan
from friedel.core.phase_map import PhaseMap
from friedel.io import write_scan

Friedel = Callable[..., Result]
PHASES = ("--phases", "nmc811-o3,nmc811-o1")


@pytest.fixture(scope="module")
def misjudged(simulated_scan: tuple[PatternScan, PhaseMap], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The simulated scan in a file whose scale is 3 % too large."""
    scan = simulated_scan[0]
    step = 1.03 * scan.grid.step_inv_a[0]
    path = tmp_path_factory.mktemp("misjudged") / "scan.zarr"
    write_scan(path, replace(scan, grid=replace(scan.grid, step_inv_a=(step, step))))
    return path


@pytest.fixture(scope="module")
def calibration(done: Friedel, misjudged: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("calibration") / "calibration.toml"
    done("calibrate", misjudged, *PHASES, "--out", path, "--quiet")
    return path


def test_scale_is_found_from_a_known_phase(calibration: Path, simulated_scan: tuple[PatternScan, PhaseMap]) -> None:
    values = tomllib.loads(calibration.read_text(encoding="utf-8"))
    step, sigma = values["read"]["step_inv_a"], values["read"]["step_relative_sigma"]
    assert step == pytest.approx(simulated_scan[0].grid.step_inv_a[0], rel=3.0 * sigma)
    assert 0.0 < sigma < 0.01
    assert values["read"]["calibrated_shape"] == [96, 96]
    assert values["found"]["ellipticity"]["value"] < 0.01
    assert values["found"]["centre_px"]["value"] == pytest.approx([47.5, 47.5], abs=0.3)
    assert "spots of nmc811-o3" in values["found"]["step_inv_a"]["source"]


def test_map_takes_the_calibration_into_its_recipe(
    done: Friedel, misjudged: Path, calibration: Path, tmp_path: Path
) -> None:
    done("map", misjudged, *PHASES, "--calibration", calibration, "--out", tmp_path / "run", "--quiet")
    read = tomllib.loads(calibration.read_text(encoding="utf-8"))["read"]
    recipe = tomllib.loads((tmp_path / "run" / "recipe.toml").read_text(encoding="utf-8"))
    assert {key: recipe["read"][key] for key in read} == read
    summary = json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))
    stored = summary["calibration"]["step_inv_a"]
    assert stored["value"] == pytest.approx([read["step_inv_a"]] * 2)
    assert stored["source"] == "fitted"
    assert stored["relative_sigma"] == pytest.approx(read["step_relative_sigma"])
    assert summary["calibration"]["scale"]["value"] == pytest.approx(1.0, abs=0.01)


def test_stated_scale_wins_over_the_calibration(
    done: Friedel, misjudged: Path, calibration: Path, tmp_path: Path
) -> None:
    options = ("--calibration", calibration, "--step-inv-a", "0.022", "--roi", "0:2,0:3", "--quiet")
    done("map", misjudged, *PHASES, *options, "--out", tmp_path / "run")
    read = tomllib.loads((tmp_path / "run" / "recipe.toml").read_text(encoding="utf-8"))["read"]
    assert (read["step_inv_a"], read["step_source"], read["step_relative_sigma"]) == (0.022, "user", 0.005)


def test_calibration_of_another_camera_is_refused(
    refused: Callable[..., str], calibration: Path, misjudged: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "small.npy", np.ones((4, 64, 64), dtype=np.uint16))
    options = ("--scan-shape", "2,2", "--calibration", calibration, "--out", tmp_path / "run", "--quiet")
    assert "patterns of (96, 96) px, these have (64, 64)" in refused("map", tmp_path / "small.npy", *PHASES, *options)
    other = tmp_path / "other.toml"
    other.write_text('input = "a.mib"\n', encoding="utf-8")
    said = refused("map", misjudged, *PHASES, "--calibration", other, "--out", tmp_path / "run", "--quiet")
    assert "this is no calibration" in said


def test_without_a_known_phase_only_the_beam_is_found(done: Friedel, misjudged: Path) -> None:
    entries = json.loads(done("calibrate", misjudged, "--json").stdout)
    assert set(entries) == {"centre_px", "descan_px_per_ry", "descan_px_per_rx", "wandering_px"}
    assert entries["descan_px_per_ry"]["value"] == pytest.approx([0.0, 0.0], abs=0.05)


def test_phase_that_is_not_there_calibrates_nothing(refused: Callable[..., str], misjudged: Path) -> None:
    assert "fit no zone axis of li2co3" in refused("calibrate", misjudged, "--phases", "li2co3", "--quiet")


def test_gold_rings_of_a_real_camera_correct_its_scale_bar(done: Friedel, shared_data: Path) -> None:
    # The burned-in bar, "2 1/nm" = 106 px; such bars were 3.5 to 4.7 % off. Strong rings at 251 and 355 px.
    path = shared_data / "real" / "saed_bmp" / "Au_Nano_1.bmp"
    entries = json.loads(done("calibrate", path, "--standard", "au", "--step-inv-a", "0.0018868", "--json").stdout)
    assert entries["step_inv_a"]["value"] == pytest.approx(np.sqrt(8) / 4.0782 / 355, rel=0.004)
    assert 1.03 < entries["scale_over_stored"]["value"] < 1.05
    assert entries["centre_px"]["value"] == pytest.approx([520.0, 459.0], abs=2.0)


def test_ellipse_of_a_real_scan_is_found_from_austenite(done: Friedel, shared_data: Path) -> None:
    path = shared_data / "real" / "sped_fe_gphase" / "subset_data.hspy"
    entries = json.loads(done("calibrate", path, "--phases", "austenite", "--json").stdout)
    assert entries["ellipticity"]["value"] == pytest.approx(0.055, abs=0.01)
    assert entries["scale_over_stored"]["value"] == pytest.approx(1.0, abs=0.02)
