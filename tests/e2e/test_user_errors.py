"""What goes wrong at a microscope's computer: each is answered in one line that names the file and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr
from PIL import Image
from typer.testing import Result

from friedel.core.images import PatternScan
from friedel.core.phase_map import PhaseMap

Friedel = Callable[..., Result]
Refused = Callable[..., str]
NMC = ("--phases", "nmc811-o3,nmc811-o1")
LIF = ("--phases", "lif")


def test_missing_file_is_named(refused: Refused, tmp_path: Path) -> None:
    said = refused("map", tmp_path / "gone.mrc", *LIF, "--out", tmp_path / "run")
    assert str(tmp_path / "gone.mrc") in said
    assert "no such file" in said
    assert not (tmp_path / "run").exists()


def test_truncated_files_are_never_padded(
    refused: Refused, micrograph_file: Path, bare_scan_file: Path, tmp_path: Path
) -> None:
    for whole, options in (
        (micrograph_file, LIF),
        (bare_scan_file, (*NMC, "--step-inv-a", "0.022", "--scan-shape", "8,10")),
    ):
        half = tmp_path / whole.name
        half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
        said = refused("map", half, *options, "--out", tmp_path / "run")
        assert str(half) in said
        assert "Copy the file again" in said


def test_text_called_mrc_is_recognised(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "notes.mrc").write_text("Dear diary, the column vented again.\n" * 50)
    said = refused("map", tmp_path / "notes.mrc", *LIF, "--out", tmp_path / "run")
    assert str(tmp_path / "notes.mrc") in said
    assert "suffix" in said


def test_missing_scale_names_the_option(refused: Refused, bare_scan_file: Path, tmp_path: Path) -> None:
    said = refused("map", bare_scan_file, "--kind", "scan", "--scan-shape", "8,10", *NMC, "--out", tmp_path / "run")
    assert str(bare_scan_file) in said
    assert "--step-inv-a" in said
    np.save(tmp_path / "image.npy", np.eye(64))
    said = refused("map", tmp_path / "image.npy", *LIF, "--out", tmp_path / "run")
    assert str(tmp_path / "image.npy") in said
    assert "--pixel-size-a" in said


def test_unknown_scan_shape_names_the_option(refused: Refused, bare_scan_file: Path, tmp_path: Path) -> None:
    said = refused("map", bare_scan_file, *NMC, "--step-inv-a", "0.022", "--out", tmp_path / "run")
    assert "--scan-shape" in said
    said = refused("map", bare_scan_file, *NMC, "--step-inv-a", "0.022", "--scan-shape", "9,9", "--out", tmp_path / "r")
    assert "81" in said
    assert "80" in said


def test_misspelt_phase_suggests_the_right_one(refused: Refused, micrograph_file: Path, tmp_path: Path) -> None:
    said = refused("map", micrograph_file, "--phases", "li2c03", "--out", tmp_path / "run")
    assert "'li2c03'" in said
    assert "li2co3" in said
    assert "friedel phases list" in said


def test_no_phases_and_repeated_phases_are_refused(refused: Refused, micrograph_file: Path, tmp_path: Path) -> None:
    assert "--phases" in refused("map", micrograph_file, "--out", tmp_path / "run")
    assert "lif" in refused("map", micrograph_file, "--phases", "lif,lif", "--out", tmp_path / "run")


@pytest.mark.parametrize(
    "text",
    ["the lattice constant is four\n", "data_x\n_cell_length_a 4\n", "\x00\x01\x02", ""],
    ids=["prose", "no sites", "binary", "empty"],
)
def test_nonsense_cif_is_named(refused: Refused, micrograph_file: Path, tmp_path: Path, text: str) -> None:
    cif = tmp_path / "bad.cif"
    cif.write_text(text)
    assert str(cif) in refused("map", micrograph_file, "--phases", cif, "--out", tmp_path / "run")
    assert "bad.cif" in refused("phases", "show", cif)


@pytest.mark.parametrize("annulus", ["5,6", "0.8,0.3", "-1,0.3", "0.05,0.2", "nan,1"])
def test_annulus_without_any_ring_is_refused(refused: Refused, scan_file: Path, tmp_path: Path, annulus: str) -> None:
    said = refused("map", scan_file, *NMC, f"--annulus-inv-a={annulus}", "--out", tmp_path / "run")
    assert "--annulus-inv-a" in said


@pytest.mark.parametrize("phases", ["nmc811-o3,nmc811-o1", "au,ag"])
def test_phases_beyond_the_detector_blame_the_scale(
    refused: Refused, bare_scan_file: Path, tmp_path: Path, phases: str
) -> None:
    options = ("--phases", phases, "--scan-shape", "8,10", "--step-inv-a", "0.001", "--out", tmp_path / "run")
    said = refused("map", bare_scan_file, *options)
    assert str(bare_scan_file) in said
    assert "--step-inv-a" in said


@pytest.mark.parametrize("phases", ["nmc811-o3,nmc811-o1", "au,ag"])
def test_empty_scan_is_no_map_of_none(refused: Refused, tmp_path: Path, phases: str) -> None:
    np.save(tmp_path / "dark.npy", np.zeros((4, 5, 64, 64), dtype=np.uint16))
    options = ("--phases", phases, "--step-inv-a", "0.03", "--out", tmp_path / "run")
    for centre in ((), ("--centre", "32,32")):
        said = refused("map", tmp_path / "dark.npy", *options, *centre)
        assert str(tmp_path / "dark.npy") in said
        assert "zero" in said


def test_frames_of_nan_are_masked_and_told(
    done: Friedel, simulated_scan: tuple[PatternScan, PhaseMap], scan_run: Path, tmp_path: Path
) -> None:
    counts = np.asarray(simulated_scan[0].data).astype(np.float32)
    counts[2, 3] = np.nan
    counts[5] = np.nan
    np.save(tmp_path / "gaps.npy", counts)
    result = done("map", tmp_path / "gaps.npy", *NMC, "--step-inv-a", "0.022", "--out", tmp_path / "run")
    assert "11 of 80 positions" in result.stderr
    root = zarr.open_group(tmp_path / "run" / "phase_map.zarr", mode="r")
    expected = np.ones((8, 10), dtype=bool)
    expected[2, 3] = expected[5] = False
    np.testing.assert_array_equal(root["valid"][...], expected)
    assert not root["label"][...][~expected].any()
    whole = zarr.open_group(scan_run / "phase_map.zarr", mode="r")["label"][...]
    assert np.mean(root["label"][...][expected] == whole[expected]) >= 0.9


def test_single_position_is_a_scan(done: Friedel, simulated_scan: tuple[PatternScan, PhaseMap], tmp_path: Path) -> None:
    assert simulated_scan[1].labels()[2, 1] == 2
    np.save(tmp_path / "one.npy", np.asarray(simulated_scan[0].data)[2:3, 1:2])
    done("map", tmp_path / "one.npy", *NMC, "--step-inv-a", "0.022", "--out", tmp_path / "run", "--quiet")
    label = zarr.open_group(tmp_path / "run" / "phase_map.zarr", mode="r")["label"][...]
    assert label.shape == (1, 1)
    assert label[0, 0] in (0, 2)


def test_flat_tiny_and_undefined_images_are_refused(refused: Refused, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, image, word in (
        ("flat", np.full((64, 64), 7.0), "flat"),
        ("tiny", rng.normal(size=(16, 16)), "32 x 32"),
        ("undefined", np.full((64, 64), np.nan), "NaN"),
    ):
        path = tmp_path / f"{name}.npy"
        np.save(path, image)
        said = refused("map", path, *LIF, "--pixel-size-a", "0.3", "--out", tmp_path / "run")
        assert str(path) in said
        assert word in said


@pytest.mark.parametrize("pixel_size_a", ["50", "0.0001", "0", "nan"])
def test_impossible_pixel_size_is_blamed(
    refused: Refused, micrograph_file: Path, tmp_path: Path, pixel_size_a: str
) -> None:
    said = refused("map", micrograph_file, *LIF, "--pixel-size-a", pixel_size_a, "--out", tmp_path / "run")
    assert str(micrograph_file) in said
    assert "--pixel-size-a" in said


def test_noise_is_none_of_the_phases(done: Friedel, tmp_path: Path) -> None:
    np.save(tmp_path / "noise.npy", np.random.default_rng(1).poisson(40.0, (256, 256)))
    options = ("--phases", "li,lif,li2o,li2co3", "--pixel-size-a", "0.37", "--out", tmp_path / "run")
    assert "Check --pixel-size-a" in done("map", tmp_path / "noise.npy", *options).stderr
    assert not zarr.open_group(tmp_path / "run" / "phase_map.zarr", mode="r")["label"][...].any()


def test_colour_picture_of_nothing_names_no_phase(done: Friedel, tmp_path: Path) -> None:
    pixels = np.random.default_rng(2).integers(0, 255, (96, 96, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    assert "luminance" in done("info", tmp_path / "photo.png").stdout
    done("map", tmp_path / "photo.png", *LIF, "--pixel-size-a", "0.3", "--out", tmp_path / "run", "--quiet")
    assert not zarr.open_group(tmp_path / "run" / "phase_map.zarr", mode="r")["label"][...].any()


def test_faulty_recipes_name_file_and_key(refused: Refused, scan_run: Path, tmp_path: Path) -> None:
    recipe, good = tmp_path / "mine.toml", (scan_run / "recipe.toml").read_text(encoding="utf-8")
    for text, word in (
        ("contrast = 3\n" + good, "contrast"),
        (good.replace("min_probability = 0.5", "min_probability = 2.0"), "min_probability"),
        (good.replace("seed = 0", 'seed = "zero"'), "seed"),
        (good.replace('template = "auto"', 'template = "octagon"'), "template"),
        ("phases = [", "TOML"),
        ('input = "x.mrc"\n', "phases"),
    ):
        recipe.write_text(text, encoding="utf-8")
        for said in (
            refused("run", recipe, "--out", tmp_path / "run"),
            refused("recipe", "check", recipe),
        ):
            assert str(recipe) in said
            assert word in said
    assert str(tmp_path / "gone.toml") in refused("run", tmp_path / "gone.toml", "--out", tmp_path / "run")


def test_region_outside_the_field_is_refused(refused: Refused, scan_file: Path, tmp_path: Path) -> None:
    said = refused("map", scan_file, *NMC, "--roi", "0:9,0:5", "--out", tmp_path / "run")
    assert "--roi" in said
    assert "8 x 10" in said
    np.save(tmp_path / "mask.npy", np.ones((5, 5)))
    said = refused("map", scan_file, *NMC, "--roi-mask", tmp_path / "mask.npy", "--out", tmp_path / "run")
    assert str(tmp_path / "mask.npy") in said


@pytest.mark.parametrize(
    ("option", "value"),
    [("--min-probability", "0"), ("--min-probability", "1.5"), ("--energy-kev", "300000"), ("--step-inv-a", "nan"),
     ("--step-inv-a", "0"), ("--centre", "400,400"), ("--kind", "film"), ("--template", "octagon")],
)  # fmt: skip
def test_impossible_values_are_refused(
    refused: Refused, scan_file: Path, tmp_path: Path, option: str, value: str
) -> None:
    said = refused("map", scan_file, *NMC, option, value, "--out", tmp_path / "run")
    assert option.lstrip("-").replace("-", "_") in said.replace("-", "_")


def test_debug_shows_where_it_failed(friedel: Friedel, tmp_path: Path) -> None:
    result = friedel("map", tmp_path / "gone.mrc", *LIF, "--out", tmp_path / "run", "--debug")
    assert result.exit_code == 1
    assert type(result.exception).__name__ == "FileError"


def test_quiet_failure_still_says_why(refused: Refused, tmp_path: Path) -> None:
    assert "gone.mrc" in refused("map", tmp_path / "gone.mrc", *LIF, "--out", tmp_path / "run", "--quiet", "--json")


@pytest.mark.parametrize(
    "arguments",
    [("info", "gone.dm4"), ("virtual", "gone.dm4", "--annulus-inv-a", "0.2,0.5", "--out", "x.tif"),
     ("spots", "gone.dm4", "--annulus-inv-a", "0.2,0.5", "--out", "x.zarr"), ("phases", "show", "unobtainium"),
     ("phases", "reflections", "unobtainium"), ("phases", "add", "gone.cif"), ("recipe", "check", "gone.toml")],
    ids=lambda arguments: " ".join(arguments[:2]),
)  # fmt: skip
def test_other_verbs_answer_in_one_line_too(refused: Refused, arguments: tuple[str, ...]) -> None:
    assert arguments[2 if arguments[0] in ("phases", "recipe") else 1] in refused(*arguments)


@pytest.mark.parametrize(
    "arguments", [("virtual", "--annulus-inv-a", "0.2,0.5"), ("spots", "--annulus-inv-a", "0.2,0.5"), ("denoise",),
                  ("calibrate",)], ids=lambda arguments: arguments[0],
)  # fmt: skip
def test_no_verb_writes_over_the_data_that_it_reads(
    refused: Refused, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    raw = tmp_path / "raw.npy"
    np.save(raw, np.random.default_rng(1).poisson(3.0, (2, 2, 40, 40)).astype(np.uint16))
    before = raw.read_bytes()
    verb, *options = arguments
    assert "exists already" in refused(verb, raw, *options, "--step-inv-a", "0.03", "--out", raw)
    assert raw.read_bytes() == before


@pytest.mark.parametrize("verb", ["scan", "micrograph", "series"])
def test_no_simulation_is_written_over_a_file(refused: Refused, tmp_path: Path, verb: str) -> None:
    measured = tmp_path / ("measured.mrc" if verb != "scan" else "measured.hspy")
    measured.write_bytes(b"months of work")
    out = ("--out", measured, "--truth", tmp_path / "truth.zarr")
    said = refused("simulate", verb, *out, *(("--phases", "lif") if verb == "micrograph" else ()))
    assert "exists already" in said
    assert measured.read_bytes() == b"months of work"
