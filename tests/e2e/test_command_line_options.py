"""Each option does what it says."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr
from typer.testing import Result

from friedel.core.images import Micrograph, PatternScan
from friedel.core.phase_map import PhaseMap

Friedel = Callable[..., Result]
ResultsOf = Callable[[Path], dict[str, bytes]]
NMC = ("--phases", "nmc811-o3,nmc811-o1")
BARE = ("--scan-shape", "8,10", "--step-inv-a", "0.022", "--scan-step-nm", "2", "--energy-kev", "300")


def summary_of(run: Path) -> dict[str, object]:
    return dict(json.loads((run / "summary.json").read_text(encoding="utf-8")))


def labels_of(run: Path) -> np.ndarray:
    return np.asarray(zarr.open_group(run / "phase_map.zarr", mode="r")["label"][...])


def test_scan_map_agrees_with_its_truth(scan_run: Path, simulated_scan: tuple[PatternScan, PhaseMap]) -> None:
    truth = simulated_scan[1].labels()
    assert np.mean(labels_of(scan_run) == truth) >= 0.9
    assert not labels_of(scan_run)[truth == 0].any()


def test_micrograph_map_finds_each_phase_where_it_is(
    micrograph_run: Path, simulated_micrograph: tuple[Micrograph, PhaseMap]
) -> None:
    truth, label = simulated_micrograph[1].presence > 0.5, labels_of(micrograph_run)
    for bit, name in enumerate(simulated_micrograph[1].phases):
        named = ((label >> bit) & 1).astype(bool)
        assert named[truth[..., bit]].mean() > 2 * named[~truth[..., bit]].mean(), name


def test_json_prints_the_summary_as_one_line_and_nothing_else(done: Friedel, scan_file: Path, tmp_path: Path) -> None:
    result = done("map", scan_file, *NMC, "--out", tmp_path / "run", "--json", "--min-probability", "0.9")
    assert result.stdout.count("\n") == 1
    assert result.stderr == ""
    printed = json.loads(result.stdout)
    assert printed.pop("run") == str(tmp_path / "run")
    assert printed == summary_of(tmp_path / "run")


def test_recipe_and_options_together_let_the_options_win(
    done: Friedel, scan_run: Path, scan_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    result = done("map", scan_file, "--recipe", scan_run / "recipe.toml", "--min-probability", "0.999", "--quiet",
                  "--seed", "3", "--out", out)  # fmt: skip
    assert result.output == ""
    old, new = (tomllib.loads((run / "recipe.toml").read_text(encoding="utf-8")) for run in (scan_run, out))
    assert new == old | {"min_probability": 0.999, "seed": 3}
    root = zarr.open_group(out / "phase_map.zarr", mode="r")
    assert root.attrs["min_probability"] == 0.999
    np.testing.assert_array_equal(root["label"][...] & 1, root["presence"][..., 0] >= 0.999)
    assert summary_of(out)["fractions"] != summary_of(scan_run)["fractions"]


def test_running_the_recipe_of_a_run_gives_the_same_bits(
    done: Friedel, scan_run: Path, micrograph_run: Path, results_of: ResultsOf, tmp_path: Path
) -> None:
    for run in (scan_run, micrograph_run):
        done("run", run / "recipe.toml", "--out", tmp_path / run.name, "--quiet")
        assert results_of(tmp_path / run.name) == results_of(run)
    assert (tmp_path / "micrograph" / "components.csv").read_bytes() == (micrograph_run / "components.csv").read_bytes()


def test_options_supply_what_a_bare_file_lacks(
    done: Friedel, bare_scan_file: Path, scan_run: Path, tmp_path: Path
) -> None:
    done("map", bare_scan_file, *NMC, *BARE, "--out", tmp_path / "run", "--quiet")
    calibration = summary_of(tmp_path / "run")["calibration"]
    assert calibration["step_inv_a"] == {"value": [0.022, 0.022], "source": "user", "relative_sigma": 0.005}
    assert calibration["scan_step_a"]["value"] == [20.0, 20.0]
    assert np.mean(labels_of(tmp_path / "run") == labels_of(scan_run)) >= 0.95


def test_stated_centre_is_kept(done: Friedel, bare_scan_file: Path, scan_run: Path, tmp_path: Path) -> None:
    done("map", bare_scan_file, *NMC, *BARE, "--centre", "47.5,47.5", "--out", tmp_path / "run", "--quiet")
    assert summary_of(tmp_path / "run")["calibration"]["centre_px"]["value"] == [47.5, 47.5]
    assert np.mean(labels_of(tmp_path / "run") == labels_of(scan_run)) >= 0.9


def test_stated_scale_overrides_the_file_and_its_error_is_told(done: Friedel, scan_file: Path, tmp_path: Path) -> None:
    done("map", scan_file, *NMC, "--step-inv-a", "0.0224", "--out", tmp_path / "run", "--quiet")
    summary = summary_of(tmp_path / "run")
    assert summary["calibration"]["step_inv_a"]["source"] == "user"
    assert summary["calibration"]["scale"]["value"] == pytest.approx(0.0224 / 0.022, abs=0.004)
    assert any("check --step-inv-a" in warning for warning in summary["warnings"])


def test_rectangle_maps_only_that_part(
    done: Friedel, scan_file: Path, simulated_scan: tuple[PatternScan, PhaseMap], tmp_path: Path
) -> None:
    done("map", scan_file, *NMC, "--roi", "1:6,2:9", "--out", tmp_path / "run", "--quiet")
    truth = simulated_scan[1].labels()[1:6, 2:9]
    assert labels_of(tmp_path / "run").shape == (5, 7)
    assert np.mean(labels_of(tmp_path / "run") == truth) >= 0.85
    assert zarr.open_group(tmp_path / "run" / "phase_map.zarr", mode="r").attrs["roi"] == [[1, 6], [2, 9]]


def test_mask_leaves_other_positions_invalid(done: Friedel, scan_file: Path, tmp_path: Path) -> None:
    mask = np.zeros((8, 10), dtype=np.uint8)
    mask[2:7, 1:8] = 255
    mask[4, 4] = 0
    np.save(tmp_path / "mask.npy", mask)
    done("map", scan_file, *NMC, "--roi-mask", tmp_path / "mask.npy", "--out", tmp_path / "run", "--quiet")
    root = zarr.open_group(tmp_path / "run" / "phase_map.zarr", mode="r")
    np.testing.assert_array_equal(root["valid"][...], mask[2:7, 1:8] != 0)
    assert root["label"][2, 3] == 0
    assert summary_of(tmp_path / "run")["n_positions"] == 34


def test_an_image_that_its_scale_alone_makes_a_pattern_is_told(
    done: Friedel, refused: Callable[..., str], simulated_scan: tuple[PatternScan, PhaseMap], tmp_path: Path
) -> None:
    """Its first lines tell the user of a micrograph who passed --step-inv-a what to pass in its place."""
    np.save(tmp_path / "image.npy", np.asarray(simulated_scan[0].data)[4, 5])
    command = ("map", tmp_path / "image.npy", *NMC, "--step-inv-a", "0.022", "--template", "hexagon", "--out")
    said = done(*command, tmp_path / "run").stderr.splitlines()[0]
    assert said.startswith("warning: The image is taken for a diffraction pattern, since")
    assert "If it is a micrograph, pass --pixel-size-a instead" in said
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "The image is taken for a diffraction pattern" in page
    assert "taken for" not in done(*command, tmp_path / "stated", "--kind", "scan").stderr
    said = refused(*command, tmp_path / "far", "--step-inv-a", "0.37")
    assert "farther than any camera" in said
    assert "If it is a micrograph, pass --pixel-size-a instead" in said


def test_options_of_another_kind_of_input_are_told(
    done: Friedel, scan_file: Path, micrograph_file: Path, tmp_path: Path
) -> None:
    wrong = ("--dose-rate", "160", "--detector", "net")
    told = done("map", scan_file, *NMC, *wrong, "--annulus-inv-a", "0.3,0.75", "--out", tmp_path / "scan").stderr
    assert "warning: --detector, --dose-rate do nothing here: the input is a scan.\n" in told
    assert "--annulus-inv-a" not in told
    one = ("map", micrograph_file, "--phases", "lif", "--template", "counts", "--detector", "cfar", "--json")
    [warning] = json.loads(done(*one, "--out", tmp_path / "one").stdout)["warnings"][-1:]
    assert warning == "--template does nothing here: the input is a micrograph."
    many = ("map", str(micrograph_file.parent / "sei*.mrc"), "--phases", "lif", "--denoise", "none")
    assert "warning: --denoise does nothing here" in done(*many, "--out", tmp_path / "many").stderr


def test_a_micrograph_asks_for_no_network_of_scans(done: Friedel, micrograph_file: Path, tmp_path: Path) -> None:
    told = done("map", micrograph_file, "--phases", "lif", "--denoise", "nosuch", "--out", tmp_path / "run").stderr
    assert "warning: --denoise does nothing here" in told


def test_rectangle_of_a_micrograph_maps_only_that_part(done: Friedel, micrograph_file: Path, tmp_path: Path) -> None:
    done("map", micrograph_file, "--phases", "lif,li2o", "--roi", "10:200,40:250", "--out", tmp_path / "run", "--quiet")
    assert labels_of(tmp_path / "run").shape == (190, 210)


def test_stated_pixel_size_overrides_the_file(done: Friedel, micrograph_file: Path, tmp_path: Path) -> None:
    done("map", micrograph_file, "--phases", "lif", "--pixel-size-a", "0.36", "--out", tmp_path / "run", "--quiet")
    entry = summary_of(tmp_path / "run")["calibration"]["pixel_size_a"]
    assert entry == {"value": [0.36, 0.36], "source": "user", "relative_sigma": 0.005}


def test_annulus_keeps_spots_inside(done: Friedel, scan_file: Path, tmp_path: Path) -> None:
    done("map", scan_file, *NMC, "--annulus-inv-a", "0.38,0.75", "--out", tmp_path / "run", "--quiet")
    k = zarr.open_group(tmp_path / "run" / "spots.zarr", mode="r")["k_inv_a"][...]
    assert (np.abs(np.hypot(*k.T) - 0.565) < 0.185 + 0.022).all()


def test_cif_file_is_a_phase_beside_those_of_the_library(done: Friedel, scan_file: Path, tmp_path: Path) -> None:
    cif = tmp_path / "oblong.cif"
    cif.write_text(
        "data_x\n_cell_length_a 3.9\n_cell_length_b 4.4\n_cell_length_c 5.3\n_cell_angle_alpha 90\n"
        "_cell_angle_beta 90\n_cell_angle_gamma 90\n_space_group_name_H-M_alt 'P m m m'\nloop_\n_atom_site_label\n"
        "_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\nPo1 0 0 0\n"
    )
    done("map", scan_file, "--phases", f"{cif},nmc811-o3,nmc811-o1", "--out", tmp_path / "run", "--quiet")
    summary = summary_of(tmp_path / "run")
    assert summary["phases"] == ["oblong", "nmc811-o3", "nmc811-o1"]
    assert summary["fractions"]["oblong"] <= 0.1
    assert str(cif) in json.loads((tmp_path / "run" / "provenance.json").read_text(encoding="utf-8"))["inputs_sha256"]
    beside = tmp_path / "beside"
    options = ("--phases", "nmc811-o3,nmc811-o1", "--lookalikes", f"nio, {cif}", "--template", "lattice", "--quiet")
    done("map", scan_file, *options, "--out", beside)
    assert str(cif) in json.loads((beside / "provenance.json").read_text(encoding="utf-8"))["inputs_sha256"]
    assert "named in their place: nio, oblong" in (beside / "report.html").read_text(encoding="utf-8")


def test_wrong_usage_exits_with_two(friedel: Friedel, scan_file: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "run")
    for arguments in (
        ("map", scan_file, *NMC),
        ("map", *out),
        ("map", scan_file, *NMC, *out, "--roi", "1:5"),
        ("map", scan_file, *NMC, *out, "--centre", "1"),
        ("map", scan_file, *NMC, *out, "--scan-shape", "8x10"),
        ("map", scan_file, *NMC, *out, "--jobs", "0"),
        ("map", scan_file, *NMC, *out, "--no-such-option"),
        ("map", scan_file, "--phases", ",", *out),
        ("no-such-verb",),
    ):
        result = friedel(*arguments)
        assert result.exit_code == 2, arguments
        assert "Traceback" not in result.output
    assert not (tmp_path / "run").exists()


def test_program_on_the_path_notes_its_command_line(micrograph_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = ("map", str(micrograph_file), "--phases", "lif", "--roi", "0:64,0:64", "--out", str(out))
    program = Path(sys.executable).with_name("friedel")
    result = subprocess.run([program, *command], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.rstrip().endswith(str(out / "report.html"))
    assert "%" in result.stdout
    facts = json.loads((out / "provenance.json").read_text(encoding="utf-8"))
    assert facts["command"] == ["friedel", *command]


def test_info_tells_what_is_missing_and_which_option_supplies_it(done: Friedel, bare_scan_file: Path) -> None:
    facts = json.loads(done("info", bare_scan_file, "--json").stdout)
    assert facts["shape"] == [80, 96, 96]
    assert ["pixel size", "--pixel-size-a"] in facts["missing"]
    assert "--energy-kev" in done("info", bare_scan_file).stdout


def test_new_recipe_is_good_and_runs(done: Friedel, micrograph_file: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    done("recipe", "new", recipe, "--input", micrograph_file, "--phases", "lif,li2o")
    done("recipe", "check", recipe)
    done("run", recipe, "--out", tmp_path / "run", "--quiet")
    assert summary_of(tmp_path / "run")["phases"] == ["lif", "li2o"]


def test_single_steps_write_what_the_whole_run_writes(
    done: Friedel, scan_file: Path, scan_run: Path, tmp_path: Path
) -> None:
    ring = zarr.open_group(scan_run / "phase_map.zarr", mode="r").attrs["annulus_inv_a"]
    annulus = ("--annulus-inv-a", ",".join(map(repr, ring)))
    done("spots", scan_file, *annulus, "--out", tmp_path / "spots.zarr")
    done("virtual", scan_file, *annulus, "--out", tmp_path / "virtual.npy")
    found, known = (zarr.open_group(path, mode="r") for path in (tmp_path / "spots.zarr", scan_run / "spots.zarr"))
    np.testing.assert_array_equal(found["k_inv_a"][...], known["k_inv_a"][...])
    annular = zarr.open_group(scan_run / "phase_map.zarr", mode="r")["annular"][...]
    np.testing.assert_allclose(np.load(tmp_path / "virtual.npy"), annular, rtol=1e-6)


def test_reference_of_strain_and_neighbours_go_into_the_recipe_and_the_run(
    done: Friedel, scan_file: Path, tmp_path: Path
) -> None:
    options = ("--strain-reference", "0:6,0:4", "--neighbours", "--template", "hexagon", "--denoise", "none")
    done("map", scan_file, *NMC, "--out", tmp_path / "run", *options)
    recipe = tomllib.loads((tmp_path / "run" / "recipe.toml").read_text(encoding="utf-8"))
    assert recipe["region"]["strain_reference"] == [[0, 6], [0, 4]]
    assert recipe["scan"]["neighbours"] is True
    store = zarr.open_group(tmp_path / "run" / "phase_map.zarr", mode="r")
    assert store.attrs["strain_reference"] == [[0, 6], [0, 4]]
    assert {"strain_xx", "d_spacing_a", "presence_neighbours"} <= set(store.array_keys())
