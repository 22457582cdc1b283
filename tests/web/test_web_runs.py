"""Runs as the page makes and reads them: the answer, the evidence, the files, and how to repeat them."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asking import ask, error_of

import friedel as fr
from friedel.core import blocks
from friedel.core.errors import FriedelError
from friedel.pipeline.recipe import parse_recipe
from friedel.pipeline.runs.files import load_phase_map
from friedel.pipeline.runs.folder import RunFolder
from friedel.web.evidence import evidence_at
from friedel.web.partial import partial_map
from friedel.web.recipes import python_of
from friedel.web.results import describe_run, plane_of, zipped
from friedel.web.roots import Roots
from friedel.web.security import Access

SHAPE, SIDE, STEP = (5, 7), 80, 0.025
O3_RING_INV_A = 2 / 2.872


def beam_at(y: int, x: int) -> tuple[float, float]:
    """Pixel of the beam at a position: descan moves it by several pixels over the scan."""
    return 40.0 + 1.0 * (y - 2), 39.0 + 0.7 * (x - 3)


def spots_at(y: int, x: int) -> np.ndarray:
    """Pixels of the six spots of O3 at a position."""
    angle = np.deg2rad(17.0) + np.arange(6) * np.pi / 3
    return np.array(beam_at(y, x)) + O3_RING_INV_A / STEP * np.stack([np.sin(angle), np.cos(angle)], axis=1)


@pytest.fixture(scope="module")
def scan_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """O3 along [001] everywhere, with a beam that wanders."""
    rng = np.random.default_rng(3)
    py, px = np.indices((SIDE, SIDE))
    data = np.zeros((*SHAPE, SIDE, SIDE), np.uint16)
    for y, x in np.ndindex(*SHAPE):
        expected = 0.03 + 600 * np.exp(-0.5 * ((py - beam_at(y, x)[0]) ** 2 + (px - beam_at(y, x)[1]) ** 2) / 1.5**2)
        for ky, kx in spots_at(y, x):
            expected += 12 * np.exp(-0.5 * ((py - ky) ** 2 + (px - kx) ** 2) / 1.5**2)
        data[y, x] = rng.poisson(expected)
    path = tmp_path_factory.mktemp("scan") / "o3.zarr"
    grid = fr.ReciprocalGrid((STEP, STEP), (40.0, 39.0))
    fr.write_scan(path, fr.PatternScan(data, grid, fr.RealGrid((20.0, 20.0)), fr.Beam(300.0)))
    return path


def recipe_of(path: Path, **scan: Any) -> dict[str, Any]:
    return {"input": str(path), "phases": ["nmc811-o3", "nmc811-o1"], "scan": {"denoise": "none", **scan}}


@pytest.fixture(scope="module")
def hexagon_run(scan_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("hexagon") / "run"
    fr.run_recipe(parse_recipe(recipe_of(scan_path, template="hexagon")), out)
    return out


def far_off(found: list[list[float]], wanted: np.ndarray) -> float:
    """Largest distance, in px, of a wanted place from the nearest that was found."""
    return float(np.linalg.norm(np.array(found)[None, :, :2] - wanted[:, None], axis=2).min(axis=1).max())


@pytest.mark.parametrize(("y", "x"), [(0, 0), (4, 6), (2, 3), (0, 6)])
def test_spots_and_hexagons_are_ringed_where_they_are_though_the_beam_wanders(
    hexagon_run: Path, y: int, x: int
) -> None:
    found = evidence_at(hexagon_run, y, x, ["nmc811-o3", "nmc811-o1"])
    assert far_off(found["spots"], spots_at(y, x)) < 0.5
    (outline,) = found["outlines"]
    assert outline["label"] == "hexagon: nmc811-o3"
    assert far_off(outline["px"], spots_at(y, x)) < 0.7
    assert found["candidates"][0]["presence"] > 0.8
    assert found["candidates"][1]["presence"] < 0.1


@pytest.mark.parametrize("template", ["lattice", "counts"])
def test_reflections_are_marked_where_they_are(scan_path: Path, tmp_path: Path, template: str) -> None:
    fr.run_recipe(parse_recipe(recipe_of(scan_path, template=template, lookalikes="none")), tmp_path / "run")
    found = evidence_at(tmp_path / "run", 4, 0, ["nmc811-o3", "nmc811-o1"])
    o3 = [o for o in found["outlines"] if o["label"].startswith("nmc811-o3 [")]
    assert far_off([np.mean(o["px"], axis=0).tolist() for o in o3], spots_at(4, 0)) < 0.7
    assert found["candidates"][0]["zone"] in ([0, 0, 1], [0, 0, -1])


def test_spacings_and_strain_are_pictures_of_the_phase_that_is_there(hexagon_run: Path) -> None:
    assert {"d_spacing_a", "strain_xx"} <= set(describe_run(hexagon_run, Roots.of(hexagon_run))["pictures"])
    nan = np.nan
    strain = np.array([[[nan, 0.5], [0.25, nan], [nan, nan]]])
    assert np.array_equal(plane_of(strain, "strain_xx", 0), [[0.5, 0.25, nan]], equal_nan=True)
    assert np.array_equal(plane_of(strain, "rotation_deg", 1), strain[..., 1], equal_nan=True)


def test_a_place_outside_the_map_is_refused(hexagon_run: Path) -> None:
    with pytest.raises(FriedelError, match="5 x 7"):
        evidence_at(hexagon_run, 5, 0, ["nmc811-o3", "nmc811-o1"])


def test_named_spots_of_a_micrograph_come_with_the_run(server: Access, folder: Path, tmp_path: Path) -> None:
    values = {"input": str(folder / "fringes.mrc"), "phases": ["lif"], "region": {"roi": [[0, 256], [0, 256]]}}
    made = made_by(server, values, "fringes")
    told = json.loads(ask(server, f"/api/run?path={made['out']}")[2])
    assert {(s["phase"], s["hkl"]) for s in told["spots"]} >= {("lif", "2 0 0")}
    k = np.array([s["k_inv_a"] for s in told["spots"] if s["hkl"] == "2 0 0"])
    assert np.hypot(*k[0]) == pytest.approx(1 / 2.0, abs=0.01)
    assert told["recipe_problem"] is None


def made_by(server: Access, values: dict[str, Any], name: str) -> dict[str, Any]:
    """Have the server make a run; what it says of the job when it is done."""
    status, _, body = ask(server, "/api/jobs", method="POST", body={"name": name, "recipe": values})
    assert status == 200, body
    number = json.loads(body)["id"]
    deadline = time.monotonic() + 120
    while True:
        (job,) = [job for job in json.loads(ask(server, "/api/jobs")[2]) if job["id"] == number]
        if job["state"] not in ("waiting", "running"):
            assert job["state"] == "done", job["error"]
            return dict(job)
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_copied_python_gives_the_same_map(hexagon_run: Path, scan_path: Path) -> None:
    recipe = parse_recipe(recipe_of(scan_path, template="hexagon"))
    code = python_of(recipe, hexagon_run)
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=120)
    one, two = (load_phase_map(path) for path in (hexagon_run, hexagon_run.with_name("run-again")))
    assert np.array_equal(one.presence, two.presence)


def test_a_zip_holds_every_file_of_a_run_and_nothing_that_a_link_leads_to(hexagon_run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "roots" / "run"
    shutil.copytree(hexagon_run, copy)
    (tmp_path / "secret.txt").write_text("secret")
    (copy / "link.txt").symlink_to(tmp_path / "secret.txt")
    packed = zipfile.ZipFile(io.BytesIO(b"".join(zipped(copy, Roots.of(tmp_path / "roots")))))
    wanted = {f"run/{file.relative_to(hexagon_run)}" for file in hexagon_run.rglob("*") if file.is_file()}
    assert set(packed.namelist()) == wanted
    assert packed.read("run/summary.json") == (hexagon_run / "summary.json").read_bytes()
    assert packed.testzip() is None


def test_a_run_that_was_interrupted_shows_the_rows_that_it_knows(
    scan_path: Path, hexagon_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, saved = RunFolder.save_block, []

    def save_and_stop(self: RunFolder, first_row: int, arrays: Any) -> None:
        save(self, first_row, arrays)
        saved.append(first_row)
        if len(saved) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(RunFolder, "save_block", save_and_stop)
    monkeypatch.setattr(blocks.row_blocks, "__defaults__", (1,))
    recipe = parse_recipe(recipe_of(scan_path, template="hexagon"))
    scan = fr.read(scan_path)
    assert isinstance(scan, fr.PatternScan)
    assert partial_map(tmp_path / "run", scan, SHAPE, recipe) is None
    with pytest.raises(KeyboardInterrupt):
        fr.run_recipe(recipe, tmp_path / "run")
    found = partial_map(tmp_path / "run", scan, SHAPE, recipe)
    assert found is not None
    assert found.presence is not None
    assert np.isfinite(found.n_spots).all(axis=1).tolist() == [True, True, True, False, False]
    whole = load_phase_map(hexagon_run).presence[:3].transpose(2, 0, 1)
    assert np.allclose(found.presence[:, :3], whole, atol=0.1)


def test_the_server_says_why_a_run_cannot_be_repeated(server: Access, hexagon_run: Path, tmp_path: Path) -> None:
    runs = Path(json.loads(ask(server, "/api/folder")[2])["entries"][1]["path"])
    shutil.copytree(hexagon_run, runs / "elsewhere")
    told = json.loads(ask(server, f"/api/run?path={runs / 'elsewhere'}")[2])
    assert told["recipe"] is None
    assert "lies outside the folders" in told["recipe_problem"]
    (runs / "elsewhere" / "recipe.toml").write_bytes(b"\xff")
    told = json.loads(ask(server, f"/api/run?path={runs / 'elsewhere'}")[2])
    assert "recipe.toml is damaged" in told["recipe_problem"]


def test_a_run_cannot_have_structures_read_that_the_page_may_not_see(
    server: Access, hexagon_run: Path, tmp_path: Path
) -> None:
    runs = Path(json.loads(ask(server, "/api/folder")[2])["entries"][1]["path"])
    shutil.copytree(hexagon_run, runs / "forged")
    assert ask(server, f"/api/run/evidence?path={runs / 'forged'}&y=0&x=0")[0] == 200
    summary = runs / "forged" / "summary.json"
    summary.write_text(summary.read_text().replace("nmc811-o3", str(tmp_path / "secret.cif")))
    answer = ask(server, f"/api/run/evidence?path={runs / 'forged'}&y=0&x=0")
    assert answer[0] == 403
    assert "lies outside the folders" in error_of(answer)


def test_a_finished_run_cannot_be_asked_for_what_it_lacks(server: Access, hexagon_run: Path) -> None:
    runs = Path(json.loads(ask(server, "/api/folder")[2])["entries"][1]["path"])
    answer = ask(server, f"/api/run?path={runs}")
    assert answer[0] == 400
    assert "is no finished run" in error_of(answer)
