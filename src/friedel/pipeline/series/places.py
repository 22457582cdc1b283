"""Where each frame of a series is measured: the regions of the grains, and places without a spot beside them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from friedel.core.arrays import AnyArray, BoolArray, FloatArray
from friedel.core.spots import Spots
from friedel.identify.grains.naming import GrainMatch
from friedel.identify.series.tracking import Tracks
from friedel.pipeline.series.windows import Arrays, FrameSource, packed, unpacked

#: Controls keep this distance in 1/Å from the masks of all spots, and lie within this share of the spot's radius.
_CONTROL_GAP_INV_A, _CONTROL_BAND, _CONTROL_TRIES = 0.02, 0.1, 400


def places_of_grains(
    source: FrameSource, tracks: Tracks, looks: Sequence[Arrays], match: GrainMatch
) -> dict[str, AnyArray]:
    """Return the region that each grain ever fills, and the middles of where it is first and last seen.

    It is seen in windows with at least half as many of its spots as the fullest one has: a single spot may be another
    grain's.
    """
    n_grains = len(match.grain_posterior)
    reach = np.zeros((n_grains, *source.map_shape), dtype=bool)
    core = np.zeros((2, n_grains, 2))
    for g in range(n_grains):
        of_grain = np.flatnonzero(np.isin(tracks.track, np.flatnonzero(match.grains == g)))
        counts = np.bincount(tracks.window[of_grain], minlength=tracks.n_windows)
        full = np.flatnonzero(2 * counts >= counts.max())
        for side, window in enumerate((full[0], full[-1])):
            there = np.zeros(source.map_shape, dtype=bool)
            for s in of_grain[tracks.window[of_grain] == window].tolist():
                there |= _mask_of(source, looks, tracks, s)
            core[side, g] = _deepest(there) * source.map_step_px
        for s in of_grain.tolist():
            reach[g] |= _mask_of(source, looks, tracks, s)
    return {"reach": packed(reach), "core_px": core}


def _mask_of(source: FrameSource, looks: Sequence[Arrays], tracks: Tracks, sighting: int) -> BoolArray:
    bits = looks[int(tracks.window[sighting])]["mask"][int(tracks.row[sighting])]
    return np.asarray(unpacked(bits[None], source.map_shape)[0])


def _deepest(mask: BoolArray) -> FloatArray:
    """Position (y, x) of a mask that is farthest from its edge; the middle of the picture for an empty one."""
    if not mask.any():
        return np.array(mask.shape) / 2
    return np.array(np.unravel_index(int(np.argmax(ndimage.distance_transform_edt(mask))), mask.shape), dtype=float)


def control_places(
    spots: Spots, radii: FloatArray, annulus: tuple[float, float], n_controls: int, seed: int
) -> FloatArray:
    """Choose positions (N, J, 2) like those of the spots where no spot was ever seen, NaN where there are too few.

    They lie at random in a ring about that of the spot, inside the annulus that was searched.
    """
    rng = np.random.default_rng([seed, 0])
    chosen = np.full((len(spots), n_controls, 2), np.nan)
    everywhere = np.concatenate([spots.k_inv_a, -spots.k_inv_a])
    for i, (k, radius) in enumerate(zip(spots.radius_inv_a, radii, strict=True)):
        ring = np.clip(k * rng.uniform(1 - _CONTROL_BAND, 1 + _CONTROL_BAND, _CONTROL_TRIES), *annulus)
        turn = rng.uniform(0, np.pi, _CONTROL_TRIES)
        tries = ring[:, None] * np.stack([np.sin(turn), np.cos(turn)], axis=1)
        gap = np.linalg.norm(tries[:, None] - everywhere, axis=2) - np.tile(radii, 2)
        free = tries[gap.min(axis=1) > radius + _CONTROL_GAP_INV_A - 1e-9][:n_controls]
        if len(free) < n_controls:
            order = np.argsort(-gap.min(axis=1), kind="stable")[:n_controls]
            free = tries[order[gap.min(axis=1)[order] > 0.5 * radius]]
        chosen[i, : len(free)] = free
    return chosen
