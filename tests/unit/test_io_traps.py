"""Bad files, made here, that made readers hang, swallow memory or pass zeros off as data."""

from __future__ import annotations

import struct
import time
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
import zarr

from friedel.core import errors
from friedel.io import ReadOptions, read
from friedel.io.guard import GuardedArray, GuardedFile
from friedel.io.limits import Limits


def write_mrc_header(path: Path, nx: int, ny: int, nz: int, *, n_bytes: int, mode: int = 2) -> Path:
    header = bytearray(1024)
    header[:16] = struct.pack("<4i", nx, ny, nz, mode)
    header[64:76] = struct.pack("<3i", 1, 2, 3)
    header[208:216] = b"MAP DD\0\0"
    with path.open("wb") as stream:
        stream.write(header)
        stream.truncate(1024 + n_bytes)
    return path


def write_blo(path: Path, scan_shape: tuple[int, int] = (3, 4), side: int = 6) -> np.ndarray[Any, Any]:
    ny, nx = scan_shape
    data = np.arange(ny * nx * side * side, dtype=np.uint8).reshape(ny, nx, side, side) % 251
    head = struct.pack(
        "<6sH3I5H2dIHI", b"IMGBLO", 0x0102, 4096, 4200, 0, side, 0, nx, ny, 0, 3.0, 2.0, 200_000, 6226, 2000
    )
    frames = b"".join(
        b"\xaa\x55" + struct.pack("<I", i) + f.tobytes() for i, f in enumerate(data.reshape(-1, side, side))
    )
    path.write_bytes(head.ljust(4200, b"\0") + frames)
    return data


def dm3_tag(name: str, info: list[int], payload: bytes) -> bytes:
    head = struct.pack(">BH", 21, len(name)) + name.encode() + b"%%%%"
    return head + struct.pack(f">I{len(info)}I", len(info), *info) + payload


def write_dm3(path: Path, image: np.ndarray[Any, Any]) -> None:
    """Write the least that a .dm3 holds: one array among its tags (not enough for a vendor's reader to like it)."""
    data = dm3_tag("Data", [20, 6, image.size], image.astype("<f4").tobytes())
    group = struct.pack(">BBI", 1, 0, 1) + data
    path.write_bytes(struct.pack(">3I", 3, len(group), 1) + group + bytes(8))


def fails(path: Path, error: type[errors.FileError], match: str, **keywords: Any) -> None:
    """Reading must end in this very error, naming the file and a remedy, within seconds."""
    start = time.monotonic()
    with pytest.raises(error, match=match) as caught:
        read(path, **keywords)
    assert type(caught.value) is error
    assert caught.value.path.name == path.name
    assert caught.value.remedy
    assert time.monotonic() - start < 5


def test_half_a_block_file_is_truncated_not_half_empty(tmp_path: Path) -> None:
    path = tmp_path / "scan.blo"
    data = write_blo(path)
    np.testing.assert_array_equal(np.asarray(GuardedArray(GuardedFile(path))), data)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    fails(path, errors.TruncatedFileError, "promises")


def test_negative_mrc_dimension_is_corrupt(tmp_path: Path) -> None:
    path = write_mrc_header(tmp_path / "negative.mrc", -64, 64, 1, n_bytes=16384)
    fails(path, errors.CorruptFileError, r"dimensions \(1, 64, -64\)")


def test_mrc_that_claims_terabytes_is_truncated(tmp_path: Path) -> None:
    path = write_mrc_header(tmp_path / "huge.mrc", 60000, 60000, 200, n_bytes=4000)
    fails(path, errors.TruncatedFileError, "promises 2682.2 GiB")


def test_tiff_bomb_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "bomb.tif"
    strip = zlib.compress(bytes(16 * 30000 * 4), 9)
    strips = (strip for _ in range(30000 // 16))
    tifffile.imwrite(path, strips, shape=(30000, 30000), dtype=np.float32, rowsperstrip=16, compression="zlib")
    assert path.stat().st_size < 5e6
    fails(path, errors.FileTooLargeError, "unpack to an image of 3.4 GiB")


@pytest.mark.parametrize(("tag", "value"), [("ImageLength", 50), ("RowsPerStrip", 2), ("BitsPerSample", 8)])
def test_tiff_tags_that_contradict_the_data_are_not_filled_up(tmp_path: Path, tag: str, value: int) -> None:
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, np.ones((5, 7), np.uint16), compression="zlib", metadata=None)
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        tiff.pages[0].tags[tag].overwrite(value)
    with pytest.raises(errors.CorruptFileError, match=r"unpacks to|another number"):
        np.asarray(read(path).data)


def test_array_with_bytes_behind_it_is_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "image.npy"
    np.save(path, np.ones((5, 7)))
    path.write_bytes(path.read_bytes() + b"\0\0")
    fails(path, errors.CorruptFileError, "2 bytes follow its array")


def test_png_bomb_is_too_large(tmp_path: Path) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">2I5B", 40000, 40000, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    with pytest.raises((errors.FileTooLargeError, errors.CorruptFileError), match=r"unpack|bomb"):
        read(path)


def write_hspy(path: Path, *, rows: int, **keywords: Any) -> None:
    with h5py.File(path, "w") as file:
        signal = file.create_group("Experiments/scan")
        data = signal.create_dataset("data", (4, 4, 8, 8), "u2", **keywords)
        data[:rows] = 7 if rows else data[:rows]
        for i in range(4):
            axis = {"name": "a", "scale": 1.0, "offset": 0.0, "units": "1/nm", "navigate": i < 2}
            signal.create_group(f"axis-{i}").attrs.update(axis)


def test_unwritten_hdf5_chunks_are_not_zeros(tmp_path: Path) -> None:
    path = tmp_path / "scan.hspy"
    write_hspy(path, rows=4, chunks=(1, 1, 8, 8))
    assert read(path).data.shape == (4, 4, 8, 8)
    write_hspy(path, rows=1, chunks=(1, 1, 8, 8))
    fails(path, errors.TruncatedFileError, "12 of 16 chunks .* were never written")


@pytest.mark.parametrize(("corner", "message"), [((9, 1), "off its grid"), ((1, 0), "1 of 16 chunks")])
def test_hdf5_chunk_in_a_wrong_place_is_not_zeros(tmp_path: Path, corner: tuple[int, int], message: str) -> None:
    path = tmp_path / "scan.hspy"
    write_hspy(path, rows=4, chunks=(1, 1, 8, 8))
    sound, (row, column) = path.read_bytes(), corner
    key = struct.pack("<4Q", 1, 1, 0, 0)
    assert sound.count(key) == 1
    path.write_bytes(sound.replace(key, struct.pack("<4Q", row, column, 0, 0)))
    with pytest.raises(errors.FileError, match=message):
        read(path)


def test_unwritten_contiguous_hdf5_is_not_zeros(tmp_path: Path) -> None:
    path = tmp_path / "scan.hspy"
    write_hspy(path, rows=0)
    fails(path, errors.TruncatedFileError, "never written")


def test_hdf5_chunk_above_the_limit_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "scan.hspy"
    write_hspy(path, rows=4, chunks=(4, 4, 8, 8), compression="gzip")
    fails(path, errors.FileTooLargeError, "one chunk takes 2.0 KiB", limits=Limits(memory_bytes=2047))


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.99])
def test_cut_dm3_is_truncated_not_a_struct_error(tmp_path: Path, share: float) -> None:
    path = tmp_path / "image.dm3"
    write_dm3(path, np.ones((64, 64)))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * (len(whole) - 8))])
    fails(path, errors.TruncatedFileError, "empty|promise")


