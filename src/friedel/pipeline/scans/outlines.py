"""What is drawn onto the pattern of a position: hexagons, or marks of the reflections of what was found there."""

from __future__ import annotations

import numpy as np

from friedel.core.arrays import AnyArray, BoolArray, FloatArray
from friedel.core.beam import Beam
from friedel.core.grids import ReciprocalGrid
from friedel.crystal import Crystal, all_reflections
from friedel.identify.hexagons.presence import ring_owners
from friedel.identify.lattices.zones import turned
from friedel.patterns.survey import Survey
from friedel.pipeline.scans.counts import CountFindings
from friedel.pipeline.scans.result import HexagonFindings, ScanResult
from friedel.report.colours import phase_colours
from friedel.report.diffraction import Outline

#: Presence from which the reflections of a phase are drawn; distance from the Ewald sphere up to which they are; angle
#: to the zone axis from which on it is told.
_DRAWN, _NEAR_SPHERE_INV_A, _OFF_ZONE_DEG = 0.1, 0.012, 1.5
#: Colour of a hexagon that no phase, or more than one, has.
_SHARED = "#b0b0b0"


def own_grid(survey: Survey, ry: int, rx: int) -> ReciprocalGrid:
    """Calibration about the beam of one position."""
    grid = survey.scan.grid
    shift = survey.shift_px[ry * survey.scan.scan_shape[1] + rx]
    return grid.with_centre((grid.centre_px[0] + shift[0], grid.centre_px[1] + shift[1]))


def outlines_at(result: ScanResult, index: int) -> list[Outline]:
    """Hexagons by phase, or for lattices a small diamond about each reflection of the grain found."""
    names = result.phase_map.phases
    colours = phase_colours(names)
    if isinstance(result.found, HexagonFindings):
        return _hexagon_outlines(result, result.found, index, colours)
    if isinstance(result.found, CountFindings):
        return _reflection_outlines(result, result.found, index, colours)
    out = []
    evidence = result.found.evidence
    for p, name in enumerate(names):
        if not np.isfinite(evidence.rotation_deg[index, p]):
            continue
        uvw = tuple(int(i) for i in evidence.uvw[index, p])
        template = next(t for t in result.found.templates if t.phase == p and t.uvw == uvw)
        label = f"{name} [{' '.join(map(str, uvw))}]"
        nodes = turned(template.k_inv_a, float(np.deg2rad(evidence.rotation_deg[index, p])))
        out += diamonds(nodes, label, colours[name], result.annulus_inv_a[1])
    return out


def diamonds(nodes: FloatArray, label: str, colour: str, k_max_inv_a: float) -> list[Outline]:
    """Mark positions (N, 2) by small diamonds."""
    diamond = 0.02 * k_max_inv_a * np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])
    return [Outline(label, colour, node + diamond) for node in nodes]


def _reflection_outlines(
    result: ScanResult, found: CountFindings, index: int, colours: dict[str, str]
) -> list[Outline]:
    """Reflections near the Ewald sphere of each phase that is not ruled out, in its best orientation."""
    out = []
    presence = result.phase_map.presence.reshape(-1, len(result.phase_map.phases))[index]
    for p, (name, crystal) in enumerate(zip(result.phase_map.phases, found.plan.phases.crystals, strict=True)):
        if presence[p] < _DRAWN:
            continue
        nodes = near_sphere(crystal, found.evidence.frame[index, p], found.plan.beam, result.annulus_inv_a)
        label = f"{name} [{' '.join(str(int(i)) for i in found.uvw[index, p])}]"
        if found.off_deg[index, p] > _OFF_ZONE_DEG:
            label += f" {found.off_deg[index, p]:.0f}° off"
        out += diamonds(nodes, label, colours[name], result.annulus_inv_a[1])
    return out


def near_sphere(crystal: Crystal, frame: AnyArray, beam: Beam, annulus_inv_a: tuple[float, float]) -> FloatArray:
    """Positions (N, 2) of the reflections in an annulus and near the Ewald sphere of a crystal in an orientation."""
    low, high = annulus_inv_a
    g = all_reflections(crystal, high).g_inv_a @ np.asarray(frame, dtype=np.float64).T
    off_sphere = g[:, 2] + 0.5 * beam.wavelength_a * (g**2).sum(axis=1)
    near = (np.abs(off_sphere) < _NEAR_SPHERE_INV_A) & (np.hypot(g[:, 0], g[:, 1]) > low)
    return np.asarray(g[near, :2])


def _hexagon_outlines(result: ScanResult, found: HexagonFindings, index: int, colours: dict[str, str]) -> list[Outline]:
    """Hexagons of one position, in the colour of the phase that is present there and has a ring of that radius."""
    names, hexagons = result.phase_map.phases, found.hexagons
    presence = result.phase_map.presence.reshape(-1, len(names))[index]
    owners = ring_owners(hexagons, found.rings, len(names))
    return [
        Outline(*hexagon_owner(owners[j], presence, colours), hexagons.vertices_inv_a(j))
        for j in range(int(hexagons.offsets[index]), int(hexagons.offsets[index + 1]))
    ]


def hexagon_owner(has_ring: BoolArray, presence: AnyArray, colours: dict[str, str]) -> tuple[str, str]:
    """Name and colour of a hexagon: the phases with a ring of its radius that are present, or the surest in doubt."""
    names = list(colours)
    owners = sorted(np.flatnonzero(has_ring).tolist(), key=lambda p: -presence[p])
    if not owners:
        return "hexagon: no candidate", _SHARED
    present = [names[p] for p in owners if presence[p] >= 0.5]
    if not present:
        return f"hexagon: {names[owners[0]]} (unsure)", colours[names[owners[0]]]
    return f"hexagon: {' + '.join(present)}", colours[present[0]] if len(present) == 1 else _SHARED
