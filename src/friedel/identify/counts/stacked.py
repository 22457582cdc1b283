"""Two crystals along the beam: how well a pair of orientations explains a pattern together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from friedel.core.arrays import AnyArray, BoolArray, FloatArray, IntArray
from friedel.crystal import Crystal
from friedel.identify.counts.brightness import LIGHT_OF, LIGHTS, LOG_WEIGHTS, MODELS, expected_shares
from friedel.identify.counts.hypotheses import LOG_FLOOR, PairFit
from friedel.identify.counts.maps import CountMaps
from friedel.identify.counts.orientation_fit import Fits, Sight, excitation, gains, place_variance
from friedel.identify.counts.template_bank import TemplateBank

#: Pairs of models that two crystals under one beam may follow: of one kind and with one spread of intensities.
_ALIKE = [
    (i, j)
    for i, one in enumerate(MODELS)
    for j, two in enumerate(MODELS)
    if one.kind == two.kind and one.shape == two.shape
]
_LOG_NORM = float(special.logsumexp([LOG_WEIGHTS[i] + LOG_WEIGHTS[j] for i, j in _ALIKE]))
#: Reflections of two crystals this near each other, in standard deviations of a spot, fall onto one spot.
_SAME_SPOT_SIGMAS = 1.5
#: Two crystals whose axes are this near to parallel are taken as grown on one another.
_ALIGNED_RAD = np.deg2rad(3.5)
#: Error of the logarithm of a ratio of intensities that the models do not show.
_MODEL_ERROR = 0.1
#: Reflections brighter than this share of the brightest are looked for; those up to so many times the smallest of
#: their radii are the innermost.
_BRIGHT, _INNERMOST = 0.1, 1.25


@dataclass(frozen=True, slots=True, eq=False)
class _Pairs:
    """Reflections of pairs of candidates, where those of both that fall onto one spot are one entry (E).

    Parameters
    ----------
    first, second
        Index of the reflection of each among all (E,), -1 where the entry has none of it.
    pair
        To which pair the entry belongs.
    sight
        What is seen there.
    total
        Electrons of the pattern of each pair (n,).
    """

    first: IntArray
    second: IntArray
    pair: IntArray
    sight: Sight
    total: FloatArray


def weigh_pairs(maps: CountMaps, fits: Fits, first: IntArray, second: IntArray) -> PairFit:
    """Weigh pairs of refined candidates of one pattern each (Q,), at no cost of their orientations.

    Where a reflection of one falls onto one of the other their expected light adds, so that no electron speaks twice.
    The brightness of each crystal is averaged out over the same models as for one alone.
    """
    pairs, n = _lay_together(maps, fits, first, second), len(first)
    entries, only = (pairs.first, pairs.second), (pairs.second < 0, pairs.first < 0)
    shares = [np.where(entries[k] < 0, np.float32(0.0), fits.share[entries[k]].T) for k in (0, 1)]
    # What only one of the two lights up adds the same under every model of the other.
    alone = [_gains_alone(fits, entries[k][only[k]], pairs.pair[only[k]], n) for k in (0, 1)]
    both = np.flatnonzero(~only[0] & ~only[1])
    pair, sight, (lit, other_lit) = pairs.pair[both], pairs.sight.at(both), shares
    total = pairs.total.astype(np.float32)[pair]
    values = []
    for i, j in _ALIKE:
        expected = total * (lit[LIGHT_OF[i], both] + other_lit[LIGHT_OF[j], both])
        shared = np.bincount(pair, gains(sight, expected, MODELS[i].shape), minlength=n)
        values.append(alone[0][i] + alone[1][j] + shared + LOG_WEIGHTS[i] + LOG_WEIGHTS[j] - _LOG_NORM)
    cost = fits.strain_cost[first] + fits.strain_cost[second]
    likeliest = np.asarray([(LIGHT_OF[i], LIGHT_OF[j]) for i, j in _ALIKE])[np.argmax(values, axis=0)][pairs.pair]
    entry = np.arange(len(pairs.pair))
    own = [_own_light(pairs, only[k], shares[k][likeliest[:, k], entry], n) for k in (0, 1)]
    weaker = np.where(own[0][0] <= own[1][0], 0, 1)
    share, light, expected = (np.where(weaker == 0, one, two) for one, two in zip(*own, strict=True))
    value = np.asarray(special.logsumexp(values, axis=0)) - cost
    of_shared = [_shared_light(pairs, only[k], shares[k]) for k in (0, 1)]
    ratio, surprise = (np.where(weaker == 0, two, one) for one, two in zip(*of_shared, strict=True))
    return PairFit(first, second, value, np.zeros(n, dtype=bool), share, light, expected, ratio, surprise)


def _gains_alone(fits: Fits, entries: IntArray, pair: IntArray, n: int) -> FloatArray:
    """What reflections (K,) add to the pairs (n) that they belong to, under each model (M, n)."""
    return np.stack([np.bincount(pair, column, minlength=n) for column in fits.gain[entries].T])


def _shared_light(pairs: _Pairs, own: BoolArray, expected: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Compare the reflections that a crystal shares with the other to those that only it has.

    Parameters
    ----------
    own
        Which entries only it has (E,).
    expected
        Its own share of the beam in every entry under each of ``LIGHTS`` (L, E).

    Returns
    -------
    Decimal logarithm of the ratio (n,), and by how many standard deviations of the models that is above their mean.
    """
    sight = pairs.sight
    parts = [part & sight.seen for part in ((pairs.first >= 0) & (pairs.second >= 0), own)]
    return _compare_parts(sight, pairs.pair, parts, expected, np.maximum(pairs.total, 1.0))


