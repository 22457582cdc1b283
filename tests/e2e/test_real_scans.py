"""Diffraction patterns of real cameras, mapped as a user would."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from typer.testing import Result

Friedel = Callable[..., Result]


def outcome(run: Path) -> tuple[dict[str, Any], Any]:
    """Summary and phase map of a run."""
    return json.loads((run / "summary.json").read_text(encoding="utf-8")), zarr.open_group(run / "phase_map.zarr")


@pytest.fixture(scope="module")
def steel(
    done: Friedel, shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any], Any]:
    """Four precession patterns of austenitic steel with G-phase precipitates, mapped with both structures."""
    folder, out = shared_data / "real" / "sped_fe_gphase", tmp_path_factory.mktemp("steel") / "run"
    phases = f"{folder / 'austeniteLP.cif'},{folder / 'g-phaseLP.cif'}"
    done("map", folder / "subset_data.hspy", "--phases", phases, "--out", out, "--quiet")
    return out, *outcome(out)


def test_austenite_011_is_named_at_all_four_positions(steel: tuple[Path, dict[str, Any], Any]) -> None:
    _, summary, pmap = steel
    assert summary["fractions"]["austeniteLP"] == 1.0
    assert (np.sort(np.abs(pmap["zone_axis"][:, :, 0]), axis=-1) == [0, 1, 1]).all()
    turn = pmap["rotation_deg"][:, :, 0]
    assert np.ptp(turn) < 1.0  # one grain


def test_ellipticity_of_the_camera_is_fitted_and_reported(steel: tuple[Path, dict[str, Any], Any]) -> None:
    run, summary, _ = steel
    assert summary["calibration"]["anisotropy"] == {
        "value": pytest.approx(0.055, abs=0.01), "source": "fitted", "relative_sigma": None,
    }  # fmt: skip
    assert summary["calibration"]["scale"]["value"] == pytest.approx(1.0, abs=0.02)
    assert any("elliptic by 5" in warning for warning in summary["warnings"])
    assert "elliptic by 5" in (run / "report.html").read_text(encoding="utf-8")


def test_nothing_is_named_without_evidence(steel: tuple[Path, dict[str, Any], Any]) -> None:
    _, _, pmap = steel
    named = pmap["presence"][...] >= 0.5
    evidence = pmap["log10_false_alarms"][...]
    assert (evidence[named] <= -2.0).all()  # at most one false alarm in a hundred patterns
    assert evidence[..., 0].max() < -10.0


def test_silver_is_named_behind_a_beam_stop_and_its_scale_bar_corrected(
    done: Friedel, shared_data: Path, tmp_path: Path
) -> None:
    # Scale from the burned-in bar, "5 1/nm" = 156 px; such bars were 3.5 to 4.7 % off.
    options = ("--kind", "scan", "--step-inv-a", "0.003205", "--phases", "ag,si,cu", "--quiet")
    done("map", shared_data / "real" / "saed_bmp" / "Ag_Nano2.bmp", *options, "--out", tmp_path / "run")
    summary, pmap = outcome(tmp_path / "run")
    assert pmap["label"][...].tolist() == [[1]]
    assert pmap["presence"][0, 0, 0] > 0.95
    assert (pmap["presence"][0, 0, 1:] < 0.1).all()
    assert 1.01 <= summary["calibration"]["scale"]["value"] <= 1.05
    assert summary["calibration"]["scale"]["source"] == "fitted"
    said = " ".join(summary["warnings"])
    for words in ("beam is hidden", "scale is +", "check --step-inv-a", "explained by none"):
        assert words in said


@pytest.mark.parametrize(
    ("name", "step_inv_a"),
    [("nbed_ba50/dd020.dm3", "0.01"), ("na_phi_nbed/na007b_avg_NMF_line.npy", "0.005"),
     ("na_phi_nbed/na007b_avg_NMF_rest.npy", "0.005"), ("ued_spots/hotspots.tif", "0.005")],
)  # fmt: skip
def test_unknown_specimen_is_none_of_the_candidates(
    done: Friedel, shared_data: Path, tmp_path: Path, name: str, step_inv_a: str
) -> None:
    options = ("--kind", "scan", "--step-inv-a", step_inv_a, "--phases", "si,au,ag", "--quiet")
    done("map", shared_data / "real" / name, *options, "--out", tmp_path / "run")
    summary, pmap = outcome(tmp_path / "run")
    assert summary["n_spots"] > 0
    assert (pmap["presence"][...] < 0.6).all()
    assert summary["fractions"]["none"] == 1.0
    assert any("explained by none" in warning for warning in summary["warnings"])


def test_rings_of_a_gold_powder_are_not_matched_and_the_run_says_so(
    done: Friedel, shared_data: Path, tmp_path: Path
) -> None:
    # Scale from the burned-in bar, "2 1/nm" = 106 px. Patterns are read as single crystals and a few grains.
    options = ("--kind", "scan", "--step-inv-a", "0.001887", "--phases", "au,si", "--quiet")
    done("map", shared_data / "real" / "saed_bmp" / "Au_Nano_1.bmp", *options, "--out", tmp_path / "run")
    summary, pmap = outcome(tmp_path / "run")
    assert summary["n_spots"] > 50
    assert (pmap["presence"][...] < 0.5).all()
    assert any("explained by none" in warning for warning in summary["warnings"])


def test_truncated_camera_file_is_refused(refused: Callable[..., str], shared_data: Path, tmp_path: Path) -> None:
    whole = (shared_data / "real" / "nbed_ba50" / "dd020.dm3").read_bytes()
    (tmp_path / "half.dm3").write_bytes(whole[: len(whole) // 2])
    options = ("--step-inv-a", "0.01", "--phases", "si", "--out", tmp_path / "run")
    assert str(tmp_path / "half.dm3") in refused("map", tmp_path / "half.dm3", *options)


def test_centre_of_bismuth_rings_is_not_pulled_by_the_beam_stop(done: Friedel, shared_data: Path) -> None:
    path = shared_data / "formats" / "dm" / "bismuth.dm3"
    entries = json.loads(done("calibrate", path, "--step-inv-a", "0.0078", "--json").stdout)
    # The strong ring crosses column 99 in rows 103 and 180, and row 141 in columns 60 and 138.
    assert entries["centre_px"]["value"] == pytest.approx([141.5, 99.0], abs=1.5)
