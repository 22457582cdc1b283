"""What is asked of a scan, and what comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from friedel.core.arrays import BoolArray, FloatArray, IntArray
from friedel.core.errors import CalibrationError
from friedel.core.phase_map import PhaseMap
from friedel.core.spots import Spots
from friedel.identify.counts.matching import CountOptions
from friedel.identify.hexagons.lattice import HexagonOptions, Hexagons
from friedel.identify.hexagons.presence import RingEvidence, ring_owners
from friedel.identify.hexagons.rings import HexagonalZone, LearnedRings
from friedel.identify.lattices.zone_map import Distortion, ZoneEvidence
from friedel.identify.lattices.zones import ZoneOptions, ZoneTemplate
from friedel.nets.denoise import ScanDenoiser
from friedel.patterns.survey import Survey
from friedel.pipeline.scans.counts import USUAL_BEAM, CountFindings
from friedel.spots.dog import Dog

#: Share of spots that no phase explains from which on the reader is told.
_MANY_UNEXPLAINED = 0.15
#: Share of the hexagons that chance may make of stray spots; in the demo, whose scan holds no other phase, it is 0.1 %.
_CHANCE_HEXAGONS = 0.003
#: Ellipticity of few cameras, which O1 along [001] needs to pass for O3, and what to do about it.
_ELLIPTIC = 0.04
_BENT = "Few cameras do that, and a phase that is not there may bend patterns so: compare with friedel calibrate."
#: Strain of a phase throughout the scan from which on the reader is told.
_TOLD_STRAIN = 0.008


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """How a scan is analysed.

    Parameters
    ----------
    annulus_inv_a
        Ring in which spots are sought, 1/Å; None takes it from the phases.
    template
        "counts": the counts themselves against any orientation of any phase; "hexagon": regular hexagons, classed by
        their radius; "lattice": spots on any zone axis of any phase; "auto": lattices, unless one phase is trigonal or
        hexagonal and all have a six-fold zone; then hexagons where most crystals of a sample lie along such zones, and
        counts where they do not, or the scan is too dim to tell.
    denoise
        "auto": alike neighbours are added up (but none in a single row or column, which may be a list) and the shipped
        network finds the spots, up to the doses for which it was made; "none"; or a network, the name of a shipped one
        or a file NAME.onnx with its card.
    neighbours
        Also make a map in which the four neighbours of each position have a say: a spatial prior, beside presence by
        the evidence of each position alone.
    lookalikes
        Phases of the library that are sought beside the candidates, so that these are not named in their place:
        "auto" takes one with the same layers stacked otherwise and, but for hexagons, up to two of the same elements
        with reflections at the same radii; "none"; or names, with commas.
    detector, hexagon, lattice, counts
        Settings of the steps.
    """

    annulus_inv_a: tuple[float, float] | None = None
    template: Literal["auto", "counts", "hexagon", "lattice"] = "auto"
    denoise: str = "auto"
    neighbours: bool = False
    lookalikes: str = "auto"
    detector: Dog = Dog()  # noqa: RUF009 - frozen
    hexagon: HexagonOptions = HexagonOptions()  # noqa: RUF009 - frozen
    lattice: ZoneOptions = ZoneOptions()  # noqa: RUF009 - frozen
    counts: CountOptions = CountOptions()  # noqa: RUF009 - frozen

    def __post_init__(self) -> None:
        low, high = self.annulus_inv_a or (0.0, 1.0)
        if not 0.0 <= low < high:
            raise CalibrationError(
                f"The annulus must be LO,HI in 1/Å with 0 <= LO < HI, got {low:g},{high:g}. Mend --annulus-inv-a."
            )


@dataclass(frozen=True, slots=True, eq=False)
class HexagonFindings:
    """What the hexagon template found: hexagons, the zones of the candidates, and the rings learned from the scan."""

    hexagons: Hexagons
    zones: tuple[HexagonalZone, ...]
    evidence: RingEvidence
    rings: LearnedRings


@dataclass(frozen=True, slots=True, eq=False)
class LatticeFindings:
    """What the lattice template found.

    Parameters
    ----------
    templates
        Nets that were tried.
    distortion
        Fitted on the phases found, and shared by all patterns.
    evidence
        Best grain of each phase at each position.
    refused
        A distortion too far from the calibration to be believed; the phases were then sought without.
    """

    templates: tuple[ZoneTemplate, ...]
    distortion: Distortion
    evidence: ZoneEvidence
    refused: Distortion | None = None

    @property
    def uvw(self) -> IntArray:
        """Zone axis of the best grain of each phase (n, P, 3)."""
        return self.evidence.uvw

    @property
    def rotation_deg(self) -> FloatArray:
        """Its in-plane rotation (n, P)."""
        return self.evidence.rotation_deg

    @property
    def spot_phase(self) -> IntArray:
        """Index of the phase that explains each spot (M,), -1 for none."""
        return self.evidence.spot_phase


@dataclass(frozen=True, slots=True, eq=False)
class SmoothedMap:
    """A phase map in which neighbours have had a say.

    Parameters
    ----------
    phase_map
        Presence with the say of neighbours.
    strength
        Log odds that a neighbour of the same phases adds, at most.
    """

    phase_map: PhaseMap
    strength: float


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
    denoiser
        What found the spots together with the detector; None if the detector alone did.
    smoothed
        The map with the say of neighbours, where that was asked for.
    lookalikes
        Names of the phases that were sought beside those of the map.
    is_lookalike
        Where one of those is likely (ry, rx), beside a phase of the map or alone.
    """

    phase_map: PhaseMap
    survey: Survey
    spots: Spots
    annulus_inv_a: tuple[float, float]
    found: HexagonFindings | LatticeFindings | CountFindings
    warnings: tuple[str, ...]
    denoiser: ScanDenoiser | None = None
    smoothed: SmoothedMap | None = None
    lookalikes: tuple[str, ...] = ()
    is_lookalike: BoolArray | None = None


