"""How well does a phase explain the spots of one grain: distances, angles, zone, and what is not seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from friedel.core.arrays import FloatArray, IntArray
from friedel.identify.grains.phase_model import CUBIC_STEP, PhaseModel, in_plane, in_row, pair_weight, zone_of
from friedel.identify.grains.plane_fit import (
    EvidenceOptions,
    GrainSpots,
    fit_positions,
    fit_row,
    laid_on,
    nearest_position,
    position_sigma,
    seed_pairs,
    seed_rows,
)

#: What double diffraction lends a reflection that vanishes, relative to the strongest of its phase.
TWICE_F2 = 0.02
#: Residuals up to this many sigmas are taken for errors of measurement.
REACH = 3.5
#: Pairs of reflections tried for two spots, the likeliest ones.
MAX_PAIRS = 12
#: Nodes of an unknown lattice in steps of two spots, and of an unknown row in steps of one that is its first, second
#: or third.
_NET = np.array([(m, n) for m in range(4) for n in range(-3, 4) if m > 0 or n > 0], dtype=np.float64)
_ROWS = tuple(np.arange(1, 3 * order + 1)[:, None] / order for order in (1, 2, 3))
#: Hypotheses this far (natural logarithm) below the best of a grain are dropped.
NEGLIGIBLE = 12.0

LogGain = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True, slots=True, eq=False)
class Hypothesis:
    """Indices for the spots of a grain.

    Parameters
    ----------
    rows
        Reflection of the phase's model for each spot, -1 for a stranger, (n,).
    log_weight, curvature, centre
        The log evidence at the scale error s is log_weight - curvature (s - centre)^2 / 2.
    """

    rows: IntArray
    log_weight: float
    curvature: float
    centre: float

    @property
    def log_integral(self) -> float:
        """Logarithm of the evidence's integral over all scale errors."""
        return self.log_weight + 0.5 * math.log(2 * math.pi / self.curvature)

    def log_evidence(self, scale: FloatArray) -> FloatArray:
        """Log evidence (S,) at these scale errors."""
        return np.asarray(self.log_weight - 0.5 * self.curvature * (scale - self.centre) ** 2)


def hypotheses(spots: GrainSpots, model: PhaseModel, log_range: float, reach: float, log_gain: LogGain,
               options: EvidenceOptions) -> list[Hypothesis]:  # fmt: skip
    """List the ways in which a phase explains spots of one grain, likeliest first.

    Parameters
    ----------
    log_range
        Natural logarithm of the longest over the shortest spacing searched.
    reach
        Largest scale error that is considered.
    log_gain
        Natural logarithm of the expected power over the noise at positions (m, 2), for equal structure factors.

    Notes
    -----
    Evidence is a density in (ln d, azimuth) of each spot; a stranger has 1 / (log_range pi). A lone spot is of family
    f with ``first_share``. Two spots of a grain are reflections i and j with the share of ``pair_weight``, in either
    handedness, and set the plane and the rotation; every other spot must be a reflection of that plane. Of a grain
    tilted off its zone axes a single row is seen: its brightest spot is of family f with ``first_share``, and the
    others are multiples of that reflection. All spots of a grain share the error of its lattice, and the azimuth of
    the grain is averaged out, both in closed form.
    """
    found = list(_lone(spots, model, log_range, reach, options))
    for anchor in seed_rows(spots):
        found += _rows(spots, anchor, model, log_range, reach, log_gain, options)
    seeds = list(seed_pairs(spots))
    for a, b in seeds:
        for hypothesis in _pairs(spots, (a, b), model, log_range, reach, log_gain, options):
            share = hypothesis.log_weight - math.log(len(seeds))
            found.append(Hypothesis(hypothesis.rows, share, hypothesis.curvature, hypothesis.centre))
    if not found:
        return []
    best = max(h.log_weight for h in found)
    return sorted((h for h in found if h.log_weight > best - NEGLIGIBLE), key=lambda h: -h.log_weight)


