"""Spots whose fringes fill the same place come from one grain, and are named together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform

from friedel.core.arrays import BoolArray, FloatArray, IntArray

#: Spots are of one grain if their regions have at least this share (intersection over union) in common.
MIN_COMMON = 0.45
#: Regions are compared on a grid of about this many positions a side.
COMPARED_SIDE = 256
#: Share of a grain's spots that another, overlapping grain may have put there.
STRANGERS = 0.2


def group_by_place(masks: Sequence[BoolArray]) -> IntArray:
    """Number the grains that spots belong to, (N,), from the region (y, x) of each spot's fringes.

    Average linkage of one minus the shared part of two regions. Spots with no region are grains of their own.
    """
    n = len(masks)
    if n < 2:
        return np.zeros(n, dtype=np.int64)
    step = max(1, max(masks[0].shape) // COMPARED_SIDE)
    flat = np.stack([mask[::step, ::step].ravel() for mask in masks]).astype(np.float32)
    common = flat @ flat.T
    area = flat.sum(axis=1)
    union = np.maximum(area[:, None] + area - common, 1e-9)
    apart = np.clip(1 - common / union, 0.0, 1.0)
    np.fill_diagonal(apart, 0.0)
    tree = hierarchy.linkage(squareform(apart, checks=False), method="average")
    return np.asarray(hierarchy.fcluster(tree, 1 - MIN_COMMON, criterion="distance") - 1, dtype=np.int64)


def joint_posterior(posterior: FloatArray, priors: FloatArray, groups: IntArray, same: BoolArray) -> FloatArray:
    """Name the spots of each grain together.

    Parameters
    ----------
    posterior
        (N, P + 1) probabilities of each spot on its own, the last of none.
    priors
        (P + 1,) priors with which these were found, the last of none.
    groups
        Grain of each spot (N,).
    same
        (N, N) whether two spots have the same spacing, and so the same error of their lattice: n of them in one
        grain count as one witness.

    Notes
    -----
    A grain is of one phase. The likelihood ratio of phase p and none for spot i is r_ip = (posterior_ip / prior_p) /
    (posterior_i0 / prior_0). The grain's phase has the probability of prior_p times the product over its spots of
    (1 - e) r_ip + e, with e the share of strangers. A spot belongs to that phase with (1 - e) r_ip over the same sum,
    and keeps its own probabilities otherwise.
    """
    ratio = (posterior / priors) / np.maximum(posterior[:, -1:] / priors[-1], 1e-12)
    out = posterior.copy()
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        if len(rows) < 2:
            continue
        own = (1 - STRANGERS) * ratio[rows]
        power = 1 / same[np.ix_(rows, rows)].sum(axis=1)
        log_phase = np.log(priors) + power @ np.log(own + STRANGERS)
        phase = np.exp(log_phase - log_phase.max())
        phase /= phase.sum()
        belongs = phase * own / (own + STRANGERS)
        out[rows] = belongs + (1 - belongs.sum(axis=1, keepdims=True)) * posterior[rows]
    return out
