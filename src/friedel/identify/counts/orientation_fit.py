"""Refinement of candidate orientations against the counts, and what every reflection says then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from scipy import special

from friedel.core.arrays import AnyArray, BoolArray, Float32Array, FloatArray, IntArray
from friedel.identify.counts.brightness import LIGHT_OF, LIGHTS, LOG_WEIGHTS, MODELS, ROUGH, expected_shares
from friedel.identify.counts.light import log_evidence
from friedel.identify.counts.maps import NO_SPOT, SHADOW, CountMaps
from friedel.identify.counts.template_bank import MAX_TILT_MRAD, TemplateBank

#: Cost, in natural logarithms, of a spot that no crystal explains: somewhere in the annulus, of any brightness. Faint
#: ones, below this share of the beam, are cheap, as many-beam scattering leaves residues anywhere on a net.
SPOT_COST, FAINT_COST, FAINT_SHARE = 7.5, 0.0, 0.0015
#: One sigma of what is left of each position when the crystal is strained as a whole: of its length, and in pixels.
PLACE_RELATIVE, PLACE_PX = 0.002, 0.15
#: One sigma of a rotation, in rad.
_TURN_SIGMA = 0.02
#: Rotations (rad) and tilts (units of the step) that are tried about each candidate.
_TURNS = np.deg2rad([-1.0, 0.0, 1.0])
_TILT_STEPS_MRAD = (12.0, 6.0, 3.0)
#: Candidates of each phase in each pattern that are refined beyond the coarsest step.
_KEPT = 5
HEXAGON = np.array([[0.0, 0.0], *([np.sin(a), np.cos(a)] for a in np.arange(6) * np.pi / 3.0)])


@dataclass(frozen=True, slots=True, eq=False)
class Reflected:
    """All reflections of many candidates, end to end (E).

    Parameters
    ----------
    candidate
        Index of the candidate that each belongs to.
    pattern
        Index of its pattern.
    g_inv_a, coupling2
        As in the bank, (E, 3) and (E,).
    axial_inv_a
        Part of each that lies along the crystal's unique axis (E, 3).
    """

    candidate: IntArray
    pattern: IntArray
    g_inv_a: FloatArray
    coupling2: Float32Array
    axial_inv_a: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """What the pattern holds where each reflection of some candidates falls (E).

    Models of brightness are far less exact than single precision, which is several times faster.

    Parameters
    ----------
    px
        Where it falls (E, 2).
    count, background
        Electrons there, or in the spot that it is.
    spot
        Index of that spot in its pattern, -1 for none.
    place
        Log density of that spot's place about the reflection's, over an even one within reach; 0 where there is none.
    clutter, otherwise
        Log likelihood ratio of a spot that no crystal explains to background alone, with its cost; and of what is there
        without the crystal, that or background.
    seen
        Whether it falls on the detector and in the annulus.
    """

    px: FloatArray
    count: Float32Array
    background: Float32Array
    spot: IntArray
    place: Float32Array
    clutter: Float32Array
    otherwise: Float32Array
    seen: BoolArray

    def at(self, entries: IntArray) -> Sight:
        """Return some of the reflections."""
        return Sight(
            self.px[entries],
            self.count[entries],
            self.background[entries],
            self.spot[entries],
            self.place[entries],
            self.clutter[entries],
            self.otherwise[entries],
            self.seen[entries],
        )

    def followed_by(self, other: Sight) -> Sight:
        """Put two lists of reflections end to end."""
        return Sight(
            np.concatenate([self.px, other.px]),
            np.concatenate([self.count, other.count]),
            np.concatenate([self.background, other.background]),
            np.concatenate([self.spot, other.spot]),
            np.concatenate([self.place, other.place]),
            np.concatenate([self.clutter, other.clutter]),
            np.concatenate([self.otherwise, other.otherwise]),
            np.concatenate([self.seen, other.seen]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Fits:
    """Refined candidates (N).

    Parameters
    ----------
    pattern, phase, template
        Where each belongs, (N,).
    rotation_rad, tilt_rad
        In-plane rotation (N,), and tilt of the crystal about (ky, kx) as gradient of the excitation error (N, 2).
    strain, strain_sigma
        Measured over computed length, minus 1 (N,), held towards 0 by its prior; error of the measurement alone.
    axial, axial_sigma
        Further strain along the unique axis (N,), likewise.
    strain_cost
        What both strains cost in log evidence (N,).
    log_evidence
        Gain in log likelihood over spots that no crystal explains, marginal over the brightness of the crystal (N,).
    reflected, sight
        Their reflections, and what is seen there.
    share
        Share of the beam that each reflection is expected to have under each of ``LIGHTS`` (E, L).
    gain
        What each reflection adds under each model of brightness (E, M).
    log_by_model
        Log evidence under each model (N, M), with its weight and without the cost of the strain.
    """

    pattern: IntArray
    phase: IntArray
    template: IntArray
    rotation_rad: FloatArray
    tilt_rad: FloatArray
    strain: FloatArray
    strain_sigma: FloatArray
    axial: FloatArray
    axial_sigma: FloatArray
    strain_cost: FloatArray
    log_evidence: FloatArray
    reflected: Reflected
    sight: Sight
    share: Float32Array
    gain: Float32Array
    log_by_model: FloatArray

    @property
    def best_gain(self) -> Float32Array:
        """What each reflection adds under its candidate's likeliest model of brightness (E,)."""
        model = self.log_by_model.argmax(axis=1)[self.reflected.candidate]
        return np.asarray(self.gain[np.arange(len(self.gain)), model])

    def free_strain(self, prior_sigma: float) -> FloatArray:
        """Strain as measured (N,), without the prior of this error that holds it towards 0."""
        return np.asarray(self.strain * (1.0 + (self.strain_sigma / prior_sigma) ** 2))

    def free_axial(self, prior_sigma: FloatArray) -> FloatArray:
        """Further strain along the unique axis as measured (N,), likewise."""
        return np.asarray(self.axial * (1.0 + (self.axial_sigma / prior_sigma) ** 2))

    def followed_by(self, other: Fits) -> Fits:
        """Put the candidates of two fits end to end."""
        one, two = self.reflected, other.reflected
        return Fits(
            np.concatenate([self.pattern, other.pattern]),
            np.concatenate([self.phase, other.phase]),
            np.concatenate([self.template, other.template]),
            np.concatenate([self.rotation_rad, other.rotation_rad]),
            np.concatenate([self.tilt_rad, other.tilt_rad]),
            np.concatenate([self.strain, other.strain]),
            np.concatenate([self.strain_sigma, other.strain_sigma]),
            np.concatenate([self.axial, other.axial]),
            np.concatenate([self.axial_sigma, other.axial_sigma]),
            np.concatenate([self.strain_cost, other.strain_cost]),
            np.concatenate([self.log_evidence, other.log_evidence]),
            Reflected(
                np.concatenate([one.candidate, two.candidate + len(self.pattern)]),
                np.concatenate([one.pattern, two.pattern]),
                np.concatenate([one.g_inv_a, two.g_inv_a]),
                np.concatenate([one.coupling2, two.coupling2]),
                np.concatenate([one.axial_inv_a, two.axial_inv_a]),
            ),
            self.sight.followed_by(other.sight),
            np.concatenate([self.share, other.share]),
            np.concatenate([self.gain, other.gain]),
            np.concatenate([self.log_by_model, other.log_by_model]),
        )


