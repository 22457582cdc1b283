"""Which way a crystal may lie: beam directions that its symmetry does not repeat, and the frames that go with them."""

from __future__ import annotations

import numpy as np

from friedel.core.arrays import FloatArray
from friedel.core.errors import DataError
from friedel.crystal import Crystal, zone_axes

#: Angle from which the sampling of the sphere starts; an irrational turn keeps rows from lining up.
_GOLDEN = np.pi * (3.0 - np.sqrt(5.0))
#: No symmetry axis or mirror plane contains this vector.
_GENERIC = np.array([0.2871, 0.4513, 0.8449])


def proper_rotations(crystal: Crystal) -> FloatArray:
    """Rotations (m, 3, 3) of the Laue class that keep the hand, on Cartesian vectors.

    Friedel's law makes a crystal and its inverse look alike, so that every operation of the Laue class or its negative
    is a proper rotation that leaves the pattern as it is.
    """
    basis = crystal.direct_basis_a.T
    turned = basis @ crystal.space_group.laue_rotations @ np.linalg.inv(basis)
    return np.asarray(turned[np.linalg.det(turned) > 0])


def beam_directions(crystal: Crystal, spacing_deg: float, *, max_index: int = 2) -> FloatArray:
    """Unit vectors (N, 3) of beam directions, one for each set that the symmetry makes equivalent.

    All zone axes up to ``max_index``, lowest first, then a Fibonacci lattice on the sphere (Gonzalez, Math. Geosci.
    42, 49, 2010) of which one fundamental domain is kept; points within half the spacing of a zone axis are left out.
    Directions that only a mirror relates are both there: their patterns are mirror images, and differ.
    """
    if not 0.2 <= spacing_deg <= 20.0:
        raise DataError(f"The spacing of beam directions must lie between 0.2 and 20 degrees, got {spacing_deg:g}.")
    rotations = proper_rotations(crystal)
    axes = zone_axes(crystal, max_index) @ crystal.direct_basis_a
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    # The mirror image of a zone axis is listed too, unless a rotation brings it back.
    for axis in -axes:
        if np.max(axis @ (rotations @ axes.T)) < 1.0 - 1e-9:
            axes = np.concatenate([axes, axis[None]])
    n = int(np.ceil(4.0 * np.pi / (np.sqrt(3.0) / 2.0 * np.deg2rad(spacing_deg) ** 2)))
    height = 1.0 - (2.0 * np.arange(n) + 1.0) / n
    turn = _GOLDEN * np.arange(n)
    ring = np.sqrt(1.0 - height**2)
    points = np.stack([ring * np.cos(turn), ring * np.sin(turn), height], axis=1)
    reach = (rotations @ points.T).transpose(0, 2, 1) @ _GENERIC
    points = points[points @ _GENERIC >= reach.max(axis=0) - 1e-12]
    nearest = np.max(np.einsum("mij,aj,ni->man", rotations, axes, points), axis=(0, 1))
    return np.concatenate([axes, points[nearest < np.cos(np.deg2rad(0.5 * spacing_deg))]])


def frames_of(directions: FloatArray) -> FloatArray:
    """Orthonormal rows (N, 3, 3) ky, kx and the beam's direction, right-handed as (kx, ky, direction)."""
    helper = np.where(np.abs(directions[:, :1]) < 0.8, [[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]])
    kx = np.cross(helper, directions)
    kx /= np.linalg.norm(kx, axis=1, keepdims=True)
    return np.stack([np.cross(directions, kx), kx, directions], axis=1)
