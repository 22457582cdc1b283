"""The road of a 4D-STEM scan: survey, spots, lattices, phases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, Literal, Protocol

import numpy as np

from friedel.core.arrays import AnyArray, BoolArray, FloatArray
from friedel.core.blocks import map_patterns, row_blocks
from friedel.core.errors import CalibrationError, DataError
from friedel.core.grids import ReciprocalGrid
from friedel.core.images import PatternScan
from friedel.core.phase_map import PhaseMap
from friedel.core.spots import Spots
from friedel.crystal import PhaseSet, reflections
from friedel.identify.hexagon import HexagonOptions, Hexagons, fit_hexagons
from friedel.identify.hexagon_presence import RING_TOLERANCE, RingEvidence, measure_rings, presence_from_rings
from friedel.identify.rings import HexagonalZone, LearnedRings, hexagonal_zones, learn_rings
from friedel.identify.zone_map import Distortion, ZoneEvidence, fit_distortion, match_scan
from friedel.identify.zones import ZoneOptions, ZoneTemplate, build_templates
from friedel.patterns.survey import Survey, sample_patterns, survey_scan
from friedel.spots.dog import Dog, filter_stack, find_spots, measure_spot_sigma

Progress = Callable[[str, int, int], None]
Template = Literal["hexagon", "lattice"]

#: A lattice judges false alarms itself, so that fainter spots may be offered to it than to the hexagon.
_FAINT_SPOTS = 10.0
#: Share of spots that no phase explains from which on the reader is told.
_MANY_UNEXPLAINED = 0.15


class BlockStore(Protocol):
    """Where results of blocks are kept, so that an interrupted run can go on."""

    def finished_blocks(self) -> frozenset[int]:
        """First rows of the blocks that are done."""
        ...

    def save_block(self, first_row: int, arrays: dict[str, AnyArray]) -> None:
        """Keep one block."""
        ...

    def load_block(self, first_row: int) -> dict[str, AnyArray]:
        """Return one block."""
        ...


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """How a scan is analysed.

    Parameters
    ----------
    annulus_inv_a
        Ring in which spots are sought, 1/Å; None takes it from the phases.
    template
        "hexagon": regular hexagons, classed by their radius; "lattice": any zone axis of any phase; "auto": hexagons
        if every phase is trigonal or hexagonal.
    detector, hexagon, lattice
        Settings of the steps.
    """

    annulus_inv_a: tuple[float, float] | None = None
    template: Literal["auto", "hexagon", "lattice"] = "auto"
    detector: Dog = Dog()  # noqa: RUF009 - frozen
    hexagon: HexagonOptions = HexagonOptions()  # noqa: RUF009 - frozen
    lattice: ZoneOptions = ZoneOptions()  # noqa: RUF009 - frozen


@dataclass(frozen=True, slots=True, eq=False)
class HexagonFindings:
    """What the hexagon template found: hexagons, the zones of the candidates, and the rings learned from the scan."""

    hexagons: Hexagons
    zones: tuple[HexagonalZone, ...]
    evidence: RingEvidence
    rings: LearnedRings


@dataclass(frozen=True, slots=True, eq=False)
class LatticeFindings:
    """What the lattice template found: templates, the common distortion, and the best grain of each phase."""

    templates: tuple[ZoneTemplate, ...]
    distortion: Distortion
    evidence: ZoneEvidence


@dataclass(frozen=True, slots=True, eq=False)
class ScanResult:
    """A mapped scan.

    Parameters
    ----------
    phase_map
        Presence of each phase at each position.
    survey
        Centre, virtual images; its scan has the fitted calibration.
    spots
        Spots of every position in the fitted calibration, relative to the position's own beam.
    annulus_inv_a
        Ring in which they were sought.
    found
        Findings of the template that was used.
    warnings
        What the user should know.
    """

    phase_map: PhaseMap
    survey: Survey
    spots: Spots
    annulus_inv_a: tuple[float, float]
    found: HexagonFindings | LatticeFindings
    warnings: tuple[str, ...]


def analyse_scan(
    scan: PatternScan,
    phases: PhaseSet,
    options: ScanOptions,
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
    template = choose_template(phases, options)
    annulus = options.annulus_inv_a or annulus_of_phases(scan, phases, template)
    survey = survey_scan(
        scan, annulus_inv_a=annulus, fit_centre=fit_centre, executor=executor, progress=partial(progress, "survey")
    )
    if mask is not None:
        survey = replace(survey, valid=survey.valid & mask)
    detector = _tuned_detector(survey, options, annulus, template)
    zones = hexagonal_zones(phases, annulus) if template == "hexagon" else ()
    blocks = _run_blocks(survey, detector, zones, options, annulus, seed, store, executor, progress)
    spots = _join_spots(blocks, scan.scan_shape)
    finish = _finish_hexagons if template == "hexagon" else _finish_lattices
    found, presence, survey, spots = finish(
        blocks, survey, spots, phases, zones, options, annulus, executor, partial(progress, "phases")
    )
    shape = (*scan.scan_shape, len(phases.crystals))
    presence = np.where(survey.valid[..., None], presence.reshape(shape), 0.0)
    names = tuple(crystal.name for crystal in phases.crystals)
    phase_map = PhaseMap(names, np.clip(presence, 0, 1).astype(np.float32), survey.valid, scan.scan_grid)
    return ScanResult(phase_map, survey, spots, annulus, found, _warnings(survey, spots, found, mask))


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
    detector = _tuned_detector(survey, options, annulus, "hexagon")
    blocks = _run_blocks(survey, detector, (), options, annulus, 0, None, executor, progress)
    return _join_spots(blocks, scan.scan_shape)


def choose_template(phases: PhaseSet, options: ScanOptions) -> Template:
    """Choose between hexagons and lattices where the options leave it open."""
    if options.template != "auto":
        return options.template
    return "hexagon" if all(crystal.is_hexagonal for crystal in phases.crystals) else "lattice"


def annulus_of_phases(scan: PatternScan, phases: PhaseSet, template: Template) -> tuple[float, float]:
    """Ring (1/Å) that holds the reflections by which the phases are told apart, within the detector.

    Hexagons: from 0.85 times the smallest to 1.15 times the largest first ring of the phases' six-fold zones.
    Lattices: from 0.85 times the smallest reflection to the edge of the detector.
    """
    ky, kx = scan.pattern_shape
    centre_y, centre_x = scan.grid.centre_px
    reach_px = min(centre_y, centre_x, ky - 1 - centre_y, kx - 1 - centre_x)
    edge = 0.98 * reach_px * min(scan.grid.step_inv_a)
    if edge <= 0:
        raise CalibrationError(f"The centre {scan.grid.centre_px} lies outside the pattern {ky} x {kx}. Pass --centre.")
    if template == "hexagon":
        zones = hexagonal_zones(phases, (0.05, edge))
        first = [float(zone.radius_inv_a[0]) for zone in zones]
    else:
        first = [float(table.radius_inv_a.min()) for table in _strong_reflections(phases) if len(table.radius_inv_a)]
    if not first:
        raise CalibrationError(
            f"No phase has a {'six-fold zone' if template == 'hexagon' else 'reflection'} within {edge:.3g} 1/Å, where "
            "the pattern ends. Check --step-inv-a, or pass --template lattice and --annulus-inv-a LO,HI."
        )
    high = min(1.15 * max(first), edge) if template == "hexagon" else edge
    low = 0.85 * min(first)
    if low >= high:
        raise CalibrationError(
            f"The first reflections of the phases lie at {min(first):.3g} 1/Å, outside the pattern, which ends at "
            f"{edge:.3g} 1/Å. Check --step-inv-a."
        )
    return low, high


def _strong_reflections(phases: PhaseSet) -> list[Any]:
    return [reflections(crystal, 0.8, min_relative_f2=0.05) for crystal in phases.crystals]


def _tuned_detector(survey: Survey, options: ScanOptions, annulus: tuple[float, float], template: Template) -> Dog:
    """Give the detector the width of the spots, and lattices a lower threshold."""
    detector = options.detector
    if template == "lattice":
        detector = replace(detector, max_false_alarms=_FAINT_SPOTS * detector.max_false_alarms)
    if detector.sigma_inv_a is not None:
        return detector
    step = float(np.mean(survey.scan.grid.step_inv_a))
    valid, gain = survey.scan.valid, survey.gain
    detector = replace(detector, sigma_inv_a=survey.spot_sigma_px * step)
    sample = sample_patterns(survey.scan)[:128]
    response = filter_stack(sample, detector, survey.scan.grid, gain=gain, valid=valid)
    return replace(detector, sigma_inv_a=measure_spot_sigma(response, annulus, valid=valid) * step)


def _run_blocks(
    survey: Survey,
    detector: Dog,
    zones: tuple[HexagonalZone, ...],
    options: ScanOptions,
    annulus: tuple[float, float],
    seed: int,
    store: BlockStore | None,
    executor: Executor | None,
    progress: Progress,
) -> list[dict[str, AnyArray]]:
    """Find spots (and hexagons) in every block of rows, taking what an interrupted run has left."""
    scan = survey.scan
    task = partial(
        _analyse_block,
        grid=scan.grid,
        shift_px=survey.shift_px,
        valid=scan.valid,
        gain=survey.gain,
        detector=detector,
        annulus=annulus,
        zones=zones,
        hexagon=options.hexagon,
        max_scale_error=3.0 * scan.grid.relative_sigma + RING_TOLERANCE,
        seed=seed,
    )
    starts = [start for start, _ in row_blocks(scan)]
    known = store.finished_blocks() if store else frozenset()
    done = {start: store.load_block(start) for start in starts if store and start in known}
    for start, arrays in map_patterns(task, scan, executor=executor, skip=done.keys()):
        if store:
            store.save_block(start, arrays)
        done[start] = arrays
        progress("spots", len(done), len(starts))
    return [done[start] for start in starts]


def _analyse_block(
    start: int,
    patterns: AnyArray,
    *,
    grid: ReciprocalGrid,
    shift_px: FloatArray,
    valid: BoolArray | None,
    gain: float,
    detector: Dog,
    annulus: tuple[float, float],
    zones: Sequence[HexagonalZone],
    hexagon: HexagonOptions,
    max_scale_error: float,
    seed: int,
) -> dict[str, AnyArray]:
    """Spots of a block of rows, and with zones its hexagons and the light in their rings, as named arrays."""
    stack = patterns.reshape(-1, *patterns.shape[-2:])
    first = start * patterns.shape[1]
    shift = shift_px[first : first + len(stack)]
    response = filter_stack(stack, detector, grid, gain=gain, valid=valid)
    found = find_spots(response, detector, annulus, valid=valid)
    moved = np.repeat(shift * np.asarray(grid.step_inv_a) @ grid.ellipse.T, np.diff(found.offsets), axis=0)
    spots = Spots(found.k_inv_a - moved, found.sigma_inv_a, found.intensity, found.snr, found.offsets, found.scan_shape)
    arrays = _pack("spots", spots)
    if zones:
        hexagons = fit_hexagons(spots, hexagon, annulus, seed=seed, first_index=first)
        evidence = measure_rings(response, shift, hexagons, zones, max_scale_error=max_scale_error)
        arrays |= _pack("hexagons", hexagons) | _pack("evidence", evidence)
    return arrays


def _pack(prefix: str, table: Spots | Hexagons | RingEvidence) -> dict[str, AnyArray]:
    values = {f"{prefix}.{field.name}": getattr(table, field.name) for field in fields(table)}
    return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}


def _columns(blocks: Sequence[dict[str, AnyArray]], prefix: str) -> list[dict[str, AnyArray]]:
    return [
        {name.removeprefix(prefix + "."): value for name, value in block.items() if name.startswith(prefix + ".")}
        for block in blocks
    ]


def _join_spots(blocks: Sequence[dict[str, AnyArray]], scan_shape: tuple[int, int]) -> Spots:
    parts = [Spots(**columns, scan_shape=(len(columns["offsets"]) - 1, 1)) for columns in _columns(blocks, "spots")]
    return Spots.join(parts, scan_shape)


def _finish_hexagons(
    blocks: Sequence[dict[str, AnyArray]],
    survey: Survey,
    spots: Spots,
    phases: PhaseSet,
    zones: tuple[HexagonalZone, ...],
    options: ScanOptions,
    annulus: tuple[float, float],
    executor: Executor | None,
    progress: Callable[[int, int], None],
) -> tuple[HexagonFindings, FloatArray, Survey, Spots]:
    """Learn the rings from all hexagons, then judge each position."""
    hexagons = Hexagons.join([Hexagons(**columns) for columns in _columns(blocks, "hexagons")])
    evidence = RingEvidence.join([RingEvidence(**columns) for columns in _columns(blocks, "evidence")])
    sigma = survey.scan.grid.relative_sigma
    rings = learn_rings(hexagons, zones, relative_sigma=sigma, tolerance=RING_TOLERANCE)
    presence = presence_from_rings(evidence, zones, len(phases.crystals), scale=rings.scale)
    progress(1, 1)
    return HexagonFindings(hexagons, zones, evidence, rings), presence, survey, spots


def _finish_lattices(
    blocks: Sequence[dict[str, AnyArray]],
    survey: Survey,
    spots: Spots,
    phases: PhaseSet,
    zones: tuple[HexagonalZone, ...],
    options: ScanOptions,
    annulus: tuple[float, float],
    executor: Executor | None,
    progress: Callable[[int, int], None],
) -> tuple[LatticeFindings, FloatArray, Survey, Spots]:
    """Fit the distortion that all patterns share, then match every position with every zone axis."""
    templates = build_templates(phases, options.lattice, annulus)
    if not templates:
        raise DataError(
            f"No phase has a zone axis with four reflections between {annulus[0]:.3g} and {annulus[1]:.3g} 1/Å. "
            "Widen --annulus-inv-a, or check --step-inv-a."
        )
    grid = survey.scan.grid
    distortion = fit_distortion(
        spots,
        templates,
        options.lattice,
        annulus,
        relative_sigma=grid.relative_sigma,
        centre_sigma_inv_a=float(np.mean(grid.step_inv_a)),
    )
    spots = distortion.correct(spots)
    evidence = match_scan(
        spots, templates, options.lattice, annulus, len(phases.crystals), executor=executor, progress=progress
    )
    if distortion.n_spots:
        survey = replace(survey, scan=replace(survey.scan, grid=fitted_grid(grid, distortion)))
    return LatticeFindings(templates, distortion, evidence), evidence.presence, survey, spots


def fitted_grid(grid: ReciprocalGrid, distortion: Distortion) -> ReciprocalGrid:
    """Take a fitted distortion into the calibration: scale into the step, the rest into the ellipse and the centre."""
    centre = grid.px_of(distortion.offset_inv_a)
    shape = np.linalg.inv(distortion.matrix) * distortion.scale
    return ReciprocalGrid(
        (grid.step_inv_a[0] / distortion.scale, grid.step_inv_a[1] / distortion.scale),
        (float(centre[0]), float(centre[1])),
        shape @ grid.ellipse,
        grid.rotation_deg,
        "fitted",
        distortion.scale_sigma,
    )


def _warnings(
    survey: Survey, spots: Spots, found: HexagonFindings | LatticeFindings, mask: BoolArray | None
) -> tuple[str, ...]:
    """Say, each once, what a reader of the map should know."""
    out = []
    wanted = np.ones(survey.valid.shape, dtype=bool) if mask is None else mask
    dark = int((wanted & ~survey.valid).sum())
    if dark:
        out.append(f"{dark} of {int(wanted.sum())} positions hold no counts; they are not valid in the map.")
    if survey.centre.method == "inversion symmetry":
        out.append("The transmitted beam is hidden or too faint: its place was found from the symmetry of the pattern.")
    bad = int((~survey.scan.valid).sum()) if survey.scan.valid is not None else 0
    if bad:
        out.append(f"{bad} detector pixels are dead, hot or masked; they were left out.")
    if isinstance(found, HexagonFindings):
        off = _unexplained_hexagons(found)
        if off:
            out.append(
                f"{off} of {len(found.hexagons)} hexagons lie on no ring of the candidate phases: another phase, or "
                "another zone axis, may be present."
            )
        scale, sigma = found.rings.scale, survey.scan.grid.relative_sigma
    else:
        scale, sigma = found.distortion.scale, survey.scan.grid.relative_sigma
        left = int((found.evidence.spot_phase < 0).sum())
        if len(spots) and left > _MANY_UNEXPLAINED * len(spots):
            out.append(f"{left} of {len(spots)} spots are explained by none of the candidate phases.")
        if found.distortion.anisotropy > 0.01:
            out.append(f"The patterns are elliptic by {100 * found.distortion.anisotropy:.1f} %; this was fitted.")
    if abs(scale - 1.0) > max(0.01, 1e-9):
        out.append(f"The scale is {100 * (scale - 1.0):+.1f} % off if these phases are right; this was fitted.")
    if sigma > 0.01 and abs(scale - 1.0) > 2.5 * sigma:
        out.append("The fitted scale lies at the edge of what the calibration allows; check --step-inv-a.")
    return tuple(out)


def _unexplained_hexagons(found: HexagonFindings) -> int:
    """Number of hexagons off all rings by more than the tolerance."""
    rings = found.rings.computed_inv_a * found.rings.scale
    off = np.abs(np.log(found.hexagons.radius_inv_a[:, None] / rings)).min(axis=1, initial=np.inf)
    return int((off > 1.5 * RING_TOLERANCE).sum())
