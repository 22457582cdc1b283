"""Series from end to end: phases that grow and appear, resumed runs, counts, and series that stay as they are."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr
from PIL import Image
from typer.testing import Result

import friedel as fr
from friedel.core.errors import DataError, RunFolderError
from friedel.core.grids import RealGrid
from friedel.core.images import Micrograph, MicrographSeries
from friedel.crystal import load_phases
from friedel.io import write_series
from friedel.pipeline.recipe import parse_recipe
from friedel.pipeline.region import find_region
from friedel.pipeline.run import RunOptions
from friedel.pipeline.series.kept import MemoryStore
from friedel.pipeline.series.options import SeriesOptions
from friedel.pipeline.series.road import SeriesResult, analyse_series
from friedel.simulate.micrographs.camera import Exposure
from friedel.simulate.micrographs.grains import Grain, star_region
from friedel.simulate.micrographs.imaging import Imaging
from friedel.simulate.micrographs.optics import Optics
from friedel.simulate.micrographs.sampling import Sampling
from friedel.simulate.micrographs.series import ChangingGrain, SimulatedSeries, areas_px, simulate_frame

Friedel = Callable[..., Result]
ResultsOf = Callable[[Path], dict[str, bytes]]
SHAPE, N_FRAMES, ONSET, STEP_A = (192, 256), 16, 7, 0.37
PHASES = "lif,li2o"


def plan(seed: int, *, onset: int | None = ONSET) -> SimulatedSeries:
    """LiF that stays and Li2O that grows from a frame on, or is there from the start, in an island each."""
    crystals = {crystal.name: crystal for crystal in load_phases(PHASES.split(",")).crystals}
    corners = np.full(12, 52.0)
    grains = []
    for name, middle, frames, shares in (
        ("lif", (95.0, 70.0), (0, N_FRAMES), (1.0, 1.0)),
        ("li2o", (95.0, 190.0), *(((0, 1), (1.0, 1.0)) if onset is None else ((onset - 1, N_FRAMES - 1), (0.0, 1.0)))),
    ):
        lattice = Grain(crystals[name], (0, 1, 1), star_region(SHAPE, (0.0, 0.0), corners), rotation_deg=25.0,
                        thickness_a=60.0)  # fmt: skip
        grains.append(ChangingGrain(lattice, middle, corners, frames, shares))
    steps = np.random.default_rng(seed).normal(0, 0.3, (N_FRAMES, 2))
    drift = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
    imaging = Imaging(Sampling(SHAPE, (STEP_A, STEP_A)), Optics(), Exposure(400.0))
    return SimulatedSeries(tuple(grains), 40.0, ("lif", "li2o"), imaging, 2.46, drift, seed)


def analyse(series: MicrographSeries, store: MemoryStore | None = None) -> SeriesResult:
    region = find_region(series.data.shape[1:], None, None)
    kept = MemoryStore() if store is None else store
    return analyse_series(series, region, fr.load_phases(PHASES.split(",")), fr.ComponentOptions(), SeriesOptions(),
                          store=kept)  # fmt: skip


def stack(frames: np.ndarray) -> MicrographSeries:
    return MicrographSeries(frames, RealGrid((STEP_A, STEP_A)))


@pytest.fixture(scope="module")
def simulated() -> SimulatedSeries:
    return plan(1)


@pytest.fixture(scope="module")
def frames(simulated: SimulatedSeries) -> np.ndarray:
    return np.stack([simulate_frame(simulated, i)[0].data for i in range(N_FRAMES)])


@pytest.fixture(scope="module")
def analysed(frames: np.ndarray) -> tuple[SeriesResult, MemoryStore]:
    kept = MemoryStore()
    return analyse(stack(frames.astype(np.float32)), kept), kept


@pytest.fixture(scope="module")
def stack_file(frames: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("series") / "stack.mrc"
    write_series(path, (Micrograph(frame, RealGrid((STEP_A, STEP_A))) for frame in frames), N_FRAMES)
    return path


@pytest.fixture(scope="module")
def run(stack_file: Path, done: Friedel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("series-run") / "run"
    done("map", stack_file, "--phases", PHASES, "--frame-time-s", "2", "--dose-rate", "200", "--out", out, "--quiet")
    return out


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def test_onset_is_within_a_frame_and_what_stays_has_none(run: Path) -> None:
    whole = {
        (row["phase"], row["event"]): row
        for row in rows_of(run / "onsets.csv")
        if not row["hkl"] and row["phase"] != "unknown"
    }
    assert set(whole) == {
        ("lif", "there from the start"), ("lif", "there to the end"), ("li2o", "appears"), ("li2o", "there to the end"),
    }  # fmt: skip
    onset = whole["li2o", "appears"]
    assert abs(int(onset["frame"]) - ONSET) <= 1
    assert int(onset["frame_low"]) <= ONSET <= int(onset["frame_high"])
    assert float(onset["time_s"]) == pytest.approx(2 * (int(onset["frame"]) + 1))
    assert float(onset["false_alarms"]) < 0.05


def test_evolution_follows_the_true_area(run: Path, simulated: SimulatedSeries) -> None:
    rows = rows_of(run / "evolution.csv")
    assert [(int(row["frame"]), row["phase"]) for row in rows] == [
        (t, phase) for t in range(N_FRAMES) for phase in ("lif", "li2o")
    ]
    area = np.array([float(row["area_nm2"]) for row in rows]).reshape(N_FRAMES, 2)
    true = areas_px(simulated) * STEP_A**2 / 100
    assert (area[: ONSET - 1, 1] == 0).all()
    np.testing.assert_allclose(area[:, 0], true[:, 0], rtol=0.25)
    assert abs(area[-1, 1] / true[-1, 1] - 1) < 0.25
    intensity = np.array([float(row["intensity"]) for row in rows]).reshape(N_FRAMES, 2)
    assert intensity[:, 0].std() < 0.1 * intensity[:, 0].mean()
    assert np.abs(intensity[: ONSET - 1, 1]).max() < 0.1 * intensity[-1, 1]


def test_run_folder_of_a_series_keeps_its_promises(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    assert summary["kind"] == "series"
    assert set(summary["fractions"]) == {"lif", "li2o", "none", "mixed"}
    root = zarr.open_group(run / "phase_map.zarr", mode="r")
    assert root["presence"].shape == (N_FRAMES, *SHAPE, 2)
    assert root["label"].shape == root["valid"].shape == (N_FRAMES, *SHAPE)
    assert root["presence"].chunks[0] == 1
    components = rows_of(run / "components.csv")
    assert {int(row["frame"]) for row in components} == set(range(N_FRAMES))
    with Image.open(run / "film.gif") as film:
        assert film.n_frames == N_FRAMES
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "What changes" in page
    assert "appears in frame" in page


def test_what_appears_and_has_no_name_is_told_as_unknown(done: Friedel, stack_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done("map", stack_file, "--phases", "lif", "--frame-time-s", "2", "--dose-rate", "200", "--out", out, "--quiet")
    page = (out / "report.html").read_text(encoding="utf-8")
    unknown = [row for row in rows_of(out / "onsets.csv") if row["phase"] == "unknown"]
    assert any(row["event"] == "appears" for row in unknown)
    for row in unknown:
        assert f'<td class="short">{float(row["d_measured_a"]):.3f} Å</td>' in page
    assert page.count("whole phase") == 1
    assert (out / "film.gif").read_bytes().startswith(b"GIF8")


def test_two_jobs_write_the_same_bits_as_one(
    run: Path, stack_file: Path, done: Friedel, results_of: ResultsOf, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    done("map", stack_file, "--phases", PHASES, "--frame-time-s", "2", "--dose-rate", "200", "--out", out, "--quiet",
         "--jobs", "2")  # fmt: skip
    assert results_of(out) == results_of(run)


def test_interrupted_run_goes_on_to_the_same_bits(
    frames: np.ndarray, analysed: tuple[SeriesResult, MemoryStore]
) -> None:
    first, whole = analysed
    again = analyse(stack(frames.astype(np.float32)), MemoryStore({n: whole[n] for n in sorted(whole)[::2]}))
    np.testing.assert_array_equal(again.intensity, first.intensity)
    np.testing.assert_array_equal(again.maps[9].presence, first.maps[9].presence)
    assert again.lives == first.lives


def test_a_hole_without_numbers_is_no_part_of_the_map_of_its_frame(frames: np.ndarray) -> None:
    """A dead block of the camera takes positions out of one map, moved by the drift; single pixels take none."""
    few = frames[8:12].astype(np.float32)
    whole = analyse(stack(few))
    few[2, 90:110, 60:90] = np.nan
    few[1, 30, 30:33] = np.nan
    result = analyse(stack(few))
    assert "600 pixels without a value lie in holes of 5 px or more; these are not valid in the map." in result.warnings
    assert result.step_px == 1
    lost = [before.valid & ~after.valid for before, after in zip(whole.maps, result.maps, strict=True)]
    assert [int(places.sum()) for places in lost] == [0, 0, 600, 0]
    down, right = np.rint(result.drift.shift_px[2]).astype(int)
    assert lost[2][90 - down : 110 - down, 60 - right : 90 - right].all()
    assert whole.maps[2].presence[lost[2]].any()
    assert not result.maps[2].presence[lost[2]].any()


def test_what_other_code_has_left_is_not_taken_over(
    frames: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps of two states of the code under one version number must not be joined: they may not even fit together."""
    write_series(tmp_path / "few.mrc", (Micrograph(frame, RealGrid((STEP_A, STEP_A))) for frame in frames[:4]), 4)
    recipe = parse_recipe({"input": str(tmp_path / "few.mrc"), "phases": PHASES.split(",")})

    def stop(step: str, done: int, total: int) -> None:
        if step == "windows":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fr.run_recipe(recipe, tmp_path / "run", progress=stop)
    with monkeypatch.context() as older:
        older.setattr("friedel.pipeline.run.code_sha256", lambda: "older")
        with pytest.raises(RunFolderError, match=r"code was \w{64}, is now older\. .* run without --resume"):
            fr.run_recipe(recipe, tmp_path / "run", RunOptions(resume=True))
    fr.run_recipe(recipe, tmp_path / "run", RunOptions(resume=True))


