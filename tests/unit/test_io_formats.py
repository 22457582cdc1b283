"""Each format: shape, order of the axes and calibration, on arrays that are neither square nor symmetric."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import h5py
import mrcfile
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from friedel.core import errors
from friedel.core.beam import Beam
from friedel.core.images import Micrograph, MicrographSeries, PatternScan
from friedel.io import ReadOptions, read
from friedel.io.formats import find_format

SCAN = np.arange(2 * 3 * 5 * 7, dtype=np.uint16).reshape(2, 3, 5, 7)
IMAGE = np.arange(5 * 7, dtype=np.uint16).reshape(5, 7)


def read_scan(path: Path, **options: Any) -> PatternScan:
    scan = read(path, ReadOptions(**options))
    assert isinstance(scan, PatternScan)
    return scan


def read_micrograph(path: Path, **options: Any) -> Micrograph:
    micrograph = read(path, ReadOptions(**options))
    assert isinstance(micrograph, Micrograph)
    return micrograph


def read_series(path: Path, **options: Any) -> MicrographSeries:
    series = read(path, ReadOptions(**options))
    assert isinstance(series, MicrographSeries)
    return series


def hyperspy_signal(data: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Describe a scan the way rosettasciio's writers want it."""
    names, scales, units = ("y", "x", "ky", "kx"), (2.0, 3.0, 0.1, 0.2), ("nm", "nm", "1/nm", "1/nm")
    axes = [
        {"name": n, "size": size, "scale": s, "units": u, "offset": 0.0, "navigate": i < 2, "index_in_array": i}
        | {"_type": "UniformDataAxis", "is_binned": False}
        for i, (n, s, u, size) in enumerate(zip(names, scales, units, data.shape, strict=True))
    ]
    metadata = {"General": {"title": ""}, "Signal": {"signal_type": ""}}
    metadata["Acquisition_instrument"] = {"TEM": {"beam_energy": 200.0}}
    signal = {"data": data, "axes": axes, "metadata": metadata, "original_metadata": {}, "package": "test"}
    return signal | {
        "package_version": "0",
        "attributes": {"_lazy": False, "ragged": False},
        "learning_results": {},
        "tmp_parameters": {},
        "package_info": {},
        "models": {},
    }


def write_zspy(path: str, signal: dict[str, Any]) -> None:
    """Write what rosettasciio's writer would, which does not know zarr 3."""
    group = zarr.open_group(path, mode="w", zarr_format=2).create_group("Experiments/__unnamed__")
    group.create_array("data", data=signal["data"], config={"write_empty_chunks": True})
    for i, axis in enumerate(signal["axes"]):
        group.create_group(f"axis-{i}").attrs.update(axis)
    group.create_group("metadata/Acquisition_instrument/TEM").attrs.update(
        signal["metadata"]["Acquisition_instrument"]["TEM"]
    )


@pytest.mark.parametrize("suffix", ["hspy", "zspy"])
def test_hyperspy_scans_keep_order_and_units(tmp_path: Path, suffix: str) -> None:
    writer = write_zspy if suffix == "zspy" else pytest.importorskip("rsciio.hspy").file_writer
    path = tmp_path / f"scan.{suffix}"
    writer(str(path), hyperspy_signal(SCAN))
    scan = read_scan(path)
    np.testing.assert_array_equal(np.asarray(scan.data), SCAN)
    assert scan.grid.step_inv_a == pytest.approx((0.01, 0.02))
    assert scan.grid.source == "metadata"
    assert scan.scan_grid is not None
    assert scan.scan_grid.step_a == pytest.approx((20.0, 30.0))
    assert scan.beam == Beam(200.0)


def test_block_file_of_another_writer_is_read_without_a_guessed_scale(tmp_path: Path) -> None:
    writer = pytest.importorskip("rsciio.blockfile").file_writer
    data = (np.arange(2 * 3 * 6 * 6) % 251).astype(np.uint8).reshape(2, 3, 6, 6)
    signal = hyperspy_signal(data)
    for axis in signal["axes"][2:]:
        axis |= {"units": "cm", "scale": 0.0125}
    path = tmp_path / "scan.blo"
    writer(str(path), signal, show_progressbar=False)
    with pytest.raises(errors.CalibrationError, match="--step-inv-a"):
        read(path)
    scan = read_scan(path, step_inv_a=0.01)
    np.testing.assert_array_equal(np.asarray(scan.data), data)
    assert scan.scan_grid is not None
    assert scan.scan_grid.step_a == pytest.approx((20.0, 30.0))


