"""Micrographs whose spots a network found: the run says which, and real lattice images stay what they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from friedel.nets.cards import find_card, load_card

Friedel = Callable[..., Result]


def test_run_says_which_network_found_the_spots(
    done: Friedel, micrograph_file: Path, micrograph_run: Path, tmp_path: Path
) -> None:
    phases = ("--phases", "li,lif,li2o,li2co3", "--quiet")
    done("map", micrograph_file, *phases, "--detector", "net", "--out", tmp_path / "net")
    card = load_card(find_card("segmenter"))
    used, unused = (
        json.loads((run / "provenance.json").read_text(encoding="utf-8"))["weights_sha256"]
        for run in (tmp_path / "net", micrograph_run)
    )
    assert used == {f"segmenter {card.version}": card.sha256}
    assert unused == {}
    report, classical = (
        (run / "report.html").read_text(encoding="utf-8") for run in (tmp_path / "net", micrograph_run)
    )
    assert (f"the network segmenter {card.version}" in report, "false-alarm rate" in report) == (True, False)
    assert ("the network segmenter" in classical, "false-alarm rate" in classical) == (False, True)
    summary = json.loads((tmp_path / "net" / "summary.json").read_text(encoding="utf-8"))
    assert summary["n_spots"] > 0


def test_network_finds_silicon_in_a_real_image(done: Friedel, shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "real" / "stem_lattice" / "Si110_5nmX25us_03_none_none.png"
    options = ("--phases", "si,au", "--pixel-size-a", "0.0886", "--detector", "net", "--quiet")
    done("map", path, *options, "--out", tmp_path / "run")
    summary = json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))
    assert summary["fractions"]["si"] > 0.9
    assert summary["fractions"]["au"] == 0
    assert summary["calibration"]["scale"]["value"] == pytest.approx(1.0, abs=0.02)
