"""The counts template: every pattern's counts against every phase in every orientation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from friedel.core.arrays import AnyArray, BoolArray, FloatArray
from friedel.core.beam import Beam
from friedel.core.grids import ReciprocalGrid
from friedel.core.images import PatternScan
from friedel.core.spots import Spots
from friedel.crystal import PhaseSet
from friedel.identify.counts.calibration import fit_count_distortion, learn_axial, learn_strains, support_of
from friedel.identify.counts.candidates import find_candidates
from friedel.identify.counts.hypotheses import SharedFacts
from friedel.identify.counts.maps import CountMaps, map_counts
from friedel.identify.counts.matching import CountOptions, PhaseEvidence, weigh_phases
from friedel.identify.counts.presence import sum_over_phases
from friedel.identify.counts.template_bank import TemplateBank, affordable_spacing_deg, shared_bank
from friedel.identify.lattices.zone_map import Distortion, fitted_grid, undistorted
from friedel.identify.zone_names import name_orientations
from friedel.patterns.survey import Survey, sample_patterns_with_index
from friedel.spots.dog import Dog, DogResponse, filter_stack, find_spots

#: Energy taken for the curvature of the Ewald sphere where the file names none.
USUAL_BEAM = Beam(200.0)
#: Patterns on which the distortion is fitted: those with most spots, and as many evenly over the others with so many.
_FIT_PATTERNS, _LEAST_SPOTS = 16, 4
#: Patterns on which lattices are learned, evenly over those with so many spots.
_STRAIN_PATTERNS = 64
#: Patterns scored at once, which bounds the memory.
_CHUNK = 64


@dataclass(frozen=True, slots=True, eq=False)
class CountPlan:
    """What is scored in every block.

    Parameters
    ----------
    phases, beam
        Candidates, and the beam that lights them.
    annulus_inv_a
        Ring in which reflections count.
    options
        How they are scored.
    radial_step_inv_a
        Of the templates; the detector's own step as it was stored, so that a fit changes no template.
    sigma_px
        Radius of a spot along one axis.
    shared
        What the scan as a whole has told; nothing before that. The strains of ``PhaseEvidence`` are relative to its.
    """

    phases: PhaseSet
    beam: Beam
    annulus_inv_a: tuple[float, float]
    options: CountOptions
    radial_step_inv_a: float
    sigma_px: float
    shared: SharedFacts | None = None

    @property
    def bank(self) -> TemplateBank:
        """The templates, with the lattices that the phases have throughout the scan."""
        bank = shared_bank(
            self.phases,
            self.beam,
            self.annulus_inv_a,
            spacing_deg=affordable_spacing_deg(self.phases, self.options.spacing_deg),
            radial_step_inv_a=self.radial_step_inv_a,
        )
        return (
            bank
            if self.shared is None
            else bank.strained(self.shared.strains, self.shared.axial, self.shared.axial_sigma)
        )

    def beside(self, sought: PhaseSet) -> CountPlan:
        """Return the plan for more phases, the own ones first; the lattices of the others are those of their files."""
        return replace(self, phases=sought, shared=self.shared and self.shared.of(len(sought)))


@dataclass(frozen=True, slots=True, eq=False)
class CountFindings:
    """What the counts template found.

    Parameters
    ----------
    plan
        What was asked.
    distortion
        Fitted on the phases found, and shared by all patterns.
    evidence
        Of none, one or two phases at each position, with the best orientation of each phase.
    posterior
        Probability of each of these (n, H), in the order of ``hypotheses_of``.
    uvw, rotation_deg, off_deg
        Nearest zone axis (n, P, 3), rotation about it and angle to the beam (n, P) of the best orientation.
    spot_phase
        Index of the phase that explains each spot (M,), -1 where it is more likely that none does.
    refused
        A distortion too far from the calibration to be believed; the phases were then sought without.
    """

    plan: CountPlan
    distortion: Distortion
    evidence: PhaseEvidence
    posterior: FloatArray
    uvw: AnyArray
    rotation_deg: FloatArray
    off_deg: FloatArray
    spot_phase: AnyArray
    refused: Distortion | None = None

    @property
    def strain(self) -> FloatArray:
        """Reciprocal length of each phase over that of its file, minus 1 (n, P)."""
        shared = self.plan.shared.strains if self.plan.shared else 0.0
        return np.asarray((1.0 + shared) * (1.0 + self.evidence.strain) - 1.0)


def plan_counts(
    scan: PatternScan, phases: PhaseSet, annulus_inv_a: tuple[float, float], options: CountOptions, detector: Dog
) -> CountPlan:
    """Plan the scoring of a scan."""
    step = float(np.mean(scan.grid.step_inv_a))
    sigma_px = (detector.sigma_inv_a or step) / step
    return CountPlan(phases, scan.beam or USUAL_BEAM, annulus_inv_a, options, step, max(sigma_px, 0.8))


def score_counts(
    plan: CountPlan, response: DogResponse, spots: Spots, shift_px: FloatArray, valid: BoolArray | None
) -> PhaseEvidence:
    """Score filtered patterns; each pattern's result depends on that pattern alone."""
    parts = []
    for first in range(0, len(response.total), _CHUNK):
        rows = np.arange(first, min(first + _CHUNK, len(response.total)))
        maps = _maps_of(plan, response, spots, shift_px, valid, rows, response.grid)
        parts.append(weigh_phases(maps, plan.bank, plan.phases, plan.options, plan.shared))
    return PhaseEvidence.join(parts)


