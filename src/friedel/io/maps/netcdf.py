"""netCDF-4 files, written with h5py: a netCDF-4 file is an HDF5 file whose dimensions are dimension scales.

The classic format (netCDF-3), which scipy writes, has neither unsigned integers for the labels nor texts of any length
for the names of phases; a netCDF library of its own would be one more dependency for a layout of a page. The layout
follows "NetCDF-4 Format Specification" (Unidata), the coding of truth values that of xarray (int8 with dtype "bool").
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from friedel.core.arrays import AnyArray
from friedel.core.errors import CorruptFileError, DataError
from friedel.io.formats.common import COPY_AGAIN
from friedel.io.maps.types import MapAxis, MapImage, MapSet
from friedel.io.writing import atomic

#: What stands in the NAME of a dimension that has no values (specification, "Dimensions without coordinate variables").
_BARE = "This is a netCDF dimension but not a netCDF variable."


def to_netcdf(path: str | Path, maps: MapSet) -> None:
    """Write maps as a netCDF-4 file, which ``xarray.open_dataset`` opens with y, x and phase as coordinates.

    Values and types are kept. The facts are JSON in the attribute ``friedel``; ``from_netcdf`` reads them back.
    """
    path = Path(path)
    with atomic(path) as temporary, h5py.File(temporary, "w", track_order=True) as file:
        file.attrs.update({"Conventions": "CF-1.11", "friedel": json.dumps(dict(maps.facts), ensure_ascii=False)})
        dimensions = {axis.name: axis for image in maps.images for axis in image.axes}
        for number, axis in enumerate(dimensions.values()):
            _create_dimension(file, axis, number)
        for image in maps.images:
            if any(dimensions[axis.name] != axis for axis in image.axes):
                raise DataError(f"The axes of {image.name} must be those of the other maps of the same names.")
            is_bool = image.data.dtype == np.bool_
            data = image.data.astype(np.int8) if is_bool else image.data
            variable = file.create_dataset(image.name, data=data, compression="gzip", compression_opts=4)
            for i, axis in enumerate(image.axes):
                variable.dims[i].attach_scale(file[axis.name])
            texts = {"long_name": image.description, "units": image.unit, "dtype": "bool" if is_bool else ""}
            variable.attrs.update({name: text for name, text in texts.items() if text})


def from_netcdf(path: str | Path) -> MapSet:
    """Read the maps that ``to_netcdf`` wrote, bit for bit; CorruptFileError for other files."""
    path = Path(path)
    try:
        with h5py.File(path, "r") as file:
            facts = json.loads(file.attrs["friedel"])
            axes = {name: _axis(name, node) for name, node in file.items() if node.is_scale}
            variables = [(name, node) for name, node in file.items() if not node.is_scale]
            return MapSet(tuple(_image(name, node, axes) for name, node in variables), facts)
    except (OSError, KeyError, ValueError) as error:
        raise CorruptFileError(path, f"it is no netCDF file of maps ({error})", COPY_AGAIN) from error


def _create_dimension(file: Any, axis: MapAxis, number: int) -> None:
    """Create the dimension scale of an axis: its values, its labels, or nothing but its length."""
    name = axis.name
    if axis.labels:
        values: Any = file.create_dataset(name, data=list(axis.labels), dtype=h5py.string_dtype())
    elif axis.step is not None:
        values = file.create_dataset(name, data=axis.offset + axis.step * np.arange(axis.size))
        values.attrs.update({"units": axis.unit, "step": axis.step, "offset": axis.offset})
    else:
        values = file.create_dataset(name, shape=(axis.size,), dtype=">f4")
        name = f"{_BARE}{axis.size:10d}"
    values.make_scale(name)
    values.attrs["_Netcdf4Dimid"] = np.int32(number)


def _axis(name: str, node: Any) -> MapAxis:
    size = int(node.shape[0])
    if h5py.check_string_dtype(node.dtype) is not None:
        return MapAxis(name, size, labels=tuple(node.asstr()[...]))
    if "step" not in node.attrs:
        return MapAxis(name, size)
    at = node.attrs
    return MapAxis(name, size, float(at["step"]), str(at["units"]), float(at["offset"]))


def _image(name: str, node: Any, axes: dict[str, MapAxis]) -> MapImage:
    data: AnyArray = np.asarray(node)
    if node.attrs.get("dtype") == "bool":
        data = data.astype(np.bool_)
    mine = tuple(axes[dimension[0].name.lstrip("/")] for dimension in node.dims)
    return MapImage(name, data, mine, str(node.attrs.get("long_name", "")), str(node.attrs.get("units", "")))
