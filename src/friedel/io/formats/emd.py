"""The EMD layout of NCEM and its children: Berkeley EMD, Prismatic, fpd (Merlin) and py4DSTEM.

EMD 0.2 (emdatasets.com): a group with attribute ``emd_group_type`` 1 holds the array and one vector per axis, named
dim1, dim2, ... ; EMD 1.0 (emdfile) writes the type "array" and counts from dim0.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from friedel.core.errors import UnsupportedFileError
from friedel.io.describe import Axis, Description
from friedel.io.formats.common import Opened, real_dtype
from friedel.io.formats.hyperspy import _text
from friedel.io.views import Fixed


def open_group(path: Path, file: h5py.File) -> Opened | None:
    """Open the array with the most axes of an EMD file; None if it has no EMD group."""
    found: list[tuple[h5py.Group, h5py.Dataset]] = []

    def collect(_: str, item: Any) -> None:
        if isinstance(item, h5py.Group) and _text(item.attrs.get("emd_group_type")) in ("1", "array"):
            found.extend((item, dataset) for name, dataset in item.items() if _is_array(name, dataset))

    file.visititems(collect)
    if not found:
        return None
    group, data = max(found, key=lambda pair: pair[1].ndim)
    dtype = real_dtype(path, data.dtype)
    if data.ndim < 2:
        raise UnsupportedFileError(path, f"it holds an array of shape {data.shape}, not images", "Save images.")
    rivals = sum(pair[1].ndim == data.ndim for pair in found)
    notes = (f"The first of {rivals} arrays is taken: {data.name}.",) if rivals > 1 else ()
    axes = _with_origin([_axis(group, data, i) for i in range(data.ndim)], file)
    array: Any = data
    if data.ndim == 5 and axes[2].name == "colour" and axes[2].size == 1:
        array, axes = Fixed(data, 2), [*axes[:2], *axes[3:]]
    return Opened(Description("EMD", dtype, tuple(axes), notes=notes), array)


def _is_array(name: str, item: Any) -> bool:
    return isinstance(item, h5py.Dataset) and not name.startswith("dim") and item.ndim >= 1 and item.size > 0


def _axis(group: h5py.Group, data: h5py.Dataset, index: int) -> Axis:
    """Describe an axis from its vector: all its values, or just the first two."""
    first = 0 if "dim0" in group else 1
    role: Any = "signal" if index >= data.ndim - 2 else "navigate"
    vector = group.get(f"dim{index + first}")
    if not isinstance(vector, h5py.Dataset):
        return Axis(f"axis-{index}", data.shape[index], role=role)
    name = _text(vector.attrs.get("name")) or f"axis-{index}"
    unit = _text(vector.attrs.get("units")).strip("[]").replace("_", "")
    if vector.ndim != 1 or vector.size < 2 or vector.dtype.kind not in "iuf":
        return Axis(name, data.shape[index], None, unit, role=role)
    start, second = (float(value) for value in vector[:2])
    return Axis(name, data.shape[index], second - start, unit, start, role)


def _with_origin(axes: list[Axis], file: h5py.File) -> list[Axis]:
    """Put the mean origin that py4DSTEM measured (in pixels along the two pattern axes) into the pattern axes."""
    calibrations: list[h5py.Group] = []

    def collect(_: str, item: Any) -> None:
        if isinstance(item, h5py.Group) and _text(item.attrs.get("python_class")) == "Calibration":
            calibrations.append(item)

    file.visititems(collect)
    if len(calibrations) != 1 or not {"qx0_mean", "qy0_mean"} <= set(calibrations[0]):
        return axes
    origin = [float(np.asarray(calibrations[0][name][()])) for name in ("qx0_mean", "qy0_mean")]
    patterns = [
        Axis(a.name, a.size, a.scale, a.unit, -px * a.scale if a.scale else a.offset, a.role)
        for a, px in zip(axes[-2:], origin, strict=True)
    ]
    return [*axes[:-2], *patterns]
