"""The result: where each phase is present, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from friedel.core.arrays import BoolArray, Float32Array
from friedel.core.errors import DataError
from friedel.core.grids import RealGrid
from friedel.core.showing import card_of_phase_map

MAX_PHASES = 32


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PhaseMap:
    """Presence of each phase at each position.

    Parameters
    ----------
    phases
        Names, in the order of the last axis of ``presence``.
    presence
        (y, x, P) float32, 0 to 1: how surely each phase is present. Two phases may share a position, so that the
        values of one position need not add up to 1.
    valid
        (y, x) False where nothing can be said (no data).
    grid
        Distance of neighbouring positions; None where not known.
    """

    phases: tuple[str, ...]
    presence: Float32Array
    valid: BoolArray
    grid: RealGrid | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.phases) <= MAX_PHASES or len(set(self.phases)) != len(self.phases):
            raise DataError(f"A phase map holds 1 to {MAX_PHASES} phases with unique names, got {self.phases}.")
        if self.presence.ndim != 3 or self.presence.shape[2] != len(self.phases):
            raise DataError(f"presence must have shape (y, x, {len(self.phases)}), got {self.presence.shape}.")
        if self.valid.shape != self.presence.shape[:2] or self.valid.dtype != np.bool_:
            raise DataError(f"valid must be bool of shape {self.presence.shape[:2]}, got {self.valid.shape}.")
        if not ((self.presence >= 0) & (self.presence <= 1)).all():
            raise DataError("presence must lie between 0 and 1.")

    def __repr__(self) -> str:
        return card_of_phase_map(self, with_pictures=False).text()

    def _repr_html_(self) -> str:
        return card_of_phase_map(self).html()

    def labels(self, min_probability: float = 0.5) -> NDArray[np.uint32]:
        """Bit mask (y, x): bit i is set where phase i has at least this presence; 0 where none has."""
        if not 0 < min_probability <= 1:
            raise DataError(f"min_probability must lie in (0, 1], got {min_probability}. Pass --min-probability.")
        bits = (self.presence >= min_probability) & self.valid[..., None]
        weights = np.uint32(1) << np.arange(len(self.phases), dtype=np.uint32)
        return np.asarray((bits * weights).sum(axis=-1), dtype=np.uint32)

    def fractions(self, min_probability: float = 0.5) -> dict[str, float]:
        """Share of valid positions where each phase, "none" of them, and more than one ("mixed") is present."""
        n_valid = max(int(self.valid.sum()), 1)
        labels = self.labels(min_probability)[self.valid]
        shares = {name: float(((labels >> np.uint32(i)) & 1).sum()) / n_valid for i, name in enumerate(self.phases)}
        shares["none"] = float((labels == 0).sum()) / n_valid
        shares["mixed"] = float((np.bitwise_count(labels) > 1).sum()) / n_valid
        return shares


class PhaseMapsOnDemand(Sequence[PhaseMap]):
    """The phase maps of a series, each made when it is asked for.

    Parameters
    ----------
    count
        Number of frames.
    make
        Makes the map of frame i.
    """

    def __init__(self, count: int, make: Callable[[int], PhaseMap]) -> None:
        self._count, self._make = count, make

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> PhaseMap: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[PhaseMap]: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._make(index)
