"""From counts to phases: the evidence for none, one or two of the candidates in every pattern."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from friedel.core.arrays import BoolArray, FloatArray, IntArray
from friedel.core.errors import DataError
from friedel.crystal import PhaseSet
from friedel.identify.counts.candidates import Candidates, find_candidates
from friedel.identify.counts.free_lattice import free_lattice_evidence, mimic_evidence
from friedel.identify.counts.hypotheses import PairFit, SharedFacts, claims_of, describe
from friedel.identify.counts.maps import CountMaps
from friedel.identify.counts.orientation_fit import Fits, fit_candidates, log_clutter
from friedel.identify.counts.stacked import (
    are_aligned,
    inner_surprise,
    laboratory_frames,
    may_grow_on,
    parallel_operations,
    transfer,
    weigh_pairs,
)
from friedel.identify.counts.template_bank import TemplateBank
from friedel.identify.orientations import proper_rotations

#: Rotations that the width of a spot tells apart, of each template.
_ROTATIONS = 60.0
#: Ways in which a crystal may lie that has parallel axes with another, over how much likelier that is than by chance:
#: phases that may grow on one another mostly do. Chosen on simulated training patterns.
_ALIGNED_WAYS = 4.0
#: Log evidence above which a pattern holds a crystal that may hide a second; how much the spots that it leaves must
#: stand out for a second to be sought; and how far its light reaches.
_CRYSTAL, _LEFT, _SHADE_SIGMAS = 6.0, 2.0, 1.5
#: Phases among which pairs are sought, the surest ones, and candidates of each that are tried with the other's best.
_PAIRED_PHASES, _PAIRED_CANDIDATES = 3, 2


@dataclass(frozen=True, slots=True)
class CountOptions:
    """How counts are scored.

    Parameters
    ----------
    spacing_deg
        Angle between neighbouring beam directions of the templates.
    per_phase
        Orientations of each phase that are refined in each pattern.
    strain_sigma
        What the lattice of a phase may differ by from its file, one sigma; more lets mimics in.
    """

    spacing_deg: float = 2.5
    per_phase: int = 12
    strain_sigma: float = 0.005

    def __post_init__(self) -> None:
        if not 0.5 <= self.spacing_deg <= 10.0 or not 1 <= self.per_phase <= 100:
            raise DataError(
                "CountOptions needs 0.5 <= spacing_deg <= 10 and 1 <= per_phase <= 100, "
                f"got {self.spacing_deg:g} and {self.per_phase}."
            )
        if not 0.0 < self.strain_sigma <= 0.1:
            raise DataError(f"CountOptions.strain_sigma must lie in (0, 0.1], got {self.strain_sigma:g}.")


@dataclass(frozen=True, slots=True, eq=False)
class PhaseEvidence:
    """What the counts of n patterns say about P phases; natural logarithms relative to none of them.

    Parameters
    ----------
    foreign
        A crystal that is none of the phases (n,): any lattice.
    single
        Each phase alone (n, P).
    pair
        Two phases along the beam (n, Q), in the order of ``hypotheses_of``; -inf where not tried.
    features
        What the decision rests on, of every explanation (n, H, F); see ``describe``.
    frame
        Rows ky, kx and beam of the likeliest orientation of each phase (n, P, 3, 3), in its Cartesian axes.
    strain
        Measured over computed length of its lattice, minus 1 (n, P), beyond the strain that the scan shares.
    claimed
        Whether it explains each of the pattern's spots, brightest first (n, P, S).
    """

    foreign: FloatArray
    single: FloatArray
    pair: FloatArray
    features: FloatArray
    frame: FloatArray
    strain: FloatArray
    claimed: BoolArray

    @staticmethod
    def join(parts: Sequence[PhaseEvidence]) -> PhaseEvidence:
        """Join the evidence of consecutive patterns."""
        return PhaseEvidence(
            *(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(PhaseEvidence))
        )


def fit_surest(maps: CountMaps, bank: TemplateBank, n_phases: int, options: CountOptions) -> Fits:
    """Refine the orientations of every phase that look best in every pattern."""
    return refine(maps, bank, find_candidates(maps, bank, n_phases, per_phase=options.per_phase), options)


def refine(maps: CountMaps, bank: TemplateBank, rough: Candidates, options: CountOptions) -> Fits:
    """Refine given orientations of every phase in every pattern."""
    pattern = np.repeat(np.arange(maps.n_patterns), rough.template[0].size)
    return fit_candidates(
        maps, bank, pattern, rough.template.ravel(), rough.rotation_rad.ravel(), strain_sigma=options.strain_sigma
    )


def weigh_phases(
    maps: CountMaps, bank: TemplateBank, phases: PhaseSet, options: CountOptions, shared: SharedFacts | None = None
) -> PhaseEvidence:
    """Weigh none, each phase and each pair of phases against the counts of every pattern.

    ``shared`` is what the scan as a whole has told of scale and lattices; nothing for a pattern alone.
    """
    n, n_phases = maps.n_patterns, len(phases.crystals)
    shared = shared or SharedFacts.nothing(n_phases)
    fits = fit_surest(maps, bank, n_phases, options)
    hosts, *parallel = _parallel_candidates(bank, phases, fits, best_of_phases(fits, n, n_phases))
    guests = len(fits.pattern) + np.arange(len(hosts))
    left = _second_candidates(maps, bank, fits, best_of_phases(fits, n, n_phases), max(options.per_phase // 2, 1))
    for added in (parallel, left):
        if len(added[0]):
            fits = fits.followed_by(fit_candidates(maps, bank, *added, strain_sigma=options.strain_sigma))
    best = best_of_phases(fits, n, n_phases)
    ways = orientations_of(bank, n_phases)
    single = fits.log_evidence[best] - ways
    frames = laboratory_frames(bank, fits)
    pairs = _pairs(maps, bank, phases, fits, frames, single, ways, (hosts, guests))
    lattice = free_lattice_evidence(maps, (float(bank.radii_inv_a[0]), float(bank.radii_inv_a[-1])))
    mimics = mimic_evidence(fits, maps.total, best.ravel()).reshape(n, n_phases)
    inner = inner_surprise(maps, bank, fits, best.ravel()).reshape(n, n_phases)
    features = describe(maps, fits, best, single, pairs, lattice, mimics, inner, shared, options.strain_sigma)
    told = best_of_phases(fits, n, n_phases, log_prior=bank.log_prior[fits.template])
    return PhaseEvidence(
        np.maximum(lattice, mimics.max(axis=1)), single, pairs.evidence, features, frames[told], fits.strain[told],
        claims_of(fits)[told],
    )  # fmt: skip


def orientations_of(bank: TemplateBank, n_phases: int) -> FloatArray:
    """Logarithm of how many orientations of each phase can be told apart (P,): what finding one of them costs."""
    return np.asarray(np.log(_ROTATIONS * np.bincount(bank.phase, minlength=n_phases)))


def _cell(fits: Fits, n_phases: int) -> IntArray:
    return fits.pattern * n_phases + fits.phase


def best_of_phases(fits: Fits, n: int, n_phases: int, rank: int = 0, log_prior: FloatArray | float = 0.0) -> IntArray:
    """Index of the candidate with the highest evidence, or of a later rank, of each phase in each pattern (n, P).

    Evidence is that of the counts alone, or with a ``log_prior`` (N,) of the candidates.
    """
    order = np.lexsort((-fits.log_evidence - log_prior, _cell(fits, n_phases)))
    starts = np.searchsorted(_cell(fits, n_phases)[order], np.arange(n * n_phases + 1))
    last = starts[1:] - 1
    return order[np.minimum(starts[:-1] + rank, last)].reshape(n, n_phases)


def _parallel_candidates(
    bank: TemplateBank, phases: PhaseSet, fits: Fits, best: IntArray
) -> tuple[IntArray, IntArray, IntArray, FloatArray, FloatArray]:
    """Orientations of each other phase parallel to the surest crystal of a pattern, where it may grow on that.

    Returns the candidate that each is parallel to, and pattern, template, rotation and tilt.
    """
    frames = laboratory_frames(bank, fits)
    surest = np.argsort(-fits.log_evidence[best], axis=1, kind="stable")
    none = np.zeros(0, dtype=np.int64)
    columns = [(none, none, none, np.zeros(0), np.zeros((0, 2)))]
    for p, crystal in enumerate(phases.crystals):
        for q, other in enumerate(phases.crystals):
            rows = np.flatnonzero(surest[:, 0] == p)
            if p == q or not len(rows) or not may_grow_on(crystal, other):
                continue
            operations = parallel_operations(other, proper_rotations(other))
            columns.append((best[rows, p], rows, *transfer(bank, frames[best[rows, p]], q, operations)))
    host, pattern, template, rotation, tilt = (np.concatenate(column) for column in zip(*columns, strict=True))
    return host, pattern, template, rotation, tilt


def _second_candidates(
    maps: CountMaps, bank: TemplateBank, fits: Fits, best: IntArray, per_phase: int
) -> tuple[IntArray, IntArray, FloatArray]:
    """Orientations of each phase in what the surest crystal of a pattern leaves: pattern, template, rotation.

    Only patterns with a crystal in them and spots that it does not explain are looked at again.
    """
    n, n_phases = best.shape
    surest = best[np.arange(n), fits.log_evidence[best].argmax(axis=1)]
    unclaimed = ~claims_of(fits)[surest]
    clutter = log_clutter(maps.spot_count, maps.spot_background, maps.total[:, None])
    left = np.where(unclaimed & (maps.spot_count > 0), np.maximum(clutter, 0.0), 0.0).sum(axis=1)
    rows = np.flatnonzero((fits.log_evidence[surest] > _CRYSTAL) & (left > _LEFT))
    hidden = _light_of(maps, fits, surest[rows])
    rough = find_candidates(maps.of(rows), bank, n_phases, per_phase=per_phase, hidden=hidden)
    pattern = np.repeat(rows, n_phases * per_phase)
    return pattern, rough.template.ravel(), rough.rotation_rad.ravel()


def _light_of(maps: CountMaps, fits: Fits, chosen: IntArray) -> BoolArray:
    """Pixels (len(chosen), ky, kx) that the reflections of some candidates, one a pattern, light up."""
    place = np.full(len(fits.pattern), -1)
    place[chosen] = np.arange(len(chosen))
    gain = fits.best_gain
    owned = (place[fits.reflected.candidate] >= 0) & (gain > 0.0)
    px, row = fits.sight.px[owned], place[fits.reflected.candidate[owned]]
    out = np.zeros((len(chosen), *maps.seen.shape), dtype=bool)
    reach = maps.reach_px + _SHADE_SIGMAS * maps.sigma_px
    steps = np.arange(-int(np.ceil(reach)), int(np.ceil(reach)) + 1)
    for dy in steps:
        for dx in steps[np.hypot(dy, steps) <= reach]:
            y, x = (np.rint(px) + np.array([dy, dx])).astype(np.int64).T
            inside = (y >= 0) & (y < out.shape[1]) & (x >= 0) & (x < out.shape[2])
            out[row[inside], y[inside], x[inside]] = True
    return out


def _pairs(
    maps: CountMaps, bank: TemplateBank, phases: PhaseSet, fits: Fits, frames: FloatArray, single: FloatArray,
    ways: FloatArray, grown: tuple[IntArray, IntArray],
) -> PairFit:  # fmt: skip
    """The best pair of candidates of every two of the surest phases of each pattern (n, Q).

    Tried are the best candidates of both; with the best of each that of the other which explains most of what it
    leaves; and crystals ``grown`` on one another.
    """
    n, n_phases = single.shape
    ranked = np.argsort(-single, axis=1, kind="stable")[:, :_PAIRED_PHASES]
    tops = [best_of_phases(fits, n, n_phases, rank) for rank in range(_PAIRED_CANDIDATES)]
    tried: list[tuple[IntArray, IntArray]] = [grown]
    rows = np.arange(n)
    for i in range(ranked.shape[1]):
        for j in range(i):
            a, b = ranked[:, j], ranked[:, i]
            tried += [(top[rows, a], other_top[rows, b]) for top in tops for other_top in tops]
            for one, two in ((a, b), (b, a)):
                surest = tops[0][rows, one]
                tried.append((surest, _best_of_rest(fits, n_phases, surest, two)))
    first, second = (np.concatenate(column) for column in zip(*tried, strict=True))
    found = weigh_pairs(maps, fits, first, second)
    p, q = fits.phase[first], fits.phase[second]
    cost, aligned = ways[p] + ways[q], np.zeros(len(first), dtype=bool)
    for i, crystal in enumerate(phases.crystals):
        for j, other in enumerate(phases.crystals):
            here = (p == i) & (q == j)
            if here.any() and may_grow_on(crystal, other):
                operations = parallel_operations(other, proper_rotations(other))
                aligned[here] = are_aligned(frames[first[here]], frames[second[here]], operations)
    cost = np.where(aligned, np.maximum(ways[p], ways[q]) + np.log(_ALIGNED_WAYS), cost)
    found = replace(found, evidence=found.evidence - cost, aligned=aligned)
    low, high = np.minimum(p, q), np.maximum(p, q)
    n_pairs = n_phases * (n_phases - 1) // 2
    # Pairs are counted as in ``hypotheses_of``.
    group = fits.pattern[first] * n_pairs + high * (high - 1) // 2 + low
    return PairFit.best_of(found, group, (n, n_pairs))


def _best_of_rest(fits: Fits, n_phases: int, first: IntArray, phase: IntArray) -> IntArray:
    """Candidate of a phase in each pattern that gains most from spots that ``first`` does not explain (n,)."""
    n = len(first)
    gain, spot, pattern = fits.best_gain, fits.sight.spot, fits.reflected.pattern
    taken = claims_of(fits)[first]
    free = ~((spot >= 0) & taken[pattern, np.maximum(spot, 0)])
    rest = np.bincount(fits.reflected.candidate, gain * free, minlength=len(fits.pattern))
    order = np.lexsort((-rest, _cell(fits, n_phases)))
    starts = np.searchsorted(_cell(fits, n_phases)[order], np.arange(n) * n_phases + phase)
    return order[starts]
