"""``friedel simulate patterns`` and ``scan`` write files that friedel reads, and a truth that judges maps."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr
from typer.testing import Result

from friedel.core.images import PatternScan
from friedel.io import read

SMALL = ("--shape", "48,56", "--step-inv-a", "0.04")


@pytest.mark.parametrize("suffix", [".zarr", ".hspy"])
def test_scan_and_its_truth_go_together(done: Callable[..., Result], tmp_path: Path, suffix: str) -> None:
    out, truth = tmp_path / f"scan{suffix}", tmp_path / "truth.zarr"
    done("simulate", "scan", "--out", out, "--truth", truth, "--scan-shape", "7,9", "--phases", "lif,au", "--grains", 4,
         "--zones", "0,0,1;0,1,1", "--dose", 800, *SMALL)  # fmt: skip
    scan = read(out)
    assert isinstance(scan, PatternScan)
    assert scan.data.shape == (7, 9, 48, 56)
    counts = np.asarray(scan.data[:], dtype=float).sum(axis=(2, 3))
    assert 600 < counts.mean() < 820
    root = zarr.open_group(truth, mode="r")
    assert root.attrs["phases"] == ["lif", "au"]
    assert root["presence"].shape == (7, 9, 2)
    present = np.asarray(root["presence"][:]) > 0
    assert present.any()
    zones = {tuple(z) for z in np.asarray(root["zone_axis"][:])[present].tolist()}
    assert zones <= {(0, 0, 1), (0, 1, 1)}
    assert (np.asarray(root["thickness_a"][:])[present] > 15).all()


def test_patterns_come_with_a_table_of_their_spots(done: Callable[..., Result], tmp_path: Path) -> None:
    out, table = tmp_path / "p.zarr", tmp_path / "p.csv"
    done("simulate", "patterns", "au", "--zone", "0,0,1", "--zone", "1,1,1", "--count", 2, "--out", out, "--truth",
         table, *SMALL)  # fmt: skip
    scan = read(out)
    assert isinstance(scan, PatternScan)
    assert scan.data.shape == (2, 2, 48, 56)
    with table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {(row["row"], row["zone"]) for row in rows} == {("0", "0 0 1"), ("1", "1 1 1")}
    for row in rows:
        h, k, l_ = (int(i) for i in row["hkl"].split())
        radius = np.hypot(float(row["ky_inv_a"]), float(row["kx_inv_a"]))
        assert radius == pytest.approx(np.sqrt(h * h + k * k + l_ * l_) / 4.07825, rel=2e-3)


def test_what_exists_is_never_replaced(
    done: Callable[..., Result], refused: Callable[..., str], tmp_path: Path
) -> None:
    out, truth = tmp_path / "scan.zarr", tmp_path / "precious"
    truth.mkdir()
    (truth / "data").write_text("mine", encoding="utf-8")
    assert "exists already" in refused("simulate", "scan", "--out", out, "--truth", truth, *SMALL)
    assert (truth / "data").read_text(encoding="utf-8") == "mine"
    assert not out.exists()


def test_zone_that_is_none_is_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    assert "0,0,1" in refused("simulate", "patterns", "au", "--zone", "up", "--out", tmp_path / "p.zarr")
