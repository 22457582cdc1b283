"""Name the grains of an image together: one scale error and one share of unknown matter for all of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from friedel.core.arrays import FloatArray, IntArray
from friedel.identify.grains.evidence import Hypothesis, LogGain, hypotheses, log_unknown
from friedel.identify.grains.phase_model import PhaseModel
from friedel.identify.grains.plane_fit import EvidenceOptions, GrainSpots

#: Scale errors are tried out to this many sigmas, this many to a sigma of a grain's lattice.
SCALE_SIGMAS, PER_TOLERANCE = 4.0, 3.0
#: Stored scales are sometimes far off: this share of them errs by so many times the stated error.
TAIL_SHARE, TAIL_FACTOR = 0.2, 2.5
#: Shares of unknown grains that are tried, all as probable before.
UNKNOWN_SHARES = np.linspace(0.05, 0.95, 10)
#: Passes in which spots that a grain's phase does not explain become grains of their own.
MAX_PASSES = 3


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


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """What may be in an image, and what it may show.

    Parameters
    ----------
    models, priors
        Phases, and the relative prior of each (P,).
    cubic
        See ``cubic_models``.
    log_range
        Natural logarithm of the longest over the shortest spacing searched.
    scale_sigma
        Relative one-sigma error of the scale.
    log_gain
        Natural logarithm of the expected power over the noise at positions (m, 2), for equal structure factors.
    """

    models: tuple[PhaseModel, ...]
    priors: FloatArray
    cubic: tuple[PhaseModel, ...]
    log_range: float
    scale_sigma: float
    log_gain: LogGain


def match_grains(
    spots: GrainSpots, grains: IntArray, candidates: Candidates, options: EvidenceOptions | None = None
) -> JointMatch:
    """Name the grains of an image together.

    Parameters
    ----------
    spots
        All N spots.
    grains
        Number of the grain that each spot belongs to (N,).

    Notes
    -----
    With the scale error s and the share u of unknown grains, grain g has the likelihood (1 - u) sum_p prior_p
    E_gp(s) + u U_g. The product over the grains times the prior of s, that of u being flat, is their joint posterior
    on a grid, and the probability of each phase is averaged over it. Where most spots fit nothing, u is large, and a
    single spot that fits something is not believed.
    """
    options = options or EvidenceOptions()
    scale = scale_grid(candidates.scale_sigma, options.lattice_tolerance)
    grains = np.unique(grains, return_inverse=True)[1].astype(np.int64)
    reach = float(np.abs(scale).max())
    known: dict[bytes, _Ways] = {}
    for _ in range(MAX_PASSES):
        members = [np.flatnonzero(grains == g) for g in range(int(grains.max(initial=-1)) + 1)]
        parts = [_part(spots, rows) for rows in members]
        for rows, part in zip(members, parts, strict=True):
            if rows.tobytes() not in known:
                known[rows.tobytes()] = _ways(part, candidates, reach, options)
        found = [known[rows.tobytes()] for rows in members]
        match = _average(parts, members, found, scale, candidates, options)
        apart = _set_apart(match, members)
        if (apart == match.grains).all():
            break
        grains = apart
    return match


@dataclass(frozen=True, slots=True, eq=False)
class _Ways:
    """Hypotheses of each phase for a grain, and the log evidence for something else."""

    of_phase: list[list[Hypothesis]]
    log_unknown: float

    def log_evidence(self, scale: FloatArray) -> FloatArray:
        """Log evidence (P, S) of each phase at these scale errors."""
        rows = [
            special.logsumexp([way.log_evidence(scale) for way in ways], axis=0)
            if ways
            else np.full(len(scale), -np.inf)
            for ways in self.of_phase
        ]
        return np.asarray(rows)


def _ways(part: GrainSpots, candidates: Candidates, reach: float, options: EvidenceOptions) -> _Ways:
    log_range, log_gain = candidates.log_range, candidates.log_gain
    return _Ways(
        [hypotheses(part, model, log_range, reach, log_gain, options) for model in candidates.models],
        log_unknown(part, candidates.cubic, log_range, log_gain, options),
    )


def scale_grid(scale_sigma: float, tolerance: float) -> FloatArray:
    """Scale errors that are tried, (S,)."""
    if scale_sigma <= 0:
        return np.zeros(1)
    n = math.ceil(PER_TOLERANCE * SCALE_SIGMAS * scale_sigma / tolerance)
    return np.linspace(-SCALE_SIGMAS, SCALE_SIGMAS, 2 * max(n, 8) + 1) * scale_sigma


def log_scale_prior(sigmas: FloatArray) -> FloatArray:
    """Log prior (S,) of scale errors in units of their sigma, up to a constant: a Gaussian with a wider one below."""
    core = math.log(1 - TAIL_SHARE) - 0.5 * sigmas**2
    tail = math.log(TAIL_SHARE / TAIL_FACTOR) - 0.5 * (sigmas / TAIL_FACTOR) ** 2
    return np.logaddexp(core, tail)


def _part(spots: GrainSpots, rows: IntArray) -> GrainSpots:
    return GrainSpots(spots.k_inv_a[rows], spots.radial_sigma[rows], spots.azimuth_sigma[rows], spots.log_snr[rows],
                      spots.least_log_snr, spots.innermost_inv_a)  # fmt: skip


def _average(parts: list[GrainSpots], members: list[IntArray], found: list[_Ways], scale: FloatArray,
             candidates: Candidates, options: EvidenceOptions) -> JointMatch:  # fmt: skip
    """Average over scale error and unknown share."""
    n_phases = len(candidates.models)
    log_evidence = np.array([ways.log_evidence(scale) for ways in found]).reshape(len(found), n_phases, len(scale))
    unknown = np.array([ways.log_unknown for ways in found])
    shares = candidates.priors / candidates.priors.sum()
    ratio = np.exp(np.clip(log_evidence - unknown[:, None, None], -700, 600)) * shares[:, None]  # (G, P, S)
    weight, over = _posterior_of_image(ratio, _witness_power(parts, options), scale, candidates.scale_sigma)
    of_phase = np.einsum("ugs,gps->gps", over, ratio)
    known = np.clip(of_phase.sum(axis=2), 0.0, 1.0)
    n_spots = sum(len(rows) for rows in members)
    posterior, rows = np.zeros((n_spots, n_phases + 1)), np.full((n_spots, n_phases), -1, dtype=np.int64)
    grains = np.zeros(n_spots, dtype=np.int64)
    for g, ways in enumerate(found):
        grains[members[g]] = g
        for p, of_grain in enumerate(ways.of_phase):
            if of_grain:
                share = np.stack([np.exp(np.minimum(w.log_evidence(scale) - log_evidence[g, p], 0)) for w in of_grain])
                posterior[members[g], p], rows[members[g], p] = _of_spots(of_grain, share @ of_phase[g, p])
    posterior[:, -1] = np.clip(1 - posterior[:, :-1].sum(axis=1), 0.0, 1.0)
    of_scale = weight.sum(axis=0)
    mean = float(of_scale @ scale)
    return JointMatch(
        grains,
        np.concatenate([known, np.clip(1 - known.sum(axis=1, keepdims=True), 0.0, 1.0)], axis=1),
        posterior,
        rows,
        math.exp(-mean),
        math.sqrt(max(float(of_scale @ (scale - mean) ** 2), 0.0)),
        float(weight.sum(axis=1) @ UNKNOWN_SHARES),
    )


def _posterior_of_image(ratio: FloatArray, power: FloatArray, scale: FloatArray,
                        scale_sigma: float) -> tuple[FloatArray, FloatArray]:  # fmt: skip
    """Posterior (U, S) of unknown share and scale error, and what to weigh ``ratio`` with for each grain (U, G, S)."""
    known = ratio.sum(axis=1)
    u = UNKNOWN_SHARES[:, None, None]
    mixed = (1 - u) * known + u
    log_joint = (np.log(mixed) * power[:, None]).sum(axis=1)
    if scale_sigma > 0:
        log_joint = log_joint + log_scale_prior(scale / scale_sigma)
    weight = np.exp(log_joint - log_joint.max())
    weight /= weight.sum()
    return weight, weight[:, None] * (1 - u) / mixed


def _of_spots(ways: list[Hypothesis], probability: FloatArray) -> tuple[FloatArray, IntArray]:
    """Probability (n,) that each spot of a grain is of a phase, and the reflection that it then is most probably."""
    rows = np.stack([way.rows for way in ways])
    explained = rows >= 0
    best = np.where(explained, probability[:, None], -1.0).argmax(axis=0)
    return np.minimum(probability @ explained, 1.0), rows[best, np.arange(rows.shape[1])]


def _witness_power(parts: list[GrainSpots], options: EvidenceOptions) -> FloatArray:
    """One over the number of lone spots that share the spacing of each; 1 for grains of several spots, (G,)."""
    power = np.ones(len(parts))
    lone = [g for g, part in enumerate(parts) if len(part) == 1]
    log_d = np.array([parts[g].log_d[0] for g in lone])
    sigma = np.hypot([parts[g].radial_sigma[0] for g in lone], options.lattice_tolerance)
    apart = np.abs(np.subtract.outer(log_d, log_d))
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
