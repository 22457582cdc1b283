"""Which spots come from one grain: those whose fringes fill the same place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform

from friedel.core.arrays import BoolArray, Float32Array, FloatArray, IntArray
from friedel.identify.grains.joint import JointMatch
from friedel.identify.grains.phase_model import PhaseModel, in_plane, zone_of
from friedel.identify.grains.plane_fit import EvidenceOptions, GrainSpots, laid_on, seed_pairs

#: Spots are of one grain if their regions have at least this share (intersection over union) in common.
MIN_COMMON = 0.45
#: A spot may join the net of a grain if this share of its region, or of that grain's, lies in the other.
MIN_INSIDE = 0.5
#: Regions are compared on a grid of about this many positions a side.
COMPARED_SIDE = 256


def group_by_place(masks: Sequence[BoolArray]) -> IntArray:
    """Number the grains that spots belong to, (N,), from the region (y, x) of each spot's fringes.

    Average linkage of one minus the shared part of two regions. Spots with no region are grains of their own.
    """
    n = len(masks)
    if n < 2:
        return np.zeros(n, dtype=np.int64)
    flat = _flat(masks)
    common = flat @ flat.T
    area = flat.sum(axis=1)
    union = np.maximum(area[:, None] + area - common, 1e-9)
    apart = np.clip(1 - common / union, 0.0, 1.0)
    np.fill_diagonal(apart, 0.0)
    tree = hierarchy.linkage(squareform(apart, checks=False), method="average")
    return np.asarray(hierarchy.fcluster(tree, 1 - MIN_COMMON, criterion="distance") - 1, dtype=np.int64)


def on_the_net_of_neighbours(spots: GrainSpots, match: JointMatch, models: Sequence[PhaseModel],
                             masks: Sequence[BoolArray], options: EvidenceOptions) -> IntArray:  # fmt: skip
    """Let lone spots join a named grain in the same place on whose net they lie; return the grain of each spot (N,).

    Sums of spots of a grain lie on its net: double diffraction is thought of before a new phase is.
    """
    grains = match.grains.copy()
    if len(spots) < 3:
        return grains
    flat = _flat(masks)
    size = np.bincount(grains)
    for g in np.argsort(-size, kind="stable"):
        phase = int(match.grain_posterior[g, :-1].argmax())
        rows = np.flatnonzero((match.grains == g) & (match.rows[:, phase] >= 0))
        if match.grain_posterior[g, phase] < 0.5 or len(rows) < 2:
            continue
        net = _net(spots, rows, match.rows[rows, phase], models[phase])
        lone = np.flatnonzero((size[grains] == 1) & (grains != g))
        place = flat[rows].max(axis=0)
        for i in lone[_on_net(spots, lone, net, options)]:
            if flat[i] @ place > MIN_INSIDE * max(min(float(flat[i].sum()), float(place.sum())), 1.0):
                grains[i] = g
    return grains


def _net(spots: GrainSpots, rows: IntArray, reflections: IntArray, model: PhaseModel) -> FloatArray:
    """Positions (m, 2) of all reflections of a grain's plane, from two of its spots; none if they are parallel."""
    for a, b in seed_pairs(spots, rows):
        pair = int(reflections[rows == a][0]), int(reflections[rows == b][0])
        plane, _ = in_plane(model, zone_of(model.hkl[pair[0]], model.hkl[pair[1]]))
        return laid_on(spots, (a, b), pair, plane, model)[0]
    return np.zeros((0, 2))


def _on_net(spots: GrainSpots, rows: IntArray, net: FloatArray, options: EvidenceOptions) -> BoolArray:
    """Whether spots lie within three sigmas of a position of a net, or of its mirror image."""
    if not len(net) or not len(rows):
        return np.zeros(len(rows), dtype=bool)
    k = spots.k_inv_a[rows]
    sigma = np.maximum(spots.radial_sigma, spots.azimuth_sigma)[rows]
    sigma = np.hypot(*k.T) * np.hypot(sigma, options.spot_tolerance)
    distance = np.linalg.norm(k[:, None] - np.concatenate([net, -net]), axis=2).min(axis=1)
    return np.asarray(distance < 3 * sigma)


def _flat(masks: Sequence[BoolArray]) -> Float32Array:
    """Regions on a coarse grid (N, positions)."""
    step = max(1, max(masks[0].shape) // COMPARED_SIDE)
    return np.stack([mask[::step, ::step].ravel() for mask in masks]).astype(np.float32)
