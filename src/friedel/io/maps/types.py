"""Arrays with named, calibrated axes, which every exported file holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from friedel.core.arrays import AnyArray
from friedel.core.errors import DataError


@dataclass(frozen=True, slots=True)
class MapAxis:
    """One axis of a map.

    Parameters
    ----------
    name, size
        Name, such as "y" or "phase", and length.
    step, unit
        Distance of neighbouring elements; ``step`` is None where it is not known, and then the axis counts elements.
    offset
        Value at index 0, in ``unit``.
    labels
        Names of the elements, such as the phases; empty where they have none.
    """

    name: str
    size: int
    step: float | None = None
    unit: str = ""
    offset: float = 0.0
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 1 or len(self.labels) not in (0, self.size):
            raise DataError(f"The axis {self.name} has {len(self.labels)} labels for {self.size} elements.")


@dataclass(frozen=True, slots=True, eq=False)
class MapImage:
    """One map: values on axes of which the last two are (y, x), y downwards.

    Parameters
    ----------
    name, description
        Short name, and what the values are.
    data
        Array with one dimension for each of ``axes``.
    unit
        Unit of the values; empty for plain numbers.
    """

    name: str
    data: AnyArray
    axes: tuple[MapAxis, ...]
    description: str = ""
    unit: str = ""

    def __post_init__(self) -> None:
        if tuple(axis.size for axis in self.axes) != self.data.shape:
            sizes = {axis.name: axis.size for axis in self.axes}
            raise DataError(f"The map {self.name} has the shape {self.data.shape}, and axes of the lengths {sizes}.")
        if [axis.name for axis in self.axes[-2:]] != ["y", "x"]:
            raise DataError(f"The last axes of the map {self.name} must be y, x, got {[a.name for a in self.axes]}.")


@dataclass(frozen=True, slots=True, eq=False)
class MapSet:
    """The maps of a run, with facts in JSON's types that go with all of them."""

    images: tuple[MapImage, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def image(self, name: str) -> MapImage:
        """Return the map of this name; DataError if there is none."""
        for image in self.images:
            if image.name == name:
                return image
        raise DataError(f"There is no map {name!r}, only {', '.join(image.name for image in self.images) or 'none'}.")