@dataclass(frozen=True, slots=True, eq=False)
class CountSample:
    """Filtered patterns of a sample, on which what a scan shares is fitted.

    Parameters
    ----------
    rows, even
        Patterns with most spots, and some others, for the calibration; and any with enough spots, for lattices: those
        of a mimic may have more spots than those of the phase.
    """

    response: DogResponse
    spots: Spots
    shift_px: FloatArray
    rows: AnyArray
    even: AnyArray
    valid: BoolArray | None


def take_sample(survey: Survey, plan: CountPlan, detector: Dog) -> CountSample:
    """Take the patterns of a sample that show most spots, and others, since simple nets have few."""
    sample, index = sample_patterns_with_index(survey.scan)
    grid, valid = survey.scan.grid, survey.scan.valid
    response = filter_stack(sample, detector, grid, gain=survey.gain, valid=valid)
    shift = survey.shift_px[index]
    spots = _about_own_beam(find_spots(response, detector, plan.annulus_inv_a, valid=valid), shift, grid)
    n_spots = np.diff(spots.offsets)
    ranked = np.argsort(-n_spots, kind="stable")
    others = ranked[_FIT_PATTERNS:][n_spots[ranked[_FIT_PATTERNS:]] >= _LEAST_SPOTS]
    spread = others[np.linspace(0, len(others) - 1, min(_FIT_PATTERNS, len(others))).astype(int)]
    rows = np.sort(np.concatenate([ranked[:_FIT_PATTERNS], spread]))
    usable = np.flatnonzero(n_spots >= _LEAST_SPOTS)
    even = usable[np.linspace(0, len(usable) - 1, min(_STRAIN_PATTERNS, len(usable))).astype(int)]
    return CountSample(response, spots, shift, rows, even, valid)


def fit_calibration(sample: CountSample, plan: CountPlan, sought: PhaseSet) -> Distortion:
    """Fit scale, ellipse and centre on the phases asked for, unless look-alikes need no such fit.

    A wrong phase can bend patterns until they suit it. With the fit all that is sought must explain more than without.
    """
    grid = sample.response.grid
    maps = _maps_of(plan, sample.response, sample.spots, sample.shift_px, sample.valid, sample.rows, grid)
    sigma, n_asked = grid.relative_sigma, len(plan.phases)
    fitted = fit_count_distortion(maps, plan.bank, n_asked, plan.options, relative_sigma=sigma)
    if len(sought) == n_asked or not fitted.n_spots:
        return fitted
    bank, options = plan.beside(sought).bank, plan.options
    return max(fitted, undistorted(sigma), key=lambda d: support_of(maps, bank, len(sought), options, d, sigma))


def strain_phases(sample: CountSample, plan: CountPlan, distortion: Distortion) -> CountPlan:
    """Give every phase the lattice that it has throughout the scan."""
    grid, n_phases = sample.response.grid, len(plan.phases.crystals)
    if not len(sample.even):
        return replace(plan, shared=SharedFacts.nothing(n_phases))
    maps = _maps_of(plan, sample.response, sample.spots, sample.shift_px, sample.valid, sample.even, grid)
    maps = replace(maps, grid=fitted_grid(grid, distortion))
    orientations = find_candidates(maps, plan.bank, n_phases, per_phase=plan.options.per_phase)
    axial = learn_axial(maps, plan.bank, n_phases, plan.options, orientations)
    bank = plan.bank.strained(np.zeros(n_phases), axial)
    strains, spread, axial_sigma = learn_strains(maps, bank, n_phases, plan.options, orientations)
    return replace(plan, shared=SharedFacts(strains, axial, axial_sigma, spread))


def _about_own_beam(spots: Spots, shift_px: FloatArray, grid: ReciprocalGrid) -> Spots:
    moved = np.repeat(shift_px * np.asarray(grid.step_inv_a) @ grid.ellipse.T, np.diff(spots.offsets), axis=0)
    return Spots(spots.k_inv_a - moved, spots.sigma_inv_a, spots.intensity, spots.snr, spots.offsets, spots.scan_shape)


def _maps_of(
    plan: CountPlan, response: DogResponse, spots: Spots, shift_px: FloatArray, valid: BoolArray | None,
    rows: AnyArray, grid: ReciprocalGrid,
) -> CountMaps:  # fmt: skip
    chosen = Spots.join([spots.of(int(i)) for i in rows], (len(rows), 1))
    return map_counts(
        response.electrons[rows], chosen, shift_px[rows], grid, plan.annulus_inv_a, sigma_px=plan.sigma_px, valid=valid
    )


def judge_counts(
    plan: CountPlan, evidence: PhaseEvidence, posterior: FloatArray, spots: Spots, distortion: Distortion,
    refused: Distortion | None,
) -> CountFindings:  # fmt: skip
    """Name the orientations found, and the phase of each spot."""
    presence = sum_over_phases(posterior)
    names = [name_orientations(crystal, evidence.frame[:, p]) for p, crystal in enumerate(plan.phases.crystals)]
    uvw, rotation, off = (np.stack(column, axis=1) for column in zip(*names, strict=True))
    place = np.arange(len(spots)) - np.repeat(spots.offsets[:-1], np.diff(spots.offsets))
    pattern = np.repeat(np.arange(spots.n_patterns), np.diff(spots.offsets))
    seen = place < evidence.claimed.shape[2]
    claim = np.zeros((len(spots), presence.shape[1]))
    claim[seen] = evidence.claimed[pattern[seen], :, place[seen]] * presence[pattern[seen]]
    spot_phase = np.where(claim.sum(axis=1) >= 0.5, claim.argmax(axis=1), -1)
    return CountFindings(plan, distortion, evidence, posterior, uvw, rotation, off, spot_phase, refused)
