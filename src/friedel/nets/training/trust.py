"""When to believe a map of spots: chosen on validation patterns, by how many electrons they show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from friedel.core.arrays import BoolArray, Float32Array, FloatArray, IntArray
from friedel.nets.cards import OperatingPoint
from friedel.nets.scoring import FALSE, HIT, WANTED, match_spots
from friedel.nets.spot_map import Trust, evidence_of, find_peaks
from friedel.nets.training.generator import CRYSTAL, Batch
from friedel.nets.training.validation import DOSES, off_beam, tolerances_px

#: False spots per pattern of vacuum, of amorphous film and of noise that may be let through on validation patterns,
#: their standard error included: false spots come many at a time in few patterns.
MAX_FALSE = 0.04
_THRESHOLDS = (0.03, 0.05, 0.07, 0.1, 0.13, 0.16, 0.2, 0.25, 0.3, 0.4)
_SURE = np.round(np.arange(0.20, 0.98, 0.02), 2)


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Maxima of spot maps, with what they are worth.

    Parameters
    ----------
    pattern, height, verdict
        Number of the pattern, height and verdict of each maximum (M,); see ``scoring.match_spots``.
    electrons, wanted, kind
        What each pattern shows, how many spots are wanted in it, and which kind it is (n,).
    """

    pattern: IntArray
    height: FloatArray
    verdict: IntArray
    electrons: FloatArray
    wanted: IntArray
    kind: IntArray

    def of(self, chosen: BoolArray) -> Judged:
        """Keep some of the patterns (n,)."""
        number = np.cumsum(chosen) - 1
        kept = chosen[self.pattern]
        return Judged(
            number[self.pattern[kept]], self.height[kept], self.verdict[kept],
            self.electrons[chosen], self.wanted[chosen], self.kind[chosen],
        )  # fmt: skip


def judge_maps(probability: Float32Array, batch: Batch) -> Judged:
    """Judge all maxima of maps (n, ky, kx) down to the lowest threshold."""
    pattern, px, height = find_peaks(probability, Trust(_THRESHOLDS[0]), off_beam(batch))
    true_px, kind = batch.spot_px.cpu().numpy(), batch.spot_kind.cpu().numpy().copy()
    kind[batch.kind != CRYSTAL] = 0
    reach = tolerances_px(batch)
    verdict = np.concatenate(
        [match_spots(px[pattern == i], true_px[i], kind[i], reach[i])[0] for i in range(len(probability))]
    )
    electrons = batch.counts.sum(dim=(1, 2)).double().cpu().numpy()
    return Judged(pattern, height, verdict, electrons, (kind == WANTED).sum(axis=1), batch.kind)


def join(parts: Sequence[Judged]) -> Judged:
    """Join what was judged batch by batch."""
    starts = np.cumsum([0, *(len(part.electrons) for part in parts)])
    pattern = np.concatenate([part.pattern + start for part, start in zip(parts, starts, strict=False)])
    rest = (np.concatenate([getattr(part, name) for part in parts])
            for name in ("height", "verdict", "electrons", "wanted", "kind"))  # fmt: skip
    return Judged(pattern, *rest)


def choose_points(judged: Judged) -> tuple[OperatingPoint, ...]:
    """Find, among the numbers of electrons in ``DOSES``, when spots count best.

    Each pattern belongs to the nearest of those numbers. Of the pairs of threshold and evidence with few false spots in
    patterns of every kind without a crystal, the one with the best F1 in those with one is taken; where there is none,
    the strictest.
    """
    nearest = np.abs(np.log(np.maximum(judged.electrons, 1.0))[:, None] - np.log(DOSES)).argmin(axis=1)
    points = []
    for i, electrons in enumerate(DOSES):
        some = judged.of(nearest == i)
        threshold, sure = _best(some.of(some.kind == CRYSTAL), some.of(some.kind != CRYSTAL))
        points.append(OperatingPoint(electrons=float(electrons), threshold=threshold, sure=sure))
    return tuple(points)


def _best(crystals: Judged, nothing: Judged) -> tuple[float, float]:
    best, best_f1 = (_THRESHOLDS[-1], float(_SURE[-1])), -1.0
    for threshold in _THRESHOLDS:
        with_crystal, without = (_evidence(part, threshold) for part in (crystals, nothing))
        for sure in _SURE:
            counts = nothing.pattern[(without >= sure) & (nothing.height >= threshold)]
            false = np.bincount(counts, minlength=len(nothing.kind))
            if any(_at_most(false[nothing.kind == kind]) > MAX_FALSE for kind in np.unique(nothing.kind)):
                continue
            found = crystals.verdict[(with_crystal >= sure) & (crystals.height >= threshold)]
            hits, wrong, wanted = int((found == HIT).sum()), int((found == FALSE).sum()), int(crystals.wanted.sum())
            f1 = 2.0 * hits / max(hits + wrong + wanted, 1)
            if f1 > best_f1:
                best, best_f1 = (threshold, float(sure)), f1
    return best


def _at_most(counts: IntArray) -> float:
    """Mean of counts and its standard error together."""
    return float(counts.mean() + counts.std() / np.sqrt(len(counts)))


def _evidence(judged: Judged, threshold: float) -> FloatArray:
    """Evidence for a crystal in the pattern of each maximum (M,)."""
    kept = judged.height >= threshold
    evidence = evidence_of(judged.pattern[kept], judged.height[kept], len(judged.electrons))
    return np.asarray(evidence[judged.pattern], dtype=np.float64)
