"""What the counts of a pattern say about each of its explanations: nothing known, one phase, two along the beam."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from scipy import special

from friedel.core.arrays import BoolArray, FloatArray, IntArray
from friedel.identify.counts.brightness import MODELS
from friedel.identify.counts.maps import MAX_SPOTS, CountMaps
from friedel.identify.counts.orientation_fit import Fits, log_clutter
from friedel.identify.counts.template_bank import USUAL_AXIAL

#: Log likelihood that a reflection must add to claim its spot.
_CLAIM = 1.0
#: What every explanation is described by; see ``describe``.
FEATURES = (
    "evidence", "lead", "over lattice", "over mimic", "left", "left share", "lit share", "strain", "fit of places",
    "spots", "against", "own share", "own light", "own expected", "aligned", "over one",
    "shared ratio", "shared surprise", "hidden surprise", "inner surprise", "regular", "strain evidence", "axial",
    "rings", "hidden rings",
)  # fmt: skip
#: Smallest share of the beam whose logarithm is told apart from none; least evidence that is; and what it becomes.
LOG_FLOOR, _LEAST_EVIDENCE = 3e-4, -60.0
#: Share of the beam below which a crystal has no reflections of its own to be seen by.
_HIDDEN = 1e-3
#: Strains that another phase may show as easily as any, and the most that a lattice constant says.
ANY_LATTICE, _MOST = 0.03, 12.0
#: Spread of the strain of one phase between positions where the scan tells nothing of it.
USUAL_SPREAD = 0.002
#: Score from which on the rings of hexagons are taken to name a phase, and the least doubt that they leave.
_TOLD, _RING_DOUBT = 0.5, 0.02
UNTRIED = float(np.arcsinh(_LEAST_EVIDENCE / 5.0)) + 1e-6


def hypotheses_of(n_phases: int) -> tuple[tuple[int, ...], ...]:
    """Phases of every explanation: none of them, each alone, and every pair."""
    pairs = [(q, p) for p in range(n_phases) for q in range(p)]
    return ((), *((p,) for p in range(n_phases)), *pairs)


@dataclass(frozen=True, slots=True, eq=False)
class PairFit:
    """The best two candidates found for each pair of phases of a pattern (n, Q).

    Parameters
    ----------
    first, second
        Index of the candidates; -1 where the pair was not tried.
    evidence
        Log evidence with the cost of the orientations; -inf where not tried.
    aligned
        Whether their axes are parallel.
    own_share, own_light
        Share of the beam in the reflections that only the weaker of the two has, and that over its error.
    own_expected
        Share that is expected there.
    shared_ratio, shared_surprise
        Decimal logarithm of the light in reflections that fall onto one of the other's, over that in those which only
        the brighter crystal has; and by how many standard deviations of the models that is more than it has alone.
    """

    first: IntArray
    second: IntArray
    evidence: FloatArray
    aligned: BoolArray
    own_share: FloatArray
    own_light: FloatArray
    own_expected: FloatArray
    shared_ratio: FloatArray
    shared_surprise: FloatArray

    @classmethod
    def best_of(cls, tried: PairFit, group: IntArray, shape: tuple[int, int]) -> PairFit:
        """Keep of all tried pairs (K,) the best in each group, an index into ``shape``."""
        order = np.lexsort((-tried.evidence, group))
        groups, start = np.unique(group[order], return_index=True)
        chosen = order[start]
        empty = {"first": -1, "second": -1, "evidence": -np.inf}
        columns = {}
        for field in fields(cls):
            values = getattr(tried, field.name)
            column = np.full(shape[0] * shape[1], empty.get(field.name, 0), dtype=values.dtype)
            column[groups] = values[chosen]
            columns[field.name] = column.reshape(shape)
        return cls(**columns)

    @classmethod
    def join(cls, parts: Sequence[PairFit]) -> PairFit:
        """Put lists of tried pairs end to end."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))


def claims_of(fits: Fits) -> BoolArray:
    """Whether each candidate explains each spot of its pattern (N, S)."""
    mine = (fits.sight.spot >= 0) & (fits.best_gain > _CLAIM)
    out = np.zeros((len(fits.pattern), MAX_SPOTS), dtype=bool)
    out[fits.reflected.candidate[mine], fits.sight.spot[mine]] = True
    return out