def test_intensity_is_linear_in_the_counts_and_names_do_not_depend_on_them(
    frames: np.ndarray, analysed: tuple[SeriesResult, MemoryStore]
) -> None:
    one, _ = analysed
    three = analyse(stack(3 * frames.astype(np.float32)))
    np.testing.assert_allclose(three.intensity, 3 * one.intensity, rtol=2e-3, atol=2e-3 * np.abs(one.intensity).max())
    assert three.match.names == one.match.names
    assert [(life.phase, life.hkl, life.is_first) for life in three.lives] == [
        (life.phase, life.hkl, life.is_first) for life in one.lives
    ]


def test_series_in_which_nothing_changes_names_no_onset() -> None:
    still = plan(2, onset=None)
    result = analyse(stack(np.stack([simulate_frame(still, i)[0].data for i in range(N_FRAMES)])))
    phases = {life.phase: life for life in result.lives if not life.hkl}
    assert phases["lif"].is_first
    assert phases["li2o"].is_last
    assert all(life.appears is None and life.vanishes is None for life in result.lives if not life.hkl)


def test_drift_of_a_series_is_found(analysed: tuple[SeriesResult, MemoryStore], simulated: SimulatedSeries) -> None:
    result, _ = analysed
    middle = (simulated.drift_a[1:] + simulated.drift_a[:-1]) / 2 / STEP_A
    np.testing.assert_allclose(result.drift.shift_px, middle - middle[0], atol=0.3)


