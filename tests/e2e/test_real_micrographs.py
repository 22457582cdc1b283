"""Atomic-resolution images of real microscopes, mapped as a user would."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

Friedel = Callable[..., Result]
Refused = Callable[..., str]
SI_111_A = 3.1356


def outcome(run: Path) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Summary and components of a run."""
    rows = csv.DictReader((run / "components.csv").read_text(encoding="utf-8").splitlines())
    return json.loads((run / "summary.json").read_text(encoding="utf-8")), list(rows)


def strongest_period_px(image: np.ndarray) -> float:
    """Period of the strongest fringes, from the centroid of the highest peak of the windowed power spectrum."""
    window = np.outer(*(np.hanning(n) for n in image.shape))
    power = np.abs(np.fft.fftshift(np.fft.fft2((image - image.mean()) * window))) ** 2
    middle = np.array(image.shape) // 2
    radius = np.hypot(*(np.indices(image.shape) - middle[:, None, None]))
    power[radius < 5] = 0.0
    top = np.unravel_index(int(power.argmax()), image.shape)
    patch = tuple(slice(i - 1, i + 2) for i in top)
    weights = power[patch]
    offset = np.array([(np.arange(-1, 2) * weights.sum(axis=1 - axis)).sum() / weights.sum() for axis in (0, 1)])
    return float(1.0 / np.hypot(*((np.array(top) + offset - middle) / image.shape)))


def test_silicon_is_named_where_its_111_fringes_set_the_scale(done: Friedel, shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "real" / "stem_lattice" / "Si110_5nmX25us_03_none_none.png"
    pixel_a = SI_111_A / strongest_period_px(np.asarray(Image.open(path), dtype=np.float64))
    assert 0.08 < pixel_a < 0.10
    done("map", path, "--phases", "si", "--pixel-size-a", f"{pixel_a:.5f}", "--out", tmp_path / "run", "--quiet")
    summary, rows = outcome(tmp_path / "run")
    assert summary["fractions"]["si"] > 0.9
    assert {"1 1 1", "2 2 0"} <= {row["hkl"] for row in rows if row["phase"] == "si"}
    strongest = max(rows, key=lambda row: float(row["intensity"]))
    assert (strongest["phase"], strongest["hkl"]) == ("si", "1 1 1")
    assert summary["calibration"]["scale"]["value"] == pytest.approx(1.0, abs=0.02)


def test_scale_of_a_perovskite_image_is_corrected_by_five_percent(
    done: Friedel, shared_data: Path, tmp_path: Path
) -> None:
    path = shared_data / "real" / "stem_lattice" / "Acquisition_18.emd"
    result = done("map", path, "--phases", "srtio3", "--out", tmp_path / "run")
    summary, rows = outcome(tmp_path / "run")
    assert summary["calibration"]["pixel_size_a"]["source"] == "metadata"
    scale = summary["calibration"]["scale"]
    assert scale["source"] == "fitted"
    assert scale["value"] == pytest.approx(0.954, abs=0.01)
    said = " ".join(result.stderr.split())
    assert "pixel size is multiplied by 0.95" in said
    assert "not square" in said  # 2.87 and 2.93 Å where the crystal has one spacing
    assert {"1 1 0", "2 0 0"} <= {row["hkl"] for row in rows if row["phase"] == "srtio3"}
    measured = {row["hkl"]: float(row["d_measured_a"]) for row in rows if row["phase"] == "srtio3"}
    assert measured["1 1 0"] == pytest.approx(2.90, abs=0.04)  # as stored: measured 2.87 and 2.93 along the axes
    assert float(rows[0]["deviation_percent"]) == pytest.approx(5.0, abs=1.5)


def test_pixel_size_without_unit_is_not_believed(refused: Refused, shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "real" / "stem_lattice" / "stem_abf_data.hspy"
    said = refused("map", path, "--phases", "srtio3", "--out", tmp_path / "run")
    assert str(path) in said
    assert "without unit" in said
    assert "--pixel-size-a" in said


def test_perovskite_image_is_neither_silicon_nor_gold(done: Friedel, shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "real" / "stem_lattice" / "stem_abf_data.hspy"
    options = ("--phases", "si,au", "--pixel-size-a", "0.09326", "--out", tmp_path / "run", "--quiet")
    done("map", path, *options)
    summary, rows = outcome(tmp_path / "run")
    assert summary["n_spots"] > 5
    assert summary["fractions"]["none"] > 0.9
    assert rows[0]["phase"] == "unknown"


def test_scale_of_an_old_stem_file_is_read(done: Friedel, shared_data: Path) -> None:
    facts = json.loads(done("info", shared_data / "real" / "stem_lattice" / "hrstem_example.ser", "--json").stdout)
    step_nm = [axis["scale"] * {"m": 1e9, "nm": 1.0, "A": 0.1}[axis["unit"]] for axis in facts["axes"]]
    assert step_nm == pytest.approx([0.0524, 0.0524], rel=1e-3)


def test_screenshot_of_soot_has_no_scale_of_its_own(refused: Refused, shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "real" / "hrtem_carbon" / "soot_image.png"
    assert "--pixel-size-a" in refused("map", path, "--phases", "si,au", "--out", tmp_path / "run")


def test_silicon_with_gold_as_candidate_shows_no_gold(done: Friedel, shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "real" / "stem_lattice" / "Si110_5nmX25us_03_none_none.png"
    done("map", path, "--phases", "si,au", "--pixel-size-a", "0.0886", "--out", tmp_path / "run", "--quiet")
    summary, rows = outcome(tmp_path / "run")
    assert summary["fractions"]["si"] > 0.9
    assert summary["fractions"]["au"] == 0
    assert "au" not in {row["phase"] for row in rows}


@pytest.mark.parametrize("pixel_a", ["0.2", "0.3"])
def test_soot_is_neither_silicon_nor_gold_at_any_scale(
    done: Friedel, shared_data: Path, tmp_path: Path, pixel_a: str
) -> None:
    path = shared_data / "real" / "hrtem_carbon" / "soot_image.png"
    done("map", path, "--phases", "si,au", "--pixel-size-a", pixel_a, "--out", tmp_path / "run", "--quiet")
    summary, rows = outcome(tmp_path / "run")
    assert summary["fractions"]["none"] > 0.99
    assert {row["phase"] for row in rows} <= {"unknown"}


def test_square_lattice_of_an_unknown_specimen_is_unknown(done: Friedel, shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "real" / "stem_lattice" / "hrstem_example.ser"
    done("map", path, "--phases", "si,au,srtio3", "--out", tmp_path / "run", "--quiet")
    summary, rows = outcome(tmp_path / "run")
    assert summary["n_spots"] > 10
    assert summary["fractions"]["none"] > 0.99
    assert {row["phase"] for row in rows} == {"unknown"}
