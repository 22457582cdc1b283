"""Orientations in words: the nearest zone axis, the rotation about it, and how far the beam is off it."""

from __future__ import annotations

import numpy as np

from friedel.core.arrays import FloatArray, IntArray
from friedel.crystal import Crystal, zone_axes, zone_frame
from friedel.identify.orientations import proper_rotations

#: Cosines nearer than this are equal but for rounding.
_TIE = 1e-9


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
    uvw, laid = lay_nearest_zones(crystal, frames, max_index=max_index)
    # Seen against the axis, ky points the other way for (kx, ky, beam) to stay right-handed.
    laid[:, :, (0, 2)] *= np.where(laid[:, 2, 2] < 0, -1.0, 1.0)[:, None, None]
    angle = np.arctan2(laid[:, 0, 1] - laid[:, 1, 0], laid[:, 0, 0] + laid[:, 1, 1])
    off = np.rad2deg(np.arccos(np.clip(laid[:, 2, 2], 0.0, 1.0)))
    return uvw, np.rad2deg(angle) % 180.0, off


def lay_nearest_zones(crystal: Crystal, frames: FloatArray, *, max_index: int = 2) -> tuple[IntArray, FloatArray]:
    """Nearest zone axis (N, 3) of each orientation, and how the zone lies in the pattern (N, 3, 3).

    The latter takes components ky, kx and axis, as ``zone_net`` draws the zone, to ky, kx and beam of the pattern. An
    axis and its inverse are one zone; where no rotation of the crystal makes them one, it may be seen against the axis,
    and its net is mirrored.
    """
    uvw = zone_axes(crystal, max_index)
    laid = np.stack([zone_frame(crystal, axis) for axis in uvw])
    rotations = proper_rotations(crystal)
    along = np.einsum("nj,mjk,zk->nmz", frames[:, 2], rotations, laid[:, 2])
    preferred = np.abs(along) + _TIE * (along > 0)
    best = preferred.reshape(len(frames), along.shape[1] * along.shape[2]).argmax(axis=1)
    operation, zone = np.unravel_index(best, along.shape[1:])
    turned = np.einsum("nij,njk->nik", frames, rotations[operation])
    return uvw[zone], np.einsum("nij,nkj->nik", turned, laid[zone])
