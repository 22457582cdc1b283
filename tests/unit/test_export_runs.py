"""Runs of every kind are exported whole or not at all."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from friedel.cli.main import app
from friedel.core.errors import CalibrationError, DataError, RunFolderError, UnsupportedFileError
from friedel.core.grids import RealGrid
from friedel.core.phase_map import PhaseMap
from friedel.core.spots import Spots
from friedel.crystal import load_phase
from friedel.io.maps.hspy import from_hspy
from friedel.io.maps.netcdf import from_netcdf
from friedel.io.maps.tiff import from_tiff
from friedel.pipeline import export as export_module
from friedel.pipeline.export import ENDINGS, export_run
from friedel.pipeline.recipe import dump_recipe, parse_recipe
from friedel.pipeline.runs import pdf as run_pdf
from friedel.pipeline.runs.files import (
    Summary,
    write_components,
    write_evolution,
    write_phase_map,
    write_provenance,
    write_recipe,
    write_spots,
    write_summary,
)
from friedel.pipeline.runs.maps import maps_of_run, phase_map_of
from friedel.pipeline.runs.provenance import Provenance
from friedel.report.orientation_map import euler_angles_rad, from_ang, zone_frames

PHASES = ("nmc811-o3", "lif", "li2co3")
SHAPE = (5, 7)


def a_map(seed: int = 0, grid: RealGrid | None = None) -> PhaseMap:
    rng = np.random.default_rng(seed)
    presence = rng.random((*SHAPE, 3), dtype=np.float32)
    valid = np.ones(SHAPE, dtype=bool)
    valid[0, 1], presence[0, 1] = False, 0.99  # nothing may be made of what lies there
    return PhaseMap(PHASES, presence, valid, grid)


def make_run(
    path: Path,
    kind: str = "scan",
    grid: RealGrid | None = RealGrid((20.0, 30.0), "user", 0.01),  # noqa: B008 - frozen
    extra: dict[str, Any] | None = None,
    attributes: dict[str, Any] | None = None,
) -> Path:
    path.mkdir()
    maps = [a_map(i, grid) for i in range(3)] if kind == "series" else a_map(0, grid)
    write_phase_map(path / "phase_map.zarr", maps, min_probability=0.6, extra=extra, attributes=attributes)
    rng = np.random.default_rng(1)
    offsets = np.array([0, 3, 3, 4, 9, 9, 11])
    write_spots(path / "spots.zarr", Spots(rng.random((11, 2)), rng.random((11, 2)), rng.random(11), rng.random(11),
                                           offsets, (2, 3)))  # fmt: skip
    fractions = dict.fromkeys((*PHASES, "none", "mixed"), 0.1)
    calibration = {"step_inv_a": {"value": [0.01, 0.02], "source": "user", "relative_sigma": 0.005}}
    write_summary(path / "summary.json", Summary(kind, PHASES, fractions, calibration, 34, 11, ("Mind the gap.",)))
    hashes = {"/data/sample one.mib": "ab" * 32}
    write_provenance(
        path / "provenance.json",
        Provenance(
            "cd" * 32,
            hashes,
            {"denoiser 1": "ef" * 32},
            "cpu",
            {"friedel": "0.1.0"},
            0,
            (),
            "host",
            "2026-01-02T03:04:05+00:00",
        ),
    )
    write_recipe(
        path / "recipe.toml", dump_recipe(parse_recipe({"input": "/data/sample one.mib", "phases": list(PHASES)}))
    )
    return path


def orientations(seed: int = 3) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    zone = np.tile(np.array([[0, 0, 1], [0, 1, 1], [0, 1, 0]], dtype=np.int16), (*SHAPE, 1, 1))
    rotation = rng.uniform(0, 180, (*SHAPE, 3)).astype(np.float32)
    rotation[2, 3] = np.nan
    return {"zone_axis": zone, "rotation_deg": rotation, "annular": rng.random(SHAPE).astype(np.float32)}


@pytest.fixture(scope="module")
def scan_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    roi = {"roi": [[10, 15], [4, 11]]}
    return make_run(tmp_path_factory.mktemp("scan") / "run", extra=orientations(), attributes=roi)


@pytest.fixture(scope="module")
def series_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = make_run(tmp_path_factory.mktemp("series") / "run", "series", attributes={"step_px": 4})
    rows = [
        {"frame": i, "time_s": 2.46 * i, "dose_e_per_a2": None, "phase": phase, "intensity": 10.0 * i + p,
         "area_nm2": 1.0, "fraction": 0.1, "d_measured_a": 2.3}
        for i in range(3) for p, phase in enumerate(PHASES)
    ]  # fmt: skip
    write_evolution(path / "evolution.csv", rows)
    return path


@pytest.mark.parametrize(("to", "read"), [("hspy", from_hspy), ("netcdf", from_netcdf)])
def test_exported_maps_give_the_phase_map_of_the_run(scan_run: Path, tmp_path: Path, to: str, read: Any) -> None:
    back = phase_map_of(read(export_run(scan_run, to, tmp_path / "out")))
    wanted = a_map(0, RealGrid((20.0, 30.0), "user", 0.01))
    assert (back.phases, back.grid) == (wanted.phases, wanted.grid)
    np.testing.assert_array_equal(back.presence, wanted.presence)
    np.testing.assert_array_equal(back.valid, wanted.valid)


def test_axes_count_from_the_corner_of_the_whole_scan(scan_run: Path) -> None:
    y, x = maps_of_run(scan_run).image("label").axes
    assert (y.offset, y.step, y.unit) == (pytest.approx(20.0), 2.0, "nm")
    assert (x.offset, x.step, x.unit) == (pytest.approx(12.0), 3.0, "nm")


def test_corner_of_a_coarse_map_counts_pixels_of_the_image(tmp_path: Path) -> None:
    attributes = {"roi": [[8, 28], [16, 44]], "step_px": 4}
    y, x = maps_of_run(make_run(tmp_path / "run", "micrograph", attributes=attributes)).image("label").axes
    assert (y.offset, x.offset) == pytest.approx((8 / 4 * 2.0, 16 / 4 * 3.0))


def test_frames_of_a_series_come_back_one_by_one(series_run: Path, tmp_path: Path) -> None:
    maps = from_netcdf(export_run(series_run, "netcdf", tmp_path / "s.nc"))
    assert [axis.name for axis in maps.image("presence").axes] == ["t", "phase", "y", "x"]
    np.testing.assert_array_equal(phase_map_of(maps, 2).presence, a_map(2).presence)
    with pytest.raises(DataError, match="give a frame"):
        phase_map_of(maps)


def test_pictures_have_the_scale_of_the_map(scan_run: Path, tmp_path: Path) -> None:
    folder = export_run(scan_run, "tiff", tmp_path / "pictures")
    assert {"presence.tif", "label.tif", "valid.tif", "annular.tif"} <= {p.name for p in folder.iterdir()}
    presence = from_tiff(folder / "presence.tif")
    assert [axis.step for axis in presence.axes] == [None, 2.0, 3.0]
    np.testing.assert_array_equal(presence.data, np.moveaxis(a_map().presence, -1, 0))


def test_positions_are_rows_of_numbers_and_words(scan_run: Path, tmp_path: Path) -> None:
    folder = export_run(scan_run, "csv", tmp_path / "tables")
    with (folder / "positions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 35
    row, wanted = rows[2 * 7 + 3], a_map()
    assert (row["y"], row["x"], float(row["y_nm"]), float(row["x_nm"])) == ("2", "3", 24.0, 21.0)
    for p, phase in enumerate(PHASES):
        assert np.float32(row[f"presence {phase}"]) == wanted.presence[2, 3, p]
        assert row[f"rotation_deg {phase}"] == ""
    assert row["zone_axis lif"] == "0 1 1"
    present = [name for name, value in zip(PHASES, wanted.presence[2, 3], strict=True) if value >= 0.6]
    assert row["phases"] == (" + ".join(present) or "none of them")
    assert rows[1]["phases"] == ""
    with (folder / "spots.csv").open(encoding="utf-8", newline="") as file:
        spots = list(csv.DictReader(file))
    assert [(s["ry"], s["rx"]) for s in spots[2:5]] == [("0", "0"), ("0", "2"), ("1", "0")]
    assert float(spots[0]["d_a"]) == pytest.approx(
        1 / np.hypot(float(spots[0]["ky_inv_a"]), float(spots[0]["kx_inv_a"]))
    )


def test_rows_of_a_series_name_their_frame(series_run: Path, tmp_path: Path) -> None:
    folder = export_run(series_run, "csv", tmp_path / "tables")
    with (folder / "positions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [rows[i]["t"] for i in (0, 35, 70)] == ["0", "1", "2"]
    assert np.float32(rows[35 + 9]["presence lif"]) == a_map(1).presence[1, 2, 1]
    assert (folder / "evolution.csv").read_bytes() == (series_run / "evolution.csv").read_bytes()


def test_name_of_a_phase_is_no_formula(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    evil = PhaseMap(("=1+1", "+b", "@c"), a_map().presence, a_map().valid)
    write_phase_map(run / "phase_map.zarr", evil, min_probability=0.6)
    names = dict.fromkeys((*evil.phases, "none", "mixed"), 0.0)
    write_summary(run / "summary.json", Summary("scan", evil.phases, names, {}, 34, 11))
    folder = export_run(run, "csv")
    with (folder / "positions.csv").open(encoding="utf-8", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert any("=1+1" in cell for cell in cells)
    assert not [cell for cell in cells if cell.startswith(("=", "+", "@", "\t", "\r"))]


def test_orientation_is_that_of_the_surest_phase_that_is_present(scan_run: Path, tmp_path: Path) -> None:
    found = from_ang(export_run(scan_run, "ang", tmp_path / "m.ang"))
    assert found.step_um == (0.002, 0.003)
    wanted, turns, zones = a_map(), orientations()["rotation_deg"], orientations()["zone_axis"]
    crystals = [load_phase(name) for name in PHASES]
    for y, x in np.ndindex(SHAPE):
        surest = int(wanted.presence[y, x].argmax())
        if not wanted.valid[y, x] or wanted.presence[y, x, surest] < 0.6 or np.isnan(turns[y, x, surest]):
            assert found.phase[y, x] == 0
            continue
        assert found.phase[y, x] == surest + 1
        frame = zone_frames(crystals[surest], zones[y, x, surest][None], turns[y, x, surest][None])
        np.testing.assert_allclose(found.euler_rad[y, x], euler_angles_rad(frame)[0], atol=1e-6)
        assert found.confidence[y, x] == pytest.approx(float(wanted.presence[y, x, surest]), abs=1e-4)


def test_fitted_frame_is_taken_before_the_nearest_zone_axis(tmp_path: Path) -> None:
    frames = np.linalg.qr(np.random.default_rng(6).normal(size=(*SHAPE, 3, 3, 3)))[0]
    frames *= np.sign(np.linalg.det(frames[..., [1, 0, 2], :]))[..., None, None]
    run = make_run(tmp_path / "run", extra={**orientations(), "frame": frames})
    found = from_ang(export_run(run, "ang"))
    y, x = np.argwhere(found.phase > 0)[4]
    (euler,) = euler_angles_rad(frames[y, x, found.phase[y, x] - 1][None])
    np.testing.assert_allclose(found.euler_rad[y, x], euler, atol=1e-6)


@pytest.mark.parametrize("kind", ["scan", "series"])
def test_pdf_has_pages_and_embedded_truetype_fonts_and_is_reproducible(
    scan_run: Path, series_run: Path, tmp_path: Path, kind: str
) -> None:
    run = scan_run if kind == "scan" else series_run
    pdf = export_run(run, "pdf", tmp_path / "a.pdf").read_bytes()
    assert pdf.startswith(b"%PDF-")
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    assert b"/ToUnicode" in pdf
    assert b"sample one.mib" in pdf
    n_drawings = 5 if kind == "scan" else 3 + 3 + 1
    assert len(re.findall(rb"/Type /Page\b", pdf)) >= -(-n_drawings // 2) + 2
    assert pdf == export_run(run, "pdf", tmp_path / "b.pdf").read_bytes()


def test_formats_of_the_command_are_those_of_the_function(scan_run: Path, tmp_path: Path) -> None:
    for to in ENDINGS:
        said = CliRunner().invoke(app, ["export", str(scan_run), "--to", to, "--out", str(tmp_path / to), "--json"])
        assert said.exit_code == 0, said.output
        assert (tmp_path / to).exists()
    assert CliRunner().invoke(app, ["export", str(scan_run), "--to", "xls"]).exit_code == 2


def test_without_out_the_file_stands_beside_the_run(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    assert export_run(run, "netcdf") == tmp_path / "run.nc"
    assert {p.name for p in tmp_path.iterdir()} == {"run", "run.nc"}


def refusal(run: Path, to: str, out: Path | None, kind: type[Exception]) -> str:
    with pytest.raises(kind) as caught:
        export_run(run, to, out)
    return str(caught.value)


def test_what_cannot_be_exported_is_said(scan_run: Path, series_run: Path, tmp_path: Path) -> None:
    existing = tmp_path / "old.nc"
    existing.write_text("mine")
    assert "exists already" in refusal(scan_run, "netcdf", existing, RunFolderError)
    assert existing.read_text() == "mine"
    assert "does not exist" in refusal(scan_run, "netcdf", tmp_path / "no" / "m.nc", RunFolderError)
    assert "hspy, tiff" in refusal(scan_run, "xls", None, UnsupportedFileError)
    assert "--out" in refusal(tmp_path / "nothing", "pdf", None, RunFolderError)
    (tmp_path / "folder").mkdir()
    assert "no run folder" in refusal(tmp_path / "folder", "pdf", None, RunFolderError)
    (tmp_path / "late.partial").mkdir()
    assert "--resume" in refusal(tmp_path / "late", "pdf", None, RunFolderError)
    assert "no orientations" in refusal(series_run, "ang", tmp_path / "m.ang", DataError)
    unscaled = make_run(tmp_path / "unscaled", grid=None, extra=orientations())
    assert "--scan-step-nm" in refusal(unscaled, "ang", None, CalibrationError)
    assert {p.name for p in tmp_path.iterdir()} == {"old.nc", "folder", "late.partial", "unscaled"}


def test_failed_export_leaves_nothing(scan_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export_module, "to_tiff", fail)
    assert "disk is full" in refusal(scan_run, "tiff", tmp_path / "out", RunFolderError)
    assert not list(tmp_path.iterdir())


def test_tables_of_components_are_copied_and_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path / "run", "micrograph")
    numbers = ("d_measured_a", "d_sigma_a", "d_reference_a", "deviation_percent", "probability", "feature_size_px")
    row = {"frame": 0, "n_spots": 1, "intensity": 3.5, **dict.fromkeys(numbers, 1.25)}
    names = ("lif|li2co3", "1e3")
    write_components(run / "components.csv", [{**row, "phase": name, "hkl": "0 0 2"} for name in names])
    (run / "onsets.csv").write_text("phase,hkl,event\nlif,,appears\n")
    folder = export_run(run, "csv")
    for table in ("components.csv", "onsets.csv"):
        assert (folder / table).read_bytes() == (run / table).read_bytes()
    texts: list[str] = []
    monkeypatch.setattr(run_pdf, "write_pdf", lambda path, title, subtitle, sections: texts.append(str(sections)))
    export_run(run, "pdf")
    assert "('lif|li2co3', '0 0 2', 1.25," in texts[0]
    assert "('1e3', '0 0 2', 1.25," in texts[0]
    assert f"('sha256 of denoiser 1', '{'ef' * 32}')" in texts[0]