def scan_warnings(
    survey: Survey,
    spots: Spots,
    found: HexagonFindings | LatticeFindings | CountFindings,
    mask: BoolArray | None,
    names: tuple[str, ...],
    *,
    stored_relative_sigma: float,
    n_of_lookalikes: int = 0,
) -> tuple[str, ...]:
    """Say, each once, what a reader of the map should know.

    ``names`` are those of the candidate phases; ``stored_relative_sigma`` is that of the scale before it was fitted. Of
    the spots, or hexagons, that no candidate explains a look-alike explains ``n_of_lookalikes``.
    """
    out = _about_data(survey, mask)
    if not len(spots):
        out.append("No spot stands out in any pattern. Check --step-inv-a and --annulus-inv-a; more dose may help.")
    if isinstance(found, HexagonFindings):
        out += _about_hexagons(found, names, n_of_lookalikes, has_spots=len(spots) > 0)
        scale = found.rings.scale
    else:
        out += _about_fit(found, len(spots), n_of_lookalikes)
        if isinstance(found, CountFindings):
            out += _about_counts(found, survey)
        if found.distortion.anisotropy > 0.01:
            doubt = f" {_BENT}" if found.distortion.anisotropy > _ELLIPTIC else ""
            out.append(
                f"The patterns are elliptic by {100 * found.distortion.anisotropy:.1f} % if these phases are right; "
                f"this was fitted.{doubt}"
            )
        scale = found.distortion.scale
    if abs(scale - 1.0) > 0.01:
        out.append(f"The scale is {100 * (scale - 1.0):+.1f} % off if these phases are right; this was fitted.")
    if abs(scale - 1.0) > max(0.01, 2.5 * stored_relative_sigma):
        out.append("The fitted scale lies at the edge of what the calibration allows; check --step-inv-a.")
    return tuple(out)


def _about_data(survey: Survey, mask: BoolArray | None) -> list[str]:
    """Tell of positions, pixels and the beam."""
    out = []
    wanted = np.ones(survey.valid.shape, dtype=bool) if mask is None else mask
    dark = int((wanted & ~survey.valid).sum())
    if dark:
        out.append(f"{dark} of {int(wanted.sum())} positions hold no counts; they are not valid in the map.")
    if survey.centre.method == "inversion symmetry":
        ky, kx = survey.centre.px
        out.append(
            f"The transmitted beam is hidden or too faint: its place, {ky:.1f},{kx:.1f} px, was found from the "
            "symmetry of the pattern. If the beam is elsewhere, pass --centre KY,KX."
        )
    bad = int((~survey.scan.valid).sum()) if survey.scan.valid is not None else 0
    if bad:
        out.append(f"{bad} detector pixels are dead, hot or masked; they were left out.")
    if survey.n_saturated:
        out.append(
            f"{survey.n_saturated} detector pixels show the largest value in most patterns: they are saturated, and "
            "shares of the light are wrong. Presence that rests on them, as that of O1 and O3, may be too."
        )
    return out


