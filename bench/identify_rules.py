"""What another program would call present: a rule on its scores, fitted on patterns whose phases are known.

A program gives each pattern one score for each phase. What is present follows from a rule with four numbers,

    phase i is present if score_i >= t_i and score_i >= r_i score_j,

that are fitted on the development half for every source, region and dose, together with the kind of score and the
program's own level. Nobody could tune it like this on a real sample.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from identify_cases import Array
from scipy import ndimage

_N_THRESHOLDS = 21
_RATIOS = np.array([0.0, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1])


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What a program says: scores of patterns (levels, n, kinds, P), their kinds, and its own levels."""

    values: Array
    kinds: tuple[str, ...]
    levels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """How scores become phases: kind of score, level, thresholds and ratios."""

    kind: str
    level: str
    least: tuple[float, float]
    ratio: tuple[float, float]

    def present(self, scores: Scores) -> Array:
        """Which phases are present (n, 2)."""
        values = scores.values[scores.levels.index(self.level), :, scores.kinds.index(self.kind)]
        return (values > 0) & (values >= self.least) & (values >= np.asarray(self.ratio) * values[:, ::-1])

    def named(self, scores: Scores) -> Array:
        """Which phases are present (n, 2) if at least one is: where the rule says none, that nearest its threshold."""
        values = scores.values[scores.levels.index(self.level), :, scores.kinds.index(self.kind)]
        return with_nearest(self.present(scores), values / np.maximum(self.least, 1e-12))


def with_nearest(present: Array, likeness: Array) -> Array:
    """Name the likeliest phase where none is named; of equally likely ones the first."""
    nearest = np.arange(present.shape[1]) == likeness.argmax(axis=1)[:, None]
    return np.where(present.any(axis=1, keepdims=True), present, nearest)


def fit_rule(scores: Scores, there: Array) -> Rule:
    """Find the rule that gets most sets of phases right; of equally good ones that whose neighbours are right too."""
    best, chosen = -1.0, None
    for a, level in enumerate(scores.levels):
        for b, kind in enumerate(scores.kinds):
            table = scores.values[a, :, b]
            right, cuts = _share_right(table, there)
            merit = right + ndimage.uniform_filter(right, (3, 1, 3, 1), mode="nearest")
            if merit.max() > best:
                best = float(merit.max())
                t0, r0, t1, r1 = np.unravel_index(int(np.argmax(merit)), merit.shape)
                least = (float(cuts[0][t0]), float(cuts[1][t1]))
                chosen = Rule(kind, level, least, (float(_RATIOS[r0]), float(_RATIOS[r1])))
    assert chosen is not None
    return chosen


def _share_right(table: Array, there: Array) -> tuple[Array, list[Array]]:
    """Share of patterns whose set of phases is right (T, R, T, R), by threshold and ratio of each phase."""
    cuts, agree = [], []
    for p in range(2):
        cuts.append(np.quantile(table[:, p], np.linspace(0.01, 0.99, _N_THRESHOLDS)))
        mine, other = table[:, p, None, None], table[:, 1 - p, None, None]
        named = (mine > 0) & (mine >= cuts[p][:, None]) & (mine >= _RATIOS * other)
        agree.append((named == there[:, p, None, None]).reshape(len(table), -1).astype(float))
    shape = (_N_THRESHOLDS, len(_RATIOS)) * 2
    return (agree[0].T @ agree[1]).reshape(shape) / len(table), cuts
