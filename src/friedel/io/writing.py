"""Writing scans and micrographs; a file appears under its name only when it is complete."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from friedel.core.errors import DataError, UnsupportedFileError
from friedel.core.images import Micrograph, PatternScan
from friedel.io.describe import Axis
from friedel.io.own import describe_scan

#: Bytes of patterns in one chunk of a container; chunks never split a pattern.
CHUNK_BYTES = 4 * 2**20


def write_scan(path: str | Path, scan: PatternScan) -> None:
    """Write a scan as .zarr (friedel's own container: read back without loss) or .hspy (for HyperSpy).

    The scan is copied in blocks of rows. A container of the same name is replaced once the new one is complete.
    """
    path = Path(path)
    writers = {".zarr": _write_zarr, ".hspy": _write_hspy}
    if path.suffix not in writers:
        raise UnsupportedFileError(
            path, f"scans are not written as {path.suffix or 'that'}", "Name it *.zarr or *.hspy."
        )
    with atomic(path) as temporary:
        writers[path.suffix](temporary, scan)


def write_micrograph(path: str | Path, micrograph: Micrograph) -> None:
    """Write a micrograph as .mrc (pixel size in Å in its cell) or .tif (ImageJ's resolution, in nm)."""
    path = Path(path)
    writers = {".mrc": _write_mrc, ".tif": _write_tiff}
    if path.suffix not in writers:
        remedy = "Name it *.mrc or *.tif."
        raise UnsupportedFileError(path, f"micrographs are not written as {path.suffix or 'that'}", remedy)
    with atomic(path) as temporary:
        writers[path.suffix](temporary, micrograph)


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a temporary name beside the file, and rename it at the end; after an error nothing is left."""
    temporary = path.with_name(f".{path.stem}-{os.getpid()}{path.suffix}")
    old = path.with_name(f".{path.stem}-{os.getpid()}-old{path.suffix}")
    try:
        yield temporary
        if path.is_dir():
            path.replace(old)
        temporary.replace(path)
    finally:
        for leftover in (temporary, old):
            if leftover.is_dir():
                shutil.rmtree(leftover)
            else:
                leftover.unlink(missing_ok=True)


def _chunks(scan: PatternScan) -> tuple[int, int, int, int]:
    ky, kx = scan.pattern_shape
    pattern_bytes = ky * kx * np.dtype(scan.data.dtype).itemsize
    return 1, max(1, min(scan.scan_shape[1], CHUNK_BYTES // pattern_bytes)), ky, kx


def _write_zarr(path: Path, scan: PatternScan) -> None:
    import zarr

    description = describe_scan(scan)
    group = zarr.open_group(path, mode="w-", attributes={"friedel": description.to_json()})
    data: Any = group.create_array(
        "data",
        shape=scan.data.shape,
        chunks=_chunks(scan),
        dtype=description.dtype,
        dimension_names=["ry", "rx", "ky", "kx"],
        config={"write_empty_chunks": True},
    )
    for row in range(scan.scan_shape[0]):
        data[row] = scan.rows(row, row + 1)[0]


def _write_hspy(path: Path, scan: PatternScan) -> None:
    import h5py

    description = describe_scan(scan)
    with h5py.File(path, "w") as file:
        file.attrs.update({"file_format": "HyperSpy", "file_format_version": "3.3"})
        signal = file.create_group("Experiments/__unnamed__")
        for index, axis in enumerate(description.axes):
            signal.create_group(f"axis-{index}").attrs.update(_hspy_axis(axis))
        metadata = signal.create_group("metadata")
        metadata.create_group("Signal").attrs["signal_type"] = "electron_diffraction"
        metadata.create_group("General").attrs["title"] = ""
        if scan.beam is not None:
            tem = metadata.create_group("Acquisition_instrument/TEM").attrs
            tem.update({"beam_energy": scan.beam.energy_kev, "convergence_angle": scan.beam.semi_convergence_mrad})
        for name in ("original_metadata", "learning_results"):
            signal.create_group(name)
        data = signal.create_dataset(
            "data", scan.data.shape, description.dtype, chunks=_chunks(scan), compression="gzip", compression_opts=4
        )
        for row in range(scan.scan_shape[0]):
            data[row] = scan.rows(row, row + 1)[0]


def _hspy_axis(axis: Axis) -> dict[str, Any]:
    return {
        "_type": "UniformDataAxis",
        "name": axis.name,
        "navigate": axis.role == "navigate",
        "size": axis.size,
        "scale": axis.scale if axis.scale is not None else 1.0,
        "offset": axis.offset,
        "units": axis.unit if axis.scale is not None else "_None_",
    }


def _write_mrc(path: Path, micrograph: Micrograph) -> None:
    import mrcfile

    data = _storable(micrograph, path, {"b": np.int8, "u1": np.uint16}, ("i1", "i2", "u2", "f4"))
    step_y, step_x = micrograph.grid.step_a
    with mrcfile.new(path) as mrc:
        mrc.set_data(data)
        mrc.voxel_size = (step_x, step_y, 0.0)


def _write_tiff(path: Path, micrograph: Micrograph) -> None:
    import tifffile

    data = _storable(micrograph, path, {"b": np.uint8}, ("u1", "u2", "f4"))
    step_y, step_x = (step / 10 for step in micrograph.grid.step_a)
    tifffile.imwrite(path, data, imagej=True, resolution=(1 / step_x, 1 / step_y), metadata={"unit": "nm"})


def _storable(micrograph: Micrograph, path: Path, widened: dict[str, Any], kept: tuple[str, ...]) -> Any:
    """Return the image in a type that the format has, widened where that loses nothing."""
    data = np.asarray(micrograph.data)
    code = "b" if data.dtype == np.bool_ else data.dtype.str[1:]
    if code in widened:
        return data.astype(widened[code])
    if code not in kept:
        raise DataError(f"{path.suffix} cannot hold {data.dtype}; convert the micrograph first, e.g. to float32.")
    return np.ascontiguousarray(data)
