"""Data that a microscope should not give, and does: masked, flagged or refused, and never a confident wrong answer."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr
from typer.testing import Result

import friedel as fr
from friedel.core.images import Micrograph, PatternScan
from friedel.core.phase_map import PhaseMap
from friedel.identify.grains.components import ComponentOptions
from friedel.pipeline.micrographs.road import analyse_region
from friedel.pipeline.region import find_region
from friedel.pipeline.runs.provenance import sha256_of

Friedel = Callable[..., Result]
Refused = Callable[..., str]
Counts = np.ndarray[tuple[int, ...], np.dtype[np.float32]]
NMC = ("--phases", "nmc811-o3,nmc811-o1")
#: Rows of the simulated scan that hold O3, O1, both, and nothing.
ROWS = slice(1, 7, 2)


def scattered(counts: Counts, value: float) -> Counts:
    """One value in a hundred is replaced."""
    return np.where(np.random.default_rng(0).random(counts.shape) < 0.01, np.float32(value), counts)


def pixels(counts: Counts, value: float) -> Counts:
    """One detector pixel in fifty is replaced in every pattern."""
    return np.where(np.random.default_rng(0).random(counts.shape[-2:]) < 0.02, np.float32(value), counts)


def hot_pixels(counts: Counts) -> Counts:
    """Twenty pixels of the detector stand at their limit."""
    out = counts.copy()
    out[..., *np.random.default_rng(0).integers(0, 96, (2, 20))] = 65535
    return out


def dead_lines(counts: Counts) -> Counts:
    """Lines of the detector are dead, beside the beam and far from it."""
    out = counts.copy()
    out[..., 30:34, :] = out[..., 70] = 0
    return out


MENDED: dict[str, Callable[[Counts], Counts]] = {
    "nan": lambda counts: scattered(counts, np.nan),
    "inf": lambda counts: scattered(counts, np.inf),
    "minus inf": lambda counts: scattered(counts, -np.inf),
    "pixels of nan": lambda counts: pixels(counts, np.nan),
    "pixels of inf": lambda counts: pixels(counts, np.inf),
    "hot pixels": hot_pixels,
    "dead lines": dead_lines,
    "offset below zero": lambda counts: counts - 100,
}


def wrongly_named(found: PhaseMap, truth: PhaseMap) -> int:
    """Names given to positions that do not have the phase."""
    return int(((found.presence >= 0.5) & (truth.presence[ROWS] < 0.5)).sum())


def analyse(data: Counts, step_inv_a: float = 0.022) -> tuple[PhaseMap, tuple[str, ...]]:
    """Map a scan as ``friedel map`` does, without the writing."""
    grid = fr.ReciprocalGrid((step_inv_a, step_inv_a), (47.5, 47.5), source="user", relative_sigma=0.005)
    scan = PatternScan(data, grid)
    found = fr.analyse_scan(scan, fr.load_phases(["nmc811-o3", "nmc811-o1"]), fr.ScanOptions(denoise="none"))
    return found.phase_map, found.warnings


@pytest.fixture(scope="module")
def counts(simulated_scan: tuple[PatternScan, PhaseMap]) -> Counts:
    return np.asarray(simulated_scan[0].data)[ROWS].astype(np.float32)


@pytest.mark.parametrize("fault", MENDED)
def test_values_that_are_no_counts_are_left_out(
    simulated_scan: tuple[PatternScan, PhaseMap], counts: Counts, fault: str
) -> None:
    truth = simulated_scan[1]
    found, _ = analyse(MENDED[fault](counts))
    assert wrongly_named(found, truth) == 0
    assert ((found.presence >= 0.5) & (truth.presence[ROWS] >= 0.5)).sum() >= 0.9 * (truth.presence[ROWS] >= 0.5).sum()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_frames_without_a_number_are_masked_and_told(counts: Counts, value: float) -> None:
    data = counts.copy()
    data[1, 2:5] = value
    found, warnings = analyse(data)
    assert (~found.valid).sum() == 3
    assert not found.valid[1, 2:5].any()
    assert any("3 of 30 positions" in warning for warning in warnings)


@pytest.mark.parametrize("level", [3, 20])
def test_saturated_patterns_are_flagged(
    simulated_scan: tuple[PatternScan, PhaseMap], counts: Counts, level: int
) -> None:
    found, warnings = analyse(np.minimum(counts, level))
    assert any("saturated" in warning for warning in warnings)
    assert wrongly_named(found, simulated_scan[1]) == 0
    assert not any("saturated" in warning for warning in analyse(counts)[1])


def test_a_saturated_micrograph_is_flagged(simulated_micrograph: tuple[Micrograph, PhaseMap]) -> None:
    image, grid = np.asarray(simulated_micrograph[0].data)[:256, :256], simulated_micrograph[0].grid
    phases = fr.load_phases(["lif"])

    def warnings_of(data: Counts) -> tuple[str, ...]:
        region = find_region(data.shape, None, None)
        return analyse_region(Micrograph(data, grid), region, phases, ComponentOptions()).warnings

    cut = np.minimum(image, np.quantile(image, 0.95))
    (told,) = (warning for warning in warnings_of(cut) if "saturated" in warning)
    share = float(told.partition(" %")[0])
    assert share == pytest.approx(100 * (cut == cut.max()).mean(), rel=0.1)
    assert not any("saturated" in warning for warning in warnings_of(image))


def test_noise_inverted_contrast_and_a_beam_off_the_detector_name_nothing(counts: Counts) -> None:
    noise = np.random.default_rng(1).poisson(5.0, counts.shape).astype(np.float32)
    outside = np.zeros_like(counts)
    outside[..., 60:, :] = counts[..., :36, :]
    outside[..., :60, :] = counts.min() + 0.01
    for data in (noise, -counts - 1, outside):
        assert not (analyse(data)[0].presence >= 0.5).any()


def test_what_hides_most_of_the_light_costs_names_and_makes_none(
    simulated_scan: tuple[PatternScan, PhaseMap], counts: Counts
) -> None:
    for data in (counts + 20, counts + 100, pixels(counts, 65535)):
        found, warnings = analyse(data)
        assert wrongly_named(found, simulated_scan[1]) == 0
        assert any("detector pixels" in warning for warning in warnings)


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.1, 1.27, 2.0])
def test_a_wrong_scale_names_nothing_and_is_suspected(counts: Counts, factor: float) -> None:
    found, warnings = analyse(counts, 0.022 * factor)
    assert not (found.presence >= 0.5).any()
    assert any("check --step-inv-a" in warning.lower() for warning in warnings)


REFUSED = {
    "constant": (lambda counts: np.full_like(counts, 7.0), "flat"),
    "one bit": (lambda counts: counts > 3, "cut off"),
    "cut at one": (lambda counts: np.minimum(counts, 1.0), "cut off"),
    "beyond float": (lambda counts: counts.astype(np.float64) * 1e300, "no camera"),
    "hardly any": (lambda counts: counts * np.float32(1e-30), "no camera"),
    "complex": (lambda counts: counts.astype(np.complex64), "complex"),
    "no rows": (lambda counts: counts[:0], "positive"),
    "no pixels": (lambda counts: counts[..., :0], "positive"),
    "one pixel": (lambda counts: counts[..., :1, :1], "--centre"),
    "four pixels": (lambda counts: counts[..., 46:50, 46:50], "--step-inv-a"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_holds_no_patterns_is_refused(refused: Refused, counts: Counts, tmp_path: Path, kind: str) -> None:
    change, word = REFUSED[kind]
    np.save(tmp_path / "in.npy", change(counts))
    said = refused("map", tmp_path / "in.npy", *NMC, "--step-inv-a", "0.022", "--out", tmp_path / "run")
    assert word in said
    assert str(tmp_path / "in.npy") in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [("--step-inv-a", "0"), ("--step-inv-a", "nan"), ("--step-inv-a", "inf"), ("--step-inv-a", "-0.022"),
     ("--step-inv-a", "0.0022"), ("--step-inv-a", "0.22"), ("--centre", "nan,3"),
     ("--centre", "0,0"), ("--centre", "400,400")],
)  # fmt: skip
def test_impossible_calibrations_are_refused(
    refused: Refused, bare_scan_file: Path, tmp_path: Path, option: str, value: str
) -> None:
    options = {"--step-inv-a": "0.022", "--scan-shape": "8,10"} | {option: value}
    said = refused("map", bare_scan_file, *NMC, *(f"{k}={v}" for k, v in options.items()), "--out", tmp_path / "run")
    assert option in said


@pytest.mark.parametrize("kind", ["huge", "tiny", "one wild value", "nan", "inf", "one row"])
def test_micrographs_without_an_image_are_refused(
    refused: Refused, simulated_micrograph: tuple[Micrograph, PhaseMap], tmp_path: Path, kind: str
) -> None:
    image = np.asarray(simulated_micrograph[0].data).astype(np.float64)
    one = np.zeros_like(image)
    one[100, 200] = 1.0
    data, word = {
        "huge": (image * 1e300, "no camera"),
        "tiny": (image * 1e-30, "no camera"),
        "one wild value": (np.where(one > 0, 1e30, image), "no camera"),
        "nan": (np.where(np.arange(len(image))[:, None] % 5 < 3, np.nan, image), "most is missing"),
        "inf": (np.full_like(image, np.inf), "most is missing"),
        "one row": (image[:1], "too small"),
    }[kind]
    np.save(tmp_path / "in.npy", data)
    said = refused("map", tmp_path / "in.npy", "--phases", "lif", "--pixel-size-a", "0.37", "--out", tmp_path / "run")
    assert word in said


def test_a_few_pixels_without_a_number_change_no_map_of_a_micrograph(
    done: Friedel, micrograph_run: Path, simulated_micrograph: tuple[Micrograph, PhaseMap], tmp_path: Path
) -> None:
    """One pixel in two thousand is dead, and a corner is missing as where frames were laid upon one another."""
    image = np.asarray(simulated_micrograph[0].data).astype(np.float32)
    image[np.random.default_rng(0).random(image.shape) < 5e-4] = np.nan
    image[:20, :30] = -np.inf
    np.save(tmp_path / "in.npy", image)
    options = ("--phases", "li,lif,li2o,li2co3", "--pixel-size-a", "0.37", "--out", tmp_path / "run")
    said = done("map", tmp_path / "in.npy", *options).stderr
    assert f"{np.count_nonzero(~np.isfinite(image))} pixels are NaN or infinite" in said
    assert "600 pixels without a value lie in holes of 5 px or more; these are not valid in the map." in said
    maps, whole = (zarr.open_group(run / "phase_map.zarr", mode="r") for run in (tmp_path / "run", micrograph_run))
    valid = maps["valid"][...]
    assert not valid[:20, :30].any()
    assert valid.sum() == valid.size - 600
    assert np.mean(maps["label"][...] == whole["label"][...]) > 0.98


def test_inputs_are_never_modified(
    scan_run: Path, micrograph_run: Path, scan_file: Path, micrograph_file: Path
) -> None:
    """The hash that a run takes before it reads is that of the file after it, and nothing appears beside the file."""
    for run, file in ((scan_run, scan_file), (micrograph_run, micrograph_file)):
        stated = json.loads((run / "provenance.json").read_text(encoding="utf-8"))["inputs_sha256"]
        assert stated == {str(file): sha256_of(file)}
    assert not [entry.name for entry in scan_file.parent.iterdir() if entry.name.startswith(".")]


HOSTILE = "=HYPERLINK(1)<script>alert(1)<"


def test_hostile_names_of_phases_do_nothing_in_report_and_tables(
    done: Friedel, micrograph_file: Path, tmp_path: Path
) -> None:
    shared = Path(fr.__file__).parent / "crystal"
    cif = tmp_path / f"{HOSTILE}.cif"
    shutil.copyfile(next(shared.rglob("lif.cif")), cif)
    done("map", micrograph_file, "--phases", cif, "--roi", "0:96,0:96", "--out", tmp_path / "run", "--quiet")
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "HYPERLINK" in page
    assert "<script" not in page
    cells = (tmp_path / "run" / "components.csv").read_text(encoding="utf-8").replace("\n", ",").split(",")
    assert not [cell for cell in cells if cell.strip('"').startswith("=")]
