"""Recipes, structures, weights, cards and truths under cuts and changed bytes: a typed error, or a sound result."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from friedel.crystal import load_phases
from friedel.crystal.cif_text import cif_text
from friedel.nets.cards import find_card
from friedel.pipeline.recipe import dump_recipe, parse_recipe
from friedel.pipeline.runs.files import write_phase_map
from friedel.simulate.patterns.scan import ScanOptions, simulate_nmc811_scan

pytestmark = pytest.mark.slow

CUTS, FLIPS = 20, 500


def make(kind: str, folder: Path) -> Path:
    """Write a sound file of a kind."""
    if kind == "recipe":
        path = folder / "recipe.toml"
        path.write_text(dump_recipe(parse_recipe({"input": "scan.zarr", "phases": ["lif"]})), encoding="utf-8")
    elif kind == "cif":
        path = folder / "lif.cif"
        path.write_text(cif_text(load_phases(["lif"]).crystals[0]), encoding="utf-8")
    elif kind == "truth":
        path = folder / "truth.zarr"
        truth = simulate_nmc811_scan(0, ScanOptions(scan_shape=(6, 8), pattern_shape=(32, 32)))[1]
        write_phase_map(path, truth, min_probability=0.5)
    else:
        card = find_card("denoiser")
        for source in (card, card.with_suffix(".onnx")):
            shutil.copyfile(source, folder / source.name)
        path = folder / ("denoiser.toml" if kind == "card" else "denoiser.onnx")
    return path


@pytest.mark.parametrize("kind", ["recipe", "cif", "card", "weights", "truth"])
def test_damage_ends_in_a_typed_error_or_does_not_matter(tmp_path: Path, kind: str) -> None:
    """Values of text files may change to other sound ones, and weights whose card vouches for them to other weights."""
    (tmp_path / "sound").mkdir()
    (tmp_path / "damaged").mkdir()
    file = make(kind, tmp_path / "sound")
    script = Path(__file__).with_name("damaged_settings.py")
    command = [sys.executable, script, kind, file, tmp_path / "damaged", "0", str(FLIPS), str(CUTS)]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    copies = [json.loads(line) for line in said.splitlines()]
    assert len(copies) == CUTS + FLIPS
    for copy in copies:
        assert copy["seconds"] < 20, copy
        assert copy["peak_mib"] < 1024, copy
        if copy["ended"] == "read":
            assert kind != "truth" or not copy["changed"], copy
        else:
            assert copy["ended"].endswith("Error"), copy
            assert not copy["ended"].startswith("uncaught"), copy
            assert copy["named"], copy
    assert {copy["ended"] for copy in copies} > {"read"}
