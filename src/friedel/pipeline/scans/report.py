"""The report of a mapped scan."""

from __future__ import annotations

import numpy as np

from friedel.core.arrays import AnyArray, FloatArray
from friedel.core.images import Pattern
from friedel.nets.denoise import ScanDenoiser, denoise_scan
from friedel.patterns.radial import radial_profile
from friedel.pipeline.region import Region
from friedel.pipeline.scans.counts import CountFindings
from friedel.pipeline.scans.outlines import outlines_at, own_grid
from friedel.pipeline.scans.result import HexagonFindings, LatticeFindings, ScanResult
from friedel.report.colours import phase_colours
from friedel.report.diffraction import (
    Ring,
    plot_pattern,
    plot_radial_profile,
    plot_radius_histogram,
)
from friedel.report.html import Picture, Section
from friedel.report.maps import plot_phase_map, plot_presence, plot_virtual_image
from friedel.report.style import png_of
from friedel.report.tables import Table, mixture_table

#: Positions shown at most, and of how many the denoised pattern is shown as well.
_MAX_EXAMPLES, _MAX_DENOISED = 6, 4
_HEXAGON_METHOD = (
    "Hexagons: two spots define a regular hexagon about the beam; vertices within a tolerance are matched (RANSAC, "
    "after Lo and Su), and a hexagon is kept if fewer than the stated number are expected among random spots. Phases: "
    "the share of the beam in the rings that only one candidate has; where rings coincide, the ratio of own to shared "
    "light. Hexagons of other crystals are told by their radius, of which each has one throughout the scan, and by "
    "light at half of it; no phase is named by them. Presence is a documented score between 0 and 1, not yet a "
    "calibrated probability."
)
_LATTICE_METHOD = (
    "Phases: the net of every zone axis of every candidate is laid onto the spots in every rotation; a match is kept "
    "if fewer than the stated number of equally good ones are expected among random spots (a-contrario). One scale, "
    "ellipse and centre are fitted for the whole scan. Presence is a documented score between 0 and 1, not yet a "
    "calibrated probability."
)

_COUNT_METHOD = (
    "Every phase is laid onto the counts along every beam direction in every rotation. The best orientations are "
    "refined in rotation, tilt and strain, and judged by the likelihood of the counts where reflections should be, "
    "averaged over models of their brightness; unexplained spots, and any other lattice, compete. Two phases "
    "may lie along the beam. Presence is the posterior probability, calibrated on simulated patterns."
)


def scan_sections(result: ScanResult, region: Region, whole_annular: AnyArray, min_probability: float) -> list[Section]:
    """Sections of the report: maps, evidence, tables."""
    if result.phase_map.valid.size == 1:
        pattern = Section(
            "The pattern", pictures=(_example(result, 0, 0, "the pattern", min_probability), *_spectra(result))
        )
        return [pattern, _tables(result, min_probability)]
    return [
        _maps(result, min_probability),
        _evidence(result, region, whole_annular),
        _examples(result, min_probability),
        _tables(result, min_probability),
    ]


def _maps(result: ScanResult, min_probability: float) -> Section:
    pmap = result.phase_map
    pictures = [
        Picture(
            png_of(plot_phase_map(pmap, min_probability)),
            f"Phase map: presence of at least {min_probability:g}; the darker, the less sure.",
            "Map of the phases",
        )
    ]
    pictures += [
        Picture(png_of(plot_presence(pmap, name)), f"Presence of {name}.", f"Presence of {name}")
        for name in pmap.phases
    ]
    return Section("Where each phase is", pictures=tuple(pictures))


