"""What a recipe of the page may name, and the command that repeats it."""

from __future__ import annotations

import inspect
import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from asking import ask, error_of
from typer.testing import CliRunner

from friedel.cli.main import app
from friedel.cli.map import map_command
from friedel.core.errors import FileError, FileNotPermittedError
from friedel.nets.cards import find_card
from friedel.pipeline.recipe import parse_recipe
from friedel.web.recipes import _OPTIONS, changes, checked_recipe, command_of
from friedel.web.roots import Roots
from friedel.web.security import Access

OUTSIDE = "lies outside the folders"


@pytest.fixture
def inside(tmp_path: Path) -> Path:
    """A folder that the page may see, with a scan, a structure and a network; the folder about it is none of it."""
    (inside := tmp_path / "in").mkdir()
    for folder in (inside, tmp_path):
        for name in ("scan.mib", "mine.cif", "mask.png"):
            (folder / name).write_bytes(b"")
        card = find_card("denoiser")
        for file in (card, card.with_suffix(".onnx")):
            shutil.copy(file, folder / file.name)
    return inside


def recipe_of(inside: Path, section: str, key: str, value: str) -> dict[str, Any]:
    return {"input": str(inside / "scan.mib"), "phases": ["lif"], section: {key: value}}


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("scan", "lookalikes", "{}/mine.cif"),
        ("scan", "lookalikes", "nio,{}/mine.cif"),
        ("scan", "lookalikes", "nio, {}/mine.cif "),
        ("scan", "denoise", "{}/denoiser.onnx"),
        ("scan", "denoise", "{}/denoiser.toml"),
        ("micrograph", "segmenter", "{}/denoiser.onnx"),
        ("micrograph", "segmenter", "{}/denoiser.toml"),
        ("region", "roi_mask", "{}/mask.png"),
    ],
)
def test_every_file_that_a_recipe_names_must_be_one_that_the_page_may_see(
    inside: Path, section: str, key: str, value: str
) -> None:
    roots = Roots.of(inside)
    checked_recipe(recipe_of(inside, section, key, value.format(inside)), roots)
    with pytest.raises(FileNotPermittedError, match=OUTSIDE):
        checked_recipe(recipe_of(inside, section, key, value.format(inside.parent)), roots)


def test_blanks_about_the_path_of_a_phase_hide_nothing(inside: Path) -> None:
    for phase in ("{}/mine.cif", " {}/mine.CIF", "{}/mine.cif\n", "{}/mine.cif\u00a0"):
        values = {"input": str(inside / "scan.mib"), "phases": ["lif", phase.format(inside.parent)]}
        with pytest.raises(FileError, match=f"{OUTSIDE}|cannot be opened"):
            checked_recipe(values, Roots.of(inside))


@pytest.mark.parametrize("name", ["denoiser.toml", "denoiser.onnx"])
def test_neither_card_nor_weights_of_a_network_may_be_a_link_to_elsewhere(inside: Path, name: str) -> None:
    (inside / name).unlink()
    (inside / name).symlink_to(inside.parent / name)
    with pytest.raises(FileNotPermittedError, match=OUTSIDE):
        checked_recipe(recipe_of(inside, "scan", "denoise", str(inside / "denoiser.onnx")), Roots.of(inside))


def test_the_server_reads_no_lookalike_outside_its_folders(server: Access, folder: Path, inside: Path) -> None:
    values = recipe_of(folder, "scan", "lookalikes", f"nio,{inside / 'mine.cif'}") | {
        "input": str(folder / "ring.zarr")
    }
    requests: dict[str, dict[str, Any]] = {
        "/api/jobs": {"name": "x", "recipe": values},
        "/api/repeat": {"name": "x", "recipe": values},
        "/api/recipe/check": {"recipe": values},
    }
    for path, body in requests.items():
        answer = ask(server, path, method="POST", body=body)
        assert answer[0] == 403, path
        assert OUTSIDE in error_of(answer)


def test_paths_of_a_loaded_recipe_are_relative_to_the_first_folder(server: Access, folder: Path) -> None:
    toml = 'input = "ring.zarr"\nphases = ["lif"]\n'
    answer = ask(server, "/api/recipe/load", method="POST", body={"toml": toml})
    assert json.loads(answer[2])["recipe"]["input"] == str(folder / "ring.zarr")
    for scan in ('lookalikes = "nio,no.cif"', 'denoise = "no.onnx"'):
        answer = ask(server, "/api/recipe/load", method="POST", body={"toml": f"{toml}[scan]\n{scan}\n"})
        assert f"{folder}/no." in error_of(answer)


def test_every_setting_that_the_command_line_takes_is_written_by_its_option() -> None:
    keys = set(re.findall(r'^ +"([a-z0-9_.]+)": ', inspect.getsource(map_command), re.MULTILINE)) - {"phases"}
    assert {"seed", "read.kind", "scan.neighbours"} <= keys
    assert keys == set(_OPTIONS)


def test_a_copied_command_makes_the_same_recipe_to_the_last_digit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    third, made = 1.0 / 3.0, []
    values: dict[str, Any] = {
        "input": str(tmp_path / "scan.mib"),
        "phases": ["nmc811-o3", "lif"],
        "min_probability": third,
        "seed": 3,
        "read": {"kind": "scan", "energy_kev": 100 * third, "step_inv_a": third, "centre_px": [63 + third, 64.0],
                 "scan_shape": [7, 9], "scan_step_nm": third, "pixel_size_a": third, "frame_time_s": third,
                 "dose_rate_e_per_a2_s": third, "frames": [1, 5]},
        "region": {"roi": [[0, 4], [1, 5]], "roi_mask": str(tmp_path / "mask.png"),
                   "strain_reference": [[0, 2], [1, 3]]},
        "scan": {"annulus_inv_a": [third, 2 * third], "template": "counts", "denoise": "none", "neighbours": True,
                 "lookalikes": f"nio,{tmp_path / 'mine.cif'}"},
        "micrograph": {"detector": "net"},
    }  # fmt: skip
    (tmp_path / "scan.mib").write_bytes(b"")
    recipe = parse_recipe(values)
    assert set(changes(recipe)) == set(_OPTIONS)
    monkeypatch.setattr("friedel.cli.map._run", lambda recipe, *args, **kwargs: made.append(recipe))
    done = CliRunner().invoke(app, shlex.split(command_of(recipe, tmp_path / "run"))[1:])
    assert done.exit_code == 0, done.output
    assert made == [recipe]


def test_a_copied_command_has_the_option_of_every_setting(tmp_path: Path) -> None:
    scan = {"neighbours": True, "lookalikes": "nio", "template": "counts"}
    recipe = parse_recipe({"input": "/data/scan.mib", "phases": ["nmc811-o3", "lif"], "scan": scan})
    words = shlex.split(command_of(recipe, tmp_path / "run"))
    assert words[:5] == ["friedel", "map", "/data/scan.mib", "--phases", "nmc811-o3,lif"]
    options = words[5 : words.index("--out")]
    assert sorted(options) == sorted(["--neighbours", "--lookalikes", "nio", "--template", "counts"])
    assert options[options.index("--lookalikes") + 1] == "nio"