def _compare_parts(
    sight: Sight, which: IntArray, parts: Sequence[BoolArray], expected: FloatArray, total: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """``compare_light`` of two parts of the entries (E,), which belong to groups ``which`` (E,)."""
    lit = [_sum_of(which, part, sight.count - sight.background, total) / total for part in parts]
    counts = [_sum_of(which, part, sight.count, total) for part in parts]
    alone = [np.stack([_sum_of(which, part, one, total) for one in expected]) for part in parts]
    return compare_light(lit, counts, alone, total)


def _sum_of(which: IntArray, part: BoolArray, values: AnyArray, total: FloatArray) -> FloatArray:
    return np.bincount(which, np.where(part, values, 0.0), minlength=len(total)).astype(np.float64)


def compare_light(
    lit: Sequence[FloatArray], counts: Sequence[FloatArray], expected: Sequence[FloatArray], total: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Decimal logarithm of the ratio of two measured shares of the beam (n,), and its distance from that of models.

    Parameters
    ----------
    lit, counts
        The two shares, and the electrons counted there, background and all.
    expected
        Both under every model (L, n).
    """
    one, two = (np.maximum(share, 0.0) + LOG_FLOOR for share in lit)
    ratio = np.log10(one / two)
    models = np.log10((expected[0] + LOG_FLOOR) / (expected[1] + LOG_FLOOR))
    chance = (np.sqrt(counts[0] + 1.0) / total / one) ** 2 + (np.sqrt(counts[1] + 1.0) / total / two) ** 2
    sigma = np.sqrt(models.var(axis=0) + _MODEL_ERROR**2 + chance / np.log(10.0) ** 2)
    return ratio, (ratio - models.mean(axis=0)) / sigma


def inner_surprise(maps: CountMaps, bank: TemplateBank, fits: Fits, chosen: IntArray) -> FloatArray:
    """Tell by how much the innermost reflections of some candidates (C,) are too bright for the outer ones (C,).

    Light of a crystal falls off with the radius; a crystal that merely shares the outer reflections of another lacks
    its inner ones, and the other way round. In standard deviations of the models of brightness and the counts.
    """
    n = len(chosen)
    place = np.full(len(fits.pattern), -1)
    place[chosen] = np.arange(n)
    mine = np.flatnonzero((place[fits.reflected.candidate] >= 0) & fits.sight.seen)
    which = place[fits.reflected.candidate[mine]]
    s = excitation(fits.reflected, fits.tilt_rad, bank.curvature_a)[mine]
    expected = np.stack([expected_shares(s, fits.reflected.coupling2[mine], which, n, light) for light in LIGHTS])
    typical = expected.mean(axis=0)
    brightest = np.zeros(n)
    np.maximum.at(brightest, which, typical)
    radius = np.hypot(fits.reflected.g_inv_a[mine, 0], fits.reflected.g_inv_a[mine, 1])
    smallest = np.full(n, np.inf)
    np.minimum.at(smallest, which, np.where(typical > _BRIGHT * brightest[which], radius, np.inf))
    inner = radius <= _INNERMOST * smallest[which]
    sight, total = fits.sight.at(mine), np.maximum(maps.total[fits.pattern[chosen]], 1.0)
    return _compare_parts(sight, which, [inner, ~inner], expected, total)[1]


def _own_light(pairs: _Pairs, own: BoolArray, expected: FloatArray, n: int) -> tuple[FloatArray, ...]:
    """Of the entries that are one crystal's alone: share of the beam, that over its error, and share expected (n,)."""
    sight = pairs.sight
    counted = own & sight.seen
    light = np.bincount(pairs.pair, np.where(counted, sight.count - sight.background, 0.0), minlength=n)
    noise = np.sqrt(np.bincount(pairs.pair, np.where(counted, sight.count, 0.0), minlength=n) + 1.0)
    total = np.maximum(pairs.total, 1.0)
    there = np.bincount(pairs.pair, np.where(counted, expected, 0.0), minlength=n).astype(np.float64)
    return light / total, light / noise, there


def _lay_together(maps: CountMaps, fits: Fits, first: IntArray, second: IntArray) -> _Pairs:
    offsets = np.searchsorted(fits.reflected.candidate, np.arange(len(fits.pattern) + 1))
    a, pair_a = _entries_of(offsets, first)
    b, pair_b = _entries_of(offsets, second)
    partner = _partners(fits.sight, a, pair_a, b, pair_b, len(first), _SAME_SPOT_SIGMAS * maps.sigma_px)
    alone = partner < 0
    entries, pair = np.concatenate([a, b[alone]]), np.concatenate([pair_a, pair_b[alone]])
    with_a = np.full(len(a), -1)
    with_a[partner[~alone]] = b[~alone]
    one = np.append(a, np.full(int(alone.sum()), -1))
    other = np.append(with_a, b[alone])
    # Where only the second reaches the spot, the entry is what the second sees.
    spot = fits.sight.spot
    shared = np.flatnonzero((one >= 0) & (other >= 0))
    farther = shared[(spot[one[shared]] < 0) & (spot[other[shared]] >= 0)]
    entries[farther] = other[farther]
    sight = fits.sight.at(entries)
    shared = shared[sight.spot[shared] >= 0]
    sight.place[shared] = _place_between(maps, fits, one[shared], other[shared], sight.spot[shared])
    return _Pairs(one, other, pair, sight, maps.total[fits.pattern[first]])


def _place_between(maps: CountMaps, fits: Fits, one: IntArray, other: IntArray, spot: IntArray) -> FloatArray:
    """Log density of the place of a spot that two reflections share: anywhere between them, as either may be brighter.

    A Gaussian error across the line that joins them, and along it the same error about any point of the line.
    """
    from_px, to_px = fits.sight.px[one], fits.sight.px[other]
    pattern = fits.reflected.pattern[one]
    sigma = np.sqrt(place_variance(maps, pattern, fits.reflected.g_inv_a[one], spot))
    length = np.maximum(np.hypot(*(to_px - from_px).T), 1e-3)
    along = (to_px - from_px) / length[:, None]
    offset = maps.spot_px[pattern, spot] - from_px
    u, v = (offset * along).sum(axis=1), offset[:, 0] * along[:, 1] - offset[:, 1] * along[:, 0]
    between = special.ndtr(u / sigma) - special.ndtr((u - length) / sigma)
    across = -0.5 * (v / sigma) ** 2 - np.log(np.sqrt(2.0 * np.pi) * sigma)
    return np.asarray(np.log(np.pi * maps.reach_px**2) + across + np.log(np.maximum(between, 1e-12) / length))


def _entries_of(offsets: IntArray, candidate: IntArray) -> tuple[IntArray, IntArray]:
    """Reflections of some candidates, end to end, and to which of the candidates each belongs."""
    counts = offsets[candidate + 1] - offsets[candidate]
    which = np.repeat(np.arange(len(candidate)), counts)
    place = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    return offsets[candidate][which] + place, which


def _partners(
    sight: Sight, a: IntArray, pair_a: IntArray, b: IntArray, pair_b: IntArray, n_pairs: int, reach_px: float
) -> IntArray:
    """For each entry of b the entry of a (its place in the list) that falls onto the same spot, -1 for none."""
    start = np.searchsorted(pair_a, np.arange(n_pairs + 1))
    width = np.diff(start)[pair_b]
    partner, nearest = np.full(len(b), -1), np.full(len(b), np.inf)
    for step in range(int(width.max(initial=0))):
        mine = np.flatnonzero(step < width)
        one, place = b[mine], start[pair_b[mine]] + step
        other, spot = a[place], sight.spot[one]
        distance = np.hypot(*(sight.px[other] - sight.px[one]).T)
        distance = np.where((sight.spot[other] == spot) & (spot >= 0), 0.5 * distance, distance)
        same = (distance <= reach_px) & (distance < nearest[mine])
        partner[mine[same]], nearest[mine[same]] = place[same], distance[same]
    return partner


def may_grow_on(first: Crystal, second: Crystal) -> bool:
    """Whether parallel axes are to be expected of two crystals along the beam: both hexagonal, or of one system."""
    return (first.is_hexagonal and second.is_hexagonal) or first.crystal_system == second.crystal_system


def parallel_operations(crystal: Crystal, rotations: FloatArray) -> FloatArray:
    """Rotations (m, 3, 3) under which two crystals with parallel axes are alike: for hexagonal axes those of 622."""
    if not crystal.is_hexagonal:
        return rotations
    cos, sin = np.cos(np.pi / 3.0), np.sin(np.pi / 3.0)
    sixth = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    flip = np.diag([1.0, -1.0, -1.0])
    turns = [np.linalg.matrix_power(sixth, i) for i in range(6)]
    return np.stack([turn @ other for turn in turns for other in (np.eye(3), flip)])


def laboratory_frames(bank: TemplateBank, fits: Fits) -> FloatArray:
    """Rows ky, kx and beam (N, 3, 3) in the crystal's Cartesian axes, for each refined candidate."""
    cos, sin = np.cos(fits.rotation_rad), np.sin(fits.rotation_rad)
    frame = bank.frame[fits.template]
    beam = frame[:, 2] + np.einsum("ni,nij->nj", fits.tilt_rad, frame[:, :2])
    beam /= np.linalg.norm(beam, axis=1, keepdims=True)
    ky = cos[:, None] * frame[:, 0] + sin[:, None] * frame[:, 1]
    ky -= (ky * beam).sum(axis=1, keepdims=True) * beam
    ky /= np.linalg.norm(ky, axis=1, keepdims=True)
    return np.stack([ky, np.cross(ky, beam), beam], axis=1)


def are_aligned(first: FloatArray, second: FloatArray, operations: FloatArray) -> BoolArray:
    """Whether crystals with these laboratory frames (N, 3, 3) have parallel axes, up to the operations."""
    between = np.einsum("nij,nik->njk", first, second)
    trace = np.einsum("njk,mjk->nm", between, operations).max(axis=1, initial=-1.0)
    return np.asarray(trace >= 1.0 + 2.0 * np.cos(_ALIGNED_RAD))


def transfer(
    bank: TemplateBank, frames: FloatArray, phase: int, operations: FloatArray
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Template, rotation and tilt of another phase whose axes are parallel to those of crystals with these frames."""
    members = bank.members(phase)
    own = bank.frame[members]
    # Angle between the beam in the crystal's axes and each template's direction, over all operations.
    alike = np.einsum("mij,nj->mni", operations, frames[:, 2])
    fit = alike @ own[:, 2].T
    operation = fit.max(axis=2).argmax(axis=0)
    which = fit[operation, np.arange(len(frames))].argmax(axis=1)
    turned = np.einsum("nij,nkj->nki", operations[operation], frames)
    components = np.einsum("nij,nkj->nki", own[which], turned)
    # Rows of ``components`` are the laboratory's ky, kx, beam in the template's frame.
    rotation = np.arctan2(components[:, 0, 1] - components[:, 1, 0], components[:, 0, 0] + components[:, 1, 1])
    return which + members.start, rotation, components[:, 2, :2]
