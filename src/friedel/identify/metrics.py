"""How well a phase map agrees with a truth, and whether its presence is calibrated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from friedel.core.arrays import BoolArray, Float32Array, FloatArray, IntArray
from friedel.core.errors import DataError
from friedel.core.phase_map import PhaseMap

#: Equal bins of presence in which it is compared with what is there.
N_BINS = 10
#: Presence in a truth from which on the phase counts as there.
THERE = 0.5


@dataclass(frozen=True, slots=True)
class PhaseScore:
    """How well one phase is found; a ratio of nothing to nothing is NaN.

    Parameters
    ----------
    phase
        Its name.
    n_there, n_named, n_both
        Positions where it is, where the map says so, and where both hold.
    calibration_error
        Expected calibration error of its presence.
    """

    phase: str
    n_there: int
    n_named: int
    n_both: int
    calibration_error: float

    @property
    def precision(self) -> float:
        """Share of what is named that is right."""
        return _ratio(self.n_both, self.n_named)

    @property
    def recall(self) -> float:
        """Share of what is there that is named."""
        return _ratio(self.n_both, self.n_there)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return _ratio(2 * self.n_both, self.n_named + self.n_there)

    @property
    def iou(self) -> float:
        """Intersection over union of the area named and the area where it is."""
        return _ratio(self.n_both, self.n_named + self.n_there - self.n_both)


@dataclass(frozen=True, slots=True)
class ForeignScore:
    """What the map makes of a phase that was not among its candidates.

    ``n_named`` of the ``n_alone`` positions where it is, and no candidate, bear the name of a candidate all the same.
    """

    phase: str
    n_alone: int
    n_named: int

    @property
    def false_naming(self) -> float:
        """Share of its positions that bear a wrong name."""
        return _ratio(self.n_named, self.n_alone)


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """What presence promises, and what is there.

    Parameters
    ----------
    edges
        Of the bins of presence (B + 1,); a value on an edge belongs to the bin above, 1 to the last.
    n
        Pairs of position and phase in each bin (B,).
    promised, found
        Mean presence, and share where the phase is there (B,); NaN in an empty bin.
    """

    edges: FloatArray
    n: IntArray
    promised: FloatArray
    found: FloatArray

    @property
    def calibration_error(self) -> float:
        """Expected calibration error: mean of |found - promised| over the bins, weighted by their numbers.

        Guo, Pleiss, Sun and Weinberger, Proc. ICML 2017, eq. 3, for each phase being there or not.
        """
        if not self.n.sum():
            return math.nan
        filled = self.n > 0
        return float(self.n[filled] @ np.abs(self.found - self.promised)[filled] / self.n.sum())


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Agreement of a map with a truth.

    Parameters
    ----------
    n_positions
        Positions that both maps can speak of.
    accuracy
        Share of positions whose set of phases is exactly right.
    kappa
        Agreement of the sets beyond chance (Cohen, Educ. Psychol. Meas. 20, 37, 1960); NaN where chance alone agrees.
    phases, foreign
        Scores of the candidates, and of phases of the truth that were no candidates.
    false_naming
        Share of the positions without any candidate that bear the name of one; NaN if there are none.
    reliability
        Of the presence of all candidates together.
    sets
        Sets of phases that occur, as bit masks over the candidates (S,), ascending.
    confusion
        Positions (S, S) by set in the truth (row) and in the map (column).
    """

    n_positions: int
    accuracy: float
    kappa: float
    phases: tuple[PhaseScore, ...]
    foreign: tuple[ForeignScore, ...]
    false_naming: float
    reliability: Reliability
    sets: IntArray
    confusion: IntArray


