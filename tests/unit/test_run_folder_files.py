from __future__ import annotations

import csv
import hashlib
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import zarr

from friedel.core.errors import DataError, FileError, RunFolderError
from friedel.core.grids import RealGrid
from friedel.core.phase_map import PhaseMap
from friedel.core.spots import Spots
from friedel.pipeline.runs import files as run_files
from friedel.pipeline.runs.files import (
    COMPONENT_COLUMNS,
    EVOLUTION_COLUMNS,
    Summary,
    load_phase_map,
    load_spots,
    load_summary,
    write_components,
    write_evolution,
    write_phase_map,
    write_provenance,
    write_spots,
    write_summary,
)
from friedel.pipeline.runs.provenance import code_sha256, collect_provenance, sha256_of, sha256_of_text


def a_map(seed: int = 0, shape: tuple[int, int] = (5, 7), grid: RealGrid | None = None) -> PhaseMap:
    rng = np.random.default_rng(seed)
    valid = np.ones(shape, dtype=bool)
    valid[0, 1] = False
    return PhaseMap(("O3", "O1"), rng.random((*shape, 2), dtype=np.float32), valid, grid)


def some_spots() -> Spots:
    rng = np.random.default_rng(1)
    offsets = np.array([0, 3, 3, 4, 9, 9, 11])
    return Spots(rng.random((11, 2)), rng.random((11, 2)), rng.random(11), rng.random(11), offsets, (2, 3))


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("grid", [None, RealGrid((20.0, 21.0), "user", 0.01)])
def test_phase_map_comes_back_as_written(tmp_path: Path, grid: RealGrid | None) -> None:
    phase_map = a_map(grid=grid)
    write_phase_map(tmp_path / "phase_map.zarr", phase_map, min_probability=0.4)
    back = load_phase_map(tmp_path)
    assert back.phases == phase_map.phases
    assert back.grid == phase_map.grid
    assert back.presence.dtype == np.float32
    np.testing.assert_array_equal(back.presence, phase_map.presence)
    np.testing.assert_array_equal(back.valid, phase_map.valid)


def test_phase_map_store_keeps_the_promised_names_types_and_attributes(tmp_path: Path) -> None:
    phase_map = a_map(grid=RealGrid((20.0, 21.0)))
    amplitude = np.arange(70.0).reshape(5, 7, 2)
    write_phase_map(
        tmp_path / "m.zarr", phase_map, min_probability=0.4, extra={"amplitude": amplitude}, attributes={"step_px": 8}
    )
    root = zarr.open_group(tmp_path / "m.zarr", mode="r")
    assert root.metadata.zarr_format == 3
    assert (root["presence"].shape, root["presence"].dtype) == ((5, 7, 2), np.float32)
    assert (root["label"].shape, root["label"].dtype) == ((5, 7), np.uint32)
    assert (root["valid"].shape, root["valid"].dtype) == ((5, 7), np.bool_)
    np.testing.assert_array_equal(root["label"][...], phase_map.labels(0.4))
    np.testing.assert_array_equal(root["amplitude"][...], amplitude)
    assert root.attrs["phases"] == ["O3", "O1"]
    assert root.attrs["min_probability"] == 0.4
    assert root.attrs["step_px"] == 8
    assert root.attrs["scale"]["step_a"] == [20.0, 21.0]


def test_equal_maps_and_spots_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_phase_map(tmp_path / name / "m.zarr", a_map(shape=(300, 400)), min_probability=0.5)
        write_spots(tmp_path / name / "s.zarr", some_spots())
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")
    assert len(bytes_of(tmp_path / "a")) > 5


def test_every_frame_of_a_series_comes_back_alone(tmp_path: Path) -> None:
    frames = [a_map(seed) for seed in range(3)]
    write_phase_map(tmp_path / "phase_map.zarr", frames, min_probability=0.5)
    assert zarr.open_group(tmp_path / "phase_map.zarr", mode="r")["label"].shape == (3, 5, 7)
    for i, frame in enumerate(frames):
        np.testing.assert_array_equal(load_phase_map(tmp_path, i).presence, frame.presence)
    with pytest.raises(RunFolderError, match="frame 0 to 2"):
        load_phase_map(tmp_path)
    with pytest.raises(RunFolderError, match="frame 0 to 2"):
        load_phase_map(tmp_path, 3)


def test_frames_that_differ_in_shape_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="frame 1"):
        write_phase_map(tmp_path / "m.zarr", [a_map(), a_map(shape=(5, 8))], min_probability=0.5)


