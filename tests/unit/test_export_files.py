"""Maps survive the formats of other programs; all of it on maps that are neither square nor symmetric."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from friedel.core.arrays import AnyArray
from friedel.core.errors import CorruptFileError, DataError
from friedel.io.maps.hspy import from_hspy, to_hspy
from friedel.io.maps.netcdf import from_netcdf, to_netcdf
from friedel.io.maps.tiff import from_tiff, to_tiff
from friedel.io.maps.types import MapAxis, MapImage, MapSet

RNG = np.random.default_rng(5)
Y, X = MapAxis("y", 4, 0.5, "nm", 1.5), MapAxis("x", 7, 1 / 3, "nm", -0.75)
PHASE = MapAxis("phase", 3, labels=("O3", "Li₂O", "=1+1"))
UVW = MapAxis("uvw", 3, labels=("u", "v", "w"))
FRAME = MapAxis("t", 2)
PRESENCE = MapImage("presence", RNG.random((3, 4, 7), dtype=np.float32), (PHASE, Y, X), "how sure")
IMAGES = (
    PRESENCE,
    MapImage("label", RNG.integers(0, 2**32, (4, 7), dtype=np.uint32), (Y, X), "bits"),
    MapImage("valid", RNG.random((4, 7)) > 0.5, (Y, X), "where there is data"),
    MapImage("zone_axis", RNG.integers(-3, 4, (3, 3, 4, 7)).astype(np.int16), (PHASE, UVW, Y, X), "[uvw]"),
    MapImage("rotation_deg", np.where(RNG.random((3, 4, 7)) > 0.5, np.nan, RNG.random((3, 4, 7))), (PHASE, Y, X),
             "turn", "deg"),
    MapImage("frames", RNG.random((2, 3, 4, 7)), (FRAME, PHASE, Y, X)),
)  # fmt: skip
MAPS = MapSet(IMAGES, {"kind": "scan", "phases": list(PHASE.labels), "scale": {"step_a": [5.0, 10 / 3]}})


def assert_same(found: MapImage, wanted: MapImage) -> None:
    assert found.axes == wanted.axes
    assert found.data.dtype == wanted.data.dtype
    np.testing.assert_array_equal(found.data, wanted.data)
    assert (found.name, found.description, found.unit) == (wanted.name, wanted.description, wanted.unit)


@pytest.mark.parametrize(("write", "read", "name"), [(to_hspy, from_hspy, "m.hspy"), (to_netcdf, from_netcdf, "m.nc")])
def test_maps_come_back_bit_identical_with_axes_and_facts(
    tmp_path: Path, write: Callable[[Path, MapSet], None], read: Callable[[Path], MapSet], name: str
) -> None:
    write(tmp_path / name, MAPS)
    back = read(tmp_path / name)
    assert back.facts == MAPS.facts
    assert {image.name for image in back.images} == {image.name for image in IMAGES}
    for image in IMAGES:
        assert_same(back.image(image.name), image)


@pytest.mark.parametrize(("write", "read", "name"), [(to_hspy, from_hspy, "m.hspy"), (to_netcdf, from_netcdf, "m.nc")])
def test_unknown_step_stays_unknown(
    tmp_path: Path, write: Callable[[Path, MapSet], None], read: Callable[[Path], MapSet], name: str
) -> None:
    image = MapImage("label", np.arange(6, dtype=np.uint32).reshape(2, 3), (MapAxis("y", 2), MapAxis("x", 3)))
    write(tmp_path / name, MapSet((image,), {"scale": None}))
    assert_same(read(tmp_path / name).image("label"), image)


def test_rosettasciio_reads_axes_units_and_values_of_the_hspy_file(tmp_path: Path) -> None:
    from rsciio.hspy import file_reader

    to_hspy(tmp_path / "m.hspy", MAPS)
    signals = {signal["metadata"]["General"]["title"]: signal for signal in file_reader(tmp_path / "m.hspy")}
    presence = signals["presence"]
    np.testing.assert_array_equal(presence["data"], PRESENCE.data)
    told = [(a["name"], a["navigate"], a["scale"], a["offset"], a["units"]) for a in presence["axes"]]
    assert told[1:] == [("y", False, 0.5, 1.5, "nm"), ("x", False, 1 / 3, -0.75, "nm")]
    assert told[0][:2] == ("phase", True)
    assert "phase 1: Li₂O" in presence["metadata"]["General"]["notes"]


def test_netcdf_dimensions_are_scales_with_the_values_of_the_axes(tmp_path: Path) -> None:
    to_netcdf(tmp_path / "m.nc", MAPS)
    with h5py.File(tmp_path / "m.nc") as file:
        assert [d[0].name for d in file["zone_axis"].dims] == ["/phase", "/uvw", "/y", "/x"]
        np.testing.assert_allclose(file["x"][...], -0.75 + np.arange(7) / 3)
        assert file["x"].attrs["units"] == "nm"
        assert file["t"].attrs["NAME"].startswith(b"This is a netCDF dimension but not a netCDF variable.")
        assert list(file["phase"].asstr()) == list(PHASE.labels)
        assert file["valid"].attrs["dtype"] == "bool"
        numbers = [int(file[name].attrs["_Netcdf4Dimid"]) for name in ("phase", "y", "x", "uvw", "t")]
        assert sorted(numbers) == list(range(5))


def test_netcdf_refuses_two_axes_of_one_name(tmp_path: Path) -> None:
    other = MapImage("other", np.zeros((4, 5)), (Y, MapAxis("x", 5, 1 / 3, "nm", -0.75)))
    with pytest.raises(DataError, match="other"):
        to_netcdf(tmp_path / "m.nc", MapSet((PRESENCE, other)))
    assert not list(tmp_path.iterdir())


def test_tiff_has_imagejs_scale_slices_and_origin(tmp_path: Path) -> None:
    path = tmp_path / "presence.tif"
    to_tiff(path, PRESENCE)
    assert_same(from_tiff(path), PRESENCE)
    with tifffile.TiffFile(path) as file:
        assert file.is_imagej
        told = file.imagej_metadata or {}
        tags = {tag.code: tag.value for tag in file.pages.first.tags}
        series = file.series[0]
        assert (series.axes, series.shape) == ("CYX", (3, 4, 7))
    assert told["unit"] == "nm"
    assert told["Labels"] == ["presence O3", "presence Li₂O", "presence =1+1"]
    # ImageJ: x in nm = (pixel - xorigin) / XResolution
    assert np.divide(*tags[282]) == pytest.approx(3.0)
    assert np.divide(*tags[283]) == pytest.approx(2.0)
    assert (0 - told["xorigin"]) / 3.0 == pytest.approx(-0.75)
    assert (0 - told["yorigin"]) / 2.0 == pytest.approx(1.5)
    assert (tags[65003], tags[65009], tags[65010]) == ("nm", 1 / 3, 0.5)


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (np.eye(4, 7, dtype=bool), np.uint8),
        (np.arange(28, dtype=np.uint32).reshape(4, 7), np.uint16),
        (np.arange(-9, 19, dtype=np.int16).reshape(4, 7), np.float32),
        (np.arange(28, dtype=np.uint32).reshape(4, 7) + 2**20, np.float32),
        (np.linspace(0, 1, 28).reshape(4, 7), np.float32),
    ],
)
def test_tiff_widens_what_imagej_does_not_open(tmp_path: Path, data: AnyArray, dtype: type) -> None:
    to_tiff(tmp_path / "m.tif", MapImage("m", data, (Y, X)))
    back = from_tiff(tmp_path / "m.tif").data
    assert back.dtype == dtype
    np.testing.assert_allclose(back, data.astype(np.float64), rtol=1e-6)


def test_tiff_refuses_whole_numbers_that_it_would_round(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="label"):
        to_tiff(tmp_path / "label.tif", IMAGES[1])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("read", [from_hspy, from_netcdf, from_tiff])
def test_other_files_are_refused_by_name(tmp_path: Path, read: Callable[[Path], object]) -> None:
    path = tmp_path / "other"
    path.write_text("no such file")
    with pytest.raises(CorruptFileError, match="other"):
        read(path)
    with pytest.raises(CorruptFileError):
        read(tmp_path / "missing")


def test_map_must_have_the_shape_of_its_axes() -> None:
    with pytest.raises(DataError, match="shape"):
        MapImage("m", np.zeros((7, 4)), (Y, X))
    with pytest.raises(DataError, match="y, x"):
        MapImage("m", np.zeros((7, 4)), (X, Y))


def test_names_of_phases_are_json_in_the_hspy_file(tmp_path: Path) -> None:
    to_hspy(tmp_path / "m.hspy", MAPS)
    with h5py.File(tmp_path / "m.hspy") as file:
        kept = json.loads(file["Experiments/presence/original_metadata"].attrs["friedel"])
    assert kept["labels"]["phase"] == list(PHASE.labels)
