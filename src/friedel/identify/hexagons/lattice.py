"""The hexagon RANSAC of the 4D-STEM road: regular hexagons about the transmitted beam."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from friedel.core.arrays import FloatArray, IntArray, read_only
from friedel.core.errors import DataError
from friedel.core.spots import Spots

SIXTY_DEG = np.pi / 3.0


@dataclass(frozen=True, slots=True)
class HexagonOptions:
    """How hexagons are found.

    Parameters
    ----------
    tolerance_inv_a
        A spot this near a vertex, in 1/Å, matches it; three sigmas of the spot's position where that is more.
    min_vertices
        Vertices that must be matched.
    max_false_alarms
        Expected number of hexagons in a pattern of as many spots thrown at random; the number of vertices alone does
        not tell, since three of six mean much among four spots and nothing among forty.
    max_draws
        Pairs of spots tried per hexagon; all of them where there are fewer.
    """

    tolerance_inv_a: float = 0.02
    min_vertices: int = 3
    max_false_alarms: float = 0.1
    max_draws: int = 400

    def __post_init__(self) -> None:
        if not 0 < self.tolerance_inv_a < 1 or not 2 <= self.min_vertices <= 6:
            raise DataError("HexagonOptions needs 0 < tolerance_inv_a < 1 (1/Å) and 2 <= min_vertices <= 6.")
        if self.max_false_alarms <= 0 or self.max_draws < 1:
            raise DataError("HexagonOptions needs max_false_alarms > 0 and max_draws >= 1.")


@dataclass(frozen=True, slots=True, eq=False)
class Hexagons:
    """Regular hexagons of many patterns, as a struct of arrays.

    Parameters
    ----------
    radius_inv_a, sigma_inv_a
        Distance of the vertices from the beam and its one-sigma error (N,).
    azimuth_rad
        Angle of a vertex from +kx towards +ky, modulo 60 degrees (N,).
    n_vertices
        Matched vertices (N,).
    intensity
        Sum over the matched spots (N,), in the spots' unit.
    log10_false_alarms
        Expected number of equally good hexagons among random spots (N,).
    offsets
        Hexagons of pattern i are ``offsets[i]:offsets[i + 1]``.
    """

    radius_inv_a: FloatArray
    sigma_inv_a: FloatArray
    azimuth_rad: FloatArray
    n_vertices: IntArray
    intensity: FloatArray
    log10_false_alarms: FloatArray
    offsets: IntArray

    def __post_init__(self) -> None:
        for name in ("radius_inv_a", "sigma_inv_a", "azimuth_rad", "intensity", "log10_false_alarms"):
            object.__setattr__(self, name, read_only(getattr(self, name), ndim=1, name=f"Hexagons.{name}"))
        for name in ("n_vertices", "offsets"):
            object.__setattr__(
                self, name, read_only(getattr(self, name), ndim=1, name=f"Hexagons.{name}", dtype=np.int64)
            )

    def __len__(self) -> int:
        return len(self.radius_inv_a)

    @property
    def pattern_index(self) -> IntArray:
        """Index of the pattern of each hexagon (N,)."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    @staticmethod
    def join(parts: Sequence[Hexagons]) -> Hexagons:
        """Join the hexagons of consecutive patterns."""
        counts = np.concatenate([np.diff(part.offsets) for part in parts])
        names = ("radius_inv_a", "sigma_inv_a", "azimuth_rad", "n_vertices", "intensity", "log10_false_alarms")
        columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        return Hexagons(**columns, offsets=np.concatenate([[0], np.cumsum(counts)]))

    def vertices_inv_a(self, index: int) -> FloatArray:
        """Return the six vertices (6, 2) of one hexagon in 1/Å, order (ky, kx)."""
        angle = self.azimuth_rad[index] + SIXTY_DEG * np.arange(6)
        return np.asarray(self.radius_inv_a[index] * np.stack([np.sin(angle), np.cos(angle)], axis=1))


def fit_hexagons(
    spots: Spots,
    options: HexagonOptions,
    annulus_inv_a: tuple[float, float],
    *,
    seed: int = 0,
    first_index: int = 0,
) -> Hexagons:
    """Find the regular hexagons about the beam in every pattern.

    Two spots drawn at random that lie at one radius and a multiple of 60 degrees apart define a regular hexagon about
    the centre; spots within a tolerance of its vertices match. The hexagon with most matches, then the smallest
    residual, is refined and kept if its expected number of false alarms is low enough; its spots are taken away and
    the search goes on, so that a pattern may hold several hexagons.

    With n spots in an annulus of area A and a tolerance r, a hexagon of m vertices has
    n (n - 1) / 2 * q * P(Binomial(4, p) >= m - 2) false alarms: q = 20 r^2 / A is the chance that two spots can be
    vertices of one hexagon, and p = n pi r^2 / A the chance that one of its other four vertices meets a spot
    (a-contrario reasoning: Desolneux, Moisan and Morel, From Gestalt Theory to Image Analysis, 2008, ch. 3).

    Parameters
    ----------
    annulus_inv_a
        Ring in which spots were sought; its area sets how likely a random match is.
    seed, first_index
        Each pattern draws from its own generator (seed, first_index + i), so that results do not depend on how a scan
        is cut into blocks.
    """
    area = np.pi * (annulus_inv_a[1] ** 2 - annulus_inv_a[0] ** 2)
    found = [
        _hexagons_of_pattern(spots.of(i), options, area, np.random.default_rng([seed, first_index + i]))
        for i in range(spots.n_patterns)
    ]
    rows = np.array([row for rows in found for row in rows], dtype=np.float64).reshape(-1, 6)
    offsets = np.concatenate([[0], np.cumsum([len(rows) for rows in found])])
    radius, sigma, azimuth, vertices, intensity, log_alarms = rows.T
    return Hexagons(radius, sigma, azimuth, vertices.astype(np.int64), intensity, log_alarms, offsets)