def test_block_file_scale_follows_from_pixel_camera_length_and_wavelength(tmp_path: Path) -> None:
    side, pixels_per_cm, camera_length_mm = 4, 62.5, 200.0
    fields = (
        4096,
        4100,
        0,
        side,
        0,
        1,
        1,
        0,
        1.0,
        1.0,
        200_000,
        round(100 * pixels_per_cm),
        round(10 * camera_length_mm),
    )
    head = struct.pack("<6sH3I5H2dIHI", b"IMGBLO", 0x0102, *fields)
    path = tmp_path / "scan.blo"
    path.write_bytes(head.ljust(4100, b"\0") + bytes(6 + side * side))
    angle_rad = (10 / pixels_per_cm) / camera_length_mm
    assert read_scan(path).grid.step_inv_a[0] == pytest.approx(angle_rad / 0.02508, rel=1e-3)


def test_merlin_scan_takes_its_lines_from_the_hdr(tmp_path: Path) -> None:
    path = tmp_path / "scan.mib"
    header = b"MQ1,000001,00384,01,0007,0005,U16,   1x1,".ljust(384)
    path.write_bytes(b"".join(header + frame[::-1].astype(">u2").tobytes() for frame in SCAN.reshape(-1, 5, 7)))
    with pytest.raises(errors.CalibrationError, match="--scan-shape"):
        read(path, ReadOptions(step_inv_a=0.01))
    (tmp_path / "scan.hdr").write_text("Frames in Acquisition (Number):\t6\nFrames per Trigger (Number):\t3\n")
    np.testing.assert_array_equal(np.asarray(read_scan(path, step_inv_a=0.01).data), SCAN)
    (tmp_path / "scan.hdr").write_text("Frames in Acquisition (Number):\t8\nFrames per Trigger (Number):\t4\n")
    with pytest.raises(errors.TruncatedFileError, match="promises 8 frames, 6 are there"):
        read(path, ReadOptions(step_inv_a=0.01))


def test_empad_scan_is_x_fast_and_drops_two_lines(tmp_path: Path) -> None:
    frames = np.arange(6 * 130 * 128, dtype=np.float32).reshape(2, 3, 130, 128)
    path = tmp_path / "scan_x3_y2.raw"
    path.write_bytes(frames.tobytes())
    description = '<root><raw_file filename="scan_x3_y2.raw"/><pix_x>3</pix_x><pix_y>2</pix_y></root>'
    (tmp_path / "scan.xml").write_text(description)
    for name in ("scan_x3_y2.raw", "scan.xml"):
        scan = read_scan(tmp_path / name, step_inv_a=0.01)
        np.testing.assert_array_equal(np.asarray(scan.data), frames[:, :, :128])


def write_ser(path: Path, images: np.ndarray[Any, Any], delta: tuple[float, float]) -> None:
    """Write a TIA series of images, bottom line first, as the microscope does."""
    n, ny, nx = images.shape
    axis = struct.pack("<IddII", n, 0.0, 1.0, 0, 0) + struct.pack("<I", 0)
    table = 3 * 2 + 4 * 4 + 4 + 4 + len(axis)
    element = struct.pack("<ddIddIHII", 0.0, delta[1], 0, 0.0, delta[0], 0, 2, nx, ny)
    bodies = [element + image[::-1].astype("<u2").tobytes() for image in images]
    starts = [table + 8 * n + i * len(bodies[0]) for i in range(n)]
    head = struct.pack("<3H4I", 0x4949, 0x0197, 0x0210, 0x4122, 0x4152, n, n) + struct.pack("<II", table, 1)
    path.write_bytes(head + axis + struct.pack(f"<{n}I", *starts) + bytes(4 * n) + b"".join(bodies))


def test_tia_images_are_upright_and_in_metres(tmp_path: Path) -> None:
    path = tmp_path / "images.ser"
    write_ser(path, SCAN[0], (2e-11, 3e-11))
    series = read_series(path)
    np.testing.assert_array_equal(np.asarray(series.data), SCAN[0])
    assert series.grid.step_a == pytest.approx((0.2, 0.3))