@dataclass(frozen=True, slots=True, eq=False)
class SharedFacts:
    """What was learned from a scan as a whole before its patterns are judged.

    Parameters
    ----------
    strains
        Of each phase throughout the scan (P,), already in the lattices of the candidates.
    axial
        Further strain of each along its unique axis (P,), likewise.
    axial_sigma
        Spread of that between positions (P,), likewise.
    spread
        Of the strain of one phase between positions: even lattices tell mimics apart, uneven ones do not.
    """

    strains: FloatArray
    axial: FloatArray
    axial_sigma: FloatArray
    spread: float

    @classmethod
    def nothing(cls, n_phases: int) -> SharedFacts:
        """Stand for a pattern alone."""
        return cls(np.zeros(n_phases), np.zeros(n_phases), np.full(n_phases, USUAL_AXIAL), USUAL_SPREAD)

    def of(self, n_phases: int) -> SharedFacts:
        """Keep what is known of the first so many phases, or know nothing of more."""
        more = (0, max(n_phases - len(self.strains), 0))
        strains, axial = (np.pad(column[:n_phases], more) for column in (self.strains, self.axial))
        sigma = np.pad(self.axial_sigma[:n_phases], more, constant_values=USUAL_AXIAL)
        return SharedFacts(strains, axial, sigma, self.spread)


def describe(
    maps: CountMaps, fits: Fits, best: IntArray, single: FloatArray, pairs: PairFit, lattice: FloatArray,
    mimic: FloatArray, inner: FloatArray, shared: SharedFacts, strain_sigma: float,
) -> FloatArray:  # fmt: skip
    """Describe every explanation of every pattern by a few numbers (n, H, F), in the order of ``FEATURES``.

    Parameters
    ----------
    best, single
        Best candidate of each phase and its log evidence (n, P).
    lattice, mimic
        Log evidence of a free lattice (n,), and of an unknown crystal with the places of each phase's best (n, P).
    inner
        By how many standard deviations the innermost reflections of each phase's best are too bright (n, P).

    Notes
    -----
    Evidence enters as arsinh(x / 5), which keeps its sign and tames its size, shares of the beam as decimal logarithms,
    strain in percent. "lead" is against the best other explanation, "over one" against the better of a pair's phases
    alone; "left" is the evidence of spots that the explanation leaves, "left share" their part of the light in spots;
    "against" what reflections say that are expected and not seen. The own light of a pair is that of the weaker phase;
    "hidden surprise" counts where that has none, and only the light it shares can tell of it.
    """
    n, n_phases = single.shape
    names = hypotheses_of(n_phases)
    n_hypotheses = len(names)
    first = np.concatenate([np.full((n, 1), -1), best, pairs.first], axis=1)
    second = np.concatenate([np.full((n, 1 + n_phases), -1), pairs.second], axis=1)
    foreign = np.maximum(np.maximum(lattice, mimic.max(axis=1)), 0.0)
    evidence = np.concatenate([foreign[:, None], single, pairs.evidence], axis=1)
    evidence = np.maximum(evidence, _LEAST_EVIDENCE)
    ranked = np.sort(evidence, axis=1)
    top, next_best = ranked[:, -1:], ranked[:, -2:-1]
    lead = evidence - np.where(evidence >= top, next_best, top)
    unknown = np.concatenate([mimic.max(axis=1, keepdims=True), mimic], axis=1)
    of_pair = np.array([[max(row) for row in unknown[:, [1 + p for p in name]]] for name in names[1 + n_phases :]])
    mimics = np.concatenate([unknown, of_pair.reshape(-1, n).T], axis=1) if n_phases > 1 else unknown
    claims = np.concatenate([claims_of(fits), np.zeros((1, MAX_SPOTS), dtype=bool)])
    claimed = claims[first] | claims[second]
    there = maps.spot_count > 0
    light = np.where(there, np.maximum(maps.spot_count - maps.spot_background, 0.0), 0.0)
    clutter = log_clutter(maps.spot_count, maps.spot_background, np.maximum(maps.total, 1.0)[:, None])
    clutter = np.where(there, np.maximum(clutter, 0.0), 0.0)
    places, against = (np.append(column, 0.0) for column in _sums(fits))
    spots = np.append(claims[:-1].sum(axis=1), 0)
    both = spots[first] + spots[second]
    strain, axial = np.append(np.abs(fits.strain), 0.0), np.append(np.abs(fits.axial), 0.0)
    of_lattice = np.append(_strain_evidence(fits, strain_sigma, shared.spread), 0.0)
    total = np.maximum(maps.total, 1.0)[:, None]
    lit = (claimed * light[:, None]).sum(axis=2) / total
    left = (~claimed * light[:, None]).sum(axis=2) / (light.sum(axis=1, keepdims=True) + 1.0)
    alone = np.zeros((n, 1 + n_phases))
    one = np.array([single[:, list(name)].max(axis=1) for name in names[1 + n_phases :]]).reshape(-1, n).T
    over_one = np.concatenate([alone, evidence[:, 1 + n_phases :] - one], axis=1) if n_phases > 1 else alone
    columns = (
        np.arcsinh(evidence / 5.0),
        np.arcsinh(lead / 5.0),
        np.arcsinh((evidence - lattice[:, None]) / 5.0),
        np.arcsinh((evidence - mimics) / 5.0),
        np.log1p(0.5 * (~claimed * clutter[:, None]).sum(axis=2)),
        left,
        np.log10(lit + LOG_FLOOR),
        100.0 * np.maximum(strain[first], strain[second]),
        (places[first] + places[second]) / np.maximum(both, 1),
        np.log1p(both),
        np.arcsinh((against[first] + against[second]) / 5.0),
        np.concatenate([alone, np.log10(np.maximum(pairs.own_share, 0.0) + LOG_FLOOR)], axis=1),
        np.concatenate([alone, np.arcsinh(pairs.own_light)], axis=1),
        np.concatenate([alone, np.log10(pairs.own_expected + LOG_FLOOR)], axis=1),
        np.concatenate([alone, pairs.aligned], axis=1),
        np.arcsinh(over_one / 5.0),
        np.concatenate([alone, pairs.shared_ratio], axis=1),
        np.concatenate([alone, np.arcsinh(pairs.shared_surprise)], axis=1),
        np.concatenate([alone, np.arcsinh(pairs.shared_surprise) * (pairs.own_expected < _HIDDEN)], axis=1),
        np.concatenate([np.zeros((n, 1)), np.arcsinh(inner), np.zeros_like(pairs.own_share)], axis=1),
        np.concatenate([np.zeros((n, 1)), _regularity(fits)[best], np.zeros_like(pairs.own_share)], axis=1),
        of_lattice[first] + of_lattice[second],
        100.0 * np.maximum(axial[first], axial[second]),
        np.zeros((n, n_hypotheses)),
        np.zeros((n, n_hypotheses)),
    )  # fmt: skip
    return np.stack(columns, axis=2)