def _evidence(result: ScanResult, region: Region, whole_annular: AnyArray) -> Section:
    survey, (low, high) = result.survey, result.annulus_inv_a
    outline = None if region.is_whole(whole_annular.shape) else region.outline(whole_annular.shape)
    step = survey.scan.scan_grid
    pictures = [
        Picture(
            png_of(plot_virtual_image(whole_annular, step, outline)),
            f"Virtual annular image, {low:.3g} to {high:.3g} 1/Å"
            + ("." if outline is None else "; the region of interest is outlined."),
            "Virtual annular dark-field image",
        ),
        Picture(
            png_of(plot_virtual_image(np.where(survey.valid, survey.bright_field, np.nan), step)),
            "Virtual bright-field image: electrons in the transmitted beam.",
            "Virtual bright-field image",
        ),
        Picture(
            png_of(
                plot_pattern(
                    Pattern(survey.mean_pattern, survey.scan.grid, survey.scan.valid), annulus_inv_a=(low, high)
                )
            ),
            "Mean pattern of a sample of positions, with the annulus.",
            "Mean diffraction pattern",
        ),
    ]
    return Section("What the scan shows", pictures=(*pictures, *_spectra(result)))


def _spectra(result: ScanResult) -> list[Picture]:
    """Draw where the spots lie, and the azimuthal mean of the mean pattern."""
    survey, rings = result.survey, _rings(result)
    pictures = []
    if len(result.spots):
        histogram = plot_radius_histogram(result.spots.radius_inv_a, None, rings)
        pictures.append(
            Picture(
                png_of(histogram),
                f"Radii of all {len(result.spots)} spots." + _ring_words(result),
                "Radii of the spots",
            )
        )
    profile = radial_profile(Pattern(survey.mean_pattern, survey.scan.grid, survey.scan.valid))
    inside = profile.k_inv_a <= 1.2 * result.annulus_inv_a[1]
    pictures.append(
        Picture(
            png_of(plot_radial_profile(profile.k_inv_a[inside], profile.intensity[inside], rings)),
            "Azimuthal mean of the mean pattern.",
            "Radial profile",
        )
    )
    return pictures


def _ring_words(result: ScanResult) -> str:
    if isinstance(result.found, HexagonFindings):
        return " Solid: ring learned from the scan's hexagons. Dashed: computed, where the scan shows none."
    return ""


def _rings(result: ScanResult) -> list[Ring]:
    """Rings of the phases: learned where the scan teaches them, otherwise computed."""
    if not isinstance(result.found, HexagonFindings):
        return []
    rings, names = result.found.rings, result.phase_map.phases
    colours = phase_colours(names)
    return [
        Ring(names[p], colours[names[p]], float(computed if np.isnan(learned) else learned), bool(np.isfinite(learned)))
        for p, computed, learned in zip(rings.phase, rings.computed_inv_a, rings.learned_inv_a, strict=True)
    ]


def _examples(result: ScanResult, min_probability: float) -> Section:
    """Show the surest position of every combination of phases that occurs."""
    pmap = result.phase_map
    labels = pmap.labels(min_probability)
    pictures = []
    combinations, counts = np.unique(labels[pmap.valid], return_counts=True)
    order = combinations[np.argsort(-counts, kind="stable")]
    for label in order[:_MAX_EXAMPLES]:
        names = [name for bit, name in enumerate(pmap.phases) if int(label) >> bit & 1]
        sure = np.where(labels == label, _sureness(pmap.presence, int(label)), -1.0)
        if label == 0:  # the emptiest of many that are equally sure
            sure -= 0.01 * np.diff(result.spots.offsets).reshape(labels.shape)
        ry, rx = np.unravel_index(int(np.argmax(np.where(pmap.valid & (labels == label), sure, -np.inf))), labels.shape)
        pictures.append(_example(result, int(ry), int(rx), " + ".join(names) or "none of the phases", min_probability))
        if result.denoiser is not None and len(pictures) < 2 * _MAX_DENOISED:
            pictures.append(_denoised(result, result.denoiser, int(ry), int(rx)))
    text = "One position for each combination of phases that occurs, the surest one."
    return Section("Example patterns", (text,), tuple(pictures))


def _denoised(result: ScanResult, denoiser: ScanDenoiser, ry: int, rx: int) -> Picture:
    survey = result.survey
    clean = denoise_scan(survey, denoiser.network, neighbours=denoiser.judged is not None)
    pattern = Pattern(clean.data[ry, rx], own_grid(survey, ry, rx), survey.scan.valid)
    ax = plot_pattern(pattern, annulus_inv_a=result.annulus_inv_a)
    return Picture(png_of(ax), f"Position ({ry}, {rx}), denoised.", f"Denoised pattern at position {ry}, {rx}")