def log_clutter(count: AnyArray, background: AnyArray, total: AnyArray) -> AnyArray:
    """Log likelihood ratio of "a spot that no crystal explains" to "background alone", less what such a spot costs."""
    excess = np.maximum(count - background, 0.5)
    share = excess / np.maximum(total, 1.0)
    cost = FAINT_COST + (SPOT_COST - FAINT_COST) / (1.0 + (FAINT_SHARE / share) ** 2)
    return np.asarray(log_evidence(count, background, excess, 1.0) - cost)


def fit_candidates(
    maps: CountMaps, bank: TemplateBank, pattern: IntArray, template: IntArray, rotation_rad: FloatArray,
    tilt_rad: FloatArray | None = None, *, strain_sigma: float,
) -> Fits:  # fmt: skip
    """Refine rotation, tilt and strain of candidates (N) on the counts, and gather their evidence.

    After the coarsest step the best few of each phase in each pattern go on. ``strain_sigma`` is the prior one-sigma
    error of the lattice of a crystal against its file, all lengths together; the bank knows that of its unique axis.
    """
    tilt = np.zeros((len(pattern), 2)) if tilt_rad is None else tilt_rad.copy()
    reflected = _reflections_of(bank, pattern, template)
    rotation = _best_turn(maps, bank, reflected, rotation_rad, tilt)
    coarsest, *finer = _TILT_STEPS_MRAD
    sigmas = np.stack([np.full(len(template), strain_sigma), bank.axial_sigma[bank.phase[template]]], axis=1)
    rotation, *_, sight = _registered(maps, reflected, rotation, sigmas)
    tilt, value = _best_tilt(maps, bank, reflected, sight, tilt, 1e-3 * coarsest)
    kept = _best_few(pattern, bank.phase[template], value + bank.log_prior[template])
    pattern, template, rotation, tilt, sigmas = pattern[kept], template[kept], rotation[kept], tilt[kept], sigmas[kept]
    reflected = _reflections_of(bank, pattern, template)
    for step_mrad in finer:
        rotation, strains, errors, cost, sight = _registered(maps, reflected, rotation, sigmas)
        tilt, _ = _best_tilt(maps, bank, reflected, sight, tilt, 1e-3 * step_mrad)
    by_model, share, gain = _evaluate(maps, bank, reflected, sight, tilt)
    value = np.asarray(special.logsumexp(by_model, axis=1)) - cost
    return Fits(
        pattern, bank.phase[template], template, rotation, tilt, strains[:, 0], errors[:, 0],
        strains[:, 1], errors[:, 1], cost, value, reflected, sight, share, gain, by_model,
    )  # fmt: skip


