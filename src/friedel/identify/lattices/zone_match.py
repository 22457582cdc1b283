"""Matching the spots of a pattern with the nets of any phase at any zone axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from friedel.core.arrays import BoolArray, FloatArray, IntArray
from friedel.core.spots import Spots
from friedel.identify.lattices.free_net import count_nodes, free_net_evidence, net_evidence
from friedel.identify.lattices.zones import ZoneOptions, ZoneTemplate, turned

#: Expected false alarms at which a match is worth as much as its absence.
_EVEN_ODDS = 0.05
#: What a first grain leaves behind is not random: later grains must be this much surer.
_LATER_GRAINS = 1e-3
#: The surest grain must hold this share of the light in all spots, or what shines is something else.
_LEAST_LIGHT = 0.25
#: How much brighter the spots of a grain must be than those between them.
_FAINTER = 1.5
#: Patterns are not independent of the model as random spots are: evidence counts by its square root.
_TEMPER = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class ZoneMatch:
    """One grain found in one pattern.

    Parameters
    ----------
    template
        Phase and zone axis.
    rotation_rad
        By how much the template is turned, from +kx towards +ky.
    spots
        Index of the spots it explains (m,).
    model_inv_a
        Where it puts them (m, 2).
    log10_false_alarms
        Expected number of equally good matches among random spots.
    residual_inv_a
        Root mean square distance of the spots from the model.
    lead
        Log evidence of its net over that of the best net which is not on the list.
    """

    template: ZoneTemplate
    rotation_rad: float
    spots: IntArray
    model_inv_a: FloatArray
    log10_false_alarms: float
    residual_inv_a: float
    lead: float = np.inf


def match_pattern(
    spots: Spots,
    templates: Sequence[ZoneTemplate],
    options: ZoneOptions,
    annulus_inv_a: tuple[float, float],
    *,
    is_calibrated: bool = True,
) -> tuple[list[ZoneMatch], dict[int, float]]:
    """Find the grains of one pattern and how surely each phase is present.

    Every rotation that lays a bright spot onto a reflection is tried for every template. A match that explains m of n
    spots has the expected number of false alarms T * P(Binomial(n - 1, p) >= m - 1), where T counts the rotations
    tried and p is the share of the annulus within the tolerance of a reflection: dense nets must explain more
    (a-contrario reasoning: Desolneux, Moisan and Morel, From Gestalt Theory to Image Analysis, 2008, ch. 3). It must
    also foretell the places of the spots better than any lattice laid through them, see ``free_net``. The best is kept,
    its spots are taken away, and the search goes on.

    Parameters
    ----------
    is_calibrated
        False where scale, ellipse and centre are still to be fitted: then lattices laid through the spots are no
        rivals, because they take any distortion.

    Returns
    -------
    matches
        Grains, the surest first.
    presence
        Phase index -> score between 0 and 1. For the phases that compete for the same spots it is
        L_i / (sum of L + L_none), with L = false_alarms^-1/2: a documented score, not yet a calibrated probability.
        L_none holds the best lattice that is not on the list, by the root of its evidence over the candidate's.
    """
    free = np.zeros(len(spots), dtype=bool)
    free[np.argsort(-spots.snr, kind="stable")[: options.max_spots]] = True
    matches: list[ZoneMatch] = []
    presence: dict[int, float] = {}
    while len(matches) < options.max_grains and free.sum() >= 3:
        allowed = np.log10(options.max_false_alarms * (_LATER_GRAINS if matches else 1.0))
        rivals = _best_per_phase(spots, free, templates, options, annulus_inv_a)
        rivals = {phase: match for phase, match in rivals.items() if match.log10_false_alarms <= allowed}
        if is_calibrated:
            leads = {p: _lead(spots, free, m, len(templates), options, annulus_inv_a) for p, m in rivals.items()}
            rivals = {p: replace(match, lead=leads[p]) for p, match in rivals.items() if leads[p] > 0}
        if not rivals:
            break
        winner = min(rivals.values(), key=lambda match: match.log10_false_alarms)
        if not matches and spots.intensity[winner.spots].sum() < _LEAST_LIGHT * spots.intensity[free].sum():
            break
        for phase, score in _share(rivals, winner).items():
            presence[phase] = max(presence.get(phase, 0.0), score)
        matches.append(winner)
        free[winner.spots] = False
        free &= ~_satellites(spots, winner, options)
    return matches, presence


def _lead(
    spots: Spots,
    free: BoolArray,
    match: ZoneMatch,
    n_nets: int,
    options: ZoneOptions,
    annulus_inv_a: tuple[float, float],
) -> float:
    """Log evidence of a match for the places of the free spots, over that of the best net which is not on the list."""
    free = free & ~_between(spots, match, options)
    index = np.flatnonzero(free)
    k, sigma, template = spots.k_inv_a[index], _errors(spots, options)[index], match.template
    coordinates = np.rint(turned(k, -match.rotation_rad) @ np.linalg.inv(template.basis_inv_a))
    nodes = turned(coordinates @ template.basis_inv_a, match.rotation_rad)
    near = np.hypot(*(k - nodes).T) <= 3.0 * sigma + options.relative_tolerance * np.hypot(k[:, 0], k[:, 1])
    n_other = count_nodes(template.basis_inv_a, annulus_inv_a) - len(template.k_inv_a)
    evidence = net_evidence(
        nodes[near],
        np.isin(index[near], match.spots),
        k[near],
        sigma[near],
        n_allowed=len(template.k_inv_a),
        n_other=n_other,
        n_nets=n_nets,
        strain_sigma=options.relative_tolerance,
        annulus_inv_a=annulus_inv_a,
    )
    return evidence - unlisted_evidence(spots, free, match, options, annulus_inv_a)


def unlisted_evidence(
    spots: Spots,
    free: BoolArray,
    match: ZoneMatch,
    options: ZoneOptions,
    annulus_inv_a: tuple[float, float],
    places_inv_a: FloatArray | None = None,
) -> float:
    """Log evidence of the best net that is not on the list for the free spots (M,) about those of a match.

    ``places_inv_a`` (M, 2) are taken for the places of the spots where they are given.
    """
    index = np.flatnonzero(free & ~_between(spots, match, options))
    index = index[np.argsort(-spots.snr[index], kind="stable")]
    k = (spots.k_inv_a if places_inv_a is None else places_inv_a)[index]
    return free_net_evidence(k, _errors(spots, options)[index], np.isin(index, match.spots), annulus_inv_a)


def _errors(spots: Spots, options: ZoneOptions) -> FloatArray:
    """One-sigma error of places along one axis (M,), a third of the tolerance at least."""
    return np.asarray(np.hypot(np.hypot(*spots.sigma_inv_a.T) / np.sqrt(2.0), options.tolerance_inv_a / 3.0))


def _is_coherent(spots: Spots, match: ZoneMatch, options: ZoneOptions) -> bool:
    """Whether the spots at halves and thirds of a grain's net are fainter than those at its nodes.

    A finer lattice agrees with every second or third of its spots with many a phase; chance alone, which asks how
    random spots would match, does not see that. Medians are compared, where there are at least as many such spots as
    matched ones.
    """
    others = _satellites(spots, match, options)
    others[match.spots] = False
    if others.sum() < len(match.spots):
        return True
    return float(np.median(spots.intensity[match.spots])) >= _FAINTER * float(np.median(spots.intensity[others]))


def _satellites(spots: Spots, match: ZoneMatch, options: ZoneOptions) -> BoolArray:
    """Spots at whole, half and third positions of a grain's net (M,).

    Superlattices, streaks of stacking faults and double diffraction put them there. They belong to the grain, or to a
    neighbour of the same lattice, and are no evidence for another phase.
    """
    return _on_net(spots, match, options, 1) | _between(spots, match, options)


def _between(spots: Spots, match: ZoneMatch, options: ZoneOptions) -> BoolArray:
    """Spots at half and third positions of a grain's net that are no nodes (M,)."""
    finer = _on_net(spots, match, options, 2) | _on_net(spots, match, options, 3)
    return np.asarray(finer & ~_on_net(spots, match, options, 1))


