"""How well does a phase explain the spots of one grain: distances, angles, zone, and what is not seen."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from friedel.core.arrays import FloatArray, IntArray
from friedel.identify.phase_model import CUBIC_STEP, LEAST_SINE, PhaseModel, in_plane, pair_weight, zone_of

#: What double diffraction lends a reflection that vanishes, relative to the strongest of its phase.
TWICE_F2 = 0.02
#: Brightest spots of a grain that are tried as the two that set its orientation.
MAX_SEEDS = 4
#: Residuals up to this many sigmas are taken for errors of measurement.
REACH = 3.5
#: Hypotheses this far (natural logarithm) below the best of a grain are dropped.
NEGLIGIBLE = 12.0

LogGain = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True, slots=True)
class EvidenceOptions:
    """What is assumed of grains and spots.

    Parameters
    ----------
    lattice_tolerance
        Relative one-sigma difference between a grain's lattice and the reference, common to all of its spots.
    shear_tolerance
        Relative one-sigma error of single spots beyond that of their measurement: shear, and the pull of the
        transfer function's slope.
    stranger_share
        Share of the spots of a group that belong to another grain.
    log_scatter
        One-sigma scatter of the natural logarithm of the power of spots about the kinematic one: tilt, thickness,
        dynamical diffraction.
    hidden_share
        Share of reflections that a grain does not show for reasons beyond that scatter.
    """

    lattice_tolerance: float = 0.003
    shear_tolerance: float = 0.002
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
    handedness, and set the plane and the rotation; every other spot must be a reflection of that plane. All spots of
    a grain share the error of its lattice, and the azimuth of the grain is averaged out, both in closed form.
    """
    found = list(_lone(spots, model, log_range, reach, options))
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
    of any crystal do; or the crystal is cubic (``cubic_models``) with a free lattice parameter.
    """
    n = len(spots)
    powers = _log_powers(spots.log_snr, options)
    free = -n * math.log(log_range * math.pi) + powers
    if n == 1:
        return free
    seeds = list(seed_pairs(spots))
    lattices = [_log_lattice(spots, seed, log_range, options) for seed in seeds] if n > 2 else []
    lattice = float(special.logsumexp(lattices)) - math.log(len(lattices)) + powers if lattices else free
    ways = [w for m in cubic for w in hypotheses(spots, m, log_range, 0.5 * CUBIC_STEP, log_gain, options)]
    inside = [w.log_integral for w in ways if abs(w.centre) <= 0.5 * CUBIC_STEP]
    symmetric = special.logsumexp(inside) - math.log(len(cubic) * CUBIC_STEP) if inside else -np.inf
    return float(special.logsumexp([free, lattice, symmetric])) - math.log(3)


def seed_pairs(spots: GrainSpots, rows: IntArray | None = None) -> Iterator[tuple[int, int]]:
    """Pairs of bright spots (of these rows) that are not nearly parallel, brightest first."""
    rows = np.arange(len(spots)) if rows is None else rows
    bright = rows[np.argsort(-spots.log_snr[rows], kind="stable")][:MAX_SEEDS]
    for a, b in itertools.combinations(bright.tolist(), 2):
        u, v = spots.k_inv_a[a], spots.k_inv_a[b]
        if abs(u[0] * v[1] - u[1] * v[0]) > LEAST_SINE * np.hypot(*u) * np.hypot(*v):
            yield a, b


def _lone(spots: GrainSpots, model: PhaseModel, log_range: float, reach: float,
          options: EvidenceOptions) -> Iterator[Hypothesis]:  # fmt: skip
    """One spot is of the phase, all others are strangers."""
    n = len(spots)
    stranger = math.log(options.stranger_share / (log_range * math.pi))
    log_free = (n - 1) * stranger - math.log(n) + _log_powers(spots.log_snr, options)
    for i in range(n):
        variance = float(spots.radial_sigma[i]) ** 2 + options.lattice_tolerance**2 + options.shear_tolerance**2
        off = spots.log_d[i] + np.log(model.radius_inv_a[model.first])
        for f in np.flatnonzero((np.abs(off) < reach + REACH * math.sqrt(variance)) & (model.first_share > 0)):
            rows = np.full(n, -1, dtype=np.int64)
            rows[i] = model.first[f]
            log_weight = math.log(model.first_share[f]) - 0.5 * math.log(2 * math.pi * variance) - math.log(math.pi)
            yield Hypothesis(rows, log_weight + log_free, 1 / variance, float(off[f]))


def _pairs(spots: GrainSpots, seed: tuple[int, int], model: PhaseModel, log_range: float, reach: float,
           log_gain: LogGain, options: EvidenceOptions) -> Iterator[Hypothesis]:  # fmt: skip
    """Two spots set plane and rotation; the others follow or are strangers."""
    a, b = seed
    log_g = np.log(model.radius_inv_a)
    off_a, off_b = spots.log_d[a] + log_g[model.first], spots.log_d[b] + log_g
    radial = np.hypot(np.hypot(*spots.radial_sigma[[a, b]]), math.sqrt(2) * options.shear_tolerance)
    turn = np.hypot(np.hypot(*spots.azimuth_sigma[[a, b]]), math.sqrt(2) * options.shear_tolerance)
    azimuth = np.arctan2(spots.k_inv_a[:, 0], spots.k_inv_a[:, 1])
    apart = (azimuth[b] - azimuth[a] + 0.5 * np.pi) % np.pi - 0.5 * np.pi
    for f in np.flatnonzero(np.abs(off_a) < reach + REACH * (radial + options.lattice_tolerance)):
        i = int(model.first[f])
        if model.visible[i] == 0:
            continue
        near = np.flatnonzero((np.abs(off_b - off_a[f]) < REACH * radial) & (model.visible > 0))
        cosine = np.abs(model.g_inv_a[near] @ model.g_inv_a[i] * np.exp(-log_g[near] - log_g[i]))
        fits = np.abs(np.arccos(np.minimum(cosine, 1.0)) - abs(apart)) < REACH * turn
        weight = model.family_size[f] * pair_weight(model.g_inv_a, model.visible, i)[near] / model.pair_total
        fits &= weight > 0
        for j, share in _by_symmetry(near[fits], cosine[fits], weight[fits], model):
            yield _plane(spots, seed, (i, j), math.log(share), model, log_range, log_gain, options)


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
    predicted = laid_on(spots, seed, pair, model)[plane]
    both = np.concatenate([predicted, -predicted])
    distance = np.linalg.norm(spots.k_inv_a[:, None] - both, axis=2)
    nearest = distance.argmin(axis=1)
    length = np.hypot(*spots.k_inv_a.T)
    sigma = length * np.hypot(np.maximum(spots.radial_sigma, spots.azimuth_sigma), options.shear_tolerance)
    # The error of the seeds, and of their plane, adds to that of the spot.
    is_own = distance[np.arange(len(spots)), nearest] < REACH * math.sqrt(2) * sigma
    index = np.where(is_own, nearest % len(plane), -1)
    for spot, row in zip(seed, pair, strict=True):
        index[spot] = int(np.flatnonzero(plane == row)[0])
    rows = np.where(index >= 0, plane[index], -1)
    strength = np.where(vanishes, TWICE_F2, np.maximum(model.relative_f2[plane], TWICE_F2))
    own = np.flatnonzero(index >= 0)
    chosen = strength**0.25
    extra = [i for i in own if i not in seed]
    log_weight = log_share - math.log(2)  # either handedness
    log_weight += float(np.log((1 - options.stranger_share) * chosen[index[extra]] / chosen.sum()).sum())
    log_weight += (len(spots) - len(own)) * math.log(options.stranger_share / (log_range * math.pi))
    log_weight += _log_azimuths(spots, own, both[np.where(index >= 0, nearest, 0)], options)
    log_weight += _log_intensities(spots, own, index, np.log(strength), predicted, log_gain, options)
    return _with_lengths(spots, rows, own, model, log_weight, options)


def laid_on(spots: GrainSpots, seed: tuple[int, int], pair: tuple[int, int], model: PhaseModel) -> FloatArray:
    """Positions (M, 2) of all reflections, projected into the plane of two and laid onto two spots."""
    g1, g2 = model.g_inv_a[list(pair)]
    k1, k2 = spots.k_inv_a[list(seed)]
    if (g1 @ g2) * (k1 @ k2) < 0:
        g2 = -g2
    along = g1 / np.linalg.norm(g1)
    across = g2 - (g2 @ along) * along
    across /= np.linalg.norm(across)
    flat = np.stack([model.g_inv_a @ along, model.g_inv_a @ across], axis=1)
    to_x = k1 / np.hypot(*k1)
    to_y = np.array([-to_x[1], to_x[0]])
    to_y *= np.sign(k2 @ to_y)
    laid = flat @ np.stack([to_x, to_y])
    seen = laid[list(pair)] * np.sign((laid[list(pair)] * spots.k_inv_a[list(seed)]).sum(axis=1))[:, None]
    scale = np.exp(np.mean(np.log(np.hypot(*spots.k_inv_a[list(seed)].T) / np.hypot(*seen.T))))
    turn = np.mean([math.remainder(_azimuth(k) - _azimuth(p), 2 * math.pi) for k, p in
                    zip(spots.k_inv_a[list(seed)], seen, strict=True)])  # fmt: skip
    c, s = math.cos(turn), math.sin(turn)
    return np.asarray(scale * laid @ np.array([[c, -s], [s, c]]))


def _azimuth(k: FloatArray) -> float:
    return math.atan2(k[0], k[1])


def _log_azimuths(spots: GrainSpots, own: IntArray, predicted: FloatArray, options: EvidenceOptions) -> float:
    """Log density of the azimuths of spots, the grain's own averaged out evenly over half a turn."""
    k, p = spots.k_inv_a[own], predicted[own]
    off = np.arctan2(k[:, 0], k[:, 1]) - np.arctan2(p[:, 0], p[:, 1])
    off = (off + 0.5 * np.pi) % np.pi - 0.5 * np.pi
    weight = 1 / (spots.azimuth_sigma[own] ** 2 + options.shear_tolerance**2)
    total = float(weight.sum())
    chi2 = float((weight * off**2).sum()) - float(weight @ off) ** 2 / total
    log_norm = 0.5 * float(np.log(weight / (2 * np.pi)).sum()) + 0.5 * math.log(2 * np.pi / total)
    return log_norm - 0.5 * chi2 - math.log(math.pi)


