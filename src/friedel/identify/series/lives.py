"""From when to when each phase and each of its families is seen in a series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from friedel.core.arrays import FloatArray, IntArray
from friedel.identify.grains.naming import GrainMatch
from friedel.identify.grains.table import Component
from friedel.identify.series.onsets import Verdicts, judge_rises


@dataclass(frozen=True, slots=True)
class Change:
    """A frame in which something appears, or the first without it.

    Parameters
    ----------
    frame, low, high
        The likeliest frame, and those between which it lies with 95 % confidence.
    false_alarms
        Expected number of changes as large as this in a series in which nothing changes.
    """

    frame: int
    low: int
    high: int
    false_alarms: float


@dataclass(frozen=True, slots=True)
class Life:
    """From when to when a phase, or one family of it, is seen.

    Parameters
    ----------
    phase, hkl
        As in ``Component``; ``hkl`` is empty for the whole phase, and for a family that nothing explains.
    d_measured_a
        Spacing of the family; None for the whole phase.
    appears, vanishes
        None where no such change is significant.
    is_first, is_last
        Whether it is there in the first frames already, and in the last still.
    """

    phase: str
    hkl: str
    d_measured_a: float | None
    appears: Change | None
    vanishes: Change | None
    is_first: bool
    is_last: bool


def find_lives(
    match: GrainMatch, components: Sequence[Component], power: FloatArray, controls: FloatArray, false_alarms: float
) -> tuple[Life, ...]:
    """Judge when phases and components appear and vanish: phases first, then the components in their order.

    Parameters
    ----------
    power
        Squared amplitude over that of noise (2, N, T) of the N spots where their grains are first, and last, seen.
    controls
        The same (2, N, J, T) at J controls of each spot; NaN where there are fewer.
    false_alarms
        Expected number of changes found in a series in which nothing changes.

    Notes
    -----
    Each family is judged grain by grain, and so is each phase with all of its spots in a grain; lone spots, whose names
    are less sure, count for a phase only if it has no others. Something appears with the grain that is sure to be
    there first, and vanishes with the one that may be there longest.
    """
    wanted: list[tuple[str, str, float | None, IntArray]] = [
        (phase, "", None, _rows_of(match, phase)) for phase in match.phases if phase in match.names
    ]
    wanted += [(c.phase, c.hkl, c.d_measured_a, np.array(c.spots, dtype=np.int64)) for c in components]
    units = [(i, rows[match.grains[rows] == g]) for i, (*_, rows) in enumerate(wanted)
             for g in np.unique(match.grains[rows])]  # fmt: skip
    owner = np.array([i for i, _ in units])
    rises, falls = (
        judge_rises(
            np.stack([power[side][rows].mean(axis=0) for _, rows in units])[:, ::direction],
            np.stack([controls[side][rows].mean(axis=0) for _, rows in units])[..., ::direction],
            false_alarms / 2,
        )
        for side, direction in ((0, 1), (1, -1))
    )
    n_frames = power.shape[-1]
    return tuple(Life(phase, hkl, d_a, *_changes(np.flatnonzero(owner == i), rises, falls, n_frames))
                 for i, (phase, hkl, d_a, _) in enumerate(wanted))  # fmt: skip


def _rows_of(match: GrainMatch, phase: str) -> IntArray:
    """Spots of a phase: those that share their grain with another of it, or all if there are none such."""
    rows = np.flatnonzero(np.array(match.names) == phase)
    company = np.bincount(match.grains[rows])[match.grains[rows]] > 1
    return np.asarray(rows[company] if company.any() else rows)


def _changes(
    units: IntArray, rises: Verdicts, falls: Verdicts, n_frames: int
) -> tuple[Change | None, Change | None, bool, bool]:
    """Join the grains of one phase or component as in ``Life``; the falls are told in reversed time."""
    is_first, is_last = bool(rises.is_first[units].any()), bool(falls.is_first[units].any())
    appears = vanishes = None
    if not is_first and rises.appears[units].any():
        seen = units[rises.appears[units]]
        i = _earliest(rises, seen)
        appears = Change(int(rises.changes.frame[i]), int(rises.changes.low[i]), int(rises.changes.high[i]),
                         float(rises.false_alarms[i]))  # fmt: skip
    if not is_last and falls.appears[units].any():
        seen = units[falls.appears[units]]
        i = _earliest(falls, seen)
        vanishes = Change(n_frames - int(falls.changes.frame[i]), n_frames - int(falls.changes.high[i]),
                          n_frames - int(falls.changes.low[i]), float(falls.false_alarms[i]))  # fmt: skip
    return appears, vanishes, is_first, is_last


def _earliest(rises: Verdicts, units: IntArray) -> int:
    """Return the unit whose interval ends first, since the first of many uncertain frames would come too early."""
    changes = rises.changes
    return int(units[np.lexsort((changes.frame[units], changes.high[units]))[0]])
