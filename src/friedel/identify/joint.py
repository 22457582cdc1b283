"""Name the grains of an image together: one scale error and one share of unknown matter for all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import special

from friedel.core.arrays import FloatArray, IntArray
from friedel.core.errors import DataError
from friedel.identify.grain_evidence import (
    EvidenceOptions,
    GrainSpots,
    Hypothesis,
    LogGain,
    hypotheses,
    log_unknown,
)
from friedel.identify.phase_model import PhaseModel

#: Scale errors are tried out to this many sigmas, this many to a sigma of a grain's lattice.
SCALE_SIGMAS, PER_TOLERANCE = 4.0, 3.0
#: Shares of unknown grains that are tried.
UNKNOWN_SHARES = np.linspace(0.05, 0.95, 10)
#: Passes in which spots that a grain's phase does not explain become grains of their own.
MAX_PASSES = 3


@dataclass(frozen=True, slots=True)
class JointOptions:
    """What is assumed of an image.

    Parameters
    ----------
    evidence
        See ``EvidenceOptions``.
    unknown_a, unknown_b
        The share of grains that are of none of the phases has a prior Beta(a, b).
    """

    evidence: EvidenceOptions = field(default_factory=EvidenceOptions)
    unknown_a: float = 1.0
    unknown_b: float = 2.0

    def __post_init__(self) -> None:
        if not (self.unknown_a > 0 and self.unknown_b > 0):
            raise DataError(f"unknown_a and unknown_b must be positive, got {self.unknown_a}, {self.unknown_b}.")


@dataclass(frozen=True, slots=True, eq=False)
class JointMatch:
    """Phases of the G grains and N spots of an image.

    Parameters
    ----------
    grains
        Grain of each spot (N,), after spots that did not fit their grain were set apart.
    grain_posterior
        (G, P + 1) probability of each phase, the last of none of them, rows add up to 1.
    posterior
        (N, P + 1) the same of each spot.
    rows
        (N, P) reflection of each phase's model that explains each spot best, -1 where none does.
    scale, scale_sigma
        Factor that turns measured spacings into true ones, and its relative one-sigma error.
    unknown_share
        Mean of the share of grains that are of none of the phases.
    """

    grains: IntArray
    grain_posterior: FloatArray
    posterior: FloatArray
    rows: IntArray
    scale: float
    scale_sigma: float
    unknown_share: float


def match_grains(spots: GrainSpots, grains: IntArray, models: Sequence[PhaseModel],
                 cubic: Sequence[PhaseModel], log_range: float, scale_sigma: float, priors: FloatArray, log_gain: LogGain,
                 options: JointOptions | None = None) -> JointMatch:  # fmt: skip
    """Name the grains of an image together.

    Parameters
    ----------
    spots
        All N spots.
    grains
        Number of the grain that each spot belongs to (N,).
    log_range
        Natural logarithm of the longest over the shortest spacing searched.
    scale_sigma
        Relative one-sigma error of the scale.
    priors
        Relative prior of each phase (P,).
    log_gain
        See ``hypotheses``.

    Notes
    -----
    With the scale error s and the share u of unknown grains, grain g has the likelihood (1 - u) sum_p prior_p
    E_gp(s) + u U_g. The product over the grains times the priors of s and u, on a grid, is their joint posterior, and
    the probability of each phase is averaged over it. Where most spots fit nothing, u is large, and a single spot that
    fits something is not believed.
    """
    options = options or JointOptions()
    scale = scale_grid(scale_sigma, options.evidence.lattice_tolerance)
    reach = float(np.abs(scale).max())
    grains = np.unique(grains, return_inverse=True)[1].astype(np.int64)
    shares = priors / priors.sum()
    for _ in range(MAX_PASSES):
        members = [np.flatnonzero(grains == g) for g in range(int(grains.max(initial=-1)) + 1)]
        parts = [_part(spots, rows) for rows in members]
        found = [[hypotheses(part, model, log_range, reach, log_gain, options.evidence) for model in models]
                 for part in parts]  # fmt: skip
        unknown = np.array([log_unknown(part, cubic, log_range, log_gain, options.evidence) for part in parts])
        match = _average(spots, members, found, unknown, scale, scale_sigma, shares, options)
        apart = _set_apart(match, members)
        if (apart == match.grains).all():
            break
        grains = apart
    return match


def scale_grid(scale_sigma: float, tolerance: float) -> FloatArray:
    """Scale errors that are tried, (S,)."""
    if scale_sigma <= 0:
        return np.zeros(1)
    n = math.ceil(PER_TOLERANCE * SCALE_SIGMAS * scale_sigma / tolerance)
    return np.linspace(-SCALE_SIGMAS, SCALE_SIGMAS, 2 * max(n, 8) + 1) * scale_sigma


def _part(spots: GrainSpots, rows: IntArray) -> GrainSpots:
    return GrainSpots(spots.k_inv_a[rows], spots.radial_sigma[rows], spots.azimuth_sigma[rows], spots.log_snr[rows],
                      spots.least_log_snr)  # fmt: skip


def _average(spots: GrainSpots, members: list[IntArray], found: list[list[list[Hypothesis]]], unknown: FloatArray,
             scale: FloatArray, scale_sigma: float, shares: FloatArray, options: JointOptions) -> JointMatch:  # fmt: skip
    """Average over scale error and unknown share."""
    n_grains, n_phases = len(members), len(shares)
    log_evidence = np.full((n_grains, n_phases, len(scale)), -np.inf)
    for g, of_grain in enumerate(found):
        for p, ways in enumerate(of_grain):
            if ways:
                log_evidence[g, p] = special.logsumexp([w.log_evidence(scale) for w in ways], axis=0)
    ratio = np.exp(np.clip(log_evidence - unknown[:, None, None], -700, 600)) * shares[:, None]  # (G, P, S)
    known = ratio.sum(axis=1)  # (G, S)
    u = UNKNOWN_SHARES[:, None, None]
    power = _witness_power(members, spots, options)
    log_joint = (np.log((1 - u) * known + u) * power[:, None]).sum(axis=1)  # (U, S)
    log_joint += ((options.unknown_a - 1) * np.log(u) + (options.unknown_b - 1) * np.log(1 - u))[:, 0]
    if scale_sigma > 0:
        log_joint = log_joint - 0.5 * (scale / scale_sigma) ** 2
    weight = np.exp(log_joint - log_joint.max())
    weight /= weight.sum()
    over = weight[:, None] * (1 - u) / ((1 - u) * known + u)  # (U, G, S)
    of_phase = np.einsum("ugs,gps->gps", over, ratio)
    grain_posterior = np.concatenate([of_phase.sum(axis=2), 1 - of_phase.sum(axis=(1, 2))[:, None]], axis=1)
    grain_posterior = np.clip(grain_posterior, 0.0, 1.0)
    posterior = np.zeros((len(spots), n_phases + 1))
    rows = np.full((len(spots), n_phases), -1, dtype=np.int64)
    numbers = np.zeros(len(spots), dtype=np.int64)
    for g, of_grain in enumerate(found):
        numbers[members[g]] = g
        for p, ways in enumerate(of_grain):
            if not ways:
                continue
            share = np.stack([np.exp(np.clip(w.log_evidence(scale) - log_evidence[g, p], -700, 0)) for w in ways])
            belongs = share @ of_phase[g, p]
            explained = np.stack([w.rows >= 0 for w in ways])
            posterior[members[g], p] = belongs @ explained
            best = np.where(explained, belongs[:, None], -1.0).argmax(axis=0)
            rows[members[g], p] = np.stack([w.rows for w in ways])[best, np.arange(len(members[g]))]
    posterior[:, -1] = np.clip(1 - posterior[:, :-1].sum(axis=1), 0.0, 1.0)
    of_scale = weight.sum(axis=0)
    mean = float(of_scale @ scale)
    sigma = math.sqrt(max(float(of_scale @ (scale - mean) ** 2), 0.0))
    return JointMatch(numbers, grain_posterior, posterior, rows, math.exp(-mean), sigma,
                      float(weight.sum(axis=1) @ UNKNOWN_SHARES))  # fmt: skip


def _witness_power(members: list[IntArray], spots: GrainSpots, options: JointOptions) -> FloatArray:
    """One over the number of lone spots that share the spacing of each; 1 for grains of several spots, (G,)."""
    power = np.ones(len(members))
    lone = [g for g, rows in enumerate(members) if len(rows) == 1]
    rows = np.array([members[g][0] for g in lone], dtype=np.int64)
    sigma = np.hypot(spots.radial_sigma[rows], options.evidence.lattice_tolerance)
    apart = np.abs(np.subtract.outer(spots.log_d[rows], spots.log_d[rows]))
    power[lone] = 1.0 / (apart < 2 * np.maximum.outer(sigma, sigma)).sum(axis=1)
    return power


def _set_apart(match: JointMatch, members: list[IntArray]) -> IntArray:
    """Give the spots of a named grain that its phase does not explain a grain of their own."""
    grains = match.grains.copy()
    new = int(grains.max(initial=-1)) + 1
    for g, rows in enumerate(members):
        p = int(match.grain_posterior[g, :-1].argmax())
        if match.grain_posterior[g, p] < 0.5:
            continue
        foreign = rows[match.posterior[rows, p] < 0.5 * match.grain_posterior[g, p]]
        if 0 < len(foreign) < len(rows):
            grains[foreign] = new
            new += 1
    return grains