def test_tia_step_of_millions_is_a_diffraction_pattern_in_inverse_metres(tmp_path: Path) -> None:
    path = tmp_path / "patterns.ser"
    write_ser(path, SCAN[0], (2e8, 3e8))
    assert read_scan(path, scan_shape=(1, 3)).grid.step_inv_a == pytest.approx((0.02, 0.03))


def test_mrc_cell_gives_the_pixel_size_along_y_and_x(tmp_path: Path) -> None:
    path = tmp_path / "image.mrc"
    with mrcfile.new(path) as mrc:
        mrc.set_data(IMAGE)
        mrc.voxel_size = (0.3, 0.2, 0.0)
    micrograph = read_micrograph(path)
    np.testing.assert_array_equal(micrograph.data, IMAGE)
    assert micrograph.grid.step_a == pytest.approx((0.2, 0.3))


def test_big_endian_mrc_stack_comes_out_native(tmp_path: Path) -> None:
    path = tmp_path / "stack.mrc"
    header = bytearray(1024)
    header[:16] = struct.pack(">4i", 7, 5, 3, 1)
    header[28:52] = struct.pack(">3i3f", 7, 5, 3, 14.0, 5.0, 0.0)
    header[64:76] = struct.pack(">3i", 1, 2, 3)
    header[208:214] = b"MAP \x11\x11"
    path.write_bytes(bytes(header) + SCAN[1].astype(">i2").tobytes())
    series = read_series(path)
    assert series.data.dtype == np.dtype(np.int16)
    np.testing.assert_array_equal(np.asarray(series.data), SCAN[1])
    assert series.grid.step_a == pytest.approx((1.0, 2.0))


def test_mrc_without_cell_lacks_a_pixel_size(tmp_path: Path) -> None:
    path = tmp_path / "image.mrc"
    with mrcfile.new(path) as mrc:
        mrc.set_data(IMAGE)
    with pytest.raises(errors.CalibrationError, match=r"image\.mrc.*--pixel-size-a"):
        read(path)


def test_direct_electron_movie_takes_scan_and_scales_from_its_info_text(tmp_path: Path) -> None:
    with mrcfile.new(tmp_path / "1_2_movie.mrc") as mrc:
        mrc.set_data(SCAN.reshape(6, 5, 7))
    info = {"Scan - Enable": "Enable", "Scan - Type": "Raster", "Scan - Size X": 3, "Scan - Size Y": 2}
    info |= {
        "Diffraction Pixel Size X": 0.2,
        "Diffraction Pixel Size Y": 0.1,
        "Instrument Accelerating Voltage (V)": 300000,
    }
    info |= {"Specimen Pixel Size X (nanometers)": 3, "Specimen Pixel Size Y (nanometers)": -1}
    (tmp_path / "1_2_info.txt").write_text("\n".join(f"{key} = {value}" for key, value in info.items()))
    scan = read_scan(tmp_path / "1_2_movie.mrc")
    np.testing.assert_array_equal(np.asarray(scan.data), SCAN)
    assert scan.grid.step_inv_a == pytest.approx((0.01, 0.02))
    assert scan.scan_grid is None
    assert scan.beam == Beam(300.0)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_imagej_stack_keeps_order_scale_and_time(tmp_path: Path, compression: str | None) -> None:
    path = tmp_path / "stack.tif"
    metadata = {"axes": "TYX", "unit": "nm", "finterval": 0.5}
    how = {"imagej": compression is None, "compression": compression, "photometric": "minisblack"}
    tifffile.imwrite(path, SCAN[0], resolution=(5.0, 10.0), metadata=metadata, **how)
    series = read_series(path, pixel_size_a=None if compression is None else 1.0)
    np.testing.assert_array_equal(np.asarray(series.data), SCAN[0])
    np.testing.assert_array_equal(series.data[1:, 2, ::3], SCAN[0][1:, 2, ::3])
    if compression is None:
        assert series.grid.step_a == pytest.approx((1.0, 2.0), rel=1e-5)
        assert series.time_s == pytest.approx([0.5, 1.0, 1.5])