def _best_few(pattern: IntArray, phase: IntArray, value: FloatArray) -> IntArray:
    """Index, in order, of the candidates (N) that are among the best ``_KEPT`` of their phase in their pattern."""
    order = np.lexsort((-value, phase, pattern))
    first = np.flatnonzero(np.append(True, np.diff(pattern[order]) | np.diff(phase[order])))[: len(order)]
    rank = np.arange(len(order)) - np.repeat(first, np.diff(np.append(first, len(order))))
    return np.asarray(np.sort(order[rank < _KEPT]))


def _best_turn(
    maps: CountMaps, bank: TemplateBank, reflected: Reflected, rotation_rad: FloatArray, tilt: FloatArray
) -> FloatArray:
    best, out = np.full(len(tilt), -np.inf), rotation_rad
    expected = _roughly_expected(maps, reflected, excitation(reflected, tilt, bank.curvature_a), len(tilt))
    for turn in _TURNS:
        sight = look(maps, reflected, rotation_rad + turn, np.zeros_like(tilt))
        value = _rough_evidence(reflected, sight, expected, len(tilt))
        better = value > best
        best, out = np.where(better, value, best), np.where(better, rotation_rad + turn, out)
    return out


def _registered(
    maps: CountMaps, reflected: Reflected, rotation: FloatArray, sigmas: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, Sight]:
    """Rotation (N,), strains and their errors (N, 2), cost of both (N,) as spots have them, and what is seen."""
    px, _, spot, _ = _falling(maps, reflected, rotation, np.zeros((len(rotation), 2)))
    turn, strains, errors = _register(maps, reflected, px, spot, rotation, sigmas)
    # That along the axis is free for some zones alone, and costs what narrowing it down does.
    cost = 0.5 * ((strains / sigmas) ** 2).sum(axis=1) + 0.5 * np.log1p((sigmas[:, 1] / errors[:, 1]) ** 2)
    return rotation + turn, strains, errors, cost, look(maps, reflected, rotation + turn, strains)


def look(maps: CountMaps, reflected: Reflected, rotation_rad: FloatArray, strains: FloatArray) -> Sight:
    """See what the patterns hold where reflections of candidates (N) fall, turned and strained.

    Strains (N, 2) are of all lengths together, and further along the unique axis.
    """
    px, at, spot, seen = _falling(maps, reflected, rotation_rad, strains)
    there = np.flatnonzero(spot >= 0)
    pattern, place = reflected.pattern[there], spot[there]
    count, beneath = maps.disk.reshape(-1)[at], maps.background.reshape(-1)[at]
    count[there], beneath[there] = maps.spot_count[pattern, place], maps.spot_background[pattern, place]
    off_px2 = ((px[there] - maps.spot_px[pattern, place]) ** 2).sum(axis=1)
    variance = place_variance(maps, pattern, reflected.g_inv_a[there], place)
    density = np.zeros(len(px), dtype=np.float32)
    density[there] = np.log(maps.reach_px**2 / (2.0 * variance)) - 0.5 * off_px2 / variance
    clutter = log_clutter(count, beneath, _electrons(maps, reflected))
    otherwise = log_sum(np.zeros_like(clutter), clutter)
    return Sight(px, count, beneath, spot, density, clutter, otherwise, seen & (spot != SHADOW))


def _electrons(maps: CountMaps, reflected: Reflected) -> Float32Array:
    """Electrons of the pattern of each reflection (E,)."""
    return maps.total.astype(np.float32)[reflected.pattern]