def test_missing_zarr_chunk_is_not_zeros(tmp_path: Path) -> None:
    path = tmp_path / "scan.zarr"
    array = zarr.create_array(path, shape=(4, 4, 8, 8), chunks=(1, 4, 8, 8), dtype="u2")
    array[...] = 3
    options = ReadOptions(step_inv_a=0.01)
    assert read(path, options).data.shape == (4, 4, 8, 8)
    (path / "c/2/0/0/0").unlink()
    fails(path, errors.TruncatedFileError, "1 of 4 chunks are missing", options=options)


def test_stack_whose_directories_run_in_a_circle_is_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "circle.tif"
    tifffile.imwrite(path, np.ones((2, 8, 8), np.uint8), photometric="minisblack", metadata=None)
    raw = bytearray(path.read_bytes())
    (first,) = struct.unpack_from("<I", raw, 4)
    (entries,) = struct.unpack_from("<H", raw, first)
    struct.pack_into("<I", raw, first + 2 + 12 * entries, first)
    path.write_bytes(raw)
    fails(path, errors.CorruptFileError, "circle")


def test_pickled_numpy_file_is_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "objects.npy"
    np.save(path, np.array([[1, "a"], [None, 2]], dtype=object), allow_pickle=True)
    fails(path, errors.UnsupportedFileError, "type object")


def test_a_structure_is_no_data_and_belongs_among_the_phases(tmp_path: Path) -> None:
    (tmp_path / "lif.cif").write_text("data_lif")
    fails(tmp_path / "lif.cif", errors.UnsupportedFileError, "among the phases")


def test_file_named_wrongly_is_not_read(tmp_path: Path) -> None:
    for name, text in (
        ("image.dm3", b"no tags at all here"),
        ("scan.blo", b"IMG?"),
        ("image.tif", b"\x89PNG\r\n\x1a\n"),
        ("image.xyz", b"?"),
    ):
        path = tmp_path / name
        path.write_bytes(text)
        with pytest.raises(errors.UnsupportedFileError, match=r"does not begin like|are not read"):
            read(path)


def test_zip_says_unpack_first(tmp_path: Path) -> None:
    path = tmp_path / "merlin.zip"
    path.write_bytes(b"PK\x03\x04")
    fails(path, errors.UnsupportedFileError, "Unpack it first")


def test_sparse_cubes_of_eight_gigabytes_open_in_seconds_and_bounded_memory(tmp_path: Path) -> None:
    n, side = 65536, 256
    npy = tmp_path / "cube.npy"
    with npy.open("wb") as stream:
        header = {"descr": "<u2", "fortran_order": False, "shape": (256, 256, side, side)}
        np.lib.format.write_array_header_1_0(stream, header)
        stream.truncate(stream.tell() + 2 * n * side * side)
    mrc = write_mrc_header(tmp_path / "cube.mrc", side, side, n, n_bytes=2 * n * side * side, mode=6)
    mib = tmp_path / "cube.mib"
    frame = 384 + 2 * side * side
    with mib.open("wb") as stream:
        stream.write(b"MQ1,000001,00384,01,0256,0256,U16,   1x1,".ljust(384))
        stream.truncate(n * frame)
    options = ReadOptions(step_inv_a=0.01, scan_shape=(256, 256))
    for path in (npy, mrc, mib):
        start = time.monotonic()
        scan = read(path, options)
        assert scan.data.shape == (256, 256, side, side)
        assert scan.rows(200, 201).sum() == 0
        assert time.monotonic() - start < 5
        source = getattr(scan.data, "frames", scan.data)
        assert peak_bytes(source._file._child.process.pid) < 300e6


def peak_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