def test_ome_tiff_states_its_pixel(tmp_path: Path) -> None:
    path = tmp_path / "image.ome.tif"
    metadata = {
        "axes": "YX",
        "PhysicalSizeX": 0.3,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": 2,
        "PhysicalSizeYUnit": "Å",
    }
    tifffile.imwrite(path, IMAGE, metadata=metadata, ome=True)
    assert read_micrograph(path).grid.step_a == pytest.approx((2.0, 3.0))


def test_printing_resolution_is_no_pixel_size(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, IMAGE, resolution=(300, 300), resolutionunit="INCH")
    with pytest.raises(errors.CalibrationError, match="--pixel-size-a"):
        read(path)


def test_grey_picture_saved_in_colour_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "grey.png"
    Image.fromarray(np.repeat(IMAGE.astype(np.uint8)[..., None], 3, axis=2)).save(path)
    micrograph = read_micrograph(path, pixel_size_a=1.0)
    np.testing.assert_array_equal(micrograph.data, IMAGE)
    assert micrograph.data.dtype == np.uint8


def test_colour_picture_becomes_its_luminance(tmp_path: Path) -> None:
    path = tmp_path / "colour.bmp"
    Image.fromarray(np.full((5, 7, 3), (200, 100, 50), np.uint8)).save(path)
    assert read_micrograph(path, pixel_size_a=1.0).data == pytest.approx(0.299 * 200 + 0.587 * 100 + 0.114 * 50)


