"""Many files with one recipe: failures stay alone, tables compare, runs resume, and jobs change nothing."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from friedel.core.grids import RealGrid
from friedel.core.images import Micrograph
from friedel.io import write_micrograph
from friedel.pipeline.batches import batch
from friedel.pipeline.batches.batch import BatchEntry, finished_summary, folder_names
from friedel.pipeline.recipe import Recipe, load_recipe, parse_recipe
from friedel.pipeline.run import RunOptions

Friedel = Callable[..., Result]
OPTIONS = ("--phases", "lif,li2o", "--quiet")


def fringes(d_a: float, seed: int) -> Micrograph:
    """Noise with two sets of fringes at right angles, as a crystal of LiF along [001] makes them."""
    y, x = np.mgrid[:128, :128] * 0.4
    rng = np.random.default_rng(seed)
    wave = np.cos(2 * np.pi * x / d_a) + np.cos(2 * np.pi * y / d_a)
    return Micrograph(rng.poisson(50 * (1 + 0.2 * wave)).astype(np.uint16), RealGrid((0.4, 0.4)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("samples")
    for name, d_a in (("a", 2.013), ("b", 1.92), ("c", 2.013)):
        write_micrograph(where / f"{name}.mrc", fringes(d_a, ord(name)))
    (where / "broken.mrc").write_bytes(b"MAP " * 300)
    return where


@pytest.fixture(scope="module")
def finished(folder: Path, friedel: Friedel, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    out = tmp_path_factory.mktemp("batch") / "all"
    return out, friedel("map", folder / "*.mrc", *OPTIONS, "--out", out)


def rows_of(out: Path) -> dict[str, dict[str, str]]:
    return {row["name"]: row for row in csv.DictReader((out / "batch.csv").read_text(encoding="utf-8").splitlines())}


def test_one_bad_file_is_told_and_does_not_stop_the_rest(finished: tuple[Path, Result], folder: Path) -> None:
    out, result = finished
    assert result.exit_code == 1
    told = result.stderr.splitlines()
    assert [line for line in told if line.startswith("failed: ")] == [told[0]]
    assert told[0].count(str(folder / "broken.mrc")) == 1
    assert told[-1].startswith("error: 1 of 4 files could not be mapped")
    assert {name: row["status"] for name, row in rows_of(out).items()} == {
        "a": "mapped", "b": "mapped", "broken": "failed", "c": "mapped",
    }  # fmt: skip
    assert {path.name for path in out.iterdir()} == {"a", "b", "c", "batch.csv", "report.html"}


def test_table_and_report_compare_the_samples(finished: tuple[Path, Result]) -> None:
    out, _ = finished
    rows = rows_of(out)
    for name in "abc":
        summary = json.loads((out / name / "summary.json").read_text(encoding="utf-8"))
        assert float(rows[name]["fraction lif"]) == summary["fractions"]["lif"]
        assert int(rows[name]["n_spots"]) == summary["n_spots"]
    assert float(rows["a"]["fraction lif"]) > 0.5
    assert rows["broken"]["error"]
    assert rows["broken"]["fraction lif"] == ""
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "3 of 4 files are mapped; 1 failed." in page
    assert '<a href="./a/report.html">a</a>' in page
    assert "What failed" in page
    assert "refresh" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_jobs_change_nothing_and_json_tells_one_line_per_file(
    finished: tuple[Path, Result], folder: Path, friedel: Friedel, tmp_path: Path,
    results_of: Callable[[Path], dict[str, bytes]],
) -> None:  # fmt: skip
    out = tmp_path / "all"
    files = [folder / f"{name}.mrc" for name in ("a", "broken", "b")]
    result = friedel("map", *files, "--phases", "lif,li2o", "--json", "--out", out, "--jobs", 2)
    assert result.exit_code == 1
    assert list(rows_of(out)) == ["a", "broken", "b"]
    for name in "ab":
        assert results_of(out / name) == results_of(finished[0] / name)
    told = {Path(line["input"]).stem: line for line in map(json.loads, result.stdout.splitlines())}
    assert set(told) == {"a", "b", "broken"}
    assert "lif" in told["a"]["fractions"]
    assert told["broken"]["error"]


def test_resume_keeps_what_is_finished_and_maps_what_changed(
    finished: tuple[Path, Result], folder: Path, done: Friedel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    out, file = tmp_path / "all", tmp_path / "b.mrc"
    file.write_bytes((folder / "b.mrc").read_bytes())
    done("map", folder / "a.mrc", file, *OPTIONS, "--out", out)
    mapped: list[str] = []
    true_run = batch.run_recipe

    def noted(recipe, *arguments, **more):
        mapped.append(Path(recipe.input).name)
        return true_run(recipe, *arguments, **more)

    monkeypatch.setattr(batch, "run_recipe", noted)
    done("map", folder / "a.mrc", file, *OPTIONS, "--out", out, "--resume")
    assert mapped == []
    file.write_bytes((folder / "c.mrc").read_bytes())
    done("map", folder / "a.mrc", file, *OPTIONS, "--out", out, "--resume")
    assert mapped == ["b.mrc"]
    recipe = load_recipe(out / "a" / "recipe.toml")
    assert finished_summary(out / "a", recipe) is not None
    assert finished_summary(out / "a", recipe.model_copy(update={"min_probability": 0.6})) is None


def test_a_process_that_is_killed_takes_only_its_own_file_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "run_one", die_on_b)
    recipes = {name: parse_recipe({"input": f"/{name}", "phases": ["lif"]}) for name in "abc"}
    entries = batch.run_batch(recipes, tmp_path / "all", RunOptions(jobs=2))
    assert [entry.name for entry in entries] == ["a", "b", "c"]
    assert ["process was killed" in entry.error for entry in entries] == [False, True, False]


def die_on_b(name: str, recipe: Recipe, *_: object) -> BatchEntry:
    if name == "b":
        os._exit(9)
    return BatchEntry(name, recipe.input, None, "not mapped in this test")


def test_pattern_that_fits_nothing_and_folder_of_a_single_run_are_refused(
    folder: Path, refused: Callable[..., str], finished: tuple[Path, Result], tmp_path: Path
) -> None:
    assert "no file fits" in refused("map", folder / "*.dm4", "--phases", "lif", "--out", tmp_path / "x")
    assert "run of a single file" in refused("map", folder / "[ab].mrc", *OPTIONS, "--out", finished[0] / "a")
    (tmp_path / "report.html").write_text("my own")
    assert "no batch made it" in refused("map", folder / "[ab].mrc", *OPTIONS, "--out", tmp_path)
    assert (tmp_path / "report.html").read_text() == "my own"


@pytest.mark.parametrize("words", [("map", "a.mrc", "b.mrc"), ("watch", ".")], ids=lambda words: words[0])
def test_phase_that_is_not_known_is_told_once_before_anything_begins(
    refused: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    said = refused(*words, "--phases", "lfi", "--out", "runs")
    assert said.startswith("error: 'lfi'")
    assert list(tmp_path.iterdir()) == []


def test_files_of_one_name_get_folders_of_their_own() -> None:
    files = [Path("/x/a.mrc"), Path("/y/a.mrc"), Path("/x/a.tif"), Path("/z/a.mrc"), Path("/x/batch.csv")]
    assert folder_names(files) == ["a", "a.mrc", "a.tif", "a.mrc-2", "batch"]
    assert folder_names(files[:2], {"a": "/y/a.mrc"}) == ["a.mrc", "a"]