def _on_net(spots: Spots, match: ZoneMatch, options: ZoneOptions, division: int) -> BoolArray:
    """Spots on a grain's net, divided (M,)."""
    basis = match.template.basis_inv_a / division
    coordinates = turned(spots.k_inv_a, -match.rotation_rad) @ np.linalg.inv(basis)
    offset = (coordinates - np.rint(coordinates)) @ basis
    return np.asarray(np.hypot(offset[:, 0], offset[:, 1]) <= options.tolerance_inv_a)


def _share(rivals: dict[int, ZoneMatch], winner: ZoneMatch) -> dict[int, float]:
    """Share the evidence among the phases that explain at least half of the winner's spots."""
    competing = {
        phase: match
        for phase, match in rivals.items()
        if match is winner or len(np.intersect1d(match.spots, winner.spots)) >= 0.5 * len(winner.spots)
    }
    log_l = {phase: -_TEMPER * match.log10_false_alarms for phase, match in competing.items()}
    chance = -_TEMPER * np.log10(_EVEN_ODDS)
    unlisted = max(log_l[phase] - _TEMPER * match.lead / np.log(10.0) for phase, match in competing.items())
    top = max(*log_l.values(), chance)
    none = 10.0 ** (chance - top) + 10.0 ** (unlisted - top)
    weight = {phase: 10.0 ** (value - top) for phase, value in log_l.items()}
    total = none + sum(weight.values())
    return {phase: value / total for phase, value in weight.items()}


