"""Spots of many crystals at once in torch: the batched twin of ``friedel.simulate.patterns.diffraction.diffract``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from friedel.core.arrays import FloatArray, IntArray
from friedel.core.beam import ELECTRON_REST_KEV, Beam
from friedel.crystal import Crystal, all_reflections, zone_axes

#: Reflections of a crystal that are kept, strongest first, and how far from the origin they reach in 1/Å.
MAX_REFLECTIONS, REACH_INV_A = 2048, 1.5
#: Reflections beyond this excitation error in 1/Å, or weaker than this share of the strongest, are dark.
_MAX_EXCITATION_INV_A, _MIN_F2_SHARE = 0.05, 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Bank:
    """Crystals as padded tensors.

    Parameters
    ----------
    names
        Of the C crystals.
    g_inv_a, strength
        Reciprocal vectors (C, R, 3) in the crystal's Cartesian frame, and |F| / V in 1/Å^2 (C, R); padding is 0.
    zones
        Directions of low-index zone axes (C, Z, 3) as unit vectors, of which the first ``n_zones`` (C,) count.
    """

    names: tuple[str, ...]
    g_inv_a: Tensor
    strength: Tensor
    zones: FloatArray
    n_zones: IntArray


def build_bank(
    crystals: Sequence[Crystal], *, max_zones: int = 24, max_reflections: int = MAX_REFLECTIONS, device: str = "cpu"
) -> Bank:
    """Tabulate the reflections and zone axes of crystals."""
    g = np.zeros((len(crystals), max_reflections, 3))
    strength = np.zeros((len(crystals), max_reflections))
    zones = np.zeros((len(crystals), max_zones, 3))
    n_zones = np.zeros(len(crystals), dtype=np.int64)
    for i, crystal in enumerate(crystals):
        table = all_reflections(crystal, REACH_INV_A)
        bright = np.flatnonzero(table.f2 > _MIN_F2_SHARE * table.f2.max())
        kept = bright[np.argsort(-table.f2[bright], kind="stable")[:max_reflections]]
        g[i, : len(kept)] = table.g_inv_a[kept]
        strength[i, : len(kept)] = np.sqrt(table.f2[kept]) / crystal.volume_a3
        uvw = zone_axes(crystal)[:max_zones]
        along = uvw @ crystal.direct_basis_a
        zones[i, : len(uvw)] = along / np.linalg.norm(along, axis=1, keepdims=True)
        n_zones[i] = len(uvw)
    names = tuple(c.name for c in crystals)
    return Bank(names, torch.as_tensor(g, device=device), torch.as_tensor(strength, device=device), zones, n_zones)


def diffract_batch(
    g_inv_a: Tensor, strength: Tensor, energy_kev: Tensor, thickness_a: Tensor, n_spots: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the brightest spots of n oriented crystals.

    Parameters
    ----------
    g_inv_a
        Reciprocal vectors (n, R, 3) in components (ky, kx, along the beam), float64.
    strength
        |F| / V in 1/Å^2 (n, R).
    energy_kev, thickness_a
        (n,).
    n_spots
        Number of spots K to return.

    Returns
    -------
    k_inv_a (n, K, 2), share of the beam in each (n, K), and what stays in the transmitted beam (n,).

    Notes
    -----
    Two-beam intensities, scaled together so that no electron counts twice, as in ``diffract``, with its sources.
    """
    wavelength = torch.as_tensor([Beam(float(e)).wavelength_a for e in energy_kev.tolist()], dtype=g_inv_a.dtype)
    wavelength = wavelength.to(g_inv_a.device)[:, None]
    k = 1.0 / wavelength
    s = -(2.0 * k * g_inv_a[..., 2] + g_inv_a.square().sum(-1)) / (2.0 * k)
    gamma = 1.0 + energy_kev[:, None] / ELECTRON_REST_KEV
    inverse_xi = wavelength * gamma * strength / torch.pi
    effective = torch.hypot(s, inverse_xi).clamp_min(1e-12)
    taken = (inverse_xi / effective * torch.sin(torch.pi * thickness_a[:, None] * effective)).square()
    taken = torch.where(s.abs() < _MAX_EXCITATION_INV_A, taken, torch.zeros_like(taken))
    total = 1.0 + taken.sum(dim=1)
    best, index = taken.topk(n_spots, dim=1)
    at = torch.gather(g_inv_a[..., :2], 1, index[..., None].expand(-1, -1, 2))
    return at, best / total[:, None], 1.0 / total


def orientations(
    directions: FloatArray, in_plane_rad: FloatArray, tilt_mrad: FloatArray, tilt_azimuth_rad: FloatArray
) -> FloatArray:
    """Matrices (n, 3, 3) from the crystal's frame to (ky, kx, beam) that lay unit vectors (n, 3) along the beam.

    The crystal is then tilted by ``tilt_mrad`` about an axis in the plane, and turned in the plane.
    """
    helper = np.where(np.abs(directions[:, :1]) < 0.8, [[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]])
    ky = np.cross(directions, helper)
    ky /= np.linalg.norm(ky, axis=1, keepdims=True)
    kx = np.cross(ky, directions)
    frame = np.stack([ky, kx, directions], axis=1)
    turn = _about_beam(in_plane_rad)
    azimuth = _about_beam(tilt_azimuth_rad)
    c, s = np.cos(1e-3 * tilt_mrad), np.sin(1e-3 * tilt_mrad)
    zero, one = np.zeros_like(c), np.ones_like(c)
    tilt = np.stack([c, zero, -s, zero, one, zero, s, zero, c], axis=-1).reshape(-1, 3, 3)
    return np.asarray(turn @ np.swapaxes(azimuth, 1, 2) @ tilt @ azimuth @ frame)


def _about_beam(angle_rad: FloatArray) -> FloatArray:
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    zero, one = np.zeros_like(c), np.ones_like(c)
    return np.stack([c, s, zero, -s, c, zero, zero, zero, one], axis=-1).reshape(-1, 3, 3)