def _falling(
    maps: CountMaps, reflected: Reflected, rotation_rad: FloatArray, strains: FloatArray
) -> tuple[FloatArray, IntArray, IntArray, BoolArray]:
    """Where reflections fall (E, 2), that pixel among those of all patterns, the spot that is there, if it is seen."""
    candidate, g, along = reflected.candidate, reflected.g_inv_a, reflected.axial_inv_a
    axial = strains[:, 1][candidate]
    ky, kx = g[:, 0] + axial * along[:, 0], g[:, 1] + axial * along[:, 1]
    cos, sin = np.cos(rotation_rad), np.sin(rotation_rad)
    turn = (1.0 + strains[:, 0]) * np.array([[cos, sin], [-sin, cos]])
    to_px = (maps.grid.px_of(np.eye(2)) - np.asarray(maps.grid.centre_px)).T
    (yy, yx), (xy, xx) = np.einsum("ij,jkn->ikn", to_px, turn)[..., candidate]
    beam_y, beam_x = maps.beam_px.T[:, reflected.pattern]
    px = np.stack([yy * ky + yx * kx + beam_y, xy * ky + xx * kx + beam_x], axis=1)
    height, width = maps.seen.shape
    row, column = np.rint(px).astype(np.int64).T
    inside = (row >= 0) & (column >= 0) & (row < height) & (column < width)
    pixel = np.where(inside, row * width + column, 0)
    seen = inside & maps.seen.reshape(-1)[pixel]
    at = reflected.pattern * (height * width) + pixel
    spot = np.where(seen, maps.spot.reshape(-1)[at], NO_SPOT).astype(np.int64)
    return px, at, spot, seen


def place_variance(maps: CountMaps, pattern: IntArray, g_inv_a: FloatArray, spot: IntArray) -> FloatArray:
    """Variance along one axis, in px², of a spot's place about its reflection's (E,)."""
    radius_px = np.hypot(g_inv_a[:, 0], g_inv_a[:, 1]) / min(maps.grid.step_inv_a)
    return np.asarray(maps.spot_sigma_px[pattern, spot] ** 2 + PLACE_PX**2 + (PLACE_RELATIVE * radius_px) ** 2)


def excitation(reflected: Reflected, tilt_rad: FloatArray, curvature_a: float) -> Float32Array:
    """Excitation error of each reflection after a small tilt, in 1/Å."""
    (ky, kx, along), (tilt_y, tilt_x) = reflected.g_inv_a.T, tilt_rad[reflected.candidate].T
    s = along + (tilt_y * ky + tilt_x * kx) + curvature_a * (ky**2 + kx**2 + along**2)
    return np.asarray(-s, dtype=np.float32)


def gains(sight: Sight, expected: Float32Array, shape: float) -> Float32Array:
    """Log likelihood that reflections expected to hold so many electrons add (E,).

    Light there may be of the crystal, or of something else; without the crystal it is background, or of something
    else. Where there is none it speaks against the crystal.
    """
    here = log_evidence(sight.count, sight.background, expected, shape) + sight.place
    return np.where(sight.seen, log_sum(here, sight.clutter) - sight.otherwise, np.float32(0.0))


def log_sum(one: AnyArray, two: AnyArray) -> AnyArray:
    """Logarithm of exp(one) + exp(two), several times faster than numpy's."""
    return np.asarray(np.maximum(one, two) + np.log1p(np.exp(-np.abs(one - two))))


def _evaluate(
    maps: CountMaps, bank: TemplateBank, reflected: Reflected, sight: Sight, tilt: FloatArray
) -> tuple[FloatArray, Float32Array, Float32Array]:
    """Log evidence of each candidate under each model (N, M); share (E, L) and gain (E, M) of each reflection."""
    n, candidate = len(tilt), reflected.candidate
    s = excitation(reflected, tilt, bank.curvature_a)
    total = _electrons(maps, reflected)
    shares = [expected_shares(s, reflected.coupling2, candidate, n, light) for light in LIGHTS]
    gain = [gains(sight, total * shares[light], model.shape) for model, light in zip(MODELS, LIGHT_OF, strict=True)]
    by_model = np.stack([np.bincount(candidate, column, minlength=n) for column in gain], axis=1)
    return by_model + LOG_WEIGHTS, np.stack(shares, axis=1), np.stack(gain, axis=1)


def _roughly_expected(maps: CountMaps, reflected: Reflected, s_inv_a: Float32Array, n: int) -> list[Float32Array]:
    """Electrons in each reflection (E,) of n candidates under each of the few models that are enough to refine them."""
    total = _electrons(maps, reflected)
    return [total * expected_shares(s_inv_a, reflected.coupling2, reflected.candidate, n, MODELS[m]) for m in ROUGH]


