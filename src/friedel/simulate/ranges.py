"""Ranges from which the settings of a simulation are drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from friedel.core.errors import DataError


@dataclass(frozen=True, slots=True)
class Range:
    """Where a number may lie, and how often the effect that it stands for is there at all.

    Parameters
    ----------
    low, high
        The limits; values in between are drawn evenly.
    chance
        Probability that a value is drawn; otherwise the effect keeps its default, which is none.
    is_log
        Draw evenly in the logarithm; needs ``low`` > 0.
    """

    low: float
    high: float
    chance: float = 1.0
    is_log: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise DataError(f"Range needs two finite limits, low <= high, got {self.low} and {self.high}.")
        if not 0 <= self.chance <= 1:
            raise DataError(f"Range.chance must lie in [0, 1], got {self.chance}.")
        if self.is_log and not self.low > 0:
            raise DataError(f"Range.low must be positive to draw evenly in the logarithm, got {self.low}.")

    def draw(self, rng: np.random.Generator) -> float:
        """Draw a value, whatever the chance."""
        if self.is_log:
            return math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        return float(rng.uniform(self.low, self.high))


def draw_settings(ranges: Any, rng: np.random.Generator) -> dict[str, float]:
    """Draw each ``Range`` of a dataclass, in the order of its fields; what chance leaves out is not in the answer."""
    drawn = {}
    for entry in fields(ranges):
        value = getattr(ranges, entry.name)
        if isinstance(value, Range) and rng.random() < value.chance:
            drawn[entry.name] = value.draw(rng)
    return drawn


def require_within(settings: Any, names: tuple[str, ...], low: float = 0.0, high: float = math.inf) -> None:
    """Raise DataError where a setting of these names is not a number from ``low`` to ``high``."""
    for name in names:
        value = getattr(settings, name)
        if not low <= value <= high:
            kind = type(settings).__name__
            raise DataError(f"{kind}.{name} must lie between {low:g} and {high:g}, got {value}.")
