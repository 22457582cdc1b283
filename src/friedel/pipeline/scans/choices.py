"""What the phases and the scan itself decide: template, annulus, spot width."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from friedel.core.errors import CalibrationError
from friedel.core.images import PatternScan
from friedel.crystal import PhaseSet, reflections
from friedel.identify.hexagons.rings import HexagonalZone, hexagonal_zones
from friedel.nets.cards import DEFAULT_WEIGHTS
from friedel.nets.denoise import ScanDenoiser
from friedel.nets.inference import load_network
from friedel.patterns.survey import Survey, sample_patterns
from friedel.pipeline.scans.result import ScanOptions
from friedel.spots.dog import Dog, filter_stack, measure_spot_sigma

Template = Literal["counts", "hexagon", "lattice"]

#: Electrons per pattern up to which alike neighbours are added up.
NEIGHBOURS_BELOW = 600.0
#: No camera takes up what is diffracted farther out, in 1/Å: at 300 kV this is 160 mrad, at 60 kV 390 mrad.
_FARTHEST_INV_A = 8.0
#: Lattices and counts judge false alarms themselves, so that fainter spots may be offered to them than to hexagons.
_FAINT_SPOTS = 10.0


def choose_template(phases: PhaseSet, options: ScanOptions) -> Template:
    """Choose between hexagons and lattices by the phases, where the options leave it open.

    Hexagons are for layered crystals and what mimics them: at least one phase is trigonal or hexagonal, and every
    phase has a six-fold zone (cubic ones along [111]). Whether the crystals of a scan lie along these is for the scan
    to tell.
    """
    if options.template != "auto":
        return options.template
    return "hexagon" if all_six_fold(phases) else "lattice"


def all_six_fold(phases: PhaseSet) -> bool:
    """Whether hexagons suit these phases: one is trigonal or hexagonal, and all have a six-fold zone."""
    if not any(crystal.is_hexagonal for crystal in phases.crystals):
        return False
    six_fold = {zone.phase for zone in hexagonal_zones(phases, (0.05, 1.5))}
    return len(six_fold) == len(phases.crystals)


def annulus_of_phases(scan: PatternScan, phases: PhaseSet, template: Template) -> tuple[float, float]:
    """Ring (1/Å) that holds the reflections by which the phases are told apart, within the detector.

    Hexagons: from 0.85 times the smallest to 1.15 times the largest first ring of the phases' six-fold zones.
    Lattices and counts: from 0.85 times the smallest reflection to the edge of the detector.

    Raises
    ------
    CalibrationError
        If the scale, the centre or the phases leave no such ring.
    """
    ky, kx = scan.pattern_shape
    centre_y, centre_x = scan.grid.centre_px
    reach_px = min(centre_y, centre_x, ky - 1 - centre_y, kx - 1 - centre_x)
    edge = 0.98 * reach_px * min(scan.grid.step_inv_a)
    if edge <= 0:
        raise CalibrationError(f"The centre {scan.grid.centre_px} lies outside the pattern {ky} x {kx}. Pass --centre.")
    if edge > _FARTHEST_INV_A:
        raise CalibrationError(
            f"The pattern reaches to {edge:.3g} 1/Å, farther than any camera. Check --step-inv-a: 1/nm taken for 1/Å? "
            "If it is right, pass --annulus-inv-a LO,HI."
        )
    if template == "hexagon":
        zones = hexagonal_zones(phases, (0.05, edge))
        first = [float(zone.radius_inv_a[0]) for zone in zones]
    else:
        tables = [reflections(crystal, 0.8, min_relative_f2=0.05) for crystal in phases.crystals]
        first = [float(table.radius_inv_a.min()) for table in tables if len(table)]
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


def zones_beside_counts(
    scan: PatternScan, phases: PhaseSet, annulus_inv_a: tuple[float, float]
) -> tuple[tuple[HexagonalZone, ...], tuple[float, float]]:
    """Six-fold zones whose rings are weighed with counts, and the ring (1/Å) of their hexagons, within that of counts.

    There are none unless every phase has one there: light that cannot be seen tells against no phase.
    """
    if not all_six_fold(phases):
        return (), annulus_inv_a
    try:
        low, high = annulus_of_phases(scan, phases, "hexagon")
    except CalibrationError:
        return (), annulus_inv_a
    ring = max(low, annulus_inv_a[0]), min(high, annulus_inv_a[1])
    zones = hexagonal_zones(phases, ring)
    return (zones if len({zone.phase for zone in zones}) == len(phases.crystals) else ()), ring


def choose_denoiser(survey: Survey, options: ScanOptions) -> ScanDenoiser | None:
    """Load the network that is asked for; "auto" takes the shipped one up to the dose for which it was made.

    Neighbours are added up below ``NEIGHBOURS_BELOW`` electrons per pattern: more light needs no help from others.

    Raises
    ------
    WeightsError, CorruptFileError
        If the network cannot be had.
    """
    if options.denoise == "none":
        return None
    network = load_network(DEFAULT_WEIGHTS if options.denoise == "auto" else options.denoise)
    if options.denoise == "auto" and survey.electrons > network.card.preprocessing.max_electrons:
        return None
    return ScanDenoiser.of(survey, network, neighbours=survey.electrons < NEIGHBOURS_BELOW)


def tuned_detector(survey: Survey, options: ScanOptions, annulus: tuple[float, float], template: Template) -> Dog:
    """Give the detector the width of the spots, and lattices a lower threshold."""
    detector = options.detector
    if template != "hexagon":
        detector = replace(detector, max_false_alarms=_FAINT_SPOTS * detector.max_false_alarms)
    if detector.sigma_inv_a is not None:
        return detector
    step = float(np.mean(survey.scan.grid.step_inv_a))
    valid, gain = survey.scan.valid, survey.gain
    detector = replace(detector, sigma_inv_a=survey.spot_sigma_px * step)
    sample = sample_patterns(survey.scan)[:128]
    response = filter_stack(sample, detector, survey.scan.grid, gain=gain, valid=valid)
    return replace(detector, sigma_inv_a=measure_spot_sigma(response, annulus, valid=valid) * step)