def log_unknown(spots: GrainSpots, cubic: Sequence[PhaseModel], log_range: float, log_gain: LogGain,
                options: EvidenceOptions) -> float:  # fmt: skip
    """Log evidence for a grain of some other phase.

    Notes
    -----
    In equal shares: all spots are unrelated; two of them are free and span a lattice on which the others lie, as those
    of any crystal do, or one is free and the others are in a row with it; or the crystal is cubic (``cubic_models``)
    with a free lattice parameter.
    """
    n = len(spots)
    powers = _log_powers(spots.log_snr, options)
    free = -n * math.log(log_range * math.pi) + powers
    if n == 1:
        return free
    seeds = list(seed_pairs(spots)) if n > 2 else []
    lattices = [_log_lattice(spots, seed, _NET, log_range, options) for seed in seeds]
    lattices += [_log_lattice(spots, (a,), row, log_range, options) for a in seed_rows(spots) for row in _ROWS]
    lattice = float(special.logsumexp(lattices)) - math.log(len(lattices)) + powers if lattices else free
    ways = [w for m in cubic for w in hypotheses(spots, m, log_range, 0.5 * CUBIC_STEP, log_gain, options)]
    inside = [w.log_integral for w in ways if abs(w.centre) <= 0.5 * CUBIC_STEP]
    symmetric = special.logsumexp(inside) - math.log(len(cubic) * CUBIC_STEP) if inside else -np.inf
    return float(special.logsumexp([free, lattice, symmetric])) - math.log(3)


def _lone(spots: GrainSpots, model: PhaseModel, log_range: float, reach: float,
          options: EvidenceOptions) -> Iterator[Hypothesis]:  # fmt: skip
    """One spot is of the phase, all others are strangers."""
    n = len(spots)
    stranger = math.log(options.stranger_share / (log_range * math.pi))
    log_free = (n - 1) * stranger - math.log(n) + _log_powers(spots.log_snr, options)
    for i in range(n):
        variance = _lone_variance(float(spots.radial_sigma[i]), options)
        off = spots.log_d[i] + np.log(model.radius_inv_a[model.first])
        for f in np.flatnonzero((np.abs(off) < reach + REACH * math.sqrt(variance)) & (model.first_share > 0)):
            rows = np.full(n, -1, dtype=np.int64)
            rows[i] = model.first[f]
            log_weight = math.log(model.first_share[f]) - 0.5 * math.log(2 * math.pi * variance) - math.log(math.pi)
            yield Hypothesis(rows, log_weight + log_free, 1 / variance, float(off[f]))


def _lone_variance(radial_sigma: float, options: EvidenceOptions) -> float:
    """Variance of the logarithm of the spacing of a lone spot."""
    return radial_sigma**2 + options.lattice_tolerance**2 + options.spot_tolerance**2 + options.stretch_sigma**2


def _pairs(spots: GrainSpots, seed: tuple[int, int], model: PhaseModel, log_range: float, reach: float,
           log_gain: LogGain, options: EvidenceOptions) -> Iterator[Hypothesis]:  # fmt: skip
    """Two spots set plane and rotation; the others follow or are strangers."""
    likeliest = sorted(_fitting_pairs(spots, seed, model, reach, options), key=lambda pair: -pair[0])[:MAX_PAIRS]
    for _, share, pair in likeliest:
        yield _plane(spots, seed, pair, math.log(share), model, log_range, log_gain, options)


def _fitting_pairs(spots: GrainSpots, seed: tuple[int, int], model: PhaseModel, reach: float,
                   options: EvidenceOptions) -> Iterator[tuple[float, float, tuple[int, int]]]:  # fmt: skip
    """Pairs of reflections at the ratio and angle of two spots: rough log evidence, share, rows."""
    a, b = seed
    log_g = np.log(model.radius_inv_a)
    off_a, off_b = spots.log_d[a] + log_g[model.first], spots.log_d[b] + log_g
    common = 2 * options.spot_tolerance**2 + 4 * options.stretch_sigma**2
    radial = math.sqrt(float((spots.radial_sigma[[a, b]] ** 2).sum()) + common)
    turn = math.sqrt(float((spots.azimuth_sigma[[a, b]] ** 2).sum()) + common)
    azimuth = np.arctan2(spots.k_inv_a[:, 0], spots.k_inv_a[:, 1])
    apart = (azimuth[b] - azimuth[a] + 0.5 * np.pi) % np.pi - 0.5 * np.pi
    for f in np.flatnonzero(np.abs(off_a) < reach + REACH * (radial + options.lattice_tolerance)):
        i = int(model.first[f])
        near = np.flatnonzero((np.abs(off_b - off_a[f]) < REACH * radial) & (model.visible > 0))
        cosine = np.abs(model.g_inv_a[near] @ model.g_inv_a[i] * np.exp(-log_g[near] - log_g[i]))
        off = (np.arccos(np.minimum(cosine, 1.0)) - abs(apart)) / turn
        weight = model.family_size[f] * pair_weight(model.g_inv_a, model.visible, i)[near] / model.pair_total
        fits = (np.abs(off) < REACH) & (weight > 0)
        chi2 = ((off_b[near] - off_a[f]) / radial) ** 2 + off**2
        for j, share in _by_symmetry(near[fits], cosine[fits], weight[fits], model):
            yield math.log(share) - 0.5 * float(chi2[near == j][0]), share, (i, j)


