"""HyperSpy files (.hspy, HDF5) with several signals: the maps are images, all other axes navigate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from friedel.core.errors import CorruptFileError
from friedel.io.formats.common import COPY_AGAIN
from friedel.io.maps.types import MapAxis, MapImage, MapSet
from friedel.io.writing import atomic

#: HyperSpy's word for an axis without unit.
_NO_UNIT = "_None_"


def to_hspy(path: str | Path, maps: MapSet) -> None:
    """Write maps as a HyperSpy file, which ``hyperspy.api.load`` opens as one signal per map; y points down.

    Values and types are kept. The names along an axis, which HyperSpy's axes cannot hold, and the facts are JSON in
    ``original_metadata.friedel``; ``from_hspy`` reads them back. The layout follows RosettaSciIO's description of the
    format, version 3.3.
    """
    path = Path(path)
    with atomic(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update({"file_format": "HyperSpy", "file_format_version": "3.3"})
        for image in maps.images:
            signal = file.create_group(f"Experiments/{image.name}")
            for index, axis in enumerate(image.axes):
                signal.create_group(f"axis-{index}").attrs.update(_axis_attributes(axis, index < len(image.axes) - 2))
            metadata = signal.create_group("metadata")
            metadata.create_group("General").attrs.update({"title": image.name, "notes": _notes(image)})
            metadata.create_group("Signal").attrs.update({"signal_type": "", "quantity": image.unit})
            labels = {axis.name: axis.labels for axis in image.axes if axis.labels}
            kept = {"labels": labels, "facts": dict(maps.facts)}
            signal.create_group("original_metadata").attrs["friedel"] = json.dumps(kept, ensure_ascii=False)
            signal.create_group("learning_results")
            signal.create_dataset("data", data=image.data, compression="gzip", compression_opts=4)


def from_hspy(path: str | Path) -> MapSet:
    """Read the maps that ``to_hspy`` wrote, bit for bit; CorruptFileError for other files."""
    path = Path(path)
    images: list[MapImage] = []
    facts: dict[str, Any] = {}
    try:
        with h5py.File(path, "r") as file:
            for name, signal in file["Experiments"].items():
                kept = json.loads(signal["original_metadata"].attrs["friedel"])
                facts = kept["facts"]
                data = np.asarray(signal["data"])
                axes = tuple(_axis(signal[f"axis-{i}"].attrs, kept["labels"]) for i in range(data.ndim))
                metadata = signal["metadata"]
                notes = str(metadata["General"].attrs["notes"]).partition("\n")[0]
                images.append(MapImage(name, data, axes, notes, str(metadata["Signal"].attrs["quantity"])))
    except (OSError, KeyError, ValueError) as error:
        raise CorruptFileError(path, f"it is no file of maps in HyperSpy's format ({error})", COPY_AGAIN) from error
    return MapSet(tuple(images), facts)


def _axis_attributes(axis: MapAxis, navigates: bool) -> dict[str, Any]:
    known = axis.step is not None
    return {
        "_type": "UniformDataAxis",
        "name": axis.name,
        "navigate": navigates,
        "size": axis.size,
        "scale": axis.step if known else 1.0,
        "offset": axis.offset,
        "units": axis.unit if known else _NO_UNIT,
    }


def _axis(attributes: Any, labels: dict[str, list[str]]) -> MapAxis:
    name, unit = str(attributes["name"]), str(attributes["units"])
    step = None if unit == _NO_UNIT else float(attributes["scale"])
    size, offset = int(attributes["size"]), float(attributes["offset"])
    return MapAxis(name, size, step, unit if step is not None else "", offset, tuple(labels.get(name, ())))


def _notes(image: MapImage) -> str:
    """Say what the values are, and on further lines what stands at which index."""
    lines = [f"{axis.name} {i}: {label}" for axis in image.axes for i, label in enumerate(axis.labels)]
    return "\n".join([image.description, *lines])
