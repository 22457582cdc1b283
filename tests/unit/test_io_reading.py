"""What a file becomes, and where its calibration comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from friedel.core import errors
from friedel.core.beam import Beam
from friedel.core.images import Micrograph, MicrographSeries, PatternScan
from friedel.io import ReadOptions, inspect, read


def write_signal(
    path: Path, shape: tuple[int, ...], units: tuple[str, ...], *, scale: float = 0.5, **more: Any
) -> Path:
    """Write a HyperSpy file with these units; "" stands for none."""
    with h5py.File(path, "w") as file:
        signal = file.create_group("Experiments/s")
        signal["data"] = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
        for i, unit in enumerate(units):
            axis = {"name": f"a{i}", "scale": scale, "offset": more.get("offset", 0.0), "navigate": i < len(shape) - 2}
            signal.create_group(f"axis-{i}").attrs.update(axis | ({"units": unit} if unit else {}))
        if "energy" in more:
            signal.create_group("metadata/Acquisition_instrument/TEM").attrs["beam_energy"] = more["energy"]
    return path


@pytest.mark.parametrize(
    ("shape", "units", "options", "kind", "result_shape"),
    [
        ((5, 7), ("nm", "nm"), {}, Micrograph, (5, 7)),
        ((5, 7), ("1/nm", "1/nm"), {}, PatternScan, (1, 1, 5, 7)),
        ((5, 7), ("", ""), {"pixel_size_a": 0.3}, Micrograph, (5, 7)),
        ((5, 7), ("", ""), {"step_inv_a": 0.3}, PatternScan, (1, 1, 5, 7)),
        ((5, 7), ("nm", "nm"), {"kind": "series"}, MicrographSeries, (1, 5, 7)),
        ((6, 5, 7), ("s", "nm", "nm"), {}, MicrographSeries, (6, 5, 7)),
        ((6, 5, 7), ("nm", "1/nm", "1/nm"), {}, PatternScan, (1, 6, 5, 7)),
        ((6, 5, 7), ("", "1/nm", "1/nm"), {"scan_shape": (2, 3)}, PatternScan, (2, 3, 5, 7)),
        ((6, 5, 7), ("", "", ""), {"step_inv_a": 0.1, "scan_shape": (3, 2)}, PatternScan, (3, 2, 5, 7)),
        ((2, 3, 5, 7), ("nm", "nm", "1/nm", "1/nm"), {}, PatternScan, (2, 3, 5, 7)),
    ],
)
def test_kind_follows_from_axes_units_and_options(
    tmp_path: Path, shape: Any, units: Any, options: Any, kind: type, result_shape: Any
) -> None:
    result = read(write_signal(tmp_path / "f.hspy", shape, units), ReadOptions(**options))
    assert type(result) is kind
    assert result.data.shape == result_shape
    np.testing.assert_array_equal(np.asarray(result.data).ravel(), np.arange(np.prod(shape)))


@pytest.mark.parametrize(
    ("shape", "units", "options", "option"),
    [
        ((5, 7), ("", ""), {}, "--pixel-size-a"),
        ((5, 7), ("px", "px"), {}, "--pixel-size-a"),
        ((5, 7), ("", ""), {"kind": "scan"}, "--step-inv-a"),
        ((2, 3, 5, 7), ("nm", "nm", "", ""), {}, "--step-inv-a"),
        ((2, 3, 5, 7), ("nm", "nm", "nm", "nm"), {}, "--step-inv-a"),
        ((5, 7), ("mrad", "mrad"), {}, "--energy-kev"),
        ((6, 5, 7), ("", "1/nm", "1/nm"), {}, "--scan-shape"),
        ((6, 5, 7), ("", "1/nm", "1/nm"), {"scan_shape": (2, 4)}, "--scan-shape"),
        ((2, 3, 5, 7), ("nm", "nm", "1/nm", "1/nm"), {"scan_shape": (3, 2)}, "--scan-shape"),
        ((6, 5, 7), ("", "nm", "nm"), {"dose_rate_e_per_a2_s": 5.0}, "--frame-time-s"),
        ((2, 3, 5, 7), ("nm", "nm", "1/nm", "1/nm"), {"pixel_size_a": 0.3}, "--scan-step-nm"),
    ],
)
def test_missing_or_misplaced_calibration_names_the_option(
    tmp_path: Path, shape: Any, units: Any, options: Any, option: str
) -> None:
    path = write_signal(tmp_path / "f.hspy", shape, units)
    with pytest.raises(errors.CalibrationError, match=option) as caught:
        read(path, ReadOptions(**options))
    assert str(path) in str(caught.value)


def test_zero_scale_is_missing(tmp_path: Path) -> None:
    with pytest.raises(errors.CalibrationError, match="--pixel-size-a"):
        read(write_signal(tmp_path / "f.hspy", (5, 7), ("nm", "nm"), scale=0.0))


def test_angles_become_reciprocal_lengths_with_the_wavelength(tmp_path: Path) -> None:
    path = write_signal(tmp_path / "f.hspy", (5, 7), ("mrad", "rad"), energy=200.0)
    step = read(path).grid.step_inv_a
    assert step == pytest.approx((0.5e-3 / 0.025079, 0.5 / 0.025079), rel=1e-4)


def test_user_overrides_the_file_and_is_trusted_more(tmp_path: Path) -> None:
    path = write_signal(tmp_path / "f.hspy", (2, 3, 5, 7), ("nm", "nm", "1/nm", "1/nm"), energy=200.0)
    stated = read(path)
    assert (stated.grid.source, stated.grid.relative_sigma) == ("metadata", 0.015)
    options = ReadOptions(step_inv_a=0.02, centre_px=(1.5, 2.5), scan_step_nm=4.0, energy_kev=300.0)
    scan = read(path, options)
    assert isinstance(scan, PatternScan)
    assert scan.grid.step_inv_a == (0.02, 0.02)
    assert scan.grid.centre_px == (1.5, 2.5)
    assert (scan.grid.source, scan.grid.relative_sigma) == ("user", 0.005)
    assert scan.scan_grid is not None
    assert scan.scan_grid.step_a == (40.0, 40.0)
    assert scan.beam == Beam(300.0)


def test_centre_is_the_middle_unless_the_axes_have_their_origin_inside(tmp_path: Path) -> None:
    units = ("nm", "nm", "1/nm", "1/nm")
    assert read(write_signal(tmp_path / "a.hspy", (2, 3, 5, 8), units)).grid.centre_px == (2.0, 4.0)
    inside = write_signal(tmp_path / "b.hspy", (2, 3, 5, 8), units, offset=-0.75)
    assert read(inside).grid.centre_px == pytest.approx((1.5, 1.5))
    outside = write_signal(tmp_path / "c.hspy", (2, 3, 5, 8), units, offset=-3.0)
    assert read(outside).grid.centre_px == (2.0, 4.0)


def test_impossible_energy_in_the_file_is_left_out_and_told(tmp_path: Path) -> None:
    path = write_signal(tmp_path / "f.hspy", (5, 7), ("1/nm", "1/nm"), energy=200000)
    assert read(path).beam is None
    assert any("200000 keV" in note for note in inspect(path).notes)


def test_series_is_cut_and_keeps_absolute_time_and_dose(tmp_path: Path) -> None:
    path = write_signal(tmp_path / "f.hspy", (6, 5, 7), ("s", "nm", "nm"))
    series = read(path, ReadOptions(frames=(2, 5), dose_rate_e_per_a2_s=10.0))
    assert isinstance(series, MicrographSeries)
    np.testing.assert_array_equal(series.frame(0).data, np.arange(6 * 35).reshape(6, 5, 7)[2])
    assert series.time_s == pytest.approx([1.5, 2.0, 2.5])
    assert series.dose_e_per_a2 == pytest.approx([15.0, 20.0, 25.0])


def test_frames_that_are_not_there_are_an_error(tmp_path: Path) -> None:
    series = write_signal(tmp_path / "a.hspy", (6, 5, 7), ("s", "nm", "nm"))
    image = write_signal(tmp_path / "b.hspy", (5, 7), ("nm", "nm"))
    for path, frames in ((series, (2, 7)), (series, (3, 3)), (image, (0, 1))):
        with pytest.raises(errors.DataError, match="--frames"):
            read(path, ReadOptions(frames=frames))


def test_five_axes_and_wrong_kinds_are_refused(tmp_path: Path) -> None:
    five = write_signal(tmp_path / "a.hspy", (2, 2, 2, 5, 7), ("", "", "", "nm", "nm"))
    with pytest.raises(errors.UnsupportedFileError, match="2 to 4 axes"):
        read(five)
    four = write_signal(tmp_path / "b.hspy", (2, 2, 5, 7), ("", "", "nm", "nm"))
    with pytest.raises(errors.UnsupportedFileError, match="--kind"):
        read(four, ReadOptions(kind="micrograph"))


def test_a_scan_that_is_stored_inside_its_patterns_is_turned(tmp_path: Path) -> None:
    path = write_signal(tmp_path / "c.hspy", (5, 7, 2, 3), ("1/nm", "1/nm", "nm", "nm"))
    stored = np.arange(5 * 7 * 2 * 3).reshape(5, 7, 2, 3)
    scan = read(path)
    assert isinstance(scan, PatternScan)
    assert (scan.scan_shape, scan.pattern_shape) == ((2, 3), (5, 7))
    np.testing.assert_array_equal(scan.data[...], stored.transpose(2, 3, 0, 1))
    np.testing.assert_array_equal(scan.pattern(1, 2).data, stored[:, :, 1, 2])
    np.testing.assert_array_equal(scan.rows(1, 2), stored.transpose(2, 3, 0, 1)[1:2])
    straight = read(write_signal(tmp_path / "d.hspy", (2, 3, 5, 7), ("nm", "nm", "1/nm", "1/nm")))
    assert isinstance(straight, PatternScan)
    assert scan.grid.step_inv_a == straight.grid.step_inv_a
    assert scan.scan_grid == straight.scan_grid
    found = inspect(path)
    assert found.shape == (2, 3, 5, 7)
    assert "copy it once" in found.notes[-1]


def test_the_error_of_a_missing_scale_quotes_what_the_file_says(tmp_path: Path) -> None:
    np.save(tmp_path / "bare.npy", np.ones((5, 7)))
    with pytest.raises(errors.CalibrationError, match=r"states no pixel size\. Pass --pixel-size-a"):
        read(tmp_path / "bare.npy")
    with pytest.raises(errors.CalibrationError, match=r"its last axes have .* furlong"):
        read(write_signal(tmp_path / "odd.hspy", (5, 7), ("furlong", "furlong")))


def test_info_lists_what_is_missing_with_its_option(tmp_path: Path) -> None:
    info = inspect(write_signal(tmp_path / "f.hspy", (6, 5, 7), ("", "1/nm", "1/nm")))
    assert (info.kind, info.shape, info.dtype, info.format_name) == ("scan", (6, 5, 7), "<u2", "HyperSpy")
    options = ["--energy-kev", "--scan-shape", "--scan-step-nm"]
    assert [option for _, option in info.missing] == options
    complete = write_signal(tmp_path / "g.hspy", (2, 3, 5, 7), ("nm", "nm", "1/nm", "1/nm"), energy=200.0)
    assert inspect(complete).missing == ()


def test_a_nan_in_a_micrograph_is_replaced_and_most_of_them_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "nan.npy"
    np.save(path, np.array([[1.0, np.nan]]))
    micrograph = read(path, ReadOptions(pixel_size_a=1.0))
    assert isinstance(micrograph, Micrograph)
    np.testing.assert_array_equal(micrograph.data, [[1.0, 1.0]])
    np.save(path, np.array([[1.0, np.nan, np.nan]]))
    with pytest.raises(errors.DataError, match="2 of 3 pixels"):
        read(path, ReadOptions(pixel_size_a=1.0))
