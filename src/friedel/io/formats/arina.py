"""DECTRIS ARINA scans: a master file with links to the files that hold the frames, and a description beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from friedel.core.errors import TruncatedFileError
from friedel.io.describe import Axis, Description, image_axes
from friedel.io.formats.common import COPY_AGAIN, Opened, real_dtype
from friedel.io.views import Joined, Reframed

_DETECTOR = "entry/instrument/detector/detectorSpecific"


def is_master(file: h5py.File) -> bool:
    """Tell whether an HDF5 file is a master file of a DECTRIS detector."""
    return _DETECTOR in file and "entry/data" in file


def open_master(path: Path, file: h5py.File, check: Callable[[h5py.Dataset], None]) -> Opened:
    """Open all frames that a master file links to; the scan shape and step come from the file without "_master"."""
    parts = []
    for name in sorted(file["entry/data"].keys()):
        link = file["entry/data"].get(name, getlink=True)
        source = getattr(link, "filename", path.name)
        if not path.with_name(Path(source).name).exists():
            raise TruncatedFileError(
                path, f"{source}, which holds its frames, is missing", "Copy all its files together."
            )
        parts.append(file["entry/data"][name])
        check(parts[-1])
    specific = file[_DETECTOR]
    promised = int(specific["ntrigger"][()]) * int(specific["nimages"][()])
    present = sum(part.shape[0] for part in parts)
    if present < promised:
        raise TruncatedFileError(path, f"{promised} patterns were recorded, {present} are there", COPY_AGAIN)
    array: Any = Joined(parts)
    scan, step_nm = _scan(path, present)
    signal = image_axes(array.shape[1:])
    navigation: tuple[Axis, ...] = (Axis("frame", present, role="navigate"),)
    if scan is not None:
        array = Reframed(array, scan)
        navigation = tuple(Axis(n, s, step_nm, "nm", role="navigate") for n, s in zip(("ry", "rx"), scan, strict=True))
    energy_ev = float(specific["photon_energy"][()]) if "photon_energy" in specific else 0.0
    description = Description(
        "DECTRIS ARINA",
        real_dtype(path, array.dtype),
        (*navigation, *signal),
        energy_kev=energy_ev / 1e3 if energy_ev > 0 else None,
        is_scan=True,
    )
    return Opened(description, array)


def _scan(path: Path, n_frames: int) -> tuple[tuple[int, int] | None, float | None]:
    """Read scan shape and step (nm) from the description beside the master file, if it is there and fits."""
    beside = path.with_name(path.name.replace("_master", ""))
    if beside == path or not beside.exists():
        return None, None
    with h5py.File(beside, "r") as file:
        if "STEM Metadata" not in file:
            return None, None
        stem = file["STEM Metadata"].attrs
        shape = tuple(int(np.ravel(stem[f"NumPixels{axis}"])[0]) for axis in "YX")
        step_nm = float(np.ravel(stem["Pixel Size"])[0])
    if shape[0] * shape[1] != n_frames:
        return None, None
    return (shape[0], shape[1]), step_nm