def with_rings(features: FloatArray, rings: FloatArray, along_zone: BoolArray) -> FloatArray:
    """Features (n, H, F) with what the rings of hexagons say (n, P) of every explanation.

    The light in whole rings tells phases that share a zone apart more safely than single reflections do, but only in
    patterns ``along_zone`` (n,): the log probability of the explanation if the scores of the phases were independent
    probabilities. Where no ring names a phase they say nothing. "hidden rings" is by how much two phases are likelier
    than the likelier of them alone where the weaker has no reflections of its own, as O3 beneath O1 along [001].
    """
    told = along_zone & (rings.max(axis=1) >= _TOLD)
    score = np.clip(rings, _RING_DOUBT, 1.0 - _RING_DOUBT)
    names = hypotheses_of(rings.shape[1])
    holds = np.array([[p in name for p in range(rings.shape[1])] for name in names], dtype=np.float64)
    value = np.log(score) @ holds.T + np.log1p(-score) @ (1.0 - holds.T)
    value = np.where(told[:, None], value, 0.0)
    out = features.copy()
    out[:, :, FEATURES.index("rings")] = value
    hidden = features[:, :, FEATURES.index("own expected")] < np.log10(_HIDDEN + LOG_FLOOR)
    for h, name in enumerate(names):
        if len(name) == 2:
            alone = value[:, [1 + p for p in name]].max(axis=1)
            out[:, h, FEATURES.index("hidden rings")] = np.where(hidden[:, h], value[:, h] - alone, 0.0)
    return out


def n_phases_of(n_hypotheses: int) -> int:
    """Phases among which there are so many explanations, 1 + P + P (P - 1) / 2."""
    return int(np.sqrt(2.0 * n_hypotheses - 1.75) - 0.5)


def _strain_evidence(fits: Fits, strain_sigma: float, spread: float) -> FloatArray:
    """Log likelihood ratio of each candidate's lattice constant (N,): the phase's own, or anything within 3 %.

    The measurement without its prior, of which ``strain_sigma`` is the error, against the ``spread`` of one phase
    throughout the scan.
    """
    variance = spread**2 + fits.strain_sigma**2
    free = fits.free_strain(strain_sigma)
    ratio = np.log(2.0 * ANY_LATTICE) - 0.5 * (np.log(2.0 * np.pi * variance) + free**2 / variance)
    return np.asarray(np.clip(np.where(fits.strain_sigma < ANY_LATTICE, ratio, 0.0), -_MOST, _MOST))


def _regularity(fits: Fits) -> FloatArray:
    """Mean logarithm of the shape of the models that suit each candidate (N,): how well its light is as computed."""
    weight = special.softmax(fits.log_by_model, axis=1)
    # No matrix product: its last digits depend on how many candidates there are.
    return np.asarray((weight * np.log([model.shape for model in MODELS])).sum(axis=1))


def _sums(fits: Fits) -> tuple[FloatArray, FloatArray]:
    """Log density of the places of the spots that each candidate claims, and what is expected and not seen (N,)."""
    gain, candidate, n = fits.best_gain, fits.reflected.candidate, len(fits.pattern)
    mine = (fits.sight.spot >= 0) & (gain > _CLAIM)
    places = np.bincount(candidate, np.where(mine, fits.sight.place, 0.0), minlength=n).astype(np.float64)
    return places, np.bincount(candidate, np.minimum(gain, 0.0), minlength=n).astype(np.float64)