def _sureness(presence: AnyArray, label: int) -> FloatArray:
    """Least presence of the phases of a label, or what keeps all of them out."""
    bits = np.array([label >> i & 1 for i in range(presence.shape[-1])], dtype=bool)
    return np.asarray(np.where(bits, presence, 1.0 - presence).min(axis=-1), dtype=np.float64)


def _example(result: ScanResult, ry: int, rx: int, what: str, min_probability: float) -> Picture:
    survey = result.survey
    index = ry * survey.scan.scan_shape[1] + rx
    grid = own_grid(survey, ry, rx)
    pattern = Pattern(np.nan_to_num(np.asarray(survey.scan.data[ry, rx], dtype=np.float64)), grid, survey.scan.valid)
    spots = result.spots.of(index)
    ax = plot_pattern(pattern, spots=spots, outlines=outlines_at(result, index), annulus_inv_a=result.annulus_inv_a)
    scores = ", ".join(
        f"{name} {presence_text(float(value), min_probability)}"
        for name, value in zip(result.phase_map.phases, result.phase_map.presence[ry, rx], strict=True)
    )
    return Picture(
        png_of(ax),
        f"Position ({ry}, {rx}): {what}. Presence: {scores}. {len(spots)} spots.",
        f"Diffraction pattern at position {ry}, {rx}",
    )


def presence_text(presence: float, min_probability: float) -> str:
    """Presence in two digits, or in as many more as it takes to see on which side of the threshold it lies."""
    for digits in range(2, 9):
        text = f"{presence:.{digits}f}"
        if (float(text) >= min_probability) == (presence >= min_probability):
            break
    return text


def _tables(result: ScanResult, min_probability: float) -> Section:
    found, names = result.found, result.phase_map.phases
    if isinstance(found, HexagonFindings):
        method, evidence = _HEXAGON_METHOD, _ring_table(found, names)
    else:
        method = _COUNT_METHOD if isinstance(found, CountFindings) else _LATTICE_METHOD
        evidence = _zone_table(result, found, min_probability)
    tables = (mixture_table(result.phase_map, min_probability), evidence)
    shown = tuple(table for table in tables if table.rows)
    return Section("Tables", (_who_found_spots(result.denoiser), method, *_lookalikes(result)), tables=shown)


def _lookalikes(result: ScanResult) -> tuple[str, ...]:
    """Name the phases that were sought beside those asked for."""
    if not result.lookalikes:
        return ()
    return (f"Sought too, so that no phase is named in their place: {', '.join(result.lookalikes)}.",)


def _who_found_spots(denoiser: ScanDenoiser | None) -> str:
    if denoiser is None:
        return "Spots were found by their difference of Gaussians, with Poisson significance (Li and Ma 1983)."
    card = denoiser.network.card
    added = "" if denoiser.judged is None else " The counts of alike neighbouring positions were added up first."
    return f"Spots were found by the network {card.name} {card.version}; the counts tell how bright they are.{added}"


def _ring_table(found: HexagonFindings, names: tuple[str, ...]) -> Table:
    rings = found.rings
    rows = tuple(
        (names[p], float(computed), None if np.isnan(learned) else float(learned), int(n))
        for p, computed, learned, n in zip(
            rings.phase, rings.computed_inv_a, rings.learned_inv_a, rings.n_hexagons, strict=True
        )
    )
    header = ("phase", "ring computed (1/Å)", "ring learned (1/Å)", "hexagons")
    return Table(header, rows, "Rings of the phases within the annulus.")


def _zone_table(result: ScanResult, found: LatticeFindings | CountFindings, min_probability: float) -> Table:
    names = result.phase_map.phases
    present = result.phase_map.presence.reshape(-1, len(names)) >= min_probability
    rows: list[tuple[str, str, int]] = []
    for p, name in enumerate(names):
        axes, counts = np.unique(found.uvw[present[:, p], p], axis=0, return_counts=True)
        rows += [(name, "[" + " ".join(map(str, uvw)) + "]", int(n)) for uvw, n in zip(axes, counts, strict=True)]
    return Table(("phase", "zone axis", "positions"), tuple(rows), "Zone axes found.")