def _about_hexagons(
    found: HexagonFindings, names: tuple[str, ...], n_of_lookalikes: int, *, has_spots: bool
) -> list[str]:
    """Tell of phases that were not looked for, and of hexagons that are no phase's."""
    out = []
    seen = {zone.phase for zone in found.zones}
    unseen = [name for p, name in enumerate(names) if p not in seen]
    if unseen:
        out.append(
            f"No ring of a six-fold zone of {', '.join(unseen)} lies between the radii that were looked at: it is "
            "not sought, and its presence says nothing. Widen --annulus-inv-a, or try --template counts."
        )
    if has_spots and not len(found.hexagons):
        out.append(
            "No pattern holds a hexagon about the beam. Another scale? Check --step-inv-a. Another zone axis? Try "
            "--template lattice."
        )
    off, n = n_unexplained(found) - n_of_lookalikes, len(found.hexagons)
    if off > _CHANCE_HEXAGONS * n:
        out.append(
            f"{off} of {n} hexagons are of none of the candidate phases{_or(n_of_lookalikes)}, by their radius or by "
            f"light at half of it: another phase, or another zone axis, may be present.{_scale_hint(off, n)}"
        )
    return out


def _or(n_of_lookalikes: int) -> str:
    return " or look-alikes" if n_of_lookalikes else ""


def _about_fit(found: LatticeFindings | CountFindings, n_spots: int, n_of_lookalikes: int) -> list[str]:
    """Tell of spots that no phase explains, and of a calibration that was not believed."""
    out = []
    left = n_unexplained(found) - n_of_lookalikes
    if n_spots and left > _MANY_UNEXPLAINED * n_spots:
        hint = _scale_hint(left, n_spots)
        if n_spots > left > n_spots / 2:
            hint += " A few of many spots fit almost any phase: doubt what is named."
        out.append(
            f"{left} of {n_spots} spots are explained by none of the candidate phases{_or(n_of_lookalikes)}.{hint}"
        )
    if found.refused is not None:
        out.append(
            f"The phases would fit if the scale were {100 * (found.refused.scale - 1.0):+.1f} % off and the "
            f"patterns elliptic by {100 * found.refused.anisotropy:.1f} %. That is more than the calibration "
            "allows, and was not applied; if your scale may be that wrong, correct --step-inv-a."
        )
    return out


def _about_counts(found: CountFindings, survey: Survey) -> list[str]:
    """Tell of lattices that the scan has taught, and of a beam energy that had to be taken."""
    out = []
    if found.plan.shared is not None:
        shared = found.plan.shared
        changed = [
            f"{name} {100 * strain:+.1f} %" + (f" and {100 * axial:+.1f} % more along c*" if axial else "")
            for name, strain, axial in zip(found.plan.phases.names, shared.strains, shared.axial, strict=True)
            if max(abs(strain), abs(axial)) > _TOLD_STRAIN
        ]
        if changed:
            out.append(
                f"Reciprocal lattices that differ from the file's: {', '.join(changed)}. Composition or charge "
                "changes a lattice so; so does another phase that looks alike."
            )
    if survey.scan.beam is None:
        out.append(
            f"The file names no beam energy: {USUAL_BEAM.energy_kev:g} keV was taken for the curvature of the "
            "Ewald sphere, which matters little near zone axes. Pass --energy-kev."
        )
    return out


def _scale_hint(unexplained: int, n: int) -> str:
    """Doubt the scale where the phases explain less than half of what was found."""
    return " A wrong scale looks the same: check --step-inv-a." if 2 * unexplained > n else ""


def n_unexplained(found: HexagonFindings | LatticeFindings | CountFindings) -> int:
    """Count the spots that no phase explains, or the hexagons that are of no phase's ring or of another crystal."""
    if not isinstance(found, HexagonFindings):
        return int((found.spot_phase < 0).sum())
    n_phases = 1 + max(zone.phase for zone in found.zones)
    return int((~ring_owners(found.hexagons, found.rings, n_phases).any(axis=1)).sum())
