"""The map in which the neighbours of each position have a say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from friedel.core.arrays import FloatArray
from friedel.identify.counts.hypotheses import hypotheses_of
from friedel.identify.counts.presence import sum_over_phases
from friedel.identify.spatial_prior import agreement_of, smooth_posterior
from friedel.pipeline.scans.counts import CountFindings
from friedel.pipeline.scans.result import ScanResult, SmoothedMap

#: Scores nearer to 0 or 1 than this are taken as this: a score of 0 says that a phase was not found.
_SUREST = 0.01


def with_neighbours(
    result: ScanResult, seed: int = 0, *, progress: Callable[[int, int], None] = lambda done, total: None
) -> ScanResult:
    """Add a map in which the neighbours of each position have a say; presence itself stays as it is."""
    pmap = result.phase_map
    names = hypotheses_of(len(pmap.phases))
    posterior = _posterior_of(result, names).reshape(*pmap.valid.shape, len(names))
    smoothed = smooth_posterior(posterior, pmap.valid, agreement_of(names), seed=seed, progress=progress)
    presence = sum_over_phases(smoothed.posterior.reshape(-1, len(names))).reshape(pmap.presence.shape)
    return replace(result, smoothed=SmoothedMap(replace(pmap, presence=presence.astype(np.float32)), smoothed.strength))


def _posterior_of(result: ScanResult, names: tuple[tuple[int, ...], ...]) -> FloatArray:
    """Probability (n, H) of none of the phases, each alone and each two, by the evidence of each position alone.

    Where phases have scores and no probabilities together, they are taken as independent.
    """
    if isinstance(result.found, CountFindings):
        return result.found.posterior
    score = np.clip(result.phase_map.presence.reshape(-1, len(result.phase_map.phases)), _SUREST, 1.0 - _SUREST)
    holds = np.array([[p in name for p in range(score.shape[1])] for name in names], dtype=np.float64)
    weight = np.exp(np.log(score) @ holds.T + np.log1p(-score) @ (1.0 - holds.T))
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))
