"""The layout of HyperSpy files, the same in HDF5 (.hspy) and zarr (.zspy): data, axes and metadata in groups."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from friedel.core.errors import CorruptFileError, UnsupportedFileError
from friedel.io.describe import Axis, Description
from friedel.io.formats.common import COPY_AGAIN, Opened, real_dtype


def open_group(path: Path, file: Any, format_name: str) -> Opened:
    """Open the signal of a HyperSpy file; the first where it holds several."""
    names = list(file["Experiments"].keys())
    if not names:
        raise CorruptFileError(path, "it holds no signal", COPY_AGAIN)
    signal = file["Experiments"][names[0]]
    if "data" not in signal:
        raise CorruptFileError(path, f"its signal {names[0]} holds no data", COPY_AGAIN)
    data = signal["data"]
    dtype = real_dtype(path, data.dtype)
    axes = tuple(_axis(path, signal, i, data.shape) for i in range(len(data.shape)))
    if [axis.role for axis in axes[-2:]] != ["signal"] * 2 or any(axis.role == "signal" for axis in axes[:-2]):
        raise UnsupportedFileError(
            path,
            f"it holds a signal with axes {[axis.name for axis in axes]}, not images",
            "Transpose it to 2-D signals.",
        )
    note = (f"The first of {len(names)} signals is taken: {names[0]}.",) if len(names) > 1 else ()
    energy, kind = _attribute(signal, "metadata/Acquisition_instrument/TEM", "beam_energy"), _signal_type(signal)
    return Opened(
        Description(
            format_name,
            dtype,
            axes,
            energy_kev=float(energy) if isinstance(energy, (int, float)) else None,
            is_scan=True if "diffraction" in kind else None,
            notes=note,
        ),
        data,
    )


def _axis(path: Path, signal: Any, index: int, shape: tuple[int, ...]) -> Axis:
    """Describe one axis; old files do not say which axes are those of the image, and then it is the last two."""
    if f"axis-{index}" not in signal:
        raise CorruptFileError(path, f"axis {index} of its data is not described", COPY_AGAIN)
    attributes = signal[f"axis-{index}"].attrs
    navigates = attributes.get("navigate", index < len(shape) - 2)
    scale = attributes.get("scale")
    return Axis(
        _text(attributes.get("name")) or f"axis-{index}",
        int(shape[index]),
        float(scale) if scale is not None else None,
        _text(attributes.get("units")),
        float(attributes.get("offset", 0.0)),
        "navigate" if navigates else "signal",
    )


def _text(value: Any) -> str:
    """Read a text attribute; HyperSpy writes "_None_" and "<undefined>" for nothing."""
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")
    return "" if text in ("_None_", "<undefined>", "t.Undefined", "None") else text


def _attribute(group: Any, where: str, name: str) -> Any:
    """Read an attribute of a subgroup as a plain value; None where it or the group is missing."""
    value = group[where].attrs.get(name) if where in group else None
    return value.item() if value is not None and hasattr(value, "item") else value


def _signal_type(signal: Any) -> str:
    return _text(_attribute(signal, "metadata/Signal", "signal_type"))
