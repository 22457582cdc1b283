"""Formats that rosettasciio reads: Digital Micrograph, Velox, NeXus and Panta Rhei.

Their files are checked by friedel's own parsers before rosettasciio sees them.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from friedel.core.errors import UnsupportedFileError
from friedel.io.describe import Axis, Description
from friedel.io.formats.common import Opened, real_dtype
from friedel.io.limits import Limits

_READERS = {
    ".dm3": ("digitalmicrograph", "Digital Micrograph"),
    ".dm4": ("digitalmicrograph", "Digital Micrograph"),
    ".emd": ("emd", "Velox"),
    ".nxs": ("nexus", "NeXus"),
    ".prz": ("pantarhei", "Panta Rhei"),
}

#: Where readers keep the high tension in V.
_VOLTAGES = (
    ("ImageList", "TagGroup0", "ImageTags", "Microscope Info", "Voltage"),
    ("Optics", "AccelerationVoltage"),
)


class Computed:
    """A dask array that is computed in this thread when it is sliced."""

    def __init__(self, array: Any) -> None:
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def __getitem__(self, key: Any, /) -> Any:
        """Read a part."""
        part = self.array[key]
        return part.compute(scheduler="synchronous") if hasattr(part, "compute") else part


def open_file(path: Path, limits: Limits) -> Opened:
    """Open a file with rosettasciio; the image with the most axes is taken, the first where there are several."""
    module, name = _READERS[path.suffix.lower()]
    signals = import_module(f"rsciio.{module}").file_reader(str(path), lazy=True)
    images = [signal for signal in signals if _is_image(signal)]
    if not images:
        shapes = ", ".join(f"{signal['data'].dtype} {signal['data'].shape}" for signal in signals) or "nothing"
        raise UnsupportedFileError(path, f"it holds no image of real numbers but {shapes}", "Save the images alone.")
    chosen = max(images, key=lambda signal: signal["data"].ndim)
    notes: tuple[str, ...] = ()
    if len(images) > 1:
        title = chosen["metadata"].get("General", {}).get("title", "")
        notes = (f"One of {len(images)} images in the file is taken: {title or 'the first'}.",)
    data = chosen["data"]
    axes = tuple(_axis(axis, data, i) for i, axis in enumerate(chosen["axes"]))
    description = Description(name, real_dtype(path, data.dtype), axes, _energy_kev(chosen), notes=notes)
    return Opened(description, Computed(data))


def _is_image(signal: dict[str, Any]) -> bool:
    """Tell whether a signal is made of images of real numbers, its last two axes being those of the image."""
    data, axes = signal["data"], signal["axes"]
    if data.ndim < 2 or len(axes) != data.ndim or data.dtype.kind not in "biuf":
        return False
    if any(str(axis.get("units")).lower() == "ev" for axis in axes):
        return False
    return not any(axis.get("navigate", False) for axis in axes[-2:])


def _axis(axis: dict[str, Any], data: Any, index: int) -> Axis:
    scale = float(axis.get("scale", 0.0))
    unit = axis.get("units")
    return Axis(
        str(axis.get("name") or f"axis-{index}"),
        int(data.shape[index]),
        scale if np.isfinite(scale) and scale != 0 else None,
        unit if isinstance(unit, str) else "",
        float(axis.get("offset", 0.0)),
        "signal" if index >= data.ndim - 2 else "navigate",
    )


def _energy_kev(signal: dict[str, Any]) -> float | None:
    """Find the beam energy in what rosettasciio hands over."""
    energy = signal["metadata"].get("Acquisition_instrument", {}).get("TEM", {}).get("beam_energy")
    if energy:
        return float(energy)
    for route in _VOLTAGES:
        value: Any = signal.get("original_metadata", {})
        for key in route:
            value = value.get(key) if hasattr(value, "get") else None
        try:
            if value is not None and float(value) > 0:
                return float(value) / 1e3
        except (TypeError, ValueError):
            continue
    return None
