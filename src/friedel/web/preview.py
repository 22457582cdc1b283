"""Trying settings on one pattern, or one square of a micrograph, before running all."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from friedel.core.errors import DataError
from friedel.core.images import Micrograph, PatternScan
from friedel.crystal import load_phases
from friedel.nets.denoise import denoise_scan
from friedel.pipeline.micrographs.road import analyse_region
from friedel.pipeline.recipe import Recipe
from friedel.pipeline.region import Region, crop_scan
from friedel.pipeline.scans.outlines import outlines_at, own_grid
from friedel.pipeline.scans.result import HexagonFindings, ScanResult
from friedel.pipeline.scans.road import analyse_scan
from friedel.web.browse import spectrum_window
from friedel.web.frames import encode

#: Positions to each side that are analysed with the one that is asked for: what is shared by a scan is fitted on them.
_AROUND = 2


def preview_pattern(scan: PatternScan, recipe: Recipe, y: int, x: int) -> bytes:
    """Analyse one position with its neighbours, as a run of this recipe would.

    Returns
    -------
    bytes
        The pattern, denoised where the recipe asks for that, with presence, spots and outlines in its header;
        positions in pixels (ky, kx).
    """
    ny, nx = scan.scan_shape
    if not (0 <= y < ny and 0 <= x < nx):
        raise DataError(f"Positions run to {ny} x {nx}, got {y}, {x}.")
    rows, columns = ((max(0, i - _AROUND), min(n, i + _AROUND + 1)) for i, n in ((y, ny), (x, nx)))
    shape = (rows[1] - rows[0], columns[1] - columns[0])
    box = crop_scan(scan, Region(rows, columns, np.ones(shape, dtype=bool)))
    fit_centre = recipe.read.centre_px is None
    result = analyse_scan(box, load_phases(recipe.phases), recipe.scan, fit_centre=fit_centre, seed=recipe.seed)
    at = (y - rows[0], x - columns[0])
    pattern, is_denoised = np.asarray(box.data[at]), False
    if result.denoiser is not None:
        network = result.denoiser.network
        clean = denoise_scan(result.survey, network, neighbours=result.denoiser.judged is not None)
        pattern, is_denoised = clean.data[at], True
    return encode(pattern, **_facts(result, at), is_denoised=is_denoised, n_analysed=int(np.prod(shape)))


def _facts(result: ScanResult, at: tuple[int, int]) -> dict[str, Any]:
    index = at[0] * result.phase_map.valid.shape[1] + at[1]
    grid, spots = own_grid(result.survey, *at), result.spots.of(index)
    presence = result.phase_map.presence[at]
    zones: list[str] = [""] * len(presence)
    if not isinstance(result.found, HexagonFindings):
        zones = ["[" + " ".join(str(int(i)) for i in uvw) + "]" for uvw in result.found.uvw[index]]
    return {
        "candidates": [
            {"phase": name, "presence": float(value), "zone": zone if value > 0 else ""}
            for name, value, zone in zip(result.phase_map.phases, presence, zones, strict=True)
        ],
        "spots": np.column_stack([grid.px_of(spots.k_inv_a), spots.snr]).tolist() if len(spots) else [],
        "outlines": [
            {"label": outline.label, "colour": outline.colour, "px": grid.px_of(outline.vertices_inv_a).tolist()}
            for outline in outlines_at(result, index)
        ],
        "annulus_px": [radius / float(np.mean(grid.step_inv_a)) for radius in result.annulus_inv_a],
        "centre_px": grid.centre_px,
        "warnings": result.warnings,
    }


def preview_square(micrograph: Micrograph, recipe: Recipe, y0: int, x0: int, side: int) -> bytes:
    """Analyse a square of a micrograph, as a run of this recipe on that square would.

    Returns
    -------
    bytes
        Logarithm of its power spectrum, with spots, their names and the table of components in its header; positions
        in pixels (ky, kx), both of each Friedel pair.
    """
    ny, nx = micrograph.shape
    if not (0 <= y0 < y0 + side <= ny and 0 <= x0 < x0 + side <= nx):
        raise DataError(f"The square at {y0}, {x0} of {side} leaves the image of {micrograph.shape}.")
    region = Region((y0, y0 + side), (x0, x0 + side), np.ones((side, side), dtype=bool))
    result = analyse_region(micrograph, region, load_phases(recipe.phases), recipe.micrograph)
    grid, k = result.pattern.grid, result.spots.k_inv_a
    hkl = {row: component.hkl for component in result.components for row in component.spots}
    spots = [
        {"px": grid.px_of(np.stack([at, -at])).tolist(), "phase": name, "hkl": hkl.get(i, ""), "d_a": d}
        for i, (at, name, d) in enumerate(
            zip(k, result.match.names, (1 / result.spots.radius_inv_a).tolist(), strict=True)
        )
    ]
    power = np.log10(np.maximum(result.pattern.data, np.finfo(np.float32).tiny))
    fields = ("phase", "hkl", "d_measured_a", "d_sigma_a", "d_reference_a", "probability", "n_spots")
    rows = [{field: value for field, value in asdict(c).items() if field in fields} for c in result.components]
    return encode(
        power,
        window=spectrum_window(power),
        spots=spots,
        components=rows,
        warnings=result.warnings,
        step_inv_a=grid.step_inv_a,
        centre_px=grid.centre_px,
    )
