"""The road of a 4D-STEM scan: survey, spots, lattices, phases."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from friedel.core.arrays import BoolArray, FloatArray
from friedel.core.errors import CalibrationError, DataError
from friedel.core.images import PatternScan
from friedel.core.phase_map import PhaseMap
from friedel.core.spots import Spots
from friedel.crystal import PhaseSet
from friedel.identify.counts.matching import CountOptions
from friedel.identify.counts.presence import posterior_of, sum_over_phases
from friedel.identify.hexagons.rings import hexagonal_zones
from friedel.identify.lattices.zone_map import (
    ZoneEvidence,
    fit_beside,
    fit_distortion,
    fitted_grid,
    match_scan,
    undistorted,
)
from friedel.identify.lattices.zones import build_templates
from friedel.nets.denoise import ScanDenoiser
from friedel.patterns.survey import Survey, sample_patterns, survey_scan
from friedel.pipeline.progress import Arrays, BlockStore, Progress
from friedel.pipeline.scans.blocks import BlockPlan, join_spots, run_blocks
from friedel.pipeline.scans.choices import (
    NEIGHBOURS_BELOW,
    annulus_of_phases,
    choose_denoiser,
    choose_template,
    tuned_detector,
    zones_beside_counts,
)
from friedel.pipeline.scans.counts import (
    CountFindings,
    fit_calibration,
    judge_counts,
    plan_counts,
    strain_phases,
    take_sample,
)
from friedel.pipeline.scans.joined import are_along, join_evidence, judge_hexagons, presence_of_hexagons
from friedel.pipeline.scans.lookalikes import Findings, are_likely, asked_alone, lookalike_warnings, sought_phases
from friedel.pipeline.scans.neighbours import with_neighbours
from friedel.pipeline.scans.result import (
    LatticeFindings,
    ScanOptions,
    ScanResult,
    n_unexplained,
    scan_warnings,
)

#: A fit that strays further from the calibration, in prior standard deviations, makes the crystal fit the pattern.
_MAX_STRAIN = 2.0
#: Patterns on which counts are tried before hexagons are taken, with these templates; the share of the crystals found
#: that must lie along six-fold zones; the least share of patterns with a crystal, and how many spots make one.
_TRIED, _COARSE, _MOST = 48, CountOptions(spacing_deg=4.0, per_phase=6), 0.5
_LEAST_CRYSTALS, _SPOTS = 0.05, 3

#: Does the work of a plan in every block of a surveyed scan.
RunBlocks = Callable[[Survey, BlockPlan], list[Arrays]]


def analyse_scan(
    scan: PatternScan,
    phases: PhaseSet,
    options: ScanOptions | None = None,
    *,
    mask: BoolArray | None = None,
    fit_centre: bool = True,
    seed: int = 0,
    store: BlockStore | None = None,
    executor: Executor | None = None,
    progress: Progress = lambda step, done, total: None,
) -> ScanResult:
    """Map the phases of a scan.

    Parameters
    ----------
    mask
        Positions of interest (ry, rx); the others are not valid in the map.
    fit_centre
        False keeps the calibration's centre.
    store
        Keeps blocks for resuming.

    Raises
    ------
    CalibrationError, DataError
        If the annulus, the phases or the data cannot give a map; the message says what to change.
    """
    options = options or ScanOptions()
    template = choose_template(phases, options)
    if options.template == "auto" and template == "hexagon" and not lies_along_zones(scan, phases, options, fit_centre):
        template = "counts"
    sought = sought_phases(phases, options, template)
    annulus = options.annulus_inv_a or annulus_of_phases(scan, sought, template)
    survey = survey_scan(
        scan, annulus_inv_a=annulus, fit_centre=fit_centre, executor=executor, progress=partial(progress, "survey")
    )
    if mask is not None:
        survey = replace(survey, valid=survey.valid & mask)
    detector, denoiser = tuned_detector(survey, options, annulus, template), choose_denoiser(survey, options)
    plan = BlockPlan(detector, annulus, hexagon=options.hexagon, denoiser=denoiser, seed=seed)
    run = partial(run_blocks, store=store, executor=executor, progress=progress)
    if template == "counts":
        zones, ring = zones_beside_counts(scan, phases, annulus)
        plan = replace(plan, zones=zones, ring_annulus_inv_a=ring)
        judged = _judge_counts(survey, phases, sought, options, plan, run)
    elif template == "hexagon":
        judged = _judge_hexagons(survey, phases, sought, plan, run)
    else:
        match = partial(match_scan, executor=executor, progress=partial(progress, "phases"))
        judged = _judge_lattices(survey, phases, sought, options, plan, run, match)
    result = _result(scan, judged, phases, sought, annulus, mask, denoiser)
    return with_neighbours(result, seed, progress=partial(progress, "neighbours")) if options.neighbours else result


def lies_along_zones(scan: PatternScan, phases: PhaseSet, options: ScanOptions, fit_centre: bool) -> bool:
    """Whether most crystals in a sample of the scan lie along six-fold zones, where hexagons find them.

    The sample is mapped by counts, with coarse templates and without a network. Where that finds hardly any crystal
    with a few spots, light decides: a bright scan holds few crystals and counts as along the zones, as does one that
    cannot be tried. A dim one may hold crystals of any orientation that appear only where its map adds up neighbours,
    which a sample has not, and does not count so.
    """
    patterns = sample_patterns(scan)
    rows = np.linspace(0, len(patterns) - 1, min(_TRIED, len(patterns))).astype(int)
    sample = replace(scan, data=patterns[rows][:, None], scan_grid=None)
    tried = replace(options, template="counts", denoise="none", neighbours=False, counts=_COARSE)
    try:
        found = analyse_scan(sample, phases, tried, fit_centre=fit_centre)
    except (CalibrationError, DataError):
        return True
    assert isinstance(found.found, CountFindings)
    evidence = found.found.evidence
    named = (found.phase_map.presence[:, 0] >= 0.5) & (evidence.claimed.sum(axis=2) >= _SPOTS)
    crystals = named.any(axis=1)
    if crystals.sum() < _LEAST_CRYSTALS * len(crystals):
        return found.survey.electrons >= NEIGHBOURS_BELOW
    return bool(are_along(evidence, phases, hexagonal_zones(phases, found.annulus_inv_a))[crystals].mean() >= _MOST)


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    """What a template makes of a scan: presence (n, P) of all that was sought, and the calibration that it found."""

    survey: Survey
    presence: FloatArray
    spots: Spots
    found: Findings


def _judge_counts(
    survey: Survey, phases: PhaseSet, sought: PhaseSet, options: ScanOptions, plan: BlockPlan, run: RunBlocks
) -> _Judged:
    """Fit the distortion that all patterns share on a sample, then score the counts of every position.

    It is fitted on the phases asked for, as their lattices are: a wrong scale could make a look-alike of each of them.
    Where the plan names six-fold zones, hexagons are sought as well, and their rings are weighed with the rest.
    """
    scan, refused = survey.scan, None
    counts = plan_counts(scan, phases, plan.annulus_inv_a, options.counts, plan.detector)
    sample = take_sample(survey, counts, plan.detector)
    distortion = fit_calibration(sample, counts, sought)
    if distortion.strain(scan.grid.relative_sigma) > _MAX_STRAIN:
        refused, distortion = distortion, undistorted(scan.grid.relative_sigma)
    survey = replace(survey, scan=replace(scan, grid=fitted_grid(scan.grid, distortion)))
    counts = strain_phases(sample, counts, distortion).beside(sought)
    blocks = run(survey, replace(plan, counts=counts))
    spots = join_spots(blocks, scan.scan_shape)
    hexagons = judge_hexagons(blocks, plan.zones, scan.grid.relative_sigma) if plan.zones else None
    evidence = join_evidence(blocks, phases, hexagons)
    posterior = posterior_of(evidence, sought.priors)
    found = judge_counts(counts, evidence, posterior, spots, distortion, refused)
    return _Judged(survey, sum_over_phases(posterior), spots, found)


def _judge_hexagons(survey: Survey, phases: PhaseSet, sought: PhaseSet, plan: BlockPlan, run: RunBlocks) -> _Judged:
    """Find hexagons, and score the phases by the light in the rings of their zones."""
    zones, (low, high) = hexagonal_zones(sought, plan.annulus_inv_a), plan.annulus_inv_a
    if not any(zone.phase < len(phases) for zone in zones):
        raise CalibrationError(
            f"No phase has a ring of a six-fold zone between {low:.3g} and {high:.3g} 1/Å. "
            "Widen --annulus-inv-a, or pass --template lattice."
        )
    blocks = run(survey, replace(plan, zones=zones))
    found = judge_hexagons(blocks, zones, survey.scan.grid.relative_sigma)
    return _Judged(survey, presence_of_hexagons(found, sought), join_spots(blocks, survey.scan.scan_shape), found)


def _judge_lattices(
    survey: Survey, phases: PhaseSet, sought: PhaseSet, options: ScanOptions, plan: BlockPlan, run: RunBlocks,
    match: Callable[..., ZoneEvidence],
) -> _Judged:  # fmt: skip
    """Fit the distortion that all patterns share, then match all positions and zone axes.

    It is fitted to the phases asked for, unless all that is sought explains as much with a rounder one.
    """
    grid, annulus, refused = survey.scan.grid, plan.annulus_inv_a, None
    spots = join_spots(run(survey, plan), survey.scan.scan_shape)
    templates = build_templates(sought, options.lattice, annulus)
    asked = tuple(template for template in templates if template.phase < len(phases))
    if not asked:
        raise DataError(
            f"No phase has a zone axis with four reflections between {annulus[0]:.3g} and {annulus[1]:.3g} 1/Å. "
            "Widen --annulus-inv-a, or check --step-inv-a."
        )
    errors = {"relative_sigma": grid.relative_sigma, "centre_sigma_inv_a": float(np.mean(grid.step_inv_a))}
    distortion = fit_distortion(spots, asked, options.lattice, annulus, **errors)
    if len(sought) > len(phases):
        distortion = fit_beside(distortion, spots, templates, options.lattice, annulus, **errors)
    if distortion.strain(grid.relative_sigma) > _MAX_STRAIN:
        refused, distortion = distortion, undistorted(grid.relative_sigma)
    spots = distortion.correct(spots)
    evidence = match(spots, templates, options.lattice, annulus, len(sought))
    survey = replace(survey, scan=replace(survey.scan, grid=fitted_grid(grid, distortion)))
    return _Judged(survey, evidence.presence, spots, LatticeFindings(templates, distortion, evidence, refused))


def _result(
    scan: PatternScan, judged: _Judged, phases: PhaseSet, sought: PhaseSet, annulus: tuple[float, float],
    mask: BoolArray | None, denoiser: ScanDenoiser | None,
) -> ScanResult:  # fmt: skip
    """Lay the presence of the phases asked for out as a map, and say what its reader should know."""
    n, found, survey = len(phases), asked_alone(judged.found, phases), judged.survey
    shown = np.where(survey.valid[..., None], judged.presence[:, :n].reshape(*scan.scan_shape, n), 0.0)
    warnings = (
        *scan_warnings(
            survey,
            judged.spots,
            found,
            mask,
            phases.names,
            stored_relative_sigma=scan.grid.relative_sigma,
            n_of_lookalikes=n_unexplained(found) - n_unexplained(judged.found),
        ),
        *lookalike_warnings(sought, n, judged.presence, survey.valid),
    )
    phase_map = PhaseMap(phases.names, np.clip(shown, 0, 1).astype(np.float32), survey.valid, scan.scan_grid)
    beside = np.asarray(are_likely(judged.presence, n).any(axis=1)).reshape(scan.scan_shape)
    return ScanResult(
        phase_map, survey, judged.spots, annulus, found, warnings, denoiser, lookalikes=sought.names[n:],
        is_lookalike=beside,
    )  # fmt: skip


def find_scan_spots(
    scan: PatternScan,
    options: ScanOptions,
    *,
    executor: Executor | None = None,
    progress: Progress = lambda step, done, total: None,
) -> Spots:
    """Find the spots of every position in ``options.annulus_inv_a``, relative to the position's own beam."""
    annulus = options.annulus_inv_a
    if annulus is None:
        raise CalibrationError("Without phases the annulus must be named. Pass --annulus-inv-a LO,HI.")
    survey = survey_scan(scan, annulus_inv_a=annulus, executor=executor, progress=partial(progress, "survey"))
    detector, denoiser = tuned_detector(survey, options, annulus, "hexagon"), choose_denoiser(survey, options)
    plan = BlockPlan(detector, annulus, denoiser=denoiser)
    return join_spots(run_blocks(survey, plan, store=None, executor=executor, progress=progress), scan.scan_shape)
