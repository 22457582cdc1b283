"""A recipe is strict: every mistake is named by its key, and what is written reads back the same."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from friedel.core.errors import CrystalError, RecipeError
from friedel.pipeline.recipe import (
    Recipe,
    dump_recipe,
    files_of,
    load_recipe,
    load_values,
    parse_recipe,
    phases_of,
    schema,
)

PLAIN: dict[str, Any] = {"input": "scan.zarr", "phases": ["lif", "li2o"]}


def nested(key: str, value: Any) -> dict[str, Any]:
    """Plain values with one more, at a dotted key."""
    values = dict(PLAIN)
    *sections, last = key.split(".")
    inner = values
    for section in sections:
        inner = inner.setdefault(section, {})
    inner[last] = value
    return values


@pytest.mark.parametrize(
    "key", ["phase", "scan.anulus_inv_a", "scan.detector.sigma", "region.mask", "read.pixel_size_nm", "micrograph.x"]
)
def test_unknown_key_is_named(key: str) -> None:
    with pytest.raises(RecipeError, match=key):
        parse_recipe(nested(key, 1))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("input", 3), ("phases", "lif"), ("min_probability", "0.5"), ("seed", 1.5), ("seed", True), ("format", "1"),
        ("scan.annulus_inv_a", 0.4), ("scan.annulus_inv_a", [0.4]), ("scan.template", "square"), ("scan.template", 1),
        ("scan.hexagon.min_vertices", "three"), ("scan.lattice.max_grains", 1.5), ("read.energy_kev", "200 kV"),
        ("read.scan_shape", [4.5, 3]), ("region.roi", [1, 2, 3, 4]),
    ],
)  # fmt: skip
def test_wrong_type_is_named_and_never_coerced(key: str, value: Any) -> None:
    with pytest.raises(RecipeError, match=key):
        parse_recipe(nested(key, value))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("min_probability", 0.0), ("min_probability", 1.5), ("seed", -1), ("format", 2), ("phases", []),
        ("scan.detector.sigma_inv_a", -0.1), ("scan.detector.ratio", 1.0), ("scan.detector.max_false_alarms", 0.0),
        ("scan.hexagon.tolerance_inv_a", 0.0), ("scan.hexagon.min_vertices", 9), ("scan.lattice.max_index", 0),
    ],
)  # fmt: skip
def test_wrong_range_is_named(key: str, value: Any) -> None:
    with pytest.raises(RecipeError, match=key.split(".")[-1]):
        parse_recipe(nested(key, value))


@pytest.mark.parametrize("key", ["input", "phases"])
def test_missing_key_is_named(key: str) -> None:
    with pytest.raises(RecipeError, match=key):
        parse_recipe({name: value for name, value in PLAIN.items() if name != key})


def test_every_mistake_is_told_at_once() -> None:
    with pytest.raises(RecipeError, match=r"(?s)mine\.toml.*phse.*seed|mine\.toml.*seed.*phse"):
        parse_recipe({**PLAIN, "phse": 1, "seed": -1}, "mine.toml")


def test_written_recipe_reads_back_the_same() -> None:
    values: dict[str, Any] = {
        **PLAIN,
        "seed": 7,
        "min_probability": 0.25,
        "read": {"energy_kev": 300.0, "centre_px": [63.5, 64.25], "scan_shape": [4, 5], "kind": "scan"},
        "region": {"roi": [[1, 3], [0, 4]]},
        "scan": {"annulus_inv_a": [0.3, 0.8], "template": "lattice", "detector": {"max_false_alarms": 1e-3}},
    }
    recipe = parse_recipe(values)
    text = dump_recipe(recipe)
    again = parse_recipe(tomllib.loads(text))
    assert again == recipe
    assert dump_recipe(again) == text
    assert (recipe.scan.annulus_inv_a, recipe.region.roi, recipe.read.centre_px) == (
        (0.3, 0.8), ((1, 3), (0, 4)), (63.5, 64.25))  # fmt: skip


def test_every_default_is_written_out() -> None:
    written = tomllib.loads(dump_recipe(parse_recipe(PLAIN)))
    assert written["min_probability"] == 0.5
    assert written["scan"]["hexagon"]["min_vertices"] == 3
    assert written["scan"]["lattice"]["max_grains"] == 4
    assert written["scan"]["detector"]["method"] == "dog"
    assert "micrograph" in written


def test_paths_in_a_file_are_relative_to_it_and_names_of_phases_are_not_paths(tmp_path: Path) -> None:
    folder = tmp_path / "recipes"
    folder.mkdir()
    path = folder / "a.toml"
    path.write_text(
        'input = "../data/scan.mib"\nphases = ["lif", "mine.CIF", "/abs/other.cif"]\n[region]\nroi_mask = "mask.png"\n'
        '[scan]\nlookalikes = "nio, spinel.cif"\ndenoise = "mine.onnx"\n[micrograph]\nsegmenter = "denoiser"\n'
    )
    recipe = load_recipe(path)
    assert Path(recipe.input).resolve() == (tmp_path / "data" / "scan.mib").resolve()
    assert recipe.phases == ("lif", str(folder.resolve() / "mine.CIF"), "/abs/other.cif")
    assert recipe.region.roi_mask == str(folder.resolve() / "mask.png")
    assert recipe.scan.lookalikes == f"nio,{folder.resolve() / 'spinel.cif'}"
    assert recipe.scan.denoise == str(folder.resolve() / "mine.onnx")
    assert recipe.micrograph.segmenter == "denoiser"
    assert files_of(recipe) == (recipe.input, *recipe.phases[1:], recipe.scan.lookalikes[4:], recipe.region.roi_mask)


def test_wrong_names_of_phases_and_lookalikes_are_told_before_anything_is_done() -> None:
    assert phases_of(parse_recipe(PLAIN)).names == ("lif", "li2o")
    assert phases_of(parse_recipe({**PLAIN, "scan": {"lookalikes": "nio"}})).names == ("lif", "li2o")
    for scan, phases in (({"lookalikes": "nix"}, ["lif"]), ({"lookalikes": "nio, lif"}, ["lif"]), ({}, ["lifx"])):
        with pytest.raises(CrystalError):
            phases_of(parse_recipe({**PLAIN, "phases": phases, "scan": scan}))


def test_broken_missing_and_huge_files_are_recipe_errors(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("input = \n")
    with pytest.raises(RecipeError, match=r"broken\.toml.*not valid TOML"):
        load_values(broken)
    with pytest.raises(RecipeError, match=r"is a folder\. .* recipe\.toml in its folder"):
        load_recipe(tmp_path)
    with pytest.raises(RecipeError, match=r"min_probability: .* less than or equal to 1, got 50\."):
        parse_recipe({"input": "x", "phases": ["lif"], "min_probability": 50})
    with pytest.raises(RecipeError, match=r"none\.toml: cannot be read"):
        load_values(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match="not valid TOML"):
        load_values(tmp_path / "binary.toml")
    (tmp_path / "huge.toml").write_bytes(b"#" * (2 << 20))
    with pytest.raises(RecipeError, match="too many"):
        load_values(tmp_path / "huge.toml")


def test_schema_describes_every_section() -> None:
    described = schema()
    assert set(described["properties"]) == set(Recipe.model_fields)
    assert described["additionalProperties"] is False
    assert set(described["required"]) == {"input", "phases"}
