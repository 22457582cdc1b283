"""Simulated series, and the files of simulated micrographs."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import zarr
from scipy import fft
from typer.testing import CliRunner

from friedel.cli.main import app
from friedel.core.errors import DataError
from friedel.core.grids import RealGrid
from friedel.core.images import Micrograph, MicrographSeries
from friedel.io import ReadOptions, read, write_series
from friedel.simulate.micrographs.series import areas_px, onset_frames, sei_series, simulate_frame, specimen_at

SHAPE = (120, 150)


@pytest.fixture(scope="module")
def series():
    return sei_series(3, 20, shape=SHAPE)


def test_phases_grow_shrink_and_appear_in_the_stated_frames(series):
    onsets, areas = onset_frames(series), areas_px(series)
    names = np.array([changing.grain.crystal.name for changing in series.grains])
    by_phase = {name: areas[:, names == name].sum(axis=1) for name in series.phases}
    assert onsets["lif"] == 0
    assert onsets["li"] < onsets["li2o"] < onsets["li2co3"]
    for name in ("li", "li2o", "li2co3"):
        assert not by_phase[name][: onsets[name]].any()
        assert (np.diff(by_phase[name][onsets[name] :]) > 0).all()
    assert by_phase["lif"][-1] < 0.1 * by_phase["lif"][0]
    assert (np.diff(by_phase["lif"]) <= 0).sum() >= 17


def test_area_changes_evenly_between_its_frames():
    still = sei_series(3, 20, shape=(400, 400), drift_a_per_frame=0.0)
    area = areas_px(still)[:, 0]
    np.testing.assert_allclose(area[10], (area[1] + area[19]) / 2, rtol=0.05)


def test_truth_of_a_frame_is_what_the_frame_shows(series):
    _, truth = simulate_frame(series, 12)
    names = [changing.grain.crystal.name for changing in series.grains]
    for i, phase in enumerate(series.phases):
        area = areas_px(series)[12, [name == phase for name in names]].sum()
        assert truth.phase_map.presence[..., i].sum() == area
    early = simulate_frame(series, 0)[1]
    assert {names[i] for i in early.spots.grain} == {"lif"}


def test_dose_of_a_series_is_linear_in_its_rate_and_in_time():
    for rate in (50.0, 1000.0):
        plan = sei_series(1, 10, shape=SHAPE, dose_rate_e_per_a2_s=rate)
        frame, _ = simulate_frame(plan, 4)
        per_frame = rate * 2.46
        assert frame.data.mean() == pytest.approx(per_frame * 0.37**2, rel=0.01)
        np.testing.assert_allclose(plan.dose_e_per_a2, per_frame * np.arange(1, 11))
        np.testing.assert_allclose(plan.time_s, 2.46 * np.arange(1, 11))


def test_frames_are_shifted_by_the_drift(series):
    # Whole pixels, so that a shifted picture is the picture shifted.
    moved = replace(series, drift_a=np.array([[0.0, 0.0], [0.0, 0.0], [3 * 0.37, -5 * 0.37], [3 * 0.37, -5 * 0.37]]))
    first, _ = simulate_frame(moved, 0)
    third, _ = simulate_frame(moved, 2)
    cross = fft.ifft2(
        fft.fft2(third.data.astype(float)) * fft.fft2(first.data.astype(float) - first.data.mean()).conj()
    )
    y, x = np.unravel_index(np.argmax(cross.real), SHAPE)
    assert (y, x) == (3, SHAPE[1] - 5)
    np.testing.assert_allclose(
        np.array(specimen_at(moved, 2).grains[1].region.middle_px())
        - specimen_at(moved, 0).grains[1].region.middle_px(),
        (3, -5),
        atol=0.3,
    )


def test_drift_within_a_frame_blurs_along_its_way(series):
    still = replace(series, film_a=200.0, drift_a=np.zeros((3, 2)))
    moving = replace(still, drift_a=np.array([[0.0, 0.0], [0.0, 8.0], [0.0, 8.0]]))
    power = [np.abs(fft.fft2(simulate_frame(s, 0)[0].data.astype(float))) ** 2 for s in (still, moving)]
    ky, kx = (np.abs(fft.fftfreq(n, 0.37)) for n in SHAPE)
    columns, rows = np.abs(kx - 1 / 8.0) < 0.012, np.abs(ky - 1 / 8.0) < 0.012
    along = [p[:2, columns].mean() for p in power]
    across = [p[rows, :2].mean() for p in power]
    assert along[1] < 0.4 * along[0]
    assert across[1] > 0.7 * across[0]


def test_frames_come_in_any_order_and_always_the_same(series):
    again = sei_series(3, 20, shape=SHAPE)
    simulate_frame(again, 2)
    np.testing.assert_array_equal(simulate_frame(series, 9)[0].data, simulate_frame(again, 9)[0].data)
    other = sei_series(4, 20, shape=SHAPE)
    assert not np.array_equal(simulate_frame(series, 9)[0].data, simulate_frame(other, 9)[0].data)
    with pytest.raises(DataError, match="frames 0 to 19"):
        simulate_frame(series, 20)


def test_stack_is_written_frame_by_frame_and_read_back(tmp_path, series):
    frames = [simulate_frame(series, i)[0] for i in range(3)]
    write_series(tmp_path / "s.mrc", iter(frames), 3)
    found = read(tmp_path / "s.mrc", ReadOptions(kind="series", frame_time_s=2.46))
    assert isinstance(found, MicrographSeries)
    for i, frame in enumerate(frames):
        np.testing.assert_array_equal(found.frame(i).data, frame.data)
    assert found.grid.step_a == pytest.approx((0.37, 0.37))


def test_stack_of_unlike_or_missing_frames_is_not_left_behind(tmp_path):
    grid = RealGrid((0.3, 0.4))
    one, other = Micrograph(np.ones((20, 30), np.uint16), grid), Micrograph(np.ones((20, 31), np.uint16), grid)
    for frames, said in (
        ([one, other], "Frame 2 of 2"),
        ([one], "1 came"),
        ([one] * 3, "Frame 3 of 2"),
        ([], "no frame"),
    ):
        with pytest.raises(DataError, match=said):
            write_series(tmp_path / "s.mrc", frames, 2)
    assert list(tmp_path.iterdir()) == []


def test_micrograph_command_writes_counts_and_truth(tmp_path):
    out, truth = tmp_path / "x.mrc", tmp_path / "truth.zarr"
    words = (
        f"simulate micrograph --out {out} --truth {truth} --phases lif,li --shape 128,160 --cells 4 --dose 900 "
        "--defocus-nm 40 --cs-mm 0.01 --scale-error 0.02 --seed 5"
    )
    result = CliRunner().invoke(app, words.split())
    assert result.exit_code == 0, result.output
    micrograph, root = read(out), zarr.open_group(truth, mode="r")
    assert micrograph.shape == (128, 160)
    assert micrograph.data.mean() == pytest.approx(900 * 0.37**2 * 1.02**2, rel=0.02)
    assert root.attrs["phases"] == ["lif", "li"]
    assert root["presence"].shape == (128, 160, 2)
    assert len(root.attrs["grains"]) == 3
    assert root.attrs["optics"]["defocus_a"] == 400.0
    grain_map = root["grain_map"][:]
    for number, grain in enumerate(root.attrs["grains"], 1):
        there = root["presence"][..., root.attrs["phases"].index(grain["phase"])]
        assert there[(grain_map == number).any(axis=0)].all()
    px, k = root["spot_px"][:], root["spot_k_inv_a"][:]
    np.testing.assert_allclose(px, k * (128 * 0.37, 160 * 0.37))
    again = CliRunner().invoke(app, words.split())
    assert again.exit_code == 1
    assert "exists already" in again.output


def test_series_command_writes_stack_and_truth_of_each_frame(tmp_path):
    out, truth = tmp_path / "s.mrc", tmp_path / "truth.zarr"
    words = f"simulate series --out {out} --truth {truth} --shape 96,120 --frames 10 --dose-rate 200 --quiet"
    result = CliRunner().invoke(app, words.split())
    assert result.exit_code == 0, result.output
    root = zarr.open_group(truth, mode="r")
    assert root["presence"].shape == (10, 96, 120, 4)
    onsets = root.attrs["onset_frame"]
    presence = root["presence"][:]
    for i, phase in enumerate(root.attrs["phases"]):
        assert onsets[phase] == int(np.argmax(presence[..., i].any(axis=(1, 2))))
    np.testing.assert_allclose(root["dose_e_per_a2"][:], 200 * 2.46 * np.arange(1, 11))
    assert set(np.unique(root["spot_frame"][:])) <= set(range(10))
    json.dumps(dict(root.attrs))
