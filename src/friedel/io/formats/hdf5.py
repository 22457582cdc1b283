"""HDF5 files: the checks that hold for all of them, and the choice of the layout."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np

from friedel.core.errors import CorruptFileError, FileTooLargeError, TruncatedFileError, UnsupportedFileError
from friedel.io.describe import Description
from friedel.io.formats import arina, emd, hyperspy, vendor
from friedel.io.formats.common import (
    COPY_AGAIN,
    Opened,
    gib,
    plain_axes,
    real_dtype,
    require_bytes,
    require_plausible,
    require_sizes,
)
from friedel.io.limits import Limits

FILTERS = hdf5plugin.FILTERS  # importing the package registers the compression filters


def open_file(path: Path, limits: Limits) -> Opened:
    """Open an HDF5 file in whatever layout it has."""
    file = h5py.File(path, "r")
    if "Experiments" in file:
        return _checked(path, limits, hyperspy.open_group(path, file, "HyperSpy"))
    if "Data/Image" in file:
        for group in file["Data/Image"].values():
            check_dataset(path, group["Data"], limits)
        return vendor.open_file(path, limits)
    if arina.is_master(file):
        return arina.open_master(path, file, lambda dataset: check_dataset(path, dataset, limits))
    if path.suffix.lower() == ".nxs":
        for dataset in datasets(file):
            check_dataset(path, dataset, limits)
        return vendor.open_file(path, limits)
    found = emd.open_group(path, file)
    return _checked(path, limits, found or _open_plain(path, file))


def _checked(path: Path, limits: Limits, opened: Opened) -> Opened:
    """Check the dataset behind an open file."""
    check_dataset(path, getattr(opened.array, "array", opened.array), limits)
    return opened


def datasets(group: h5py.Group) -> list[h5py.Dataset]:
    """All numeric datasets of at least two axes below a group; links to other files are not followed."""
    found: list[h5py.Dataset] = []

    def collect(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.ndim >= 2 and item.dtype.kind in "biuf":
            found.append(item)

    group.visititems(collect)
    return found


def _open_plain(path: Path, file: h5py.File) -> Opened:
    """Open the one array that has the most axes; several of them are refused."""
    candidates = datasets(file)
    most = max((dataset.ndim for dataset in candidates), default=0)
    best = [dataset for dataset in candidates if dataset.ndim == most]
    if len(best) != 1:
        names = ", ".join(dataset.name for dataset in best[:6]) or "none"
        raise UnsupportedFileError(
            path,
            f"it should hold one array of images or patterns, it holds {len(best)}: {names}",
            "Save the one you want alone.",
        )
    axes = plain_axes(path, best[0].shape)
    return Opened(Description("HDF5", real_dtype(path, best[0].dtype), axes), best[0])


def check_dataset(path: Path, dataset: h5py.Dataset, limits: Limits) -> None:
    """Check that every byte of a dataset was written and lies in the file; unwritten parts would read as zeros."""
    require_sizes(path, dataset.shape)
    if dataset.is_virtual or dataset.external:
        raise UnsupportedFileError(path, f"{dataset.name} lies in other files", "Copy the data into one file.")
    if dataset.chunks is not None:
        _check_chunks(path, dataset, limits)
        return
    if dataset.id.get_create_plist().get_layout() == h5py.h5d.COMPACT:
        return
    offset, nbytes = dataset.id.get_offset(), dataset.size * dataset.dtype.itemsize
    if offset is None:
        raise TruncatedFileError(path, f"the data of {dataset.name} were never written", COPY_AGAIN)
    require_bytes(path, offset + nbytes)


def _check_chunks(path: Path, dataset: h5py.Dataset, limits: Limits) -> None:
    corners: set[tuple[int, ...]] = set()
    ends: list[int] = []

    def visit(chunk: Any) -> None:
        corners.add(chunk.chunk_offset)
        ends.append(chunk.byte_offset + chunk.size)

    dataset.id.chunk_iter(visit)
    form = list(zip(dataset.shape, dataset.chunks, strict=True))
    expected = math.prod(-(-size // chunk) for size, chunk in form)
    for corner in corners:
        if any(at % chunk or at >= size for at, (size, chunk) in zip(corner, form, strict=True)):
            raise CorruptFileError(path, f"{dataset.name} has a chunk at {corner}, off its grid", COPY_AGAIN)
    if len(corners) < expected:
        raise TruncatedFileError(
            path, f"{expected - len(corners)} of {expected} chunks of {dataset.name} were never written", COPY_AGAIN
        )
    require_bytes(path, max(ends))
    require_chunk(path, dataset.chunks, dataset.dtype, limits)
    if dataset.ndim == 2:
        nbytes = dataset.size * dataset.dtype.itemsize
        require_plausible(path, nbytes, int(dataset.id.get_storage_size()), limits)


def require_chunk(path: Path, chunks: tuple[int, ...], dtype: Any, limits: Limits) -> None:
    """Raise FileTooLargeError if one chunk, which must be read whole, does not fit into the memory limit."""
    nbytes = math.prod(chunks) * np.dtype(dtype).itemsize
    if nbytes > limits.memory_bytes:
        raise FileTooLargeError(
            path,
            f"one chunk takes {gib(nbytes)}, the limit is {gib(limits.memory_bytes)}",
            "Save it in smaller chunks.",
        )