def _with_lengths(spots: GrainSpots, rows: IntArray, own: IntArray, model: PhaseModel, log_weight: float,
                  options: EvidenceOptions) -> Hypothesis:  # fmt: skip
    """Add the density of the spacings, all under one error of scale and one of the grain's lattice."""
    off = spots.log_d[own] + np.log(model.radius_inv_a[rows[own]])
    weight = 1 / (spots.radial_sigma[own] ** 2 + options.shear_tolerance**2)
    total = float(weight.sum())
    centre = float(weight @ off) / total
    chi2 = float((weight * (off - centre) ** 2).sum())
    curvature = 1 / (1 / total + options.lattice_tolerance**2)
    log_norm = 0.5 * (float(np.log(weight / (2 * np.pi)).sum()) + math.log(curvature / total))
    return Hypothesis(rows, log_weight + log_norm - 0.5 * chi2, curvature, centre)


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


def _log_lattice(spots: GrainSpots, seed: tuple[int, int], log_range: float, options: EvidenceOptions) -> float:
    """Log density of spots on the lattice of two of them, up to three steps of each, or strangers.

    Which of the nodes are seen is not known before: with every share from 0 to 1 as probable, n of m are seen in one
    way with the probability B(n + 1, m - n + 1).
    """
    steps = np.arange(-3, 4)
    mn = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
    nodes = mn[(mn[:, 0] > 0) | ((mn[:, 0] == 0) & (mn[:, 1] > 0))] @ spots.k_inv_a[list(seed)]
    nodes = nodes[_within_seen(spots, nodes)]
    rest = np.delete(np.arange(len(spots)), seed)
    k = spots.k_inv_a[rest]
    length = np.hypot(*k.T)
    radial = np.hypot(spots.radial_sigma[rest], options.shear_tolerance)
    turn = np.hypot(spots.azimuth_sigma[rest], options.shear_tolerance)
    sigma = length * np.sqrt(radial * turn) * math.sqrt(2)
    chi2 = (np.linalg.norm(k[:, None] - np.concatenate([nodes, -nodes]), axis=2).min(axis=1) / sigma) ** 2
    density = np.exp(-0.5 * chi2) * length**2 / (2 * math.pi * sigma**2) / len(nodes)
    stranger = options.stranger_share / (log_range * math.pi)
    own = (1 - options.stranger_share) * density
    n_seen = 2 + float((own / (own + stranger)).sum())
    return (
        -2 * math.log(log_range * math.pi)
        + float(np.log(own + stranger).sum())
        + float(special.betaln(n_seen + 1, max(len(nodes) - n_seen, 0.0) + 1))
    )