@pytest.mark.parametrize("spots", [some_spots(), Spots.empty()], ids=["some", "none"])
def test_spots_come_back_as_written(tmp_path: Path, spots: Spots) -> None:
    write_spots(tmp_path / "spots.zarr", spots, extra={"phase": np.arange(len(spots), dtype=np.int16)})
    back = load_spots(tmp_path)
    assert back.scan_shape == spots.scan_shape
    for name in ("k_inv_a", "sigma_inv_a", "intensity", "snr", "offsets"):
        np.testing.assert_array_equal(getattr(back, name), getattr(spots, name))


def test_missing_or_damaged_files_of_a_run_are_errors_that_name_them(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"nowhere does not exist\. .* or the truth"):
        load_phase_map(tmp_path / "nowhere")
    with pytest.raises(RunFolderError, match=r"holds no phase map.*or the truth"):
        load_phase_map(tmp_path)
    with pytest.raises(RunFolderError, match=r"summary\.json does not exist"):
        load_summary(tmp_path)
    write_spots(tmp_path / "spots.zarr", some_spots())
    (tmp_path / "spots.zarr" / "snr" / "zarr.json").write_text("{")
    with pytest.raises(RunFolderError, match=r"spots\.zarr cannot be read"):
        load_spots(tmp_path)


def test_summary_is_strict_json_and_comes_back(tmp_path: Path) -> None:
    summary = Summary(
        kind="scan",
        phases=("O3", "O1"),
        fractions=a_map().fractions(),
        calibration={"step_inv_a": {"value": np.float64(0.022), "source": "fitted", "relative_sigma": float("nan")}},
        n_positions=35,
        n_spots=11,
        warnings=("41 of 65536 patterns had fewer than 3 spots.",),
        timing_s={"spots": 1.5},
    )
    write_summary(tmp_path / "summary.json", summary)
    raw = json.loads((tmp_path / "summary.json").read_text(), parse_constant=pytest.fail)
    assert set(raw) == {
        "kind", "phases", "fractions", "calibration", "n_positions", "n_spots", "warnings", "timing_s",
    }  # fmt: skip
    assert raw["calibration"]["step_inv_a"] == {"value": 0.022, "source": "fitted", "relative_sigma": None}
    assert load_summary(tmp_path).fractions == summary.fractions
    assert load_summary(tmp_path).warnings == summary.warnings


def test_phase_called_none_cannot_be_mistaken_for_no_phase() -> None:
    with pytest.raises(DataError, match="'none'"):
        Summary("scan", ("none",), {"none": 1.0, "mixed": 0.0}, {}, 1, 0)


def test_component_and_evolution_tables_have_the_promised_header(tmp_path: Path) -> None:
    row = dict.fromkeys(COMPONENT_COLUMNS, 1.5) | {"phase": "LiF|Li", "hkl": "-2 0 2|1 1 0", "probability": np.nan}
    write_components(tmp_path / "components.csv", [row])
    write_evolution(tmp_path / "evolution.csv", [dict.fromkeys(EVOLUTION_COLUMNS)])
    with (tmp_path / "components.csv").open(newline="") as file:
        (back,) = csv.DictReader(file)
    assert ",".join(back) == (
        "frame,phase,hkl,d_measured_a,d_sigma_a,d_reference_a,deviation_percent,probability,n_spots,feature_size_px,"
        "intensity"
    )
    assert (back["hkl"], back["probability"], back["frame"]) == ("-2 0 2|1 1 0", "", "1.5")
    assert (tmp_path / "evolution.csv").read_text().splitlines()[0] == (
        "frame,time_s,dose_e_per_a2,phase,intensity,area_nm2,fraction,d_measured_a"
    )


def test_large_arrays_are_cut_into_chunks_and_small_ones_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_files, "_CHUNK_BYTES", 3 * 7 * 2 * 4)
    write_phase_map(tmp_path / "phase_map.zarr", a_map(), min_probability=0.5)
    assert zarr.open_group(tmp_path / "phase_map.zarr", mode="r")["presence"].chunks == (3, 7, 2)
    np.testing.assert_array_equal(load_phase_map(tmp_path).presence, a_map().presence)


