"""Independent multislice simulations with exact truth; bounds are loose, for nothing may be tuned on them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr
from typer.testing import Result

Friedel = Callable[..., Result]
NMC = ("--phases", "nmc811-o3,nmc811-o1")
#: Bit of each phase in the truth of the micrograph.
TRUTH_BITS = {"lif": 0, "li": 1, "li2o": 2, "li2co3": 3}


@pytest.fixture(scope="module")
def micrograph(
    done: Friedel, shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Where each phase is called present, and where it is, in an SEI seen by an uncorrected microscope."""
    folder, out = shared_data / "multislice" / "hrtem", tmp_path_factory.mktemp("hr01") / "run"
    done("map", folder / "hr01.mrc", "--phases", "li,lif,li2o,li2co3", "--out", out, "--quiet")
    label = zarr.open_group(out / "phase_map.zarr", mode="r")["label"][...]
    with np.load(folder / "hr01_truth.npz") as truth:
        column = truth["multi"]
    found = {name: ((label >> bit) & 1).astype(bool) for bit, name in enumerate(("li", "lif", "li2o", "li2co3"))}
    return found, {name: ((column >> bit) & 1).astype(bool) for name, bit in TRUTH_BITS.items()}


@pytest.mark.parametrize("name", ["li", "lif", "li2o"])
def test_grains_of_an_sei_are_found(micrograph: tuple[dict[str, np.ndarray], dict[str, np.ndarray]], name: str) -> None:
    found, truth = micrograph
    recall = found[name][truth[name]].mean()
    precision = truth[name][found[name]].mean()
    # Fringes of an uncorrected microscope spill out of their grains by up to 8 nm, which costs precision.
    assert recall > 0.6
    assert precision > 0.3
    assert precision > 2 * truth[name].mean()


@pytest.fixture(scope="module")
def cathode(
    done: Friedel, shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, np.ndarray], dict[str, object]]:
    """Labels of every second position of a cathode map at 1000 electrons, with their truth, and the summary."""
    folder = shared_data / "multislice" / "devmap"
    out = tmp_path_factory.mktemp("devmap")
    with np.load(folder / "devmap_P1000.npz") as stored:
        np.save(out / "patterns.npy", stored["data"][::2, ::2].reshape(-1, 128, 128))
    options = ("--scan-shape", "16,16", "--scan-step-nm", "4", "--step-inv-a", "0.022", "--energy-kev", "300")
    done("map", out / "patterns.npy", *NMC, *options, "--out", out / "run", "--quiet")
    label = zarr.open_group(out / "run" / "phase_map.zarr", mode="r")["label"][...]
    with np.load(folder / "devmap_truth.npz") as truth:
        region = truth["cls"][::2, ::2]
    names = ("vacuum", "carbon", "O3", "O1", "mixed", "rock salt", "spinel")
    labels = {name: label[region == number] for number, name in enumerate(names)}
    return labels, json.loads((out / "run" / "summary.json").read_text(encoding="utf-8"))


def test_vacuum_and_carbon_hold_no_phase(cathode: tuple[dict[str, np.ndarray], dict[str, object]]) -> None:
    labels, _ = cathode
    assert np.mean(labels["vacuum"] != 0) < 0.05
    assert np.mean(labels["carbon"] != 0) < 0.05


def test_o3_is_found_and_not_taken_for_o1(cathode: tuple[dict[str, np.ndarray], dict[str, object]]) -> None:
    labels, _ = cathode
    assert np.mean(labels["O3"] == 1) > 0.5
    assert np.mean(labels["O3"] & 2 != 0) < 0.05


def test_o1_is_told_from_o3_though_it_shows_the_ring_of_o3_too(
    cathode: tuple[dict[str, np.ndarray], dict[str, object]],
) -> None:
    labels, _ = cathode
    assert np.mean(labels["O1"] & 2 != 0) > 0.4
    assert np.mean(labels["O1"] == 1) < 0.1


def test_columns_of_both_hold_o1(cathode: tuple[dict[str, np.ndarray], dict[str, object]]) -> None:
    labels, _ = cathode
    assert np.mean(labels["mixed"] & 2 != 0) > 0.4


def test_other_phases_of_the_field_are_announced(cathode: tuple[dict[str, np.ndarray], dict[str, object]]) -> None:
    labels, summary = cathode
    assert not (labels["rock salt"] & 2).any()
    assert any("another phase" in warning for warning in summary["warnings"])


def test_perfect_detector_is_not_called_defective(
    cathode: tuple[dict[str, np.ndarray], dict[str, object]],
) -> None:
    assert not any("detector pixels" in warning for warning in cathode[1]["warnings"])
