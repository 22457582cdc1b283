"""From a micrograph to its components, and to a map of where each phase is."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from friedel.core.arrays import BoolArray, Float32Array, FloatArray
from friedel.core.errors import CalibrationError, DataError
from friedel.core.grids import RealGrid
from friedel.core.images import Micrograph, Pattern
from friedel.core.phase_map import PhaseMap
from friedel.core.spots import Spots
from friedel.crystal import PhaseSet, reflections
from friedel.identify.grains.evidence import LogGain
from friedel.identify.grains.fringe_maps import (
    LEAST_RADIUS_INV_A,
    FringeOptions,
    Progress,
    fringe_maps,
    grain_masks,
    phase_amplitude,
    presence_of,
)
from friedel.identify.grains.naming import GrainMatch, NamingOptions, name_spots
from friedel.identify.grains.spacings import UNKNOWN
from friedel.identify.grains.table import Component, tabulate
from friedel.identify.grains.watershed import WatershedOptions
from friedel.nets.segmenter import SEGMENTER, SegmentDetector, load_segmenter
from friedel.patterns.diffractogram import FftOptions, diffractogram_and_outliers
from friedel.patterns.masks import HOLE_PX
from friedel.simulate.micrographs.optics import Optics, phase_contrast
from friedel.spots.cfar import Cfar
from friedel.spots.detector import SpotDetector
from friedel.spots.noise_floor import noise_floor

#: Longest side of a map; larger micrographs are mapped on a coarser grid.
MAP_SIDE_PX = 1024
#: A phase less than this many times as probable as another leaves a spot undecided between the two; it can then give
#: each of them this presence at most.
CLEAR_LEAD, UNDECIDED = 3.0, 0.49
#: Least distance from the centre that is searched, in pixels of the diffractogram.
LEAST_RADIUS_PX = 8.0
#: Power that is transferred at a zero of the transfer function: astigmatism and a wrong defocus fill it.
LEAST_TRANSFER = 0.02


@dataclass(frozen=True, slots=True)
class ComponentOptions:
    """Settings of ``map_micrograph``.

    Parameters
    ----------
    fft
        Window and outliers of the diffractogram.
    detector
        Of spots: "cfar", or "net", the network ``segmenter``. "auto" is "cfar", which promises how many false spots
        there are; docs/bench/segmenter.md compares them.
    segmenter
        A shipped network, or a file NAME.onnx with its card.
    false_alarms, max_spots
        See ``Cfar``.
    naming
        Tolerances and priors of the names.
    optics
        Lens and defocus, where they are known: a reflection that the transfer function hides is then not missed.
    watershed
        How amplitudes are cut into regions; lengths in pixels of the map.
    mask_radius_inv_a
        Radius of the Bragg mask in 1/Å; the map resolves about its inverse.
    d_min_a
        Shortest spacing searched, Å.
    """

    fft: FftOptions = field(default_factory=FftOptions)
    detector: Literal["auto", "cfar", "net"] = "auto"
    segmenter: str = SEGMENTER
    false_alarms: float = 0.1
    max_spots: int = 150
    naming: NamingOptions = field(default_factory=NamingOptions)
    optics: Optics | None = None
    watershed: WatershedOptions = field(default_factory=WatershedOptions)
    mask_radius_inv_a: float = 0.045
    d_min_a: float = 1.0

    def __post_init__(self) -> None:
        if not LEAST_RADIUS_INV_A <= self.mask_radius_inv_a <= 0.5:
            raise DataError(f"mask_radius_inv_a must lie in [0.012, 0.5] 1/Å, got {self.mask_radius_inv_a}.")
        if not self.d_min_a > 0:
            raise DataError(f"d_min_a must be positive in Å, got {self.d_min_a}.")


@dataclass(frozen=True, slots=True, eq=False)
class MicrographResult:
    """What a micrograph shows.

    Parameters
    ----------
    pattern, spots, match
        Diffractogram, its spots (one of each Friedel pair), and their grains and phases.
    components
        One row per phase and family, strongest first; unknown and ambiguous groups have rows as well.
    amplitude
        (y, x, P) float32: amplitude of each phase's fringes, root of the sum of squares over spots, each weighed by
        the probability that it belongs to the phase; in the unit of the micrograph.
    phase_map
        Presence (y, x, P): the largest, over the grains whose fringes are seen at a position, of the probability that
        the grain is of the phase.
    regions
        Where (y, x) the fringes of each grain are seen, (G,).
    step_px
        Pixels of the micrograph for one of the map.
    warnings
        What the reader must know, in sentences.
    network
        Name and version of the network that found the spots; None where none did.
    """

    pattern: Pattern
    spots: Spots
    match: GrainMatch
    components: tuple[Component, ...]
    amplitude: Float32Array
    phase_map: PhaseMap
    regions: tuple[BoolArray, ...]
    step_px: int
    warnings: tuple[str, ...]
    network: str | None = None


def map_micrograph(
    micrograph: Micrograph,
    phases: PhaseSet,
    options: ComponentOptions | None = None,
    *,
    detector: SpotDetector | None = None,
    progress: Progress | None = None,
) -> MicrographResult:
    """Find which phases a micrograph shows, and where.

    Diffractogram, spots, spacings matched with one shared scale error, one Bragg-filtered amplitude and mask per
    spot, spots that share a place named together. Where the spacings fit several phases, the result says so.

    Parameters
    ----------
    detector
        Finds the spots; None takes that of the options.
    progress
        Called with a step's name, what is done and the total.

    Raises
    ------
    CalibrationError
        If the pixel size leaves no spacing between ``d_min_a`` and the longest of the phases to be seen.
    """
    options = options or ComponentOptions()
    tell = progress or (lambda step, done, total: None)
    tell("diffractogram", 0, 1)
    pattern, n_outliers = diffractogram_and_outliers(micrograph, options.fft)
    annulus = search_annulus(pattern, phases, options.d_min_a)
    tell("spots", 0, 1)
    finder = detector or spot_detector(options)
    spots = finder.find(pattern, annulus)
    step_px = max(1, math.ceil(max(micrograph.shape) / MAP_SIDE_PX))
    how = FringeOptions(options.mask_radius_inv_a, step_px, options.fft.outlier_sigmas, options.watershed)
    maps = fringe_maps(micrograph, pattern, spots, how, tell)
    gain = log_gain(pattern, options.optics)
    match = name_spots(spots, maps.mask, phases, annulus, pattern.grid.relative_sigma, gain, options.naming)
    regions = grain_masks(maps, match.grains, options.watershed)
    amplitude = phase_amplitude(maps, match.posterior)
    presence = presence_of(regions, with_doubt(match.grain_posterior), maps.shape)
    pixel_nm2 = math.prod(micrograph.grid.step_a) * step_px**2 / 100
    areas_nm2 = np.array([regions[g].sum() * pixel_nm2 for g in match.grains])
    step_a = micrograph.grid.step_a
    grid = RealGrid((step_a[0] * step_px, step_a[1] * step_px), micrograph.grid.source, micrograph.grid.relative_sigma)
    phase_map = PhaseMap(phases.names, presence, np.ones(presence.shape[:2], dtype=bool), grid)
    components = tabulate(pattern, spots, match, areas_nm2)
    warnings = _warnings(micrograph, match, n_outliers, len(spots) >= options.max_spots)
    card = finder.segmenter.card if isinstance(finder, SegmentDetector) else None
    return MicrographResult(
        pattern, spots, match, components, amplitude, phase_map, tuple(regions), step_px, warnings,
        f"{card.name} {card.version}" if card else None,
    )  # fmt: skip


def spot_detector(options: ComponentOptions) -> SpotDetector:
    """Make the detector that the options ask for.

    Raises
    ------
    WeightsError, CorruptFileError
        If the network is asked for and cannot be used.
    """
    if options.detector == "net":
        return SegmentDetector(load_segmenter(options.segmenter), options.fft.window, options.max_spots)
    return Cfar(options.false_alarms, options.fft.window, options.max_spots)


def search_annulus(pattern: Pattern, phases: PhaseSet, d_min_a: float) -> tuple[float, float]:
    """Radii in 1/Å between which spots are searched: from a tenth inside the longest spacing to ``d_min_a``.

    Raises
    ------
    CalibrationError
        If the pixels are too coarse, or the field too small, for any spacing between.
    """
    longest = max((float(reflections(c, d_min_a).d_a.max(initial=d_min_a)) for c in phases.crystals), default=10.0)
    inner = max(0.9 / longest, LEAST_RADIUS_PX * max(pattern.grid.step_inv_a))
    nyquist = max(0.5 * n * s for n, s in zip(pattern.shape, pattern.grid.step_inv_a, strict=True))
    outer = min(1 / d_min_a, nyquist)
    if outer <= inner:
        longest_seen = 1 / (LEAST_RADIUS_PX * max(pattern.grid.step_inv_a))
        raise CalibrationError(
            f"This image shows spacings from {1 / nyquist:.3g} to {longest_seen:.3g} Å, and none of the phases' from "
            f"{d_min_a:.3g} to {longest:.3g} Å. Check --pixel-size-a (Å per pixel), or take a larger field."
        )
    return inner, outer


def log_gain(pattern: Pattern, optics: Optics | None) -> LogGain:
    """Expected power over noise for equal structure factors: even where the lens is not known."""
    if optics is None:
        return lambda k_inv_a: np.zeros(len(k_inv_a))
    log_floor = np.log(noise_floor(pattern))

    def gain(k_inv_a: FloatArray) -> FloatArray:
        power = phase_contrast(k_inv_a[:, 0], k_inv_a[:, 1], optics) ** 2
        y, x = np.rint(pattern.grid.px_of(k_inv_a)).astype(int).T
        return np.asarray(np.log(power + LEAST_TRANSFER) - log_floor[y % pattern.shape[0], x % pattern.shape[1]])

    return gain


def with_doubt(posterior: FloatArray) -> FloatArray:
    """Posterior of grains (G, P + 1) for the map: what several phases explain makes none of them present."""
    out = posterior.copy()
    if out.shape[1] > 2:
        second, first = np.sort(out[:, :-1], axis=1)[:, -2:].T
        undecided = first < CLEAR_LEAD * second
        out[undecided, :-1] = np.minimum(out[undecided, :-1], UNDECIDED)
    return out


def words_for_missing(n: int) -> str:
    """Tell of pixels that had no value."""
    return f"{n} pixels are NaN or infinite; their neighbours stand in for them."


def words_for_holes(n: int) -> str:
    """Tell of pixels that had no value and lie together."""
    return f"{n} pixels without a value lie in holes of {HOLE_PX} px or more; these are not valid in the map."


def _warnings(micrograph: Micrograph, match: GrainMatch, n_outliers: int,
              is_full: bool) -> tuple[str, ...]:  # fmt: skip
    """Say what the reader of the result must know."""
    n = len(match.names)
    said = []
    if n == 0:
        said.append(
            "No spot stands out of the noise: the map is empty. Check --pixel-size-a: spots are sought only between "
            "the spacings of the phases. If it is right, more dose or a larger field may help."
        )
    if micrograph.replaced is not None:
        said.append(words_for_missing(int(np.count_nonzero(micrograph.replaced))))
    if n_outliers:
        said.append(f"{n_outliers} pixels far above or below all others were replaced by their neighbours.")
    prior = micrograph.grid.relative_sigma
    if n and abs(match.scale - 1) > 2 * max(match.scale_sigma, 0.5 * prior):
        said.append(
            f"The spacings fit best if the pixel size is multiplied by {match.scale:.4f} ± {match.scale_sigma:.4f}."
        )
    if match.stretch.share > 2 * match.stretch.sigma:
        said.append(
            f"The pixels are not square: lengths differ by {200 * match.stretch.share:.2g} % between directions."
        )
    ambiguous = sum("|" in name for name in match.names)
    if ambiguous:
        said.append(f"{ambiguous} of {n} spots fit several phases: their spacings do not decide which.")
    unknown = sum(name == UNKNOWN for name in match.names)
    if unknown:
        is_doubtful = 2 * unknown > n > unknown + ambiguous
        doubt = " A few of many spots fit almost any phase: doubt what is named." if is_doubtful else ""
        said.append(f"{unknown} of {n} spots fit none of the phases.{doubt}")
    n_twice = int(match.is_twice.sum())
    if n_twice:
        said.append(
            f"{n_twice} of {n} spots lie where their phase has no reflection but sums of two: double diffraction?"
        )
    if is_full:
        said.append(f"Only the {n} most significant spots were kept. Raise max_spots to see all.")
    return tuple(said)
