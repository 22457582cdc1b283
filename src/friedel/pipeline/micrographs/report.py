"""The report of a mapped micrograph."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from friedel.core.grids import RealGrid
from friedel.core.images import Micrograph, Pattern
from friedel.core.phase_map import PhaseMap
from friedel.core.spots import Spots
from friedel.identify.grains.components import MicrographResult
from friedel.identify.grains.naming import GrainMatch
from friedel.identify.grains.spacings import UNKNOWN
from friedel.patterns.radial import radial_peaks, radial_profile, within
from friedel.pipeline.region import Region
from friedel.report.colours import phase_colours
from friedel.report.diffraction import Ring, plot_diffractogram, plot_radial_profile
from friedel.report.html import Picture, Section
from friedel.report.maps import plot_micrograph, plot_phase_map, plot_phase_overlay, plot_presence
from friedel.report.style import png_of
from friedel.report.tables import Table

#: More names than these on one picture cannot be read.
_MOST_LABELS, _MOST_RINGS = 16, 10
#: Decimals of a component's phase, hkl, d measured, its error, d reference, deviation in %, probability and spots.
COMPONENT_DECIMALS = (None, None, 4, 4, 4, 2, 3, None)
#: Positions along the longer side of a picture of a smooth map.
_SCREEN_PX = 512
_BY_CFAR = "constant false-alarm rate against the speckle of the background at the same radius"
_BY_NETWORK = "regions that the network {} marks in the power over the noise, measured on that power"
_METHOD = (
    "FFT: power spectrum of the mean-subtracted, windowed image in floating point. Spots: {found}, on one half of the "
    "spectrum (Friedel's law makes the other half its mirror image). Grains: spots whose fringes fill the same place. "
    "Names: distances, angles, zone and missing reflections of each grain together, one scale error and one share of "
    "unknown matter for all grains, averaged out. Maps: amplitude of the Bragg-filtered image of each spot (one-sided, "
    "so an envelope without fringes), to half of its plateau. Presence is the probability of the grain's name where "
    "its fringes are seen."
)


def micrograph_sections(
    micrograph: Micrograph, region: Region, result: MicrographResult, min_probability: float
) -> list[Section]:
    """Sections of the report: maps, evidence, component table."""
    return [
        _maps(micrograph, region, result, min_probability),
        _evidence(result),
        Section("Components", (_method(result),), tables=(_table(result),)),
    ]


def _method(result: MicrographResult) -> str:
    """Say how the spots were found, named and mapped."""
    return _METHOD.format(found=_BY_CFAR if result.network is None else _BY_NETWORK.format(result.network))


def _maps(micrograph: Micrograph, region: Region, result: MicrographResult, min_probability: float) -> Section:
    pmap = result.phase_map
    whole = region.is_whole(micrograph.shape)
    offset = (float(region.rows[0]), float(region.columns[0]))
    pictures = [
        Picture(
            png_of(plot_phase_overlay(micrograph, pmap, min_probability, offset)),
            f"Phases over the micrograph, where their presence is at least {min_probability:g}.",
            "Micrograph with the phases in colour",
        ),
        Picture(
            png_of(plot_micrograph(micrograph, None if whole else region.outline(micrograph.shape))),
            "The micrograph" + ("." if whole else "; the region of interest is outlined."),
            "Micrograph",
        ),
        Picture(
            png_of(plot_phase_map(_for_screen(pmap), min_probability)),
            "Phase map; the darker, the less sure.",
            "Map of the phases",
        ),
    ]
    small = _for_screen(pmap)
    pictures += [
        Picture(png_of(plot_presence(small, name)), f"Presence of {name}.", f"Presence of {name}")
        for i, name in enumerate(pmap.phases)
        if float(pmap.presence[..., i].max(initial=0.0)) > 0.05
    ]
    return Section("Where each phase is", pictures=tuple(pictures))


def _evidence(result: MicrographResult) -> Section:
    colours = phase_colours(result.phase_map.phases)
    names = result.match.names
    pictures = [
        Picture(
            indexed_png(result.pattern, result.spots, result.match),
            f"FFT with {len(names)} spots, one of each Friedel pair; white: several phases, or none, explain it. "
            "The strongest are named.",
            "Diffractogram with indexed spots",
        )
    ]
    pictures += _profiles(result, colours)
    pictures += _amplitudes(result)
    return Section("What the FFT shows", pictures=tuple(pictures))


def _profiles(result: MicrographResult, colours: dict[str, str]) -> list[Picture]:
    """Draw the radial profile of the spectrum, and that of its spots alone."""
    pattern, spots = result.pattern, result.spots
    marks = [
        Ring(f"{c.phase} {c.hkl}", colours[c.phase], 1.0 / c.d_reference_a)
        for c in result.components
        if c.phase in colours and np.isfinite(c.d_reference_a)
    ][:_MOST_RINGS]
    reach = 1.1 * float(spots.radius_inv_a.max(initial=0.5))
    width = np.maximum(3 * np.hypot(*spots.sigma_inv_a.T), 3 * max(pattern.grid.step_inv_a))
    whole = radial_profile(pattern)
    alone = radial_profile(pattern, inside=within(pattern, spots.k_inv_a, width))
    peaks = radial_peaks(whole, k_min_inv_a=float(spots.radius_inv_a.min(initial=reach)) * 0.9)
    named = ", ".join(f"{1 / k:.3f}" for k in np.sort(peaks.k_inv_a[:_MOST_RINGS]))
    said = f" Its peaks: {named} Å." if named else " No peak of it stands out: the spots are few among many pixels."
    texts = (
        (whole, "Azimuthal mean of the spectrum; dashed, reference spacings of the strongest components with one name."
         + said, "Radial profile of the spectrum"),
        (alone, "The same of the spots alone, all else taken as zero.", "Radial profile of the spots"),
    )  # fmt: skip
    pictures = []
    for profile, text, what in texts:
        inside = (profile.k_inv_a > 0) & (profile.k_inv_a <= reach)
        drawing = plot_radial_profile(profile.k_inv_a[inside], profile.intensity[inside], marks)
        pictures.append(Picture(png_of(drawing), text, what))
    return pictures if len(spots) else pictures[:1]


def _amplitudes(result: MicrographResult) -> list[Picture]:
    """Draw the fringe amplitude of each phase that has some."""
    out = []
    step = _screen_step(result.amplitude.shape[:2])
    grid = result.phase_map.grid or RealGrid((1.0, 1.0))
    grid = RealGrid((grid.step_a[0] * step, grid.step_a[1] * step), grid.source, grid.relative_sigma)
    for i, name in enumerate(result.phase_map.phases):
        amplitude = result.amplitude[::step, ::step, i]
        if float(amplitude.max(initial=0.0)) <= 0.0:
            continue
        ax = plot_micrograph(Micrograph(np.ascontiguousarray(amplitude), grid))
        out.append(Picture(png_of(ax), f"Amplitude of the fringes of {name}.", f"Fringe amplitude of {name}"))
    return out


def _screen_step(shape: tuple[int, ...]) -> int:
    """How many positions of a smooth map make one of its picture."""
    return max(1, max(shape) // _SCREEN_PX)


def _for_screen(pmap: PhaseMap) -> PhaseMap:
    """Thin a phase map out to what a picture shows."""
    step = _screen_step(pmap.presence.shape[:2])
    grid = pmap.grid and RealGrid(
        (pmap.grid.step_a[0] * step, pmap.grid.step_a[1] * step), pmap.grid.source, pmap.grid.relative_sigma
    )
    return replace(pmap, presence=pmap.presence[::step, ::step], valid=pmap.valid[::step, ::step], grid=grid)


def indexed_png(pattern: Pattern, spots: Spots, match: GrainMatch) -> bytes:
    """Draw a diffractogram with its spots in the colours of their phases; white where no single one is named."""
    colours = phase_colours(match.phases)
    strongest = set(np.argsort(-spots.intensity)[:_MOST_LABELS].tolist())
    labels = [_label(match, spots, i) if i in strongest else "" for i in range(len(spots))]
    return png_of(plot_diffractogram(pattern, spots, labels, [colours.get(name, "#ffffff") for name in match.names]))


def _label(match: GrainMatch, spots: Spots, i: int) -> str:
    """Name and indices of a spot, or its spacing where no single phase is named."""
    name = match.names[i]
    if name == UNKNOWN or "|" in name:
        return f"{1 / float(spots.radius_inv_a[i]):.2f} Å"
    hkl = match.best_hkl[i, match.phases.index(name)]
    return f"{name} {' '.join(str(int(h)) for h in hkl)}"


def _table(result: MicrographResult) -> Table:
    header = ("phase", "hkl", "d measured (Å)", "± (Å)", "d reference (Å)", "deviation (%)", "probability", "spots",
              "spot size (px)", "intensity", "area (nm²)")  # fmt: skip
    rows = tuple(
        (c.phase, c.hkl or "–", c.d_measured_a, c.d_sigma_a, c.d_reference_a, c.deviation_percent, c.probability,
         c.n_spots, c.feature_size_px, c.intensity, c.area_nm2)
        for c in result.components
    )  # fmt: skip
    caption = "Components of the image; several names joined by | explain a component equally well."
    return Table(header, rows, caption, decimals=(*COMPONENT_DECIMALS, 1, None, 2))
