"""Which phases may a measured d-spacing belong to? All spots of an image share one error of its scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from friedel.core.arrays import FloatArray, IntArray
from friedel.core.errors import DataError
from friedel.crystal import PhaseSet, reflections

UNKNOWN = "unknown"
#: Weakest reflection, relative to the strongest of its phase, that may explain a spot.
LEAST_INTENSITY = 0.003
#: Spacings closer than this (relative) are one family.
SAME_FAMILY = 5e-4


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceSpacings:
    """Spacings of one phase.

    Parameters
    ----------
    name
        The phase.
    d_a
        Spacings (F,) in Å, longest first.
    hkl
        One representative of each family (F, 3).
    weight
        How readily each family shows, (F,); see ``reference_spacings``.
    """

    name: str
    d_a: FloatArray
    hkl: IntArray
    weight: FloatArray


@dataclass(frozen=True, slots=True)
class SpacingOptions:
    """What is assumed when spacings are matched.

    Parameters
    ----------
    lattice_tolerance
        Relative one-sigma difference between a sample's lattice and the reference (composition, strain, temperature).
    unknown_prior
        Share of spots expected to belong to none of the phases.
    ambiguity_ratio
        A phase is named alone if its probability is above 0.5 and no other one comes within this factor.
    """

    lattice_tolerance: float = 0.004
    unknown_prior: float = 0.3
    ambiguity_ratio: float = 10.0

    def __post_init__(self) -> None:
        if not 0 < self.lattice_tolerance < 0.1:
            raise DataError(f"lattice_tolerance must lie in (0, 0.1), got {self.lattice_tolerance}.")
        if not 0 < self.unknown_prior < 1:
            raise DataError(f"unknown_prior must lie in (0, 1), got {self.unknown_prior}.")
        if not self.ambiguity_ratio >= 1:
            raise DataError(f"ambiguity_ratio must be at least 1, got {self.ambiguity_ratio}.")


@dataclass(frozen=True, slots=True, eq=False)
class SpacingMatch:
    """Phases of N spots.

    Parameters
    ----------
    phases
        P names.
    posterior
        (N, P + 1): probability of each phase and, last, of none of them; rows add up to 1.
    best_hkl, best_d_a
        Family of each phase nearest to each spot, (N, P, 3), and its spacing (N, P).
    names
        For each spot a phase, several joined by "|" where the spacings do not decide, or "unknown".
    scale, scale_sigma
        Factor that turns measured spacings into true ones, fitted over all spots, and its relative one-sigma error.
    """

    phases: tuple[str, ...]
    posterior: FloatArray
    best_hkl: IntArray
    best_d_a: FloatArray
    names: tuple[str, ...]
    scale: float
    scale_sigma: float


def reference_spacings(name: str, d_a: FloatArray, intensity: FloatArray, hkl: IntArray) -> ReferenceSpacings:
    """Merge the reflections of a phase into families of equal spacing and weigh them.

    Parameters
    ----------
    d_a, intensity, hkl
        Spacings (N,), squared structure factors times multiplicity (N,), indices (N, 3).

    Notes
    -----
    The weight is the fourth root of the relative intensity. It is weak on purpose: which spots a grain shows depends
    on its orientation, its thickness and the transfer function more than on the structure factor. It is divided by
    the root of the sum over families: a phase with many spacings explains any spot by chance, so each counts for
    less; the full sum would be right if a grain showed one family at a time, but near a zone axis it shows several.
    """
    order = np.argsort(-d_a)
    d, power, index = d_a[order], intensity[order], hkl[order]
    family = np.concatenate([[0], np.cumsum(-np.diff(np.log(d)) > SAME_FAMILY)]) if len(d) else np.zeros(0, int)
    total = np.bincount(family, power)
    first = np.searchsorted(family, np.arange(len(total)))
    strongest = [int(f + np.argmax(power[family == i])) for i, f in enumerate(first)]
    keep = total > LEAST_INTENSITY * total.max(initial=0.0)
    chosen = np.array(strongest, dtype=np.int64)[keep]
    shown = (total[keep] / total.max(initial=1e-30)) ** 0.25
    return ReferenceSpacings(name, d[chosen], index[chosen], shown / math.sqrt(max(shown.sum(), 1e-30)))


def phase_spacings(phases: PhaseSet, d_min_a: float) -> tuple[ReferenceSpacings, ...]:
    """Spacings of each phase down to ``d_min_a`` in Å."""
    found = []
    for crystal in phases.crystals:
        table = reflections(crystal, d_min_a)
        found.append(reference_spacings(crystal.name, table.d_a, table.f2 * table.multiplicity, table.hkl))
    return tuple(found)


def match_spacings(
    d_a: FloatArray,
    relative_sigma: FloatArray,
    references: Sequence[ReferenceSpacings],
    *,
    scale_sigma: float,
    range_a: tuple[float, float],
    priors: FloatArray | None = None,
    options: SpacingOptions | None = None,
) -> SpacingMatch:
    """Give each spot the probability of each phase, with one unknown scale error for all spots.

    Parameters
    ----------
    d_a, relative_sigma
        Measured spacings (N,) in Å and their relative one-sigma errors without that of the scale.
    references
        Phases that may be there; P of them.
    scale_sigma
        Relative one-sigma error of the scale before the fit (``relative_sigma`` of the grid).
    range_a
        Shortest and longest spacing searched, over which unknown spots are spread evenly in ln d.
    priors
        Relative prior of each phase (P,); None takes them equal.

    Notes
    -----
    Spot i with scale error s: L_i(s) = sum over phases p of prior_p max over families f of w_f N(ln d_i; ln d_f + s,
    sigma_i^2 + tolerance^2), plus unknown_prior / ln(range). The posterior of s on a grid is N(s; 0, scale_sigma)
    times the product of L_i(s), where n spots of one spacing enter with the power 1/n: they share the error of their
    lattice and are one witness. A phase's probability is averaged over s. Spacings alone cannot tell phases apart
    that share them; prior knowledge, angles and other spots must.
    """
    options = options or SpacingOptions()
    d_a, relative_sigma = np.asarray(d_a, dtype=np.float64), np.asarray(relative_sigma, dtype=np.float64)
    _check(d_a, relative_sigma, references, range_a)
    n_phases = len(references)
    shares = np.ones(n_phases) if priors is None else np.asarray(priors, dtype=np.float64)
    shares = (1 - options.unknown_prior) * shares / shares.sum()
    sigma = np.hypot(relative_sigma, options.lattice_tolerance)
    scale = _scale_grid(scale_sigma, options.lattice_tolerance)
    density = np.empty((len(scale), len(d_a), n_phases + 1))
    for p, reference in enumerate(references):
        density[..., p] = shares[p] * _best_density(np.log(d_a), sigma, scale, reference)
    density[..., -1] = options.unknown_prior / math.log(range_a[1] / range_a[0])
    log_posterior = np.log(density.sum(axis=-1)) @ _witness_power(d_a, sigma)
    if scale_sigma > 0:
        log_posterior -= 0.5 * (scale / scale_sigma) ** 2
    weight = np.exp(log_posterior - log_posterior.max())
    weight /= weight.sum()
    mean = float(weight @ scale)
    posterior = np.einsum("s,snp->np", weight, density / density.sum(axis=-1, keepdims=True))
    hkl, best_d = _nearest(d_a * math.exp(-mean), references)
    names = tuple(r.name for r in references)
    return SpacingMatch(
        names,
        posterior,
        hkl,
        best_d,
        tuple(spot_name(row, names, options.ambiguity_ratio) for row in posterior),
        math.exp(-mean),
        math.sqrt(max(float(weight @ (scale - mean) ** 2), 0.0)),
    )


def spot_name(posterior: FloatArray, phases: Sequence[str], ambiguity_ratio: float) -> str:
    """Name a spot from its probabilities (P + 1,): a phase, several joined by "|", or "unknown".

    A phase stands alone only if its probability is above 0.5 and above ``ambiguity_ratio`` times every other phase's;
    "unknown" is said where that is the likeliest of all.
    """
    known = posterior[:-1]
    best = float(known.max())
    if posterior[-1] >= best and posterior[-1] >= 0.5:
        return UNKNOWN
    near = [i for i in np.argsort(-known, kind="stable") if known[i] * ambiguity_ratio > best]
    if len(near) == 1 and best <= 0.5:
        return UNKNOWN
    return "|".join(phases[i] for i in sorted(near))


def _check(d_a: FloatArray, relative_sigma: FloatArray, references: Sequence[ReferenceSpacings],
           range_a: tuple[float, float]) -> None:  # fmt: skip
    if d_a.ndim != 1 or d_a.shape != relative_sigma.shape:
        raise DataError(f"d_a and relative_sigma must both have shape (N,), got {d_a.shape}, {relative_sigma.shape}.")
    if not (np.isfinite(d_a) & (d_a > 0) & np.isfinite(relative_sigma)).all():
        raise DataError("Spacings must be positive and finite, with finite errors.")
    if not references:
        raise DataError("At least one phase is needed. Pass --phases.")
    if not 0 < range_a[0] < range_a[1]:
        raise DataError(f"range_a must be (shortest, longest) in Å, got {range_a}.")


def _scale_grid(scale_sigma: float, tolerance: float) -> FloatArray:
    """Scale errors out to 4 sigma, four to a tolerance."""
    n = max(1, math.ceil(16 * scale_sigma / tolerance))
    return np.linspace(-4, 4, 2 * n + 1) * scale_sigma if scale_sigma > 0 else np.zeros(1)


def _best_density(log_d: FloatArray, sigma: FloatArray, scale: FloatArray, reference: ReferenceSpacings) -> FloatArray:
    """Density (S, N) of each spot under the family of a phase that explains it best, for each scale error."""
    if not len(reference.d_a):
        return np.zeros((len(scale), len(log_d)))
    apart = (log_d[:, None] - np.log(reference.d_a) - scale[:, None, None]) / sigma[:, None]
    best = (reference.weight * np.exp(-0.5 * apart**2)).max(axis=-1)
    return np.asarray(best / (math.sqrt(2 * math.pi) * sigma))


def _witness_power(d_a: FloatArray, sigma: FloatArray) -> FloatArray:
    """One over the number of spots that have the same spacing as each spot, (N,)."""
    apart = np.abs(np.subtract.outer(np.log(d_a), np.log(d_a)))
    return np.asarray(1.0 / (apart < 2 * np.maximum.outer(sigma, sigma)).sum(axis=1))


def _nearest(d_a: FloatArray, references: Sequence[ReferenceSpacings]) -> tuple[IntArray, FloatArray]:
    """Nearest family of each phase for each spacing: indices (N, P, 3) and spacings (N, P), nan where it has none."""
    hkl = np.zeros((len(d_a), len(references), 3), dtype=np.int64)
    best = np.full((len(d_a), len(references)), np.nan)
    for p, reference in enumerate(references):
        if len(reference.d_a):
            index = np.abs(np.subtract.outer(np.log(d_a), np.log(reference.d_a))).argmin(axis=1)
            hkl[:, p], best[:, p] = reference.hkl[index], reference.d_a[index]
    return hkl, best