def test_sixteen_bit_picture_keeps_its_depth(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    Image.fromarray((IMAGE * 1000).astype(np.uint16)).save(path)
    np.testing.assert_array_equal(read_micrograph(path, pixel_size_a=1.0).data, IMAGE * 1000)


@pytest.mark.parametrize("order", ["C", "F"])
def test_numpy_file_keeps_its_order(tmp_path: Path, order: Any) -> None:
    path = tmp_path / "scan.npy"
    np.save(path, np.asarray(SCAN.astype(">u2"), order=order))
    np.testing.assert_array_equal(np.asarray(read_scan(path, step_inv_a=0.01).data), SCAN)


def test_one_array_in_plain_hdf5_or_zarr_is_found(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["deep/inside/patterns"] = SCAN
        file["deep/sum"] = SCAN.sum(axis=(2, 3))
    zarr.create_group(tmp_path / "scan.zarr").create_array("patterns", data=SCAN, config={"write_empty_chunks": True})
    for name in ("scan.h5", "scan.zarr"):
        np.testing.assert_array_equal(np.asarray(read_scan(tmp_path / name, step_inv_a=0.01).data), SCAN)


def test_several_equal_arrays_in_hdf5_are_not_chosen_from(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "two.h5", "w") as file:
        file["a"], file["b"] = SCAN, SCAN
    with pytest.raises(errors.UnsupportedFileError, match="holds 2: /a, /b"):
        read(tmp_path / "two.h5")


def test_emd_axes_come_from_their_vectors(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "scan.emd", "w") as file:
        group = file.create_group("data/scan")
        group.attrs["emd_group_type"] = 1
        group["data"] = SCAN
        vectors = [
            ("ry", 2.0, 0, "[n_m]"),
            ("rx", 3.0, 0, "[n_m]"),
            ("ky", 0.1, -0.2, "[n_m^-1]"),
            ("kx", 0.2, -0.6, "1/nm"),
        ]
        for i, (name, step, start, unit) in enumerate(vectors):
            group[f"dim{i + 1}"] = start + step * np.arange(SCAN.shape[i])
            group[f"dim{i + 1}"].attrs.update({"name": name, "units": unit})
    scan = read_scan(tmp_path / "scan.emd")
    np.testing.assert_array_equal(np.asarray(scan.data), SCAN)
    assert scan.grid.step_inv_a == pytest.approx((0.01, 0.02))
    assert scan.grid.centre_px == pytest.approx((2.0, 3.0))
    assert scan.scan_grid is not None
    assert scan.scan_grid.step_a == pytest.approx((20.0, 30.0))


def test_arina_scan_is_joined_from_its_files(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a_master.h5", "w") as file:
        specific = file.create_group("entry/instrument/detector/detectorSpecific")
        specific["ntrigger"], specific["nimages"], specific["photon_energy"] = 6, 1, 3e5
        for i in (1, 2):
            file[f"entry/data/data_00000{i}"] = h5py.ExternalLink(f"a_data_00000{i}.h5", "entry/data/data")
    frames = SCAN.reshape(6, 5, 7)
    for i, part in ((1, frames[:4]), (2, frames[4:])):
        with h5py.File(tmp_path / f"a_data_00000{i}.h5", "w") as file:
            file["entry/data/data"] = part
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_group("STEM Metadata").attrs.update({"NumPixelsX": [3], "NumPixelsY": [2], "Pixel Size": [0.5]})
    scan = read_scan(tmp_path / "a_master.h5", step_inv_a=0.01)
    np.testing.assert_array_equal(np.asarray(scan.data), SCAN)
    np.testing.assert_array_equal(scan.data[1, ::2, 1:, 3], SCAN[1, ::2, 1:, 3])
    assert scan.beam == Beam(300.0)
    (tmp_path / "a_data_000002.h5").unlink()
    with pytest.raises(errors.TruncatedFileError, match=r"a_data_000002\.h5, which holds its frames, is missing"):
        read(tmp_path / "a_master.h5")


def write_tvips(path: Path, frames: np.ndarray[Any, Any], *, has_header: bool) -> None:
    _, ny, nx = frames.shape
    fields = (256, 2, nx, ny, 16, 0, 0, 1, 1, 15600, 200, 0, 64)
    head = struct.pack("<13I", *fields).ljust(256, b"\0") if has_header else b""
    bodies = (bytes(24) + struct.pack("<I", 2) + bytes(36) + frame.astype("<u2").tobytes() for frame in frames)
    path.write_bytes(head + b"".join(bodies))


def test_tvips_recording_runs_on_over_its_files(tmp_path: Path) -> None:
    frames = SCAN.reshape(6, 5, 7)
    write_tvips(tmp_path / "r_000.tvips", frames[:4], has_header=True)
    write_tvips(tmp_path / "r_001.tvips", frames[4:], has_header=False)
    scan = read_scan(tmp_path / "r_000.tvips", step_inv_a=0.01, scan_shape=(2, 3))
    np.testing.assert_array_equal(np.asarray(scan.data), SCAN)
    with pytest.raises(errors.UnsupportedFileError, match="_000"):
        read(tmp_path / "r_001.tvips")
    with pytest.raises(errors.CalibrationError, match="--step-inv-a"):
        read(tmp_path / "r_000.tvips", ReadOptions(scan_shape=(2, 3)))


@pytest.mark.parametrize("wrong_width", [1, 10])
def test_tvips_frames_of_a_wrong_size_are_refused_though_they_fill_the_file(tmp_path: Path, wrong_width: int) -> None:
    """Six frames of 64 + 32 bytes are eight of 64 + 8 as well, and four of 64 + 80; but those have no times."""
    body = b"".join(
        struct.pack("<III", 0, 1_700_000_000 + i, 500).ljust(64, b"\0") + np.full(16, 7 + i, "<u2").tobytes()
        for i in range(6)
    )
    path = tmp_path / "r_000.tvips"
    for width in (4, wrong_width):
        fields = (256, 2, width, 4, 16, 0, 0, 1, 1, 15600, 200, 0, 64)
        path.write_bytes(struct.pack("<13I", *fields).ljust(256, b"\0") + body)
        if width == 4:
            assert read(path, ReadOptions(kind="series", pixel_size_a=1.0)).data.shape == (6, 4, 4)
    with pytest.raises(errors.CorruptFileError, match="years apart"):
        read(path, ReadOptions(kind="series", pixel_size_a=1.0))


def test_folder_of_images_is_a_series_in_natural_order(tmp_path: Path) -> None:
    for i in (0, 1, 2, 10):
        np.save(tmp_path / f"frame{i}.npy", IMAGE + i)
    (tmp_path / "notes.txt").write_text("not an image")
    series = read_series(tmp_path, pixel_size_a=0.5, frame_time_s=2.0)
    assert [int(series.data[i, 0, 0]) for i in range(4)] == [0, 1, 2, 10]
    np.save(tmp_path / "frame2.npy", IMAGE.T.copy())
    with pytest.raises(errors.CorruptFileError, match=r"frame2\.npy.*the first image has"):
        series.data[2]


def test_every_suffix_has_one_format(tmp_path: Path) -> None:
    (tmp_path / "image.MRC").write_bytes(b"x")
    assert find_format(tmp_path / "image.MRC").name == "MRC"
