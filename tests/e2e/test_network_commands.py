"""Networks at the command line: what ships, denoising a file, and training one's own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

import friedel as fr
from friedel.crystal import library
from friedel.nets.inference import device_of

Friedel = Callable[..., Result]

TINY = """
name = "tiny"
steps = {steps}
batch = 2
warm_up = 1
validate_every = 2
checkpoint_every = 1
validation_patterns = 1
max_zones = 2
[architecture]
width = 4
levels = 3
[ranges]
shape = [48, 48]
"""


def test_shipped_weights_are_listed_verified_and_exported(done: Friedel, refused: Callable[..., str], tmp_path) -> None:
    listed = done("weights", "list").stdout
    for word in ("denoiser", "F1", "limit:", "electrons"):
        assert word in listed
    assert "is whole and runs" in done("weights", "verify").stdout
    done("weights", "export", "denoiser", "--out", tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["denoiser.onnx", "denoiser.toml"]
    assert "is whole and runs" in done("weights", "verify", tmp_path / "denoiser.onnx").stdout
    assert "exists already" in refused("weights", "export", "denoiser", "--out", tmp_path)
    (tmp_path / "denoiser.onnx").write_bytes(b"not a network")
    assert "sha256" in refused("weights", "verify", tmp_path / "denoiser.onnx")
    assert "friedel weights list" in refused("weights", "verify", "no-such-network")


def test_denoising_keeps_shape_and_calibration(
    done: Friedel, simulated_scan: tuple[fr.PatternScan, fr.PhaseMap], tmp_path: Path
) -> None:
    scan, _ = simulated_scan
    fr.write_scan(tmp_path / "in.zarr", scan)
    for name in ("out.zarr", "out.hspy"):
        done("denoise", tmp_path / "in.zarr", "--out", tmp_path / name, "--quiet")
        clean = fr.read(tmp_path / name)
        assert isinstance(clean, fr.PatternScan)
        assert clean.data.shape == scan.data.shape
        np.testing.assert_allclose(clean.grid.step_inv_a, scan.grid.step_inv_a)
        data, counts = clean.rows(0, 2), scan.rows(0, 2).astype(float)
        assert data.dtype == np.float32
        assert data.sum() == pytest.approx(counts.sum(), rel=0.1)
        # Far from all spots the pattern is nearly free of noise.
        assert data[..., :12, :12].std() < 0.3 * counts[..., :12, :12].std()


def test_denoising_says_what_is_wrong(refused: Callable[..., str], inputs: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "scan.npy", np.ones((2, 2, 32, 32), dtype=np.uint16))
    line = refused(
        "denoise", tmp_path / "scan.npy", "--step-inv-a", "0.02", "--out", tmp_path / "o.zarr", "--weights", "x"
    )
    assert "no weights of this name" in line
    assert "--step-inv-a" in refused("denoise", tmp_path / "scan.npy", "--out", tmp_path / "o.zarr")


def test_a_map_says_which_network_found_its_spots(
    done: Friedel, refused: Callable[..., str], scan_file: Path, tmp_path: Path
) -> None:
    phases = ("--phases", "nmc811-o3,nmc811-o1", "--quiet")
    done("map", scan_file, *phases, "--template", "hexagon", "--out", tmp_path / "auto")
    done("map", scan_file, *phases, "--template", "hexagon", "--denoise", "none", "--out", tmp_path / "none")
    used, unused = (
        json.loads((tmp_path / name / "provenance.json").read_text(encoding="utf-8")) for name in ("auto", "none")
    )
    assert [name for name in used["weights_sha256"] if name.startswith("denoiser")]
    assert not unused["weights_sha256"]
    assert (used["network_device"], unused["network_device"]) == (device_of("denoiser"), "")
    by_network, by_counts = "found by the network denoiser", "found by their difference of Gaussians"
    report, classical = ((tmp_path / name / "report.html").read_text(encoding="utf-8") for name in ("auto", "none"))
    assert "denoised." in report
    assert "network ran on" in report
    assert (by_network in report, by_counts in report) == (True, False)
    assert (by_network in classical, by_counts in classical) == (False, True)
    assert "no weights of this name" in refused(
        "map", scan_file, *phases, "--denoise", "missing.onnx", "--out", tmp_path / "missing"
    )


def test_processes_and_interruptions_do_not_change_a_denoised_map(
    done: Friedel, simulated_scan: tuple[fr.PatternScan, fr.PhaseMap], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from friedel.core import blocks

    scan, _ = simulated_scan
    faint = np.random.default_rng(0).binomial(np.asarray(scan.rows(0, 8)), 0.05).astype(np.uint16)  # neighbours needed
    fr.write_scan(tmp_path / "in.zarr", fr.PatternScan(faint, scan.grid, scan.scan_grid, scan.beam))
    command = ("map", tmp_path / "in.zarr", "--phases", "nmc811-o3,nmc811-o1", "--template", "hexagon", "--quiet")
    done(*command, "--out", tmp_path / "whole")
    monkeypatch.setattr(blocks.row_blocks, "__defaults__", (2 * faint[0].nbytes,))
    done(*command, "--out", tmp_path / "parts")
    done(*command, "--jobs", "2", "--out", tmp_path / "jobs")
    whole, parts, jobs = (fr.load_spots(tmp_path / name) for name in ("whole", "parts", "jobs"))
    assert len(whole) > 20
    for other in (parts, jobs):
        np.testing.assert_array_equal(whole.k_inv_a, other.k_inv_a)
        np.testing.assert_array_equal(whole.intensity, other.intensity)


@pytest.fixture
def materials(tmp_path: Path) -> Path:
    """Folder with a few crystals of each split."""
    folder = tmp_path / "cif"
    folder.mkdir()
    shipped = Path(library.__file__).parent / "library"
    for name in ("al", "mgo", "au", "kcl", "cu", "nacl"):
        shutil.copy(shipped / f"{name}.cif", folder)
    return folder


def test_a_denoiser_is_trained_and_goes_on_where_it_was_left(
    done: Friedel, refused: Callable[..., str], materials: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    from friedel.nets.training import finish

    monkeypatch.setattr(finish, "_VALIDATION", (2, 3))
    monkeypatch.setattr(finish, "_TEST", (2, 3))
    recipe, out = tmp_path / "tiny.toml", tmp_path / "run"
    recipe.write_text(TINY.format(steps=2), encoding="utf-8")
    options = ("--recipe", recipe, "--materials", materials, "--out", out, "--device", "cpu", "--threads", "1")
    said = done("train", "denoiser", *options).stdout
    assert "tiny.onnx" in said
    first = (out / "tiny.onnx").read_bytes()
    assert len((out / "curve.csv").read_text().splitlines()) == 2
    done("train", "denoiser", *options)  # complete: the same weights again
    assert (out / "tiny.onnx").read_bytes() == first
    assert "is whole and runs" in done("weights", "verify", out / "tiny.onnx").stdout
    recipe.write_text(TINY.format(steps=2).replace("batch = 2", "batch = 3"), encoding="utf-8")
    assert "another recipe" in refused("train", "denoiser", *options)
    recipe.write_text("steps = 'many'", encoding="utf-8")
    assert "steps" in refused("train", "denoiser", *options)


def test_tuning_goes_on_and_writes_the_best_recipe(done: Friedel, materials: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    recipe, out = tmp_path / "tiny.toml", tmp_path / "study"
    recipe.write_text(TINY.format(steps=4), encoding="utf-8")
    options = ("--recipe", recipe, "--materials", materials, "--out", out, "--device", "cpu", "--threads", "1")
    done("tune", *options, "--trials", "1")
    done("tune", *options, "--trials", "2")
    assert sorted(p.name for p in out.glob("trial-*")) == ["trial-0", "trial-1"]
    from friedel.nets.training.recipe import load_training_recipe

    best = load_training_recipe(out / "best.toml")
    assert best.learning_rate != 2e-3
    assert best.ranges.shape == (48, 48)


def test_cards_are_plain_toml(done: Friedel, tmp_path: Path) -> None:
    import tomllib

    done("weights", "export", "denoiser", "--out", tmp_path)
    card = tomllib.loads((tmp_path / "denoiser.toml").read_text(encoding="utf-8"))
    assert json.dumps(card)
    assert card["training"]["recipe"]["architecture"] == card["architecture"]