def test_series_without_any_spot_is_mapped_as_empty_and_says_so(done: Friedel, tmp_path: Path) -> None:
    noise = np.random.default_rng(4).poisson(50.0, (8, 72, 96)).astype(np.uint16)
    write_series(tmp_path / "noise.mrc", (Micrograph(n, RealGrid((STEP_A, STEP_A))) for n in noise), len(noise))
    out = tmp_path / "run"
    result = done("map", tmp_path / "noise.mrc", "--phases", PHASES, "--out", out)
    assert "No spot stands out of the noise" in result.stderr
    assert rows_of(out / "onsets.csv") == rows_of(out / "components.csv") == []
    assert {row["area_nm2"] for row in rows_of(out / "evolution.csv")} == {"0.0"}
    assert "None of the candidate phases was found in the series." in (out / "report.html").read_text(encoding="utf-8")


def test_a_series_is_not_compared_pixel_by_pixel(refused: Callable[..., str], run: Path) -> None:
    assert "whose maps follow the drift" in refused("evaluate", run, "--truth", run)


def test_pixels_without_a_number_are_told_and_a_frame_of_them_is_named(frames: np.ndarray) -> None:
    few = frames[:4].astype(np.float32)
    few[1, 100, 30:33] = np.nan
    few[2, 7, 7] = np.inf
    said = analyse(stack(few)).warnings
    assert "4 pixels are NaN or infinite; their neighbours stand in for them." in said
    few[2] = np.nan
    with pytest.raises(DataError, match=r"Frame 2: 49152 of 49152 pixels .* --frames"):
        analyse(stack(few))
