"""``friedel evaluate`` as a user calls it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from friedel.core.images import Micrograph, PatternScan
from friedel.core.phase_map import PhaseMap
from friedel.pipeline.runs.files import load_phase_map, write_phase_map

Friedel = Callable[..., Result]


@pytest.fixture(scope="module")
def truth_file(simulated_scan: tuple[PatternScan, PhaseMap], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("truth") / "truth.zarr"
    write_phase_map(path, simulated_scan[1], min_probability=0.5)
    return path


def test_scan_against_its_truth(done: Friedel, scan_run: Path, truth_file: Path, tmp_path: Path) -> None:
    said = done("evaluate", scan_run, "--truth", truth_file, "--out", tmp_path / "out")
    record = json.loads((tmp_path / "out" / "evaluation.json").read_text(encoding="utf-8"))
    assert json.loads(done("evaluate", scan_run, "--truth", truth_file, "--json").stdout) == record
    found, truth = load_phase_map(scan_run), load_phase_map(truth_file)
    assert record["n_positions"] == found.valid.sum()
    assert record["accuracy"] == pytest.approx(np.mean((found.labels() == truth.labels())[found.valid]))
    assert record["phases"]["nmc811-o3"]["n_there"] == (truth.labels() & 1).astype(bool)[found.valid].sum()
    assert sum(map(sum, record["confusion"])) == record["n_positions"]
    assert "accuracy" in said.stdout
    assert "nmc811-o1" in said.stdout
    page = (tmp_path / "out" / "evaluation.html").read_text(encoding="utf-8")
    assert page.count("data:image/png") == 4
    assert f"{100 * record['accuracy']:.1f} %" in page


def test_run_agrees_with_itself(done: Friedel, scan_run: Path) -> None:
    record = json.loads(done("evaluate", scan_run, "--truth", scan_run, "--json").stdout)
    assert record["accuracy"] == 1.0
    assert all(score["f1"] in (1.0, None) for score in record["phases"].values())


def test_threshold_may_be_another_than_the_run_had(done: Friedel, scan_run: Path, truth_file: Path) -> None:
    call = ("evaluate", scan_run, "--truth", truth_file, "--json", "--min-probability")
    strict, lenient = (json.loads(done(*call, p).stdout) for p in (0.99, 0.01))
    assert strict["phases"]["nmc811-o1"]["n_named"] < lenient["phases"]["nmc811-o1"]["n_named"]


def test_micrograph_on_a_coarser_grid_is_compared_by_area(
    done: Friedel,
    micrograph_run: Path,
    simulated_micrograph: tuple[Micrograph, PhaseMap],
    tmp_path: Path,
) -> None:
    truth = simulated_micrograph[1]
    write_phase_map(tmp_path / "truth.zarr", truth, min_probability=0.5)
    record = json.loads(done("evaluate", micrograph_run, "--truth", tmp_path / "truth.zarr", "--json").stdout)
    assert set(record["phases"]) == {"li", "lif", "li2o", "li2co3"}
    found = load_phase_map(micrograph_run)
    named, there = found.presence[..., 0] >= 0.5, truth.presence[..., 0] >= 0.5
    assert record["phases"]["li"]["iou"] == pytest.approx((named & there).sum() / (named | there).sum())


def test_part_of_a_scan_is_compared_with_its_part_of_the_truth(
    done: Friedel, scan_file: Path, truth_file: Path, tmp_path: Path
) -> None:
    done("map", scan_file, "--phases", "nmc811-o3,nmc811-o1", "--roi", "0:4,2:9", "--out", tmp_path / "run", "--quiet")
    record = json.loads(done("evaluate", tmp_path / "run", "--truth", truth_file, "--json").stdout)
    truth = load_phase_map(truth_file)
    assert record["n_positions"] == 28
    assert record["phases"]["nmc811-o1"]["n_there"] == int((truth.presence[0:4, 2:9, 1] >= 0.5).sum())


def test_truth_of_something_else_is_refused(
    refused: Callable[..., str], scan_run: Path, truth_file: Path, tmp_path: Path
) -> None:
    assert "no does not exist. Give the folder that a finished run wrote, or the truth" in refused(
        "evaluate", scan_run, "--truth", tmp_path / "no"
    )
    truth = load_phase_map(truth_file)
    small = replace(truth, presence=truth.presence[:3], valid=truth.valid[:3])
    write_phase_map(tmp_path / "small.zarr", small, min_probability=0.5)
    assert "8 x 10 positions and the truth 3 x 10" in refused("evaluate", scan_run, "--truth", tmp_path / "small.zarr")
    write_phase_map(tmp_path / "named.zarr", replace(truth, phases=("a", "b")), min_probability=0.5)
    assert "no name is in both" in refused("evaluate", scan_run, "--truth", tmp_path / "named.zarr")
