"""TIFF files with their scale, for ImageJ and DigitalMicrograph."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from friedel.core.arrays import AnyArray
from friedel.core.errors import CorruptFileError, DataError
from friedel.io.formats.common import COPY_AGAIN
from friedel.io.maps.types import MapAxis, MapImage
from friedel.io.writing import atomic

#: Tags in which DigitalMicrograph's own TIFF files hold unit and scale of x and y, as RosettaSciIO reads them.
_DM_UNIT, _DM_SCALE = (65003, 65004), (65009, 65010)
#: What ImageJ opens, and the type that holds what it does not.
_KEPT = ("uint8", "uint16", "float32")
_REPLACED: dict[str, Any] = {"bool": np.uint8, "float16": np.float32, "float64": np.float32}
_EXACT_IN_FLOAT32 = 2**24


def to_tiff(path: str | Path, image: MapImage) -> None:
    """Write a map as an ImageJ TIFF with pixel size, unit and names of its slices; axes before (y, x) become channels.

    Types that ImageJ does not know are widened, and double precision becomes single.

    Raises
    ------
    DataError
        If whole numbers are too large for the type that ImageJ would hold them in.
    """
    path = Path(path)
    data = _storable(image)
    y, x = image.axes[-2:]
    finite = data[np.isfinite(data)]
    shown = {"min": float(finite.min(initial=0)), "max": float(finite.max(initial=0))}
    metadata: dict[str, Any] = {"axes": "CYX", "Info": json.dumps(_info(image), ensure_ascii=False), **shown}
    options: dict[str, Any] = {"resolution": (1.0, 1.0)}
    if y.step is not None and x.step is not None:
        metadata |= {"unit": x.unit, "xorigin": -x.offset / x.step, "yorigin": -y.offset / y.step}
        options["resolution"] = (1.0 / x.step, 1.0 / y.step)
        options["extratags"] = [
            *((tag, "s", 0, axis.unit, False) for tag, axis in zip(_DM_UNIT, (x, y), strict=True)),
            *((tag, "d", 1, axis.step, False) for tag, axis in zip(_DM_SCALE, (x, y), strict=True)),
        ]
    names = slice_names(image)
    if len(names) > 1:
        metadata["Labels"] = names
    stack = data.reshape(len(names), y.size, x.size)
    with atomic(path) as temporary:
        tifffile.imwrite(temporary, stack, imagej=True, metadata=metadata, **options)


def from_tiff(path: str | Path) -> MapImage:
    """Read a map that ``to_tiff`` wrote, in the type that the file has; CorruptFileError for other files."""
    path = Path(path)
    try:
        with tifffile.TiffFile(path) as file:
            metadata = file.imagej_metadata or {}
            info = json.loads(metadata["Info"])
            axes = [MapAxis(**{**axis, "labels": tuple(axis["labels"])}) for axis in info["axes"]]
            data = file.asarray().reshape([axis.size for axis in axes])
            return MapImage(info["name"], data, tuple(axes), info["description"], info["unit"])
    except (OSError, KeyError, ValueError, tifffile.TiffFileError) as error:
        raise CorruptFileError(path, f"it is no TIFF file of a map ({error})", COPY_AGAIN) from error


def slice_names(image: MapImage) -> list[str]:
    """Return the name of each picture (y, x) of a map, in order."""
    names = [image.name]
    for axis in image.axes[:-2]:
        elements = axis.labels or tuple(f"{axis.name} {i}" for i in range(axis.size))
        names = [f"{name} {element}" for name in names for element in elements]
    return names


def _info(image: MapImage) -> dict[str, Any]:
    axes = [asdict(axis) for axis in image.axes]
    return {"name": image.name, "description": image.description, "unit": image.unit, "axes": axes}


def _storable(image: MapImage) -> AnyArray:
    """Return the values in a type that ImageJ opens."""
    data = np.asarray(image.data)
    if data.dtype.kind in "iu" and data.dtype.name not in _KEPT:
        top = int(np.abs(data).max(initial=0))
        if data.min(initial=0) >= 0 and top <= np.iinfo(np.uint16).max:
            return data.astype(np.uint16)
        if top > _EXACT_IN_FLOAT32:
            raise DataError(f"ImageJ's TIFF cannot hold the whole numbers of {image.name}, up to {top}.")
        return data.astype(np.float32)
    if data.dtype.name in _KEPT:
        return np.ascontiguousarray(data)
    if data.dtype.name not in _REPLACED:
        raise DataError(f"ImageJ's TIFF cannot hold {data.dtype} of {image.name}; convert it to float32.")
    return data.astype(_REPLACED[data.dtype.name])