def _rough_evidence(reflected: Reflected, sight: Sight, expected: Sequence[Float32Array], n: int) -> FloatArray:
    """Log evidence of each of n candidates, averaged over these models."""
    return reduce(
        log_sum,
        [
            np.bincount(reflected.candidate, gains(sight, electrons, MODELS[m].shape), minlength=n) + LOG_WEIGHTS[m]
            for m, electrons in zip(ROUGH, expected, strict=True)
        ],
    )


def _best_tilt(
    maps: CountMaps, bank: TemplateBank, reflected: Reflected, sight: Sight, tilt: FloatArray, step_rad: float
) -> tuple[FloatArray, FloatArray]:
    """Tilt (N, 2) among the present one and six about it with the highest log posterior, and that (N,)."""
    best, out = np.full(len(tilt), -np.inf), tilt
    s = excitation(reflected, tilt, bank.curvature_a)
    ky, kx = np.ascontiguousarray(reflected.g_inv_a[:, :2].T, dtype=np.float32)
    for dy, dx in (step_rad * HEXAGON).tolist():
        tried = tilt + np.array([dy, dx])
        expected = _roughly_expected(maps, reflected, s - (dy * ky + dx * kx), len(tilt))
        value = _rough_evidence(reflected, sight, expected, len(tilt))
        value = value - 0.5 * ((tried / (0.5e-3 * MAX_TILT_MRAD)) ** 2).sum(axis=1)
        better = value > best
        best, out = np.where(better, value, best), np.where(better[:, None], tried, out)
    return out, best


def _register(
    maps: CountMaps, reflected: Reflected, px: FloatArray, spot: IntArray, rotation_rad: FloatArray, sigmas: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Least-squares rotation (N,), at most a degree, and strains (N, 2) that bring reflections onto their spots.

    Strains, of all lengths together and further along the unique axis, are held towards 0 by priors of these
    errors (N, 2); errors of their measurement alone are returned as well (N, 2).
    """
    matched, n = np.flatnonzero(spot >= 0), len(rotation_rad)
    pattern, candidate, spot = reflected.pattern[matched], reflected.candidate[matched], spot[matched]
    model = px[matched] - maps.beam_px[pattern]
    off = maps.spot_px[pattern, spot] - maps.beam_px[pattern] - model
    axial = _turned(reflected.axial_inv_a[matched, :2], rotation_rad[candidate])
    axial = maps.grid.px_of(axial) - np.asarray(maps.grid.centre_px)
    turned = np.stack([model[:, 1], -model[:, 0]], axis=1)
    slopes = np.stack([turned, model, axial], axis=1)
    weighed = slopes / place_variance(maps, pattern, reflected.g_inv_a[matched], spot)[:, None, None]
    normal = np.zeros((n, 3, 3))
    right = np.stack([np.bincount(candidate, column, n) for column in (weighed * off[:, None]).sum(axis=2).T], axis=1)
    for i, j in zip(*np.triu_indices(3), strict=True):
        normal[:, i, j] = normal[:, j, i] = np.bincount(candidate, (weighed[:, i] * slopes[:, j]).sum(axis=1), n)
    normal[:, range(3), range(3)] += np.insert(sigmas, 0, _TURN_SIGMA, axis=1) ** -2.0
    covariance = np.linalg.inv(normal)
    found = np.einsum("nij,nj->ni", covariance, right)
    # What the spots say of each strain alone: all that is known of it, less its prior.
    known = 1.0 / covariance[:, (1, 2), (1, 2)] - sigmas**-2.0
    return np.clip(found[:, 0], -0.02, 0.02), found[:, 1:], np.asarray(np.maximum(known, 1e-12) ** -0.5)


def _turned(k_inv_a: FloatArray, angle_rad: FloatArray) -> FloatArray:
    """Turn (ky, kx) (E, 2) by angles (E,)."""
    (ky, kx), cos, sin = k_inv_a.T, np.cos(angle_rad), np.sin(angle_rad)
    return np.stack([cos * ky + sin * kx, cos * kx - sin * ky], axis=1)


def _reflections_of(bank: TemplateBank, pattern: IntArray, template: IntArray) -> Reflected:
    counts = (bank.coupling2 > 0).sum(axis=1)[template]
    candidate = np.repeat(np.arange(len(template)), counts)
    place = np.arange(len(candidate)) - np.repeat(np.cumsum(counts) - counts, counts)
    which = template[candidate]
    g, axis = bank.g_inv_a[which, place], bank.axis[which]
    axial = (g * axis).sum(axis=1)[:, None] * axis
    coupling2 = bank.coupling2[which, place].astype(np.float32)
    return Reflected(candidate, pattern[candidate], g, coupling2, axial)