def _best_per_phase(
    spots: Spots,
    free: BoolArray,
    templates: Sequence[ZoneTemplate],
    options: ZoneOptions,
    annulus_inv_a: tuple[float, float],
) -> dict[int, ZoneMatch]:
    """Best match of each phase to the free spots."""
    index = np.flatnonzero(free)
    k = spots.k_inv_a[index]
    error = np.hypot(spots.sigma_inv_a[index, 0], spots.sigma_inv_a[index, 1]) / np.sqrt(2.0)
    radius = np.hypot(k[:, 0], k[:, 1])
    tolerance = np.maximum(options.tolerance_inv_a, 3.0 * error) + options.relative_tolerance * radius
    area = np.pi * (annulus_inv_a[1] ** 2 - annulus_inv_a[0] ** 2)
    target = np.pi * float(np.mean(tolerance**2))
    seeds = np.argsort(-spots.snr[index])[: options.n_seeds]
    tried = 0
    raw = []
    for template in templates:
        rotations = _proposed_rotations(template, k, radius, tolerance, seeds)
        tried += len(rotations)
        if not len(rotations):
            continue
        hits, residual = _matches(template, rotations, k, tolerance)
        counts = hits.sum(axis=1)
        best = int(np.lexsort((np.where(hits, residual, 0.0).sum(axis=1), -counts))[0])
        if counts[best] >= 3:
            raw.append(
                (template, float(rotations[best]), np.flatnonzero(hits[best]), len(template.k_inv_a) * target / area)
            )
    out: dict[int, ZoneMatch] = {}
    for template, rotation, hit, chance in raw:
        rotation, model = _refine(template, rotation, k[hit])
        residual_inv_a = float(np.sqrt(((k[hit] - model) ** 2).sum(axis=1).mean()))
        tail = max(float(special.bdtrc(len(hit) - 2, len(k) - 1, min(chance, 1.0))), 1e-300)
        match = ZoneMatch(template, rotation, index[hit], model, float(np.log10(tail * tried)), residual_inv_a)
        if not _is_coherent(spots, match, options):
            continue
        known = out.get(template.phase)
        if known is None or _rank(match) < _rank(known):
            out[template.phase] = match
    return out


def _rank(match: ZoneMatch) -> tuple[float, int, float]:
    """Order of preference: surest, then the simpler zone axis, then the smaller residual."""
    return round(match.log10_false_alarms, 3), sum(abs(i) for i in match.template.uvw), match.residual_inv_a


def _proposed_rotations(
    template: ZoneTemplate, k: FloatArray, radius: FloatArray, tolerance: FloatArray, seeds: IntArray
) -> FloatArray:
    """Angles by which the template must be turned to lay one of its reflections onto a seed spot, without repeats."""
    node_radius = np.hypot(template.k_inv_a[:, 0], template.k_inv_a[:, 1])
    node_angle = np.arctan2(template.k_inv_a[:, 0], template.k_inv_a[:, 1])
    near = np.abs(radius[seeds, None] - node_radius) <= tolerance[seeds, None]
    seed, node = np.nonzero(near)
    spot_angle = np.arctan2(k[:, 0], k[:, 1])
    turn = (spot_angle[seeds][seed] - node_angle[node]) % np.pi  # nets are symmetric under inversion
    return np.unique(np.round(turn, 3))


def _matches(
    template: ZoneTemplate, rotations: FloatArray, k: FloatArray, tolerance: FloatArray
) -> tuple[BoolArray, FloatArray]:
    """Which spots lie on an allowed reflection, and how far from the nearest node, both (rotations, spots)."""
    cos, sin = np.cos(rotations)[:, None], np.sin(rotations)[:, None]
    back = np.stack([cos * k[:, 0] - sin * k[:, 1], sin * k[:, 0] + cos * k[:, 1]], axis=-1)
    coordinates = back @ np.linalg.inv(template.basis_inv_a)
    nearest = np.rint(coordinates)
    offset = (coordinates - nearest) @ template.basis_inv_a
    residual = np.hypot(offset[..., 0], offset[..., 1])
    reach = template.is_allowed.shape[0] // 2
    node = np.clip(nearest.astype(int) + reach, 0, 2 * reach)
    return (residual <= tolerance) & template.is_allowed[node[..., 0], node[..., 1]], residual


def _refine(template: ZoneTemplate, rotation: float, k: FloatArray) -> tuple[float, FloatArray]:
    """Turn the template to the least-squares angle of the matched spots; return it and where it puts them (m, 2)."""
    node = np.rint(turned(k, -rotation) @ np.linalg.inv(template.basis_inv_a)) @ template.basis_inv_a
    cross = float((node[:, 1] * k[:, 0] - node[:, 0] * k[:, 1]).sum())
    dot = float((node * k).sum())
    rotation = float(np.arctan2(cross, dot))
    return rotation, turned(node, rotation)
