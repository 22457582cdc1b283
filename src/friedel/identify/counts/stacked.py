"""Two crystals along the beam: how well a pair of orientations explains a pattern together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from friedel.core.arrays import BoolArray, FloatArray, IntArray
from friedel.crystal import Crystal
from friedel.identify.counts.brightness import LOG_WEIGHTS, MODELS, expected_shares
from friedel.identify.counts.maps import CountMaps
from friedel.identify.counts.orientation_fit import Fits, Sight, excitation, gains
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


@dataclass(frozen=True, slots=True, eq=False)
class _Pairs:
    """Reflections of pairs of candidates, where those of both that fall onto one spot are one entry (E).

    Parameters
    ----------
    first, second
        Index of the reflection of each among all (E,), -1 where the entry has none of it.
    pair
        To which pair the entry belongs.
    sight, total
        What is seen there, and the electrons of the pattern.
    """

    first: IntArray
    second: IntArray
    pair: IntArray
    sight: Sight
    total: FloatArray


def pair_evidence(
    maps: CountMaps, bank: TemplateBank, fits: Fits, first: IntArray, second: IntArray, *, strain_sigma: float
) -> FloatArray:
    """Log evidence of pairs of refined candidates of one pattern each, (Q,).

    Where a reflection of one falls onto one of the other their expected light adds, so that no electron speaks twice.
    The brightness of each crystal is averaged out over the same models as for one alone.
    """
    pairs, n = _lay_together(maps, fits, first, second), len(first)
    s = excitation(fits.reflected, fits.tilt_rad, bank.curvature_a)
    shares = []
    for entries in (pairs.first, pairs.second):
        there, which = entries >= 0, np.maximum(entries, 0)
        coupling2 = np.where(there, fits.reflected.coupling2[which], 0.0)
        lit = [expected_shares(s[which], coupling2, pairs.pair, n, model) for model in MODELS]
        shares.append([np.where(there, share, 0.0) for share in lit])
    values = []
    for i, j in _ALIKE:
        gain = gains(pairs.sight, pairs.total * (shares[0][i] + shares[1][j]), MODELS[i].shape)
        values.append(np.bincount(pairs.pair, gain, minlength=n) + LOG_WEIGHTS[i] + LOG_WEIGHTS[j] - _LOG_NORM)
    strain2 = (fits.strain[first] ** 2 + fits.strain[second] ** 2) / strain_sigma**2
    return np.asarray(special.logsumexp(values, axis=0)) - 0.5 * strain2


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
    return _Pairs(one, other, pair, fits.sight.at(entries), maps.total[fits.pattern[first]][pair])


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
    width = int(np.diff(start).max(initial=0))
    partner, nearest = np.full(len(b), -1), np.full(len(b), np.inf)
    spot_b, px_b = sight.spot[b], sight.px[b]
    for step in range(width):
        place = start[pair_b] + step
        there = place < start[pair_b + 1]
        other = a[np.where(there, place, 0)]
        distance = np.hypot(*(sight.px[other] - px_b).T)
        distance = np.where((sight.spot[other] == spot_b) & (spot_b >= 0), 0.5 * distance, distance)
        same = there & (distance <= reach_px) & (distance < nearest)
        partner, nearest = np.where(same, place, partner), np.where(same, distance, nearest)
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