def _by_symmetry(rows: IntArray, cosine: FloatArray, weight: FloatArray,
                 model: PhaseModel) -> Iterator[tuple[int, float]]:  # fmt: skip
    """Take reflections of one family at one angle to the first together: symmetry makes their planes equal."""
    shares: dict[tuple[int, int], tuple[int, float]] = {}
    for row, c, share in zip(rows.tolist(), cosine.tolist(), weight.tolist(), strict=True):
        key = int(model.family[row]), round(c * 1e6)
        first, total = shares.get(key, (row, 0.0))
        shares[key] = first, total + share
    yield from shares.values()


def _plane(spots: GrainSpots, seed: tuple[int, int], pair: tuple[int, int], log_share: float, model: PhaseModel,
           log_range: float, log_gain: LogGain, options: EvidenceOptions) -> Hypothesis:  # fmt: skip
    """Index all spots of a grain in the plane that two of them set."""
    plane, vanishes = in_plane(model, zone_of(model.hkl[pair[0]], model.hkl[pair[1]]))
    predicted, steps = laid_on(spots, seed, pair, plane, model)
    nearest, distance = nearest_position(spots, predicted)
    is_own = distance < REACH * position_sigma(spots, seed, steps[nearest], options)
    index = np.where(is_own, nearest, -1)
    for spot, row in zip(seed, pair, strict=True):
        index[spot] = int(np.flatnonzero(plane == row)[0])
    strength = np.where(vanishes, TWICE_F2, np.maximum(model.relative_f2[plane], TWICE_F2))
    fit = fit_positions(spots, seed, pair, plane, index, model, options)
    if (fit.misfit > REACH).any():
        index[np.flatnonzero(index >= 0)[fit.misfit > REACH]] = -1
        fit = fit_positions(spots, seed, pair, plane, index, model, options)
    log_weight = log_share - math.log(2)  # either handedness
    log_weight += _log_members(spots, seed, index, strength, predicted, log_range, log_gain, options)
    return Hypothesis(np.where(index >= 0, plane[index], -1), log_weight + fit.log_density, fit.curvature, fit.centre)


def _rows(spots: GrainSpots, anchor: int, model: PhaseModel, log_range: float, reach: float, log_gain: LogGain,
          options: EvidenceOptions) -> Iterator[Hypothesis]:  # fmt: skip
    """One spot is of some family, and others in a row with it are multiples of its reflection."""
    log_radius = np.log(model.radius_inv_a)
    variance = _lone_variance(float(spots.radial_sigma[anchor]), options)
    off = spots.log_d[anchor] + log_radius[model.first]
    for f in np.flatnonzero((np.abs(off) < reach + REACH * math.sqrt(variance)) & (model.first_share > 0)):
        first = int(model.first[f])
        row = in_row(model, first)
        steps = np.exp(log_radius[row] - log_radius[first])[:, None]
        predicted = steps * spots.k_inv_a[anchor]
        nearest, distance = nearest_position(spots, predicted)
        is_own = distance < REACH * position_sigma(spots, (anchor,), steps[nearest], options)
        index = np.where(is_own, nearest, -1)
        index[anchor] = int(np.flatnonzero(row == first)[0])
        if (index >= 0).sum() < 2:
            continue
        fit = fit_row(spots, log_radius[row], index, options)
        strength = np.maximum(model.relative_f2[row], TWICE_F2)
        log_weight = math.log(model.first_share[f]) + fit.log_density
        log_weight += _log_members(spots, (anchor,), index, strength, predicted, log_range, log_gain, options)
        yield Hypothesis(np.where(index >= 0, row[index], -1), log_weight, fit.curvature, fit.centre)


