"""Spots of one grain, and how well they lie where reflections of a plane put them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from friedel.core.arrays import FloatArray, IntArray
from friedel.identify.grains.phase_model import LEAST_SINE, PhaseModel

#: Sine of the largest angle between spots that are taken for one row.
PARALLEL_SINE = 0.05
#: Brightest spots of a grain that are tried as the two that set its orientation.
MAX_SEEDS = 4


@dataclass(frozen=True, slots=True)
class EvidenceOptions:
    """What is assumed of grains and spots.

    Parameters
    ----------
    lattice_tolerance
        Relative one-sigma difference between a grain's lattice and the reference, common to all of its spots.
    spot_tolerance
        Relative one-sigma error of single spots beyond that of their measurement: the pull of the transfer function's
        slope, strain within the grain.
    stretch_sigma
        One-sigma anisotropy of the pixels, common to all spots of a grain.
    stranger_share
        Share of the spots of a group that belong to another grain.
    log_scatter
        One-sigma scatter of the natural logarithm of the power of spots about the kinematic one: tilt, thickness,
        dynamical diffraction.
    hidden_share
        Share of reflections that a grain does not show for reasons beyond that scatter.
    """

    lattice_tolerance: float = 0.003
    spot_tolerance: float = 0.002
    stretch_sigma: float = 0.01
    stranger_share: float = 0.1
    log_scatter: float = 2.0
    hidden_share: float = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class GrainSpots:
    """Spots (n, ...) of one grain.

    Parameters
    ----------
    k_inv_a
        Positions (n, 2), 1/Å.
    radial_sigma, azimuth_sigma
        Relative one-sigma error of the distance from the centre, and that of the azimuth in rad.
    log_snr
        Natural logarithm of the peak power over the noise.
    least_log_snr
        The same of the faintest spot that would be found.
    innermost_inv_a
        Distance from the centre within which spots were not searched.
    """

    k_inv_a: FloatArray
    radial_sigma: FloatArray
    azimuth_sigma: FloatArray
    log_snr: FloatArray
    least_log_snr: float
    innermost_inv_a: float

    def __len__(self) -> int:
        return len(self.k_inv_a)

    @property
    def log_d(self) -> FloatArray:
        """Natural logarithm of the spacings in Å."""
        return np.asarray(-np.log(np.hypot(*self.k_inv_a.T)))


def seed_pairs(spots: GrainSpots, rows: IntArray | None = None) -> Iterator[tuple[int, int]]:
    """Pairs of bright spots (of these rows) that are not nearly parallel, brightest first."""
    rows = np.arange(len(spots)) if rows is None else rows
    bright = rows[np.argsort(-spots.log_snr[rows], kind="stable")][:MAX_SEEDS]
    for a, b in itertools.combinations(bright.tolist(), 2):
        u, v = spots.k_inv_a[a], spots.k_inv_a[b]
        if abs(u[0] * v[1] - u[1] * v[0]) > LEAST_SINE * np.hypot(*u) * np.hypot(*v):
            yield a, b


def seed_rows(spots: GrainSpots) -> Iterator[int]:
    """Spots, each the brightest of those nearly parallel to it, that have such neighbours; brightest first."""
    left = np.argsort(-spots.log_snr, kind="stable")
    while len(left):
        u, v = spots.k_inv_a[left[0]], spots.k_inv_a[left]
        cross = np.abs(u[0] * v[:, 1] - u[1] * v[:, 0])
        near = cross < PARALLEL_SINE * np.hypot(*u) * np.hypot(*v.T)
        if near.sum() > 1:
            yield int(left[0])
        left = left[~near]


def laid_on(spots: GrainSpots, seed: tuple[int, int], pair: tuple[int, int], plane: IntArray,
            model: PhaseModel) -> tuple[FloatArray, FloatArray]:  # fmt: skip
    """Positions (m, 2) of the reflections of a plane if two of them are two spots, and their steps (m, 2) of these."""
    steps = model.g_inv_a[plane] @ np.linalg.pinv(model.g_inv_a[list(pair)])
    return steps @ _seed_positions(spots, seed, pair, model), steps


def _seed_positions(spots: GrainSpots, seed: tuple[int, int], pair: tuple[int, int], model: PhaseModel) -> FloatArray:
    """Positions (2, 2) of two spots, the second on the side of the centre on which its reflection is."""
    g1, g2 = model.g_inv_a[list(pair)]
    k1, k2 = spots.k_inv_a[list(seed)]
    return np.stack([k1, k2 if (g1 @ g2) * (k1 @ k2) >= 0 else -k2])


def _flat(spots: GrainSpots, seed: tuple[int, int], pair: tuple[int, int], rows: IntArray,
          model: PhaseModel) -> FloatArray:  # fmt: skip
    """Reflections (n, 2) in their plane, undistorted, the first of a pair turned onto its spot, (ky, kx)."""
    k1, k2 = _seed_positions(spots, seed, pair, model)
    g1, g2 = model.g_inv_a[list(pair)]
    along = g1 / np.linalg.norm(g1)
    across = g2 - (g2 @ along) * along
    across /= np.linalg.norm(across)
    to_x = k1 / np.hypot(*k1)
    to_y = np.array([-to_x[1], to_x[0]])
    to_y *= np.sign(k2 @ to_y)
    return np.asarray(np.stack([model.g_inv_a[rows] @ along, model.g_inv_a[rows] @ across], axis=1) @ [to_x, to_y])


def nearest_position(spots: GrainSpots, predicted: FloatArray) -> tuple[IntArray, FloatArray]:
    """Row of the position, or mirror image of one, that is nearest to each spot, and its distance (n,)."""
    distance = np.minimum(
        np.linalg.norm(spots.k_inv_a[:, None] - predicted, axis=2),
        np.linalg.norm(spots.k_inv_a[:, None] + predicted, axis=2),
    )
    row = distance.argmin(axis=1)
    return row, distance[np.arange(len(row)), row]


def position_sigma(spots: GrainSpots, seed: tuple[int, ...], steps: FloatArray, options: EvidenceOptions) -> FloatArray:
    """One-sigma distance (n,) of spots from where others, so many steps (n, 1 or 2) of each away, put them."""
    relative = np.hypot(np.maximum(spots.radial_sigma, spots.azimuth_sigma), options.spot_tolerance)
    sigma = np.hypot(*spots.k_inv_a.T) * relative
    return np.asarray(np.sqrt(sigma**2 + steps**2 @ sigma[list(seed)] ** 2))


@dataclass(frozen=True, slots=True, eq=False)
class PositionFit:
    """Density of positions at the scale error s: log_density - curvature (s - centre)^2 / 2.

    ``misfit`` (n,) is the distance of each spot from its place in sigmas, after the fit; 0 for the two seeds.
    """

    log_density: float
    curvature: float
    centre: float
    misfit: FloatArray


def fit_positions(spots: GrainSpots, seed: tuple[int, int], pair: tuple[int, int], plane: IntArray, index: IntArray,
         model: PhaseModel, options: EvidenceOptions) -> PositionFit:  # fmt: skip
    """Fit the positions of indexed spots.

    To first order a scale error s, a lattice strain e and a stretch (a, b) of the pixels make ln(|k| / g) = e - s + a
    cos 2 phi + b sin 2 phi and turn the spot by t - a sin 2 phi + b cos 2 phi, with t the azimuth of the grain. a, b
    and e have Gaussian priors, t an even one over half a turn; all four are averaged out in closed form.
    """
    own = np.flatnonzero(index >= 0)
    flat, k = _flat(spots, seed, pair, plane[index[own]], model), spots.k_inv_a[own]
    azimuth = np.arctan2(flat[:, 0], flat[:, 1])
    turn = (np.arctan2(k[:, 0], k[:, 1]) - azimuth + 0.5 * np.pi) % np.pi - 0.5 * np.pi
    measured = np.concatenate([0.5 * np.log((k**2).sum(axis=1) / (flat**2).sum(axis=1)), turn])
    sigma = np.hypot(np.concatenate([spots.radial_sigma[own], spots.azimuth_sigma[own]]), options.spot_tolerance)
    weight = sigma**-2.0
    cos, sin, one, none = np.cos(2 * azimuth), np.sin(2 * azimuth), np.ones(len(own)), np.zeros(len(own))
    nuisance = np.stack([np.concatenate(c) for c in ((cos, -sin), (sin, cos), (none, one))], axis=1)
    prior = max(options.stretch_sigma, 1e-6) ** -2.0
    metric = nuisance.T @ (weight[:, None] * nuisance) + np.diag([prior, prior, 0.0])
    rest = np.stack([np.concatenate([one, none]), measured])
    pulled = np.linalg.solve(metric, nuisance.T @ (weight * rest).T).T
    gram = (rest * weight) @ (rest - pulled @ nuisance.T).T
    total, shift = float(gram[0, 0]), float(gram[0, 1] / gram[0, 0])
    curvature = 1 / (1 / total + options.lattice_tolerance**2)
    log_norm = 0.5 * (float(np.log(weight / (2 * np.pi)).sum()) + math.log(2 * np.pi * curvature / total))
    log_norm += math.log(prior) - 0.5 * math.log(np.linalg.det(metric)) - math.log(math.pi)
    off = (rest - pulled @ nuisance.T)[1] - shift * (rest - pulled @ nuisance.T)[0]
    misfit = np.where(np.isin(own, seed), 0.0, np.hypot(*(off / sigma).reshape(2, -1)))
    return PositionFit(log_norm - 0.5 * (float(gram[1, 1]) - total * shift**2), curvature, -shift, misfit)


def fit_row(spots: GrainSpots, log_radius: FloatArray, index: IntArray, options: EvidenceOptions) -> PositionFit:
    """Fit the positions of indexed spots that lie in one row.

    They share one azimuth, over which half a turn is averaged, and one error of the length: ln(|k| / g) = c, Gaussian
    about -s with the variances of the lattice and of the stretch, averaged out as well. ``log_radius`` (m,) is ln g.
    """
    own = np.flatnonzero(index >= 0)
    k = spots.k_inv_a[own]
    off = -spots.log_d[own] - log_radius[index[own]]
    azimuth = np.arctan2(k[:, 0], k[:, 1])
    turn = (azimuth - azimuth[0] + 0.5 * np.pi) % np.pi - 0.5 * np.pi
    log_density, means, chi2 = -math.log(math.pi), [], np.zeros(len(own))
    for values, sigma in ((off, spots.radial_sigma[own]), (turn, spots.azimuth_sigma[own])):
        weight = 1 / (sigma**2 + options.spot_tolerance**2)
        means.append((float(weight @ values / weight.sum()), float(weight.sum())))
        chi2 += weight * (values - means[-1][0]) ** 2
        log_density += 0.5 * (float(np.log(weight / (2 * np.pi)).sum()) - math.log(means[-1][1] / (2 * np.pi)))
    mean, total = means[0]
    curvature = 1 / (1 / total + options.lattice_tolerance**2 + options.stretch_sigma**2)
    log_density += 0.5 * math.log(curvature / (2 * np.pi)) - 0.5 * float(chi2.sum())
    return PositionFit(log_density, curvature, -mean, np.sqrt(chi2))