def _hexagons_of_pattern(
    spots: Spots, options: HexagonOptions, area: float, rng: np.random.Generator
) -> list[tuple[float, ...]]:
    """Rows (radius, sigma, azimuth, vertices, intensity, log10 false alarms), best first."""
    radius = spots.radius_inv_a
    angle = np.arctan2(spots.k_inv_a[:, 0], spots.k_inv_a[:, 1])
    error = np.hypot(spots.sigma_inv_a[:, 0], spots.sigma_inv_a[:, 1]) / np.sqrt(2.0)
    reach = np.maximum(options.tolerance_inv_a, 3.0 * error)
    free = np.ones(len(spots), dtype=bool)
    target = float(np.median(reach)) ** 2 / area if len(spots) else 0.0
    # Chances that some spot lies at a given vertex, and that a given pair can be two vertices of one hexagon.
    vertex_chance, pair_chance = min(len(spots) * np.pi * target, 1.0), min(5 * 4.0 * target, 1.0)
    rows: list[tuple[float, ...]] = []
    while free.sum() >= options.min_vertices:
        pairs = _consistent_pairs(np.flatnonzero(free), radius, angle, reach, options.max_draws, rng)
        matches = _best_matches(pairs, free, radius, angle, reach)
        if len(matches) < options.min_vertices:
            break
        n_pairs = pair_chance * free.sum() * (free.sum() - 1) / 2.0
        false_alarms = float(n_pairs * special.bdtrc(len(matches) - 3, 4, vertex_chance))
        if false_alarms > options.max_false_alarms:
            break
        free[matches] = False
        weight = 1.0 / np.maximum(error[matches], 1e-4) ** 2
        mean = float(weight @ radius[matches] / weight.sum())
        spread = float(np.sqrt(weight @ (radius[matches] - mean) ** 2 / weight.sum() / len(matches)))
        sigma = max(float(weight.sum()) ** -0.5, spread)
        azimuth = float(np.angle(weight @ np.exp(6j * angle[matches])) / 6.0 % SIXTY_DEG)
        log_alarms = float(np.log10(max(false_alarms, 1e-300)))
        rows.append((mean, sigma, azimuth, len(matches), float(spots.intensity[matches].sum()), log_alarms))
    return rows


def _consistent_pairs(
    candidates: IntArray, radius: FloatArray, angle: FloatArray, reach: FloatArray, max_draws: int,
    rng: np.random.Generator,
) -> IntArray:  # fmt: skip
    """Pairs (D, 2) of spots that can be two vertices of one regular hexagon about the centre."""
    first, second = (candidates[i] for i in np.triu_indices(len(candidates), k=1))
    limit = np.maximum(reach[first], reach[second])
    mean = 0.5 * (radius[first] + radius[second])
    off = np.abs((angle[first] - angle[second] + SIXTY_DEG / 2.0) % SIXTY_DEG - SIXTY_DEG / 2.0)
    keep = np.flatnonzero((np.abs(radius[first] - radius[second]) <= limit) & (off * mean <= limit))
    if len(keep) > max_draws:
        keep = rng.choice(keep, max_draws, replace=False)
    return np.stack([first[keep], second[keep]], axis=1)


def _best_matches(
    pairs: IntArray, free: np.ndarray, radius: FloatArray, angle: FloatArray, reach: FloatArray
) -> IntArray:
    """Spots that match the best of the hexagons defined by the pairs: one spot, the nearest, per vertex."""
    if not len(pairs):
        return np.zeros(0, dtype=np.int64)
    spots = np.flatnonzero(free)
    first, second = pairs.T
    mean = 0.5 * (radius[first] + radius[second])
    turn = np.angle(np.exp(6j * angle[first]) + np.exp(6j * angle[second])) / 6.0
    relative = (angle[spots] - turn[:, None]) / SIXTY_DEG
    vertex = np.round(relative)
    along = (relative - vertex) * SIXTY_DEG * mean[:, None]
    residual = np.hypot(radius[spots] - mean[:, None], along)
    residual[residual > reach[spots]] = np.inf
    at = vertex.astype(int) % 6 == np.arange(6)[:, None, None]
    of_vertex = np.where(at, residual, np.inf)
    nearest, off = of_vertex.argmin(axis=2).T, of_vertex.min(axis=2).T
    matched = np.isfinite(off)
    counts = matched.sum(axis=1)
    total = np.where(matched, off, 0.0) ** 2
    best = int(np.lexsort((total.sum(axis=1) / np.maximum(counts, 1), -counts))[0])
    return np.asarray(spots[nearest[best, matched[best]]])
