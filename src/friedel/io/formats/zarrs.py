"""zarr arrays and groups, as folders or zipped: HyperSpy's .zspy, friedel's own scans, and single arrays."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import zarr

from friedel.core.errors import TruncatedFileError, UnsupportedFileError
from friedel.io.describe import Description
from friedel.io.formats import hyperspy
from friedel.io.formats.common import COPY_AGAIN, Opened, plain_axes, real_dtype, require_sizes
from friedel.io.formats.hdf5 import require_chunk
from friedel.io.limits import Limits

#: Name of the attribute that marks friedel's own files; its value is the description of the array.
OWN_ATTRIBUTE = "friedel"


def open_file(path: Path, limits: Limits) -> Opened:
    """Open a zarr folder or zip file; an array that lacks a chunk is refused, since it would read as zeros."""
    zarr.config.set({"threading.max_workers": 1, "async.concurrency": 1})
    try:
        store: Any = zarr.storage.ZipStore(path, mode="r") if path.is_file() else path
        root = zarr.open(store, mode="r")
    except zipfile.BadZipFile as problem:
        raise TruncatedFileError(path, f"its directory is missing ({problem})", COPY_AGAIN) from None
    if isinstance(root, zarr.Array):
        opened = _plain(path, root)
    elif "Experiments" in root:
        opened = hyperspy.open_group(path, root, "HyperSpy zarr")
    elif OWN_ATTRIBUTE in root.attrs:
        opened = Opened(Description.from_json(dict(root.attrs[OWN_ATTRIBUTE])), root["data"])
    else:
        opened = _plain(path, _only_array(path, root))
    check_array(path, opened.array, limits)
    return opened


def _only_array(path: Path, root: Any) -> Any:
    arrays = [array for _, array in root.arrays() if array.ndim >= 2]
    if len(arrays) != 1:
        names = ", ".join(array.name for array in arrays) or "none"
        raise UnsupportedFileError(
            path, f"it should hold one array, it holds: {names}", "Name the folder of one array."
        )
    return arrays[0]


def _plain(path: Path, array: Any) -> Opened:
    axes = plain_axes(path, array.shape)
    return Opened(Description("zarr", real_dtype(path, array.dtype), axes), array)


def check_array(path: Path, array: Any, limits: Limits) -> None:
    """Check that every chunk of an array is there, and that one chunk fits into memory."""
    require_sizes(path, array.shape)
    real_dtype(path, array.dtype)
    require_chunk(path, array.chunks, array.dtype, limits)
    missing = array.nchunks - array.nchunks_initialized
    if missing > 0:
        remedy = (
            "Copy it again, or write it with write_empty_chunks=True: missing chunks and zeros cannot be told apart."
        )
        raise TruncatedFileError(path, f"{missing} of {array.nchunks} chunks are missing", remedy)
