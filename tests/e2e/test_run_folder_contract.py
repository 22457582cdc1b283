"""What a run folder holds, as CONTRACT and other programs rely on it."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr

COMMON = {"recipe.toml", "provenance.json", "summary.json", "phase_map.zarr", "spots.zarr", "report.html"}
COLUMNS = (
    "frame,phase,hkl,d_measured_a,d_sigma_a,d_reference_a,deviation_percent,probability,n_spots,feature_size_px,"
    "intensity"
)


@pytest.fixture(params=["scan_run", "micrograph_run"])
def run(request: pytest.FixtureRequest) -> Path:
    """Either kind of run."""
    return Path(request.getfixturevalue(request.param))


def test_scan_run_holds_the_promised_files_and_nothing_else(scan_run: Path) -> None:
    assert {entry.name for entry in scan_run.iterdir()} == COMMON
    assert not scan_run.with_name("scan.partial").exists()


def test_micrograph_run_holds_its_components_as_well(micrograph_run: Path) -> None:
    assert {entry.name for entry in micrograph_run.iterdir()} == COMMON | {"components.csv"}


def test_summary_has_its_keys(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    assert set(summary) == {
        "kind", "phases", "fractions", "calibration", "n_positions", "n_spots", "warnings", "timing_s",
    }  # fmt: skip
    assert summary["kind"] in ("scan", "micrograph")
    assert set(summary["fractions"]) == {*summary["phases"], "none", "mixed"}
    assert all(0 <= share <= 1 for share in summary["fractions"].values())
    assert all(seconds >= 0 for seconds in summary["timing_s"].values())


def test_every_calibration_tells_its_source_and_error(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    for entry in summary["calibration"].values():
        assert set(entry) == {"value", "source", "relative_sigma"}
    scale = "step_inv_a" if summary["kind"] == "scan" else "pixel_size_a"
    assert summary["calibration"][scale]["source"] == "metadata"
    assert summary["calibration"]["scale"]["source"] == "fitted"
    assert summary["calibration"]["scale"]["value"] == pytest.approx(1.0, abs=0.02)


def test_map_has_promised_arrays(run: Path) -> None:
    root = zarr.open_group(run / "phase_map.zarr", mode="r")
    phases = json.loads((run / "summary.json").read_text(encoding="utf-8"))["phases"]
    shape = (8, 10) if "scan" in run.name else (320, 320)
    assert (root["presence"].dtype, root["presence"].shape) == (np.float32, (*shape, len(phases)))
    assert (root["label"].dtype, root["label"].shape) == (np.uint32, shape)
    assert (root["valid"].dtype, root["valid"].shape) == (np.bool_, shape)
    assert list(root.attrs["phases"]) == phases
    assert root.attrs["min_probability"] == 0.5
    step_a = [20.0, 20.0] if "scan" in run.name else [0.37, 0.37]
    assert root.attrs["scale"]["step_a"] == pytest.approx(step_a, rel=1e-5)
    if "scan" not in run.name:
        assert (root["amplitude"].dtype, root["amplitude"].shape) == (np.float32, (*shape, len(phases)))
        assert root.attrs["step_px"] == 1


def test_label_bits_are_presence_above_the_threshold(run: Path) -> None:
    root = zarr.open_group(run / "phase_map.zarr", mode="r")
    presence, label = root["presence"][...], root["label"][...]
    assert ((presence >= 0) & (presence <= 1)).all()
    for bit in range(presence.shape[-1]):
        np.testing.assert_array_equal((label >> bit) & 1, presence[..., bit] >= 0.5)
    assert not (label >> presence.shape[-1]).any()


def test_fractions_count_the_labels_of_valid_positions(run: Path) -> None:
    root = zarr.open_group(run / "phase_map.zarr", mode="r")
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    label = root["label"][...][root["valid"][...]]
    assert summary["n_positions"] == len(label)
    assert summary["fractions"]["none"] == pytest.approx(float(np.mean(label == 0)))
    assert summary["fractions"]["mixed"] == pytest.approx(float(np.mean(np.bitwise_count(label) > 1)))
    for bit, name in enumerate(summary["phases"]):
        assert summary["fractions"][name] == pytest.approx(float(np.mean((label >> bit) & 1)))


def test_spot_table_is_ragged_over_positions(run: Path) -> None:
    root = zarr.open_group(run / "spots.zarr", mode="r")
    offsets, n = root["offsets"][...], json.loads((run / "summary.json").read_text(encoding="utf-8"))["n_spots"]
    ry, rx = root.attrs["scan_shape"]
    assert len(offsets) == ry * rx + 1
    assert (offsets[0], offsets[-1]) == (0, n)
    assert (np.diff(offsets) >= 0).all()
    assert root["k_inv_a"].shape == root["sigma_inv_a"].shape == (n, 2)
    assert root["intensity"].shape == root["snr"].shape == (n,)
    assert (root["sigma_inv_a"][...] > 0).all()


def test_components_have_the_promised_columns_and_honest_names(micrograph_run: Path) -> None:
    text = (micrograph_run / "components.csv").read_text(encoding="utf-8")
    assert text.splitlines()[0] == COLUMNS
    rows = list(csv.DictReader(text.splitlines()))
    assert rows
    for row in rows:
        names = row["phase"].split("|")
        assert set(names) <= {"li", "lif", "li2o", "li2co3"} or names == ["unknown"]
        assert row["frame"] == "0"
        assert 0 < float(row["probability"]) <= 1 + 1e-9
        assert float(row["d_sigma_a"]) > 0
        assert int(row["n_spots"]) >= 1


def test_recipe_repeats_the_run(run: Path, done: Callable[..., object]) -> None:
    recipe = tomllib.loads((run / "recipe.toml").read_text(encoding="utf-8"))
    assert Path(recipe["input"]).is_absolute()
    sections = {"read", "region", "scan", "micrograph", "series"}
    assert {"format", "input", "phases", "min_probability", "seed"} | sections == set(recipe)
    assert recipe["scan"]["hexagon"]["min_vertices"] == 3  # defaults are spelt out
    done("recipe", "check", run / "recipe.toml")


def test_provenance_names_inputs_versions_and_seed(micrograph_run: Path, micrograph_file: Path) -> None:
    facts = json.loads((micrograph_run / "provenance.json").read_text(encoding="utf-8"))
    recipe = (micrograph_run / "recipe.toml").read_bytes()
    assert facts["recipe_sha256"] == hashlib.sha256(recipe).hexdigest()
    assert facts["inputs_sha256"] == {str(micrograph_file): hashlib.sha256(micrograph_file.read_bytes()).hexdigest()}
    assert {"python", "friedel", "numpy"} <= set(facts["versions"])
    assert facts["seed"] == 0
    assert facts["weights_sha256"] == {}
    assert re.match(r"\d{4}-\d\d-\d\dT", facts["time_utc"])


def test_report_needs_no_other_file(run: Path) -> None:
    page = (run / "report.html").read_text(encoding="utf-8")
    sources = re.findall(r"""(?:src|href)\s*=\s*["']([^"']*)["']""", page)
    assert sources
    assert all(source.startswith(("data:", "#")) for source in sources)
    assert "@import" not in page
    for name in json.loads((run / "summary.json").read_text(encoding="utf-8"))["phases"]:
        assert name in page


def test_large_micrograph_tells_the_step_of_its_map(done: Callable[..., object], tmp_path: Path) -> None:
    counts = np.random.default_rng(0).poisson(50.0, (1100, 64))
    np.save(tmp_path / "long.npy", counts)
    out = tmp_path / "run"
    done("map", tmp_path / "long.npy", "--phases", "lif", "--pixel-size-a", "0.4", "--out", out, "--quiet")
    root = zarr.open_group(out / "phase_map.zarr", mode="r")
    assert root.attrs["step_px"] == 2
    assert root["presence"].shape == (550, 32, 1)
    assert root.attrs["scale"]["step_a"] == [0.8, 0.8]
    assert not root["label"][...].any()
