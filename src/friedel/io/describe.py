"""What a file says of itself: the plain description that the reading child hands to its parent."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Role = Literal["navigate", "signal"]


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of the array in a file.

    Parameters
    ----------
    name, size
        Name in the file, and length.
    scale, unit
        Distance of neighbouring elements; ``scale`` is None where the file does not state it.
    offset
        Value at index 0, in ``unit``.
    role
        "signal" for the two axes of an image or pattern, "navigate" for scan and time axes.
    """

    name: str
    size: int
    scale: float | None = None
    unit: str = ""
    offset: float = 0.0
    role: Role = "signal"


@dataclass(frozen=True, slots=True)
class Description:
    """The array of a file: its type, axes and calibration, as stated in the file.

    Parameters
    ----------
    format_name
        Format as people call it.
    dtype
        Type of the elements, native byte order, as numpy's short string.
    axes
        In the order of the array.
    energy_kev
        Beam energy; None where the file lacks it.
    is_scan
        True or False where the format tells that the array is a scan of patterns or is not; None where it does not.
    notes
        Sentences for the user about choices made while reading.
    calibration
        The whole calibration as friedel itself wrote it (see ``friedel.io.own``); None in files of others.
    """

    format_name: str
    dtype: str
    axes: tuple[Axis, ...]
    energy_kev: float | None = None
    is_scan: bool | None = None
    notes: tuple[str, ...] = ()
    calibration: dict[str, Any] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return tuple(axis.size for axis in self.axes)

    def to_json(self) -> dict[str, Any]:
        """Return the description as plain values."""
        return asdict(self)

    @staticmethod
    def from_json(plain: dict[str, Any]) -> Description:
        """Rebuild a description from plain values."""
        axes = tuple(Axis(**axis) for axis in plain["axes"])
        return Description(**{**plain, "axes": axes, "notes": tuple(plain["notes"])})


def image_axes(
    shape: tuple[int, int], scale: tuple[float | None, float | None] = (None, None), unit: str = ""
) -> tuple[Axis, Axis]:
    """Return the signal axes (y, x) of an image of this shape."""
    return Axis("y", int(shape[0]), scale[0], unit), Axis("x", int(shape[1]), scale[1], unit)
