"""Orientations in words: the nearest zone axis, the rotation about it, and how far the beam is off it."""

from __future__ import annotations

import numpy as np

from friedel.core.arrays import FloatArray, IntArray
from friedel.crystal import Crystal, zone_axes, zone_frame
from friedel.identify.orientations import proper_rotations


def name_orientations(
    crystal: Crystal, frames: FloatArray, *, max_index: int = 2
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Name the orientations of a crystal.

    Parameters
    ----------
    frames
        Rows ky, kx and beam (N, 3, 3) in the crystal's Cartesian axes.
    max_index
        Highest index of a zone axis.

    Returns
    -------
    uvw, rotation_deg, off_deg
        Nearest zone axis (N, 3), one for each family; the rotation about it (N,) from the way ``zone_net`` draws it,
        from +kx towards +ky, modulo 180 degrees; and the angle between it and the beam (N,).
    """
    uvw = zone_axes(crystal, max_index)
    laid = np.stack([zone_frame(crystal, axis) for axis in uvw])
    rotations = proper_rotations(crystal)
    # An axis and its inverse are one zone: their patterns are each other's inverse.
    along = np.einsum("nj,mjk,zk->nmz", frames[:, 2], rotations, laid[:, 2])
    flat = np.abs(along).reshape(len(frames), along.shape[1] * along.shape[2])
    best = flat.argmax(axis=1)
    operation, zone = np.unravel_index(best, along.shape[1:])
    chosen, sense = along[np.arange(len(frames)), operation, zone], laid[zone]
    turned = np.einsum("nij,njk->nik", frames, rotations[operation])
    # Seen against the axis, ky points the other way for (kx, ky, beam) to stay right-handed.
    sense[:, (0, 2)] *= np.where(chosen < 0, -1.0, 1.0)[:, None, None]
    components = np.einsum("nij,nkj->nik", turned, sense)
    angle = np.arctan2(components[:, 0, 1] - components[:, 1, 0], components[:, 0, 0] + components[:, 1, 1])
    off = np.rad2deg(np.arccos(np.clip(np.abs(chosen), 0.0, 1.0)))
    return uvw[zone], np.rad2deg(angle) % 180.0, off