def evaluate_map(found: PhaseMap, truth: PhaseMap, min_probability: float = 0.5) -> Evaluation:
    """Compare a phase map with a truth of the same shape, over the positions that are valid in both.

    A phase of the truth that the map does not have counts as foreign: where it is alone, "none" is the right answer. A
    phase of the map that the truth does not have is nowhere.

    Raises
    ------
    DataError
        If shapes differ, no position is valid in both, or no name of a phase is in both.
    """
    if found.valid.shape != truth.valid.shape:
        raise DataError(
            f"The map has {_size(found.valid)} positions and the truth {_size(truth.valid)}. "
            "Compare a run with the truth of the same input."
        )
    shared = [name for name in found.phases if name in truth.phases]
    if not shared:
        raise DataError(
            f"The map knows {', '.join(found.phases)} and the truth {', '.join(truth.phases)}: no name is in both. "
            "Give a phase one name in both; a candidate that is nowhere belongs into the truth with presence 0."
        )
    both = found.valid & truth.valid
    if not both.any():
        raise DataError("No position is valid in the map and in the truth: there is nothing to compare.")
    there_by_name = {name: truth.presence[..., i][both] >= THERE for i, name in enumerate(truth.phases)}
    nowhere = np.zeros(int(both.sum()), dtype=bool)
    there = np.stack([there_by_name.get(name, nowhere) for name in found.phases], axis=1)
    foreign = {name: where for name, where in there_by_name.items() if name not in found.phases}
    return evaluate_presence(found.phases, found.presence[both], there, foreign, min_probability)


def evaluate_presence(
    phases: Sequence[str],
    presence: Float32Array | FloatArray,
    there: BoolArray,
    foreign: dict[str, BoolArray] | None = None,
    min_probability: float = 0.5,
) -> Evaluation:
    """Compare presence (n, P) with what is there (n, P), and with where foreign phases are, each (n,)."""
    named = presence >= min_probability
    empty = ~there.any(axis=1)
    wrongly = named.any(axis=1) & empty
    scores = tuple(
        PhaseScore(
            name,
            int(there[:, i].sum()),
            int(named[:, i].sum()),
            int((there[:, i] & named[:, i]).sum()),
            reliability_of(presence[:, i], there[:, i]).calibration_error,
        )
        for i, name in enumerate(phases)
    )
    strangers = tuple(
        ForeignScore(name, int((where & empty).sum()), int((where & wrongly).sum()))
        for name, where in (foreign or {}).items()
    )
    weights = 1 << np.arange(len(phases), dtype=np.int64)
    sets, confusion = confusion_of(there @ weights, named @ weights)
    return Evaluation(
        len(there),
        _ratio(int(np.trace(confusion)), len(there)),
        kappa_of(confusion),
        scores,
        strangers,
        _ratio(int(wrongly.sum()), int(empty.sum())),
        reliability_of(presence.ravel(), there.ravel()),
        sets,
        confusion,
    )


def confusion_of(truth: IntArray, found: IntArray) -> tuple[IntArray, IntArray]:
    """Values that occur, ascending (S,), and how often each pair of truth (row) and finding (column) occurs (S, S)."""
    values, index = np.unique(np.concatenate([truth, found]), return_inverse=True)
    n = len(values)
    pairs = np.bincount(index[: len(truth)] * n + index[len(truth) :], minlength=n * n)
    return values.astype(np.int64), pairs.reshape(n, n).astype(np.int64)


def kappa_of(confusion: IntArray) -> float:
    """Cohen's kappa of a square table of counts: (p_o - p_e) / (1 - p_e); NaN where p_e is 1."""
    total = confusion.sum()
    if not total:
        return math.nan
    observed = np.trace(confusion) / total
    expected = float(confusion.sum(axis=0) @ confusion.sum(axis=1)) / float(total) ** 2
    return math.nan if expected >= 1.0 else float((observed - expected) / (1.0 - expected))


def reliability_of(presence: Float32Array | FloatArray, there: BoolArray, n_bins: int = N_BINS) -> Reliability:
    """Compare presence (n,) with what is there (n,), in equal bins."""
    which = np.minimum((presence * n_bins).astype(np.int64), n_bins - 1)
    n = np.bincount(which, minlength=n_bins).astype(np.int64)
    promised, found = (
        np.divide(np.bincount(which, weights=v, minlength=n_bins), n, out=np.full(n_bins, np.nan), where=n > 0)
        for v in (presence.astype(np.float64), there.astype(np.float64))
    )
    return Reliability(np.linspace(0.0, 1.0, n_bins + 1), n, promised, found)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _size(array: BoolArray) -> str:
    return " x ".join(map(str, array.shape))