def _log_members(spots: GrainSpots, seed: tuple[int, ...], index: IntArray, strength: FloatArray, predicted: FloatArray,
                 log_range: float, log_gain: LogGain, options: EvidenceOptions) -> float:  # fmt: skip
    """Log share of the reflections of a plane or row that spots are, seeds apart, of strangers, and of powers."""
    own = np.flatnonzero(index >= 0)
    chosen = strength**0.25
    extra = np.setdiff1d(own, seed)
    out = float(np.log((1 - options.stranger_share) * chosen[index[extra]] / chosen.sum()).sum())
    out += (len(spots) - len(own)) * math.log(options.stranger_share / (log_range * math.pi))
    return out + _log_intensities(spots, own, index, np.log(strength), predicted, log_gain, options)


def _log_powers(log_power: FloatArray, options: EvidenceOptions) -> float:
    """Log density of the powers of spots about their mean, where no structure says which is strong."""
    return _log_scatter(log_power, math.hypot(options.log_scatter, 1.0))


def _log_scatter(values: FloatArray, sigma: float) -> float:
    """Log density of values under a Gaussian of unknown mean, up to the prior of that mean."""
    n = len(values)
    chi2 = float(((values - values.mean()) ** 2).sum()) / sigma**2
    return -0.5 * chi2 - (n - 1) * math.log(sigma * math.sqrt(2 * math.pi)) - 0.5 * math.log(n)


def _log_intensities(spots: GrainSpots, own: IntArray, index: IntArray, log_strength: FloatArray,
                     predicted: FloatArray, log_gain: LogGain, options: EvidenceOptions) -> float:  # fmt: skip
    """Log density of the powers of indexed spots, and of not seeing the other reflections of the plane."""
    expected = log_strength + log_gain(predicted)
    level = spots.log_snr[own] - expected[index[own]]
    strangers = np.delete(spots.log_snr, own)
    out = _log_scatter(level, options.log_scatter) + len(own) * math.log(1 - options.hidden_share)
    if len(strangers):
        out += _log_scatter(strangers, math.hypot(options.log_scatter, 1.0))
    absent = np.setdiff1d(_within_seen(spots, predicted), index[own])
    spread = options.log_scatter * math.sqrt(1 + 1 / len(own))
    miss = special.ndtr((spots.least_log_snr - float(level.mean()) - expected[absent]) / spread)
    return out + float(np.log(options.hidden_share + (1 - options.hidden_share) * miss).sum())


def _within_seen(spots: GrainSpots, predicted: FloatArray) -> IntArray:
    """Rows of the positions where a spot would be seen: beyond the outermost one nothing may be transferred."""
    radius = np.hypot(*predicted.T)
    outermost = 1.02 * float(np.hypot(*spots.k_inv_a.T).max())
    return np.flatnonzero((radius <= outermost) & (radius >= spots.innermost_inv_a))


def _log_lattice(spots: GrainSpots, seed: tuple[int, ...], steps: FloatArray, log_range: float,
                 options: EvidenceOptions) -> float:  # fmt: skip
    """Log density of spots on the lattice of one or two of them, at nodes (m, 1 or 2) in steps of these, or strangers.

    Which of the nodes are seen is not known before: with every share from 0 to 1 as probable, n of m are seen in one
    way with the probability B(n + 1, m - n + 1).
    """
    mn = steps[_within_seen(spots, steps @ spots.k_inv_a[list(seed)])]
    nodes = mn @ spots.k_inv_a[list(seed)]
    rest = np.delete(np.arange(len(spots)), seed)
    row, distance = nearest_position(spots, nodes)
    sigma = position_sigma(spots, seed, mn[row], options)[rest]
    density = np.exp(-0.5 * (distance[rest] / sigma) ** 2) / (2 * math.pi * sigma**2) / len(nodes)
    density *= (spots.k_inv_a[rest] ** 2).sum(axis=1)
    stranger = options.stranger_share / (log_range * math.pi)
    own = (1 - options.stranger_share) * density
    n_seen = len(seed) + float((own / (own + stranger)).sum())
    return (
        -len(seed) * math.log(log_range * math.pi)
        + float(np.log(own + stranger).sum())
        + float(special.betaln(n_seen + 1, max(len(nodes) - n_seen, 0.0) + 1))
    )
