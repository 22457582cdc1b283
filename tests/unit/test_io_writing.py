"""What is written is read back, and nothing half written is left."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from friedel.core import errors
from friedel.core.beam import Beam
from friedel.core.grids import RealGrid, ReciprocalGrid
from friedel.core.images import Micrograph, PatternScan
from friedel.io import read, write_micrograph, write_scan


def make_scan(data: np.ndarray[tuple[int, ...], np.dtype[np.generic]] | None = None) -> PatternScan:
    if data is None:
        data = np.random.default_rng(1).poisson(0.2, (3, 4, 5, 7)).astype(np.uint16)
        data[1] = 0
    valid = np.ones((5, 7), dtype=bool)
    valid[2, 3] = False
    grid = ReciprocalGrid((1 / 3, 0.1 + 0.2), (2.1, 3.3), np.array([[1.01, 0.02], [0.0, 0.98]]), -12.3, "fitted", 1e-3)
    return PatternScan(data, grid, RealGrid((1 / 7, 3.0), "user", 0.01), Beam(199.7, 0.55), valid, "fft")


def test_zarr_scan_comes_back_bit_identical_with_all_calibrations(tmp_path: Path) -> None:
    scan, path = make_scan(), tmp_path / "scan.zarr"
    write_scan(path, scan)
    back = read(path)
    assert isinstance(back, PatternScan)
    np.testing.assert_array_equal(np.asarray(back.data), scan.data)
    assert back.data.dtype == scan.data.dtype
    np.testing.assert_array_equal(back.grid.ellipse, scan.grid.ellipse)
    for name in ("step_inv_a", "centre_px", "rotation_deg", "source", "relative_sigma"):
        assert getattr(back.grid, name) == getattr(scan.grid, name)
    assert (back.scan_grid, back.beam, back.origin) == (scan.scan_grid, scan.beam, scan.origin)
    assert back.valid is not None
    np.testing.assert_array_equal(back.valid, scan.valid)


def test_scan_without_step_beam_and_mask_stays_without(tmp_path: Path) -> None:
    scan = PatternScan(np.ones((2, 3, 5, 7), np.float32), ReciprocalGrid((0.1, 0.1), (2.0, 3.0)))
    write_scan(tmp_path / "scan.zarr", scan)
    back = read(tmp_path / "scan.zarr")
    assert isinstance(back, PatternScan)
    assert (back.scan_grid, back.beam, back.valid, back.origin) == (None, None, None, "camera")


def test_hspy_scan_is_read_by_rosettasciio_and_back(tmp_path: Path) -> None:
    reader = pytest.importorskip("rsciio.hspy").file_reader
    scan, path = make_scan(), tmp_path / "scan.hspy"
    write_scan(path, scan)
    back = read(path)
    assert isinstance(back, PatternScan)
    np.testing.assert_array_equal(np.asarray(back.data), scan.data)
    assert back.grid.step_inv_a == pytest.approx(scan.grid.step_inv_a)
    assert back.grid.centre_px == pytest.approx(scan.grid.centre_px)
    (signal,) = reader(str(path))
    np.testing.assert_array_equal(signal["data"], scan.data)
    assert [axis["navigate"] for axis in signal["axes"]] == [True, True, False, False]
    assert signal["metadata"]["Acquisition_instrument"]["TEM"]["beam_energy"] == pytest.approx(199.7)


@pytest.mark.parametrize("suffix", [".mrc", ".tif"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_micrograph_comes_back_with_its_pixel_size(tmp_path: Path, suffix: str, dtype: type) -> None:
    data = (np.arange(35).reshape(5, 7) * 3).astype(dtype)
    micrograph = Micrograph(data, RealGrid((0.371, 0.2)), Beam(300.0))
    write_micrograph(tmp_path / f"image{suffix}", micrograph)
    back = read(tmp_path / f"image{suffix}")
    assert isinstance(back, Micrograph)
    np.testing.assert_array_equal(back.data, data)
    assert back.grid.step_a == pytest.approx((0.371, 0.2), rel=1e-5)


def test_type_that_would_lose_bits_is_refused(tmp_path: Path) -> None:
    micrograph = Micrograph(np.ones((5, 7)), RealGrid((1.0, 1.0)))
    for name in ("image.mrc", "image.tif"):
        with pytest.raises(errors.DataError, match="float64"):
            write_micrograph(tmp_path / name, micrograph)
    assert not list(tmp_path.iterdir())


def test_unknown_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.UnsupportedFileError, match=r"\*\.zarr or \*\.hspy"):
        write_scan(tmp_path / "scan.blo", make_scan())
    with pytest.raises(errors.UnsupportedFileError, match=r"\*\.mrc or \*\.tif"):
        write_micrograph(tmp_path / "image.png", Micrograph(np.ones((5, 7)), RealGrid((1.0, 1.0))))


class Failing:
    """A scan that breaks off at its second row."""

    shape, dtype = (3, 4, 5, 7), np.dtype(np.uint16)

    def __getitem__(self, key: slice) -> np.ndarray[tuple[int, ...], np.dtype[np.uint16]]:
        if key.start:
            raise OSError("the disk is gone")
        return np.ones((1, 4, 5, 7), dtype=np.uint16)


@pytest.mark.parametrize("suffix", [".zarr", ".hspy"])
def test_failed_writing_leaves_the_old_file_as_it_was(tmp_path: Path, suffix: str) -> None:
    path, scan = tmp_path / f"scan{suffix}", make_scan()
    write_scan(path, scan)
    with pytest.raises(OSError, match="the disk is gone"):
        write_scan(path, PatternScan(Failing(), scan.grid))
    back = read(path)
    np.testing.assert_array_equal(np.asarray(back.data), scan.data)
    write_scan(path, make_scan(np.zeros((3, 4, 5, 7), np.uint16)))
    assert not np.asarray(read(path).data).any()
    assert [item.name for item in tmp_path.iterdir()] == [path.name]