def test_frames_larger_than_a_chunk_may_be_are_cut_and_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_files, "_MAX_CHUNK_BYTES", 2 * 7 * 2 * 4)
    write_phase_map(tmp_path / "phase_map.zarr", [a_map(0), a_map(1)], min_probability=0.5)
    assert zarr.open_group(tmp_path / "phase_map.zarr", mode="r")["presence"].chunks == (1, 2, 7, 2)
    np.testing.assert_array_equal(load_phase_map(tmp_path, 1).presence, a_map(1).presence)


def test_hash_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    data = bytes(range(256)) * 40000
    (tmp_path / "f").write_bytes(data)
    seen: list[tuple[int, int]] = []
    assert sha256_of(tmp_path / "f", lambda done, total: seen.append((done, total))) == hashlib.sha256(data).hexdigest()
    assert seen[-1] == (len(data), len(data))
    assert len(seen) > 1


def test_hash_of_a_folder_is_what_the_documented_shell_command_prints(tmp_path: Path) -> None:
    (tmp_path / "b.d").mkdir()
    for name, text in (("b", "1"), ("b.d/ü", "2"), ("a b", ""), ("b.d/z", "3")):
        (tmp_path / name).write_text(text)
    command = r"find . -type f -printf '%P\n' | LC_ALL=C sort | xargs -d '\n' sha256sum | sha256sum"
    printed = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert sha256_of(tmp_path) == printed.split()[0]


def test_hash_of_a_folder_tells_a_renamed_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("same")
    before = sha256_of(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert sha256_of(tmp_path) != before


def test_missing_input_cannot_be_hashed(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such file"):
        sha256_of(tmp_path / "absent")


def test_code_is_told_apart_by_every_letter_name_and_table(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.py").write_text("x = 1\n")
    seen = [code_sha256(tmp_path)]
    (tmp_path / "sub" / "notes.txt").write_text("no code")
    (tmp_path / ".#a.py").symlink_to("somebody@here.1")  # as some editors lock files
    assert code_sha256(tmp_path) == seen[0]
    (tmp_path / "sub" / "a.py").write_text("x = 2\n")
    seen.append(code_sha256(tmp_path))
    (tmp_path / "sub" / "a.py").rename(tmp_path / "sub" / "b.py")
    seen.append(code_sha256(tmp_path))
    (tmp_path / "learned.json").write_text("{}")
    seen.append(code_sha256(tmp_path))
    assert len(set(seen)) == len(seen)


def test_provenance_names_recipe_inputs_versions_seed_and_a_time_in_utc(tmp_path: Path) -> None:
    provenance = collect_provenance("seed = 3\n", {"in.mib": "ab"}, seed=3, command=["friedel", "map"])
    write_provenance(tmp_path / "provenance.json", provenance)
    raw = json.loads((tmp_path / "provenance.json").read_text())
    assert raw["recipe_sha256"] == sha256_of_text("seed = 3\n")
    assert raw["inputs_sha256"] == {"in.mib": "ab"}
    assert raw["versions"]["numpy"] == np.__version__
    assert raw["seed"] == 3
    assert raw["time_utc"].endswith("+00:00")


@pytest.mark.parametrize("damage", ["lost", "changed", "boastful"])
def test_damaged_chunks_are_never_read_as_data(tmp_path: Path, damage: str) -> None:
    write_phase_map(tmp_path / "phase_map.zarr", a_map(), min_probability=0.5)
    write_spots(tmp_path / "spots.zarr", some_spots())
    for array, load in (("phase_map.zarr/presence", load_phase_map), ("spots.zarr/snr", load_spots)):
        chunk = next(file for file in (tmp_path / array / "c").rglob("*") if file.is_file())
        data = bytearray(chunk.read_bytes())
        if damage == "lost":
            chunk.unlink()
        elif damage == "changed":
            data[len(data) // 2] ^= 1
            chunk.write_bytes(data)
        else:
            form = tmp_path / array / "zarr.json"
            fields = json.loads(form.read_text())
            fields["shape"] = fields["chunk_grid"]["configuration"]["chunk_shape"] = [10**9 for _ in fields["shape"]]
            form.write_text(json.dumps(fields))
        with pytest.raises(RunFolderError, match="cannot be read"):
            load(tmp_path)


def test_a_map_of_nothing_is_written_in_full(tmp_path: Path) -> None:
    nothing = PhaseMap(("O3",), np.zeros((5, 7, 1), np.float32), np.zeros((5, 7), np.bool_))
    write_phase_map(tmp_path / "phase_map.zarr", nothing, min_probability=0.5)
    assert not load_phase_map(tmp_path).valid.any()
